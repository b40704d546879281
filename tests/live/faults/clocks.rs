//! Clocks that stand elsewhere than the host's: a time namespace shifts the monotonic clock and the
//! boot time, so that start times have other numbers there.
//!
//! The wall clock is the machine's and no namespace's; that no deadline goes by it is held against
//! the source, in `tests/architecture.rs`.

use std::time::{Duration, Instant, SystemTime};

use nix::sched::{CloneFlags, unshare};
use partner_info::prelude::*;
use socket2::Socket;

use super::super::puppet::Puppet;
use super::super::support::{PATIENCE, accept, connect, fresh, get, listen, loopbacks, say};
use super::partner;

super::scenes![h15_start_times_are_right_in_a_time_namespace, deadlines_hold_in_a_time_namespace,];

/// In the environment of the process within: what the scene has to know of its partner.
const PARTNER: &str = "PARTNER_INFO_TEST_PARTNER";

/// `CLONE_NEWTIME` of `linux/sched.h`, which nix does not name.
const NEWTIME: i32 = 0x80;

/// Runs the scene again, in time namespaces with these offsets in seconds; says whether it runs
/// there now.
fn within(scene: &str, offsets: &[i64]) -> bool {
    if std::env::var_os(PARTNER).is_some() {
        return true;
    }
    for offset in offsets {
        shifted(scene, *offset);
    }
    false
}

fn shifted(scene: &str, offset: i64) {
    let namespace = std::fs::read_link("/proc/self/ns/time").unwrap();
    // It is the children's, from the first one on.
    unshare(CloneFlags::from_bits_retain(NEWTIME)).unwrap();
    let offsets = format!("monotonic {offset} 0\nboottime {offset} 0\n");
    std::fs::write("/proc/self/timens_offsets", offsets).unwrap();
    let output =
        Puppet::command("scene").env(super::SCENE, scene).env(PARTNER, namespace).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "by {offset} s: {}:\n{said}", output.status);
}

/// Asserts that this process is in another time namespace than the test.
fn assert_shifted() {
    let outside = std::env::var(PARTNER).unwrap();
    let inside = std::fs::read_link("/proc/self/ns/time").unwrap();
    assert_ne!(inside.to_str().unwrap(), outside, "staging");
}

/// Forward by days, and back to a minute after the boot of the namespace.
fn offsets() -> [i64; 2] {
    let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
    [864_000, 60 - uptime]
}

fn h15_start_times_are_right_in_a_time_namespace() {
    if !within("h15_start_times_are_right_in_a_time_namespace", &offsets()) {
        return;
    }
    assert_shifted();
    let before = SystemTime::now();
    let (client, server) = partner();
    let stack = fresh();
    for _ in 0..2 {
        let info = get(&stack, &server, PartnerRequest::all(), PATIENCE).unwrap();
        let [holder] = info.token().unwrap().holders() else { panic!("one holder") };
        let started = holder.started().unwrap();
        // The boot time is in whole seconds, and so is this.
        let second = Duration::from_secs(2);
        assert!(started >= before - second && started <= SystemTime::now() + second, "{started:?}");
        assert!(holder.pidfd().is_ok(), "it is the same process");
        stack.forget_partner(&server).unwrap();
    }
    let info = get(&stack, &server, PartnerRequest::all(), PATIENCE).unwrap();
    let holder = info.token().unwrap().holders()[0].clone();
    client.kill();
    assert_eq!(holder.pidfd().unwrap_err().raw_os_error(), Some(libc::ESRCH));
}

fn deadlines_hold_in_a_time_namespace() {
    if !within("deadlines_hold_in_a_time_namespace", &offsets()) {
        return;
    }
    assert_shifted();
    let [at, _] = loopbacks(8080);
    let listener = listen(at);
    let client: Socket = connect(at);
    let begun = Instant::now();
    let said = say(&get(&fresh(), &client, PartnerRequest::USER_ID, Duration::from_millis(200)));
    let took = begun.elapsed();
    assert_eq!(said, "NotYetAccepted");
    assert!(took >= Duration::from_millis(200), "{took:?}");
    let _server = accept(&listener);
    assert_eq!(say(&get(&fresh(), &client, PartnerRequest::USER_ID, PATIENCE)), "user 0");
}
