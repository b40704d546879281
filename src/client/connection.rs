//! The connection to the agent, and the questions that are on their way over it.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::job::{Job, Slot};
use super::socket::{self, Received};
use crate::kernel::sys::{self, OwnSocket, Socket};
use crate::protocol::{Answer, MAX_ANSWER, Pids, Question};

/// Questions on their way at one time. More wait here and not at the agent, which would refuse
/// them at some number.
const ON_THEIR_WAY: usize = 128;

/// The number of no question. An answer to it is about the connection.
const NOBODY_S: u64 = 0;

/// A connection to the agent.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnSocket,
    made_by: Maker,
    state: Mutex<State>,
    /// Nothing more will come.
    ended: AtomicBool,
    /// A task takes in what comes.
    pub(super) driven: AtomicBool,
}

#[derive(Debug)]
struct State {
    last: u64,
    slots: HashMap<u64, Arc<Slot>>,
    buffer: Vec<u8>,
}

/// The agent knows a caller as it was when it connected. One that has become somebody else since, or
/// the child of a fork(2), must not ask over this connection.
#[derive(Debug, PartialEq, Eq)]
struct Maker {
    generation: u32,
    user: u32,
    group: u32,
}

impl Maker {
    fn now() -> Self {
        Self {
            generation: sys::generation(),
            user: sys::effective_uid(),
            group: sys::effective_gid(),
        }
    }
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        let state = State { last: 0, slots: HashMap::new(), buffer: Vec::new() };
        Self {
            socket: OwnSocket::new(socket),
            made_by: Maker::now(),
            state: Mutex::new(state),
            ended: AtomicBool::new(false),
            driven: AtomicBool::new(false),
        }
    }

    /// Whether who calls may ask over it.
    pub(super) fn is_ours(&self) -> bool {
        !self.has_ended() && self.made_by == Maker::now() && self.socket.is_itself()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Sends a question; `None` where too much is on its way.
    pub(super) fn ask(this: &Arc<Self>, passed: Socket<'_>, question: &Question) -> Option<Job> {
        let slot = Arc::new(Slot::default());
        let number = {
            let mut state = this.lock();
            if state.slots.len() >= ON_THEIR_WAY {
                return None;
            }
            state.last = state.last.wrapping_add(1);
            let number = state.last;
            state.slots.insert(number, Arc::clone(&slot));
            number
        };
        let job = Job { number, connection: Arc::clone(this), slot };
        let message = Question { number, ..question.clone() }.encode();
        match socket::send(this.socket.as_fd(), &message, passed) {
            Ok(()) => Some(job),
            // Full for now. Descriptors may be on their way to others too (ETOOMANYREFS).
            Err(
                rustix::io::Errno::AGAIN
                | rustix::io::Errno::INTR
                | rustix::io::Errno::NOBUFS
                | rustix::io::Errno::NOMEM
                | rustix::io::Errno::TOOMANYREFS,
            ) => None,
            // It has gone; and may have said why.
            Err(_) => {
                this.take_in();
                this.end();
                Some(job)
            }
        }
    }

    /// Takes in the answers that have come, for whomever they are.
    pub(super) fn take_in(&self) {
        // What something else says that has its number by now is not the agent's word.
        if !self.socket.is_itself() {
            self.end();
            return;
        }
        let mut answered = Vec::new();
        let mut ended = {
            let mut state = self.lock();
            let State { slots, buffer, .. } = &mut *state;
            buffer.resize(MAX_ANSWER, 0);
            loop {
                match socket::receive(self.socket.as_fd(), buffer) {
                    Received::Message(bytes) => match Answer::decode(bytes, Pids::Ours) {
                        // To everybody: the connection was not taken.
                        Ok(answer) if answer.number == NOBODY_S => {
                            answered.extend(slots.drain().map(|(_, slot)| (slot, answer.clone())));
                        }
                        // One to nobody is to somebody who no longer waits.
                        Ok(answer) => {
                            answered.extend(slots.remove(&answer.number).map(|slot| (slot, answer)))
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the agent says what it should not");
                            break true;
                        }
                    },
                    Received::Nothing => break false,
                    Received::End => break true,
                }
            }
        };
        let believed = answered.is_empty() || self.socket.is_itself();
        for (slot, answer) in answered {
            if believed {
                slot.answer(answer);
            } else {
                slot.lose();
            }
        }
        ended |= !believed;
        if ended {
            self.end();
        }
    }

    pub(super) fn forget(&self, number: u64) {
        self.lock().slots.remove(&number);
    }

    /// Everybody who waits is told that nothing will come.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let lost: Vec<_> = self.lock().slots.drain().collect();
        for (_, slot) in lost {
            slot.lose();
        }
    }

    pub(super) fn close(&self) {
        if self.socket.is_itself() {
            socket::shutdown(self.socket.as_fd());
        }
        self.end();
    }

    /// Has everybody who waits look by itself.
    pub(super) fn wake_all(&self) {
        let waiting: Vec<_> = self.lock().slots.values().map(Arc::clone).collect();
        for slot in waiting {
            slot.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A slot is in the table or not; nothing else spans two steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
