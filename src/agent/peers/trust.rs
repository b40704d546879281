//! Who is trusted. Certificates are read elsewhere; here is what the transport has to know of them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig};

use crate::protocol::peers::Hello;

/// Which side of a connection a peer is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It connected, and asks.
    Asks,
    /// It listened, and answers.
    Answers,
}

/// What a certificate proves about a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PeerName {
    /// The trust domain, which is the security domain.
    pub(crate) domain: String,
    pub(crate) host: String,
    /// When it ceases to prove it: connections are kept for longer than that.
    pub(crate) expires: Option<SystemTime>,
}

impl PeerName {
    pub(crate) fn has_expired(&self) -> bool {
        self.expires.is_some_and(|at| at <= SystemTime::now())
    }
}

/// The certificates of this host, and what those of others prove.
///
/// Both configurations are asked for at each connection, so that certificates may be renewed. Both must
/// demand a certificate of the peer and verify it. Sessions are resumed where the configurations keep
/// them; what a resumed session proves is what its first handshake proved.
pub(crate) trait Trust: Send + Sync + 'static {
    fn client_config(&self) -> Arc<ClientConfig>;
    fn server_config(&self) -> Arc<ServerConfig>;
    /// Who the peer at `address` is, whose verified certificates these are; else why it is not trusted.
    fn peer(
        &self,
        certificates: &[CertificateDer<'_>],
        address: IpAddr,
        role: Role,
    ) -> Result<PeerName, String>;
}

/// What this host says of itself, by the policy in force now.
pub(crate) type Introduce = Arc<dyn Fn() -> Arc<Hello> + Send + Sync>;

/// Whether both are defined and equal, without regard to case.
pub(super) fn one_domain(ours: Option<&str>, theirs: Option<&str>) -> bool {
    matches!((ours, theirs), (Some(ours), Some(theirs)) if ours.eq_ignore_ascii_case(theirs))
}
