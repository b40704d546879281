//! A caller's question, carried to the agent of the partner's host.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Hosts;
use crate::agent::lookup::{Asked, Lookup};
use crate::agent::metrics::Metrics;
use crate::agent::peers::{Answered, AskError, Key};
use crate::error::{Error, ErrorKind, Reason};
use crate::info::{PartnerRequest, Routing};
use crate::protocol::peers::{Outcome, Question};
use crate::protocol::{Refused, Told};
use crate::token::HolderSearch;

/// What is asked of another host.
pub(crate) struct Wanted {
    pub(crate) request: PartnerRequest,
    pub(crate) search: HolderSearch,
    pub(crate) timeout: Duration,
    /// By the policy of this host.
    pub(crate) domain: String,
}

/// What the other host came to; believed only where its end was proven to be the partner's.
#[derive(Debug)]
pub(crate) enum Afar {
    Told(Told),
    NotYetAccepted,
}

impl Hosts {
    /// Asks the agent at the partner's address who the partner is.
    pub(crate) async fn ask(
        &self,
        lookup: &Lookup,
        asked: &Asked,
        wanted: Wanted,
        metrics: &Metrics,
    ) -> Result<Afar, Error> {
        let Wanted { request, search, timeout, domain } = wanted;
        let connection = asked.connection;
        let canonical =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (local, remote) = (canonical(connection.local), canonical(connection.remote));
        let before = lookup.own_end(asked)?;
        let question = Question {
            number: 1,
            asked: remote,
            asker: local,
            request,
            search,
            timeout,
            domain: Some(domain),
            end: before.into(),
        };
        let key = Key { namespace: connection.namespace, local: local.ip(), remote: remote.ip() };
        let answered = self.peers.ask(key, question).await;
        metrics.host_question_ended(answered.as_ref().map_or_else(unasked, outcome));
        let answered = answered.map_err(|error| failed(&error))?;
        if answered.by.has_expired() {
            // Another connection asks for another certificate.
            self.peers.leave_one(key);
            return Err(Error::agent(
                "the certificate of the partner's host has expired since it was connected to; renew \
                 it there",
            ));
        }
        match answered.answer.outcome {
            Outcome::Told { told, end } => {
                lookup.prove(asked, before, end.into())?;
                if !told.fits(request) {
                    return Err(Error::agent(
                        "the partner's host answers what was not asked; see that the agents of both \
                         hosts are of versions that go together",
                    ));
                }
                let routing = Routing::SAME_CLUSTER;
                Ok(Afar::Told(Told {
                    user: told.user,
                    name: told.name,
                    routing,
                    token: told.token,
                }))
            }
            Outcome::NotYetAccepted { end } => {
                lookup.prove(asked, before, end.into())?;
                Ok(Afar::NotYetAccepted)
            }
            Outcome::Refused(refused) => Err(refused_there(refused)),
        }
    }
}

/// Whether an address may be that of another host.
pub(crate) fn is_afar(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_link_local())
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unicast_link_local())
        }
    }
}

/// Short names that stay the same, for metrics.
fn outcome(answered: &Answered) -> &'static str {
    match answered.answer.outcome {
        Outcome::Told { .. } => "told",
        Outcome::NotYetAccepted { .. } => "not_yet_accepted",
        Outcome::Refused(_) => "refused",
    }
}

fn unasked(error: &AskError) -> &'static str {
    match error {
        AskError::Unreachable(_) => "unreachable",
        AskError::Untrusted(_) => "untrusted",
        AskError::SecurityDomain => "security_domain",
        AskError::TimedOut => "timed_out",
        AskError::Busy => "busy",
        AskError::Lost(_) => "lost",
        AskError::Failed(_) => "failed",
    }
}

fn failed(error: &AskError) -> Error {
    match error {
        AskError::SecurityDomain => Error::new(ErrorKind::SecurityDomain),
        AskError::TimedOut => Error::new(ErrorKind::TimedOut),
        AskError::Unreachable(_)
        | AskError::Untrusted(_)
        | AskError::Busy
        | AskError::Lost(_)
        | AskError::Failed(_) => Error::agent(&error.to_string()),
    }
}

fn refused_there(refused: Refused) -> Error {
    match refused {
        Refused::NotAuthorized(text) => {
            Error::not_authorized(&format!("the partner's host refuses: {text}"))
        }
        Refused::SecurityDomain => Error::new(ErrorKind::SecurityDomain),
        Refused::NotConnected => Error::unidentified(Reason::PartnerGone),
        Refused::NotTcp => Error::unidentified(Reason::Unproven),
        Refused::Unidentified(reason) => Error::unidentified(reason),
        Refused::Failed(text) => Error::agent(&format!("the partner's host refuses: {text}")),
    }
}
