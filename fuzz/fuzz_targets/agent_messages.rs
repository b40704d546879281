//! Reads any bytes as a question to the agent and as its answer.
//!
//! Invariants: no panic; what was decoded is encoded within the limits and decoded as the same; an
//! answer tells of one user, who is never "no user", at a place that there is; the holders are in
//! order, each once, and a list that was shortened says so; what is shown is fit for a line of a log.
//!
//! Seeds: `fuzz/seeds/agent_messages`. The checks are in `src/protocol/fuzzing.rs`, so that
//! `cargo test` replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_messages(data);
});
