//! The states of one connection, as semantics.md's two tables have them. No clock, no socket, no
//! task: instants come in, and what to do next comes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Reason};
use crate::info::{Credentials, PartnerRequest, Routing, UserId};

/// First and longest pause between two questions about a partner that is not there yet.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Step {
    /// The get is over.
    Answer(Result<Credentials, Error>),
    /// Ask the resolvers for all of this, hand the result to [`Retrieval::handle_outcome`], step
    /// again.
    Retrieve(PartnerRequest),
    /// Ask for the name of this uid, hand the result to [`Retrieval::handle_name`], step again.
    Name(u32),
    /// Step again at this instant.
    Wait(Instant),
}

/// What the resolvers came to.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Found(Found),
    /// The partner's end exists and has no owner yet.
    NotYetAccepted,
    Failed(Error),
}

/// A verified answer of the resolvers, without names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) uid: Option<u32>,
    pub(crate) routing: Routing,
}

/// What the name service came to.
#[derive(Clone, Debug)]
pub(crate) enum Name {
    Known(Option<Arc<str>>),
    Pending,
    Unavailable,
}

/// One connection's retrieval.
#[derive(Debug, Default)]
pub(crate) struct Retrieval {
    requested: Option<PartnerRequest>,
    waiting: bool,
    saved: Option<Credentials>,
    phase: Phase,
}

#[derive(Debug, Default)]
enum Phase {
    /// Nothing is being retrieved.
    #[default]
    Rest,
    UnderWay(Box<UnderWay>),
    /// Ended in a failure that no get has reported yet.
    Failed(Error),
    /// The security domain was refused, once and for all.
    Refused(Error),
}

#[derive(Debug)]
struct UnderWay {
    what: PartnerRequest,
    stage: Stage,
    /// Not before this instant is anything asked again.
    next: Instant,
    pause: Duration,
}

#[derive(Debug)]
enum Stage {
    Asking,
    NotYetAccepted,
    Naming { uid: u32, routing: Routing, give_up: Option<Instant> },
}

impl Retrieval {
    /// One that was over at once.
    pub(crate) fn with_saved(saved: Credentials) -> Self {
        Self { saved: Some(saved), ..Self::default() }
    }

    /// The set indicator: a no-suspend get may start a retrieval. The latest set counts.
    pub(crate) fn handle_set(&mut self, what: PartnerRequest) {
        self.requested = Some(what);
    }

    /// What was set, if anything.
    pub(crate) fn requested(&self) -> Option<PartnerRequest> {
        self.requested
    }

    /// Starts the retrieval that a set asked for, where nothing is saved or under way.
    pub(crate) fn begin_prefetch(&mut self, now: Instant) {
        if let Some(what) = self.requested
            && self.saved.is_none()
            && matches!(self.phase, Phase::Rest)
        {
            self.begin(what, now);
        }
    }

    /// A get that does not wait. `Ok(None)`: the retrieval was started by this very get, which is
    /// [`ErrorKind::InProgress`] whatever becomes of it.
    pub(crate) fn begin_poll(
        &mut self,
        request: PartnerRequest,
        now: Instant,
    ) -> Result<Option<Credentials>, Error> {
        if let Some(answer) = self.settled(request) {
            return answer.map(Some);
        }
        if self.waiting {
            return Err(Error::new(ErrorKind::AlreadyInProgress));
        }
        match std::mem::take(&mut self.phase) {
            Phase::Failed(error) => Err(error),
            Phase::Rest if self.requested.is_none() && self.saved.is_none() => {
                Err(Error::new(ErrorKind::NotRequested))
            }
            Phase::Rest => {
                self.begin(request, now);
                Ok(None)
            }
            phase @ (Phase::UnderWay(_) | Phase::Refused(_)) => {
                self.phase = phase;
                Err(Error::new(ErrorKind::InProgress))
            }
        }
    }

    /// After [`begin_poll`](Self::begin_poll) said that it is under way: what it came to since.
    pub(crate) fn end_poll(&mut self, request: PartnerRequest) -> Result<Credentials, Error> {
        if let Some(answer) = self.settled(request) {
            return answer;
        }
        match std::mem::take(&mut self.phase) {
            Phase::Failed(error) => Err(error),
            phase @ (Phase::Rest | Phase::UnderWay(_) | Phase::Refused(_)) => {
                self.phase = phase;
                Err(Error::new(ErrorKind::InProgress))
            }
        }
    }

    /// What the retrieval under way needs now, as if nobody waited for it; `None` where it has
    /// ended or must pause.
    pub(crate) fn step_under_way(&mut self, now: Instant) -> Option<Step> {
        let Phase::UnderWay(under_way) = &self.phase else {
            return None;
        };
        match under_way.stage {
            Stage::Naming { give_up, .. } if give_up.is_some_and(|at| at <= now) => {
                self.save_without_name();
                None
            }
            _ if now < under_way.next => None,
            Stage::Asking | Stage::NotYetAccepted => Some(Step::Retrieve(under_way.what)),
            Stage::Naming { uid, .. } => Some(Step::Name(uid)),
        }
    }

    /// A get that waits. At most one at a time; [`end_wait`](Self::end_wait) must follow.
    pub(crate) fn begin_wait(&mut self, request: PartnerRequest) -> Result<(), Error> {
        if self.settled(request).is_none() && self.waiting {
            return Err(Error::new(ErrorKind::AlreadyInProgress));
        }
        self.waiting = true;
        // An old failure says nothing of now.
        if matches!(self.phase, Phase::Failed(_)) {
            self.phase = Phase::Rest;
        }
        Ok(())
    }

    /// What the waiting get does next. Without a deadline it waits for as long as it takes.
    pub(crate) fn step_wait(
        &mut self,
        request: PartnerRequest,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Step {
        if let Some(answer) = self.settled(request) {
            return Step::Answer(answer);
        }
        if matches!(self.phase, Phase::Failed(_))
            && let Phase::Failed(error) = std::mem::take(&mut self.phase)
        {
            return Step::Answer(Err(error));
        }
        if matches!(self.phase, Phase::Rest) {
            self.begin(request, now);
        }
        if let Some(step) = self.step_under_way(now) {
            return step;
        }
        let over = deadline.is_some_and(|at| at <= now);
        let Phase::UnderWay(under_way) = &self.phase else {
            // Naming was given up just now; or the retrieval covered another request than this.
            return self.settled(request).map_or(Step::Wait(now), Step::Answer);
        };
        let until = |next: Instant| Step::Wait(deadline.map_or(next, |at| at.min(next)));
        match under_way.stage {
            Stage::Asking if over => Step::Answer(Err(Error::new(ErrorKind::TimedOut))),
            Stage::NotYetAccepted if over => {
                Step::Answer(Err(Error::unidentified(Reason::NotYetAccepted)))
            }
            // The number is known and proven: it does not fail for want of a name (H29).
            Stage::Naming { .. } if over => {
                self.save_without_name();
                self.settled(request).map_or(Step::Wait(now), Step::Answer)
            }
            Stage::Asking | Stage::NotYetAccepted => until(under_way.next),
            Stage::Naming { give_up, .. } => {
                until(give_up.map_or(under_way.next, |at| at.min(under_way.next)))
            }
        }
    }

    /// The waiting get was answered or dropped. What is under way stays so.
    pub(crate) fn end_wait(&mut self) {
        self.waiting = false;
    }

    /// `patience`: how long a name may take.
    pub(crate) fn handle_outcome(&mut self, outcome: Outcome, patience: Duration, now: Instant) {
        let Phase::UnderWay(under_way) = &mut self.phase else {
            return;
        };
        match outcome {
            Outcome::Found(Found { uid: Some(uid), routing }) => {
                under_way.stage =
                    Stage::Naming { uid, routing, give_up: now.checked_add(patience) };
                under_way.next = now;
                under_way.pause = FIRST_PAUSE;
            }
            Outcome::Found(Found { uid: None, routing }) => {
                let covers = under_way.what;
                self.save(Credentials { covers, user: None, name_late: false, routing });
            }
            Outcome::NotYetAccepted => {
                under_way.stage = Stage::NotYetAccepted;
                under_way.pause(now);
            }
            Outcome::Failed(error) => {
                self.phase = if error.kind() == ErrorKind::SecurityDomain {
                    Phase::Refused(error)
                } else {
                    Phase::Failed(error)
                };
            }
        }
    }

    /// An outcome that was there before the retrieval began.
    pub(crate) fn handle_first_outcome(
        &mut self,
        request: PartnerRequest,
        outcome: Outcome,
        patience: Duration,
        now: Instant,
    ) {
        if matches!(self.phase, Phase::Rest) && self.settled(request).is_none() {
            self.begin(request, now);
            self.handle_outcome(outcome, patience, now);
        }
    }

    pub(crate) fn handle_name(&mut self, name: Name, now: Instant) {
        let Phase::UnderWay(under_way) = &mut self.phase else {
            return;
        };
        let Stage::Naming { uid, routing, .. } = under_way.stage else {
            return;
        };
        match name {
            Name::Known(name) => {
                let user = Some(UserId::new(uid, name));
                let covers = under_way.what;
                self.save(Credentials { covers, user, name_late: false, routing });
            }
            Name::Pending => under_way.pause(now),
            Name::Unavailable => self.save_without_name(),
        }
    }

    /// The saved credentials, for a name that came late to be added.
    pub(crate) fn saved(&self) -> Option<&Credentials> {
        self.saved.as_ref()
    }

    /// Adds the name that was late when the credentials were saved.
    pub(crate) fn handle_late_name(&mut self, name: Option<Arc<str>>) {
        if let Some(saved) = &self.saved
            && saved.name_late
        {
            self.saved = Some(Credentials {
                covers: saved.covers,
                user: saved.user.as_ref().map(|user| UserId::new(user.uid(), name)),
                name_late: false,
                routing: saved.routing,
            });
        }
    }

    /// The answer that no further step can change.
    fn settled(&self, request: PartnerRequest) -> Option<Result<Credentials, Error>> {
        match (&self.saved, &self.phase) {
            (Some(saved), _) if saved.covers.contains(request) => Some(Ok(saved.clone())),
            (_, Phase::Refused(error)) => Some(Err(error.clone())),
            (_, Phase::Rest | Phase::UnderWay(_) | Phase::Failed(_)) => None,
        }
    }

    /// What is saved already is retrieved anew with the rest: all fields of an answer are then of
    /// one moment.
    fn begin(&mut self, request: PartnerRequest, now: Instant) {
        let covered = self.saved.as_ref().map_or(PartnerRequest::empty(), |saved| saved.covers);
        self.phase = Phase::UnderWay(Box::new(UnderWay {
            what: request | covered,
            stage: Stage::Asking,
            next: now,
            pause: FIRST_PAUSE,
        }));
    }

    fn save(&mut self, credentials: Credentials) {
        self.saved = Some(credentials);
        self.phase = Phase::Rest;
    }

    fn save_without_name(&mut self) {
        if let Phase::UnderWay(under_way) = &self.phase
            && let Stage::Naming { uid, routing, .. } = under_way.stage
        {
            let user = Some(UserId::new(uid, None));
            let covers = under_way.what;
            self.save(Credentials { covers, user, name_late: true, routing });
        }
    }
}

impl UnderWay {
    fn pause(&mut self, now: Instant) {
        self.next = now.checked_add(self.pause).unwrap_or(now);
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests;
