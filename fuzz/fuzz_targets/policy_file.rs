//! Reads any bytes as a policy file.
//!
//! Invariants: no panic; an error names a place in the text, on one line that is fit to show; an
//! accepted policy has a canonical form that is read as itself; the chosen profile covers its
//! resource and is discrete if one that does is; a caller of whom nothing is known gets in only
//! where no entry refuses anybody; a caller named by one entry gets what that entry says.
//!
//! Seeds: `fuzz/seeds/policy_file`. The checks are in `src/policy/fuzzing.rs`, so that
//! `cargo test` replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_file(data);
});
