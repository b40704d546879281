//! Who asks, and what it is called.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[cfg(feature = "agent")]
use crate::accounts::SystemAccounts;
use crate::accounts::{Account, AccountNames, Accounts, Limits, Lookup};
use crate::kernel::sys::{self, Socket};
use crate::kernel::user_namespace;
use crate::policy::{Authorized, Caller, Group, PartnerStack, Policy, Refusal, Resource};

/// Names of the caller that are kept: more than it usually has groups.
const NAMES: usize = 4_096;

/// A fact about users, and the same about groups.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerKind<T> {
    pub(super) user: T,
    pub(super) group: T,
}

/// Who asks: mostly the calling thread, as it is at this moment: a program may drop its rights at any time, and on
/// Linux each thread has rights of its own.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) uid: u32,
    /// `None`: could not be read.
    pub(crate) groups: Option<Vec<u32>>,
    pub(crate) privileged: bool,
}

impl Asking {
    pub(super) fn now(socket: Socket<'_>) -> Self {
        let privileged = sys::is_privileged(socket);
        let groups = if privileged { None } else { sys::groups().ok() };
        Self { uid: sys::effective_uid(), groups, privileged }
    }
}

/// The caller's own names. They have threads and a table apart from those of partners, so that
/// nobody who connects can make a caller wait for its right.
pub(crate) struct Names {
    accounts: Accounts,
    patience: Duration,
    /// The uid that stands for many.
    overflow_uid: Option<u32>,
    /// The millisecond since which some name is awaited; 0 for none.
    awaited_since: AtomicU64,
}

/// The names of one caller, as far as they are known.
pub(super) struct CallersNames {
    user: Option<Arc<str>>,
    /// In the order of its groups.
    groups: Vec<Option<Arc<str>>>,
    on_their_way: bool,
}

impl Names {
    /// `patience`: how long a name may be awaited.
    pub(crate) fn new(source: Arc<dyn AccountNames>, age: Duration, patience: Duration) -> Self {
        Self {
            accounts: Accounts::new(source, Limits { age, names: NAMES }),
            patience,
            overflow_uid: user_namespace::overflow_id(
                sys::read_text("/proc/self/uid_map").ok().as_deref(),
                sys::read_text("/proc/sys/kernel/overflowuid").ok().as_deref(),
            ),
            awaited_since: AtomicU64::new(0),
        }
    }

    /// From the system's name service, with the usual patience.
    #[cfg(feature = "agent")]
    pub(crate) fn of_system() -> Self {
        const AGE: Duration = Duration::from_secs(60);
        const PATIENCE: Duration = Duration::from_secs(1);
        Self::new(Arc::new(SystemAccounts), AGE, PATIENCE)
    }

    /// The names that the policy needs; never waits for the name service.
    pub(super) fn of(&self, asking: &Asking, needed: PerKind<bool>, now: Instant) -> CallersNames {
        let mut pending = false;
        let mut name = |account| match self.accounts.lookup_or_last(account, now) {
            Lookup::Known(name) => name,
            Lookup::Pending => {
                pending = true;
                None
            }
            Lookup::Unavailable => None,
        };
        let user = if needed.user { name(Account::User(asking.uid)) } else { None };
        let groups = match &asking.groups {
            Some(groups) if needed.group => {
                groups.iter().map(|g| name(Account::Group(*g))).collect()
            }
            Some(_) | None => Vec::new(),
        };
        CallersNames { user, groups, on_their_way: self.is_patient(pending) }
    }

    /// Whether names are awaited, and not for too long yet.
    fn is_patient(&self, pending: bool) -> bool {
        if !pending {
            self.awaited_since.store(0, Ordering::Relaxed);
            return false;
        }
        let now = sys::coarse_milliseconds().max(1);
        let since =
            self.awaited_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        let waited = since.map_or_else(|since| now.saturating_sub(since), |_| 0);
        Duration::from_millis(waited) < self.patience
    }

    fn is_unmapped(&self, uid: u32) -> bool {
        self.overflow_uid == Some(uid)
    }

    pub(super) fn decide(
        &self,
        names: &CallersNames,
        policy: &Policy,
        asking: &Asking,
        resource: &Resource,
        stack: PartnerStack,
    ) -> Result<Authorized, Refusal> {
        let mut caller = Caller::new(asking.uid).privileged(asking.privileged);
        if self.is_unmapped(asking.uid) {
            caller = caller.unmapped();
        }
        if let Some(user) = &names.user {
            caller = caller.named(user);
        }
        let groups = asking.groups.as_ref().map(|groups| {
            let name = |index: usize| names.groups.get(index).and_then(Option::as_deref);
            let group = |(index, gid): (usize, &u32)| match name(index) {
                Some(name) => Group::new(*gid).named(name),
                None => Group::new(*gid),
            };
            groups.iter().enumerate().map(group).collect::<Vec<_>>()
        });
        if let Some(groups) = &groups {
            caller = caller.in_groups(groups);
        }
        policy.decide(&caller, resource, stack).into_result()
    }
}

impl CallersNames {
    /// Whether another answer may follow soon.
    pub(super) fn are_on_their_way(&self) -> bool {
        self.on_their_way
    }
}
