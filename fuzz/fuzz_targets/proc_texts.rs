//! Reads any bytes as each text of `/proc`: stat, status, cgroup, the links of descriptors, the files
//! of one value, what tells of the host, and as the number of a terminal.
//!
//! Invariants: no panic; a number is exactly the digits in the text, on the one whole line that may
//! have them, and never zero by default; no name of a process changes what its fields say; a second
//! line of a kind makes both unbelievable; a text that was cut off says the same or nothing; a unit and
//! a container are names in the path of the control group; what was parsed is written and parsed as the
//! same.
//!
//! Seeds: `fuzz/seeds/proc_texts`. The checks are in `src/kernel/process/fuzzing.rs`, so that `cargo
//! test` replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_proc_texts(data);
});
