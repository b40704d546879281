//! Why a certificate was not made.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::agent::config::shown_path;

/// What failed: the file, what was being done or expected, and what to do.
#[derive(Debug)]
pub(crate) enum CaError {
    Io {
        path: PathBuf,
        doing: &'static str,
        error: io::Error,
    },
    /// Something is there that is not replaced without being told to.
    Exists {
        path: PathBuf,
        remedy: &'static str,
    },
    Invalid {
        path: PathBuf,
        expected: &'static str,
        found: String,
        remedy: &'static str,
    },
    /// Making a key or a certificate.
    Make(String),
}

impl fmt::Display for CaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, doing, error } => {
                let path = shown_path(path);
                write!(f, "{path}: {doing}: {error}; see that the folder is there and yours")
            }
            Self::Exists { path, remedy } => {
                write!(f, "{}: expected no such file; found one; {remedy}", shown_path(path))
            }
            Self::Invalid { path, expected, found, remedy } => {
                let path = shown_path(path);
                write!(f, "{path}: expected {expected}; found {found}; {remedy}")
            }
            Self::Make(error) => write!(f, "a key or a certificate cannot be made: {error}"),
        }
    }
}

impl std::error::Error for CaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Exists { .. } | Self::Invalid { .. } | Self::Make(_) => None,
        }
    }
}

impl From<rcgen::Error> for CaError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error.to_string())
    }
}
