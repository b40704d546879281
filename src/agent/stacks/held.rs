//! One stack, and what it takes to ask about its sockets.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::Unavailable;
use crate::kernel::prober::Prober;
use crate::kernel::resolver::{Asker, Failure};
use crate::kernel::sys::{self, Errno, namespace};

/// A stack that is kept for a moment.
#[derive(Debug)]
pub(crate) struct Held {
    /// `SO_NETNS_COOKIE`: no other stack has it until the next boot.
    cookie: u64,
    /// Of its file; no other stack has it while this one lives.
    inode: u64,
    file: OwnedFd,
    asker: Mutex<Asker>,
    /// Whether who is root there need be nobody here: then its sockets can have any addresses and
    /// any numbers (`TCP_REPAIR`).
    forgeable: bool,
    /// Its number for the [`Prober`].
    number: OnceLock<u32>,
    used: Mutex<Instant>,
}

impl Held {
    /// The stack behind `file`; a thread that is at `home` enters it for a moment.
    pub(super) fn open(home: Option<&Self>, file: OwnedFd) -> Result<Self, Unavailable> {
        let failed = |doing| move |Errno(errno)| Unavailable::Failed { doing, errno };
        let asker = match home {
            None => Asker::open_pinned(),
            Some(home) => namespace::visit(home.file(), file.as_fd(), Asker::open_pinned)
                .map_err(failed("enter a network namespace"))?,
        };
        let asker = asker.map_err(|failure| match failure {
            Failure::Unsupported => {
                Unavailable::Failed { doing: "ask sock_diag, which is not there", errno: 0 }
            }
            Failure::Io { doing, errno } => Unavailable::Failed { doing, errno },
        })?;
        let cookie = sys::namespace_cookie(asker.socket())
            .map_err(failed("ask for a network namespace's cookie (Linux 5.14)"))?;
        let inode = sys::inode(file.as_fd()).map_err(failed("look at a network namespace"))?;
        let forgeable = !namespace::is_owned_by_ours(file.as_fd());
        Ok(Self {
            cookie,
            inode,
            forgeable,
            file,
            asker: Mutex::new(asker),
            number: OnceLock::new(),
            used: Mutex::new(Instant::now()),
        })
    }

    pub(crate) fn cookie(&self) -> u64 {
        self.cookie
    }

    pub(crate) fn is_forgeable(&self) -> bool {
        self.forgeable
    }

    pub(super) fn inode(&self) -> u64 {
        self.inode
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// To ask with; from any thread, but for what says otherwise.
    pub(crate) fn asker(&self) -> MutexGuard<'_, Asker> {
        // A question that was given up half-way is found out by its number.
        self.asker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn number(&self, prober: &Prober) -> Result<u32, Errno> {
        if let Some(number) = self.number.get() {
            return Ok(*number);
        }
        let number = prober.number(self.file())?;
        Ok(*self.number.get_or_init(|| number))
    }

    pub(super) fn use_now(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
