//! Who this agent is to the agents of other hosts, and who they are to it.
//!
//! ```text
//! files, workload  ── where certificates, key and roots come from; they may change at any time
//! svid             ── an identity, sound when made        leaf   what a certificate says
//! handshake        ── what rustls asks in a handshake     name   spiffe://DOMAIN/partnerd/HOST
//! ```
//!
//! There is no revocation: certificates are short-lived, and whoever should not be believed any
//! more gets no new one.

#![allow(dead_code, reason = "the transport between agents uses the rest")]

mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod handshake;
mod leaf;
mod name;
mod refused;
mod source;
mod svid;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(feature = "spiffe")]
mod workload;

use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;

use self::handshake::Handshake;
use self::leaf::Leaf;
pub(crate) use self::leaf::time;
pub(crate) use self::name::PeerName;
pub(crate) use self::refused::Refused;
pub(crate) use self::source::{IdentityError, Source};
pub(crate) use self::svid::Svid;

/// The protocol that agents speak, as TLS negotiates it (ALPN). A server refuses a client that
/// offers others alone; that there was an agreement is for the transport to check.
pub(crate) const PROTOCOL: &[u8] = b"partnerd/1";

/// Peers whose sessions a client keeps for resumption.
const CLIENT_SESSIONS: usize = 1024;
/// Sessions that a server keeps.
const SERVER_SESSIONS: usize = 4096;
/// Sessions that a server offers with each handshake. Agents keep one connection to each peer, so
/// one is taken up at a time.
const TICKETS: usize = 1;

/// What the *peer* is in a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// It connected to us.
    Client,
    /// We connected to it.
    Server,
}

/// Where the present identity comes from; it may change at any time.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    present: watch::Receiver<Option<Arc<Svid>>>,
    provider: Arc<CryptoProvider>,
    configs: Arc<Mutex<Configs>>,
}

/// What rustls is set up with, for as long as one identity is in force.
#[derive(Debug)]
struct Configs {
    of: Option<Arc<Svid>>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

/// Puts identities in force. Where it is gone, the last stays until it expires.
#[derive(Debug)]
pub(crate) struct Publisher {
    present: watch::Sender<Option<Arc<Svid>>>,
    provider: Arc<CryptoProvider>,
}

/// An identity that is not here yet, and what puts it in force.
///
/// # Errors
///
/// Only where rustls was built without TLS 1.3.
pub(super) fn channel() -> Result<(Publisher, Identity), rustls::Error> {
    let (sender, present) = watch::channel(None);
    let provider = Arc::new(ring::default_provider());
    let configs = Configs::new(&present, &provider)?;
    let publisher = Publisher { present: sender, provider: Arc::clone(&provider) };
    Ok((publisher, Identity { present, provider, configs: Arc::new(Mutex::new(configs)) }))
}

impl Publisher {
    /// Says whether this is another than the one in force.
    pub(super) fn publish(&self, svid: Svid) -> bool {
        self.present.send_if_modified(|present| {
            let same = present.as_ref().is_some_and(|old| old.is_same(&svid));
            if !same {
                *present = Some(Arc::new(svid));
            }
            !same
        })
    }
}

impl Identity {
    /// The identity in force. `None`: not here yet, or not valid now.
    pub(crate) fn current(&self) -> Option<Arc<Svid>> {
        let present = self.present.borrow().clone();
        present.filter(|svid| svid.is_valid_at(SystemTime::now()))
    }

    /// Waits until another is in force; for ever, where none will be.
    ///
    /// # Cancel safety
    ///
    /// A change that was not waited for is told the next time.
    pub(crate) async fn changed(&mut self) {
        if self.present.changed().await.is_err() {
            pending::<()>().await;
        }
    }

    /// How to connect to other agents: TLS 1.3, our certificate, theirs checked.
    ///
    /// Ask for it for every connection. One that is kept uses the identity that is in force at
    /// each handshake too, but may resume sessions from before it changed.
    pub(crate) fn client_config(&self) -> Arc<ClientConfig> {
        self.configured(|configs| Arc::clone(&configs.client))
    }

    /// How to let other agents connect; see [`Self::client_config`].
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.configured(|configs| Arc::clone(&configs.server))
    }

    /// Who the peer is, by the certificates of a handshake, its own first.
    ///
    /// To be asked after each handshake, resumed ones too: rustls checks no certificate when a
    /// session is resumed. Everything is checked as in a full one, so that no session outlives the
    /// certificate, or the trust in who issued it. `address` is the peer's, as our socket has it.
    pub(crate) fn peer(
        &self,
        certificates: &[CertificateDer<'_>],
        address: IpAddr,
        role: Role,
    ) -> Result<PeerName, Refused> {
        let svid = self.current().ok_or(Refused::NoIdentity)?;
        let leaf = svid.check(certificates, role, SystemTime::now(), &self.provider)?;
        leaf.check_address(address)?;
        Ok(leaf.name)
    }

    /// When the first of these certificates, which [`Self::peer`] found good, ceases to be.
    pub(crate) fn expires(certificates: &[CertificateDer<'_>]) -> Option<SystemTime> {
        Leaf::read(certificates.first()?, &[]).ok().map(|leaf| leaf.not_after)
    }

    /// Sessions are kept with the identity that they began with: one that is resumed stands for
    /// the certificates of its beginning, which the other side might not take any more.
    fn configured<T>(&self, of: impl Fn(&Configs) -> Arc<T>) -> Arc<T> {
        let present = self.present.borrow().clone();
        // No invariant spans a point that may panic.
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let same = match (&configs.of, &present) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            configs.renew(present);
        }
        of(&configs)
    }
}

impl Configs {
    fn new(
        present: &watch::Receiver<Option<Arc<Svid>>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, rustls::Error> {
        let versions = &[&rustls::version::TLS13];
        let handshake = Arc::new(Handshake::new(present.clone(), Arc::clone(provider)));
        let mut client = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&handshake) as _)
            .with_client_cert_resolver(Arc::clone(&handshake) as _);
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        // An address is not sent as a server's name, and agents have no other.
        client.enable_sni = false;
        client.resumption = Resumption::disabled();
        let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(Arc::clone(&handshake) as _)
            .with_cert_resolver(handshake as _);
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = TICKETS;
        Ok(Self { of: None, client: Arc::new(client), server: Arc::new(server) })
    }

    /// The same, with no session from before.
    fn renew(&mut self, of: Option<Arc<Svid>>) {
        let mut client = ClientConfig::clone(&self.client);
        client.resumption = Resumption::in_memory_sessions(CLIENT_SESSIONS);
        let mut server = ServerConfig::clone(&self.server);
        server.session_storage = ServerSessionMemoryCache::new(SERVER_SESSIONS);
        *self = Self { of, client: Arc::new(client), server: Arc::new(server) };
    }
}
