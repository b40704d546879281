//! The processes behind a socket: finding its holders, and reading them.
//!
//! ```text
//! search  ── which processes, in which order, and is the list complete
//!   table     one process's descriptors        cache      what earlier searches saw
//!   cgroupfs  from a control group's id to its processes
//! read    ── one holder, proven to be one process and to hold the socket
//!   parse     the texts of /proc, pure         classify   session type and port of entry, pure
//! pin     ── a pidfd of a holder               node       facts of this host
//! sys     ── the system calls
//! ```
//!
//! # What a search costs
//!
//! [`HolderSearch::All`] reads the links of every descriptor of every process the first time. Later
//! searches read only the tables of processes that have run since, and make one system call for
//! each of the others. Busy processes with many descriptors, the asking one included, are what such
//! a search costs in the end.
//!
//! [`HolderSearch::First`] looks where the holder probably is and stops there: next to where the
//! last sockets of the same owner were, in the control group of the socket's maker, in the processes of
//! the same owner, everywhere else.

mod cache;
mod cgroupfs;
mod classify;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod node;
pub(crate) mod parse;
mod pin;
mod read;
mod search;
mod sys;
mod table;
#[cfg(test)]
mod tests;

use self::node::Facts;
use self::read::Reading;
use self::search::{Found, Memory};
use self::sys::Proc;
use crate::kernel::user_namespace::overflow_id;
use crate::token::{Holder, HolderSearch, HoldersGap, Uid, UserToken};

/// How often a search is repeated whose holders have all moved before they could be read.
const ATTEMPTS: usize = 3;

/// `CAP_SYS_PTRACE`, which also lifts `hidepid`.
const CAP_SYS_PTRACE: u8 = 19;

/// The partner's socket, as the kernel's socket table told it and as it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketOwner {
    /// The socket's inode number; never zero.
    inode: u64,
    /// The socket's owner.
    uid: Uid,
    /// The control group (version 2) of the process that made the socket.
    cgroup_id: Option<u64>,
}

impl SocketOwner {
    /// The socket `inode`, owned by `uid`; `None` for inode zero, which is no socket of anybody.
    pub(crate) fn new(inode: u64, uid: Uid) -> Option<Self> {
        (inode != 0).then_some(Self { inode, uid, cgroup_id: None })
    }

    /// Adds the control group id that `sock_diag` returned (`INET_DIAG_CGROUP_ID`).
    #[must_use]
    pub(crate) fn in_cgroup(mut self, id: u64) -> Self {
        self.cgroup_id = Some(id);
        self
    }
}

/// How the asking process sees the ids of others.
///
/// In a user namespace that does not map every id, the kernel shows one id, the overflow id, for
/// all that are not mapped. Such an id is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct IdView {
    /// The overflow uid, if some uids are not mapped; `None` if all are.
    pub(crate) overflow_uid: Option<u32>,
    /// The overflow gid, if some gids are not mapped; `None` if all are.
    pub(crate) overflow_gid: Option<u32>,
}

/// Finds and reads the processes that hold a socket. To be kept: it remembers what it saw.
#[derive(Debug)]
pub(crate) struct Finder {
    proc: Option<Proc>,
    facts: Facts,
    view: IdView,
    memory: Memory,
    /// Whether processes are hidden from those without `CAP_SYS_PTRACE`.
    hidepid: bool,
    /// Whether every process of this image is in our pid namespace.
    all_processes: bool,
}

impl Finder {
    /// A finder for this process, as it sees the ids of others; or the errno, where a descriptor or
    /// memory was missing for it: what it did not see then, it would never see.
    pub(crate) fn current() -> Result<Self, i32> {
        const LIMIT: usize = 1 << 16;

        let text = |path| String::from_utf8(sys::read(path, LIMIT)?).ok();
        let overflow = |map, id| overflow_id(text(map).as_deref(), text(id).as_deref());
        sys::unless_short(|| {
            Self::new(IdView {
                overflow_uid: overflow(c"/proc/self/uid_map", c"/proc/sys/kernel/overflowuid"),
                overflow_gid: overflow(c"/proc/self/gid_map", c"/proc/sys/kernel/overflowgid"),
            })
        })
    }

    /// A finder that has seen nothing yet.
    pub(crate) fn new(view: IdView) -> Self {
        let proc = Proc::open();
        let facts = Facts::read(proc.as_ref());
        let mounts = proc.as_ref().and_then(|proc| proc.read(c"self/mountinfo", 1 << 22));
        let namespace = proc.as_ref().and_then(|proc| proc.link(c"self/ns/pid"));
        Self {
            proc,
            facts,
            view,
            memory: Memory::default(),
            // Unknown is hidden.
            hidepid: mounts.is_none_or(|mounts| parse::node::hides_processes(&mounts)),
            all_processes: namespace.is_some_and(|link| parse::link::is_initial_pid(&link)),
        }
    }

    /// Reads the descriptors of all processes ahead of the first question, so that this one finds
    /// them read. Takes as long as a first search for all holders.
    pub(crate) fn warm(&self) {
        if let Some(proc) = &self.proc {
            self.memory.warm(proc);
        }
    }

    /// The token of the process or processes that hold a socket.
    ///
    /// There is always a token: where nothing could be read it names the owner only, is flagged
    /// [`default`](crate::token::TokenFlags::default), and its
    /// [`holders_gap`](UserToken::holders_gap) tells why.
    ///
    /// Reads `/proc` and may take milliseconds: not for the threads of a runtime.
    ///
    /// Or the errno, where a descriptor or memory was missing for it: a token would lack what is
    /// there.
    pub(crate) fn read(&self, owner: &SocketOwner, search: HolderSearch) -> Result<UserToken, i32> {
        sys::unless_short(|| self.token_with(owner, search, &|| {}))
    }

    /// The same on a host that has all it takes.
    #[cfg(test)]
    fn token(&self, owner: &SocketOwner, search: HolderSearch) -> UserToken {
        self.read(owner, search).unwrap()
    }

    /// The token of the first holder, where it is found at a glance: next to where the last sockets
    /// of the same owner were.
    ///
    /// Reads a few links and the one process, so it is for any thread.
    pub(crate) fn token_at_a_glance(&self, owner: &SocketOwner) -> Option<UserToken> {
        let proc = self.proc.as_ref()?;
        let Found { hits, gap } = self.memory.glance(proc, owner)?;
        let gap = self.widen(proc, gap);
        let hit = hits.first()?;
        let read = || read::holder(proc, &self.facts, self.view, owner.inode, *hit, &|| {});
        match sys::unless_short(read).ok()? {
            Reading::Holder(holder) => {
                let node = self.facts.node.clone();
                Some(UserToken::assemble(owner.uid, vec![holder], gap, node))
            }
            // Who has the time looks again.
            Reading::Moved | Reading::Changing => None,
        }
    }

    /// The same with a `pause` between the steps.
    fn token_with(&self, owner: &SocketOwner, search: HolderSearch, pause: &dyn Fn()) -> UserToken {
        let (holders, gap) = match &self.proc {
            Some(proc) => self.holders(proc, owner, search, pause),
            None => (Vec::new(), Some(HoldersGap::NoProc)),
        };
        UserToken::assemble(owner.uid, holders, gap, self.facts.node.clone())
    }

    fn holders(
        &self,
        proc: &Proc,
        owner: &SocketOwner,
        search: HolderSearch,
        pause: &dyn Fn(),
    ) -> (Vec<Holder>, Option<HoldersGap>) {
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left = attempts_left.saturating_sub(1);
            let Found { hits, gap } = self.memory.search(proc, owner, search);
            let mut gap = self.widen(proc, gap);
            let mut holders = Vec::with_capacity(hits.len());
            // Not held by anyone: passed on, perhaps, from one not yet looked at to one already
            // looked at.
            let mut moved = hits.is_empty();
            for &hit in &hits {
                match read::holder(proc, &self.facts, self.view, owner.inode, hit, pause) {
                    Reading::Holder(holder) => holders.push(holder),
                    Reading::Moved => moved = true,
                    Reading::Changing => gap = Some(HoldersGap::Changing),
                }
            }
            if !moved {
                return (holders, gap);
            }
            if attempts_left == 0 {
                let gap = if hits.is_empty() { gap } else { Some(HoldersGap::Changing) };
                return (holders, gap);
            }
        }
    }

    /// What a search saw is worth no more than what it could see.
    fn widen(&self, proc: &Proc, gap: Option<HoldersGap>) -> Option<HoldersGap> {
        match gap {
            None | Some(HoldersGap::NotHeld) if !self.all_processes => {
                Some(HoldersGap::PidNamespace)
            }
            None | Some(HoldersGap::NotHeld) if self.hidepid && !may_see_all(proc) => {
                Some(HoldersGap::HiddenProcesses)
            }
            gap => gap,
        }
    }
}

/// Whether this process sees the processes that `hidepid` hides from others.
fn may_see_all(proc: &Proc) -> bool {
    proc.read(c"thread-self/status", 1 << 20)
        .and_then(|text| parse::status::status(&text).capabilities)
        .is_some_and(|set| set.contains(CAP_SYS_PTRACE))
}
