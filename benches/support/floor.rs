//! The floor of a lookup: one exact sock_diag request on a kept socket, and its reply, unverified.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use tokio::net::TcpStream;

pub struct Floor {
    socket: OwnedFd,
    requests: Vec<Vec<u8>>,
    /// Of both ends at once.
    pairs: Vec<Vec<u8>>,
    next: usize,
}

impl Floor {
    /// Asks for the partners of `streams` in turn, which are connected over IPv4.
    pub fn new<'a>(streams: impl IntoIterator<Item = &'a TcpStream>) -> Self {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )
        .expect("a netlink socket");
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0)).expect("connect");
        let (mut requests, mut pairs) = (Vec::new(), Vec::new());
        for stream in streams {
            let theirs = stream.peer_addr().expect("a peer");
            let ours = stream.local_addr().expect("an address");
            requests.push(request(theirs, ours));
            pairs.push([request(theirs, ours), request(ours, theirs)].concat());
        }
        Self { socket, requests, pairs, next: 0 }
    }

    pub fn round_trip(&mut self) -> usize {
        self.next = (self.next + 1) % self.requests.len();
        let request = &self.requests[self.next];
        rustix::net::send(&self.socket, request, SendFlags::empty()).expect("send");
        self.reply()
    }

    /// Both ends in one message, and the two replies.
    pub fn pair(&mut self) -> usize {
        self.next = (self.next + 1) % self.pairs.len();
        rustix::net::send(&self.socket, &self.pairs[self.next], SendFlags::empty()).expect("send");
        self.reply() + self.reply()
    }

    /// As [`pair`](Self::pair), with both replies in one call.
    #[allow(unsafe_code, reason = "rustix does not have this call")]
    pub fn pair_at_once(&mut self) -> usize {
        self.next = (self.next + 1) % self.pairs.len();
        rustix::net::send(&self.socket, &self.pairs[self.next], SendFlags::empty()).expect("send");
        let mut replies = [[0_u8; 1024]; 2];
        let mut parts = replies
            .each_mut()
            .map(|reply| libc::iovec { iov_base: reply.as_mut_ptr().cast(), iov_len: reply.len() });
        // SAFETY: these structures are numbers and pointers, and all of them may be zero.
        let mut messages: [libc::mmsghdr; 2] = unsafe { std::mem::zeroed() };
        for (message, part) in messages.iter_mut().zip(&mut parts) {
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: two messages with a part of 1,024 bytes each, all of which outlive the call.
        let received = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                messages.as_mut_ptr(),
                2,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        assert_eq!(received, 2, "both replies");
        messages.iter().map(|message| message.msg_len as usize).sum()
    }

    fn reply(&self) -> usize {
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
