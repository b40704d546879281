//! What the kernel says that a process holds.

use std::fs;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// `VmRSS`, in KiB: with the pages of the program's file, which the kernel loads and drops.
    pub resident: u64,
    /// `RssAnon`, in KiB: what the process has made itself.
    pub anonymous: u64,
    pub threads: u64,
    pub descriptors: usize,
}

impl Status {
    pub fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        Self {
            resident: field("VmRSS:"),
            anonymous: field("RssAnon:"),
            threads: field("Threads:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count(),
        }
    }
}
