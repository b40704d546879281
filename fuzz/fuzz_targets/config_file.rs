//! Reads any bytes as the agent's configuration, `partnerd.toml`.
//!
//! Invariants: no panic; an error names a place in the text, what was expected, what came and what to
//! do, on one line that is fit to show; an accepted configuration is within what the manual says, its
//! numbers are those in the text and otherwise the standard's, and it is written and read as itself; a
//! key that is not documented is refused after any accepted text; a reload changes nothing that needs a
//! restart.
//!
//! Seeds: `fuzz/seeds/config_file`. The checks are in `src/agent/config/fuzzing.rs`, so that `cargo
//! test` replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_config_file(data);
});
