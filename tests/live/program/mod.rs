//! The program `partner`, about connections of real processes of real users.

mod assets;
mod doctor;
mod list;
mod policy;
mod watch;
mod who;

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::io::FdFlags;
use serde_json::Value;

use super::Test;

pub(crate) fn tests() -> Vec<Test> {
    [assets::TESTS, doctor::TESTS, list::TESTS, policy::TESTS, watch::TESTS, who::TESTS].concat()
}

/// What a run of the program came to.
#[derive(Debug)]
struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

/// Runs it as this user, in the calling thread's namespace.
fn partner(uid: u32, arguments: &[&str]) -> Ran {
    partner_with(uid, arguments, |_| {})
}

/// The same with an environment that `prepare` changes.
fn partner_with(uid: u32, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Ran {
    let (_program, mut command) = program(uid, arguments);
    prepare(&mut command);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The command, which can be started as long as the file lives.
fn program(uid: u32, arguments: &[&str]) -> (File, Command) {
    // By way of a descriptor, since the user may not be allowed to walk the path.
    let program = File::open(env!("CARGO_BIN_EXE_partner")).unwrap();
    rustix::io::fcntl_setfd(&program, FdFlags::empty()).unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.args(arguments).uid(uid).gid(uid).stdin(Stdio::null()).current_dir("/");
    for name in ["PARTNER_INFO_POLICY", "PARTNER_INFO_AGENT", "NO_COLOR"] {
        command.env_remove(name);
    }
    (program, command)
}

impl Ran {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The ends of the only connection, in the order in which they are told.
    #[track_caller]
    fn ends(&self) -> [Value; 2] {
        let json = self.json();
        assert_eq!(json["version"], 1);
        let connections = json["connections"].as_array().unwrap();
        assert_eq!(connections.len(), 1, "{json}");
        ["0", "1"].map(|index| connections[0]["ends"][index.parse::<usize>().unwrap()].clone())
    }
}

/// What is told of an end: `user 1000`, or why nobody is named. Nobody has no user and no processes.
#[track_caller]
fn said(end: &Value) -> String {
    match end["user"]["uid"].as_u64() {
        Some(uid) => {
            assert!(end["error"].is_null() && end["token"]["user"] == uid, "{end}");
            format!("user {uid}")
        }
        None => {
            assert!(end["token"].is_null() && end["process_user"].is_null(), "{end}");
            let error = &end["error"];
            let reason = error["reason"].as_str().or(error["kind"].as_str());
            reason.unwrap_or_else(|| panic!("{end}")).to_owned()
        }
    }
}

/// The processes that hold an end.
fn pids(end: &Value) -> Vec<u64> {
    let holders = end["token"]["holders"].as_array().unwrap();
    holders.iter().map(|holder| holder["pid"].as_u64().unwrap()).collect()
}

/// What `partner who --json` as root says of both ends, its own first.
#[track_caller]
fn who(near: SocketAddr, far: SocketAddr) -> ([String; 2], Option<i32>) {
    who_as(0, near, far)
}

#[track_caller]
fn who_as(uid: u32, near: SocketAddr, far: SocketAddr) -> ([String; 2], Option<i32>) {
    let ran = partner(uid, &["who", &near.to_string(), &far.to_string(), "--json"]);
    let ends = ran.ends();
    for (end, expected) in ends.iter().zip([near, far]) {
        let address: SocketAddr = end["address"].as_str().unwrap().parse().unwrap();
        assert_eq!((address.ip(), address.port()), (expected.ip().to_canonical(), expected.port()));
    }
    (ends.each_ref().map(said), ran.status)
}
