//! `partnerd`, the agent of a host: see `docs/agent.md`.

use std::process::ExitCode;

#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
fn main() -> ExitCode {
    partner_info::agent::main()
}

#[cfg(not(all(target_os = "linux", not(partner_info_other_platform))))]
fn main() -> ExitCode {
    eprintln!("partnerd: this system cannot say who owns a socket; run the agent on Linux");
    // As where a Linux kernel does not allow what is needed.
    ExitCode::from(5)
}
