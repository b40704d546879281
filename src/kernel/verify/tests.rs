//! The hazards, each as the kernel's answers that bring it about.

use super::*;
use crate::kernel::sock_diag::decode;
use crate::kernel::sock_diag::tests::{failure, reply};

const OWN_COOKIE: u64 = 0x1_0000_0007;
const USER: u32 = 1000;
const INODE: u32 = 4711;
const HERE: &str = "127.0.0.1:80";
const THERE: &str = "127.0.0.1:40000";

fn endpoint(text: &str) -> Endpoint {
    text.parse::<std::net::SocketAddr>().unwrap().into()
}

fn own_end() -> OwnEnd {
    OwnEnd { local: endpoint(HERE), remote: endpoint(THERE), scope: 0, cookie: OWN_COOKIE }
}

/// Our own end as it should be.
fn own() -> Entry {
    Entry {
        state: TcpState::Established,
        local: endpoint(HERE),
        remote: endpoint(THERE),
        device: 0,
        cookie: OWN_COOKIE,
        uid: 0,
        inode: 99,
        cgroup: None,
    }
}

/// The partner's end as it should be.
fn partner() -> Entry {
    Entry {
        state: TcpState::Established,
        local: endpoint(THERE),
        remote: endpoint(HERE),
        device: 0,
        cookie: 8,
        uid: USER,
        inode: INODE,
        cgroup: Some(5),
    }
}

fn examined() -> Examined {
    Examined {
        protocol: Protocol::Tcp,
        inode: 99,
        device: 0,
        same_namespace: Some(true),
        connected: true,
    }
}

fn refused(reason: Reason) -> Verdict {
    Verdict::Refused(reason)
}

const NAMED: Verdict = Verdict::Partner(Owner { uid: USER, inode: INODE, cgroup: Some(5) });

/// A kernel that answers each question as told.
struct Kernel {
    own_end: OwnEnd,
    translation: Translation,
    trust: Trust,
    partner: Answer,
    own: Answer,
    /// Device-bound sockets: found with this interface only.
    partner_device: Option<u32>,
    own_device: Option<u32>,
    examined: Examined,
    place: Place,
    own_place: Place,
    /// How many batches were asked for.
    batches: std::cell::Cell<u32>,
}

impl Kernel {
    fn new(partner: Answer, own: Answer) -> Self {
        Self {
            own_end: own_end(),
            translation: Translation::None,
            trust: Trust::default(),
            partner,
            own,
            partner_device: None,
            own_device: None,
            examined: examined(),
            place: Place::NotLocal,
            own_place: Place::NotLocal,
            batches: std::cell::Cell::new(0),
        }
    }

    fn verdict(&self) -> Verdict {
        let fits = |bound: Option<u32>, asked: u32| bound.is_none_or(|bound| bound == asked);
        let mut verification = Verification::new(self.own_end, self.trust);
        let mut next = verification.start();
        for _ in 0..12 {
            next = match next {
                Next::Lookups { partner, own } => {
                    self.batches.set(self.batches.get() + 1);
                    assert_eq!(
                        (partner.local, partner.remote),
                        (own.remote, own.local),
                        "the partner's addresses are ours, swapped"
                    );
                    let answer =
                        |fits, answer| through_bytes(if fits { answer } else { Answer::NotFound });
                    verification.handle_lookups(
                        answer(fits(self.partner_device, partner.device), self.partner),
                        answer(fits(self.own_device, own.device), self.own),
                    )
                }
                Next::Translation => verification.handle_translation(self.translation),
                Next::Examine => verification.handle_examined(self.examined),
                Next::Place(ip) => {
                    assert_eq!(ip, self.own_end.remote.ip);
                    verification.handle_place(self.place)
                }
                Next::OwnPlace(ip) => {
                    assert_eq!(ip, self.own_end.local.ip);
                    verification.handle_own_place(self.own_place)
                }
                Next::Done(verdict) => return verdict,
            };
        }
        panic!("the sequence must end");
    }
}

/// The answer as the kernel's bytes, decoded.
fn through_bytes(answer: Answer) -> Answer {
    let bytes = match answer {
        Answer::Found(entry) => reply(7, &entry),
        Answer::NotFound => failure(7, 2),
        Answer::Failed(errno) => failure(7, errno),
    };
    let decoded = decode(&bytes);
    assert_eq!(decoded, Ok((7, answer)), "what the kernel means arrives");
    decoded.unwrap().1
}

/// The verdict on a partner in this state, with or without a descriptor.
fn in_state(state: TcpState, inode: u32) -> [Verdict; 2] {
    // Where nobody holds it, root's number stands there, and on newer kernels the last owner's.
    [0, USER].map(|uid| verdict_of(Entry { state, inode, uid, ..partner() }))
}

/// The verdict while our own end is in the state that goes with the partner's.
fn verdict_of(partner: Entry) -> Verdict {
    let state = match partner.state {
        TcpState::FinWait1 | TcpState::FinWait2 => TcpState::CloseWait,
        TcpState::CloseWait | TcpState::LastAck => TcpState::FinWait2,
        TcpState::Closing => TcpState::Closing,
        TcpState::Established
        | TcpState::SynSent
        | TcpState::SynRecv
        | TcpState::TimeWait
        | TcpState::Close
        | TcpState::Listen
        | TcpState::Other(_) => TcpState::Established,
    };
    Kernel::new(Answer::Found(partner), Answer::Found(Entry { state, ..own() })).verdict()
}

#[test]
fn an_honest_partner_is_named() {
    assert_eq!(verdict_of(partner()), NAMED);
}

const GONE: Verdict = Verdict::Refused(Reason::PartnerGone);
const STRANGER: Verdict = Verdict::Refused(Reason::NotEstablished);
const LATER: Verdict = Verdict::NotYetAccepted;

#[test]
fn h01_a_closed_partner_is_gone_and_not_root() {
    for state in [TcpState::FinWait2, TcpState::TimeWait] {
        assert_eq!(in_state(state, 0), [GONE; 2], "{state:?}");
    }
    // A TIME_WAIT entry has no owner, whatever stands in it.
    assert_eq!(in_state(TcpState::TimeWait, INODE), [GONE; 2]);
}

#[test]
fn h02_a_handshake_under_way_names_nobody() {
    for inode in [0, INODE] {
        assert_eq!(in_state(TcpState::SynRecv, inode), [LATER; 2]);
    }
}

#[test]
fn h03_an_orphan_is_gone_whoever_owned_it_last() {
    for state in [TcpState::FinWait1, TcpState::FinWait2, TcpState::LastAck, TcpState::Closing] {
        assert_eq!(in_state(state, 0), [GONE; 2], "{state:?}");
    }
}

#[test]
fn h04_a_half_closed_partner_that_lives_is_named() {
    for state in [
        TcpState::Established,
        TcpState::CloseWait,
        TcpState::FinWait1,
        TcpState::FinWait2,
        TcpState::LastAck,
        TcpState::Closing,
    ] {
        assert_eq!(verdict_of(Entry { state, ..partner() }), NAMED, "{state:?}");
    }
}

#[test]
fn h06_a_newcomer_that_is_not_connected_is_a_stranger() {
    let states = [
        TcpState::SynSent,
        TcpState::Listen,
        TcpState::Close,
        TcpState::Other(0),
        TcpState::Other(13),
    ];
    for state in states {
        for inode in [0, INODE] {
            assert_eq!(in_state(state, inode), [STRANGER; 2], "{state:?} {inode}");
        }
    }
}

#[test]
fn h11_an_end_that_nobody_accepted_is_waited_for() {
    for state in [TcpState::Established, TcpState::CloseWait] {
        assert_eq!(in_state(state, 0), [LATER; 2], "{state:?}");
    }
}

#[test]
fn h22_a_socket_that_borrowed_a_remote_address_is_not_named() {
    let (here, there) = (endpoint("[2001:db8::1]:443"), endpoint("[2001:db8::2]:40000"));
    let own = Entry { local: here, remote: there, ..own() };
    // IP_FREEBIND gives it the address, and nobody answers its SYN.
    let borrowed = Entry { local: there, remote: here, state: TcpState::SynSent, ..partner() };
    let mut kernel = Kernel::new(Answer::Found(borrowed), Answer::Found(own));
    kernel.own_end = OwnEnd { local: here, remote: there, ..own_end() };
    assert_eq!(kernel.verdict(), STRANGER);
}

#[test]
fn h05_two_ends_whose_states_do_not_fit_are_not_of_one_connection() {
    use TcpState::{CloseWait, Closing, Established, FinWait1, FinWait2, LastAck};
    let states = [Established, FinWait1, FinWait2, CloseWait, LastAck, Closing];
    // Our own state, and the partner's a moment before.
    let fits = [
        (Established, vec![Established, FinWait1]),
        (CloseWait, vec![FinWait1, FinWait2]),
        (FinWait1, vec![Established, FinWait1, CloseWait, LastAck, Closing]),
        (FinWait2, vec![CloseWait, LastAck, Closing]),
        (Closing, vec![FinWait1, FinWait2, LastAck, Closing]),
        (LastAck, vec![FinWait1, FinWait2, LastAck, Closing]),
    ];
    for (ours, fitting) in fits {
        for state in states {
            let partner = Answer::Found(Entry { state, ..partner() });
            let kernel = Kernel::new(partner, Answer::Found(Entry { state: ours, ..own() }));
            let (verdict, batches) = (kernel.verdict(), kernel.batches.get());
            if fitting.contains(&state) {
                assert_eq!((verdict, batches), (NAMED, 1), "{ours:?}, the partner {state:?}");
            } else {
                let changed = refused(Reason::ConnectionChanged);
                assert_eq!((verdict, batches), (changed, MISFITS), "{ours:?}, {state:?}");
            }
        }
    }
}

#[test]
fn h05_an_own_end_that_was_replaced_refuses_whoever_holds_the_tuple() {
    let changed = refused(Reason::ConnectionChanged);
    let newcomer = Answer::Found(Entry { uid: 1001, ..partner() });
    for cookie in [0, 1, 7, OWN_COOKIE + 1, u64::MAX] {
        let replaced = Answer::Found(Entry { cookie, ..own() });
        assert_eq!(Kernel::new(newcomer, replaced).verdict(), changed, "cookie {cookie}");
    }
    for state in [TcpState::TimeWait, TcpState::Close, TcpState::SynSent, TcpState::SynRecv] {
        let ended = Answer::Found(Entry { state, ..own() });
        assert_eq!(Kernel::new(newcomer, ended).verdict(), Verdict::NotConnected, "{state:?}");
    }
    let mut kernel = Kernel::new(newcomer, Answer::NotFound);
    kernel.examined.connected = false;
    assert_eq!(kernel.verdict(), Verdict::NotConnected);
}

#[test]
fn h07_a_reply_for_other_addresses_is_no_reply() {
    let listener = Entry {
        state: TcpState::Listen,
        local: endpoint("0.0.0.0:40000"),
        remote: endpoint("0.0.0.0:0"),
        ..partner()
    };
    let others = [
        listener,
        Entry { local: endpoint("127.0.0.2:40000"), ..partner() },
        Entry { local: endpoint("127.0.0.1:40001"), ..partner() },
        Entry { remote: endpoint("127.0.0.2:80"), ..partner() },
        Entry { remote: endpoint("127.0.0.1:81"), ..partner() },
        Entry { local: endpoint("0.0.0.0:40000"), ..partner() },
        Entry { local: endpoint(HERE), remote: endpoint(THERE), ..partner() },
    ];
    for other in others {
        assert_eq!(verdict_of(other), Verdict::NotInThisStack, "{other:?}");
    }
    // The same for our own end: a listener on our port is not our connection.
    let mut kernel = Kernel::new(
        Answer::Found(partner()),
        Answer::Found(Entry { state: TcpState::Listen, cookie: OWN_COOKIE, ..own() }),
    );
    assert_eq!(kernel.verdict(), Verdict::Unsupported);
    kernel.examined.same_namespace = None;
    assert_eq!(kernel.verdict(), refused(Reason::ConnectionChanged));
}

#[test]
fn h09_a_device_bound_partner_is_found_with_the_interface_of_its_address() {
    let bound = Answer::Found(Entry { device: 7, ..partner() });
    let mut kernel = Kernel::new(bound, Answer::Found(own()));
    kernel.partner_device = Some(7);
    kernel.place = Place::Local(7);
    assert_eq!(kernel.verdict(), NAMED);
    kernel.place = Place::Local(8);
    assert_eq!(kernel.verdict(), refused(Reason::AddressTranslated));
}

#[test]
fn h09_a_device_bound_own_end_is_found_with_its_device() {
    let bound = Answer::Found(Entry { device: 7, ..own() });
    let mut kernel = Kernel::new(Answer::Found(partner()), bound);
    kernel.own_device = Some(7);
    kernel.examined.device = 7;
    kernel.own_place = Place::Local(7);
    assert_eq!(kernel.verdict(), NAMED);
    // The same addresses on another interface: the one that an unbound partner goes by.
    kernel.own_place = Place::Local(8);
    assert_eq!(kernel.verdict(), STRANGER);
    kernel.own_place = Place::NotLocal;
    assert_eq!(kernel.verdict(), STRANGER);
    kernel.own_place = Place::Local(7);
    // A partner that is bound is bound to our device, or is another connection's.
    for (device, expected) in [(7, NAMED), (8, STRANGER)] {
        kernel.partner = Answer::Found(Entry { device, ..partner() });
        assert_eq!(kernel.verdict(), expected, "bound to {device}");
    }
    kernel.partner = Answer::Found(partner());
    // Its partner on the loopback interface all the same.
    kernel.partner_device = Some(LOOPBACK);
    kernel.place = Place::Local(LOOPBACK);
    assert_eq!(kernel.verdict(), NAMED);
    kernel.examined.device = 8;
    assert_eq!(kernel.verdict(), refused(Reason::ConnectionChanged));
}

#[test]
fn h09_a_link_local_partner_is_one_of_its_interface() {
    let link_local = |text: &str| endpoint(text);
    let (here, there) = (link_local("[fe80::1]:80"), link_local("[fe80::1]:40000"));
    let own = Entry { local: here, remote: there, device: 3, ..own() };
    let partner = Entry { local: there, remote: here, device: 3, ..partner() };
    let mut kernel = Kernel::new(Answer::Found(partner), Answer::Found(own));
    kernel.own_end = OwnEnd { local: here, remote: there, scope: 3, ..own_end() };
    assert_eq!(kernel.verdict(), NAMED);
    kernel.partner = Answer::Found(Entry { device: 4, ..partner });
    assert_eq!(kernel.verdict(), Verdict::NotInThisStack);
}

#[test]
fn h10_mapped_and_plain_addresses_are_the_same() {
    let mapped = Entry {
        local: endpoint("[::ffff:127.0.0.1]:40000"),
        remote: endpoint("[::ffff:127.0.0.1]:80"),
        ..partner()
    };
    assert_eq!(verdict_of(mapped), NAMED);
}

#[test]
fn h12_the_owner_is_the_socket_s_whatever_it_is() {
    for uid in [0, 1, 1000, 65533, 65534, u32::MAX - 1] {
        let expected = Verdict::Partner(Owner { uid, inode: INODE, cgroup: Some(5) });
        assert_eq!(verdict_of(Entry { uid, ..partner() }), expected);
    }
}

#[test]
fn h18_a_partner_that_is_no_socket_here_is_not_in_this_stack() {
    let kernel = Kernel::new(Answer::NotFound, Answer::Found(own()));
    assert_eq!(kernel.verdict(), Verdict::NotInThisStack);
}

#[test]
fn h18_an_own_end_in_another_namespace_is_said_to_be_so() {
    for own_answer in [Answer::NotFound, Answer::Found(Entry { cookie: 1, ..own() })] {
        let mut kernel = Kernel::new(Answer::Found(partner()), own_answer);
        kernel.examined.same_namespace = Some(false);
        assert_eq!(kernel.verdict(), refused(Reason::OtherNamespace));
    }
}

#[test]
fn h19_an_overflow_uid_is_nobody() {
    let mut kernel =
        Kernel::new(Answer::Found(Entry { uid: 65534, ..partner() }), Answer::Found(own()));
    kernel.trust.overflow_uid = Some(65534);
    assert_eq!(kernel.verdict(), refused(Reason::OverflowUid));
    // Where all are mapped it is the account nobody.
    kernel.trust.overflow_uid = None;
    assert!(matches!(kernel.verdict(), Verdict::Partner(Owner { uid: 65534, .. })));
}

#[test]
fn h20_a_local_address_without_a_socket_was_translated_or_is_gone() {
    let mut kernel = Kernel::new(Answer::NotFound, Answer::Found(own()));
    kernel.place = Place::Local(LOOPBACK);
    assert_eq!(kernel.verdict(), refused(Reason::AddressTranslated));
    kernel.own = Answer::Found(Entry { state: TcpState::CloseWait, ..own() });
    assert_eq!(kernel.verdict(), refused(Reason::PartnerGone));
}

#[test]
fn h20_a_translated_connection_is_refused_whatever_the_table_shows() {
    let verdict = |translation, hidden_translation| {
        let mut kernel = Kernel::new(Answer::Found(partner()), Answer::Found(own()));
        kernel.translation = translation;
        kernel.trust.hidden_translation = hidden_translation;
        kernel.verdict()
    };
    let hidden = |original: Option<&str>| Translation::Hidden { original: original.map(endpoint) };
    let translated = refused(Reason::AddressTranslated);
    let unseen = refused(Reason::TranslationHidden);
    let table = [
        (Translation::None, NAMED, NAMED),
        (Translation::Translated, translated, translated),
        (hidden(Some("127.0.0.1:8080")), translated, translated),
        (hidden(Some(HERE)), unseen, NAMED),
        (hidden(Some(THERE)), unseen, NAMED),
        (hidden(None), unseen, NAMED),
    ];
    for (translation, by_default, trusting) in table {
        assert_eq!(verdict(translation, false), by_default, "{translation:?}");
        assert_eq!(verdict(translation, true), trusting, "{translation:?}, trusted");
    }
}

#[test]
fn h23_a_socket_that_is_its_own_partner_is_named() {
    let same = Entry { remote: endpoint(HERE), inode: INODE, uid: USER, cgroup: Some(5), ..own() };
    let mut kernel = Kernel::new(Answer::Found(same), Answer::Found(same));
    kernel.own_end.remote = endpoint(HERE);
    assert_eq!(kernel.verdict(), NAMED);
}

#[test]
fn h24_a_subflow_of_an_mptcp_socket_is_known_by_its_inode() {
    let subflow = Answer::Found(Entry { cookie: 1234, inode: 99, ..own() });
    let mut kernel = Kernel::new(Answer::Found(partner()), subflow);
    kernel.examined.protocol = Protocol::Mptcp;
    assert_eq!(kernel.verdict(), NAMED);
    kernel.examined.inode = 98;
    assert_eq!(kernel.verdict(), refused(Reason::ConnectionChanged));
    // Inode 0 is nobody's, also where both have it.
    kernel.examined.inode = 0;
    kernel.own = Answer::Found(Entry { cookie: 1234, inode: 0, ..own() });
    assert_eq!(kernel.verdict(), refused(Reason::ConnectionChanged));
    // An ordinary TCP socket is never believed by its inode.
    kernel.own = subflow;
    kernel.examined = examined();
    assert_eq!(kernel.verdict(), refused(Reason::ConnectionChanged));
}

#[test]
fn h25_a_failed_lookup_is_a_failure() {
    let failed = Answer::Failed(5);
    let found = Answer::Found(own());
    assert_eq!(Kernel::new(failed, found).verdict(), Verdict::Failed(5));
    assert_eq!(Kernel::new(Answer::Found(partner()), failed).verdict(), Verdict::Failed(5));
}

#[test]
fn h26_a_table_that_does_not_show_our_live_connection_is_unsupported() {
    let kernel = Kernel::new(Answer::NotFound, Answer::NotFound);
    assert_eq!(kernel.verdict(), Verdict::Unsupported);
}

#[test]
fn another_protocol_is_not_tcp() {
    let mut kernel = Kernel::new(Answer::Found(partner()), Answer::NotFound);
    kernel.examined.protocol = Protocol::Other;
    assert_eq!(kernel.verdict(), Verdict::NotTcp);
}

mod random {
    use proptest::prelude::*;

    use super::*;

    fn any_state() -> impl Strategy<Value = TcpState> {
        prop::sample::select(vec![
            TcpState::Established,
            TcpState::SynSent,
            TcpState::SynRecv,
            TcpState::FinWait1,
            TcpState::FinWait2,
            TcpState::TimeWait,
            TcpState::Close,
            TcpState::CloseWait,
            TcpState::LastAck,
            TcpState::Listen,
            TcpState::Closing,
            TcpState::Other(0),
        ])
    }

    fn any_answer() -> impl Strategy<Value = Answer> {
        let place = || prop::sample::select(vec![HERE, THERE, "0.0.0.0:80", "0.0.0.0:0"]);
        let entry = (
            any_state(),
            place(),
            place(),
            0..3_u32,
            prop::sample::select(vec![0, 8, OWN_COOKIE]),
            prop::sample::select(vec![0, USER, 65534]),
            prop::sample::select(vec![0, 99, INODE]),
        )
            .prop_map(|(state, local, remote, device, cookie, uid, inode)| {
                let (local, remote) = (endpoint(local), endpoint(remote));
                Entry { state, local, remote, device, cookie, uid, inode, cgroup: None }
            });
        prop_oneof![
            8 => entry.prop_map(Answer::Found),
            1 => Just(Answer::NotFound),
            1 => Just(Answer::Failed(12)),
        ]
    }

    proptest! {
        /// Whatever the kernel says: a name is given only to the connected, held socket with the
        /// swapped addresses, and only while our own end is proven to be ours.
        #[test]
        fn a_name_needs_every_proof(
            partner in any_answer(),
            own in any_answer(),
            mptcp in any::<bool>(),
            same_namespace in any::<Option<bool>>(),
            connected in any::<bool>(),
            device in 0..3_u32,
            local in any::<bool>(),
        ) {
            let mut kernel = Kernel::new(partner, own);
            kernel.trust.overflow_uid = Some(65534);
            kernel.examined.protocol = if mptcp { Protocol::Mptcp } else { Protocol::Tcp };
            kernel.examined.same_namespace = same_namespace;
            kernel.examined.connected = connected;
            kernel.examined.device = device;
            kernel.place = if local { Place::Local(device) } else { Place::NotLocal };
            kernel.own_place = kernel.place;
            if let Verdict::Partner(owner) = kernel.verdict() {
                let (Answer::Found(partner), Answer::Found(own)) = (partner, own) else {
                    panic!("named without two entries")
                };
                prop_assert_eq!(partner.local, endpoint(THERE));
                prop_assert_eq!(partner.remote, endpoint(HERE));
                prop_assert_eq!((own.local, own.remote), (endpoint(HERE), endpoint(THERE)));
                prop_assert!(own.cookie == OWN_COOKIE || (mptcp && own.inode == 99));
                prop_assert!(is_live(partner.state) && is_live(own.state));
                prop_assert!(states_fit(partner.state, own.state));
                let devices = [partner.device, own.device];
                prop_assert!(devices.contains(&0) || partner.device == own.device);
                prop_assert_eq!((partner.uid, partner.inode), (owner.uid, owner.inode));
                prop_assert!(owner.inode != 0 && owner.uid != 65534);
            }
        }
    }
}
