//! The files of `/proc/<pid>` that hold one value: `loginuid`, `sessionid`, `attr/current`, `comm`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::decimal;
use crate::token::Uid;

/// `/proc/<pid>/loginuid`: the audit login uid; `None` for 4294967295, which means "not set".
pub(crate) fn login_uid(text: &[u8]) -> Option<Uid> {
    number(text).and_then(Uid::new)
}

/// `/proc/<pid>/sessionid`: the audit session id; `None` for 4294967295, which means "not set".
pub(crate) fn session_id(text: &[u8]) -> Option<u32> {
    number(text).filter(|&id| id != u32::MAX)
}

/// `/proc/<pid>/attr/current`: the label of the security module; `None` if it is empty or no text.
///
/// Some modules end it in a zero byte, some in a newline, some in neither.
pub(crate) fn security_label(text: &[u8]) -> Option<String> {
    let end = text.iter().rposition(|byte| !matches!(byte, 0 | b'\n'))?;
    let label = text.get(..=end)?;
    String::from_utf8(label.to_vec()).ok()
}

/// `/proc/<pid>/comm`: the command name, without the newline that the kernel adds; the name itself
/// may contain others.
pub(crate) fn command(text: &[u8]) -> Option<OsString> {
    let name = text.strip_suffix(b"\n")?;
    (!name.is_empty()).then(|| OsString::from_vec(name.to_vec()))
}

/// A number with or without a newline after it.
fn number(text: &[u8]) -> Option<u32> {
    decimal(text.strip_suffix(b"\n").unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_uids_and_session_ids() {
        for (text, value) in [
            (&b"1000"[..], Some(1000)),
            (b"1000\n", Some(1000)),
            (b"0", Some(0)),
            (b"4294967294", Some(4_294_967_294)),
            (b"4294967295", None),
            (b"4294967296", None),
            (b"", None),
            (b"\n", None),
            (b"-1", None),
            (b"1 ", None),
            (b"1\n\n", None),
            (b"\xff", None),
        ] {
            assert_eq!(login_uid(text).map(Uid::as_raw), value, "{text:?}");
            assert_eq!(session_id(text), value, "{text:?}");
        }
    }

    #[test]
    fn labels() {
        for (text, value) in [
            (&b"unconfined\n"[..], Some("unconfined")),
            (
                b"system_u:system_r:sshd_t:s0-s0:c0.c1023\0",
                Some("system_u:system_r:sshd_t:s0-s0:c0.c1023"),
            ),
            (b"docker-default (enforce)\n", Some("docker-default (enforce)")),
            (b"_", Some("_")),
            (b"", None),
            (b"\0", None),
            (b"\n\0\n", None),
            (b"\xff\n", None),
        ] {
            assert_eq!(security_label(text).as_deref(), value, "{text:?}");
        }
    }

    #[test]
    fn names() {
        for (text, value) in [
            (&b"curl\n"[..], Some(&b"curl"[..])),
            (b"a) R 1 (b\n", Some(b"a) R 1 (b")),
            (b"two\nlines\n", Some(b"two\nlines")),
            (b"\xff\xfe\n", Some(b"\xff\xfe")),
            (b"cut", None),
            (b"\n", None),
            (b"", None),
        ] {
            let name = command(text);
            assert_eq!(name.as_ref().map(|name| name.as_encoded_bytes()), value, "{text:?}");
        }
    }
}
