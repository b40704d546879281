//! Text that a process chose, as it is serialized.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde::{Serialize, Serializer};

/// A string if it is one, else its bytes.
pub(crate) struct Text<'a>(pub(crate) &'a OsStr);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_seq(self.0.as_bytes()),
        }
    }
}
