//! An identity from three files, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::svid::{Part, SvidError};
use super::{IdentityError, Publisher, Svid};
use crate::agent::audit::Utc;
use crate::kernel::sys::file;
use crate::policy::SecurityDomain;

/// How often it is seen whether the files have changed.
const LOOK: Duration = Duration::from_secs(10);
/// Bytes of each file at most: 1 MiB.
const MAX_BYTES: usize = 1 << 20;
/// The part of a certificate's time in which its end is warned of: the last fifth.
const LAST_PART: u32 = 5;

/// The files, and what was seen of them last.
#[derive(Clone, Debug)]
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    trust: PathBuf,
    /// That of the policy.
    domain: Option<SecurityDomain>,
    /// `None`: to be read whatever they look like.
    seen: Option<[file::Identity; 3]>,
}

impl Files {
    pub(super) fn new(
        certificate: &Path,
        key: &Path,
        trust: &Path,
        domain: Option<SecurityDomain>,
    ) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            trust: trust.into(),
            domain,
            seen: None,
        }
    }

    /// Reads all three.
    pub(super) fn load(&mut self, provider: &CryptoProvider) -> Result<Svid, IdentityError> {
        self.seen = None;
        let read = |path: &Path, key| {
            // One byte more than a file may have tells that it has too many.
            let read = file::read(path, MAX_BYTES + 1)
                .map_err(|error| IdentityError::Unreadable { path: path.into(), key, error })?;
            if read.1.len() > MAX_BYTES {
                let (expected, found) = ("at most 1 MiB (1048576 bytes)", "more".into());
                return Err(invalid(path, expected, found, "name the right file"));
            }
            Ok(read)
        };
        let (certificate_seen, certificate) = read(&self.certificate, "identity.certificate")?;
        let (key_seen, key) = read(&self.key, "identity.key")?;
        let (trust_seen, trust) = read(&self.trust, "identity.trust")?;

        let mode = key_seen.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(invalid(
                &self.key,
                "a key that nobody but its owner may read (mode 0600 or 0400)",
                format!("mode {mode:04o}"),
                "change its mode; if others could read it, make a new key and certificate",
            ));
        }
        let chain = certificates(&self.certificate, &certificate)?;
        let key = private_key(&self.key, &key)?;
        let roots = certificates(&self.trust, &trust)?;
        let svid = Svid::new(chain, key, &roots, provider).map_err(|error| self.error(error))?;
        let theirs = svid.name().domain();
        if let Some(ours) = self.domain.as_ref().filter(|ours| *ours != theirs) {
            return Err(invalid(
                &self.certificate,
                format!("a certificate of {ours}, the security domain of the policy"),
                format!("one of {theirs}"),
                "issue it for the policy's domain, or correct the policy and restart the agent",
            ));
        }
        self.seen = Some([certificate_seen, key_seen, trust_seen]);
        Ok(svid)
    }

    fn error(&self, error: SvidError) -> IdentityError {
        let path = match error.part {
            Part::Certificate => &self.certificate,
            Part::Key => &self.key,
            Part::Trust => &self.trust,
        };
        let SvidError { expected, found, remedy, .. } = error;
        IdentityError::Invalid { path: path.clone(), expected, found, remedy }
    }

    fn have_changed(&self) -> bool {
        let Some(seen) = &self.seen else { return true };
        let paths = [&self.certificate, &self.key, &self.trust];
        paths.iter().zip(seen).any(|(path, seen)| !file::look(path).is_ok_and(|now| now == *seen))
    }

    /// Publishes what the files say whenever they change, and when told to read them again. What
    /// is no identity, such as a key that is not the certificate's yet, is tried again; until then
    /// the old one stays in force.
    pub(super) async fn watch(mut self, publisher: Publisher, reread: Arc<Notify>) {
        let mut told = String::new();
        let mut warned = None;
        loop {
            let forced = timeout(LOOK, reread.notified()).await.is_ok();
            let provider = Arc::clone(&publisher.provider);
            let mut files = self.clone();
            // The disk may be slow, and others wait for this thread. Work is waited for, so that
            // a disk that hangs holds one thread and no more.
            let looked = spawn_blocking(move || {
                let svid = (forced || files.have_changed()).then(|| files.load(&provider));
                (files, svid)
            });
            let Ok((files, svid)) = looked.await else { continue };
            self = files;
            match svid {
                None => {}
                Some(Ok(svid)) => {
                    told.clear();
                    let (name, expires) = (svid.name().to_string(), Utc(svid.expires()));
                    let expires = expires.to_string();
                    if publisher.publish(svid) {
                        tracing::info!(name, expires, "a new identity is in force");
                        warned = None;
                    }
                }
                Some(Err(error)) => {
                    let error = error.to_string();
                    if error != told {
                        tracing::error!(error, "the identity stays as it was");
                        told = error;
                    }
                }
            }
            warn_of_end(&publisher, &mut warned);
        }
    }
}

/// Once when the end comes near, and once when it is there.
fn warn_of_end(publisher: &Publisher, warned: &mut Option<bool>) {
    let Some(svid) = publisher.present.borrow().clone() else { return };
    let now = SystemTime::now();
    let left = svid.expires().duration_since(now).ok();
    let whole = svid.expires().duration_since(svid.begins()).unwrap_or(Duration::ZERO);
    let expires = Utc(svid.expires()).to_string();
    match left {
        None if *warned != Some(true) => {
            *warned = Some(true);
            tracing::error!(expires, "the identity has expired: no other agent is asked");
        }
        Some(left) if left < whole / LAST_PART && warned.is_none() => {
            *warned = Some(false);
            tracing::warn!(expires, "the identity expires soon: renew its certificate");
        }
        None | Some(_) => {}
    }
}

fn invalid(
    path: &Path,
    expected: impl Into<String>,
    found: String,
    remedy: &'static str,
) -> IdentityError {
    IdentityError::Invalid { path: path.into(), expected: expected.into(), found, remedy }
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let expected = "certificates in PEM (-----BEGIN CERTIFICATE-----)";
    let remedy = "name the right file, or make it anew";
    let found = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|_| invalid(path, expected, "PEM that is broken".into(), remedy))?;
    if found.is_empty() {
        return Err(invalid(path, expected, "none".into(), remedy));
    }
    Ok(found)
}

fn private_key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, IdentityError> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| {
        let none = matches!(error, pem::Error::NoItemsFound);
        let found =
            if none { "none (one that is encrypted is none)" } else { "PEM that is broken" };
        let expected = "a private key in PEM (-----BEGIN PRIVATE KEY-----)";
        invalid(path, expected, found.into(), "name the right file, or make it anew")
    })
}
