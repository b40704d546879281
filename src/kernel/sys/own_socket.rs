//! Sockets that are the library's own, inside of somebody else's program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::{Errno, cookie};

/// A socket that can tell whether its number still stands for it.
///
/// Another part of the program may close a number that it does not own: it closes one twice, or all
/// there are. The next that is opened gets the number. What it says is then nobody's word on
/// anything, and it must not be closed here in its turn.
#[derive(Debug)]
pub(crate) struct OwnSocket {
    socket: Arc<OwnedFd>,
    /// Kernels before 4.12 have none; there a number is believed.
    cookie: Result<u64, Errno>,
}

impl OwnSocket {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        let cookie = cookie(socket.as_fd());
        Self { socket: Arc::new(socket), cookie }
    }

    /// One system call.
    pub(crate) fn is_itself(&self) -> bool {
        cookie(self.as_fd()) == self.cookie
    }
}

impl AsFd for OwnSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        if !self.is_itself() {
            // A number that is somebody else's, or nobody's: never closed.
            std::mem::forget(Arc::clone(&self.socket));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn h25_a_number_that_is_somebody_else_s_is_not_closed() {
        let [one, other] = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        assert!(OwnSocket::new(one.try_clone().unwrap().into()).is_itself());
        let number = u32::try_from(one.as_raw_fd()).unwrap();
        let inode = super::super::own_socket_inode(number);
        // As if the number had been that of the other one.
        let taken = OwnSocket { socket: Arc::new(one.into()), cookie: cookie(other.as_fd()) };
        assert!(!taken.is_itself());
        drop(taken);
        assert!(matches!(inode, Ok(Some(_))));
        assert_eq!(super::super::own_socket_inode(number), inode);
    }
}
