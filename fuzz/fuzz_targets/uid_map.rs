//! Reads any text as a `/proc/<pid>/uid_map`, in both of its readers: whether every user is mapped, and
//! by which number a caller knows a user. What follows a zero byte is the overflow uid.
//!
//! Invariants: no panic; a map with anything but three numbers on a line is none, maps not everybody,
//! and tells no number; the overflow uid is somebody only where every user is mapped, and is exactly
//! the number in its text; a user has the number that the obvious reading gives it, or none, and never
//! that of nobody.
//!
//! Seeds: `fuzz/seeds/uid_map`. The checks are in `src/agent/callers/fuzzing.rs`, so that `cargo test`
//! replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_uid_map(data);
});
