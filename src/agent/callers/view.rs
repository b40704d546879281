//! How a caller sees the numbers of users and processes: in its own namespaces.
//!
//! The agent has numbers as its own namespaces show them. A program in another user namespace knows
//! the same account by another number, or by none, and one in another pid namespace knows other
//! processes by the same number. Neither may be told a number that means somebody else to it.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::PidfdFlags;

use crate::kernel::sys;
use crate::kernel::user_namespace::{Range, ranges};

/// How a caller sees numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// As the agent does.
    Same,
    /// In namespaces of its own: its users by this map, and processes not at all.
    Own(UserMap),
    /// It could not be found out, so no number is told.
    Unknown,
}

/// Which number each user of the agent's namespace has in another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserMap(Vec<Range>);

impl View {
    /// That of the process which connected `socket`; it has this number here.
    pub(super) fn of(socket: BorrowedFd<'_>, pid: Option<u32>) -> Self {
        // One that has no number here is in a pid namespace that is not ours.
        let Some(pid) = pid else { return Self::Unknown };
        let Some(process) = pidfd(socket, pid) else { return Self::Unknown };
        let link =
            |whose: &str, kind: &str| std::fs::read_link(format!("/proc/{whose}/ns/{kind}")).ok();
        let whose = pid.to_string();
        let theirs = (link(&whose, "user"), link(&whose, "pid"));
        let ours = (link("self", "user"), link("self", "pid"));
        let map = sys::read_text(&format!("/proc/{pid}/uid_map")).ok();
        // What was read is that of the process which connected, if it is alive still.
        if has_exited(process.as_fd()) {
            return Self::Unknown;
        }
        match (theirs, ours, map) {
            ((Some(user), Some(pid)), (Some(our_user), Some(our_pid)), Some(map)) => {
                if (&user, &pid) == (&our_user, &our_pid) {
                    Self::Same
                } else if user == our_user {
                    Self::Own(UserMap::whole())
                } else {
                    UserMap::parse(&map).map_or(Self::Unknown, Self::Own)
                }
            }
            _ => Self::Unknown,
        }
    }

    /// The number by which the caller knows this user; `None` where it knows it by none.
    pub(crate) fn user(&self, uid: u32) -> Option<u32> {
        match self {
            Self::Same => Some(uid),
            Self::Own(map) => map.inside(uid),
            Self::Unknown => None,
        }
    }

    /// Whether the numbers of processes, groups and users mean the same to the caller.
    pub(crate) fn is_same(&self) -> bool {
        match self {
            Self::Same => true,
            Self::Own(_) | Self::Unknown => false,
        }
    }
}

impl UserMap {
    /// Every user by its own number.
    fn whole() -> Self {
        Self(vec![Range { inside: 0, outside: 0, count: u32::MAX }])
    }

    /// From the text of `/proc/<pid>/uid_map`; see user_namespaces(7).
    pub(super) fn parse(text: &str) -> Option<Self> {
        ranges(text).map(Self)
    }

    pub(super) fn inside(&self, uid: u32) -> Option<u32> {
        self.0.iter().find_map(|range| {
            let at = uid.checked_sub(range.outside).filter(|at| *at < range.count)?;
            // 4294967295 is nobody.
            range.inside.checked_add(at).filter(|uid| *uid != u32::MAX)
        })
    }
}

/// The process that connected; on kernels that do not say (before 6.5), the one that has its number
/// now.
fn pidfd(socket: BorrowedFd<'_>, pid: u32) -> Option<std::os::fd::OwnedFd> {
    if let Ok(pidfd) = sys::peer_pidfd(socket) {
        return Some(pidfd);
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// poll(2) of a pidfd. A doubt is an exit.
fn has_exited(pidfd: BorrowedFd<'_>) -> bool {
    let mut descriptors = [PollFd::new(&pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(rustix::io::retry_on_intr(|| poll(&mut descriptors, Some(&now))), Ok(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h19_a_user_without_a_number_there_has_none() {
        let map = UserMap::parse("         0     100000      65536\n     70000 0 1\n").unwrap();
        for (outside, inside) in [
            (100_000, Some(0)),
            (101_000, Some(1_000)),
            (165_535, Some(65_535)),
            (165_536, None),
            (99_999, None),
            (0, Some(70_000)),
            (1, None),
            (u32::MAX, None),
        ] {
            assert_eq!(map.inside(outside), inside, "{outside}");
        }
        let top = UserMap::parse("4294967290 0 100").unwrap();
        assert_eq!(
            (top.inside(4), top.inside(5), top.inside(6)),
            (Some(4_294_967_294), None, None)
        );
        assert_eq!(UserMap::whole().inside(0), Some(0));
        assert_eq!(UserMap::whole().inside(u32::MAX), None);
    }

    #[test]
    fn a_map_that_is_no_map_is_none() {
        for text in ["0 0", "0 0 many", "-1 0 1", "+1 0 1", "0 0 4294967296", "0 0 1 1", "\n"] {
            assert_eq!(UserMap::parse(text), None, "{text:?}");
        }
        // Not written yet: nobody is known there.
        assert_eq!(UserMap::parse("").unwrap().inside(0), None);
    }

    #[test]
    fn who_is_unknown_is_told_no_number() {
        assert_eq!(View::Unknown.user(0), None);
        assert_eq!(View::Same.user(0), Some(0));
        assert!(View::Same.is_same() && !View::Own(UserMap::whole()).is_same());
    }

    #[test]
    fn this_process_sees_what_it_sees() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(View::of(one.as_fd(), Some(std::process::id())), View::Same);
        assert_eq!(View::of(one.as_fd(), None), View::Unknown);
    }
}
