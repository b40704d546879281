//! `NETLINK_SOCK_DIAG` messages: bytes to types and back. No input, no output.
//!
//! Source: sock_diag(7), `include/uapi/linux/inet_diag.h`, `net/ipv4/inet_diag.c`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Endpoint;
use super::netlink::{self, Header};

pub(super) const SOCK_DIAG_BY_FAMILY: u16 = 20;
pub(super) const AF_INET: u8 = 2;
pub(super) const AF_INET6: u8 = 10;
pub(super) const IPPROTO_TCP: u8 = 6;
/// "Any cookie": zero would be compared like any other value.
const INET_DIAG_NOCOOKIE: u32 = u32::MAX;
const INET_DIAG_CGROUP_ID: u16 = 21;

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
pub(crate) const REQUEST_LEN: usize = 72;
/// `struct inet_diag_msg`.
const MESSAGE_LEN: usize = 72;

/// The exact lookup of one socket by its own addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) local: Endpoint,
    pub(crate) remote: Endpoint,
    /// Interface index that a device-bound socket must match; an unbound one matches any.
    pub(crate) device: u32,
}

/// The kernel's answer to one exact lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A socket, and not always the one that was asked for: compare it.
    Found(Entry),
    /// `ENOENT`.
    NotFound,
    /// Another errno.
    Failed(i32),
}

/// One socket as the kernel's table shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) state: TcpState,
    pub(crate) local: Endpoint,
    pub(crate) remote: Endpoint,
    /// The interface the socket is bound to, 0 for none.
    pub(crate) device: u32,
    pub(crate) cookie: u64,
    /// Owner in terms of the netlink socket's user namespace. Means nothing where `inode` is 0.
    pub(crate) uid: u32,
    /// Inode of the descriptor's file, 0 where no descriptor exists: then nobody owns it.
    pub(crate) inode: u32,
    /// Inode number of the socket's directory in the cgroup v2 file system.
    pub(crate) cgroup: Option<u64>,
}

/// `enum` of `include/net/tcp_states.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TcpState {
    Established,
    SynSent,
    SynRecv,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    /// A state that this crate does not know: nothing is concluded from it.
    Other(u8),
}

impl TcpState {
    const fn from_kernel(value: u8) -> Self {
        match value {
            1 => Self::Established,
            2 => Self::SynSent,
            // 12 is TCP_NEW_SYN_RECV, which inet_diag shows as SYN_RECV.
            3 | 12 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            other => Self::Other(other),
        }
    }
}

/// A reply that is not what the protocol promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Encodes `query` as one request of [`REQUEST_LEN`] bytes.
pub(crate) fn encode(query: &Query, seq: u32) -> [u8; REQUEST_LEN] {
    let (family, local) = family_and_bytes(query.local.ip);
    let (_, remote) = family_and_bytes(query.remote.ip);
    let mut out = netlink::Buffer::<REQUEST_LEN>::new(SOCK_DIAG_BY_FAMILY, seq);
    // sdiag_family, sdiag_protocol, idiag_ext, pad; idiag_states is ignored in exact lookups.
    out.put(&[family, IPPROTO_TCP, 0, 0]);
    out.put(&u32::MAX.to_ne_bytes());
    out.put(&query.local.port.to_be_bytes());
    out.put(&query.remote.port.to_be_bytes());
    out.put(&local);
    out.put(&remote);
    out.put(&query.device.to_ne_bytes());
    out.put(&INET_DIAG_NOCOOKIE.to_ne_bytes());
    out.put(&INET_DIAG_NOCOOKIE.to_ne_bytes());
    out.finish()
}

/// Decodes one datagram from the kernel into the sequence number it answers, and the answer.
pub(crate) fn decode(datagram: &[u8]) -> Result<(u32, Answer), Malformed> {
    let (header, body) = Header::split(datagram).ok_or(Malformed)?;
    if let Some(errno) = header.error(body) {
        let answer = match errno {
            netlink::ENOENT => Answer::NotFound,
            errno => Answer::Failed(errno),
        };
        return Ok((header.seq, answer));
    }
    if header.kind != SOCK_DIAG_BY_FAMILY {
        return Err(Malformed);
    }
    Ok((header.seq, Answer::Found(entry(body).ok_or(Malformed)?)))
}

/// One socket, from the body of a message.
pub(super) fn entry(body: &[u8]) -> Option<Entry> {
    let at = |offset| netlink::array::<4>(body, offset);
    let [family, state, _timer, _retrans] = at(0)?;
    let [sport_hi, sport_lo, dport_hi, dport_lo] = at(4)?;
    let local = address(family, netlink::array(body, 8)?)?;
    let remote = address(family, netlink::array(body, 24)?)?;
    let cookie_low = u64::from(u32::from_ne_bytes(at(44)?));
    let cookie_high = u64::from(u32::from_ne_bytes(at(48)?));
    // 52 expires, 56 rqueue, 60 wqueue
    let attributes = body.get(MESSAGE_LEN..)?;
    Some(Entry {
        state: TcpState::from_kernel(state),
        local: Endpoint { ip: local, port: u16::from_be_bytes([sport_hi, sport_lo]) },
        remote: Endpoint { ip: remote, port: u16::from_be_bytes([dport_hi, dport_lo]) },
        device: u32::from_ne_bytes(at(40)?),
        cookie: cookie_high << 32 | cookie_low,
        uid: u32::from_ne_bytes(at(64)?),
        inode: u32::from_ne_bytes(at(68)?),
        cgroup: netlink::attributes(attributes)
            .find(|(kind, _)| *kind == INET_DIAG_CGROUP_ID)
            .and_then(|(_, value)| netlink::array::<8>(value, 0))
            .map(u64::from_ne_bytes)
            .filter(|id| *id != 0),
    })
}

/// The kernel matches v4-mapped sockets in AF_INET lookups, so the canonical form serves both.
fn family_and_bytes(ip: IpAddr) -> (u8, [u8; 16]) {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            (AF_INET, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(ip) => (AF_INET6, ip.octets()),
    }
}

/// The reply carries the socket's own family; the form to compare is the canonical one.
fn address(family: u8, bytes: [u8; 16]) -> Option<IpAddr> {
    match family {
        AF_INET => {
            let [a, b, c, d, ..] = bytes;
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
