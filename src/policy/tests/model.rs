//! Random policies and callers from a world so small that they meet, and what should come out,
//! written in the most obvious way.

use std::fmt::Write as _;

use crate::policy::{Caller, Group, PartnerStack, Policy, Resource};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// The access words, lowest first.
pub(crate) const ACCESS: [&str; 5] = ["NONE", "READ", "UPDATE", "CONTROL", "ALTER"];

/// The accounts that entries speak of, and with `other` one that none does. Users and groups
/// share names and numbers, to notice when they are taken for each other.
const NAMES: [&str; 4] = ["ann", "bob", "cat", "other"];
const IDS: [u32; 4] = [1, 2, 3, 99];
/// How many of them entries speak of.
const NAMED: usize = 3;

/// A caller, as far as it is known.
#[derive(Clone, Debug)]
pub(crate) struct AnyCaller {
    pub(crate) uid: u32,
    pub(crate) user: Option<&'static str>,
    pub(crate) groups: Option<Vec<(u32, Option<&'static str>)>>,
}

/// A profile of a policy file.
#[derive(Clone, Debug)]
pub(crate) struct AnyProfile {
    pub(crate) name: String,
    pub(crate) uacc: &'static str,
    pub(crate) permits: Vec<(AnySubject, &'static str)>,
}

/// The subject of a permit: its key, and its value as it stands in the file.
#[derive(Clone, Debug)]
pub(crate) struct AnySubject {
    pub(crate) key: &'static str,
    pub(crate) value: String,
}

impl AnySubject {
    /// Whether a list may hold only one of the two.
    pub(crate) fn same_entry(&self, other: &AnySubject) -> bool {
        self.key == other.key && self.value.eq_ignore_ascii_case(&other.value)
    }
}

/// Qualifiers of profile names, the wildcard `**` left out.
const QUALIFIERS: [&str; 14] =
    ["A", "B", "AB", "b", "aB", "%", "A%", "%%", "%B", "*", "*", "A*", "AB*", "%B*"];

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
    let profile =
        (name, access(), vec((subject(), access()), 0..8)).prop_map(|(name, uacc, listed)| {
            let mut permits: Vec<(AnySubject, _)> = Vec::new();
            for (subject, access) in listed {
                if !permits.iter().any(|(other, _)| other.same_entry(&subject)) {
                    permits.push((subject, access));
                }
            }
            AnyProfile { name, uacc, permits }
        });
    vec(profile, 0..8).prop_map(|listed| {
        let mut profiles: Vec<AnyProfile> = Vec::new();
        for profile in listed {
            if !profiles.iter().any(|other| other.name.eq_ignore_ascii_case(&profile.name)) {
                profiles.push(profile);
            }
        }
        profiles
    })
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
        (Self::known(), 0..8_u8, any::<[bool; 4]>()).prop_map(|(mut caller, forget, nameless)| {
            match forget {
                0 => caller.uid = 65534,
                1 | 2 => caller.groups = None,
                _ => {}
            }
            if forget % 2 == 0 {
                caller.user = None;
            }
            for (group, nameless) in caller.groups.iter_mut().flatten().zip(nameless) {
                if nameless {
                    group.1 = None;
                }
            }
            caller
        })
    }

    /// The decision, and the rule without its place in the file.
    pub(crate) fn ask(&self, policy: &Policy, resource: &Resource) -> (bool, String) {
        let groups: Option<Vec<Group<'_>>> = self.groups.as_ref().map(|groups| {
            groups.iter().map(|(gid, name)| Group::new(*gid).named(name.unwrap_or(""))).collect()
        });
        let mut caller = Caller::new(self.uid).named(self.user.unwrap_or(""));
        if let Some(groups) = &groups {
            caller = caller.in_groups(groups);
        }
        let decision = policy.decide(&caller, resource, PartnerStack::Other);
        let rule = decision.rule();
        let profile = rule.profile().map_or("none", |profile| profile.name());
        let permit = rule.permit().map_or("none".to_owned(), ToString::to_string);
        (decision.is_authorized(), format!("{:?} {profile} {permit}", rule.kind()))
    }

    fn is_user(&self, subject: &AnySubject) -> bool {
        match subject.key {
            "user" => self.user.unwrap().eq_ignore_ascii_case(&subject.value),
            "uid" => self.uid.to_string() == subject.value,
            _ => false,
        }
    }

    fn is_member(&self, subject: &AnySubject) -> bool {
        self.groups.as_ref().unwrap().iter().any(|(gid, name)| match subject.key {
            "group" => name.unwrap().eq_ignore_ascii_case(&subject.value),
            "gid" => gid.to_string() == subject.value,
            _ => false,
        })
    }
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

/// The policy file.
pub(crate) fn render(profiles: &[AnyProfile]) -> String {
    let mut text = String::new();
    for AnyProfile { name, uacc, permits } in profiles {
        write!(text, "[[profile]]\nname = \"{name}\"\nuacc = \"{uacc}\"\n").unwrap();
        for (AnySubject { key, value }, access) in permits {
            let quote = if key.ends_with("id") { "" } else { "\"" };
            text += "[[profile.permit]]\n";
            write!(text, "{key} = {quote}{value}{quote}\naccess = \"{access}\"\n").unwrap();
        }
    }
    text
}

/// Whether the profile authorizes a caller of whom everything is known.
pub(crate) fn obvious(profile: &AnyProfile, caller: &AnyCaller) -> bool {
    let level = |access: &str| ACCESS.iter().position(|word| *word == access).unwrap();
    let levels = |is: &dyn Fn(&AnySubject) -> bool| -> Vec<usize> {
        let entries = profile.permits.iter().filter(|(subject, _)| is(subject));
        entries.map(|(_, access)| level(access)).collect()
    };
    let own = levels(&|subject| caller.is_user(subject));
    let groups = levels(&|subject| caller.is_member(subject));
    let access = if let Some(lowest) = own.iter().min() {
        *lowest
    } else if let Some(highest) = groups.iter().max() {
        *highest
    } else {
        level(profile.uacc)
    };
    access >= level("READ")
}

/// Everybody of this world whom the caller could be.
pub(crate) fn completions(caller: &AnyCaller) -> impl Iterator<Item = AnyCaller> {
    let unmapped = caller.uid == 65534;
    let uids = if unmapped { IDS.to_vec() } else { vec![caller.uid] };
    let users = match caller.user {
        Some(user) if !unmapped => vec![user],
        _ => NAMES.to_vec(),
    };
    let groups = match &caller.groups {
        // Any set of groups: for each that an entry could mean, in it or not.
        None => (0..1 << (2 * NAMED))
            .map(|set: u32| {
                let members = (0..2 * NAMED).filter(|bit| set & (1 << bit) != 0);
                let member = |bit: usize| {
                    if bit < NAMED {
                        (IDS[bit], Some("other"))
                    } else {
                        (99, Some(NAMES[bit - NAMED]))
                    }
                };
                members.map(member).collect()
            })
            .collect(),
        Some(groups) => groups.iter().fold(vec![Vec::new()], |lists, (gid, name)| {
            let names = name.map_or(NAMES.to_vec(), |name| vec![name]);
            let longer = |list: &Vec<_>, name| {
                let mut list = list.clone();
                list.push((*gid, Some(name)));
                list
            };
            lists
                .iter()
                .flat_map(|list| names.iter().map(move |name| longer(list, *name)))
                .collect()
        }),
    };
    let mut all = Vec::new();
    for uid in uids {
        for user in &users {
            for groups in &groups {
                all.push(AnyCaller { uid, user: Some(*user), groups: Some(groups.clone()) });
            }
        }
    }
    all.into_iter()
}
