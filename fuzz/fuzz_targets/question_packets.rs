//! Sends any bytes to the agent's door over a real Unix socket, with as many descriptors as the first
//! byte says, from none to more than are taken in.
//!
//! Invariants: no panic; the bytes that come are those that were sent, up to the limit; what is taken
//! for a question is whole, comes with exactly one descriptor, and that is the one that was passed; all
//! else is refused by what was expected; no descriptor stays open. What a question says is the target
//! `agent_messages`.
//!
//! Seeds: `fuzz/seeds/question_packets`. The checks are in `src/agent/fuzzing.rs`, so that `cargo test`
//! replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_question_packets(data);
});
