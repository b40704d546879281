use super::*;

/// The reply of Linux 6.18 to an exact lookup of a loopback connection of root's.
pub(crate) const RECORDED: [u8; 124] = [
    124, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 136, 20, 0, 0, 2, 1, 0, 0, 154, 24, 156, 193, 127, 0, 0,
    1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 41, 0, 0, 5,
    0, 8, 0, 0, 0, 0, 0, 8, 0, 15, 0, 0, 0, 0, 0, 12, 0, 21, 0, 1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 22,
    0, 82, 0, 0, 0,
];

/// The first bytes of its reply where there is no such socket: `NLMSG_ERROR` with -ENOENT, then
/// the request again.
const NOT_FOUND: [u8; 36] = [
    36, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 136, 20, 0, 0, 254, 255, 255, 255, 72, 0, 0, 0, 20, 0, 1,
    0, 3, 0, 0, 0, 0, 0, 0, 0,
];

/// The reply that the kernel makes for this socket.
pub(crate) fn reply(seq: u32, entry: &Entry) -> Vec<u8> {
    let state = match entry.state {
        TcpState::Established => 1,
        TcpState::SynSent => 2,
        TcpState::SynRecv => 3,
        TcpState::FinWait1 => 4,
        TcpState::FinWait2 => 5,
        TcpState::TimeWait => 6,
        TcpState::Close => 7,
        TcpState::CloseWait => 8,
        TcpState::LastAck => 9,
        TcpState::Listen => 10,
        TcpState::Closing => 11,
        TcpState::Other(other) => other,
    };
    let (family, local) = family_and_bytes(entry.local.ip);
    let (_, remote) = family_and_bytes(entry.remote.ip);
    let cookie = entry.cookie.to_ne_bytes();
    let mut body = vec![family, state, 0, 0];
    body.extend(entry.local.port.to_be_bytes());
    body.extend(entry.remote.port.to_be_bytes());
    body.extend(local);
    body.extend(remote);
    body.extend(entry.device.to_ne_bytes());
    body.extend(cookie);
    body.extend([0; 12]);
    body.extend(entry.uid.to_ne_bytes());
    body.extend(entry.inode.to_ne_bytes());
    body.extend(netlink::attribute(8, &[0]));
    if let Some(id) = entry.cgroup {
        body.extend(netlink::attribute(INET_DIAG_CGROUP_ID, &id.to_ne_bytes()));
    }
    netlink::request(SOCK_DIAG_BY_FAMILY, seq, &body)
}

/// The reply that the kernel makes where it fails with this errno.
pub(crate) fn failure(seq: u32, errno: i32) -> Vec<u8> {
    let mut body = (-errno).to_ne_bytes().to_vec();
    body.extend([0; REQUEST_LEN]);
    netlink::request(2, seq, &body)
}

fn endpoint(text: &str) -> Endpoint {
    text.parse::<std::net::SocketAddr>().unwrap().into()
}

#[test]
fn a_recorded_reply_decodes() {
    let expected = Entry {
        state: TcpState::Established,
        local: endpoint("127.0.0.1:39448"),
        remote: endpoint("127.0.0.1:40129"),
        device: 0,
        cookie: 2,
        uid: 0,
        inode: 10751,
        cgroup: Some(1),
    };
    assert_eq!(decode(&RECORDED), Ok((1, Answer::Found(expected))));
    assert_eq!(decode(&NOT_FOUND), Ok((3, Answer::NotFound)));
}

#[test]
fn h25_every_cut_reply_is_refused() {
    for cut in 0..RECORDED.len() {
        assert_eq!(decode(&RECORDED[..cut]), Err(Malformed), "cut at {cut}");
    }
    // The length in the header bounds the message, whatever the datagram holds.
    for len in 0..88_u8 {
        let mut short = RECORDED;
        short[0] = len;
        assert_eq!(decode(&short), Err(Malformed), "length {len}");
    }
}

#[test]
fn h25_other_messages_are_refused() {
    let mut other = RECORDED;
    other[4] = 21;
    assert_eq!(decode(&other), Err(Malformed));
    let mut family = RECORDED;
    family[16] = 1;
    assert_eq!(decode(&family), Err(Malformed));
    // An acknowledgement was not asked for: it is an answer without a socket.
    let mut ack = NOT_FOUND;
    ack[16..20].fill(0);
    assert_eq!(decode(&ack), Ok((3, Answer::Failed(0))));
}

#[test]
fn h10_a_v4_mapped_reply_has_the_canonical_form() {
    let mut mapped = RECORDED;
    mapped[16] = 10;
    for offset in [24, 40] {
        mapped[offset..offset + 16]
            .copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1]);
    }
    let Ok((_, Answer::Found(entry))) = decode(&mapped) else { panic!("it decodes") };
    assert_eq!(entry.local, endpoint("127.0.0.1:39448"));
    assert_eq!(entry.local, endpoint("[::ffff:127.0.0.1]:39448"));
}

#[test]
fn every_state_of_the_kernel_is_told_apart() {
    let states = [
        (1, TcpState::Established),
        (2, TcpState::SynSent),
        (3, TcpState::SynRecv),
        (4, TcpState::FinWait1),
        (5, TcpState::FinWait2),
        (6, TcpState::TimeWait),
        (7, TcpState::Close),
        (8, TcpState::CloseWait),
        (9, TcpState::LastAck),
        (10, TcpState::Listen),
        (11, TcpState::Closing),
        (12, TcpState::SynRecv),
        (0, TcpState::Other(0)),
        (13, TcpState::Other(13)),
        (255, TcpState::Other(255)),
    ];
    for (number, expected) in states {
        let mut reply = RECORDED;
        reply[17] = number;
        let Ok((_, Answer::Found(entry))) = decode(&reply) else { panic!("it decodes") };
        assert_eq!(entry.state, expected);
    }
}

#[test]
fn h08_a_request_asks_for_one_socket_and_never_for_a_dump() {
    const NLM_F_REQUEST: u16 = 1;
    let query = Query { local: endpoint("10.0.0.1:1"), remote: endpoint("10.0.0.2:2"), device: 1 };
    let bytes = encode(&query, 7);
    assert_eq!(u16::from_ne_bytes(bytes[6..8].try_into().unwrap()), NLM_F_REQUEST);
}

#[test]
fn a_request_is_as_the_kernel_reads_it() {
    let query =
        Query { local: endpoint("127.0.0.1:39448"), remote: endpoint("[::1]:40129"), device: 1 };
    let bytes = encode(&query, 7);
    assert_eq!(bytes[..4], 72_u32.to_ne_bytes());
    assert_eq!(bytes[4..6], 20_u16.to_ne_bytes());
    assert_eq!(bytes[8..12], 7_u32.to_ne_bytes());
    assert_eq!(bytes[16..20], [2, 6, 0, 0], "family of the local address, TCP, no extension");
    assert_eq!(bytes[24..28], [154, 24, 156, 193], "ports in network order");
    assert_eq!(bytes[28..32], [127, 0, 0, 1]);
    assert_eq!(bytes[44..60], std::net::Ipv6Addr::LOCALHOST.octets());
    assert_eq!(bytes[60..64], 1_u32.to_ne_bytes(), "the interface");
    assert_eq!(bytes[64..72], [0xff; 8], "any cookie is all ones, not zero");
}

proptest::proptest! {
    /// No bytes make it panic, and no entry comes from a message that says to be shorter.
    #[test]
    fn h25_random_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        if let Ok((_, Answer::Found(_))) = decode(&bytes) {
            let len = u32::from_ne_bytes(bytes[..4].try_into().unwrap());
            proptest::prop_assert!(len >= 88 && usize::try_from(len).unwrap() <= bytes.len());
        }
    }
}
