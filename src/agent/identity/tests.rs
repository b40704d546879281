//! Identities that are right and wrong, in real handshakes.

mod files;
pub(crate) mod issue;
mod refusals;
mod rotation;

use rustls::{ClientConnection, HandshakeKind, ServerConnection};

use super::*;

pub(crate) const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Both ends of a connection, in memory, and what made either fail.
pub(super) struct Pair {
    client: ClientConnection,
    server: ServerConnection,
    client_error: Option<rustls::Error>,
    server_error: Option<rustls::Error>,
}

impl Pair {
    pub(super) fn new(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Self {
        let name = rustls::pki_types::ServerName::IpAddress(HERE.into());
        let client = ClientConnection::new(client, name).unwrap();
        let server = ServerConnection::new(server).unwrap();
        let mut pair = Self { client, server, client_error: None, server_error: None };
        pair.exchange();
        pair
    }

    /// Carries bytes until there are none, or either end fails.
    pub(super) fn exchange(&mut self) {
        while self.client.wants_write() || self.server.wants_write() {
            let mut bytes = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut bytes).unwrap();
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() && self.server_error.is_none() {
                self.server.read_tls(&mut rest).unwrap();
                self.server_error = self.server.process_new_packets().err();
            }
            let mut bytes = Vec::new();
            while self.server.wants_write() {
                self.server.write_tls(&mut bytes).unwrap();
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() && self.client_error.is_none() {
                self.client.read_tls(&mut rest).unwrap();
                self.client_error = self.client.process_new_packets().err();
            }
        }
    }

    pub(super) fn kind(&self) -> HandshakeKind {
        assert!(self.client_error.is_none(), "{:?}", self.client_error);
        assert!(self.server_error.is_none(), "{:?}", self.server_error);
        assert_eq!(self.client.handshake_kind(), self.server.handshake_kind());
        self.client.handshake_kind().unwrap()
    }

    pub(super) fn of(client: &Identity, server: &Identity) -> Self {
        Self::new(client.client_config(), server.server_config())
    }

    /// The client, as the server sees it.
    pub(super) fn client(&self, server: &Identity, at: IpAddr) -> Result<PeerName, Refused> {
        if let Some(error) = &self.server_error {
            return Err(Refused::of(error).unwrap_or_else(|| panic!("{error:?}")).clone());
        }
        server.peer(self.server.peer_certificates().unwrap(), at, Role::Client)
    }

    /// The server, as the client sees it.
    pub(super) fn server(&self, client: &Identity, at: IpAddr) -> Result<PeerName, Refused> {
        if let Some(error) = &self.client_error {
            return Err(Refused::of(error).unwrap_or_else(|| panic!("{error:?}")).clone());
        }
        client.peer(self.client.peer_certificates().unwrap(), at, Role::Server)
    }
}
