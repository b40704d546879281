//! What RFC 1413 allows in a line, and what it does not.

use super::*;

#[test]
fn a_question_is_two_ports() {
    for (line, here, there) in [
        ("6193, 23", 6193, 23),
        ("6193,23", 6193, 23),
        (" 6193 , 23 ", 6193, 23),
        ("\t6193\t,\t23\t", 6193, 23),
        (" \t 1 \t,\t 65535 \t", 1, 65535),
        ("00001,00080", 1, 80),
        ("65535,65535", 65535, 65535),
    ] {
        assert_eq!(read(line.as_bytes()), Ok(Ports { here, there }), "{line:?}");
    }
}

#[test]
fn whatever_else_is_no_question_and_only_numbers_are_repeated() {
    for (line, here, there) in [
        (&b""[..], 0, 0),
        (b",", 0, 0),
        (b" , ", 0, 0),
        (b"6193", 0, 0),
        (b"6193 23", 0, 0),
        (b"6193;23", 0, 0),
        (b"6193,", 6193, 0),
        (b",23", 0, 23),
        (b"6193,23,", 0, 0),
        (b"6193,23,1", 0, 0),
        (b"0,23", 0, 23),
        (b"6193,0", 6193, 0),
        (b"0,0", 0, 0),
        (b"65536,23", 65536, 23),
        (b"6193,99999", 6193, 99999),
        (b"100000,23", 0, 23),
        (b"006193,23", 0, 23),
        (b"-6193,23", 0, 23),
        (b"+6193,23", 0, 23),
        (b"6193.0,23", 0, 23),
        (b"6193,0x17", 6193, 0),
        (b"6193,23x", 6193, 0),
        (b"6193,2 3", 6193, 0),
        (b"6193,23\r", 6193, 0),
        (b"\r6193,23", 0, 23),
        (b"6193,\x0b23", 6193, 0),
        (b"6193,\xc2\xa023", 6193, 0),
        ("6193,２３".as_bytes(), 6193, 0),
        (b"6193,23\0", 6193, 0),
        (b"\xff\xfe\x00,\x00", 0, 0),
        (b"GET / HTTP/1.1", 0, 0),
        (b"6193,23:USERID:UNIX:root", 6193, 0),
    ] {
        assert_eq!(read(line), Err(Repeated { here, there }), "{}", line.escape_ascii());
    }
}

#[test]
fn a_line_ends_in_a_line_feed() {
    let long = [b'x'; MAX_LINE];
    let just = [&[b' '; MAX_LINE - 1][..], b"\n"].concat();
    for (bytes, found) in [
        (&b""[..], Split::Incomplete),
        (b"1,2", Split::Incomplete),
        (b"1,2\r", Split::Incomplete),
        (b"1,2\r\n", Split::Line(b"1,2", b"")),
        (b"1,2\n", Split::Line(b"1,2", b"")),
        (b"1,2\r\r\n", Split::Line(b"1,2\r", b"")),
        (b"\n1,2", Split::Line(b"", b"1,2")),
        (b"1,2\r\n3,4\r\n", Split::Line(b"1,2", b"3,4\r\n")),
        (b"1\r2\r\n", Split::Line(b"1\r2", b"")),
        (&long[1..], Split::Incomplete),
        (&long, Split::TooLong),
        (&just, Split::Line(&just[..MAX_LINE - 1], b"")),
        (&[&long[..], b"\n"].concat(), Split::TooLong),
    ] {
        assert_eq!(split(bytes), found, "{}", bytes.escape_ascii());
    }
}

#[test]
fn answers_are_one_line() {
    let ports = Ports { here: 6193, there: 23 };
    let named = |name| Answer::User(User::named(name).unwrap());
    for (answer, says) in [
        (named("stjohns"), "USERID:UNIX:stjohns"),
        (named("a b"), "USERID:UNIX:a b"),
        (named("jürgen"), "USERID:UNIX,UTF-8:jürgen"),
        (Answer::User(User::numbered(0)), "USERID:OTHER:0"),
        (Answer::User(User::numbered(4_294_967_294)), "USERID:OTHER:4294967294"),
        (Answer::User(User::hidden(0xab)), "USERID:OTHER:hidden-00000000000000ab"),
        (Answer::Error(ErrorToken::InvalidPort), "ERROR:INVALID-PORT"),
        (Answer::Error(ErrorToken::NoUser), "ERROR:NO-USER"),
        (Answer::Error(ErrorToken::HiddenUser), "ERROR:HIDDEN-USER"),
        (Answer::Error(ErrorToken::UnknownError), "ERROR:UNKNOWN-ERROR"),
    ] {
        assert_eq!(answer.to_string(), says);
        assert_eq!(line(ports.into(), &answer), format!("6193,23:{says}\r\n"));
    }
    let answer = Answer::Error(ErrorToken::InvalidPort);
    for (asked, says) in [("65536,23", "65536,23"), ("x", "0,0"), ("0,23", "0,23")] {
        let repeated = read(asked.as_bytes()).unwrap_err();
        assert_eq!(line(repeated, &answer), format!("{says}:ERROR:INVALID-PORT\r\n"));
    }
}

#[test]
fn a_name_that_would_break_the_line_is_not_told() {
    let long = "x".repeat(MAX_USER);
    for (name, is_told) in [
        ("root", true),
        ("a.b-c_d$", true),
        ("DOMAIN\\user", true),
        ("a b", true),
        (&long, true),
        (&format!("{long}x"), false),
        ("", false),
        (" ", false),
        (" root", false),
        ("root ", false),
        ("root\t", false),
        ("ro\tot", false),
        ("root\u{a0}", false),
        ("root\r\n1,2:USERID:UNIX:evil", false),
        ("root\n", false),
        ("root\r", false),
        ("ro\0ot", false),
        ("ro:ot", false),
        ("ro\u{85}ot", false),
        ("\u{1b}[2J", false),
    ] {
        assert_eq!(User::named(name).is_some(), is_told, "{name:?}");
    }
}
