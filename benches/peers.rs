//! What it costs to ask another host, beside its floor and beside tonic, in one run:
//! `cargo bench --features agent --bench peers`.
//!
//! Everything goes over loopback, TLS 1.3 with certificates on both sides. Each server has a thread with
//! a runtime of its own, on the first processor; so has whoever asks, on the last one, or on the first one
//! too, the same for all that are compared; rounds alternate. The last lines are what the project
//! promises.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark may stop where it stands"
)]

mod support;
#[path = "support/peers/mod.rs"]
mod ways;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::places::{self, Place};
use support::report::{self, Line};
use support::rounds::ratio;
use ways::certificates::{self, Configurations};
use ways::rates::{FLOOR, LINK, LOCALHOST, TOKEN, TONIC, client, rates, server};
use ways::{Measured, drive};

const IN_FLIGHT: [usize; 3] = [1, 16, 64];
/// Short and many, so that a slow moment of the machine hits all.
const ROUNDS: usize = 21;
const ROUND: Duration = Duration::from_millis(100);
/// Peers that are asked in turn.
const PEERS: [usize; 3] = [10, 100, 1_000];
/// Links whose memory is measured.
const KEPT: usize = 100;

fn main() {
    support::raise_descriptor_limit();
    let tls = certificates::domain();
    let runtime = support::runtime();
    let mut lines = Vec::new();
    runtime.block_on(async {
        for place in Place::all() {
            places::stand(place.of_asker());
            println!("\n{place}");
            let [one, sixteen, many] = rates(&tls, IN_FLIGHT, ROUNDS, ROUND).await;
            let slower = ratio(&one[LINK], &one[FLOOR], |round| round.p50);
            let [quicker, quickest] =
                [sixteen, many].map(|all| ratio(&all[LINK], &all[TONIC], |round| round.rate));
            let what = |what: &str| format!("{place}: {what}");
            lines.extend([
                Line::at_most(what("p50, 1 in flight / bare frames"), slower, 2.5),
                Line::at_least(what("rate, 16 in flight / tonic"), quicker, 4.0),
                Line::at_least(what("rate, 64 in flight / tonic"), quickest, 4.0),
            ]);
        }
        places::stand(Place::Apart.of_asker());
        let memory = memory(&tls).await;
        let growth = growth(&tls).await;
        let hindered = silent(&tls).await;
        lines.extend([
            Line::at_most("KiB a kept link, both ends together", memory, 64.0),
            Line::at_most(
                "p50, 1 in flight, beside 1,000 silent connections / alone",
                hindered,
                1.1,
            ),
            // With 10 peers many questions leave in one write; with 100 hardly any do.
            Line::at_least("rate, 1,000 peers / 100 peers", growth[2] / growth[1], 0.5),
        ]);
    });
    report::print(&lines);
}

/// The addresses of the ends of a peer's link.
fn pair(network: u8, number: usize) -> (IpAddr, IpAddr) {
    let [.., high, low] = number.to_be_bytes();
    (IpAddr::from([127, network, high, low]), IpAddr::from([127, network + 1, high, low]))
}

/// KiB of resident memory of this process.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("read it");
    let pages: f64 = text.split(' ').nth(1).expect("a field").parse().expect("a number");
    #[expect(clippy::cast_precision_loss, reason = "a page is small")]
    let page = rustix::param::page_size() as f64;
    pages * page / 1_024.0
}

/// KiB that a link takes when nobody asks over it, with what it takes at the other end.
async fn memory(tls: &Configurations) -> f64 {
    let client = client(tls, server(tls, TOKEN));
    // What is there once is there before it is measured.
    for number in 0..KEPT {
        let (local, remote) = pair(10, number + 1);
        assert!(client.ask(local, remote).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = resident();
    for number in 0..KEPT {
        let (local, remote) = pair(20, number + 1);
        assert!(client.ask(local, remote).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let each = (resident() - before) / KEPT as f64;
    println!("\n{each:.1} KiB for each kept link, both ends together");
    each
}

/// How much slower answers are while 1,000 others have connected and say nothing: they may do so for
/// as long as a handshake may take, so they come anew for each round.
async fn silent(tls: &Configurations) -> f64 {
    const SILENT: usize = 1_000;
    let port = server(tls, TOKEN);
    let client = client(tls, port);
    assert!(client.ask(LOCALHOST, LOCALHOST).await);
    let round = || {
        let client = Arc::clone(&client);
        let ask = move || {
            let client = Arc::clone(&client);
            async move { assert!(client.ask(LOCALHOST, LOCALHOST).await) }
        };
        drive(1, ROUND, ask)
    };
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(round().await.measured());
        // From as many addresses as it takes to be let in.
        let mut crowd = Vec::new();
        for number in 0..SILENT {
            let (local, _) = pair(50, number / 4 + 1);
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind((local, 0).into()).expect("an address");
            crowd.push(socket.connect((LOCALHOST, port).into()).await.expect("a connection"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        beside.push(round().await.measured());
        drop(crowd);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let [with, without] = [&beside, &alone].map(|rounds| Measured::medians(rounds).p50);
    println!("\np50 {with:.0} us beside {SILENT} silent connections, {without:.0} us alone");
    ratio(&beside, &alone, |round| round.p50)
}

/// Answers a second with 64 in flight over so many peers.
async fn growth(tls: &Configurations) -> [f64; 3] {
    println!("\n| peers | answers/s | p50 us | p99 us |\n|---|---|---|---|");
    let client = client(tls, server(tls, TOKEN));
    let mut rates = Vec::new();
    for peers in PEERS {
        for number in 0..peers {
            let (local, remote) = pair(30, number + 1);
            assert!(client.ask(local, remote).await);
        }
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let (client, next) = (Arc::clone(&client), Arc::new(AtomicUsize::new(0)));
            let ask = move || {
                let client = Arc::clone(&client);
                let number = next.fetch_add(1, Ordering::Relaxed) % peers;
                async move {
                    let (local, remote) = pair(30, number + 1);
                    assert!(client.ask(local, remote).await);
                }
            };
            rounds.push(drive(64, ROUND, ask).await.measured());
        }
        let Measured { rate, p50, p99 } = Measured::medians(&rounds);
        println!("| {peers} | {rate:.0} | {p50:.0} | {p99:.0} |");
        rates.push(rate);
    }
    rates.try_into().expect("three")
}
