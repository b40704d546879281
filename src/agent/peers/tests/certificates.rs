//! A certificate authority for an hour, and two TLS configurations that trust it: certificates on both
//! sides, whatever the address. The benchmark includes this file.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};

const NAME: &str = "peer.test";

/// The configurations of a host.
#[derive(Clone)]
pub(crate) struct Configurations {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

/// One host that trusts itself: it stands for all hosts of a domain.
pub(crate) fn domain() -> Configurations {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let chain = vec![leaf.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let roots = Arc::new(roots);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let version = &[&rustls::version::TLS13];

    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(version)
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain.clone(), key.clone_key())
        .unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(version)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AtAnyAddress(verifier.build().unwrap())))
        .with_client_auth_cert(chain, key)
        .unwrap();
    Configurations { client: Arc::new(client), server: Arc::new(server) }
}

/// Verifies the name of the certificate and not the address.
#[derive(Debug)]
struct AtAnyAddress(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AtAnyAddress {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = ServerName::try_from(NAME).unwrap();
        self.0.verify_server_cert(end_entity, intermediates, &name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
