//! The policy file: what is accepted, and the message for each thing that is not.

#![allow(clippy::unwrap_used, reason = "tests say directly what they expect")]

use std::collections::HashSet;

use partner_info::policy::{Access, MAX_POLICY_BYTES, Policy, PolicyRule, RuleKind};
use partner_info::policy::{Caller, PartnerStack};

fn parse(text: &str) -> Policy {
    Policy::parse("policy.toml", text).unwrap()
}

#[test]
fn the_files_of_the_manuals_are_policies() {
    let pages = [include_str!("../docs/policy.md"), include_str!("../docs/administration.md")];
    let files: Vec<_> = pages
        .iter()
        .flat_map(|page| page.split("```toml\n").skip(1))
        .map(|rest| parse(rest.split("```").next().unwrap()))
        .collect();
    assert_eq!(files.len(), 3);
    let alice = Caller::new(1000).named("alice").in_groups(&[]);
    for policy in &files {
        let resource = policy.resource("web1.example.com").unwrap();
        assert_eq!(resource.as_str(), "EZB.IOCTL.WEB1.TCPIP.PARTNERINFO");
        assert!(policy.decide(&alice, &resource, PartnerStack::Own).is_authorized());
    }
    assert_eq!(files[2].security_domain().unwrap().as_str(), "PROD.EXAMPLE");
}

#[test]
fn the_whole_format() {
    let policy = parse(
        r#"
version = 1
stack = "tcpip2"

[[profile]]
name = "EZBDOMAIN"
appldata = "Prod.Example"
uacc = "none"

[[profile]]
name = "EZB.IOCTL.*.*.PARTNERINFO"
uacc = "Read"

[[profile.permit]]
group = "staff"
access = "alter"
[[profile.permit]]
gid = 20
access = "CONTROL"
[[profile.permit]]
uid = 1000
access = "UPDATE"
[[profile.permit]]
user = "CORP\\al ice"
access = "NONE"

[[profile]]
name = "EZB.IOCTL.WEB1.*.PARTNERINFO"
permit = [{ user = "bob", access = "READ" }]
"#,
    );
    assert_eq!(policy.stack(), "tcpip2");
    assert_eq!(policy.security_domain().unwrap().as_str(), "Prod.Example");
    assert_eq!(policy.resource("h.x").unwrap().as_str(), "EZB.IOCTL.H.TCPIP2.PARTNERINFO");

    let profiles: Vec<_> = policy.profiles().collect();
    let names: Vec<_> = profiles.iter().map(|profile| profile.name()).collect();
    assert_eq!(names, ["EZB.IOCTL.WEB1.*.PARTNERINFO", "EZB.IOCTL.*.*.PARTNERINFO"]);
    assert_eq!(profiles[0].universal_access(), Access::None);
    assert_eq!(profiles[1].universal_access(), Access::Read);
    assert_eq!((profiles[0].line(), profiles[1].line()), (28, 11));
    let permits: Vec<_> =
        profiles[1].permits().map(|permit| (permit.to_string(), permit.line())).collect();
    let expected = [
        ("permit user CORP\\al ice NONE", 24),
        ("permit uid 1000 UPDATE", 21),
        ("permit group staff ALTER", 15),
        ("permit gid 20 CONTROL", 18),
    ];
    assert_eq!(permits, expected.map(|(permit, line)| (permit.to_owned(), line)));
    assert_eq!(profiles[0].permits().next().unwrap().line(), 29);
}

#[test]
fn an_empty_file_is_a_policy_that_authorizes_nobody() {
    for text in ["", "\n# nothing\n", "version = 1\n", "profile = []\n"] {
        let policy = parse(text);
        assert_eq!(policy.profiles().len(), 0);
        assert_eq!(policy.security_domain(), None);
        assert_eq!(policy.stack(), "TCPIP");
        let resource = policy.resource("web1").unwrap();
        for stack in [PartnerStack::Own, PartnerStack::Other] {
            let decision = policy.decide(&Caller::new(1000), &resource, stack);
            assert!(!decision.is_authorized());
            assert_eq!(decision.rule().kind(), RuleKind::NoProfile);
            assert_eq!(decision.to_string(), "no profile matches (policy.toml)");
        }
    }
}

/// Each rule, a text that breaks it, and the place it is reported at.
const FAULTS: &[(PolicyRule, &str, usize, usize)] = &[
    (PolicyRule::Syntax, "version = 1\nversion = 1\n", 2, 1),
    (PolicyRule::Syntax, "[[profile]]\nname = \"A\n", 2, 10),
    (PolicyRule::Syntax, "stack\n", 1, 6),
    (PolicyRule::Syntax, "[[profile]]\nname = \"A\u{1}B\"\n", 2, 10),
    (PolicyRule::UnknownKey, "version = 1\nprofiles = []\n", 2, 1),
    (PolicyRule::UnknownKey, "[[profile]]\nname = \"A\"\nUACC = \"READ\"\n", 3, 1),
    (
        PolicyRule::UnknownKey,
        "[[profile]]\nname = \"A\"\n[[profile.permit]]\nuser = \"a\"\nacces = \"READ\"\n",
        5,
        1,
    ),
    (PolicyRule::UnknownKey, "[[profile]]\nname = \"A\"\n[security]\n", 3, 2),
    (PolicyRule::MissingKey, "version = 1\n[[profile]]\nuacc = \"READ\"\n", 2, 1),
    (PolicyRule::MissingKey, "[[profile]]\nname = \"A\"\n[[profile.permit]]\nuser = \"a\"\n", 3, 1),
    (PolicyRule::ValueType, "stack = 5\n", 1, 9),
    (PolicyRule::ValueType, "version = \"1\"\n", 1, 11),
    (PolicyRule::ValueType, "[profile]\nname = \"A\"\n", 1, 1),
    (
        PolicyRule::ValueType,
        "[[profile]]\nname = \"A\"\npermit = [{ uid = \"1000\", access = \"READ\" }]\n",
        3,
        19,
    ),
    (PolicyRule::Version, "# two\nversion = 2\n", 2, 11),
    (PolicyRule::StackName, "stack = \"\"\n", 1, 9),
    (PolicyRule::StackName, "stack = \"TCP.IP\"\n", 1, 9),
    (PolicyRule::StackName, "stack = \"TCP*\"\n", 1, 9),
    (PolicyRule::StackName, "stack = \"TC PIP\"\n", 1, 9),
    (PolicyRule::ProfileLength, "[[profile]]\nname = \"\"\n", 2, 8),
    (PolicyRule::ProfileCharacter, "[[profile]]\nname = \"A\\u0007B\"\n", 2, 8),
    (PolicyRule::ProfileCharacter, "[[profile]]\nname = \"Ä\"\n", 2, 8),
    (PolicyRule::EmptyQualifier, "[[profile]]\nname = \"A..B\"\n", 2, 8),
    (PolicyRule::DoubleStarTwice, "[[profile]]\nname = \"**.A.**\"\n", 2, 8),
    (PolicyRule::DoubleStarPart, "[[profile]]\nname = \"A.B**\"\n", 2, 8),
    (PolicyRule::StarPlace, "[[profile]]\nname = \"A.*B\"\n", 2, 8),
    (PolicyRule::PercentStar, "[[profile]]\nname = \"A.B%*\"\n", 2, 8),
    (PolicyRule::RacfVariable, "[[profile]]\nname = \"A.&X\"\n", 2, 8),
    (
        PolicyRule::DuplicateProfile,
        "[[profile]]\nname = \"A.B\"\n[[profile]]\nname = \"a.b\"\n",
        4,
        8,
    ),
    (
        PolicyRule::DuplicateProfile,
        "profile = [{ name = \"EZBDOMAIN\", appldata = \"A\" },\n\
         { name = \"ezbdomain\", appldata = \"A\" }]\n",
        2,
        10,
    ),
    (PolicyRule::AccessWord, "[[profile]]\nname = \"A\"\nuacc = \"REED\"\n", 3, 8),
    (PolicyRule::AccessWord, "[[profile]]\nname = \"A\"\nuacc = \"\"\n", 3, 8),
    (
        PolicyRule::AccessWord,
        "[[profile]]\nname = \"A\"\npermit = [{ uid = 1, access = \"EXECUTE\" }]\n",
        3,
        31,
    ),
    (
        PolicyRule::PermitSubject,
        "[[profile]]\nname = \"A\"\n[[profile.permit]]\naccess = \"READ\"\n",
        3,
        1,
    ),
    (
        PolicyRule::PermitSubject,
        "[[profile]]\nname = \"A\"\npermit = [{ user = \"a\", uid = 1, access = \"READ\" }]\n",
        3,
        11,
    ),
    (
        PolicyRule::AccountName,
        "[[profile]]\nname = \"A\"\npermit = [{ user = \"1000\", access = \"NONE\" }]\n",
        3,
        20,
    ),
    (
        PolicyRule::AccountName,
        "[[profile]]\nname = \"A\"\npermit = [{ group = \"*\", access = \"READ\" }]\n",
        3,
        21,
    ),
    (
        PolicyRule::AccountNumber,
        "[[profile]]\nname = \"A\"\npermit = [{ uid = -1, access = \"NONE\" }]\n",
        3,
        19,
    ),
    (
        PolicyRule::AccountNumber,
        "[[profile]]\nname = \"A\"\npermit = [{ gid = 65534, access = \"READ\" }]\n",
        3,
        19,
    ),
    (
        PolicyRule::DuplicatePermit,
        "[[profile]]\nname = \"A\"\npermit = [{ user = \"al\", access = \"NONE\" },\n\
         { user = \"AL\", access = \"READ\" }]\n",
        4,
        10,
    ),
    (
        PolicyRule::DuplicatePermit,
        "[[profile]]\nname = \"A\"\npermit = [{ gid = 0x10, access = \"READ\" },\n\
         { gid = 16, access = \"READ\" }]\n",
        4,
        9,
    ),
    (PolicyRule::DomainMissing, "[[profile]]\nname = \"EZBDOMAIN\"\n", 2, 8),
    (PolicyRule::DomainLength, "[[profile]]\nname = \"EZBDOMAIN\"\nappldata = \"\"\n", 3, 12),
    (
        PolicyRule::DomainCharacter,
        "[[profile]]\nname = \"ezbdomain\"\nappldata = \"a\\n\"\n",
        3,
        12,
    ),
    (
        PolicyRule::DomainAccess,
        "[[profile]]\nname = \"EZBDOMAIN\"\nappldata = \"A\"\nuacc = \"READ\"\n",
        4,
        8,
    ),
    (
        PolicyRule::DomainAccess,
        "[[profile]]\nname = \"EZBDOMAIN\"\nappldata = \"A\"\n[[profile.permit]]\nuid = 0\n\
         access = \"NONE\"\n",
        4,
        1,
    ),
    (PolicyRule::AppldataPlace, "[[profile]]\nname = \"EZBDOMAI*\"\nappldata = \"A\"\n", 3, 12),
];

#[test]
fn each_fault_names_file_line_and_rule() {
    for (rule, text, line, column) in FAULTS {
        let error = Policy::parse("etc/policy.toml", text).expect_err(text);
        assert_eq!(error.rule(), *rule, "{text:?}: {error}");
        assert_eq!((error.line(), error.column()), (*line, *column), "{text:?}: {error}");
        let message = error.to_string();
        let start = format!("etc/policy.toml:{line}:{column}: [{}] ", rule.code());
        assert!(message.starts_with(&start), "{message}");
        assert!(message.ends_with(rule.remedy()), "{message}");
        assert!(!message.contains(char::is_control), "{message}");
        // The same fault in a file with the other kind of line break, and behind a byte order
        // mark, as editors of other systems write them.
        let broken = Policy::parse("x", &format!("\u{feff}{}", text.replace('\n', "\r\n")));
        let broken = broken.expect_err(text);
        assert_eq!((broken.rule(), broken.line()), (*rule, *line), "{text:?}: {broken}");
    }
}

#[test]
fn lengths_at_the_limit() {
    for (length, accepted) in [(1, true), (255, true), (256, false)] {
        let long = "D".repeat(length);
        let text = format!("[[profile]]\nname = \"EZBDOMAIN\"\nappldata = \"{long}\"\n");
        let rule = Policy::parse("p", &text).map(|_| ()).map_err(|error| error.rule());
        assert_eq!(rule, if accepted { Ok(()) } else { Err(PolicyRule::DomainLength) });
        let text = format!("[[profile]]\nname = \"{long}\"\n");
        let rule = Policy::parse("p", &text).map(|_| ()).map_err(|error| error.rule());
        assert_eq!(rule, if accepted { Ok(()) } else { Err(PolicyRule::ProfileLength) });
    }
    let fits = format!("#{}", " ".repeat(MAX_POLICY_BYTES - 1));
    assert!(Policy::parse("p", &fits).is_ok());
    let error = Policy::parse("p", &format!("{fits} ")).unwrap_err();
    assert_eq!((error.rule(), error.line()), (PolicyRule::TextSize, 1));
}

#[test]
fn every_rule_has_a_fault_that_shows_it() {
    let shown: HashSet<_> = FAULTS.iter().map(|(rule, ..)| *rule).collect();
    for rule in PolicyRule::ALL {
        assert!(shown.contains(rule) || *rule == PolicyRule::TextSize, "{}", rule.code());
    }
}

#[test]
fn the_manual_lists_every_rule_in_its_own_words() {
    // Ends of lines and the marks of a table do not count as words.
    let manual = include_str!("../docs/policy.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for rule in PolicyRule::ALL {
        let row = format!("| `{}` | {} | {} |", rule.code(), rule.expected(), rule.remedy());
        assert!(manual.contains(&row), "{row}");
    }
}

#[test]
fn a_file_name_cannot_forge_a_line_of_the_log() {
    let error = Policy::parse("p\u{1b}[2J\nok", "x").unwrap_err();
    assert_eq!(error.file(), "p\\u{1b}[2J\\nok");
}

#[test]
fn deep_nesting_is_an_error_and_not_an_overflow() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("x = {}{}\n", open.repeat(100_000), close.repeat(100_000));
        assert_eq!(Policy::parse("p", &text).unwrap_err().line(), 1);
    }
    let text = format!("{}x = 1\n", "a.".repeat(100_000));
    assert_eq!(Policy::parse("p", &text).unwrap_err().line(), 1);
}

#[test]
fn the_canonical_form_is_read_as_the_same_policy() {
    let policy = parse(
        "stack = \"S\\\"\\\\\"\n\
         profile = [{ name = \"**\", permit = [{ user = 'A\\b\"c', access = 'read' }] },\n\
         { name = \"ezbdomain\", appldata = 'a\"\\b' }, { name = \"A.*\", uacc = \"update\" }]\n",
    );
    let form = policy.to_toml();
    assert_eq!(
        form,
        "version = 1\nstack = \"S\\\"\\\\\"\n\n\
         [[profile]]\nname = \"EZBDOMAIN\"\nappldata = \"a\\\"\\\\b\"\n\n\
         [[profile]]\nname = \"A.*\"\nuacc = \"UPDATE\"\n\n\
         [[profile]]\nname = \"**\"\nuacc = \"NONE\"\n\
         [[profile.permit]]\nuser = \"A\\\\b\\\"c\"\naccess = \"READ\"\n"
    );
    assert_eq!(parse(&form).to_toml(), form);
    assert_eq!(Policy::embedded().to_toml(), "version = 1\nstack = \"TCPIP\"\n");
}
