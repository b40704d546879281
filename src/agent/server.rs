//! The door: takes connections, reads questions, sends answers, and keeps to the limits.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::audit::Audit;
use super::callers::{Caller, Connections, Questions, Refused, Taken, Users};
use super::closer::{Closer, Lent};
use super::config::Config;
use super::door::{self, Packet, Received};
use super::hosts::{Answering, Hosts};
#[cfg(feature = "ident")]
use super::ident::Ident;
use super::identity::Identity;
use super::lookup::Lookup;
use super::metrics::Metrics;
use super::observer::PeerObserver;
use super::packet::Came;
use super::peers::{Introduce, Listener};
use super::question::Agent;
use super::stacks::{Stacks, Unavailable};
use super::stop::Stop;
use crate::kernel::prober::Prober;
use crate::protocol::peers::Hello;
use crate::protocol::{self, Answer, Question};
use crate::stack::tokens::Tokens;
use crate::token::HolderSearch;

/// How long what is in flight may take when the agent is told to stop.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// How long the door is closed where the agent has no descriptor left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);
/// How often is looked whether what a user has passed is closed by now.
const UNCLOSED: Duration = Duration::from_millis(10);
/// How often is looked whether something kept can be let go.
const TIDY: Duration = Duration::from_millis(100);
/// What a packet that is no question costs, in questions.
const NO_QUESTION: u32 = 50;

/// What it takes to answer.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    /// A Unix socket that listens, of type `SOCK_SEQPACKET`; it never blocks.
    pub(crate) listener: OwnedFd,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    /// What the agent proves itself with to those of other hosts; without it there are none.
    pub(crate) identity: Option<Identity>,
    /// Where is asked at port 113, in the agent's own namespace: sockets that listen.
    #[cfg(feature = "ident")]
    pub(crate) ident: Vec<OwnedFd>,
    /// The configuration, each time that it was read again. What needs a restart is as it was.
    pub(crate) reloads: mpsc::Receiver<Config>,
    pub(crate) stop: Stop,
}

/// What all connections share.
struct Door {
    agent: Arc<Agent>,
    users: Users,
    closer: Arc<Closer>,
    connections: AtomicUsize,
    stop: Stop,
    /// Something may be kept that is to be let go some time.
    untidy: AtomicBool,
    stirred: Notify,
}

type Socket = Arc<AsyncFd<OwnedFd>>;

/// Answers until it is told to stop, and what is in flight has its answer.
pub(crate) async fn serve(setup: Setup) -> io::Result<()> {
    #[cfg(feature = "ident")]
    let for_ident = setup.ident;
    let Setup { config, listener, audit, metrics, identity, mut reloads, mut stop, .. } = setup;
    let hosts = identity.is_some();
    let agent = Arc::new(agent(&config, hosts, audit, metrics)?);
    let others =
        identity.map(|identity| others(&agent, &identity, config.peers.port)).transpose()?;
    #[cfg(feature = "ident")]
    let mut ident = match config.ident.is_on() {
        true => Some(Ident::start(&agent, for_ident)?),
        false => None,
    };
    let door = Arc::new(Door {
        agent,
        users: Users::new(),
        closer: Arc::new(Closer::new()),
        connections: AtomicUsize::new(0),
        stop: stop.clone(),
        untidy: AtomicBool::new(false),
        stirred: Notify::new(),
    });
    let listener = door::ready(listener, Interest::READABLE)?;
    let mut callers = JoinSet::new();
    let mut tidy = tokio::time::interval(TIDY);
    tidy.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let untidy = door.untidy.load(Ordering::Relaxed);
        tokio::select! {
            accepted = accept(&listener) => match accepted {
                Ok(socket) => door.admit(socket, &mut callers),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
            },
            Some(config) = reloads.recv() => door.reload(config),
            Some(_) = callers.join_next() => {}
            // Where nothing is kept there is nothing to wake up for.
            _ = tidy.tick(), if untidy => door.tidy(),
            () = door.stirred.notified(), if !untidy => {}
            () = stop.requested() => break,
        }
    }
    // Each caller's task sees the request by itself, and ends when its questions are answered.
    let all = async { while callers.join_next().await.is_some() {} };
    let mut others = others;
    let of_others = async {
        if let Some(others) = others.take() {
            others.watch.abort();
            others.listener.close(LAST_ANSWERS).await;
        }
    };
    let of_ident = async {
        #[cfg(feature = "ident")]
        if let Some(ident) = ident.take() {
            ident.close(LAST_ANSWERS).await;
        }
    };
    let all = tokio::time::timeout(LAST_ANSWERS, all);
    let (all, (), ()) = tokio::join!(all, of_others, of_ident);
    if all.is_err() {
        tracing::warn!("some questions were not answered before the end");
    }
    Ok(())
}

/// What answers other hosts, and follows the namespaces in which it does.
struct Others {
    listener: Arc<Listener<Answering>>,
    watch: AbortHandle,
}

fn others(agent: &Arc<Agent>, identity: &Identity, port: u16) -> io::Result<Others> {
    let introducing = Arc::downgrade(agent);
    let introduce: Introduce = Arc::new(move || {
        let introduction = introducing.upgrade().map(|agent| agent.introduction());
        // An agent that is ending says nothing that could be taken for more than it is.
        Arc::new(introduction.unwrap_or_else(|| Hello { domain: None, host: "-".to_owned() }))
    });
    let hosts = Hosts::new(&agent.lookup, identity, Arc::clone(&introduce), port);
    let hosts = agent.hosts.get_or_init(|| hosts);
    let observer = PeerObserver::new(agent.audit.clone(), Arc::clone(&agent.metrics));
    let listener = hosts.listener(agent, identity, introduce, Arc::new(observer));
    hosts.open_home(&agent.lookup, &listener).map_err(|error| {
        let what = format!("listening for other hosts at port {port}: {error}; name a free port");
        io::Error::new(error.kind(), what)
    })?;
    let following = identity.clone();
    let (watching, watched) = (Arc::clone(agent), Arc::clone(&listener));
    let watch = tokio::spawn(async move {
        if let Some(hosts) = watching.hosts.get() {
            let watch = hosts.watch(Arc::clone(&watching.lookup), watched);
            tokio::join!(watch, hosts.follow(following));
        }
    });
    Ok(Others { listener, watch: watch.abort_handle() })
}

fn agent(config: &Config, hosts: bool, audit: Audit, metrics: Arc<Metrics>) -> io::Result<Agent> {
    let stacks = Stacks::new(config.namespaces.clone(), config.limits.namespaces);
    let stacks = stacks.map_err(|why| match why {
        Unavailable::NotServed => io::Error::other("the agent's own namespace is not served"),
        Unavailable::Failed { doing, errno } => {
            io::Error::other(format!("{doing}: {}", io::Error::from_raw_os_error(errno)))
        }
    })?;
    let own = config.namespaces == super::config::Namespaces::Own;
    let prober = if own && !hosts && !config.ident.is_on() {
        None
    } else {
        let prober = Prober::new();
        if let Err(error) = &prober {
            let error = io::Error::from_raw_os_error(error.0);
            tracing::error!(
                %error,
                "the kernel does not show sequence numbers (bpf(2)): partners in other network \
                 namespaces cannot be proven, and stay unidentified"
            );
        }
        prober.ok()
    };
    let tokens = Tokens::new(HolderSearch::All);
    let lookup = Arc::new(Lookup::new(stacks, prober));
    Ok(Agent::new(lookup, config, tokens, audit, metrics))
}

async fn accept(listener: &AsyncFd<OwnedFd>) -> io::Result<OwnedFd> {
    listener.async_io(Interest::READABLE, |socket| Ok(door::accept(socket.as_fd())?)).await
}

impl Door {
    fn admit(self: &Arc<Self>, socket: OwnedFd, callers: &mut JoinSet<()>) {
        let limits = self.agent.rules.limits();
        let taken = self.connections.load(Ordering::Relaxed);
        let admitted = if taken < limits.connections {
            self.users.admit(socket.as_fd(), &limits, Instant::now())
        } else {
            Err(Refused::TooMany { limit: limits.connections })
        };
        let (caller, place) = match admitted {
            Ok(admitted) => admitted,
            Err(refused) => return self.send_away(&socket, refused),
        };
        // Not whether it can be written to: it nearly always can, and the agent would be woken each
        // time that the caller takes an answer in.
        let Ok(socket) = door::ready(socket, Interest::READABLE) else { return };
        let visit = Visit { door: Arc::clone(self), caller: Arc::new(caller), _place: place };
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.agent.metrics.connected();
        callers.spawn(visit.serve(Arc::new(socket)));
    }

    /// Says why, in the answer to the first question, which was not read: its number is not known.
    fn send_away(&self, socket: &OwnedFd, refused: Refused) {
        let (why, what) = match refused {
            Refused::TooMany { limit } => (
                "too-many",
                format!(
                    "the agent has {limit} connections already; close some, or raise its limit"
                ),
            ),
            Refused::TooManyOfUser { uid, limit } => (
                "too-many-of-user",
                format!(
                    "uid {uid} has {limit} connections to the agent already; use one for many \
                     questions"
                ),
            ),
            Refused::Unknown { errno } => {
                ("unknown", format!("the agent does not see who asks: errno {errno}"))
            }
        };
        tracing::info!(why, "a connection was refused");
        self.agent.metrics.connection_refused(why);
        let outcome = protocol::Outcome::Refused(protocol::Refused::Failed(what));
        let answer = Answer { number: 0, cookie: None, outcome };
        // It may not listen.
        let _ = door::send(socket.as_fd(), &answer.encode());
    }

    fn reload(&self, config: Config) {
        self.agent.lookup.stacks().set_most(config.limits.namespaces);
        self.agent.rules.reload(config);
    }

    /// Lets go what is not used any more.
    fn tidy(&self) {
        let now = Instant::now();
        // Before the look: what comes after it is a stir of its own.
        self.untidy.store(false, Ordering::Relaxed);
        let stacks = self.agent.lookup.stacks().release(now);
        self.agent.metrics.namespaces_known(stacks + 1);
        let idle = self.users.forget_idle(now);
        if stacks > 0 || idle > 0 {
            self.untidy.store(true, Ordering::Relaxed);
        }
    }

    /// Something happens by which something may be kept.
    fn stir(&self) {
        if !self.untidy.swap(true, Ordering::Relaxed) {
            self.stirred.notify_one();
        }
    }
}

/// One connection of a caller.
struct Visit {
    door: Arc<Door>,
    caller: Arc<Caller>,
    _place: Taken<Connections>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.door.connections.fetch_sub(1, Ordering::Relaxed);
        self.door.agent.metrics.disconnected();
        // Its user may be forgotten some time.
        self.door.stir();
    }
}

impl Visit {
    async fn serve(self, socket: Socket) {
        let mut later = JoinSet::new();
        let mut stop = self.door.stop.clone();
        loop {
            // What is answered later ends by itself; this only keeps the set small.
            while later.try_join_next().is_some() {}
            self.door.agent.room_for_a_record().await;
            let received = tokio::select! {
                biased;
                () = stop.requested() => break,
                received = receive(&socket) => received,
            };
            let Some(packet) = received else { break };
            let cost = match self.question(&socket, packet, &mut later).await {
                Ok(cost) => cost,
                Err(Gone) => break,
            };
            self.pace(cost).await;
            // Callers take turns, question by question.
            if self.door.connections.load(Ordering::Relaxed) > 1 {
                tokio::task::yield_now().await;
            }
        }
        while later.join_next().await.is_some() {}
        door::end(socket.as_fd());
    }

    /// Users who ask faster than they may wait here, and so do those of whom too much cannot be
    /// closed (`SO_LINGER`); nobody else does.
    async fn pace(&self, cost: u32) {
        let limits = self.door.agent.rules.limits();
        let user = &self.caller.user;
        if let Some(wait) = user.spend(cost, limits.questions_per_second, Instant::now()) {
            tokio::time::sleep(wait).await;
        }
        while user.unclosed.count() > limits.questions_per_user.saturating_mul(2) {
            tokio::time::sleep(UNCLOSED).await;
        }
    }

    /// Answers a packet, now or later. Returns what it costs.
    async fn question(
        &self,
        socket: &Socket,
        packet: Packet,
        later: &mut JoinSet<()>,
    ) -> Result<u32, Gone> {
        let began = Instant::now();
        let (door, agent) = (&self.door, &self.door.agent);
        agent.metrics.question_came();
        door.stir();
        let limits = agent.rules.limits();
        let unclosed = &self.caller.user.unclosed;
        let nothing_taken_in = packet.more_passed && packet.passed.is_empty();
        let lent: Vec<Lent> =
            packet.passed.into_iter().map(|one| door.closer.lend(one, unclosed)).collect();
        let number = protocol::number(&packet.bytes).unwrap_or(0);
        let refuse = |kind, what: &str| agent.refuse(&self.caller, number, kind, what);
        if nothing_taken_in {
            // Not the caller's fault.
            let what = "the agent has no descriptor left for the socket that was passed; raise \
                        LimitNOFILE= of its unit, or ask again later";
            self.send(socket, &refuse("out-of-descriptors", what)).await?;
            return Ok(1);
        }
        let came = Came {
            bytes: &packet.bytes,
            cut: packet.cut,
            passed: lent,
            more_passed: packet.more_passed,
        };
        let (question, lent) = match came.question() {
            Ok(asked) => asked,
            Err(what) => {
                self.send(socket, &refuse("malformed", &what)).await?;
                return Ok(NO_QUESTION);
            }
        };
        let limit = limits.questions_per_user;
        let Some(place) = self.caller.user.question(limit) else {
            let uid = self.caller.peer.uid;
            let what =
                format!("uid {uid} has {limit} questions in flight already; ask fewer at a time");
            self.send(socket, &refuse("over-limit", &what)).await?;
            return Ok(1);
        };
        let work = Asked {
            door: Arc::clone(door),
            caller: Arc::clone(&self.caller),
            question,
            began,
            _place: place,
        };
        let mut answer: Pin<Box<dyn Future<Output = (Answer, Option<Lent>)> + Send>> =
            Box::pin(work.answer(lent));
        let first =
            std::future::poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        match first {
            // Closed only after the answer is sent.
            Poll::Ready((answer, _lent)) => self.send(socket, &answer).await?,
            Poll::Pending => {
                let (socket, stall) = (Arc::clone(socket), limits.stall);
                later.spawn(async move {
                    let (answer, _lent) = answer.await;
                    if send(&socket, &answer.encode(), stall).await.is_err() {
                        door::end(socket.as_fd());
                    }
                });
            }
        }
        Ok(1)
    }

    async fn send(&self, socket: &Socket, answer: &Answer) -> Result<(), Gone> {
        send(socket, &answer.encode(), self.door.agent.rules.limits().stall).await
    }
}

/// A question on its way to its answer.
struct Asked {
    door: Arc<Door>,
    caller: Arc<Caller>,
    question: Question,
    began: Instant,
    _place: Taken<Questions>,
}

impl Asked {
    async fn answer(self, passed: Lent) -> (Answer, Option<Lent>) {
        let Self { door, caller, question, began, _place } = self;
        door.agent.answer(&caller, &question, passed, began).await
    }
}

/// The caller has gone, or does not read.
struct Gone;

async fn receive(socket: &Socket) -> Option<Packet> {
    let look = |socket: &OwnedFd| match door::receive(socket.as_fd()) {
        Received::Packet(packet) => Ok(Some(packet)),
        Received::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        Received::End => Ok(None),
    };
    socket.async_io(Interest::READABLE, look).await.ok().flatten()
}

/// Sends, and waits no longer than `stall` for a caller that reads nothing.
async fn send(socket: &Socket, bytes: &[u8], stall: Duration) -> Result<(), Gone> {
    match door::send(socket.as_fd(), bytes) {
        Ok(()) => return Ok(()),
        Err(rustix::io::Errno::AGAIN) => {}
        Err(_) => return Err(Gone),
    }
    // A descriptor of its own, which the runtime watches for as long as somebody waits to write.
    let Ok(socket) = socket.get_ref().try_clone() else { return Err(Gone) };
    let Ok(socket) = door::ready(socket, Interest::WRITABLE) else { return Err(Gone) };
    let attempt = |socket: &OwnedFd| Ok(door::send(socket.as_fd(), bytes)?);
    match tokio::time::timeout(stall, socket.async_io(Interest::WRITABLE, attempt)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}
