//! The stacks (network namespaces) of this host that are looked at, and what is kept of them.
//!
//! What is kept keeps a namespace alive: its sockets count as users of it. So it is kept for no
//! longer than it is of use, a moment; a namespace that everybody else has left goes then.

mod files;
mod held;

use std::collections::HashMap;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use held::Held;

use super::config::Namespaces;
use crate::kernel::sys::{self, Errno, namespace};

/// How long a stack is kept that nobody asks about.
const KEPT: Duration = Duration::from_millis(250);

/// Why a stack cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// It is none of those that are served.
    NotServed,
    Failed {
        doing: &'static str,
        errno: i32,
    },
}

/// The stacks that are looked at.
pub(crate) struct Stacks {
    home: Arc<Held>,
    served: Namespaces,
    most: AtomicUsize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_cookie: HashMap<u64, Arc<Held>>,
}

impl Stacks {
    /// The calling thread's stack is home; all threads that use this must be in it.
    pub(crate) fn new(served: Namespaces, most: usize) -> Result<Self, Unavailable> {
        let failed = |doing| move |Errno(errno)| Unavailable::Failed { doing, errno };
        let file = namespace::current().map_err(failed("open the agent's own namespace"))?;
        let home = Arc::new(Held::open(None, file)?);
        Ok(Self { home, served, most: AtomicUsize::new(most), kept: Mutex::default() })
    }

    /// Whether there may be others than home.
    pub(crate) fn are_others_served(&self) -> bool {
        match &self.served {
            Namespaces::All | Namespaces::Listed(_) => true,
            Namespaces::Own => false,
        }
    }

    /// How many are looked at, at most.
    pub(crate) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed).max(1)
    }

    pub(crate) fn home(&self) -> &Arc<Held> {
        &self.home
    }

    /// The stack that a socket is in.
    pub(crate) fn of_socket(&self, socket: BorrowedFd<'_>) -> Result<Arc<Held>, Unavailable> {
        let failed = |doing| move |Errno(errno)| Unavailable::Failed { doing, errno };
        let cookie = sys::namespace_cookie(socket)
            .map_err(failed("ask for the socket's network namespace (Linux 5.14)"))?;
        if let Some(held) = self.held(cookie) {
            return Ok(held);
        }
        match &self.served {
            Namespaces::All => {}
            Namespaces::Own => return Err(Unavailable::NotServed),
            Namespaces::Listed(_) => {
                // One that was listed and made anew since the last look.
                self.discover();
                return self.held(cookie).ok_or(Unavailable::NotServed);
            }
        }
        let file =
            namespace::of_socket(socket).map_err(failed("open the socket's network namespace"))?;
        let held = Held::open(Some(&self.home), file)?;
        if held.cookie() != cookie {
            return Err(Unavailable::Failed {
                doing: "enter the socket's network namespace",
                errno: 0,
            });
        }
        Ok(self.keep(held))
    }

    /// Does something in the network namespace of `stack`.
    pub(crate) fn within<T>(&self, stack: &Held, there: impl FnOnce() -> T) -> Result<T, Errno> {
        if stack.cookie() == self.home.cookie() {
            return Ok(there());
        }
        namespace::visit(self.home.file(), stack.file(), there)
    }

    /// One by its cookie, where it is kept and served.
    pub(crate) fn held(&self, cookie: u64) -> Option<Arc<Held>> {
        if cookie == self.home.cookie() {
            return Some(Arc::clone(&self.home));
        }
        let held = self.lock().by_cookie.get(&cookie).map(Arc::clone)?;
        held.use_now();
        Some(held)
    }

    /// Those that are kept now, home among them.
    pub(crate) fn all_held(&self) -> Vec<Arc<Held>> {
        let mut all: Vec<_> = self.lock().by_cookie.values().map(Arc::clone).collect();
        all.push(Arc::clone(&self.home));
        all
    }

    /// Looks for stacks that are not kept, and keeps them; returns all there are, but home where no
    /// others are served. Takes some milliseconds.
    pub(crate) fn discover(&self) -> Vec<Arc<Held>> {
        let files = match &self.served {
            Namespaces::Own => return Vec::new(),
            Namespaces::All => files::of_host(self.most()),
            Namespaces::Listed(paths) => files::listed(paths),
        };
        let mut seen = HashMap::new();
        for (inode, path) in files {
            let kept = match self.with_inode(inode) {
                Some(held) => held,
                None => {
                    // It may be gone by now.
                    let Ok(file) = namespace::open(&path) else { continue };
                    let Ok(held) = Held::open(Some(&self.home), file) else { continue };
                    self.keep(held)
                }
            };
            kept.use_now();
            seen.insert(kept.cookie(), kept);
        }
        if matches!(self.served, Namespaces::Listed(_)) {
            self.lock().by_cookie.retain(|cookie, _| seen.contains_key(cookie));
        }
        seen.into_values().collect()
    }

    /// While a stack is kept, its inode is nobody else's.
    fn with_inode(&self, inode: u64) -> Option<Arc<Held>> {
        if self.home.inode() == inode {
            return Some(Arc::clone(&self.home));
        }
        self.lock().by_cookie.values().find(|held| held.inode() == inode).map(Arc::clone)
    }

    fn keep(&self, held: Held) -> Arc<Held> {
        let held = Arc::new(held);
        if held.cookie() == self.home.cookie() {
            return Arc::clone(&self.home);
        }
        let mut kept = self.lock();
        if kept.by_cookie.len() >= self.most() {
            let oldest = kept.by_cookie.values().min_by_key(|held| held.used());
            if let Some(cookie) = oldest.map(|held| held.cookie()) {
                kept.by_cookie.remove(&cookie);
            }
        }
        Arc::clone(kept.by_cookie.entry(held.cookie()).or_insert(held))
    }

    /// Lets go of what nobody asks about. Returns how many are kept still.
    pub(crate) fn release(&self, now: Instant) -> usize {
        let mut kept = self.lock();
        let before = kept.by_cookie.len();
        if before == 0 {
            return 0;
        }
        kept.by_cookie.retain(|_, held| now.saturating_duration_since(held.used()) < KEPT);
        kept.by_cookie.len()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Each change leaves both tables whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stacks")
            .field("served", &self.served)
            .field("kept", &self.lock().by_cookie.len())
            .finish_non_exhaustive()
    }
}
