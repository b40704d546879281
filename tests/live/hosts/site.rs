//! Hosts of one security domain: network namespaces with an agent each, and an authority for all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::super::agent::daemon::{OPEN, Partnerd};
use super::super::agent::places::neighbour;
use super::super::support::Namespace;

/// An authority, made by the program `partner`.
pub(crate) struct Authority(PathBuf);

impl Authority {
    pub(crate) fn new(domain: &str) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let last = LAST.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("partner-ca-{}-{last}", std::process::id()));
        let authority = Self(folder);
        authority.partner(&["init", "--domain", domain]);
        authority
    }

    fn partner(&self, arguments: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partner"));
        command.arg("ca").args(arguments).arg("--dir").arg(&self.0);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A certificate for a host, in a folder of its own.
    pub(crate) fn issue(&self, host: &str, more: &[&str]) -> PathBuf {
        let out = self.0.join(format!("host-{host}"));
        let name = out.to_str().unwrap().to_owned();
        let mut arguments = vec!["issue", "--host", host, "--out", &name, "--force"];
        arguments.extend(if more.is_empty() { &["--any-address"][..] } else { more });
        self.partner(&arguments);
        out
    }

    /// The configuration of a host's agent that serves its own namespace alone.
    pub(crate) fn host(&self, host: &str) -> String {
        configuration("namespaces = \"own\"", &self.issue(host, &[]))
    }

    /// Starts an agent in the calling thread's namespace.
    pub(crate) fn start(&self, host: &str) -> Partnerd {
        self.start_under(host, OPEN)
    }

    /// One with a policy of its own.
    pub(crate) fn start_under(&self, host: &str, policy: &str) -> Partnerd {
        Partnerd::configured(policy, &self.host(host))
    }

    /// Replaces the certificate of a host by one that ends so soon.
    pub(crate) fn issue_for(&self, host: &str, time: Duration) {
        let read = |name| fs::read_to_string(self.0.join(name)).unwrap();
        let folder = self.issue(host, &[]);
        let key = KeyPair::from_pem(&read("ca-key.pem")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), key).unwrap();
        let mut params = CertificateParams::default();
        let name = format!("spiffe://test.domain/partnerd/{host}");
        params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let date =
            |time: Duration| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(time.as_secs());
        params.not_before = date(now - Duration::from_secs(60));
        params.not_after = date(now + time);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        // It is there, with its mode.
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Two hosts of one domain, here and there, with an agent each.
pub(crate) fn two_hosts() -> (Namespace, Authority, Partnerd, Partnerd) {
    let there = neighbour(8);
    let authority = Authority::new("TEST.DOMAIN");
    let (one, two) = (authority.start("one"), there.run(|| authority.start("two")));
    (there, authority, one, two)
}

/// Configuration with an identity, and whatever addresses the tests use in the networks asked.
pub(crate) fn configuration(top: &str, identity: &Path) -> String {
    format!(
        "{top}\n[identity]\ncertificate = {:?}\nkey = {:?}\ntrust = {:?}\n",
        identity.join("cert.pem"),
        identity.join("key.pem"),
        identity.join("ca.pem"),
    )
}
