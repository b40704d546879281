//! A pidfd of a holder, that is certainly one of the same process.

use std::io;
use std::os::fd::OwnedFd;

use super::parse::stat;
use super::sys::{self, Proc, ProcessDir};
use crate::token::{Holder, Pid};

/// The kernel's text is below 1 KiB.
const STAT_LIMIT: usize = 4096;

impl Holder {
    /// `pidfd_open`: a descriptor of this process, to wait for its end, to send it signals, or to
    /// compare it with another.
    ///
    /// The pid may have been given to another process since the token was made. So the descriptor
    /// is handed out only when it is proven to be of the same process: by the number that the kernel
    /// gives every process once (Linux 6.9 and later), or else by its start time.
    ///
    /// # Errors
    ///
    /// `ESRCH` if the process has exited, or if it cannot be proven to be the same one; `EXDEV` if
    /// it runs on another image; otherwise what the system calls answer.
    #[doc(alias = "pidfd_open")]
    pub fn pidfd(&self) -> io::Result<OwnedFd> {
        let parts = self.parts();
        if !parts.local {
            return Err(rustix::io::Errno::XDEV.into());
        }
        let pidfd = sys::pidfd(parts.pid)?;
        let same = match parts.pidfs_inode {
            Some(inode) => sys::pidfs_inode(&pidfd) == Some(inode),
            None => {
                let proc = Proc::open().ok_or_else(gone)?;
                start_ticks(&proc.process(parts.pid)?) == Some(parts.start_ticks)
            }
        };
        // While the process of the descriptor lives, nobody else can have its pid: what was read
        // under that pid was read of it.
        if same && !sys::exited(&pidfd)? { Ok(pidfd) } else { Err(gone()) }
    }
}

/// The start time of a process.
pub(super) fn start_ticks(process: &ProcessDir) -> Option<u64> {
    stat(process).map(|stat| stat.start_ticks)
}

pub(super) fn stat(process: &ProcessDir) -> Option<stat::Stat> {
    stat::stat(&process.read(c"stat", STAT_LIMIT)?)
}

/// The unique number of the process that has `pid` now. If a handle that was opened before still
/// answers afterwards, the pid has belonged to its process all the time.
pub(super) fn pidfs_inode(pid: Pid) -> Option<u64> {
    sys::pidfs_inode(&sys::pidfd(pid).ok()?)
}

fn gone() -> io::Error {
    rustix::io::Errno::SRCH.into()
}
