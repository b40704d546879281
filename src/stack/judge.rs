//! What the kernel's verdict comes to for one who asks.

use std::time::Instant;

use super::connection::Connected;
use super::{Resolver, Stack};
use crate::error::{Error, ErrorKind, Reason};
use crate::info::{PartnerRequest, Routing};
use crate::kernel::process::SocketOwner;
use crate::kernel::resolver::{self, Failure};
use crate::kernel::sys::{self, Socket};
use crate::kernel::verify::{Owner, Verdict};
use crate::retrieval::{Found, Holding, Outcome, TokenState};
use crate::token::Uid;

impl Stack {
    pub(super) fn resolve(
        &self,
        socket: Socket<'_>,
        at: Connected,
        what: PartnerRequest,
        now: Instant,
    ) -> Outcome {
        if !self.has(Resolver::Kernel) {
            let nobody = Error::unsupported("this stack was built without a resolver that answers");
            return self.elsewhere(Outcome::Failed(nobody), None, now);
        }
        let connected = resolver::Connected { cookie: at.key.cookie, remote: at.remote };
        let elsewhere = || self.may_ask_agent(now);
        match resolver::resolve(socket, connected, self.inner().trust_hidden_translation, elsewhere)
        {
            Ok(verdict) => self.judge(verdict, what, now),
            Err(failure @ Failure::Unsupported) => {
                self.elsewhere(Outcome::Failed(failed(failure)), None, now)
            }
            Err(failure @ Failure::Io { .. }) => Outcome::Failed(failed(failure)),
        }
    }

    fn judge(&self, verdict: Verdict, what: PartnerRequest, now: Instant) -> Outcome {
        let refused = |error| Outcome::Failed(error);
        match verdict {
            Verdict::Partner(owner) => self.found(owner, what, now),
            Verdict::NotYetAccepted if what.is_empty() => Outcome::Found(SAME_STACK),
            Verdict::NotYetAccepted => Outcome::NotYetAccepted,
            // Where nobody knows more, the cluster is this stack, and the partner is not in it.
            Verdict::NotInThisStack => {
                let without = match what.is_empty() {
                    true => Outcome::Found(Found { routing: Routing::NONE, ..SAME_STACK }),
                    false => refused(Error::unidentified(Reason::NotInThisStack)),
                };
                self.elsewhere(without, None, now)
            }
            // An agent has the right, or goes to the place, that this thread lacks.
            Verdict::Refused(reason @ (Reason::TranslationHidden | Reason::OtherNamespace)) => {
                self.elsewhere(refused(Error::unidentified(reason)), None, now)
            }
            Verdict::Refused(reason) => refused(Error::unidentified(reason)),
            Verdict::NotConnected => refused(Error::new(ErrorKind::NotConnected)),
            Verdict::NotTcp => refused(Error::new(ErrorKind::NotTcp)),
            Verdict::Unsupported => refused(Error::unsupported(
                "this kernel's sock_diag does not show TCP sockets (tcp_diag is missing)",
            )),
            Verdict::Failed(errno) => refused(Error::io("look up the partner's socket", errno)),
        }
    }

    /// The kernel has proven the owner.
    fn found(&self, owner: Owner, what: PartnerRequest, now: Instant) -> Outcome {
        let Owner { uid, inode, cgroup } = owner;
        let found = |token| {
            let uid = (!what.is_empty()).then_some(uid);
            Outcome::Found(Found { uid, name: None, routing: Routing::SAME_STACK, token })
        };
        if !what.contains(PartnerRequest::UTOKEN) {
            return found(TokenState::NotAskedFor);
        }
        let holding = Holding { uid, inode, cgroup };
        let at_a_glance = || self.inner().tokens.at_a_glance(&socket_owner(holding)?);
        if let Some(token) = at_a_glance() {
            return found(TokenState::Read(token));
        }
        let here = found(TokenState::ToRead(holding));
        if sys::may_read_others() { here } else { self.elsewhere(here, Some(uid), now) }
    }
}

pub(super) fn failed(failure: Failure) -> Error {
    match failure {
        Failure::Unsupported => Error::unsupported(
            "this kernel, or the sandbox around this process, answers no NETLINK_SOCK_DIAG question",
        ),
        Failure::Io { doing, errno } => Error::io(doing, errno),
    }
}

pub(super) fn socket_owner(holding: Holding) -> Option<SocketOwner> {
    let owner = SocketOwner::new(holding.inode.into(), Uid::new(holding.uid)?)?;
    Some(match holding.cgroup {
        Some(id) => owner.in_cgroup(id),
        None => owner,
    })
}

/// Routing alone.
const SAME_STACK: Found =
    Found { uid: None, name: None, routing: Routing::SAME_STACK, token: TokenState::NotAskedFor };
