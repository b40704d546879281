//! An echo server with and without a question at every accept.

use std::time::Duration;

use super::rounds::ratio;
use super::servers::{Counted, Server, round};

/// Rounds of each kind, in turn, so that a slow moment of the machine hits both.
const ROUNDS: usize = 10;
const ROUND: Duration = Duration::from_millis(400);

/// How many times as many connections a second are served by one that asks.
pub fn compare() -> f64 {
    super::busy_runtime().block_on(async {
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (asks, rounds) in [false, true].into_iter().zip(&mut rounds) {
                rounds.push(round(Server::Echo, asks, Counted::Connections, ROUND).await);
            }
        }
        let [silent, asking] = rounds;
        ratio(&asking, &silent, |round| round.rate)
    })
}
