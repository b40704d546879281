//! Takes each byte as something that happens to one connection's retrieval: sets, gets, gets that
//! are dropped, answers, failures, names, time.
//!
//! Invariants, those of the two tables of the contract: no panic; an answer is complete for what was
//! requested, comes of a retrieval, has nothing that nobody asked for, and names no user whom no
//! resolver gave; what is saved stays until more is asked for; a failure was said by somebody, and is
//! told once; one get waits at a time, and never past its end; without a set a get that does not wait
//! starts nothing; and afterwards a waiting get with resolvers that answer ends with that answer,
//! unless the security domain was refused: no get is in the way of the next.
//!
//! Seeds: `fuzz/seeds/retrieval`. The checks are in `src/retrieval/fuzzing.rs`, so that
//! `cargo test` replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    // What takes more steps to reach is reached by fewer as well.
    if data.len() > 256 {
        return Corpus::Reject;
    }
    partner_info::fuzzing::check_retrieval(data);
    Corpus::Keep
});
