//! A third host of the same domain, which has taken over the address of one of the other two.

use std::net::SocketAddr;

use super::super::agent::places::{addresses, number};
use super::super::puppet::connected;
use super::super::support::{Namespace, eventually, run};
use super::site::two_hosts;

crate::harness::tests![
    h18_a_third_host_is_told_nothing_of_a_connection_of_two_others,
    h18_a_third_host_in_the_partner_s_place_names_nobody_there,
];

/// A host on another cable of the calling thread's namespace, with the addresses of `.2`.
fn third() -> Namespace {
    let third = Namespace::new();
    third.cable("other", "eth0");
    third.run(|| number("eth0", 8, 2));
    run("ip -6 addr add fd07:8::1/128 dev other nodad");
    third
}

/// What is sent to `.2` goes to the third host.
fn take_over() {
    run("ip route add 10.7.8.2/32 dev other src 10.7.8.1");
    run("ip -6 route add fd07:8::2/128 dev other src fd07:8::1");
}

fn give_back() {
    run("ip route del 10.7.8.2/32 dev other && ip -6 route del fd07:8::2/128 dev other");
}

const FORGED: (i32, i32) = (1_000_000, 2_000_000);

fn forgery(from: SocketAddr, to: SocketAddr) -> String {
    let (sent, received) = FORGED;
    format!("repair {from} {to} {sent} {received}")
}

/// The third host's process has a socket with the very addresses, though not with the numbers, and
/// the third host's agent asks where the partner is, as it would for any connection.
fn h18_a_third_host_is_told_nothing_of_a_connection_of_two_others() {
    let (there, authority, one, two) = two_hosts();
    let third = third();
    let three = third.run(|| authority.start("three"));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let stranger = third.run(|| three.puppet(0));
    for at in addresses(8, 1, 8080) {
        let (near, far) = connected(&server, &client, at);
        assert_eq!(near.must("anew user 5000"), "user 1000", "staging: {at}");
        let forged = stranger.tcp(at);
        forged.must(&forgery(far.peer(), at));
        take_over();
        eventually("the third host's agent is at the address", || {
            let said = forged.must("anew user 1000");
            assert!(!said.starts_with("user"), "{at}: {said}");
            said == "Unproven"
        });
        for what in ["user", "token", "routing"] {
            for _ in 0..10 {
                let said = forged.must(&format!("anew {what} 5000"));
                assert_eq!(said, "Unproven", "{at}: {what}");
            }
        }
        // It did ask, and its host is on record for it.
        let asked = || one.audit().lines().any(|line| line.contains("\"name\":\"three\""));
        eventually("the first host was asked", asked);
        let remote = format!("\"remote\":\"{}\"", far.peer());
        for line in one.audit().lines().filter(|line| line.contains(&remote)) {
            let told = line.contains("\"told\":{");
            assert!(!(told && line.contains("\"three\"")), "{line}");
        }
        // An honest connection of it is answered.
        let honest = server.listen(at);
        let own = stranger.connect(at);
        let _far = honest.accept();
        assert_eq!(own.must("anew user 5000"), "user 1000", "{at}");
        honest.close();
        give_back();
        eventually("the partner is back", || near.must("anew user 1000") == "user 1000");
    }
}

/// The first host asks about its connection to the second, and the third one answers at the address.
fn h18_a_third_host_in_the_partner_s_place_names_nobody_there() {
    let (there, authority, one, two) = two_hosts();
    let third = third();
    let three = third.run(|| authority.start("three"));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let stranger = third.run(|| three.puppet(0));
    for at in addresses(8, 1, 8080) {
        let (_near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew user 5000"), "user 1001", "staging: {at}");
        let forged = stranger.tcp(at);
        forged.must(&forgery(far.peer(), at));
        forged.must("owner 1004");
        take_over();
        eventually("the third host's agent is asked", || {
            let said = far.must("anew user 1000");
            assert!(["user 1001", "Agent", "TimedOut", "Unproven"].contains(&&*said), "{said}");
            said == "Unproven"
        });
        for what in ["user", "token"] {
            assert_eq!(far.must(&format!("anew {what} 5000")), "Unproven", "{at}");
        }
        let asked = || three.audit().lines().any(|line| line.contains("\"name\":\"one\""));
        eventually("the third host was asked", asked);
        forged.close();
        assert_eq!(far.must("anew user 5000"), "Unproven", "{at}: nobody has such a socket");
        give_back();
        eventually("the partner is back", || far.must("anew user 1000") == "user 1001");
    }
}
