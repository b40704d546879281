//! What earlier searches saw, and when it may still be believed.
//!
//! Descriptor tables change without a trace, so that an old look at one proves nothing by itself.
//! But a table is changed by its own process: one whose CPU clock stands exactly where it stood
//! before the table was read has not run, up to a tick ago, and its table is what it was then. That
//! check costs one system call a process, where reading costs one a descriptor.
//!
//! Two things limit it. The kernel adds to the clock when a process leaves its processor, and at each
//! tick while it is on one: what a process did that is running at this moment, and since the last
//! tick (1 to 10 ms), is not in it yet (`thread_group_cputime` in the kernel's
//! `sched/cputime.c`). And processes that share one table without being threads of each other,
//! `clone(CLONE_FILES)` without `CLONE_THREAD`, change each other's; nothing common makes them.
//!
//! The list of processes is believed by the same kind of proof: while the kernel's count of started
//! processes stands, none has come that is not in it.
//!
//! What was found is believed even less: a remembered holder only says where to look first.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::sys::{Entry, Proc, cpu_clock};
use super::table::{Hit, Table};
use crate::token::{Pid, Uid};

/// At most this many sockets are remembered, over all processes: 16 bytes each.
const SOCKETS_KEPT: usize = 1 << 18;

/// At most this many holders are remembered.
const HOLDERS_KEPT: usize = 64;

/// At most this many remembered holders are looked at before the search proper.
const HOLDERS_TRIED: usize = 8;

/// The descriptor tables that were read.
#[derive(Debug, Default)]
pub(super) struct Tables {
    known: HashMap<Pid, Known>,
    sockets: usize,
    census: Option<Census>,
}

/// The processes there were.
#[derive(Debug)]
struct Census {
    /// The count of started processes before they were listed.
    forks: NonZeroU64,
    entries: Arc<[Entry]>,
}

#[derive(Debug)]
struct Known {
    /// Tells the process from another one with the same pid.
    inode: u64,
    table: Table,
}

/// What the cache tells about one process and one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belief {
    /// The process held the socket when its table was read, and has not run since.
    Holds(Hit),
    /// The process did not hold the socket, and has not run since.
    HoldsNot,
    /// Its table must be read.
    Unknown,
}

impl Tables {
    /// What is known about a process, now.
    pub(super) fn belief(&self, entry: Entry, socket: u64) -> Belief {
        match self.known.get(&entry.pid) {
            Some(known) if known.inode == entry.inode => {
                judge(&known.table, entry.pid, socket, cpu_clock(entry.pid))
            }
            Some(_) | None => Belief::Unknown,
        }
    }

    /// All processes there are, in ascending order of pid, and perhaps some that have exited. The
    /// very same list as the last time if none was started since.
    pub(super) fn present(&mut self, proc: &Proc) -> io::Result<Arc<[Entry]>> {
        // Counted before they are listed: who is started meanwhile is looked for the next time.
        let forks = proc.forks();
        if let Some(census) = &self.census
            && Some(census.forks) == forks
        {
            return Ok(Arc::clone(&census.entries));
        }
        let mut entries = proc.processes()?;
        entries.sort_unstable();
        let entries = Arc::from(entries);
        self.census = forks.map(|forks| Census { forks, entries: Arc::clone(&entries) });
        Ok(entries)
    }

    /// Where the socket was when tables were last read: a place to look at first, and no more.
    pub(super) fn hint(&self, socket: u64) -> Option<Hit> {
        self.known.iter().find_map(|(&pid, known)| known.table.find(pid, socket))
    }

    /// Remembers a table that was just read.
    pub(super) fn insert(&mut self, entry: Entry, table: Table) {
        self.remove(entry.pid);
        let room = SOCKETS_KEPT.saturating_sub(self.sockets);
        if table.sockets.len() <= room {
            self.sockets = self.sockets.saturating_add(table.sockets.len());
            self.known.insert(entry.pid, Known { inode: entry.inode, table });
        }
    }

    /// Forgets a table that is no longer true.
    pub(super) fn remove(&mut self, pid: Pid) {
        if let Some(old) = self.known.remove(&pid) {
            self.sockets = self.sockets.saturating_sub(old.table.sockets.len());
        }
    }

    /// Of how many processes the tables are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Forgets every process that is not among `present`.
    pub(super) fn retain(&mut self, present: &[Entry]) {
        if self.known.len() <= present.len() {
            return;
        }
        let present: HashSet<Pid> = present.iter().map(|entry| entry.pid).collect();
        self.known.retain(|pid, _| present.contains(pid));
        self.sockets = self.known.values().map(|known| known.table.sockets.len()).sum();
    }
}

/// Whether a table that was read with one state of its process's clock is still true at another.
fn judge(table: &Table, pid: Pid, socket: u64, clock: Option<i128>) -> Belief {
    if clock != Some(table.clock) {
        return Belief::Unknown;
    }
    table.find(pid, socket).map_or(Belief::HoldsNot, Belief::Holds)
}

/// The holders that were found last, the most recent first.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(Uid, Hit)>);

impl Recent {
    /// Where a socket that `owner` owns may be, best guess first.
    pub(super) fn of_owner(&self, owner: Uid) -> Vec<Hit> {
        self.0
            .iter()
            .filter(|(uid, _)| *uid == owner)
            .map(|(_, hit)| *hit)
            .take(HOLDERS_TRIED)
            .collect()
    }

    /// Remembers where a socket of `owner` was.
    pub(super) fn found(&mut self, owner: Uid, hit: Hit) {
        self.0.retain(|(_, old)| old.pid != hit.pid);
        self.0.push_front((owner, hit));
        self.0.truncate(HOLDERS_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(raw: u32) -> Pid {
        Pid::new(raw).unwrap()
    }

    fn uid(raw: u32) -> Uid {
        Uid::new(raw).unwrap()
    }

    fn table(sockets: &[(u64, u32)]) -> Table {
        Table { clock: 7, sockets: sockets.into() }
    }

    #[test]
    fn a_table_is_believed_only_while_the_clock_stands() {
        let table = table(&[(10, 3), (20, 4), (20, 9)]);
        let judge = |socket, clock| judge(&table, pid(1), socket, clock);
        let holds = Belief::Holds(Hit { pid: pid(1), thread: None, descriptor: 4 });
        assert_eq!(judge(20, Some(7)), holds);
        assert_eq!(judge(15, Some(7)), Belief::HoldsNot);
        assert_eq!(judge(30, Some(7)), Belief::HoldsNot);
        assert_eq!(judge(20, Some(8)), Belief::Unknown);
        assert_eq!(judge(15, Some(8)), Belief::Unknown);
        assert_eq!(judge(15, None), Belief::Unknown);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut tables = Tables::default();
        let half: Vec<(u64, u32)> = (0..SOCKETS_KEPT as u64 / 2).map(|inode| (inode, 1)).collect();
        let entry = |raw| Entry { pid: pid(raw), inode: u64::from(raw) };
        for raw in [1, 2, 3, 1, 2] {
            tables.insert(entry(raw), table(&half));
        }
        assert_eq!((tables.known.len(), tables.sockets), (2, SOCKETS_KEPT));
        tables.retain(&[entry(2)]);
        assert_eq!((tables.known.len(), tables.sockets), (1, SOCKETS_KEPT / 2));
        tables.remove(pid(2));
        assert_eq!((tables.known.len(), tables.sockets), (0, 0));

        let mut recent = Recent::default();
        for raw in 1..1000 {
            recent.found(uid(5), Hit { pid: pid(raw), thread: None, descriptor: raw });
            recent.found(uid(6), Hit { pid: pid(5000), thread: None, descriptor: raw });
        }
        assert_eq!(recent.0.len(), HOLDERS_KEPT);
        let pids: Vec<u32> = recent.of_owner(uid(5)).iter().map(|hit| hit.pid.as_raw()).collect();
        assert_eq!(pids, [999, 998, 997, 996, 995, 994, 993, 992]);
        assert_eq!(recent.of_owner(uid(6)).len(), 1);
        assert_eq!(recent.of_owner(uid(7)), []);
    }
}
