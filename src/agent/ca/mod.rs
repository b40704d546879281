//! `partner ca`: a certificate authority in a folder, for sites that have none.
//!
//! An authority is two files, its certificate and its key; what it issues is three files, which
//! are all that an agent needs. Nothing is kept of what was issued, and nothing is revoked:
//! certificates are short-lived.

mod authority;
mod error;
mod issue;
#[cfg(test)]
mod tests;
mod write;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use rcgen::date_time_ymd;

pub(crate) use self::error::CaError;
use super::identity::PeerName;

/// How much earlier than now a certificate is valid from: so much may the hosts' clocks differ.
const CLOCKS: Duration = Duration::from_secs(300);
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes an authority: a key, and a certificate that every agent of the domain will trust
    Init(Init),
    /// Issues the key and the certificate of one host's agent
    Issue(Issue),
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The security domain, as in the hosts' policies: letters, digits, ".", "_" and "-"
    #[arg(long, value_name = "NAME", value_parser = domain)]
    domain: String,
    /// The folder for the authority, made if it is not there
    #[arg(long, value_name = "DIR", default_value = "partner-ca")]
    dir: PathBuf,
    /// How long the authority lasts
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=7300))]
    days: u32,
    /// Replaces an authority that is there; what it has issued will not be trusted any more
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Issue {
    /// The host's name: letters, digits, ".", "_" and "-"
    #[arg(long, value_name = "NAME", value_parser = host)]
    host: String,
    /// An address from which the agent connects, or at which it is asked; once for each
    #[arg(long, value_name = "ADDR", value_parser = address, num_args = 1..,
        required_unless_present = "any_address")]
    ip: Vec<IpAddr>,
    /// Lets the agent be at any address, where the host has none of its own
    #[arg(long, conflicts_with = "ip")]
    any_address: bool,
    /// How long the certificate lasts
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// The folder of the authority
    #[arg(long, value_name = "DIR", default_value = "partner-ca")]
    dir: PathBuf,
    /// The folder for the three files, made if it is not there [default: the host's name]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replaces files that are there
    #[arg(long)]
    force: bool,
}

/// Does what is asked, and says what was done and what is next.
pub(crate) fn run(command: &Command) -> Result<String, CaError> {
    match command {
        Command::Init(init) => authority::init(init),
        Command::Issue(issue) => issue::issue(issue),
    }
}

fn domain(text: &str) -> Result<String, String> {
    // Any host will do to see whether the domain does. Trust domains are in lower case.
    PeerName::new(text, "host").map_err(|error| error.to_string())?;
    Ok(text.to_ascii_lowercase())
}

fn host(text: &str) -> Result<String, String> {
    PeerName::new("domain", text).map(|name| name.host().into()).map_err(|error| error.to_string())
}

fn address(text: &str) -> Result<IpAddr, String> {
    let address = text.parse::<IpAddr>().map(|address| address.to_canonical());
    let address = address.map_err(|_| "expected an IP address; write for example 192.0.2.1");
    match address? {
        none if none.is_unspecified() => {
            Err("expected an address of the host; this is none".into())
        }
        many if many.is_multicast() => {
            Err("expected an address of the host; found a group's".into())
        }
        one => Ok(one),
    }
}

/// From shortly before `now` until `days` after it, and the latter as a time.
fn validity(params: &mut rcgen::CertificateParams, now: SystemTime, days: u32) -> SystemTime {
    let until = now + DAY * days;
    let since = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        date_time_ymd(1970, 1, 1) + Duration::from_secs(since.as_secs())
    };
    params.not_before = since(now - CLOCKS);
    params.not_after = since(until);
    until
}
