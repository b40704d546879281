//! A process that connects, says who it is, and then does what hurts.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use socket2::Socket;

use super::accomplice::{self, Request};
use super::claim::{Claim, Deed, Dice, Record};
use super::fork;
use super::held::{Held, Leave, PORTS, leave, tcp};
use super::support::local;

/// Connections that a process holds at a time, at most.
const AT_ONCE: usize = 64;
/// Whom root becomes.
const DROPPED: u32 = 1_000;
/// Attempts in a row that find no free port before something else must be wrong.
const ATTEMPTS: u32 = 20_000;

/// From where, and to where.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    pub(crate) from: IpAddr,
    pub(crate) to: SocketAddr,
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}>{}", self.from, self.to)
    }
}

/// The records of a process, of one round.
#[derive(Default)]
pub(crate) struct Report(String);

impl Report {
    pub(crate) fn add(&mut self, record: &Record) {
        writeln!(self.0, "{record}").unwrap();
    }

    /// To the conductor, who reads until an empty line.
    pub(crate) fn send(&mut self) {
        let mut output = io::stdout().lock();
        output.write_all(self.0.as_bytes()).and_then(|()| output.write_all(b"\n")).unwrap();
        output.flush().unwrap();
        self.0.clear();
    }
}

/// Numbers for the connections of process `index`.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(index: u64) -> Self {
        Self(index << 40)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// What `socket` says first, made when the socket is.
pub(crate) fn claim(number: u64, deed: Deed) -> Claim {
    Claim { number, uid: rustix::process::geteuid().as_raw(), deed }
}

pub(crate) fn main(words: &[&str]) {
    let [index, routes @ ..] = words else { panic!("{words:?}") };
    fork::forget_children();
    let index = index.parse().unwrap();
    let mut client = Client {
        routes: routes.iter().map(|text| route(text)).collect(),
        accomplice: accomplice::reach(index),
        numbers: Numbers::new(index),
        dice: Dice::new(0),
        held: Held::default(),
        report: Report::default(),
    };
    for line in io::stdin().lines() {
        let line = line.unwrap();
        let (count, seed) = line.split_once(' ').unwrap();
        client.dice = Dice::new(seed.parse::<u64>().unwrap() ^ index.rotate_left(48));
        client.round(count.parse().unwrap());
    }
}

fn route(text: &str) -> Route {
    let (from, to) = text.split_once('>').unwrap();
    Route { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

struct Client {
    routes: Vec<Route>,
    accomplice: UnixDatagram,
    numbers: Numbers,
    dice: Dice,
    held: Held,
    report: Report,
}

impl Client {
    fn round(&mut self, count: usize) {
        for _ in 0..count {
            let mut attempts = 0;
            while let Err(error) = self.connection() {
                attempts += 1;
                assert!(attempts < ATTEMPTS, "no connection: {error}");
                self.held.turn([], Duration::from_millis(1));
            }
            while self.held.len() >= AT_ONCE {
                self.held.turn([], Duration::from_millis(5));
            }
            self.held.turn([], Duration::ZERO);
        }
        while self.held.len() > 0 {
            self.held.turn([], Duration::from_millis(5));
        }
        self.report.send();
    }

    /// One connection, unless its port is somebody else's.
    fn connection(&mut self) -> io::Result<()> {
        let mut deed = Deed::roll(&mut self.dice);
        if deed == Deed::Drop && !rustix::process::geteuid().is_root() {
            deed = Deed::Fork;
        }
        let Route { from, to } = *self.dice.pick(&self.routes);
        let socket = tcp(to)?;
        let claim = claim(self.numbers.next(), deed);
        // Who else is to have the port can do so only where it was chosen, and not given.
        if matches!(deed, Deed::Beside | Deed::Usurp | Deed::Squat) || self.dice.one_in(2) {
            let ports = u64::from(PORTS.end - PORTS.start);
            let port = PORTS.start + u16::try_from(self.dice.below(ports)).unwrap();
            socket.bind(&SocketAddr::new(from, port).into())?;
        }
        socket.connect(&to.into())?;
        let from = local(&socket);
        self.report.add(&Record::now(claim, from, to));
        if !deed.is_silent() {
            assert_eq!(socket.send(&claim.to_bytes())?, Claim::LEN);
        }
        self.hurt(deed, socket, (from, to));
        Ok(())
    }

    fn hurt(&mut self, deed: Deed, socket: Socket, (from, to): (SocketAddr, SocketAddr)) {
        let how = Leave::roll(&mut self.dice);
        match deed {
            Deed::Stay => self.held.until_told(socket, how),
            Deed::HalfClose => {
                socket.shutdown(std::net::Shutdown::Write).unwrap();
                self.held.until_told(socket, how);
            }
            Deed::Fork => fork::child(&socket, || fork::grandchild(fork::wait_for_byte)),
            Deed::Exec => fork::child(&socket, fork::become_program),
            Deed::Drop => fork::child(&socket, || {
                fork::become_user(DROPPED);
                fork::wait_for_byte();
            }),
            Deed::Pass => {
                Request::Hold.send(&self.accomplice, Some(socket.as_fd()));
            }
            Deed::Beside => {
                Request::Listen(from).send(&self.accomplice, None);
                self.held.until_told(socket, how);
            }
            Deed::Close => self.go(socket, Leave::Close),
            Deed::Reset => self.go(socket, Leave::Reset),
            Deed::Exit => {
                let time = Duration::from_micros(self.dice.below(3_000));
                fork::child(&socket, || std::thread::sleep(time));
            }
            Deed::SilentClose => leave(socket, Leave::Close),
            Deed::SilentReset => leave(socket, Leave::Reset),
            Deed::Usurp => {
                leave(socket, Leave::Reset);
                Request::Connect(from, to).send(&self.accomplice, None);
            }
            Deed::Squat if self.dice.one_in(2) => {
                Request::Listen(from).send(&self.accomplice, None);
                leave(socket, Leave::Close);
            }
            Deed::Squat => {
                leave(socket, Leave::Close);
                Request::Listen(from).send(&self.accomplice, None);
            }
        }
    }

    /// Leaves at once, or a moment later.
    fn go(&mut self, socket: Socket, how: Leave) {
        match self.dice.below(4) {
            0 | 1 => leave(socket, how),
            later => {
                let most = if later == 2 { 4_000 } else { 30_000 };
                let time = Duration::from_micros(self.dice.below(most));
                self.held.for_a_while(socket, time, how);
            }
        }
    }
}
