//! The floor of a lookup: one exact sock_diag request on a kept socket, and its reply, unverified.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use tokio::net::TcpStream;

pub struct Floor {
    socket: OwnedFd,
    requests: Vec<Vec<u8>>,
    next: usize,
}

impl Floor {
    /// Asks for the partners of `streams` in turn, which are connected over IPv4.
    pub fn new(streams: &[TcpStream]) -> Self {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )
        .expect("a netlink socket");
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0)).expect("connect");
        let request = |stream: &TcpStream| {
            let source = stream.peer_addr().expect("a peer");
            request(source, stream.local_addr().expect("an address"))
        };
        Self { socket, requests: streams.iter().map(request).collect(), next: 0 }
    }

    pub fn round_trip(&mut self) -> usize {
        self.next = (self.next + 1) % self.requests.len();
        let request = &self.requests[self.next];
        rustix::net::send(&self.socket, request, SendFlags::empty()).expect("send");
        let mut reply = [0_u8; 1024];
        let (len, _) =
            rustix::net::recv(&self.socket, &mut reply, RecvFlags::empty()).expect("recv");
        assert!(len > 72, "a socket was found");
        len
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn request(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(72);
    bytes.extend(72_u32.to_ne_bytes());
    bytes.extend(20_u16.to_ne_bytes());
    bytes.extend(1_u16.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([2, 6, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(source.port().to_be_bytes());
    bytes.extend(destination.port().to_be_bytes());
    for address in [source, destination] {
        let SocketAddr::V4(address) = address else { panic!("IPv4 only") };
        bytes.extend(address.ip().octets());
        bytes.extend([0; 12]);
    }
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([0xff; 8]);
    bytes
}
