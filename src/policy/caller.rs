//! Who asks, and how much of that is known.

/// The uid and gid that a kernel shows for accounts it cannot map into this user namespace.
///
/// `/proc/sys/kernel/overflowuid` can hold another value; whoever knows it calls
/// [`Caller::unmapped`].
const OVERFLOW_ID: u32 = 65534;

/// `(uid_t)-1`: what the kernel says when there is no uid to tell.
const NO_ID: u32 = u32::MAX;

/// The program that asks for its partner's credentials.
///
/// [`Caller::new`] knows a number and nothing else; add what is known. Whatever is left out counts
/// as *unknown*, which is not the same as absent: an entry of the policy that could apply to the
/// unknown part can refuse the caller, and never authorizes it.
///
/// The overflow uid 65534 and the uid 4294967295 stand for accounts that could not be told; a
/// caller with one of them has an unknown user, whatever name goes with it.
///
/// ```
/// use partner_info::policy::{Caller, Group};
///
/// let groups = [Group::new(100).named("users"), Group::new(2000)];
/// let alice = Caller::new(1000).named("alice").in_groups(&groups);
/// assert_eq!((alice.uid(), alice.user()), (1000, Some("alice")));
/// assert_eq!(alice.groups().map(<[_]>::len), Some(2));
///
/// let root = Caller::new(0);
/// assert_eq!((root.user(), root.groups()), (None, None)); // not known
/// assert!(!root.is_privileged()); // nobody said so
/// ```
#[derive(Clone, Debug)]
pub struct Caller<'a> {
    uid: u32,
    mapped: bool,
    user: Option<&'a str>,
    groups: Option<&'a [Group<'a>]>,
    privileged: bool,
}

impl<'a> Caller<'a> {
    /// A caller with this effective uid, whose name and groups are unknown, and who is not
    /// privileged.
    pub fn new(uid: u32) -> Self {
        Caller { uid, mapped: names_an_account(uid), user: None, groups: None, privileged: false }
    }

    /// With the account's name. An empty name is an unknown one.
    #[must_use]
    pub fn named(mut self, user: &'a str) -> Self {
        self.user = Some(user).filter(|name| !name.is_empty());
        self
    }

    /// With all its groups: the effective group and the supplementary groups.
    ///
    /// Give all of them or do not call this: a list that leaves a group out would hide an entry
    /// that refuses the caller.
    #[must_use]
    pub fn in_groups(mut self, groups: &'a [Group<'a>]) -> Self {
        self.groups = Some(groups);
        self
    }

    /// Privileged or not: effective uid 0 or `CAP_NET_ADMIN` in the stack's user namespace.
    ///
    /// This is not concluded from the uid here, because uid 0 of another user namespace is not
    /// privileged in this one.
    ///
    /// ```
    /// use partner_info::policy::{Caller, PartnerStack, Policy};
    ///
    /// let policy = Policy::parse("policy.toml", "")?; // no profiles
    /// let resource = policy.resource("web1")?;
    /// let decide = |caller| policy.decide(&caller, &resource, PartnerStack::Own).is_authorized();
    /// assert!(decide(Caller::new(1000).privileged(true)));
    /// assert!(!decide(Caller::new(0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn privileged(mut self, privileged: bool) -> Self {
        self.privileged = privileged;
        self
    }

    /// With a uid that this user namespace cannot map, where the kernel's overflow uid is not the
    /// usual 65534.
    ///
    /// ```
    /// use partner_info::policy::{Caller, PartnerStack, Policy};
    ///
    /// let text = r#"
    /// [[profile]]
    /// name = "EZB.IOCTL.*.*.PARTNERINFO"
    /// [[profile.permit]]
    /// uid = 99
    /// access = "READ"
    /// "#;
    /// let policy = Policy::parse("policy.toml", text)?;
    /// let resource = policy.resource("web1")?;
    /// let decide = |caller| policy.decide(&caller, &resource, PartnerStack::Own);
    /// assert!(decide(Caller::new(99)).is_authorized());
    /// assert!(!decide(Caller::new(99).unmapped()).is_authorized()); // anybody
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn unmapped(mut self) -> Self {
        self.mapped = false;
        self
    }

    /// The effective uid, as it was given.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The account's name, if known.
    pub fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// The groups, if known.
    pub fn groups(&self) -> Option<&'a [Group<'a>]> {
        self.groups
    }

    /// Whether the caller is privileged.
    pub fn is_privileged(&self) -> bool {
        self.privileged
    }

    /// The uid, if it stands for one account.
    pub(crate) fn known_uid(&self) -> Option<u32> {
        Some(self.uid).filter(|_| self.mapped)
    }

    /// The name, if it stands for one account.
    pub(crate) fn known_user(&self) -> Option<&'a str> {
        self.user.filter(|_| self.mapped)
    }
}

/// One group of a [`Caller`].
///
/// The overflow gid 65534 and the gid 4294967295 stand for groups that could not be told, whatever
/// name goes with them.
///
/// ```
/// use partner_info::policy::Group;
///
/// let users = Group::new(100).named("users");
/// assert_eq!((users.gid(), users.name()), (100, Some("users")));
/// assert_eq!(Group::new(100).named("").name(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group<'a> {
    gid: u32,
    name: Option<&'a str>,
}

impl<'a> Group<'a> {
    /// A group with this gid and an unknown name.
    pub fn new(gid: u32) -> Self {
        Group { gid, name: None }
    }

    /// With the group's name. An empty name is an unknown one.
    #[must_use]
    pub fn named(mut self, name: &'a str) -> Self {
        self.name = Some(name).filter(|name| !name.is_empty());
        self
    }

    /// The gid, as it was given.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The group's name, if known.
    pub fn name(&self) -> Option<&'a str> {
        self.name
    }

    /// The gid, if it stands for one group.
    pub(crate) fn known_gid(&self) -> Option<u32> {
        Some(self.gid).filter(|gid| names_an_account(*gid))
    }

    /// The name, if it stands for one group.
    pub(crate) fn known_name(&self) -> Option<&'a str> {
        self.name.filter(|_| names_an_account(self.gid))
    }
}

/// Whether a uid or gid names one account, rather than "some account" or "none".
pub(crate) fn names_an_account(id: u32) -> bool {
    id != OVERFLOW_ID && id != NO_ID
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_uid_is_nobody_in_particular() {
        for uid in [OVERFLOW_ID, NO_ID] {
            let caller = Caller::new(uid).named("nobody");
            assert_eq!((caller.known_uid(), caller.known_user()), (None, None));
            let group = Group::new(uid).named("nogroup");
            assert_eq!((group.known_gid(), group.known_name()), (None, None));
        }
        let caller = Caller::new(0).named("root");
        assert_eq!((caller.known_uid(), caller.known_user()), (Some(0), Some("root")));
        assert!(!caller.is_privileged());
        let caller = caller.unmapped();
        assert_eq!((caller.known_uid(), caller.known_user()), (None, None));
    }

    #[test]
    fn an_empty_name_is_an_unknown_name() {
        assert_eq!(Caller::new(1).named("").user(), None);
        assert_eq!(Group::new(1).named("").name(), None);
    }
}
