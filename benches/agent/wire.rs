//! Packets with a descriptor, by the plainest system calls.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

fn socket() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .expect("a Unix socket")
}

pub fn listen(path: &str) -> OwnedFd {
    let socket = socket();
    rustix::net::bind(&socket, &SocketAddrUnix::new(path).expect("a path")).expect("bind");
    rustix::net::listen(&socket, 16).expect("listen");
    socket
}

pub fn connect(path: &str) -> OwnedFd {
    let socket = socket();
    let address = SocketAddrUnix::new(path).expect("a path");
    rustix::net::connect(&socket, &address).expect("connect");
    socket
}

/// sendmsg(2) with a descriptor.
pub fn pass(to: BorrowedFd<'_>, bytes: &[u8], passed: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let passed = [passed];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&passed)), "room for one");
    rustix::net::sendmsg(to, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

/// recvmsg(2) of a packet with a descriptor; `None` at the end.
pub fn take(from: BorrowedFd<'_>) -> Option<OwnedFd> {
    let mut bytes = [0; 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let mut into = [IoSliceMut::new(&mut bytes)];
    let received = rustix::net::recvmsg(from, &mut into, &mut ancillary, flags).ok()?;
    if received.bytes == 0 {
        return None;
    }
    ancillary.drain().find_map(|part| {
        let RecvAncillaryMessage::ScmRights(mut passed) = part else { return None };
        passed.next()
    })
}

/// A good question about the user of the partner, as `proto/partnerd.proto` has it.
pub fn question(number: u8) -> Vec<u8> {
    assert!(number < 128, "one byte");
    // Version 1; the number; the user; all holders; a second.
    vec![0x08, 1, 0x10, number, 0x18, 1, 0x20, 1, 0x28, 0xe8, 0x07]
}
