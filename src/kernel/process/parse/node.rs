//! What identifies the host: `/etc/machine-id`, the boot id, the time of the boot.

use std::num::NonZeroU64;

use super::{decimal, whole_lines};

/// `/etc/machine-id`: 32 lower-case hexadecimal digits. `None` for an image that has none yet
/// (`uninitialized`, or an empty file). Source: `machine-id(5)`.
pub(crate) fn machine_id(text: &[u8]) -> Option<String> {
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    let valid = digits.len() == 32
        && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && digits.iter().any(|&byte| byte != b'0');
    valid.then(|| String::from_utf8(digits.to_vec()).ok())?
}

/// `/proc/sys/kernel/random/boot_id`: a UUID in lower case.
pub(crate) fn boot_id(text: &[u8]) -> Option<String> {
    let id = text.strip_suffix(b"\n")?;
    let valid = id.len() == 36
        && id.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
    valid.then(|| String::from_utf8(id.to_vec()).ok())?
}

/// The line `btime` of `/proc/stat`: when the host booted, in seconds since 1970. Source:
/// `proc_stat(5)`.
pub(crate) fn boot_time(text: &[u8]) -> Option<u64> {
    whole_lines(text).find_map(|line| line.strip_prefix(b"btime ")).and_then(decimal)
}

/// The line `processes` of `/proc/stat`: how many processes and threads were started since the
/// boot. `None` for zero, which is what those write who only imitate the file.
pub(crate) fn forks(text: &[u8]) -> Option<NonZeroU64> {
    let count = whole_lines(text).find_map(|line| line.strip_prefix(b"processes "))?;
    decimal(count).and_then(NonZeroU64::new)
}

/// Whether a line of `/proc/self/mountinfo` mounts `/proc` with `hidepid` in effect. Source:
/// `proc(5)`.
pub(crate) fn hides_processes(mountinfo: &[u8]) -> bool {
    // The last mount over /proc is the one that is seen.
    whole_lines(mountinfo)
        .filter(|line| line.split(|&byte| byte == b' ').nth(4) == Some(b"/proc"))
        .last()
        .is_some_and(|line| {
            line.split(|byte| matches!(byte, b' ' | b','))
                .filter_map(|option| option.strip_prefix(b"hidepid="))
                .any(|level| level != b"0" && level != b"off")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn started_processes() {
        let count = |text: &[u8]| forks(text).map(NonZeroU64::get);
        assert_eq!(count(b"cpu 1 2\nprocesses 4711\nprocs_running 1\n"), Some(4711));
        for text in [&b"processes 0\n"[..], b"processes 4711", b"processes x\n", b"cpu 1\n", b""] {
            assert_eq!(count(text), None, "{text:?}");
        }
    }

    #[test]
    fn machine_ids() {
        let id = "3d1219c7c4c5404aaa1f6d2a48adfda4";
        assert_eq!(machine_id(format!("{id}\n").as_bytes()).as_deref(), Some(id));
        assert_eq!(machine_id(id.as_bytes()).as_deref(), Some(id));
        for text in ["", "\n", "uninitialized\n", "3d12", &"0".repeat(32), &id.to_uppercase()] {
            assert_eq!(machine_id(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn boot_ids() {
        let id = "f3b5c1de-0b6e-4c0e-9d2e-0123456789ab";
        assert_eq!(boot_id(format!("{id}\n").as_bytes()).as_deref(), Some(id));
        for text in ["", "\n", id, "f3b5c1de00b6e-4c0e-9d2e-0123456789ab\n", &format!("{id}0\n")] {
            assert_eq!(boot_id(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn boot_times() {
        let text = b"cpu  1 2 3\nintr 1 btime 9\nbtime 1732269600\nprocesses 7\n";
        assert_eq!(boot_time(text), Some(1_732_269_600));
        for text in [&b""[..], b"btime 17322", b"btime \n", b"btime x\n"] {
            assert_eq!(boot_time(text), None, "{text:?}");
        }
    }

    #[test]
    fn hidden_processes() {
        let line = |options: &str| {
            format!("24 29 0:22 / /proc rw,nosuid - proc proc rw,{options}\n").into_bytes()
        };
        assert!(hides_processes(&line("hidepid=2")));
        assert!(hides_processes(&line("gid=4,hidepid=invisible")));
        assert!(!hides_processes(&line("hidepid=0")));
        assert!(!hides_processes(&line("gid=4")));
        assert!(!hides_processes(&[line("hidepid=2"), line("x")].concat()));
        let elsewhere = "24 29 0:22 / /mnt/proc rw - proc proc rw,hidepid=2\n";
        assert!(!hides_processes(elsewhere.as_bytes()));
    }
}
