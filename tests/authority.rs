//! Who is authorized, with real users, rights and files: each test starts this program again in a
//! role, as an ordinary user, and looks at what it says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say directly what they expect"
)]

#[cfg(target_os = "linux")]
#[path = "authority/mod.rs"]
mod authority;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    authority::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
