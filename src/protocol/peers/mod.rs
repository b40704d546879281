//! What the agents of two hosts say to each other: bytes and types, no input, no output.
//!
//! The bytes are protobuf in frames, described in `proto/peers.proto`. The side that connected asks
//! and the other answers; the first frame of each is a [`Hello`].

mod answer;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod hello;
mod question;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use self::answer::{Answer, Outcome, Told};
pub(crate) use self::frame::split;
pub(crate) use self::hello::Hello;
pub(crate) use self::question::Question;
use super::{Malformed, required};

/// The version of the protocol that is spoken here.
pub(crate) const VERSION: u32 = 1;
/// Bytes that a frame has at most, without the four that say how many.
pub(crate) const MAX_FRAME: usize = 64 * 1024;
/// The number of no question. An answer to it is about the connection.
pub(crate) const NOBODY_S: u64 = 0;

/// What one end of a TCP connection has sent and received: `End` of `kernel::sequence`, as it goes
/// over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) received_next: u32,
    pub(crate) sent_next: u32,
    pub(crate) unacknowledged: u32,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_acknowledged: u64,
}

impl End {
    fn to_wire(self) -> wire::End {
        wire::End {
            received_next: Some(self.received_next),
            sent_next: Some(self.sent_next),
            unacknowledged: Some(self.unacknowledged),
            bytes_received: Some(self.bytes_received),
            bytes_acknowledged: Some(self.bytes_acknowledged),
        }
    }

    fn from_wire(end: Option<wire::End>) -> Result<Self, Malformed> {
        let end = required(end, "an end of the connection")?;
        Ok(Self {
            received_next: required(end.received_next, "what is expected next")?,
            sent_next: required(end.sent_next, "what is sent next")?,
            unacknowledged: required(end.unacknowledged, "what is not acknowledged yet")?,
            bytes_received: required(end.bytes_received, "how much was received")?,
            bytes_acknowledged: required(end.bytes_acknowledged, "how much was acknowledged")?,
        })
    }
}
