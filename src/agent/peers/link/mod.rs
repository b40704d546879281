//! Asking one peer: a connection that is made when it is needed and kept, and the questions that are
//! on their way over it.

mod driver;
mod state;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use self::state::{Admitted, Slot, State};
use super::trust::{Introduce, PeerName, Trust};
use crate::protocol::peers::{Answer, Question};

/// Questions on their way to one peer at one time.
const ON_THEIR_WAY: usize = 256;
/// Questions that wait for a place among those.
const WAITING: usize = 4_096;
/// Nobody waits longer.
const LONGEST: Duration = Duration::from_secs(600);

/// Which way a peer is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The cookie of the network namespace that the connection is made in.
    pub(crate) namespace: u64,
    /// The address that it is made from.
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
}

/// Makes the TCP connection to a peer.
pub(crate) trait Dial: Send + Sync + 'static {
    fn dial(&self, to: Key) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;
}

/// What links share.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) trust: Arc<dyn Trust>,
    pub(crate) introduce: Introduce,
    /// How long it may take to connect and to hear a first word.
    pub(crate) establish: Duration,
    /// A peer that does not read is left after this.
    pub(crate) stall: Duration,
    /// A link over which nobody asks is closed after this.
    pub(crate) idle: Duration,
}

impl Means {
    /// With the times that are usual.
    pub(crate) fn new(dial: Arc<dyn Dial>, trust: Arc<dyn Trust>, introduce: Introduce) -> Self {
        Self {
            dial,
            trust,
            introduce,
            establish: Duration::from_secs(5),
            stall: Duration::from_secs(5),
            idle: Duration::from_secs(600),
        }
    }
}

/// An answer, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) by: Arc<PeerName>,
}

/// Why there is no answer. None of these tells anything about a partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AskError {
    /// Nobody could be connected to.
    Unreachable(String),
    /// Somebody was, and is not who it should be; or does not trust us.
    Untrusted(String),
    /// The peer's security domain is not ours, or one of the two is not defined.
    SecurityDomain,
    TimedOut,
    /// More wait for this peer than may.
    Busy,
    /// The connection broke more than once while the question was on its way.
    Lost(String),
    /// The peer said what it should not, or sent us away.
    Failed(String),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => {
                write!(f, "the partner's host answers no question: {why}")
            }
            Self::Untrusted(why) => write!(f, "the partner's host is not trusted: {why}"),
            Self::SecurityDomain => {
                f.write_str("the partner's host and this one share no security domain")
            }
            Self::TimedOut => f.write_str("the partner's host did not answer in time"),
            Self::Busy => f.write_str(
                "too many questions wait for the partner's host already; ask again later",
            ),
            Self::Lost(why) => {
                write!(f, "the connection to the partner's host broke before it answered: {why}")
            }
            Self::Failed(why) => {
                write!(f, "the partner's host says what is not understood: {why}")
            }
        }
    }
}

impl std::error::Error for AskError {}

/// The way to one peer. Costs little until somebody asks.
pub(crate) struct Link {
    key: Key,
    means: Arc<Means>,
    /// One for each question on its way.
    places: Semaphore,
    /// Questions that have no place yet.
    waiting: AtomicUsize,
    state: Mutex<State>,
}

impl Link {
    pub(crate) fn new(key: Key, means: Arc<Means>) -> Arc<Self> {
        Arc::new(Self {
            key,
            means,
            places: Semaphore::new(ON_THEIR_WAY),
            waiting: AtomicUsize::new(0),
            state: Mutex::new(State::new(Instant::now())),
        })
    }

    /// Asks, and waits for the answer as long as the question says. Connects where there is no
    /// connection. A question that was on its way when the connection broke is asked once more.
    ///
    /// The number of the question is chosen here. Dropping the future forgets the question.
    pub(crate) async fn ask(self: &Arc<Self>, question: Question) -> Result<Answered, AskError> {
        let wait = question.timeout.min(LONGEST);
        let now = Instant::now();
        let deadline = now.checked_add(wait).unwrap_or(now);
        match tokio::time::timeout_at(deadline, self.ask_until(question, now, deadline)).await {
            Ok(answered) => answered,
            Err(_) => Err(AskError::TimedOut),
        }
    }

    async fn ask_until(
        self: &Arc<Self>,
        question: Question,
        mut now: Instant,
        deadline: Instant,
    ) -> Result<Answered, AskError> {
        let _place = match self.places.try_acquire() {
            Ok(place) => place,
            Err(_) => {
                let _waiting = Waiting::new(&self.waiting)?;
                let place = self.places.acquire().await.map_err(|_| AskError::Busy)?;
                now = Instant::now();
                place
            }
        };
        let (sender, receiver) = oneshot::channel();
        let slot = Slot { question, deadline, tries: 0, sender };
        let admitted = self.lock().admit(slot, now)?;
        let number = match admitted {
            Admitted::Carried(number) => number,
            Admitted::NeedsDriver(number) => {
                driver::start(Arc::clone(self));
                number
            }
        };
        let mut asked = Asked { link: self, number, ended: false };
        let answered = receiver.await;
        asked.ended = true;
        answered.unwrap_or_else(|_| Err(AskError::Lost("the agent is ending".to_owned())))
    }

    /// Ends the connection as soon as nothing is on its way over it.
    pub(super) fn retire(&self) {
        self.lock().retire();
    }

    /// Whether it is as if nobody had ever asked over it.
    pub(super) fn is_fresh(&self) -> bool {
        self.lock().is_fresh(Instant::now())
    }

    /// How many are on their way.
    #[cfg(test)]
    pub(super) fn questions(&self) -> usize {
        self.lock().questions()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A question that somebody waits for. Forgotten where the wait ends before the answer.
struct Asked<'a> {
    link: &'a Link,
    number: u64,
    ended: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.link.lock().forget(self.number);
        }
    }
}

/// One of those who wait for a place.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(counter: &'a AtomicUsize) -> Result<Self, AskError> {
        let one_more = |waiting| (waiting < WAITING).then_some(waiting + 1);
        counter
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map(|_| Self(counter))
            .map_err(|_| AskError::Busy)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
