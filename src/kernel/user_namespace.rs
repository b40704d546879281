//! Which uid, if any, stands for "not mapped" in this process's user namespace.
//!
//! Source: user_namespaces(7), `/proc/sys/kernel/overflowuid` in proc_sys_kernel(5).

/// The kernel's default, `DEFAULT_OVERFLOWUID`.
const DEFAULT_OVERFLOW_ID: u32 = 65534;
/// All uids: 4294967295 is no uid.
const ALL: u64 = u32::MAX as u64;

/// The uid that must be taken for nobody, from the texts of `/proc/self/uid_map` and
/// `/proc/sys/kernel/overflowuid`; `None` where every uid is mapped, so that 65534 is the real
/// account `nobody`. The same for gids.
///
/// A text that is absent or says something else than expected is taken for a namespace that does
/// not map everything: that way round, a doubt refuses and never names.
pub(crate) fn overflow_id(uid_map: Option<&str>, overflow: Option<&str>) -> Option<u32> {
    if uid_map.is_some_and(maps_everything) {
        return None;
    }
    Some(overflow.and_then(|text| number(text.trim())).unwrap_or(DEFAULT_OVERFLOW_ID))
}

/// The ranges do not overlap, so the counts add up.
fn maps_everything(uid_map: &str) -> bool {
    let mapped =
        |ranges: Vec<Range>| ranges.iter().map(|range| u64::from(range.count)).sum::<u64>();
    ranges(uid_map).map(mapped).is_some_and(|sum| sum >= ALL)
}

/// Users that are mapped together, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first, as the namespace has it.
    pub(crate) inside: u32,
    /// The first, as who reads the file has it.
    pub(crate) outside: u32,
    pub(crate) count: u32,
}

/// The lines of `/proc/<pid>/uid_map`; `None` where one is anything but three numbers.
pub(crate) fn ranges(uid_map: &str) -> Option<Vec<Range>> {
    let range = |line: &str| {
        let mut words = line.split_ascii_whitespace().map(number);
        let mut next = || words.next()?;
        let range = Range { inside: next()?, outside: next()?, count: next()? };
        words.next().is_none().then_some(range)
    };
    uid_map.lines().map(range).collect()
}

/// Digits alone: no sign, as the kernel writes none.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::overflow_id;

    #[test]
    fn h19_an_overflow_uid_is_nobody_and_the_real_nobody_is_somebody() {
        let full = "         0          0 4294967295\n";
        let split = "0 0 1000\n1000 1000 4294966295\n";
        let container = "         0     100000      65536\n";
        let single = "      1000       1000          1\n";
        let table = [
            (Some(full), Some("65534\n"), None),
            (Some(split), Some("65534\n"), None),
            (Some(container), Some("65534\n"), Some(65534)),
            (Some(single), Some("65533\n"), Some(65533)),
            (Some(single), None, Some(65534)),
            (Some(single), Some("what"), Some(65534)),
            (Some(""), Some("65534"), Some(65534)),
            (Some("0 0 many\n"), Some("65534"), Some(65534)),
            (Some("0 0\n0 0 4294967295"), Some("65534"), Some(65534)),
            (Some("x y 4294967295\n"), Some("65534"), Some(65534)),
            (Some("0 0 +4294967295\n"), Some("65534"), Some(65534)),
            (Some("0 0 4294967295 1\n"), Some("65534"), Some(65534)),
            (Some(single), Some("+7\n"), Some(65534)),
            (None, Some("65534"), Some(65534)),
            (None, None, Some(65534)),
        ];
        for (map, overflow, expected) in table {
            assert_eq!(overflow_id(map, overflow), expected, "{map:?} {overflow:?}");
        }
    }
}
