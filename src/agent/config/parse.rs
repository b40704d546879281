//! From the text of a configuration file to a [`Config`].
//!
//! serde says what keys there are; the values are checked here, where the place of each is known.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::error::{ConfigError, Place};
use super::ident::{self, RawIdent};
use super::peers::{self, RawPeers};
use super::{
    Account, Config, IdentityConfig, LogFormat, LogLevel, MAX_CONFIG_BYTES, MAX_SOCKET_PATH,
    Namespaces, OnFailure,
};
use crate::policy::text::quoted;

/// Bytes of the path of a Unix socket at most: unix(7).
const MAX_UNIX_PATH: usize = 107;
/// Entries that a list has at most.
pub(super) const MAX_LISTED: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    version: Option<Spanned<i64>>,
    policy: Option<Spanned<String>>,
    namespaces: Option<Spanned<Value>>,
    #[serde(default)]
    socket: RawSocket,
    identity: Option<Spanned<RawIdentity>>,
    #[serde(default)]
    peers: RawPeers,
    ident: Option<Spanned<RawIdent>>,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    audit: RawAudit,
    #[serde(default)]
    metrics: RawMetrics,
    #[serde(default)]
    log: RawLog,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table [socket]")]
struct RawSocket {
    path: Option<Spanned<String>>,
    mode: Option<Spanned<Value>>,
    owner: Option<Spanned<Value>>,
    group: Option<Spanned<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [identity]")]
struct RawIdentity {
    certificate: Option<Spanned<String>>,
    key: Option<Spanned<String>>,
    trust: Option<Spanned<String>>,
    workload_api: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table [limits]")]
struct RawLimits {
    connections: Option<Spanned<i64>>,
    connections_per_user: Option<Spanned<i64>>,
    questions_per_user: Option<Spanned<i64>>,
    questions_per_second: Option<Spanned<i64>>,
    question_seconds: Option<Spanned<i64>>,
    stall_seconds: Option<Spanned<i64>>,
    namespaces: Option<Spanned<i64>>,
    peer_connections: Option<Spanned<i64>>,
    peer_connections_per_address: Option<Spanned<i64>>,
    peer_handshakes: Option<Spanned<i64>>,
    peer_questions_per_second: Option<Spanned<i64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table [audit]")]
struct RawAudit {
    file: Option<Spanned<String>>,
    journald: Option<bool>,
    journald_socket: Option<Spanned<String>>,
    on_failure: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table [metrics]")]
struct RawMetrics {
    listen: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table [log]")]
struct RawLog {
    level: Option<Spanned<String>>,
    format: Option<Spanned<String>>,
}

pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Config, ConfigError> {
    if bytes.len() > MAX_CONFIG_BYTES {
        // A file is read no further than to see that it is too long.
        return Err(Place::new(file, "").error(
            0..0,
            "a configuration of at most 1 MiB (1048576 bytes)",
            "more".into(),
            "remove what is not needed",
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok());
        let valid = valid.unwrap_or("");
        let (end, found) = (valid.len(), "a byte that is no part of it".into());
        Place::new(file, valid).error(end..end, "UTF-8", found, "save the file as UTF-8")
    })?;
    let reader = Reader { place: Place::new(file, text) };
    match toml::from_str(text) {
        Ok(raw) => reader.config(raw),
        Err(error) => Err(reader.place.toml_error(&error)),
    }
}

struct Reader<'a> {
    place: Place<'a>,
}

impl Reader<'_> {
    fn config(&self, raw: RawFile) -> Result<Config, ConfigError> {
        if let Some(version) = raw.version.filter(|version| *version.get_ref() != 1) {
            let found = version.get_ref().to_string();
            let remedy = "write version = 1, or use a release that reads this version";
            return Err(self.place.error(version.span(), "version 1", found, remedy));
        }
        let mut config = Config::standard();
        config.policy = raw.policy.map(|path| self.path(&path)).transpose()?;
        if let Some(value) = raw.namespaces {
            config.namespaces = self.namespaces(&value)?;
        }
        self.socket(&mut config, raw.socket)?;
        if let Some(identity) = raw.identity {
            config.identity = self.identity(identity)?;
        }
        config.peers = peers::read(&self.place, raw.peers)?;
        config.ident = ident::read(&self.place, raw.ident)?;
        self.limits(&mut config, &raw.limits)?;
        self.audit(&mut config, raw.audit)?;
        config.metrics.listen = raw.metrics.listen.map(|it| self.listen(&it)).transpose()?;
        self.log(&mut config, raw.log)?;
        Ok(config)
    }

    fn socket(&self, config: &mut Config, raw: RawSocket) -> Result<(), ConfigError> {
        if let Some(path) = raw.path {
            let checked = self.path(&path)?;
            let length = checked.as_os_str().as_bytes().len();
            if length > MAX_SOCKET_PATH || checked.file_name().is_none() {
                return Err(self.place.error(
                    path.span(),
                    "the path of a socket, of at most 103 bytes",
                    format!("{length} bytes: {}", quoted(path.get_ref())),
                    "write a shorter path, such as /run/partnerd/partnerd.sock",
                ));
            }
            config.socket.path = checked;
        }
        if let Some(mode) = raw.mode {
            config.socket.mode = self.mode(&mode)?;
        }
        config.socket.owner = raw.owner.map(|owner| self.account(&owner)).transpose()?;
        config.socket.group = raw.group.map(|group| self.account(&group)).transpose()?;
        Ok(())
    }

    fn identity(&self, raw: Spanned<RawIdentity>) -> Result<IdentityConfig, ConfigError> {
        let span = raw.span();
        let error = |found: &str| {
            self.place.error(
                span.clone(),
                "the three files certificate, key and trust, or workload_api, or no [identity]",
                found.into(),
                "name all three files, or the Workload API alone, or remove the table",
            )
        };
        let RawIdentity { certificate, key, trust, workload_api } = raw.into_inner();
        match (certificate, key, trust, workload_api) {
            (Some(certificate), Some(key), Some(trust), None) => Ok(IdentityConfig::Files {
                certificate: self.path(&certificate)?,
                key: self.path(&key)?,
                trust: self.path(&trust)?,
            }),
            (None, None, None, Some(endpoint)) => self.workload_api(&endpoint),
            (None, None, None, None) => Ok(IdentityConfig::Absent),
            (_, _, _, Some(_)) => Err(error("workload_api beside files")),
            (_, _, _, None) => Err(error("some of the files")),
        }
    }

    /// A Unix socket, since what passes over it is a private key.
    fn workload_api(&self, endpoint: &Spanned<String>) -> Result<IdentityConfig, ConfigError> {
        let path = endpoint.get_ref().strip_prefix("unix://");
        let socket = path.and_then(|path| self.absolute(path));
        let short = socket.filter(|path| path.as_os_str().len() <= MAX_UNIX_PATH);
        short.map(|socket| IdentityConfig::WorkloadApi { socket }).ok_or_else(|| {
            self.place.error(
                endpoint.span(),
                "unix:// and the absolute path of a socket, of at most 107 bytes",
                quoted(endpoint.get_ref()),
                "write for example \"unix:///run/spire/agent/public/api.sock\"",
            )
        })
    }

    fn limits(&self, config: &mut Config, raw: &RawLimits) -> Result<(), ConfigError> {
        let limits = &mut config.limits;
        self.number(&raw.connections, &mut limits.connections)?;
        self.number(&raw.connections_per_user, &mut limits.connections_per_user)?;
        self.number(&raw.questions_per_user, &mut limits.questions_per_user)?;
        self.number(&raw.questions_per_second, &mut limits.questions_per_second)?;
        self.number(&raw.namespaces, &mut limits.namespaces)?;
        self.number(&raw.peer_connections, &mut limits.peer_connections)?;
        let per_address = &mut limits.peer_connections_per_address;
        self.number(&raw.peer_connections_per_address, per_address)?;
        self.number(&raw.peer_handshakes, &mut limits.peer_handshakes)?;
        self.number(&raw.peer_questions_per_second, &mut limits.peer_questions_per_second)?;
        self.seconds(&raw.question_seconds, &mut limits.question)?;
        self.seconds(&raw.stall_seconds, &mut limits.stall)
    }

    fn audit(&self, config: &mut Config, raw: RawAudit) -> Result<(), ConfigError> {
        config.audit.file = raw.file.map(|path| self.path(&path)).transpose()?;
        config.audit.journald = raw.journald;
        if let Some(path) = raw.journald_socket {
            config.audit.journald_socket = self.path(&path)?;
        }
        if let Some(word) = raw.on_failure {
            let known = [("continue", OnFailure::Continue), ("refuse", OnFailure::Refuse)];
            config.audit.on_failure = self.word(&word, &known, r#""continue" or "refuse""#)?;
        }
        Ok(())
    }

    fn log(&self, config: &mut Config, raw: RawLog) -> Result<(), ConfigError> {
        if let Some(word) = raw.level {
            let known =
                [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace]
                    .map(|level| (level.as_str(), level));
            let expected = r#""error", "warn", "info", "debug" or "trace""#;
            config.log.level = self.word(&word, &known, expected)?;
        }
        if let Some(word) = raw.format {
            let known = [("text", LogFormat::Text), ("json", LogFormat::Json)];
            config.log.format = self.word(&word, &known, r#""text" or "json""#)?;
        }
        Ok(())
    }

    fn word<T: Copy>(
        &self,
        word: &Spanned<String>,
        known: &[(&str, T)],
        expected: &'static str,
    ) -> Result<T, ConfigError> {
        let found = known.iter().find(|(name, _)| name == word.get_ref());
        found.map(|(_, value)| *value).ok_or_else(|| {
            let remedy = "write one of these words";
            self.place.error(word.span(), expected, quoted(word.get_ref()), remedy)
        })
    }

    fn path(&self, path: &Spanned<String>) -> Result<PathBuf, ConfigError> {
        self.absolute(path.get_ref()).ok_or_else(|| {
            let found = quoted(path.get_ref());
            let remedy = "write the whole path, from the root";
            self.place.error(path.span(), "an absolute path", found, remedy)
        })
    }

    fn absolute(&self, path: &str) -> Option<PathBuf> {
        (path.starts_with('/') && !path.contains('\0')).then(|| path.into())
    }

    fn namespaces(&self, value: &Spanned<Value>) -> Result<Namespaces, ConfigError> {
        let error = |found: String| {
            self.place.error(
                value.span(),
                r#""all", "own", or a list of absolute paths of namespace files"#,
                found,
                r#"write "all", "own", or a list such as ["/run/netns/web"]"#,
            )
        };
        if let Some(word) = value.get_ref().as_str() {
            return match word {
                "all" => Ok(Namespaces::All),
                "own" => Ok(Namespaces::Own),
                other => Err(error(quoted(other))),
            };
        }
        let Some(list) = value.get_ref().as_array() else {
            return Err(error(kind_of(value.get_ref())));
        };
        if list.is_empty() || list.len() > MAX_LISTED {
            return Err(error(format!("a list of {}", list.len())));
        }
        let paths = list.iter().map(|entry| {
            let path = entry.as_str().ok_or_else(|| error(kind_of(entry)))?;
            self.absolute(path).ok_or_else(|| error(quoted(path)))
        });
        paths.collect::<Result<_, _>>().map(Namespaces::Listed)
    }

    fn mode(&self, value: &Spanned<Value>) -> Result<u32, ConfigError> {
        let text = value.get_ref().as_str();
        let octal = text.filter(|text| text.bytes().all(|byte| matches!(byte, b'0'..=b'7')));
        let mode = octal.and_then(|text| u32::from_str_radix(text, 8).ok());
        mode.filter(|mode| *mode <= 0o777).ok_or_else(|| {
            self.place.error(
                value.span(),
                "permission bits as an octal number in quotes, at most \"0777\"",
                text.map_or_else(|| kind_of(value.get_ref()), quoted),
                "write for example \"0660\"",
            )
        })
    }

    fn account(&self, value: &Spanned<Value>) -> Result<Account, ConfigError> {
        let raw = value.get_ref();
        let error = |found: String| {
            self.place.error(
                value.span(),
                "a name in quotes, or a number from 0 to 4294967294",
                found,
                "write the name or the number of the account",
            )
        };
        let number = |number: u32| (number != u32::MAX).then_some(Account::Number(number));
        if let Some(id) = raw.as_integer() {
            let account = u32::try_from(id).ok().and_then(number);
            return account.ok_or_else(|| error(id.to_string()));
        }
        let Some(text) = raw.as_str() else { return Err(error(kind_of(raw))) };
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().and_then(number).ok_or_else(|| error(quoted(text)));
        }
        let named = !text.is_empty() && text.len() <= 255 && !text.contains(['\0', '\n', ':']);
        if named { Ok(Account::Name(text.into())) } else { Err(error(quoted(text))) }
    }

    fn listen(&self, text: &Spanned<String>) -> Result<SocketAddr, ConfigError> {
        let address = text.get_ref().parse().ok();
        address.filter(|address: &SocketAddr| address.ip().is_loopback()).ok_or_else(|| {
            self.place.error(
                text.span(),
                "a loopback address with a port",
                quoted(text.get_ref()),
                "write for example \"127.0.0.1:9464\" or \"[::1]:9464\"; let a proxy serve others",
            )
        })
    }

    fn number<T: TryFrom<i64>>(
        &self,
        value: &Option<Spanned<i64>>,
        into: &mut T,
    ) -> Result<(), ConfigError> {
        let Some(value) = value else { return Ok(()) };
        *into = within(&self.place, value, 1..=1_000_000, "a number from 1 to 1000000")?;
        Ok(())
    }

    fn seconds(
        &self,
        value: &Option<Spanned<i64>>,
        into: &mut Duration,
    ) -> Result<(), ConfigError> {
        let Some(value) = value else { return Ok(()) };
        let expected = "a number of seconds from 1 to 300";
        *into = Duration::from_secs(within(&self.place, value, 1..=300, expected)?);
        Ok(())
    }
}

pub(super) fn within<T: TryFrom<i64>>(
    place: &Place<'_>,
    value: &Spanned<i64>,
    range: RangeInclusive<i64>,
    expected: &'static str,
) -> Result<T, ConfigError> {
    let number = *value.get_ref();
    let inside = range.contains(&number).then(|| T::try_from(number).ok()).flatten();
    inside.ok_or_else(|| {
        let remedy = "write a number in this range; there is no value for \"without limit\"";
        place.error(value.span(), expected, number.to_string(), remedy)
    })
}

pub(super) fn kind_of(value: &Value) -> String {
    format!("a value of type {}", value.type_str())
}
