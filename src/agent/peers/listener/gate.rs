//! Handshakes at one time.
//!
//! One that goes on has its turn until it is done. One that is slow to finish gives way when others
//! wait; and of those who wait the one that came last is next. So handshakes that never finish keep
//! nobody out for long, however many there are: they wait behind each newcomer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// A handshake takes a round trip and a millisecond. After this it is slow.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) struct Gate(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// How many wait.
    waiting: watch::Sender<usize>,
}

struct State {
    free: usize,
    waiting: Vec<oneshot::Sender<Turn>>,
}

/// The right to shake hands, for as long as it lives.
pub(super) struct Turn {
    gate: Arc<Inner>,
    since: Instant,
}

impl Gate {
    pub(super) fn new(places: usize) -> Self {
        let state = State { free: places.max(1), waiting: Vec::new() };
        Self(Arc::new(Inner { state: Mutex::new(state), waiting: watch::Sender::new(0) }))
    }

    /// Waits for a turn. Whoever calls bounds the wait, and how many wait.
    pub(super) async fn enter(&self) -> Turn {
        loop {
            let turn = {
                let mut state = self.0.lock();
                if let Some(free) = state.free.checked_sub(1) {
                    state.free = free;
                    return Turn::new(&self.0);
                }
                let (sender, receiver) = oneshot::channel();
                // Those who have stopped to wait are in the way of none but themselves.
                state.waiting.retain(|waiting| !waiting.is_closed());
                state.waiting.push(sender);
                self.0.waiting.send_replace(state.waiting.len());
                receiver
            };
            if let Ok(turn) = turn.await {
                return turn;
            }
        }
    }
}

impl Turn {
    fn new(gate: &Arc<Inner>) -> Self {
        Self { gate: Arc::clone(gate), since: Instant::now() }
    }

    /// Ends when this turn has been long and others wait.
    pub(super) async fn give_way(&self) {
        let patient = self.since.checked_add(PATIENCE).unwrap_or(self.since);
        tokio::time::sleep_until(patient).await;
        let mut waiting = self.gate.waiting.subscribe();
        // The sender lives as long as this turn does.
        let _ = waiting.wait_for(|waiting| *waiting > 0).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        while let Some(next) = state.waiting.pop() {
            if next.is_closed() {
                continue;
            }
            self.gate.waiting.send_replace(state.waiting.len());
            drop(state);
            // Where it has stopped to wait at this very moment, the turn comes back and is passed on.
            drop(next.send(Turn::new(&self.gate)));
            return;
        }
        state.free = state.free.saturating_add(1);
        self.gate.waiting.send_replace(0);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
