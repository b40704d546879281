//! `/proc/<pid>/status`: users, groups, capabilities. Source: `proc_pid_status(5)`.

use super::{decimal, whole_lines};
use crate::token::{Capabilities, Gid, Uid};

/// The real and the effective of two ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair<T> {
    /// The real id.
    pub(crate) real: T,
    /// The effective id.
    pub(crate) effective: T,
}

/// What `/proc/<pid>/status` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    /// The line `Uid`.
    pub(crate) users: Option<Pair<Uid>>,
    /// The line `Gid`.
    pub(crate) groups: Option<Pair<Gid>>,
    /// The line `Groups`; an empty list is a process without supplementary groups.
    pub(crate) supplementary: Option<Vec<Gid>>,
    /// The line `CapEff`.
    pub(crate) capabilities: Option<Capabilities>,
}

/// Parses the text of `/proc/<pid>/status`.
///
/// A line that is missing, was cut off, or is there twice leaves its field `None`.
pub(crate) fn status(text: &[u8]) -> Status {
    Status {
        users: value(text, b"Uid:").and_then(|ids| pair(ids, Uid::new)),
        groups: value(text, b"Gid:").and_then(|ids| pair(ids, Gid::new)),
        supplementary: value(text, b"Groups:").and_then(groups),
        capabilities: value(text, b"CapEff:").and_then(capabilities),
    }
}

/// The line `FDSize`: every descriptor of the process is below this number.
pub(crate) fn descriptors_below(text: &[u8]) -> Option<u32> {
    value(text, b"FDSize:")?.strip_prefix(b"\t").and_then(decimal)
}

/// What follows `key` on the only whole line that begins with it.
///
/// The kernel escapes newlines in the name on the first line, so that no name can make a line of
/// its own. Should one succeed nevertheless, it is the second of its kind, and neither is believed.
fn value<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut values = whole_lines(text).filter_map(|line| line.strip_prefix(key));
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Real, effective, saved and file system id, each after a tab.
fn pair<T>(text: &[u8], id: impl Fn(u32) -> Option<T>) -> Option<Pair<T>> {
    let mut ids = text.strip_prefix(b"\t")?.split(|&byte| byte == b'\t').map(decimal::<u32>);
    let (real, effective) = (ids.next()??, ids.next()??);
    let (_saved, _file_system) = (ids.next()??, ids.next()??);
    if ids.next().is_some() {
        return None;
    }
    Some(Pair { real: id(real)?, effective: id(effective)? })
}

fn groups(text: &[u8]) -> Option<Vec<Gid>> {
    text.split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty())
        .map(|word| decimal(word).and_then(Gid::new))
        .collect()
}

fn capabilities(text: &[u8]) -> Option<Capabilities> {
    let digits = text.strip_prefix(b"\t")?;
    if digits.len() != 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let bits = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some(Capabilities::from_bits(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: &str = "Name:\tcurl\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nPid:\t4711\n\
        Uid:\t1000\t0\t0\t0\nGid:\t1000\t1001\t1001\t1001\nFDSize:\t64\nGroups:\t4 27 1000 \n\
        CapInh:\t0000000000000000\nCapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\n";

    fn uid(raw: u32) -> Uid {
        Uid::new(raw).unwrap()
    }

    #[test]
    fn the_size_of_a_descriptor_table() {
        assert_eq!(descriptors_below(REAL.as_bytes()), Some(64));
        assert_eq!(descriptors_below(b"Name:\tx\nFDSize:\t6"), None);
    }

    #[test]
    fn reads_a_real_one() {
        let status = status(REAL.as_bytes());
        assert_eq!(status.users, Some(Pair { real: uid(1000), effective: uid(0) }));
        assert_eq!(status.groups.map(|ids| ids.effective.as_raw()), Some(1001));
        let groups: Vec<u32> = status.supplementary.unwrap().into_iter().map(Gid::as_raw).collect();
        assert_eq!(groups, [4, 27, 1000]);
        assert_eq!(status.capabilities.map(Capabilities::bits), Some(0x1ff_ffff_ffff));
    }

    #[test]
    fn no_groups_is_a_known_empty_list() {
        assert_eq!(status(b"Groups:\t \n").supplementary, Some(vec![]));
        assert_eq!(status(b"Groups:\t\n").supplementary, Some(vec![]));
        assert_eq!(status(b"").supplementary, None);
    }

    #[test]
    fn every_truncation_gives_the_whole_value_or_none() {
        let whole = status(REAL.as_bytes());
        for length in 0..REAL.len() {
            let cut = status(&REAL.as_bytes()[..length]);
            assert!(cut.users.is_none() || cut.users == whole.users, "{length}");
            assert!(cut.groups.is_none() || cut.groups == whole.groups, "{length}");
            assert!(
                cut.supplementary.is_none() || cut.supplementary == whole.supplementary,
                "{length}"
            );
            assert!(
                cut.capabilities.is_none() || cut.capabilities == whole.capabilities,
                "{length}"
            );
        }
    }

    #[test]
    fn a_second_line_of_a_kind_makes_both_unbelievable() {
        let text = format!("Name:\tx\nUid:\t0\t0\t0\t0\n{REAL}");
        assert_eq!(status(text.as_bytes()).users, None);
        assert!(status(text.as_bytes()).groups.is_some());
    }

    #[test]
    fn refuses_what_is_no_id() {
        for ids in [
            "",
            "\t",
            "\t0",
            "\t0\t0\t0",
            "\t0\t0\t0\t0\t0",
            "\t1\t-1\t1\t1",
            "\t1\t+1\t1\t1",
            "\t1\t\t1\t1",
            "\t1\t4294967295\t1\t1",
            "\t1\t4294967296\t1\t1",
            "\t1\tx\t1\t1",
        ] {
            assert_eq!(status(format!("Uid:{ids}\n").as_bytes()).users, None, "{ids:?}");
        }
        for set in ["\t", "\t0", "\t+000000000000000", "\t00000000000000000", "\tg000000000000000"]
        {
            let text = format!("CapEff:{set}\n");
            assert_eq!(status(text.as_bytes()).capabilities, None, "{set:?}");
        }
        assert_eq!(status(b"Groups:\t4 x 5 \n").supplementary, None);
        assert_eq!(status(b"Groups:\t4 4294967295 \n").supplementary, None);
    }
}
