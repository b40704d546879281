//! One question that is on its way.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::connection::Connection;
use crate::protocol::Answer;

/// A question that was sent. Dropping it forgets the answer.
#[derive(Debug)]
pub(crate) struct Job {
    pub(super) number: u64,
    pub(super) connection: Arc<Connection>,
    pub(super) slot: Arc<Slot>,
}

/// What has become of a question.
#[derive(Debug)]
pub(crate) enum Progress {
    Pending,
    Answered(Answer),
    /// The agent went away before it answered: ask again.
    Lost,
}

/// Is readable when something comes that may be an answer; the next look at any question takes it in.
#[derive(Debug)]
pub(crate) struct Incoming(Arc<Connection>);

impl PartialEq for Incoming {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl AsFd for Incoming {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Where the answer to one question is put.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// Not here; who waits for it is woken.
    #[default]
    Waiting,
    WaitingWith(Waker),
    Answered(Answer),
    Lost,
}

impl Job {
    /// The answer, if it is here; else `waker` is woken when it is.
    pub(crate) fn poll(&self, waker: Option<&Waker>) -> Progress {
        if let Some(done) = self.slot.look(None) {
            return done;
        }
        self.connection.take_in();
        match self.slot.look(waker) {
            Some(done) => done,
            None => {
                #[cfg(feature = "tokio")]
                super::driver::drive(&self.connection);
                Progress::Pending
            }
        }
    }

    /// For who waits outside of a runtime.
    pub(crate) fn incoming(&self) -> Incoming {
        Incoming(Arc::clone(&self.connection))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.connection.forget(self.number);
    }
}

impl Slot {
    fn look(&self, waker: Option<&Waker>) -> Option<Progress> {
        let mut state = self.lock();
        match &*state {
            State::Answered(_) => match std::mem::replace(&mut *state, State::Lost) {
                State::Answered(answer) => Some(Progress::Answered(answer)),
                State::Waiting | State::WaitingWith(_) | State::Lost => Some(Progress::Lost),
            },
            State::Lost => Some(Progress::Lost),
            State::Waiting | State::WaitingWith(_) => {
                if let Some(waker) = waker {
                    *state = State::WaitingWith(waker.clone());
                }
                None
            }
        }
    }

    pub(super) fn answer(&self, answer: Answer) {
        self.end(State::Answered(answer));
    }

    pub(super) fn lose(&self) {
        self.end(State::Lost);
    }

    /// Has whoever waits look again.
    pub(super) fn wake(&self) {
        let mut state = self.lock();
        if let State::WaitingWith(waker) = &*state {
            let waker = waker.clone();
            *state = State::Waiting;
            drop(state);
            waker.wake();
        }
    }

    fn end(&self, end: State) {
        let mut state = self.lock();
        let before = match &*state {
            State::Waiting | State::WaitingWith(_) => std::mem::replace(&mut *state, end),
            // Answered is answered.
            State::Answered(_) | State::Lost => return,
        };
        drop(state);
        if let State::WaitingWith(waker) = before {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
