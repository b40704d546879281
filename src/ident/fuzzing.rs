//! What must hold for any bytes that come to port 113.

use super::{Answer, ErrorToken, MAX_LINE, Ports, Repeated, Split, User, line, read, split};

/// Reads `data` as lines, and what each says as the name of an account. Returns whether one of the
/// lines is a question.
pub fn check_ident_lines(data: &[u8]) -> bool {
    let mut rest = data;
    let mut asked = false;
    loop {
        match split(rest) {
            Split::Line(line, after) => {
                let end = rest.len() - line.len() - after.len();
                assert!((1..=2).contains(&end) && line.len() + end <= MAX_LINE);
                assert!(!line.contains(&b'\n'));
                asked |= check_line(line);
                rest = after;
            }
            Split::Incomplete => break assert!(rest.len() < MAX_LINE && !rest.contains(&b'\n')),
            Split::TooLong => {
                assert!(
                    rest.iter().position(|byte| *byte == b'\n').is_none_or(|at| at >= MAX_LINE)
                );
                break;
            }
        }
    }
    asked
}

fn check_line(text: &[u8]) -> bool {
    if let Some(user) = std::str::from_utf8(text).ok().and_then(User::named) {
        check_answer(Repeated { here: 1, there: 2 }, &Answer::User(user));
    }
    match read(text) {
        Ok(ports) => {
            let Ports { here, there } = ports;
            assert!(here != 0 && there != 0);
            assert_eq!(read(format!("{here},{there}").as_bytes()), Ok(ports));
            check_answer(ports.into(), &Answer::Error(ErrorToken::NoUser));
            true
        }
        Err(repeated) => {
            assert!(repeated.here.max(repeated.there) <= 99_999);
            check_answer(repeated, &Answer::Error(ErrorToken::InvalidPort));
            false
        }
    }
}

/// One line, shorter than anybody has to wait for, that has as many fields as it must.
fn check_answer(repeated: Repeated, answer: &Answer) {
    let line = line(repeated, answer);
    assert!(line.len() <= MAX_LINE);
    assert!(line.ends_with("\r\n"));
    let inside = line.trim_end_matches("\r\n");
    assert!(!inside.contains(|c: char| c.is_control()), "{inside:?}");
    let fields = match answer {
        Answer::User(_) => 4,
        Answer::Error(_) => 3,
    };
    assert_eq!(inside.split(':').count(), fields, "{inside:?}");
}
