//! `partner policy test`.

use super::super::agent::daemon::{NO_DOMAIN, ONE, Partnerd};
use super::{partner, partner_with};

crate::harness::tests![
    it_decides_as_the_policy_does_and_names_the_rule,
    a_policy_that_is_none_has_a_status_of_its_own,
    without_a_file_the_embedded_default_decides,
];

fn it_decides_as_the_policy_does_and_names_the_rule() {
    let files = Partnerd::prepare(Some(ONE), "");
    let file = files.file("policy.toml");
    let path = file.to_str().unwrap();
    let table: [(&[&str], i32, &str); 6] = [
        (&["--user", "1000"], 0, "permit uid 1000 READ"),
        (&["--user", "1000", "--partner", "other"], 0, "permit uid 1000 READ"),
        (&["--user", "1000", "--group", "7"], 0, "permit uid 1000 READ"),
        (&["--user", "1001"], 1, "universal access NONE"),
        (&["--user", "1001", "--privileged"], 0, "privileged caller"),
        (&["--user", "1001", "--host", "db1"], 1, "universal access NONE"),
    ];
    for (arguments, status, rule) in table {
        let ask = |more: &[&str]| {
            let command = [&["policy", "test", "--policy", path], arguments, more].concat();
            partner(0, &command)
        };
        let ran = ask(&["--json"]);
        assert_eq!(ran.status, Some(status), "{arguments:?}: {ran:?}");
        let json = ran.json();
        assert_eq!(json["authorized"], status == 0, "{arguments:?}");
        assert!(json["rule"].as_str().unwrap().contains(rule), "{arguments:?}: {json}");
        let host = if arguments.contains(&"--host") { "EZB.IOCTL.DB1." } else { "EZB.IOCTL." };
        assert!(json["resource"].as_str().unwrap().starts_with(host), "{json}");
        assert_eq!(json["security_domain"], "TEST.DOMAIN");
        let text = ask(&[]);
        let word = if status == 0 { "authorized\n" } else { "not authorized\n" };
        assert!(text.out.starts_with(word) && text.out.contains(rule), "{}", text.out);
    }
}

fn a_policy_that_is_none_has_a_status_of_its_own() {
    let files = Partnerd::prepare(Some(NO_DOMAIN), "");
    files.write("wrong.toml", "[[profile]]\nnmae = \"X\"\n");
    let at = |name: &str| files.file(name).display().to_string();
    let table = [
        (at("wrong.toml"), "1000", 3, "wrong.toml:2"),
        (at("absent.toml"), "1000", 3, "cannot be read"),
        (at("policy.toml"), "no-such-account", 2, "expected an account of this host"),
    ];
    for (path, user, status, message) in table {
        let ran = partner(1000, &["policy", "test", "--user", user, "--policy", &path]);
        assert_eq!(ran.status, Some(status), "{ran:?}");
        assert!(ran.err.contains(message), "{}", ran.err);
    }
    let ran = partner_with(1000, &["policy", "test", "--user", "1000"], |command| {
        command.env("PARTNER_INFO_POLICY", files.file("wrong.toml"));
    });
    assert_eq!(ran.status, Some(3), "the file that programs would read: {ran:?}");
}

fn without_a_file_the_embedded_default_decides() {
    for (partner_is, status) in [("own", 0), ("other", 1)] {
        let ran =
            partner(1000, &["policy", "test", "--user", "1001", "--partner", partner_is, "--json"]);
        assert_eq!(ran.status, Some(status), "{ran:?}");
        assert!(ran.json()["rule"].as_str().unwrap().starts_with("no policy file"));
    }
}
