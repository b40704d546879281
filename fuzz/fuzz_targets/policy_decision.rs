//! Takes each byte as a choice among policies, resources and callers of a world so small that they
//! meet.
//!
//! Invariants: no panic; of the profiles that cover the resource the one is chosen that is first in the
//! order of the manual; the decision is that of the model in `src/policy/model.rs`; and who is partly
//! known gets what all would get whom it could be.
//!
//! Seeds: `fuzz/seeds/policy_decision`. The checks are in `src/policy/fuzzing.rs`, so that `cargo test`
//! replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_decision(data);
});
