//! What the machine takes in and what it gives out.

use std::sync::Arc;
use std::time::Instant;

use crate::error::Error;
use crate::info::{Credentials, PartnerRequest, Routing};
use crate::token::UserToken;

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Step {
    /// The get is over.
    Answer(Result<Credentials, Error>),
    /// Ask the resolvers for all of this, hand the result to [`Retrieval::handle_outcome`], step
    /// again.
    Retrieve(PartnerRequest),
    /// Ask the agent for all of this, hand the result to [`Retrieval::handle_agent`], step again.
    ///
    /// [`Retrieval::handle_agent`]: super::Retrieval::handle_agent
    Ask(PartnerRequest),
    /// Read the processes that hold this socket, hand the result to [`Retrieval::handle_token`],
    /// step again.
    Read(Holding),
    /// Ask for the name of this uid, hand the result to [`Retrieval::handle_name`], step again.
    Name(u32),
    /// Step again at this instant, or when what was pending is there; without an instant, only then.
    Wait(Option<Instant>),
}

/// What the resolvers came to.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Found(Found),
    /// The partner's end exists and has no owner yet.
    NotYetAccepted,
    Failed(Error),
    /// The kernel does not tell all of it; the agent of this host may.
    Elsewhere(Elsewhere),
}

/// What is known where the agent is to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    /// What stands where there is no agent; never a question itself.
    pub(crate) without: Box<Outcome>,
    /// The owner of the partner's socket, where the kernel has proven it: an agent that says
    /// otherwise speaks of another connection, and one that says nothing is not needed.
    pub(crate) owner: Option<u32>,
}

/// What asking the agent came to.
#[derive(Debug)]
pub(crate) enum AgentSays {
    Outcome(Outcome),
    /// It was asked, and whoever waits is woken.
    Pending,
    /// It could not be asked now.
    Busy,
    /// There is none.
    Absent,
}

/// A verified answer of the resolvers, without names.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The socket's owner, where it was asked for.
    pub(crate) uid: Option<u32>,
    /// What the partner's host calls it, where that is another image: this one's name for the same
    /// number would be somebody else's.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) routing: Routing,
    pub(crate) token: TokenState,
}

/// How far the token of a found partner is.
#[derive(Clone, Debug)]
pub(crate) enum TokenState {
    NotAskedFor,
    /// The processes that hold this socket are still to be read.
    ToRead(Holding),
    Read(UserToken),
}

/// A proven socket of the partner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) uid: u32,
    pub(crate) inode: u32,
    pub(crate) cgroup: Option<u64>,
}

/// What reading the processes came to.
#[derive(Debug)]
pub(crate) enum TokenRead {
    Read(UserToken),
    /// It is being read, and whoever waits is woken.
    Pending,
    /// It could not be asked for now: too much is being read.
    Busy,
    /// This process went short of something for it. A token would lack what is there.
    Failed(Error),
}

/// What the name service came to.
#[derive(Clone, Debug)]
pub(crate) enum Name {
    Known(Option<Arc<str>>),
    Pending,
    Unavailable,
    /// Nobody is to be named: what is known of the user is its number.
    NotWanted,
}
