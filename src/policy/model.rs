//! Policies and callers of a world so small that they meet, and what should come out, written in the
//! most obvious way: for the property tests and for the fuzzer.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only what checks the crate is here, and says what it expects"
)]

use std::fmt::Write as _;

use super::{Caller, Group, PartnerStack, Policy, Resource};

/// The access words, lowest first.
pub(crate) const ACCESS: [&str; 5] = ["NONE", "READ", "UPDATE", "CONTROL", "ALTER"];

/// The accounts that entries speak of, and with `other` one that none does. Users and groups
/// share names and numbers, to notice when they are taken for each other.
pub(crate) const NAMES: [&str; 4] = ["ann", "bob", "cat", "other"];
pub(crate) const IDS: [u32; 4] = [1, 2, 3, 99];
/// How many of them entries speak of.
pub(crate) const NAMED: usize = 3;

/// Qualifiers of profile names, the wildcard `**` left out.
pub(crate) const QUALIFIERS: [&str; 14] =
    ["A", "B", "AB", "b", "aB", "%", "A%", "%%", "%B", "*", "*", "A*", "AB*", "%B*"];

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

impl AnyCaller {
    /// The caller, with less known about it.
    pub(crate) fn forgotten(mut self, forget: u8, nameless: [bool; 4]) -> Self {
        match forget {
            0 => self.uid = 65534,
            1 | 2 => self.groups = None,
            _ => {}
        }
        if forget.is_multiple_of(2) {
            self.user = None;
        }
        for (group, nameless) in self.groups.iter_mut().flatten().zip(nameless) {
            if nameless {
                group.1 = None;
            }
        }
        self
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

/// The profiles whose names differ, with the permits whose subjects do.
pub(crate) fn distinct(listed: Vec<AnyProfile>) -> Vec<AnyProfile> {
    let mut profiles: Vec<AnyProfile> = Vec::new();
    for AnyProfile { name, uacc, permits: listed } in listed {
        let mut permits: Vec<(AnySubject, _)> = Vec::new();
        for (subject, access) in listed {
            if !permits.iter().any(|(other, _)| other.same_entry(&subject)) {
                permits.push((subject, access));
            }
        }
        if !profiles.iter().any(|other| other.name.eq_ignore_ascii_case(&name)) {
            profiles.push(AnyProfile { name, uacc, permits });
        }
    }
    profiles
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
    let who =
        uids.into_iter().flat_map(move |uid| users.clone().into_iter().map(move |it| (uid, it)));
    who.flat_map(move |(uid, user)| {
        let caller = move |groups| AnyCaller { uid, user: Some(user), groups: Some(groups) };
        groups.clone().into_iter().map(caller)
    })
}

/// The name with each character replaced so that names compare as text: the order of the manual,
/// written in another way than the crate does.
pub(crate) fn order_key(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    let name = match name.strip_suffix("**") {
        Some(start) => format!("{start}\u{f5}"),
        None => match name.strip_suffix('*') {
            Some(start) => format!("{start}\u{f3}"),
            None => name,
        },
    };
    name.replace("**", "\u{f4}").replace('*', "\u{f2}").replace('%', "\u{f1}")
}
