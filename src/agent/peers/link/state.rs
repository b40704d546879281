//! What is known of one peer, and what is on its way to it. No input, no output, no clock.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Answered, AskError};
use crate::agent::peers::trust::PeerName;
use crate::protocol::Malformed;
use crate::protocol::peers::{Answer, Outcome, Question};

/// Connections over which one question goes, at most: one that its peer dies of must not be asked
/// for ever.
const TRIES: u8 = 2;
/// The first pause after a connection that came to nothing; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Numbers of questions that nobody waits for any more are cleaned out from this many on.
const STALE: usize = 512;

/// One question, and where its answer goes.
pub(super) struct Slot {
    pub(super) question: Question,
    pub(super) deadline: Instant,
    /// Connections that it was sent over.
    pub(super) tries: u8,
    pub(super) sender: oneshot::Sender<Result<Answered, AskError>>,
}

pub(super) enum Admitted {
    /// A task takes it along.
    Carried(u64),
    /// There is none yet.
    NeedsDriver(u64),
}

pub(super) struct State {
    last: u64,
    slots: HashMap<u64, Slot, BuildHasherDefault<Spread>>,
    /// Numbers of questions that are to be sent, in this order.
    unsent: VecDeque<u64>,
    /// A task carries the questions.
    driven: bool,
    /// Wakes that task where it has a connection.
    waker: Option<Waker>,
    /// Connections in a row that came to nothing.
    failures: u32,
    /// Not before this is connected again.
    pause: Instant,
    /// What is said until then. `None`: whoever asks waits.
    failure: Option<AskError>,
    retired: bool,
}

/// Spreads numbers. The keys are counted here, so nobody can choose those that collide.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio.
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0.wrapping_add(u64::from(*byte)));
        }
    }
}

impl State {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last: 0,
            slots: HashMap::default(),
            unsent: VecDeque::new(),
            driven: false,
            waker: None,
            failures: 0,
            pause: now,
            failure: None,
            retired: false,
        }
    }

    /// Takes a question, unless it is known that it would fail.
    pub(super) fn admit(&mut self, slot: Slot, now: Instant) -> Result<Admitted, AskError> {
        if !self.driven
            && now < self.pause
            && let Some(failure) = &self.failure
        {
            return Err(failure.clone());
        }
        self.last = self.last.wrapping_add(1).max(1);
        let number = self.last;
        self.slots.insert(number, slot);
        self.unsent.push_back(number);
        if std::mem::replace(&mut self.driven, true) {
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
            return Ok(Admitted::Carried(number));
        }
        Ok(Admitted::NeedsDriver(number))
    }

    /// Nobody waits for this one any more.
    pub(super) fn forget(&mut self, number: u64) {
        self.slots.remove(&number);
        if self.unsent.len() >= STALE {
            let slots = &self.slots;
            self.unsent.retain(|number| slots.contains_key(number));
        }
    }

    #[cfg(test)]
    pub(super) fn questions(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn retire(&mut self) {
        self.retired = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        !self.driven && now >= self.pause
    }

    /// When a connection may be made.
    pub(super) fn pause(&self) -> Instant {
        self.pause
    }

    /// Registers the task that carries questions, and writes those that are to be sent, until `out` has
    /// `most` bytes. Returns whether some are left.
    pub(super) fn send(
        &mut self,
        waker: &Waker,
        now: Instant,
        out: &mut Vec<u8>,
        most: usize,
    ) -> bool {
        match &mut self.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        while out.len() < most {
            let Some(number) = self.unsent.pop_front() else { return false };
            let Some(slot) = self.slots.get_mut(&number) else { continue };
            slot.tries = slot.tries.saturating_add(1);
            let left = slot.deadline.saturating_duration_since(now);
            slot.question.put(number, left, out);
        }
        !self.unsent.is_empty()
    }

    /// Hands an answer to whoever waits for it.
    pub(super) fn answer(&mut self, answer: Answer, by: &Arc<PeerName>) -> Result<(), Malformed> {
        // One to nobody is to somebody who no longer waits.
        let Some(slot) = self.slots.remove(&answer.number) else { return Ok(()) };
        let fits = match &answer.outcome {
            Outcome::Told { told, end: _ } => told.fits(slot.question.request),
            Outcome::NotYetAccepted { .. } | Outcome::Refused(_) => true,
        };
        if !fits {
            let malformed = Malformed::new("an answer that tells what was asked expected");
            let _ = slot.sender.send(Err(AskError::Failed(malformed.to_string())));
            return Err(malformed);
        }
        let _ = slot.sender.send(Ok(Answered { answer, by: Arc::clone(by) }));
        Ok(())
    }

    /// The peer has shown that it is there and speaks.
    pub(super) fn established(&mut self) {
        self.failures = 0;
        self.failure = None;
    }

    /// No connection could be made: everybody who waits is told, and whoever asks before the pause is
    /// over.
    pub(super) fn unestablished(&mut self, why: AskError, now: Instant) {
        self.waker = None;
        self.driven = false;
        self.rest(now);
        self.unsent.clear();
        for (_, slot) in self.slots.drain() {
            let _ = slot.sender.send(Err(why.clone()));
        }
        self.failure = Some(why);
    }

    /// The connection that was there has gone. Whoever may be asked again is; returns whether there is
    /// anybody.
    pub(super) fn broke(&mut self, why: &str, now: Instant) -> bool {
        self.waker = None;
        self.rest(now);
        self.failure = None;
        let lost = self.slots.extract_if(|_, slot| slot.tries >= TRIES);
        for (_, slot) in lost {
            let _ = slot.sender.send(Err(AskError::Lost(why.to_owned())));
        }
        // In the order in which they were asked.
        let mut again: Vec<u64> = self.slots.keys().copied().collect();
        again.sort_unstable();
        self.unsent = again.into();
        self.driven = !self.slots.is_empty();
        self.driven
    }

    /// Whether nobody waits: then the task has ended with this call.
    pub(super) fn end_if_unused(&mut self) -> bool {
        if self.slots.is_empty() {
            self.waker = None;
            self.driven = false;
        }
        !self.driven
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired
    }

    /// The task is gone, whatever it was doing.
    pub(super) fn abandoned(&mut self) {
        self.waker = None;
        self.driven = false;
        self.unsent.clear();
        self.slots.clear();
    }

    fn rest(&mut self, now: Instant) {
        let doublings = self.failures.min(16);
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.pause = now.checked_add(pause).unwrap_or(now);
    }
}
