//! Reading one process's descriptor table, to find a socket in it.
//!
//! The kernel has no way to ask "who holds this socket", so each descriptor's link is read. Two
//! things make that cheaper than it usually is: where the kernel tells how many descriptors there
//! are, the numbers are tried upwards from zero until that many were found, which saves listing the
//! directory (more than the reading itself); and what was read of a process is kept as long as the
//! process has not run since (see [`super::cache`]). This process, which runs while it reads, may
//! have the largest table of all: its own descriptors are looked at without a way over `/proc`.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

use super::sys::{DescriptorDir, Entry, Proc, cpu_clock, own_socket};
use crate::token::Pid;

/// Up to this many descriptors, a table that may have changed while it was read is read again from
/// its beginning; of a larger one only what lies beyond the numbers already tried.
const SMALL_TABLE: usize = 64;

/// A process whose first thread has exited shows its descriptors only under another thread; this
/// many are tried.
const THREADS_TRIED: usize = 64;

/// Where a process holds the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) pid: Pid,
    /// The thread to read through, when the first one has exited.
    pub(super) thread: Option<Pid>,
    pub(super) descriptor: u32,
}

/// All sockets of a process that did not run while they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// The process's CPU clock during the whole reading.
    pub(super) clock: i128,
    /// Inode and descriptor, in ascending order.
    pub(super) sockets: Box<[(u64, u32)]>,
}

impl Table {
    /// Where it has the socket, as the table of `pid`.
    pub(super) fn find(&self, pid: Pid, socket: u64) -> Option<Hit> {
        let first = self.sockets.partition_point(|&(inode, _)| inode < socket);
        let &(inode, descriptor) = self.sockets.get(first)?;
        (inode == socket).then_some(Hit { pid, thread: None, descriptor })
    }
}

/// What reading a table told.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The process holds the socket.
    Hit(Hit),
    /// It does not; what it holds instead, if that can be relied on later.
    Miss(Option<Table>),
    /// The process has exited.
    Gone,
    /// The process may not be looked at.
    Denied,
    /// No more descriptors may be read in this search.
    Exhausted,
}

/// How many descriptors a search may still read.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    pub(super) fn new(descriptors: usize) -> Self {
        Self(AtomicUsize::new(descriptors))
    }

    fn take(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
    }
}

/// Why the reading of a table stopped before its end.
enum Stop {
    Hit(u32),
    Io(io::Error),
    Exhausted,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Looks for the socket `inode` in the table of one process; stops where it finds it.
pub(super) fn search(proc: &Proc, entry: Entry, inode: u64, budget: &Budget) -> Outcome {
    search_with(proc, entry, inode, budget, &|_| {})
}

/// The same with a `pause` before each descriptor; tests make the process change there.
pub(super) fn search_with(
    proc: &Proc,
    entry: Entry,
    inode: u64,
    budget: &Budget,
    pause: &dyn Fn(u32),
) -> Outcome {
    let pid = entry.pid;
    // Before anything is read: only what follows an unchanged clock can be relied on later.
    let before = cpu_clock(pid);
    let dir = match proc.descriptors(pid) {
        Ok(dir) => dir,
        Err(error) => return failed(&error),
    };
    let count = dir.count();
    let mut reader =
        Reader { dir: &dir, own: false, inode, budget, pause, sockets: Vec::new(), tried: 0 };
    if pid == proc.own()
        && dir.is_of_this_thread()
        && let Some(below) = below(proc, count)
    {
        reader.own = true;
        return match reader.by_trying(below) {
            Ok(()) => Outcome::Miss(None),
            Err(stop) => stopped(stop, pid),
        };
    }
    let first = match count {
        Some(count) => reader.by_counting(count),
        None => reader.by_listing(0),
    };
    if let Err(stop) = first {
        return stopped(stop, pid);
    }
    if reader.sockets.is_empty() && count.is_none_or(|count| count == 0) && proc.has_threads(pid) {
        return search_threads(proc, pid, inode, budget, pause);
    }

    let after = cpu_clock(pid);
    if let Some(clock) = before
        && before == after
    {
        let mut sockets = reader.sockets;
        sockets.sort_unstable();
        return Outcome::Miss(Some(Table { clock, sockets: sockets.into() }));
    }
    // The process ran meanwhile: it may have moved the socket from a number not yet read to one
    // already read, or opened a file that made the counting stop early.
    if let Some(count) = count {
        let from = if count <= SMALL_TABLE { 0 } else { reader.tried };
        if let Err(stop) = reader.by_listing(from) {
            return stopped(stop, pid);
        }
    }
    Outcome::Miss(None)
}

/// Below which number all descriptors of this process are, unless far more numbers than descriptors
/// are below it.
fn below(proc: &Proc, count: Option<usize>) -> Option<u32> {
    const SPARSE: usize = 8;
    const FEW: usize = 1024;

    let below = proc.descriptors_below()?;
    let worth = count?.saturating_mul(SPARSE).saturating_add(FEW);
    (usize::try_from(below).ok()? <= worth).then_some(below)
}

/// Looks at a few descriptors around the one under which the process held a socket before: new
/// descriptors get the lowest free number, so that the next connection is often next to the last.
pub(super) fn search_near(proc: &Proc, last: Hit, inode: u64) -> Option<Hit> {
    const DISTANCE: u32 = 4;

    let dir = open(proc, last).ok()?;
    let above = (0..=DISTANCE).map(|distance| last.descriptor.checked_add(distance));
    let below = (1..=DISTANCE).map(|distance| last.descriptor.checked_sub(distance));
    above
        .chain(below)
        .flatten()
        .find(|&descriptor| matches!(dir.socket(descriptor), Ok(Some(found)) if found == inode))
        .map(|descriptor| Hit { descriptor, ..last })
}

fn open(proc: &Proc, hit: Hit) -> io::Result<DescriptorDir> {
    match hit.thread {
        Some(thread) => proc.thread_descriptors(hit.pid, thread),
        None => proc.descriptors(hit.pid),
    }
}

/// The reading of one table.
struct Reader<'a> {
    dir: &'a DescriptorDir,
    /// Whether the directory is that of the calling thread.
    own: bool,
    /// The socket that is looked for.
    inode: u64,
    budget: &'a Budget,
    pause: &'a dyn Fn(u32),
    /// The other sockets.
    sockets: Vec<(u64, u32)>,
    /// Every number below this one was tried.
    tried: u32,
}

impl Reader<'_> {
    /// Tries the numbers from zero on until `count` descriptors were found.
    fn by_counting(&mut self, count: usize) -> Result<(), Stop> {
        // Numbers far apart are cheaper to list than to try.
        let mut misses_left = count.saturating_add(16);
        let mut missing = count;
        while missing > 0 {
            let open = self.read(self.tried)?;
            self.tried = self.tried.saturating_add(1);
            if open {
                missing = missing.saturating_sub(1);
                continue;
            }
            match misses_left.checked_sub(1) {
                Some(left) => misses_left = left,
                None => return self.by_listing(self.tried),
            }
        }
        Ok(())
    }

    /// Tries all numbers below `end`.
    fn by_trying(&mut self, end: u32) -> Result<(), Stop> {
        (0..end).try_for_each(|descriptor| self.read(descriptor).map(drop))
    }

    /// Reads the open descriptors from number `from` on.
    fn by_listing(&mut self, from: u32) -> Result<(), Stop> {
        for descriptor in self.dir.list()?.into_iter().filter(|&number| number >= from) {
            self.read(descriptor)?;
        }
        Ok(())
    }

    /// Reads one descriptor; tells whether it is open.
    fn read(&mut self, descriptor: u32) -> Result<bool, Stop> {
        if !self.budget.take() {
            return Err(Stop::Exhausted);
        }
        (self.pause)(descriptor);
        let socket = if self.own { own_socket(descriptor) } else { self.dir.socket(descriptor) };
        match socket {
            Ok(Some(found)) if found == self.inode => Err(Stop::Hit(descriptor)),
            Ok(Some(found)) => {
                self.sockets.push((found, descriptor));
                Ok(true)
            }
            Ok(None) => Ok(true),
            Err(error) if is_one_of(&error, [Errno::NOENT, Errno::BADF]) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Looks through the other threads of a process whose first thread has exited.
fn search_threads(
    proc: &Proc,
    pid: Pid,
    inode: u64,
    budget: &Budget,
    pause: &dyn Fn(u32),
) -> Outcome {
    let threads = match proc.threads(pid, THREADS_TRIED) {
        Ok(threads) => threads,
        Err(error) => return failed(&error),
    };
    for thread in threads.into_iter().filter(|&thread| thread != pid) {
        // A thread that exits meanwhile says nothing about the process.
        let Ok(dir) = proc.thread_descriptors(pid, thread) else {
            continue;
        };
        let mut reader =
            Reader { dir: &dir, own: false, inode, budget, pause, sockets: Vec::new(), tried: 0 };
        match reader.by_listing(0) {
            Err(Stop::Hit(descriptor)) => {
                return Outcome::Hit(Hit { pid, thread: Some(thread), descriptor });
            }
            Err(Stop::Exhausted) => return Outcome::Exhausted,
            // Threads share one table, except for those that asked not to.
            Ok(()) if !reader.sockets.is_empty() => return Outcome::Miss(None),
            Ok(()) | Err(Stop::Io(_)) => {}
        }
    }
    Outcome::Miss(None)
}

fn stopped(stop: Stop, pid: Pid) -> Outcome {
    match stop {
        Stop::Hit(descriptor) => Outcome::Hit(Hit { pid, thread: None, descriptor }),
        Stop::Exhausted => Outcome::Exhausted,
        Stop::Io(error) => failed(&error),
    }
}

/// Whatever is not "no such process" leaves the possibility that the process holds the socket.
fn failed(error: &io::Error) -> Outcome {
    if is_one_of(error, [Errno::NOENT, Errno::SRCH]) { Outcome::Gone } else { Outcome::Denied }
}

fn is_one_of(error: &io::Error, errors: [Errno; 2]) -> bool {
    errors.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
