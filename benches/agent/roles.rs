//! Other processes: this benchmark, started again in a role.
//!
//! Each is told by lines what to do, and answers every line with one line of numbers.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::{abuse, asker, support, wire};

const ROLE: &str = "PARTNER_INFO_BENCH_ROLE";

/// Plays this process's role, if it has one.
pub fn play() -> Option<()> {
    let role = std::env::var(ROLE).ok()?;
    support::raise_descriptor_limit();
    match *role.split(' ').collect::<Vec<_>>() {
        ["asker", at, connections] => asker::play(at, connections.parse().expect("a number")),
        ["partner", to, connections, at] => {
            partner(to, connections.parse().expect("a number"), at);
        }
        ["floor", path] => floor(path),
        ["abuse", kind, path] => abuse::play(abuse::Kind::of(kind), path),
        ref other => panic!("no such role: {other:?}"),
    }
    Some(())
}

/// Says what a line, or the start, came to.
pub fn say(numbers: &[f64]) {
    let words: Vec<String> = numbers.iter().map(f64::to_string).collect();
    println!("ok {}", words.join(" "));
}

/// What this process is told, until there is nobody who tells.
pub fn told() -> impl Iterator<Item = String> {
    std::io::stdin().lines().map_while(Result::ok)
}

/// Connects, and accepts whoever connects; holds all of it.
fn partner(to: &str, connections: usize, at: &str) {
    let listener = TcpListener::bind(at).expect("listen");
    std::thread::spawn(move || {
        let mut held: Vec<_> = listener.incoming().map_while(Result::ok).collect();
        held.clear();
    });
    let connect = |_| {
        // The cable may not carry yet.
        (0..100)
            .find_map(|_| {
                let address = to.parse().expect("an address");
                let connected = TcpStream::connect_timeout(&address, Duration::from_secs(1));
                connected.map_err(|_| std::thread::sleep(Duration::from_millis(20))).ok()
            })
            .expect("connect")
    };
    let _held: Vec<TcpStream> = (0..connections).map(connect).collect();
    say(&[]);
    told().for_each(drop);
}

/// Takes a packet with a descriptor, closes that, and sends 64 bytes back. One caller at a time.
fn floor(path: &str) {
    let listener = wire::listen(path);
    // Everybody may ask.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(path, mode).expect("its mode");
    // It ends with its standard input.
    std::thread::spawn(|| {
        say(&[]);
        told().for_each(drop);
        std::process::exit(0);
    });
    loop {
        let caller: OwnedFd = rustix::net::accept(&listener).expect("accept");
        while wire::take(caller.as_fd()).map(drop).is_some() {
            if rustix::net::send(&caller, &[0; 64], rustix::net::SendFlags::NOSIGNAL).is_err() {
                break;
            }
        }
    }
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

    /// Tells it a line, and returns what it answers.
    pub fn ask(&mut self, line: &str) -> Vec<f64> {
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").expect("tell it");
        self.answer()
    }

    fn answer(&mut self) -> Vec<f64> {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        let mut words = line.split_ascii_whitespace();
        assert_eq!(words.next(), Some("ok"), "a process in a role failed");
        words.map(|word| word.parse().expect("a number")).collect()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
