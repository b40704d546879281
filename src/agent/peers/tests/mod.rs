//! Links and listeners over loopback, and what stands in for the rest of the agent.

mod certificates;
mod hostile;
mod limits;
mod links;
mod raw;
mod refusals;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use self::certificates::Configurations;
use super::*;
use crate::info::PartnerRequest;
use crate::protocol::peers::{Answer, End, Hello, Outcome, Question, Told};
use crate::token::{HolderSearch, Uid};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Long enough for anything here, short enough to fail.
const LONG: Duration = Duration::from_secs(20);
const NAMESPACE: u64 = 7;
const KEY: Key = Key { namespace: NAMESPACE, local: LOCALHOST, remote: LOCALHOST };

/// Questions about this port are never answered.
const NEVER: u16 = 1;
/// Questions about this port are answered after a while.
const LATE: u16 = 2;
const A_WHILE: Duration = Duration::from_millis(100);

const END: End = End {
    received_next: 1,
    sent_next: 2,
    unacknowledged: 3,
    bytes_received: 4,
    bytes_acknowledged: 5,
};

/// Trusts who has a certificate of the domain, under the name that it is told.
struct Fixed {
    tls: Configurations,
    theirs: PeerName,
}

impl Trust for Fixed {
    fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls.client)
    }

    fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls.server)
    }

    fn peer(
        &self,
        certificates: &[CertificateDer<'_>],
        address: IpAddr,
        _role: Role,
    ) -> Result<PeerName, String> {
        assert_eq!(certificates.len(), 1, "the certificate of a proven peer");
        assert!(address.is_loopback());
        match self.theirs.host.as_str() {
            "nobody" => Err("a host of that name is not known".to_owned()),
            _ => Ok(self.theirs.clone()),
        }
    }
}

fn trust(tls: &Configurations, domain: &str, host: &str) -> Arc<dyn Trust> {
    let theirs = PeerName { domain: domain.to_owned(), host: host.to_owned(), expires: None };
    Arc::new(Fixed { tls: tls.clone(), theirs })
}

fn introduce(domain: Option<&str>) -> Introduce {
    let domain = domain.map(str::to_owned);
    let hello = Arc::new(Hello { domain, host: "here".to_owned() });
    Arc::new(move || Arc::clone(&hello))
}

/// Connects from the link's address to a port, and counts how often.
#[derive(Clone)]
struct To {
    port: u16,
    dials: Arc<AtomicUsize>,
}

impl To {
    fn new(address: SocketAddr) -> Self {
        Self { port: address.port(), dials: Arc::default() }
    }

    fn dials(&self) -> usize {
        self.dials.load(Ordering::Relaxed)
    }
}

impl Dial for To {
    fn dial(&self, to: Key) -> Pin<Box<dyn Future<Output = std::io::Result<TcpStream>> + Send>> {
        self.dials.fetch_add(1, Ordering::Relaxed);
        let port = self.port;
        Box::pin(async move {
            let socket = TcpSocket::new_v4()?;
            socket.bind((to.local, 0).into())?;
            socket.connect((to.remote, port).into()).await
        })
    }
}

/// Tells of the user whose number is the asker's port.
struct ByPort;

impl Answerer for ByPort {
    async fn answer(&self, from: &Peer, question: Question) -> Outcome {
        assert_eq!((from.address, from.namespace), (question.asker.ip(), NAMESPACE));
        match question.asker.port() {
            NEVER => std::future::pending().await,
            LATE => tokio::time::sleep(A_WHILE).await,
            _ => {}
        }
        told(question.asker.port())
    }
}

fn told(port: u16) -> Outcome {
    let told = Told { user: Uid::new(port.into()), name: None, token: None };
    Outcome::Told { told, end: END }
}

#[derive(Default)]
struct Events(Mutex<Vec<String>>);

impl Events {
    fn add(&self, event: String) {
        self.0.lock().unwrap().push(event);
    }

    fn count(&self, event: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|seen| *seen == event).count()
    }

    async fn wait_for(&self, event: &str) {
        let seen = async {
            while self.count(event) == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(LONG, seen).await;
        waited.unwrap_or_else(|_| panic!("{event} of {:?}", self.0.lock().unwrap()));
    }
}

impl Observer for Events {
    fn connection_refused(&self, _from: IpAddr, kind: &'static str) {
        self.add(format!("refused {kind}"));
    }

    fn handshake_failed(&self, _from: IpAddr, kind: &'static str, _why: &str) {
        self.add(format!("failed {kind}"));
    }

    fn connected(&self, _peer: &Peer, resumed: bool) {
        self.add(if resumed { "resumed" } else { "full" }.to_owned());
    }

    fn disconnected(&self, _peer: &Peer, kind: &'static str) {
        self.add(format!("ended {kind}"));
    }

    fn question_refused(&self, _peer: &Peer, kind: &'static str) {
        self.add(format!("question {kind}"));
    }
}

/// A listener on loopback, and what it takes to ask it.
struct World {
    tls: Configurations,
    listener: Listener<ByPort>,
    events: Arc<Events>,
    address: SocketAddr,
}

impl World {
    async fn new(limits: Limits) -> Self {
        Self::of(limits, Some("PROD"), "prod").await
    }

    /// With our domain, and the one that the certificates of others prove.
    async fn of(limits: Limits, ours: Option<&str>, theirs: &str) -> Self {
        let tls = certificates::domain();
        let events = Arc::new(Events::default());
        let listener = Listener::new(Setup {
            trust: trust(&tls, theirs, "asker"),
            introduce: introduce(ours),
            answerer: ByPort,
            observer: events.clone(),
            limits,
        });
        let socket = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let address = (LOCALHOST, socket.local_addr().unwrap().port()).into();
        listener.add(NAMESPACE, socket);
        Self { tls, listener, events, address }
    }

    fn means(&self) -> Means {
        let dial = Arc::new(To::new(self.address));
        Means::new(dial, trust(&self.tls, "Prod", "answerer"), introduce(Some("prod")))
    }

    fn link(&self) -> Arc<Link> {
        Link::new(KEY, Arc::new(self.means()))
    }
}

/// About a connection of this port of the asker.
fn question(port: u16) -> Question {
    Question {
        number: 0,
        asked: (LOCALHOST, 5_432).into(),
        asker: (LOCALHOST, port).into(),
        request: PartnerRequest::USER_ID,
        search: HolderSearch::All,
        timeout: LONG,
        domain: Some("PROD".to_owned()),
        end: END,
    }
}

fn question_within(port: u16, timeout: Duration) -> Question {
    Question { timeout, ..question(port) }
}

/// Asks, and expects to be told of that port.
async fn ask(link: &Arc<Link>, port: u16) {
    let answered = link.ask(question(port)).await.unwrap();
    assert_eq!(answered.answer.outcome, told(port));
    assert_eq!(answered.by.host, "answerer");
}
