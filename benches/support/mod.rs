//! What the benchmarks share.
#![allow(unreachable_pub, missing_docs, reason = "a benchmark is no library")]
#![allow(dead_code, reason = "each benchmark uses some of it")]

pub mod counting;
pub mod echo;
pub mod floor;
pub mod paired;
pub mod places;
pub mod processes;
pub mod report;
pub mod rounds;
pub mod servers;
pub mod status;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;

/// Connections over loopback, both ends in this process.
pub struct Connections {
    pub servers: Vec<TcpStream>,
    pub clients: Vec<TcpStream>,
}

impl Connections {
    pub async fn new(count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("an address");
        let mut all =
            Self { servers: Vec::with_capacity(count), clients: Vec::with_capacity(count) };
        for _ in 0..count {
            let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
            all.clients.push(client.expect("connect"));
            all.servers.push(server.expect("accept").0);
        }
        all
    }
}

/// Other sockets of the machine. Only one end of each connection has a descriptor: the other waits
/// to be accepted.
pub struct Crowd {
    _sockets: Vec<(TcpListener, Vec<TcpStream>)>,
}

impl Crowd {
    /// Connections that a listener holds unaccepted.
    const BACKLOG: u32 = 1_000;

    pub async fn new(sockets: usize) -> Self {
        let mut left = sockets / 2;
        let mut all = Vec::new();
        while left > 0 {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind(([127, 0, 0, 1], 0).into()).expect("bind");
            let listener = socket.listen(Self::BACKLOG).expect("listen");
            let address = listener.local_addr().expect("an address");
            let here = left.min(Self::BACKLOG as usize);
            let mut clients = Vec::with_capacity(here);
            for _ in 0..here {
                clients.push(TcpStream::connect(address).await.expect("connect"));
            }
            left -= here;
            all.push((listener, clients));
        }
        Self { _sockets: all }
    }
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// One that uses two processors, for servers with their clients.
pub fn busy_runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
}

/// As many descriptors as this process may have.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("raise the soft limit to the hard one");
    assert!(
        limit.maximum.is_none_or(|maximum| maximum >= 16_384),
        "this benchmark needs 16,384 descriptors: raise `ulimit -Hn`"
    );
}
