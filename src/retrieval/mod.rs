//! The states of one connection, as semantics.md's two tables have them. No clock, no socket, no
//! task: instants come in, and what to do next comes out.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod naming;
mod step;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Reason};
use crate::info::{Credentials, PartnerRequest, UserId};

use naming::Naming;
pub(crate) use step::{
    AgentSays, Elsewhere, Found, Holding, Name, Outcome, Step, TokenRead, TokenState,
};

/// First and longest pause between two questions about a partner that is not there yet.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

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
    next: Option<Instant>,
    pause: Duration,
    /// The last that was heard is that nobody has accepted the partner's end yet: how long to wait
    /// before the next look, whoever is asked then.
    unaccepted: Option<Duration>,
}

#[derive(Debug)]
enum Stage {
    Asking,
    NotYetAccepted,
    Elsewhere(Elsewhere),
    Reading { found: Found, holding: Holding },
    Naming(Naming),
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
    pub(crate) fn begin_prefetch(&mut self) {
        if let Some(what) = self.requested
            && self.saved.is_none()
            && matches!(self.phase, Phase::Rest)
        {
            self.begin(what);
        }
    }

    /// A get that does not wait. `Ok(None)`: the retrieval was started by this very get, which is
    /// [`ErrorKind::InProgress`] whatever becomes of it.
    pub(crate) fn begin_poll(
        &mut self,
        request: PartnerRequest,
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
                self.begin(request);
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
        let Phase::UnderWay(under_way) = &self.phase else { return None };
        match &under_way.stage {
            Stage::Naming(naming) if naming.give_up.is_some_and(|at| at <= now) => {
                self.save_named();
                None
            }
            _ if under_way.next.is_some_and(|next| now < next) => None,
            Stage::Asking | Stage::NotYetAccepted => Some(Step::Retrieve(under_way.what)),
            Stage::Elsewhere(_) => Some(Step::Ask(under_way.what)),
            Stage::Reading { holding, .. } => Some(Step::Read(*holding)),
            Stage::Naming(naming) => naming.next_uid().map(Step::Name),
        }
    }

    /// A get that waits. At most one at a time; [`end_wait`](Self::end_wait) must follow.
    pub(crate) fn begin_wait(&mut self) -> Result<(), Error> {
        if self.waiting {
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
            self.begin(request);
        }
        if let Some(step) = self.step_under_way(now) {
            return step;
        }
        let over = deadline.is_some_and(|at| at <= now);
        let Phase::UnderWay(under_way) = &self.phase else {
            // Naming was given up just now; or the retrieval covered another request than this.
            return self.settled(request).map_or(Step::Wait(Some(now)), Step::Answer);
        };
        match &under_way.stage {
            Stage::Asking | Stage::NotYetAccepted | Stage::Elsewhere(_)
                if over && under_way.unaccepted.is_some() =>
            {
                Step::Answer(Err(Error::unidentified(Reason::NotYetAccepted)))
            }
            Stage::Asking | Stage::NotYetAccepted | Stage::Elsewhere(_) | Stage::Reading { .. }
                if over =>
            {
                Step::Answer(Err(Error::new(ErrorKind::TimedOut)))
            }
            // The number is known and proven: it does not fail for want of a name (H29).
            Stage::Naming(_) if over => {
                self.save_named();
                self.settled(request).map_or(Step::Wait(Some(now)), Step::Answer)
            }
            Stage::Asking | Stage::NotYetAccepted | Stage::Elsewhere(_) | Stage::Reading { .. } => {
                Step::Wait(earliest([deadline, under_way.next]))
            }
            Stage::Naming(naming) => {
                Step::Wait(earliest([deadline, under_way.next, naming.give_up]))
            }
        }
    }

    /// What is pending may be there now: step without a pause.
    pub(crate) fn handle_wake(&mut self) {
        if let Phase::UnderWay(under_way) = &mut self.phase
            && matches!(under_way.stage, Stage::Elsewhere(_) | Stage::Reading { .. })
        {
            under_way.next = None;
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
            Outcome::Found(found) => self.handle_found(found, patience, now),
            Outcome::NotYetAccepted => {
                under_way.stage = Stage::NotYetAccepted;
                under_way.pause = under_way.unaccepted.unwrap_or(FIRST_PAUSE);
                under_way.pause(now);
                under_way.unaccepted = Some(under_way.pause);
            }
            Outcome::Failed(error) => {
                self.phase = if error.kind() == ErrorKind::SecurityDomain {
                    Phase::Refused(error)
                } else {
                    Phase::Failed(error)
                };
            }
            Outcome::Elsewhere(elsewhere) => {
                under_way.next = None;
                under_way.pause = FIRST_PAUSE;
                under_way.stage = Stage::Elsewhere(elsewhere);
            }
        }
    }

    /// `patience`: how long a name may take.
    pub(crate) fn handle_agent(&mut self, says: AgentSays, patience: Duration, now: Instant) {
        let Phase::UnderWay(under_way) = &mut self.phase else { return };
        let Stage::Elsewhere(Elsewhere { without, owner }) = &under_way.stage else { return };
        let outcome = match says {
            AgentSays::Pending => {
                // Whoever waits is woken; this is for who is not.
                under_way.pause = LONGEST_PAUSE;
                under_way.pause(now);
                return;
            }
            AgentSays::Busy => {
                under_way.pause(now);
                return;
            }
            AgentSays::Absent => (**without).clone(),
            AgentSays::Outcome(Outcome::Found(found)) => match owner {
                Some(owner) if found.uid != Some(*owner) => {
                    Outcome::Failed(Error::unidentified(Reason::ConnectionChanged))
                }
                Some(_) | None => Outcome::Found(found),
            },
            // The kernel has told what is needed most.
            AgentSays::Outcome(_) if owner.is_some() => (**without).clone(),
            AgentSays::Outcome(outcome) => outcome,
        };
        self.handle_outcome(outcome, patience, now);
    }

    /// An outcome that was there before the retrieval began. It is of no use where more was saved
    /// meanwhile than it was asked for: what is saved is retrieved anew with the rest.
    pub(crate) fn handle_first_outcome(
        &mut self,
        request: PartnerRequest,
        outcome: Outcome,
        patience: Duration,
        now: Instant,
    ) {
        let whole = self.saved.as_ref().is_none_or(|saved| request.contains(saved.covers));
        if whole && matches!(self.phase, Phase::Rest) && self.settled(request).is_none() {
            self.begin(request);
            self.handle_outcome(outcome, patience, now);
        }
    }

    fn handle_found(&mut self, found: Found, patience: Duration, now: Instant) {
        let Phase::UnderWay(under_way) = &mut self.phase else { return };
        under_way.next = None;
        under_way.pause = FIRST_PAUSE;
        if let TokenState::ToRead(holding) = found.token {
            under_way.stage = Stage::Reading { found, holding };
            return;
        }
        let naming = Naming::new(found, now.checked_add(patience));
        let nothing_to_name = naming.next_uid().is_none();
        under_way.stage = Stage::Naming(naming);
        if nothing_to_name {
            self.save_named();
        }
    }

    /// `patience`: how long a name may take.
    pub(crate) fn handle_token(&mut self, read: TokenRead, patience: Duration, now: Instant) {
        let Phase::UnderWay(under_way) = &mut self.phase else { return };
        let Stage::Reading { found, .. } = &under_way.stage else { return };
        match read {
            TokenRead::Read(token) => {
                let found = Found { token: TokenState::Read(token), ..found.clone() };
                self.handle_found(found, patience, now);
            }
            TokenRead::Failed(error) => self.phase = Phase::Failed(error),
            TokenRead::Pending | TokenRead::Busy => under_way.pause(now),
        }
    }

    pub(crate) fn handle_name(&mut self, name: Name, now: Instant) {
        let Phase::UnderWay(under_way) = &mut self.phase else { return };
        let Stage::Naming(naming) = &mut under_way.stage else { return };
        match name {
            Name::Known(name) => {
                naming.handle_known(name);
                if naming.next_uid().is_none() {
                    self.save_named();
                }
            }
            Name::Pending => under_way.pause(now),
            Name::Unavailable => self.save_named(),
            Name::NotWanted => {
                naming.handle_not_wanted();
                self.save_named();
            }
        }
    }

    /// The saved credentials.
    pub(crate) fn saved(&self) -> Option<&Credentials> {
        self.saved.as_ref()
    }

    /// The uids whose names were late when the credentials were saved: the owner's, and that of
    /// the process.
    pub(crate) fn late_names(&self) -> Option<[Option<u32>; 2]> {
        let saved = self.saved.as_ref().filter(|saved| saved.name_late)?;
        let uid = |user: &Option<UserId>| user.as_ref().map(UserId::uid);
        Some([uid(&saved.user), uid(&saved.process_user)])
    }

    /// Adds the names that were late, in the same order.
    pub(crate) fn handle_late_names(&mut self, names: [Option<Arc<str>>; 2]) {
        let Some(saved) = self.saved.as_mut().filter(|saved| saved.name_late) else { return };
        saved.name_late = false;
        let [name, process_name] = names;
        if let (Some(token), Some(_)) = (&mut saved.token, &saved.user) {
            Arc::make_mut(token).set_undefined_user(name.is_none());
        }
        let named = |user: &mut UserId, name| *user = UserId::new(user.uid(), name);
        if let Some(user) = &mut saved.user {
            named(user, name);
        }
        if let Some(user) = &mut saved.process_user {
            named(user, process_name);
        }
    }

    /// The answer that no further step can change.
    pub(crate) fn settled(&self, request: PartnerRequest) -> Option<Result<Credentials, Error>> {
        match (&self.saved, &self.phase) {
            (Some(saved), _) if saved.covers.contains(request) => Some(Ok(saved.clone())),
            (_, Phase::Refused(error)) => Some(Err(error.clone())),
            (_, Phase::Rest | Phase::UnderWay(_) | Phase::Failed(_)) => None,
        }
    }

    /// What is saved already is retrieved anew with the rest: all fields of an answer are then of
    /// one moment.
    fn begin(&mut self, request: PartnerRequest) {
        let covered = self.saved.as_ref().map_or(PartnerRequest::empty(), |saved| saved.covers);
        self.phase = Phase::UnderWay(Box::new(UnderWay {
            what: request | covered,
            stage: Stage::Asking,
            next: None,
            pause: FIRST_PAUSE,
            unaccepted: None,
        }));
    }

    fn save(&mut self, credentials: Credentials) {
        self.saved = Some(credentials);
        self.phase = Phase::Rest;
    }

    /// Saves what was found, with the names that are here.
    fn save_named(&mut self) {
        let covers = match &self.phase {
            Phase::UnderWay(under_way) => under_way.what,
            Phase::Rest | Phase::Failed(_) | Phase::Refused(_) => return,
        };
        let Phase::UnderWay(under_way) = std::mem::take(&mut self.phase) else { return };
        if let Stage::Naming(naming) = under_way.stage {
            self.save(naming.credentials(covers));
        }
    }
}

fn earliest<const N: usize>(instants: [Option<Instant>; N]) -> Option<Instant> {
    instants.into_iter().flatten().min()
}

impl UnderWay {
    fn pause(&mut self, now: Instant) {
        self.next = Some(now.checked_add(self.pause).unwrap_or(now));
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests;
