//! The same addresses and ports in several namespaces at once (H18).

use std::net::SocketAddr;

use super::super::puppet::{Far, connected_from};
use super::super::support::{ESTABLISHED, Namespace, SYN_SENT, eventually, run, seen};
use super::daemon::{OPEN, Partnerd};
use super::places::{addresses, be_both_hosts, number};

crate::harness::tests![
    h18_twins_are_each_named_by_their_own_partner,
    h18_a_stranger_with_the_tuple_of_a_partner_that_was_killed_is_not_named,
    h18_a_stranger_with_the_tuple_of_a_partner_whose_namespace_is_gone_is_not_named,
    h18_a_forged_pair_in_a_namespace_of_one_s_own_is_not_named,
    h18_a_stranger_in_the_agent_s_own_namespace_is_not_named,
    h06_a_newcomer_in_another_namespace_is_passed_over,
];

/// Two namespaces with a cable between them: host 1 and host 2 of network 9, as in every such pair.
fn pair() -> [Namespace; 2] {
    let [one, two] = [Namespace::new(), Namespace::new()];
    one.run(|| {
        two.cable("eth0", "eth0");
        number("eth0", 9, 1);
    });
    two.run(|| number("eth0", 9, 2));
    [one, two]
}

/// The same two ends in every pair, server and client.
fn ends() -> [(SocketAddr, SocketAddr); 2] {
    ends_with(20_000)
}

fn ends_with(port: u16) -> [(SocketAddr, SocketAddr); 2] {
    let (servers, clients) = (addresses(9, 1, 8080), addresses(9, 2, port));
    [(servers[0], clients[0]), (servers[1], clients[1])]
}

fn h18_twins_are_each_named_by_their_own_partner() {
    let agent = Partnerd::start(OPEN);
    let pairs = [pair(), pair(), pair()];
    let puppets: Vec<_> = (1..)
        .zip(&pairs)
        .map(|(n, [one, two])| {
            let server = one.run(|| agent.puppet(1000 + n));
            (server, two.run(|| agent.puppet(2000 + n)))
        })
        .collect();
    for both in ends() {
        let twins: Vec<_> =
            puppets.iter().map(|(server, client)| connected_from(server, client, both)).collect();
        let right = |n: usize, (near, far): &(Far, Far)| {
            assert_eq!(far.must("anew user 5000"), format!("user {}", 2001 + n), "{both:?}");
            assert_eq!(near.must("anew user 5000"), format!("user {}", 1001 + n), "{both:?}");
        };
        for _ in 0..5 {
            for (n, twin) in twins.iter().enumerate() {
                right(n, twin);
            }
            for (n, twin) in twins.iter().enumerate().rev() {
                right(n, twin);
            }
        }
        let said: Vec<_> = twins.iter().map(|(_, far)| far.must("anew token 5000")).collect();
        for (n, (said, (_, client))) in said.iter().zip(&puppets).enumerate() {
            assert_eq!(*said, super::daemon::token(u32::try_from(2001 + n).unwrap(), client));
        }
    }
}

fn is_there(link: &str) -> bool {
    let links = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    links.lines().any(|line| line.trim_start().starts_with(&format!("{link}:")))
}

/// Ends that do not hear of the other's end: the cable is cut before.
fn cut(there: &Namespace) {
    there.run(|| run("ip link set eth0 down"));
}

fn h18_a_stranger_with_the_tuple_of_a_partner_that_was_killed_is_not_named() {
    let agent = Partnerd::start(OPEN);
    for asked_before in [false, true] {
        for both in ends() {
            let ([one, two], [other, another]) = (pair(), pair());
            let server = one.run(|| agent.puppet(1000));
            let client = two.run(|| agent.puppet(1001));
            let other_server = other.run(|| agent.puppet(1002));
            let stranger = another.run(|| agent.puppet(1003));
            let (_near, far) = connected_from(&server, &client, both);
            let (_strange, _of_stranger) = connected_from(&other_server, &stranger, both);
            if asked_before {
                assert_eq!(far.must("anew user 5000"), "user 1001");
            }
            cut(&two);
            client.kill();
            for _ in 0..10 {
                let said = far.must("anew user 5000");
                assert!(["PartnerGone", "Unproven"].contains(&&*said), "{said}");
            }
            let (at, from) = both;
            let state = one.run(|| seen(at, from).map(|entry| entry.state));
            assert_eq!(state, Some(ESTABLISHED), "staging");
        }
    }
}

fn h18_a_stranger_with_the_tuple_of_a_partner_whose_namespace_is_gone_is_not_named() {
    let agent = Partnerd::start(OPEN);
    for both in ends() {
        let ([one, two], [other, another]) = (pair(), pair());
        let server = one.run(|| agent.puppet(1000));
        let client = two.run(|| agent.puppet(1001));
        let other_server = other.run(|| agent.puppet(1002));
        let stranger = another.run(|| agent.puppet(1003));
        let (near, far) = connected_from(&server, &client, both);
        let (_strange, of_stranger) = connected_from(&other_server, &stranger, both);
        assert_eq!(far.must("anew user 5000"), "user 1001");
        cut(&two);
        near.reset();
        client.kill();
        drop(two);
        eventually("its cable is gone", || one.run(|| !is_there("eth0")));
        for _ in 0..10 {
            assert_eq!(far.must("anew user 5000"), "Unproven");
        }
        assert_eq!(of_stranger.must("anew user 5000"), "user 1003");
        let (at, from) = both;
        let state = one.run(|| seen(at, from).map(|entry| entry.state));
        assert_eq!(state, Some(ESTABLISHED), "staging");
    }
}

/// What any user can make: the partner's address, and a connection with the partner's tuple.
fn h18_a_forged_pair_in_a_namespace_of_one_s_own_is_not_named() {
    let agent = Partnerd::start(OPEN);
    for both in ends() {
        let [one, two] = pair();
        let server = one.run(|| agent.puppet(1000));
        let client = two.run(|| agent.puppet(1001));
        let forger = agent.puppet(1004);
        be_both_hosts(&forger, 9);
        let (forged_near, _forged_far) = connected_from(&forger, &forger, both);
        let (near, far) = connected_from(&server, &client, both);
        assert_eq!((forged_near.local(), forged_near.peer()), (both.1, both.0), "staging");
        for _ in 0..10 {
            assert_eq!(far.must("anew user 5000"), "user 1001");
            assert_eq!(near.must("anew user 5000"), "user 1000");
        }
        cut(&two);
        near.reset();
        for _ in 0..10 {
            assert_eq!(far.must("anew user 5000"), "Unproven");
        }
    }
}

fn h18_a_stranger_in_the_agent_s_own_namespace_is_not_named() {
    let agent = Partnerd::start(OPEN);
    run("ip link add eth0 type bridge && ip link set eth0 up");
    for host in [1, 2] {
        number("eth0", 9, host);
    }
    for both in ends() {
        let [one, two] = pair();
        let server = one.run(|| agent.puppet(1000));
        let client = two.run(|| agent.puppet(1001));
        let (here, stranger) = (agent.puppet(1002), agent.puppet(1003));
        let (near, far) = connected_from(&server, &client, both);
        let (strange, of_stranger) = connected_from(&here, &stranger, both);
        for _ in 0..5 {
            assert_eq!(far.must("anew user 5000"), "user 1001");
            assert_eq!(of_stranger.must("anew user 5000"), "user 1003");
        }
        cut(&two);
        near.reset();
        for _ in 0..10 {
            assert_eq!(far.must("anew user 5000"), "Unproven");
        }
        strange.reset();
    }
}

/// It has the partner's tuple, and no connection.
fn h06_a_newcomer_in_another_namespace_is_passed_over() {
    let agent = Partnerd::start(OPEN);
    // Other tests have such pairs at the same time, and the agent looks at them as well.
    let port = 30_000 + u16::try_from(std::process::id() % 20_000).unwrap();
    for both in ends_with(port) {
        let ([one, two], [_other, another]) = (pair(), pair());
        let server = one.run(|| agent.puppet(1000));
        let client = two.run(|| agent.puppet(1001));
        let newcomer = another.run(|| {
            // Nobody answers there.
            for host in ["10.7.9.1", "fd07:9::1"] {
                let nowhere = "lladdr 02:00:00:00:00:99 dev eth0 nud permanent";
                run(&format!("ip neigh replace {host} {nowhere}"));
            }
            agent.puppet(1003)
        });
        let (near, far) = connected_from(&server, &client, both);
        let (at, from) = both;
        let trying = newcomer.tcp(from);
        trying.bind(from);
        trying.must("nonblocking");
        assert!(trying.connect(at).is_err());
        assert_eq!(another.run(|| seen(from, at)).unwrap().state, SYN_SENT, "staging");
        assert_eq!(far.must("anew user 5000"), "user 1001");
        cut(&two);
        near.reset();
        // Nor does it make a doubt.
        assert_eq!(far.must("anew user 5000"), "OutsideCluster");
        assert_eq!(another.run(|| seen(from, at)).unwrap().state, SYN_SENT, "staging");
    }
}
