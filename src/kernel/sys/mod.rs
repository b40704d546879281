//! The only system calls of the resolver, and the only `unsafe` of the crate.
//!
//! Everything here fails with an errno; what a failure means is decided by its callers.

#[cfg(all(feature = "mio", target_os = "linux", not(partner_info_other_platform)))]
mod bell;
#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
pub(crate) mod bpf;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
mod caller;
pub(crate) mod file;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
mod linux;
#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
pub(crate) mod namespace;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
mod options;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
mod own_socket;
#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
mod passed;
#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
pub(crate) use passed::{close_may_wait, peer_groups, peer_pidfd};
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
mod peer;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
pub(crate) use peer::peer_credentials;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
mod wake_up;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
mod wipe_on_fork;
#[cfg(all(feature = "mio", target_os = "linux", not(partner_info_other_platform)))]
pub(crate) use bell::Bell;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
pub(crate) use caller::{
    distrusts_environment, effective_gid, effective_uid, groups, host_name, is_privileged,
    may_read_others,
};
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
pub(crate) use linux::{Netlink, addresses, coarse_milliseconds, read_text};
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
pub(crate) use options::{
    bound_device, cookie, inode, is_listening, namespace_cookie, original_destination,
    own_socket_inode, protocol,
};
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
pub(crate) use own_socket::OwnSocket;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
pub(crate) use wake_up::WakeUp;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
pub(crate) use wipe_on_fork::generation;

#[cfg(not(all(target_os = "linux", not(partner_info_other_platform))))]
mod other;
#[cfg(not(all(target_os = "linux", not(partner_info_other_platform))))]
pub(crate) use other::*;

#[cfg(unix)]
pub(crate) use std::os::fd::{AsFd as AsSocket, BorrowedFd as Socket};
#[cfg(windows)]
pub(crate) use std::os::windows::io::{AsSocket, BorrowedSocket as Socket};

/// The socket behind a value, by whatever name the platform has for it.
pub(crate) fn socket_of(value: &impl AsSocket) -> Socket<'_> {
    #[cfg(unix)]
    return value.as_fd();
    #[cfg(windows)]
    return value.as_socket();
}

/// The errno values that decisions depend on.
#[cfg(unix)]
pub(crate) mod errno {
    pub(crate) use libc::{
        EACCES, EAFNOSUPPORT, EAGAIN, EBADF, EINTR, EIO, EMFILE, ENFILE, ENOBUFS, ENOENT, ENOMEM,
        ENOPROTOOPT, ENOSYS, ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPERM, EPROTONOSUPPORT,
    };
}

/// Linux's numbers: elsewhere no call gets as far as to fail with one of them.
#[cfg(not(unix))]
pub(crate) mod errno {
    pub(crate) const EPERM: i32 = 1;
    pub(crate) const ENOENT: i32 = 2;
    pub(crate) const EINTR: i32 = 4;
    pub(crate) const EIO: i32 = 5;
    pub(crate) const EBADF: i32 = 9;
    pub(crate) const EAGAIN: i32 = 11;
    pub(crate) const ENOMEM: i32 = 12;
    pub(crate) const EACCES: i32 = 13;
    pub(crate) const ENFILE: i32 = 23;
    pub(crate) const EMFILE: i32 = 24;
    pub(crate) const ENOSYS: i32 = 38;
    pub(crate) const ENOTSOCK: i32 = 88;
    pub(crate) const ENOPROTOOPT: i32 = 92;
    pub(crate) const EPROTONOSUPPORT: i32 = 93;
    pub(crate) const EOPNOTSUPP: i32 = 95;
    pub(crate) const EAFNOSUPPORT: i32 = 97;
    pub(crate) const ENOBUFS: i32 = 105;
    pub(crate) const ENOTCONN: i32 = 107;
}

/// A failed system call: its errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

/// Not a system call that failed: there is none to make.
pub(crate) const NOT_LINUX: Errno = Errno(0);
