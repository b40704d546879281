//! A stack in the children that its process forks.
//!
//! fork(2) copies memory and the thread that called it. The other threads are gone, and with them
//! whoever would have opened the locks that they held, and worked off what waits for them. So a
//! child uses nothing of its parent's stack that has a lock or a thread: it makes its like anew.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use super::builder::Recipe;
use super::table::SocketKey;
use super::{Inner, Stack};
use crate::info::PartnerRequest;
use crate::kernel::Endpoint;
use crate::kernel::sys;

/// Whose a stack is, and who comes before and after it.
pub(super) struct Lineage {
    recipe: Recipe,
    /// See [`sys::generation`].
    generation: u32,
    /// Of the process that forked this one.
    before: Weak<Inner>,
    /// In memory of a child: its own. In each process there is one at most, in its parent's none.
    after: OnceLock<Arc<Inner>>,
}

impl Lineage {
    pub(super) fn new(recipe: Recipe, before: Weak<Inner>) -> Self {
        Self { recipe, generation: sys::generation(), before, after: OnceLock::new() }
    }
}

impl Stack {
    pub(super) fn begun_by(recipe: Recipe) -> Self {
        Self { first: Arc::new(recipe.make(Weak::new())) }
    }

    /// That of this process.
    #[inline]
    pub(super) fn inner(&self) -> &Inner {
        if self.first.lineage.generation == sys::generation() {
            &self.first
        } else {
            self.inner_of_child()
        }
    }

    #[cold]
    fn inner_of_child(&self) -> &Inner {
        let mut inner = &self.first;
        // One step for each fork on the way here.
        while inner.lineage.generation != sys::generation() {
            let like = || {
                let before = Arc::downgrade(inner);
                Arc::new(inner.lineage.recipe.clone().make(before))
            };
            inner = inner.lineage.after.get_or_init(like);
        }
        inner
    }
}

impl Inner {
    /// What was set on this socket before this process was forked. Never waits for a lock: one that
    /// is held is held for ever.
    pub(super) fn set_before_fork(
        &self,
        key: SocketKey,
        peer: Option<Endpoint>,
    ) -> Option<PartnerRequest> {
        let before = self.lineage.before.upgrade()?;
        let set =
            before.listeners.set_or_locked(key).or_else(|| before.table.set_or_locked(key, peer));
        set.or_else(|| before.set_before_fork(key, peer))
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lineage").field("generation", &self.generation).finish_non_exhaustive()
    }
}
