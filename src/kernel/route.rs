//! Asking the routing table whether an address is this stack's own, and on which interface.
//!
//! Needed only where no socket was found: a partner that bound its socket to a device is found
//! with the interface that holds its address, and a local address without a socket is a sign of
//! address translation.
//!
//! Source: rtnetlink(7), `RTM_F_FIB_MATCH` in `include/uapi/linux/rtnetlink.h`.

use std::net::IpAddr;

use super::netlink::{self, Header};

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_F_FIB_MATCH: u32 = 0x2000;
const RTN_LOCAL: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
/// `struct rtmsg`.
const MESSAGE_LEN: usize = 12;
/// Where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of this stack's own, on the interface with this index.
    Local(u32),
    /// Elsewhere, or nowhere.
    NotLocal,
}

/// One `RTM_GETROUTE` request for `ip`.
pub(crate) fn encode(ip: IpAddr, seq: u32) -> Vec<u8> {
    let (family, prefix, address) = match ip {
        IpAddr::V4(ip) => (2, 32, ip.octets().to_vec()),
        IpAddr::V6(ip) => (10, 128, ip.octets().to_vec()),
    };
    // rtm_family, rtm_dst_len, src_len, tos, table, protocol, scope, type; rtm_flags
    let mut body = vec![family, prefix, 0, 0, 0, 0, 0, 0];
    body.extend(RTM_F_FIB_MATCH.to_ne_bytes());
    body.extend(netlink::attribute(RTA_DST, &address));
    netlink::request(RTM_GETROUTE, seq, &body)
}

/// Decodes the reply; `None` where it is none. An errno means that no route leads there.
pub(crate) fn decode(datagram: &[u8]) -> Option<(u32, Place)> {
    let (header, body) = Header::split(datagram)?;
    if header.error(body).is_some() {
        return Some((header.seq, Place::NotLocal));
    }
    if header.kind != RTM_NEWROUTE {
        return None;
    }
    let [kind] = netlink::array::<1>(body, 7)?;
    if kind != RTN_LOCAL {
        return Some((header.seq, Place::NotLocal));
    }
    let device = netlink::attributes(body.get(MESSAGE_LEN..)?)
        .find(|(kind, _)| *kind == RTA_OIF)
        .and_then(|(_, value)| netlink::array(value, 0))
        .map(u32::from_ne_bytes)?;
    Some((header.seq, Place::Local(device)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply of Linux 6.18 for 127.0.0.1 with RTM_F_FIB_MATCH.
    fn reply(kind: u8, oif: u32) -> Vec<u8> {
        let mut body = vec![2, 8, 0, 0, 255, 2, 254, kind, 0, 0, 0, 0];
        body.extend(netlink::attribute(15, &255_u32.to_ne_bytes()));
        body.extend(netlink::attribute(RTA_OIF, &oif.to_ne_bytes()));
        netlink::request(RTM_NEWROUTE, 9, &body)
    }

    #[test]
    fn tells_local_from_the_rest() {
        assert_eq!(decode(&reply(RTN_LOCAL, 7)), Some((9, Place::Local(7))));
        assert_eq!(decode(&reply(1, 7)), Some((9, Place::NotLocal)));
    }

    #[test]
    fn every_cut_reply_is_none() {
        let whole = reply(RTN_LOCAL, 7);
        for cut in 0..whole.len() {
            assert_eq!(decode(&whole[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn requests_have_the_length_they_say() {
        for ip in ["127.0.0.1", "::1"] {
            let bytes = encode(ip.parse().unwrap(), 3);
            let said = u32::from_ne_bytes(bytes[..4].try_into().unwrap());
            assert_eq!(usize::try_from(said).unwrap(), bytes.len());
        }
    }
}
