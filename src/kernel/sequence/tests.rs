//! What proves and what does not, from numbers; and what the running kernel says.

use proptest::prelude::*;

use super::numbers::{End, Ends};
use super::*;
use crate::kernel::Endpoint;

/// The two numbers that were drawn: the client's and the server's.
const CLIENT: u32 = 0xffff_fff0;
const SERVER: u32 = 77_000;

/// A connection by what the client and the server have sent, and how much of it has arrived and was
/// acknowledged.
#[derive(Clone, Copy, Debug)]
struct Flow {
    sent: [u32; 2],
    arrived: [u32; 2],
    acknowledged: [u32; 2],
}

const IDLE: Flow = Flow { sent: [0; 2], arrived: [0; 2], acknowledged: [0; 2] };

impl Flow {
    fn of(sent: [u32; 2], arrived: [u32; 2], acknowledged: [u32; 2]) -> Self {
        Self { sent, arrived, acknowledged }
    }

    /// Client and server, as the kernel counts: the client has its SYN acknowledged, too.
    fn ends(self) -> [End; 2] {
        let first = [CLIENT.wrapping_add(1), SERVER.wrapping_add(1)];
        [(0, 1, 1_u64), (1, 0, 0_u64)].map(|(this, other, syn): (usize, usize, u64)| End {
            received_next: first[other].wrapping_add(self.arrived[other]),
            sent_next: first[this].wrapping_add(self.sent[this]),
            unacknowledged: first[this].wrapping_add(self.acknowledged[this]),
            bytes_received: u64::from(self.arrived[other]),
            bytes_acknowledged: u64::from(self.acknowledged[this]) + syn,
        })
    }
}

/// The client's and the server's end of a connection over which nothing was sent.
pub(crate) fn idle_pair() -> [End; 2] {
    IDLE.ends()
}

/// An end that began to count elsewhere.
pub(crate) fn another(end: End) -> End {
    End {
        received_next: end.received_next.wrapping_add(1_000_000),
        sent_next: end.sent_next.wrapping_sub(5_000_000),
        unacknowledged: end.unacknowledged.wrapping_sub(5_000_000),
        ..end
    }
}

fn proves(own: End, partner: End, own_again: End) -> bool {
    Ends { own, partner, own_again }.prove_one_connection()
}

#[test]
fn both_ends_of_a_connection_prove_each_other_at_any_time() {
    for flow in [
        IDLE,
        Flow::of([5, 3], [5, 3], [5, 3]),
        // Sent and not arrived; arrived and not acknowledged.
        Flow::of([1_000, 0], [0, 0], [0, 0]),
        Flow::of([1_000, 900], [500, 900], [400, 0]),
        // Beyond the point where numbers begin anew.
        Flow::of([100, 1 << 31], [100, 1 << 31], [100, 1 << 31]),
        Flow::of([1 << 20, 1 << 20], [0, 0], [0, 0]),
    ] {
        let [client, server] = flow.ends();
        assert!(proves(server, client, server), "{flow:?}, asked by the server");
        assert!(proves(client, server, client), "{flow:?}, asked by the client");
    }
}

#[test]
fn what_moves_between_the_looks_is_taken_into_account() {
    let before = Flow::of([10, 20], [10, 20], [10, 20]).ends();
    let after = Flow::of([30, 50], [30, 50], [30, 50]).ends();
    let [client, server] = before;
    let [client_after, server_after] = after;
    // The partner is looked at when all has arrived, our own end before and after.
    assert!(proves(client, server_after, client_after));
    assert!(proves(server, client_after, server_after));
    // And the other way round, nothing that was not sent yet can have arrived.
    assert!(!proves(client, server_after, client));
    assert!(!proves(client_after, server, client));
}

#[test]
fn h18_a_stranger_with_the_same_addresses_proves_nothing() {
    let flow = Flow::of([500, 700], [500, 700], [500, 700]);
    let [client, server] = flow.ends();
    let shifted = |end: End, sent: u32, received: u32| End {
        received_next: end.received_next.wrapping_add(received),
        sent_next: end.sent_next.wrapping_add(sent),
        unacknowledged: end.unacknowledged.wrapping_add(sent),
        ..end
    };
    for (name, stranger) in [
        ("other numbers", shifted(client, 1 << 20, 1 << 25)),
        ("its own number differs", shifted(client, 3, 0)),
        ("its peer's number differs", shifted(client, 0, 3)),
        ("both, by so much that they fit in sum", shifted(client, 5, 5_u32.wrapping_neg())),
        ("our own end", server),
        // Who has sent and received until the numbers are the same began elsewhere.
        ("has sent more", End { bytes_acknowledged: client.bytes_acknowledged + 9, ..client }),
        ("has sent less", End { bytes_acknowledged: client.bytes_acknowledged - 9, ..client }),
        ("has received more", End { bytes_received: client.bytes_received + 9, ..client }),
        ("has received less", End { bytes_received: client.bytes_received - 9, ..client }),
        ("has received what we did not send", shifted(client, 0, 1)),
        (
            "has nothing",
            End {
                received_next: 0,
                sent_next: 0,
                unacknowledged: 0,
                bytes_received: 0,
                bytes_acknowledged: 0,
            },
        ),
    ] {
        assert!(!proves(server, stranger, server), "{name}");
        // From afar, one more may have been sent meanwhile.
        if name == "has received what we did not send" {
            continue;
        }
        assert!(!stranger.may_be_peer_of(&server), "{name}, as its numbers came from afar");
        assert!(!server.may_be_peer_of(&stranger), "{name}, as our numbers went there");
    }
}

#[test]
fn an_end_may_be_the_peer_of_one_that_was_looked_at_a_moment_ago() {
    let before = Flow::of([10, 20], [10, 20], [10, 20]).ends();
    let after = Flow::of([30, 50], [30, 50], [30, 50]).ends();
    let (client, server) = (0, 1);
    for (this, other) in [(client, server), (server, client)] {
        assert!(before[this].may_be_peer_of(&before[other]));
        assert!(after[this].may_be_peer_of(&before[other]));
        // Not the other way round: what it had not sent yet cannot have arrived.
        assert!(!before[this].may_be_peer_of(&after[other]));
    }
}

fn any_end() -> impl Strategy<Value = End> {
    (any::<u32>(), any::<u32>(), 0_u32..1_000_000, 0_u64..1_000_000, 0_u64..1_000_000).prop_map(
        |(received_next, sent_next, in_flight, bytes_received, bytes_acknowledged)| End {
            received_next,
            sent_next,
            unacknowledged: sent_next.wrapping_sub(in_flight),
            bytes_received,
            bytes_acknowledged,
        },
    )
}

proptest! {
    /// One in 2^62 would.
    #[test]
    fn ends_that_were_drawn_apart_prove_nothing(own in any_end(), partner in any_end()) {
        prop_assert!(!proves(own, partner, own));
    }

    #[test]
    fn whatever_has_flowed_is_proven_from_both_sides(
        sent in prop::array::uniform2(0_u32..1 << 29),
        // Parts in a thousand.
        arrived in prop::array::uniform2(0_u32..=1_000),
        acknowledged in prop::array::uniform2(0_u32..=1_000),
    ) {
        let part = |of: u32, share: u32| of / 1_000 * share;
        let arrived = [part(sent[0], arrived[0]), part(sent[1], arrived[1])];
        let acknowledged = [part(arrived[0], acknowledged[0]), part(arrived[1], acknowledged[1])];
        let [client, server] = Flow { sent, arrived, acknowledged }.ends();
        prop_assert!(proves(server, client, server));
        prop_assert!(proves(client, server, client));
    }

    #[test]
    fn any_packet_is_read_or_not(packet in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(ends) = decode(&packet) {
            // Not by chance: three states that are there.
            prop_assert!(packet.len() >= 192, "{ends:?}");
        }
    }
}

fn endpoint(text: &str) -> Endpoint {
    text.parse::<std::net::SocketAddr>().unwrap().into()
}

#[test]
fn a_question_has_both_tuples_as_their_packets_would() {
    let pair = (endpoint("10.0.0.1:80"), endpoint("10.0.0.2:5000"));
    let packet = encode(pair, [7, 9]).unwrap();
    // To our own end, from the partner.
    assert_eq!(packet[16..28], [10, 0, 0, 2, 10, 0, 0, 1, 0x13, 0x88, 0, 80]);
    assert_eq!(packet[52..56], 7_u32.to_ne_bytes());
    assert_eq!(packet[56..68], [10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 0x13, 0x88]);
    assert_eq!(packet[92..96], 9_u32.to_ne_bytes());
    assert_eq!(encode((endpoint("10.0.0.1:80"), endpoint("[::1]:5000")), [7, 9]), None);
    let six = encode((endpoint("[fd00::1]:80"), endpoint("[fd00::2]:5000")), [7, 9]).unwrap();
    assert_eq!(
        (six[16], six[31], six[47], six[48..52].to_vec()),
        (0xfd, 2, 1, vec![0x13, 0x88, 0, 80])
    );
}

#[test]
fn an_end_that_was_not_found_leaves_nothing_to_judge() {
    let mut packet = vec![0; 192];
    assert_eq!(decode(&packet), None);
    for state in [96 + 12, 128 + 12] {
        packet[state] = 1;
        assert_eq!(decode(&packet), None);
    }
    packet[160 + 12] = 1;
    assert!(decode(&packet).is_some());
    assert_eq!(decode(&packet[..191]), None);
}

mod live {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use crate::kernel::prober::Prober;
    use crate::kernel::sys::namespace;

    fn pair(at: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(at).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    #[ignore = "needs root, to load programs and to make network namespaces"]
    fn the_kernel_s_numbers_prove_a_partner_and_no_other() {
        let prober = Prober::new().unwrap();
        let here = namespace::current().unwrap();
        let here = prober.number(here.as_fd()).unwrap();
        assert_eq!(prober.number(namespace::current().unwrap().as_fd()), Ok(here), "kept");
        let look = |own: &TcpStream, partner: &TcpStream| {
            let (local, remote) = (own.local_addr().unwrap(), own.peer_addr().unwrap());
            assert_eq!(partner.local_addr().unwrap(), remote);
            prober.look((local.into(), remote.into()), [here, here]).unwrap()
        };
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let (mut client, mut server) = pair(at);
            let check = |client: &TcpStream, server: &TcpStream| {
                let proven = |ends: Option<super::Ends>| ends.unwrap().prove_one_connection();
                assert!(proven(look(client, server)) && proven(look(server, client)), "{at}");
            };
            check(&client, &server);
            client.write_all(&[1; 1_000]).unwrap();
            check(&client, &server);
            server.read_exact(&mut [0; 1_000]).unwrap();
            server.write_all(&[2; 50_000]).unwrap();
            check(&client, &server);
            client.read_exact(&mut [0; 50_000]).unwrap();
            // A FIN is a number too.
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
            check(&client, &server);

            // The ends of two connections, put together.
            let (other, other_server) = pair(at);
            let (one, two) =
                (look(&server, &client).unwrap(), look(&other_server, &other).unwrap());
            for mixed in [
                super::Ends { partner: two.partner, ..one },
                super::Ends { partner: one.partner, ..two },
            ] {
                assert!(!mixed.prove_one_connection());
            }
            // Nobody there.
            drop(client);
            drop(server);
            let local = other.local_addr().unwrap().into();
            let nobody =
                super::endpoint(if at.starts_with('[') { "[::1]:1" } else { "127.0.0.1:1" });
            let ends = prober.look((local, nobody), [here, here]);
            assert_eq!(ends, Ok(None));
        }
    }

    #[test]
    #[ignore = "needs root, to load programs and to make network namespaces"]
    fn a_number_is_one_namespace_s() {
        let prober = Prober::new().unwrap();
        let (one, two) = (namespace::new().unwrap(), namespace::new().unwrap());
        let here = namespace::current().unwrap();
        let [one, two, here] = [&one, &two, &here].map(|it| prober.number(it.as_fd()).unwrap());
        assert!(one != two && two != here && one != here);
        let (client, server) = pair("127.0.0.1:0");
        let ends = (server.local_addr().unwrap().into(), client.local_addr().unwrap().into());
        assert!(prober.look(ends, [here, here]).unwrap().is_some());
        for numbers in [[one, here], [here, two], [one, two], [9_999, here], [here, 9_999]] {
            assert_eq!(prober.look(ends, numbers), Ok(None), "{numbers:?}");
        }
    }
}
