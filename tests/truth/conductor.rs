//! The stage: namespaces, the agent, who connects, and who asks. A process of its own, since tools that
//! read /proc/net see the namespace of a process's first thread.

use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use partner_info::Stack;
use socket2::Socket;
use tokio::net::TcpListener;

use super::agent::daemon::{OPEN, Partnerd};
use super::agent::places::{addresses, neighbour};
use super::claim::{DEEDS, Record};
use super::client::Route;
use super::held::PORTS;
use super::judge::Verdict;
use super::others::Tool;
use super::puppet::Puppet;
use super::report;
use super::server::{PATIENCE, Server};
use super::support::{Namespace, address, listen, local, sysctl};

const CONNECTIONS: &str = "PARTNER_INFO_CONNECTIONS";
const SEED: &str = "PARTNER_INFO_SEED";
const SAMPLE: &str = "PARTNER_INFO_SAMPLE";

/// Connections of a run that nobody has said anything about.
const A_FEW: u64 = 20_000;
/// One of so many asks is put to others as well.
const SAMPLED: u64 = 128;
/// Connections of one round. After each all that was said is judged, and forgotten.
const ROUND: u64 = 20_000;

/// Clients and their accomplices: users, and who is in the other namespace.
const HERE: [(u32, u32); 4] = [(0, 1_001), (1_000, 1_002), (1_001, 0), (60_501, 1_000)];
const THERE: [(u32, u32); 2] = [(1_002, 1_003), (0, 1_002)];
/// A client there makes one connection while one here makes so many.
const RARER: u64 = 4;

/// In the test: the conductor, in the namespace of the calling thread.
pub(crate) fn run() {
    let status = Puppet::command("conductor").status().unwrap();
    assert!(status.success(), "see above");
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| match text.parse() {
        Ok(number) => number,
        Err(_) => panic!("{name} is a number, and not {text:?}"),
    })
}

pub(crate) fn main() -> ExitCode {
    let kill = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(kill)).unwrap();
    let connections = setting(CONNECTIONS, A_FEW);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    let seed = setting(SEED, u64::from(now.subsec_nanos()));
    println!("{connections} connections, {SEED}={seed}");

    let stage = Stage::new(seed);
    let mut verdict = Verdict::default();
    let begun = Instant::now();
    let mut left = connections;
    while left > 0 {
        let count = left.min(ROUND);
        stage.round(count, seed ^ left.rotate_left(16), &mut verdict);
        left -= count;
        if !verdict.faults.is_empty() {
            break;
        }
        if left > 0 {
            eprintln!("{left} to go after {:.0} s", begun.elapsed().as_secs_f64());
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{:.0} s, {:.0} connections/s", seconds, verdict.connections as f64 / seconds);
    report::print(&verdict);
    if is_as_promised(&verdict) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// No wrong answer, no honest partner refused; and that a run was what it is meant to be.
fn is_as_promised(verdict: &Verdict) -> bool {
    let mut faults = verdict.faults.clone();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    let Verdict { connections, untold, unaccepted, .. } = *verdict;
    must(verdict.all.wrong == 0, "answers were wrong");
    must(verdict.honest.nobody == 0, "partners that stayed were refused");
    must(verdict.recycled > connections / 100, "hardly an address was used by two users");
    must(verdict.across > connections / 100, "hardly a connection was between namespaces");
    must(verdict.deeds.len() == DEEDS.len(), "not all was done that hurts");
    must(untold + unaccepted < connections / 200 + 10, "the truth was lost");
    // Who sees no mistake there does not see ours either.
    let naive = verdict.tools.get(&Tool::Proc);
    must(naive.is_none_or(|naive| naive.wrong > 0), "the naive way made no mistake");
    for fault in faults.iter().take(20) {
        eprintln!("FAULT: {fault}");
    }
    faults.is_empty()
}

/// A helper process and its pipes.
struct Helper {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Helper {
    fn start(role: &str, uid: u32) -> Self {
        let mut command: Command = Puppet::command(role);
        command.uid(uid).gid(uid).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// What it reports, up to an empty line.
    fn report(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "a helper process has ended");
            match line.trim_end() {
                "" => return records,
                line => records.push(line.parse().unwrap()),
            }
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client and its accomplice, and how many of a round's connections it makes.
struct Pair {
    client: std::sync::Mutex<Helper>,
    accomplice: std::sync::Mutex<Helper>,
    share: u64,
}

impl Pair {
    fn start(index: usize, (client, accomplice): (u32, u32), routes: &[Route], share: u64) -> Self {
        let mut second = Helper::start(&format!("accomplice {index}"), accomplice);
        second.report();
        let routes: Vec<String> = routes.iter().map(Route::to_string).collect();
        let first = Helper::start(&format!("client {index} {}", routes.join(" ")), client);
        Self { client: first.into(), accomplice: second.into(), share }
    }

    /// One round: what both report.
    fn round(&self, count: u64, seed: u64) -> Vec<Record> {
        let (mut client, mut accomplice) =
            (self.client.lock().unwrap(), self.accomplice.lock().unwrap());
        client.tell(&format!("{count} {seed}"));
        let mut records = client.report();
        accomplice.tell("report");
        records.append(&mut accomplice.report());
        records
    }
}

struct Stage {
    pairs: Vec<Pair>,
    server: Arc<Server>,
    _runtime: tokio::runtime::Runtime,
    _agent: Partnerd,
    _there: Namespace,
}

impl Stage {
    fn new(seed: u64) -> Self {
        let there = neighbour(1);
        prepare();
        there.run(prepare);
        // How long things take on a busy machine is not what is tested.
        let limits = "[limits]\nquestions_per_user = 100000\nquestions_per_second = 1000000\n\
                      question_seconds = 300";
        let agent = Partnerd::configured(OPEN, limits);
        let stack = Stack::builder().name_patience(Duration::ZERO).agent(agent.socket()).build();
        let server = Server::new(stack, seed, setting(SAMPLE, SAMPLED));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();

        let [here_v4, here_v6] = addresses(1, 1, 8080);
        let mut routes = [Vec::new(), Vec::new()];
        for (n, (at, from, across)) in [
            (address("127.0.0.1:8080"), address("127.0.0.1:0"), 0),
            (address("127.0.0.1:8081"), address("127.0.0.1:0"), 0),
            (address("[::1]:8080"), address("[::1]:0"), 0),
            (address("[::1]:8081"), address("[::1]:0"), 0),
            // Of both families.
            (address("[::]:8082"), address("127.0.0.1:0"), 0),
            (here_v4, addresses(1, 2, 0)[0], 1),
            (here_v6, addresses(1, 2, 0)[1], 1),
        ]
        .into_iter()
        .enumerate()
        {
            let listener = both_families(at);
            let port = local(&listener).port();
            let to = match at.ip() {
                IpAddr::V6(ip) if ip.is_unspecified() => address(&format!("127.0.0.1:{port}")),
                IpAddr::V4(_) | IpAddr::V6(_) => at,
            };
            routes[across].push(Route { from: from.ip(), to });
            listener.set_nonblocking(true).unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener.into()).unwrap();
                tokio::spawn(Arc::clone(&server).serve(listener, n % 2 == 1));
            });
        }
        let [own, across] = routes;
        let mut pairs = Vec::new();
        for users in HERE {
            pairs.push(Pair::start(pairs.len(), users, &own, RARER));
        }
        for users in THERE {
            pairs.push(there.run(|| Pair::start(pairs.len(), users, &across, 1)));
        }
        Self { pairs, server, _runtime: runtime, _agent: agent, _there: there }
    }

    fn round(&self, count: u64, seed: u64, verdict: &mut Verdict) {
        let shares: u64 = self.pairs.iter().map(|pair| pair.share).sum();
        let records: Vec<Record> = std::thread::scope(|scope| {
            let rounds: Vec<_> = self
                .pairs
                .iter()
                .map(|pair| scope.spawn(move || pair.round(count * pair.share / shares, seed)))
                .collect();
            rounds.into_iter().flat_map(|round| round.join().unwrap()).collect()
        });
        let begun = Instant::now();
        let is_over = || match (self.server.in_work(), self.server.seen() == records.len()) {
            (0, true) => true,
            // What was made and does not come is counted.
            (0, false) => begun.elapsed() > Duration::from_secs(3),
            (_, _) => begun.elapsed() > 2 * PATIENCE,
        };
        while !is_over() {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.server.in_work() > 0 {
            verdict.faults.push("a connection was not served to its end: see above".into());
        }
        verdict.round(records, self.server.take_seen());
    }
}

/// In a namespace where clients are: few ports, each of which can be had again at once.
fn prepare() {
    sysctl("net/ipv4/ip_local_port_range", &format!("{} {}", PORTS.start, PORTS.end - 1));
    sysctl("net/ipv4/tcp_tw_reuse", "1");
    // Of kernels that have it.
    let _ = std::fs::write("/proc/sys/net/ipv4/tcp_tw_reuse_delay", "1");
    sysctl("net/core/somaxconn", "65535");
}

/// One for both families, where it is for any address.
fn both_families(at: std::net::SocketAddr) -> Socket {
    if !at.ip().is_unspecified() {
        let listener = listen(at);
        listener.listen(65_535).unwrap();
        return listener;
    }
    let socket = super::support::tcp(at);
    socket.set_reuse_address(true).unwrap();
    socket.set_only_v6(false).unwrap();
    socket.bind(&at.into()).unwrap();
    socket.listen(65_535).unwrap();
    socket
}
