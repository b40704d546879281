//! A place where nothing is but what the benchmark puts there: a network namespace with its own
//! sockets, a process namespace with its own processes, and accounts for the users of the stage.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use nix::mount::{MsFlags, mount};

use crate::support::processes::FIRST_USER;

const INSIDE: &str = "PARTNER_INFO_BENCH_ENCLOSED";
/// Users that have an account.
pub const USERS: u32 = 30;

pub fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Runs this program again inside.
pub fn enter() -> ExitStatus {
    let program = env::current_exe().expect("this program");
    Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--net"])
        .arg(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()
        .expect("unshare (apt-get install util-linux)")
}

/// What it takes to be a host.
pub fn set_up() {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.expect("ip (apt-get install iproute2)").success(), "loopback is up");
    let mut accounts = fs::read_to_string("/etc/passwd").expect("the accounts");
    for number in 0..USERS {
        let uid = FIRST_USER + number;
        accounts.push_str(&format!("bench{number}:x:{uid}:{uid}::/nonexistent:/bin/false\n"));
    }
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("side_by_side-passwd");
    fs::write(&file, accounts).expect("write the accounts");
    mount(Some(&file), "/etc/passwd", None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .expect("accounts of the stage's own");
}

/// The user with this account.
pub fn uid_of(name: &str) -> Option<u32> {
    Some(FIRST_USER + name.strip_prefix("bench")?.parse::<u32>().ok()?)
}
