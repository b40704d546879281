//! A partner as the subject of the policy: what profiles other than those of this crate say of it.

use std::sync::Arc;
use std::time::Instant;

use super::Stack;
use crate::accounts::{Account, Groups, Lookup};
use crate::info::UserId;
use crate::policy::{Caller, Group, Resource};

/// The groups of a partner's user, with their names where they were known.
#[derive(Clone, Debug)]
pub(crate) struct PartnerGroups(Vec<(u32, Option<Arc<str>>)>);

impl Stack {
    /// The groups of this user by this host's account database. `Ok(None)`: they are on their way,
    /// look again. `Err(())`: they cannot be known now.
    pub(crate) fn groups_of(&self, uid: u32, now: Instant) -> Result<Option<PartnerGroups>, ()> {
        let groups = match self.inner().memberships.lookup(uid, now) {
            Groups::Known(groups) => groups,
            Groups::Pending => return Ok(None),
            Groups::Unavailable => return Err(()),
        };
        let mut all = Vec::with_capacity(groups.len());
        for gid in groups.iter().copied() {
            let Some(accounts) = &self.inner().accounts else {
                all.push((gid, None));
                continue;
            };
            match accounts.lookup_or_last(Account::Group(gid), now) {
                Lookup::Known(name) => all.push((gid, name)),
                Lookup::Pending => return Ok(None),
                Lookup::Unavailable => all.push((gid, None)),
            }
        }
        Ok(Some(PartnerGroups(all)))
    }

    /// Whether the policy in force grants this user, who is nobody privileged, READ on a resource.
    /// The embedded default grants nobody anything.
    pub(crate) fn grants(&self, user: &UserId, groups: &PartnerGroups, what: &Resource) -> bool {
        let groups: Vec<Group<'_>> = groups
            .0
            .iter()
            .map(|(gid, name)| match name {
                Some(name) => Group::new(*gid).named(name),
                None => Group::new(*gid),
            })
            .collect();
        let mut caller = Caller::new(user.uid()).in_groups(&groups);
        if let Some(name) = user.name() {
            caller = caller.named(name);
        }
        self.inner().authority.grants(&caller, what)
    }
}

impl PartnerGroups {
    pub(crate) fn contains(&self, gid: u32) -> bool {
        self.0.iter().any(|(one, _)| *one == gid)
    }

    #[cfg(test)]
    pub(crate) fn of(gids: &[u32]) -> Self {
        Self(gids.iter().map(|gid| (*gid, None)).collect())
    }
}
