//! The name of an agent: `spiffe://<domain>/partnerd/<host>`.

use std::fmt;

use crate::policy::SecurityDomain;
use crate::policy::text::quoted;

const SCHEME: &str = "spiffe://";
/// The first segment of the path: what sets agents apart from the other workloads of the domain.
const PROGRAM: &str = "partnerd";
/// Characters of a domain, and of a host, at most.
const MAX_CHARACTERS: usize = 255;

/// An agent, proven by its certificate.
///
/// Domains are equal without regard to case, hosts are not: the path of a SPIFFE ID has case.
///
/// Source: *The SPIFFE Identity and Verifiable Identity Document*, sections 2.1 and 2.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PeerName {
    domain: SecurityDomain,
    host: String,
}

impl PeerName {
    pub(crate) fn new(domain: &str, host: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Domain { found: quoted(domain) };
        if !is_plain(domain) {
            return Err(wrong());
        }
        let domain = domain.parse().map_err(|_| wrong())?;
        // What a path resolves away would name another agent, or none.
        if !is_plain(host) || host == "." || host == ".." {
            return Err(NameError::Host { found: quoted(host) });
        }
        Ok(Self { domain, host: host.into() })
    }

    /// The name that a URI says, if it is that of an agent.
    pub(super) fn parse(uri: &str) -> Result<Self, NameError> {
        let other = || NameError::Uri { found: quoted(uri) };
        let rest = uri.strip_prefix(SCHEME).ok_or_else(other)?;
        let (domain, path) = rest.split_once('/').ok_or_else(other)?;
        let (program, host) = path.split_once('/').ok_or_else(other)?;
        if program != PROGRAM {
            return Err(other());
        }
        Self::new(domain, host).map_err(|_| other())
    }

    /// The security domain, which is the trust domain of the certificate.
    pub(crate) fn domain(&self) -> &SecurityDomain {
        &self.domain
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

/// As a URI. The domain in lower case, which is how a trust domain is written.
impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = self.domain.as_str().to_ascii_lowercase();
        write!(f, "{SCHEME}{domain}/{PROGRAM}/{}", self.host)
    }
}

/// Letters that stand in a URI as they are, so that there is one way to write a name.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_CHARACTERS).contains(&text.len()) && text.bytes().all(plain)
}

/// Why something is no agent's name. What was found is in quotes, and fit to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NameError {
    Domain { found: String },
    Host { found: String },
    Uri { found: String },
}

impl NameError {
    pub(super) fn expected(&self) -> &'static str {
        match self {
            Self::Domain { .. } => "a domain of 1 to 255 letters, digits, \".\", \"_\" and \"-\"",
            Self::Host { .. } => "a host of 1 to 255 letters, digits, \".\", \"_\" and \"-\"",
            Self::Uri { .. } => "the name spiffe://DOMAIN/partnerd/HOST",
        }
    }

    pub(super) fn found(&self) -> &str {
        match self {
            Self::Domain { found } | Self::Host { found } | Self::Uri { found } => found,
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}; found {}", self.expected(), self.found())
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_and_written() {
        let name = PeerName::parse("spiffe://Prod.Example/partnerd/Web-1.x_y").unwrap();
        assert_eq!((name.domain().as_str(), name.host()), ("Prod.Example", "Web-1.x_y"));
        assert_eq!(name.to_string(), "spiffe://prod.example/partnerd/Web-1.x_y");
        assert_eq!(PeerName::parse(&name.to_string()).unwrap(), name);
        assert_ne!(PeerName::parse("spiffe://prod.example/partnerd/web-1.x_y").unwrap(), name);
        let longest = "h".repeat(255);
        assert!(PeerName::new(&longest, &longest).is_ok());
    }

    #[test]
    fn what_is_no_name_of_an_agent_is_refused() {
        let long = format!("spiffe://d/partnerd/{}", "h".repeat(256));
        for uri in [
            "",
            "spiffe://",
            "spiffe://d",
            "spiffe://d/",
            "spiffe://d/partnerd",
            "spiffe://d/partnerd/",
            "spiffe:///partnerd/h",
            "spiffe://d/partnerd/h/",
            "spiffe://d/partnerd/h/i",
            "spiffe://d//partnerd/h",
            "spiffe://d/partnerd//h",
            "spiffe://d/Partnerd/h",
            "spiffe://d/other/h",
            "spiffe://d/partnerd/.",
            "spiffe://d/partnerd/..",
            "spiffe://d/partnerd/h?x",
            "spiffe://d/partnerd/h#x",
            "spiffe://d/partnerd/%68",
            "spiffe://d:1/partnerd/h",
            "spiffe://u@d/partnerd/h",
            "spiffe://d/partnerd/h\n",
            "SPIFFE://d/partnerd/h",
            "https://d/partnerd/h",
            "spiffe://d/partnerd/hé",
            &long,
        ] {
            let error = PeerName::parse(uri).unwrap_err();
            assert!(matches!(error, NameError::Uri { .. }), "{uri:?}");
            assert!(!error.to_string().contains('\n'), "{uri:?}");
        }
        assert!(matches!(PeerName::new("a b", "h"), Err(NameError::Domain { .. })));
        assert!(matches!(PeerName::new("d", "a/b"), Err(NameError::Host { .. })));
    }
}
