//! How text that others wrote is shown, and what may stand in a name.

use std::fmt::Write as _;

/// Characters of foreign text that a message repeats at most.
const SHOWN_CHARACTERS: usize = 80;

/// Foreign text in quotes, on one line, with everything that does not print escaped.
///
/// Messages end up in terminals and logs; a name with an escape sequence or a line break in it
/// must not forge either.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text, SHOWN_CHARACTERS))
}

/// Foreign text on one line, cut after `limit` characters, with everything that does not print
/// escaped.
pub(crate) fn shown(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    let mut characters = text.chars();
    for character in characters.by_ref().take(limit) {
        if character == ' ' || character.is_ascii_graphic() || character.is_alphanumeric() {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    let left = characters.count();
    if left > 0 {
        let _ = write!(shown, "... ({left} more characters)");
    }
    shown
}

/// Whether every character is printable ASCII and neither end is a space.
///
/// ASCII only, so that "without regard to case" means the same on every host and in every
/// release, and so that two names that look alike are alike.
pub(crate) fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !text.starts_with(' ')
        && !text.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_break_a_line() {
        assert_eq!(quoted("a\nb\x1b[2J\u{202e}é"), "\"a\\nb\\u{1b}[2J\\u{202e}é\"");
    }

    #[test]
    fn long_text_is_cut() {
        let text = "x".repeat(100);
        assert!(quoted(&text).ends_with("x... (20 more characters)\""));
    }

    #[test]
    fn printable_is_ascii_without_outer_spaces() {
        for (text, printable) in [
            ("PROD.EXAMPLE", true),
            ("two words", true),
            ("~!@#$%^&*()_+", true),
            (" x", false),
            ("x ", false),
            ("a\tb", false),
            ("a\0", false),
            ("é", false),
            ("a\u{7f}", false),
        ] {
            assert_eq!(is_printable(text), printable, "{text:?}");
        }
    }
}
