//! The texts of `/proc`, bytes to types. Nothing here opens a file.
//!
//! A parser answers `None` for what it cannot be sure of: an unknown form, a text that was cut off,
//! a value that the kernel uses for "none". It never substitutes zero, and it never panics; every
//! parser is a `pub fn` from bytes, for the fuzz targets.

pub(crate) mod cgroup;
pub(crate) mod link;
pub(crate) mod node;
pub(crate) mod single;
pub(crate) mod stat;
pub(crate) mod status;
pub(crate) mod tty;

/// A decimal number that is all of `text`: no sign, no space, no leading `+`, no empty text.
pub(super) fn decimal<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The lines of `text` that end in a newline: one that does not may have been cut off.
pub(super) fn whole_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
}
