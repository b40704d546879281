//! Who is admitted.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::info::{PartnerInfo, Routing};
use crate::policy::{Resource, names_an_account};
use crate::stack::{PartnerGroups, Stack};

/// Admits partners of one kind: a user, the members of a group, those whom a profile of the policy
/// permits, or every user; of these, where it is narrowed, those with an executable or in a unit.
///
/// Without more, a rule admits partners on this host alone: the numbers of users and groups are this
/// host's. [`in_cluster`](Self::in_cluster) takes those of the security domain's other hosts for
/// the same.
///
/// # Examples
///
/// ```
/// use partner_info::web::{AdmitLayer, Rule};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = AdmitLayer::new([
///     Rule::user_named("root")?,
///     Rule::group(4),
///     Rule::user(1000).unit("backup.service"),
///     Rule::profile("WEB.REPORTS".parse()?),
/// ]);
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a rule admits nobody by itself: give it to a layer"]
pub struct Rule {
    who: Who,
    in_cluster: bool,
    executable: Option<PathBuf>,
    unit: Option<Box<str>>,
}

#[derive(Clone, Debug)]
enum Who {
    User(u32),
    Group(u32),
    Profile(Resource),
    AnyUser,
}

/// What a rule says of a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    NotAdmitted,
    /// Not without its groups.
    GroupsNeeded,
}

impl Rule {
    /// The user with this number, which owns the partner's socket
    /// ([`PartnerInfo::user`]).
    ///
    /// The overflow uid 65534 is nobody in particular, and admits nobody.
    pub fn user(uid: u32) -> Self {
        Self::of(Who::User(uid))
    }

    /// The user with this name at this moment: its number is looked up here, once, and may block.
    ///
    /// # Errors
    ///
    /// [`NoSuchAccount`], where there is none or the name service fails.
    pub fn user_named(name: &str) -> Result<Self, NoSuchAccount> {
        accounts::uid(name).map(Self::user).ok_or_else(|| NoSuchAccount::new("user", name))
    }

    /// Users that are members of the group with this number, by this host's account database: it is
    /// their primary group, or lists them. What groups a process has does not count: whoever may
    /// run a set-group-id program can have its group.
    ///
    /// The overflow gid 65534 admits nobody.
    pub fn group(gid: u32) -> Self {
        Self::of(Who::Group(gid))
    }

    /// Members of the group with this name at this moment: its number is looked up here, once, and
    /// may block.
    ///
    /// # Errors
    ///
    /// [`NoSuchAccount`], where there is none or the name service fails.
    pub fn group_named(name: &str) -> Result<Self, NoSuchAccount> {
        accounts::gid(name).map(Self::group).ok_or_else(|| NoSuchAccount::new("group", name))
    }

    /// Users to whom the policy in force at that moment grants READ on `resource`: the most specific
    /// profile that covers it, by its entry for the user, then for its groups, then universal
    /// access. Without a policy file, and without such a profile, it admits nobody. Root is admitted
    /// only where the profile says so.
    ///
    /// The policy is that of the listener's [`Stack`], which reads its file again when it changes.
    pub fn profile(resource: Resource) -> Self {
        Self::of(Who::Profile(resource))
    }

    /// Every user that is identified.
    pub fn any_user() -> Self {
        Self::of(Who::AnyUser)
    }

    fn of(who: Who) -> Self {
        Self { who, in_cluster: false, executable: None, unit: None }
    }

    /// And only from processes with this executable, an absolute path: all processes that hold the
    /// partner's socket must be known to run it, and its file to be there still.
    ///
    /// It narrows, and never names anybody: a user can give any program of its own that path, in a
    /// mount namespace of its own. It keeps a user's other programs out, not the user. Takes
    /// [`UTOKEN`](crate::PartnerRequest::UTOKEN) in the request of the listener.
    pub fn executable(mut self, path: impl Into<PathBuf>) -> Self {
        self.executable = Some(path.into());
        self
    }

    /// And only from processes in this unit of the system's service manager, as `systemctl` shows it:
    /// all processes that hold the partner's socket must be known to be in it. Takes
    /// [`UTOKEN`](crate::PartnerRequest::UTOKEN) in the request of the listener.
    pub fn unit(mut self, name: &str) -> Self {
        self.unit = Some(name.into());
        self
    }

    /// Also on other hosts of the security domain, whose accounts are numbered alike.
    pub fn in_cluster(mut self) -> Self {
        self.in_cluster = true;
        self
    }

    /// What it says of this partner. Groups decide only where all else is settled.
    pub(super) fn judge(
        &self,
        stack: &Stack,
        partner: &PartnerInfo,
        groups: Option<&PartnerGroups>,
    ) -> Verdict {
        let Some(user) = partner.user() else { return Verdict::NotAdmitted };
        if !names_an_account(user.uid()) || !self.is_near_enough(partner) || !self.fits(partner) {
            return Verdict::NotAdmitted;
        }
        let admitted = match (&self.who, groups) {
            (Who::User(uid), _) => *uid == user.uid(),
            (Who::AnyUser, _) => true,
            (Who::Group(_) | Who::Profile(_), None) => return Verdict::GroupsNeeded,
            (Who::Group(gid), Some(groups)) => names_an_account(*gid) && groups.contains(*gid),
            (Who::Profile(resource), Some(groups)) => stack.grants(user, groups, resource),
        };
        if admitted { Verdict::Admitted } else { Verdict::NotAdmitted }
    }

    fn is_near_enough(&self, partner: &PartnerInfo) -> bool {
        let needed = match self.in_cluster {
            true => Routing::SAME_CLUSTER,
            false => Routing::SAME_CLUSTER | Routing::SAME_IMAGE,
        };
        partner.routing().contains(needed)
    }

    fn fits(&self, partner: &PartnerInfo) -> bool {
        if self.executable.is_none() && self.unit.is_none() {
            return true;
        }
        let Some(token) = partner.token() else { return false };
        let is_there = || token.holders().iter().all(|one| one.executable_deleted() == Some(false));
        let executable = |path: &Path| token.executable() == Some(path) && is_there();
        self.executable.as_deref().is_none_or(executable)
            && self.unit.as_deref().is_none_or(|unit| token.systemd_unit() == Some(unit))
    }
}

/// What several rules say: one that admits is enough, and none admits nobody.
pub(super) fn judge(
    rules: &[Rule],
    stack: &Stack,
    partner: &PartnerInfo,
    groups: Option<&PartnerGroups>,
) -> Verdict {
    let mut verdict = Verdict::NotAdmitted;
    for rule in rules {
        match rule.judge(stack, partner, groups) {
            Verdict::Admitted => return Verdict::Admitted,
            Verdict::GroupsNeeded => verdict = Verdict::GroupsNeeded,
            Verdict::NotAdmitted => {}
        }
    }
    verdict
}

/// A user or group that a rule was to be made for, and that the account database does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchAccount {
    kind: &'static str,
    name: Box<str>,
}

impl NoSuchAccount {
    fn new(kind: &'static str, name: &str) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for NoSuchAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name } = self;
        write!(
            f,
            "the account database has no {kind} {name:?}, or does not answer; see getent(1), or give \
             the number"
        )
    }
}

impl std::error::Error for NoSuchAccount {}

#[cfg(unix)]
mod accounts {
    use nix::unistd::{Group, User};

    pub(super) fn uid(name: &str) -> Option<u32> {
        User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
    }

    pub(super) fn gid(name: &str) -> Option<u32> {
        Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
    }
}

#[cfg(not(unix))]
mod accounts {
    pub(super) fn uid(_: &str) -> Option<u32> {
        None
    }

    pub(super) fn gid(_: &str) -> Option<u32> {
        None
    }
}

#[cfg(test)]
mod tests;
