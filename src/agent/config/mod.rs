//! The agent's configuration: one TOML file, read as a whole or refused as a whole.

mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod ident;
mod network;
mod parse;
mod peers;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use error::{ConfigError, shown_path};
pub(crate) use ident::IdentConfig;
#[cfg(feature = "ident")]
pub(crate) use ident::Tell;
pub(crate) use network::Network;

use crate::kernel::sys::file;

/// The configuration file where none is named.
pub(crate) const DEFAULT_FILE: &str = "/etc/partner-info/partnerd.toml";
/// Bytes that a configuration file has at most: 1 MiB.
pub(crate) const MAX_CONFIG_BYTES: usize = 1 << 20;
/// Bytes of a socket's path at most. A Unix socket's name has 107; the socket is made under a
/// temporary name that is longer by [`TEMPORARY`].
pub(crate) const MAX_SOCKET_PATH: usize = 107 - TEMPORARY.len();
/// What a socket's path ends in until it has its owner and its mode.
pub(crate) const TEMPORARY: &str = ".new";

/// What the agent is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The policy file, which must be there; `None`: the default file, which may be absent.
    pub(crate) policy: Option<PathBuf>,
    pub(crate) namespaces: Namespaces,
    pub(crate) socket: SocketConfig,
    pub(crate) identity: IdentityConfig,
    pub(crate) peers: PeersConfig,
    pub(crate) ident: IdentConfig,
    pub(crate) limits: LimitsConfig,
    pub(crate) audit: AuditConfig,
    pub(crate) metrics: MetricsConfig,
    pub(crate) log: LogConfig,
}

/// In which network namespaces partners are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// Every one that a process is in, or a file of ip-netns(8) or of a container engine keeps.
    All,
    /// The agent's own.
    Own,
    /// The agent's own, and those behind these files, such as `/run/netns/web`.
    Listed(Vec<PathBuf>),
}

/// The socket where programs ask. Not used where the service manager passes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketConfig {
    pub(crate) path: PathBuf,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) owner: Option<Account>,
    pub(crate) group: Option<Account>,
}

/// A user or a group, as the file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    Name(String),
    Number(u32),
}

/// What the agent proves itself with to the agents of other hosts, and where that comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IdentityConfig {
    /// It asks no other host, and answers none.
    Absent,
    /// PEM files.
    Files {
        /// The agent's own certificate, and after it those that lead to a root.
        certificate: PathBuf,
        key: PathBuf,
        /// The roots.
        trust: PathBuf,
    },
    /// The SPIFFE Workload API, at this Unix socket.
    WorkloadApi { socket: PathBuf },
}

/// The agents of other hosts. Of no effect without an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeersConfig {
    /// Where every agent listens for the others.
    pub(crate) port: u16,
    /// The hosts that may ask, as [`allows`](Self::allows) has it; `None`: every one of the security
    /// domain.
    pub(crate) allow: Option<Vec<String>>,
    /// Hosts in these are asked.
    pub(crate) networks: Vec<Network>,
}

/// How much is done at once, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitsConfig {
    /// Connections of all callers.
    pub(crate) connections: usize,
    pub(crate) connections_per_user: usize,
    /// Questions of one user in flight.
    pub(crate) questions_per_user: usize,
    /// Of one user; more wait.
    pub(crate) questions_per_second: u32,
    /// The longest that a question may take.
    pub(crate) question: Duration,
    /// A caller that does not read its answers is dropped after this.
    pub(crate) stall: Duration,
    /// Network namespaces looked at, at most.
    pub(crate) namespaces: usize,
    /// Connections of all other hosts.
    pub(crate) peer_connections: usize,
    pub(crate) peer_connections_per_address: usize,
    /// Of other hosts, at one time.
    pub(crate) peer_handshakes: usize,
    /// Of one address of another host; more wait.
    pub(crate) peer_questions_per_second: u32,
}

/// Where is written what was told to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditConfig {
    pub(crate) file: Option<PathBuf>,
    /// `None`: if there is a journal.
    pub(crate) journald: Option<bool>,
    pub(crate) journald_socket: PathBuf,
    pub(crate) on_failure: OnFailure,
}

impl AuditConfig {
    /// The journal's socket, where records go there.
    pub(crate) fn journal(&self) -> Option<&Path> {
        let wanted = self.journald.unwrap_or_else(|| self.journald_socket.exists());
        wanted.then_some(self.journald_socket.as_path())
    }
}

/// What happens while the audit cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// Questions are answered; records are lost, and counted.
    Continue,
    /// Nothing is told.
    Refuse,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MetricsConfig {
    /// A loopback address; `None`: no metrics are served.
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogConfig {
    pub(crate) level: LogLevel,
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// What is in force without a file.
    pub(crate) fn standard() -> Self {
        Self {
            policy: None,
            namespaces: Namespaces::All,
            socket: SocketConfig {
                path: "/run/partnerd/partnerd.sock".into(),
                mode: 0o666,
                owner: None,
                group: None,
            },
            identity: IdentityConfig::Absent,
            peers: PeersConfig::standard(),
            ident: IdentConfig::standard(),
            limits: LimitsConfig {
                connections: 1024,
                connections_per_user: 64,
                questions_per_user: 256,
                questions_per_second: 10_000,
                question: Duration::from_secs(10),
                stall: Duration::from_secs(5),
                namespaces: 4096,
                peer_connections: 4096,
                peer_connections_per_address: 8,
                peer_handshakes: 64,
                peer_questions_per_second: 20_000,
            },
            audit: AuditConfig {
                file: None,
                journald: None,
                journald_socket: "/run/systemd/journal/socket".into(),
                on_failure: OnFailure::Continue,
            },
            metrics: MetricsConfig { listen: None },
            log: LogConfig { level: LogLevel::Info, format: LogFormat::Text },
        }
    }

    /// What `text` says; `file` names it in messages and is not opened.
    #[cfg(test)]
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        parse::parse(file, text.as_bytes())
    }

    /// What the file says. A file that is named must be there; without a name the default file is
    /// read, and where there is none the standard is in force.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let read = path.unwrap_or(Path::new(DEFAULT_FILE));
        // One byte more than a file may have tells that it has too many.
        match file::read(read, MAX_CONFIG_BYTES + 1) {
            Ok((_, bytes)) => parse::parse(&read.to_string_lossy(), &bytes),
            Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::standard())
            }
            Err(error) => Err(ConfigError::Unreadable { path: read.into(), error }),
        }
    }

    /// The keys in which `new` differs and that are only looked at when the agent starts.
    pub(crate) fn differs_beyond_reload(&self, new: &Self) -> Vec<&'static str> {
        let keys = [
            ("namespaces", self.namespaces != new.namespaces),
            ("socket.path", self.socket.path != new.socket.path),
            ("socket.mode", self.socket.mode != new.socket.mode),
            ("socket.owner", self.socket.owner != new.socket.owner),
            ("socket.group", self.socket.group != new.socket.group),
            ("identity", self.identity != new.identity),
            ("peers.port", self.peers.port != new.peers.port),
            ("ident.listen", self.ident.listen != new.ident.listen),
            ("metrics.listen", self.metrics.listen != new.metrics.listen),
            ("log.format", self.log.format != new.log.format),
        ];
        keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
    }

    /// `new`, with what cannot change while the agent runs as it is here.
    pub(crate) fn reloaded(&self, new: Self) -> Self {
        Self {
            namespaces: self.namespaces.clone(),
            socket: self.socket.clone(),
            identity: self.identity.clone(),
            peers: PeersConfig { port: self.peers.port, ..new.peers },
            ident: IdentConfig { listen: self.ident.listen.clone(), ..new.ident },
            metrics: self.metrics.clone(),
            log: LogConfig { format: self.log.format, level: new.log.level },
            policy: new.policy,
            limits: new.limits,
            audit: new.audit,
        }
    }
}
