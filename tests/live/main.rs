//! Hazard tests against the running kernel: real processes, real users, real network namespaces.
//!
//! Every test runs in a network namespace of its own, so that it may choose ports, rules and
//! routes. That needs root; without it the tests are ignored, never passed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say directly what they expect"
)]

#[cfg(target_os = "linux")]
#[path = "harness.rs"]
mod harness;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    harness::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
