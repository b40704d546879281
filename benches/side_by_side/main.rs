//! The same work done by this crate and by what one would pick instead, in one run on one machine:
//! `cargo bench --all-features --bench side_by_side`, as root. It takes some minutes, and writes what it has
//! measured into docs/performance.md and docs/performance.svg; with `-- --quick` it takes one minute and
//! writes into target/tmp instead.
//!
//! The programs among the alternatives are those of Debian's packages iproute2, lsof, oidentd and
//! python3-psutil. One that is not installed is a row that says so.
//!
//! Everything happens in namespaces of its own: there are no other sockets and no other processes than
//! those that are counted here. All that is compared takes turns, round by round, on one processor, so that
//! a slow moment of the machine hits all. Who answers is compared with who is there: the column `wrong`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark may stop where it stands"
)]

mod chart;
mod crates;
mod enclosure;
mod holders;
mod hosts;
mod page;
mod parts;
#[path = "../support/peers/mod.rs"]
mod peers;
mod services;
#[path = "../support/mod.rs"]
mod support;
mod tools;
mod users;
mod ways;

use std::path::PathBuf;

use support::counting::Counting;
use support::places::{self, Place};
use support::processes;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// Questions a round to what takes microseconds.
    pub many: usize,
    /// And to what takes up to a few milliseconds.
    pub several: usize,
}

fn main() {
    if processes::role().is_some() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("bench side_by_side: needs root, to make namespaces; nothing was measured");
        return;
    }
    if !enclosure::is_inside() {
        let ended = enclosure::enter();
        std::process::exit(ended.code().unwrap_or(1));
    }
    enclosure::set_up();
    support::raise_descriptor_limit();
    let quick = std::env::args().any(|argument| argument == "--quick");
    let effort = match quick {
        true => Effort { rounds: 3, many: 400, several: 2 },
        false => Effort { rounds: 15, many: 2_000, several: 3 },
    };
    places::stand(Place::Apart.of_asker());
    let runtime = support::runtime();
    let guard = runtime.enter();

    println!("the user, among {:?} other sockets", users::OTHERS);
    let users = users::measure(&runtime, effort);
    println!("what a get is made of");
    let parts = parts::measure(&runtime, effort);
    println!("the process, among {:?} processes", holders::PROCESSES);
    let holders = holders::measure(&runtime, effort);
    println!("another host");
    let hosts = hosts::measure(&runtime, effort);
    drop(guard);
    println!("\nin a server");
    let services = services::measure(effort);

    let run = page::Run { users, parts, holders, hosts, services };
    println!("\n{}", page::text(&run));
    let folder = if quick { PathBuf::from(env!("CARGO_TARGET_TMPDIR")) } else { page::docs() };
    page::write(&run, &folder);
    println!("\nwritten: performance.md and performance.svg in {}", folder.display());
}
