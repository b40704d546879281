//! Reading one holder: all fields of one process, or none.
//!
//! Everything is read through one handle of `/proc/<pid>`, which belongs to one process for good.
//! The reading counts only if the process held the socket before and after it, and had the same
//! credentials and the same program before and after it; a process that changes in between is read
//! again, a bounded number of times. (That its CPU clock stands meanwhile would prove nothing: the
//! clock of a process that is on a processor now is behind by up to a tick.)

use super::classify::{self, Evidence};
use super::node::Facts;
use super::parse::stat::Stat;
use super::parse::status::{self, Status};
use super::parse::{cgroup, link, single};
use super::sys::{Proc, ProcessDir};
use super::table::Hit;
use super::{IdView, pin};
use crate::token::{Gid, Holder, HolderParts, Uid};

/// How often a process is read that changes while it is read.
const ATTEMPTS: usize = 4;

/// The kernel allows 65,536 supplementary groups, of at most 11 bytes each.
const STATUS_LIMIT: usize = 1 << 20;

/// Paths and labels are at most a page, and there are a dozen hierarchies of version 1.
const TEXT_LIMIT: usize = 1 << 16;

/// What became of a process that was seen to hold the socket.
#[derive(Debug)]
pub(super) enum Reading {
    /// It holds it still, and this is what it is.
    Holder(Holder),
    /// It has exited, or does not hold the socket under that descriptor any more.
    Moved,
    /// It holds the socket and went on changing.
    Changing,
}

/// What must be the same before and after.
#[derive(PartialEq, Eq)]
struct Identity {
    start_ticks: u64,
    status: Option<Status>,
    executable: Option<Vec<u8>>,
    command: Option<Vec<u8>>,
}

/// Reads the process that `hit` names, if it holds the socket `inode`. `pause` is called between
/// the steps; tests make the process change there.
pub(super) fn holder(
    proc: &Proc,
    facts: &Facts,
    view: IdView,
    inode: u64,
    hit: Hit,
    pause: &dyn Fn(),
) -> Reading {
    let Ok(process) = proc.process(hit.pid) else {
        return Reading::Moved;
    };
    let thread = match hit.thread.map(|thread| process.thread(thread)).transpose() {
        Ok(thread) => thread,
        Err(_) => return Reading::Moved,
    };
    // Only a live thread shows descriptors, program and groups.
    let live = thread.as_ref().unwrap_or(&process);
    let holds = || live.socket(hit.descriptor) == Some(inode);

    for _ in 0..ATTEMPTS {
        pause();
        if !holds() {
            return Reading::Moved;
        }
        let Some((stat, before)) = identity(&process, live) else {
            return Reading::Moved;
        };
        pause();
        let parts = parts(live, facts, view, hit, stat, &before);
        pause();
        let Some((_, after)) = identity(&process, live) else {
            return Reading::Moved;
        };
        if !holds() {
            return Reading::Moved;
        }
        if before == after {
            return Reading::Holder(Holder::new(parts));
        }
    }
    Reading::Changing
}

/// `None` if the process has exited.
fn identity(process: &ProcessDir, live: &ProcessDir) -> Option<(Stat, Identity)> {
    let stat = pin::stat(process)?;
    let identity = Identity {
        start_ticks: stat.start_ticks,
        status: live.read(c"status", STATUS_LIMIT).map(|text| status::status(&text)),
        executable: live.link(c"exe"),
        command: live.read(c"comm", TEXT_LIMIT),
    };
    Some((stat, identity))
}

/// To be believed only if the process is found alive afterwards.
fn parts(
    live: &ProcessDir,
    facts: &Facts,
    view: IdView,
    hit: Hit,
    stat: Stat,
    identity: &Identity,
) -> HolderParts {
    let text = |name| live.read(name, TEXT_LIMIT);
    let group = text(c"cgroup").map(|text| cgroup::cgroup(&text));
    let (path, unit, container) = match group {
        Some(group) => (group.path, group.unit, group.container),
        None => (None, None, None),
    };
    let evidence = Evidence {
        kernel_thread: stat.kernel_thread,
        terminal: stat.terminal,
        cgroup: path.as_deref().map(|path| path.as_os_str().as_encoded_bytes()),
        unit: unit.as_deref(),
        container: container.as_deref(),
    };
    let (executable, executable_deleted) =
        identity.executable.as_deref().and_then(link::executable).unzip();
    let status = identity.status.as_ref();
    let users = status.and_then(|status| status.users);
    let groups = status.and_then(|status| status.groups);
    HolderParts {
        pid: hit.pid,
        start_ticks: identity.start_ticks,
        started: facts.wall_clock(identity.start_ticks),
        pidfs_inode: pin::pidfs_inode(hit.pid),
        local: true,
        descriptor: hit.descriptor,
        process_user: users.and_then(|users| view.user(users.effective)),
        process_group: groups.and_then(|groups| view.group(groups.effective)),
        real_user: users.and_then(|users| view.user(users.real)),
        real_group: groups.and_then(|groups| view.group(groups.real)),
        submitting_user: text(c"loginuid")
            .and_then(|text| single::login_uid(&text))
            .and_then(|uid| view.user(uid)),
        session_id: text(c"sessionid").and_then(|text| single::session_id(&text)),
        security_label: text(c"attr/current").and_then(|text| single::security_label(&text)),
        session_type: classify::session_type(evidence),
        port_of_entry: classify::port_of_entry(evidence),
        same_user_namespace: live
            .link(c"ns/user")
            .zip(facts.user_namespace.as_ref())
            .map(|(theirs, ours)| theirs == *ours),
        supplementary_groups: status
            .and_then(|status| status.supplementary.as_ref())
            .and_then(|groups| view.groups(groups)),
        effective_capabilities: status.and_then(|status| status.capabilities),
        cgroup: path.clone(),
        systemd_unit: unit.clone(),
        container_id: container.clone(),
        executable,
        executable_deleted,
        command: identity.command.as_deref().and_then(single::command),
    }
}

impl IdView {
    /// The uid, unless it is the one that stands for every uid that has no name here.
    fn user(self, uid: Uid) -> Option<Uid> {
        (Some(uid.as_raw()) != self.overflow_uid).then_some(uid)
    }

    fn group(self, gid: Gid) -> Option<Gid> {
        (Some(gid.as_raw()) != self.overflow_gid).then_some(gid)
    }

    /// The groups, unless one of them has no name here: the list would not be the whole list.
    fn groups(self, groups: &[Gid]) -> Option<Vec<Gid>> {
        groups.iter().map(|&gid| self.group(gid)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_id_is_nobodys() {
        let (uid, gid) = (|raw| Uid::new(raw).unwrap(), |raw| Gid::new(raw).unwrap());
        let view = IdView { overflow_uid: Some(65534), overflow_gid: Some(65533) };
        assert_eq!(view.user(uid(65534)), None);
        assert_eq!(view.user(uid(65533)), Some(uid(65533)));
        assert_eq!(view.user(uid(0)), Some(uid(0)));
        assert_eq!(view.group(gid(65533)), None);
        assert_eq!(view.group(gid(65534)), Some(gid(65534)));
        assert_eq!(view.groups(&[gid(1), gid(65533)]), None);
        assert_eq!(view.groups(&[]), Some(vec![]));
        let all = IdView { overflow_uid: None, overflow_gid: None };
        assert_eq!(all.user(uid(65534)), Some(uid(65534)));
    }
}
