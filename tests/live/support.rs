//! Namespaces, sockets, and asking.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use partner_info::prelude::*;
use partner_info::{Error, Stack};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Longer than anything here takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a get waits that is expected to be refused.
pub(crate) const SHORT: Duration = Duration::from_millis(60);

/// TCP states of `include/net/tcp_states.h`.
pub(crate) const ESTABLISHED: u8 = 1;
pub(crate) const SYN_SENT: u8 = 2;
pub(crate) const SYN_RECV: u8 = 3;
pub(crate) const FIN_WAIT1: u8 = 4;
pub(crate) const FIN_WAIT2: u8 = 5;
pub(crate) const TIME_WAIT: u8 = 6;
pub(crate) const CLOSE: u8 = 7;
pub(crate) const CLOSE_WAIT: u8 = 8;
pub(crate) const LAST_ACK: u8 = 9;

/// A network namespace that lives as long as this value, or a process or socket in it.
pub(crate) struct Namespace(File);

impl Namespace {
    /// A new one, with its loopback interface up.
    pub(crate) fn new() -> Self {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    unshare(CloneFlags::CLONE_NEWNET).unwrap();
                    run("ip link set lo up");
                    Self::current()
                })
                .join()
                .unwrap()
        })
    }

    /// The calling thread's.
    pub(crate) fn current() -> Self {
        Self(File::open("/proc/thread-self/ns/net").unwrap())
    }

    /// That of a running process.
    #[cfg(feature = "agent")]
    pub(crate) fn of_process(pid: u32) -> Self {
        Self(File::open(format!("/proc/{pid}/ns/net")).unwrap())
    }

    /// Runs `inside` on a thread of this namespace; processes it starts are in it as well.
    pub(crate) fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        let result = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter();
                    inside()
                })
                .join()
        });
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Moves the calling thread here.
    pub(crate) fn enter(&self) {
        setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
    }

    /// Moves an interface of the calling thread's namespace here.
    #[cfg(feature = "agent")]
    pub(crate) fn take(&self, link: &str) {
        run(&format!("ip link set {link} netns {}", self.path()));
    }

    /// Its file, as long as this value lives.
    pub(crate) fn path(&self) -> String {
        use std::os::fd::AsRawFd;
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// A virtual cable between `here`, in the calling thread's namespace, and `there`, in this one.
    pub(crate) fn cable(&self, here: &str, there: &str) {
        let path = self.path();
        run(&format!("ip link add {here} type veth peer name {there} netns {path}"));
        run(&format!("ip link set {here} up"));
        self.run(|| run(&format!("ip link set {there} up")));
        // Until then the kernel still rearranges the routes of both ends.
        eventually("the cable carries", || is_up(here) && self.run(|| is_up(there)));
    }
}

/// Runs `test` on a thread in a new namespace.
pub(crate) fn in_new_namespace(test: fn()) {
    Namespace::new().run(test);
}

pub(crate) fn can_make_namespaces() -> bool {
    let tried = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok()).join();
    rustix::process::geteuid().is_root() && tried.unwrap_or(false) && is_installed("ip")
}

pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([Path::new("/usr/sbin").into(), Path::new("/sbin").into()])
        .any(|folder| folder.join(program).exists())
}

/// Whether an interface of the calling thread's namespace has its carrier.
fn is_up(link: &str) -> bool {
    let output = Command::new("ip").args(["-o", "link", "show", link]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains("state UP")
}

/// Runs a command that must succeed, in the calling thread's namespace.
pub(crate) fn run(command: &str) {
    let output = Command::new("/bin/sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Loads rules into the calling thread's namespace.
pub(crate) fn nft(rules: &str) {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    io::Write::write_all(&mut child.stdin.take().unwrap(), rules.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{rules}");
}

/// Sets a sysctl of the calling thread's namespace, such as `net/ipv4/ip_forward`.
///
/// The files of /proc/sys/net are those of the namespace of the thread that opens them.
pub(crate) fn sysctl(name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/{name}"), value).unwrap_or_else(|e| panic!("{name}: {e}"));
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Loopback addresses of both families, with this port.
pub(crate) fn loopbacks(port: u16) -> [SocketAddr; 2] {
    [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

/// A TCP socket, neither bound nor connected, whose waits end by themselves.
pub(crate) fn tcp(like: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(like), Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub(crate) fn listen(at: SocketAddr) -> Socket {
    let socket = tcp(at);
    socket.set_reuse_address(true).unwrap();
    socket.bind(&at.into()).unwrap();
    socket.listen(1024).unwrap();
    socket
}

pub(crate) fn accept(listener: &Socket) -> Socket {
    let (stream, _) = listener.accept().expect("nobody came");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn connect(to: SocketAddr) -> Socket {
    let socket = tcp(to);
    socket.connect(&to.into()).unwrap();
    socket
}

pub(crate) fn local(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}

pub(crate) fn peer(socket: &Socket) -> SocketAddr {
    socket.peer_addr().unwrap().as_socket().unwrap()
}

/// Receives what there is, up to 64 bytes.
pub(crate) fn receive(mut socket: &Socket) -> Vec<u8> {
    let mut buffer = [0; 64];
    let len = io::Read::read(&mut socket, &mut buffer).unwrap();
    buffer[..len].to_vec()
}

/// Waits until `ready` is true. The kernel finishes handshakes and closes on its own time.
pub(crate) fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < end, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A stack with nothing saved, which asks no name service.
pub(crate) fn fresh() -> Stack {
    Stack::builder().name_patience(Duration::ZERO).build()
}

/// Gets on any connected socket, from the calling thread.
pub(crate) fn get(
    stack: &Stack,
    socket: &impl AsFd,
    request: PartnerRequest,
    timeout: Duration,
) -> Result<PartnerInfo, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Another descriptor of the same socket: a cookie does not change by that.
    let stream = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned().unwrap());
    let was_nonblocking = SockRef::from(&stream).nonblocking().unwrap();
    stream.set_nonblocking(true).unwrap();
    let answer = runtime.block_on(async {
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        stack.get_partner_info(&stream, request, timeout).await
    });
    SockRef::from(socket).set_nonblocking(was_nonblocking).unwrap();
    answer
}

/// Who is the partner, without anything saved: `user 1000`, or the reason or kind of the error.
pub(crate) fn who(socket: &impl AsFd) -> String {
    who_within(socket, SHORT)
}

pub(crate) fn who_within(socket: &impl AsFd, timeout: Duration) -> String {
    say(&get(&fresh(), socket, PartnerRequest::USER_ID, timeout))
}

/// Where the partner is: `routing 14`, or the reason or kind of the error.
pub(crate) fn routing(socket: &impl AsFd) -> String {
    say(&get(&fresh(), socket, PartnerRequest::empty(), SHORT))
}

pub(crate) fn say(answer: &Result<PartnerInfo, Error>) -> String {
    match answer {
        Ok(info) => match info.user() {
            Some(user) => format!("user {}", user.uid()),
            None => format!("routing {}", info.routing().bits()),
        },
        Err(error) => match error.reason() {
            Some(reason) => format!("{reason:?}"),
            None => format!("{:?}", error.kind()),
        },
    }
}

/// Asserts that no user was named.
#[track_caller]
pub(crate) fn assert_nobody(said: &str) {
    assert!(!said.starts_with("user"), "named somebody: {said}");
}

/// The TCP state of a socket.
pub(crate) fn state(socket: &Socket) -> u8 {
    seen_by(|entry| entry.inode == rustix::fs::fstat(socket).unwrap().st_ino)
        .map_or(CLOSE, |entry| entry.state)
}

/// A line of /proc/net/tcp or /proc/net/tcp6.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    local: SocketAddr,
    remote: SocketAddr,
    pub(crate) state: u8,
    pub(crate) uid: u32,
    pub(crate) inode: u64,
}

/// The connected or connecting socket with these addresses, in this thread's namespace.
pub(crate) fn seen(local: SocketAddr, remote: SocketAddr) -> Option<Entry> {
    let plain = |address: SocketAddr| (address.ip().to_canonical(), address.port());
    seen_by(|entry| plain(entry.local) == plain(local) && plain(entry.remote) == plain(remote))
}

fn seen_by(wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
    ["tcp", "tcp6"].iter().find_map(|table| {
        let text = std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap();
        text.lines().skip(1).map(entry).find(|entry| wanted(entry))
    })
}

fn entry(line: &str) -> Entry {
    let words: Vec<&str> = line.split_whitespace().collect();
    Entry {
        local: hexadecimal(words[1]),
        remote: hexadecimal(words[2]),
        state: u8::from_str_radix(words[3], 16).unwrap(),
        uid: words[7].parse().unwrap(),
        inode: words[9].parse().unwrap(),
    }
}

/// `0100007F:1F90`: words of four bytes in the machine's order, and the port.
fn hexadecimal(text: &str) -> SocketAddr {
    let (ip, port) = text.split_once(':').unwrap();
    let word = |at: usize| u32::from_str_radix(&ip[at..at + 8], 16).unwrap().to_ne_bytes();
    let port = u16::from_str_radix(port, 16).unwrap();
    if ip.len() == 8 {
        return (word(0), port).into();
    }
    let bytes = [word(0), word(8), word(16), word(24)].concat();
    (<[u8; 16]>::try_from(bytes).unwrap(), port).into()
}
