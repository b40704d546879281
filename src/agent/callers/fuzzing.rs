//! What must hold for any text that claims to be a `/proc/<pid>/uid_map`, as the agent reads it.

use super::view::{UserMap, View};
use crate::kernel::user_namespace::overflow_id;

/// Takes what is before the first zero byte as the map, and what is behind it as the overflow uid.
/// Returns whether it is a map.
pub fn check_uid_map(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let (map, overflow) = text.split_once('\0').unwrap_or((text, "65534\n"));
    let ranges = ranges(map);
    check_overflow(map, overflow, ranges.as_deref());
    check_view(map, ranges.as_deref())
}

/// A range of users: the first inside, the first outside, how many.
type Range = [u64; 3];

/// The lines of a map, read in the obvious way; `None` where one is anything else.
fn ranges(map: &str) -> Option<Vec<Range>> {
    let number = |word: &str| {
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        word.parse::<u32>().ok().filter(|_| digits).map(u64::from)
    };
    let range = |line: &str| {
        let words: Option<Vec<u64>> = line.split_ascii_whitespace().map(number).collect();
        Range::try_from(words?).ok()
    };
    map.lines().map(range).collect()
}

/// The overflow uid is somebody's only where every user is mapped; and in doubt it is nobody's.
fn check_overflow(map: &str, overflow: &str, ranges: Option<&[Range]>) {
    let found = overflow_id(Some(map), Some(overflow));
    let mapped = |ranges: &[Range]| ranges.iter().map(|[_, _, count]| count).sum::<u64>();
    let everybody = ranges.map(mapped).is_some_and(|count| count >= u64::from(u32::MAX));
    assert_eq!(found.is_none(), everybody, "{found:?} of {map:?}");
    let digits = overflow.trim();
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let written = digits.parse().ok().filter(|_| plain);
    assert!(found.is_none_or(|id| id == written.unwrap_or(65_534)), "{found:?} of {overflow:?}");
    let unread = overflow_id(None, Some(overflow));
    assert!(unread.is_some(), "somebody, by a map that was not read");
}

/// A user is told by the number that a line gives it, or by none.
fn check_view(map: &str, ranges: Option<&[Range]>) -> bool {
    let found = UserMap::parse(map);
    assert_eq!(found.is_some(), ranges.is_some(), "{found:?} of {map:?}");
    let (Some(found), Some(ranges)) = (found, ranges) else { return false };
    let view = View::Own(found.clone());
    for [_, outside, count] in ranges.iter().take(16) {
        let end = outside + count;
        for uid in [*outside, end / 2, end.saturating_sub(1), end, outside.saturating_sub(1), 0] {
            let Ok(uid) = u32::try_from(uid) else { continue };
            assert_eq!(found.inside(uid).map(u64::from), inside(ranges, uid), "{uid} of {map:?}");
            assert_eq!(view.user(uid), found.inside(uid));
        }
    }
    assert_eq!(View::Unknown.user(0), None);
    !ranges.is_empty()
}

fn inside(ranges: &[Range], uid: u32) -> Option<u64> {
    ranges.iter().find_map(|[inside, outside, count]| {
        let within = (*outside..outside + count).contains(&u64::from(uid));
        let number = (inside + u64::from(uid)).checked_sub(*outside);
        number.filter(|number| within && *number < u64::from(u32::MAX))
    })
}
