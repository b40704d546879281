//! What the agent of one host asks the agent of another.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::super::names::{self, Came};
use super::super::question::{domain_name, milliseconds, request};
use super::super::{Malformed, parse, required};
use super::{End, NOBODY_S, frame, wire};
use crate::info::PartnerRequest;
use crate::token::HolderSearch;

/// Who holds your end of this TCP connection between the two of us?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Chosen by who sends it; comes back in the answer. Never [`NOBODY_S`].
    pub(crate) number: u64,
    /// The end on the host that is asked. Both ends are in canonical form: an IPv4-mapped IPv6
    /// address is an IPv4 address; flow and scope are not told.
    pub(crate) asked: SocketAddr,
    /// The end on the host that asks.
    pub(crate) asker: SocketAddr,
    pub(crate) request: PartnerRequest,
    pub(crate) search: HolderSearch,
    /// How long the asker waits from now on; exact to a millisecond on the wire.
    pub(crate) timeout: Duration,
    /// The security domain by the asker's policy; `None`: it defines none.
    pub(crate) domain: Option<String>,
    /// What the asker's end has sent and received.
    pub(crate) end: End,
}

impl Question {
    /// Appends it as a frame, with this number and this time to wait.
    pub(crate) fn put(&self, number: u64, timeout: Duration, out: &mut Vec<u8>) {
        let question = wire::Question {
            number: Some(number),
            asked: Some(endpoint_to_wire(self.asked)),
            asker: Some(endpoint_to_wire(self.asker)),
            request: Some(self.request.bits().into()),
            search: Some(names::search_number(self.search)),
            timeout_milliseconds: Some(milliseconds(timeout)),
            domain: self.domain.clone(),
            end: Some(self.end.to_wire()),
        };
        frame::put(out, &question);
    }

    /// The question in the bytes of a frame.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let question: wire::Question = parse(bytes)?;
        let number = required(question.number, "a number")?;
        if number == NOBODY_S {
            return Err(Malformed::new("a number other than 0 expected"));
        }
        let asked = endpoint_from_wire(question.asked, "the end that is asked about")?;
        let asker = endpoint_from_wire(question.asker, "the end of the asker")?;
        if asked.is_ipv4() != asker.is_ipv4() {
            return Err(Malformed::new("two ends of one address family expected"));
        }
        let timeout = required(question.timeout_milliseconds, "a timeout")?;
        let search = required(question.search, "how far to search")?;
        let search = match names::search(search) {
            Came::Known(search) => search,
            Came::Unspecified | Came::Newer => {
                return Err(Malformed::new(format!("a search 1 or 2 expected, {search} came")));
            }
        };
        Ok(Self {
            number,
            asked,
            asker,
            request: request(required(question.request, "a request")?)?,
            search,
            timeout: Duration::from_millis(timeout),
            domain: question.domain.map(domain_name).transpose()?,
            end: End::from_wire(question.end)?,
        })
    }
}

fn endpoint_to_wire(endpoint: SocketAddr) -> wire::Endpoint {
    let port = Some(endpoint.port().into());
    match endpoint.ip().to_canonical() {
        IpAddr::V4(address) => wire::Endpoint { ipv4: Some(address.to_bits()), ipv6: None, port },
        IpAddr::V6(address) => {
            wire::Endpoint { ipv4: None, ipv6: Some(address.octets().to_vec()), port }
        }
    }
}

fn endpoint_from_wire(
    endpoint: Option<wire::Endpoint>,
    what: &str,
) -> Result<SocketAddr, Malformed> {
    let endpoint = required(endpoint, what)?;
    let address = match (endpoint.ipv4, endpoint.ipv6) {
        (Some(bits), None) => IpAddr::V4(Ipv4Addr::from_bits(bits)),
        (None, Some(bytes)) => {
            let bytes = <[u8; 16]>::try_from(bytes).map_err(|bytes| {
                let length = bytes.len();
                Malformed::new(format!("an IPv6 address of 16 bytes expected, {length} came"))
            })?;
            IpAddr::from(bytes)
        }
        (None, None) | (Some(_), Some(_)) => return Err(Malformed::new("one address expected")),
    };
    // One form of each address, so that two that are equal compare as equal.
    if address.to_canonical() != address {
        return Err(Malformed::new("an IPv4 address as such expected, one mapped into IPv6 came"));
    }
    let port = required(endpoint.port, "a port")?;
    match u16::try_from(port) {
        Ok(port @ 1..) => Ok(SocketAddr::new(address, port)),
        Ok(0) | Err(_) => Err(Malformed::new(format!("a port expected, {port} came"))),
    }
}
