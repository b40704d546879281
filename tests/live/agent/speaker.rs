//! A caller that speaks the protocol by itself, and may break it.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::SetSockOpt;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::time::TimeVal;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use super::super::support::PATIENCE;

/// What is asked for.
pub(super) const USER: u8 = 1;
pub(super) const TOKEN: u8 = 3;

/// A connection to an agent, made by the test itself, which is root.
pub(super) struct Speaker(OwnedFd);

impl Speaker {
    pub(super) fn new(socket: &Path) -> Self {
        let flags = SocketFlags::CLOEXEC;
        let kind = SocketType::SEQPACKET;
        let fd = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
        rustix::net::connect(&fd, &SocketAddrUnix::new(socket).unwrap()).unwrap();
        let patience = TimeVal::new(i64::try_from(PATIENCE.as_secs()).unwrap(), 0);
        SetSockOpt::set(&ReceiveTimeout, &fd, &patience).unwrap();
        Self(fd)
    }

    pub(super) fn send(&self, bytes: &[u8], passed: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !passed.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(passed)));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::net::sendmsg(&self.0, &[IoSlice::new(bytes)], &mut ancillary, flags).map(drop)
    }

    /// The next answer; `None` where the agent has ended the connection.
    pub(super) fn receive(&self) -> Option<Said> {
        let mut bytes = vec![0; 65_536];
        let mut none = RecvAncillaryBuffer::default();
        let mut look = || {
            let into = &mut [IoSliceMut::new(&mut bytes)];
            rustix::net::recvmsg(&self.0, into, &mut none, RecvFlags::empty())
        };
        let received = match look() {
            // It has left a question unread; what it said before comes after that.
            Err(Errno::CONNRESET) => look(),
            received => received,
        };
        match received {
            Ok(message) if message.bytes > 0 => Some(Said::read(&bytes[..message.bytes])),
            Ok(_) => None,
            Err(error) => panic!("no answer came: {error}"),
        }
    }

    /// One question and its answer.
    pub(super) fn ask(&self, bytes: &[u8], passed: &[BorrowedFd<'_>]) -> Said {
        self.send(bytes, passed).unwrap();
        self.receive().expect("the agent ended the connection")
    }

    /// A question of the library's kind.
    pub(super) fn ask_about(&self, number: u64, socket: &impl AsFd) -> Said {
        self.ask(&question(number, USER), &[socket.as_fd()])
    }
}

impl AsFd for Speaker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An answer: its number, and in words what it says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) number: u64,
    /// `user 1000`, `not yet accepted`, `not authorized`, `not connected`, `not tcp`,
    /// `unidentified 10`, `failed`.
    pub(super) what: String,
    pub(super) text: String,
}

impl Said {
    fn read(bytes: &[u8]) -> Self {
        let mut said = Self { number: u64::MAX, what: String::new(), text: String::new() };
        for field in fields(bytes) {
            match field {
                (1, Field::Number(version)) => assert_eq!(version, 1),
                (2, Field::Number(number)) => said.number = number,
                (3, Field::Number(_)) => {}
                (4, Field::Bytes(told)) => {
                    for field in fields(told) {
                        if let (1, Field::Number(user)) = field {
                            said.what = format!("user {user}");
                        }
                    }
                }
                (5, Field::Bytes(_)) => said.what = "not yet accepted".into(),
                (6, Field::Bytes(refused)) => said.refused(refused),
                other => panic!("{other:?}"),
            }
        }
        assert!(!said.what.is_empty(), "{bytes:?}");
        said
    }

    fn refused(&mut self, bytes: &[u8]) {
        const KINDS: [&str; 7] = [
            "unspecified",
            "not authorized",
            "security domain",
            "not connected",
            "not tcp",
            "unidentified",
            "failed",
        ];
        for field in fields(bytes) {
            match field {
                (1, Field::Number(kind)) => {
                    self.what = KINDS[usize::try_from(kind).unwrap()].to_owned();
                }
                (2, Field::Bytes(text)) => self.text = String::from_utf8(text.into()).unwrap(),
                (3, Field::Number(reason)) => self.what += &format!(" {reason}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[derive(Debug)]
enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// The fields of a protobuf message, of the two kinds that the protocol uses.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = take_number(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(take_number(&mut bytes)),
            2 => {
                let len = usize::try_from(take_number(&mut bytes)).unwrap();
                let (content, rest) = bytes.split_at(len);
                bytes = rest;
                Field::Bytes(content)
            }
            kind => panic!("a field of kind {kind}"),
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn take_number(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

/// A question by `proto/partnerd.proto`: version, number, request, search and timeout.
pub(super) fn question(number: u64, request: u8) -> Vec<u8> {
    let mut bytes = vec![0x08, 1, 0x10];
    put_number(&mut bytes, number);
    bytes.extend([0x18, request, 0x20, 1, 0x28]);
    put_number(&mut bytes, 5_000);
    bytes
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        bytes.push(low & 0x7f | if number > 0 { 0x80 } else { 0 });
        if number == 0 {
            return;
        }
    }
}
