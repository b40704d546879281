//! What an answer of the agent costs, beside its floor, in one run:
//! `cargo bench --features agent --bench agent`. It takes root, to make network namespaces.
//!
//! The stage: `partnerd` runs in a network namespace of its own; so does a process of another user,
//! joined to it by a virtual cable, that holds [`CONNECTIONS`] connections to a listener beside the
//! agent. Whoever asks about these asks about a partner that this kernel does not name: each get is a
//! question to the agent. Those who ask are processes of ordinary users, so that the policy decides.
//!
//! The floor is the least that a question to another process can be: one packet with a descriptor
//! there, and one packet back, both ends in calls that block. All that is compared takes turns, so
//! that a slow moment of the machine hits both; the numbers are medians.
//!
//! The agent and the floor's server stay on the first processor; who asks is on the last one, or on the
//! first one too, the same for both that are compared. Who misbehaves is wherever there is room.
//!
//! The first agent has no limit that would be reached (`questions_per_second`): its cost is what is
//! measured. The second one, where others misbehave, has the limits it has without configuration.
//! There, callers, agent and abusers share the machine's processors, and what is measured is what
//! a caller feels, not what the agent alone is to blame for.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark may stop where it stands"
)]
#![allow(unreachable_pub, reason = "a benchmark is no library")]

mod abuse;
mod asker;
#[path = "../support/stage/mod.rs"]
mod common;
mod roles;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use std::time::Duration;

use common::actor::Actor;
use common::partnerd::Partnerd;
use stage::Stage;
use support::places::{self, Place};
use support::report::{self, Line};

/// Connections asked about in turn.
const CONNECTIONS: usize = 256;
/// Who asks, who is the partner, and who hinders others.
const ASKER: u32 = 30_000;
const PARTNER: u32 = 30_001;
const ABUSER: u32 = 30_002;

/// How often what is compared has its turn, and how much of it then.
const ROUNDS: usize = 21;
const TURN: usize = 2_000;
/// A token is read by looking at processes, which takes longer.
const TOKENS: usize = 200;
/// Questions before the agent's memory is looked at.
const MANY: usize = 10_000;
/// Until the agent has let go of what it keeps for a moment.
const IDLE: Duration = Duration::from_secs(2);
/// Until what an abuser may do at once is done, or worked off.
const SETTLED: Duration = Duration::from_millis(300);

fn main() {
    if roles::play().is_some() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("bench agent: needs root, to make network namespaces; nothing was measured");
        return;
    }
    let stage = Stage::new();
    let mut asker = stage.asker(ASKER, PARTNER, CONNECTIONS);
    println!("{} processors; {ROUNDS} rounds of {TURN}", places::processors().len());
    let stand = |place: Place, asker: &mut Actor| {
        asker.ask(&format!("stand {}", place.of_asker()));
    };

    let mut lines = Vec::new();
    {
        let agent = Partnerd::start("[limits]\nquestions_per_second = 1000000\n");
        lines.extend(idle(&agent, &mut asker));
        for place in Place::all() {
            stand(place, &mut asker);
            lines.push(one_at_a_time(place, &agent, &mut asker, &stage));
        }
        for place in Place::all() {
            stand(place, &mut asker);
            many_at_a_time(place, &agent, &mut asker, &stage);
        }
    }
    let agent = Partnerd::start("");
    stand(Place::Apart, &mut asker);
    for kind in [abuse::Kind::Flood, abuse::Kind::Stall, abuse::Kind::Garbage] {
        lines.push(fairness(kind, &agent, &mut asker));
    }
    report::print(&lines);
}

/// What an agent without work holds, before and after it has had some.
fn idle(agent: &Partnerd, asker: &mut Actor) -> Vec<Line> {
    let started = resident_and_descriptors(agent);
    // What is made where it is needed first, and then kept.
    asker.ask(&format!("get user 1 {}", agent.socket()));
    std::thread::sleep(IDLE);
    let before = agent.status().descriptors;
    asker.ask(&format!("get user {MANY} {}", agent.socket()));
    std::thread::sleep(IDLE);
    let after = resident_and_descriptors(agent);
    println!(
        "descriptors of the agent: {} when started, {before} after a question, {} after {MANY}",
        started.1, after.1,
    );
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let left = after.1.abs_diff(before) as f64;
    vec![
        Line::at_most("MiB resident, agent just started", started.0, 12.0),
        Line::at_most("MiB resident, agent idle after 10,000 questions", after.0, 12.0),
        Line::at_most("descriptors that an idle agent has more or less after work", left, 0.0),
    ]
}

/// In MiB, and how many.
fn resident_and_descriptors(agent: &Partnerd) -> (f64, usize) {
    let status = agent.status();
    #[expect(clippy::cast_precision_loss, reason = "KiB of one process")]
    let resident = status.resident as f64 / 1_024.0;
    (resident, status.descriptors)
}

fn one_at_a_time(place: Place, agent: &Partnerd, asker: &mut Actor, stage: &Stage) -> Line {
    let (socket, floor) = (agent.socket(), stage.floor());
    let names = ["floor, blocking", "floor, tokio", "get of the user", "get of the token"];
    let commands = [
        format!("floor {TURN} {floor}"),
        format!("floor-tokio {TURN} {floor}"),
        format!("get user {TURN} {socket}"),
        format!("get token {TOKENS} {socket}"),
    ];
    let [blocking, tokio, user, token] = in_turn(asker, &commands);
    println!("\n{place}\n\n| one at a time | median, µs | 99 %, µs |\n|---|---|---|");
    for (name, rounds) in names.iter().zip([&blocking, &tokio, &user, &token]) {
        println!("| {name} | {:.1} | {:.1} |", median(rounds, 0), median(rounds, 1));
    }
    println!("get of the user / floor, tokio: {:.2}", ratio(&user, &tokio, 0));
    let what = format!("get of a user by the agent / floor, {place}: median");
    Line::at_most(what, ratio(&user, &blocking, 0), 2.0)
}

fn many_at_a_time(place: Place, agent: &Partnerd, asker: &mut Actor, stage: &Stage) {
    println!("\n{place}\n\n| in flight | floor, a second | gets, a second |\n|---|---|---|");
    for flight in [16, 64] {
        let [floor, gets] = in_turn(
            asker,
            &[
                format!("floor-flight {flight} {TURN} {}", stage.floor()),
                format!("flight {flight} {TURN} {}", agent.socket()),
            ],
        );
        println!("| {flight} | {:.0} | {:.0} |", median(&floor, 0), median(&gets, 0));
    }
}

/// One caller's gets while another user hinders, and without.
fn fairness(kind: abuse::Kind, agent: &Partnerd, asker: &mut Actor) -> Line {
    let mut abuser = Actor::start(&format!("abuse {} {}", kind.word(), agent.socket()), ABUSER);
    let get = format!("get user {TURN} {}", agent.socket());
    let (mut alone, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(asker.ask(&get));
        abuser.ask("go");
        std::thread::sleep(SETTLED);
        with.push(asker.ask(&get));
        let done = abuser.ask("stop");
        std::thread::sleep(SETTLED);
        if let Some(rate) = done.first().filter(|rate| **rate > 0.0) {
            // For whoever watches: what the abuser was let do.
            eprintln!("{}: {rate:.0} a second", kind.word());
        }
    }
    println!(
        "{}: median {:.1} µs with, {:.1} µs alone; 99 % {:.1} µs with, {:.1} µs alone",
        kind.what(),
        median(&with, 0),
        median(&alone, 0),
        median(&with, 1),
        median(&alone, 1),
    );
    let what = format!("a caller's get while another user {} / alone: median", kind.what());
    Line::at_most(what, ratio(&with, &alone, 0), 1.1)
}

/// What each command says in each round.
type Rounds = Vec<Vec<f64>>;

fn in_turn<const N: usize>(asker: &mut Actor, commands: &[String; N]) -> [Rounds; N] {
    let mut all = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (command, rounds) in commands.iter().zip(&mut all) {
            rounds.push(asker.ask(command));
        }
    }
    all
}

fn median(rounds: &Rounds, column: usize) -> f64 {
    middle(rounds.iter().map(|round| round[column]).collect())
}

/// How many times as much `this` is as `floor`: the median of the rounds.
fn ratio(this: &Rounds, floor: &Rounds, column: usize) -> f64 {
    middle(this.iter().zip(floor).map(|(this, floor)| this[column] / floor[column]).collect())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
