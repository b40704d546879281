//! Every answer against the truth, at scale: clients of several users in several processes and network
//! namespaces say over each connection whose it is, and then do to it all that hurts. A server asks
//! at random moments, and no answer may name anybody else.
//!
//! The default run takes some seconds. `PARTNER_INFO_CONNECTIONS` is how many connections are made
//! (in fewer than some thousand not all comes up that has to, and the test fails),
//! `PARTNER_INFO_SEED` the seed of what the processes do, and one of `PARTNER_INFO_SAMPLE` asks is put
//! to other tools as well: docs/truth.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say directly what they expect"
)]

#[cfg(target_os = "linux")]
mod accomplice;
#[cfg(target_os = "linux")]
mod agent;
#[cfg(target_os = "linux")]
mod claim;
#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod conductor;
#[cfg(target_os = "linux")]
mod fork;
#[cfg(target_os = "linux")]
mod held;
#[cfg(target_os = "linux")]
mod judge;
#[cfg(target_os = "linux")]
mod others;
#[cfg(target_os = "linux")]
#[path = "../live/puppet.rs"]
#[allow(dead_code, reason = "shared with tests/live, which uses all of it")]
mod puppet;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
#[path = "../live/support.rs"]
#[allow(dead_code, reason = "shared with tests/live, which uses all of it")]
mod support;

/// The target is its own helper program: with [`puppet::ROLE`] in the environment it becomes one of
/// the processes of the stage.
#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use libtest_mimic::{Arguments, Trial};

    if let Ok(role) = std::env::var(puppet::ROLE) {
        match role.split(' ').collect::<Vec<_>>()[..] {
            ["conductor"] => return conductor::main(),
            ["client", ref words @ ..] => client::main(words),
            ["accomplice", ref words @ ..] => accomplice::main(words),
            _ => panic!("no such role: {role}"),
        }
        return std::process::ExitCode::SUCCESS;
    }
    let trial = Trial::test("every_answer_is_the_truth", || {
        support::in_new_namespace(conductor::run);
        Ok(())
    });
    let trial = match support::can_make_namespaces() {
        true => trial,
        false => trial.with_kind("needs root").with_ignored_flag(true),
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
