//! What a socket says of itself: getsockopt(2) and fstat(2).

use std::mem::MaybeUninit;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::Errno;
use crate::kernel::verify::Protocol;

/// `SO_COOKIE`: the number of this socket, unique on the machine since Linux 5.4 until reboot.
///
/// Source: socket(7); `sock_gen_cookie` in `net/core/sock_diag.c`.
#[inline]
pub(crate) fn cookie(socket: BorrowedFd<'_>) -> Result<u64, Errno> {
    rustix::net::sockopt::socket_cookie(socket).map_err(|e| Errno(e.raw_os_error()))
}

/// `SO_NETNS_COOKIE`: the number of the socket's network namespace (Linux 5.14).
pub(crate) fn namespace_cookie(socket: BorrowedFd<'_>) -> Result<u64, Errno> {
    // asm-generic/socket.h; the architectures with numbers of their own are not Rust targets of
    // this crate's users, and answer ENOPROTOOPT, which means "not known".
    const SO_NETNS_COOKIE: libc::c_int = 71;
    getsockopt::<8>(socket, libc::SOL_SOCKET, SO_NETNS_COOKIE).map(u64::from_ne_bytes)
}

/// `SO_BINDTOIFINDEX`: the interface the socket is bound to, 0 for none (Linux 5.0).
pub(crate) fn bound_device(socket: BorrowedFd<'_>) -> Result<u32, Errno> {
    const SO_BINDTOIFINDEX: libc::c_int = 62;
    getsockopt::<4>(socket, libc::SOL_SOCKET, SO_BINDTOIFINDEX).map(u32::from_ne_bytes)
}

/// `SO_PROTOCOL`, `SO_DOMAIN` and `SO_TYPE`: TCP, multipath TCP, or neither.
pub(crate) fn protocol(socket: BorrowedFd<'_>) -> Result<Protocol, Errno> {
    let domain = getsockopt::<4>(socket, libc::SOL_SOCKET, libc::SO_DOMAIN)?;
    let protocol = getsockopt::<4>(socket, libc::SOL_SOCKET, libc::SO_PROTOCOL)?;
    let kind = getsockopt::<4>(socket, libc::SOL_SOCKET, libc::SO_TYPE)?;
    // A raw socket may have TCP's protocol number.
    let inet = matches!(i32::from_ne_bytes(domain), libc::AF_INET | libc::AF_INET6)
        && i32::from_ne_bytes(kind) == libc::SOCK_STREAM;
    Ok(match i32::from_ne_bytes(protocol) {
        libc::IPPROTO_TCP if inet => Protocol::Tcp,
        libc::IPPROTO_MPTCP if inet => Protocol::Mptcp,
        _ => Protocol::Other,
    })
}

/// `SO_ACCEPTCONN`: whether listen(2) was called.
pub(crate) fn is_listening(socket: BorrowedFd<'_>) -> Result<bool, Errno> {
    getsockopt::<4>(socket, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)
        .map(|value| i32::from_ne_bytes(value) != 0)
}

/// `SO_ORIGINAL_DST`: the address this connection was first made to, as connection tracking has
/// it; `None` where it does not track this connection.
///
/// `EOPNOTSUPP` from a multipath socket, which does not pass the question on.
///
/// Source: `getorigdst` in `net/netfilter/nf_conntrack_proto.c`.
pub(crate) fn original_destination(
    socket: BorrowedFd<'_>,
    ipv4: bool,
) -> Result<Option<SocketAddr>, Errno> {
    const SO_ORIGINAL_DST: libc::c_int = 80;
    let answer = if ipv4 {
        getsockopt::<16>(socket, libc::SOL_IP, SO_ORIGINAL_DST).map(|bytes| {
            let [_, _, hi, lo, a, b, c, d, ..] = bytes;
            SocketAddr::from(([a, b, c, d], u16::from_be_bytes([hi, lo])))
        })
    } else {
        getsockopt::<28>(socket, libc::SOL_IPV6, SO_ORIGINAL_DST).map(|bytes| {
            let [_, _, hi, lo, _, _, _, _, address @ .., _, _, _, _] = bytes;
            let port = u16::from_be_bytes([hi, lo]);
            SocketAddr::from((Ipv6Addr::from(address), port))
        })
    };
    match answer {
        Ok(address) => Ok(Some(address)),
        // Not tracked; or connection tracking is not there at all.
        Err(Errno(libc::ENOENT | libc::ENOPROTOOPT)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The inode number of the descriptor's file, which sock_diag shows too.
pub(crate) fn inode(socket: BorrowedFd<'_>) -> Result<u64, Errno> {
    rustix::fs::fstat(socket).map(|stat| stat.st_ino).map_err(|e| Errno(e.raw_os_error()))
}

/// fstat(2) of a number: the inode of a socket, `None` for any other file, `EBADF` where this
/// process has no descriptor of that number.
///
/// For numbers that nobody here owns: what they stand for may change at any moment.
#[allow(unsafe_code, reason = "a number is no descriptor that could be borrowed")]
pub(crate) fn own_socket_inode(number: u32) -> Result<Option<u64>, Errno> {
    let number = libc::c_int::try_from(number).map_err(|_| Errno(libc::EBADF))?;
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `stat` has room for what is written, and is valid for writes during the call. The
    // kernel checks the number, and nothing is done to the file behind it.
    if unsafe { libc::fstat(number, stat.as_mut_ptr()) } != 0 {
        return match last_errno() {
            // A file too large for this structure, which no socket is.
            Errno(libc::EOVERFLOW) => Ok(None),
            error => Err(error),
        };
    }
    // SAFETY: zeroed above, and any bytes are a valid `stat`.
    let stat = unsafe { stat.assume_init() };
    let is_socket = stat.st_mode & libc::S_IFMT == libc::S_IFSOCK;
    #[allow(clippy::useless_conversion, reason = "32 bits wide on some architectures")]
    Ok(is_socket.then_some(stat.st_ino.into()))
}

/// getsockopt(2) of an option that has exactly `N` bytes.
#[allow(unsafe_code, reason = "rustix has no getter for these options")]
pub(super) fn getsockopt<const N: usize>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
) -> Result<[u8; N], Errno> {
    let mut value = MaybeUninit::<[u8; N]>::zeroed();
    let mut len = libc::socklen_t::try_from(N).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: the descriptor is open for as long as it is borrowed; `value` has room for `len`
    // bytes, and both are valid for writes during the call.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, value.as_mut_ptr().cast(), &raw mut len)
    };
    if result != 0 {
        return Err(last_errno());
    }
    if usize::try_from(len) != Ok(N) {
        return Err(Errno(libc::ENOPROTOOPT));
    }
    // SAFETY: zeroed above, and any bytes are a valid `[u8; N]`.
    Ok(unsafe { value.assume_init() })
}

pub(super) fn last_errno() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(super::errno::EIO))
}
