//! Servers that ask at accept who is there, or do not: a tokio echo, and axum that says hello.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::routing::get;
use axum::serve::{IncomingStream, Listener};
use partner_info::prelude::*;
use partner_info::{PartnerInfo, Stack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::rounds::{Measured, drive};

const CLIENTS: usize = 8;

/// Which server.
#[derive(Clone, Copy)]
pub enum Server {
    Echo,
    Axum,
}

impl Server {
    fn request(self) -> &'static [u8] {
        match self {
            Self::Echo => b"hello",
            Self::Axum => b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        }
    }

    fn start(self, listener: TcpListener, asks: bool) -> JoinHandle<()> {
        match self {
            Self::Echo => tokio::spawn(echo(listener, asks)),
            Self::Axum => tokio::spawn(hello(listener, asks)),
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// A new one for every request.
    Connections,
    /// On a connection that each client keeps.
    Requests,
}

/// One round of [`CLIENTS`] clients in this runtime.
pub async fn round(server: Server, asks: bool, counted: Counted, length: Duration) -> Measured {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let address = listener.local_addr().expect("an address");
    let serving = server.start(listener, asks);
    let request = server.request();
    let kept: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let ask = move || {
        let kept = Arc::clone(&kept);
        async move {
            let old = kept.lock().expect("nobody panicked").pop();
            let mut stream = match old {
                Some(stream) => stream,
                None => {
                    let stream = TcpStream::connect(address).await.expect("connect");
                    // A reset leaves no TIME_WAIT behind: ports would run out.
                    stream.set_zero_linger().expect("set SO_LINGER");
                    stream
                }
            };
            stream.write_all(request).await.expect("write");
            let mut reply = Vec::with_capacity(256);
            while !reply.ends_with(b"hello") {
                assert_ne!(stream.read_buf(&mut reply).await.expect("read"), 0, "the reply");
            }
            if counted == Counted::Requests {
                kept.lock().expect("nobody panicked").push(stream);
            }
        }
    };
    let round = drive(CLIENTS, length, ask).await;
    serving.abort();
    round.measured()
}

async fn who(stream: &TcpStream) -> PartnerInfo {
    let get =
        Stack::current().get_partner_info(stream, PartnerRequest::USER_ID, Duration::from_secs(5));
    let partner = get.await.expect("an answer");
    assert!(partner.user().is_some(), "a user");
    partner
}

async fn echo(listener: TcpListener, asks: bool) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("accept");
        tokio::spawn(async move {
            if asks {
                drop(who(&stream).await);
            }
            let mut buffer = [0; 64];
            while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..len]).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// The identity reaches the handler, as a handler that decides by it needs it.
async fn hello(listener: TcpListener, asks: bool) {
    let served = if asks {
        let route = get(|ConnectInfo(Who(partner)): ConnectInfo<Who>| async move {
            assert!(partner.user().is_some(), "a user");
            "hello"
        });
        let service = Router::new().route("/", route);
        let service = service.into_make_service_with_connect_info::<Who>();
        axum::serve(Asking(listener), service).await
    } else {
        let service = Router::new().route("/", get(|| async { "hello" }));
        axum::serve(listener, service).await
    };
    served.expect("serve");
}

/// A listener that asks who was accepted.
struct Asking(TcpListener);

impl Listener for Asking {
    type Io = TcpStream;
    type Addr = PartnerInfo;

    async fn accept(&mut self) -> (TcpStream, PartnerInfo) {
        let (stream, _) = self.0.accept().await.expect("accept");
        let partner = who(&stream).await;
        (stream, partner)
    }

    fn local_addr(&self) -> io::Result<PartnerInfo> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

#[derive(Clone)]
struct Who(PartnerInfo);

impl Connected<IncomingStream<'_, Asking>> for Who {
    fn connect_info(stream: IncomingStream<'_, Asking>) -> Self {
        Self(stream.remote_addr().clone())
    }
}
