//! Whether library and agent stay as they are under a steady load:
//! `cargo bench --features agent --bench soak -- --minutes 60`. It takes root, to make network
//! namespaces. The exit status is 1 where something grew, was wrong, or the load was not reached.
//!
//! The stage: a process that accepts connections, asks who its partners are and closes; an agent
//! beside it; a second namespace of the same host; and a second host, which is a namespace that the
//! first agent does not look at, with an agent of its own. [`LANES`] is what is connected, a second.
//! One connection in [`client::LEAVES`] is reset as soon as it is there, at whatever moment of the
//! question. What is asked turns by the number of the connection: [`library::turn`]. Besides, kept
//! connections are asked again and again, every tenth time with what was saved forgotten.
//!
//! Every ten seconds (each second of a run of less than ten minutes) what each process holds is looked
//! at. *Flat* is what in the last quarter of the time is at most 2 % or 256 KiB, whichever is more, above
//! what it was in the second quarter, medians compared: an hour shows a byte that is lost with each
//! connection. A short run has a margin of 1 MiB instead, since the agent still fills what it keeps.
//! Descriptors are compared idle with idle.
//!
//! All of it runs in a pid namespace of its own: an agent reads the descriptors of every process that
//! it sees, so that what it keeps would go by what else the machine does.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark may stop where it stands"
)]
#![allow(unreachable_pub, reason = "a benchmark is no library")]

mod client;
#[path = "../support/stage/mod.rs"]
mod common;
mod library;
mod record;
#[path = "../support/mod.rs"]
mod support;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use common::Folder;
use common::actor::{self, Actor};
use common::namespaces::Namespace;
use common::partnerd::Partnerd;
use record::{Idle, Record, Sample};

#[global_allocator]
static ALLOCATOR: support::counting::Counting = support::counting::Counting;

/// Who asks.
const LIBRARY: u32 = 30_000;

/// Connections from one place.
pub struct Lane {
    pub name: &'static str,
    /// Where they are accepted.
    pub at: &'static str,
    /// As whom they are made.
    pub user: u32,
    /// How many a second.
    pub rate: u32,
}

/// Beside the library, in another namespace, and on another host.
pub static LANES: [Lane; 3] = [
    Lane { name: "same stack", at: "10.7.0.1:7000", user: 30_001, rate: 240 },
    Lane { name: "other namespace", at: "10.7.0.1:7001", user: 30_002, rate: 80 },
    Lane { name: "other host", at: "10.8.0.1:7002", user: 30_003, rate: 40 },
];
/// Where the library connects to, with the user of the first lane, and how often a second.
pub const OUT: (&str, u32) = ("10.7.0.1:7003", 20);
/// Connections of each lane that are kept, and gets on all of them a second.
pub const KEPT: (usize, u32) = (32, 60);

/// In the environment of the program once it is alone.
const ALONE: &str = "PARTNER_INFO_BENCH_ALONE";

/// What clients have done.
#[derive(Default)]
pub struct Clients {
    /// Connections.
    pub made: u64,
    /// Of these reset at once.
    pub left: u64,
    /// Of these not closed by the library in time.
    pub forgotten: u64,
}

/// How long the load runs before what is there when idle is looked at for the first time.
const WARM_UP: Duration = Duration::from_secs(5);
/// What is idle comes to rest within this time.
const REST: Duration = Duration::from_secs(30);
/// A run of this length has the bounds of the long one.
const LONG: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    if let Some(role) = actor::role() {
        support::raise_descriptor_limit();
        match *role.split(' ').collect::<Vec<_>>() {
            ["library", agent] => library::play(agent),
            ["client", lane] => client::play(&LANES[lane.parse::<usize>().expect("a number")]),
            ref other => panic!("no such role: {other:?}"),
        }
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        println!("bench soak: needs root, to make network namespaces; nothing was measured");
        return ExitCode::FAILURE;
    }
    let time = match minutes(std::env::args().skip(1)) {
        Ok(time) => time,
        Err(wrong) => {
            eprintln!("bench soak: {wrong}");
            return ExitCode::from(2);
        }
    };
    if std::env::var_os(ALONE).is_none() {
        return alone();
    }
    if Stage::new().soak(time) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Starts this program again, in a pid namespace of its own, and waits for its end.
fn alone() -> ExitCode {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(std::env::current_exe().expect("a path")).args(std::env::args().skip(1));
    let status = command.env(ALONE, "1").status().expect("start unshare (util-linux)");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `--minutes N`, an hour unless said otherwise.
fn minutes(arguments: impl Iterator<Item = String>) -> Result<Duration, String> {
    // What cargo adds.
    let arguments: Vec<String> = arguments.filter(|one| one != "--bench").collect();
    let minutes = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 60.0,
        ["--minutes", text] => text.parse().unwrap_or(f64::NAN),
        _ => return Err(format!("expected --minutes N; found {arguments:?}")),
    };
    if !(0.5..=10_000.0).contains(&minutes) {
        return Err(format!("expected minutes from 0.5 to 10000; found {arguments:?}"));
    }
    Ok(Duration::from_secs_f64(minutes * 60.0))
}

struct Stage {
    library: Actor,
    clients: Vec<Actor>,
    near: Partnerd,
    far: Partnerd,
    _namespaces: Vec<Namespace>,
    _authority: Folder,
}

impl Stage {
    fn new() -> Self {
        let here = Namespace::enter_new();
        let [there, host] = [7, 8].map(Namespace::neighbour);
        let authority = Folder::new();
        let identity = |host| identity(&authority, host);
        partner(&authority, &["init", "--domain", "BENCH.DOMAIN"]);
        let seen = format!("namespaces = [{:?}, {:?}]\n", here.path(), there.path());
        let near = Partnerd::start_anywhere(&(seen + &identity("near")));
        let own = "namespaces = \"own\"\n".to_owned() + &identity("far");
        let far = host.run(|| Partnerd::start_anywhere(&own));
        let library = Actor::start(&format!("library {}", near.socket()), LIBRARY);
        let places = [&here, &there, &host];
        let client = |(number, place): (usize, &&Namespace)| {
            place.run(|| Actor::start(&format!("client {number}"), LANES[number].user))
        };
        let clients = places.iter().enumerate().map(client).collect();
        Self {
            library,
            clients,
            near,
            far,
            _namespaces: vec![here, there, host],
            _authority: authority,
        }
    }

    /// Whether all is well.
    fn soak(mut self, time: Duration) -> bool {
        let each: Vec<String> =
            LANES.iter().map(|lane| format!("{} from the {}", lane.rate, lane.name)).collect();
        println!("connections a second: {}, {} out", each.join(", "), OUT.1);
        println!("gets a second on {} kept connections: {}\n", KEPT.0 * LANES.len(), KEPT.1);
        self.begin();
        std::thread::sleep(WARM_UP);
        let warm_up = self.end();
        let before = self.idle(None);

        let every = Duration::from_secs(if time < LONG { 1 } else { 10 });
        let mut record = Record::new(time, every, time < LONG);
        self.begin();
        let began = Instant::now();
        while let Some(next) = record.next() {
            std::thread::sleep((began + next).saturating_duration_since(Instant::now()));
            record.add(self.sample());
        }
        let mut clients = self.end();
        let lasted = began.elapsed();
        let after = self.idle(Some(before));
        let counts = library::Counts::of(&self.library.ask_words("counts"));
        // Those of the warm-up were refused, too.
        clients.left += warm_up.left;
        record.verdict(lasted, &counts, &clients, (before, after))
    }

    fn begin(&mut self) {
        let Self { library, clients, .. } = self;
        for client in &mut *clients {
            client.ask("keep");
        }
        library.ask("begin");
        for client in clients {
            client.ask("begin");
        }
    }

    /// What the clients have done since they began.
    fn end(&mut self) -> Clients {
        self.library.ask("stop-out");
        let mut all = Clients::default();
        for client in &mut self.clients {
            let words = client.ask_words("end");
            let number = |at: usize| words[at].parse::<u64>().expect("a number");
            all.made += number(0);
            all.left += number(1);
            all.forgotten += number(2);
        }
        // Those that were reset before they were accepted are taken from the listeners, too.
        std::thread::sleep(Duration::from_millis(500));
        self.library.ask("end");
        all
    }

    /// Descriptors of what is idle, once they are `as_before` or have had time enough.
    fn idle(&self, as_before: Option<Idle>) -> Idle {
        let end = Instant::now() + REST;
        // What is kept for a moment is let go.
        let mut wait = Duration::from_secs(3);
        loop {
            std::thread::sleep(wait);
            wait = Duration::from_secs(1);
            let [library, near, far] =
                [self.library.status(), self.near.status(), self.far.status()]
                    .map(|status| status.descriptors);
            let now = Idle { library, near, far };
            if as_before.is_none_or(|before| before == now) || Instant::now() > end {
                return now;
            }
        }
    }

    fn sample(&mut self) -> Sample {
        let counts = library::Counts::of(&self.library.ask_words("counts"));
        Sample {
            library: self.library.status(),
            near: self.near.status(),
            far: self.far.status(),
            allocated: counts.allocated,
            answers: counts.answers,
            wrong: counts.wrong,
            refused: counts.refused(),
        }
    }
}

/// The program `partner`, as an authority in this folder.
fn partner(authority: &Folder, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partner"));
    command.arg("ca").args(arguments).arg("--dir").arg(authority.path());
    command.arg("--force");
    let output = command.output().expect("start partner");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A certificate for a host, as configuration.
fn identity(authority: &Folder, host: &str) -> String {
    let out = authority.file(host);
    partner(
        authority,
        &["issue", "--host", host, "--any-address", "--out", out.to_str().expect("plain")],
    );
    format!(
        "[identity]\ncertificate = {:?}\nkey = {:?}\ntrust = {:?}\n",
        out.join("cert.pem"),
        out.join("key.pem"),
        out.join("ca.pem"),
    )
}
