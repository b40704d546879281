//! Reads any bytes as the kernel's replies: sock_diag, one socket and lists of them, the routing table,
//! connection tracking.
//!
//! Invariants: no panic; nothing is decoded from fewer bytes than the message says, nor from those
//! behind it; the sequence number, owner and inode are the message's own; an error is no socket
//! and no place; a list has no other sockets where it has fewer bytes; a connection that is not
//! translated is so for both ends, and for no other one.
//!
//! Seeds: `fuzz/seeds/netlink`. The checks are in `src/kernel/fuzzing.rs`, so that `cargo test`
//! replays the seeds without a fuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    partner_info::fuzzing::check_netlink(data);
});
