//! Whoever says nothing, or nonsense, hinders nobody and costs little.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::Socket;

use super::super::agent::daemon::Partnerd;
use super::super::puppet::{Far, Puppet, connected};
use super::super::support::{address, connect, eventually, tcp};
use super::{BIN, DAEMON, LISTEN, agent, whose};

crate::harness::tests![
    ident_answers_beside_a_thousand_silent_connections,
    ident_answers_beside_who_sends_a_byte_a_second,
    ident_answers_beside_lines_of_a_megabyte_and_noise,
    ident_closes_who_does_not_ask_in_time,
    ident_lets_who_asks_too_fast_wait_and_nobody_else,
    ident_makes_nobody_wait_for_who_says_nothing,
    ident_keeps_no_place_that_was_left,
];

/// KiB that the agent's memory may grow by: what docs/ident.md promises with the standard limits.
const MOST: u64 = 8 * 1024;

/// A port that is asked about, and who may.
struct Stage {
    agent: Partnerd,
    server: Puppet,
    client: Puppet,
}

impl Stage {
    fn new(agent: Partnerd) -> Self {
        Self { agent, server: Puppet::new(DAEMON), client: Puppet::new(BIN) }
    }

    fn connected(&self) -> (Far<'_>, Far<'_>) {
        connected(&self.server, &self.client, address("127.0.0.1:8080"))
    }

    /// Asks a few times, and looks at the agent's memory in between.
    fn answers(&self, far: &Far<'_>, before: u64) {
        for _ in 0..50 {
            assert_eq!(whose(&self.server, far), "USERID:UNIX:bin");
            let grown = resident(&self.agent).saturating_sub(before);
            assert!(grown <= MOST, "the agent has {grown} KiB more");
        }
    }
}

/// `VmRSS`, in KiB.
fn resident(agent: &Partnerd) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn at_113() -> SocketAddr {
    address("127.0.0.1:113")
}

/// Whether the other end has ended it.
fn is_over(socket: &Socket) -> bool {
    socket.set_nonblocking(true).unwrap();
    let read = (&mut &*socket).read(&mut [0; 64]);
    socket.set_nonblocking(false).unwrap();
    !read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

fn ident_answers_beside_a_thousand_silent_connections() {
    let stage = Stage::new(agent());
    let (_near, far) = stage.connected();
    stage.answers(&far, resident(&stage.agent));
    let before = resident(&stage.agent);
    // From the very address that others ask from.
    let silent: Vec<_> = (0..1_000).map(|_| connect(at_113())).collect();
    stage.answers(&far, before);
    // Half of the places are theirs; the rest gave way.
    eventually("some gave way", || silent.iter().filter(|one| is_over(one)).count() >= 400);
    stage.answers(&far, before);
}

fn ident_answers_beside_who_sends_a_byte_a_second() {
    let agent = Partnerd::prepare(None, &format!("{LISTEN}line_seconds = 3\n"));
    agent.run();
    let stage = Stage::new(agent);
    let (_near, far) = stage.connected();
    stage.answers(&far, resident(&stage.agent));
    let before = resident(&stage.agent);
    let slow: Vec<_> = (0..200).map(|_| connect(at_113())).collect();
    for byte in b"1234,5678" {
        for one in &slow {
            // It may be closed by now.
            let _ = (&mut &*one).write(&[*byte]);
        }
        stage.answers(&far, before);
        std::thread::sleep(Duration::from_secs(1));
    }
    // However slowly, they have said something, and their time is over.
    assert!(slow.iter().all(is_over));
}

fn ident_answers_beside_lines_of_a_megabyte_and_noise() {
    let stage = Stage::new(agent());
    let (_near, far) = stage.connected();
    stage.answers(&far, resident(&stage.agent));
    let before = resident(&stage.agent);
    let noise: Vec<u8> =
        (0_u32..1 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::thread::scope(|scope| {
        for bytes in [vec![b' '; 1 << 20], vec![b'\n'; 1 << 20], noise] {
            scope.spawn(move || {
                for _ in 0..50 {
                    let socket = connect(at_113());
                    // It is closed half-way.
                    let _ = (&socket).write_all(&bytes);
                    let mut said = Vec::new();
                    let _ = (&socket).read_to_end(&mut said);
                    assert!(!String::from_utf8_lossy(&said).contains("USERID"), "{said:?}");
                }
            });
        }
        stage.answers(&far, before);
        stage.answers(&far, before);
    });
    stage.answers(&far, before);
}

fn ident_closes_who_does_not_ask_in_time() {
    let agent = Partnerd::prepare(None, &format!("{LISTEN}line_seconds = 1\n"));
    agent.run();
    let silent = connect(at_113());
    let begun = connect(at_113());
    (&begun).write_all(b"1,").unwrap();
    for mut socket in [&silent, &begun] {
        let mut said = Vec::new();
        socket.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"");
    }
}

fn ident_lets_who_asks_too_fast_wait_and_nobody_else() {
    let more = "questions_per_second = 10\nline_seconds = 60\n";
    let agent = Partnerd::prepare(None, &format!("{LISTEN}{more}"));
    agent.run();
    let from = |ip: &str| {
        let socket = tcp(at_113());
        socket.bind(&address(&format!("{ip}:0")).into()).unwrap();
        socket.connect(&at_113().into()).unwrap();
        (&socket).write_all(b"1,2\r\n").unwrap();
        socket
    };
    let many: Vec<_> = (0..300).map(|_| from("127.0.0.2")).collect();
    let answered = |mut socket: &Socket| {
        let mut said = Vec::new();
        socket.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"1,2:ERROR:NO-USER\r\n");
    };
    answered(&from("127.0.0.3"));
    // Half a minute's worth were asked before.
    assert!(many.iter().filter(|one| is_over(one)).count() < many.len());
}

/// Who has the same address would wait for minutes if it counted as asked.
fn ident_makes_nobody_wait_for_who_says_nothing() {
    let agent = Partnerd::prepare(None, &format!("{LISTEN}questions_per_second = 1\n"));
    agent.run();
    let stage = Stage::new(agent);
    let (_near, far) = stage.connected();
    let silent: Vec<_> = (0..200).map(|_| connect(at_113())).collect();
    eventually("they are taken", || {
        std::fs::read_dir(format!("/proc/{}/fd", stage.agent.pid())).unwrap().count() > 200
    });
    assert_eq!(whose(&stage.server, &far), "USERID:UNIX:bin");
    drop(silent);
}

fn ident_keeps_no_place_that_was_left() {
    let agent = Partnerd::prepare(None, &format!("{LISTEN}connections = 4\n"));
    agent.run();
    let stage = Stage::new(agent);
    let (_near, far) = stage.connected();
    whose(&stage.server, &far);
    let before = stage.agent.descriptors();
    for _ in 0..200 {
        drop(connect(at_113()));
        let socket = connect(at_113());
        (&socket).write_all(b"1,2\r\n").unwrap();
        drop(socket);
    }
    // There may be none free at once.
    let (local, remote) = (far.local(), far.peer());
    eventually("it answers", || {
        let said = stage.server.call(&format!("ident {local} {remote}"));
        said.is_ok_and(|said| said == "USERID:UNIX:bin")
    });
    eventually("nothing is left", || stage.agent.descriptors() <= before);
}
