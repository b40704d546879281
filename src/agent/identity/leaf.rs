//! What a certificate says about the agent it was issued to.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, KeyUsage};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::name::PeerName;
use super::{Refused, Role};

/// The tags of a URI and of an IP address among a certificate's names (RFC 5280, 4.2.1.6).
const URI_TAG: u32 = 6;
const ADDRESS_TAG: u32 = 7;

/// A certificate that an agent may have, as far as it alone can tell: who issued it is another
/// question.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) name: PeerName,
    /// Where the agent may be; empty: anywhere. In the family they are of.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

impl Leaf {
    /// Reads a certificate that must be fit for all these roles.
    ///
    /// Source: *The X.509 SPIFFE Verifiable Identity Document*, sections 2 to 5.
    pub(super) fn read(der: &[u8], roles: &[Role]) -> Result<Self, Refused> {
        let malformed = |what: &str| Refused::Malformed(what.into());
        let (rest, certificate) = X509Certificate::from_der(der)
            .map_err(|_| malformed("something that cannot be read as one"))?;
        if !rest.is_empty() {
            return Err(malformed("more than one, where one is expected"));
        }
        let twice = |_| malformed("one with an extension that cannot be read, or is there twice");

        let constraints = certificate.basic_constraints().map_err(twice)?;
        if constraints.is_some_and(|constraints| constraints.value.ca) {
            return Err(Refused::Authority);
        }
        if let Some(usage) = certificate.key_usage().map_err(twice)? {
            check_key_usage(usage.value)?;
        }
        let purposes = certificate.extended_key_usage().map_err(twice)?;
        let purposes = purposes.map(|purposes| purposes.value);
        for role in roles {
            if !purposes.is_some_and(|purposes| role.is_among(purposes)) {
                return Err(Refused::Purpose(*role));
            }
        }

        let names = certificate.subject_alternative_name().map_err(twice)?;
        let names = names.map_or(&[][..], |names| names.value.general_names.as_slice());
        let mut uris = Vec::new();
        let mut addresses = Vec::new();
        for name in names {
            if let GeneralName::URI(uri) = name {
                uris.push(*uri);
            } else if let GeneralName::IPAddress(bytes) = name {
                addresses.push(address(bytes)?);
            } else if let GeneralName::Invalid(tag, _) = name
                && matches!(tag.0, URI_TAG | ADDRESS_TAG)
            {
                return Err(malformed("one with a name that cannot be read"));
            }
        }
        let [uri] = uris.as_slice() else { return Err(Refused::Names(uris.len())) };
        let name = PeerName::parse(uri).map_err(Refused::Name)?;
        // The library that proves who issued it must read the same; what it cannot read it refuses.
        let proven = CertificateDer::from(der);
        let proven = EndEntityCert::try_from(&proven);
        if proven.is_ok_and(|proven| !proven.valid_uri_names().eq([*uri])) {
            return Err(malformed("one with names that are not in DER"));
        }

        let validity = certificate.validity();
        let (not_before, not_after) = (time(validity.not_before), time(validity.not_after));
        Ok(Self { name, addresses, not_before, not_after })
    }

    /// Whether the certificate lets its agent be at this address.
    pub(super) fn check_address(&self, address: IpAddr) -> Result<(), Refused> {
        let found = address.to_canonical();
        if self.addresses.is_empty() || self.addresses.contains(&found) {
            return Ok(());
        }
        Err(Refused::Address { found, listed: self.addresses.clone() })
    }
}

/// A key that may sign certificates could make itself any name.
fn check_key_usage(usage: &KeyUsage) -> Result<(), Refused> {
    if usage.key_cert_sign() || usage.crl_sign() {
        return Err(Refused::KeyUsage("keyCertSign or cRLSign"));
    }
    if !usage.digital_signature() {
        return Err(Refused::KeyUsage("others alone"));
    }
    Ok(())
}

fn address(bytes: &[u8]) -> Result<IpAddr, Refused> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    let address = address
        .map_err(|_| Refused::Malformed(format!("one with an address of {} bytes", bytes.len())))?;
    Ok(address.to_canonical())
}

/// A time before 1970 is as long ago as 1970: either way it is over.
pub(crate) fn time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

impl Role {
    fn is_among(self, purposes: &ExtendedKeyUsage<'_>) -> bool {
        match self {
            Self::Client => purposes.client_auth,
            Self::Server => purposes.server_auth,
        }
    }

    pub(super) fn purpose(self) -> &'static str {
        match self {
            Self::Client => "clientAuth",
            Self::Server => "serverAuth",
        }
    }
}
