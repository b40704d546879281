//! Agents of other hosts: asking them, and answering them.
//!
//! Both go over TLS 1.3 with certificates on both sides, in the frames of `proto/peers.proto`. Nothing
//! here decides who a partner is: an answer carries the numbers of the other end, and whoever asked
//! proves with them that it is the other end before believing anything.
//!
//! ```text
//! table     ── one link for each peer, the least recently used closed first
//!   link      the questions on their way to one peer   driver  the task that carries them
//! listener  ── takes connections, proves who connects, keeps to the limits
//!   visit     one connection: questions in, answers out
//!   gate      handshakes at one time                    hosts   how much each host asks
//! pipe      ── frames over one TLS connection          trust   who is trusted: certificates
//! ```

mod link;
mod listener;
#[doc(hidden)]
pub mod measured;
mod pipe;
mod socket;
mod table;
#[cfg(test)]
mod tests;
mod trust;

#[cfg(test)]
pub(crate) use link::Link;
pub(crate) use link::{Answered, AskError, Dial, Key, Means};
#[cfg(feature = "ident")]
pub(super) use listener::hosts::{Hosts as Addresses, Place as Taken};
pub(crate) use listener::{Answerer, Limits, Listener, Observer, Peer, Setup};
pub(crate) use table::{MOST, Peers};
pub(crate) use trust::{Introduce, PeerName, Role, Trust};

use crate::kernel::sequence;
use crate::protocol::peers::End;

impl From<sequence::End> for End {
    fn from(end: sequence::End) -> Self {
        let sequence::End {
            received_next,
            sent_next,
            unacknowledged,
            bytes_received,
            bytes_acknowledged,
        } = end;
        Self { received_next, sent_next, unacknowledged, bytes_received, bytes_acknowledged }
    }
}

impl From<End> for sequence::End {
    fn from(end: End) -> Self {
        let End { received_next, sent_next, unacknowledged, bytes_received, bytes_acknowledged } =
            end;
        Self { received_next, sent_next, unacknowledged, bytes_received, bytes_acknowledged }
    }
}
