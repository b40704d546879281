//! How rustls asks for the identity, and what it is told: always by the one in force then.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, SignatureScheme,
};
use tokio::sync::watch;

use super::{Refused, Role, Svid};

/// What both sides look at in a handshake.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    present: watch::Receiver<Option<Arc<Svid>>>,
    provider: Arc<CryptoProvider>,
}

impl Handshake {
    pub(super) fn new(
        present: watch::Receiver<Option<Arc<Svid>>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { present, provider }
    }

    fn certified(&self) -> Option<Arc<CertifiedKey>> {
        let present = self.present.borrow();
        let valid = present.as_ref().filter(|svid| svid.is_valid_at(SystemTime::now()));
        valid.map(|svid| Arc::clone(svid.certified()))
    }

    fn check(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        role: Role,
        now: UnixTime,
    ) -> Result<(), Error> {
        let since = Duration::from_secs(now.as_secs());
        let now = UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH);
        let present = self.present.borrow().clone().filter(|svid| svid.is_valid_at(now));
        let mut chain = Vec::with_capacity(others.len().saturating_add(1));
        chain.push(own.clone());
        chain.extend_from_slice(others);
        let checked = present.ok_or(Refused::NoIdentity);
        let checked = checked.and_then(|svid| svid.check(&chain, role, now, &self.provider));
        checked.map(drop).map_err(|refused| {
            let other = CertificateError::Other(OtherError(Arc::new(refused)));
            Error::InvalidCertificate(other)
        })
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ResolvesServerCert for Handshake {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certified()
    }
}

impl ResolvesClientCert for Handshake {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.certified()
    }

    fn has_certs(&self) -> bool {
        self.certified().is_some()
    }
}

impl ServerCertVerifier for Handshake {
    /// Whom we reach is not a matter of the name that was dialled: see `Identity::peer`.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, Role::Server, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Handshake {
    /// None: an agent has one certificate, and nobody is told which authorities a host trusts.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates, Role::Client, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
