//! What is not believed, and what is understood although it came from a newer peer.

use prost::Message;

use super::*;
use crate::protocol::wire;

fn wire_question() -> wire::Question {
    wire::Question::decode(&*question().encode()).unwrap()
}

fn wire_answer(answer: &Answer) -> wire::Answer {
    wire::Answer::decode(&*answer.encode()).unwrap()
}

/// An answer whose token has two holders, changed.
fn told_with(change: impl FnOnce(&mut wire::Told)) -> Vec<u8> {
    let mut answer = wire_answer(&told(token(1_000, vec![full(1), full(2)], None)));
    let Some(wire::Outcome::Told(told)) = &mut answer.outcome else {
        panic!("{answer:?}");
    };
    change(told);
    answer.encode_to_vec()
}

fn token_with(change: impl FnOnce(&mut wire::Token)) -> Vec<u8> {
    told_with(|told| change(told.token.as_mut().unwrap()))
}

fn holder_with(change: impl FnOnce(&mut wire::Holder)) -> Vec<u8> {
    token_with(|token| change(&mut token.holders[0]))
}

fn refused_with(kind: Option<i32>, text: Option<&str>, reason: Option<i32>) -> Vec<u8> {
    let mut answer = wire_answer(&refusal(Refused::NotTcp));
    let refused = wire::Refused { kind, text: text.map(str::to_owned), reason };
    answer.outcome = Some(wire::Outcome::Refused(refused));
    answer.encode_to_vec()
}

#[test]
fn questions() {
    type Change = fn(&mut wire::Question);
    fn domain(name: &str) -> Option<wire::AskerDomain> {
        Some(wire::AskerDomain { name: Some(name.to_owned()) })
    }
    let rows: &[(Change, &str)] = &[
        (|it| it.version = None, "a version expected, none came"),
        (|it| it.version = Some(0), "version 0 of the protocol came, version 1 is spoken here"),
        (|it| it.version = Some(2), "version 2 of the protocol came, version 1 is spoken here"),
        (|it| it.number = None, "a number expected, none came"),
        (|it| it.request = None, "a request expected, none came"),
        (|it| it.request = Some(4), "a request of the bits 0x3 expected, 0x4 came"),
        (|it| it.request = Some(256), "a request of the bits 0x3 expected, 0x100 came"),
        (|it| it.search = None, "how far to search expected, none came"),
        (|it| it.search = Some(0), "a search 1 or 2 expected, 0 came"),
        (|it| it.search = Some(3), "a search 1 or 2 expected, 3 came"),
        (|it| it.timeout_milliseconds = None, "a timeout expected, none came"),
        (|it| it.domain = domain(""), "of 1 to 255 characters expected, 0 came"),
        (|it| it.domain = domain(&"x".repeat(256)), "of 1 to 255 characters expected, 256 came"),
        (|it| it.domain = domain("a\nb"), "printable ASCII"),
        (|it| it.domain = domain("é"), "printable ASCII"),
        (|it| it.domain = domain(&"x".repeat(1_024)), "at most 1024 bytes expected, 10"),
    ];
    assert_eq!(Question::decode(&wire_question().encode_to_vec()), Ok(question()));
    for (change, expected) in rows {
        let mut question = wire_question();
        change(&mut question);
        let bytes = question.encode_to_vec();
        let malformed = Question::decode(&bytes).unwrap_err().to_string();
        assert!(malformed.contains(expected), "{malformed:?}, not {expected:?}");
        assert_eq!(number(&bytes), question.number, "{expected}");
    }
}

#[test]
fn a_question_that_cannot_be_read_can_be_answered() {
    let bytes = question().encode();
    for cut in 4..bytes.len() {
        assert_eq!(number(&bytes[..cut]), Some(7), "{cut} bytes");
    }
    assert_eq!(number(&[&bytes[..], &[0xff; 2_000]].concat()), Some(7));
    for nothing in [&b""[..], b"\xff\xff", b"\x08\x01", b"\x08\x01\x10", b"\x08\x01\x10\x87"] {
        assert_eq!(number(nothing), None, "{nothing:x?}");
        assert!(Question::decode(nothing).is_err());
    }
}

#[test]
fn answers() {
    let mut without_version = wire_answer(&refusal(Refused::NotTcp));
    without_version.version = None;
    let mut newer = without_version.clone();
    newer.version = Some(2);
    let mut without_number = wire_answer(&refusal(Refused::NotTcp));
    without_number.number = None;
    let mut without_outcome = wire_answer(&refusal(Refused::NotTcp));
    without_outcome.outcome = None;
    let rows = [
        (vec![0; MAX_ANSWER + 1], "at most 65536 bytes expected, 65537 came"),
        (vec![0xff; 20], "failed to decode"),
        (without_version.encode_to_vec(), "a version expected"),
        (newer.encode_to_vec(), "version 2 of the protocol came, version 1 is spoken here"),
        (without_number.encode_to_vec(), "a number expected"),
        (without_outcome.encode_to_vec(), "an outcome expected"),
        (refused_with(None, None, None), "a kind of refusal expected, none came"),
        (refused_with(Some(0), None, None), "a kind of refusal expected, 0 came"),
        (refused_with(Some(1), None, None), "a text expected"),
        (refused_with(Some(1), Some("a\nb"), None), "a text without control characters"),
        (refused_with(Some(6), None, None), "a text expected"),
        (refused_with(Some(6), Some(&"é".repeat(2_001)), None), "2000 characters expected, 2001"),
        (refused_with(Some(5), None, None), "a reason expected, none came"),
        (refused_with(Some(5), None, Some(0)), "a reason expected, 0 came"),
        (told_with(|it| it.routing = None), "routing expected, none came"),
        (told_with(|it| it.routing = Some(0)), "bits 0xf expected, 0x0 came"),
        (told_with(|it| it.routing = Some(16)), "bits 0xf expected, 0x10 came"),
        (told_with(|it| it.routing = Some(256 + 14)), "bits 0xf expected, 0x10e came"),
        (told_with(|it| it.user = None), "a token of the user that is told"),
        (told_with(|it| it.user = Some(0)), "a token of the user that is told"),
        (told_with(|it| it.user = Some(u32::MAX)), "a user expected, 4294967295 came"),
    ];
    for (bytes, expected) in rows {
        let malformed = Answer::decode(&bytes, Pids::Ours).unwrap_err().to_string();
        assert!(malformed.contains(expected), "{malformed:?}, not {expected:?}");
    }
}

#[test]
fn tokens() {
    let port = |class, name: Option<&str>| {
        Some(wire::PortOfEntry { class, name: name.map(str::to_owned) })
    };
    let node = |length| wire::Node { boot_id: Some("x".repeat(length)), ..Default::default() };
    let rows = [
        (token_with(|it| it.user = None), "a token's user expected"),
        (token_with(|it| it.user = Some(u32::MAX)), "a user expected, 4294967295 came"),
        (token_with(|it| it.user = Some(0)), "a token of the user that is told"),
        (token_with(|it| it.completeness = None), "whether holders are missing expected, none"),
        (token_with(|it| it.completeness = Some(0)), "whether holders are missing expected, 0"),
        (token_with(|it| it.remote = None), "whether the token is remote expected"),
        (token_with(|it| it.holders.reverse()), "in ascending order of pid"),
        (token_with(|it| it.holders[1].pid = Some(1)), "in ascending order of pid"),
        (token_with(|it| it.node = Some(node(256))), "of at most 255 bytes expected, 256 came"),
        (holder_with(|it| it.pid = None), "a pid expected, none came"),
        (holder_with(|it| it.pid = Some(0)), "a pid expected, 0 came"),
        (holder_with(|it| it.pid = Some(1 << 31)), "a pid expected, 2147483648 came"),
        (holder_with(|it| it.start_ticks = None), "a holder's start expected"),
        (holder_with(|it| it.started_seconds = Some(u64::MAX)), "a time expected"),
        (holder_with(|it| it.descriptor = None), "a descriptor expected"),
        (holder_with(|it| it.process_user = Some(u32::MAX)), "a user expected"),
        (holder_with(|it| it.real_user = Some(u32::MAX)), "a user expected"),
        (holder_with(|it| it.submitting_user = Some(u32::MAX)), "a user expected"),
        (holder_with(|it| it.process_group = Some(u32::MAX)), "a group expected"),
        (holder_with(|it| it.real_group = Some(u32::MAX)), "a group expected"),
        (
            holder_with(|it| {
                it.supplementary_groups = Some(wire::Groups { groups: vec![u32::MAX] })
            }),
            "a group expected",
        ),
        (holder_with(|it| it.port_of_entry = port(None, Some("x"))), "a class of a port"),
        (holder_with(|it| it.port_of_entry = port(Some(0), Some("x"))), "expected, 0 came"),
        (holder_with(|it| it.port_of_entry = port(Some(1), None)), "a name of a port"),
        (holder_with(|it| it.container_id = Some("A".repeat(64))), "64 hexadecimal digits"),
        (holder_with(|it| it.container_id = Some("a\n".repeat(32))), "64 hexadecimal digits"),
        (holder_with(|it| it.container_id = Some("a".repeat(63))), "64 hexadecimal digits"),
    ];
    for (bytes, expected) in rows {
        let malformed = Answer::decode(&bytes, Pids::Ours).unwrap_err().to_string();
        assert!(malformed.contains(expected), "{malformed:?}, not {expected:?}");
    }
}

#[test]
fn what_a_newer_agent_says_is_no_guess() {
    for bytes in [refused_with(Some(7), None, None), refused_with(Some(5), None, Some(200))] {
        let answer = Answer::decode(&bytes, Pids::Ours).unwrap();
        let Outcome::Refused(Refused::Failed(text)) = &answer.outcome else {
            panic!("{answer:?}");
        };
        assert!(text.contains("newer version"), "{text}");
    }
    let decode = |bytes: Vec<u8>| Answer::decode(&bytes, Pids::Ours).unwrap();

    let answer = decode(token_with(|it| it.completeness = Some(11)));
    assert_eq!(token_of(&answer).holders_gap(), Some(HoldersGap::Changing));
    assert_eq!(token_of(&answer).command(), None, "it speaks for nobody");

    let answer = decode(holder_with(|it| it.session_type = Some(7)));
    assert_eq!(token_of(&answer).holders()[0].session_type(), SessionType::Unknown);

    let port = wire::PortOfEntry { class: Some(3), name: Some("x".to_owned()) };
    let answer = decode(holder_with(|it| it.port_of_entry = Some(port)));
    assert_eq!(token_of(&answer).holders()[0].port_of_entry(), None);
}

#[test]
fn fields_that_are_not_known_are_skipped() {
    // Field 1000, a string.
    let field = b"\xc2\x3e\x01x";
    let bytes = [&question().encode()[..], field].concat();
    assert_eq!(Question::decode(&bytes), Ok(question()));
    let answer = refusal(Refused::NotTcp);
    let bytes = [&answer.encode()[..], field].concat();
    assert_eq!(Answer::decode(&bytes, Pids::Ours), Ok(answer));
}
