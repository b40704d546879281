//! Who is at the other end of a Unix socket.

use std::os::fd::BorrowedFd;

use super::Errno;
use super::options::getsockopt;

/// `SO_PEERCRED` of a Unix socket: user, group and process of its peer when it connected or listened;
/// no process where it has no number in this one's pid namespace.
///
/// Not by way of rustix, whose type for it cannot hold the process number 0, which the kernel gives
/// for a peer outside of this process's pid namespace.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> Result<(u32, u32, Option<u32>), Errno> {
    let [a, b, c, d, rest @ ..] = getsockopt::<12>(socket, libc::SOL_SOCKET, libc::SO_PEERCRED)?;
    let [e, f, g, h, i, j, k, l] = rest;
    let pid = u32::from_ne_bytes([a, b, c, d]);
    let uid = u32::from_ne_bytes([e, f, g, h]);
    let gid = u32::from_ne_bytes([i, j, k, l]);
    Ok((uid, gid, Some(pid).filter(|pid| *pid != 0)))
}
