//! `partner`, the command line: see `docs/partner.md`.

use std::process::ExitCode;

#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
fn main() -> ExitCode {
    partner_info::cli::main()
}

#[cfg(not(all(target_os = "linux", not(partner_info_other_platform))))]
fn main() -> ExitCode {
    eprintln!("partner: this system cannot say who holds a socket; run it on Linux");
    ExitCode::FAILURE
}
