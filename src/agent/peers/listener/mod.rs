//! Answering peers: takes connections, proves who connects, and keeps to the limits.
//!
//! A connection that says nothing costs a small task and no more: what a handshake takes is made when
//! its first byte is here. Until a peer is proven it holds none of the places of those that are.

mod gate;
pub(in crate::agent) mod hosts;
mod visit;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, TlsStream};

use self::gate::Gate;
use self::hosts::{Displaced, Host, Hosts, Place};
use super::pipe::Pipe;
use super::socket;
use super::trust::{Introduce, PeerName, Role, Trust};
use crate::agent::stop::{self, Stop, Stopper};
use crate::protocol::peers::{Outcome, Question};

/// How long nothing is accepted where the agent has no descriptor left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// Connections of one address that have not proven who they are. A further one takes the place of
/// the first: whoever wants to keep an agent out by this has to connect so often within a handshake.
const UNPROVEN_OF_ADDRESS: usize = 64;

/// How much is done at once for peers, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    /// Proven ones of one address in one network namespace.
    pub(crate) connections_per_address: usize,
    /// Handshakes at one time.
    pub(crate) handshakes: usize,
    /// How long a peer may take to prove who it is, and to say its first word after that.
    pub(crate) handshake: Duration,
    /// Questions in flight over one connection.
    pub(crate) questions: usize,
    /// Of one address; more wait.
    pub(crate) questions_per_second: u32,
    /// The longest that a question may take.
    pub(crate) question: Duration,
    /// A peer that does not read its answers is dropped after this.
    pub(crate) stall: Duration,
    /// A peer that asks nothing is dropped after this: longer than it keeps a link by itself.
    pub(crate) idle: Duration,
}

impl Limits {
    /// What is in force unless something else is said.
    pub(crate) fn standard() -> Self {
        Self {
            connections: 4_096,
            connections_per_address: 8,
            handshakes: 64,
            handshake: Duration::from_secs(5),
            questions: 256,
            questions_per_second: 20_000,
            question: Duration::from_secs(10),
            stall: Duration::from_secs(5),
            idle: Duration::from_secs(900),
        }
    }
}

/// A peer that is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: PeerName,
    /// In canonical form.
    pub(crate) address: IpAddr,
    /// The cookie of the network namespace in which it connected.
    pub(crate) namespace: u64,
}

/// Answers questions of peers.
///
/// A question that arrives here is about a connection between an address of the peer and one of this
/// host, namely those of the very connection over which it came; and the peer is of our security
/// domain, by its certificate and by its own word. Whether that connection exists, and whether the
/// asker's end is the other end of it, is to be proven by the numbers that came along.
pub(crate) trait Answerer: Send + Sync + 'static {
    fn answer(&self, from: &Peer, question: Question) -> impl Future<Output = Outcome> + Send;
}

/// Told what happens that is no answer. Kinds are stable names, for metrics and records.
pub(crate) trait Observer: Send + Sync + 'static {
    /// A connection was closed: `too-many` or `too-many-unproven`, before anything was read, or
    /// `too-many-of-host`, when it was proven.
    fn connection_refused(&self, from: IpAddr, kind: &'static str);
    /// A peer did not prove who it is. `kind`: `timed-out`, `gave-way`, `closed`, `tls`, `untrusted`.
    fn handshake_failed(&self, from: IpAddr, kind: &'static str, why: &str);
    fn connected(&self, peer: &Peer, resumed: bool);
    /// `kind`: `closed`, `io`, `malformed`, `stalled`, `idle`, `stopped`.
    fn disconnected(&self, peer: &Peer, kind: &'static str);
    /// A question was not handed on. `kind`: `not-between-us`, `security-domain`, `over-limit`.
    fn question_refused(&self, peer: &Peer, kind: &'static str);
}

/// What it takes to answer peers.
pub(crate) struct Setup<A> {
    pub(crate) trust: Arc<dyn Trust>,
    pub(crate) introduce: Introduce,
    pub(crate) answerer: A,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) limits: Limits,
}

/// Answers peers on any number of listening sockets, until it is dropped.
pub(crate) struct Listener<A> {
    shared: Arc<Shared<A>>,
    /// By the cookie of their network namespace: dropped, they end its connections.
    stacks: Mutex<HashMap<u64, Stopper>>,
}

/// What all connections share.
struct Shared<A> {
    setup: Setup<A>,
    gate: Gate,
    hosts: Hosts,
    connections: Arc<AtomicUsize>,
    unproven: Arc<AtomicUsize>,
}

impl<A: Answerer> Listener<A> {
    pub(crate) fn new(setup: Setup<A>) -> Self {
        let shared = Shared {
            gate: Gate::new(setup.limits.handshakes),
            setup,
            hosts: Hosts::default(),
            connections: Arc::default(),
            unproven: Arc::default(),
        };
        Self { shared: Arc::new(shared), stacks: Mutex::default() }
    }

    /// Answers on this socket from now on, in the current runtime. One that was there for the same
    /// network namespace is removed.
    pub(crate) fn add(&self, namespace: u64, socket: TcpListener) {
        let (stopper, stop) = stop::channel();
        let shared = Arc::clone(&self.shared);
        tokio::spawn(shared.accept(namespace, socket, stop));
        self.lock().insert(namespace, stopper);
    }

    /// Closes the socket of a network namespace; its connections end when their questions are answered.
    pub(crate) fn remove(&self, namespace: u64) {
        self.lock().remove(&namespace);
    }

    /// Closes everything, and waits until the questions that are here are answered, `longest` at most.
    pub(crate) async fn close(&self, longest: Duration) {
        self.lock().clear();
        let ended = async {
            while self.shared.connections.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(longest, ended).await.is_err() {
            tracing::warn!("some questions of other hosts were not answered before the end");
        }
    }

    /// Connections that are open, proven or not.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Stopper>> {
        // A socket is in the table or not.
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is not proven yet.
struct Arrival {
    stream: TcpStream,
    /// Both in canonical form.
    peer: IpAddr,
    local: IpAddr,
    namespace: u64,
    host: Arc<Host>,
    stop: Stop,
    displaced: oneshot::Receiver<Displaced>,
    _of_all: Place,
}

/// Why nobody was proven: a kind, and what happened.
struct Unproven(&'static str, String);

impl<A: Answerer> Shared<A> {
    async fn accept(self: Arc<Self>, namespace: u64, socket: TcpListener, mut stop: Stop) {
        let tell = stop.clone();
        let mut stopped = std::pin::pin!(stop.requested());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stopped => return,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => self.admit(namespace, stream, from, tell.clone()),
                Err(error) => {
                    tracing::warn!(%error, "a connection of another host could not be taken");
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, namespace: u64, stream: TcpStream, from: SocketAddr, stop: Stop) {
        let Setup { limits, observer, .. } = &self.setup;
        let peer = from.ip().to_canonical();
        let refused = |kind| observer.connection_refused(peer, kind);
        let Some(of_all) = Place::take(&self.connections, limits.connections) else {
            return refused("too-many");
        };
        // However many connect and say nothing, there is room for those who are proven.
        let most = limits.connections.div_ceil(2);
        let Some(unproven) = Place::take(&self.unproven, most) else {
            return refused("too-many-unproven");
        };
        let host = self.hosts.host((namespace, peer), Instant::now().into_std());
        // It may be gone already.
        let Ok(local) = stream.local_addr() else { return };
        if socket::prepare(&stream).is_err() {
            return;
        }
        let local = local.ip().to_canonical();
        let arrival = Arrival {
            stream,
            peer,
            local,
            namespace,
            displaced: host.arrive(UNPROVEN_OF_ADDRESS),
            host,
            stop,
            _of_all: of_all,
        };
        tokio::spawn(Arc::clone(self).arrive(arrival, unproven));
    }

    /// One connection, from its first byte to its last.
    async fn arrive(self: Arc<Self>, mut arrival: Arrival, unproven: Place) {
        let began = Instant::now();
        let deadline = began.checked_add(self.setup.limits.handshake).unwrap_or(began);
        // Not `readable`, which may be wrong, and is where a socket is new.
        let mut first = [0];
        let spoke = tokio::select! {
            spoke = tokio::time::timeout_at(deadline, arrival.stream.peek(&mut first)) => {
                matches!(spoke, Ok(Ok(_)))
            }
            _ = &mut arrival.displaced => {
                let Unproven(kind, why) = displaced();
                return self.setup.observer.handshake_failed(arrival.peer, kind, &why);
            }
            () = arrival.stop.requested() => return,
        };
        if spoke {
            // Boxed: one that says nothing needs no room for what follows.
            Box::pin(self.proven(arrival, unproven, deadline)).await;
        } else {
            let observer = &self.setup.observer;
            observer.handshake_failed(arrival.peer, "timed-out", "it said nothing");
        }
    }

    async fn proven(self: &Arc<Self>, arrival: Arrival, unproven: Place, deadline: Instant) {
        let Arrival { stream, peer: from, local, namespace, host, stop, displaced, _of_all } =
            arrival;
        let prove = Box::pin(tokio::time::timeout_at(deadline, self.prove(stream, from)));
        let proven = tokio::select! {
            biased;
            proven = prove => proven.unwrap_or_else(|_| {
                Err(Unproven("timed-out", "it did not finish the handshake".to_owned()))
            }),
            _ = displaced => Err(self::displaced()),
        };
        drop(unproven);
        let (stream, name) = match proven {
            Ok(proven) => proven,
            Err(Unproven(kind, why)) => {
                return self.setup.observer.handshake_failed(from, kind, &why);
            }
        };
        let most = self.setup.limits.connections_per_address;
        let Some(_of_host) = Place::take(&host.connections, most) else {
            return self.setup.observer.connection_refused(from, "too-many-of-host");
        };
        let peer = Arc::new(Peer { name, address: from, namespace });
        let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        self.setup.observer.connected(&peer, resumed);
        let kind = visit::serve(self, Pipe::new(stream), &peer, local, &host, stop).await;
        self.setup.observer.disconnected(&peer, kind);
    }

    async fn prove(
        &self,
        stream: TcpStream,
        from: IpAddr,
    ) -> Result<(TlsStream<TcpStream>, PeerName), Unproven> {
        let trust = &self.setup.trust;
        let turn = self.gate.enter().await;
        let acceptor = TlsAcceptor::from(trust.server_config());
        let stream = tokio::select! {
            biased;
            accepted = acceptor.accept(stream) => accepted.map_err(|error| failed(&error))?,
            () = turn.give_way() => {
                let why = "others waited, and it was slow to finish the handshake";
                return Err(Unproven("gave-way", why.to_owned()));
            }
        };
        drop(turn);
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or(&[]);
        let name =
            trust.peer(certificates, from, Role::Asks).map_err(|why| Unproven("untrusted", why))?;
        Ok((TlsStream::Server(stream), name))
    }
}

fn displaced() -> Unproven {
    Unproven("gave-way", "newer connections of its address took its place".to_owned())
}

fn failed(error: &io::Error) -> Unproven {
    let about_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    Unproven(if about_tls { "tls" } else { "closed" }, error.to_string())
}
