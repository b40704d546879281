//! Partners on other hosts: asking their agents, and answering them.
//!
//! ```text
//! asking    ── a caller's question, carried to the agent at the partner's address
//! answering ── a question of another host's agent
//! doors     ── listening at the addresses of every namespace that is looked at
//! dial      ── connecting, from the very address that the caller's connection has
//! trust     ── certificates, as the transport wants to know of them
//! ```

mod answering;
mod asking;
mod dial;
mod doors;
mod trust;

pub(super) use self::answering::Answering;
pub(super) use self::asking::{Afar, Wanted, is_afar};

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use self::dial::Dialer;
use super::identity::Identity;
use super::lookup::Lookup;
use super::names;
use super::observer::PeerObserver;
use super::peers::{self, Introduce, Listener, Means, Peers, Setup, Trust};
use super::question::Agent;
use super::stacks::Held;
use crate::accounts::Accounts;

/// How long it may take to connect to another host: less than most gets wait.
const ESTABLISH: std::time::Duration = std::time::Duration::from_secs(2);

/// The agents of other hosts.
pub(super) struct Hosts {
    peers: Peers,
    port: u16,
    stacks: Arc<Doors>,
    /// What partners on this host are called, for those who ask from others.
    names: Arc<Accounts>,
    /// Of all other hosts together: tokens are read one at a time for them.
    turn: Arc<Semaphore>,
}

/// The stacks in which other hosts are answered, by cookie. A stack stays for as long as it is here:
/// see [`doors`].
#[derive(Default)]
pub(super) struct Doors(Mutex<HashMap<u64, Arc<Held>>>);

impl Doors {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Held>>> {
        // A stack is in the table or not.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, cookie: u64) -> Option<Arc<Held>> {
        self.lock().get(&cookie).map(Arc::clone)
    }
}

impl Hosts {
    /// Of an agent that proves itself by `identity`, and says of itself what `introduce` says.
    pub(super) fn new(
        lookup: &Arc<Lookup>,
        identity: &Identity,
        introduce: Introduce,
        port: u16,
    ) -> Self {
        let trust: Arc<dyn Trust> = Arc::new(identity.clone());
        let dialer = Arc::new(Dialer::new(Arc::clone(lookup), port));
        let means = Means { establish: ESTABLISH, ..Means::new(dialer, trust, introduce) };
        Self {
            peers: Peers::new(means, peers::MOST),
            port,
            stacks: Arc::default(),
            names: names::of_system(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Follows the identity: with another one, other hosts are connected to anew; for ever.
    pub(super) async fn follow(&self, mut identity: Identity) {
        loop {
            identity.changed().await;
            self.peers.leave_all();
        }
    }

    /// What answers other hosts, for `agent`.
    pub(super) fn listener(
        &self,
        agent: &Arc<Agent>,
        identity: &Identity,
        introduce: Introduce,
        observer: Arc<PeerObserver>,
    ) -> Arc<Listener<Answering>> {
        let answerer = Answering {
            agent: Arc::clone(agent),
            stacks: Arc::clone(&self.stacks),
            names: Arc::clone(&self.names),
            turn: Arc::clone(&self.turn),
        };
        Arc::new(Listener::new(Setup {
            trust: Arc::new(identity.clone()),
            introduce,
            answerer,
            observer,
            limits: agent.peer_limits(),
        }))
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts").field("peers", &self.peers).finish_non_exhaustive()
    }
}
