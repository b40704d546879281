//! The program `partnerd` from its start to its end: socket, signals, service manager.
//!
//! What it answers is tested elsewhere.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};

/// A folder with a configuration and a socket of the service manager's, removed at the end.
struct Place {
    folder: PathBuf,
    manager: UnixDatagram,
}

impl Place {
    fn new(name: &str, more: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("partnerd-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("policy.toml"), "").unwrap();
        let manager = UnixDatagram::bind(folder.join("notify")).unwrap();
        manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let place = Self { folder, manager };
        place.configure(more);
        place
    }

    fn configure(&self, more: &str) {
        let text = format!(
            "namespaces = \"own\"\npolicy = {:?}\n[socket]\npath = {:?}\nmode = \"0600\"\n{more}",
            self.folder.join("policy.toml"),
            self.socket(),
        );
        std::fs::write(self.folder.join("c.toml"), text).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("p.sock")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partnerd"));
        command.arg("--config").arg(self.folder.join("c.toml"));
        command.env("NOTIFY_SOCKET", self.folder.join("notify")).env_remove("RUST_LOG");
        command.stderr(Stdio::piped());
        command
    }

    /// The next message to the service manager that is not a sign of life.
    fn told(&self) -> String {
        loop {
            let mut space = [0; 4096];
            let length = self.manager.recv(&mut space).unwrap();
            let text = String::from_utf8(space[..length].to_vec()).unwrap();
            if text != "WATCHDOG=1\n" {
                return text;
            }
        }
    }

    fn start(&self) -> Agent {
        let agent = Agent(self.command().spawn().unwrap());
        let told = self.told();
        assert!(told.starts_with("READY=1\nSTATUS=answers for"), "{told}");
        agent
    }

    fn connect(&self) -> rustix::io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(self.socket())?)?;
        Ok(socket)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

struct Agent(Child);

impl Agent {
    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Its exit status and what it logged.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.0.wait().unwrap().code(), log)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_starts_and_stops_and_leaves_nothing() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new("stop", "");
        let agent = place.start();
        place.connect().unwrap();
        agent.signal(signal);
        assert_eq!(place.told(), "STOPPING=1\n");
        let (status, log) = agent.ended();
        assert_eq!(status, Some(0), "{log}");
        assert!(!place.socket().exists());
    }
}

#[test]
fn a_second_agent_is_refused_and_one_after_a_crash_is_not() {
    let place = Place::new("second", "");
    let first = place.start();
    let second = place.command().output().unwrap();
    let error = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(4), "{error}");
    assert!(error.contains("another agent answers there"), "{error}");
    place.connect().unwrap();
    first.signal(Signal::KILL);
    let _ = first.ended();
    assert!(place.socket().exists() && place.connect().is_err());
    let third = place.start();
    place.connect().unwrap();
    third.signal(Signal::TERM);
    assert_eq!(third.ended().0, Some(0));
}

#[test]
fn a_reload_takes_what_is_valid_and_nothing_else() {
    let place = Place::new("reload", "[log]\nlevel = \"warn\"\n");
    let agent = place.start();
    let reload = || {
        agent.signal(Signal::HUP);
        let told = place.told();
        assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");
        assert!(place.told().starts_with("READY=1\n"));
    };
    place.configure("[log]\nlevel = \"loud\"\n");
    reload();
    std::fs::write(place.folder.join("policy.toml"), "[[profil]]").unwrap();
    place.configure("[log]\nlevel = \"error\"\n");
    reload();
    std::fs::write(place.folder.join("policy.toml"), "").unwrap();
    let audit = place.folder.join("audit.jsonl");
    let more = "[log]\nlevel = \"info\"\nformat = \"json\"\n[audit]\nfile = ";
    place.configure(&format!("{more}{audit:?}"));
    reload();
    assert!(audit.exists());
    agent.signal(Signal::TERM);
    let (status, log) = agent.ended();
    assert_eq!(status, Some(0), "{log}");
    let expected = [
        "c.toml:7:9: expected \"error\"",
        "policy.toml:1:3: [unknown-key]",
        "these changes take effect at the next start keys=\"log.format\"",
        "the configuration was read again",
        "partnerd stops",
    ];
    let of_others = ["capability", "the policy file is in force"];
    let is_other = |line: &&str| of_others.iter().any(|other| line.contains(other));
    let lines: Vec<_> = log.lines().filter(|line| !is_other(line)).collect();
    assert_eq!(lines.len(), expected.len(), "{log}");
    for (line, says) in lines.iter().zip(expected) {
        assert!(line.contains(says), "{says}: {line}");
    }
}

#[test]
fn metrics_are_served_and_a_port_in_use_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    let place = Place::new("metrics", &format!("[metrics]\nlisten = \"{address}\"\n"));
    let refused = place.command().output().unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(4), "{error}");
    assert!(error.contains(&format!("{address}: listening for metrics: Address")), "{error}");
    assert!(!place.socket().exists());
    drop(taken);
    let _agent = place.start();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn the_service_manager_is_shown_a_sign_of_life() {
    let place = Place::new("watchdog", "");
    let agent = Agent(place.command().env("WATCHDOG_USEC", "100000").spawn().unwrap());
    for _ in 0..4 {
        let mut space = [0; 4096];
        let length = place.manager.recv(&mut space).unwrap();
        assert!(space.starts_with(b"READY=1") || &space[..length] == b"WATCHDOG=1\n");
    }
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended().0, Some(0));
}

/// A listening socket of this type, passed as a service manager does, but as descriptor 0: another
/// number would take code that runs between fork(2) and execve(2).
fn pass(place: &Place, kind: SocketType, listening: bool) -> Command {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
    let _ = std::fs::remove_file(place.socket());
    rustix::net::bind(&socket, &SocketAddrUnix::new(place.socket()).unwrap()).unwrap();
    if listening {
        rustix::net::listen(&socket, 8).unwrap();
    }
    let mut command = place.command();
    command.stdin(socket).env("LISTEN_FDS", "1").env("LISTEN_FDS_FIRST_FD", "0");
    command
}

#[test]
fn a_passed_socket_is_used_and_left_in_place() {
    let place = Place::new("passed", "");
    let agent = Agent(pass(&place, SocketType::SEQPACKET, true).spawn().unwrap());
    assert!(place.told().starts_with("READY=1\n"));
    place.connect().unwrap();
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended().0, Some(0));
    assert!(place.socket().exists(), "it is the service manager's");
}

#[test]
fn a_passed_socket_of_another_kind_is_refused() {
    let place = Place::new("kind", "");
    for (kind, listening, says) in [
        (SocketType::STREAM, true, "not a valid Unix socket of type SOCK_SEQPACKET"),
        (SocketType::SEQPACKET, false, "it does not listen"),
    ] {
        let output = pass(&place, kind, listening).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn an_audit_that_cannot_be_opened_keeps_it_from_starting() {
    let place = Place::new("audit", "[audit]\nfile = \"/nonexistent/audit.jsonl\"\n");
    let output = place.command().output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("/nonexistent/audit.jsonl a place that the agent may write"), "{error}");
    assert!(!place.socket().exists());
}
