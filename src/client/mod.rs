//! Asking the agent of this host.
//!
//! One connection is kept, with many questions on their way. Whoever waits for an answer may
//! fetch it: each look at a question takes in what has come for all. Inside of a tokio runtime a
//! task does so as soon as something comes; who waits without one waits for [`Incoming`] as well, and
//! looks. Without an agent nothing is kept and little is spent.

mod connection;
#[cfg(feature = "tokio")]
mod driver;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod job;
mod socket;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use connection::Connection;
pub(crate) use job::{Incoming, Job, Progress};

use crate::kernel::sys::{self, Socket};
use crate::protocol::Question;

/// Where the agent listens unless something else is said.
const DEFAULT_PATH: &str = "/run/partnerd/partnerd.sock";
/// Names the agent's socket, for programs that are not told by their code.
const VARIABLE: &str = "PARTNER_INFO_AGENT";
/// How long an agent that was not there is not looked for.
const ABSENT_FOR: Duration = Duration::from_millis(250);
/// How long an agent that was there may be away, as while it is started anew.
const AWAY_FOR: Duration = Duration::from_secs(2);

/// The agent of this host, as a process knows it.
pub(crate) struct Agent {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// When it was not there.
    absent: Option<Instant>,
    /// When it was noticed that one was gone that had been there.
    gone: Option<Instant>,
    /// Said once.
    distrusted: bool,
}

/// What became of the wish to ask.
#[derive(Debug)]
pub(crate) enum Asked {
    Yes(Job),
    /// Not now: too much is on its way already, or the agent was there a moment ago and may be
    /// back in another.
    Busy,
    /// There is no agent, or none that can be trusted.
    Absent,
}

/// Whether there is an agent to be believed.
#[cfg(feature = "agent")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Trusted,
    /// Somebody listens there, as this user.
    Untrusted {
        uid: u32,
    },
    Busy,
    Absent,
}

impl Agent {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default() }
    }

    /// As the environment has it; one that who started a set-id program may have made is not asked.
    pub(crate) fn path_of_environment() -> PathBuf {
        let variable = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
        match variable {
            Some(_) if sys::distrusts_environment() => {
                tracing::warn!("{VARIABLE} is ignored in a set-id program");
                DEFAULT_PATH.into()
            }
            Some(path) => path.into(),
            None => DEFAULT_PATH.into(),
        }
    }

    /// Whether there is one. Connects, unless it is connected or was not there a moment ago.
    pub(crate) fn is_there(&self, now: Instant) -> bool {
        let mut state = self.lock();
        // Whose connection it is, is looked at when something is asked over it.
        if state.connection.as_ref().is_some_and(|kept| !kept.has_ended()) {
            return true;
        }
        match state.connection(&self.path, false, now) {
            Ok(_) | Err(socket::Unreachable::Busy) => true,
            Err(socket::Unreachable::Absent) => false,
        }
    }

    /// Where its socket is, or would be.
    #[cfg(feature = "agent")]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks, on a connection of its own, whether there is one to be believed.
    #[cfg(feature = "agent")]
    pub(crate) fn standing(&self) -> Standing {
        match socket::connect(&self.path) {
            Ok(_) => Standing::Trusted,
            Err(socket::Failed::Untrusted { uid }) => Standing::Untrusted { uid },
            Err(socket::Failed::Busy) => Standing::Busy,
            Err(socket::Failed::Absent) => Standing::Absent,
        }
    }

    /// Asks about `socket`, which goes along. With `insist`, an agent that was not there a moment
    /// ago is looked for again.
    pub(crate) fn ask(
        &self,
        socket: Socket<'_>,
        question: &Question,
        insist: bool,
        now: Instant,
    ) -> Asked {
        let connection = {
            let mut state = self.lock();
            match state.connection(&self.path, insist, now) {
                Ok(connection) => connection,
                Err(socket::Unreachable::Absent) => return Asked::Absent,
                Err(socket::Unreachable::Busy) => return Asked::Busy,
            }
        };
        match Connection::ask(&connection, socket, question) {
            Some(job) => {
                #[cfg(feature = "tokio")]
                driver::drive(&connection);
                Asked::Yes(job)
            }
            None => Asked::Busy,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every field holds at any moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The connection that is kept, or a new one.
    fn connection(
        &mut self,
        path: &Path,
        insist: bool,
        now: Instant,
    ) -> Result<Arc<Connection>, socket::Unreachable> {
        if let Some(kept) = self.connection.as_ref().filter(|kept| kept.is_ours()) {
            return Ok(Arc::clone(kept));
        }
        if self.connection.take().is_some_and(|kept| kept.has_ended()) {
            self.gone = Some(now);
        }
        let since = |then: Instant| now.saturating_duration_since(then);
        if !insist && self.absent.is_some_and(|absent| since(absent) < ABSENT_FOR) {
            return Err(socket::Unreachable::Absent);
        }
        match socket::connect(path) {
            Ok(connected) => {
                (self.absent, self.gone) = (None, None);
                let connection = Arc::new(Connection::new(connected));
                self.connection = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(socket::Failed::Untrusted { uid }) => {
                if !std::mem::replace(&mut self.distrusted, true) {
                    tracing::warn!(
                        path = %path.display(), uid,
                        "what listens where the agent should is not asked: it is neither root's, \
                         nor this user's, nor the owner's of a folder that nobody else can write to"
                    );
                }
                self.absent = Some(now);
                Err(socket::Unreachable::Absent)
            }
            Err(socket::Failed::Absent) if self.gone.is_some_and(|gone| since(gone) < AWAY_FOR) => {
                Err(socket::Unreachable::Busy)
            }
            Err(socket::Failed::Absent) => {
                self.absent = Some(now);
                Err(socket::Unreachable::Absent)
            }
            Err(socket::Failed::Busy) => Err(socket::Unreachable::Busy),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(connection) = self.lock().connection.take() {
            connection.close();
        }
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connected = self.lock().connection.is_some();
        f.debug_struct("Agent").field("path", &self.path).field("connected", &connected).finish()
    }
}

#[cfg(test)]
mod tests;
