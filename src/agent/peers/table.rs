//! All links, so many at most.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::link::{Answered, AskError, Key, Link, Means};
use crate::protocol::peers::Question;

/// Links at most, unless something else is said.
pub(crate) const MOST: usize = 65_536;
/// Links from which on those that are as good as new are cleaned out.
const FEW: usize = 1_024;

/// The agents of other hosts, as this one reaches them.
pub(crate) struct Peers {
    means: Arc<Means>,
    most: usize,
    links: Mutex<Links>,
}

struct Links {
    table: HashMap<Key, Kept>,
    /// Counts uses: the greater the later.
    uses: u64,
    /// How many links there may be before the next look for what can go.
    tidy_at: usize,
}

struct Kept {
    link: Arc<Link>,
    used: u64,
}

impl Peers {
    pub(crate) fn new(means: Means, most: usize) -> Self {
        let links = Links { table: HashMap::new(), uses: 0, tidy_at: FEW.min(most) };
        Self { means: Arc::new(means), most: most.max(1), links: Mutex::new(links) }
    }

    /// Asks the peer that is reached this way; see [`Link::ask`].
    pub(crate) async fn ask(&self, key: Key, question: Question) -> Result<Answered, AskError> {
        self.link(key).ask(question).await
    }

    /// The link that is kept, or a new one. Where there are too many, those that were used least
    /// recently are closed when nothing is on their way.
    pub(crate) fn link(&self, key: Key) -> Arc<Link> {
        let mut links = self.lock();
        let Links { table, uses, tidy_at } = &mut *links;
        *uses = uses.wrapping_add(1);
        if let Some(kept) = table.get_mut(&key) {
            kept.used = *uses;
            return Arc::clone(&kept.link);
        }
        if table.len() >= *tidy_at {
            tidy(table, self.most);
            *tidy_at = table.len().saturating_mul(2).clamp(FEW.min(self.most), self.most);
        }
        let link = Link::new(key, Arc::clone(&self.means));
        table.insert(key, Kept { link: Arc::clone(&link), used: *uses });
        link
    }

    /// Closes the links that are made in a network namespace, which would keep it alive.
    pub(crate) fn leave(&self, namespace: u64) {
        for (_, kept) in self.lock().table.extract_if(|key, _| key.namespace == namespace) {
            kept.link.retire();
        }
    }

    /// Closes this link; who asks next connects anew.
    pub(crate) fn leave_one(&self, key: Key) {
        if let Some(kept) = self.lock().table.remove(&key) {
            kept.link.retire();
        }
    }

    /// Closes all links, each when nothing is on its way: the next are made with the certificates
    /// that are in force then.
    pub(crate) fn leave_all(&self) {
        for (_, kept) in self.lock().table.drain() {
            kept.link.retire();
        }
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.lock().table.len()
    }

    fn lock(&self) -> MutexGuard<'_, Links> {
        // A link is in the table or not.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for one more: forgets links that are as good as new, and where that is not enough
/// closes a part of the others, so that the next time comes late.
fn tidy(table: &mut HashMap<Key, Kept>, most: usize) {
    table.retain(|_, kept| !kept.link.is_fresh() || Arc::strong_count(&kept.link) > 1);
    if table.len() < most {
        return;
    }
    let mut uses: Vec<u64> = table.values().map(|kept| kept.used).collect();
    let part = uses.len().div_ceil(64).saturating_sub(1);
    let (_, oldest, _) = uses.select_nth_unstable(part);
    let oldest = *oldest;
    for (_, kept) in table.extract_if(|_, kept| kept.used <= oldest) {
        kept.link.retire();
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        for kept in self.lock().table.values() {
            kept.link.retire();
        }
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} links to other hosts", self.len())
    }
}
