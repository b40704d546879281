//! The server: accepts, reads what the partner claims, and asks at random moments.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use partner_info::prelude::*;
use partner_info::{ErrorKind, Stack};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::claim::{Claim, Dice, Tuple};
use super::others::{self, TOOLS, Tool};

/// How long a get may take, and a partner to do what it is going to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Asks in a row, at most.
const BURST: usize = 24;

/// When an ask was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    Accepted,
    Read,
    Later,
    /// The partner that stayed until now was told to leave, or has left by itself.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    User(u32),
    /// The stable name of the reason, or of the kind.
    Nobody(&'static str),
}

/// What was said of one connection, and what it said itself.
pub(crate) struct Seen {
    pub(crate) tuple: Tuple,
    /// Of the connections of a listener that was accepted earlier has the lower one.
    pub(crate) order: u64,
    pub(crate) claim: Option<Claim>,
    pub(crate) answers: Vec<(Moment, Said)>,
    /// At the same moments, of some.
    pub(crate) others: Vec<(Moment, Tool, Said)>,
}

/// What all connections have in common.
pub(crate) struct Server {
    pub(crate) stack: Stack,
    seed: u64,
    /// One of so many asks is put to other tools as well, and one of so many of these to the slow ones.
    sample: u64,
    accepted: AtomicU64,
    in_work: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
}

/// `listeners` reads the descriptors of all processes.
const SLOW: u64 = 4;

impl Server {
    pub(crate) fn new(stack: Stack, seed: u64, sample: u64) -> Arc<Self> {
        Arc::new(Self {
            stack,
            seed,
            sample,
            accepted: AtomicU64::new(0),
            in_work: AtomicUsize::new(0),
            seen: Mutex::default(),
        })
    }

    /// Accepts for good. With `in_advance` the listener is set, so that gets that do not wait have
    /// an answer.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, in_advance: bool) {
        if in_advance {
            self.stack.set_partner_info(&listener, PartnerRequest::USER_ID).unwrap();
        }
        loop {
            let accepted = match in_advance {
                true => self.stack.accept_partner(&listener).await,
                false => listener.accept().await,
            };
            let Ok((stream, peer)) = accepted else { continue };
            let order = self.accepted.fetch_add(1, Ordering::Relaxed);
            self.in_work.fetch_add(1, Ordering::Relaxed);
            let server = Arc::clone(&self);
            tokio::spawn(async move {
                let seen = server.connection(stream, peer, order, in_advance).await;
                server.seen.lock().unwrap().push(seen);
                server.in_work.fetch_sub(1, Ordering::Release);
            });
        }
    }

    /// Connections that are being served; one whose task has failed stays one of them.
    pub(crate) fn in_work(&self) -> usize {
        self.in_work.load(Ordering::Acquire)
    }

    /// Connections that were served to their end.
    pub(crate) fn seen(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    async fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        order: u64,
        in_advance: bool,
    ) -> Seen {
        let own = stream.local_addr().unwrap();
        let plain = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let seen = Seen {
            tuple: (plain, own.port()),
            order,
            claim: None,
            answers: Vec::new(),
            others: Vec::new(),
        };
        let dice = Dice::new(self.seed ^ order.rotate_left(20));
        let mut asker = Asker { server: self, stream, in_advance, ends: (plain, own), dice, seen };
        asker.whole_life().await;
        asker.seen
    }
}

/// One connection, while it is asked about.
struct Asker<'s> {
    server: &'s Server,
    stream: TcpStream,
    in_advance: bool,
    /// The partner's, and our own.
    ends: (SocketAddr, SocketAddr),
    dice: Dice,
    seen: Seen,
}

impl Asker<'_> {
    async fn whole_life(&mut self) {
        if self.dice.one_in(8) {
            self.pause(2_000).await;
        }
        if self.dice.one_in(2) {
            self.ask(Moment::Accepted).await;
        }
        self.read_claim().await;
        if self.dice.one_in(2) {
            self.ask(Moment::Read).await;
        }
        if self.dice.one_in(8) {
            self.ask_again_and_again().await;
        }
        if self.dice.one_in(4) {
            self.pause(12_000).await;
            self.ask(Moment::Later).await;
        }
        if self.seen.claim.is_some_and(|claim| claim.deed.stays()) {
            // Not before it was asked about at least once.
            if self.seen.answers.is_empty() {
                self.ask(Moment::Read).await;
            }
            let _ = self.stream.write_all(b".").await;
        }
        if self.dice.one_in(2) {
            self.read_to_end().await;
        }
        if self.dice.one_in(2) || self.seen.answers.is_empty() {
            self.ask(Moment::Ended).await;
        }
        if self.dice.one_in(3) {
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Up to so many microseconds.
    async fn pause(&mut self, most: u64) {
        sleep(Duration::from_micros(self.dice.below(most))).await;
    }

    async fn read_claim(&mut self) {
        let mut bytes = [0; Claim::LEN];
        let read = timeout(PATIENCE, self.stream.read_exact(&mut bytes)).await;
        // A reset may come first; and some say nothing.
        if read.expect("the partner speaks or ends").is_ok() {
            self.seen.claim = Some(Claim::of_bytes(&bytes));
        }
    }

    async fn read_to_end(&mut self) {
        let mut rest = [0; 64];
        let end = async { while !matches!(self.stream.read(&mut rest).await, Ok(0) | Err(_)) {} };
        timeout(PATIENCE, end).await.expect("the partner ends");
    }

    /// Until nobody is named, so that the last of these fall into the moment in which a partner leaves.
    async fn ask_again_and_again(&mut self) {
        for _ in 0..BURST {
            let said = self.ask_ours().await;
            self.seen.answers.push((Moment::Read, said));
            if matches!(said, Said::Nobody(_)) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Asks, and on some occasions others as well, in any order.
    async fn ask(&mut self, moment: Moment) {
        let (partner, own) = self.ends;
        let sampled = self.server.sample > 0 && partner.ip().is_loopback();
        if !sampled || !self.dice.one_in(self.server.sample) {
            let said = self.ask_ours().await;
            self.seen.answers.push((moment, said));
            return;
        }
        let first = self.dice.below(4);
        for turn in 0..4 {
            let (tool, _) = TOOLS[usize::try_from((first + turn) % 4).unwrap()];
            let said = match tool {
                Tool::Ours => {
                    let said = self.ask_ours().await;
                    self.seen.answers.push((moment, said));
                    said
                }
                Tool::Listeners if !self.dice.one_in(SLOW) => continue,
                Tool::Proc | Tool::Netstat2 | Tool::Listeners => {
                    tokio::task::block_in_place(|| others::ask(tool, partner, own))
                }
            };
            self.seen.others.push((moment, tool, said));
        }
    }

    async fn ask_ours(&mut self) -> Said {
        let Self { server: Server { stack, .. }, stream, .. } = self;
        let user = PartnerRequest::USER_ID;
        // What was set is forgotten with what was saved.
        let answer = match self.dice.below(4) {
            0 if self.in_advance => loop {
                match stack.try_get_partner_info(stream, user) {
                    Err(error) if error.kind() == ErrorKind::InProgress => {
                        sleep(Duration::from_millis(1)).await;
                    }
                    answer => break answer,
                }
            },
            1 => stack.get_partner_info(stream, user, PATIENCE).await,
            _ => {
                if !self.in_advance {
                    stack.forget_partner(stream).unwrap();
                }
                stack.get_partner_info(stream, user, PATIENCE).await
            }
        };
        match answer {
            Ok(info) => Said::User(info.user().expect("what was asked for").uid()),
            Err(error) => {
                let kind = error.kind().as_str();
                Said::Nobody(error.reason().map_or(kind, |reason| reason.as_str()))
            }
        }
    }
}
