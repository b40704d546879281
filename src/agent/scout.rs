//! Looks for partners in stacks that are not at hand, on a thread of its own: to find the
//! namespaces of a host takes milliseconds.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::lookup::{Asked, Found, Lookup, Missing};
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

/// A thread that looks for namespaces.
pub(super) struct Scout {
    workers: Workers<Search>,
}

impl Scout {
    pub(super) fn new(lookup: Arc<Lookup>) -> Self {
        // When the last look began: it has seen all namespaces that were there before.
        let looked: Mutex<Option<Instant>> = Mutex::default();
        let workers = Workers::new("partnerd-scout", LIMITS, move |search: Search| {
            let Search { asked, missing, since, reply } = search;
            if reply.is_closed() {
                return;
            }
            let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_none_or(|at| at <= since) {
                if let Some(early) = looked.and_then(|at| PAUSE.checked_sub(at.elapsed())) {
                    std::thread::sleep(early);
                }
                *looked = Some(Instant::now());
                lookup.stacks().discover();
            }
            drop(looked);
            // Nobody may be waiting any more.
            let _ = reply.send(lookup.look_everywhere(&asked, missing));
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
