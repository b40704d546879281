//! Reads any bytes as what comes to port 113: lines, and each as a question; and as the names of
//! accounts, which an answer may or may not tell.
//!
//! Invariants: no panic; no line beyond the limit is waited for; a port is never 0; a question is read
//! again as the same; an answer is one line of as many fields as it must have, whatever a name has in
//! it.
//!
//! Seeds: `fuzz/seeds/ident_lines`. The checks are in `src/ident/fuzzing.rs`, so that `cargo test`
//! replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_ident_lines(data);
});
