//! What the agent answers.

use prost::Message;

use super::names::{self, Came};
use super::{MAX_ANSWER, Malformed, VERSION, read, required, token, wire};
use crate::error::Reason;
use crate::info::{PartnerRequest, Routing};
use crate::token::{Uid, UserToken};

/// Characters that the text of a refusal has at most.
const MAX_TEXT: usize = 2_000;

/// An answer to the question of the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    /// `SO_COOKIE` of the socket that was passed, as the agent read it; `None` where there was
    /// none to read.
    pub(crate) cookie: Option<u64>,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Told(Told),
    /// The partner's end is there, and no process has accepted it yet: ask again.
    NotYetAccepted,
    Refused(Refused),
}

/// The partner, proven by the agent's kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) user: Option<Uid>,
    /// What the partner\'s host calls that user; only where the partner is on another host.
    pub(crate) name: Option<String>,
    /// Never empty: there was a connection.
    pub(crate) routing: Routing,
    /// The token of that very user; there is none without the user.
    pub(crate) token: Option<UserToken>,
}

/// Why nothing is told.
///
/// Texts go to logs and terminals: control characters are replaced when they are encoded and
/// malformed when they are decoded, and 2,000 characters are the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Who asked, for what, and which rule decided.
    NotAuthorized(String),
    SecurityDomain,
    NotConnected,
    NotTcp,
    Unidentified(Reason),
    /// The kernel of the agent cannot answer, a system call of it failed, a limit was reached, or
    /// the question broke a rule: what happened and what to do.
    Failed(String),
}

/// Whether a holder's pid means something to who decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pids {
    /// The agent runs on this image and in our pid namespace.
    Ours,
    /// They are those of another image or another pid namespace.
    Foreign,
}

impl Answer {
    /// The bytes, at most [`MAX_ANSWER`] of them.
    ///
    /// Of a token that is too long the last holders are left out, and it says so. Whether an
    /// account has the user's number is not sent: who asks has names of its own.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let outcome = match &self.outcome {
            Outcome::Told(told) => wire::Outcome::Told(told.to_wire()),
            Outcome::NotYetAccepted => wire::Outcome::NotYetAccepted(wire::NotYetAccepted {}),
            Outcome::Refused(refused) => wire::Outcome::Refused(refused.to_wire()),
        };
        let mut answer = wire::Answer {
            version: Some(VERSION),
            number: Some(self.number),
            cookie: self.cookie,
            outcome: Some(outcome),
        };
        let length = answer.encoded_len();
        if let Some(excess) = length.checked_sub(MAX_ANSWER)
            && let Some(wire::Outcome::Told(wire::Told { token: Some(token), .. })) =
                &mut answer.outcome
        {
            token::shorten(token, excess);
        }
        answer.encode_to_vec()
    }

    /// The answer in these bytes.
    pub(crate) fn decode(bytes: &[u8], pids: Pids) -> Result<Self, Malformed> {
        let answer: wire::Answer = read(bytes, MAX_ANSWER)?;
        let number = required(answer.number, "a number")?;
        let outcome = match required(answer.outcome, "an outcome")? {
            wire::Outcome::Told(told) => Outcome::Told(Told::from_wire(told, pids)?),
            wire::Outcome::NotYetAccepted(wire::NotYetAccepted {}) => Outcome::NotYetAccepted,
            wire::Outcome::Refused(refused) => Outcome::Refused(Refused::from_wire(refused)?),
        };
        Ok(Self { number, cookie: answer.cookie, outcome })
    }
}

impl Told {
    /// Whether this tells what was requested: all of it, and nothing else.
    pub(crate) fn fits(&self, request: PartnerRequest) -> bool {
        self.user.is_some() != request.is_empty()
            && self.token.is_some() == request.contains(PartnerRequest::UTOKEN)
            && self.is_valid()
    }

    fn is_valid(&self) -> bool {
        let token_is_the_users =
            self.token.as_ref().is_none_or(|token| self.user == Some(token.user()));
        // Two hosts may call one number by two names: this host's names are who asks's to look up.
        let name_is_of_afar = self.name.is_none()
            || (self.user.is_some() && !self.routing.contains(Routing::SAME_IMAGE));
        token_is_the_users && name_is_of_afar && is_place(self.routing)
    }

    fn to_wire(&self) -> wire::Told {
        wire::Told {
            user: self.user.map(Uid::as_raw),
            routing: Some(self.routing.bits().into()),
            token: self.token.as_ref().map(token::to_wire),
            user_name: self.name.as_deref().and_then(user_name).map(str::to_owned),
        }
    }

    fn from_wire(told: wire::Told, pids: Pids) -> Result<Self, Malformed> {
        let user = told.user.map(token::user).transpose()?;
        let bits = required(told.routing, "routing")?;
        let routing = u8::try_from(bits).ok().and_then(Routing::from_bits);
        let routing = routing.filter(|routing| is_place(*routing)).ok_or_else(|| {
            Malformed::new(format!(
                "routing of at least one of the bits {:#x} expected, {bits:#x} came",
                Routing::all().bits()
            ))
        })?;
        let token = told.token.map(|token| token::from_wire(token, pids)).transpose()?;
        let name = named(told.user_name)?;
        let told = Self { user, name, routing, token };
        if !told.is_valid() {
            return Err(Malformed::new(
                "a token of the user that is told expected, and a name only of one of another host",
            ));
        }
        Ok(told)
    }
}

/// Bytes of a user's name at most.
const MAX_NAME: usize = 256;

/// The name, if it is one that is told.
pub(super) fn user_name(name: &str) -> Option<&str> {
    let fits = (1..=MAX_NAME).contains(&name.len()) && !name.contains(char::is_control);
    fits.then_some(name)
}

pub(super) fn named(name: Option<String>) -> Result<Option<String>, Malformed> {
    match name {
        Some(name) if user_name(&name).is_none() => Err(Malformed::new(format!(
            "a user's name of 1 to {MAX_NAME} bytes without control characters expected"
        ))),
        name => Ok(name),
    }
}

fn is_place(routing: Routing) -> bool {
    !routing.is_empty() && Routing::all().contains(routing)
}

impl Refused {
    pub(super) fn to_wire(&self) -> wire::Refused {
        let (kind, text, reason) = match self {
            Self::NotAuthorized(text) => (wire::Refusal::NotAuthorized, Some(text), None),
            Self::SecurityDomain => (wire::Refusal::SecurityDomain, None, None),
            Self::NotConnected => (wire::Refusal::NotConnected, None, None),
            Self::NotTcp => (wire::Refusal::NotTcp, None, None),
            Self::Unidentified(reason) => (wire::Refusal::Unidentified, None, Some(*reason)),
            Self::Failed(text) => (wire::Refusal::Failed, Some(text), None),
        };
        wire::Refused {
            kind: Some(kind.into()),
            text: text.map(|text| fit_to_show(text)),
            reason: reason.map(names::reason_number),
        }
    }

    pub(super) fn from_wire(refused: wire::Refused) -> Result<Self, Malformed> {
        match wire::Refusal::try_from(required(refused.kind, "a kind of refusal")?) {
            Ok(wire::Refusal::NotAuthorized) => Ok(Self::NotAuthorized(shown(refused.text)?)),
            Ok(wire::Refusal::SecurityDomain) => Ok(Self::SecurityDomain),
            Ok(wire::Refusal::NotConnected) => Ok(Self::NotConnected),
            Ok(wire::Refusal::NotTcp) => Ok(Self::NotTcp),
            Ok(wire::Refusal::Unidentified) => {
                match names::reason(required(refused.reason, "a reason")?) {
                    Came::Known(reason) => Ok(Self::Unidentified(reason)),
                    Came::Unspecified => Err(Malformed::new("a reason expected, 0 came")),
                    Came::Newer => Ok(newer("cannot identify the partner, for a reason")),
                }
            }
            Ok(wire::Refusal::Failed) => Ok(Self::Failed(shown(refused.text)?)),
            Ok(wire::Refusal::Unspecified) => {
                Err(Malformed::new("a kind of refusal expected, 0 came"))
            }
            Err(_) => Ok(newer("refuses for a cause")),
        }
    }
}

fn newer(does: &str) -> Refused {
    Refused::Failed(format!(
        "the agent {does} that this program does not know: partnerd is of a newer version; rebuild \
         the program with that version to be told"
    ))
}

/// On one line, of a bounded length.
fn fit_to_show(text: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(MAX_TEXT).map(visible).collect()
}

fn shown(text: Option<String>) -> Result<String, Malformed> {
    let text = required(text, "a text")?;
    let characters = text.chars().count();
    if characters > MAX_TEXT {
        return Err(Malformed::new(format!(
            "a text of at most {MAX_TEXT} characters expected, {characters} came"
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(Malformed::new("a text without control characters expected"));
    }
    Ok(text)
}
