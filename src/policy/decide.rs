//! The decision.

use std::sync::Arc;

use super::caller::Caller;
use super::decision::{DecidingRule, Decision, Ground, PartnerStack};
use super::profile::{Permit, Profile, Subject};
use super::resource::Resource;
use super::store::{Policy, Source};

impl Policy {
    /// Decides whether `caller` may have the credentials of a partner in `stack`, guarded by
    /// `resource`.
    ///
    /// In this order:
    ///
    /// 1. A privileged caller is authorized.
    /// 2. Without a policy file, a caller is authorized for its own stack and for nothing else.
    /// 3. The most specific profile that covers the resource decides; without one the caller is
    ///    not authorized. In that profile:
    ///    1. an entry for the user decides, by name or uid; if both are there, the lower access;
    ///    2. else the entries for the caller's groups decide, the highest access of them;
    ///    3. else universal access decides.
    ///
    /// At least READ authorizes. Where the caller's name or groups are unknown, an entry that
    /// might be for it can refuse it but never authorizes it: the answer is the lowest that any
    /// completion of what is known would get.
    ///
    /// Pure and cheap: nothing is looked up, and nothing allocated unless the answer is no.
    pub fn decide(
        &self,
        caller: &Caller<'_>,
        resource: &Resource,
        stack: PartnerStack,
    ) -> Decision {
        let (authorized, ground) = self.judge(caller, resource, stack);
        let rule = DecidingRule(ground);
        if authorized {
            Decision::authorized(caller, stack, rule)
        } else {
            Decision::refused(caller, resource, rule)
        }
    }

    fn judge(
        &self,
        caller: &Caller<'_>,
        resource: &Resource,
        stack: PartnerStack,
    ) -> (bool, Ground) {
        if caller.is_privileged() {
            return (true, Ground::Privileged);
        }
        let file = match &self.source {
            Source::File { name, .. } => name,
            Source::Embedded => {
                return match stack {
                    PartnerStack::Own => (true, Ground::OwnStack),
                    PartnerStack::Other => (false, Ground::NoPolicyFile),
                };
            }
        };
        match self.most_specific(resource) {
            None => (false, Ground::NoProfile { file: file.clone() }),
            Some(profile) => consult(file, profile, caller),
        }
    }
}

/// What the profile's entries say about the caller.
#[derive(Default)]
struct Entries<'p> {
    /// Of the entries that are for this user: the one with the lowest access.
    user: Option<&'p Arc<Permit>>,
    /// Of the entries that are for one of its groups: the one with the highest access.
    group: Option<&'p Arc<Permit>>,
    /// Of the entries that may be for this user: the one with the lowest access.
    perhaps_user: Option<&'p Arc<Permit>>,
    /// Of the entries that may be for one of its groups: the one with the lowest access.
    perhaps_group: Option<&'p Arc<Permit>>,
}

fn consult(file: &Arc<str>, profile: &Arc<Profile>, caller: &Caller<'_>) -> (bool, Ground) {
    let entries = Entries::of(profile, caller);
    let certain = entries.user.or(entries.group);
    let access = certain.map_or(profile.universal_access, |permit| permit.access);
    let (file, profile) = (file.clone(), profile.clone());

    if access.authorizes()
        && let Some(permit) = entries.lowest_ignored()
        && !permit.access.authorizes()
    {
        return (false, Ground::MayApply { file, profile, permit: permit.clone() });
    }
    let ground = match certain {
        Some(permit) => Ground::Permit { file, profile, permit: permit.clone() },
        None => Ground::UniversalAccess { file, profile },
    };
    (access.authorizes(), ground)
}

impl<'p> Entries<'p> {
    fn of(profile: &'p Profile, caller: &Caller<'_>) -> Self {
        let mut entries = Entries::default();
        for permit in &profile.permits {
            let (certain, perhaps, certain_is_highest) = match &permit.subject {
                Subject::User(_) | Subject::Uid(_) => {
                    (&mut entries.user, &mut entries.perhaps_user, false)
                }
                Subject::Group(_) | Subject::Gid(_) => {
                    (&mut entries.group, &mut entries.perhaps_group, true)
                }
            };
            match applies(&permit.subject, caller) {
                Applies::Yes if certain_is_highest => keep_highest(certain, permit),
                Applies::Yes => keep_lowest(certain, permit),
                Applies::Perhaps => keep_lowest(perhaps, permit),
                Applies::No => {}
            }
        }
        entries
    }

    /// Of the entries that may or may not be for this caller, the one with the lowest access that
    /// would decide if it were.
    ///
    /// A user's entry would always decide. A group's entry would only where universal access does
    /// otherwise: behind an entry for the user it has no say, and beside an entry for another
    /// group it could only raise the access.
    fn lowest_ignored(&self) -> Option<&'p Arc<Permit>> {
        let mut lowest = self.perhaps_user;
        if self.user.is_none()
            && self.group.is_none()
            && let Some(permit) = self.perhaps_group
        {
            keep_lowest(&mut lowest, permit);
        }
        lowest
    }
}

fn keep_lowest<'p>(kept: &mut Option<&'p Arc<Permit>>, permit: &'p Arc<Permit>) {
    if kept.is_none_or(|other| permit.access < other.access) {
        *kept = Some(permit);
    }
}

fn keep_highest<'p>(kept: &mut Option<&'p Arc<Permit>>, permit: &'p Arc<Permit>) {
    if kept.is_none_or(|other| permit.access > other.access) {
        *kept = Some(permit);
    }
}

/// Whether an entry is for a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applies {
    Yes,
    /// Too little is known about the caller to say.
    Perhaps,
    No,
}

impl Applies {
    /// `None` stands for what is unknown.
    fn compare<T>(known: Option<T>, matches: impl FnOnce(T) -> bool) -> Self {
        match known.map(matches) {
            None => Applies::Perhaps,
            Some(true) => Applies::Yes,
            Some(false) => Applies::No,
        }
    }

    /// For one of several: yes if any is, else perhaps if any may be.
    fn any(several: impl Iterator<Item = Self>) -> Self {
        let mut answer = Applies::No;
        for one in several {
            match one {
                Applies::Yes => return Applies::Yes,
                Applies::Perhaps => answer = Applies::Perhaps,
                Applies::No => {}
            }
        }
        answer
    }
}

fn applies(subject: &Subject, caller: &Caller<'_>) -> Applies {
    match subject {
        Subject::User(name) => {
            Applies::compare(caller.known_user(), |user| user.eq_ignore_ascii_case(name))
        }
        Subject::Uid(uid) => Applies::compare(caller.known_uid(), |known| known == *uid),
        Subject::Group(name) => match caller.groups() {
            None => Applies::Perhaps,
            Some(groups) => Applies::any(groups.iter().map(|group| {
                Applies::compare(group.known_name(), |known| known.eq_ignore_ascii_case(name))
            })),
        },
        Subject::Gid(gid) => match caller.groups() {
            None => Applies::Perhaps,
            Some(groups) => Applies::any(
                groups.iter().map(|group| Applies::compare(group.known_gid(), |id| id == *gid)),
            ),
        },
    }
}
