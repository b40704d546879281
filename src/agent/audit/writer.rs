//! The thread that writes the audit.

use std::collections::VecDeque;
use std::io;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::file::AuditFile;
use super::journal::Journal;
use super::{Shared, State, Tally};
use crate::agent::config::OnFailure;

/// How long to wait before what failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long records are gathered after a write before the next one.
const GATHER: Duration = Duration::from_millis(1);
/// How often a failure is logged at most.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// What an empty buffer keeps of its memory.
const KEPT: usize = 64 << 10;

/// Records that wait to be written, in the form of each way out.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<u8>,
    pub(super) datagrams: Vec<u8>,
    /// Where each datagram ends.
    pub(super) ends: VecDeque<usize>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.lines.len() + self.datagrams.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.lines.shrink_to(KEPT);
        self.datagrams.clear();
        self.datagrams.shrink_to(KEPT);
        self.ends.clear();
    }
}

/// Where records go.
#[derive(Debug, Default)]
pub(super) struct Sinks {
    pub(super) file: Option<AuditFile>,
    pub(super) journal: Option<Journal>,
}

pub(super) struct Writer {
    sinks: Sinks,
    batch: Batch,
    tally: Tally,
    on_failure: OnFailure,
    logged: Option<Instant>,
}

impl Writer {
    pub(super) fn new(sinks: Sinks, on_failure: OnFailure, tally: Tally) -> Self {
        Self { sinks, batch: Batch::default(), tally, on_failure, logged: None }
    }

    /// Writes until the audit is closed and nothing is left, or what is left cannot be written.
    pub(super) fn run(mut self, shared: &Shared) {
        let mut failed = false;
        loop {
            let mut state = shared.lock();
            state.taken = self.batch.len();
            shared.room.notify_waiters();
            if failed {
                // A sink that fails is not asked all the time, but at once where there is a new
                // one, and a last time at the end.
                let wait = |state: &mut State| !state.closing && state.reopened.is_none();
                let waited = shared.wake.wait_timeout_while(state, PAUSE, wait);
                state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
            } else {
                state = idle(shared, state);
            }
            if let Some((sinks, on_failure)) = state.reopened.take() {
                self.sinks = sinks;
                self.on_failure = on_failure;
            }
            let closing = state.closing;
            if self.batch.is_empty() {
                std::mem::swap(&mut self.batch, &mut state.batch);
            }
            state.taken = self.batch.len();
            let nothing = state.taken == 0;
            drop(state);
            if nothing && closing {
                return;
            }
            let written = self.write();
            failed = written.is_err();
            if let Err(error) = written {
                self.failed(&error);
                if closing && !self.batch.is_empty() {
                    self.give_up();
                    return;
                }
            }
            shared.set_failing(failed);
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let file = self.write_file();
        let journal = self.write_journal();
        if file.is_err() || journal.is_err() {
            if self.on_failure == OnFailure::Continue {
                self.give_up();
            }
        } else {
            self.batch.clear();
        }
        file.and(journal)
    }

    fn write_file(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.sinks.file else {
            self.batch.lines.clear();
            return Ok(());
        };
        let (written, result) = file.append(&self.batch.lines);
        self.batch.lines.drain(..written);
        result
    }

    fn write_journal(&mut self) -> io::Result<()> {
        let mut start = 0;
        let mut result = Ok(());
        if let Some(journal) = &self.sinks.journal {
            while let Some(end) = self.batch.ends.front().copied() {
                let datagram = self.batch.datagrams.get(start..end).unwrap_or(&[]);
                result = journal.send(datagram);
                if result.is_err() {
                    break;
                }
                self.batch.ends.pop_front();
                start = end;
            }
        } else {
            self.batch.ends.clear();
        }
        if self.batch.ends.is_empty() {
            self.batch.datagrams.clear();
        } else {
            self.batch.datagrams.drain(..start);
            self.batch.ends.iter_mut().for_each(|end| *end -= start);
        }
        result
    }

    /// Drops what is left of the batch, and counts it once for each record.
    fn give_up(&mut self) {
        let lines = self.batch.lines.iter().filter(|byte| **byte == b'\n').count();
        let lost = lines.max(self.batch.ends.len());
        self.tally.lost.inc_by(u64::try_from(lost).unwrap_or(u64::MAX));
        self.batch.clear();
    }

    fn failed(&mut self, error: &io::Error) {
        self.tally.failures.inc();
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            let lost = self.tally.lost.get();
            tracing::error!(%error, lost, "the audit cannot be written; make room, or mend its file");
        }
    }
}

/// Waits for work.
///
/// Not idle at first: where records come one after the other, they are written together, and who
/// answers questions need not wake this thread for each.
fn idle<'a>(shared: &'a Shared, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    let wait = |state: &mut State| !state.closing && state.reopened.is_none();
    let waited = shared.wake.wait_timeout_while(state, GATHER, wait);
    state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
    state.idle = true;
    let wait =
        |state: &mut State| state.batch.is_empty() && !state.closing && state.reopened.is_none();
    let waited = shared.wake.wait_while(state, wait);
    let mut state = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
    state.idle = false;
    state
}
