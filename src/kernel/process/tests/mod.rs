//! Real processes that hold real sockets.
//!
//! The children are `sleep` where that is enough. Where it is not, the test program runs itself
//! again, as the test [`role`], which does what the variable `ROLE` says.

mod cache;
mod changes;
mod hazards;
mod holders;
mod large;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::*;
use crate::token::{Capabilities, Gid, HolderParts, Pid};

const VIEW: IdView = IdView { overflow_uid: None, overflow_gid: None };

/// A user without any process of its own.
const SOMEBODY: u32 = 21_000;

/// One test at a time: for a moment every child that is being started holds the descriptors of
/// this whole process, other tests' sockets included, and the searches would find it.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pid(raw: u32) -> Pid {
    Pid::new(raw).unwrap()
}

fn uid(raw: u32) -> Uid {
    Uid::new(raw).unwrap()
}

fn own_uid() -> Uid {
    uid(rustix::process::geteuid().as_raw())
}

pub(super) fn socket() -> OwnedFd {
    TcpListener::bind("127.0.0.1:0").unwrap().into()
}

/// The socket as the kernel's table tells it.
pub(super) fn owner(socket: impl AsFd) -> SocketOwner {
    let stat = rustix::fs::fstat(socket).unwrap();
    SocketOwner::new(stat.st_ino, uid(stat.st_uid)).unwrap()
}

fn all(owner: &SocketOwner) -> UserToken {
    Finder::new(VIEW).token(owner, HolderSearch::All)
}

fn pids(token: &UserToken) -> Vec<u32> {
    token.holders().iter().map(|holder| holder.pid().as_raw()).collect()
}

/// A child that is killed when the test is over.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `command` with `socket` as its standard input.
fn hold_with(command: &mut Command, socket: OwnedFd) -> Running {
    let running = Running(command.stdin(socket).stdout(Stdio::null()).spawn().unwrap());
    // Otherwise the command, and so this process, would hold the socket too.
    command.stdin(Stdio::null());
    running
}

/// Runs `sleep` with `socket` as its standard input.
pub(super) fn hold(socket: OwnedFd) -> Running {
    hold_with(Command::new("sleep").arg("1000"), socket)
}

/// Waits until something is so.
pub(super) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The command that runs this program as `role`.
fn role_command(program: &std::path::Path, role: &str) -> Command {
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut command = Command::new(program);
    command
        .args(["--exact", &format!("{module}::role")])
        .args(["--include-ignored", "--nocapture", "--test-threads=1"])
        .env("ROLE", role);
    command
}

/// A child in a role: answers each line that it is told with a line.
struct Actor {
    running: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Actor {
    fn start(role: &str) -> Self {
        Self::run(&mut role_command(&std::env::current_exe().unwrap(), role))
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { running: Running(child), input, output }
    }

    fn pid(&self) -> u32 {
        self.running.pid()
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            let length = self.output.read_line(&mut line).unwrap();
            assert!(length > 0, "the role ended");
            if let Some(answer) = line.trim_end().strip_prefix("ANSWER ") {
                return answer.to_owned();
            }
        }
    }

    fn socket(&mut self) -> SocketOwner {
        let inode = self.answer().parse().unwrap();
        SocketOwner::new(inode, own_uid()).unwrap()
    }
}

fn answer(text: impl std::fmt::Display) {
    println!("\nANSWER {text}");
    std::io::stdout().flush().unwrap();
}

fn inode(socket: impl AsFd) -> u64 {
    rustix::fs::fstat(socket).unwrap().st_ino
}

fn told() -> Option<String> {
    std::io::stdin().lines().next().map(Result::unwrap)
}

#[test]
#[ignore = "the other tests run it as a child process"]
fn role() {
    let Ok(role) = std::env::var("ROLE") else {
        return;
    };
    match role.as_str() {
        "sockets" => {
            let mut sockets = Vec::new();
            while told().is_some() {
                sockets.push(socket());
                answer(inode(sockets.last().unwrap()));
            }
        }
        "descriptors" => large::many_descriptors(),
        "mover" => large::moving_descriptor(),
        "sparse" => large::sparse_descriptors(),
        "shifter" => changes::shifting_descriptor(),
        "renamer" => changes::changing_name(),
        "threads" => large::many_threads(),
        "asker" => hazards::asker(),
        "namespace" => hazards::in_a_small_namespace(),
        other => panic!("no such role: {other}"),
    }
}
