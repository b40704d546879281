//! Why a configuration file was refused.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::policy::text::shown;

/// Characters of the TOML parser's own message that are repeated at most.
const SHOWN_OF_MESSAGE: usize = 300;

/// A configuration that was refused: where, what was expected, what came, what to do.
///
/// A file is accepted as a whole or not at all; the first fault found is the one reported.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The file cannot be read, or was named and is not there.
    Unreadable { path: PathBuf, error: io::Error },
    /// The file says something that it may not say.
    Invalid {
        /// Fit to show.
        file: String,
        /// Line and column in characters, both counted from 1.
        place: (usize, usize),
        expected: &'static str,
        /// Fit to show.
        found: String,
        remedy: &'static str,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                let path = shown_path(path);
                write!(
                    f,
                    "{path}: expected a readable file with the agent's configuration; found "
                )?;
                write!(f, "that it cannot be read: {error}; make it readable, or name another")?;
                f.write_str(" with --config")
            }
            Self::Invalid { file, place: (line, column), expected, found, remedy } => {
                write!(f, "{file}:{line}:{column}: expected {expected}; found {found}; {remedy}")
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::Invalid { .. } => None,
        }
    }
}

/// A path on one line, with everything that does not print escaped.
pub(crate) fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy(), usize::MAX)
}

/// The text being read, to say where in it a fault stands.
pub(super) struct Place<'a> {
    /// Fit to show.
    file: String,
    text: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn new(file: &str, text: &'a str) -> Self {
        Self { file: shown(file, usize::MAX), text }
    }

    pub(super) fn error(
        &self,
        span: Range<usize>,
        expected: &'static str,
        found: String,
        remedy: &'static str,
    ) -> ConfigError {
        let place = place(self.text, span.start);
        ConfigError::Invalid { file: self.file.clone(), place, expected, found, remedy }
    }

    /// The TOML parser's own errors: syntax, and keys and types that serde refuses.
    pub(super) fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        let message = error.message();
        // serde has no error codes; these are the words of its default messages. A change of them
        // would change the advice, which a test would notice, and refuse as before.
        let (expected, remedy) = if message.starts_with("unknown field") {
            ("only documented keys", "correct the spelling or remove the key")
        } else if message.starts_with("invalid type") || message.starts_with("invalid value") {
            ("a value of the key's documented type", "write the value as the manual shows it")
        } else {
            ("TOML, each key at most once in a table", "correct the syntax at this place")
        };
        let span = error.span().unwrap_or(0..0);
        self.error(span, expected, shown(message, SHOWN_OF_MESSAGE), remedy)
    }
}

/// Line and column of a byte offset, both counted from 1.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(start..).unwrap_or("");
    // The parser leaves a byte order mark out of account, and so does an editor.
    (line, column.trim_start_matches('\u{feff}').chars().count() + 1)
}
