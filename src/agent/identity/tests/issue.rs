//! Makes authorities and certificates, right ones and wrong ones.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::agent::identity::{Identity, Publisher, Svid, channel};

pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

pub(crate) struct Issued {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// What the certificate of a good agent says.
pub(crate) fn agent_params(uri: &str, addresses: &[IpAddr]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "agent");
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::of(authority_params(name))
    }

    pub(crate) fn of(params: CertificateParams) -> Self {
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(crate) fn sign(&self, params: CertificateParams) -> Issued {
        self.sign_for(params, KeyPair::generate().unwrap())
    }

    pub(crate) fn sign_for(&self, params: CertificateParams, key: KeyPair) -> Issued {
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { chain: vec![certificate.der().clone()], key }
    }

    /// An authority below this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(authority_params(name), key, &self.0).unwrap())
    }

    /// A good agent of the domain `prod.example`.
    pub(crate) fn agent(&self, host: &str, addresses: &[IpAddr]) -> Issued {
        self.sign(agent_params(&format!("spiffe://prod.example/partnerd/{host}"), addresses))
    }
}

impl Issued {
    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    pub(crate) fn svid(&self, roots: &[&Authority]) -> Svid {
        let roots: Vec<_> = roots.iter().map(|root| root.der()).collect();
        let provider = ring::default_provider();
        Svid::new(self.chain.clone(), self.key_der(), &roots, &provider).unwrap()
    }

    pub(crate) fn identity(&self, roots: &[&Authority]) -> (Publisher, Identity) {
        let (publisher, identity) = channel().unwrap();
        assert!(publisher.publish(self.svid(roots)));
        (publisher, identity)
    }

    /// Unchecked, to show others what they must refuse.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        let key = ring::sign::any_supported_type(&self.key_der()).unwrap();
        Arc::new(CertifiedKey::new(self.chain.clone(), key))
    }
}
