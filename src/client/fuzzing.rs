//! What must hold for a program's questions, whatever packets its agent answers them with.

use std::collections::HashMap;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::connection::Connection;
use super::job::{Job, Progress};
use crate::info::PartnerRequest;
use crate::protocol::{Answer, MAX_ANSWER, Pids, Question};
use crate::token::HolderSearch;

/// Questions that are asked at most.
const MOST_ASKED: u8 = 8;
/// What an agent sends at most before anything of it is read.
const MOST_PACKETS: usize = 16;

/// How long a descriptor may be open at most after it was closed here: another program that looks through
/// `/proc/<pid>/fd` has it too for a moment.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// The first byte says how many questions are asked. What follows are packets, each with its length
/// in two bytes before it; where the first bit of the length is set, a descriptor is passed along.
/// Returns whether a question was answered.
pub fn check_answer_packets(data: &[u8]) -> bool {
    let Some((asked, data)) = data.split_first() else { return false };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let pipe = std::io::pipe();
    let (Ok((program, agent)), Ok((ours, passed))) = (pair, pipe) else {
        unreachable!("descriptors for a pair of sockets and a pipe")
    };
    let connection = Arc::new(Connection::new(program));
    let question = Question {
        number: 77,
        request: PartnerRequest::USER_ID,
        search: HolderSearch::All,
        timeout: Duration::from_secs(1),
        domain: None,
    };
    let jobs: Vec<Job> = (0..asked % (MOST_ASKED + 1))
        .filter_map(|_| Connection::ask(&connection, passed.as_fd(), &question))
        .collect();
    assert_eq!(jobs.len(), usize::from(asked % (MOST_ASKED + 1)), "asked");

    let packets = packets(data);
    for (bytes, passes) in &packets {
        send(agent.as_fd(), bytes, passes.then_some(passed.as_fd()));
    }
    let (mut expected, ends) = expected(&jobs, &packets);
    let mut answered = false;
    for job in &jobs {
        let progress = job.poll(None);
        match (progress, expected.remove(&job.number)) {
            (Progress::Answered(answer), Some(other)) => {
                assert_eq!(answer, other, "the answer to another question");
                answered = true;
            }
            (Progress::Lost, None) => assert!(ends, "lost while the agent is there"),
            (Progress::Pending, None) => assert!(!ends, "waits for an agent that is gone"),
            (progress, other) => unreachable!("{progress:?} where it is {other:?}"),
        }
        // One answer to one question.
        let again = job.poll(None);
        assert!(!matches!(again, Progress::Answered(_)), "answered twice: {again:?}");
    }
    assert_eq!(connection.has_ended(), ends && !jobs.is_empty());

    // Nothing that the agent passed is kept.
    drop((jobs, connection, agent, passed));
    let mut end = [PollFd::new(&ours, PollFlags::IN)];
    let closed = rustix::io::retry_on_intr(|| poll(&mut end, Some(&PATIENCE)));
    assert_eq!(closed, Ok(1), "a descriptor is open still");
    answered
}

/// Which questions are answered with what, read in the obvious way; and whether the connection ends.
fn expected(jobs: &[Job], packets: &[(&[u8], bool)]) -> (HashMap<u64, Answer>, bool) {
    let mut answers = HashMap::new();
    for (bytes, _) in packets {
        let Ok(answer) = Answer::decode(bytes, Pids::Ours) else { return (answers, true) };
        for job in jobs {
            // What is numbered zero is to everybody.
            if answer.number == 0 || answer.number == job.number {
                answers.entry(job.number).or_insert_with(|| answer.clone());
            }
        }
    }
    (answers, false)
}

fn packets(mut data: &[u8]) -> Vec<(&[u8], bool)> {
    let mut packets = Vec::new();
    while let [first, second, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([first & 0x7f, *second]));
        let (bytes, others) = rest.split_at_checked(length).unwrap_or((rest, b""));
        packets.push((bytes, first & 0x80 != 0));
        data = others;
        if packets.len() == MOST_PACKETS {
            break;
        }
    }
    packets
}

/// As anything may that listens where an agent should.
fn send(agent: BorrowedFd<'_>, bytes: &[u8], passed: Option<BorrowedFd<'_>>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let passed: Vec<_> = passed.into_iter().collect();
    if !passed.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&passed)));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let sent = rustix::net::sendmsg(agent, &[IoSlice::new(bytes)], &mut ancillary, flags);
    assert_eq!(sent, Ok(bytes.len()), "a packet that was not taken");
}

const _: () = assert!(MAX_ANSWER > 0x7fff, "no packet is cut");
