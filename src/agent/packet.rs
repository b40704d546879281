//! What a packet of a caller asks: bytes and types, no input, no output.

use crate::protocol::{MAX_QUESTION, Question};

/// A packet, whatever stands for what was passed with it.
pub(super) struct Came<'a, P> {
    pub(super) bytes: &'a [u8],
    /// There were more bytes.
    pub(super) cut: bool,
    pub(super) passed: Vec<P>,
    /// More was passed.
    pub(super) more_passed: bool,
}

impl<P> Came<'_, P> {
    /// The question, and the one descriptor that goes with it; or what is wrong, and what to do.
    pub(super) fn question(self) -> Result<(Question, P), String> {
        let Self { bytes, cut, passed, more_passed } = self;
        let question = if cut {
            Err(format!("a question has at most {MAX_QUESTION} bytes, more came"))
        } else {
            Question::decode(bytes).map_err(|error| error.to_string())
        };
        let passed = match (<[P; 1]>::try_from(passed), more_passed) {
            (Ok([one]), false) => Ok(one),
            (Ok(_), true) => Err("one descriptor goes with a question, more came".to_owned()),
            (Err(others), _) => {
                Err(format!("one descriptor goes with a question, {} came", others.len()))
            }
        };
        match (question, passed) {
            (Ok(question), Ok(passed)) => Ok((question, passed)),
            (Err(what), _) | (Ok(_), Err(what)) => {
                Err(format!("{what}; ask by the library, or as partnerd.proto describes"))
            }
        }
    }
}
