//! A question of another host's agent.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::Semaphore;

use super::Doors;
use crate::accounts::Accounts;
use crate::agent::audit::{Asker, Record, ToldToken, Verdict as Recorded};
use crate::agent::names;
use crate::agent::peers::{Answerer, Peer};
use crate::agent::question::Agent;
use crate::agent::subject::Connection;
use crate::error::{Error, ErrorKind, Reason};
use crate::kernel::process::SocketOwner;
use crate::kernel::sequence;
use crate::kernel::verify::{Owner, Verdict};
use crate::protocol::Refused;
use crate::protocol::peers::{End, Outcome, Question, Told};
use crate::stack::tokens::{Progress, READING};
use crate::token::{Uid, UserToken};

/// Answers other hosts.
pub(crate) struct Answering {
    pub(super) agent: Arc<Agent>,
    pub(super) stacks: Arc<Doors>,
    pub(super) names: Arc<Accounts>,
    pub(super) turn: Arc<Semaphore>,
}

/// What was found, for the answer and for its record.
struct Found {
    connection: Option<Connection>,
    outcome: Result<(Option<Told>, End), Error>,
}

impl Answerer for Answering {
    async fn answer(&self, from: &Peer, question: Question) -> Outcome {
        let found = self.find(from, &question).await;
        self.record(from, &question, &found);
        let (host, metrics) = (&from.name.host, &self.agent.metrics);
        match &found.outcome {
            Ok((Some(_), _)) => metrics.peer_question_told(host),
            Ok((None, _)) => metrics.peer_question_not_yet_accepted(host),
            Err(error) => metrics.peer_question_refused(host, error.kind().as_str()),
        }
        match found.outcome {
            Ok((Some(told), end)) => Outcome::Told { told, end },
            Ok((None, end)) => Outcome::NotYetAccepted { end },
            Err(error) => Outcome::Refused(refused(&error)),
        }
    }
}

impl Answering {
    async fn find(&self, from: &Peer, question: &Question) -> Found {
        let mut found = Found { connection: None, outcome: Err(unproven()) };
        if self.agent.audit.failing() {
            found.outcome = Err(Error::agent("the audit of this host cannot be written"));
            return found;
        }
        if from.name.has_expired() {
            found.outcome = Err(Error::agent(
                "the certificate of the host that asks has expired since it connected; renew it",
            ));
            return found;
        }
        if !self.agent.may_ask(&from.name.host) {
            found.outcome = Err(Error::not_authorized(&format!(
                "host {} is not in `allow` of the configuration's [peers]",
                from.name.host
            )));
            return found;
        }
        let ends = (question.asked.into(), question.asker.into());
        let theirs = sequence::End::from(question.end);
        let stack = self.stacks.get(from.namespace);
        let seen = match &stack {
            Some(stack) => self.agent.lookup.look_at(stack, ends, &theirs),
            None => Ok(None),
        };
        let seen = match seen {
            // Nothing is told of a connection whose other end was not proven to ask.
            Ok(None) => return found,
            Ok(Some(seen)) => seen,
            Err(error) => {
                found.outcome = Err(error);
                return found;
            }
        };
        found.connection = Some(Connection {
            local: question.asked,
            remote: question.asker,
            cookie: seen.cookie,
            namespace: from.namespace,
        });
        let end = seen.end.into();
        found.outcome = match seen.verdict {
            Verdict::Partner(owner) => {
                self.tell(question, owner).await.map(|told| (Some(told), end))
            }
            Verdict::NotYetAccepted if question.request.is_empty() => Ok((Some(nothing()), end)),
            Verdict::NotYetAccepted => Ok((None, end)),
            Verdict::Refused(reason) => Err(Error::unidentified(reason)),
            Verdict::NotInThisStack
            | Verdict::NotConnected
            | Verdict::NotTcp
            | Verdict::Unsupported
            | Verdict::Failed(_) => Err(unproven()),
        };
        found
    }

    async fn tell(&self, question: &Question, owner: Owner) -> Result<Told, Error> {
        if question.request.is_empty() {
            return Ok(nothing());
        }
        let user = Uid::new(owner.uid).ok_or(Error::unidentified(Reason::OverflowUid))?;
        // The number is told without it.
        let name = names::name_of(&self.names, owner.uid).await;
        let name = name.ok().flatten().map(|name| name.as_ref().to_owned());
        let wants_token = question.request.contains(crate::info::PartnerRequest::UTOKEN);
        let token = if wants_token { Some(self.token(question, owner, user).await?) } else { None };
        Ok(Told { user: Some(user), name, token })
    }

    async fn token(
        &self,
        question: &Question,
        owner: Owner,
        user: Uid,
    ) -> Result<UserToken, Error> {
        let gone = || Error::unidentified(Reason::PartnerGone);
        let socket = SocketOwner::new(owner.inode.into(), user).ok_or_else(gone)?;
        let socket = match owner.cgroup {
            Some(id) => socket.in_cgroup(id),
            None => socket,
        };
        let _turn = self.turn.acquire().await;
        let busy = || Error::agent("too many tokens are being read; ask again later");
        let job = self.agent.tokens().ask_for(socket, question.search).ok_or_else(busy)?;
        let token = poll_fn(|context| match job.poll(Some(context.waker())) {
            Progress::Pending => Poll::Pending,
            Progress::Read(token) => Poll::Ready(Ok(token)),
            Progress::Short(errno) => Poll::Ready(Err(Error::io(READING, errno))),
            Progress::Failed => Poll::Ready(Err(Error::agent("a token could not be read"))),
        });
        Ok(token.await?.without_process(std::process::id()))
    }

    fn record(&self, from: &Peer, question: &Question, found: &Found) {
        let text;
        let told = match &found.outcome {
            Ok((Some(told), _)) => Recorded::Told {
                user: told.user.map(Uid::as_raw),
                routing: crate::info::Routing::SAME_CLUSTER,
                token: told
                    .token
                    .as_ref()
                    .map(|token| ToldToken { holders: token.holders(), gap: token.holders_gap() }),
            },
            Ok((None, _)) => Recorded::NotYet,
            Err(error) => {
                text = error.to_string();
                let reason = error.reason().map(Reason::as_str);
                Recorded::Refused { kind: error.kind().as_str(), reason, text: &text }
            }
        };
        let asker = Asker::Host { name: &from.name.host, address: from.address };
        let (connection, request) = (found.connection, Some(question.request));
        self.agent.audit.record(&Record { asker, connection, request, told, rule: None });
    }
}

fn unproven() -> Error {
    Error::unidentified(Reason::Unproven)
}

/// That the connection is there.
fn nothing() -> Told {
    Told { user: None, name: None, token: None }
}

/// What of an error goes to the other host.
fn refused(error: &Error) -> Refused {
    match (error.kind(), error.reason()) {
        (ErrorKind::NotAuthorized, _) => Refused::NotAuthorized(error.to_string()),
        (_, Some(reason)) => Refused::Unidentified(reason),
        (_, None) => Refused::Failed(error.agents_words()),
    }
}
