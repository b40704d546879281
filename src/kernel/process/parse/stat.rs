//! `/proc/<pid>/stat`: start time, terminal, kernel thread or not. Source: `proc_pid_stat(5)`.

use super::decimal;

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`.
const PF_KTHREAD: u64 = 0x0020_0000;

/// What `/proc/<pid>/stat` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Field 1, the process id.
    pub(crate) pid: u32,
    /// Field 3, the state: `R`, `S`, `Z` and so on.
    pub(crate) state: u8,
    /// Field 7, the device number of the controlling terminal; `None` without one.
    pub(crate) terminal: Option<u32>,
    /// Field 9, whether this is a kernel thread.
    pub(crate) kernel_thread: bool,
    /// Field 22, clock ticks since boot at which the process started.
    pub(crate) start_ticks: u64,
}

/// Parses the whole text of `/proc/<pid>/stat`.
///
/// The command name, field 2, may contain anything, also `) R 1 (`: the fields begin after the last
/// closing parenthesis. Field 23 must be there too, or field 22 may have lost its last digits.
pub(crate) fn stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let pid = decimal(text.get(..open)?.strip_suffix(b" ")?)?;
    let rest = text.get(close..)?.strip_prefix(b") ")?;

    let fields: Vec<&[u8]> = rest.split(|&byte| byte == b' ').take(21).collect();
    // Field 3 of the man page is the first one here.
    let field = |number: usize| fields.get(number.checked_sub(3)?).copied();
    field(23)?;
    let &[state] = field(3)? else { return None };
    Some(Stat {
        pid,
        state,
        terminal: terminal(field(7)?)?,
        kernel_thread: decimal::<u64>(field(9)?)? & PF_KTHREAD != 0,
        start_ticks: decimal(field(22)?)?,
    })
}

/// The kernel prints the device number as a signed integer, zero for none.
fn terminal(text: &[u8]) -> Option<Option<u32>> {
    let number: i32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    // As it prints it, and in no other way.
    let printed = number.to_string().as_bytes() == text;
    printed.then(|| (number != 0).then_some(number.cast_unsigned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "S 2594 6041 2594 34817 6041 4194304 110 0 0 0 0 0 0 0 20 0 1 0 91229 \
                        3133440 416 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0\n";

    fn with_name(name: &[u8]) -> Vec<u8> {
        [b"6041 (", name, b") ", TAIL.as_bytes()].concat()
    }

    #[test]
    fn reads_what_it_needs_whatever_the_name() {
        let expected = Stat {
            pid: 6041,
            state: b'S',
            terminal: Some(34817),
            kernel_thread: false,
            start_ticks: 91229,
        };
        for name in [
            &b"cat"[..],
            b"",
            b"a) R 1 (b",
            b") Z 1 1 1 0 0 0 0",
            b"((((",
            b"))))",
            b"two\nlines",
            b"\xff\xfe\x00",
            b"tmux: server",
        ] {
            assert_eq!(stat(&with_name(name)), Some(expected), "{name:?}");
        }
    }

    #[test]
    fn kernel_threads_and_missing_terminals() {
        let text = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0 1 0 0 0\n";
        let stat = stat(text).unwrap();
        assert!(stat.kernel_thread);
        assert_eq!((stat.terminal, stat.start_ticks), (None, 7));
    }

    #[test]
    fn a_cut_off_text_is_no_text() {
        let whole = with_name(b"a) R 1 (b");
        let start = whole.windows(6).position(|window| window == b"91229 ").unwrap();
        for length in 0..=start + 5 {
            assert_eq!(stat(&whole[..length]), None, "{length}");
        }
        assert!(stat(&whole[..start + 7]).is_some());
    }

    #[test]
    fn a_terminal_is_a_number_that_may_be_negative() {
        let with = |terminal: &str| {
            let text = String::from_utf8(with_name(b"a")).unwrap().replace("34817", terminal);
            stat(text.as_bytes()).map(|stat| stat.terminal)
        };
        for (text, terminal) in [
            ("0", Some(None)),
            ("-1", Some(Some(u32::MAX))),
            ("-2147483648", Some(Some(1 << 31))),
            ("2147483648", None),
            ("+5", None),
            ("-0", None),
            ("00", None),
            ("-", None),
            ("--1", None),
            ("", None),
        ] {
            assert_eq!(with(text), terminal, "{text:?}");
        }
    }

    #[test]
    fn refuses_other_texts() {
        for text in ["", "\n", "()", "1 () ", "x (a) S 1", "-1 (a) ", "1(a) S 1", ") 1 ("] {
            assert_eq!(stat(text.as_bytes()), None, "{text:?}");
        }
        let negative = String::from_utf8(with_name(b"a")).unwrap().replace("91229", "-9122");
        assert_eq!(stat(negative.as_bytes()), None);
    }
}
