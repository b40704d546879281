//! Answers of a source that may be slow or hang: asked for on threads of our own, and kept for a while.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use super::Limits;
use crate::workers::{self, Workers};

/// A source that hangs holds few threads, and few questions wait behind it.
pub(super) const WORKERS: workers::Limits = workers::Limits { threads: 2, queue: 1024 };
/// An error of the source is believed for no longer than this.
pub(super) const ERROR_AGE: Duration = Duration::from_secs(1);

/// What is known of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State<V> {
    Known(V),
    /// The source has been asked.
    Pending,
    /// It is too busy to be asked.
    Unavailable,
}

/// Answers with an age.
pub(super) struct Kept<K, V> {
    shared: Arc<Shared<K, V>>,
    workers: Workers<K>,
}

/// Blocks as long as it takes.
type Ask<K, V> = Box<dyn Fn(K) -> io::Result<V> + Send + Sync>;

struct Shared<K, V> {
    ask: Ask<K, V>,
    /// What stands for the answer for a moment where the source has failed.
    failed: V,
    age: Duration,
    known: Cache<K, Known<V>>,
    /// Asked, or about to be.
    pending: Mutex<HashSet<K>>,
}

#[derive(Clone)]
struct Known<V> {
    answer: V,
    until: Option<Instant>,
}

impl<K, V> Kept<K, V>
where
    K: Copy + Eq + Hash + fmt::Debug + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answers of `ask`, which threads named `name` call.
    pub(super) fn new(
        name: &'static str,
        limits: Limits,
        failed: V,
        ask: impl Fn(K) -> io::Result<V> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            ask: Box::new(ask),
            failed,
            age: limits.age,
            known: Cache::new(limits.names.max(1)),
            pending: Mutex::default(),
        });
        let answering = Arc::clone(&shared);
        let workers = Workers::new(name, WORKERS, move |key| answering.answer(key));
        Self { shared, workers }
    }

    /// The answer, where it is here and young enough; else the source is asked, and a later call finds
    /// the answer. Never blocks on the source.
    pub(super) fn lookup(&self, key: K, now: Instant) -> State<V> {
        self.shared.young(key, now).map_or_else(|| self.ask(key, now), State::Known)
    }

    /// The last answer, however old.
    pub(super) fn last(&self, key: K) -> Option<V> {
        self.shared.known.get(&key).map(|known| known.answer)
    }

    fn ask(&self, key: K, now: Instant) -> State<V> {
        let mut pending = self.shared.pending();
        if pending.contains(&key) {
            return State::Pending;
        }
        // The answer may have come since it was looked for: a thread puts it there before it
        // forgets that it was asked.
        if let Some(answer) = self.shared.young(key, now) {
            return State::Known(answer);
        }
        match self.workers.give(key) {
            Ok(()) => {
                pending.insert(key);
                State::Pending
            }
            Err(_) => State::Unavailable,
        }
    }

    /// How many are asked for now, and how many are kept.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.shared.pending().len(), self.shared.known.len())
    }
}

impl<K, V> Shared<K, V>
where
    K: Copy + Eq + Hash + fmt::Debug,
    V: Clone,
{
    fn pending(&self) -> MutexGuard<'_, HashSet<K>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn young(&self, key: K, now: Instant) -> Option<V> {
        let known = self.known.get(&key)?;
        known.until.is_none_or(|until| now < until).then_some(known.answer)
    }

    fn answer(&self, key: K) {
        let (answer, age) = match catch_unwind(AssertUnwindSafe(|| (self.ask)(key))) {
            Ok(Ok(answer)) => (answer, self.age),
            Ok(Err(error)) => {
                tracing::debug!(account = ?key, %error, "the name service failed");
                (self.failed.clone(), self.age.min(ERROR_AGE))
            }
            Err(_) => {
                tracing::warn!(account = ?key, "the source of account names panicked");
                (self.failed.clone(), self.age.min(ERROR_AGE))
            }
        };
        self.known.insert(key, Known { answer, until: Instant::now().checked_add(age) });
        self.pending().remove(&key);
    }
}

impl<K: Eq + Hash, V: Clone> fmt::Debug for Kept<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("known", &self.shared.known.len()).finish_non_exhaustive()
    }
}
