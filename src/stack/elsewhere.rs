//! Asking the agent of this host, where this kernel does not tell this process all.

use std::task::Waker;
use std::time::{Duration, Instant};

use super::connection::{Connected, is_still};
use super::table::Slow;
use super::{Resolver, Stack};
use crate::client::{Asked, Incoming, Job, Progress};
use crate::error::{Error, ErrorKind};
use crate::info::PartnerRequest;
use crate::kernel::sys::Socket;
use crate::protocol::{self, Answer, Question, Refused};
use crate::retrieval::{AgentSays, Elsewhere, Found, Outcome, TokenState};

/// How long a question may take: it goes on where a get gives it up, and a later one finds it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A question to the agent.
#[derive(Debug)]
pub(crate) struct Asking {
    /// `None`: it has to be asked again.
    job: Option<Job>,
}

impl Asking {
    /// What becomes readable when the answer comes.
    pub(super) fn incoming(&self) -> Option<Incoming> {
        self.job.as_ref().map(Job::incoming)
    }
}

impl Stack {
    /// What is known where the agent may know more; `without` where it cannot be asked.
    pub(super) fn elsewhere(&self, without: Outcome, owner: Option<u32>, now: Instant) -> Outcome {
        if self.may_ask_agent(now) {
            Outcome::Elsewhere(Elsewhere { without: Box::new(without), owner })
        } else {
            without
        }
    }

    pub(super) fn may_ask_agent(&self, now: Instant) -> bool {
        self.has(Resolver::Agent) && self.inner().agent.is_there(now)
    }

    pub(super) fn has(&self, resolver: Resolver) -> bool {
        self.inner().resolvers.contains(&resolver)
    }

    /// Asks the agent, or looks whether it has answered.
    pub(super) fn ask_agent(
        &self,
        socket: Socket<'_>,
        connection: Connected,
        what: PartnerRequest,
        slow: &mut Slow,
        (waker, deadline): (Option<&Waker>, Option<Instant>),
        now: Instant,
    ) -> AgentSays {
        let asked_before = slow.asking.is_some();
        if let Some(Asking { job: Some(job) }) = slow.asking.take() {
            match job.poll(waker) {
                Progress::Pending => {
                    slow.asking = Some(Asking { job: Some(job) });
                    return AgentSays::Pending;
                }
                Progress::Answered(answer) => {
                    return AgentSays::Outcome(said(answer, socket, connection, what));
                }
                Progress::Lost => {}
            }
        }
        let question = Question {
            number: 0,
            request: what,
            search: self.inner().tokens.how_far(),
            timeout: deadline
                .map_or(PATIENCE, |at| at.saturating_duration_since(now).max(PATIENCE)),
            domain: self.inner().authority.domain_to_compare(),
        };
        match self.inner().agent.ask(socket, &question, asked_before, now) {
            Asked::Yes(job) => {
                slow.asking = Some(Asking { job: Some(job) });
                // Registers the waker; and the answer may be here by now.
                self.ask_agent_again(socket, connection, what, slow, waker)
            }
            Asked::Busy => {
                slow.asking = Some(Asking { job: None });
                AgentSays::Busy
            }
            Asked::Absent if asked_before => AgentSays::Outcome(Outcome::Failed(Error::agent(
                "the agent of this host went away while it was asked, and did not come back; see \
                 that partnerd runs, then get again",
            ))),
            Asked::Absent => AgentSays::Absent,
        }
    }

    fn ask_agent_again(
        &self,
        socket: Socket<'_>,
        connection: Connected,
        what: PartnerRequest,
        slow: &mut Slow,
        waker: Option<&Waker>,
    ) -> AgentSays {
        let Some(Asking { job: Some(job) }) = slow.asking.take() else {
            return AgentSays::Busy;
        };
        match job.poll(waker) {
            Progress::Answered(answer) => {
                AgentSays::Outcome(said(answer, socket, connection, what))
            }
            Progress::Pending => {
                slow.asking = Some(Asking { job: Some(job) });
                AgentSays::Pending
            }
            Progress::Lost => {
                slow.asking = Some(Asking { job: None });
                AgentSays::Busy
            }
        }
    }
}

/// What an answer is worth: it must be about this very socket, which must still be the connection
/// that it was, and it must be whole.
fn said(answer: Answer, socket: Socket<'_>, at: Connected, what: PartnerRequest) -> Outcome {
    let told = match answer.outcome {
        protocol::Outcome::Told(told) => told,
        protocol::Outcome::NotYetAccepted => return Outcome::NotYetAccepted,
        protocol::Outcome::Refused(refused) => return Outcome::Failed(error(refused)),
    };
    if let Err(error) = is_still(socket, at) {
        return Outcome::Failed(error);
    }
    if answer.cookie != Some(at.key.cookie) || !told.fits(what) {
        return Outcome::Failed(Error::agent(
            "the agent's answer does not fit the question; see that partnerd and this program are \
             of versions that go together",
        ));
    }
    let token = told.token.map_or(TokenState::NotAskedFor, TokenState::Read);
    let uid = told.user.map(crate::token::Uid::as_raw);
    let name = told.name.map(Into::into);
    Outcome::Found(Found { uid, name, routing: told.routing, token })
}

fn error(refused: Refused) -> Error {
    match refused {
        Refused::NotAuthorized(refusal) => Error::not_authorized(&refusal),
        Refused::SecurityDomain => Error::new(ErrorKind::SecurityDomain),
        Refused::NotConnected => Error::new(ErrorKind::NotConnected),
        Refused::NotTcp => Error::new(ErrorKind::NotTcp),
        Refused::Unidentified(reason) => Error::unidentified(reason),
        Refused::Failed(what) => Error::agent(&what),
    }
}
