//! What the authority issues: the identity of one host's agent.

use std::path::PathBuf;
use std::time::SystemTime;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::authority::{Authority, CERTIFICATE};
use super::write::{NewFile, write};
use super::{CaError, DAY, Issue, validity};
use crate::agent::audit::Utc;
use crate::agent::config::shown_path;
use crate::agent::identity::{PeerName, Svid};

pub(super) fn issue(issue: &Issue) -> Result<String, CaError> {
    let authority = Authority::read(&issue.dir)?;
    let now = SystemTime::now();
    let left = authority.expires.duration_since(now);
    if !left.is_ok_and(|left| DAY * issue.days <= left) {
        return Err(CaError::Invalid {
            path: issue.dir.join(CERTIFICATE),
            expected: "an authority that lasts as long as what it issues",
            found: format!("one that lasts until {}", Utc(authority.expires)),
            remedy: "issue for fewer --days, or make a new authority and have both trusted for a \
                     while (docs/agent.md)",
        });
    }
    let name = PeerName::new(&authority.domain, &issue.host)
        .map_err(|error| CaError::Make(error.to_string()))?;

    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, authority.domain.as_str());
    params.subject_alt_names = vec![SanType::URI(name.to_string().try_into()?)];
    params.subject_alt_names.extend(issue.ip.iter().copied().map(SanType::IpAddress));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let until = validity(&mut params, now, issue.days);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority.issuer)?;

    // What an agent would refuse is not handed out.
    let chain = vec![certificate.der().clone()];
    let der = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    Svid::new(chain, der, std::slice::from_ref(&authority.der), &ring::default_provider())
        .map_err(|error| CaError::Make(error.to_string()))?;

    let out = issue.out.clone().unwrap_or_else(|| PathBuf::from(&issue.host));
    let files = [
        NewFile { name: "key.pem", text: key.serialize_pem(), secret: true },
        NewFile { name: "cert.pem", text: certificate.pem(), secret: false },
        NewFile { name: "ca.pem", text: authority.pem, secret: false },
    ];
    let remedy = "name another --out, or replace the files with --force";
    let written = write(&out, &files, issue.force, remedy)?;
    let mut text = format!("{name}, until {}:\n", Utc(until));
    for path in written {
        text += &format!("  {}\n", shown_path(&path));
    }
    text += &format!(
        "Next, on {}: put them into /etc/partner-info/identity, key.pem readable by root alone, \
         and write into /etc/partner-info/partnerd.toml\n\
         [identity]\n\
         certificate = \"/etc/partner-info/identity/cert.pem\"\n\
         key = \"/etc/partner-info/identity/key.pem\"\n\
         trust = \"/etc/partner-info/identity/ca.pem\"\n\
         Issue the next one before this one ends; partnerd takes it when the files change.\n",
        name.host()
    );
    Ok(text)
}
