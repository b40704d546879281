//! Which processes hold a socket: what to look at, in which order, and what the answer is worth.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::cache::{Belief, Recent, Tables};
use super::cgroupfs::CgroupDirs;
use super::sys::{Entry, Proc};
use super::table::{self, Budget, Hit, Outcome};
use super::{HolderSearch, SocketOwner};
use crate::token::{HoldersGap, Uid};

/// At most this many threads read descriptor tables, however many processors there are.
const THREADS: usize = 4;

/// Fewer tables than this are read without starting threads.
const WORTH_A_THREAD: usize = 32;

/// A search reads at most this many descriptors.
const DESCRIPTORS: usize = 1 << 21;

/// Tables with more descriptors than this are read last, when one holder is enough: one of them
/// costs as much as a dozen small ones.
const LARGE_TABLE: u64 = 256;

/// So many processes are put in order at a time, when one holder is enough.
const ORDERED: usize = 64;

/// How often processes that were started during a search are looked for.
const NEWCOMER_ROUNDS: usize = 3;

/// What a search remembers for the next one.
#[derive(Debug, Default)]
pub(super) struct Memory {
    recent: Mutex<Recent>,
    /// Held while a search reads tables: a second search waits, and finds them read.
    tables: Mutex<Tables>,
    cgroups: Mutex<CgroupDirs>,
}

/// What a search found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) hits: Vec<Hit>,
    /// Why there may be more; `None` if there are none.
    pub(super) gap: Option<HoldersGap>,
}

/// What was seen on the way, that decides what the answer is worth.
#[derive(Debug, Default)]
struct Tally {
    hits: Vec<Hit>,
    denied: bool,
    exhausted: bool,
}

impl Memory {
    /// Looks for the holders of a socket.
    pub(super) fn search(&self, proc: &Proc, owner: &SocketOwner, search: HolderSearch) -> Found {
        self.search_with(proc, owner, search, &|| {})
    }

    /// The same with a `pause` between listing the processes and reading them; tests start others
    /// there.
    fn search_with(
        &self,
        proc: &Proc,
        owner: &SocketOwner,
        search: HolderSearch,
        pause: &dyn Fn(),
    ) -> Found {
        let mut tally = Tally::default();
        let budget = Budget::new(DESCRIPTORS);
        tally.hits.extend(self.search_near(proc, owner));
        match search {
            HolderSearch::First => {
                if tally.hits.is_empty() {
                    self.search_preferred(proc, owner, &budget, &mut tally);
                }
                if tally.hits.is_empty() {
                    let first_of = Some(owner.uid);
                    self.search_everywhere(proc, owner.inode, first_of, &budget, &mut tally, pause);
                }
            }
            HolderSearch::All => {
                self.search_everywhere(proc, owner.inode, None, &budget, &mut tally, pause);
            }
        }
        self.finish(owner, search, tally)
    }

    /// Reads every table there is, so that later searches find them read.
    pub(super) fn warm(&self, proc: &Proc) {
        const NO_SOCKET: u64 = 0;

        let budget = Budget::new(DESCRIPTORS);
        self.search_everywhere(proc, NO_SOCKET, None, &budget, &mut Tally::default(), &|| {});
    }

    /// As [`search`](Self::search) for the first holder, but no further than next to the holders
    /// of other sockets of the same owner that were found last, and few of them: some ten links.
    pub(super) fn glance(&self, proc: &Proc, owner: &SocketOwner) -> Option<Found> {
        const FEW: usize = 2;

        let hit = self.near(proc, owner, FEW)?;
        let tally = Tally { hits: vec![hit], ..Tally::default() };
        Some(self.finish(owner, HolderSearch::First, tally))
    }

    /// The holders of other sockets of the same owner that were found last.
    fn search_near(&self, proc: &Proc, owner: &SocketOwner) -> Option<Hit> {
        self.near(proc, owner, usize::MAX)
    }

    fn near(&self, proc: &Proc, owner: &SocketOwner, most: usize) -> Option<Hit> {
        let recent = lock(&self.recent).of_owner(owner.uid);
        recent.into_iter().take(most).find_map(|last| table::search_near(proc, last, owner.inode))
    }

    /// The processes in the control group of the socket's maker.
    fn search_preferred(
        &self,
        proc: &Proc,
        owner: &SocketOwner,
        budget: &Budget,
        tally: &mut Tally,
    ) {
        let Some(id) = owner.cgroup_id else { return };
        let pids = lock(&self.cgroups).processes(id);
        // Without a look at /proc there is no inode to remember their tables by.
        let entries: Vec<Entry> = pids.iter().map(|&pid| Entry { pid, inode: 0 }).collect();
        for (_, outcome) in sweep(proc, &entries, owner.inode, true, budget, tally) {
            tally.count(outcome);
        }
    }

    /// All processes there are; with `first_of`, up to the first holder, and the processes of that
    /// user first.
    fn search_everywhere(
        &self,
        proc: &Proc,
        inode: u64,
        first_of: Option<Uid>,
        budget: &Budget,
        tally: &mut Tally,
        pause: &dyn Fn(),
    ) {
        let mut tables = lock(&self.tables);
        if first_of.is_some()
            && let Some(hint) = tables.hint(inode)
            && let Some(hit) = table::search_near(proc, hint, inode)
        {
            tally.hits.push(hit);
            return;
        }
        let mut seen: Arc<[Entry]> = Arc::default();
        for _ in 0..NEWCOMER_ROUNDS {
            let Ok(present) = tables.present(proc) else {
                tally.denied = true;
                return;
            };
            pause();
            let newcomers: Vec<Entry> = present
                .iter()
                .filter(|entry| seen.binary_search(entry).is_err())
                .copied()
                .collect();
            if newcomers.is_empty() {
                break;
            }
            let unread = believe(&tables, &newcomers, inode, tally);
            seen = present;
            if first_of.is_some() && !tally.hits.is_empty() {
                break;
            }
            match first_of {
                Some(owner) => read_first(proc, &unread, inode, owner, budget, &mut tables, tally),
                None => read(proc, &unread, inode, false, budget, &mut tables, tally),
            }
            if first_of.is_some() && !tally.hits.is_empty() {
                break;
            }
        }
        tables.retain(&seen);
    }

    fn finish(&self, owner: &SocketOwner, search: HolderSearch, tally: Tally) -> Found {
        let Tally { mut hits, denied, exhausted } = tally;
        hits.sort_unstable_by_key(|hit| hit.pid);
        hits.dedup_by_key(|hit| hit.pid);
        if let Some(&hit) = hits.first() {
            lock(&self.recent).found(owner.uid, hit);
        }
        let stopped = search == HolderSearch::First && !hits.is_empty();
        let gap = if stopped {
            Some(HoldersGap::StoppedAtFirst)
        } else if denied {
            Some(HoldersGap::NoRight)
        } else if exhausted {
            Some(HoldersGap::TooManyDescriptors)
        } else if hits.is_empty() {
            Some(HoldersGap::NotHeld)
        } else {
            None
        };
        Found { hits, gap }
    }
}

impl Tally {
    fn count(&mut self, outcome: Outcome) -> Option<table::Table> {
        match outcome {
            Outcome::Hit(hit) => self.hits.push(hit),
            Outcome::Miss(table) => return table,
            Outcome::Gone => {}
            Outcome::Denied => self.denied = true,
            Outcome::Exhausted => self.exhausted = true,
        }
        None
    }
}

/// Takes what the cache can still answer; returns the processes whose tables must be read.
fn believe(tables: &Tables, entries: &[Entry], inode: u64, tally: &mut Tally) -> Vec<Entry> {
    let found: Vec<_> = tally.hits.iter().map(|hit| hit.pid).collect();
    let mut unread = Vec::new();
    for &entry in entries.iter().filter(|entry| !found.contains(&entry.pid)) {
        match tables.belief(entry, inode) {
            Belief::Holds(hit) => tally.hits.push(hit),
            Belief::HoldsNot => {}
            Belief::Unknown => unread.push(entry),
        }
    }
    unread
}

/// Reads tables up to the first holder, the likely ones first, and remembers them.
fn read_first(
    proc: &Proc,
    entries: &[Entry],
    inode: u64,
    owner: Uid,
    budget: &Budget,
    tables: &mut Tables,
    tally: &mut Tally,
) {
    let is_small = |entry: &Entry| {
        entry.pid != proc.own() && proc.table_size(entry.pid).is_some_and(|it| it <= LARGE_TABLE)
    };
    let is_owners = |entry: &Entry| proc.owner_for_order_only(entry.pid) == Some(owner.as_raw());
    let mut large = Vec::new();
    let mut others = Vec::new();
    // Younger processes first: the partner has connected just now, the daemons are old.
    for some in entries.rchunks(ORDERED) {
        let (theirs, not): (Vec<Entry>, Vec<Entry>) =
            some.iter().rev().partition(|it| is_owners(it));
        let (small, not_small) = theirs.into_iter().partition::<Vec<_>, _>(is_small);
        others.extend(not);
        large.extend(not_small);
        read(proc, &small, inode, true, budget, tables, tally);
        if !tally.hits.is_empty() {
            return;
        }
    }
    let (small, not_small) = others.into_iter().partition::<Vec<_>, _>(is_small);
    for group in [large, small, not_small] {
        read(proc, &group, inode, true, budget, tables, tally);
        if !tally.hits.is_empty() {
            return;
        }
    }
}

/// Reads tables, with `stop` up to the first hit, and remembers them.
fn read(
    proc: &Proc,
    entries: &[Entry],
    inode: u64,
    stop: bool,
    budget: &Budget,
    tables: &mut Tables,
    tally: &mut Tally,
) {
    for (entry, outcome) in sweep(proc, entries, inode, stop, budget, tally) {
        match tally.count(outcome) {
            Some(table) => tables.insert(entry, table),
            None => tables.remove(entry.pid),
        }
    }
}

/// Reads the tables of `entries`, in that order, on a bounded number of threads; with `stop`, until
/// the first hit.
fn sweep(
    proc: &Proc,
    entries: &[Entry],
    inode: u64,
    stop: bool,
    budget: &Budget,
    tally: &mut Tally,
) -> Vec<(Entry, Outcome)> {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let helpers = processors.min(THREADS).min(entries.len() / WORTH_A_THREAD).saturating_sub(1);
    let look = |entry| table::search(proc, entry, inode, budget);
    sweep_with(helpers, entries, stop, &look, tally)
}

fn sweep_with(
    helpers: usize,
    entries: &[Entry],
    stop: bool,
    look: &(dyn Fn(Entry) -> Outcome + Sync),
    tally: &mut Tally,
) -> Vec<(Entry, Outcome)> {
    let next = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    let work = || {
        let mut outcomes = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let Some(&entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            let outcome = look(entry);
            if stop && matches!(outcome, Outcome::Hit(_)) {
                done.store(true, Ordering::Relaxed);
            }
            outcomes.push((entry, outcome));
        }
        outcomes
    };

    thread::scope(|scope| {
        // Where no thread can be started, this one does the work alone.
        let started: Vec<_> = (0..helpers)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut outcomes = work();
        for helper in started {
            match helper.join() {
                Ok(more) => outcomes.extend(more),
                // What it has read is lost, and any of it may have been a holder.
                Err(_) => tally.denied = true,
            }
        }
        outcomes
    })
}

/// The data are only hints and checked facts: a panic elsewhere leaves nothing half done in them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::process::Command;
    use std::sync::Barrier;

    use super::super::tests::{alone, eventually, hold, owner, socket};
    use super::*;
    use crate::token::Pid;

    /// A process that is started between listing and reading.
    #[test]
    fn who_comes_during_a_search_is_looked_at_as_well() {
        let _alone = alone();
        let (proc, memory) = (Proc::open().unwrap(), Memory::default());
        for search in [HolderSearch::All, HolderSearch::First] {
            let socket = socket();
            let owner = owner(&socket);
            let (socket, child) = (Cell::new(Some(socket)), Cell::new(None));
            let found = memory.search_with(&proc, &owner, search, &|| {
                if let Some(socket) = socket.take() {
                    child.set(Some(hold(socket)));
                }
            });
            let pids: Vec<u32> = found.hits.iter().map(|hit| hit.pid.as_raw()).collect();
            assert_eq!(pids, [child.take().unwrap().pid()]);
        }
    }

    #[test]
    fn the_list_of_processes_is_believed_until_one_is_started() {
        let _alone = alone();
        let proc = Proc::open().unwrap();
        let mut tables = Tables::default();
        // Others start processes, too.
        eventually("nobody starts a process", || {
            Arc::ptr_eq(&tables.present(&proc).unwrap(), &tables.present(&proc).unwrap())
        });
        let before = tables.present(&proc).unwrap();
        let child = hold(socket());
        let after = tables.present(&proc).unwrap();
        let is_in = |list: &[Entry]| list.iter().any(|entry| entry.pid.as_raw() == child.pid());
        assert!(!is_in(&before) && is_in(&after));
    }

    #[test]
    fn what_a_helper_has_read_and_lost_may_have_been_a_holder() {
        let entry = |raw| Entry { pid: Pid::new(raw).unwrap(), inode: 0 };
        let entries = [entry(1), entry(2)];
        let (both, main) = (Barrier::new(2), thread::current().id());
        let mut tally = Tally::default();
        let outcomes = sweep_with(
            1,
            &entries,
            false,
            &|_| {
                // Each of the two threads has one of the processes.
                both.wait();
                assert_eq!(thread::current().id(), main, "the helper panics");
                Outcome::Gone
            },
            &mut tally,
        );
        assert_eq!(outcomes.len(), 1);
        let owner = owner(socket());
        let found = Memory::default().finish(&owner, HolderSearch::All, tally);
        assert_eq!(found.gap, Some(HoldersGap::NoRight));
    }

    #[test]
    fn exited_processes_are_forgotten() {
        let _alone = alone();
        let proc = Proc::open().unwrap();
        let memory = Memory::default();
        for _ in 0..20 {
            let mut children: Vec<_> =
                (0..20).map(|_| Command::new("sleep").arg("1000").spawn().unwrap()).collect();
            memory.warm(&proc);
            for child in &mut children {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
        memory.warm(&proc);
        let (known, present) = (lock(&memory.tables).len(), proc.processes().unwrap().len());
        assert!(known < present + 100, "{known} of {present}");
    }
}
