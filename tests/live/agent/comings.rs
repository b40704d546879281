//! Namespaces that come and go while questions are asked.

use super::super::support::{Namespace, address, eventually, run};
use super::daemon::{OPEN, Partnerd};
use super::places::{addresses, attach, neighbour, number};

crate::harness::tests![
    h18_namespaces_that_come_and_go_change_nobody_s_name,
    h18_an_address_that_moves_to_another_namespace_is_followed,
    h18_more_namespaces_than_are_looked_at_name_nobody_wrongly,
    a_namespace_that_everybody_has_left_goes_away,
    a_namespace_that_was_left_goes_away_while_others_are_asked_about,
];

const QUESTIONS: u32 = 3_000;

fn h18_namespaces_that_come_and_go_change_nobody_s_name() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let standing = agent.puppet(1000);
    let client = there.run(|| agent.puppet(1001));
    let server = agent.puppet(1002);
    let [at, _] = addresses(1, 1, 8080);
    let listener = standing.listen(at);
    let _near = client.connect(at);
    let of_client = listener.accept();
    let asked = format!("many {QUESTIONS} 5000 {}", of_client.id());
    standing.send(&asked);
    for n in 10..30_u8 {
        let passing = Namespace::new();
        attach(&passing, n);
        let uid = 2000 + u32::from(n);
        let guest = passing.run(|| agent.puppet(uid));
        for at in addresses(n, 1, 8000 + u16::from(n)) {
            let listener = server.listen(at);
            let near = guest.connect(at);
            let far = listener.accept();
            assert_eq!(far.must("anew user 5000"), format!("user {uid}"), "{at}");
            assert_eq!(near.must("anew user 5000"), "user 1002", "{at}");
        }
    }
    assert_eq!(standing.reply(&asked).unwrap(), format!("user 1001={QUESTIONS}"));
    // Nobody is in them any more.
    eventually("all cables but one are gone", || cables() == 1);
    assert_eq!(of_client.must("anew user 5000"), "user 1001");
}

/// Where a partner's address was found is where it is looked for first.
fn h18_an_address_that_moves_to_another_namespace_is_followed() {
    run("ip link add bridge type bridge && ip link set bridge up");
    number("bridge", 3, 3);
    let places = [Namespace::new(), Namespace::new()];
    for (n, place) in places.iter().enumerate() {
        place.cable(&format!("port{n}"), "eth0");
        run(&format!("ip link set port{n} master bridge"));
    }
    let agent = Partnerd::start(OPEN);
    let server = agent.puppet(1000);
    let clients: Vec<_> =
        (1001..).zip(&places).map(|(uid, place)| place.run(|| agent.puppet(uid))).collect();
    let listeners = addresses(3, 3, 8080).map(|at| (at, server.listen(at)));
    let mut earlier = Vec::new();
    for turn in 0..6 {
        let (place, client) = (&places[turn % 2], &clients[turn % 2]);
        places[(turn + 1) % 2].run(|| run("ip addr flush dev eth0"));
        place.run(|| number("eth0", 3, 1));
        run("ip neigh flush dev bridge");
        for (at, listener) in &listeners {
            let near = client.tcp(*at);
            eventually("it connects", || near.connect(*at).is_ok());
            let far = listener.accept();
            let right = format!("user {}", 1001 + turn % 2);
            assert_eq!(far.must("anew user 5000"), right, "{at}, turn {turn}");
            earlier.push((right, far, near));
        }
        // And those that were there before.
        for (right, far, _near) in &earlier {
            assert_eq!(far.must("anew user 5000"), *right, "turn {turn}");
        }
    }
}

fn h18_more_namespaces_than_are_looked_at_name_nobody_wrongly() {
    let agent = Partnerd::configured(OPEN, "[limits]\nnamespaces = 2");
    let server = agent.puppet(1000);
    let places: Vec<_> = (1..=6).map(|n| (n, neighbour(n))).collect();
    let clients: Vec<_> = places
        .iter()
        .map(|(n, place)| (*n, place.run(|| agent.puppet(1000 + u32::from(*n)))))
        .collect();
    let ends: Vec<_> = clients
        .iter()
        .map(|(n, client)| {
            let [at, _] = addresses(*n, 1, 8080);
            let listener = server.listen(at);
            let near = client.connect(at);
            (n, listener.accept(), near)
        })
        .collect();
    for _ in 0..3 {
        for (n, far, near) in &ends {
            let said = far.must("anew user 5000");
            let right = format!("user {}", 1000 + u32::from(**n));
            assert!([&right, "OutsideCluster"].contains(&&*said), "{n}: {said}");
            // Who asks from there has its namespace looked at; the partner's is the agent's own.
            assert_eq!(near.must("anew user 5000"), "user 1000");
        }
    }
}

fn a_namespace_that_everybody_has_left_goes_away() {
    let agent = Partnerd::start(OPEN);
    let server = agent.puppet(1000);
    let listener = server.listen(address("[::]:8080"));
    let there = neighbour(1);
    let client = there.run(|| agent.puppet(1001));
    let near = client.connect(address("10.7.1.1:8080"));
    let far = listener.accept();
    assert_eq!(near.must("anew token 5000").split(" holders").next(), Some("user 1000"));
    assert_eq!(far.must("ask user 5000"), "user 1001");
    assert_eq!(cables(), 1, "staging");
    client.kill();
    drop(there);
    eventually("the cable is gone", || cables() == 0);
    // It was looked for everywhere just now, and keeps nothing alive by that either.
    let said = far.must("anew user 5000");
    assert!(["OutsideCluster", "PartnerGone", "NotConnected"].contains(&&*said), "{said}");
}

fn a_namespace_that_was_left_goes_away_while_others_are_asked_about() {
    let agent = Partnerd::start(OPEN);
    let server = agent.puppet(1000);
    let (staying, leaving) = (neighbour(1), neighbour(2));
    let stays = staying.run(|| agent.puppet(1001));
    let leaves = leaving.run(|| agent.puppet(1002));
    let listener = server.listen(address("[::]:8080"));
    let _near = stays.connect(address("10.7.1.1:8080"));
    let of_staying = listener.accept();
    leaves.connect(address("10.7.2.1:8080"));
    let of_leaving = listener.accept();
    assert_eq!(of_leaving.must("anew user 5000"), "user 1002");
    drop((leaves, leaving));
    eventually("its cable is gone", || {
        assert_eq!(of_staying.must("anew user 5000"), "user 1001");
        cables() == 1
    });
}

/// Near ends of cables in the calling thread's namespace. One is gone with the namespace of its
/// other end.
fn cables() -> usize {
    let links = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    links.lines().filter(|line| line.trim_start().starts_with("near")).count()
}
