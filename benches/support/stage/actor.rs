//! Other processes: this benchmark, started again in a role.
//!
//! Each is told by lines what to do, and answers every line with one line.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::status::Status;

const ROLE: &str = "PARTNER_INFO_BENCH_ROLE";

/// This process's role, if it has one.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Says what a line, or the start, came to.
pub fn say(numbers: &[f64]) {
    let words: Vec<String> = numbers.iter().map(f64::to_string).collect();
    say_words(&words.join(" "));
}

/// The same in words.
pub fn say_words(words: &str) {
    println!("ok {words}");
}

/// What this process is told, until there is nobody who tells.
pub fn told() -> impl Iterator<Item = String> {
    std::io::stdin().lines().map_while(Result::ok)
}

/// A process in a role; it ends when this value does.
pub struct Actor {
    child: Child,
    output: BufReader<ChildStdout>,
    kept: Vec<Self>,
}

impl Actor {
    /// Starts one as this user, in the calling thread's namespaces, and waits until it is ready.
    pub fn start(role: &str, user: u32) -> Self {
        let mut command = Command::new("/proc/self/exe");
        command.env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.uid(user).gid(user);
        let mut child = command.spawn().expect("start a process");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut actor = Self { child, output, kept: Vec::new() };
        actor.answer();
        actor
    }

    /// Has another one end with this one.
    pub fn keeps(&mut self, other: Self) {
        self.kept.push(other);
    }

    /// Tells it a line, and returns the numbers that it answers.
    pub fn ask(&mut self, line: &str) -> Vec<f64> {
        let words = self.ask_words(line);
        words.iter().map(|word| word.parse().expect("a number")).collect()
    }

    /// Tells it a line, and returns the words that it answers.
    pub fn ask_words(&mut self, line: &str) -> Vec<String> {
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").expect("tell it");
        self.answer()
    }

    fn answer(&mut self) -> Vec<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        let mut words = line.split_ascii_whitespace().map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("ok"), "a process in a role failed");
        words.collect()
    }

    pub fn status(&self) -> Status {
        Status::of(self.child.id())
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
