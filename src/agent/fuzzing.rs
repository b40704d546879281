//! What the agent lets be fuzzed, and what must hold for any packet of a caller.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::door::{self, Packet, Received};
use super::packet::Came;
use crate::protocol::{MAX_QUESTION, Question};

pub use super::callers::fuzzing::check_uid_map;
pub use super::config::fuzzing::check_config_file;
pub use super::identity::fuzzing::{check_certificate, check_certificate_names};

/// Descriptors that are passed at most; the agent takes four in, to be told apart from one.
const MOST_PASSED: usize = 6;

/// How long a descriptor may be open at most after it was closed here: another program that looks through
/// `/proc/<pid>/fd` has it too for a moment.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Sends what is behind the first byte to the agent's door, with as many descriptors as that byte
/// says. Returns whether it is a question.
pub fn check_question_packets(data: &[u8]) -> bool {
    let Some((count, bytes)) = data.split_first() else { return false };
    let count = usize::from(*count) % (MOST_PASSED + 1);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let pipe = std::io::pipe();
    let (Ok((caller, agent)), Ok((ours, passed))) = (pair, pipe) else {
        unreachable!("descriptors for a pair of sockets and a pipe")
    };
    send(caller.as_fd(), bytes, &vec![passed.as_fd(); count]);
    let is_question = match door::receive(agent.as_fd()) {
        Received::Packet(packet) => check_packet(packet, bytes, count, passed.as_fd()),
        Received::Nothing => unreachable!("a packet was sent"),
        Received::End => {
            assert!(bytes.is_empty() && count == 0, "{} bytes, {count} passed", bytes.len());
            false
        }
    };
    // Nothing that was passed is kept.
    drop(passed);
    let mut end = [PollFd::new(&ours, PollFlags::IN)];
    let closed = rustix::io::retry_on_intr(|| poll(&mut end, Some(&PATIENCE)));
    assert_eq!(closed, Ok(1), "a descriptor is open still");
    is_question
}

fn check_packet(packet: Packet, bytes: &[u8], count: usize, passed: BorrowedFd<'_>) -> bool {
    assert!(bytes.starts_with(&packet.bytes), "other bytes came than were sent");
    assert_eq!(packet.bytes.len(), bytes.len().min(MAX_QUESTION));
    assert_eq!(packet.cut, bytes.len() > MAX_QUESTION);
    assert!(packet.passed.len() <= count, "{} came of {count}", packet.passed.len());
    assert!(packet.more_passed || packet.passed.len() == count);
    let Packet { bytes, cut, passed: came, more_passed } = packet;
    let decoded = Question::decode(&bytes);
    match (Came { bytes: &bytes, cut, passed: came, more_passed }).question() {
        Ok((question, one)) => {
            assert!(!cut && count == 1, "a question with {count} descriptors");
            assert_eq!(decoded, Ok(question));
            assert_eq!(file(one.as_fd()), file(passed), "another descriptor than was passed");
            true
        }
        Err(what) => {
            assert!(cut || count != 1 || decoded.is_err(), "{what}");
            assert!(what.contains("ask by the library"), "{what}");
            assert!(!what.contains(char::is_control), "{what:?}");
            let names = |word: &str| what.contains(word);
            assert!(!cut || names("at most 1024 bytes"), "{what}");
            assert!(cut || decoded.is_err() || names("one descriptor goes with a"), "{what}");
            false
        }
    }
}

fn file(descriptor: BorrowedFd<'_>) -> Option<(u64, u64)> {
    rustix::fs::fstat(descriptor).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// As any program may, not only one that uses the library.
fn send(caller: BorrowedFd<'_>, bytes: &[u8], passed: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_PASSED))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !passed.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(passed)));
    }
    let sent = rustix::net::sendmsg(
        caller,
        &[IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
    );
    assert_eq!(sent, Ok(bytes.len()), "a packet that was not taken");
}
