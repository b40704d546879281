//! Processes that do what a test tells them, and those that do as they please.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use socket2::{Domain, Protocol, Socket, Type};

use super::support::{self, run};

/// In the environment of a helper process: what it is.
pub(crate) const ROLE: &str = "PARTNER_INFO_TEST_ROLE";

/// Seconds after which every helper process ends.
const LIFETIME: u32 = 300;

/// Plays the role that this process was started for, if it was.
pub(crate) fn role() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    nix::unistd::alarm::set(LIFETIME);
    match role.split(' ').collect::<Vec<_>>()[..] {
        ["actor"] => obey(),
        ["asker"] => ask(),
        ["crowd"] => super::calls::crowd(),
        ["partner", ref words @ ..] => super::partner::play(words),
        _ => panic!("no such role: {role}"),
    }
    true
}

/// This program in a role. By way of /proc, since the user may not be allowed to walk the path.
fn command(role: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env(ROLE, role);
    command
}

/// A process with a user of its own, killed in the end.
pub(crate) struct Actor {
    child: Child,
    /// Until the actor is told to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Actor {
    pub(crate) fn start(role: &str, uid: Option<u32>) -> Self {
        let mut command = command(role);
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        Self::run(&mut command)
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// One that does what it is told, as the user of the test.
    pub(crate) fn new() -> Self {
        Self::start("actor", None)
    }

    /// One of another user.
    pub(crate) fn of(uid: u32) -> Self {
        Self::start("actor", Some(uid))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One command and its answer.
    pub(crate) fn call(&mut self, line: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> String {
        let mut answer = String::new();
        assert!(self.output.read_line(&mut answer).unwrap() > 0, "the process has ended");
        answer.trim_end().to_owned()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    pub(crate) fn wait(&mut self) {
        self.child.wait().unwrap();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // It ends with its input, and ends those that it started.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Children that hold a socket as their standard input.
struct Holders(Vec<Child>);

impl Holders {
    /// Starts a program that holds the socket; its pid.
    fn share(&mut self, socket: &Socket, program: &str, uid: Option<u32>) -> String {
        let mut command = Command::new(program);
        command.arg("1000").stdin(socket.as_fd().try_clone_to_owned().unwrap());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(uid) = uid {
            command.uid(uid);
        }
        self.0.push(command.spawn().unwrap());
        self.0.last().unwrap().id().to_string()
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn obey() {
    let mut sockets: Vec<Socket> = Vec::new();
    let mut holders = Holders(Vec::new());
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let mut answer = "done".to_owned();
        match words[..] {
            ["socket"] => sockets.push(tcp()),
            ["connect", to] => {
                let to: SocketAddr = to.parse().unwrap();
                sockets.last().unwrap().connect(&to.into()).unwrap();
            }
            ["send", text] => drop(sockets.last().unwrap().send(text.as_bytes()).unwrap()),
            ["setuid", uid] => become_user(uid.parse().unwrap()),
            ["share", program] => answer = holders.share(sockets.last().unwrap(), program, None),
            ["share-as", uid, program] => {
                let uid = uid.parse().unwrap();
                answer = holders.share(sockets.last().unwrap(), program, Some(uid));
            }
            ["close"] => drop(sockets.pop()),
            _ => panic!("no such command: {line}"),
        }
        println!("{answer}");
    }
}

fn tcp() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap()
}

pub(crate) fn become_user(uid: u32) {
    nix::unistd::setgroups(&[]).unwrap();
    nix::unistd::setgid(uid.into()).unwrap();
    nix::unistd::setuid(uid.into()).unwrap();
}

/// Listens, and says for each connection what the token of the partner is.
fn ask() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    run(async {
        let listener = support::listener().await;
        println!("{}", listener.local_addr().unwrap());
        loop {
            let stream = support::accept(&listener).await;
            let info = support::get_both(&support::fresh(), &stream).await;
            println!("user={} {}", info.user().unwrap().uid(), info.token().unwrap());
        }
    });
}

/// The socket that this process was started with.
pub(crate) fn inherited() -> TcpStream {
    TcpStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap())
}
