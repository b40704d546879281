//! What the fuzz targets of `fuzz/` call: one check for each, which panics where an invariant is
//! broken. Compiled for the fuzzer and for the tests alone, which replay the seeds.
//!
//! A new target has its check in the `fuzzing.rs` of its room, and its line in [`TARGETS`]; a file in
//! `fuzz/fuzz_targets` with its entry in `fuzz/Cargo.toml`; and seeds in a folder of its name.

#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
pub use crate::agent::fuzzing::{
    check_certificate, check_certificate_names, check_config_file, check_question_packets,
    check_uid_map,
};
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
pub use crate::client::fuzzing::check_answer_packets;
pub use crate::ident::fuzzing::check_ident_lines;
pub use crate::kernel::fuzzing::check_netlink;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
pub use crate::kernel::process::fuzzing::check_proc_texts;
pub use crate::policy::fuzzing::{check_decision, check_file, check_match};
pub use crate::protocol::fuzzing::check_messages;
pub use crate::protocol::peers::fuzzing::check_peer_messages;
pub use crate::retrieval::fuzzing::check_retrieval;

#[cfg(test)]
mod tests {
    //! What the seeds of the fuzz targets guard is guarded without a fuzzer.

    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    /// Says whether the input was of use.
    type Check = fn(&[u8]) -> bool;

    /// Each target and its check.
    const TARGETS: &[(&str, Check)] = &[
        ("agent_messages", super::check_messages),
        ("answer_packets", super::check_answer_packets),
        #[cfg(feature = "agent")]
        ("certificate", super::check_certificate),
        #[cfg(feature = "agent")]
        ("certificate_names", super::check_certificate_names),
        #[cfg(feature = "agent")]
        ("config_file", super::check_config_file),
        ("ident_lines", super::check_ident_lines),
        ("netlink", super::check_netlink),
        ("peer_messages", super::check_peer_messages),
        ("policy_decision", super::check_decision),
        ("policy_file", super::check_file),
        ("policy_match", super::check_match),
        ("proc_texts", super::check_proc_texts),
        #[cfg(feature = "agent")]
        ("question_packets", super::check_question_packets),
        ("retrieval", super::check_retrieval),
        #[cfg(feature = "agent")]
        ("uid_map", super::check_uid_map),
    ];

    fn folder(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
    }

    fn entries(of: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder(of)).unwrap_or_else(|error| panic!("{of}: {error}"));
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn every_seed_of_every_target_keeps_its_invariants() {
        for (target, check) in TARGETS {
            let mut of_use = BTreeSet::new();
            for seed in entries(&format!("seeds/{target}")) {
                // Shown where the check panics.
                println!("{}", seed.display());
                of_use.insert(check(&fs::read(seed).unwrap()));
            }
            // Without both, what is accepted or what is refused is not looked at.
            assert_eq!(of_use, BTreeSet::from([false, true]), "what the seeds of {target} are");
        }
    }

    #[test]
    #[cfg_attr(not(feature = "agent"), ignore = "some targets take the feature agent")]
    fn every_target_is_replayed() {
        let named = |paths: Vec<PathBuf>| -> BTreeSet<String> {
            paths.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().into()).collect()
        };
        let expected: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).into()).collect();
        assert_eq!(named(entries("fuzz_targets")), expected, "fuzz/fuzz_targets");
        assert_eq!(named(entries("seeds")), expected, "fuzz/seeds");
        let manifest: toml::Table =
            fs::read_to_string(folder("Cargo.toml")).unwrap().parse().unwrap();
        let bins = manifest["bin"].as_array().unwrap().iter();
        let bins: BTreeSet<String> = bins.map(|bin| bin["name"].as_str().unwrap().into()).collect();
        assert_eq!(bins, expected, "fuzz/Cargo.toml");
    }
}
