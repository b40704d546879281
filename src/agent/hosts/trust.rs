//! Certificates, as the transport wants to know of them.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig};

use crate::agent::identity::{self, Identity};
use crate::agent::peers::{PeerName, Role, Trust};

impl Trust for Identity {
    fn client_config(&self) -> Arc<ClientConfig> {
        Identity::client_config(self)
    }

    fn server_config(&self) -> Arc<ServerConfig> {
        Identity::server_config(self)
    }

    fn peer(
        &self,
        certificates: &[CertificateDer<'_>],
        address: IpAddr,
        role: Role,
    ) -> Result<PeerName, String> {
        let role = match role {
            Role::Asks => identity::Role::Client,
            Role::Answers => identity::Role::Server,
        };
        let name = Identity::peer(self, certificates, address, role);
        let name = name.map_err(|refused| refused.to_string())?;
        let expires = Identity::expires(certificates);
        Ok(PeerName { domain: name.domain().to_string(), host: name.host().to_owned(), expires })
    }
}
