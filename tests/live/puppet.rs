//! Processes of other users that do what a test tells them.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use super::support::address;

/// In the environment of a helper process: what it is.
pub(crate) const ROLE: &str = "PARTNER_INFO_TEST_ROLE";

/// A process with a user of its own, in the namespace of the thread that started it.
pub(crate) struct Puppet {
    child: Mutex<Child>,
    input: Mutex<ChildStdin>,
    output: Mutex<BufReader<ChildStdout>>,
}

/// A socket of a puppet. It stays open until it is closed or the puppet ends.
pub(crate) struct Far<'p> {
    puppet: &'p Puppet,
    id: String,
}

impl Puppet {
    pub(crate) fn new(uid: u32) -> Self {
        Self::with(uid, |_| {})
    }

    /// One whose environment or arguments `prepare` changes.
    pub(crate) fn with(uid: u32, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Self::command("puppet");
        command.uid(uid).gid(uid).stdin(Stdio::piped()).stdout(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let input = Mutex::new(child.stdin.take().unwrap());
        let output = Mutex::new(BufReader::new(child.stdout.take().unwrap()));
        let puppet = Self { child: Mutex::new(child), input, output };
        assert_eq!(puppet.call("hello").unwrap(), uid.to_string());
        puppet
    }

    /// This program in a role. By way of /proc, since the user may not be allowed to walk the path.
    pub(crate) fn command(role: &str) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.env(ROLE, role);
        command
    }

    /// One command and its reply; `Err` carries the errno that the puppet met.
    pub(crate) fn call(&self, line: &str) -> io::Result<String> {
        self.send(line);
        self.reply(line)
    }

    /// Starts a command whose reply is awaited later.
    pub(crate) fn send(&self, line: &str) {
        writeln!(self.input.lock().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn reply(&self, line: &str) -> io::Result<String> {
        let mut reply = String::new();
        self.output.lock().unwrap().read_line(&mut reply).unwrap();
        let reply = reply.trim_end();
        match reply.split_once(' ').unwrap_or((reply, "")) {
            ("ok", rest) => Ok(rest.to_owned()),
            ("err", errno) => Err(io::Error::from_raw_os_error(errno.parse().unwrap())),
            _ => panic!("the puppet ended at {line:?}, saying {reply:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn must(&self, line: &str) -> String {
        self.call(line).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    /// A socket of the family of `like`; `protocol` is `tcp` or `mptcp`.
    pub(crate) fn socket(&self, like: SocketAddr, protocol: &str) -> Far<'_> {
        let family = if like.is_ipv4() { 4 } else { 6 };
        Far { puppet: self, id: self.must(&format!("socket {family} {protocol}")) }
    }

    pub(crate) fn tcp(&self, like: SocketAddr) -> Far<'_> {
        self.socket(like, "tcp")
    }

    /// A connected TCP socket.
    pub(crate) fn connect(&self, to: SocketAddr) -> Far<'_> {
        let socket = self.tcp(to);
        socket.connect(to).unwrap();
        socket
    }

    /// A connected TCP socket from a chosen address, which others may choose as well.
    pub(crate) fn connect_from(&self, from: SocketAddr, to: SocketAddr) -> Far<'_> {
        let socket = self.tcp(from);
        socket.bind(from);
        socket.connect(to).unwrap();
        socket
    }

    /// A listening TCP socket.
    pub(crate) fn listen(&self, at: SocketAddr) -> Far<'_> {
        let socket = self.tcp(at);
        socket.bind(at);
        socket.must("listen");
        socket
    }

    #[cfg(feature = "agent")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Ends the process, and waits for the end.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl<'p> Far<'p> {
    /// A command about this socket, with its arguments.
    pub(crate) fn call(&self, command: &str) -> io::Result<String> {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        self.puppet.call(&format!("{verb} {} {rest}", self.id))
    }

    #[track_caller]
    pub(crate) fn must(&self, command: &str) -> String {
        self.call(command).unwrap_or_else(|e| panic!("{command}: {e}"))
    }

    /// Binds, with `SO_REUSEADDR`.
    pub(crate) fn bind(&self, at: SocketAddr) {
        self.must("reuse");
        self.must(&format!("bind {at}"));
    }

    pub(crate) fn connect(&self, to: SocketAddr) -> io::Result<()> {
        self.call(&format!("connect {to}")).map(drop)
    }

    pub(crate) fn accept(&self) -> Far<'p> {
        Far { puppet: self.puppet, id: self.must("accept") }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        address(&self.must("local"))
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        address(&self.must("peer"))
    }

    pub(crate) fn close(self) {
        self.must("close");
    }

    /// Connects, and has the partner looked up at once.
    #[cfg(feature = "agent")]
    pub(crate) fn connect_partner(&self, to: SocketAddr) {
        self.must(&format!("connect-partner {to}"));
    }

    /// Accepts, and has the partner looked up at once.
    #[cfg(feature = "agent")]
    pub(crate) fn accept_partner(&self) -> Far<'p> {
        Far { puppet: self.puppet, id: self.must("accept-partner") }
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        self.must("linger 0");
        self.must("close");
    }

    /// Its number among the puppet's sockets.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// What [`who_within`](super::support::who_within) says there.
    pub(crate) fn who(&self) -> String {
        self.must("who 60")
    }
}

/// A connection of `client` to `server`: the end of the one, and of the other.
#[cfg(feature = "agent")]
pub(crate) fn connected<'p>(
    server: &'p Puppet,
    client: &'p Puppet,
    at: SocketAddr,
) -> (Far<'p>, Far<'p>) {
    joined(server, at, || client.connect(at))
}

/// The same from a chosen address, which others may choose as well.
#[cfg(feature = "agent")]
pub(crate) fn connected_from<'p>(
    server: &'p Puppet,
    client: &'p Puppet,
    (at, from): (SocketAddr, SocketAddr),
) -> (Far<'p>, Far<'p>) {
    joined(server, at, || client.connect_from(from, at))
}

#[cfg(feature = "agent")]
fn joined<'p>(
    server: &'p Puppet,
    at: SocketAddr,
    connect: impl FnOnce() -> Far<'p>,
) -> (Far<'p>, Far<'p>) {
    let listener = server.listen(at);
    let near = connect();
    let far = listener.accept();
    listener.close();
    (near, far)
}
