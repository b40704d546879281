//! What the agent of another host answers.

use prost::Message;

use super::super::answer::{named, user_name};
use super::super::{Malformed, Pids, Refused, parse, required, token};
use super::{End, MAX_FRAME, frame, wire};
use crate::info::PartnerRequest;
use crate::token::{Uid, UserToken};

/// An answer to the question of the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) outcome: Outcome,
}

/// Where something is told of the asked side's end, its numbers come along: the asker believes it
/// only when it has proven with them that the two ends are those of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Told {
        told: Told,
        end: End,
    },
    /// No process has accepted the asked side's end yet: ask again.
    NotYetAccepted {
        end: End,
    },
    Refused(Refused),
}

/// Who holds the asked side's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) user: Option<Uid>,
    /// What the asked host calls that user.
    pub(crate) name: Option<String>,
    /// The token of that very user; there is none without the user. One that was decoded is marked
    /// as remote, and its pids mean nothing here.
    pub(crate) token: Option<UserToken>,
}

impl Answer {
    /// Appends it as a frame. Of a token that is too long the last holders are left out, and it says
    /// so.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let outcome = match &self.outcome {
            Outcome::Told { told, end } => wire::Outcome::Told(wire::Told {
                user: told.user.map(Uid::as_raw),
                token: told.token.as_ref().map(token::to_wire),
                end: Some(end.to_wire()),
                user_name: told.name.as_deref().and_then(user_name).map(str::to_owned),
            }),
            Outcome::NotYetAccepted { end } => {
                wire::Outcome::NotYetAccepted(wire::NotYetAccepted { end: Some(end.to_wire()) })
            }
            Outcome::Refused(refused) => wire::Outcome::Refused(refused.to_wire()),
        };
        let mut answer = wire::Answer { number: Some(self.number), outcome: Some(outcome) };
        let length = answer.encoded_len();
        if let Some(excess @ 1..) = length.checked_sub(MAX_FRAME)
            && let Some(wire::Outcome::Told(wire::Told { token: Some(token), .. })) =
                &mut answer.outcome
        {
            token::shorten(token, excess);
        }
        frame::put(out, &answer);
    }

    /// The answer in the bytes of a frame.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let answer: wire::Answer = parse(bytes)?;
        let number = required(answer.number, "a number")?;
        let outcome = match required(answer.outcome, "an outcome")? {
            wire::Outcome::Told(mut told) => {
                let end = End::from_wire(told.end.take())?;
                Outcome::Told { told: Told::from_wire(told)?, end }
            }
            wire::Outcome::NotYetAccepted(wire::NotYetAccepted { end }) => {
                Outcome::NotYetAccepted { end: End::from_wire(end)? }
            }
            wire::Outcome::Refused(refused) => Outcome::Refused(Refused::from_wire(refused)?),
        };
        Ok(Self { number, outcome })
    }
}

impl Told {
    /// Whether this tells what was requested: all of it, and nothing else.
    pub(crate) fn fits(&self, request: PartnerRequest) -> bool {
        self.user.is_some() != request.is_empty()
            && self.token.is_some() == request.contains(PartnerRequest::UTOKEN)
            && self.token.as_ref().is_none_or(|token| self.user == Some(token.user()))
    }

    fn from_wire(told: wire::Told) -> Result<Self, Malformed> {
        let user = told.user.map(token::user).transpose()?;
        let token = match told.token {
            None => None,
            Some(token) => {
                let mut token = token::from_wire(token, Pids::Foreign)?;
                // To its sender it was at home.
                token.set_remote();
                Some(token)
            }
        };
        if token.as_ref().is_some_and(|token| user != Some(token.user())) {
            return Err(Malformed::new("a token of the user that is told expected"));
        }
        let name = named(told.user_name)?;
        if name.is_some() && user.is_none() {
            return Err(Malformed::new("a name only of a user that is told expected"));
        }
        Ok(Self { user, name, token })
    }
}
