//! What the fuzz targets of `fuzz/` call: one check for each, which panics where an invariant is
//! broken. Compiled for the fuzzer and for the tests alone, which replay the seeds.

pub use crate::kernel::fuzzing::check_netlink;
pub use crate::policy::fuzzing::{check_file, check_match};
pub use crate::protocol::fuzzing::check_messages;
pub use crate::protocol::peers::fuzzing::check_peer_messages;
pub use crate::retrieval::fuzzing::check_retrieval;

#[cfg(test)]
mod tests {
    //! What the seeds of the fuzz targets guard is guarded without a fuzzer.

    use std::fs;
    use std::path::Path;

    /// Runs the check on each seed. Returns how many seeds there are and how many were of use.
    fn replay(target: &str, check: fn(&[u8]) -> bool) -> (usize, usize) {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
        let contents: Vec<Vec<u8>> = fs::read_dir(seeds)
            .unwrap()
            .map(|seed| fs::read(seed.unwrap().path()).unwrap())
            .collect();
        (contents.len(), contents.iter().filter(|data| check(data)).count())
    }

    #[test]
    fn agent_messages() {
        assert_eq!(replay("agent_messages", super::check_messages), (21, 12));
    }

    #[test]
    fn netlink() {
        assert_eq!(replay("netlink", super::check_netlink), (14, 10));
    }

    #[test]
    fn retrieval() {
        assert_eq!(replay("retrieval", super::check_retrieval), (14, 10));
    }

    #[test]
    fn peer_messages() {
        assert_eq!(replay("peer_messages", super::check_peer_messages), (16, 11));
    }

    #[test]
    fn policy_file() {
        assert_eq!(replay("policy_file", super::check_file), (10, 5));
    }

    #[test]
    fn policy_match() {
        assert_eq!(replay("policy_match", super::check_match), (11, 8));
    }
}
