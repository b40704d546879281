//! Asks some questions and has any packets come as the agent's answers, over a real Unix socket, with
//! descriptors that nobody asked for.
//!
//! Invariants: no panic; a question has the first answer with its number or with that of all, and no
//! other one; after a packet that is no answer nothing more is believed, and who waits is told; nobody
//! waits for an agent that is gone; no descriptor stays open. What an answer says is the target
//! `agent_messages`.
//!
//! Seeds: `fuzz/seeds/answer_packets`. The checks are in `src/client/fuzzing.rs`, so that `cargo test`
//! replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_answer_packets(data);
});
