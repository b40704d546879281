//! Candidates in another namespace, row by row.

use super::*;
use crate::kernel::Endpoint;
use crate::kernel::sequence::tests::idle_pair;
use crate::kernel::sock_diag::TcpState;
use crate::kernel::verify::Owner;

const COOKIE: u64 = 7;
const THEIRS: u64 = 70;
const TRUST: Trust = Trust { overflow_uid: None, hidden_translation: false };

fn endpoint(text: &str) -> Endpoint {
    text.parse::<std::net::SocketAddr>().unwrap().into()
}

fn own() -> Own {
    let (local, remote) = (endpoint("10.0.0.1:80"), endpoint("10.0.0.2:5000"));
    Own { end: OwnEnd { local, remote, scope: 0, cookie: COOKIE }, multipath_inode: None }
}

fn own_entry() -> Entry {
    let OwnEnd { local, remote, .. } = own().end;
    Entry {
        state: TcpState::Established,
        local,
        remote,
        device: 0,
        cookie: COOKIE,
        uid: 1000,
        inode: 11,
        cgroup: None,
    }
}

fn partner() -> Entry {
    let Entry { local, remote, .. } = own_entry();
    Entry { local: remote, remote: local, cookie: THEIRS, uid: 1001, inode: 22, ..own_entry() }
}

fn looks() -> Looks {
    let [client, server] = idle_pair();
    Looks {
        candidate: partner(),
        ends: Some(Ends { own: server, partner: client, own_again: server }),
        own: Answer::Found(own_entry()),
        candidate_again: Answer::Found(partner()),
    }
}

fn refused(reason: Reason) -> Across {
    Across::Settled(Verdict::Refused(reason))
}

#[test]
fn h18_a_partner_is_named_where_everything_fits_and_nowhere_else() {
    let named = Across::Settled(Verdict::Partner(Owner { uid: 1001, inode: 22, cgroup: None }));
    let strangers = {
        let [client, server] = idle_pair();
        let partner = crate::kernel::sequence::tests::another(client);
        Some(Ends { own: server, partner, own_again: server })
    };
    let found = Answer::Found;
    let theirs = |change: fn(&mut Entry)| {
        let mut entry = partner();
        change(&mut entry);
        Looks { candidate_again: found(entry), ..looks() }
    };
    let ours = |change: fn(&mut Entry)| {
        let mut entry = own_entry();
        change(&mut entry);
        Looks { own: found(entry), ..looks() }
    };
    let changed = refused(Reason::ConnectionChanged);
    for (name, looks, expected) in [
        ("all fits", looks(), named),
        ("other numbers", Looks { ends: strangers, ..looks() }, Across::Stranger),
        ("no numbers", Looks { ends: None, ..looks() }, Across::Stranger),
        // H5: our own end must be the same before and after.
        ("own gone", Looks { own: Answer::NotFound, ..looks() }, changed),
        ("own is another socket", ours(|own| own.cookie = 8), changed),
        ("own has another peer", ours(|own| own.remote.port = 1), changed),
        (
            "own closed",
            ours(|own| own.state = TcpState::TimeWait),
            Across::Settled(Verdict::NotConnected),
        ),
        (
            "own fails",
            Looks { own: Answer::Failed(105), ..looks() },
            Across::Settled(Verdict::Failed(105)),
        ),
        // Whose numbers were read must be who is named.
        ("candidate gone", Looks { candidate_again: Answer::NotFound, ..looks() }, Across::Moved),
        ("candidate is another socket", theirs(|it| it.cookie = 71), Across::Moved),
        ("candidate has moved", theirs(|it| it.remote.port = 1), Across::Moved),
        (
            "candidate fails",
            Looks { candidate_again: Answer::Failed(105), ..looks() },
            Across::Settled(Verdict::Failed(105)),
        ),
        ("candidate is a newcomer", theirs(|it| it.state = TcpState::SynSent), Across::Moved),
        ("states that do not fit", theirs(|it| it.state = TcpState::CloseWait), Across::Moved),
        // H1, H11.
        (
            "nobody has accepted it",
            theirs(|it| (it.inode, it.uid) = (0, 0)),
            Across::Settled(Verdict::NotYetAccepted),
        ),
        (
            "orphaned",
            theirs(|it| (it.state, it.inode, it.uid) = (TcpState::FinWait1, 0, 0)),
            refused(Reason::PartnerGone),
        ),
        // H4.
        ("half-closed", theirs(|it| it.state = TcpState::FinWait1), named),
    ] {
        assert_eq!(judge(&own(), &looks, TRUST), expected, "{name}");
    }
}

#[test]
fn h19_an_overflow_uid_is_nobody() {
    let trust = Trust { overflow_uid: Some(1001), ..TRUST };
    assert_eq!(judge(&own(), &looks(), trust), refused(Reason::OverflowUid));
}

#[test]
fn h24_a_multipath_end_is_known_by_its_inode() {
    let subflow = Looks { own: Answer::Found(Entry { cookie: 9, ..own_entry() }), ..looks() };
    for (inode, named) in [(Some(11), true), (Some(12), false), (Some(0), false), (None, false)] {
        let own = Own { multipath_inode: inode, ..own() };
        let settled = judge(&own, &subflow, TRUST);
        assert_eq!(matches!(settled, Across::Settled(Verdict::Partner(_))), named, "{inode:?}");
    }
    let no_inode = Looks { own: Answer::Found(Entry { inode: 0, ..own_entry() }), ..looks() };
    let own = Own { multipath_inode: Some(0), ..own() };
    assert_eq!(judge(&own, &no_inode, TRUST), refused(Reason::ConnectionChanged));
}

#[test]
fn h07_only_a_connected_socket_with_both_addresses_is_a_candidate() {
    let own = own().end;
    assert_eq!(candidate(&own, Answer::Found(partner())), Some(partner()));
    for answer in [
        Answer::NotFound,
        Answer::Failed(1),
        Answer::Found(own_entry()),
        Answer::Found(Entry { state: TcpState::Listen, ..partner() }),
        Answer::Found(Entry { state: TcpState::SynSent, ..partner() }),
        Answer::Found(Entry { state: TcpState::TimeWait, ..partner() }),
        Answer::Found(Entry { state: TcpState::SynRecv, ..partner() }),
        Answer::Found(Entry { local: endpoint("10.0.0.2:5001"), ..partner() }),
        Answer::Found(Entry { remote: endpoint("10.0.0.3:80"), ..partner() }),
    ] {
        assert_eq!(candidate(&own, answer), None, "{answer:?}");
    }
}
