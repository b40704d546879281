//! Asking connection tracking whether it rewrote a connection's addresses (NAT, REDIRECT).
//!
//! Where it did, or may have, the addresses that this end sees need not be the partner's, and a
//! stranger's socket can have them: with a rule that redirects port 80 to 8080, one process
//! connects from port P to 80 and another from P to 8080; at the second the kernel, to keep the
//! two apart, rewrites P. The first then has the addresses that the second is looked up by.
//!
//! Source: `include/uapi/linux/netfilter/nfnetlink_conntrack.h`,
//! `nf_nat_l4proto_unique_tuple` in `net/netfilter/nf_nat_core.c`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Endpoint;
use super::netlink::{self, Header, attributes};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET`, and `IPCTNL_MSG_CT_NEW` of the reply.
const GET: u16 = 0x0101;
const NEW: u16 = 0x0100;
/// `struct nfgenmsg`.
const GENERIC_LEN: usize = 4;
const NESTED: u16 = 0x8000;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const IPPROTO_TCP: u8 = 6;

/// What connection tracking knows of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Translation {
    /// It does not track it, or has not rewritten it: both ends see the same addresses.
    None,
    /// It has rewritten an address or a port.
    Translated,
    /// It tracks it, and this process may not see how. `original` is the address that the
    /// connection was first made to.
    Hidden { original: Option<Endpoint> },
}

/// One request for the tracked connection between these two.
pub(crate) fn encode(local: Endpoint, remote: Endpoint, seq: u32) -> Vec<u8> {
    let addresses = match (local.ip, remote.ip) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => [
            attribute(CTA_IP_V4_SRC, &source.octets()),
            attribute(CTA_IP_V4_DST, &destination.octets()),
        ],
        (source, destination) => [
            attribute(CTA_IP_V6_SRC, &v6(source).octets()),
            attribute(CTA_IP_V6_DST, &v6(destination).octets()),
        ],
    };
    let ports = [
        attribute(CTA_PROTO_NUM, &[IPPROTO_TCP]),
        attribute(CTA_PROTO_SRC_PORT, &local.port.to_be_bytes()),
        attribute(CTA_PROTO_DST_PORT, &remote.port.to_be_bytes()),
    ];
    let tuple = [
        attribute(CTA_TUPLE_IP | NESTED, &addresses.concat()),
        attribute(CTA_TUPLE_PROTO | NESTED, &ports.concat()),
    ];
    let tuple = attribute(CTA_TUPLE_ORIG | NESTED, &tuple.concat());
    let family = if local.ip.is_ipv4() && remote.ip.is_ipv4() { 2 } else { 10 };
    let mut body = vec![family, 0, 0, 0];
    body.extend(tuple);
    netlink::request(GET, seq, &body)
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    netlink::attribute(kind, value)
}

/// What a reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Known(Translation),
    NotTracked,
    /// This errno: EPERM says that one may not ask.
    Failed(i32),
}

/// Decodes the reply about the connection between `local` and `remote`; `None` where it is none.
pub(crate) fn decode(datagram: &[u8], local: Endpoint, remote: Endpoint) -> Option<(u32, Reply)> {
    let (header, body) = Header::split(datagram)?;
    if let Some(errno) = header.error(body) {
        let reply = match errno {
            netlink::ENOENT => Reply::NotTracked,
            errno => Reply::Failed(errno),
        };
        return Some((header.seq, reply));
    }
    if header.kind != NEW {
        return None;
    }
    let body = body.get(GENERIC_LEN..)?;
    let original = tuple(nested(body, CTA_TUPLE_ORIG)?)?;
    let reply = tuple(nested(body, CTA_TUPLE_REPLY)?)?;
    let straight = reply == (original.1, original.0)
        && (original == (local, remote) || reply == (local, remote));
    let translation = if straight { Translation::None } else { Translation::Translated };
    Some((header.seq, Reply::Known(translation)))
}

fn nested(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// Source and destination.
fn tuple(bytes: &[u8]) -> Option<(Endpoint, Endpoint)> {
    let addresses = nested(bytes, CTA_TUPLE_IP)?;
    let ports = nested(bytes, CTA_TUPLE_PROTO)?;
    if nested(ports, CTA_PROTO_NUM)? != [IPPROTO_TCP] {
        return None;
    }
    let port = |kind| Some(u16::from_be_bytes(netlink::array(nested(ports, kind)?, 0)?));
    let v4 = |kind| {
        let bytes: [u8; 4] = netlink::array(nested(addresses, kind)?, 0)?;
        Some(IpAddr::V4(Ipv4Addr::from(bytes)))
    };
    let v6 = |kind| {
        let bytes: [u8; 16] = netlink::array(nested(addresses, kind)?, 0)?;
        Some(IpAddr::V6(Ipv6Addr::from(bytes)))
    };
    let source = v4(CTA_IP_V4_SRC).or_else(|| v6(CTA_IP_V6_SRC))?;
    let destination = v4(CTA_IP_V4_DST).or_else(|| v6(CTA_IP_V6_DST))?;
    Some((
        Endpoint { ip: source, port: port(CTA_PROTO_SRC_PORT)? },
        Endpoint { ip: destination, port: port(CTA_PROTO_DST_PORT)? },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse::<std::net::SocketAddr>().unwrap().into()
    }

    fn tuple_of(kind: u16, source: &str, destination: &str) -> Vec<u8> {
        // A request has one tuple, which is made as the kernel makes its two.
        let request = encode(endpoint(source), endpoint(destination), 0);
        let mut tuple = request[20..].to_vec();
        tuple[2..4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
        tuple
    }

    fn reply(original: (&str, &str), reply: (&str, &str)) -> Vec<u8> {
        let mut body = vec![2, 0, 0, 0];
        body.extend(tuple_of(CTA_TUPLE_ORIG, original.0, original.1));
        body.extend(tuple_of(CTA_TUPLE_REPLY, reply.0, reply.1));
        netlink::request(NEW, 5, &body)
    }

    const HERE: &str = "127.0.0.1:8080";
    const THERE: &str = "127.0.0.1:40000";

    #[test]
    fn h20_only_a_connection_that_both_ends_see_alike_is_untranslated() {
        let other_port = "127.0.0.1:80";
        let other_source = "127.0.0.1:44129";
        let table = [
            // accepted by us, made by us
            ((THERE, HERE), (HERE, THERE), Translation::None),
            ((HERE, THERE), (THERE, HERE), Translation::None),
            // redirected to us
            ((THERE, other_port), (HERE, THERE), Translation::Translated),
            // its source rewritten
            ((other_source, HERE), (HERE, THERE), Translation::Translated),
            // both, and made by us through a rule
            ((other_source, other_port), (HERE, THERE), Translation::Translated),
            ((HERE, other_port), (THERE, HERE), Translation::Translated),
            // straight, and not the connection that was asked about
            ((other_source, HERE), (HERE, other_source), Translation::Translated),
        ];
        for (original, answer, expected) in table {
            let decoded = decode(&reply(original, answer), endpoint(HERE), endpoint(THERE));
            assert_eq!(decoded, Some((5, Reply::Known(expected))), "{original:?} {answer:?}");
        }
    }

    #[test]
    fn h20_ipv6_too() {
        let (here, there) = ("[::1]:8080", "[::1]:40000");
        let straight = reply((there, here), (here, there));
        let decoded = decode(&straight, endpoint(here), endpoint(there));
        assert_eq!(decoded, Some((5, Reply::Known(Translation::None))));
        let redirected = reply((there, "[::1]:80"), (here, there));
        let decoded = decode(&redirected, endpoint(here), endpoint(there));
        assert_eq!(decoded, Some((5, Reply::Known(Translation::Translated))));
    }

    #[test]
    fn h25_every_cut_reply_is_none() {
        let whole = reply((THERE, HERE), (HERE, THERE));
        for cut in 0..whole.len() {
            let decoded = decode(&whole[..cut], endpoint(HERE), endpoint(THERE));
            assert_eq!(decoded, None, "cut at {cut}");
        }
    }
}
