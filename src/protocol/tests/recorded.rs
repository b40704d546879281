//! Bytes that a program and an agent of other releases send. They are a promise: a row that fails
//! is a new version of the protocol.

use std::path::Path;

use super::*;

/// A token of which everything is known.
pub(super) fn full_token() -> UserToken {
    let node = ExecutionNode::new(
        Some("db1".to_owned()),
        Some("3d1219c7c4c5404aaa1f6d2a48adfda4".to_owned()),
        Some("0e8cb1b4-4d1c-4a3e-8f3a-1f6a7f1f0f5e".to_owned()),
    );
    let user = Uid::new(1_000).unwrap();
    UserToken::assemble(user, vec![Holder::new(full(4_711))], None, Arc::new(node))
}

/// A token of which nothing is known, of root.
fn bare_token() -> UserToken {
    let node = Arc::new(ExecutionNode::new(None, None, None));
    let user = Uid::new(0).unwrap();
    let holders = vec![Holder::new(unknown(1))];
    let mut token = UserToken::assemble(user, holders, Some(HoldersGap::NoRight), node);
    token.set_remote();
    token
}

#[test]
fn questions() {
    let bare = Question {
        number: 0,
        request: PartnerRequest::empty(),
        search: HolderSearch::All,
        timeout: Duration::ZERO,
        domain: None,
    };
    let rows: &[(&[u8], Question)] = &[
        (b"\x08\x01\x10\x07\x18\x03\x20\x02\x28\xdc\x0b\x32\x0e\x0a\x0cPROD.EXAMPLE", question()),
        (b"\x08\x01\x10\x00\x18\x00\x20\x01\x28\x00", bare.clone()),
        (
            b"\x08\x01\x10\x00\x18\x00\x20\x01\x28\x00\x32\x00",
            Question { domain: Some(None), ..bare },
        ),
    ];
    for (bytes, question) in rows {
        assert_eq!(question.encode(), *bytes, "{question:?}");
        assert_eq!(Question::decode(bytes).as_ref(), Ok(question));
    }
}

#[test]
fn answers() {
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/agent_messages/answer_token");
    let seed = std::fs::read(seed).unwrap();
    let user = Told { user: Uid::new(0), name: None, routing: Routing::SAME_STACK, token: None };
    let rows: &[(&[u8], Answer)] = &[
        (
            b"\x08\x01\x10\x07\x2a\x00",
            Answer { number: 7, cookie: None, outcome: Outcome::NotYetAccepted },
        ),
        (
            b"\x08\x01\x10\x07\x18\x00\x22\x04\x08\x00\x10\x0e",
            Answer { number: 7, cookie: Some(0), outcome: Outcome::Told(user) },
        ),
        (
            b"\x08\x01\x10\x07\x18\x81\x20\x32\x06\x08\x01\x12\x02no",
            refusal(Refused::NotAuthorized("no".to_owned())),
        ),
        (b"\x08\x01\x10\x07\x18\x81\x20\x32\x02\x08\x02", refusal(Refused::SecurityDomain)),
        (b"\x08\x01\x10\x07\x18\x81\x20\x32\x02\x08\x03", refusal(Refused::NotConnected)),
        (b"\x08\x01\x10\x07\x18\x81\x20\x32\x02\x08\x04", refusal(Refused::NotTcp)),
        (
            b"\x08\x01\x10\x07\x18\x81\x20\x32\x04\x08\x05\x18\x09",
            refusal(Refused::Unidentified(Reason::OverflowUid)),
        ),
        (
            b"\x08\x01\x10\x07\x18\x81\x20\x32\x06\x08\x06\x12\x02no",
            refusal(Refused::Failed("no".to_owned())),
        ),
        // 4: told { 1: user 0, 2: routing 14, 3: token { 1: user 0,
        //   2: holder { 1: pid 1, 2: start 91229, 5: descriptor 3 }, 3: no right, 5: remote } }
        (
            b"\x08\x01\x10\x07\x18\x81\x20\x22\x16\x08\x00\x10\x0e\x1a\x10\x08\x00\
              \x12\x08\x08\x01\x10\xdd\xc8\x05\x28\x03\x18\x03\x28\x01",
            told(bare_token()),
        ),
        (&seed, told(full_token())),
    ];
    for (bytes, answer) in rows {
        assert_eq!(answer.encode(), *bytes, "{answer:?}");
        assert_eq!(Answer::decode(bytes, Pids::Ours).as_ref(), Ok(answer));
    }
}
