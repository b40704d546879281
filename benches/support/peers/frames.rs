//! The floor: frames and TLS, and nothing else. One task on each side, one write for what is ready.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use super::certificates::Configurations;
use super::{ANSWER, QUESTION, Round};

fn put(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).expect("short").to_be_bytes());
    out.resize(out.len() + length, 7);
}

/// How many frames there are, which are taken out.
fn take(bytes: &mut Vec<u8>) -> usize {
    let (mut at, mut count) = (0, 0);
    while let Some(head) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes(head.try_into().expect("four")) as usize;
        if bytes.len() < at + 4 + length {
            break;
        }
        at += 4 + length;
        count += 1;
    }
    bytes.drain(..at);
    count
}

pub async fn serve(tls: Configurations, listener: TcpListener) {
    let (stream, _) = listener.accept().await.expect("accept");
    stream.set_nodelay(true).expect("set it");
    let mut stream = TlsAcceptor::from(tls.server).accept(stream).await.expect("a handshake");
    let (mut bytes, mut out) = (Vec::with_capacity(65_536), Vec::new());
    while let Ok(1..) = stream.read_buf(&mut bytes).await {
        for _ in 0..take(&mut bytes) {
            put(&mut out, ANSWER);
        }
        if stream.write_all(&out).await.is_err() || stream.flush().await.is_err() {
            break;
        }
        out.clear();
    }
}

pub struct Client(client::TlsStream<TcpStream>);

impl Client {
    pub async fn new(tls: &Configurations, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connect");
        stream.set_nodelay(true).expect("set it");
        let name = ServerName::IpAddress(IpAddr::from([127, 0, 0, 1]).into());
        let connector = TlsConnector::from(tls.client.clone());
        Self(connector.connect(name, stream).await.expect("a handshake"))
    }

    pub async fn round(&mut self, count: usize, length: Duration) -> Round {
        let (mut bytes, mut out) = (Vec::with_capacity(65_536), Vec::new());
        let (mut asked, mut times) = (VecDeque::new(), Vec::new());
        let began = Instant::now();
        let mut ask = count;
        loop {
            let now = Instant::now();
            if began.elapsed() < length {
                for _ in 0..ask {
                    put(&mut out, QUESTION);
                    asked.push_back(now);
                }
                self.0.write_all(&out).await.expect("write");
                self.0.flush().await.expect("flush");
                out.clear();
            }
            if asked.is_empty() {
                break;
            }
            self.0.read_buf(&mut bytes).await.expect("read");
            ask = take(&mut bytes);
            times.extend(asked.drain(..ask).map(|asked| asked.elapsed()));
        }
        Round { times, took: began.elapsed() }
    }
}
