//! What this agent proves itself with, and whom it believes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor, UnixTime};
use rustls::sign::CertifiedKey;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::leaf::{self, Leaf};
use super::name::PeerName;
use super::{Refused, Role};

/// Roots that are trusted at most.
const MAX_ROOTS: usize = 256;
/// Certificates that lead from an agent's to a root, its own among them, at most.
const MAX_CHAIN: usize = 8;

/// An X.509-SVID and the roots it is checked against.
///
/// Always sound when made: the certificate is an agent's, its chain leads to one of the roots, and
/// the key is its own. Whether it is valid *now* is asked each time it is used.
pub(crate) struct Svid {
    leaf: Leaf,
    certified: Arc<CertifiedKey>,
    roots: Vec<Root>,
}

#[derive(Clone, PartialEq, Eq)]
struct Root {
    anchor: TrustAnchor<'static>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Svid {
    /// `chain` begins with the agent's own certificate.
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        roots: &[CertificateDer<'_>],
        provider: &CryptoProvider,
    ) -> Result<Self, SvidError> {
        let fault = |part, expected: &str, found: String, remedy| SvidError {
            part,
            expected: expected.into(),
            found,
            remedy,
        };
        let own = |refused: Refused| SvidError {
            part: Part::Certificate,
            expected: refused.expected(),
            found: refused.found(),
            remedy: refused.remedy(),
        };
        let first = chain.first().ok_or_else(|| own(Refused::NoCertificate))?;
        let leaf = Leaf::read(first, &[Role::Client, Role::Server]).map_err(own)?;
        let key = ring::sign::any_supported_type(&key).map_err(|_| {
            let expected = "a private key: ECDSA P-256 or P-384, Ed25519, or RSA from 2048 bits";
            fault(Part::Key, expected, "another".into(), "make a new key and certificate")
        })?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| {
            let found = "the key of another certificate".into();
            let remedy = "put key and certificate there that were issued together";
            fault(Part::Key, "the key of the certificate", found, remedy)
        })?;
        let roots = roots.iter().map(|root| Root::read(root)).collect::<Result<Vec<_>, _>>();
        let authorities = "certificates of certificate authorities (CA:TRUE)";
        let roots = roots.map_err(|found| {
            fault(Part::Trust, authorities, found, "put the authority's own certificate there")
        })?;
        if !(1..=MAX_ROOTS).contains(&roots.len()) {
            let (expected, found) = ("1 to 256 roots", roots.len().to_string());
            return Err(fault(Part::Trust, expected, found, "put the authorities there"));
        }
        let svid = Self { leaf, certified: Arc::new(certified), roots };
        // Whether the time is right is not asked here: a chain that is sound but for the time is
        // worth waiting for, or worth telling that it has expired.
        let time = SystemTime::now()
            .clamp(svid.leaf.not_before, svid.leaf.not_after.max(svid.leaf.not_before));
        for role in [Role::Client, Role::Server] {
            svid.check_chain(&svid.certified.cert, role, time, provider).map_err(own)?;
        }
        Ok(svid)
    }

    pub(crate) fn name(&self) -> &PeerName {
        &self.leaf.name
    }

    pub(crate) fn expires(&self) -> SystemTime {
        self.leaf.not_after
    }

    /// The agent's own certificate, and those that lead to a root.
    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    pub(crate) fn begins(&self) -> SystemTime {
        self.leaf.not_before
    }

    pub(super) fn is_valid_at(&self, now: SystemTime) -> bool {
        (self.leaf.not_before..=self.leaf.not_after).contains(&now)
    }

    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// Whether both prove and believe the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert && self.roots == other.roots
    }

    /// Checks a peer's certificates, its own first, for all but the address.
    pub(super) fn check(
        &self,
        certificates: &[CertificateDer<'_>],
        role: Role,
        now: SystemTime,
        provider: &CryptoProvider,
    ) -> Result<Leaf, Refused> {
        // Nothing that a stranger wrote is looked at before its issuer is known.
        self.check_chain(certificates, role, now, provider)?;
        let own = certificates.first().ok_or(Refused::NoCertificate)?;
        let leaf = Leaf::read(own, &[role])?;
        if leaf.name.domain() != self.name().domain() {
            let (ours, theirs) = (self.name().domain().clone(), leaf.name.domain().clone());
            return Err(Refused::Domain { ours, theirs });
        }
        Ok(leaf)
    }

    fn check_chain(
        &self,
        certificates: &[CertificateDer<'_>],
        role: Role,
        now: SystemTime,
        provider: &CryptoProvider,
    ) -> Result<(), Refused> {
        let (own, others) = certificates.split_first().ok_or(Refused::NoCertificate)?;
        if certificates.len() > MAX_CHAIN {
            return Err(Refused::Untrusted(format!("a chain of {}", certificates.len())));
        }
        let own = EndEntityCert::try_from(own).map_err(|error| refused(&error, role))?;
        // webpki takes a root for good, however old.
        let valid = self.roots.iter().filter(|root| root.is_valid_at(now));
        let anchors: Vec<_> = valid.map(|root| root.anchor.clone()).collect();
        let time = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        // Authorities need not name purposes; the agent's own certificate must: see `Leaf::read`.
        let usage = match role {
            Role::Client => KeyUsage::client_auth(),
            Role::Server => KeyUsage::server_auth(),
        };
        own.verify_for_usage(
            provider.signature_verification_algorithms.all,
            &anchors,
            others,
            UnixTime::since_unix_epoch(time),
            usage,
            None,
            None,
        )
        .map(drop)
        .map_err(|error| refused(&error, role))
    }
}

/// Never the key.
impl fmt::Debug for Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svid")
            .field("leaf", &self.leaf)
            .field("certificates", &self.certified.cert.len())
            .field("roots", &self.roots.len())
            .finish_non_exhaustive()
    }
}

impl Root {
    fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let unreadable = || "one that cannot be read".to_owned();
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| unreadable())?;
        let constraints = certificate.basic_constraints().map_err(|_| unreadable())?;
        if !constraints.is_some_and(|constraints| constraints.value.ca) {
            return Err("one that is not an authority's".into());
        }
        let anchor = webpki::anchor_from_trusted_cert(der).map_err(|_| unreadable())?;
        let validity = certificate.validity();
        Ok(Self {
            anchor: anchor.to_owned(),
            not_before: leaf::time(validity.not_before),
            not_after: leaf::time(validity.not_after),
        })
    }

    fn is_valid_at(&self, now: SystemTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// What webpki says, in our words where there are some.
fn refused(error: &webpki::Error, role: Role) -> Refused {
    let time = |time: &UnixTime| {
        let since = Duration::from_secs(time.as_secs());
        UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
    };
    if let webpki::Error::CertExpired { not_after, .. } = error {
        Refused::Expired(time(not_after))
    } else if let webpki::Error::CertNotValidYet { not_before, .. } = error {
        Refused::NotYetValid(time(not_before))
    } else if matches!(error, webpki::Error::CaUsedAsEndEntity) {
        Refused::Authority
    } else if matches!(
        error,
        webpki::Error::RequiredEkuNotFoundContext(_) | webpki::Error::EmptyEkuExtension
    ) {
        Refused::Purpose(role)
    } else if matches!(error, webpki::Error::UnknownIssuer) {
        Refused::Untrusted("one of an issuer that is not among them".into())
    } else {
        // An identifier: the type has no text of others in it that it would print.
        Refused::Untrusted(format!("one with the fault {error}"))
    }
}

/// The part of an identity that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Certificate,
    Key,
    Trust,
}

/// Why certificates and key are no identity of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SvidError {
    pub(super) part: Part,
    pub(super) expected: String,
    pub(super) found: String,
    pub(super) remedy: &'static str,
}

impl fmt::Display for SvidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}; found {}; {}", self.expected, self.found, self.remedy)
    }
}

impl std::error::Error for SvidError {}
