//! What must hold for any datagram that claims to be the kernel's.

use super::conntrack::{self, Reply, Translation};
use super::netlink::{self, Header};
use super::route::{self, Place};
use super::sock_diag::{self, Answer, Entry};
use super::{Endpoint, dump};

/// The header of every netlink message.
const HEADER: usize = 16;
/// A longer message is not cut at each of its bytes.
const CUT_EVERYWHERE: usize = 512;

/// Reads `data` as a reply to each of the questions that are asked. Returns whether it is one.
pub fn check_netlink(data: &[u8]) -> bool {
    check_attributes(data);
    check_list(data);
    let said = said_length(data);
    let Some(seq) = said.and_then(|_| netlink::array(data, 8)).map(u32::from_ne_bytes) else {
        assert_eq!(Header::split(data), None, "a message of fewer bytes than it says");
        assert!(sock_diag::decode(data).is_err() && route::decode(data).is_none());
        assert!(track(data).is_none());
        return false;
    };
    let message = said.and_then(|said| data.get(..said)).unwrap_or(data);
    // An errno needs no body: an error message without one is an errno of 0.
    let is_error = kind(message) == Some(2);

    let socket = sock_diag::decode(data).ok();
    assert_eq!(socket, sock_diag::decode(message).ok(), "what follows the message counts");
    let place = route::decode(data);
    assert_eq!(place, route::decode(message), "what follows the message counts");
    let tracked = track(data);
    assert_eq!(tracked, track(message), "what follows the message counts");

    let seqs = [socket.map(|it| it.0), place.map(|it| it.0), tracked.map(|it| it.0)];
    assert!(seqs.into_iter().flatten().all(|it| it == seq), "{seqs:?} and {seq}");

    match socket.map(|it| it.1) {
        Some(Answer::Found(entry)) => {
            assert_eq!(kind(message), Some(20));
            assert_eq!(Some(entry.uid), number(message, 64), "the owner");
            assert_eq!(Some(entry.inode), number(message, 68), "the inode");
            assert!(is_canonical(&entry), "{entry:?}");
        }
        Some(Answer::NotFound) => assert!(is_error && number(message, 0) == Some(-2_i32 as u32)),
        Some(Answer::Failed(errno)) => assert!(is_error && errno != 2, "{errno}"),
        None => assert!(!is_error),
    }
    match place.map(|it| it.1) {
        Some(Place::Local(device)) => {
            assert_eq!(kind(message), Some(24), "an error is no place");
            assert_eq!(message.get(HEADER + 7), Some(&2));
            assert!(contains(message, &device.to_ne_bytes()), "interface {device}");
        }
        Some(Place::NotLocal) => assert!(is_error || kind(message) == Some(24)),
        None => assert!(!is_error),
    }
    match tracked.map(|it| it.1) {
        Some(Reply::Known(translation)) => {
            assert_eq!(kind(message), Some(0x100));
            check_translation(message, translation);
        }
        Some(Reply::NotTracked) => assert!(is_error && number(message, 0) == Some(-2_i32 as u32)),
        Some(Reply::Failed(errno)) => assert!(is_error && errno != 2, "{errno}"),
        None => assert!(!is_error),
    }
    check_cuts(message);
    socket.is_some() || place.is_some() || tracked.is_some()
}

/// The connection that connection tracking is asked about: the one of the seeds.
fn ends() -> (Endpoint, Endpoint) {
    let end = |port| Endpoint { ip: [127, 0, 0, 1].into(), port };
    (end(8_080), end(40_000))
}

fn track(data: &[u8]) -> Option<(u32, Reply)> {
    let (local, remote) = ends();
    conntrack::decode(data, local, remote)
}

/// The length that the message says it has, where it has it.
fn said_length(data: &[u8]) -> Option<usize> {
    let said = usize::try_from(u32::from_ne_bytes(netlink::array(data, 0)?)).ok()?;
    (HEADER <= said && said <= data.len()).then_some(said)
}

fn kind(message: &[u8]) -> Option<u16> {
    netlink::array(message, 4).map(u16::from_ne_bytes)
}

/// The number at this place of the body.
fn number(message: &[u8], offset: usize) -> Option<u32> {
    netlink::array(message, HEADER + offset).map(u32::from_ne_bytes)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Addresses are compared in one form alone.
fn is_canonical(entry: &Entry) -> bool {
    [entry.local, entry.remote].iter().all(|end| end.ip == end.ip.to_canonical())
}

/// Both ends see a connection alike, or neither does; and what is straight is so for these two.
fn check_translation(message: &[u8], translation: Translation) {
    let (local, remote) = ends();
    let swapped = conntrack::decode(message, remote, local).map(|it| it.1);
    assert_eq!(swapped, Some(Reply::Known(translation)), "seen from the other end");
    if translation == Translation::None {
        for end in [local, remote] {
            assert!(contains(message, &end.port.to_be_bytes()), "port {}", end.port);
        }
        let other = Endpoint { port: remote.port + 1, ..remote };
        let other = conntrack::decode(message, local, other).map(|it| it.1);
        assert_eq!(other, Some(Reply::Known(Translation::Translated)), "another connection");
    }
}

/// A message that was cut on the way is none.
fn check_cuts(message: &[u8]) {
    let end = message.len();
    let everywhere = if end <= CUT_EVERYWHERE { 0..end } else { end - 1..end };
    for cut in everywhere {
        let cut = message.get(..cut).unwrap_or(message);
        assert!(sock_diag::decode(cut).is_err(), "a socket from {} of {end} bytes", cut.len());
        assert_eq!(route::decode(cut), None, "a place from {} of {end} bytes", cut.len());
        assert_eq!(track(cut), None, "a connection from {} of {end} bytes", cut.len());
    }
}

/// A list has no more sockets than bytes for them, and with fewer bytes no others: each by itself is what
/// an exact lookup would have said.
fn check_list(bytes: &[u8]) {
    let Some(seq) = netlink::array(bytes, 8).map(u32::from_ne_bytes) else { return };
    let list = |bytes| {
        let mut sockets = Vec::new();
        (dump::decode(bytes, seq, &mut sockets), sockets)
    };
    let (end, sockets) = list(bytes);
    assert!(sockets.len() <= bytes.len() / sock_diag::REQUEST_LEN, "{end:?}");
    if let Some(cut) = bytes.len().checked_sub(1).and_then(|end| bytes.get(..end)) {
        let (_, fewer) = list(cut);
        assert!(sockets.starts_with(&fewer), "other sockets from fewer bytes");
    }
    if let (Ok((_, Answer::Found(first))), Some(listed)) =
        (sock_diag::decode(bytes), sockets.first())
        && said_length(bytes).is_some()
    {
        assert_eq!(first, *listed);
    }
}

/// Attributes follow each other, each within the bytes.
fn check_attributes(bytes: &[u8]) {
    let mut used = 0;
    for (kind, value) in netlink::attributes(bytes) {
        assert!(kind <= 0x3fff, "{kind:#x}");
        assert_eq!(Some(value), bytes.get(used + 4..used + 4 + value.len()));
        used += (4 + value.len()).next_multiple_of(4);
    }
}
