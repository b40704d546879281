//! The library's netlink socket is closed, or its number is given to something else, by another
//! part of the program: as by one that closes a descriptor twice, or closes all of them.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, netlink, socket, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::super::raw::{borrowed, close_in_use, put_in_place_of};
use super::super::support::{
    Namespace, accept, connect, listen, local, loopbacks, peer, sysctl, who,
};

use super::{partner, partner_at};

super::scenes![
    h25_a_netlink_socket_that_is_closed_is_replaced,
    h25_what_stands_in_for_the_netlink_socket_names_nobody_and_stays_open,
];

/// Asks about `server`, whose partner is 1001, after `disturb` was done to the number of the
/// library's socket: the right answer or an error, and then the right answer.
fn disturbed(what: &str, server: &Socket, disturb: impl FnOnce(i32)) {
    assert_eq!(who(server), "user 1001", "{what}: before");
    disturb(netlink_number());
    let said = who(server);
    assert!(["user 1001", "Io", "Unsupported"].contains(&&*said), "{what}: {said}");
    assert_eq!(who(server), "user 1001", "{what}: afterwards");
}

/// The number of this thread's netlink socket: it alone of the scene's is connected to the kernel.
fn netlink_number() -> i32 {
    let is_netlink = |number: &i32| {
        let number = borrowed(*number);
        sockopt::socket_domain(number).is_ok_and(|it| it == AddressFamily::NETLINK)
            && rustix::net::getpeername(number).is_ok_and(|peer| peer.is_some())
            && rustix::net::getsockname(number).is_ok_and(is_bound)
    };
    let found: Vec<i32> = super::open_numbers().into_iter().filter(is_netlink).collect();
    let [number] = found[..] else { panic!("staging: one netlink socket, not {found:?}") };
    number
}

/// An unconnected netlink socket has no number of its own before it sends; connect(2) gives it one.
fn is_bound(own: rustix::net::SocketAddrAny) -> bool {
    netlink::SocketAddrNetlink::try_from(own).is_ok_and(|own| own.pid() != 0)
}

fn h25_a_netlink_socket_that_is_closed_is_replaced() {
    for at in loopbacks(8080) {
        let (_client, server) = partner_at(at);
        for _ in 0..3 {
            // The next that is opened has its number: a descriptor of the runtime that asks.
            disturbed("closed", &server, close_in_use);
        }
    }
}

fn h25_what_stands_in_for_the_netlink_socket_names_nobody_and_stays_open() {
    let (_client, server) = partner();
    for (what, stand_in, _others) in stand_ins(&server) {
        let (mut number, mut before) = (0, None);
        disturbed(what, &server, |netlink| {
            put_in_place_of(netlink, &stand_in);
            number = netlink;
            before = Some(identity(netlink));
        });
        // It is somebody else's: it is neither closed nor asked again.
        assert_eq!(Some(identity(number)), before, "{what}");
        close_in_use(number);
    }
}

fn identity(number: i32) -> (u64, u64) {
    let stat = rustix::fs::fstat(borrowed(number)).unwrap();
    (stat.st_dev, stat.st_ino)
}

/// What may have the number of a netlink socket, and what must stay open with it.
fn stand_ins(server: &Socket) -> Vec<(&'static str, OwnedFd, Vec<OwnedFd>)> {
    let [_, at] = loopbacks(8081);
    let listener = listen(at);
    let full = connect(at);
    let reads_nothing = accept(&listener);
    fill(&full);
    let (reading, writing) = std::io::pipe().unwrap();
    let elsewhere = Namespace::new().run(|| open_netlink(Some(netlink::SOCK_DIAG)));
    vec![
        ("a file", File::open("/dev/null").unwrap().into(), vec![]),
        ("a pipe", writing.into(), vec![reading.into()]),
        ("a connection that takes nothing", full.into(), vec![reads_nothing.into()]),
        forging("datagrams that claim root", Type::DGRAM, server),
        forging("packets that claim root", Type::SEQPACKET, server),
        ("the sockets of another namespace", elsewhere, vec![]),
        ("the sockets of this one", open_netlink(Some(netlink::SOCK_DIAG)), vec![]),
        // Protocol 0.
        ("routes", open_netlink(None), vec![]),
        ("netlink among processes", open_netlink(Some(netlink::USERSOCK)), vec![]),
    ]
}

fn open_netlink(protocol: Option<rustix::net::Protocol>) -> OwnedFd {
    socket(AddressFamily::NETLINK, SocketType::RAW, protocol).unwrap()
}

/// Leaves no room for a byte more; who sends without a word for it waits for ever.
fn fill(socket: &Socket) {
    socket.set_nonblocking(true).unwrap();
    while socket.send(&[0; 65_536]).is_ok() {}
    while socket.send(&[0]).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    socket.set_write_timeout(None).unwrap();
}

/// A Unix socket in which replies wait as the kernel would write them, but for the owner: root.
fn forging(
    what: &'static str,
    kind: Type,
    server: &Socket,
) -> (&'static str, OwnedFd, Vec<OwnedFd>) {
    sysctl("net/unix/max_dgram_qlen", "512");
    let (ours, theirs) = Socket::pair(Domain::UNIX, kind, None::<Protocol>).unwrap();
    let own_inode = u32::try_from(rustix::fs::fstat(server).unwrap().st_ino).unwrap();
    let cookie = sockopt::socket_cookie(server).unwrap();
    // The partner's reply first, and its own end's: as they were asked for.
    for sequence in (1..60).step_by(2) {
        let partner = reply(sequence, (peer(server), local(server)), own_inode + 1, 77);
        let own = reply(sequence + 1, (local(server), peer(server)), own_inode, cookie);
        theirs.send(&partner).unwrap();
        theirs.send(&own).unwrap();
    }
    (what, ours.into(), vec![theirs.into()])
}

/// An established IPv4 socket of uid 0: `struct nlmsghdr` and `struct inet_diag_msg`.
fn reply(
    sequence: u32,
    (from, to): (std::net::SocketAddr, std::net::SocketAddr),
    inode: u32,
    cookie: u64,
) -> Vec<u8> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    let address = |at: std::net::SocketAddr| match at.ip() {
        std::net::IpAddr::V4(ip) => [&ip.octets()[..], &[0; 12]].concat(),
        std::net::IpAddr::V6(_) => panic!("IPv4 here"),
    };
    let (kind, uid, established) = (SOCK_DIAG_BY_FAMILY.to_ne_bytes(), 0_u32, 1);
    let family = u8::try_from(libc::AF_INET).unwrap();
    let (ports, addresses) = ((from.port(), to.port()), (address(from), address(to)));
    let parts: [&[u8]; 17] = [
        &88_u32.to_ne_bytes(),
        &kind,
        &[0; 2],
        &sequence.to_ne_bytes(),
        &[0; 4],
        &[family, established, 0, 0],
        &ports.0.to_be_bytes(),
        &ports.1.to_be_bytes(),
        &addresses.0,
        &addresses.1,
        // The loopback interface.
        &0_u32.to_ne_bytes(),
        &cookie.to_ne_bytes(),
        &[0; 4],
        &[0; 4],
        &[0; 4],
        &uid.to_ne_bytes(),
        &inode.to_ne_bytes(),
    ];
    parts.concat()
}
