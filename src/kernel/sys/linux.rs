//! Netlink sockets and addresses.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType};

use super::{Errno, OwnSocket};

fn errno(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error())
}

/// A netlink socket that talks to the kernel alone.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnSocket,
}

impl Netlink {
    /// A `NETLINK_SOCK_DIAG` socket in the calling thread's network namespace; see sock_diag(7).
    pub(crate) fn sock_diag() -> Result<Self, Errno> {
        Self::open(Some(netlink::SOCK_DIAG))
    }

    /// A `NETLINK_ROUTE` socket in the calling thread's network namespace; see rtnetlink(7).
    pub(crate) fn route() -> Result<Self, Errno> {
        // Protocol 0.
        Self::open(None)
    }

    /// A `NETLINK_NETFILTER` socket in the calling thread's network namespace.
    pub(crate) fn netfilter() -> Result<Self, Errno> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<rustix::net::Protocol>) -> Result<Self, Errno> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )
        .map_err(errno)?;
        // Connected to port 0, the kernel refuses what any other port sends here.
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0)).map_err(errno)?;
        Ok(Self { socket: OwnSocket::new(socket) })
    }

    /// Whether it is still what was opened: see [`OwnSocket`].
    pub(crate) fn is_itself(&self) -> bool {
        self.socket.is_itself()
    }

    /// Sends one or several requests. The kernel has answered them all when this returns: replies
    /// are made in the context of sendmsg(2).
    pub(crate) fn send(&self, requests: &[u8]) -> Result<(), Errno> {
        // Neither flag means anything to the kernel's end; something else may have its number.
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(&self.socket, requests, flags).map_err(errno)? {
            sent if sent == requests.len() => Ok(()),
            _ => Err(Errno(libc::EMSGSIZE)),
        }
    }

    /// Receives one datagram of the kernel's without waiting; `EAGAIN` where there is none, and
    /// `None` for one that did not fit.
    ///
    /// This socket is connected to port 0, and to a connected netlink socket the kernel delivers
    /// from its peer alone (`netlink_getsockbyportid` in `net/netlink/af_netlink.c`). The sender is
    /// looked at all the same, since something else may have its number: what another one says is
    /// `EBADF`.
    pub(crate) fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Errno> {
        let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
        let received = rustix::net::recvfrom(&self.socket, &mut *buffer, flags);
        let (_, len, sender) = received.map_err(errno)?;
        if sender.is_some_and(is_kernel) { Ok(buffer.get(..len)) } else { Err(Errno(libc::EBADF)) }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_kernel(sender: SocketAddrAny) -> bool {
    SocketAddrNetlink::try_from(sender).is_ok_and(|sender| sender.pid() == 0)
}

/// getsockname(2) and getpeername(2).
pub(crate) mod addresses {
    use super::{BorrowedFd, Errno, SocketAddr, SocketAddrAny, errno};

    #[inline]
    pub(crate) fn local(socket: BorrowedFd<'_>) -> Result<Option<SocketAddr>, Errno> {
        rustix::net::getsockname(socket).map(inet).map_err(errno)
    }

    /// `ENOTCONN` where the socket is not connected, or no longer.
    #[inline]
    pub(crate) fn peer(socket: BorrowedFd<'_>) -> Result<Option<SocketAddr>, Errno> {
        match rustix::net::getpeername(socket) {
            Ok(address) => Ok(address.and_then(inet)),
            Err(error) => Err(errno(error)),
        }
    }

    /// `None` for an address of another family than IPv4 and IPv6.
    fn inet(address: SocketAddrAny) -> Option<SocketAddr> {
        SocketAddr::try_from(address).ok()
    }
}

/// `CLOCK_MONOTONIC_COARSE` of clock_gettime(2), in milliseconds: a read from memory that is some
/// milliseconds behind.
#[inline]
pub(crate) fn coarse_milliseconds() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    // Neither is ever negative.
    now.tv_sec.unsigned_abs() * 1_000 + now.tv_nsec.unsigned_abs() / 1_000_000
}

/// The text of a file under /proc.
pub(crate) fn read_text(path: &str) -> Result<String, Errno> {
    std::fs::read_to_string(path)
        .map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EINVAL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h25_nobody_but_the_kernel_can_send_here() {
        let netlink = Netlink::sock_diag().unwrap();
        let ours = rustix::net::getsockname(&netlink.socket).unwrap();
        let ours = SocketAddrNetlink::try_from(ours).unwrap();
        let stranger = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )
        .unwrap();
        let forged = crate::kernel::sock_diag::tests::RECORDED;
        let sent = rustix::net::sendto(&stranger, &forged, SendFlags::empty(), &ours);
        assert!(sent.is_err(), "{sent:?}");
        assert_eq!(netlink.receive(&mut [0; 512]), Err(Errno(libc::EAGAIN)));
    }

    #[test]
    fn h25_a_reply_that_does_not_fit_is_none() {
        let netlink = Netlink::sock_diag().unwrap();
        let query = crate::kernel::sock_diag::Query {
            local: crate::kernel::Endpoint { ip: [127, 0, 0, 1].into(), port: 1 },
            remote: crate::kernel::Endpoint { ip: [127, 0, 0, 1].into(), port: 1 },
            device: 0,
        };
        netlink.send(&crate::kernel::sock_diag::encode(&query, 1)).unwrap();
        assert_eq!(netlink.receive(&mut [0; 20]), Ok(None));
    }
}
