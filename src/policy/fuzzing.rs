//! What must hold for any policy file, profile name and resource: checks shared by the fuzz
//! targets, the property tests and the replay of the seeds.
//!
//! Each check panics when an invariant is broken, and returns whether the input was of use.

use super::access::Access;
use super::caller::{Caller, Group};
use super::decision::PartnerStack;
use super::error::PolicyError;
use super::model::{self, AnyCaller, AnyProfile, AnySubject};
use super::name::ProfileName;
use super::profile::{Profile, Subject};
use super::resource::Resource;
use super::store::{MAX_POLICY_BYTES, Policy};

/// Reads `data` as a policy file. Returns whether it was accepted.
pub fn check_file(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    match Policy::parse("fuzz.toml", text) {
        Ok(policy) => {
            check_canonical_form(&policy);
            for resource in resources(&policy) {
                check_choice(&policy, &resource);
                check_unknown_caller(&policy, &resource);
                check_known_caller(&policy, &resource);
            }
            true
        }
        Err(error) => {
            check_error(&error, text);
            false
        }
    }
}

/// Takes the first line of `data` as a profile name and the second as a resource. Returns whether
/// both were valid.
pub fn check_match(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let mut lines = text.split('\n');
    let (name, resource) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let Some(fast) = fast_match(name, resource) else {
        return false;
    };
    assert_eq!(fast, slow_match(name, resource), "{name} and {resource}");
    for (name, resource) in [
        (name.to_ascii_lowercase(), resource.to_ascii_uppercase()),
        (name.to_ascii_uppercase(), resource.to_ascii_lowercase()),
    ] {
        assert_eq!(fast_match(&name, &resource), Some(fast), "{name} and {resource}");
    }
    true
}

/// Takes `data` as a caller, a resource and a policy of the model's world. Returns whether some
/// profile covers the resource.
pub fn check_decision(data: &[u8]) -> bool {
    let mut choices = Choices(data);
    let caller = choices.caller();
    let forget = choices.one(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let nameless = choices.below(16);
    let partly = caller.clone().forgotten(forget, [1, 2, 4, 8].map(|bit| nameless & bit != 0));
    let name = choices.several(1, 4, |it| it.one(&["A", "B", "AB", "BA", "ABB", "a"])).join(".");
    let profiles = model::distinct(choices.several(0, 7, Choices::profile));

    let text = model::render(&profiles);
    let (policy, resource) = (Policy::parse("model.toml", &text), name.parse());
    let (Ok(policy), Ok(resource)) = (policy, resource) else {
        unreachable!("no policy, or no resource {name}:\n{text}")
    };
    let expected = profiles
        .iter()
        .filter(|profile| slow_match(&profile.name, &name))
        .min_by_key(|profile| model::order_key(&profile.name));
    let chosen = policy.profile_for(&resource).map(Profile::name);
    assert_eq!(chosen, expected.map(|profile| profile.name.as_str()), "{name} in\n{text}");

    let authorized = |caller: &AnyCaller| caller.ask(&policy, &resource).0;
    let obvious = |caller: &AnyCaller| expected.is_some_and(|it| model::obvious(it, caller));
    assert_eq!(authorized(&caller), obvious(&caller), "{caller:?} to {name} by\n{text}");
    // Who is partly known gets what all would get whom it could be.
    let all = model::completions(&partly).all(|caller| obvious(&caller));
    assert_eq!(authorized(&partly), all, "{partly:?} to {name} by\n{text}");
    expected.is_some()
}

/// Each byte is one choice; where there is none left it is the first.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, end: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        let at = self.below(of.len());
        of.get(at).copied().unwrap_or_else(|| unreachable!("one of several"))
    }

    fn several<T>(&mut self, least: usize, most: usize, one: impl Fn(&mut Self) -> T) -> Vec<T> {
        let count = least + self.below(most - least + 1);
        (0..count).map(|_| one(self)).collect()
    }

    fn caller(&mut self) -> AnyCaller {
        let (uid, user) = (self.one(&model::IDS), Some(self.one(&model::NAMES)));
        let group = |it: &mut Self| (it.one(&model::IDS), Some(it.one(&model::NAMES)));
        AnyCaller { uid, user, groups: Some(self.several(0, 3, group)) }
    }

    fn profile(&mut self) -> AnyProfile {
        let mut qualifiers = self.several(1, 4, |it| it.one(&model::QUALIFIERS));
        let double_star = self.below(10);
        if double_star <= qualifiers.len() {
            qualifiers.insert(double_star, "**");
        }
        let name = qualifiers.join(".");
        let uacc = self.one(&model::ACCESS);
        let permits = self.several(0, 7, |it| (it.subject(), it.one(&model::ACCESS)));
        AnyProfile { name, uacc, permits }
    }

    fn subject(&mut self) -> AnySubject {
        let key = self.one(&["user", "uid", "group", "gid"]);
        let which = self.below(model::NAMED);
        let value = match (key, model::IDS.get(which), model::NAMES.get(which)) {
            ("uid" | "gid", Some(id), _) => id.to_string(),
            (_, _, name) => (*name.unwrap_or(&"other")).to_owned(),
        };
        AnySubject { key, value }
    }
}

/// What the crate's matcher says, or `None` if one of the names is not valid.
pub(crate) fn fast_match(name: &str, resource: &str) -> Option<bool> {
    let name = ProfileName::parse(name).ok()?;
    let resource: Resource = resource.parse().ok()?;
    Some(name.matches(&resource))
}

/// The slow, obvious matcher, for valid names: write out every name without `**`, and without a
/// reaching `*` at the end, that the profile name could stand for, and compare each qualifier by
/// qualifier.
pub(crate) fn slow_match(name: &str, resource: &str) -> bool {
    let (name, resource) = (name.to_ascii_uppercase(), resource.to_ascii_uppercase());
    let qualifiers: Vec<&str> = resource.split('.').collect();
    let pattern: Vec<&str> = name.split('.').collect();

    let mut spelled_out = vec![Vec::new()];
    for (index, part) in pattern.iter().enumerate() {
        let reaches = index + 1 == pattern.len() && part.ends_with('*');
        let (kept, most_stars) = match *part {
            "**" => (None, qualifiers.len()),
            part if reaches => (Some(part), qualifiers.len()),
            part => (Some(part), 0),
        };
        let mut longer = Vec::new();
        for beginning in spelled_out {
            for stars in 0..=most_stars {
                let mut parts: Vec<&str> = beginning.clone();
                parts.extend(kept);
                parts.extend(std::iter::repeat_n("*", stars));
                longer.push(parts);
            }
        }
        spelled_out = longer;
    }
    spelled_out.iter().any(|parts| {
        parts.len() == qualifiers.len()
            && parts.iter().zip(&qualifiers).all(|(part, qualifier)| same(part, qualifier))
    })
}

/// Whether one qualifier without `**` stands for another.
fn same(part: &str, qualifier: &str) -> bool {
    let (mut part, mut qualifier) = (part.chars(), qualifier.chars());
    loop {
        match (part.next(), qualifier.next()) {
            (Some('*'), _) | (None, None) => return true,
            (Some('%'), Some(_)) => {}
            (Some(wanted), Some(is)) if wanted == is => {}
            (Some(_), _) | (None, Some(_)) => return false,
        }
    }
}

/// An error names a place in the text, on one line that is fit to show.
fn check_error(error: &PolicyError, text: &str) {
    let lines = text.split('\n').count();
    assert!((1..=lines).contains(&error.line()), "line {} of {lines}", error.line());
    let line = text.split('\n').nth(error.line() - 1).unwrap_or("");
    assert!((1..=line.chars().count() + 1).contains(&error.column()), "column {}", error.column());
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
    assert!(message.starts_with(&format!("fuzz.toml:{}:{}: ", error.line(), error.column())));
    assert!(message.contains(error.rule().code()));
}

/// The canonical form is a policy file, and its own canonical form.
fn check_canonical_form(policy: &Policy) {
    let form = policy.to_toml();
    // Defaults are written out, so that a file close to the limit can grow over it.
    if form.len() > MAX_POLICY_BYTES {
        return;
    }
    let again = Policy::parse("canonical.toml", &form);
    assert_eq!(again.as_ref().map(Policy::to_toml).as_ref(), Ok(&form));
    let again = again.ok();
    let domain = again.as_ref().and_then(Policy::security_domain);
    assert_eq!(domain, policy.security_domain());
}

/// Resources that some profiles of the policy cover, and the usual one.
fn resources(policy: &Policy) -> Vec<Resource> {
    let covered = policy.profiles().take(8).filter_map(|profile| {
        profile.name().replace("**", "X").replace(['*', '%'], "X").parse().ok()
    });
    covered.chain(policy.resource("host.example")).collect()
}

/// The chosen profile covers the resource, and is discrete if any that does is.
fn check_choice(policy: &Policy, resource: &Resource) {
    let covers = |profile: &Profile| slow_match(profile.name(), resource.as_str());
    match policy.profile_for(resource) {
        None => assert!(!policy.profiles().any(covers), "{resource}"),
        Some(chosen) => {
            assert!(covers(chosen), "{} and {resource}", chosen.name());
            let discrete = policy.profiles().filter(|profile| covers(profile)).any(|profile| {
                profile.name().eq_ignore_ascii_case(resource.as_str()) && profile.is_discrete()
            });
            assert_eq!(chosen.is_discrete(), discrete, "{} and {resource}", chosen.name());
        }
    }
}

/// A caller of whom nothing is known gets in only where everybody does: universal access says so
/// and no entry refuses anybody.
fn check_unknown_caller(policy: &Policy, resource: &Resource) {
    let everybody = policy.profile_for(resource).is_some_and(|profile| {
        profile.universal_access().authorizes()
            && profile.permits().all(|permit| permit.access().authorizes())
    });
    let nobody = Caller::new(0).unmapped();
    let decision = policy.decide(&nobody, resource, PartnerStack::Other);
    assert_eq!(decision.is_authorized(), everybody, "{decision}");
    let decision = policy.decide(&nobody.privileged(true), resource, PartnerStack::Other);
    assert!(decision.is_authorized(), "{decision}");
}

/// A caller of whom everything is known gets what the entry that names it alone says.
fn check_known_caller(policy: &Policy, resource: &Resource) {
    let Some(profile) = policy.profile_for(resource) else {
        return;
    };
    // Numbers and names that no entry has, so that the one entry is the only one that applies.
    let free = (1..).find(|id| {
        profile.permits().all(|permit| match permit.subject() {
            Subject::Uid(other) | Subject::Gid(other) => other != id,
            Subject::User(_) | Subject::Group(_) => true,
        })
    });
    let Some(free) = free else { return };
    // A line break cannot stand in a name of a policy.
    let stranger = Caller::new(free).named("\n");
    let outsiders = [Group::new(free).named("\n")];
    for permit in profile.permits().take(8) {
        let group = match permit.subject() {
            Subject::Group(name) => Group::new(free).named(name),
            Subject::Gid(gid) => Group::new(*gid).named("\n"),
            Subject::User(_) | Subject::Uid(_) => Group::new(free).named("\n"),
        };
        let groups = [group];
        let caller = match permit.subject() {
            Subject::User(name) => Caller::new(free).named(name),
            Subject::Uid(uid) => Caller::new(*uid).named("\n"),
            Subject::Group(_) | Subject::Gid(_) => stranger.clone(),
        };
        let decision = policy.decide(&caller.in_groups(&groups), resource, PartnerStack::Other);
        if permit.access() == Access::None {
            assert!(!decision.is_authorized(), "{permit}: {decision}");
        } else {
            assert!(decision.is_authorized(), "{permit}: {decision}");
        }
    }
    let stranger = stranger.in_groups(&outsiders);
    let decision = policy.decide(&stranger, resource, PartnerStack::Other);
    assert_eq!(decision.is_authorized(), profile.universal_access().authorizes(), "{decision}");
}
