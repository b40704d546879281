//! One connection of a peer that is proven: questions in, answers out.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use super::hosts::Host;
use super::{Answerer, Peer, Shared};
use crate::agent::peers::pipe::{Broken, Pipe, ROUNDS, TRIM, poll_until};
use crate::agent::peers::trust::one_domain;
use crate::agent::stop::Stop;
use crate::protocol::peers::{Answer, Hello, NOBODY_S, Outcome, Question};
use crate::protocol::{Malformed, Refused};

/// Answers until the connection is over. Returns why it is: a stable name.
pub(super) async fn serve<A: Answerer>(
    shared: &Arc<Shared<A>>,
    mut pipe: Pipe,
    peer: &Arc<Peer>,
    local: IpAddr,
    host: &Host,
    mut stop: Stop,
) -> &'static str {
    let limits = &shared.setup.limits;
    (shared.setup.introduce)().put(pipe.output());
    let began = Instant::now();
    let mut desk = Desk {
        shared,
        peer,
        local,
        later: JoinSet::new(),
        greeted: false,
        spent: 0,
        stopping: false,
        used: began,
        pause: None,
    };
    let mut timer = pin!(tokio::time::sleep_until(began));
    let mut stopped = pin!(stop.requested());
    let ended = poll_fn(|context| {
        let now = Instant::now();
        if !desk.stopping && stopped.as_mut().poll(context).is_ready() {
            desk.stopping = true;
        }
        if let Poll::Ready(ended) = desk.poll(&mut pipe, host, context, now) {
            return Poll::Ready(ended);
        }
        loop {
            let roomy = pipe.is_roomy();
            let limit = match pipe.stuck() {
                Some(since) => since.checked_add(limits.stall),
                None if !desk.greeted => began.checked_add(limits.handshake),
                None if roomy => desk.used.checked_add(TRIM.min(limits.idle)),
                None => desk.used.checked_add(limits.idle),
            };
            // Each time anew: the timer below may have fired after the last look.
            let now = Instant::now();
            let limit = limit.unwrap_or(now);
            if limit <= now {
                if pipe.stuck().is_some() {
                    return Poll::Ready(Err(Broken::Stalled));
                } else if desk.greeted && roomy {
                    pipe.trim();
                } else if desk.later.is_empty() {
                    return Poll::Ready(Ok("idle"));
                } else {
                    desk.used = now;
                }
                continue;
            }
            ready!(poll_until(timer.as_mut(), limit, context));
        }
    })
    .await;
    match ended {
        Ok(kind) => {
            pipe.end().await;
            kind
        }
        Err(Broken::Malformed(malformed)) => {
            let what = format!("{malformed}; ask as peers.proto describes");
            let outcome = Outcome::Refused(Refused::Failed(what));
            Answer { number: NOBODY_S, outcome }.put(pipe.output());
            pipe.end().await;
            "malformed"
        }
        Err(Broken::Closed) => "closed",
        Err(Broken::Io(_)) => "io",
        Err(Broken::Stalled) => "stalled",
    }
}

/// What one connection has under way.
struct Desk<'a, A> {
    shared: &'a Arc<Shared<A>>,
    peer: &'a Arc<Peer>,
    /// Our address of this connection, in canonical form.
    local: IpAddr,
    /// Questions that are not answered at once.
    later: JoinSet<Answer>,
    /// The peer has said its Hello.
    greeted: bool,
    /// Questions that its pace does not know of yet.
    spent: u32,
    /// Nothing more is read.
    stopping: bool,
    /// When something was asked last.
    used: Instant,
    /// Nothing is read until then: the peer asks too fast.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<A: Answerer> Desk<'_, A> {
    fn poll(
        &mut self,
        pipe: &mut Pipe,
        host: &Host,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Result<&'static str, Broken>> {
        for _ in 0..ROUNDS {
            let full = pipe.is_full();
            let read = self.read(pipe, context, now)?;
            if self.spent > 0 {
                self.used = now;
                self.pace(host, now);
            }
            while let Poll::Ready(Some(answered)) = self.later.poll_join_next(context) {
                match answered {
                    Ok(answer) => answer.put(pipe.output()),
                    // The asker runs out of time, and nothing is told.
                    Err(error) => tracing::error!(%error, "a question of another host failed"),
                }
            }
            let written = pipe.poll_write(context, now)?;
            if self.stopping && self.later.is_empty() && written.is_ready() {
                return Poll::Ready(Ok("stopped"));
            }
            // Where it was full nothing was read, and nothing wakes this task when something comes.
            let has_room = full && written.is_ready() && !self.stopping;
            if read.is_pending() && !has_room {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes in what has come, unless it is not the time for it.
    fn read(
        &mut self,
        pipe: &mut Pipe,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Result<(), Broken>> {
        // What is to be written first wakes this task by itself.
        if self.stopping || pipe.is_full() {
            return Poll::Pending;
        }
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        pipe.poll_read(context, |message, output| self.hear(message, output, now))
    }

    fn pace(&mut self, host: &Host, now: Instant) {
        let count = std::mem::take(&mut self.spent);
        let per_second = self.shared.setup.limits.questions_per_second;
        if let Some(wait) = host.spend(count, per_second, now.into_std()) {
            self.pause = Some(Box::pin(tokio::time::sleep(wait)));
        }
    }

    fn hear(&mut self, message: &[u8], out: &mut Vec<u8>, now: Instant) -> Result<(), Malformed> {
        if !self.greeted {
            // What it says of itself is not needed: its certificate and each question say it too.
            Hello::decode(message)?;
            self.greeted = true;
            return Ok(());
        }
        let question = Question::decode(message)?;
        self.spent = self.spent.saturating_add(1);
        match self.refusal(&question) {
            Some((kind, refused)) => {
                self.shared.setup.observer.question_refused(self.peer, kind);
                let outcome = Outcome::Refused(refused);
                Answer { number: question.number, outcome }.put(out);
            }
            None => self.answer(question, out, now),
        }
        Ok(())
    }

    /// Why a question is not handed on, with a stable name.
    fn refusal(&self, question: &Question) -> Option<(&'static str, Refused)> {
        let setup = &self.shared.setup;
        let ours = (setup.introduce)();
        let ours = ours.domain.as_deref();
        if !one_domain(ours, Some(&self.peer.name.domain))
            || !one_domain(ours, question.domain.as_deref())
        {
            return Some(("security-domain", Refused::SecurityDomain));
        }
        // A host is told of nobody but those who are connected with it.
        if question.asker.ip() != self.peer.address || question.asked.ip() != self.local {
            let what = "only a connection between the two of us is told of: ask from the address, and \
                        at the address, that it has";
            return Some(("not-between-us", Refused::Failed(what.to_owned())));
        }
        if self.later.len() >= setup.limits.questions {
            let limit = setup.limits.questions;
            let what = format!("{limit} questions are in flight already; ask fewer at a time");
            return Some(("over-limit", Refused::Failed(what)));
        }
        None
    }

    /// Answers now, or later where something has to be waited for.
    fn answer(&mut self, question: Question, out: &mut Vec<u8>, now: Instant) {
        let (number, asked_for) = (question.number, question.timeout);
        let (shared, peer) = (Arc::clone(self.shared), Arc::clone(self.peer));
        let mut work = Box::pin(async move {
            let outcome = shared.setup.answerer.answer(&peer, question).await;
            Answer { number, outcome }
        });
        // Nobody has to be woken for it: where it is not done it is looked at again at once.
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer.put(out),
            Poll::Pending => {
                let longest = self.shared.setup.limits.question.min(asked_for);
                let deadline = now.checked_add(longest).unwrap_or(now);
                self.later.spawn(async move {
                    tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| {
                        let what = "the answer was not found in the time that the question gave";
                        let outcome = Outcome::Refused(Refused::Failed(what.to_owned()));
                        Answer { number, outcome }
                    })
                });
            }
        }
    }
}
