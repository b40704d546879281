//! The groups of accounts, looked up and kept as their names are.

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use super::AccountNames;
use crate::workers::{self, Workers};

const WORKERS: workers::Limits = workers::Limits { threads: 2, queue: 1024 };
const ACCOUNTS: usize = 4_096;

/// What is known of an account's groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Groups {
    /// All of them; an account that there is not has none.
    Known(Arc<[u32]>),
    /// The name service has been asked.
    Pending,
    /// It has failed just now, or is too busy to be asked.
    Unavailable,
}

/// The groups of accounts, by uid.
pub(crate) struct Memberships {
    shared: Arc<Shared>,
    workers: Workers<u32>,
}

struct Shared {
    source: Arc<dyn AccountNames>,
    age: Duration,
    known: Cache<u32, Known>,
    pending: Mutex<HashSet<u32>>,
}

#[derive(Clone)]
struct Known {
    /// `None`: the name service failed.
    groups: Option<Arc<[u32]>>,
    until: Option<Instant>,
}

impl Memberships {
    pub(crate) fn new(source: Arc<dyn AccountNames>, age: Duration) -> Self {
        let known = Cache::new(ACCOUNTS);
        let shared = Arc::new(Shared { source, age, known, pending: Mutex::default() });
        let answering = Arc::clone(&shared);
        let workers =
            Workers::new("partner-info-groups", WORKERS, move |uid| answering.answer(uid));
        Self { shared, workers }
    }

    /// The groups, where they are here; else the name service is asked, and a later call finds the
    /// answer. Never blocks on the name service.
    pub(crate) fn lookup(&self, uid: u32, now: Instant) -> Groups {
        let mut pending = self.shared.pending();
        if pending.contains(&uid) {
            return Groups::Pending;
        }
        if let Some(known) = self.shared.young(uid, now) {
            return known.map_or(Groups::Unavailable, Groups::Known);
        }
        match self.workers.give(uid) {
            Ok(()) => {
                pending.insert(uid);
                Groups::Pending
            }
            Err(_) => Groups::Unavailable,
        }
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn young(&self, uid: u32, now: Instant) -> Option<Option<Arc<[u32]>>> {
        let known = self.known.get(&uid)?;
        known.until.is_none_or(|until| now < until).then_some(known.groups)
    }

    fn answer(&self, uid: u32) {
        let (groups, age) = match catch_unwind(AssertUnwindSafe(|| self.source.groups_of(uid))) {
            Ok(Ok(Some(groups))) => (Some(groups.into()), self.age),
            Ok(Ok(None)) => (Some(Arc::default()), self.age),
            Ok(Err(error)) => {
                tracing::debug!(uid, %error, "the name service told no groups");
                (None, self.age.min(super::ERROR_AGE))
            }
            Err(_) => {
                tracing::warn!(uid, "the source of account names panicked");
                (None, self.age.min(super::ERROR_AGE))
            }
        };
        self.known.insert(uid, Known { groups, until: Instant::now().checked_add(age) });
        self.pending().remove(&uid);
    }
}

impl fmt::Debug for Memberships {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memberships")
            .field("known", &self.shared.known.len())
            .finish_non_exhaustive()
    }
}
