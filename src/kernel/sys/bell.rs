//! One descriptor that is readable when there is something to look at: eventfd(2),
//! timerfd_create(2) and other sockets, in an epoll(7).

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

use super::wake_up::{WakeUp, errno, timespec};
use super::{Errno, Socket};

/// Rings, which is that it becomes readable, when it is woken, at an instant, or when something
/// comes over another socket.
#[derive(Debug)]
pub(crate) struct Bell {
    all: OwnedFd,
    wake_up: Arc<WakeUp>,
    timer: OwnedFd,
}

impl Bell {
    /// epoll_create1(2), timerfd_create(2), eventfd(2)
    pub(crate) fn new() -> Result<Self, Errno> {
        let all = epoll::create(CreateFlags::CLOEXEC).map_err(errno)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer =
            rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags).map_err(errno)?;
        let bell = Self { all, wake_up: WakeUp::new()?, timer };
        bell.add(&bell.timer)?;
        bell.add(&*bell.wake_up)?;
        Ok(bell)
    }

    /// What makes it ring.
    pub(crate) fn wake_up(&self) -> &Arc<WakeUp> {
        &self.wake_up
    }

    /// Stops ringing. To be called before the look at what it may have rung for.
    pub(crate) fn clear(&self) {
        self.wake_up.clear();
        self.set_timer(Duration::ZERO);
    }

    /// Rings then, unless it is cleared before.
    pub(crate) fn ring_at(&self, at: Instant) {
        let left = at.saturating_duration_since(Instant::now());
        // A zero would stop the timer.
        self.set_timer(left.max(Duration::from_nanos(1)));
    }

    /// Rings for as long as `other` is readable.
    pub(crate) fn add(&self, other: impl AsFd) -> Result<(), Errno> {
        epoll::add(&self.all, other, EventData::new_u64(0), EventFlags::IN).map_err(errno)
    }

    pub(crate) fn remove(&self, other: Socket<'_>) {
        // What is not in it need not be taken out.
        let _ = epoll::delete(&self.all, other);
    }

    fn set_timer(&self, after: Duration) {
        let once = Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(after) };
        // Only a time that is none fails.
        let _ = rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.all.as_raw_fd()
    }
}
