//! What the kernel says that a process holds.

use std::fs;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// `VmRSS`, in KiB.
    pub resident: u64,
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
            threads: field("Threads:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count(),
        }
    }
}
