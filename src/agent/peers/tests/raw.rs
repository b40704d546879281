//! Peers that say what they like.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::*;
use crate::protocol::peers::split;

/// One side of a connection, driven by hand.
pub(super) struct Raw {
    pub(super) stream: TlsStream<TcpStream>,
    bytes: Vec<u8>,
}

impl Raw {
    /// Connects to a listener, and says a Hello.
    pub(super) async fn connect(world: &World) -> Self {
        let stream = TcpStream::connect(world.address).await.unwrap();
        let connector = TlsConnector::from(Arc::clone(&world.tls.client));
        let name = ServerName::IpAddress(LOCALHOST.into());
        let stream = connector.connect(name, stream).await.unwrap();
        let mut raw = Self { stream: TlsStream::Client(stream), bytes: Vec::new() };
        raw.hello(Some("PROD")).await;
        raw
    }

    pub(super) async fn hello(&mut self, domain: Option<&str>) {
        let mut out = Vec::new();
        introduce(domain)().put(&mut out);
        self.write(&out).await;
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next message; `None` where there is none any more.
    pub(super) async fn message(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some((message, rest)) = split(&self.bytes).unwrap() {
                let (message, rest) = (message.to_vec(), rest.to_vec());
                self.bytes = rest;
                return Some(message);
            }
            let mut chunk = [0; 4_096];
            match self.stream.read(&mut chunk).await {
                Ok(count @ 1..) => self.bytes.extend_from_slice(&chunk[..count]),
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// The answer that comes next, after the Hello.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        self.message().await.map(|message| Answer::decode(&message).unwrap())
    }

    /// Ends it as where the host has crashed.
    pub(super) fn reset(self) {
        self.stream.get_ref().0.set_zero_linger().unwrap();
    }
}

/// What a host does with one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Answers what it is asked.
    Answer,
    /// Resets after the first question.
    Reset,
    /// Takes questions and never answers.
    Silent,
    /// Shakes no hand.
    Dead,
    /// Sends this after its Hello.
    Say(&'static [u8]),
    /// Is of another domain by its Hello.
    OtherDomain,
    /// Tells of a user that was not asked for.
    Babble,
}

/// A host that does `first` with its first connection and `then` with all others.
pub(super) async fn host(tls: &Configurations, first: Does, then: Does) -> To {
    let listener = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let to = To::new(listener.local_addr().unwrap());
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.server));
    let count = AtomicUsize::new(0);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let does = if count.fetch_add(1, Ordering::Relaxed) == 0 { first } else { then };
            tokio::spawn(serve(acceptor.clone(), stream, does));
        }
    });
    to
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, does: Does) {
    if does == Does::Dead {
        tokio::time::sleep(LONG).await;
    }
    let stream = TlsStream::Server(acceptor.accept(stream).await.unwrap());
    let mut raw = Raw { stream, bytes: Vec::new() };
    raw.hello(Some(if does == Does::OtherDomain { "TEST" } else { "PROD" })).await;
    let Some(_hello) = raw.message().await else { return };
    while let Some(message) = raw.message().await {
        let question = Question::decode(&message).unwrap();
        let port = if does == Does::Babble { 0 } else { question.asker.port() };
        match does {
            Does::Answer | Does::Babble => {
                let mut out = Vec::new();
                Answer { number: question.number, outcome: told(port) }.put(&mut out);
                raw.write(&out).await;
            }
            Does::Reset => {
                // What was sent and is not read yet is lost with a reset: so let the Hello arrive.
                tokio::time::sleep(Duration::from_millis(50)).await;
                return raw.reset();
            }
            Does::Say(bytes) => raw.write(bytes).await,
            Does::Silent | Does::Dead | Does::OtherDomain => {}
        }
    }
}

pub(super) fn link_to(tls: &Configurations, to: &To) -> Arc<Link> {
    let trust = trust(tls, "PROD", "answerer");
    Link::new(KEY, Arc::new(Means::new(Arc::new(to.clone()), trust, introduce(Some("PROD")))))
}

/// Polls once, so that what is asked is on its way.
pub(super) async fn begin<F: Future + Unpin>(future: &mut F) {
    poll_fn(|context| {
        let _ = Pin::new(&mut *future).poll(context);
        std::task::Poll::Ready(())
    })
    .await;
}
