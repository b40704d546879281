//! What the authority makes is what an agent takes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::Parser;

use super::*;
use crate::agent::config::IdentityConfig;
use crate::agent::identity::{Role, Source};

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn partner(words: &str) -> Result<String, String> {
    let line = Line::try_parse_from(std::iter::once("ca").chain(words.split(' ')));
    run(&line.map_err(|error| error.to_string())?.command).map_err(|error| error.to_string())
}

/// A folder that is removed with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("partner-ca-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn identity(folder: &str) -> crate::agent::identity::Identity {
    let folder = Path::new(folder);
    let config = IdentityConfig::Files {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
        trust: folder.join("ca.pem"),
    };
    Source::open(&config, None).unwrap().unwrap().1
}

#[test]
fn two_hosts_of_one_authority_know_each_other() {
    let folder = Folder::new("two");
    let (ca, web, db) = (folder.path("ca"), folder.path("web"), folder.path("db"));
    let said = partner(&format!("init --domain Prod.Example --dir {ca}")).unwrap();
    assert!(said.starts_with("An authority for the security domain prod.example, until "));
    assert!(said.contains(&format!("  {ca}/ca-key.pem\n  {ca}/ca.pem\n")), "{said}");
    assert_eq!((mode(&ca), mode(&format!("{ca}/ca-key.pem"))), (0o700, 0o600));
    let said = partner(&format!(
        "issue --host web --ip 192.0.2.1 2001:db8::1 --ip ::ffff:192.0.2.2 --dir {ca} --out {web}"
    ));
    assert!(said.unwrap().starts_with("spiffe://prod.example/partnerd/web, until "));
    assert_eq!(mode(&format!("{web}/key.pem")), 0o600);
    partner(&format!("issue --host db --any-address --dir {ca} --out {db}")).unwrap();

    let (web, db) = (identity(&web), identity(&db));
    let certificates =
        |of: &crate::agent::identity::Identity| of.current().unwrap().certificates().to_vec();
    let at = |text: &str| text.parse::<IpAddr>().unwrap();
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        let name = db.peer(&certificates(&web), at(address), Role::Client).unwrap();
        assert_eq!(name.to_string(), "spiffe://prod.example/partnerd/web");
    }
    let refused = db.peer(&certificates(&web), at("192.0.2.3"), Role::Server).unwrap_err();
    assert_eq!(refused.kind(), "address");
    assert!(web.peer(&certificates(&db), at("192.0.2.3"), Role::Server).is_ok());
}

#[test]
fn nothing_is_replaced_without_being_told_to() {
    let folder = Folder::new("replace");
    let (ca, web) = (folder.path("ca"), folder.path("web"));
    let init = format!("init --domain d --dir {ca}");
    partner(&init).unwrap();
    let key = fs::read(format!("{ca}/ca-key.pem")).unwrap();
    let error = partner(&init).unwrap_err();
    assert!(error.starts_with(&format!("{ca}/ca-key.pem: expected no such file; found one; name")));
    assert_eq!(fs::read(format!("{ca}/ca-key.pem")).unwrap(), key);

    let issue = format!("issue --host web --any-address --dir {ca} --out {web}");
    partner(&issue).unwrap();
    let error = partner(&issue).unwrap_err();
    assert!(error.contains("or replace the files with --force"), "{error}");
    let old = fs::read(format!("{web}/cert.pem")).unwrap();
    partner(&format!("{issue} --force")).unwrap();
    assert_ne!(fs::read(format!("{web}/cert.pem")).unwrap(), old);
    identity(&web);
    partner(&format!("{init} --force")).unwrap();
    assert_ne!(fs::read(format!("{ca}/ca-key.pem")).unwrap(), key);
    assert_eq!(fs::read_dir(&ca).unwrap().count(), 2);
}

#[test]
fn a_wrong_command_line_is_refused() {
    for (words, expected) in [
        ("init", "--domain"),
        ("init --domain a/b", "expected a domain of 1 to 255 letters"),
        ("init --domain ", "expected a domain of 1 to 255 letters"),
        ("init --domain d --days 0", "0 is not in 1..=7300"),
        ("issue --ip 192.0.2.1", "--host"),
        ("issue --host web", "--ip"),
        ("issue --host a/b --ip 192.0.2.1", "expected a host of 1 to 255 letters"),
        ("issue --host .. --ip 192.0.2.1", "expected a host of 1 to 255 letters"),
        ("issue --host web --ip web", "expected an IP address; write for example 192.0.2.1"),
        ("issue --host web --ip 0.0.0.0", "expected an address of the host; this is none"),
        ("issue --host web --ip ff02::1", "expected an address of the host; found a group's"),
        ("issue --host web --ip 192.0.2.1 --any-address", "cannot be used with"),
        ("issue --host web --ip 192.0.2.1 --days 9999", "9999 is not in 1..=3650"),
    ] {
        let error = partner(words).unwrap_err();
        assert!(error.contains(expected), "{words}: {error}");
    }
}

#[test]
fn an_authority_that_is_not_sound_issues_nothing() {
    let folder = Folder::new("unsound");
    let (ca, other) = (folder.path("ca"), folder.path("other"));
    let issue = |days: u32| {
        let out = folder.path("out");
        let words = format!("issue --host h --any-address --days {days} --dir {ca} --out {out}");
        partner(&words).unwrap_err().split_once(": ").unwrap().1.to_owned()
    };
    assert!(
        issue(1).starts_with("reading the authority's file (see `partner ca init`, and --dir)")
    );
    partner(&format!("init --domain d --days 10 --dir {ca}")).unwrap();
    partner(&format!("init --domain d --dir {other}")).unwrap();
    let error = issue(30);
    assert!(error.starts_with("expected an authority that lasts as long as what it"), "{error}");
    let key = format!("{ca}/ca-key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(issue(1).starts_with("expected a key that nobody but its owner may read"));
    fs::copy(format!("{other}/ca-key.pem"), &key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(issue(1).starts_with("expected the key of the certificate beside it; found that of"));
    fs::write(&key, "no key").unwrap();
    assert!(issue(1).starts_with("expected a private key in PEM; found something else"));
    fs::write(format!("{ca}/ca.pem"), "no certificate").unwrap();
    assert!(issue(1).starts_with("expected the certificate of an authority in PEM; found some"));
    assert!(!Path::new(&folder.path("out")).exists());
}
