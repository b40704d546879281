//! The Unix socket to the agent: the system calls, and whom to trust.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use crate::kernel::sys::{self, Socket};

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    Absent,
    Busy,
    /// It is this user's, who need not be whom one would ask.
    Untrusted {
        uid: u32,
    },
}

/// The same, for who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreachable {
    Absent,
    Busy,
}

/// What receiving came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received<'b> {
    Message(&'b [u8]),
    Nothing,
    /// The agent has gone, or has sent what is no message of it.
    End,
}

/// socket(2) and connect(2): a connection to an agent that can be trusted.
///
/// Anybody can listen on some path. An agent is believed that runs as root, as this process's own
/// user, or as the owner of the folder in which its socket is, where nobody else can write there.
pub(super) fn connect(path: &Path) -> Result<OwnedFd, Failed> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(unreachable)?;
    let address = SocketAddrUnix::new(path).map_err(|_| Failed::Absent)?;
    rustix::net::connect(&socket, &address).map_err(unreachable)?;
    let (uid, ..) = sys::peer_credentials(socket.as_fd()).map_err(|_| Failed::Absent)?;
    if uid == 0 || uid == rustix::process::geteuid().as_raw() || owns_folder(uid, path) {
        Ok(socket)
    } else {
        Err(Failed::Untrusted { uid })
    }
}

fn unreachable(error: Errno) -> Failed {
    match error {
        // Its queue of connections is full; or this process has too many descriptors.
        Errno::AGAIN | Errno::INTR | Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => {
            Failed::Busy
        }
        // No such file, nobody listens, not for this user; all others are no agent either.
        _ => Failed::Absent,
    }
}

pub(super) fn owns_folder(uid: u32, path: &Path) -> bool {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    path.parent()
        .and_then(|folder| std::fs::metadata(folder).ok())
        .is_some_and(|folder| folder.uid() == uid && folder.mode() & WRITABLE_BY_OTHERS == 0)
}

/// sendmsg(2) with the passed socket in an `SCM_RIGHTS`.
pub(super) fn send(agent: BorrowedFd<'_>, message: &[u8], passed: Socket<'_>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let passed = [passed.as_fd()];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&passed)) {
        return Err(Errno::NOBUFS);
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    rustix::net::sendmsg(agent, &[IoSlice::new(message)], &mut ancillary, flags).map(drop)
}

/// recvmsg(2) of one message, without waiting.
pub(super) fn receive<'b>(agent: BorrowedFd<'_>, buffer: &'b mut [u8]) -> Received<'b> {
    let mut none = RecvAncillaryBuffer::default();
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let mut look = || {
        rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(agent, &mut [IoSliceMut::new(buffer)], &mut none, flags)
        })
    };
    let received = match look() {
        // Told once, where it left a question unread; what it has sent before comes after that.
        Err(Errno::CONNRESET) => look(),
        received => received,
    };
    match received {
        Err(Errno::AGAIN) => Received::Nothing,
        Ok(message) if message.bytes > 0 && !message.flags.contains(ReturnFlags::TRUNC) => {
            buffer.get(..message.bytes).map_or(Received::End, Received::Message)
        }
        Ok(_) | Err(_) => Received::End,
    }
}

/// shutdown(2): whoever waits for something to come is told that nothing will.
pub(super) fn shutdown(agent: BorrowedFd<'_>) {
    // One that is gone already needs no end.
    let _ = rustix::net::shutdown(agent, rustix::net::Shutdown::Both);
}
