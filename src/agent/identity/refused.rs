//! Why a certificate is not taken for an agent's.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use super::Role;
use super::name::NameError;
use crate::agent::audit::Utc;
use crate::policy::SecurityDomain;

/// What is wrong with a peer's certificate. The message says what was expected, what came and what
/// to do; foreign text in it is cut, in quotes, and on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// This agent has no valid certificate itself, so it trusts nobody.
    NoIdentity,
    NoCertificate,
    /// It cannot be read as a certificate.
    Malformed(String),
    /// It does not lead to one of our roots.
    Untrusted(String),
    Expired(SystemTime),
    NotYetValid(SystemTime),
    /// It may issue certificates, which an agent may not.
    Authority,
    /// It is not meant for this side of a connection.
    Purpose(Role),
    KeyUsage(&'static str),
    /// So many URIs are among its names, and one is expected.
    Names(usize),
    Name(NameError),
    Domain {
        ours: SecurityDomain,
        theirs: SecurityDomain,
    },
    Address {
        found: IpAddr,
        listed: Vec<IpAddr>,
    },
}

/// Addresses that a message lists at most.
const SHOWN_ADDRESSES: usize = 8;

impl Refused {
    /// A short word that does not change, for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NoIdentity => "no_identity",
            Self::NoCertificate => "no_certificate",
            Self::Malformed(_) => "malformed",
            Self::Untrusted(_) => "untrusted",
            Self::Expired(_) => "expired",
            Self::NotYetValid(_) => "not_yet_valid",
            Self::Authority => "authority",
            Self::Purpose(_) => "purpose",
            Self::KeyUsage(_) => "key_usage",
            Self::Names(_) => "names",
            Self::Name(_) => "name",
            Self::Domain { .. } => "domain",
            Self::Address { .. } => "address",
        }
    }

    /// The reason behind an error of a handshake, where it is one of these.
    pub(crate) fn of(error: &rustls::Error) -> Option<&Self> {
        let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) = error
        else {
            return None;
        };
        other.0.downcast_ref()
    }

    pub(super) fn expected(&self) -> String {
        match self {
            Self::NoIdentity => "a valid certificate of our own".into(),
            Self::NoCertificate => "a certificate".into(),
            Self::Malformed(_) => "an X.509 certificate, version 3".into(),
            Self::Untrusted(_) => "a certificate issued by one of the trusted roots".into(),
            Self::Expired(_) | Self::NotYetValid(_) => "a certificate that is valid now".into(),
            Self::Authority => "a certificate that issues no others (CA:FALSE)".into(),
            Self::Purpose(role) => format!("extended key usage {}", role.purpose()),
            Self::KeyUsage(_) => "key usage digitalSignature".into(),
            Self::Names(_) => "exactly one URI among the certificate's names".into(),
            Self::Name(error) => error.expected().into(),
            Self::Domain { ours, .. } => format!("the security domain {ours}"),
            Self::Address { .. } => "a peer at one of its certificate's addresses".into(),
        }
    }

    pub(super) fn found(&self) -> String {
        match self {
            Self::NoIdentity | Self::NoCertificate => "none".into(),
            Self::Malformed(found) | Self::Untrusted(found) => found.clone(),
            Self::Expired(at) => format!("one that was valid until {}", Utc(*at)),
            Self::NotYetValid(at) => format!("one that is valid from {}", Utc(*at)),
            Self::Authority => "a certificate authority's".into(),
            Self::Purpose(_) => "none such".into(),
            Self::KeyUsage(found) => (*found).into(),
            Self::Names(uris) => uris.to_string(),
            Self::Name(error) => error.found().into(),
            Self::Domain { theirs, .. } => theirs.to_string(),
            Self::Address { found, listed } => {
                let shown: Vec<_> =
                    listed.iter().take(SHOWN_ADDRESSES).map(ToString::to_string).collect();
                let more = if listed.len() > SHOWN_ADDRESSES { " and more" } else { "" };
                format!("{found}, where the certificate says {}{more}", shown.join(", "))
            }
        }
    }

    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::NoIdentity => "see what the log says about [identity]",
            Self::NoCertificate => "give the peer's agent an identity",
            Self::Malformed(_) => "have the certificate issued anew",
            Self::Untrusted(_) => {
                "issue both hosts' certificates by one authority, or add its root to identity.trust"
            }
            Self::Expired(_) => "renew the certificate, or set the clocks",
            Self::NotYetValid(_) => "set the clocks, or wait",
            Self::Authority => "issue a certificate for the host with this authority",
            Self::Purpose(_) => "issue it with both serverAuth and clientAuth",
            Self::KeyUsage(_) => "issue it with digitalSignature, and without keyCertSign, cRLSign",
            Self::Names(_) | Self::Name(_) => {
                "issue it for spiffe://DOMAIN/partnerd/HOST and no other URI"
            }
            Self::Domain { .. } => "only hosts of one security domain answer each other",
            Self::Address { .. } => {
                "issue it with the host's addresses, or without any; see that no address is \
                 translated between the agents"
            }
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}; found {}; {}", self.expected(), self.found(), self.remedy())
    }
}

impl std::error::Error for Refused {}
