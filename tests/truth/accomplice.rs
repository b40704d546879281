//! A process of another user beside each client: it holds what it is passed, and takes the ports of
//! those that are gone.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use socket2::Socket;

use super::claim::{Claim, Deed, Dice, Record};
use super::client::{Numbers, Report, claim};
use super::held::{Held, Leave, leave, tcp};

/// Its numbers are not those of its client.
const SECOND: u64 = 1 << 10;
/// Listeners that it has at a time.
const LISTENERS: usize = 12;

/// What a client wants of it.
pub(crate) enum Request {
    /// The descriptor that comes with it, until the server has sent a byte.
    Hold,
    /// On this port.
    Listen(SocketAddr),
    /// From here to there.
    Connect(SocketAddr, SocketAddr),
}

impl Request {
    pub(crate) fn send(&self, to: &UnixDatagram, passed: Option<BorrowedFd<'_>>) {
        let text = match self {
            Self::Hold => "hold".to_owned(),
            Self::Listen(at) => format!("listen {at}"),
            Self::Connect(from, to) => format!("connect {from} {to}"),
        };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let passed = passed.as_slice();
        if !passed.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(passed)));
        }
        let text = [IoSlice::new(text.as_bytes())];
        sendmsg(to, &text, &mut control, SendFlags::empty()).unwrap();
    }

    fn receive(from: &UnixDatagram) -> Option<(Self, Option<OwnedFd>)> {
        let mut buffer = [0; 256];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            from,
            &mut [IoSliceMut::new(&mut buffer)],
            &mut control,
            RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC,
        );
        let len = match received {
            Ok(received) => received.bytes,
            Err(rustix::io::Errno::AGAIN) => return None,
            Err(error) => panic!("recvmsg: {error}"),
        };
        let passed = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        });
        let text = std::str::from_utf8(&buffer[..len]).unwrap();
        let request = match text.split(' ').collect::<Vec<_>>()[..] {
            ["hold"] => Self::Hold,
            ["listen", at] => Self::Listen(at.parse().unwrap()),
            ["connect", from, to] => Self::Connect(from.parse().unwrap(), to.parse().unwrap()),
            _ => panic!("no request: {text}"),
        };
        Some((request, passed))
    }
}

/// Its address, in the network namespace of the two.
fn address(index: u64) -> UnixAddr {
    UnixAddr::from_abstract_name(format!("accomplice-{index}")).unwrap()
}

/// The way of client `index` to its accomplice, which is there already.
pub(crate) fn reach(index: u64) -> UnixDatagram {
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect_addr(&address(index)).unwrap();
    socket
}

pub(crate) fn main(words: &[&str]) {
    let [index] = words else { panic!("{words:?}") };
    let index: u64 = index.parse().unwrap();
    let socket = UnixDatagram::bind_addr(&address(index)).unwrap();
    let mut accomplice = Accomplice {
        held: Held::default(),
        listeners: VecDeque::new(),
        numbers: Numbers::new(index + SECOND),
        dice: Dice::new(index),
        report: Report::default(),
    };
    // It is there.
    accomplice.report.send();
    let stdin = std::io::stdin();
    loop {
        let [asked, told] =
            accomplice.held.turn([socket.as_fd(), stdin.as_fd()], Duration::from_millis(5));
        if asked {
            accomplice.requests(&socket);
        }
        if told {
            let mut line = String::new();
            if stdin.read_line(&mut line).unwrap() == 0 {
                return;
            }
            // Its client has asked for nothing since, and asks for nothing before it has reported.
            accomplice.requests(&socket);
            accomplice.end_round();
        }
    }
}

struct Accomplice {
    held: Held,
    listeners: VecDeque<Socket>,
    numbers: Numbers,
    dice: Dice,
    report: Report,
}

impl Accomplice {
    fn requests(&mut self, socket: &UnixDatagram) {
        while let Some((request, passed)) = Request::receive(socket) {
            let how = Leave::roll(&mut self.dice);
            match request {
                Request::Hold => {
                    self.held.until_told(passed.expect("a descriptor").into(), how);
                }
                // Both fail where the port is taken again already, or not free yet.
                Request::Listen(at) => drop(self.listen(at)),
                Request::Connect(from, to) => drop(self.connect(from, to)),
            }
        }
    }

    fn listen(&mut self, at: SocketAddr) -> std::io::Result<()> {
        let ip = match at {
            _ if self.dice.one_in(2) => at.ip(),
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        if self.listeners.len() == LISTENERS {
            self.listeners.pop_front();
        }
        let socket = tcp(at)?;
        socket.bind(&SocketAddr::new(ip, at.port()).into())?;
        socket.listen(16)?;
        self.listeners.push_back(socket);
        Ok(())
    }

    fn connect(&mut self, from: SocketAddr, to: SocketAddr) -> std::io::Result<()> {
        let socket = tcp(to)?;
        let deed = *self.dice.pick(&[Deed::Stay, Deed::Close, Deed::SilentReset]);
        let claim = claim(self.numbers.next(), deed);
        socket.bind(&from.into())?;
        socket.connect(&to.into())?;
        self.report.add(&Record::now(claim, from, to));
        if deed.is_silent() {
            leave(socket, Leave::Reset);
            return Ok(());
        }
        assert_eq!(socket.send(&claim.to_bytes())?, Claim::LEN);
        let how = Leave::roll(&mut self.dice);
        if deed.stays() {
            self.held.until_told(socket, how);
        } else {
            let time = Duration::from_micros(self.dice.below(4_000));
            self.held.for_a_while(socket, time, Leave::Close);
        }
        Ok(())
    }

    fn end_round(&mut self) {
        while self.held.len() > 0 {
            self.held.turn([], Duration::from_millis(5));
        }
        self.listeners.clear();
        self.report.send();
    }
}
