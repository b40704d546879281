//! Questions and answers there and back, what is refused, and the bytes, which are a promise.

mod malformed;
mod recorded;
mod schema;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::error::Reason;
use crate::info::{PartnerRequest, Routing};
use crate::token::tests::{parts, token, unknown};
use crate::token::{
    Capabilities, ExecutionNode, Gid, Holder, HolderParts, HolderSearch, HoldersGap, PortClass,
    PortOfEntry, SessionType, Uid, UserToken,
};

const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const GAPS: [Option<HoldersGap>; 10] = [
    None,
    Some(HoldersGap::StoppedAtFirst),
    Some(HoldersGap::NoRight),
    Some(HoldersGap::HiddenProcesses),
    Some(HoldersGap::PidNamespace),
    Some(HoldersGap::TooManyDescriptors),
    Some(HoldersGap::Changing),
    Some(HoldersGap::NotHeld),
    Some(HoldersGap::NoProc),
    Some(HoldersGap::TooManyHolders),
];

const REASONS: [Reason; 9] = [
    Reason::PartnerGone,
    Reason::NotYetAccepted,
    Reason::NotEstablished,
    Reason::ConnectionChanged,
    Reason::NotInThisStack,
    Reason::OtherNamespace,
    Reason::AddressTranslated,
    Reason::TranslationHidden,
    Reason::OverflowUid,
];

const SESSIONS: [SessionType; 7] = [
    SessionType::SystemService,
    SessionType::UserSession,
    SessionType::InteractiveTerminal,
    SessionType::Container,
    SessionType::Batch,
    SessionType::Kernel,
    SessionType::Unknown,
];

/// A question in which everything is said.
fn question() -> Question {
    Question {
        number: 7,
        request: PartnerRequest::USER_ID | PartnerRequest::UTOKEN,
        search: HolderSearch::First,
        timeout: Duration::from_millis(1_500),
        domain: Some(Some("PROD.EXAMPLE".to_owned())),
    }
}

/// A process of which everything is known.
fn full(pid: u32) -> HolderParts {
    HolderParts { container_id: Some(CONTAINER.to_owned()), ..parts(pid) }
}

fn told(token: UserToken) -> Answer {
    let told = Told {
        user: Some(token.user()),
        name: None,
        routing: Routing::SAME_STACK,
        token: Some(token),
    };
    Answer { number: 7, cookie: Some(4_097), outcome: Outcome::Told(told) }
}

fn refusal(refused: Refused) -> Answer {
    Answer { number: 7, cookie: Some(4_097), outcome: Outcome::Refused(refused) }
}

fn there_and_back(answer: &Answer) -> Answer {
    Answer::decode(&answer.encode(), Pids::Ours).unwrap()
}

fn token_of(answer: &Answer) -> &UserToken {
    let Outcome::Told(Told { token: Some(token), .. }) = &answer.outcome else {
        panic!("{answer:?}");
    };
    token
}

#[test]
fn questions_there_and_back() {
    let rows = [
        question(),
        Question { number: 0, ..question() },
        Question { number: u64::MAX, ..question() },
        Question { request: PartnerRequest::empty(), ..question() },
        Question { request: PartnerRequest::UTOKEN, ..question() },
        Question { search: HolderSearch::All, ..question() },
        Question { timeout: Duration::ZERO, ..question() },
        Question { domain: None, ..question() },
        Question { domain: Some(None), ..question() },
        Question {
            number: u64::MAX,
            timeout: Duration::from_millis(u64::MAX),
            domain: Some(Some("~".repeat(255))),
            ..question()
        },
    ];
    for row in rows {
        let bytes = row.encode();
        assert!(bytes.len() <= MAX_QUESTION);
        assert_eq!(Question::decode(&bytes), Ok(row.clone()));
        assert_eq!(number(&bytes), Some(row.number));
    }
}

#[test]
fn a_short_wait_does_not_become_none() {
    for (timeout, sent) in [
        (Duration::ZERO, 0),
        (Duration::from_nanos(1), 1),
        (Duration::from_micros(1_001), 2),
        (Duration::from_millis(1_500), 1_500),
        (Duration::MAX, u64::MAX),
    ] {
        let bytes = Question { timeout, ..question() }.encode();
        let sent = Duration::from_millis(sent);
        assert_eq!(Question::decode(&bytes).map(|it| it.timeout), Ok(sent), "{timeout:?}");
    }
}

#[test]
fn refusals_and_waits_there_and_back() {
    let others = [
        Refused::NotAuthorized("uid 1000 may not".to_owned()),
        Refused::SecurityDomain,
        Refused::NotConnected,
        Refused::NotTcp,
        Refused::Failed("too many questions at once; ask again later".to_owned()),
        Refused::Failed(String::new()),
    ];
    let reasons = REASONS.map(Refused::Unidentified);
    for refused in reasons.into_iter().chain(others) {
        let answer = refusal(refused);
        assert_eq!(there_and_back(&answer), answer);
    }
    for cookie in [None, Some(0), Some(u64::MAX)] {
        let answer = Answer { number: u64::MAX, cookie, outcome: Outcome::NotYetAccepted };
        assert_eq!(there_and_back(&answer), answer);
    }
}

#[test]
fn users_there_and_back() {
    for user in [None, Uid::new(0), Uid::new(1_000), Uid::new(u32::MAX - 1)] {
        for bits in 1..16 {
            let routing = Routing::from_bits(bits).unwrap();
            let outcome = Outcome::Told(Told { user, name: None, routing, token: None });
            let answer = Answer { number: 1, cookie: None, outcome };
            assert_eq!(there_and_back(&answer), answer);
        }
    }
}

#[test]
fn gaps_there_and_back() {
    for gap in GAPS {
        for holders in [vec![], vec![full(1)], vec![unknown(1), full(4_711), full(4_712)]] {
            let answer = told(token(1_000, holders, gap));
            assert_eq!(there_and_back(&answer), answer, "{gap:?}");
        }
    }
}

#[test]
fn session_types_there_and_back() {
    for session_type in SESSIONS {
        let answer = told(token(1_000, vec![HolderParts { session_type, ..full(1) }], None));
        assert_eq!(token_of(&there_and_back(&answer)).session_type(), session_type);
    }
}

#[test]
fn what_is_absent_stays_absent_and_what_is_there_stays() {
    type Change = fn(&mut HolderParts);
    let rows: &[(&str, Change)] = &[
        ("started", |it| it.started = None),
        ("started in 1970", |it| it.started = Some(UNIX_EPOCH)),
        ("pidfs_inode", |it| it.pidfs_inode = None),
        ("process_user", |it| it.process_user = None),
        ("process_user root", |it| it.process_user = Uid::new(0)),
        ("process_group", |it| it.process_group = None),
        ("real_user", |it| it.real_user = None),
        ("real_group", |it| it.real_group = None),
        ("submitting_user", |it| it.submitting_user = None),
        ("session_id", |it| it.session_id = None),
        ("security_label", |it| it.security_label = None),
        ("session_type", |it| it.session_type = SessionType::Unknown),
        ("port_of_entry", |it| it.port_of_entry = None),
        ("port_of_entry unit", |it| {
            it.port_of_entry = Some(PortOfEntry::new(PortClass::Unit, "sshd.service".to_owned()));
        }),
        ("same_user_namespace", |it| it.same_user_namespace = None),
        ("same_user_namespace not", |it| it.same_user_namespace = Some(false)),
        ("supplementary_groups", |it| it.supplementary_groups = None),
        ("supplementary_groups none", |it| it.supplementary_groups = Some(vec![])),
        ("supplementary_groups root", |it| {
            it.supplementary_groups = Gid::new(0).map(|root| vec![root]);
        }),
        ("effective_capabilities", |it| it.effective_capabilities = None),
        ("effective_capabilities all", |it| {
            it.effective_capabilities = Some(Capabilities::from_bits(u64::MAX));
        }),
        ("cgroup", |it| it.cgroup = None),
        ("systemd_unit", |it| it.systemd_unit = None),
        ("container_id", |it| it.container_id = None),
        ("executable", |it| it.executable = None),
        ("executable_deleted", |it| it.executable_deleted = None),
        ("executable_deleted so", |it| it.executable_deleted = Some(true)),
        ("command", |it| it.command = None),
        ("everything", |it| *it = unknown(1)),
    ];
    for (name, change) in rows {
        let mut parts = full(1);
        change(&mut parts);
        assert_ne!(parts, full(1), "{name}: a row that changes nothing shows nothing");
        let answer = told(token(1_000, vec![parts], None));
        assert_eq!(there_and_back(&answer), answer, "{name}");
    }
}

#[test]
fn nothing_known_of_the_host_and_text_that_is_no_text() {
    let bytes = OsString::from_vec(b"\xff\n\0".to_vec());
    let strange = HolderParts {
        command: Some(bytes.clone()),
        executable: Some(bytes.clone().into()),
        cgroup: Some(bytes.into()),
        ..full(1)
    };
    for node in [
        ExecutionNode::new(None, None, None),
        ExecutionNode::new(None, None, Some("b".to_owned())),
        ExecutionNode::new(Some(String::new()), None, None),
    ] {
        let uid = Uid::new(0).unwrap();
        let holders = vec![Holder::new(strange.clone())];
        let mut token = UserToken::assemble(uid, holders, None, Arc::new(node));
        token.set_remote();
        let answer = told(token);
        assert_eq!(there_and_back(&answer), answer);
        assert!(token_of(&there_and_back(&answer)).flags().remote());
    }
}

#[test]
fn a_name_that_is_too_long_for_a_host_is_not_sent() {
    for (length, sent) in [(255, true), (256, false)] {
        let node = ExecutionNode::new(Some("x".repeat(length)), None, None);
        let token = UserToken::assemble(Uid::new(0).unwrap(), vec![], None, Arc::new(node));
        let answer = there_and_back(&told(token));
        let name = token_of(&answer).execution_node().host_name();
        assert_eq!(name.is_some(), sent, "{length} bytes");
    }
}

#[test]
fn whose_pids_they_are_is_for_the_reader_to_say() {
    let bytes = told(token(1_000, vec![full(1)], None)).encode();
    for (pids, local) in [(Pids::Ours, true), (Pids::Foreign, false)] {
        let answer = Answer::decode(&bytes, pids).unwrap();
        assert_eq!(token_of(&answer).holders()[0].parts().local, local);
    }
}

#[test]
fn whether_there_is_an_account_is_not_sent() {
    let mut known = token(1_000, vec![full(1)], None);
    known.set_undefined_user(true);
    let answer = there_and_back(&told(known));
    assert_eq!(token_of(&answer).flags().undefined_user(), None);
}

#[test]
fn what_is_told_fits_one_request_only() {
    let [none, user_id, utoken] =
        [PartnerRequest::empty(), PartnerRequest::USER_ID, PartnerRequest::UTOKEN];
    let of = |user: Option<u32>, token_user: Option<u32>, routing| Told {
        user: user.and_then(Uid::new),
        name: None,
        routing,
        token: token_user.map(|user| token(user, vec![full(1)], None)),
    };
    let place = Routing::SAME_STACK;
    let rows: &[(Told, &[PartnerRequest])] = &[
        (of(None, None, place), &[none]),
        (of(Some(0), None, place), &[user_id]),
        (of(Some(0), Some(0), place), &[utoken, user_id.union(utoken)]),
        (of(Some(0), Some(1), place), &[]),
        (of(None, Some(1), place), &[]),
        (of(Some(0), None, Routing::NO_CONNECTION), &[]),
        (of(Some(0), None, Routing::from_bits_retain(16)), &[]),
    ];
    for (told, fitting) in rows {
        for request in [none, user_id, utoken, user_id | utoken] {
            assert_eq!(told.fits(request), fitting.contains(&request), "{told:?} {request:?}");
        }
    }
}

#[test]
fn texts_are_cut_at_a_character_and_stay_on_one_line() {
    for (text, expected) in [
        ("é".repeat(2_000), "é".repeat(2_000)),
        ("é".repeat(2_001), "é".repeat(2_000)),
        ("a\n\u{1b}[2Jb".to_owned(), "a\u{fffd}\u{fffd}[2Jb".to_owned()),
    ] {
        for make in [Refused::NotAuthorized, Refused::Failed] {
            let answer = there_and_back(&refusal(make(text.clone())));
            assert_eq!(answer, refusal(make(expected.clone())));
        }
    }
}

#[test]
fn holders_that_do_not_fit_are_left_out_and_are_missed() {
    let all = told(token(1_000, (1..=400).map(full).collect(), None));
    let bytes = all.encode();
    assert!(bytes.len() <= MAX_ANSWER, "{} bytes", bytes.len());
    assert!(bytes.len() > MAX_ANSWER - 600, "{} bytes: there was room for one more", bytes.len());
    let answer = there_and_back(&all);
    let few = token_of(&answer);
    assert!(token_of(&all).holders().starts_with(few.holders()));
    assert_eq!(few.holders_gap(), Some(HoldersGap::TooManyHolders));
    assert_eq!(few.flags().privileged(), None, "an unseen one may be");
}

#[test]
fn an_answer_of_the_very_limit_is_whole() {
    let with_label = |length, more: &[HolderParts]| {
        let label = HolderParts { security_label: Some("x".repeat(length)), ..unknown(2) };
        told(token(1_000, [&[unknown(1), label], more].concat(), None))
    };
    let length = 60_000 + MAX_ANSWER - with_label(60_000, &[]).encode().len();
    let answer = with_label(length, &[]);
    assert_eq!(answer.encode().len(), MAX_ANSWER);
    assert_eq!(there_and_back(&answer), answer);
    for (over, left) in [(with_label(length + 1, &[]), 1), (with_label(length, &[unknown(3)]), 2)] {
        assert_eq!(token_of(&there_and_back(&over)).holders().len(), left);
    }
}

#[test]
fn a_shortened_list_speaks_no_more_than_the_whole_one() {
    for gap in GAPS {
        let answer = there_and_back(&told(token(1_000, (1..=400).map(full).collect(), gap)));
        let token = token_of(&answer);
        assert!(token.holders().len() < 400);
        match gap {
            Some(HoldersGap::Changing | HoldersGap::NotHeld | HoldersGap::NoProc) => {
                assert_eq!((token.holders_gap(), token.process_user()), (gap, None));
            }
            other => assert_eq!(token.holders_gap(), Some(HoldersGap::TooManyHolders), "{other:?}"),
        }
    }
}

#[test]
fn one_holder_that_does_not_fit_leaves_none() {
    let groups = (0..65_536).map(Gid::new).collect();
    let vast = HolderParts { supplementary_groups: groups, ..full(1) };
    let answer = there_and_back(&told(token(1_000, vec![vast], None)));
    let token = token_of(&answer);
    assert!(token.holders().is_empty() && token.flags().default());
    assert_eq!(token.holders_gap(), Some(HoldersGap::TooManyHolders));
}
