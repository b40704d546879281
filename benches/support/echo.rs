//! An echo server with and without a question at every accept.

use std::time::{Duration, Instant};

use partner_info::Stack;
use partner_info::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Rounds of each kind, in turn, so that a slow moment of the machine hits both.
const ROUNDS: usize = 10;
const ROUND: Duration = Duration::from_millis(400);
const CLIENTS: usize = 8;

pub struct Rates {
    asking: f64,
    silent: f64,
}

impl Rates {
    pub fn ratio(&self) -> f64 {
        self.asking / self.silent
    }
}

/// Connections per second of both kinds: median of the rounds.
pub fn compare() -> Rates {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (asks, rates) in [false, true].into_iter().zip(&mut rates) {
                rates.push(round(asks).await);
            }
        }
        let [silent, asking] = rates.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        });
        println!("\necho server: {silent:.0} connections/s, {asking:.0} when it asks at accept");
        Rates { asking, silent }
    })
}

async fn round(asks: bool) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            tokio::spawn(serve(stream, asks));
        }
    });
    let until = Instant::now() + ROUND;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            tokio::spawn(async move {
                let mut count = 0_u32;
                while Instant::now() < until {
                    let mut stream = TcpStream::connect(address).await.expect("connect");
                    stream.write_all(b"hello").await.expect("write");
                    let mut reply = [0; 5];
                    stream.read_exact(&mut reply).await.expect("the echo");
                    // A reset leaves no TIME_WAIT behind: ports would run out.
                    stream.set_zero_linger().expect("set SO_LINGER");
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut total = 0;
    for client in clients {
        total += client.await.expect("a client");
    }
    server.abort();
    f64::from(total) / ROUND.as_secs_f64()
}

async fn serve(mut stream: TcpStream, asks: bool) {
    if asks {
        let get = Stack::current().get_partner_info(
            &stream,
            PartnerRequest::USER_ID,
            Duration::from_secs(5),
        );
        assert!(get.await.expect("an answer").user().is_some());
    }
    let mut buffer = [0; 64];
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..len]).await.is_err() {
            break;
        }
    }
}
