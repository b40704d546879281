//! Closes what callers have passed, on threads of its own.
//!
//! close(2) may take long, and who passed the descriptor decides: the last close of a TCP socket
//! with `SO_LINGER` waits until what it has sent is acknowledged, that of a file on FUSE asks a
//! program of the caller's. So the agent's own thread closes nothing that it was passed.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kernel::sys;
use crate::workers::{Limits, Workers};

/// For sockets whose close does not wait, as far as they say themselves. Its queue is bounded by
/// what users may have unclosed.
const QUICK: Limits = Limits { threads: 2, queue: usize::MAX };
/// For all else, of each user: who has this thread wait hinders nobody else.
const SLOW: Limits = Limits { threads: 1, queue: usize::MAX };

/// Closes what is closed quickly, for all users.
#[derive(Debug)]
pub(super) struct Closer {
    quick: Workers<Passed>,
}

/// What one user has passed, and is not closed yet.
#[derive(Debug)]
pub(super) struct Unclosed {
    count: AtomicUsize,
    slow: Workers<Passed>,
}

/// What was passed, until it is closed.
#[derive(Debug)]
struct Passed {
    descriptor: OwnedFd,
    counted: Counted,
}

/// One of a user's descriptors that are not closed yet.
#[derive(Debug)]
struct Counted(Arc<Unclosed>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A descriptor that was passed, and goes to the [`Closer`] in the end.
pub(super) struct Lent {
    closer: Arc<Closer>,
    passed: Option<Passed>,
}

impl Unclosed {
    pub(super) fn new() -> Self {
        Self { count: AtomicUsize::new(0), slow: Workers::new("partnerd-close", SLOW, drop) }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Closer {
    pub(super) fn new() -> Self {
        // Just before it is closed, so that there is next to no time to change it between.
        Self { quick: Workers::new("partnerd-close", QUICK, Passed::close) }
    }

    /// Takes `descriptor` into its care; it counts as `unclosed` until it is closed.
    pub(super) fn lend(self: &Arc<Self>, descriptor: OwnedFd, unclosed: &Arc<Unclosed>) -> Lent {
        unclosed.count.fetch_add(1, Ordering::Relaxed);
        let passed = Passed { descriptor, counted: Counted(Arc::clone(unclosed)) };
        Lent { closer: Arc::clone(self), passed: Some(passed) }
    }
}

impl Passed {
    /// Closes it on this thread, or on one of its user's where it may wait.
    fn close(self) {
        if sys::close_may_wait(self.descriptor.as_fd()) {
            self.close_slowly();
        }
    }

    fn close_slowly(self) {
        let unclosed = Arc::clone(&self.counted.0);
        // Where no thread can be had, this one has to do it.
        drop(unclosed.slow.give(self));
    }
}

impl Lent {
    /// `None` only while it is dropped.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.passed.as_ref().map(|passed| passed.descriptor.as_fd())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Which thread is the right one is found out there: it has to look in any case.
        if let Some(passed) = self.passed.take() {
            drop(self.closer.quick.give(passed));
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").field("passed", &self.passed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !ready() {
            assert!(Instant::now() < end, "never happened: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Eight sockets of one user whose close waits a minute, and one of another.
    #[test]
    fn who_lets_closes_wait_does_not_hold_up_others() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let closer = Arc::new(Closer::new());
        let [slow, quick] = [(); 2].map(|()| Arc::new(Unclosed::new()));
        let mut far = Vec::new();
        for _ in 0..8 {
            let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            far.push(listener.accept().unwrap().0);
            near.set_nonblocking(true).unwrap();
            // More than the other end takes, which reads nothing.
            while near.write(&[0; 1 << 16]).is_ok() {}
            socket2::SockRef::from(&near).set_linger(Some(Duration::from_secs(60))).unwrap();
            drop(closer.lend(near.into(), &slow));
        }
        for _ in 0..100 {
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut there = listener.accept().unwrap().0;
            drop(closer.lend(near.into(), &quick));
            // The other end sees it.
            assert_eq!(there.read(&mut [0]).unwrap(), 0);
        }
        eventually("all others are closed", || quick.count() == 0);
        assert_eq!(slow.count(), 8, "these wait");
        // Another user's that may wait, and does not.
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        socket2::SockRef::from(&near).set_linger(Some(Duration::from_secs(60))).unwrap();
        drop(closer.lend(near.into(), &quick));
        drop(closer.lend(std::fs::File::open("/dev/null").unwrap().into(), &quick));
        eventually("the other user's are closed", || quick.count() == 0);
        // Reset by their other ends, they wait no more.
        drop(far);
        eventually("those are closed, too", || slow.count() == 0);
    }
}
