//! A few threads for work that blocks: the name service, and reading other processes.
//!
//! They are our own and not a runtime's, so that work that hangs neither holds a runtime's
//! shutdown nor takes the place of the program's own blocking work. Threads and queue are bounded;
//! what does not fit is given back to its giver.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(5);

/// How many threads work, and how much may wait for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) threads: usize,
    pub(crate) queue: usize,
}

pub(crate) struct Workers<J> {
    shared: Arc<Shared<J>>,
}

struct Shared<J> {
    name: &'static str,
    limits: Limits,
    run: Box<dyn Fn(J) + Send + Sync>,
    work: Mutex<Work<J>>,
    wake: Condvar,
}

struct Work<J> {
    queue: VecDeque<J>,
    threads: usize,
    idle: usize,
}

impl<J: Send + 'static> Workers<J> {
    /// Threads named `name` that do each job with `run`. None is started before there is a job.
    pub(crate) fn new(
        name: &'static str,
        limits: Limits,
        run: impl Fn(J) + Send + Sync + 'static,
    ) -> Self {
        let work = Mutex::new(Work { queue: VecDeque::new(), threads: 0, idle: 0 });
        let (run, wake) = (Box::new(run), Condvar::new());
        Self { shared: Arc::new(Shared { name, limits, run, work, wake }) }
    }

    /// Has `job` done, some time; gives it back where too much waits already, or no thread can be
    /// had. Never blocks on the work.
    pub(crate) fn give(&self, job: J) -> Result<(), J> {
        let mut work = self.shared.lock();
        if work.queue.len() >= self.shared.limits.queue {
            return Err(job);
        }
        if work.idle <= work.queue.len() && work.threads < self.shared.limits.threads {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name(shared.name.into());
            if thread.spawn(move || shared.work()).is_ok() {
                work.threads += 1;
            } else if work.threads == 0 {
                return Err(job);
            }
        }
        work.queue.push_back(job);
        drop(work);
        self.shared.wake.notify_one();
        Ok(())
    }
}

impl<J> Shared<J> {
    fn lock(&self) -> MutexGuard<'_, Work<J>> {
        // No invariant of `Work` spans a point that may panic.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut work = self.lock();
        loop {
            if let Some(job) = work.queue.pop_front() {
                drop(work);
                if catch_unwind(AssertUnwindSafe(|| (self.run)(job))).is_err() {
                    tracing::warn!(thread = self.name, "work on a thread of its own panicked");
                }
                work = self.lock();
                continue;
            }
            work.idle += 1;
            let waited = self.wake.wait_timeout(work, IDLE);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            work = guard;
            work.idle -= 1;
            if waited.timed_out() && work.queue.is_empty() {
                work.threads -= 1;
                return;
            }
        }
    }
}

impl<J> fmt::Debug for Workers<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = self.shared.lock();
        write!(f, "{} threads, {} jobs waiting", work.threads, work.queue.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LIMITS: Limits = Limits { threads: 2, queue: 4 };

    #[test]
    fn jobs_are_done_and_a_panic_hurts_none_but_its_own() {
        let (done, results) = mpsc::channel();
        let workers = Workers::new("test", LIMITS, move |job: u32| {
            assert_ne!(job, 0, "a job that panics");
            done.send(job).unwrap();
        });
        for job in [0, 1, 0, 2] {
            workers.give(job).unwrap();
        }
        let mut seen = [results.recv().unwrap(), results.recv().unwrap()];
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    }

    #[test]
    fn threads_and_queue_are_bounded() {
        let (gate, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let workers = Workers::new("test", LIMITS, move |_: u32| {
            let _ = wait.lock().unwrap().recv();
        });
        let refused = (0..100).filter(|job| workers.give(*job).is_err()).count();
        assert!(refused >= 100 - LIMITS.queue - LIMITS.threads, "{refused} of 100 given back");
        let work = workers.shared.lock();
        assert!(work.threads <= LIMITS.threads && work.queue.len() <= LIMITS.queue);
        drop(work);
        drop(gate);
    }
}
