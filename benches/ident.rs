//! What an answer at port 113 costs, beside oidentd in one run:
//! `cargo bench --features ident --bench ident`. It takes root, to make a network namespace, and
//! Debian's package oidentd.
//!
//! Who asks is a process of an ordinary user, `daemon`, so that the policy decides; it asks about
//! connections of its own, as PostgreSQL does: for each question a new connection, one line, one read.
//! Rounds alternate, so that a slow moment of the machine hits both; the numbers are medians. Nobody is
//! kept on a processor: neither side has one more than the other.
//!
//! oidentd is started anew for each of its rounds: after a few thousand questions it begins to reset
//! connections. It logs nothing (`-q`); `partnerd` records every answer in a file.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark may stop where it stands"
)]

#[path = "support/ident/mod.rs"]
mod ident;
mod support;

use std::time::Duration;

use ident::{Asker, Oidentd, Partnerd, Round};
use support::processes::{self, Processes};
use support::report::{self, Line};

const AT_A_TIME: [usize; 3] = [1, 8, 64];
/// Other sockets of the machine, besides those that are asked about.
const SOCKETS: [usize; 2] = [10, 20_000];
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(250);

fn main() {
    if ident::play().or_else(processes::role).is_some() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("bench ident: needs root, to make a network namespace; nothing was measured");
        return;
    }
    if !ident::is_oidentd_installed() {
        println!("bench ident: needs oidentd (apt-get install oidentd); nothing was measured");
        return;
    }
    ident::enter_a_new_namespace();
    let ours = Partnerd::start();
    println!("{ROUNDS} rounds of {} ms each", ROUND.as_millis());
    println!("\n| other sockets | at a time | | answers/s | p50 us | p99 us | no answer |");
    println!("|---|---|---|---|---|---|---|");
    let (mut lines, mut others) = (Vec::new(), Vec::new());
    for sockets in SOCKETS {
        let _crowd = Processes::crowd(sockets);
        let mut asker = Asker::start();
        for count in AT_A_TIME {
            let (mut of_ours, mut of_other) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                of_ours.push(asker.round(ours.port(), count, ROUND));
                let other = Oidentd::start();
                of_other.push(asker.round(other.port(), count, ROUND));
            }
            for (name, rounds) in [("partnerd", &of_ours), ("oidentd", &of_other)] {
                let Round { rate, p50, p99, failed } = Round::medians(rounds);
                println!(
                    "| {sockets} | {count} | {name} | {rate:.0} | {p50:.0} | {p99:.0} | {failed:.0} |"
                );
            }
            let what = |what: &str| format!("{sockets} other sockets, {count} at a time: {what}");
            let rate = ratio(&of_ours, &of_other, |round| round.rate);
            let slowest = ratio(&of_ours, &of_other, |round| round.p99);
            if count == 8 {
                lines.push(Line::at_least(what("answers a second / oidentd"), rate, 3.0));
            } else {
                others.push(what(&format!("answers a second / oidentd: {rate:.2}")));
            }
            lines.push(Line::at_most(what("p99 / oidentd"), slowest, 1.0));
        }
    }
    println!("\n{}", others.join("\n"));
    report::print(&lines);
}

/// How many times as much the one shows as the other: the median over rounds that were neighbours.
fn ratio(one: &[Round], other: &[Round], what: impl Fn(&Round) -> f64) -> f64 {
    ident::middle(one.iter().zip(other).map(|(one, other)| what(one) / what(other)).collect())
}
