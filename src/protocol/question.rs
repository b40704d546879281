//! What a program asks its host's agent.

use std::time::Duration;

use prost::Message;

use super::names::{self, Came};
use super::{MAX_QUESTION, Malformed, VERSION, read, required, wire};
use crate::info::PartnerRequest;
use crate::token::HolderSearch;

/// Characters that the name of a security domain has at most.
const MAX_DOMAIN: usize = 255;

/// Who is at the other end of the connection whose socket comes with these bytes?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Chosen by the asker; comes back in the answer.
    pub(crate) number: u64,
    pub(crate) request: PartnerRequest,
    pub(crate) search: HolderSearch,
    /// How long the asker waits; exact to a millisecond on the wire.
    pub(crate) timeout: Duration,
    /// The security domain by the asker's own policy file: `None` where it has no file and so
    /// nothing to compare, `Some(None)` where its file defines no domain. A name has 1 to 255
    /// printable ASCII characters, as the policy has it.
    pub(crate) domain: Option<Option<String>>,
}

impl Question {
    /// The bytes, at most [`MAX_QUESTION`] of them.
    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::Question {
            version: Some(VERSION),
            number: Some(self.number),
            request: Some(self.request.bits().into()),
            search: Some(names::search_number(self.search)),
            timeout_milliseconds: Some(milliseconds(self.timeout)),
            domain: self.domain.clone().map(|name| wire::AskerDomain { name }),
        }
        .encode_to_vec()
    }

    /// The question in these bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let question: wire::Question = read(bytes, MAX_QUESTION)?;
        let number = required(question.number, "a number")?;
        let request = request(required(question.request, "a request")?)?;
        let search = required(question.search, "how far to search")?;
        let search = match names::search(search) {
            Came::Known(search) => search,
            Came::Unspecified | Came::Newer => {
                return Err(Malformed::new(format!("a search 1 or 2 expected, {search} came")));
            }
        };
        let timeout = required(question.timeout_milliseconds, "a timeout")?;
        let domain = question.domain.map(|domain| domain.name.map(domain_name).transpose());
        Ok(Self {
            number,
            request,
            search,
            timeout: Duration::from_millis(timeout),
            domain: domain.transpose()?,
        })
    }
}

/// The number of a question of any version, even of one that is malformed otherwise, cut off, or
/// too long: so that it can be answered.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    let mut question = wire::Number::default();
    // What was read before an error stays. A number that came from nonsense answers nobody, but
    // zero may be the beginning of one that was not read.
    let whole = question.merge(bytes).is_ok();
    question.number.filter(|number| whole || *number != 0)
}

pub(super) fn request(bits: u32) -> Result<PartnerRequest, Malformed> {
    u8::try_from(bits).ok().and_then(PartnerRequest::from_bits).ok_or_else(|| {
        Malformed::new(format!(
            "a request of the bits {:#x} expected, {bits:#x} came",
            PartnerRequest::all().bits()
        ))
    })
}

/// Rounded up: zero alone does not wait.
pub(super) fn milliseconds(time: Duration) -> u64 {
    let whole = time.as_millis();
    let rest = !time.subsec_nanos().is_multiple_of(1_000_000);
    u64::try_from(whole).unwrap_or(u64::MAX).saturating_add(u64::from(rest))
}

pub(super) fn domain_name(name: String) -> Result<String, Malformed> {
    let characters = name.chars().count();
    if !(1..=MAX_DOMAIN).contains(&characters) {
        return Err(Malformed::new(format!(
            "a security domain of 1 to {MAX_DOMAIN} characters expected, {characters} came"
        )));
    }
    if !name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(Malformed::new("a security domain of printable ASCII characters expected"));
    }
    Ok(name)
}
