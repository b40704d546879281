//! Multipath TCP, self-connect and simultaneous open (H23, H24).

use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use super::puppet::Puppet;
use super::raw;
use super::support::{
    PATIENCE, SYN_SENT, accept, address, assert_nobody, eventually, loopbacks, nft, routing, seen,
    tcp, who,
};

super::tests![
    h23_a_self_connected_socket_is_its_own_partner,
    #[nft]
    h23_a_simultaneous_open_is_answered_on_both_sides,
    h24_mptcp_on_both_sides,
    h24_an_mptcp_client_of_a_tcp_server,
    h24_a_tcp_client_of_an_mptcp_server,
    h24_a_closed_mptcp_partner_is_nobody,
];

fn h23_a_self_connected_socket_is_its_own_partner() {
    for at in loopbacks(20_000) {
        let socket = tcp(at);
        socket.bind(&at.into()).unwrap();
        socket.connect(&at.into()).unwrap();
        assert_eq!(who(&socket), "user 0");
        assert_eq!(routing(&socket), "routing 14");
        drop(socket);

        let puppet = Puppet::new(1000);
        let at = SocketAddr::new(at.ip(), 20_001);
        let far = puppet.connect_from(at, at);
        assert_eq!(far.who(), "user 1000");
        far.reset();
    }
}

/// Both connect, and no reset tells the first that nobody listens.
fn h23_a_simultaneous_open_is_answered_on_both_sides() {
    nft("table inet wall {
           chain out {
             type filter hook output priority 0
             tcp flags & rst == rst drop
           }
         }\n");
    for at in loopbacks(20_000) {
        let other = SocketAddr::new(at.ip(), 20_001);
        let (first, second) = (Puppet::new(1000), Puppet::new(1001));
        let one = first.tcp(at);
        one.bind(at);
        one.must("nonblocking");
        one.connect(other).unwrap_err();
        assert_eq!(seen(at, other).map(|entry| entry.state), Some(SYN_SENT), "staging");
        let two = second.tcp(other);
        two.bind(other);
        two.connect(at).unwrap();
        eventually("connected", || one.call("peer").is_ok());
        assert_eq!(one.who(), "user 1001");
        assert_eq!(two.who(), "user 1000");
    }
}

/// A listener that speaks multipath TCP.
fn listen_mptcp(at: SocketAddr) -> Socket {
    let domain = Domain::for_address(at);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::MPTCP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.bind(&at.into()).unwrap();
    socket.listen(16).unwrap();
    socket
}

/// Whether the descriptor speaks multipath TCP and has not fallen back: `MPTCP_INFO` answers.
fn speaks_mptcp(socket: &Socket) -> bool {
    socket.protocol().unwrap() == Some(Protocol::MPTCP) && raw::has_option(socket, 284, 1)
}

fn h24_mptcp_on_both_sides() {
    for at in loopbacks(8080) {
        let listener = listen_mptcp(at);
        let client = Puppet::new(1000);
        let far = client.socket(at, "mptcp");
        far.connect(at).unwrap();
        let server = accept(&listener);
        assert!(speaks_mptcp(&server), "staging");
        assert_eq!(who(&server), "user 1000");
        assert_eq!(far.who(), "user 0");
        assert_eq!(routing(&server), "routing 14");
    }
}

fn h24_an_mptcp_client_of_a_tcp_server() {
    for at in loopbacks(8080) {
        let listener = super::support::listen(at);
        let client = Puppet::new(1000);
        let far = client.socket(at, "mptcp");
        far.connect(at).unwrap();
        let server = accept(&listener);
        assert_eq!(who(&server), "user 1000");
        assert_eq!(far.who(), "user 0");
    }
}

fn h24_a_tcp_client_of_an_mptcp_server() {
    for at in loopbacks(8080) {
        let listener = listen_mptcp(at);
        let client = Puppet::new(1000);
        let far = client.connect(at);
        let server = accept(&listener);
        assert_eq!(who(&server), "user 1000");
        assert_eq!(far.who(), "user 0");
    }
}

/// Its port is taken again by another user, by way of plain TCP.
fn h24_a_closed_mptcp_partner_is_nobody() {
    let at = address("127.0.0.1:8080");
    let listener = listen_mptcp(at);
    let (first, second) = (Puppet::new(1000), Puppet::new(1001));
    let from = address("127.0.0.1:20000");
    let far = first.socket(at, "mptcp");
    far.bind(from);
    far.connect(at).unwrap();
    let server = accept(&listener);
    assert_eq!(who(&server), "user 1000", "staging");
    far.reset();
    for _ in 0..5 {
        let newcomer = second.tcp(from);
        newcomer.bind(from);
        newcomer.must("nonblocking");
        let _ = newcomer.connect(at);
        assert_nobody(&who(&server));
    }
}
