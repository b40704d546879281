//! What sequence numbers prove. No input, no output.

/// What one end of a connection has sent and received.
///
/// Source: `struct bpf_tcp_sock` in `include/uapi/linux/bpf.h`; the fields of the same names in
/// `include/linux/tcp.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// `rcv_nxt`: the number that is expected next.
    pub(crate) received_next: u32,
    /// `snd_nxt`: the number that is sent next.
    pub(crate) sent_next: u32,
    /// `snd_una`: the first number that was not acknowledged yet.
    pub(crate) unacknowledged: u32,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_acknowledged: u64,
}

/// Three looks in this order: our own end, the partner's, our own end again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) own: End,
    pub(crate) partner: End,
    pub(crate) own_again: End,
}

/// More than this is on its way at no time: the largest window is 2^30 bytes.
const WINDOW: u32 = 1 << 30;

impl Ends {
    /// Whether the two are the ends of one connection.
    ///
    /// Both directions must fit twice. What an end expects next lies between what the other knows
    /// to have arrived and what it has sent, with the looks in between taken into account. And both
    /// began to count at the same number: this is the proof.
    ///
    /// A look is not atomic: where data flows, two honest ends may fail to fit. Look again then.
    pub(crate) fn prove_one_connection(&self) -> bool {
        let Self { own, partner, own_again } = self;
        let arrived = partner.received_next;
        let theirs = is_in_order([own.unacknowledged, arrived, own_again.sent_next]);
        let ours = is_in_order([own.received_next, partner.sent_next])
            && is_in_order([partner.unacknowledged, own_again.received_next])
            && is_in_order([own.received_next, own_again.received_next]);
        theirs && ours && own_again.sent_to(partner) && partner.sent_to(own_again)
    }
}

impl End {
    /// Whether this end may be the other one of `theirs`, as that one was a moment ago. Who knows
    /// both numbers at which a connection began holds one of its ends, or has seen all of it pass.
    pub(crate) fn may_be_peer_of(&self, theirs: &Self) -> bool {
        is_in_order([theirs.unacknowledged, self.received_next])
            && is_in_order([theirs.received_next, self.sent_next])
            && theirs.sent_to(self)
            && self.sent_to(theirs)
    }

    /// Whether `other` has counted from the number at which this end began to send.
    ///
    /// An end that called connect(2) counts its SYN among the acknowledged bytes, one that accepted
    /// does not; no end counts a SYN among the received ones. A FIN counts for both.
    fn sent_to(&self, other: &Self) -> bool {
        let first_sent = self.unacknowledged.wrapping_sub(low(self.bytes_acknowledged));
        let first_received = other.received_next.wrapping_sub(low(other.bytes_received));
        matches!(first_received.wrapping_sub(first_sent), 0 | 1)
    }
}

/// Whether these numbers follow each other, none by more than a window.
fn is_in_order<const N: usize>(numbers: [u32; N]) -> bool {
    let behind = numbers.iter().skip(1);
    numbers.iter().zip(behind).all(|(one, next)| next.wrapping_sub(*one) <= WINDOW)
}

/// The low 32 bits.
fn low(bytes: u64) -> u32 {
    let [a, b, c, d, ..] = bytes.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
