//! The table `[peers]`.

use std::fmt::Display;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::error::{ConfigError, Place};
use super::network::{Network, NetworkError};
use super::parse::{MAX_LISTED, kind_of, within};
use super::{PeersConfig, network as networks};
use crate::agent::identity::PeerName;
use crate::policy::text::quoted;

/// Where agents listen: X'F612', the number of the ioctl that asks for a partner.
const PORT: u16 = 0xf612;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table [peers]")]
pub(super) struct RawPeers {
    port: Option<Spanned<i64>>,
    allow: Option<Spanned<Value>>,
    networks: Option<Spanned<Value>>,
}

impl PeersConfig {
    /// What is in force without the table.
    pub(super) fn standard() -> Self {
        Self { port: PORT, allow: None, networks: networks::PRIVATE.to_vec() }
    }

    /// Whether a host of the security domain may ask, by the name in its certificate.
    pub(crate) fn allows(&self, host: &str) -> bool {
        let is = |name: &String| name.eq_ignore_ascii_case(host);
        self.allow.as_ref().is_none_or(|allow| allow.iter().any(is))
    }
}

pub(super) fn read(place: &Place<'_>, raw: RawPeers) -> Result<PeersConfig, ConfigError> {
    let mut peers = PeersConfig::standard();
    if let Some(port) = raw.port {
        peers.port = within(place, &port, 1..=65_535, "a port from 1 to 65535")?;
    }
    if let Some(list) = raw.allow {
        peers.allow = Some(each(place, &list, &HOSTS, host)?);
    }
    if let Some(list) = raw.networks {
        peers.networks = each(place, &list, &NETWORKS, network)?;
    }
    Ok(peers)
}

/// One network of hosts.
pub(super) fn network(text: &str) -> Result<Network, Option<String>> {
    Network::parse(text).map_err(|error| match error {
        NetworkError::Syntax => None,
        NetworkError::HostBits(network) => {
            Some(format!("{}, an address of {network}", quoted(text)))
        }
        NetworkError::NoHosts(what) => Some(format!("{}, with {what} in it", quoted(text))),
    })
}

/// The name that a certificate may have; what it is compared with is ASCII, as it is.
fn host(text: &str) -> Result<String, Option<String>> {
    match PeerName::new("domain", text) {
        Ok(_) => Ok(text.into()),
        Err(_) => Err(None),
    }
}

/// What stands in a list, and what to do where something else does.
pub(super) struct Entries {
    pub(super) expected: &'static str,
    pub(super) remedy: &'static str,
}

const HOSTS: Entries = Entries {
    expected: "a list of hosts, each of 1 to 255 letters, digits, \".\", \"_\" and \"-\"",
    remedy: "write the HOST of the certificates' spiffe://DOMAIN/partnerd/HOST, such as [\"web1\"]; \
             remove the key for every host of the security domain",
};
pub(super) const NETWORKS: Entries = Entries {
    expected: "a list of networks of hosts, none with loopback, link-local, multicast or \
               unspecified addresses",
    remedy: "write each with its first address and the bits of its prefix, such as \
             [\"10.0.0.0/8\", \"192.0.2.7/32\"]; write [] for no host",
};

/// Every entry of a list of strings. `read` may say what was found better than the text itself.
pub(super) fn each<T>(
    place: &Place<'_>,
    list: &Spanned<Value>,
    Entries { expected, remedy }: &Entries,
    read: impl Fn(&str) -> Result<T, Option<String>>,
) -> Result<Vec<T>, ConfigError> {
    let error = |found: &dyn Display| place.error(list.span(), expected, found.to_string(), remedy);
    let Some(entries) = list.get_ref().as_array() else {
        return Err(error(&kind_of(list.get_ref())));
    };
    if entries.len() > MAX_LISTED {
        return Err(error(&format_args!("{} entries, more than {MAX_LISTED}", entries.len())));
    }
    let values = entries.iter().map(|entry| {
        let text = entry.as_str().ok_or_else(|| error(&kind_of(entry)))?;
        read(text).map_err(|found| error(&found.unwrap_or_else(|| quoted(text))))
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::config::Config;

    fn peers(text: &str) -> PeersConfig {
        Config::parse("f", text).unwrap().peers
    }

    #[test]
    fn hosts_are_allowed_by_name() {
        for (text, allowed, not) in [
            ("", &["web1", "anything"][..], &[][..]),
            ("[peers]\nallow = []", &[], &["web1", ""]),
            ("[peers]\nallow = [\"Web1\", \"db-1.x_y\"]", &["web1", "WEB1", "db-1.x_y"], &["web"]),
        ] {
            let peers = peers(text);
            assert!(allowed.iter().all(|host| peers.allows(host)), "{text}");
            assert!(!not.iter().any(|host| peers.allows(host)), "{text}");
        }
    }

    #[test]
    fn without_the_table_private_networks_are_asked() {
        let peers = peers("[peers]");
        assert_eq!((peers.port, peers.allow), (62_994, None));
        let networks: Vec<_> = peers.networks.iter().map(ToString::to_string).collect();
        assert_eq!(
            networks,
            ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]
        );
    }

    #[test]
    fn faults_are_told_with_their_place() {
        let many = format!("[peers]\nallow = [{}]", "\"h\",".repeat(MAX_LISTED + 1));
        for (text, says) in [
            ("port = 0", "f:2:8: expected a port from 1 to 65535; found 0; write a number in"),
            ("port = 65536", "f:2:8: expected a port from 1 to 65535; found 65536;"),
            ("port = \"1\"", "f:2:8: expected a value of the key's documented type; found inval"),
            ("ports = 1", "f:2:1: expected only documented keys; found unknown field `ports`"),
            ("allow = \"web1\"", "\"_\" and \"-\"; found a value of type string; write the HOST"),
            ("allow = [1]", "f:2:9: expected a list of hosts, each of 1 to 255 letters, digits,"),
            ("allow = [\"\"]", "\"-\"; found \"\"; write the HOST of the certificates' spiffe:"),
            ("allow = [\"a/b\"]", "\"_\" and \"-\"; found \"a/b\"; write the HOST"),
            ("allow = [\"wéb\"]", "\"_\" and \"-\"; found \"wéb\"; write the HOST"),
            ("allow = [\"..\"]", "\"_\" and \"-\"; found \"..\"; write the HOST"),
            (&many, "found 4097 entries, more than 4096; write"),
            ("networks = 1", "f:2:12: expected a list of networks of hosts, none with loopback,"),
            ("networks = [\"10.0.0.0\"]", "found \"10.0.0.0\"; write each with its first address"),
            (
                "networks = [\"10.0.0.0/8\", \"10.1.1.1/16\"]",
                "found \"10.1.1.1/16\", an address of 10.1.0.0/16; write each with its first",
            ),
            ("networks = [\"127.0.0.0/8\"]", "found \"127.0.0.0/8\", with loopback addresses in"),
            ("networks = [\"::/0\"]", "found \"::/0\", with the unspecified address in it; write"),
        ] {
            let text =
                if text.starts_with('[') { text.to_owned() } else { format!("[peers]\n{text}") };
            let error = Config::parse("f", &text).unwrap_err().to_string();
            assert!(error.starts_with("f:2:") && error.contains(says), "{error}\n{says}");
        }
    }
}
