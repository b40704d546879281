//! Answers at port 113: RFC 1413, from the same proofs as everything else.
//!
//! Who asks is at the other end of the connection that the question comes over. A program of this host
//! is known by its user, as any partner is, and asks about a connection of its own: the policy says
//! whether it may. A program of another host is known by its address alone, and is told nothing unless
//! the configuration names its network.
//!
//! ```text
//! doors     ── listening, in every namespace that is looked at
//! visit     ── one connection: lines in, answers out, limits
//!   silent    those that have said nothing yet
//! answering ── one question: who asks, whether they may, whose the connection is
//!   ends      what proves it
//! ```

mod answering;
mod doors;
mod ends;
mod silent;
mod visit;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;

use self::answering::Answering;
use self::doors::Doors;
pub(super) use self::doors::listen;
use self::silent::Silent;
use super::peers::Addresses;
use super::question::Agent;

/// How often is looked whether the last answer was given.
const LOOK: Duration = Duration::from_millis(5);

/// What all connections share.
struct Shared {
    answering: Answering,
    addresses: Addresses,
    silent: Silent,
    open: Arc<AtomicUsize>,
}

/// Answers until it is closed.
pub(super) struct Ident {
    shared: Arc<Shared>,
    doors: Arc<Doors>,
    watch: AbortHandle,
}

impl Ident {
    /// Answers on these sockets of the agent's own namespace, which listen, and in the other ones that it
    /// looks at.
    pub(super) fn start(agent: &Arc<Agent>, sockets: Vec<OwnedFd>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            answering: Answering::new(agent),
            addresses: Addresses::default(),
            silent: Silent::default(),
            open: Arc::default(),
        });
        let doors = Arc::new(Doors::new(agent, &shared));
        doors.open_home(sockets)?;
        let watching = Arc::clone(&doors);
        let watch = tokio::spawn(async move { watching.watch().await });
        Ok(Self { shared, doors, watch: watch.abort_handle() })
    }

    /// Closes everything, and waits until the questions that are here are answered, `longest` at most.
    pub(super) async fn close(self, longest: Duration) {
        self.watch.abort();
        self.doors.close();
        let answered = async {
            while self.shared.open.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(longest, answered).await.is_err() {
            tracing::warn!("some questions at port 113 were not answered before the end");
        }
    }
}
