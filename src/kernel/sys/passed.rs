//! What the agent asks of its callers' Unix sockets, and of what they pass.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::Errno;
use super::options::{getsockopt, last_errno, protocol};
use crate::kernel::verify::Protocol;

/// Whether close(2) of this descriptor may wait: it is no TCP socket, or one with `SO_LINGER`.
pub(crate) fn close_may_wait(descriptor: BorrowedFd<'_>) -> bool {
    let linger = getsockopt::<8>(descriptor, libc::SOL_SOCKET, libc::SO_LINGER);
    let lingers = linger.map_or(true, |[a, b, c, d, ..]| i32::from_ne_bytes([a, b, c, d]) != 0);
    lingers || !matches!(protocol(descriptor), Ok(Protocol::Tcp | Protocol::Mptcp))
}

/// `SO_PEERGROUPS` of a Unix socket: the supplementary groups that its peer had when it connected.
pub(crate) fn peer_groups(socket: BorrowedFd<'_>) -> Result<Vec<u32>, Errno> {
    const SO_PEERGROUPS: libc::c_int = 59;
    /// The kernel allows no more groups than this.
    const MOST: usize = 65_536;
    let mut room = 64;
    while room <= MOST {
        match peer_groups_within(socket, SO_PEERGROUPS, room) {
            Err(Errno(libc::ERANGE)) => room *= 4,
            answer => return answer,
        }
    }
    Err(Errno(libc::ERANGE))
}

#[allow(unsafe_code, reason = "rustix has no getter for this option")]
fn peer_groups_within(
    socket: BorrowedFd<'_>,
    option: libc::c_int,
    room: usize,
) -> Result<Vec<u32>, Errno> {
    let mut groups = vec![0_u32; room];
    let bytes = room.saturating_mul(size_of::<u32>());
    let mut len = libc::socklen_t::try_from(bytes).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: the descriptor is open for as long as it is borrowed; `groups` has room for `len`
    // bytes, and both are valid for writes during the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            groups.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result != 0 {
        return Err(last_errno());
    }
    let filled = usize::try_from(len).map_or(0, |len| len / size_of::<u32>());
    groups.truncate(filled);
    Ok(groups)
}

/// `SO_PEERPIDFD` of a Unix socket: the process that connected (Linux 6.5).
#[allow(unsafe_code, reason = "rustix has no getter for this option")]
pub(crate) fn peer_pidfd(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const SO_PEERPIDFD: libc::c_int = 77;
    let bytes = getsockopt::<4>(socket, libc::SOL_SOCKET, SO_PEERPIDFD)?;
    // SAFETY: the kernel has just made it for this call, so nothing else closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::from_ne_bytes(bytes)) })
}
