//! Takes any bytes as a URI, as the names of a certificate that is an agent's but for them, and as the
//! only URI of one.
//!
//! Invariants: no panic; the SPIFFE names that are accepted are those of the obvious reader, and are
//! written in one way; a certificate with names is an agent's only where exactly one of them is a URI,
//! it is that agent's, and its addresses are those in the bytes; webpki reads the same name; a refusal
//! names what was expected, what came and what to do, fit for a line of a log.
//!
//! Seeds: `fuzz/seeds/certificate_names`. The checks are in `src/agent/identity/fuzzing.rs`, so that
//! `cargo test` replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_certificate_names(data);
});
