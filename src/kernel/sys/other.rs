//! Platforms without `NETLINK_SOCK_DIAG`: every question fails with [`NOT_LINUX`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Wake;
use std::time::Instant;

use super::{AsSocket, Errno, NOT_LINUX, Socket};
use crate::kernel::verify::Protocol;

/// Cannot be made here.
#[derive(Debug)]
pub(crate) enum Netlink {}

impl Netlink {
    pub(crate) fn sock_diag() -> Result<Self, Errno> {
        Err(NOT_LINUX)
    }

    pub(crate) fn route() -> Result<Self, Errno> {
        Err(NOT_LINUX)
    }

    pub(crate) fn netfilter() -> Result<Self, Errno> {
        Err(NOT_LINUX)
    }

    pub(crate) fn is_itself(&self) -> bool {
        match *self {}
    }

    pub(crate) fn send(&self, _: &[u8]) -> Result<(), Errno> {
        match *self {}
    }

    pub(crate) fn receive<'b>(&self, _: &'b mut [u8]) -> Result<Option<&'b [u8]>, Errno> {
        match *self {}
    }
}

#[cfg(unix)]
impl AsSocket for Netlink {
    fn as_fd(&self) -> Socket<'_> {
        match *self {}
    }
}

#[cfg(windows)]
impl AsSocket for Netlink {
    fn as_socket(&self) -> Socket<'_> {
        match *self {}
    }
}

/// Cannot be made here.
#[derive(Debug)]
pub(crate) enum WakeUp {}

impl WakeUp {
    pub(crate) fn new() -> Result<Arc<Self>, Errno> {
        Err(NOT_LINUX)
    }

    pub(crate) fn clear(&self) {
        match *self {}
    }

    pub(crate) fn wait(&self, _: Option<Socket<'_>>, _: Option<Instant>) -> Result<(), Errno> {
        match *self {}
    }
}

impl Wake for WakeUp {
    fn wake(self: Arc<Self>) {
        match *self {}
    }
}

/// Cannot be made here.
#[cfg(feature = "mio")]
#[derive(Debug)]
pub(crate) enum Bell {}

#[cfg(feature = "mio")]
impl Bell {
    pub(crate) fn new() -> Result<Self, Errno> {
        Err(NOT_LINUX)
    }

    pub(crate) fn wake_up(&self) -> &Arc<WakeUp> {
        match *self {}
    }

    pub(crate) fn clear(&self) {
        match *self {}
    }

    pub(crate) fn ring_at(&self, _: Instant) {
        match *self {}
    }

    pub(crate) fn add(&self, _: impl AsSocket) -> Result<(), Errno> {
        match *self {}
    }

    pub(crate) fn remove(&self, _: Socket<'_>) {
        match *self {}
    }
}

#[cfg(all(feature = "mio", unix))]
impl std::os::fd::AsRawFd for Bell {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        match *self {}
    }
}

pub(crate) mod addresses {
    use super::{Errno, NOT_LINUX, Socket, SocketAddr};

    pub(crate) fn local(_: Socket<'_>) -> Result<Option<SocketAddr>, Errno> {
        Err(NOT_LINUX)
    }

    pub(crate) fn peer(_: Socket<'_>) -> Result<Option<SocketAddr>, Errno> {
        Err(NOT_LINUX)
    }
}

pub(crate) fn cookie(_: Socket<'_>) -> Result<u64, Errno> {
    Err(NOT_LINUX)
}

pub(crate) fn namespace_cookie(_: Socket<'_>) -> Result<u64, Errno> {
    Err(NOT_LINUX)
}

pub(crate) fn bound_device(_: Socket<'_>) -> Result<u32, Errno> {
    Err(NOT_LINUX)
}

pub(crate) fn protocol(_: Socket<'_>) -> Result<Protocol, Errno> {
    Err(NOT_LINUX)
}

pub(crate) fn is_listening(_: Socket<'_>) -> Result<bool, Errno> {
    Err(NOT_LINUX)
}

pub(crate) fn original_destination(_: Socket<'_>, _: bool) -> Result<Option<SocketAddr>, Errno> {
    Err(NOT_LINUX)
}

pub(crate) fn inode(_: Socket<'_>) -> Result<u64, Errno> {
    Err(NOT_LINUX)
}

pub(crate) fn read_text(_: &str) -> Result<String, Errno> {
    Err(NOT_LINUX)
}

/// Milliseconds since the first call.
pub(crate) fn coarse_milliseconds() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(std::time::Instant::now);
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn effective_uid() -> u32 {
    u32::MAX
}

pub(crate) fn effective_gid() -> u32 {
    u32::MAX
}

pub(crate) fn may_read_others() -> bool {
    false
}

pub(crate) fn groups() -> Result<Vec<u32>, Errno> {
    Err(NOT_LINUX)
}

pub(crate) fn is_privileged(_: Socket<'_>) -> bool {
    false
}

pub(crate) fn host_name() -> String {
    String::from("localhost")
}

pub(crate) fn distrusts_environment() -> bool {
    true
}

pub(crate) fn generation() -> u32 {
    1
}
