//! Looks for partners in stacks that are not at hand, on a thread of its own: to find the
//! namespaces of a host takes milliseconds.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::lookup::{Asked, Found, Lookup, Missing};
use super::stacks::{Held, Stacks};
use crate::error::Error;
use crate::workers::{Limits, Workers};

/// Questions that wait for the thread. Who finds no place is told to come again.
const LIMITS: Limits = Limits { threads: 1, queue: 4_096 };
/// Namespaces are looked for no more often than this; questions that come meanwhile share a look.
const PAUSE: Duration = Duration::from_millis(20);

/// What is looked for.
struct Search {
    asked: Asked,
    missing: Missing,
    since: Instant,
    reply: oneshot::Sender<Result<Found, Error>>,
}

/// A look for namespaces: it has seen all that were there before it began.
struct Look {
    began: Instant,
    /// Held by others, or not any more: a look is no reason for a namespace to stay.
    seen: Vec<Weak<Held>>,
}

impl Look {
    fn around(stacks: &Stacks) -> (Self, Vec<Arc<Held>>) {
        let began = Instant::now();
        let found = stacks.discover();
        (Self { began, seen: found.iter().map(Arc::downgrade).collect() }, found)
    }

    /// All that it has seen; nothing where one of them was let go of, be it for a moment: on a busy
    /// machine questions may wait for longer than stacks are kept.
    fn stacks(&self) -> Option<Vec<Arc<Held>>> {
        self.seen.iter().map(Weak::upgrade).collect()
    }
}

/// A thread that looks for namespaces.
pub(super) struct Scout {
    workers: Workers<Search>,
}

impl Scout {
    pub(super) fn new(lookup: Arc<Lookup>) -> Self {
        let last: Mutex<Option<Look>> = Mutex::default();
        let workers = Workers::new("partnerd-scout", LIMITS, move |search: Search| {
            let Search { asked, missing, since, reply } = search;
            if reply.is_closed() {
                return;
            }
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            let shared = last.as_ref().filter(|look| look.began > since).and_then(Look::stacks);
            let stacks = shared.unwrap_or_else(|| {
                let early = last.as_ref().and_then(|look| PAUSE.checked_sub(look.began.elapsed()));
                if let Some(early) = early {
                    std::thread::sleep(early);
                }
                let (look, stacks) = Look::around(lookup.stacks());
                *last = Some(look);
                stacks
            });
            drop(last);
            // Nobody may be waiting any more.
            let _ = reply.send(lookup.look_everywhere(stacks, &asked, missing));
        });
        Self { workers }
    }

    /// Has the partner looked for everywhere. `None`: too many are looked for already.
    pub(super) fn search(
        &self,
        asked: Asked,
        missing: Missing,
    ) -> Option<oneshot::Receiver<Result<Found, Error>>> {
        let (reply, answer) = oneshot::channel();
        let search = Search { asked, missing, since: Instant::now(), reply };
        self.workers.give(search).ok()?;
        Some(answer)
    }
}

impl fmt::Debug for Scout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scout").field(&self.workers).finish()
    }
}

#[cfg(test)]
mod tests;
