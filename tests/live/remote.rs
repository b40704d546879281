//! Partners that are not here, while somebody here uses their addresses (H7, H18, H21, H22).

use std::net::SocketAddr;

use socket2::Socket;

use super::puppet::{Far, Puppet};
use super::support::{
    Namespace, SYN_SENT, accept, address, assert_nobody, listen, local, peer, routing, run, seen,
    sysctl, who,
};

super::tests![
    h07_a_listener_on_a_remote_partner_s_port_is_not_the_partner,
    h07_a_dual_stack_listener_on_a_remote_partner_s_port_is_not_the_partner,
    h07_a_listener_on_a_vanished_partner_s_port_is_not_the_partner,
    h18_a_partner_in_another_namespace_is_not_in_this_stack,
    h18_both_ends_refuse_and_say_outside_the_cluster,
    h21_loopback_addresses_from_outside_are_nobody,
    h22_a_socket_with_a_remote_partner_s_ipv6_address_is_never_named,
    h22_a_socket_with_a_remote_partner_s_ipv4_address_is_never_named,
];

/// A namespace behind a cable: 10.2.0.2 and fd00:2::2 there, ...1 here, routes through it.
fn neighbour() -> Namespace {
    let there = Namespace::new();
    there.cable("near", "far");
    run("ip addr add 10.2.0.1/24 dev near; ip addr add fd00:2::1/64 dev near nodad");
    there.run(|| {
        run("ip addr add 10.2.0.2/24 dev far; ip addr add fd00:2::2/64 dev far nodad");
    });
    run("ip route add default via 10.2.0.2; ip -6 route add default via fd00:2::2");
    there
}

fn here(port: u16) -> [SocketAddr; 2] {
    [
        SocketAddr::new("10.2.0.1".parse().unwrap(), port),
        SocketAddr::new("fd00:2::1".parse().unwrap(), port),
    ]
}

/// A connection from the neighbour's user 1000, from port 20000, and our end of it.
fn remote_client<'p>(client: &'p Puppet, at: SocketAddr) -> (Far<'p>, Socket) {
    let from = if at.is_ipv4() { "10.2.0.2:20000" } else { "[fd00:2::2]:20000" };
    let listener = listen(at);
    let far = client.connect_from(address(from), at);
    let server = accept(&listener);
    assert_eq!(peer(&server), address(from), "staging");
    (far, server)
}

fn h07_a_listener_on_a_remote_partner_s_port_is_not_the_partner() {
    let there = neighbour();
    let client = there.run(|| Puppet::new(1000));
    for at in here(8080) {
        let wildcard = if at.is_ipv4() { "0.0.0.0:20000" } else { "[::]:20000" };
        let other = Puppet::new(1001);
        let _listener = other.listen(address(wildcard));
        let (_far, server) = remote_client(&client, at);
        assert_eq!(who(&server), "NotInThisStack");
        assert_eq!(routing(&server), "routing 1");
    }
}

fn h07_a_dual_stack_listener_on_a_remote_partner_s_port_is_not_the_partner() {
    let there = neighbour();
    let client = there.run(|| Puppet::new(1000));
    let other = Puppet::new(1001);
    let listener = other.tcp(address("[::]:0"));
    listener.must("both-families");
    listener.bind(address("[::]:20000"));
    listener.must("listen");
    for at in here(8080) {
        let (_far, server) = remote_client(&client, at);
        assert_eq!(who(&server), "NotInThisStack");
        assert_eq!(routing(&server), "routing 1");
    }
}

/// The partner was local, and of it nothing is left but our own end.
fn h07_a_listener_on_a_vanished_partner_s_port_is_not_the_partner() {
    sysctl("net/ipv4/tcp_fin_timeout", "1");
    for at in super::support::loopbacks(8080) {
        let from = SocketAddr::new(at.ip(), 20_000);
        let listener = listen(at);
        let (first, second) = (Puppet::new(1000), Puppet::new(1001));
        let far = first.connect_from(from, at);
        let server = accept(&listener);
        assert_eq!(who(&server), "user 1000", "staging");
        far.close();
        let wildcard = if at.is_ipv4() { "0.0.0.0:20000" } else { "[::]:20000" };
        let _exact = second.listen(from);
        let third = Puppet::new(1002);
        let _wildcard = third.tcp(from).call(&format!("bind {wildcard}"));
        super::support::eventually("forgotten", || seen(from, local(&server)).is_none());
        assert_eq!(who(&server), "PartnerGone");
        assert_nobody(&routing(&server));
    }
}

fn h18_a_partner_in_another_namespace_is_not_in_this_stack() {
    let there = neighbour();
    let client = there.run(|| Puppet::new(1000));
    for at in here(8080) {
        let (_far, server) = remote_client(&client, at);
        assert_eq!(who(&server), "NotInThisStack");
        assert_eq!(routing(&server), "routing 1");
    }
}

fn h18_both_ends_refuse_and_say_outside_the_cluster() {
    let there = neighbour();
    let client = there.run(|| Puppet::new(1000));
    for at in here(8080) {
        let (far, server) = remote_client(&client, at);
        assert_eq!(far.who(), "NotInThisStack");
        // A process of this namespace with the same addresses swapped is somebody else.
        let double = Puppet::new(1001);
        let double = double.tcp(at);
        double.must("reuse");
        double.must("freebind");
        if double.call(&format!("bind {}", peer(&server))).is_ok() {
            double.must("listen");
        }
        assert_eq!(who(&server), "NotInThisStack");
    }
}

/// With `route_localnet` a packet from 127.0.0.1 may come from a cable. A policy route sends the
/// answers back there, as user-mode VPNs do.
fn h21_loopback_addresses_from_outside_are_nobody() {
    let there = Namespace::new();
    there.cable("near", "far");
    run("ip addr add 10.2.0.1/24 dev near");
    for (name, value) in [("route_localnet", "1"), ("accept_local", "1"), ("rp_filter", "0")] {
        sysctl(&format!("net/ipv4/conf/near/{name}"), value);
        sysctl(&format!("net/ipv4/conf/all/{name}"), value);
    }
    run(
        "ip route add 10.2.0.2 dev near table 50; ip route add 127.0.0.1 via 10.2.0.2 dev near table 50",
    );
    run("ip rule add pref 10 ipproto tcp sport 8080 lookup 50");
    run("ip rule add pref 100 lookup local; ip rule del pref 0");
    there.run(|| {
        sysctl("net/ipv4/conf/far/route_localnet", "1");
        run("ip addr add 10.2.0.2/24 dev far");
    });
    let listener = listen(address("0.0.0.0:8080"));
    let client = there.run(|| Puppet::new(1000));
    let from = address("127.0.0.1:20000");
    let far = client.connect_from(from, address("10.2.0.1:8080"));
    let server = accept(&listener);
    assert_eq!(peer(&server), from, "staging");
    assert_eq!(seen(from, local(&server)).map(|entry| entry.uid), None, "staging");

    assert_nobody(&who(&server));
    assert_nobody(&far.who());
    // Somebody here listens at that address; somebody tries the very same addresses.
    let (listens, connects) = (Puppet::new(1001), Puppet::new(1002));
    let newcomer = connects.tcp(from);
    newcomer.bind(from);
    newcomer.must("nonblocking");
    let _ = newcomer.connect(address("10.2.0.1:8080"));
    assert_nobody(&who(&server));
    let listener = listens.tcp(from);
    listener.must("reuse");
    if listener.call("bind 0.0.0.0:20000").is_ok() {
        let _ = listener.call("listen");
    }
    assert_nobody(&who(&server));
}

/// Without a privilege a process may bind to an address that is not its host's and connect from
/// there: it gets no answer, and sits in SYN_SENT with the addresses of the real connection.
fn h22_a_socket_with_a_remote_partner_s_ipv6_address_is_never_named() {
    let [_, at] = here(8080);
    let there = neighbour();
    let client = there.run(|| Puppet::new(1000));
    let (_far, server) = remote_client(&client, at);
    let attacker = Puppet::new(1001);
    let double = attacker.tcp(at);
    double.must("freebind");
    double.bind(peer(&server));
    double.must("nonblocking");
    double.connect(at).unwrap_err();
    let entry = seen(peer(&server), at).unwrap();
    assert_eq!((entry.state, entry.uid), (SYN_SENT, 1001), "staging");
    assert!(entry.inode != 0, "staging");
    assert_eq!(who(&server), "NotEstablished");
    assert_nobody(&routing(&server));
}

/// Over IPv4 the kernel lets nobody connect from an address that is not local; to listen there it
/// allows everybody, and an exact lookup then falls back to that listener.
fn h22_a_socket_with_a_remote_partner_s_ipv4_address_is_never_named() {
    let [at, _] = here(8080);
    let there = neighbour();
    let client = there.run(|| Puppet::new(1000));
    let (_far, server) = remote_client(&client, at);
    let (connects, listens) = (Puppet::new(1001), Puppet::new(1002));
    let double = connects.tcp(at);
    double.must("freebind");
    double.bind(peer(&server));
    double.must("nonblocking");
    let _ = double.connect(at);
    assert_nobody(&who(&server));
    double.close();
    let double = listens.tcp(at);
    double.must("freebind");
    double.bind(peer(&server));
    double.must("listen");
    assert_eq!(who(&server), "NotInThisStack");
    assert_eq!(routing(&server), "routing 1");
}
