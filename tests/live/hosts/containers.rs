//! Containers that have addresses of their own, to which their host routes.

use std::path::PathBuf;

use super::super::agent::daemon::{OPEN, Partnerd, token};
use super::super::agent::places::{addresses, attach, neighbour};
use super::super::puppet::{Puppet, connected};
use super::super::support::{Namespace, eventually, run, sysctl};
use super::site::{Authority, configuration};

crate::harness::tests![
    h18_a_partner_in_another_host_s_container_is_named_and_names_its_own,
    h18_a_container_that_is_not_served_names_nobody,
];

/// A container of the host `there`, routed to from the calling thread's namespace.
fn container(there: &Namespace) -> Namespace {
    let container = Namespace::new();
    there.run(|| {
        attach(&container, 9);
        sysctl("net/ipv4/ip_forward", "1");
        sysctl("net/ipv6/conf/all/forwarding", "1");
    });
    run("ip route add 10.7.9.0/24 via 10.7.8.2 && ip -6 route add fd07:9::/64 via fd07:8::2");
    container.run(|| {
        run("ip route add default via 10.7.9.1 && ip -6 route add default via fd07:9::1");
    });
    container
}

fn file_of(puppet: &Puppet) -> PathBuf {
    format!("/proc/{}/ns/net", puppet.pid()).into()
}

fn h18_a_partner_in_another_host_s_container_is_named_and_names_its_own() {
    let there = neighbour(8);
    let container = container(&there);
    let resident = container.run(|| Puppet::new(1));
    let authority = Authority::new("TEST.DOMAIN");
    let one = authority.start("one");
    let two = there.run(|| {
        let listed = format!("namespaces = {:?}", [file_of(&resident)]);
        Partnerd::configured(OPEN, &configuration(&listed, &authority.issue("two", &[])))
    });
    let here = one.puppet(1000);
    let inside = container.run(|| two.puppet(1001));
    let beside = there.run(|| two.puppet(1002));
    // To the container, and from it.
    for (at, server, client) in addresses(9, 2, 8080)
        .map(|at| (at, &inside, &here))
        .into_iter()
        .chain(addresses(8, 1, 8080).map(|at| (at, &here, &inside)))
    {
        let user = |puppet: &Puppet| if puppet.pid() == here.pid() { 1000 } else { 1001 };
        let (near, far) = connected(server, client, at);
        let expected = token(user(client), client);
        // It is found that the container is there, and it is listened for others in it.
        eventually("the container is asked", || far.must("anew token 5000") == expected);
        assert_eq!(near.must("anew token 5000"), token(user(server), server), "{at}");
        assert_eq!(far.must("anew user 5000"), format!("user {}", user(client)), "{at}");
        for end in [&near, &far] {
            assert_eq!(end.must("anew routing 5000"), "routing 2", "{at}");
        }
    }
    // The host of the container is asked for itself as well, and the two are on one image.
    for at in addresses(8, 1, 8081) {
        let (near, far) = connected(&here, &beside, at);
        assert_eq!(far.must("anew token 5000"), token(1002, &beside), "{at}");
        assert_eq!(near.must("anew user 5000"), "user 1000", "{at}");
    }
    for at in addresses(9, 2, 8082) {
        let (near, far) = connected(&inside, &beside, at);
        assert_eq!(far.must("anew user 5000"), "user 1002", "{at}");
        assert_eq!(far.must("anew routing 5000"), "routing 14", "{at}");
        assert_eq!(near.must("anew user 5000"), "user 1001", "{at}");
    }
}

/// Its host's agent looks at its own namespace alone.
fn h18_a_container_that_is_not_served_names_nobody() {
    let there = neighbour(8);
    let container = container(&there);
    let authority = Authority::new("TEST.DOMAIN");
    let (one, two) = (authority.start("one"), there.run(|| authority.start("two")));
    let here = one.puppet(1000);
    let inside = container.run(|| two.puppet(1001));
    for at in addresses(9, 2, 8080) {
        let (near, far) = connected(&inside, &here, at);
        assert_eq!(near.must("anew user 5000"), "Agent", "{at}");
        assert_eq!(near.must("anew routing 5000"), "routing 1", "{at}");
        assert_eq!(far.must("anew user 5000"), "StackNotServed", "{at}");
    }
}
