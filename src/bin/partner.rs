//! `partner`, the command line for administrators: see `docs/agent.md`.

use std::process::ExitCode;

#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
fn main() -> ExitCode {
    partner_info::agent::partner()
}

#[cfg(not(all(target_os = "linux", not(partner_info_other_platform))))]
fn main() -> ExitCode {
    eprintln!("partner: there is no agent to look after on this system; run it on Linux");
    ExitCode::FAILURE
}
