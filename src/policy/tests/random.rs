//! Random policies and callers of the model's world.

use crate::policy::model::{
    ACCESS, AnyCaller, AnyProfile, AnySubject, IDS, NAMED, NAMES, QUALIFIERS, distinct,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) fn profile_name() -> impl Strategy<Value = String> {
    (vec(select(&QUALIFIERS[..]), 1..5), proptest::option::of(0_usize..5)).prop_map(
        |(mut name, double_star)| {
            if let Some(at) = double_star {
                name.insert(at.min(name.len()), "**");
            }
            name.join(".")
        },
    )
}

pub(crate) fn resource() -> impl Strategy<Value = String> {
    vec(select(&["A", "B", "AB", "BA", "ABB", "a", "*", "%"][..]), 1..5)
        .prop_map(|qualifiers| qualifiers.join("."))
}

pub(crate) fn subject() -> impl Strategy<Value = AnySubject> {
    (select(&["user", "uid", "group", "gid"][..]), 0..NAMED).prop_map(|(key, which)| AnySubject {
        key,
        value: if key.ends_with("id") { IDS[which].to_string() } else { NAMES[which].to_owned() },
    })
}

fn access() -> impl Strategy<Value = &'static str> {
    // NONE as often as all grants together.
    prop_oneof![Just("NONE"), select(&ACCESS[1..])]
}

/// Any policy.
pub(crate) fn policy() -> impl Strategy<Value = Vec<AnyProfile>> {
    profiles(profile_name())
}

/// A resource and a policy, most of whose profiles cover it.
pub(crate) fn guarded() -> impl Strategy<Value = (Vec<AnyProfile>, String)> {
    vec(select(&["A", "B", "AB", "BA", "a"][..]), 1..5).prop_flat_map(|qualifiers| {
        let resource = qualifiers.join(".");
        let name = prop_oneof![4 => covering(qualifiers), 1 => profile_name()];
        (profiles(name), Just(resource))
    })
}

/// A profile name that covers this resource.
fn covering(qualifiers: Vec<&'static str>) -> impl Strategy<Value = String> {
    let count = qualifiers.len();
    (vec(0..6_u8, count), 0..4_u8, 0..=count, 0..=count).prop_map(
        move |(changes, ending, one, other)| {
            let mut name: Vec<String> = qualifiers
                .iter()
                .zip(changes)
                .map(|(qualifier, change)| match change {
                    0 => "*".to_owned(),
                    1 => "%".repeat(qualifier.len()),
                    2 => format!("{}*", &qualifier[..1]),
                    3 => format!("%{}", &qualifier[1..]),
                    _ => (*qualifier).to_owned(),
                })
                .collect();
            let (from, to) = (one.min(other), one.max(other));
            match ending {
                0 => drop(name.splice(from..to, ["**".to_owned()])),
                1 => drop(name.splice(from.min(count - 1).., ["*".to_owned()])),
                _ => {}
            }
            name.join(".")
        },
    )
}

fn profiles(name: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<AnyProfile>> {
    let profile = (name, access(), vec((subject(), access()), 0..8))
        .prop_map(|(name, uacc, permits)| AnyProfile { name, uacc, permits });
    vec(profile, 0..8).prop_map(distinct)
}

impl AnyProfile {
    /// The profile with its own name and those of its subjects spelled differently.
    pub(crate) fn with_names(&self, spell: impl Fn(&str) -> String) -> AnyProfile {
        let mut other = self.clone();
        other.name = spell(&self.name);
        for (subject, _) in &mut other.permits {
            subject.value = spell(&subject.value);
        }
        other
    }

    /// The profile with every grant turned into this one.
    pub(crate) fn with_grants(&self, grant: &'static str) -> AnyProfile {
        let change = |access: &mut &'static str| {
            if *access != "NONE" {
                *access = grant;
            }
        };
        let mut other = self.clone();
        change(&mut other.uacc);
        other.permits.iter_mut().for_each(|(_, access)| change(access));
        other
    }
}

impl AnyCaller {
    pub(crate) fn known() -> impl Strategy<Value = AnyCaller> {
        let group =
            (select(&IDS[..]), select(&NAMES[..])).prop_map(|(gid, name)| (gid, Some(name)));
        (select(&IDS[..]), select(&NAMES[..]), vec(group, 0..4)).prop_map(|(uid, user, groups)| {
            AnyCaller { uid, user: Some(user), groups: Some(groups) }
        })
    }

    pub(crate) fn partly_known() -> impl Strategy<Value = AnyCaller> {
        (Self::known(), 0..8_u8, any::<[bool; 4]>())
            .prop_map(|(caller, forget, nameless)| caller.forgotten(forget, nameless))
    }
}
