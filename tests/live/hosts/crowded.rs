//! Many that connect to an agent's port and say nothing, or not enough.

use std::net::SocketAddr;

use super::super::agent::places::{addresses, attach, neighbour};
use super::super::puppet::{Puppet, connected};
use super::super::support::{Namespace, eventually};
use super::site::{Authority, two_hosts};

crate::harness::tests![
    what_says_nothing_takes_no_place_of_a_handshake,
    a_crowd_that_says_nothing_to_an_agent_s_port_holds_up_no_answer,
    a_crowd_at_the_asking_host_s_own_address_holds_up_no_answer,
];

/// Where agents listen.
const PORT: u16 = 0xf612;
/// The beginning of a TLS handshake, of which 74 more bytes are to come.
const BEGINNING: &str = "\u{16}\u{3}\u{1}\u{0}P\u{1}";

/// What a handshake takes is made when its first byte is here.
fn what_says_nothing_takes_no_place_of_a_handshake() {
    let there = neighbour(8);
    let authority = Authority::new("TEST.DOMAIN");
    let one = authority.start("one");
    let stranger = there.run(|| Puppet::new(1002));
    let [v4, v6] = addresses(8, 1, PORT);
    let (_silent, begun) = (stranger.connect(v4), stranger.connect(v6));
    begun.must(&format!("send {BEGINNING}"));
    eventually("both are given up", || one.audit().lines().count() == 2);
    let audit = one.audit();
    let why = |address: SocketAddr| {
        let here = format!("\"address\":\"{}\"", address.ip());
        audit.lines().find(|line| line.contains(&here)).unwrap()
    };
    let [v4, v6] = addresses(8, 2, 0);
    assert!(why(v4).contains("it said nothing"), "{audit}");
    assert!(why(v6).contains("it did not finish the handshake"), "{audit}");
}

/// The crowd is at an address of its own.
fn a_crowd_that_says_nothing_to_an_agent_s_port_holds_up_no_answer() {
    let there = neighbour(8);
    let elsewhere = Namespace::new();
    attach(&elsewhere, 9);
    let authority = Authority::new("TEST.DOMAIN");
    let (one, two) = (authority.start("one"), there.run(|| authority.start("two")));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    for (at, port) in addresses(8, 1, 8080).into_iter().zip(addresses(9, 1, PORT)) {
        eventually("nobody is left of the last", || one.descriptors() < 64);
        let idle = elsewhere.run(|| Puppet::new(0));
        idle.must("descriptors");
        idle.must(&format!("crowd {port} 1000"));
        // The last of them: they have pushed the others out.
        eventually("they are taken", || one.descriptors() >= 64);
        let unfinished = elsewhere.run(|| Puppet::new(0));
        let begun: Vec<_> = (0..50).map(|_| begin(&unfinished, port)).collect();
        assert_eq!(begun.len(), 50);
        let (near, far) = connected(&server, &client, at);
        for _ in 0..20 {
            assert_eq!(near.must("anew user 5000"), "user 1000", "{at}");
            assert_eq!(far.must("anew user 5000"), "user 1001", "{at}");
        }
    }
}

fn begin(puppet: &Puppet, port: SocketAddr) -> String {
    let socket = puppet.connect(port);
    // It may have been closed: there are too many already.
    let _ = socket.call(&format!("send {BEGINNING}"));
    socket.id().into()
}

/// Programs of the asking host connect from the address from which its agent does, and would keep
/// it out if they held the places of its address.
fn a_crowd_at_the_asking_host_s_own_address_holds_up_no_answer() {
    let (there, _authority, one, two) = two_hosts();
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    for (at, port) in addresses(8, 1, 8080).into_iter().zip(addresses(8, 1, PORT)) {
        let idle = there.run(|| Puppet::new(1002));
        idle.must(&format!("crowd {port} 500"));
        let begun: Vec<_> = (0..50).map(|_| begin(&idle, port)).collect();
        assert_eq!(begun.len(), 50);
        let (near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew user 5000"), "user 1001", "{at}");
        for _ in 0..20 {
            assert_eq!(near.must("anew user 5000"), "user 1000", "{at}");
        }
    }
}
