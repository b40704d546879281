//! A user who hinders others, as far as the agent lets it.

use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use rustix::net::{RecvFlags, SendFlags, Shutdown};

use crate::common::actor::{say, told};
use crate::stage::THERE;
use crate::wire;

/// Questions that a flooder has under way.
const FLIGHT: u8 = 64;
/// Connections of one who stalls, half of which say nothing.
const STALLED: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Asks as fast as it is answered.
    Flood,
    /// Asks once a connection and never reads; or connects and says nothing.
    Stall,
    /// Sends what is no question, as fast as it is taken.
    Garbage,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Flood, Self::Stall, Self::Garbage];

    pub fn word(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Stall => "stall",
            Self::Garbage => "garbage",
        }
    }

    pub fn what(self) -> &'static str {
        match self {
            Self::Flood => "asks all the time, 64 in flight",
            Self::Stall => "stalls",
            Self::Garbage => "sends garbage",
        }
    }

    pub fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.word() == word).expect("a kind of abuse")
    }
}

/// Begins at `go` and ends at `stop`, to which it answers how much it did a second.
pub fn play(kind: Kind, path: &str) {
    let about = TcpStream::connect(THERE).expect("connect");
    say(&[]);
    let mut under_way: Option<UnderWay> = None;
    for line in told() {
        match line.as_str() {
            "go" => {
                under_way = Some(UnderWay::begin(kind, path, &about));
                say(&[]);
            }
            "stop" => {
                let rate = under_way.take().map_or(0.0, UnderWay::end);
                say(&[rate]);
            }
            other => panic!("no such command: {other}"),
        }
    }
}

struct UnderWay {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    began: Instant,
    connections: Vec<Arc<OwnedFd>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl UnderWay {
    fn begin(kind: Kind, path: &str, about: &TcpStream) -> Self {
        let mut this = Self {
            stop: Arc::default(),
            done: Arc::default(),
            began: Instant::now(),
            connections: Vec::new(),
            threads: Vec::new(),
        };
        let count = if kind == Kind::Stall { STALLED } else { 1 };
        for number in 0..count {
            let connection = Arc::new(wire::connect(path));
            this.connections.push(Arc::clone(&connection));
            let about = about.try_clone().expect("the same connection");
            let (stop, done) = (Arc::clone(&this.stop), Arc::clone(&this.done));
            match kind {
                Kind::Flood => {
                    this.threads.push(std::thread::spawn(move || {
                        flood(&connection, &about, &stop, &done);
                    }));
                }
                Kind::Garbage => {
                    this.threads.push(std::thread::spawn(move || {
                        while !stop.load(Ordering::Relaxed)
                            && rustix::net::send(&*connection, b"garbage", SendFlags::NOSIGNAL)
                                .is_ok()
                        {
                            done.fetch_add(1, Ordering::Relaxed);
                            // What is answered is thrown away.
                            let _ = rustix::net::recv(
                                &*connection,
                                &mut [0_u8; 1024],
                                RecvFlags::DONTWAIT,
                            );
                        }
                    }));
                }
                Kind::Stall if number % 2 == 0 => {
                    wire::pass(connection.as_fd(), &wire::question(1), about.as_fd())
                        .expect("send");
                }
                Kind::Stall => {}
            }
        }
        this
    }

    fn end(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        for connection in &self.connections {
            // Whoever waits there is told; the agent may have ended it before.
            let _ = rustix::net::shutdown(&**connection, Shutdown::Both);
        }
        for thread in self.threads {
            thread.join().expect("it ends");
        }
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let done = self.done.load(Ordering::Relaxed) as f64;
        done / self.began.elapsed().as_secs_f64()
    }
}

fn flood(connection: &OwnedFd, about: &TcpStream, stop: &AtomicBool, done: &AtomicU64) {
    let ask = || wire::pass(connection.as_fd(), &wire::question(1), about.as_fd()).is_ok();
    let mut under_way = (0..FLIGHT).all(|_| ask());
    let mut reply = [0_u8; 1024];
    while under_way && !stop.load(Ordering::Relaxed) {
        let answered = rustix::net::recv(connection, &mut reply, RecvFlags::empty());
        let is_answer = matches!(answered, Ok((1.., _)));
        done.fetch_add(1, Ordering::Relaxed);
        under_way = is_answer && ask();
    }
}
