//! Who is the partner in another network namespace, over each kind of network between the two.

use std::net::SocketAddr;

use super::super::puppet::Puppet;
use super::super::support::{Namespace, address, eventually, run};
use super::daemon::{OPEN, Partnerd, gap, token};
use super::places::{addresses, neighbour, number, routed, two_stacks};

crate::harness::tests![
    h18_a_partner_in_another_namespace_is_named,
    h18_partners_on_a_bridge_are_named,
    h18_partners_on_macvlans_are_named,
    h18_partners_behind_a_router_are_named,
    h10_a_v4_mapped_partner_in_another_namespace_is_named,
    h09_a_partner_bound_to_a_device_in_another_namespace_is_refused,
    h24_an_mptcp_partner_in_another_namespace_is_named,
    h12_h14_a_token_across_namespaces_lists_all_holders,
];

fn h18_a_partner_in_another_namespace_is_named() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    for at in addresses(1, 1, 8080) {
        name_each_other(&server, &client, at, [1000, 1001]);
    }
    // And the other way round: what is in the agent's own namespace connects.
    for at in addresses(1, 2, 8081) {
        name_each_other(&client, &server, at, [1001, 1000]);
    }
}

/// Two containers and their host.
fn h18_partners_on_a_bridge_are_named() {
    let [one, two] = [Namespace::new(), Namespace::new()];
    run("ip link add bridge type bridge && ip link set bridge up");
    for (container, n) in [(&one, 1), (&two, 2)] {
        container.cable(&format!("port{n}"), "eth0");
        run(&format!("ip link set port{n} master bridge"));
        container.run(|| number("eth0", 3, n));
    }
    number("bridge", 3, 3);
    let agent = Partnerd::start(OPEN);
    let server = one.run(|| agent.puppet(1000));
    let client = two.run(|| agent.puppet(1001));
    let host = agent.puppet(1002);
    for at in addresses(3, 1, 8080) {
        name_each_other(&server, &client, at, [1000, 1001]);
        name_each_other(&server, &host, at, [1000, 1002]);
    }
    for at in addresses(3, 3, 8080) {
        name_each_other(&host, &client, at, [1002, 1001]);
    }
}

/// The parent is in a third namespace, in which neither has a socket.
fn h18_partners_on_macvlans_are_named() {
    let [one, two] = [Namespace::new(), Namespace::new()];
    let cable = Namespace::new();
    cable.cable("parent", "other");
    for (container, n) in [(&one, 1), (&two, 2)] {
        run(&format!("ip link add mac{n} link parent type macvlan mode bridge"));
        container.take(&format!("mac{n}"));
        container.run(|| {
            run(&format!("ip link set mac{n} up"));
            number(&format!("mac{n}"), 4, n);
        });
    }
    let agent = Partnerd::start(OPEN);
    let server = one.run(|| agent.puppet(1000));
    let client = two.run(|| agent.puppet(1001));
    for at in addresses(4, 1, 8080) {
        name_each_other(&server, &client, at, [1000, 1001]);
    }
}

/// The two share no link.
fn h18_partners_behind_a_router_are_named() {
    let [one, two] = routed();
    let agent = Partnerd::start(OPEN);
    let server = one.run(|| agent.puppet(1000));
    let client = two.run(|| agent.puppet(1001));
    for at in addresses(1, 2, 8080) {
        name_each_other(&server, &client, at, [1000, 1001]);
    }
}

fn h10_a_v4_mapped_partner_in_another_namespace_is_named() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    // A listener of both families, and a client whose socket is of the other one.
    let listener = server.tcp(address("[::]:0"));
    listener.must("both-families");
    listener.bind(address("[::]:8080"));
    listener.must("listen");
    for (mapped, to) in [(false, "10.7.1.1:8080"), (true, "[::ffff:10.7.1.1]:8080")] {
        let near = client.tcp(address(to));
        if mapped {
            near.must("both-families");
        }
        near.connect(address(to)).unwrap();
        let far = listener.accept();
        assert_eq!(far.peer().ip().to_canonical(), address("10.7.1.2:0").ip(), "staging");
        assert_eq!(far.must("anew user 5000"), "user 1001", "{to}");
        assert_eq!(near.must("anew user 5000"), "user 1000", "{to}");
        assert_eq!(far.must("anew token 5000"), token(1001, &client), "{to}");
        assert_eq!(near.must("anew token 5000"), token(1000, &server), "{to}");
    }
}

/// Interfaces have other numbers there, so such a socket is not found; and nobody is named for it.
fn h09_a_partner_bound_to_a_device_in_another_namespace_is_refused() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let server = agent.puppet(1000);
    let client = there.run(|| agent.puppet(0));
    for at in addresses(1, 1, 8080) {
        let listener = server.listen(at);
        let near = client.tcp(at);
        near.must("device far1");
        near.connect(at).unwrap();
        let far = listener.accept();
        for end in [&far, &near] {
            let said = end.must("anew user 5000");
            assert!(["OutsideCluster", "Unproven"].contains(&&*said), "{at}: {said}");
        }
    }
}

fn h24_an_mptcp_partner_in_another_namespace_is_named() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    for at in addresses(1, 1, 8080) {
        let listener = server.socket(at, "mptcp");
        listener.bind(at);
        listener.must("listen");
        let near = client.socket(at, "mptcp");
        near.connect(at).unwrap();
        let far = listener.accept();
        assert_eq!(far.must("anew user 5000"), "user 1001", "{at}");
        assert_eq!(near.must("anew user 5000"), "user 1000", "{at}");
    }
}

/// The owner of the socket is the one thing, the processes that hold it another.
fn h12_h14_a_token_across_namespaces_lists_all_holders() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let server = agent.puppet(1000);
    let client = there.run(|| agent.puppet(0));
    let [at, _] = addresses(1, 1, 8080);
    let listener = server.listen(at);
    let near = client.connect(at);
    near.must("owner 1001");
    let far = listener.accept();
    let first = format!("{}=0", client.pid());
    assert_eq!(far.must("anew token 5000"), format!("user 1001 holders {first} gap {}", gap()));
    near.must("share 1002");
    let said = far.must("anew token 5000");
    let mut holders: Vec<_> = said.split(' ').nth(3).unwrap().split(',').collect();
    assert!(said.starts_with("user 1001 ") && said.ends_with(&format!(" gap {}", gap())), "{said}");
    holders.retain(|one| *one != first);
    assert!(holders.len() == 1 && holders[0].ends_with("=1002"), "{said}");
}

/// Both ends ask about each other, and are told all there is to tell.
fn name_each_other(server: &Puppet, client: &Puppet, at: SocketAddr, uids: [u32; 2]) {
    let listener = server.listen(at);
    let near = client.tcp(at);
    // A bridge or a neighbour may still be about to learn who is where.
    eventually("it connects", || near.connect(at).is_ok());
    let far = listener.accept();
    assert_eq!(far.must("anew user 5000"), format!("user {}", uids[1]), "{at}");
    assert_eq!(near.must("anew user 5000"), format!("user {}", uids[0]), "{at}");
    assert_eq!(far.must("anew token 5000"), token(uids[1], client), "{at}");
    assert_eq!(near.must("anew token 5000"), token(uids[0], server), "{at}");
    assert_eq!(far.must("anew routing 5000"), "routing 14", "{at}");
    assert_eq!(near.must("anew routing 5000"), "routing 14", "{at}");
    near.close();
    far.close();
    listener.close();
}
