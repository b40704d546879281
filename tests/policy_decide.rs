//! Who is authorized, and which rule is named for it.

#![allow(clippy::unwrap_used, reason = "tests say directly what they expect")]

use partner_info::policy::{Caller, Group, PartnerStack, Policy, RuleKind};

const POLICY: &str = r#"
[[profile]]
name = "EZB.IOCTL.*.*.PARTNERINFO"
[[profile.permit]]
user = "alice"
access = "READ"
[[profile.permit]]
user = "mallory"
access = "NONE"
[[profile.permit]]
uid = 1002
access = "ALTER"
[[profile.permit]]
group = "staff"
access = "UPDATE"
[[profile.permit]]
gid = 300
access = "NONE"

[[profile]]
name = "EZB.IOCTL.OPEN.*.PARTNERINFO"
uacc = "READ"
[[profile.permit]]
user = "mallory"
access = "NONE"
[[profile.permit]]
gid = 300
access = "NONE"

[[profile]]
name = "EZB.IOCTL.OPEN.TCPIP.PARTNERINFO"
uacc = "CONTROL"

[[profile]]
name = "EZB.IOCTL.GROUPS.*.PARTNERINFO"
uacc = "READ"
[[profile.permit]]
group = "none1"
access = "NONE"
[[profile.permit]]
group = "none2"
access = "NONE"
[[profile.permit]]
group = "some"
access = "CONTROL"

[[profile]]
name = "EZB.IOCTL.BOTH.*.PARTNERINFO"
[[profile.permit]]
user = "bob"
access = "NONE"
[[profile.permit]]
uid = 2000
access = "READ"
"#;

/// Groups by number and name; an empty name is an unknown one.
fn groups(list: &[(u32, &'static str)]) -> Vec<Group<'static>> {
    list.iter().map(|(gid, name)| Group::new(*gid).named(name)).collect()
}

/// Asks about the resource of one host, for a partner in another stack. Returns the decision and
/// the rule.
fn ask(sysname: &str, caller: &Caller<'_>) -> (bool, String) {
    let policy = Policy::parse("p.toml", POLICY).unwrap();
    let resource = policy.resource(sysname).unwrap();
    let decision = policy.decide(caller, &resource, PartnerStack::Other);
    let rule = decision.to_string();
    // The answer must not depend on where the partner is once there is a policy file.
    let own = policy.decide(caller, &resource, PartnerStack::Own);
    assert_eq!((own.is_authorized(), own.to_string()), (decision.is_authorized(), rule.clone()));
    (decision.into_result().is_ok(), rule)
}

/// Host, uid, user, groups; whether authorized, and the rule.
type Case = (&'static str, u32, &'static str, &'static [(u32, &'static str)], bool, &'static str);

#[test]
fn a_caller_of_whom_all_is_known() {
    let table: &[Case] = &[
        // The user's own entry.
        (
            "web1",
            1000,
            "alice",
            &[],
            true,
            "permit user alice READ in profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:5)",
        ),
        (
            "web1",
            1000,
            "ALICE",
            &[],
            true,
            "permit user alice READ in profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:5)",
        ),
        (
            "web1",
            1002,
            "carol",
            &[],
            true,
            "permit uid 1002 ALTER in profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:11)",
        ),
        // beats a group's.
        (
            "web1",
            1001,
            "mallory",
            &[(200, "staff")],
            false,
            "permit user mallory NONE in profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:8)",
        ),
        (
            "web1",
            1000,
            "alice",
            &[(300, "x")],
            true,
            "permit user alice READ in profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:5)",
        ),
        // Of groups, the highest.
        (
            "web1",
            1003,
            "dave",
            &[(200, "Staff")],
            true,
            "permit group staff UPDATE in profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:14)",
        ),
        (
            "web1",
            1003,
            "dave",
            &[(300, "x")],
            false,
            "permit gid 300 NONE in profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:17)",
        ),
        (
            "web1",
            1003,
            "dave",
            &[(300, "x"), (200, "staff")],
            true,
            "permit group staff UPDATE in profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:14)",
        ),
        (
            "groups",
            1003,
            "dave",
            &[(1, "none1"), (2, "some"), (3, "none2")],
            true,
            "permit group some CONTROL in profile EZB.IOCTL.GROUPS.*.PARTNERINFO (p.toml:44)",
        ),
        (
            "groups",
            1003,
            "dave",
            &[(1, "none1"), (3, "none2")],
            false,
            "permit group none1 NONE in profile EZB.IOCTL.GROUPS.*.PARTNERINFO (p.toml:38)",
        ),
        // Universal access, where no entry is for the caller, written out or not.
        (
            "web1",
            1003,
            "dave",
            &[(1, "users")],
            false,
            "universal access NONE of profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:3)",
        ),
        (
            "groups",
            1003,
            "dave",
            &[(1, "users")],
            true,
            "universal access READ of profile EZB.IOCTL.GROUPS.*.PARTNERINFO (p.toml:36)",
        ),
        // The most specific profile decides, and no other is asked.
        (
            "open",
            1001,
            "mallory",
            &[],
            true,
            "universal access CONTROL of profile EZB.IOCTL.OPEN.TCPIP.PARTNERINFO (p.toml:32)",
        ),
        // By name and by number: the lower.
        (
            "both",
            2000,
            "bob",
            &[],
            false,
            "permit user bob NONE in profile EZB.IOCTL.BOTH.*.PARTNERINFO (p.toml:50)",
        ),
        (
            "both",
            2000,
            "robert",
            &[],
            true,
            "permit uid 2000 READ in profile EZB.IOCTL.BOTH.*.PARTNERINFO (p.toml:53)",
        ),
        // Root is not privileged by its number.
        (
            "web1",
            0,
            "root",
            &[(0, "root")],
            false,
            "universal access NONE of profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:3)",
        ),
        // A user is not a group, a uid not a gid.
        (
            "web1",
            200,
            "staff",
            &[(1002, "alice")],
            false,
            "universal access NONE of profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:3)",
        ),
    ];
    for (sysname, uid, user, member, authorized, rule) in table {
        let member = groups(member);
        let caller = Caller::new(*uid).named(user).in_groups(&member);
        assert_eq!(ask(sysname, &caller), (*authorized, (*rule).to_owned()));
        let (authorized, rule) = ask(sysname, &caller.privileged(true));
        assert_eq!((authorized, rule.as_str()), (true, "privileged caller"));
    }
}

#[test]
fn what_is_unknown_never_lets_a_caller_in() {
    let no_groups = groups(&[]);
    let staff = groups(&[(200, "staff")]);
    let nameless = groups(&[(7, "")]);
    let some_and_nameless = groups(&[(2, "some"), (7, "")]);
    let overflow = groups(&[(65534, "nogroup")]);
    let known = || Caller::new(1003).named("dave").in_groups(&no_groups);
    assert!(!ask("web1", &known()).0);
    assert!(ask("groups", &known()).0);

    let may = |permit: &str, profile: &str, line: usize| {
        let known = "may be for this caller, whose names or groups are not all known";
        (
            false,
            format!(
                "{permit} in profile EZB.IOCTL.{profile}.*.PARTNERINFO {known} (p.toml:{line})"
            ),
        )
    };
    let by = |rule: &str, profile: &str, line: usize| {
        format!("{rule} EZB.IOCTL.{profile}.*.PARTNERINFO (p.toml:{line})")
    };

    // The name could be mallory's, whose entry beats that of the group and that of the uid.
    let caller = Caller::new(1003).in_groups(&staff);
    assert_eq!(ask("web1", &caller), may("permit user mallory NONE", "*", 8));
    let caller = Caller::new(1002).in_groups(&no_groups);
    assert_eq!(ask("web1", &caller), may("permit user mallory NONE", "*", 8));
    let caller = Caller::new(2000).in_groups(&no_groups);
    assert_eq!(ask("both", &caller), may("permit user bob NONE", "BOTH", 50));
    // It could be alice's, but that is no reason to let it in.
    let caller = Caller::new(1003).in_groups(&no_groups);
    assert_eq!(ask("web1", &caller), (false, by("universal access NONE of profile", "*", 3)));
    // No entry of this profile is for a user, so that the name makes no difference.
    assert!(ask("groups", &caller).0);

    // The group could be one that is refused, or one that is not.
    let caller = Caller::new(1003).named("dave").in_groups(&nameless);
    assert_eq!(ask("groups", &caller), may("permit group none1 NONE", "GROUPS", 38));
    assert!(!ask("web1", &caller).0);
    // Whatever it is, the highest of the groups decides, and that is enough already.
    let caller = Caller::new(1003).named("dave").in_groups(&some_and_nameless);
    assert_eq!(
        ask("groups", &caller),
        (true, by("permit group some CONTROL in profile", "GROUPS", 44))
    );
    // All groups unknown, and an overflow gid, whatever its name.
    assert_eq!(
        ask("groups", &Caller::new(1003).named("dave")),
        may("permit group none1 NONE", "GROUPS", 38)
    );
    let caller = Caller::new(1003).named("dave").in_groups(&overflow);
    assert_eq!(ask("groups", &caller), may("permit group none1 NONE", "GROUPS", 38));
    // A user's own entry needs no groups.
    assert!(ask("web1", &Caller::new(1000).named("alice")).0);

    // An overflow uid is not the account of that name.
    let caller = Caller::new(65534).named("alice").in_groups(&no_groups);
    assert!(!ask("web1", &caller).0);
    let caller = Caller::new(1002).named("alice").in_groups(&no_groups).unmapped();
    assert!(!ask("web1", &caller).0);
    assert!(ask("open", &caller).0);
}

#[test]
fn without_a_policy_file_the_own_stack_is_open_and_others_are_not() {
    let policy = Policy::embedded();
    let resource = policy.resource("web1").unwrap();
    assert_eq!(resource.as_str(), "EZB.IOCTL.WEB1.TCPIP.PARTNERINFO");
    assert_eq!(policy.security_domain(), None);
    let caller = Caller::new(1000);
    for (caller, stack, kind, authorized) in [
        (caller.clone(), PartnerStack::Own, RuleKind::OwnStack, true),
        (caller.clone(), PartnerStack::Other, RuleKind::NoPolicyFile, false),
        (caller.clone().privileged(true), PartnerStack::Other, RuleKind::Privileged, true),
    ] {
        let decision = policy.decide(&caller, &resource, stack);
        assert_eq!((decision.rule().kind(), decision.is_authorized()), (kind, authorized));
        assert_eq!((decision.rule().file(), decision.rule().line()), (None, None));
        if let Ok(proof) = decision.into_result() {
            assert_eq!((proof.uid(), proof.stack()), (1000, stack));
        }
    }
}

#[test]
fn a_refusal_tells_who_asked_for_what_and_which_rule_decided() {
    let policy = Policy::parse("p.toml", POLICY).unwrap();
    let resource = policy.resource("web1.example").unwrap();
    let caller = Caller::new(1001).named("mallory");
    let refusal = policy.decide(&caller, &resource, PartnerStack::Other).into_result().unwrap_err();
    assert_eq!((refusal.uid(), refusal.user()), (1001, Some("mallory")));
    assert_eq!(refusal.resource(), &resource);
    let rule = refusal.rule();
    assert_eq!(
        (rule.kind(), rule.file(), rule.line()),
        (RuleKind::Permit, Some("p.toml"), Some(8))
    );
    assert_eq!(rule.profile().unwrap().name(), "EZB.IOCTL.*.*.PARTNERINFO");
    assert_eq!(rule.permit().unwrap().to_string(), "permit user mallory NONE");
    assert_eq!(
        refusal.to_string(),
        "uid 1001 (\"mallory\") is not authorized for EZB.IOCTL.WEB1.TCPIP.PARTNERINFO: permit user \
         mallory NONE in profile EZB.IOCTL.*.*.PARTNERINFO (p.toml:8)"
    );

    let caller = Caller::new(1003);
    let refusal = policy.decide(&caller, &resource, PartnerStack::Other).into_result().unwrap_err();
    assert!(refusal.to_string().starts_with("uid 1003 (name not known) is not authorized for "));
    let caller = Caller::new(1003).named("a\nb");
    let refusal = policy.decide(&caller, &resource, PartnerStack::Other).into_result().unwrap_err();
    assert!(refusal.to_string().starts_with("uid 1003 (\"a\\nb\") is not"), "{refusal}");
}

#[test]
fn a_wildcard_in_a_host_name_is_a_character() {
    let text = "[[profile]]\nname = \"EZB.IOCTL.WEB1.TCPIP.PARTNERINFO\"\nuacc = \"READ\"\n";
    let policy = Policy::parse("p.toml", text).unwrap();
    for (sysname, authorized) in [("web1", true), ("*", false), ("%%%%", false), ("web*", false)] {
        let resource = policy.resource(sysname).unwrap();
        let decision = policy.decide(&Caller::new(1), &resource, PartnerStack::Other);
        assert_eq!(decision.is_authorized(), authorized, "{sysname}");
    }
}

#[test]
fn policies_and_proofs_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Policy>();
    crosses::<partner_info::policy::Authorized>();
    crosses::<partner_info::policy::Refusal>();
    crosses::<partner_info::policy::PolicyError>();
    crosses::<partner_info::policy::SecurityDomain>();
}
