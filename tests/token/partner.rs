//! Partners that live as they please, and tell the server at every turn what they are.
//!
//! What is told, one line for each state that the process was in while it held the connection: pid,
//! start time, effective user, command, executable. The last line is `end`; who is gone before it has told all nevertheless.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

use super::actor::{ROLE, become_user, inherited};
use super::support::SOMEBODY;

/// What a process says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tell {
    pub(crate) pid: u32,
    pub(crate) start: u64,
    pub(crate) user: u32,
    pub(crate) command: String,
    pub(crate) executable: String,
}

impl Tell {
    fn own() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let command = std::fs::read_to_string("/proc/self/comm").unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1;
        Self {
            pid: std::process::id(),
            start: fields.split(' ').nth(22 - 3).unwrap().parse().unwrap(),
            user: rustix::process::geteuid().as_raw(),
            command: command.strip_suffix('\n').unwrap().to_owned(),
            executable: std::fs::read_link("/proc/self/exe").unwrap().to_str().unwrap().to_owned(),
        }
    }

    fn line(&self) -> String {
        let Self { pid, start, user, command, executable } = self;
        format!("{pid}\t{start}\t{user}\t{command}\t{executable}\n")
    }

    pub(crate) fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split('\t').collect();
        Self {
            pid: words[0].parse().unwrap(),
            start: words[1].parse().unwrap(),
            user: words[2].parse().unwrap(),
            command: words[3].to_owned(),
            executable: words[4].to_owned(),
        }
    }
}

/// Small and good enough.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// Names that look like something else in the files of /proc.
const NAMES: [&str; 4] = ["worker", ") R 1 (", "a\\nUid: 0 0", "sh) S 0 0 ("];

pub(crate) fn play(words: &[&str]) {
    match *words {
        [server, other, left] => live(server.parse().unwrap(), other, left.parse().unwrap()),
        // Another program now, with the connection of the one before.
        ["inherits", again, server, other, left] => {
            let (server, left) = (server.parse().unwrap(), left.parse().unwrap());
            let again: u64 = again.parse().unwrap();
            let mut told = tell(std::io::stdin());
            if told && again > 0 {
                // Else what is torn between two runs of this program could be one of its states.
                rename(&mut Dice::new(again << 32 | u64::from(std::process::id())));
                told = tell(std::io::stdin());
            }
            if told && again > 0 {
                return run_another_program(again - 1, server, other, left);
            }
            let stream = inherited();
            // Otherwise its standard input would hold the connection from here on.
            let null = std::fs::File::open("/dev/null").unwrap();
            rustix::stdio::dup2_stdin(null).unwrap();
            if told {
                end(stream);
            }
            live(server, other, left);
        }
        _ => panic!("no such partner: {words:?}"),
    }
}

/// Makes `left` connections, each in one of the ways that processes behave.
fn live(server: SocketAddr, other: &str, mut left: u64) {
    let mut dice = Dice::new(u64::from(std::process::id()) << 20 | left);
    while left > 0 {
        left -= 1;
        if dice.below(3) == 0 {
            rename(&mut dice);
        }
        let Ok(stream) = TcpStream::connect(server) else { return };
        let way = dice.below(40);
        if way == 6 {
            // Where it stays, and under no other number, when another program is run.
            rustix::stdio::dup2_stdin(&stream).unwrap();
            drop(stream);
            rename(&mut dice);
            tell(std::io::stdin());
            // Up to eight programs one after the other, while the server asks.
            return run_another_program(dice.below(8), server, other, left);
        }
        if !tell(&stream) {
            continue;
        }
        match way {
            0..7 => {
                rename(&mut dice);
                tell(&stream);
            }
            7..10 => fork_with(&stream),
            10 if rustix::process::geteuid().is_root() => {
                become_user(SOMEBODY + 1 + u32::try_from(dice.below(5)).unwrap());
                tell(&stream);
            }
            // Gone, with all connections.
            11 => std::process::exit(0),
            12..14 => continue,
            _ => {}
        }
        end(stream);
    }
}

fn rename(dice: &mut Dice) {
    let name = NAMES[usize::try_from(dice.below(4)).unwrap()];
    let name = format!("{name}{}", dice.below(1000));
    // Of this thread, the first one, and so of the process.
    rustix::thread::set_name(&std::ffi::CString::new(name).unwrap()).unwrap();
}

/// Whether somebody listens.
fn tell(connection: impl AsFd) -> bool {
    rustix::io::write(connection, Tell::own().line().as_bytes()).is_ok()
}

/// Waits until the server has asked enough. It closes first, so that no port stays taken.
fn end(mut stream: TcpStream) {
    if stream.write_all(b"end\n").is_ok() {
        let _ = stream.read(&mut [0]);
    }
}

/// The same process, another program, the same connection under the same number.
fn run_another_program(again: u64, server: SocketAddr, other: &str, left: u64) {
    // Two copies of one program, in turn: `other` is always the one that this one is not.
    let this = std::env::current_exe().unwrap();
    let role = format!("partner inherits {again} {server} {} {left}", this.display());
    // At some moment of the lookup.
    let moment = Dice::new(u64::from(std::process::id()) << 8 | again).below(600);
    std::thread::sleep(Duration::from_micros(moment));
    let error = Command::new(other).env(ROLE, role).exec();
    panic!("{other}: {error}");
}

/// Two processes, one connection.
#[allow(unsafe_code, reason = "fork(2)")]
fn fork_with(stream: &TcpStream) {
    // SAFETY: this process has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            tell(stream);
            std::thread::sleep(Duration::from_micros(300));
            std::process::exit(0);
        }
        ForkResult::Parent { child } => drop(waitpid(child, None).unwrap()),
    }
}
