//! Identities from files, good and bad.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use super::issue::{Authority, Issued};
use super::*;
use crate::agent::config::IdentityConfig;

/// A folder that is removed with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("partnerd-identity-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn config(&self) -> IdentityConfig {
        IdentityConfig::Files {
            certificate: self.0.join("cert.pem"),
            key: self.0.join("key.pem"),
            trust: self.0.join("ca.pem"),
        }
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn fill(&self, issued: &Issued, roots: &[&Authority]) {
        let chain = issued.chain.iter().map(|der| pem("CERTIFICATE", der));
        self.write("cert.pem", &chain.collect::<String>(), 0o644);
        self.write("key.pem", &issued.key.serialize_pem(), 0o600);
        self.write("ca.pem", &roots.iter().map(|root| root.0.pem()).collect::<String>(), 0o644);
    }

    fn error(&self) -> String {
        match Source::open(&self.config(), None) {
            Ok(_) => panic!("an identity"),
            Err(error) => {
                let shown = error.to_string();
                let (file, rest) = shown.split_once(": ").unwrap();
                format!("{}: {rest}", Path::new(file).file_name().unwrap().to_str().unwrap())
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    let mut text = String::new();
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in der.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = letters[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { letter.into() } else { '=' });
        }
    }
    format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
}

#[test]
fn three_files_are_an_identity() {
    let (root, folder) = (Authority::new("root"), Folder::new("good"));
    let below = root.below("below");
    let mut issued = below.agent("web", &[]);
    issued.chain.push(below.der());
    folder.fill(&issued, &[&Authority::new("other"), &root]);
    let (_source, identity) = Source::open(&folder.config(), None).unwrap().unwrap();
    let svid = identity.current().unwrap();
    assert_eq!(svid.name().to_string(), "spiffe://prod.example/partnerd/web");
    assert!(Source::open(&IdentityConfig::Absent, None).unwrap().is_none());

    let domain = |name: &str| name.parse().unwrap();
    assert!(Source::open(&folder.config(), Some(&domain("PROD.EXAMPLE"))).is_ok());
    let error = Source::open(&folder.config(), Some(&domain("TEST"))).err().unwrap().to_string();
    assert!(error.contains("a certificate of TEST, the security domain of the policy"), "{error}");
}

#[test]
fn what_is_wrong_with_files_is_told_with_the_file() {
    let (root, folder) = (Authority::new("root"), Folder::new("bad"));
    let good = root.agent("web", &[]);
    let break_one = |name: &str, text: &str, mode: u32, begins: &str| {
        folder.fill(&good, &[&root]);
        folder.write(name, text, mode);
        let error = folder.error();
        assert!(error.starts_with(begins), "{error}\n{begins}");
    };
    let key = good.key.serialize_pem();
    let other = root.agent("web", &[]).key.serialize_pem();
    let garbage = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    let strange = Authority::new("strange");
    let own = pem("CERTIFICATE", &good.chain[0]);
    for mode in [0o644, 0o640, 0o620, 0o601] {
        let begins = format!(
            "key.pem: expected a key that nobody but its owner may read (mode 0600 or 0400); found \
             mode {mode:04o}; change its mode; if others could read it"
        );
        break_one("key.pem", &key, mode, &begins);
    }
    for (name, text, mode, begins) in [
        ("key.pem", &*other, 0o600, "key.pem: expected the key of the certificate; found the key "),
        ("key.pem", "", 0o600, "key.pem: expected a private key in PEM (-----BEGIN PRIVATE KEY"),
        ("key.pem", &own, 0o600, "key.pem: expected a private key in PEM (-----BEGIN PRIVATE "),
        ("cert.pem", "", 0o644, "cert.pem: expected certificates in PEM (-----BEGIN CERTIFICATE-"),
        ("cert.pem", "hello", 0o644, "cert.pem: expected certificates in PEM"),
        ("cert.pem", garbage, 0o644, "cert.pem: expected certificates in PEM (-----BEGIN CERTIF"),
        ("cert.pem", &root.0.pem(), 0o644, "cert.pem: expected a certificate that issues no othe"),
        ("ca.pem", "", 0o644, "ca.pem: expected certificates in PEM (-----BEGIN CERTIFICATE-----"),
        ("ca.pem", garbage, 0o644, "ca.pem: expected certificates in PEM"),
        ("ca.pem", &own, 0o644, "ca.pem: expected certificates of certificate authorities (CA:TR"),
        ("ca.pem", &strange.0.pem(), 0o644, "cert.pem: expected a certificate issued by one of"),
    ] {
        break_one(name, text, mode, begins);
    }
    let broken = pem("CERTIFICATE", b"not a certificate");
    break_one("cert.pem", &broken, 0o644, "cert.pem: expected an X.509 certificate, version 3");
    break_one("ca.pem", &broken, 0o644, "ca.pem: expected certificates of certificate author");
    let long = "#".repeat((1 << 20) + 1);
    break_one("ca.pem", &long, 0o644, "ca.pem: expected at most 1 MiB (1048576 bytes); found more");
    for name in ["cert.pem", "key.pem", "ca.pem"] {
        folder.fill(&good, &[&root]);
        fs::remove_file(folder.0.join(name)).unwrap();
        let begins = format!("{name}: expected a readable file; found that it cannot be read: No ");
        assert!(folder.error().starts_with(&begins), "{}", folder.error());
    }
}

#[tokio::test]
async fn files_are_read_again_and_what_does_not_fit_leaves_the_old_in_force() {
    let (root, folder) = (Authority::new("root"), Folder::new("again"));
    folder.fill(&root.agent("one", &[]), &[&root]);
    let (source, mut identity) = Source::open(&folder.config(), None).unwrap().unwrap();
    identity.changed().await;
    let reread = source.reread();
    let running = tokio::spawn(source.run());

    // The key comes later than the certificate.
    let two = root.agent("two", &[]);
    folder.write("cert.pem", &pem("CERTIFICATE", &two.chain[0]), 0o644);
    reread.notify_one();
    assert!(timeout(Duration::from_millis(200), identity.changed()).await.is_err());
    assert_eq!(identity.current().unwrap().name().host(), "one");
    folder.fill(&two, &[&root]);
    reread.notify_one();
    timeout(Duration::from_secs(30), identity.changed()).await.unwrap();
    assert_eq!(identity.current().unwrap().name().host(), "two");

    // Noticed without being told.
    folder.fill(&root.agent("three", &[]), &[&root]);
    timeout(Duration::from_secs(60), identity.changed()).await.unwrap();
    assert_eq!(identity.current().unwrap().name().host(), "three");
    running.abort();
}
