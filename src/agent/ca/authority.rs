//! The authority itself: made, and read again to issue.

use std::path::Path;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::write::{NewFile, write};
use super::{CaError, Init, domain, validity};
use crate::agent::audit::Utc;
use crate::agent::config::shown_path;
use crate::agent::identity::time;
use crate::kernel::sys::file;

pub(super) const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca-key.pem";
/// Bytes of a file at most.
const MAX_BYTES: usize = 1 << 20;

/// There are no name constraints on the domain: webpki, which checks certificates, takes no
/// certificate whose authority constrains URIs. The agents compare the domain themselves.
pub(super) fn init(init: &Init) -> Result<String, CaError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, init.domain.as_str());
    params.distinguished_name.push(DnType::CommonName, "partnerd certificate authority");
    // The name of an authority in SPIFFE is its trust domain's.
    let uri = format!("spiffe://{}", init.domain);
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let until = validity(&mut params, SystemTime::now(), init.days);
    let certificate = params.self_signed(&key)?.pem();
    let files = [
        NewFile { name: KEY, text: key.serialize_pem(), secret: true },
        NewFile { name: CERTIFICATE, text: certificate, secret: false },
    ];
    let remedy = "name another --dir, or replace the authority with --force: what it has issued \
                  will not be trusted any more";
    let written = write(&init.dir, &files, init.force, remedy)?;
    let mut text =
        format!("An authority for the security domain {}, until {}:\n", init.domain, Utc(until));
    for path in written {
        text += &format!("  {}\n", shown_path(&path));
    }
    let dir = shown_path(&init.dir);
    text += &format!(
        "Keep {KEY} where only you can read it: whoever has it can be any host of the domain.\n\
         Next, for each host: partner ca issue --dir {dir} --host NAME --ip ADDR\n"
    );
    Ok(text)
}

/// An authority that was read, and is sound.
pub(super) struct Authority {
    pub(super) domain: String,
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) der: CertificateDer<'static>,
    pub(super) pem: String,
    pub(super) expires: SystemTime,
}

impl Authority {
    pub(super) fn read(folder: &Path) -> Result<Self, CaError> {
        let path = folder.join(CERTIFICATE);
        let (_, pem) = read(&path)?;
        let invalid = |expected, found: &str| CaError::Invalid {
            path: path.clone(),
            expected,
            found: found.into(),
            remedy: "name the folder that `partner ca init` has made with --dir",
        };
        let certificate = "the certificate of an authority in PEM";
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| invalid(certificate, "something else"))?;
        let (_, parsed) = X509Certificate::from_der(&der)
            .map_err(|_| invalid(certificate, "one that cannot be read"))?;
        if !parsed.is_ca() {
            return Err(invalid(certificate, "one that is not an authority's"));
        }
        let domain = domain_of(&parsed).ok_or_else(|| {
            invalid("the URI spiffe://DOMAIN, and no other, among its names", "others")
        })?;
        let expires = time(parsed.validity().not_after);

        let key_path = folder.join(KEY);
        let (seen, text) = read(&key_path)?;
        let invalid = |expected, found: String, remedy| CaError::Invalid {
            path: key_path.clone(),
            expected,
            found,
            remedy,
        };
        let mode = seen.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(invalid(
                "a key that nobody but its owner may read (mode 0600 or 0400)",
                format!("mode {mode:04o}"),
                "change its mode; if others could read it, make a new authority",
            ));
        }
        let remedy = "put both files there that `partner ca init` has made together";
        let key = KeyPair::from_pem(&text)
            .map_err(|_| invalid("a private key in PEM", "something else".into(), remedy))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            let found = "that of another".into();
            return Err(invalid("the key of the certificate beside it", found, remedy));
        }
        let issuer = Issuer::from_ca_cert_der(&der, key)?;
        Ok(Self { domain, issuer, der, pem, expires })
    }
}

fn read(path: &Path) -> Result<(file::Identity, String), CaError> {
    let doing = "reading the authority's file (see `partner ca init`, and --dir)";
    let failed = |error| CaError::Io { path: path.into(), doing, error };
    let (seen, bytes) = file::read(path, MAX_BYTES).map_err(failed)?;
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| failed(std::io::Error::from(std::io::ErrorKind::InvalidData)))?;
    Ok((seen, text))
}

/// The trust domain that an authority's certificate is for.
fn domain_of(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names
        .value
        .general_names
        .iter()
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
    let uri = uris.next()?;
    let domain = domain(uri.strip_prefix("spiffe://")?).ok()?;
    uris.next().is_none().then_some(domain)
}
