//! The program that looks at both ends, and what goes in and comes out. Bytes only.
//!
//! The program is run on a packet of [`LEN`] bytes that nobody has sent: questions stand in it at
//! fixed places, and answers are written to others.
//!
//! Source: `struct bpf_insn`, `struct bpf_sock_tuple`, `struct bpf_sock` and `struct bpf_tcp_sock`
//! in `include/uapi/linux/bpf.h`.

use std::net::IpAddr;

use super::numbers::{End, Ends};
use crate::kernel::Endpoint;
use crate::kernel::netlink::array;

/// Bytes of the packet.
pub(crate) const LEN: usize = 192;

/// Two questions of a tuple and a namespace, behind what would be a link-layer header.
const OWN: usize = 16;
const PARTNER: usize = 56;
/// Where in a question the namespace stands.
const NAMESPACE: usize = 36;
/// Three answers: our own end, the partner's, our own again; and which question each is for.
const ANSWERS: [(usize, usize); 3] = [(96, OWN), (128, PARTNER), (160, OWN)];

/// Addresses of one or the other kind: each has a program of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// Bytes of `struct bpf_sock_tuple`.
    fn tuple_len(self) -> i16 {
        match self {
            Self::V4 => 12,
            Self::V6 => 36,
        }
    }
}

/// The packet that asks for our own end in one namespace and for the partner's in another; both by
/// the ids that the namespace has given them in which the program is run.
///
/// `None` where the two addresses are not of one family.
pub(crate) fn encode(
    (local, remote): (Endpoint, Endpoint),
    [own, partner]: [u32; 2],
) -> Option<[u8; LEN]> {
    ask([(OWN, tuple(remote, local)?, own), (PARTNER, tuple(local, remote)?, partner)])
}

/// The packet that asks for one end alone: of a connection whose other end is on another image.
pub(crate) fn encode_one(
    (local, remote): (Endpoint, Endpoint),
    namespace: u32,
) -> Option<[u8; LEN]> {
    let tuple = tuple(remote, local)?;
    ask([(OWN, tuple.clone(), namespace), (PARTNER, tuple, namespace)])
}

fn ask(questions: [(usize, Vec<u8>, u32); 2]) -> Option<[u8; LEN]> {
    let mut packet = [0; LEN];
    for (at, tuple, namespace) in questions {
        packet.get_mut(at..)?.get_mut(..tuple.len())?.copy_from_slice(&tuple);
        *packet.get_mut(at + NAMESPACE..)?.first_chunk_mut()? = namespace.to_ne_bytes();
    }
    Some(packet)
}

/// A packet is looked up by whom it is from and whom it is for.
fn tuple(from: Endpoint, to: Endpoint) -> Option<Vec<u8>> {
    let addresses = match (from.ip, to.ip) {
        (IpAddr::V4(from), IpAddr::V4(to)) => [from.octets(), to.octets()].concat(),
        (IpAddr::V6(from), IpAddr::V6(to)) => [from.octets(), to.octets()].concat(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    Some([addresses.as_slice(), &from.port.to_be_bytes(), &to.port.to_be_bytes()].concat())
}

/// What the program has written; `None` unless it found every end.
pub(crate) fn decode(packet: &[u8]) -> Option<Ends> {
    let [own, partner, own_again] = ANSWERS.map(|(at, _)| end(packet.get(at..)?));
    Some(Ends { own: own?, partner: partner?, own_again: own_again? })
}

fn end(answer: &[u8]) -> Option<End> {
    let word = |at| array(answer, at).map(u32::from_ne_bytes);
    let long = |at| array(answer, at).map(u64::from_ne_bytes);
    // No state has the number 0.
    word(12).filter(|state| *state != 0)?;
    Some(End {
        received_next: word(0)?,
        sent_next: word(4)?,
        unacknowledged: word(8)?,
        bytes_received: long(16)?,
        bytes_acknowledged: long(24)?,
    })
}

/// One instruction.
pub(crate) type Instruction = [u8; 8];

// Operations.
const MOVE: u8 = 0xbf;
const MOVE_NUMBER: u8 = 0xb7;
const ADD_NUMBER: u8 = 0x07;
const LOAD_WORD: u8 = 0x61;
const LOAD_LONG: u8 = 0x79;
const STORE_WORD: u8 = 0x63;
const STORE_LONG: u8 = 0x7b;
const JUMP_IF_GREATER: u8 = 0x2d;
const JUMP_IF_ZERO: u8 = 0x15;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

// Helpers.
const SK_LOOKUP_TCP: i32 = 84;
const SK_RELEASE: i32 = 86;
const TCP_SOCK: i32 = 96;

// Fields of `struct __sk_buff` and of `struct bpf_sock`.
const DATA: i16 = 76;
const DATA_END: i16 = 80;
const STATE: i16 = 72;

/// Registers: the result; arguments 1 to 5; kept over calls 6 to 9; the frame.
const FRAME: u8 = 10;
const CONTEXT: u8 = 6;
const PACKET: u8 = 7;
const SOCKET: u8 = 9;

/// The program for one family of addresses.
pub(crate) fn instructions(family: Family) -> Vec<Instruction> {
    let mut lookups = Vec::new();
    for (answer, question) in ANSWERS {
        lookups.extend(lookup(family, offset(question), offset(answer)));
    }
    let mut program = vec![
        op(MOVE, CONTEXT, 1, 0, 0),
        op(LOAD_WORD, PACKET, CONTEXT, DATA, 0),
        op(LOAD_WORD, 8, CONTEXT, DATA_END, 0),
        // The verifier wants to see that the packet is as long as what is read and written.
        op(MOVE, 1, PACKET, 0, 0),
        op(ADD_NUMBER, 1, 0, 0, i32::from(offset(LEN))),
        op(JUMP_IF_GREATER, 1, 8, offset(lookups.len()), 0),
    ];
    program.extend(lookups);
    program.extend([op(MOVE_NUMBER, 0, 0, 0, 0), op(EXIT, 0, 0, 0, 0)]);
    program
}

/// Looks one socket up and writes down what it says; where there is none, nothing is written.
fn lookup(family: Family, question: i16, answer: i16) -> Vec<Instruction> {
    const WORD: i16 = 4;
    let len = family.tuple_len();
    let mut ops = Vec::new();
    // The question, copied to the stack.
    for at in (0..len).step_by(4) {
        ops.push(op(LOAD_WORD, 1, PACKET, question + at, 0));
        ops.push(op(STORE_WORD, FRAME, 1, at - len, 0));
    }
    ops.extend([
        op(LOAD_WORD, 4, PACKET, question + offset(NAMESPACE), 0),
        op(MOVE, 1, CONTEXT, 0, 0),
        op(MOVE, 2, FRAME, 0, 0),
        op(ADD_NUMBER, 2, 0, 0, i32::from(-len)),
        op(MOVE_NUMBER, 3, 0, 0, i32::from(len)),
        op(MOVE_NUMBER, 5, 0, 0, 0),
        op(CALL, 0, 0, 0, SK_LOOKUP_TCP),
    ]);
    // `rcv_nxt`, `snd_nxt`, `snd_una`, `bytes_received`, `bytes_acked`, and last the state, which
    // says that all the others are there.
    let read = [
        op(LOAD_WORD, 1, 0, 16, 0),
        op(STORE_WORD, PACKET, 1, answer, 0),
        op(LOAD_WORD, 1, 0, 20, 0),
        op(STORE_WORD, PACKET, 1, answer + WORD, 0),
        op(LOAD_WORD, 1, 0, 24, 0),
        op(STORE_WORD, PACKET, 1, answer + 2 * WORD, 0),
        op(LOAD_LONG, 1, 0, 80, 0),
        op(STORE_LONG, PACKET, 1, answer + 4 * WORD, 0),
        op(LOAD_LONG, 1, 0, 88, 0),
        op(STORE_LONG, PACKET, 1, answer + 6 * WORD, 0),
        op(LOAD_WORD, 1, SOCKET, STATE, 0),
        op(STORE_WORD, PACKET, 1, answer + 3 * WORD, 0),
    ];
    let found = [
        op(MOVE, SOCKET, 0, 0, 0),
        op(MOVE, 1, SOCKET, 0, 0),
        op(CALL, 0, 0, 0, TCP_SOCK),
        op(JUMP_IF_ZERO, 0, 0, offset(read.len()), 0),
    ];
    let release = [op(MOVE, 1, SOCKET, 0, 0), op(CALL, 0, 0, 0, SK_RELEASE)];
    let to_the_end = offset(found.len() + read.len() + release.len());
    ops.push(op(JUMP_IF_ZERO, 0, 0, to_the_end, 0));
    ops.extend(found);
    ops.extend(read);
    ops.extend(release);
    ops
}

/// `struct bpf_insn`: the registers share a byte, the destination in the half that is stored first.
fn op(code: u8, destination: u8, source: u8, offset: i16, number: i32) -> Instruction {
    let registers = if cfg!(target_endian = "little") {
        source << 4 | destination
    } else {
        destination << 4 | source
    };
    let [o1, o2] = offset.to_ne_bytes();
    let [n1, n2, n3, n4] = number.to_ne_bytes();
    [code, registers, o1, o2, n1, n2, n3, n4]
}

/// Places in the packet and lengths of the program are small.
fn offset(value: usize) -> i16 {
    i16::try_from(value).unwrap_or(i16::MAX)
}
