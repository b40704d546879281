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
    Some(overflow.and_then(|text| text.trim().parse().ok()).unwrap_or(DEFAULT_OVERFLOW_ID))
}

/// Lines of: first uid inside, first uid outside, count. They do not overlap, so the counts add up.
fn maps_everything(uid_map: &str) -> bool {
    let counts = uid_map.lines().map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    let mut sum = 0_u64;
    for count in counts {
        let Some(count) = count else { return false };
        sum = sum.saturating_add(count);
    }
    sum >= ALL
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
            (None, Some("65534"), Some(65534)),
            (None, None, Some(65534)),
        ];
        for (map, overflow, expected) in table {
            assert_eq!(overflow_id(map, overflow), expected, "{map:?} {overflow:?}");
        }
    }
}
