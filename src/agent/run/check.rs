//! `--check`: what would be in force, line by line.

use std::fmt::{self, Write};
use std::io;
use std::path::{Path, PathBuf};

use crate::agent::audit::Utc;
use crate::agent::config::{
    Account, Config, IdentConfig, IdentityConfig, LogFormat, Namespaces, OnFailure, PeersConfig,
    shown_path,
};
use crate::agent::identity::Identity;
use crate::agent::privileges::{self, PrivilegesError, Report, Work};
use crate::kernel::sys::file;
use crate::policy::{MAX_POLICY_BYTES, Policy, PolicyError};
use crate::stack::authority::DEFAULT_FILE;

/// Why there is no policy to start with.
#[derive(Debug)]
pub(super) enum PolicyFault {
    Unreadable { path: PathBuf, error: io::Error },
    Invalid(PolicyError),
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                let path = shown_path(path);
                write!(
                    f,
                    "{path}: expected a readable policy file; found that it cannot be read: "
                )?;
                write!(f, "{error}; make it readable, or correct `policy` in the configuration")
            }
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PolicyFault {}

/// The policy that is in force with this configuration, to see whether it is valid. A file that is
/// not named may be absent: then the embedded default is in force.
pub(super) fn policy(config: &Config) -> Result<(PathBuf, Policy), PolicyFault> {
    let path = config.policy.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    match file::read(path, MAX_POLICY_BYTES + 1) {
        Ok((_, bytes)) => {
            let text = String::from_utf8_lossy(&bytes);
            let policy = Policy::parse(&path.to_string_lossy(), &text);
            policy.map(|policy| (path.into(), policy)).map_err(PolicyFault::Invalid)
        }
        Err(error) if config.policy.is_none() && error.kind() == io::ErrorKind::NotFound => {
            Ok((path.into(), Policy::embedded()))
        }
        Err(error) => Err(PolicyFault::Unreadable { path: path.into(), error }),
    }
}

/// What is in force, in the words of the configuration file, and what follows from it.
pub(super) fn describe(config: &Config, (path, policy): &(PathBuf, Policy)) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = lines(&mut text, config, path, policy);
    text
}

fn lines(out: &mut String, config: &Config, path: &Path, policy: &Policy) -> fmt::Result {
    let quoted = |path: &Path| format!("\"{}\"", shown_path(path));
    writeln!(out, "policy = {}", quoted(path))?;
    if policy.is_embedded() {
        writeln!(out, "# which is absent: the embedded default is in force")?;
    } else {
        writeln!(out, "# profiles: {}, stack: {}", policy.profiles().len(), policy.stack())?;
    }
    match policy.security_domain() {
        Some(domain) => writeln!(out, "# security domain: {domain}")?,
        None => writeln!(out, "# security domain: none")?,
    }
    match &config.namespaces {
        Namespaces::All => writeln!(out, "namespaces = \"all\"")?,
        Namespaces::Own => writeln!(out, "namespaces = \"own\"")?,
        Namespaces::Listed(paths) => {
            let paths: Vec<_> = paths.iter().map(|path| quoted(path)).collect();
            writeln!(out, "namespaces = [{}]", paths.join(", "))?;
        }
    }
    let socket = &config.socket;
    writeln!(out, "socket.path = {}", quoted(&socket.path))?;
    writeln!(out, "socket.mode = \"{:04o}\"", socket.mode)?;
    for (key, account) in [("owner", &socket.owner), ("group", &socket.group)] {
        match account {
            Some(Account::Name(name)) => writeln!(out, "socket.{key} = {name:?}")?,
            Some(Account::Number(number)) => writeln!(out, "socket.{key} = {number}")?,
            None => {}
        }
    }
    peers(out, &config.peers)?;
    ident(out, &config.ident)?;
    let limits = &config.limits;
    writeln!(out, "limits.connections = {}", limits.connections)?;
    writeln!(out, "limits.connections_per_user = {}", limits.connections_per_user)?;
    writeln!(out, "limits.questions_per_user = {}", limits.questions_per_user)?;
    writeln!(out, "limits.questions_per_second = {}", limits.questions_per_second)?;
    writeln!(out, "limits.question_seconds = {}", limits.question.as_secs())?;
    writeln!(out, "limits.stall_seconds = {}", limits.stall.as_secs())?;
    writeln!(out, "limits.namespaces = {}", limits.namespaces)?;
    writeln!(out, "limits.peer_connections = {}", limits.peer_connections)?;
    let per_address = limits.peer_connections_per_address;
    writeln!(out, "limits.peer_connections_per_address = {per_address}")?;
    writeln!(out, "limits.peer_handshakes = {}", limits.peer_handshakes)?;
    writeln!(out, "limits.peer_questions_per_second = {}", limits.peer_questions_per_second)?;
    let audit = &config.audit;
    if let Some(file) = &audit.file {
        writeln!(out, "audit.file = {}", quoted(file))?;
    }
    writeln!(out, "audit.journald = {}", audit.journal().is_some())?;
    if let Some(socket) = audit.journal() {
        writeln!(out, "audit.journald_socket = {}", quoted(socket))?;
    }
    if audit.file.is_none() && audit.journal().is_none() {
        writeln!(out, "# no audit is kept")?;
    }
    let word = match audit.on_failure {
        OnFailure::Continue => "continue",
        OnFailure::Refuse => "refuse",
    };
    writeln!(out, "audit.on_failure = \"{word}\"")?;
    match config.metrics.listen {
        Some(address) => writeln!(out, "metrics.listen = \"{address}\"")?,
        None => writeln!(out, "# no metrics are served")?,
    }
    writeln!(out, "log.level = \"{}\"", config.log.level.as_str())?;
    let format = match config.log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    writeln!(out, "log.format = \"{format}\"")
}

fn peers(out: &mut String, peers: &PeersConfig) -> fmt::Result {
    let list = |entries: Vec<String>| format!("[{}]", entries.join(", "));
    writeln!(out, "peers.port = {}", peers.port)?;
    match &peers.allow {
        Some(hosts) => {
            let hosts = hosts.iter().map(|host| format!("{host:?}")).collect();
            writeln!(out, "peers.allow = {}", list(hosts))?;
        }
        None => writeln!(out, "# every host of the security domain may ask")?,
    }
    let networks = peers.networks.iter().map(|network| format!("\"{network}\"")).collect();
    writeln!(out, "peers.networks = {}", list(networks))
}

fn ident(out: &mut String, ident: &IdentConfig) -> fmt::Result {
    if !ident.is_on() {
        return Ok(());
    }
    let list = |entries: Vec<String>| format!("[{}]", entries.join(", "));
    let listen = ident.listen.iter().map(|address| format!("\"{address}\"")).collect();
    writeln!(out, "ident.listen = {}", list(listen))?;
    writeln!(out, "ident.tell = \"{}\"", ident.tell.as_str())?;
    let networks = ident.networks.iter().map(|network| format!("\"{network}\"")).collect();
    writeln!(out, "ident.networks = {}", list(networks))?;
    writeln!(out, "ident.tell_networks = \"{}\"", ident.tell_networks.as_str())?;
    writeln!(out, "ident.connections = {}", ident.connections)?;
    writeln!(out, "ident.questions_per_second = {}", ident.questions_per_second)?;
    writeln!(out, "ident.line_seconds = {}", ident.line.as_secs())
}

/// Who the agent would be to the agents of other hosts.
pub(super) fn identity(config: &IdentityConfig, identity: Option<&Identity>) -> String {
    let quoted = |path: &Path| format!("\"{}\"", shown_path(path));
    let mut text = String::new();
    match config {
        IdentityConfig::Absent => {
            text += "# no identity: other hosts are not asked, and not answered\n";
        }
        IdentityConfig::Files { certificate, key, trust } => {
            let _ = writeln!(text, "identity.certificate = {}", quoted(certificate));
            let _ = writeln!(text, "identity.key = {}", quoted(key));
            let _ = writeln!(text, "identity.trust = {}", quoted(trust));
            match identity.and_then(Identity::current) {
                Some(svid) => {
                    let _ = writeln!(text, "# {}, until {}", svid.name(), Utc(svid.expires()));
                }
                None => text += "# whose certificate is not valid now: there is no identity\n",
            }
        }
        IdentityConfig::WorkloadApi { socket } => {
            let _ = writeln!(text, "identity.workload_api = \"unix://{}\"", shown_path(socket));
        }
    }
    text
}

/// The capabilities that the agent would keep, each with its reason, and those it would lack.
pub(super) fn rights(config: &Config) -> Result<String, PrivilegesError> {
    let Report { kept, missing, bounded } = privileges::outlook(Work::of(config))?;
    let mut text = String::new();
    for need in kept {
        let _ = writeln!(text, "# keeps {}: {}", need.name, need.purpose);
    }
    for need in missing {
        let _ = writeln!(text, "# lacks {}: {}", need.name, need.without);
    }
    let rest = if bounded { "dropped, from the bounding set too" } else { "dropped" };
    let _ = writeln!(text, "# every other capability is {rest}; no_new_privs is set");
    Ok(text)
}
