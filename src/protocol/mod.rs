//! What a program and its host's agent say to each other: bytes and types, no input, no output.
//!
//! One message is one packet. A question ([`Question`]) comes with the socket that it is about, as
//! a descriptor beside the bytes; an answer ([`Answer`]) is bytes alone. The bytes are protobuf,
//! described in `proto/partnerd.proto`.
//!
//! What was decoded is valid as a whole. A message that lacks what it must have, or says what
//! cannot be, is [`Malformed`] and nothing of it is believed. What a newer peer says that is not
//! known here becomes a refusal, or unknown, and never a guess.

mod answer;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod names;
#[cfg_attr(
    not(any(test, fuzzing)),
    allow(dead_code, unused_imports, reason = "what one side reads the other writes")
)]
pub(crate) mod peers;
mod question;
#[cfg(test)]
mod tests;
mod token;
mod wire;

use std::fmt;

use prost::Message;

pub(crate) use self::answer::{Answer, Outcome, Pids, Refused, Told};
pub(crate) use self::question::{Question, number};

/// The version of the protocol that is spoken here.
pub(crate) const VERSION: u32 = 1;
/// Bytes that a question has at most.
pub(crate) const MAX_QUESTION: usize = 1024;
/// Bytes that an answer has at most.
pub(crate) const MAX_ANSWER: usize = 64 * 1024;

/// A message that is not believed: what was expected, and what came.
///
/// Its text has numbers and words of this program only, nothing that the sender wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(String);

impl Malformed {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed message: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// The message in these bytes, if it is of the version that is spoken here.
fn read<M: Message + Default>(bytes: &[u8], limit: usize) -> Result<M, Malformed> {
    if bytes.len() > limit {
        return Err(Malformed::new(format!(
            "at most {limit} bytes expected, {} came",
            bytes.len()
        )));
    }
    let wire::Version { version } = parse(bytes)?;
    let version = required(version, "a version")?;
    if version != VERSION {
        return Err(Malformed::new(format!(
            "version {version} of the protocol came, version {VERSION} is spoken here; use partnerd \
             and programs of the same release"
        )));
    }
    parse(bytes)
}

fn parse<M: Message + Default>(bytes: &[u8]) -> Result<M, Malformed> {
    M::decode(bytes).map_err(|error| Malformed::new(error.to_string()))
}

/// The value of a field that must be there.
fn required<T>(field: Option<T>, what: &str) -> Result<T, Malformed> {
    field.ok_or_else(|| Malformed::new(format!("{what} expected, none came")))
}
