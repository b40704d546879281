//! `partner doctor`.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;

use super::super::agent::daemon::{NO_DOMAIN, ONE, OPEN, Partnerd};
use super::super::hosts::site::{Authority, two_hosts};
use super::super::puppet::Puppet;
use super::super::sandbox::refuse_netlink;
use super::{Ran, partner, partner_with};

crate::harness::tests![
    without_an_agent_all_that_is_needed_is_well,
    an_agent_that_answers_is_told_so,
    an_agent_that_does_not_answer_is_told_apart_from_one_that_is_not_there,
    who_is_not_permitted_is_warned_of_it,
    what_is_wrong_with_a_file_is_said_with_its_line,
    two_domains_on_one_host_are_found,
    a_certificate_that_ends_is_warned_of_and_one_that_has_ended_fails,
    the_agent_of_another_host_says_who_it_is,
    without_netlink_the_kernel_fails,
];

/// What is said of something: how it is, what it is, and what to do.
#[track_caller]
fn check(ran: &Ran, name: &str) -> (String, String) {
    let json = ran.json();
    assert_eq!(json["version"], 1);
    let found = json["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name}: {json}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    assert!(text("result") == "ok" || !(text("what") + &text("remedy")).is_empty());
    (text("result"), text("what"))
}

/// As a program of this user would find it, with the files of an agent.
fn doctor(uid: u32, files: &Partnerd, more: &[&str]) -> Ran {
    doctor_under(uid, files, "policy.toml", more)
}

fn doctor_under(uid: u32, files: &Partnerd, policy: &str, more: &[&str]) -> Ran {
    let config = files.file("partnerd.toml");
    let arguments = [&["doctor", "--json", "--config", config.to_str().unwrap()], more].concat();
    partner_with(uid, &arguments, |command| {
        command.env("PARTNER_INFO_AGENT", files.socket());
        command.env("PARTNER_INFO_POLICY", files.file(policy));
    })
}

#[track_caller]
fn assert_check(ran: &Ran, name: &str, result: &str, what: &str) {
    let found = check(ran, name);
    assert!(found.0 == result && found.1.contains(what), "{name}: {found:?}");
}

fn without_an_agent_all_that_is_needed_is_well() {
    for (uid, bpf) in [(0, "ok"), (1000, "warn")] {
        let ask = |arguments: &[&str]| {
            partner_with(uid, arguments, |command| {
                command.env("PARTNER_INFO_AGENT", "/nowhere/partnerd.sock");
            })
        };
        let ran = ask(&["doctor", "--json"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert_check(&ran, "kernel", "ok", &uid.to_string());
        assert_check(&ran, "bpf", bpf, "");
        assert_check(&ran, "policy", "ok", "/etc/partner-info/policy.toml is not there");
        assert_check(&ran, "agent", "warn", "none at /nowhere/partnerd.sock");
        assert_check(&ran, "identity", "ok", "none");
        assert_check(&ran, "domain", "ok", "none");
        let text = ask(&["doctor"]);
        assert_eq!(text.status, Some(0));
        let begins = |line: &str| line.starts_with("ok    ") || line.starts_with("warn  ");
        let is_line = |line: &str| begins(line) || line.trim_start().starts_with("-> ");
        assert!(text.out.lines().all(is_line), "{}", text.out);
    }
}

fn an_agent_that_answers_is_told_so() {
    let agent = Partnerd::start(OPEN);
    for uid in [0, 1000] {
        let ran = doctor(uid, &agent, &[]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert_check(&ran, "agent", "ok", "answers at ");
        assert_check(&ran, "policy", "ok", "policy.toml is in force");
        assert_check(&ran, "config", "ok", "partnerd.toml is valid");
        assert_check(&ran, "domain", "ok", "TEST.DOMAIN");
        assert_check(&ran, "resource", "ok", ".TCPIP.PARTNERINFO");
    }
}

fn an_agent_that_does_not_answer_is_told_apart_from_one_that_is_not_there() {
    let agent = Partnerd::start(OPEN);
    agent.kill();
    let ran = doctor(1000, &agent, &[]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_check(&ran, "agent", "fail", "is there, and nobody answers");
    agent.run();
    assert_eq!(doctor(1000, &agent, &[]).status, Some(0));

    // Somebody else's program in the agent's place.
    let impostor = Puppet::new(1001);
    let path = std::env::temp_dir().join(format!("partner-doctor-{}", std::process::id()));
    impostor.must(&format!("impostor silent {}", path.display()));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let ran = partner_with(1000, &["doctor", "--json"], |command| {
        command.env("PARTNER_INFO_AGENT", &path);
    });
    let _ = std::fs::remove_file(&path);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_check(&ran, "agent", "fail", "user 1001 listens at ");
}

fn who_is_not_permitted_is_warned_of_it() {
    let agent = Partnerd::start(ONE);
    assert_check(&doctor(1000, &agent, &[]), "agent", "ok", "answers at ");
    let ran = doctor(1002, &agent, &[]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert_check(&ran, "agent", "warn", "uid 1002 (");
    assert_check(&ran, "kernel", "ok", "1002");
}

fn what_is_wrong_with_a_file_is_said_with_its_line() {
    let files = Partnerd::prepare(Some("[[profile]]\nnmae = \"X\"\n"), "");
    let ran = doctor(1000, &files, &[]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_check(&ran, "policy", "fail", "policy.toml:2");
    assert_check(&ran, "agent-policy", "fail", "policy.toml:2");
    files.write("policy.toml", OPEN);
    files.write("partnerd.toml", "polici = 1\n");
    let ran = doctor(1000, &files, &[]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_check(&ran, "config", "fail", "partnerd.toml:1");
    let ran = partner(1000, &["doctor", "--json", "--config", "/nowhere/partnerd.toml"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_check(&ran, "config", "fail", "/nowhere/partnerd.toml");
}

fn two_domains_on_one_host_are_found() {
    let agent = Partnerd::start(OPEN);
    agent.write("programs.toml", NO_DOMAIN);
    let ran = doctor_under(0, &agent, "programs.toml", &[]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_check(
        &ran,
        "domain",
        "fail",
        "none by the policy of programs, TEST.DOMAIN by that of the",
    );
}

fn a_certificate_that_ends_is_warned_of_and_one_that_has_ended_fails() {
    let authority = Authority::new("TEST.DOMAIN");
    let files = Partnerd::prepare(Some(OPEN), &authority.host("one"));
    let name = "spiffe://test.domain/partnerd/one, until ";
    let identity = |uid| check(&doctor(uid, &files, &[]), "identity");
    let (result, what) = identity(0);
    assert!(result == "ok" && what.starts_with(name), "{what}");
    assert_eq!(identity(1000).0, "warn", "its key is root's");
    // It began a minute ago.
    authority.issue_for("one", Duration::from_secs(10));
    let (result, what) = identity(0);
    assert!(result == "warn" && what.starts_with(name), "{what}");
    authority.issue_for("one", Duration::ZERO);
    let ran = doctor(0, &files, &[]);
    assert_check(&ran, "identity", "fail", "expired");
    let other = Authority::new("OTHER.DOMAIN");
    let files = Partnerd::prepare(Some(OPEN), &other.host("one"));
    assert_check(
        &doctor(0, &files, &[]),
        "identity",
        "fail",
        "expected a certificate of TEST.DOMAIN",
    );
}

fn the_agent_of_another_host_says_who_it_is() {
    let (there, authority, one, two) = two_hosts();
    let ran = doctor(0, &one, &["--host", "10.7.8.2", "--host", "fd07:8::2"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let hosts: Vec<Value> = ran.json()["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["name"] == "host")
        .cloned()
        .collect();
    assert_eq!(hosts.len(), 2, "{ran:?}");
    for host in hosts {
        assert!(host["what"].as_str().unwrap().contains(": two of test.domain"), "{host}");
    }
    // Its own certificate is what it proves itself with.
    let ran = doctor(1000, &one, &["--host", "10.7.8.2"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_check(&ran, "host", "fail", "no identity");
    two.kill();
    let ran = doctor(0, &one, &["--host", "10.7.8.2"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_check(&ran, "host", "fail", "10.7.8.2 port 62994: ");

    // One that both do not trust.
    let stranger = Authority::new("TEST.DOMAIN");
    let third = there.run(|| stranger.start("two"));
    assert_check(&doctor(0, &one, &["--host", "10.7.8.2"]), "host", "fail", "not trusted");
    third.kill();
    drop(authority);
}

fn without_netlink_the_kernel_fails() {
    // What the thread may not do, its children may not.
    let ran = std::thread::spawn(|| {
        refuse_netlink(libc::EAFNOSUPPORT);
        partner_with(1000, &["doctor", "--json"], |command| {
            command.env("PARTNER_INFO_AGENT", "/nowhere/partnerd.sock");
        })
    });
    let ran = ran.join().unwrap();
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_check(&ran, "kernel", "fail", "unsupported");
}
