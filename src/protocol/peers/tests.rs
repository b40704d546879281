//! Messages there and back, what is refused, and the bytes, which are a promise.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message;
use protox::prost_reflect::{DescriptorPool, DynamicMessage};

use super::*;
use crate::error::Reason;
use crate::info::PartnerRequest;
use crate::protocol::Refused;
use crate::token::tests::{parts, token as user_token};
use crate::token::{HolderParts, HolderSearch, Uid, UserToken};

const PACKAGE: &str = "partner_info.peers.v1";

fn end() -> End {
    End {
        received_next: 0x0403_0201,
        sent_next: 5,
        unacknowledged: 4,
        bytes_received: 300,
        bytes_acknowledged: 0,
    }
}

fn question() -> Question {
    Question {
        number: 7,
        asked: ([10, 0, 0, 2], 5_432).into(),
        asker: ([10, 0, 0, 1], 40_000).into(),
        request: PartnerRequest::USER_ID,
        search: HolderSearch::All,
        timeout: Duration::from_millis(1_500),
        domain: Some("PROD".to_owned()),
        end: end(),
    }
}

fn told(user: Option<u32>, token: Option<UserToken>) -> Answer {
    let told = Told { user: user.and_then(Uid::new), name: None, token };
    Answer { number: 7, outcome: Outcome::Told { told, end: end() } }
}

fn refused(refused: Refused) -> Answer {
    Answer { number: 7, outcome: Outcome::Refused(refused) }
}

fn remote_token() -> UserToken {
    let foreign = |pid| HolderParts { local: false, ..parts(pid) };
    let mut token = user_token(1_000, vec![foreign(1), foreign(2)], None);
    token.set_remote();
    token
}

/// The message of the frame that `put` makes.
fn bytes(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = Vec::new();
    put(&mut frame);
    let Ok(Some((message, []))) = split(&frame) else { panic!("{frame:?}") };
    message.to_vec()
}

fn question_bytes(question: &Question) -> Vec<u8> {
    bytes(|out| question.put(question.number, question.timeout, out))
}

fn answer_bytes(answer: &Answer) -> Vec<u8> {
    bytes(|out| answer.put(out))
}

#[test]
fn there_and_back() {
    let v6 = |text: &str| text.parse::<SocketAddr>().unwrap();
    for question in [
        question(),
        Question { number: u64::MAX, timeout: Duration::ZERO, domain: None, ..question() },
        Question { asked: v6("[2001:db8::2]:1"), asker: v6("[::1]:65535"), ..question() },
        Question { request: PartnerRequest::all(), search: HolderSearch::First, ..question() },
        Question { domain: Some("~".repeat(255)), request: PartnerRequest::empty(), ..question() },
    ] {
        assert_eq!(Question::decode(&question_bytes(&question)), Ok(question));
    }
    for answer in [
        told(None, None),
        told(Some(0), None),
        told(Some(1_000), Some(remote_token())),
        Answer { number: NOBODY_S, outcome: Outcome::NotYetAccepted { end: end() } },
        refused(Refused::SecurityDomain),
        refused(Refused::NotAuthorized("uid 1000 may not".to_owned())),
        refused(Refused::Failed("a limit".to_owned())),
        refused(Refused::Unidentified(Reason::PartnerGone)),
    ] {
        assert_eq!(Answer::decode(&answer_bytes(&answer)), Ok(answer));
    }
    for domain in [None, Some("PROD".to_owned())] {
        let hello = Hello { domain, host: "db1.example".to_owned() };
        assert_eq!(Hello::decode(&bytes(|out| hello.put(out))), Ok(hello));
    }
}

#[test]
fn a_mapped_address_is_sent_as_what_it_is() {
    let mapped = Question {
        asked: "[::ffff:10.0.0.2]:5432".parse().unwrap(),
        asker: "[::ffff:10.0.0.1]:40000".parse().unwrap(),
        ..question()
    };
    assert_eq!(question_bytes(&mapped), question_bytes(&question()));
}

#[test]
fn a_token_of_another_host_is_remote_and_its_pids_are_foreign() {
    let at_home = user_token(1_000, vec![parts(1)], None);
    assert!(!at_home.flags().remote());
    let answer = Answer::decode(&answer_bytes(&told(Some(1_000), Some(at_home)))).unwrap();
    let Outcome::Told { told: Told { token: Some(token), .. }, .. } = answer.outcome else {
        panic!("a token was sent");
    };
    assert!(token.flags().remote());
    assert!(!token.holders()[0].parts().local);
}

#[test]
fn a_long_token_is_shortened_and_says_so() {
    let holders = (1..2_000).map(parts).collect();
    let answer = told(Some(1_000), Some(user_token(1_000, holders, None)));
    let bytes = answer_bytes(&answer);
    assert!((MAX_FRAME - 1_024..=MAX_FRAME).contains(&bytes.len()), "{}", bytes.len());
    let Ok(Answer { outcome: Outcome::Told { told, .. }, .. }) = Answer::decode(&bytes) else {
        panic!("it can be read");
    };
    let gap = told.token.unwrap().holders_gap();
    assert_eq!(gap, Some(crate::token::HoldersGap::TooManyHolders));
}

#[test]
fn what_is_told_fits_what_was_requested() {
    let (user, both) = (PartnerRequest::USER_ID, PartnerRequest::all());
    let rows = [
        (Told { user: None, name: None, token: None }, [true, false, false]),
        (Told { user: Uid::new(1_000), name: None, token: None }, [false, true, false]),
        (
            Told { user: Uid::new(1_000), name: None, token: Some(remote_token()) },
            [false, false, true],
        ),
        (
            Told { user: Uid::new(0), name: None, token: Some(remote_token()) },
            [false, false, false],
        ),
    ];
    for (told, expected) in rows {
        let fits = [PartnerRequest::empty(), user, both].map(|request| told.fits(request));
        assert_eq!(fits, expected, "{told:?}");
    }
}

#[test]
fn frames_are_cut_where_they_end() {
    let mut two = Vec::new();
    refused(Refused::NotTcp).put(&mut two);
    let first = two.len();
    refused(Refused::SecurityDomain).put(&mut two);
    let (_, rest) = split(&two).unwrap().unwrap();
    assert_eq!(rest, &two[first..]);
    for cut in 0..first {
        assert_eq!(split(&two[..cut]), Ok(None), "{cut} bytes");
    }
    assert_eq!(split(b"\0\0\0\0"), Ok(Some((&b""[..], &b""[..]))));
    assert_eq!(split(b"\0\x01\0\0"), Ok(None), "as long as one may be");
    for head in [b"\0\x01\0\x01", b"\0\x4c\x4b\x40", b"\xff\xff\xff\xff", b"GET "] {
        let malformed = split(head).unwrap_err().to_string();
        assert!(malformed.contains("a frame of at most 65536 bytes expected"), "{malformed}");
    }
}

#[test]
fn malformed_hellos() {
    type Change = fn(&mut wire::Hello);
    let rows: &[(Change, &str)] = &[
        (|it| it.version = None, "a version expected, none came"),
        (|it| it.version = Some(2), "version 2 of the protocol between hosts came, version 1 is"),
        (|it| it.host = None, "a host expected, none came"),
        (|it| it.host = Some(String::new()), "a host of 1 to 255"),
        (|it| it.host = Some("a b".to_owned()), "a host of 1 to 255"),
        (|it| it.host = Some("a".repeat(256)), "a host of 1 to 255"),
        (|it| it.domain = Some(String::new()), "a security domain of 1 to 255"),
        (|it| it.domain = Some("a\nb".to_owned()), "printable ASCII"),
    ];
    for (change, expected) in rows {
        let mut hello =
            wire::Hello { version: Some(1), domain: None, host: Some("db1".to_owned()) };
        change(&mut hello);
        let malformed = Hello::decode(&hello.encode_to_vec()).unwrap_err().to_string();
        assert!(malformed.contains(expected), "{malformed:?}, not {expected:?}");
    }
}

#[test]
fn malformed_questions() {
    type Change = fn(&mut wire::Question);
    fn v4(port: u32) -> Option<wire::Endpoint> {
        Some(wire::Endpoint { ipv4: Some(0x0a00_0001), ipv6: None, port: Some(port) })
    }
    fn v6(bytes: &[u8]) -> Option<wire::Endpoint> {
        Some(wire::Endpoint { ipv4: None, ipv6: Some(bytes.to_vec()), port: Some(1) })
    }
    const MAPPED: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1];
    let rows: &[(Change, &str)] = &[
        (|it| it.number = None, "a number expected, none came"),
        (|it| it.number = Some(0), "a number other than 0 expected"),
        (|it| it.asked = None, "the end that is asked about expected, none came"),
        (|it| it.asker = None, "the end of the asker expected, none came"),
        (|it| it.asked = v6(&[1, 2, 3]), "an IPv6 address of 16 bytes expected, 3 came"),
        (|it| it.asked = v4(0), "a port expected, 0 came"),
        (|it| it.asked = v4(65_536), "a port expected, 65536 came"),
        (|it| it.asker = v6(MAPPED), "an IPv4 address as such expected"),
        (|it| it.asker = v6(&[1; 16]), "two ends of one address family expected"),
        (|it| it.asked.as_mut().unwrap().ipv4 = None, "one address expected"),
        (|it| it.asked.as_mut().unwrap().ipv6 = Some(vec![1; 16]), "one address expected"),
        (|it| it.asked.as_mut().unwrap().port = None, "a port expected, none came"),
        (|it| it.request = None, "a request expected, none came"),
        (|it| it.request = Some(4), "a request of the bits 0x3 expected, 0x4 came"),
        (|it| it.search = None, "how far to search expected, none came"),
        (|it| it.search = Some(3), "a search 1 or 2 expected, 3 came"),
        (|it| it.timeout_milliseconds = None, "a timeout expected, none came"),
        (|it| it.domain = Some("x".repeat(256)), "of 1 to 255 characters expected, 256 came"),
        (|it| it.end = None, "an end of the connection expected, none came"),
        (|it| it.end.as_mut().unwrap().received_next = None, "what is expected next expected"),
        (|it| it.end.as_mut().unwrap().sent_next = None, "what is sent next expected"),
        (|it| it.end.as_mut().unwrap().unacknowledged = None, "what is not acknowledged yet"),
        (|it| it.end.as_mut().unwrap().bytes_received = None, "how much was received expected"),
        (|it| it.end.as_mut().unwrap().bytes_acknowledged = None, "how much was acknowledged"),
    ];
    for (change, expected) in rows {
        let mut changed = wire::Question::decode(&*question_bytes(&question())).unwrap();
        change(&mut changed);
        let malformed = Question::decode(&changed.encode_to_vec()).unwrap_err().to_string();
        assert!(malformed.contains(expected), "{malformed:?}, not {expected:?}");
    }
}

#[test]
fn malformed_answers() {
    let changed = |change: fn(&mut wire::Told)| {
        let whole = told(Some(1_000), Some(remote_token()));
        let mut answer = wire::Answer::decode(&*answer_bytes(&whole)).unwrap();
        let Some(wire::Outcome::Told(told)) = &mut answer.outcome else { panic!("{answer:?}") };
        change(told);
        answer.encode_to_vec()
    };
    let not_yet = wire::Outcome::NotYetAccepted(wire::NotYetAccepted { end: None });
    let rows = [
        (wire::Answer { number: None, outcome: None }.encode_to_vec(), "a number expected"),
        (wire::Answer { number: Some(1), outcome: None }.encode_to_vec(), "an outcome expected"),
        (
            wire::Answer { number: Some(1), outcome: Some(not_yet) }.encode_to_vec(),
            "an end of the connection expected",
        ),
        (changed(|it| it.end = None), "an end of the connection expected"),
        (changed(|it| it.user = None), "a token of the user that is told"),
        (changed(|it| it.user = Some(0)), "a token of the user that is told"),
        (changed(|it| it.user = Some(u32::MAX)), "a user expected, 4294967295 came"),
        (changed(|it| it.token.as_mut().unwrap().completeness = None), "whether holders"),
    ];
    for (bytes, expected) in rows {
        let malformed = Answer::decode(&bytes).unwrap_err().to_string();
        assert!(malformed.contains(expected), "{malformed:?}, not {expected:?}");
    }
}

/// A row that fails is a new version of the protocol.
#[test]
fn the_bytes_are_a_promise() {
    let mut frame = Vec::new();
    Hello { domain: Some("PROD".to_owned()), host: "db1".to_owned() }.put(&mut frame);
    assert_eq!(frame, b"\0\0\0\x0d\x08\x01\x12\x04PROD\x1a\x03db1");

    let bytes: &[u8] = b"\x08\x07\
        \x12\x08\x0d\x02\0\0\x0a\x18\xb8\x2a\
        \x1a\x09\x0d\x01\0\0\x0a\x18\xc0\xb8\x02\
        \x20\x01\x28\x01\x30\xdc\x0b\x3a\x04PROD\
        \x42\x14\x0d\x01\x02\x03\x04\x15\x05\0\0\0\x1d\x04\0\0\0\x20\xac\x02\x28\0";
    assert_eq!(question_bytes(&question()), bytes);
    assert_eq!(Question::decode(bytes), Ok(question()));

    let end = b"\x0d\x01\x02\x03\x04\x15\x05\0\0\0\x1d\x04\0\0\0\x20\xac\x02\x28\0";
    let not_yet = Answer { number: 7, outcome: Outcome::NotYetAccepted { end: self::end() } };
    let rows: &[(Vec<u8>, Answer)] = &[
        ([&b"\x08\x07\x12\x18\x08\x00\x1a\x14"[..], end].concat(), told(Some(0), None)),
        ([&b"\x08\x07\x12\x16\x1a\x14"[..], end].concat(), told(None, None)),
        ([&b"\x08\x07\x1a\x16\x0a\x14"[..], end].concat(), not_yet),
        (b"\x08\x07\x22\x02\x08\x02".to_vec(), refused(Refused::SecurityDomain)),
        (
            b"\x08\x07\x22\x04\x08\x05\x18\x01".to_vec(),
            refused(Refused::Unidentified(Reason::PartnerGone)),
        ),
    ];
    for (bytes, answer) in rows {
        assert_eq!(answer_bytes(answer), *bytes, "{answer:?}");
        assert_eq!(Answer::decode(bytes).as_ref(), Ok(answer));
    }
}

fn described(name: &str, bytes: &[u8]) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let files = protox::compile(["peers.proto"], [folder]).expect("the file is protobuf");
    let pool = DescriptorPool::from_file_descriptor_set(files).expect("its descriptors are valid");
    for message in pool.all_messages() {
        for field in message.fields() {
            let name = field.full_name();
            assert!(field.is_list() || field.supports_presence(), "{name}: unknown would be zero");
        }
    }
    let message = pool.get_message_by_name(&format!("{PACKAGE}.{name}")).unwrap();
    let message = DynamicMessage::decode(message, bytes).unwrap();
    assert_eq!(message.unknown_fields().count(), 0, "{name}");
    message.to_text_format()
}

#[test]
fn the_file_and_what_is_sent_agree() {
    const END: &str = "end{received_next:67305985,sent_next:5,unacknowledged:4,bytes_received:300,\
                       bytes_acknowledged:0}";
    let hello = Hello { domain: Some("PROD".to_owned()), host: "db1".to_owned() };
    let hello = described("Hello", &bytes(|out| hello.put(out)));
    assert_eq!(hello, "version:1,domain:\"PROD\",host:\"db1\"");
    assert_eq!(
        described("Question", &question_bytes(&question())),
        format!(
            "number:7,asked{{ipv4:167772162,port:5432}},\
             asker{{ipv4:167772161,port:40000}},request:1,\
             search:HOLDER_SEARCH_ALL,timeout_milliseconds:1500,domain:\"PROD\",{END}"
        )
    );
    let answer = told(Some(1_000), Some(user_token(1_000, Vec::new(), None)));
    let answer = described("Answer", &answer_bytes(&answer));
    assert!(answer.starts_with("number:7,told{user:1000,token{user:1000,"), "{answer}");
    assert!(answer.ends_with(&format!(",{END}}}")), "{answer}");
    let not_yet = Answer { number: 7, outcome: Outcome::NotYetAccepted { end: end() } };
    let not_yet = described("Answer", &answer_bytes(&not_yet));
    assert_eq!(not_yet, format!("number:7,not_yet_accepted{{{END}}}"));
    let refused = described("Answer", &answer_bytes(&refused(Refused::SecurityDomain)));
    assert_eq!(refused, "number:7,refused{kind:REFUSAL_SECURITY_DOMAIN}");
}
