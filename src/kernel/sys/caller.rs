//! Who asks: the credentials of the calling thread, and the host it is on.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::ioctl::{Opcode, opcode};
use rustix::thread::CapabilitySet;

use super::Errno;

/// geteuid(2).
pub(crate) fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// getegid(2).
pub(crate) fn effective_gid() -> u32 {
    rustix::process::getegid().as_raw()
}

/// Whether the calling thread may read what /proc shows of the processes of others: it has
/// `CAP_SYS_PTRACE`.
pub(crate) fn may_read_others() -> bool {
    rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE))
}

/// getegid(2) and getgroups(2): the effective group and the supplementary groups.
pub(crate) fn groups() -> Result<Vec<u32>, Errno> {
    let mut groups = rustix::process::getgroups().map_err(|e| Errno(e.raw_os_error()))?;
    let effective = rustix::process::getegid();
    if !groups.contains(&effective) {
        groups.push(effective);
    }
    Ok(groups.into_iter().map(rustix::process::Gid::as_raw).collect())
}

/// Whether the calling thread has `CAP_NET_ADMIN` in the user namespace that owns the socket's
/// network namespace, or is uid 0 of that user namespace or of one above it.
///
/// The kernel decides both. `SIOCGSKNS` asks for exactly that capability, on this very socket; it
/// is asked for only where there is such a capability at all, since a refused one may be audited.
/// `NS_GET_USERNS` opens the owner of a namespace to those in that user namespace or above it. So
/// neither the root nor the capabilities of a user namespace that anybody may make count for a
/// network namespace that is not its own.
///
/// Source: `sock_ioctl` in `net/socket.c`, `ns_get_owner` in `kernel/user_namespace.c`,
/// ioctl_ns(2).
pub(crate) fn is_privileged(socket: BorrowedFd<'_>) -> bool {
    const SIOCGSKNS: Opcode = 0x894c;
    const NS_GET_USERNS: Opcode = opcode::none(0xb7, 1);
    let capable = || {
        rustix::thread::capabilities(None)
            .is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_ADMIN))
    };
    if capable() && opens(socket, SIOCGSKNS) {
        return true;
    }
    rustix::process::geteuid().is_root()
        && std::fs::File::open("/proc/thread-self/ns/net")
            .is_ok_and(|namespace| opens(namespace.as_fd(), NS_GET_USERNS))
}

/// uname(2): the host's name.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// `AT_SECURE` of getauxval(3): whether this program runs with more rights than who started it
/// (set-user-ID, set-group-ID, file capabilities), so that the environment is a stranger's.
#[allow(unsafe_code, reason = "rustix has this in its unstable parts alone")]
pub(crate) fn distrusts_environment() -> bool {
    // SAFETY: reads a vector that the kernel wrote before the program began, and takes any number.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether an ioctl(2) that opens a namespace succeeds.
#[allow(unsafe_code, reason = "rustix has neither of the calls")]
fn opens(file: BorrowedFd<'_>, request: Opcode) -> bool {
    // SAFETY: the descriptor is open for as long as it is borrowed. Both requests read no argument
    // and return a new descriptor or fail.
    let opened = unsafe { libc::ioctl(file.as_raw_fd(), request as libc::Ioctl, 0) };
    if opened < 0 {
        return false;
    }
    // SAFETY: the kernel has just made it for this call, so nothing else closes it.
    drop(unsafe { OwnedFd::from_raw_fd(opened) });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_group_is_among_the_groups() {
        assert!(groups().unwrap().contains(&rustix::process::getegid().as_raw()));
    }

    #[test]
    fn the_host_has_a_name_and_this_is_no_set_id_program() {
        assert!(!host_name().is_empty());
        assert!(!distrusts_environment());
    }

    #[test]
    fn whoever_is_not_root_and_has_no_capability_is_not_privileged() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let root = rustix::process::geteuid().is_root();
        if !root && rustix::thread::capabilities(None).unwrap().effective.is_empty() {
            assert!(!is_privileged(socket.as_fd()));
        }
    }
}
