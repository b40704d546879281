//! Whom a rule admits: a partner of each kind against each rule.

use std::sync::Arc;

use super::*;
use crate::info::{Credentials, PartnerRequest, UserId};
use crate::policy::Policy;
use crate::token::tests::{parts, token};
use crate::token::{HolderParts, HoldersGap, UserToken};

const BOTH: PartnerRequest = PartnerRequest::USER_ID.union(PartnerRequest::UTOKEN);

fn partner(uid: Option<u32>, routing: Routing, token: Option<UserToken>) -> PartnerInfo {
    let user = uid.map(|uid| UserId::new(uid, Some("alice".into())));
    let covers = if token.is_some() { BOTH } else { PartnerRequest::USER_ID };
    let token = token.map(Arc::new);
    let found = Credentials { covers, user, process_user: None, token, name_late: false, routing };
    PartnerInfo::new(found, covers)
}

fn local(uid: u32) -> PartnerInfo {
    partner(Some(uid), Routing::SAME_STACK, None)
}

fn held_by(uid: u32, holders: Vec<HolderParts>, gap: Option<HoldersGap>) -> PartnerInfo {
    partner(Some(uid), Routing::SAME_STACK, Some(token(uid, holders, gap)))
}

fn stack() -> Stack {
    let policy = r#"
[[profile]]
name = "WEB.ONE"
[[profile.permit]]
uid = 1000
access = "READ"
[[profile]]
name = "WEB.GROUP"
[[profile.permit]]
gid = 50
access = "READ"
[[profile]]
name = "WEB.NAMED"
[[profile.permit]]
group = "staff"
access = "READ"
[[profile]]
name = "WEB.ALL"
uacc = "READ"
"#;
    Stack::builder().policy(Policy::parse("policy.toml", policy).unwrap()).build()
}

#[track_caller]
fn check(rule: &Rule, partner: &PartnerInfo, expected: bool) {
    let groups = PartnerGroups::of(&[50, 65534]);
    let verdict = judge(std::slice::from_ref(rule), &stack(), partner, Some(&groups));
    let expected = if expected { Verdict::Admitted } else { Verdict::NotAdmitted };
    assert_eq!(verdict, expected, "{rule:?}, {partner:?}");
}

fn profile(name: &str) -> Rule {
    Rule::profile(name.parse().unwrap())
}

#[test]
fn no_rule_admits_nobody() {
    for uid in [0, 1000] {
        assert_eq!(judge(&[], &stack(), &local(uid), None), Verdict::NotAdmitted);
        let groups = PartnerGroups::of(&[0, 50]);
        assert_eq!(judge(&[], &stack(), &local(uid), Some(&groups)), Verdict::NotAdmitted);
    }
}

#[test]
fn each_kind_admits_its_own() {
    for (rule, right, wrong) in [
        (Rule::user(1000), 1000, 1001),
        // Root is a user as any other.
        (Rule::user(1000), 1000, 0),
        (Rule::user(0), 0, 1000),
        (profile("WEB.ONE"), 1000, 0),
    ] {
        check(&rule, &local(right), true);
        check(&rule, &local(wrong), false);
    }
    check(&Rule::any_user(), &local(1001), true);
    check(&Rule::group(50), &local(1001), true);
    check(&Rule::group(51), &local(1001), false);
    check(&Rule::group(51), &local(0), false);
    check(&profile("WEB.GROUP"), &local(1001), true);
    check(&profile("WEB.ALL"), &local(1001), true);
    // No profile covers it; and a group whose name is not known may be one that is listed, or not.
    check(&profile("WEB.NONE"), &local(0), false);
    check(&profile("WEB.NAMED"), &local(1001), false);
}

#[test]
fn without_a_policy_file_no_profile_admits() {
    let embedded = Stack::builder().policy(Policy::embedded()).build();
    let groups = PartnerGroups::of(&[50]);
    for name in ["WEB.ALL", "EZB.IOCTL.HOST.TCPIP.PARTNERINFO"] {
        for uid in [0, 1000] {
            let verdict = profile(name).judge(&embedded, &local(uid), Some(&groups));
            assert_eq!(verdict, Verdict::NotAdmitted);
        }
    }
}

#[test]
fn h19_who_is_nobody_in_particular_is_not_admitted() {
    for uid in [65534, u32::MAX] {
        for rule in [Rule::user(uid), Rule::any_user(), Rule::group(50), profile("WEB.ALL")] {
            check(&rule, &local(uid), false);
        }
    }
    check(&Rule::group(65534), &local(1000), false);
    // No user was asked for.
    check(&Rule::any_user(), &partner(None, Routing::SAME_STACK, None), false);
}

#[test]
fn another_host_s_users_are_admitted_only_where_the_rule_says_so() {
    for (routing, by_default, in_cluster) in [
        (Routing::SAME_STACK, true, true),
        (Routing::SAME_CLUSTER | Routing::SAME_IMAGE, true, true),
        (Routing::SAME_CLUSTER | Routing::INTERNAL, false, true),
        (Routing::NONE, false, false),
        (Routing::NO_CONNECTION, false, false),
    ] {
        let partner = partner(Some(1000), routing, None);
        for rule in [Rule::user(1000), Rule::any_user(), Rule::group(50), profile("WEB.ALL")] {
            check(&rule, &partner, by_default);
            check(&rule.clone().in_cluster(), &partner, in_cluster);
        }
    }
}

#[test]
fn an_executable_and_a_unit_narrow_and_never_admit_by_themselves() {
    let rule = |who: Rule| who.executable("/usr/bin/curl").unit("session-3.scope");
    let curl = || vec![parts(7)];
    check(&rule(Rule::user(1000)), &held_by(1000, curl(), None), true);
    check(&rule(Rule::any_user()), &held_by(1000, curl(), None), true);
    check(&rule(Rule::user(1001)), &held_by(1000, curl(), None), false);
    // Neither was asked for.
    check(&rule(Rule::user(1000)), &local(1000), false);
    check(&Rule::user(1000).unit("session-3.scope"), &local(1000), false);
    let with = |change: fn(&mut HolderParts)| {
        let mut one = parts(7);
        change(&mut one);
        vec![one]
    };
    for changed in [
        with(|one| one.executable = Some("/home/alice/curl".into())),
        with(|one| one.executable = None),
        with(|one| one.executable_deleted = Some(true)),
        with(|one| one.executable_deleted = None),
        with(|one| one.systemd_unit = Some("other.service".into())),
        with(|one| one.systemd_unit = None),
        Vec::new(),
    ] {
        check(&rule(Rule::user(1000)), &held_by(1000, changed, None), false);
    }
    // One of several is another program, or cannot be seen.
    let mut other = parts(8);
    other.executable = Some("/usr/bin/wget".into());
    check(&rule(Rule::user(1000)), &held_by(1000, vec![parts(7), other], None), false);
    let unseen = Some(HoldersGap::NoRight);
    check(&rule(Rule::user(1001)), &held_by(1001, curl(), unseen), false);
}

#[test]
fn groups_are_asked_for_only_where_they_decide() {
    let judge = |rules: &[Rule], uid| judge(rules, &stack(), &local(uid), None);
    let rules = [Rule::group(50), Rule::user(1000)];
    assert_eq!(judge(&rules, 1000), Verdict::Admitted);
    assert_eq!(judge(&rules, 1001), Verdict::GroupsNeeded);
    // It is narrowed to none of these.
    let rules = [Rule::group(50).unit("backup.service")];
    assert_eq!(judge(&rules, 1001), Verdict::NotAdmitted);
}

#[test]
fn a_name_that_no_account_has_makes_no_rule() {
    for error in [Rule::user_named("no such user"), Rule::group_named("no such group")] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no such") && error.contains("getent"), "{error}");
    }
    check(&Rule::user_named("root").unwrap(), &local(0), true);
}
