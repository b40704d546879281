//! The audit: a record of every disclosure and every refusal, and of other hosts that are not let in.
//!
//! Records are put in words on the caller's thread, into a bounded buffer, and written by a thread
//! of the audit's own, so that a slow disk slows the answers down only when the buffer is full.

mod file;
mod journal;
mod json;
mod record;
#[cfg(test)]
mod tests;
mod time;
mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;

use self::file::AuditFile;
use self::journal::Journal;
pub(crate) use self::record::{Asker, Event, PeerEvent, Record, ToldToken, Verdict};
pub(crate) use self::time::Utc;
use self::writer::{Batch, Sinks, Writer};
use super::config::{AuditConfig, OnFailure, shown_path};

/// Bytes of the buffer from which on questions wait.
const CAPACITY: usize = 1 << 20;
/// Bytes from which on records are lost: questions that were let in when there was room, and
/// refusals while the audit fails, may go this far beyond.
const LIMIT: usize = 2 * CAPACITY;
/// How long the end of the program waits for what is left to be written.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// The audit. Clones are the same audit; it ends when it is closed or the last one is dropped.
#[derive(Clone)]
pub(crate) struct Audit {
    shared: Arc<Shared>,
    // Dropped with the last clone, while the thread still knows `shared`.
    _guard: Arc<Guard>,
}

/// How much was recorded, and what went wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) records: Counter,
    /// Writes that failed.
    pub(crate) failures: Counter,
    /// Records that could not be written.
    pub(crate) lost: Counter,
}

struct Shared {
    state: Mutex<State>,
    /// For the thread: there is something to do.
    wake: Condvar,
    /// For the end of the program: the thread has ended.
    ended: Condvar,
    /// For questions: something was written.
    room: Notify,
    failing: AtomicBool,
    tally: Tally,
}

#[derive(Debug)]
struct State {
    batch: Batch,
    /// Bytes that the thread has taken and not written yet.
    taken: usize,
    /// Whether records have that form now.
    lines: bool,
    datagrams: bool,
    on_failure: OnFailure,
    idle: bool,
    closing: bool,
    over: bool,
    reopened: Option<(Sinks, OnFailure)>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No invariant of `State` spans a point that may panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the thread write what there is and end, and waits for that, not for ever.
    fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.wake.notify_all();
        let running = |state: &mut State| !state.over;
        let _ = self.ended.wait_timeout_while(state, LAST_WAIT, running);
    }

    fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }
}

/// The thread's end, however it ends.
struct Over(Arc<Shared>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.room.notify_waiters();
        self.0.ended.notify_all();
    }
}

struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Audit {
    /// Opens what the configuration names, and starts the thread.
    pub(crate) fn open(config: &AuditConfig, tally: Tally) -> Result<Self, AuditError> {
        let sinks = open(config)?;
        let state = State {
            batch: Batch::default(),
            taken: 0,
            lines: sinks.file.is_some(),
            datagrams: sinks.journal.is_some(),
            on_failure: config.on_failure,
            idle: false,
            closing: false,
            over: false,
            reopened: None,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            wake: Condvar::new(),
            ended: Condvar::new(),
            room: Notify::new(),
            failing: AtomicBool::new(false),
            tally: tally.clone(),
        });
        let writer = Writer::new(sinks, config.on_failure, tally);
        let of_thread = Over(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("partnerd-audit".into());
        let spawned = thread.spawn(move || writer.run(&of_thread.0));
        spawned.map_err(|error| AuditError {
            what: "starting the audit's thread",
            path: None,
            error,
        })?;
        Ok(Self { _guard: Arc::new(Guard(Arc::clone(&shared))), shared })
    }

    /// Records, without waiting. Where [`room`](Self::room) was awaited before, nothing is lost
    /// but by a disk that fails.
    pub(crate) fn record(&self, record: &Record<'_>) {
        self.add(
            |now, lines| json::write(record, now, lines),
            |datagrams| journal::write(record, datagrams),
        );
    }

    /// As [`record`](Self::record), for what is no question. It has no place in the buffer that is
    /// kept for it: whoever calls bounds how often.
    pub(crate) fn record_event(&self, event: &PeerEvent<'_>) {
        self.add(
            |now, lines| json::write_event(event, now, lines),
            |datagrams| journal::write_event(event, datagrams),
        );
    }

    fn add(
        &self,
        line: impl FnOnce(SystemTime, &mut Vec<u8>),
        datagram: impl FnOnce(&mut Vec<u8>),
    ) {
        let now = SystemTime::now();
        let tally = &self.shared.tally;
        tally.records.inc();
        let mut state = self.shared.lock();
        if !state.lines && !state.datagrams {
            return;
        }
        if state.over || state.batch.len() + state.taken >= LIMIT {
            tally.lost.inc();
            return;
        }
        if state.lines {
            line(now, &mut state.batch.lines);
        }
        if state.datagrams {
            datagram(&mut state.batch.datagrams);
            let end = state.batch.datagrams.len();
            state.batch.ends.push_back(end);
        }
        let idle = std::mem::replace(&mut state.idle, false);
        drop(state);
        if idle {
            self.shared.wake.notify_one();
        }
    }

    /// Waits until there is room for the record of another question. Who waits bounds the wait.
    /// An audit that fails, and whose failure shall hinder nobody, is not waited for.
    ///
    /// # Cancel safety
    ///
    /// Nothing is reserved, so nothing is lost by dropping the future.
    pub(crate) async fn room(&self) {
        loop {
            let written = self.shared.room.notified();
            {
                let state = self.shared.lock();
                let lossy = state.on_failure == OnFailure::Continue;
                let failing = self.shared.failing.load(Ordering::Relaxed);
                let room = state.batch.len() + state.taken < CAPACITY;
                if room || state.over || (failing && lossy) {
                    return;
                }
            }
            written.await;
        }
    }

    /// Whether nothing may be told now: the audit cannot be written, and the configuration says
    /// `on_failure = "refuse"`.
    pub(crate) fn failing(&self) -> bool {
        let failing = self.shared.failing.load(Ordering::Relaxed);
        failing && self.shared.lock().on_failure == OnFailure::Refuse
    }

    /// Opens what the configuration names now, also where it is named as before and was renamed.
    /// Where that fails, everything stays as it is.
    pub(crate) fn reopen(&self, config: &AuditConfig) -> Result<(), AuditError> {
        let sinks = open(config)?;
        let mut state = self.shared.lock();
        state.lines = sinks.file.is_some();
        state.datagrams = sinks.journal.is_some();
        state.on_failure = config.on_failure;
        state.reopened = Some((sinks, config.on_failure));
        drop(state);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Has everything written that was recorded; waits for it for at most five seconds. What other
    /// clones record after that is lost, and counted.
    pub(crate) fn close(self) {
        self.shared.close();
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("tally", &self.shared.tally).finish_non_exhaustive()
    }
}

fn open(config: &AuditConfig) -> Result<Sinks, AuditError> {
    let failed = |what, path: &Path, error| AuditError { what, path: Some(path.into()), error };
    let mut sinks = Sinks::default();
    if let Some(path) = &config.file {
        let file = AuditFile::open(path);
        let what = "opening the audit's file for appending";
        sinks.file = Some(file.map_err(|error| failed(what, path, error))?);
    }
    if let Some(path) = config.journal() {
        let journal = Journal::open(path);
        let what = "reaching the journal for the audit";
        sinks.journal = Some(journal.map_err(|error| failed(what, path, error))?);
    }
    Ok(sinks)
}

/// Why the audit cannot be opened.
#[derive(Debug)]
pub(crate) struct AuditError {
    what: &'static str,
    path: Option<PathBuf>,
    error: io::Error,
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)?;
        let Some(path) = &self.path else { return Ok(()) };
        write!(
            f,
            "; make {} a place that the agent may write to, or name another in",
            shown_path(path)
        )?;
        f.write_str(" [audit] of its configuration")
    }
}

impl std::error::Error for AuditError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
