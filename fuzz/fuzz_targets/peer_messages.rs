//! Reads any bytes as what one agent sends to another: frames, and a Hello, a question or an answer.
//!
//! Invariants: no panic; no frame beyond the limit is waited for; what was decoded is encoded within
//! the limit and decoded as the same; addresses have one form each; an answer tells of one user, who
//! is never "no user", and its token is remote; what is shown is fit for a line of a log.
//!
//! Seeds: `fuzz/seeds/peer_messages`. The checks are in `src/protocol/peers/fuzzing.rs`, so that
//! `cargo test` replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_peer_messages(data);
});
