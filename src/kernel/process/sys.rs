//! The only system calls of this room. Each method names the call it stands for.
//!
//! Everything is opened relative to one descriptor of `/proc` that was checked once: it is a
//! procfs, and one that shows this process under its own pid. A `/proc` of another pid namespace
//! has other pids, and everything read there would be about other processes.

use std::ffi::{CStr, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::time::{ClockId, clock_gettime};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;
use rustix::path::{Arg, DecInt};
use rustix::process::PidfdFlags;

use super::parse::{link, node, status};
use crate::kernel::sys::own_socket_inode;
use crate::token::Pid;

/// `PROC_SUPER_MAGIC`, `CGROUP2_SUPER_MAGIC`, `PID_FS_MAGIC` of `linux/magic.h`.
const PROC_MAGIC: u64 = 0x9fa0;
const CGROUP2_MAGIC: u64 = 0x6367_7270;
const PIDFS_MAGIC: u64 = 0x5049_4446;

/// How files are opened to be read.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// A name in `/proc` and the inode number that procfs gave it.
///
/// procfs gives a process's directory a new inode number for each process, and keeps it while the
/// directory is cached: the same number means the same process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) pid: Pid,
    pub(super) inode: u64,
}

/// `/proc`.
#[derive(Debug)]
pub(super) struct Proc {
    root: OwnedFd,
    /// This process.
    own: Pid,
    /// `/proc/stat`, unless something else was mounted there.
    stat: Option<OwnedFd>,
    /// Whether the size of `/proc/<pid>/fd` is the number of descriptors (Linux 6.2 and later).
    counts_descriptors: bool,
}

/// `/proc/<pid>`, or one of its threads: reads through it fail once that process has exited, also
/// when its pid has been given to another one.
#[derive(Debug)]
pub(super) struct ProcessDir(OwnedFd);

/// `/proc/<pid>/fd`.
#[derive(Debug)]
pub(super) struct DescriptorDir {
    dir: OwnedFd,
    counted: bool,
}

impl Proc {
    /// `open("/proc")`; `None` if it is not the procfs of this process's pid namespace.
    pub(super) fn open() -> Option<Self> {
        let root = open_dir(rustix::fs::CWD, c"/proc").ok()?;
        if magic(&root)? != PROC_MAGIC {
            return None;
        }
        let mut buffer = [MaybeUninit::uninit(); 32];
        let (name, _) = rustix::fs::readlinkat_raw(&root, c"self", &mut buffer).ok()?;
        let own = Pid::new(std::process::id())?;
        if link::number(name) != Some(own.as_raw()) {
            return None;
        }
        // Our own table has at least the descriptor just opened.
        let table = rustix::fs::statat(&root, c"self/fd", AtFlags::empty()).ok()?;
        let stat = counted(rustix::fs::openat(&root, c"stat", FILE, Mode::empty())).ok();
        // Containers may have an imitation mounted over it, which counts something else.
        let stat = stat.filter(|stat| magic(stat) == Some(PROC_MAGIC));
        Some(Self { root, own, stat, counts_descriptors: table.st_size > 0 })
    }

    /// As on kernels that do not tell the number of descriptors.
    #[cfg(test)]
    pub(super) fn without_counts(self) -> Self {
        Self { counts_descriptors: false, ..self }
    }

    /// This process.
    pub(super) fn own(&self) -> Pid {
        self.own
    }

    /// `pread("/proc/stat")`: how many processes and threads were started since the boot, in all
    /// namespaces. While it stands, none that was not there before is there now.
    ///
    /// Source: `total_forks` in the kernel's `copy_process`, counted before the new one runs.
    pub(super) fn forks(&self) -> Option<NonZeroU64> {
        // Its line of interrupts grows with the machine.
        const LIMIT: usize = 1 << 20;

        let file = self.stat.as_ref()?;
        let mut text = Vec::with_capacity(8 * 1024);
        loop {
            let at = u64::try_from(text.len()).ok()?;
            match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut text), at) {
                Ok(0) => return node::forks(&text),
                Ok(_) if text.len() > LIMIT => return None,
                Ok(_) => text.reserve(8 * 1024),
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// `getdents("/proc")`: the processes there are.
    pub(super) fn processes(&self) -> io::Result<Vec<Entry>> {
        let dir = open_dir(&self.root, c".")?;
        let mut entries = Vec::with_capacity(512);
        list(&dir, |number, inode| {
            if let Some(pid) = Pid::new(number) {
                entries.push(Entry { pid, inode });
            }
        })?;
        Ok(entries)
    }

    /// `open("/proc/<pid>")` as a mere handle.
    pub(super) fn process(&self, pid: Pid) -> io::Result<ProcessDir> {
        open_handle(&self.root, DecInt::new(pid.as_raw()))
    }

    /// `open("/proc/<pid>/fd")`.
    pub(super) fn descriptors(&self, pid: Pid) -> io::Result<DescriptorDir> {
        let dir = open_dir(&self.root, format!("{pid}/fd"))?;
        Ok(DescriptorDir { dir, counted: self.counts_descriptors })
    }

    /// `open("/proc/<pid>/task/<tid>/fd")`.
    pub(super) fn thread_descriptors(&self, pid: Pid, tid: Pid) -> io::Result<DescriptorDir> {
        let dir = open_dir(&self.root, format!("{pid}/task/{tid}/fd"))?;
        Ok(DescriptorDir { dir, counted: self.counts_descriptors })
    }

    /// `fstatat("/proc/<pid>/task")`: whether the process has more than one thread.
    pub(super) fn has_threads(&self, pid: Pid) -> bool {
        // Two links are `.` and `..`, as in any directory.
        rustix::fs::statat(&self.root, format!("{pid}/task"), AtFlags::empty())
            .is_ok_and(|stat| stat.st_nlink > 3)
    }

    /// `getdents("/proc/<pid>/task")`: at most `limit` threads of the process.
    pub(super) fn threads(&self, pid: Pid, limit: usize) -> io::Result<Vec<Pid>> {
        let dir = open_dir(&self.root, format!("{pid}/task"))?;
        let mut threads = Vec::new();
        list(&dir, |number, _| {
            if threads.len() < limit {
                threads.extend(Pid::new(number));
            }
        })?;
        Ok(threads)
    }

    /// `fstatat("/proc/<pid>")`: who owns the entry.
    ///
    /// Good for one thing, the order in which processes are looked at. The entries of exited and of
    /// protected processes are root's, whoever they belong to: this is never anybody's uid.
    pub(super) fn owner_for_order_only(&self, pid: Pid) -> Option<u32> {
        let name = DecInt::new(pid.as_raw());
        rustix::fs::statat(&self.root, name, AtFlags::empty()).ok().map(|stat| stat.st_uid)
    }

    /// `fstatat("/proc/<pid>/fd")`: the number of its descriptors, where the kernel tells it.
    pub(super) fn table_size(&self, pid: Pid) -> Option<u64> {
        let stat = rustix::fs::statat(&self.root, format!("{pid}/fd"), AtFlags::empty()).ok()?;
        u64::try_from(stat.st_size).ok()
    }

    /// `read` of a file below `/proc`; `None` if it is longer than `limit`.
    pub(super) fn read(&self, path: &CStr, limit: usize) -> Option<Vec<u8>> {
        read_file(&self.root, path, limit)
    }

    /// `read("/proc/self/status")`: every descriptor of this process is below this number.
    pub(super) fn descriptors_below(&self) -> Option<u32> {
        status::descriptors_below(&self.read(c"self/status", 1 << 20)?)
    }

    /// `readlink` of a link below `/proc`.
    pub(super) fn link(&self, path: &CStr) -> Option<Vec<u8>> {
        read_link(&self.root, path)
    }
}

impl ProcessDir {
    /// `open("task/<tid>")`.
    pub(super) fn thread(&self, tid: Pid) -> io::Result<Self> {
        open_handle(&self.0, format!("task/{tid}"))
    }

    /// `read` of a file of the process; `None` if it cannot be read or is longer than `limit`.
    pub(super) fn read(&self, name: &CStr, limit: usize) -> Option<Vec<u8>> {
        read_file(&self.0, name, limit)
    }

    /// `readlink` of a link of the process.
    pub(super) fn link(&self, name: &CStr) -> Option<Vec<u8>> {
        read_link(&self.0, name)
    }

    /// `readlink("fd/<descriptor>")`: the inode of the socket under that descriptor.
    pub(super) fn socket(&self, descriptor: u32) -> Option<u64> {
        let mut buffer = [MaybeUninit::uninit(); 64];
        let name = format!("fd/{descriptor}");
        let (link, _) = rustix::fs::readlinkat_raw(&self.0, name, &mut buffer).ok()?;
        link::socket_inode(link).map(Into::into)
    }
}

impl DescriptorDir {
    /// `fstat`: the number of descriptors, where the kernel tells it.
    pub(super) fn count(&self) -> Option<usize> {
        if !self.counted {
            return None;
        }
        usize::try_from(rustix::fs::fstat(&self.dir).ok()?.st_size).ok()
    }

    /// `readlink("<descriptor>")`: the inode of a socket, `None` for any other file.
    pub(super) fn socket(&self, descriptor: u32) -> io::Result<Option<u64>> {
        // A longer link is cut off, and is no socket's.
        let mut buffer = [MaybeUninit::uninit(); 64];
        let name = DecInt::new(descriptor);
        let (link, _) = rustix::fs::readlinkat_raw(&self.dir, name, &mut buffer)?;
        Ok(link::socket_inode(link).map(Into::into))
    }

    /// Whether this directory shows the descriptors of the calling thread, as it does for this
    /// process unless the thread has asked for a table of its own (`unshare(CLONE_FILES)`).
    pub(super) fn is_of_this_thread(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 64];
        let name = DecInt::from_fd(&self.dir);
        // The directory is open in this thread's table: it shows itself.
        rustix::fs::readlinkat_raw(&self.dir, name, &mut buffer).is_ok_and(|(link, _)| {
            let own = std::process::id();
            *link == *format!("/proc/{own}/fd").as_bytes()
        })
    }

    /// `getdents`: the descriptors that are open, in no order.
    pub(super) fn list(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        rustix::fs::seek(&self.dir, rustix::fs::SeekFrom::Start(0))?;
        list(&self.dir, |number, _| numbers.push(number))?;
        Ok(numbers)
    }
}

/// `fstat`: the inode of the socket that the calling thread has under this number, `None` for any
/// other file.
pub(super) fn own_socket(descriptor: u32) -> io::Result<Option<u64>> {
    own_socket_inode(descriptor).map_err(|error| io::Error::from_raw_os_error(error.0))
}

/// `clock_gettime` of a process's CPU clock, in nanoseconds: all its threads, exited ones included.
///
/// Needs no right over the process. A process whose clock stands where it stood has not run up to
/// the last tick.
pub(super) fn cpu_clock(pid: Pid) -> Option<i128> {
    // CPUCLOCK_SCHED of a whole process; the encoding is that of clock_getcpuclockid(3), which
    // would make a system call of its own to check it.
    let id = (!i32::try_from(pid.as_raw()).ok()?).wrapping_shl(3) | 2;
    let time = clock_gettime(ClockId::from_raw(id)).ok()?;
    Some(i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec()))
}

/// `pidfd_open`.
pub(super) fn pidfd(pid: Pid) -> io::Result<OwnedFd> {
    let raw = i32::try_from(pid.as_raw()).map_err(|_| Errno::SRCH)?;
    let pid = rustix::process::Pid::from_raw(raw).ok_or(Errno::SRCH)?;
    counted(rustix::process::pidfd_open(pid, PidfdFlags::empty()))
}

/// `fstat` of a pidfd: a number that no other process has or will have until the next boot; `None`
/// on kernels where all pidfds share one inode (before 6.9).
pub(super) fn pidfs_inode(pidfd: &OwnedFd) -> Option<u64> {
    if magic(pidfd)? != PIDFS_MAGIC {
        return None;
    }
    rustix::fs::fstat(pidfd).ok().map(|stat| stat.st_ino)
}

/// `poll` of a pidfd: whether its process has exited.
pub(super) fn exited(pidfd: &OwnedFd) -> io::Result<bool> {
    let mut descriptors = [PollFd::new(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(rustix::io::retry_on_intr(|| poll(&mut descriptors, Some(&now)))? > 0)
}

/// `uname`: the host name.
pub(super) fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    (!name.is_empty() && name != "(none)").then_some(name)
}

/// `sysconf(_SC_CLK_TCK)`: the unit of process start times.
pub(super) fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// `read` of a file anywhere; `None` if it cannot be read or is longer than `limit`.
pub(super) fn read(path: &CStr, limit: usize) -> Option<Vec<u8>> {
    read_file(rustix::fs::CWD, path, limit)
}

/// `statfs`: whether a directory belongs to the unified control group hierarchy.
pub(super) fn is_cgroup2(path: &Path) -> bool {
    open_dir(rustix::fs::CWD, path).is_ok_and(|dir| magic(&dir) == Some(CGROUP2_MAGIC))
}

/// `getdents`: the directories in a directory, each with its inode number.
pub(super) fn subdirectories(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let dir = open_dir(rustix::fs::CWD, path)?;
    let mut found = Vec::new();
    let mut buffer = [MaybeUninit::uninit(); 8 * 1024];
    let mut entries = RawDir::new(&dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if entry.file_type() == FileType::Directory && !matches!(name, b"." | b"..") {
            found.push((entry.ino(), path.join(OsStr::from_bytes(name))));
        }
    }
    Ok(found)
}

/// `read` of a file in a directory; `None` if it is longer than `limit`.
pub(super) fn read_in(dir: &Path, name: &CStr, limit: usize) -> Option<Vec<u8>> {
    read_file(open_dir(rustix::fs::CWD, dir).ok()?, name, limit)
}

/// `stat`: an inode number.
pub(super) fn inode(path: &Path) -> Option<u64> {
    rustix::fs::stat(path).ok().map(|stat| stat.st_ino)
}

fn magic(fd: &OwnedFd) -> Option<u64> {
    // The field's type differs between architectures.
    let magic = rustix::fs::fstatfs(fd).ok()?.f_type;
    u64::try_from(magic).ok()
}

/// How often something could not be opened because there was no descriptor or no memory for it, in
/// this process; and the last errno of that kind, in the low 32 bits.
static SHORTAGES: AtomicU64 = AtomicU64::new(0);

/// What `look` comes to; or the errno, if it went short of descriptors or memory: what could not be
/// opened for want of them says nothing of what there is.
pub(super) fn unless_short<T>(look: impl FnOnce() -> T) -> Result<T, i32> {
    let before = SHORTAGES.load(Ordering::Relaxed);
    let seen = look();
    let after = SHORTAGES.load(Ordering::Relaxed);
    if after == before {
        return Ok(seen);
    }
    let errno = i32::try_from(after & u64::from(u32::MAX));
    Err(errno.unwrap_or(Errno::MFILE.raw_os_error()))
}

/// Counts a shortage.
fn counted<T>(opened: Result<T, Errno>) -> io::Result<T> {
    if let Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) = opened {
        let errno = u64::from(errno.raw_os_error().unsigned_abs());
        let next = |last: u64| Some(((last >> 32).wrapping_add(1) << 32) | errno);
        let _ = SHORTAGES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
    Ok(opened?)
}

fn open_dir(at: impl AsFd, path: impl Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    counted(rustix::fs::openat(at, path, flags, Mode::empty()))
}

fn open_handle(at: impl AsFd, path: impl Arg) -> io::Result<ProcessDir> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(ProcessDir(counted(rustix::fs::openat(at, path, flags, Mode::empty()))?))
}

fn read_file(at: impl AsFd, path: &CStr, limit: usize) -> Option<Vec<u8>> {
    let file = counted(rustix::fs::openat(at, path, FILE, Mode::empty())).ok()?;
    read_all(file.as_fd(), limit)
}

fn read_all(file: BorrowedFd<'_>, limit: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        if text.len() > limit {
            return None;
        }
        text.reserve(4096);
        match rustix::io::read(file, rustix::buffer::spare_capacity(&mut text)) {
            Ok(0) => return Some(text),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

fn read_link(at: impl AsFd, path: &CStr) -> Option<Vec<u8>> {
    let mut buffer = [MaybeUninit::uninit(); 4097];
    let (link, rest) = rustix::fs::readlinkat_raw(at, path, &mut buffer).ok()?;
    // One that fills the buffer may have been cut off.
    (!rest.is_empty()).then(|| link.to_vec())
}

/// Calls `each` with the number and the inode of every entry whose name is a number.
fn list(dir: &OwnedFd, mut each: impl FnMut(u32, u64)) -> io::Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if let Some(number) = link::number(entry.file_name().to_bytes()) {
            each(number, entry.ino());
        }
    }
    Ok(())
}
