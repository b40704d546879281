//! Namespaces with a network between them.

use std::net::SocketAddr;

use socket2::Socket;

use super::super::puppet::Puppet;
use super::super::support::{Namespace, listen, run, sysctl};
use super::daemon::{OPEN, Partnerd};

/// A namespace at the other end of a cable whose near end is in the calling thread's namespace.
/// Here is 10.7.n.1 and fd07:n::1, there 10.7.n.2 and fd07:n::2.
pub(crate) fn neighbour(n: u8) -> Namespace {
    let there = Namespace::new();
    attach(&there, n);
    there
}

/// The same for a namespace that is there already.
pub(crate) fn attach(there: &Namespace, n: u8) {
    there.cable(&format!("near{n}"), &format!("far{n}"));
    number(&format!("near{n}"), n, 1);
    there.run(|| number(&format!("far{n}"), n, 2));
}

/// Two stacks of one image, an agent that may tell by this policy, a server (user 1000) here and a
/// client (user 1001) there, each of which asks it.
pub(crate) fn two_stacks(policy: &str) -> (Namespace, Partnerd, Puppet, Puppet) {
    let there = neighbour(1);
    let agent = Partnerd::start(policy);
    let server = agent.puppet(1000);
    let client = there.run(|| agent.puppet(1001));
    (there, agent, server, client)
}

/// A listener of the test's own here, for a client (user 1001) there, and an agent that may tell.
pub(super) fn listening_here() -> (Namespace, Partnerd, Puppet, SocketAddr, Socket) {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let client = there.run(|| agent.puppet(1001));
    let [at, _] = addresses(1, 1, 8080);
    (there, agent, client, at, listen(at))
}

/// Two namespaces that share no link, and a router between them here.
pub(super) fn routed() -> [Namespace; 2] {
    let [one, two] = [neighbour(1), neighbour(2)];
    sysctl("net/ipv4/ip_forward", "1");
    sysctl("net/ipv6/conf/all/forwarding", "1");
    for (container, n) in [(&one, 1), (&two, 2)] {
        container.run(|| {
            run(&format!("ip route add default via 10.7.{n}.1"));
            run(&format!("ip -6 route add default via fd07:{n}::1"));
        });
    }
    [one, two]
}

/// Gives an interface of the calling thread's namespace the addresses of this host in a network.
pub(crate) fn number(link: &str, network: u8, host: u8) {
    run(&format!("ip addr add 10.7.{network}.{host}/24 dev {link}"));
    run(&format!("ip -6 addr add fd07:{network}::{host}/64 dev {link} nodad"));
    run(&until_it_is_local(&format!("fd07:{network}::{host}")));
}

/// Waits for an IPv6 address of one's own: the kernel makes the route to it a moment later.
fn until_it_is_local(address: &str) -> String {
    let look = format!("ip -6 route show table local | grep -q \"^local {address} \"");
    format!("timeout 10 sh -c 'until {look}; do sleep 0.01; done'")
}

/// In a puppet: a network namespace of its own, in which it is both hosts of a network.
pub(super) fn be_both_hosts(puppet: &Puppet, network: u8) {
    puppet.must("unshare-user-and-network");
    puppet.must("run ip link set lo up");
    for host in [1, 2] {
        let v6 = format!("fd07:{network}::{host}");
        puppet.must(&format!("run ip addr add 10.7.{network}.{host}/32 dev lo"));
        puppet.must(&format!("run ip -6 addr add {v6}/128 dev lo nodad"));
        puppet.must(&format!("run {}", until_it_is_local(&v6)));
    }
}

/// Addresses of a host in a network, of both families.
pub(crate) fn addresses(network: u8, host: u8, port: u16) -> [SocketAddr; 2] {
    [
        format!("10.7.{network}.{host}:{port}").parse().unwrap(),
        format!("[fd07:{network}::{host}]:{port}").parse().unwrap(),
    ]
}
