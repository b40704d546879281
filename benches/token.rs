//! What a token costs, beside the tools that name the process of a connection today, in one run:
//! `cargo bench --bench token`. As root the processes belong to 30 users, otherwise to one.
//!
//! The machine is staged: [`PROCESSES`] processes of 20 descriptors and [`OTHERS`] other sockets.
//! For each way of asking a process that nobody asked about before connects, it is asked who that
//! was, the process connects again, and that is asked about. The ways take turns, so that a slow
//! moment of the machine hits all. The numbers are medians.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark may stop where it stands"
)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use partner_info::prelude::*;
use partner_info::{AccountNames, HolderSearch, Stack};
use support::processes::{self, Partners, Processes};
use support::{Crowd, report};
use tokio::net::TcpStream;

const PROCESSES: usize = 300;
const OTHERS: usize = 10_000;
/// How often each way has its turn, and about how many processes it asks then.
const TURNS: usize = 3;
const TURN: usize = 6;
/// Every so many of the processes is asked about by one of the four ways, the first by none.
const PARTNERS: usize = PROCESSES / (4 * TURNS * TURN + 1);
const PATIENCE: Duration = Duration::from_secs(10);

/// Each way of asking.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Way {
    /// A new stack for every partner.
    Cold(Search),
    /// One stack, after [`Stack::prepare_tokens`].
    Prepared(Search),
    Listeners,
    Netstat2,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Search {
    All,
    First,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Cold(Search::All) => "`All`",
            Self::Cold(Search::First) => "`First`",
            Self::Prepared(Search::All) => "`All`, prepared",
            Self::Prepared(Search::First) => "`First`, prepared",
            Self::Listeners => "`listeners` by port (pid only)",
            Self::Netstat2 => "`netstat2` with pids (pid only)",
        }
    }
}

/// No name service is measured here.
struct NoNames;

impl AccountNames for NoNames {
    fn name_of(&self, _: u32) -> std::io::Result<Option<String>> {
        Ok(None)
    }
}

fn main() {
    if processes::role().is_some() {
        return;
    }
    support::raise_descriptor_limit();
    let runtime = support::runtime();
    runtime.block_on(async {
        let mut promises = Vec::new();
        {
            let _others = Processes::crowd(OTHERS);
            for users in [30, 1] {
                let mut partners = Partners::new(PROCESSES, users, PARTNERS).await;
                if partners.users == users {
                    let stage = if users == 1 { "one user" } else { "30 users" };
                    promises.extend(measure(stage, &mut partners).await);
                }
            }
        }
        let _others = Crowd::new(OTHERS).await;
        let mut partners = Partners::new(PROCESSES, 30, PARTNERS).await;
        let stage = format!("{} users, the asker holds the others", partners.users);
        promises.extend(measure(&stage, &mut partners).await);
        report::print(&promises);
    });
}

/// Microseconds of first and of second questions.
type Times = BTreeMap<Way, [Vec<f64>; 2]>;
const FIRST: usize = 0;
const SECOND: usize = 1;

async fn measure(stage: &str, partners: &mut Partners) -> Vec<report::Line> {
    let prepared = [prepared(Search::All, partners).await, prepared(Search::First, partners).await];
    let mut times = Times::new();
    let mut wrong = BTreeMap::new();
    let mut partner = 0;
    let mut streams = Vec::new();
    for _ in 0..TURNS {
        for (search, prepared) in [Search::All, Search::First].into_iter().zip(&prepared) {
            for way in [Way::Cold(search), Way::Prepared(search)] {
                for _ in 0..TURN {
                    partner += 1;
                    let new = stack(search);
                    let stack = if way == Way::Cold(search) { &new } else { prepared };
                    for times in times.entry(way).or_default() {
                        let stream = partners.connection(partner).await;
                        times.push(token(stack, &stream, partners.all[partner].pid).await);
                        streams.push((stream, partners.all[partner].pid));
                    }
                }
            }
        }
        for (way, ask) in
            [(Way::Listeners, listeners as fn(&TcpStream) -> u32), (Way::Netstat2, netstat2)]
        {
            for two in streams.rchunks_exact(2).take(TURN) {
                for ((stream, pid), times) in two.iter().zip(times.entry(way).or_default()) {
                    let start = Instant::now();
                    let named = ask(stream);
                    times.push(start.elapsed().as_secs_f64() * 1e6);
                    *wrong.entry(way).or_insert(0) += u32::from(named != *pid);
                }
            }
        }
        streams.clear();
    }
    print(stage, &times);
    for (way, wrong) in wrong {
        println!("{}: named another process {wrong} times of {}", way.name(), 2 * TURNS * TURN);
    }
    promises(stage, &times)
}

fn stack(search: Search) -> Stack {
    let search = match search {
        Search::All => HolderSearch::All,
        Search::First => HolderSearch::First,
    };
    Stack::builder().account_names(NoNames).holder_search(search).build()
}

async fn prepared(search: Search, partners: &mut Partners) -> Stack {
    let stack = stack(search);
    stack.prepare_tokens();
    // Answered after the preparation, by the same thread.
    let stream = partners.connection(0).await;
    token(&stack, &stream, partners.all[0].pid).await;
    stack
}

/// Microseconds until the token is here.
async fn token(stack: &Stack, stream: &TcpStream, pid: u32) -> f64 {
    // The name of the account is known then.
    let get = stack.get_partner_info(stream, PartnerRequest::USER_ID, PATIENCE);
    drop(get.await.expect("an answer"));
    let start = Instant::now();
    let get = stack.get_partner_info(stream, PartnerRequest::UTOKEN, PATIENCE);
    let answer = get.await.expect("an answer");
    let time = start.elapsed().as_secs_f64() * 1e6;
    let token = answer.token().expect("a token");
    assert_eq!(token.holder().map(|holder| holder.pid().as_raw()), Some(pid), "{token}");
    time
}

fn listeners(stream: &TcpStream) -> u32 {
    let port = stream.peer_addr().expect("a peer").port();
    listeners::get_process_by_port(port, listeners::Protocol::TCP).expect("a process").pid
}

fn netstat2(stream: &TcpStream) -> u32 {
    use netstat2::{AddressFamilyFlags, ProtocolFlags, ProtocolSocketInfo, get_sockets_info};
    let ours = stream.local_addr().expect("an address");
    let theirs = stream.peer_addr().expect("a peer");
    let sockets = get_sockets_info(AddressFamilyFlags::IPV4, ProtocolFlags::TCP).expect("a list");
    let found = sockets.into_iter().find(|socket| match &socket.protocol_socket_info {
        ProtocolSocketInfo::Tcp(tcp) => {
            (tcp.local_addr, tcp.local_port) == (theirs.ip(), theirs.port())
                && (tcp.remote_addr, tcp.remote_port) == (ours.ip(), ours.port())
        }
        ProtocolSocketInfo::Udp(_) => false,
    });
    found.expect("the connection").associated_pids[0]
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn print(stage: &str, times: &Times) {
    println!("\n| {stage}: microseconds | first | second, another connection of that process |");
    println!("|---|---|---|");
    for (way, [first, second]) in times {
        println!("| {} | {:.0} | {:.0} |", way.name(), median(first), median(second));
    }
}

/// What the project promises: the first answer takes at most 1/30 of what each of the other tools
/// takes, the second at most 1/10 of the first. A first answer that was prepared has little left to
/// save for the second, so that one is compared with an unprepared first answer as well.
fn promises(stage: &str, times: &Times) -> Vec<report::Line> {
    let median = |way: Way, which: usize| median(&times[&way][which]);
    let mut lines = Vec::new();
    for way in times.keys().copied() {
        if matches!(way, Way::Listeners | Way::Netstat2) {
            continue;
        }
        for peer in [Way::Listeners, Way::Netstat2] {
            let ratio = median(peer, FIRST) / median(way, FIRST);
            let what = format!("{stage}: {} / first of {}", peer.name(), way.name());
            lines.push(report::Line::at_least(what, ratio, 30.0));
        }
        let what = format!("{stage}: {}: first / second", way.name());
        lines.push(report::Line::at_least(what, median(way, FIRST) / median(way, SECOND), 10.0));
        if let Way::Prepared(search) = way {
            let cold = Way::Cold(search);
            let ratio = median(cold, FIRST) / median(way, SECOND);
            let what = format!("{stage}: first of {} / second of {}", cold.name(), way.name());
            lines.push(report::Line::at_least(what, ratio, 10.0));
        }
    }
    lines
}
