//! Reads a policy file and says what it decides on this host, before it is put in place:
//! `check_policy FILE ["$(id USER)"]`. Ends with 0 where the user is authorized.

use std::error::Error;
use std::process::ExitCode;

use partner_info::Stack;
use partner_info::policy::{Caller, Group, PartnerStack, Policy};

fn main() -> ExitCode {
    match check(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn check(mut arguments: impl Iterator<Item = String>) -> Result<bool, Box<dyn Error>> {
    let file = arguments.next().ok_or("usage: check_policy FILE [\"$(id USER)\"]")?;
    let policy = Policy::parse(&file, &std::fs::read_to_string(&file)?)?;
    match policy.security_domain() {
        Some(domain) => println!("security domain {domain}"),
        None => println!("no security domain"),
    }
    let resource = Stack::builder().policy(policy.clone()).build().resource()?;
    match policy.profile_for(&resource) {
        Some(profile) => println!("{resource} is guarded by {}", profile.name()),
        None => println!("{resource} is guarded by no profile"),
    }
    let Some(id) = arguments.next() else {
        return Ok(true);
    };
    let (uid, user) = *accounts(&id, "uid=")?.first().ok_or("no uid")?;
    let groups: Vec<_> =
        accounts(&id, "groups=")?.iter().map(|(gid, name)| Group::new(*gid).named(name)).collect();
    let caller = Caller::new(uid).named(user).in_groups(&groups);
    let decision = policy.decide(&caller, &resource, PartnerStack::Own);
    println!("{user}({uid}): {}: {decision}", if decision.is_authorized() { "yes" } else { "no" });
    Ok(decision.is_authorized())
}

/// The accounts behind a word of id(1): `groups=1000(alice),27(sudo)`.
fn accounts<'a>(id: &'a str, word: &str) -> Result<Vec<(u32, &'a str)>, Box<dyn Error>> {
    let list = id.split_whitespace().find_map(|part| part.strip_prefix(word));
    let account = |text: &'a str| {
        let (number, name) = text.trim_end_matches(')').split_once('(').unwrap_or((text, ""));
        Ok((number.parse()?, name))
    };
    list.ok_or(format!("no {word} in what id said"))?.split(',').map(account).collect()
}
