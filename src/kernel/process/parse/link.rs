//! The links of `/proc/<pid>`: `fd/<n>` and `exe`. Source: `proc_pid_fd(5)`, `proc_pid_exe(5)`.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::decimal;

/// The inode of the socket that a link `socket:[<inode>]` stands for; `None` for any other file.
///
/// No file system path can look so: those begin with a slash.
pub(crate) fn socket_inode(link: &[u8]) -> Option<NonZeroU64> {
    let inode = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    decimal(inode).and_then(NonZeroU64::new)
}

/// The number in a name of `/proc` or of `/proc/<pid>/fd`; `None` for `.`, `self`, `meminfo`.
pub(crate) fn number(name: &[u8]) -> Option<u32> {
    decimal(name)
}

/// Whether a link `/proc/<pid>/ns/pid` is that of the initial pid namespace, in which every process
/// of the image has a pid. The number is `PROC_PID_INIT_INO` of the kernel's `proc_ns.h`.
pub(crate) fn is_initial_pid(link: &[u8]) -> bool {
    link == b"pid:[4026531836]"
}

/// The path that `/proc/<pid>/exe` links to, and whether that name was removed since.
pub(crate) fn executable(link: &[u8]) -> Option<(PathBuf, bool)> {
    let (path, deleted) = match link.strip_suffix(b" (deleted)") {
        Some(path) => (path, true),
        None => (link, false),
    };
    if path.is_empty() || path.contains(&0) {
        return None;
    }
    Some((OsString::from_vec(path.to_vec()).into(), deleted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets() {
        for (link, inode) in [
            (&b"socket:[1]"[..], Some(1)),
            (b"socket:[18446744073709551615]", Some(u64::MAX)),
            (b"socket:[18446744073709551616]", None),
            (b"socket:[0]", None),
            (b"socket:[]", None),
            (b"socket:[1", None),
            (b"socket:[-1]", None),
            (b"socket:[1]x", None),
            (b"/tmp/socket:[1]", None),
            (b"pipe:[1]", None),
            (b"", None),
        ] {
            assert_eq!(socket_inode(link).map(NonZeroU64::get), inode, "{link:?}");
        }
    }

    #[test]
    fn executables() {
        for (link, expected) in [
            (&b"/usr/bin/curl"[..], Some(("/usr/bin/curl", false))),
            (b"/usr/bin/curl (deleted)", Some(("/usr/bin/curl", true))),
            (b"/a (deleted) (deleted)", Some(("/a (deleted)", true))),
            (b" (deleted)", None),
            (b"", None),
            (b"/a\0b", None),
        ] {
            let expected = expected.map(|(path, deleted)| (PathBuf::from(path), deleted));
            assert_eq!(executable(link), expected, "{link:?}");
        }
        assert!(executable(b"/\xff").is_some());
    }
}
