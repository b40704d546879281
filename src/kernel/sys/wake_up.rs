//! Waiting on a thread that has no runtime: eventfd(2) and poll(2).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Wake;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

use super::{Errno, Socket};

/// A waker that any thread may use, and for which one thread waits.
#[derive(Debug)]
pub(crate) struct WakeUp(OwnedFd);

impl WakeUp {
    /// eventfd(2)
    pub(crate) fn new() -> Result<Arc<Self>, Errno> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let event = rustix::event::eventfd(0, flags).map_err(errno)?;
        Ok(Arc::new(Self(event)))
    }

    /// Forgets that it was woken. To be called before the look at what it may have been woken for.
    pub(crate) fn clear(&self) {
        // `EAGAIN`: it was not.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }

    /// poll(2): until it is woken, something comes over `other`, or `until`; or somewhat earlier.
    pub(crate) fn wait(
        &self,
        other: Option<Socket<'_>>,
        until: Option<Instant>,
    ) -> Result<(), Errno> {
        let timeout = until.map(|at| timespec(at.saturating_duration_since(Instant::now())));
        let readable = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
        let polled = match other {
            Some(other) => {
                let descriptors = &mut [readable(self.0.as_fd()), readable(other)];
                rustix::event::poll(descriptors, timeout.as_ref())
            }
            None => rustix::event::poll(&mut [readable(self.0.as_fd())], timeout.as_ref()),
        };
        match polled {
            // A signal came: whoever waits looks, and waits again.
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(errno(error)),
        }
    }
}

impl Wake for WakeUp {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // `EAGAIN`: it was woken so often, and not yet looked at, that its counter is full.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl AsFd for WakeUp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

pub(super) fn errno(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error())
}
