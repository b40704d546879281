//! The system calls on the Unix sockets of the callers.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendFlags, SocketFlags,
};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::protocol::MAX_QUESTION;

/// Descriptors that are taken in with one message at most, to be told apart from one; the kernel
/// closes those beyond.
const DESCRIPTORS: usize = 4;

/// A packet of a caller.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    /// The packet was longer than `bytes`.
    pub(super) cut: bool,
    pub(super) passed: Vec<OwnedFd>,
    /// More were passed than were taken in: too many, or this process may have no more.
    pub(super) more_passed: bool,
}

/// What a look at a caller's socket came to.
#[derive(Debug)]
pub(super) enum Received {
    Packet(Packet),
    Nothing,
    /// The caller has gone.
    End,
}

/// Has the current runtime watch a socket, for as long as what is returned lives.
pub(super) fn ready<T: AsRawFd>(socket: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    #[allow(deprecated, reason = "what is to be used instead is unsafe; a kept descriptor is not")]
    AsyncFd::with_interest(socket, interest)
}

/// accept4(2).
pub(super) fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::io::retry_on_intr(|| rustix::net::accept_with(listener, flags))
}

/// recvmsg(2), without waiting.
pub(super) fn receive(caller: BorrowedFd<'_>) -> Received {
    let mut bytes = vec![0; MAX_QUESTION];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(caller, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)
    });
    let message = match received {
        Ok(message) => message,
        Err(Errno::AGAIN) => return Received::Nothing,
        Err(_) => return Received::End,
    };
    let mut passed = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            passed.extend(descriptors);
        }
    }
    // An empty packet is the end of the connection, and a packet all the same where something is
    // passed with it.
    if message.bytes == 0 && passed.is_empty() {
        return Received::End;
    }
    bytes.truncate(message.bytes);
    Received::Packet(Packet {
        bytes,
        cut: message.flags.contains(ReturnFlags::TRUNC),
        passed,
        more_passed: message.flags.contains(ReturnFlags::CTRUNC),
    })
}

/// sendmsg(2), without waiting.
pub(super) fn send(caller: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let mut none = SendAncillaryBuffer::default();
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(caller, &[IoSlice::new(bytes)], &mut none, flags)
    })
    .map(drop)
}

/// shutdown(2): whoever waits on the connection is told that it has ended.
pub(super) fn end(caller: BorrowedFd<'_>) {
    // One that is gone needs no end.
    let _ = rustix::net::shutdown(caller, rustix::net::Shutdown::Both);
}
