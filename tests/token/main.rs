//! Tokens of real partners, asked for as a program would: over tokio's connections.
//!
//! `churn` compares thousands of tokens with what the partners say of themselves while they start,
//! change and exit; the number is in `PARTNER_INFO_LOOKUPS`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say directly what they expect"
)]

#[cfg(target_os = "linux")]
mod actor;
#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod churn;
#[cfg(target_os = "linux")]
mod hazards;
#[cfg(target_os = "linux")]
mod partner;
#[cfg(target_os = "linux")]
mod support;

/// The target is its own helper program: with [`actor::ROLE`] in the environment it becomes one of
/// the partners.
#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use libtest_mimic::{Arguments, Trial};

    if actor::role() {
        return std::process::ExitCode::SUCCESS;
    }
    support::raise_descriptor_limit();
    let anybody = [calls::TESTS, hazards::TESTS, churn::TESTS].concat();
    let trial = |&(name, run): &support::Test| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    };
    let root = rustix::process::geteuid().is_root();
    let needs_root = hazards::ROOT_TESTS.iter().map(trial);
    let needs_root = needs_root.map(|trial| {
        if root { trial } else { trial.with_kind("needs root").with_ignored_flag(true) }
    });
    let trials = anybody.iter().map(trial).chain(needs_root).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
