//! A list of this stack's connections: `NETLINK_SOCK_DIAG` dumps, bytes to types. No input, no output.
//!
//! A dump finds what to look at, and proves nothing (H8): it is made in pieces, while sockets come and
//! go, and it has no order. Every socket that is to be told of is looked up again by its own addresses.
//!
//! Source: sock_diag(7), netlink(7), `inet_diag_dump_icsk` in `net/ipv4/inet_diag.c`.

use super::netlink;
use super::sock_diag::{self, Entry, Malformed};

/// `NLM_F_REQUEST` and `NLM_F_DUMP`.
const DUMP: u16 = 1 | 0x300;
/// `NLM_F_DUMP_INTR`: the table changed in a way that the dump may not show.
const INTERRUPTED: u16 = 0x10;
const DONE: u16 = 3;
/// ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK and CLOSING, each as the bit of its number.
const CONNECTED: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;

/// The families that have to be asked for, each by itself. IPv4-mapped sockets are among the second.
pub(crate) const FAMILIES: [u8; 2] = [sock_diag::AF_INET, sock_diag::AF_INET6];

/// A request for all connected TCP sockets of a family.
pub(crate) fn encode(family: u8, seq: u32) -> Vec<u8> {
    let mut body = vec![family, sock_diag::IPPROTO_TCP, 0, 0];
    body.extend(CONNECTED.to_ne_bytes());
    // `struct inet_diag_sockid`: a dump does not look at it.
    body.resize(sock_diag::REQUEST_LEN - netlink::HEADER_LEN, 0);
    netlink::request_with(DUMP, sock_diag::SOCK_DIAG_BY_FAMILY, seq, &body)
}

/// How a piece of a dump ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// More pieces follow.
    Open,
    /// It was the last one.
    Done,
    /// The list may lack some: ask again.
    Interrupted,
    /// This errno.
    Failed(i32),
}

/// Adds the sockets of one datagram that answers `seq`; a datagram that does not is passed over.
pub(crate) fn decode(
    datagram: &[u8],
    seq: u32,
    sockets: &mut Vec<Entry>,
) -> Result<End, Malformed> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let (header, flags, body, after) = netlink::split_first(rest).ok_or(Malformed)?;
        rest = after;
        if header.seq != seq {
            continue;
        }
        if flags & INTERRUPTED != 0 {
            return Ok(End::Interrupted);
        }
        if let Some(errno) = header.error(body) {
            return Ok(End::Failed(errno));
        }
        match header.kind {
            DONE => {
                let errno = netlink::array(body, 0).map_or(0, i32::from_ne_bytes);
                return Ok(if errno < 0 { End::Failed(errno.saturating_neg()) } else { End::Done });
            }
            sock_diag::SOCK_DIAG_BY_FAMILY => {
                sockets.push(sock_diag::entry(body).ok_or(Malformed)?);
            }
            _ => return Err(Malformed),
        }
    }
    Ok(End::Open)
}

#[cfg(test)]
mod tests {
    use super::super::sock_diag::TcpState;
    use super::super::sock_diag::tests::{failure, reply};
    use super::*;

    const SEQ: u32 = 9;

    fn socket(port: u16) -> Entry {
        let endpoint = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().into();
        let mut local: super::super::Endpoint = endpoint("127.0.0.1:80");
        local.port = port;
        Entry {
            state: TcpState::Established,
            local,
            remote: endpoint("[::1]:40000"),
            device: 0,
            cookie: 7,
            uid: 1000,
            inode: 5,
            cgroup: None,
        }
    }

    fn done(errno: i32) -> Vec<u8> {
        netlink::request(DONE, SEQ, &(-errno).to_ne_bytes())
    }

    fn with_flags(mut message: Vec<u8>, flags: u16) -> Vec<u8> {
        message[6..8].copy_from_slice(&flags.to_ne_bytes());
        message
    }

    #[test]
    fn a_datagram_has_several_sockets_and_tells_whether_it_is_the_last() {
        let v6 = |port| Entry {
            local: super::super::Endpoint { port, ..socket(1).remote },
            ..socket(1)
        };
        let (one, two) = (reply(SEQ, &v6(1)), reply(SEQ, &v6(2)));
        let table = [
            (vec![one.clone(), two.clone()], End::Open, vec![1, 2]),
            (vec![one.clone(), done(0)], End::Done, vec![1]),
            (vec![done(0)], End::Done, vec![]),
            (vec![done(12)], End::Failed(12), vec![]),
            (vec![failure(SEQ, 1)], End::Failed(1), vec![]),
            (vec![one.clone(), with_flags(two.clone(), INTERRUPTED)], End::Interrupted, vec![1]),
            (vec![with_flags(done(0), INTERRUPTED)], End::Interrupted, vec![]),
            // Of another question.
            (vec![reply(SEQ + 1, &v6(3)), two], End::Open, vec![2]),
        ];
        for (messages, end, ports) in table {
            let mut sockets = Vec::new();
            assert_eq!(decode(&messages.concat(), SEQ, &mut sockets), Ok(end));
            assert_eq!(sockets.iter().map(|socket| socket.local.port).collect::<Vec<_>>(), ports);
        }
    }

    #[test]
    fn h25_a_cut_datagram_is_none() {
        let whole = [reply(SEQ, &socket(1)), done(0)].concat();
        for cut in 1..whole.len() {
            let decoded = decode(&whole[..cut], SEQ, &mut Vec::new());
            // Cut between the two messages, the first one is whole.
            let expected = (cut == whole.len() - 20).then_some(End::Open).ok_or(Malformed);
            assert_eq!(decoded, expected, "cut at {cut}");
        }
    }
}
