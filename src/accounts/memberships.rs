//! The groups of accounts, looked up and kept as their names are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::kept::{Kept, State};
use super::{AccountNames, Limits};

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

/// The groups of accounts, by uid. `None` is kept where the name service failed.
#[derive(Debug)]
pub(crate) struct Memberships(Kept<u32, Option<Arc<[u32]>>>);

impl Memberships {
    pub(crate) fn new(source: Arc<dyn AccountNames>, age: Duration) -> Self {
        let ask = move |uid| {
            let groups = source.groups_of(uid)?;
            Ok(Some(groups.map_or_else(Arc::default, Arc::from)))
        };
        let limits = Limits { age, names: ACCOUNTS };
        Self(Kept::new("partner-info-groups", limits, None, ask))
    }

    /// The groups, where they are here; else the name service is asked, and a later call finds the
    /// answer. Never blocks on the name service.
    pub(crate) fn lookup(&self, uid: u32, now: Instant) -> Groups {
        match self.0.lookup(uid, now) {
            State::Known(Some(groups)) => Groups::Known(groups),
            State::Pending => Groups::Pending,
            State::Known(None) | State::Unavailable => Groups::Unavailable,
        }
    }
}
