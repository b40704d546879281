//! Reads any bytes as the certificate of another agent.
//!
//! Invariants: no panic; the name and the addresses stand in the bytes, and webpki, which proves who
//! issued it, reads the same name; what is fit for both roles is so for each, and the role changes
//! nothing else; a byte more or less is no certificate; a peer may be at the listed addresses and no
//! other; a refusal names what was expected, what came and what to do, fit for a line of a log.
//!
//! Seeds: `fuzz/seeds/certificate`. The checks are in `src/agent/identity/fuzzing.rs`, so that `cargo
//! test` replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_certificate(data);
});
