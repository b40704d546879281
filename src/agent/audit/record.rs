//! What is recorded: who asked what, what was told, and by which rule.

use std::fmt::Display;

use crate::agent::subject::{Connection, Peer};
use crate::info::{PartnerRequest, Routing};
use crate::token::{Holder, HoldersGap};

/// One question and what came of it.
pub(crate) struct Record<'a> {
    pub(crate) peer: Peer,
    /// `None`: no TCP socket came with the question.
    pub(crate) connection: Option<Connection>,
    /// `None`: the question could not be read.
    pub(crate) request: Option<PartnerRequest>,
    pub(crate) told: Verdict<'a>,
    /// The rule of the policy that decided; `None` where it was not asked.
    pub(crate) rule: Option<&'a dyn Display>,
}

/// What a caller was told.
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

/// The names of what was asked for.
pub(super) fn asked(request: PartnerRequest) -> Vec<&'static str> {
    let names = [(PartnerRequest::USER_ID, "user-id"), (PartnerRequest::UTOKEN, "utoken")];
    names.iter().filter(|(flag, _)| request.contains(*flag)).map(|(_, name)| *name).collect()
}
