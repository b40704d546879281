//! What is recorded: who asked what, what was told, and by which rule.

use std::fmt::Display;
use std::net::IpAddr;

use crate::agent::subject::{Connection, Peer};
use crate::info::{PartnerRequest, Routing};
use crate::token::{Holder, HoldersGap};

/// One question and what came of it.
pub(crate) struct Record<'a> {
    pub(crate) asker: Asker<'a>,
    /// `None`: no TCP socket came with the question.
    pub(crate) connection: Option<Connection>,
    /// `None`: the question could not be read.
    pub(crate) request: Option<PartnerRequest>,
    pub(crate) told: Verdict<'a>,
    /// The rule of the policy that decided; `None` where it was not asked.
    pub(crate) rule: Option<&'a dyn Display>,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker<'a> {
    /// A program of this host.
    Caller(Peer),
    /// The agent of another host, proven.
    Host {
        /// The host's name in its certificate.
        name: &'a str,
        address: IpAddr,
    },
    /// Whoever has connected to port 113.
    #[cfg(feature = "ident")]
    Ident {
        address: IpAddr,
        /// The user, where it is one of this host, proven.
        user: Option<u32>,
        /// What was answered.
        answer: &'a str,
    },
}

/// What another host did that came to no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerEvent<'a> {
    /// The host's name in its certificate; `None`: it is not proven.
    pub(crate) host: Option<&'a str>,
    pub(crate) address: IpAddr,
    pub(crate) event: Event,
    /// A short name that stays the same, such as `untrusted`.
    pub(crate) kind: &'a str,
    pub(crate) text: &'a str,
    /// Events that came before this one, and were too many to be recorded.
    pub(crate) left_out: u64,
}

/// The kinds of [`PeerEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    HandshakeFailed,
    ConnectionRefused,
    QuestionRefused,
    /// At port 113.
    #[cfg(feature = "ident")]
    IdentRefused,
}

/// What the asker was told.
pub(crate) enum Verdict<'a> {
    /// Where the partner is, and what else was asked for.
    Told {
        /// `None`: not asked for.
        user: Option<u32>,
        routing: Routing,
        /// `None`: not asked for.
        token: Option<ToldToken<'a>>,
    },
    /// Nothing.
    Refused {
        /// A short name that stays the same, such as `not-authorized`.
        kind: &'a str,
        /// A short name that stays the same, such as `partner-gone`.
        reason: Option<&'a str>,
        text: &'a str,
    },
    /// Nothing but that no process has accepted the partner's end yet.
    NotYet,
}

/// The part of a token that a record repeats.
pub(crate) struct ToldToken<'a> {
    pub(crate) holders: &'a [Holder],
    pub(crate) gap: Option<HoldersGap>,
}

impl Verdict<'_> {
    /// The name of the event, which stays the same.
    pub(super) fn event(&self) -> &'static str {
        match self {
            Self::Told { .. } => "disclosure",
            Self::Refused { .. } => "refusal",
            Self::NotYet => "not-yet-accepted",
        }
    }
}

impl Event {
    /// The name of the event, which stays the same.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::HandshakeFailed => "handshake-failed",
            Self::ConnectionRefused => "connection-refused",
            Self::QuestionRefused => "question-refused",
            #[cfg(feature = "ident")]
            Self::IdentRefused => "ident-refused",
        }
    }
}

/// The names of what was asked for.
pub(super) fn asked(request: PartnerRequest) -> Vec<&'static str> {
    let names = [(PartnerRequest::USER_ID, "user-id"), (PartnerRequest::UTOKEN, "utoken")];
    names.iter().filter(|(flag, _)| request.contains(*flag)).map(|(_, name)| *name).collect()
}
