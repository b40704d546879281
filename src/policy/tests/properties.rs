//! What holds for every policy and every caller.

use super::random::{guarded, policy, profile_name, resource, subject};
use crate::policy::fuzzing::{check_file, check_match, fast_match, slow_match};
use crate::policy::model::{
    ACCESS, AnyCaller, AnyProfile, completions, obvious, order_key, render,
};
use crate::policy::{Caller, Group, PartnerStack, Policy, Resource, SecurityDomain};
use proptest::prelude::*;

fn read(profiles: &[AnyProfile]) -> Policy {
    let text = render(profiles);
    Policy::parse("p.toml", &text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

fn authorized(policy: &Policy, caller: &AnyCaller, resource: &Resource) -> bool {
    caller.ask(policy, resource).0
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_matcher_agrees_with_the_slow_one(name in profile_name(), resource in resource()) {
        prop_assert_eq!(fast_match(&name, &resource), Some(slow_match(&name, &resource)));
        let lines = format!("{name}\n{resource}");
        prop_assert!(check_match(lines.as_bytes()));
    }

    #[test]
    fn the_matcher_agrees_on_any_text(name in "[ABab*%.&]{0,10}", resource in "[ABab*%.]{0,10}") {
        check_match(format!("{name}\n{resource}").as_bytes());
    }

    #[test]
    fn the_parser_never_panics(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        check_file(text.as_bytes());
        check_file(&bytes);
    }

    #[test]
    fn every_policy_keeps_its_invariants(profiles in policy()) {
        prop_assert!(check_file(render(&profiles).as_bytes()));
    }

    #[test]
    fn the_most_specific_profile_is_chosen((profiles, resource) in guarded()) {
        let policy = read(&profiles);
        let expected = profiles
            .iter()
            .filter(|profile| slow_match(&profile.name, &resource))
            .min_by_key(|profile| order_key(&profile.name));
        let chosen = policy.profile_for(&resource.parse().unwrap());
        prop_assert_eq!(chosen.map(|chosen| chosen.name()), expected.map(|it| it.name.as_str()));
    }

    #[test]
    fn the_decision_is_the_obvious_one(
        (profiles, resource) in guarded(),
        caller in AnyCaller::known(),
    ) {
        let policy = read(&profiles);
        let expected = match policy.profile_for(&resource.parse().unwrap()) {
            None => false,
            Some(chosen) => {
                let chosen = profiles.iter().find(|it| it.name == chosen.name()).unwrap();
                obvious(chosen, &caller)
            }
        };
        let resource = resource.parse().unwrap();
        prop_assert_eq!(authorized(&policy, &caller, &resource), expected);
    }

    #[test]
    fn the_order_of_the_file_does_not_count(
        (profiles, shuffled, resource) in guarded().prop_flat_map(|(profiles, resource)| {
            let shuffled = profiles
                .iter()
                .map(|profile| {
                    let profile = profile.clone();
                    Just(profile.permits).prop_shuffle().prop_map(move |permits| AnyProfile {
                        name: profile.name.clone(),
                        uacc: profile.uacc,
                        permits,
                    })
                })
                .collect::<Vec<_>>()
                .prop_flat_map(|profiles| Just(profiles).prop_shuffle());
            (Just(profiles), shuffled, Just(resource))
        }),
        caller in AnyCaller::partly_known(),
    ) {
        let resource = resource.parse().unwrap();
        let (policy, other) = (read(&profiles), read(&shuffled));
        prop_assert_eq!(caller.ask(&policy, &resource), caller.ask(&other, &resource));
        prop_assert_eq!(policy.to_toml(), other.to_toml());
    }

    #[test]
    fn a_none_never_allows_more(
        (profiles, resource) in guarded(),
        index in any::<prop::sample::Index>(),
        subject in subject(),
        name in profile_name(),
        how in 0..4,
        caller in AnyCaller::partly_known(),
    ) {
        let mut lowered = profiles.clone();
        let profile = (!lowered.is_empty()).then(|| index.index(lowered.len()));
        match (how, profile) {
            // An entry with NONE, new or in the place of what the list granted that subject.
            (0, Some(at)) => {
                lowered[at].permits.retain(|(other, _)| !other.same_entry(&subject));
                lowered[at].permits.push((subject, "NONE"));
            }
            // Every entry lowered.
            (1, Some(at)) => lowered[at].permits.iter_mut().for_each(|permit| permit.1 = "NONE"),
            // No universal access.
            (2, Some(at)) => lowered[at].uacc = "NONE",
            // A profile that grants nothing.
            _ => {
                lowered.retain(|profile| !profile.name.eq_ignore_ascii_case(&name));
                lowered.push(AnyProfile { name, uacc: "NONE", permits: Vec::new() });
            }
        }
        let resource = resource.parse().unwrap();
        let before = authorized(&read(&profiles), &caller, &resource);
        let after = authorized(&read(&lowered), &caller, &resource);
        prop_assert!(before || !after, "{} became\n{}", render(&profiles), render(&lowered));
    }

    #[test]
    fn a_caller_who_is_partly_known_gets_what_all_it_could_be_would_get(
        (profiles, resource) in guarded(),
        caller in AnyCaller::partly_known(),
    ) {
        let policy = read(&profiles);
        let resource = resource.parse().unwrap();
        let all = completions(&caller).all(|caller| authorized(&policy, &caller, &resource));
        prop_assert_eq!(authorized(&policy, &caller, &resource), all);
    }

    #[test]
    fn case_does_not_count(
        (profiles, resource) in guarded(),
        caller in AnyCaller::partly_known(),
    ) {
        let swap = |text: &str| -> String {
            text.chars()
                .map(|it| if it.is_ascii_lowercase() { it.to_ascii_uppercase() } else { it.to_ascii_lowercase() })
                .collect()
        };
        let swapped: Vec<_> = profiles.iter().map(|profile| profile.with_names(swap)).collect();
        let (policy, other) = (read(&profiles), read(&swapped));
        let (this, that) = (resource.parse().unwrap(), swap(&resource).parse().unwrap());
        prop_assert_eq!(&this, &that);
        prop_assert_eq!(authorized(&policy, &caller, &this), authorized(&other, &caller, &that));
    }

    #[test]
    fn privilege_needs_no_profile(
        (profiles, resource) in guarded(),
        caller in AnyCaller::partly_known(),
    ) {
        let groups = [Group::new(1)];
        let privileged = Caller::new(caller.uid).in_groups(&groups).privileged(true);
        let resource = resource.parse().unwrap();
        let decision = read(&profiles).decide(&privileged, &resource, PartnerStack::Other);
        prop_assert!(decision.is_authorized());
    }

    #[test]
    fn at_least_read_authorizes_and_the_levels_above_do_the_same(
        (profiles, resource) in guarded(),
        level in 1..ACCESS.len(),
        caller in AnyCaller::partly_known(),
    ) {
        let other: Vec<_> = profiles.iter().map(|profile| profile.with_grants(ACCESS[level])).collect();
        let resource = resource.parse().unwrap();
        let (policy, other) = (read(&profiles), read(&other));
        prop_assert_eq!(
            authorized(&policy, &caller, &resource),
            authorized(&other, &caller, &resource)
        );
    }

    #[test]
    fn domains_are_equal_when_their_letters_are(one in "[ -~]{1,6}", other in "[ -~]{1,6}") {
        let domain = |name: &str| SecurityDomain::try_from(name).ok();
        if let (Some(a), Some(b)) = (domain(&one), domain(&other)) {
            let (small, large) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
            prop_assert_eq!(a == b, small == large);
            prop_assert_eq!(Some(a), domain(&one.to_ascii_uppercase()));
        }
    }
}
