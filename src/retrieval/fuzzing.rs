//! What must hold for one connection's retrieval, whatever is done to it and whatever the world
//! answers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    AgentSays, Elsewhere, Found, Holding, Name, Outcome, Retrieval, Step, TokenRead, TokenState,
};
use crate::error::{Error, ErrorKind, Reason};
use crate::info::{Credentials, PartnerInfo, PartnerRequest, Routing};
use crate::token::{ExecutionNode, Uid, UserToken};

const PATIENCE: Duration = Duration::from_millis(20);
/// More steps than any get needs that nothing holds up.
const STEPS: usize = 64;
/// The user of the last answer.
const LAST: u32 = 7_777;

/// Each byte is one thing that happens. Returns whether some get was answered with a user.
pub fn check_retrieval(data: &[u8]) -> bool {
    let mut world = World::new();
    for byte in data {
        world.happen(*byte);
    }
    let answered = world.answered;
    world.end();
    answered
}

/// A retrieval, what the resolvers and the name service would say now, and what they ever said.
struct World {
    retrieval: Retrieval,
    now: Instant,
    outcome: Outcome,
    /// What the agent comes to, where the kernel does not tell.
    agent: Agent,
    name: Name,
    token: Option<UserToken>,
    /// The waiting get: what it requests, and until when.
    waiting: Option<(PartnerRequest, Option<Instant>)>,
    requested: bool,
    /// All that was ever asked for.
    asked: PartnerRequest,
    given: HashSet<u32>,
    /// Somebody was found, if only where it is.
    found: bool,
    refused: bool,
    /// A failure that no get has reported yet.
    failed: bool,
    unaccepted: bool,
    /// The last answer with somebody in it: what is saved.
    saved: Option<Credentials>,
    answered: bool,
}

#[derive(Clone, Copy)]
enum Agent {
    Pending,
    Busy,
    Absent,
    Names(u32),
}

impl World {
    fn new() -> Self {
        Self {
            retrieval: Retrieval::default(),
            now: Instant::now(),
            outcome: Outcome::NotYetAccepted,
            agent: Agent::Pending,
            name: Name::Pending,
            token: None,
            waiting: None,
            requested: false,
            asked: PartnerRequest::empty(),
            given: HashSet::new(),
            found: false,
            refused: false,
            failed: false,
            unaccepted: false,
            saved: None,
            answered: false,
        }
    }

    /// The low four bits say what happens, the high four with what.
    fn happen(&mut self, byte: u8) {
        let with = byte >> 4;
        let request = PartnerRequest::from_bits_truncate(with);
        match byte & 15 {
            0 => {
                self.retrieval.handle_set(request);
                self.requested = true;
                self.asked |= request;
                assert_eq!(self.retrieval.requested(), Some(request));
            }
            1 => {
                self.retrieval.begin_prefetch();
                self.drive();
            }
            2 => self.poll(request),
            3 => self.begin_wait(request, (with & 4 == 0).then_some(Duration::from_millis(5))),
            4 | 5 => self.step(),
            6 => self.end_wait(),
            7 | 8 => self.now += Duration::from_millis(1 << with),
            9 => self.outcome = found(1_000 + u32::from(with)),
            10 => self.outcome = failure(with),
            11 => {
                self.name = match with {
                    0 => Name::Pending,
                    1 => Name::Unavailable,
                    2 => Name::Known(None),
                    3 => Name::NotWanted,
                    _ => Name::Known(Some(Arc::from("name"))),
                }
            }
            12 => self.token = token(1_000 + u32::from(with)).filter(|_| with > 7),
            13 => {
                let name = Some(Arc::from("late"));
                self.retrieval.handle_late_names([name.clone(), name]);
            }
            14 => self.first_outcome(request),
            15 if with & 8 != 0 => {
                self.outcome = elsewhere(with & 4 != 0);
                self.agent = match with & 2 {
                    0 => Agent::Pending,
                    _ => Agent::Names(1_000 + u32::from(with & 1)),
                };
            }
            15 if with & 4 != 0 => {
                self.agent = if with & 2 == 0 { Agent::Busy } else { Agent::Absent };
            }
            _ => self.retrieval.handle_wake(),
        }
    }

    /// An outcome that fits what was asked for, as the resolvers give it.
    fn answer_of_resolvers(&mut self, what: PartnerRequest) -> Outcome {
        assert!(self.asked.contains(what), "nobody asked for {what:?}");
        let found = match &self.outcome {
            Outcome::Found(found) => found,
            Outcome::Failed(error) => {
                self.refused |= error.kind() == ErrorKind::SecurityDomain;
                self.failed = true;
                return self.outcome.clone();
            }
            Outcome::NotYetAccepted => {
                self.unaccepted = true;
                return self.outcome.clone();
            }
            Outcome::Elsewhere(_) => return self.outcome.clone(),
        };
        self.found = true;
        let uid = found.uid.filter(|_| what.contains(PartnerRequest::USER_ID));
        self.given.extend(uid);
        let token = match (what.contains(PartnerRequest::UTOKEN), found.uid) {
            (true, Some(uid)) => TokenState::ToRead(Holding { uid, inode: 1, cgroup: None }),
            (true, None) | (false, _) => TokenState::NotAskedFor,
        };
        Outcome::Found(Found { uid, name: None, routing: found.routing, token })
    }

    /// What the agent says. It may know nobody, and it may name another user than the kernel.
    fn answer_of_agent(&mut self, what: PartnerRequest) -> AgentSays {
        assert!(self.asked.contains(what), "nobody asked for {what:?}");
        let uid = match self.agent {
            Agent::Pending => return AgentSays::Pending,
            Agent::Busy => return AgentSays::Busy,
            Agent::Absent => {
                self.failed = true;
                return AgentSays::Absent;
            }
            Agent::Names(uid) => uid,
        };
        self.given.insert(uid);
        self.found = true;
        // Where the kernel has named another, nobody is.
        self.failed |= self.owner_to_compare().is_some();
        let token = match what.contains(PartnerRequest::UTOKEN) {
            true => token(uid).map_or(TokenState::NotAskedFor, TokenState::Read),
            false => TokenState::NotAskedFor,
        };
        let uid = what.contains(PartnerRequest::USER_ID).then_some(uid);
        AgentSays::Outcome(Outcome::Found(Found {
            uid,
            name: None,
            routing: Routing::SAME_STACK,
            token,
        }))
    }

    fn carry_out(&mut self, step: &Step) -> bool {
        match step {
            Step::Retrieve(what) => {
                let outcome = self.answer_of_resolvers(*what);
                self.retrieval.handle_outcome(outcome, PATIENCE, self.now);
            }
            Step::Ask(what) => {
                let says = self.answer_of_agent(*what);
                self.retrieval.handle_agent(says, PATIENCE, self.now);
            }
            Step::Read(_) => {
                let read = self.token.clone().map_or(TokenRead::Pending, TokenRead::Read);
                self.retrieval.handle_token(read, PATIENCE, self.now);
            }
            Step::Name(uid) => {
                assert!(self.given.contains(uid), "the name of a user whom nobody gave: {uid}");
                self.retrieval.handle_name(self.name.clone(), self.now);
            }
            Step::Answer(_) | Step::Wait(_) => return false,
        }
        true
    }

    fn drive(&mut self) {
        for _ in 0..STEPS {
            match self.retrieval.step_under_way(self.now) {
                Some(step) => assert!(self.carry_out(&step), "{step:?} without a get"),
                None => return,
            }
        }
        panic_of_a_loop();
    }

    fn poll(&mut self, request: PartnerRequest) {
        self.asked |= request;
        let settled = self.retrieval.settled(request).is_some();
        let may_start = self.requested || self.retrieval.saved().is_some();
        let answer = match self.retrieval.begin_poll(request) {
            Ok(Some(found)) => Ok(found),
            Ok(None) => {
                assert!(may_start, "a get without a set started a retrieval");
                self.drive();
                Err(Error::new(ErrorKind::InProgress))
            }
            Err(error) if error.kind() == ErrorKind::InProgress => {
                self.drive();
                self.retrieval.end_poll(request)
            }
            Err(error) => {
                let busy = error.kind() == ErrorKind::AlreadyInProgress;
                assert!(!busy || (self.waiting.is_some() && !settled), "nobody waits");
                Err(error)
            }
        };
        self.check(request, &answer);
    }

    fn begin_wait(&mut self, request: PartnerRequest, timeout: Option<Duration>) {
        self.asked |= request;
        let waits = self.waiting.is_some();
        // As the driver does: what is settled is answered without a wait.
        if let Some(answer) = self.retrieval.settled(request) {
            self.check(request, &answer);
            return;
        }
        match self.retrieval.begin_wait() {
            Ok(()) => {
                assert!(!waits, "two gets wait");
                // An old failure says nothing of now.
                self.failed = false;
                self.waiting = Some((request, timeout.and_then(|time| self.now.checked_add(time))));
            }
            Err(error) => {
                assert_eq!((error.kind(), waits), (ErrorKind::AlreadyInProgress, true));
            }
        }
    }

    fn first_outcome(&mut self, request: PartnerRequest) {
        if self.waiting.is_some() {
            self.asked |= request;
            let outcome = self.answer_of_resolvers(request);
            self.retrieval.handle_first_outcome(request, outcome, PATIENCE, self.now);
        }
    }

    /// One poll of the waiting get.
    fn step(&mut self) {
        let Some((request, deadline)) = self.waiting else { return };
        for _ in 0..STEPS {
            let step = self.retrieval.step_wait(request, deadline, self.now);
            if self.carry_out(&step) {
                continue;
            }
            match step {
                Step::Answer(answer) => {
                    self.check(request, &answer);
                    self.end_wait();
                    return;
                }
                // At once again: something was given up just now.
                Step::Wait(Some(at)) if at <= self.now => {
                    assert!(deadline.is_none_or(|end| end > self.now) || at == self.now);
                }
                Step::Wait(Some(at)) => {
                    assert!(deadline.is_none_or(|end| at <= end), "waits past its end");
                    return;
                }
                Step::Wait(None) => return,
                Step::Retrieve(_) | Step::Ask(_) | Step::Read(_) | Step::Name(_) => {}
            }
        }
        panic_of_a_loop();
    }

    fn end_wait(&mut self) {
        if self.waiting.take().is_some() {
            self.retrieval.end_wait();
        }
    }

    /// An answer is complete for what was requested, has nothing that nobody asked for, and names
    /// nobody whom no resolver gave.
    fn check(&mut self, request: PartnerRequest, answer: &Result<Credentials, Error>) {
        let found = match answer {
            Ok(found) => found,
            Err(error) => return self.check_error(error),
        };
        assert!(self.found, "an answer without a retrieval");
        assert!(found.covers.contains(request), "{found:?} for {request:?}");
        assert!(self.asked.contains(found.covers), "nobody asked for {found:?}");
        let asked = found.covers.contains(PartnerRequest::USER_ID);
        assert_eq!(found.user.is_some(), asked, "{found:?}");
        assert_eq!(found.token.is_some(), found.covers.contains(PartnerRequest::UTOKEN));
        if let Some(user) = &found.user {
            assert!(self.given.contains(&user.uid()), "nobody gave {user}");
            assert!(!found.name_late || user.name().is_none() || found.process_user.is_some());
            self.answered = true;
        }
        let told = PartnerInfo::new(found.clone(), request);
        assert_eq!(told.user().is_some(), request.contains(PartnerRequest::USER_ID));
        assert_eq!(told.token().is_some(), request.contains(PartnerRequest::UTOKEN));
        // What is saved stays, until more is asked for; then it is retrieved anew with the rest.
        if let Some(saved) = self.saved.replace(found.clone()) {
            assert!(found.covers.contains(saved.covers), "{found:?} after {saved:?}");
            let same = found.user == saved.user && found.routing == saved.routing;
            assert!(same || found.covers != saved.covers, "{found:?} after {saved:?}");
        }
    }

    /// A failure was said by somebody, and is told once.
    fn check_error(&mut self, error: &Error) {
        let over = |(_, deadline): &(_, Option<Instant>)| deadline.is_some_and(|at| at <= self.now);
        match (error.kind(), error.reason()) {
            (ErrorKind::SecurityDomain, _) => assert!(self.refused, "refused by nobody"),
            // What a get that does not wait may come to; `poll` looks at it.
            (ErrorKind::NotRequested, _) => assert!(!self.requested && self.saved.is_none()),
            (ErrorKind::InProgress | ErrorKind::AlreadyInProgress, _) => {}
            (ErrorKind::TimedOut, _) => assert!(self.waiting.as_ref().is_some_and(over)),
            (_, Some(Reason::NotYetAccepted)) => assert!(self.unaccepted, "nobody said {error}"),
            _ => assert!(std::mem::take(&mut self.failed), "nobody said {error}, or it was told"),
        }
    }

    /// Whatever happened: a get that waits, with a world that answers, ends with that answer.
    fn end(&mut self) {
        self.end_wait();
        let all = PartnerRequest::all();
        let before = self.retrieval.saved().cloned().filter(|saved| saved.covers.contains(all));
        let fresh = self.retrieval.step_under_way(self.now).is_none() && self.at_rest();
        let mut kernel_said_other = self.owner_to_compare().is_some_and(|owner| owner != LAST);
        self.outcome = found(LAST);
        self.agent = Agent::Names(LAST);
        self.name = Name::Known(Some(Arc::from("last")));
        self.token = token(LAST);
        self.begin_wait(all, None);
        let mut steps = 0;
        while let Some((request, _)) = self.waiting {
            steps += 1;
            assert!(steps < STEPS, "a get that is stuck");
            let step = self.retrieval.step_wait(request, None, self.now);
            if self.carry_out(&step) {
                continue;
            }
            match step {
                Step::Answer(answer) => {
                    self.check(request, &answer);
                    self.end_wait();
                    // The kernel spoke before the world changed: the next get asks it anew.
                    let changed = answer.as_ref().err().and_then(Error::reason);
                    if kernel_said_other && changed == Some(Reason::ConnectionChanged) {
                        kernel_said_other = false;
                        self.begin_wait(all, None);
                        continue;
                    }
                    let found = answer.as_ref().ok().and_then(|found| found.user.as_ref());
                    let last = found.is_some_and(|user| user.uid() == LAST);
                    assert!(last || !fresh, "{answer:?}");
                    assert!(found.is_some(), "{answer:?}");
                }
                Step::Wait(Some(at)) => self.now = self.now.max(at),
                Step::Wait(None) => self.retrieval.handle_wake(),
                Step::Retrieve(_) | Step::Ask(_) | Step::Read(_) | Step::Name(_) => {}
            }
        }
        // What was saved whole stays so, and what was refused stays refused.
        let after = self.retrieval.settled(all);
        if let Some(before) = before {
            assert_eq!(after, Some(Ok(before)));
        }
        assert!(after.is_some(), "neither saved nor refused");
    }

    /// Whom the kernel named where the agent is asked for the rest.
    fn owner_to_compare(&self) -> Option<u32> {
        let super::Phase::UnderWay(under_way) = &self.retrieval.phase else { return None };
        let super::Stage::Elsewhere(Elsewhere { owner, .. }) = &under_way.stage else {
            return None;
        };
        *owner
    }

    /// Whether a get would begin a retrieval of its own.
    fn at_rest(&self) -> bool {
        matches!(self.retrieval.phase, super::Phase::Rest | super::Phase::Failed(_))
    }
}

#[track_caller]
fn panic_of_a_loop() {
    assert_eq!(STEPS, 0, "more than {STEPS} steps without a wait");
}

/// This user, in the same stack.
pub(super) fn found(uid: u32) -> Outcome {
    Outcome::Found(Found {
        uid: Some(uid),
        name: None,
        routing: Routing::SAME_STACK,
        token: TokenState::NotAskedFor,
    })
}

/// Not here; or here, with processes that the agent may know better.
fn elsewhere(here: bool) -> Outcome {
    let nobody = Outcome::Failed(Error::unidentified(Reason::NotInThisStack));
    // That `owner` is somebody whom nobody gave would be the kernel's word.
    let owner = here.then_some(1_000);
    Outcome::Elsewhere(Elsewhere { without: Box::new(nobody), owner })
}

fn failure(with: u8) -> Outcome {
    match with {
        0..8 => Outcome::NotYetAccepted,
        8..12 => Outcome::Failed(Error::unidentified(Reason::PartnerGone)),
        12..15 => Outcome::Failed(Error::new(ErrorKind::NotConnected)),
        _ => Outcome::Failed(Error::new(ErrorKind::SecurityDomain)),
    }
}

fn token(uid: u32) -> Option<UserToken> {
    let node = Arc::new(ExecutionNode::new(None, None, None));
    Some(UserToken::assemble(Uid::new(uid)?, Vec::new(), None, node))
}
