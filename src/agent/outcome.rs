//! What a question comes to, in the words of the answer.

use super::lookup::{Found, Place};
use crate::error::{Error, ErrorKind, Reason};
use crate::info::{PartnerRequest, Routing};
use crate::kernel::verify::{Owner, Verdict};
use crate::protocol::{Refused, Told};

/// What a question comes to.
#[derive(Debug)]
pub(super) enum Ended {
    Told(Told),
    NotYetAccepted,
    Refused(Error),
}

/// What a verdict leaves to be told.
pub(super) enum Seen {
    Owner(Owner),
    NotYetAccepted,
    /// Nothing but where the partner is, or is not.
    Place,
}

pub(super) fn verdict(found: Found, request: PartnerRequest) -> Result<Seen, Error> {
    match found.verdict {
        Verdict::Partner(owner) => Ok(Seen::Owner(owner)),
        Verdict::NotYetAccepted => Ok(Seen::NotYetAccepted),
        Verdict::Refused(Reason::OutsideCluster) if request.is_empty() => Ok(Seen::Place),
        Verdict::Refused(reason) => Err(Error::unidentified(reason)),
        // Every stack that is looked at was looked at.
        Verdict::NotInThisStack => Err(Error::unidentified(Reason::OutsideCluster)),
        Verdict::NotConnected => Err(Error::new(ErrorKind::NotConnected)),
        Verdict::NotTcp => Err(Error::new(ErrorKind::NotTcp)),
        Verdict::Unsupported => Err(Error::unsupported(
            "this kernel's sock_diag does not show TCP sockets (tcp_diag is missing)",
        )),
        Verdict::Failed(errno) => Err(Error::io("look up the partner's socket", errno)),
    }
}

pub(super) fn routing(place: Place, in_cluster: bool) -> Routing {
    let same_image = Routing::SAME_IMAGE | Routing::INTERNAL;
    match place {
        Place::OwnStack => Routing::SAME_STACK,
        Place::OtherStack if in_cluster => same_image | Routing::SAME_CLUSTER,
        Place::OtherStack => same_image,
        Place::Unknown => Routing::NONE,
    }
}

/// What of an error goes to the caller.
pub(super) fn refused(error: &Error) -> Refused {
    match (error.kind(), error.reason()) {
        (ErrorKind::NotAuthorized, _) => Refused::NotAuthorized(error.to_string()),
        (ErrorKind::SecurityDomain, _) => Refused::SecurityDomain,
        (ErrorKind::NotConnected, _) => Refused::NotConnected,
        (ErrorKind::NotTcp, _) => Refused::NotTcp,
        (ErrorKind::Unidentified, Some(reason)) => Refused::Unidentified(reason),
        (
            ErrorKind::Unidentified
            | ErrorKind::NotRequested
            | ErrorKind::InProgress
            | ErrorKind::AlreadyInProgress
            | ErrorKind::TimedOut
            | ErrorKind::TooLate
            | ErrorKind::Unsupported
            | ErrorKind::Agent
            | ErrorKind::Io,
            _,
        ) => Refused::Failed(error.agents_words()),
    }
}
