//! What `benches/peers.rs` measures. No part of the interface.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{
    Answerer, Dial, Introduce, Key, Limits, Listener, Means, Observer, Peer, PeerName, Peers, Role,
    Setup, Trust,
};
use crate::info::PartnerRequest;
use crate::protocol::peers::{Answer, End, Hello, Outcome, Question};
use crate::token::HolderSearch;

const DOMAIN: &str = "BENCH";
const NAMESPACE: u64 = 1;
const END: End = End {
    received_next: 0x1234_5678,
    sent_next: 0x2345_6789,
    unacknowledged: 0x2345_6789,
    bytes_received: 1_000,
    bytes_acknowledged: 1_000,
};

/// A listener whose answers are there at once.
pub struct Server(Listener<AtOnce>);

/// Links to any number of them.
pub struct Client(Peers);

impl Server {
    /// Answers everybody with this encoded answer. `None`: it is not one.
    pub fn new(
        client: Arc<ClientConfig>,
        server: Arc<ServerConfig>,
        answer: &[u8],
    ) -> Option<Self> {
        let Answer { number: _, outcome } = Answer::decode(answer).ok()?;
        Some(Self(Listener::new(Setup {
            trust: Arc::new(Fixed { client, server }),
            introduce: introduce(),
            answerer: AtOnce(outcome),
            observer: Arc::new(Nobody),
            limits: Limits { questions_per_second: u32::MAX, ..Limits::standard() },
        })))
    }

    /// Listens, in the current runtime.
    pub fn add(&self, socket: TcpListener) {
        self.0.add(NAMESPACE, socket);
    }
}

impl Client {
    /// Asks at this port.
    pub fn new(client: Arc<ClientConfig>, server: Arc<ServerConfig>, port: u16) -> Self {
        let trust = Arc::new(Fixed { client, server });
        Self(Peers::new(Means::new(Arc::new(To(port)), trust, introduce()), 65_536))
    }

    /// Asks for a token; whether one was told.
    pub async fn ask(&self, local: IpAddr, remote: IpAddr) -> bool {
        let question = Question {
            number: 0,
            asked: SocketAddr::new(remote, 5_432),
            asker: SocketAddr::new(local, 40_000),
            request: PartnerRequest::all(),
            search: HolderSearch::All,
            timeout: Duration::from_secs(10),
            domain: Some(DOMAIN.to_owned()),
            end: END,
        };
        let answered = self.0.ask(Key { namespace: NAMESPACE, local, remote }, question).await;
        matches!(answered, Ok(answered) if matches!(answered.answer.outcome, Outcome::Told { .. }))
    }
}

struct AtOnce(Outcome);

impl Answerer for AtOnce {
    async fn answer(&self, _from: &Peer, _question: Question) -> Outcome {
        self.0.clone()
    }
}

struct Fixed {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Trust for Fixed {
    fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    fn peer(&self, _: &[CertificateDer<'_>], _: IpAddr, _: Role) -> Result<PeerName, String> {
        Ok(PeerName { domain: DOMAIN.to_owned(), host: "bench".to_owned(), expires: None })
    }
}

struct To(u16);

impl Dial for To {
    fn dial(&self, to: Key) -> Pin<Box<dyn Future<Output = std::io::Result<TcpStream>> + Send>> {
        let port = self.0;
        Box::pin(async move {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(to.local, 0))?;
            socket.connect(SocketAddr::new(to.remote, port)).await
        })
    }
}

struct Nobody;

impl Observer for Nobody {
    fn connection_refused(&self, _: IpAddr, _: &'static str) {}
    fn handshake_failed(&self, _: IpAddr, _: &'static str, _: &str) {}
    fn connected(&self, _: &Peer, _: bool) {}
    fn disconnected(&self, _: &Peer, _: &'static str) {}
    fn question_refused(&self, _: &Peer, _: &'static str) {}
}

fn introduce() -> Introduce {
    let hello = Hello { domain: Some(DOMAIN.to_owned()), host: "bench".to_owned() };
    let hello = Arc::new(hello);
    Arc::new(move || Arc::clone(&hello))
}
