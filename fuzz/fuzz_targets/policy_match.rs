//! Takes the first line as a profile name and the second as a resource.
//!
//! Invariants: no panic; the matcher agrees with the slow, obvious one; case does not count.
//!
//! Seeds: `fuzz/seeds/policy_match`. The checks are in `src/policy/fuzzing.rs`, so that
//! `cargo test` replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    // The slow matcher writes out every combination: long names would spend the time on it.
    if data.len() > 120 {
        return Corpus::Reject;
    }
    partner_info::fuzzing::check_match(data);
    Corpus::Keep
});
