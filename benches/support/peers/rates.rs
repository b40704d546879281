//! The ways beside each other, in rounds that alternate.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use partner_info::agent::measured;

use super::certificates::Configurations;
use super::{Measured, drive, frames, on_its_own_thread, unary};

pub const NAMES: [&str; 4] = ["bare frames", "link", "link, one process told of", "tonic"];
pub const FLOOR: usize = 0;
pub const LINK: usize = 1;
pub const TONIC: usize = 3;
pub const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// An answer of 200 bytes, as long as the others': a token of a host that hides its processes.
pub const TOKEN: &[u8] = include_bytes!("../../../fuzz/seeds/peer_messages/answer_no_holder");
/// A token of one process, which takes more work to read and write than to carry.
const PROCESS: &[u8] = include_bytes!("../../../fuzz/seeds/peer_messages/answer_one_holder");

pub fn server(tls: &Configurations, answer: &'static [u8]) -> u16 {
    let Configurations { client, server } = tls.clone();
    let address = on_its_own_thread(async move |listener| {
        let server = measured::Server::new(client, server, answer).expect("an answer");
        server.add(listener);
        std::future::pending::<()>().await;
    });
    address.port()
}

pub fn client(tls: &Configurations, port: u16) -> Arc<measured::Client> {
    Arc::new(measured::Client::new(tls.client.clone(), tls.server.clone(), port))
}

/// The rounds of each of [`NAMES`], for each number of questions in flight. Whoever asks is where
/// this thread is.
pub async fn rates<const N: usize>(
    tls: &Configurations,
    in_flight: [usize; N],
    rounds: usize,
    round: Duration,
) -> [[Vec<Measured>; 4]; N] {
    let of_frames = tls.clone();
    let frames_at = on_its_own_thread(|listener| frames::serve(of_frames, listener));
    let mut bare = frames::Client::new(tls, frames_at).await;
    let of_tonic = tls.clone();
    let tonic_at = on_its_own_thread(|listener| unary::serve(of_tonic, listener));
    let tonic = unary::Client::new(tls, tonic_at).await;
    let ours = [TOKEN, PROCESS].map(|answer| client(tls, server(tls, answer)));

    println!("\n| in flight | | answers/s | p50 us | p99 us |\n|---|---|---|---|---|");
    let mut measured = [const { [const { Vec::new() }; 4] }; N];
    for (count, measured) in in_flight.into_iter().zip(&mut measured) {
        for _ in 0..rounds {
            measured[FLOOR].push(bare.round(count, round).await.measured());
            for (client, measured) in ours.iter().zip(&mut measured[LINK..]) {
                let client = Arc::clone(client);
                let ask = move || {
                    let client = Arc::clone(&client);
                    async move { assert!(client.ask(LOCALHOST, LOCALHOST).await, "a token") }
                };
                measured.push(drive(count, round, ask).await.measured());
            }
            measured[TONIC].push(tonic.round(count, round).await.measured());
        }
        for (name, rounds) in NAMES.iter().zip(measured) {
            let Measured { rate, p50, p99 } = Measured::medians(rounds);
            println!("| {count} | {name} | {rate:.0} | {p50:.0} | {p99:.0} |");
        }
    }
    measured
}
