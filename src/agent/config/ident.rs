//! The table `[ident]`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::error::{ConfigError, Place};
use super::network::Network;
use super::parse::within;
use super::peers::{Entries, NETWORKS, each, network};
use crate::policy::text::quoted;

/// Answers to who asks at port 113 (RFC 1413).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentConfig {
    /// Each of its own family alone; none: nobody is answered.
    pub(crate) listen: Vec<SocketAddr>,
    /// What programs of this host are told, as far as the policy has it.
    pub(crate) tell: Tell,
    /// Other hosts that are told something; none unless they are named.
    pub(crate) networks: Vec<Network>,
    /// What those are told.
    pub(crate) tell_networks: Tell,
    /// Connections that are open.
    pub(crate) connections: usize,
    /// Of one address; more wait.
    pub(crate) questions_per_second: u32,
    /// How long a question may take to come, and how long whoever asks may wait for its turn.
    pub(crate) line: Duration,
}

/// As what a user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// By the account's name.
    Name,
    /// By the account's number.
    Uid,
    /// By a word that means something to this host alone.
    Hidden,
}

impl Tell {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Uid => "uid",
            Self::Hidden => "hidden",
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table [ident]")]
pub(super) struct RawIdent {
    listen: Option<Spanned<Value>>,
    tell: Option<Spanned<String>>,
    networks: Option<Spanned<Value>>,
    tell_networks: Option<Spanned<String>>,
    connections: Option<Spanned<i64>>,
    questions_per_second: Option<Spanned<i64>>,
    line_seconds: Option<Spanned<i64>>,
}

impl IdentConfig {
    /// What is in force without the table.
    pub(super) fn standard() -> Self {
        Self {
            listen: Vec::new(),
            tell: Tell::Name,
            networks: Vec::new(),
            tell_networks: Tell::Name,
            connections: 1024,
            questions_per_second: 20_000,
            line: Duration::from_secs(5),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        !self.listen.is_empty()
    }

    /// The network in which a host is that may ask.
    #[cfg(feature = "ident")]
    pub(crate) fn network_of(&self, host: std::net::IpAddr) -> Option<&Network> {
        self.networks.iter().find(|network| network.contains(host))
    }
}

pub(super) fn read(
    place: &Place<'_>,
    raw: Option<Spanned<RawIdent>>,
) -> Result<IdentConfig, ConfigError> {
    let mut ident = IdentConfig::standard();
    let Some(raw) = raw else { return Ok(ident) };
    if cfg!(not(feature = "ident")) {
        return Err(place.error(
            raw.span(),
            "no [ident] in a program that is built without the feature \"ident\"",
            "the table".into(),
            "remove it, or build the program with the feature",
        ));
    }
    let raw = raw.into_inner();
    if let Some(list) = raw.listen {
        ident.listen = each(place, &list, &ADDRESSES, address)?;
    }
    if let Some(list) = raw.networks {
        ident.networks = each(place, &list, &NETWORKS, network)?;
    }
    for (word, into) in [(raw.tell, &mut ident.tell), (raw.tell_networks, &mut ident.tell_networks)]
    {
        let Some(word) = word else { continue };
        let known = [Tell::Name, Tell::Uid, Tell::Hidden];
        let found = known.iter().find(|tell| tell.as_str() == word.get_ref());
        *into = *found.ok_or_else(|| {
            let expected = r#""name", "uid" or "hidden""#;
            let remedy = "write one of these words";
            place.error(word.span(), expected, quoted(word.get_ref()), remedy)
        })?;
    }
    let number = "a number from 1 to 1000000";
    if let Some(value) = raw.connections {
        ident.connections = within(place, &value, 1..=1_000_000, number)?;
    }
    if let Some(value) = raw.questions_per_second {
        ident.questions_per_second = within(place, &value, 1..=1_000_000, number)?;
    }
    if let Some(value) = raw.line_seconds {
        let expected = "a number of seconds from 1 to 300";
        ident.line = Duration::from_secs(within(place, &value, 1..=300, expected)?);
    }
    Ok(ident)
}

const ADDRESSES: Entries = Entries {
    expected: "a list of addresses to listen at, each with a port that is not 0",
    remedy: "write for example [\"0.0.0.0:113\", \"[::]:113\"]; remove the key to answer nobody",
};

fn address(text: &str) -> Result<SocketAddr, Option<String>> {
    let address = text.parse::<SocketAddr>().ok();
    let fits =
        |address: &SocketAddr| address.port() != 0 && address.ip().to_canonical() == address.ip();
    address.filter(fits).ok_or(None)
}

#[cfg(feature = "ident")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::config::Config;

    fn ident(text: &str) -> IdentConfig {
        Config::parse("f", text).unwrap().ident
    }

    #[test]
    fn every_key_is_understood() {
        let text = r#"
            [ident]
            listen = ["127.0.0.1:113", "[::1]:113"]
            tell = "uid"
            networks = ["192.0.2.0/24"]
            tell_networks = "hidden"
            connections = 1
            questions_per_second = 2
            line_seconds = 3
        "#;
        let config = IdentConfig {
            listen: vec!["127.0.0.1:113".parse().unwrap(), "[::1]:113".parse().unwrap()],
            tell: Tell::Uid,
            networks: vec![Network::parse("192.0.2.0/24").unwrap()],
            tell_networks: Tell::Hidden,
            connections: 1,
            questions_per_second: 2,
            line: Duration::from_secs(3),
        };
        assert_eq!(ident(text), config);
    }

    #[test]
    fn what_is_listened_at_takes_a_restart_and_the_rest_does_not() {
        let [old, new] = ["listen = []", "listen = [\"127.0.0.1:113\"]\ntell = \"uid\""]
            .map(|text| Config::parse("f", &format!("[ident]\n{text}")).unwrap());
        assert_eq!(old.differs_beyond_reload(&new), ["ident.listen"]);
        let reloaded = old.reloaded(new);
        assert_eq!((reloaded.ident.is_on(), reloaded.ident.tell), (false, Tell::Uid));
    }

    #[test]
    fn without_addresses_nobody_is_answered() {
        for text in ["", "[ident]", "[ident]\nlisten = []\ntell = \"uid\""] {
            assert!(!ident(text).is_on(), "{text}");
        }
        assert!(ident("[ident]\nlisten = [\"127.0.0.1:113\"]").is_on());
    }

    #[test]
    fn other_hosts_are_told_nothing_unless_they_are_named() {
        let none = ident("[ident]\nlisten = [\"0.0.0.0:113\"]");
        let some = ident("[ident]\nnetworks = [\"192.0.2.0/24\", \"2001:db8::/32\"]");
        for (host, is_named) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("2001:db8::7", true),
            ("192.0.3.7", false),
            ("10.0.0.1", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            let host = host.parse().unwrap();
            assert_eq!(none.network_of(host), None, "{host}");
            assert_eq!(some.network_of(host).is_some(), is_named, "{host}");
        }
    }

    #[test]
    fn faults_are_told_with_their_place() {
        for (text, says) in [
            ("port = 113", "f:2:1: expected only documented keys; found unknown field `port`"),
            ("listen = \"0.0.0.0:113\"", "port that is not 0; found a value of type string; wri"),
            ("listen = [\"0.0.0.0\"]", "port that is not 0; found \"0.0.0.0\"; write for example"),
            ("listen = [\"0.0.0.0:0\"]", "port that is not 0; found \"0.0.0.0:0\"; write for e"),
            ("listen = [\"localhost:113\"]", "found \"localhost:113\"; write for example"),
            ("listen = [\"[::ffff:0.0.0.0]:113\"]", "found \"[::ffff:0.0.0.0]:113\"; write for"),
            ("tell = \"all\"", "f:2:8: expected \"name\", \"uid\" or \"hidden\"; found \"all\";"),
            (
                "tell_networks = \"\"",
                "f:2:17: expected \"name\", \"uid\" or \"hidden\"; found \"\";",
            ),
            ("networks = [\"127.0.0.0/8\"]", "found \"127.0.0.0/8\", with loopback addresses in"),
            ("connections = 0", "f:2:15: expected a number from 1 to 1000000; found 0;"),
            ("questions_per_second = 0", "f:2:24: expected a number from 1 to 1000000; found 0;"),
            ("line_seconds = 301", "f:2:16: expected a number of seconds from 1 to 300; found 301"),
        ] {
            let error = Config::parse("f", &format!("[ident]\n{text}")).unwrap_err().to_string();
            assert!(error.starts_with("f:2:") && error.contains(says), "{error}\n{says}");
        }
        let error = Config::parse("f", "ident = 1").unwrap_err().to_string();
        assert!(error.contains("integer `1`, expected a table [ident]"), "{error}");
    }
}

#[cfg(not(feature = "ident"))]
#[cfg(test)]
mod tests {
    use crate::agent::config::Config;

    #[test]
    fn a_program_without_the_feature_says_so() {
        let error = Config::parse("f", "[ident]\nlisten = [\"[::]:113\"]").unwrap_err().to_string();
        let says = "f:1:1: expected no [ident] in a program that is built without the feature";
        assert!(error.starts_with(says), "{error}");
    }
}
