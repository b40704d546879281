//! Reading the processes behind a socket, off the caller's thread.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use crate::kernel::process::{Finder, SocketOwner};
use crate::token::{HolderSearch, UserToken};
use crate::workers::{Limits, Workers};

/// One thread reads for all: a second search would wait for the first one's tables anyway.
const LIMITS: Limits = Limits { threads: 1, queue: 1024 };

pub(crate) struct Tokens {
    search: HolderSearch,
    /// Made by the thread that reads.
    finder: Arc<OnceLock<Finder>>,
    workers: Workers<Task>,
    prepared: AtomicBool,
}

enum Task {
    Read(Arc<Job>),
    /// Read the descriptors of all processes ahead.
    Prepare,
}

/// One token that was asked for.
#[derive(Debug)]
pub(crate) struct Job {
    owner: SocketOwner,
    search: HolderSearch,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Not read yet; who waits for it is woken.
    Asked(Option<Waker>),
    Read(UserToken),
    /// A descriptor or memory was missing.
    Short(i32),
    /// By a bug of ours.
    Failed,
}

/// What has become of a job.
#[derive(Debug)]
pub(crate) enum Progress {
    Pending,
    Read(UserToken),
    /// A descriptor or memory was missing for it: the errno of [`READING`].
    Short(i32),
    Failed,
}

/// What is being done where it comes to [`Progress::Short`].
pub(crate) const READING: &str = "read the processes that hold the partner's socket";

impl Tokens {
    pub(crate) fn new(search: HolderSearch) -> Self {
        let finder = Arc::new(OnceLock::new());
        let reading = Arc::clone(&finder);
        let workers = Workers::new("partner-info-tokens", LIMITS, move |task: Task| {
            // Kept only where it has seen all it needs.
            let finder = match reading.get() {
                Some(finder) => Ok(finder),
                None => Finder::current().map(|made| reading.get_or_init(|| made)),
            };
            match task {
                Task::Read(job) => {
                    // However this ends, whoever waits is told.
                    let mut answer = Answer { job: &job, end: State::Failed };
                    answer.end = match finder.and_then(|it| it.read(&job.owner, job.search)) {
                        Ok(token) => State::Read(token),
                        Err(errno) => State::Short(errno),
                    };
                }
                Task::Prepare => {
                    let _ = finder.map(Finder::warm);
                }
            }
        });
        Self { search, finder, workers, prepared: AtomicBool::new(false) }
    }

    /// How far holders are looked for.
    pub(crate) fn how_far(&self) -> HolderSearch {
        self.search
    }

    /// The token, where the first holder is enough and is found at a glance, on this thread.
    pub(crate) fn at_a_glance(&self, owner: &SocketOwner) -> Option<UserToken> {
        match self.search {
            HolderSearch::First => self.finder.get()?.token_at_a_glance(owner),
            // Others may hold it, too.
            HolderSearch::All => None,
        }
    }

    /// Has the token read; `None` where too many are asked for already.
    pub(crate) fn ask(&self, owner: SocketOwner) -> Option<Arc<Job>> {
        self.ask_for(owner, self.search)
    }

    /// The same, and how far holders are looked for.
    pub(crate) fn ask_for(&self, owner: SocketOwner, search: HolderSearch) -> Option<Arc<Job>> {
        let job = Arc::new(Job { owner, search, state: Mutex::new(State::Asked(None)) });
        self.workers.give(Task::Read(Arc::clone(&job))).ok()?;
        Some(job)
    }

    /// Prepares once: for the first sign that many tokens will be asked for.
    pub(crate) fn prepare_once(&self) {
        if !self.prepared.swap(true, Ordering::Relaxed) {
            self.prepare();
        }
    }

    pub(crate) fn prepare(&self) {
        self.prepared.store(true, Ordering::Relaxed);
        // Where the queue is full, the tables are being read in any case.
        let _ = self.workers.give(Task::Prepare);
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("search", &self.search)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

struct Answer<'a> {
    job: &'a Job,
    end: State,
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let end = std::mem::replace(&mut self.end, State::Failed);
        let before = std::mem::replace(&mut *self.job.lock(), end);
        if let State::Asked(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl Job {
    /// The token, if it was read; else `waker` is woken when it is.
    pub(crate) fn poll(&self, waker: Option<&Waker>) -> Progress {
        let mut state = self.lock();
        match &*state {
            State::Read(token) => Progress::Read(token.clone()),
            State::Short(errno) => Progress::Short(*errno),
            State::Failed => Progress::Failed,
            State::Asked(_) => {
                if let Some(waker) = waker {
                    *state = State::Asked(Some(waker.clone()));
                }
                Progress::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
