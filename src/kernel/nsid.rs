//! Namespaces known to one another by number. Bytes only.
//!
//! A network namespace may give others a number, which holds as long as both live. BPF programs
//! know namespaces by these.
//!
//! Source: `RTM_NEWNSID` and `RTM_GETNSID` in `net/core/net_namespace.c`,
//! `include/uapi/linux/net_namespace.h`.

use super::netlink::{self, Header};

const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
/// `struct rtgenmsg` with its padding; `AF_UNSPEC`.
const GENERIC: [u8; 4] = [0; 4];

/// Gives the namespace behind descriptor `fd` a number that the kernel chooses. Success is not
/// answered.
pub(crate) fn encode_new(fd: u32, seq: u32) -> Vec<u8> {
    const ANY: i32 = -1;
    let body = [
        GENERIC.to_vec(),
        netlink::attribute(NETNSA_NSID, &ANY.to_ne_bytes()),
        netlink::attribute(NETNSA_FD, &fd.to_ne_bytes()),
    ];
    netlink::request(RTM_NEWNSID, seq, &body.concat())
}

/// Asks for the number of the namespace behind descriptor `fd`.
pub(crate) fn encode_get(fd: u32, seq: u32) -> Vec<u8> {
    let body = [GENERIC.to_vec(), netlink::attribute(NETNSA_FD, &fd.to_ne_bytes())];
    netlink::request(RTM_GETNSID, seq, &body.concat())
}

/// Decodes the reply to [`encode_get`]: the number, or `None` where it has none.
pub(crate) fn decode(datagram: &[u8]) -> Option<(u32, Option<u32>)> {
    let (header, body) = Header::split(datagram)?;
    if header.error(body).is_some() {
        return Some((header.seq, None));
    }
    if header.kind != RTM_NEWNSID {
        return None;
    }
    let id = netlink::attributes(body.get(GENERIC.len()..)?)
        .find(|(kind, _)| *kind == NETNSA_NSID)
        .and_then(|(_, value)| netlink::array(value, 0))
        .map(i32::from_ne_bytes)?;
    // A namespace without a number has -1.
    Some((header.seq, u32::try_from(id).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(id: i32) -> Vec<u8> {
        let body = [GENERIC.to_vec(), netlink::attribute(NETNSA_NSID, &id.to_ne_bytes())];
        netlink::request(RTM_NEWNSID, 2, &body.concat())
    }

    #[test]
    fn no_number_is_not_the_number_zero() {
        assert_eq!(decode(&reply(7)), Some((2, Some(7))));
        assert_eq!(decode(&reply(0)), Some((2, Some(0))));
        assert_eq!(decode(&reply(-1)), Some((2, None)));
    }

    #[test]
    fn every_cut_reply_is_none() {
        let whole = reply(7);
        for cut in 0..whole.len() {
            assert_eq!(decode(&whole[..cut]), None, "cut at {cut}");
        }
    }
}
