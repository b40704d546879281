//! Sockets bound to interfaces, link-local addresses, and IPv4 inside IPv6 (H9, H10).

use std::net::SocketAddr;

use super::puppet::Puppet;
use super::support::{
    Namespace, accept, address, assert_nobody, connect, listen, local, loopbacks, peer, run, state,
    tcp, who,
};

super::tests![
    h09_a_partner_bound_to_loopback_is_answered,
    h09_a_partner_bound_to_the_interface_of_its_address_is_answered,
    h09_a_server_bound_to_an_interface_is_answered,
    h09_both_bound_to_an_interface_are_answered,
    h09_link_local_addresses_are_answered_on_their_own_link,
    h09_a_double_bound_to_another_interface_is_not_named,
    h09_the_same_address_on_two_interfaces_is_two_places,
    h10_an_ipv4_client_of_a_dual_stack_listener,
    h10_a_mapped_client_of_an_ipv4_listener,
    h10_mapped_on_both_sides,
];

/// An interface with addresses of its own, for as long as the other end of its cable lives.
#[must_use]
fn cable() -> Namespace {
    let idle = Namespace::new();
    idle.cable("cable0", "cable1");
    run("ip addr add 10.1.0.1/24 dev cable0");
    run("ip addr add fd00:1::1/64 dev cable0 nodad");
    idle
}

fn on_cable(port: u16) -> [SocketAddr; 2] {
    [
        SocketAddr::new("10.1.0.1".parse().unwrap(), port),
        SocketAddr::new("fd00:1::1".parse().unwrap(), port),
    ]
}

/// A server of the test's own and a client of 1000, each bound to a device or not; both ask.
fn ask_both(at: SocketAddr, server_device: Option<&str>, client_device: Option<&str>) {
    let listener = tcp(at);
    listener.set_reuse_address(true).unwrap();
    listener.bind_device(server_device.map(str::as_bytes)).unwrap();
    listener.bind(&at.into()).unwrap();
    listener.listen(16).unwrap();
    let client = Puppet::new(1000);
    let far = client.tcp(at);
    if let Some(device) = client_device {
        far.must(&format!("device {device}"));
    }
    far.connect(at).unwrap();
    let server = accept(&listener);
    assert_eq!(who(&server), "user 1000", "{at} {server_device:?} {client_device:?}");
    assert_eq!(far.who(), "user 0", "{at} {server_device:?} {client_device:?}");
}

fn h09_a_partner_bound_to_loopback_is_answered() {
    for at in loopbacks(8080) {
        ask_both(at, None, Some("lo"));
    }
}

fn h09_a_partner_bound_to_the_interface_of_its_address_is_answered() {
    let _other_end = cable();
    for at in on_cable(8080) {
        ask_both(at, None, Some("cable0"));
    }
}

fn h09_a_server_bound_to_an_interface_is_answered() {
    let _other_end = cable();
    for at in loopbacks(8080) {
        ask_both(at, Some("lo"), None);
    }
    for at in on_cable(8080) {
        ask_both(at, Some("cable0"), None);
    }
}

fn h09_both_bound_to_an_interface_are_answered() {
    let _other_end = cable();
    for at in loopbacks(8080) {
        ask_both(at, Some("lo"), Some("lo"));
    }
    for at in on_cable(8080) {
        ask_both(at, Some("cable0"), Some("cable0"));
    }
}

/// Two links, `cable0` and `cable2`, with the same link-local address.
pub(crate) fn twin_links() -> Namespace {
    let idle = Namespace::new();
    for (index, link) in ["cable0", "cable2"].into_iter().enumerate() {
        idle.cable(link, &format!("far{index}"));
        run(&format!("ip addr add fe80::7/64 dev {link} nodad"));
    }
    idle
}

/// That address, on one of them.
pub(crate) fn on_twin_link(link: &str, port: u16) -> SocketAddr {
    let table = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap();
    let line = table.lines().find(|line| line.ends_with(link)).unwrap();
    let index = u32::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
    address(&format!("[fe80::7%{index}]:{port}"))
}

/// Two interfaces with the same link-local address: the tuple alone does not tell them apart.
fn h09_link_local_addresses_are_answered_on_their_own_link() {
    let _idle = twin_links();
    let at = on_twin_link;
    let (first, second) = (Puppet::new(1000), Puppet::new(1001));
    let listener_0 = listen(at("cable0", 8080));
    let far_0 = first.connect_from(at("cable0", 20_000), at("cable0", 8080));
    let server_0 = accept(&listener_0);
    let listener_2 = listen(at("cable2", 8080));
    let far_2 = second.connect_from(at("cable2", 20_000), at("cable2", 8080));
    let server_2 = accept(&listener_2);
    for _ in 0..3 {
        assert_eq!(who(&server_0), "user 1000");
        assert_eq!(who(&server_2), "user 1001");
    }
    assert_eq!((far_0.who(), far_2.who()), ("user 0".into(), "user 0".into()));
    far_0.close();
    assert_nobody(&who(&server_0));
    assert_eq!(who(&server_2), "user 1001");
}

/// A second socket may take the addresses of a device-bound one, if it is bound to nothing or to
/// something else: the kernel counts them as different.
fn h09_a_double_bound_to_another_interface_is_not_named() {
    let _other_end = cable();
    for at in loopbacks(8080) {
        let listener = listen(at);
        let (first, second) = (Puppet::new(1000), Puppet::new(1001));
        let from = SocketAddr::new(at.ip(), 20_000);
        let far = first.tcp(from);
        far.must("device lo");
        far.bind(from);
        far.connect(at).unwrap();
        let server = accept(&listener);
        assert_eq!(who(&server), "user 1000");
        for device in [None, Some("cable0")] {
            let double = second.tcp(from);
            if let Some(device) = device {
                double.must(&format!("device {device}"));
            }
            double.must("reuse");
            if double.call(&format!("bind {from}")).is_err() {
                continue;
            }
            double.must("nonblocking");
            let _ = double.connect(at);
            for _ in 0..20 {
                let said = who(&server);
                assert_ne!(said, "user 1001", "bound to {device:?}");
            }
        }
    }
}

/// One address on two interfaces, and a server on each of them: two connections may have all four
/// numbers in common, and only the interface tells them apart.
fn h09_the_same_address_on_two_interfaces_is_two_places() {
    let idle = Namespace::new();
    for (index, link) in ["cable0", "cable2"].into_iter().enumerate() {
        idle.cable(link, &format!("far{index}"));
        run(&format!("ip addr add 10.1.0.1/32 dev {link}"));
    }
    let at = address("10.1.0.1:8080");
    let from = address("10.1.0.1:20000");
    let listen_on = |device: &str| {
        let listener = tcp(at);
        listener.set_reuse_address(true).unwrap();
        listener.bind_device(Some(device.as_bytes())).unwrap();
        listener.bind(&at.into()).unwrap();
        listener.listen(16).unwrap();
        listener
    };
    let (on_0, on_2) = (listen_on("cable0"), listen_on("cable2"));
    let (first, second) = (Puppet::new(1000), Puppet::new(1001));
    let far_2 = second.tcp(from);
    far_2.must("device cable2");
    far_2.bind(from);
    far_2.connect(at).unwrap();
    let server_2 = accept(&on_2);
    assert_eq!(who(&server_2), "user 1001");
    // Bound to no interface, it goes by the first one.
    let far_0 = first.tcp(from);
    far_0.bind(from);
    far_0.connect(at).unwrap();
    let server_0 = accept(&on_0);
    assert_eq!((peer(&server_0), local(&server_0)), (peer(&server_2), local(&server_2)), "staging");

    assert_ne!(who(&server_0), "user 1001");
    assert_ne!(who(&server_2), "user 1000");
}

fn h10_an_ipv4_client_of_a_dual_stack_listener() {
    let listener = tcp(address("[::]:0"));
    listener.set_only_v6(false).unwrap();
    listener.bind(&address("[::]:8080").into()).unwrap();
    listener.listen(16).unwrap();
    let client = Puppet::new(1000);
    let far = client.connect(address("127.0.0.1:8080"));
    let server = accept(&listener);
    assert!(peer(&server).is_ipv6(), "staging");
    assert_eq!(who(&server), "user 1000");
    assert_eq!(far.who(), "user 0");
}

fn h10_a_mapped_client_of_an_ipv4_listener() {
    let listener = listen(address("127.0.0.1:8080"));
    let client = Puppet::new(1000);
    let far = client.tcp(address("[::]:0"));
    far.must("both-families");
    far.connect(address("[::ffff:127.0.0.1]:8080")).unwrap();
    let server = accept(&listener);
    assert!(peer(&server).is_ipv4(), "staging");
    assert_eq!(who(&server), "user 1000");
    assert_eq!(far.who(), "user 0");
}

fn h10_mapped_on_both_sides() {
    let client = Puppet::new(1000);
    let listener = client.tcp(address("[::]:0"));
    listener.must("both-families");
    listener.bind(address("[::ffff:127.0.0.1]:8080"));
    listener.must("listen");
    let ours = connect(address("[::ffff:127.0.0.1]:8080"));
    let server = listener.accept();
    assert_eq!(state(&ours), super::support::ESTABLISHED, "staging");
    assert!(local(&ours).is_ipv6(), "staging");
    assert_eq!(who(&ours), "user 1000");
    assert_eq!(server.who(), "user 0");
}
