//! `partner policy test`: what a policy decides, by the code that decides.

use std::ffi::CString;
use std::path::Path;

use nix::unistd::{Gid, Group as Account, Uid, User};

use super::arguments::{Partner, PolicyTest};
use super::form::Decided;
use super::output::{Output, Style};
use super::{Failed, Status};
use crate::kernel::sys::{self, file};
use crate::policy::{Caller, Decision, Group, MAX_POLICY_BYTES, PartnerStack, Policy, Resource};
use crate::stack::authority::Source;

pub(super) fn test(test: &PolicyTest, output: &Output) -> Result<Status, Failed> {
    let policy = policy(test.policy.as_deref())?;
    let host = test.host.clone().unwrap_or_else(sys::host_name);
    let resource = policy.resource(&host).map_err(Failed::usage)?;
    let who = Asker::of(test)?;
    let groups: Vec<_> = who.groups.iter().flatten().map(Named::group).collect();
    let mut caller = Caller::new(who.user.number).privileged(test.privileged);
    if let Some(name) = &who.user.name {
        caller = caller.named(name);
    }
    if who.groups.is_some() {
        caller = caller.in_groups(&groups);
    }
    let stack = match test.partner {
        Partner::Own => PartnerStack::Own,
        Partner::Other => PartnerStack::Other,
    };
    let decision = policy.decide(&caller, &resource, stack);
    if test.format.json {
        output.json(&form(&policy, &who, &resource, &decision))?;
    } else {
        output.text(&text(&policy, &who, &resource, &decision, output))?;
    }
    Ok(if decision.is_authorized() { Status::Done } else { Status::No })
}

/// The policy file that is named; else what programs find here.
fn policy(path: Option<&Path>) -> Result<Policy, Failed> {
    let source = match path {
        Some(path) => Source::File(path.into()),
        None => Source::of_environment(),
    };
    let (path, may_be_absent) = match &source {
        Source::Given(policy) => return Ok(policy.clone()),
        Source::File(path) => (path, false),
        Source::DefaultFile(path) => (path, true),
    };
    match file::read(path, MAX_POLICY_BYTES + 1) {
        Ok((_, bytes)) => {
            let text = String::from_utf8_lossy(&bytes);
            Policy::parse(&path.to_string_lossy(), &text).map_err(Failed::invalid)
        }
        Err(error) if may_be_absent && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Policy::embedded())
        }
        Err(error) => Err(Failed::invalid(format_args!(
            "{}: the policy file cannot be read: {error}",
            path.to_string_lossy().escape_debug()
        ))),
    }
}

/// An account or a group: its number, and what it is called.
#[derive(Clone, Debug)]
struct Named {
    number: u32,
    name: Option<String>,
}

impl Named {
    fn group(&self) -> Group<'_> {
        let group = Group::new(self.number);
        match &self.name {
            Some(name) => group.named(name),
            None => group,
        }
    }
}

/// Who asks.
struct Asker {
    user: Named,
    /// `None`: not known.
    groups: Option<Vec<Named>>,
}

impl Asker {
    fn of(test: &PolicyTest) -> Result<Self, Failed> {
        let database = |error| Failed::new(format_args!("look into the account database: {error}"));
        let account = match test.user.parse::<u32>() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)).map_err(database)?,
            Err(_) => Some(User::from_name(&test.user).map_err(database)?.ok_or_else(|| {
                Failed::usage(format_args!(
                    "expected an account of this host, or a number; found --user {:?}; `getent \
                     passwd` lists the accounts",
                    test.user
                ))
            })?),
        };
        let number = test.user.parse().ok().or(account.as_ref().map(|it| it.uid.as_raw()));
        let Some(number) = number else {
            return Err(Failed::usage("expected a user"));
        };
        let groups = match (&test.group[..], &account) {
            ([], None) => None,
            ([], Some(account)) => groups_of(account),
            (given, _) => Some(given.iter().map(|text| group(text)).collect::<Result<_, _>>()?),
        };
        Ok(Self { user: Named { number, name: account.map(|account| account.name) }, groups })
    }
}

/// All groups of an account, as a login would have them; `None` where they cannot be told.
fn groups_of(account: &User) -> Option<Vec<Named>> {
    let name = CString::new(account.name.as_str()).ok()?;
    let gids = nix::unistd::getgrouplist(&name, account.gid).ok()?;
    let named = |gid: Gid| {
        let name = Account::from_gid(gid).ok().flatten().map(|group| group.name);
        Named { number: gid.as_raw(), name }
    };
    Some(gids.into_iter().map(named).collect())
}

fn group(text: &str) -> Result<Named, Failed> {
    let database = |error| Failed::new(format_args!("look into the group database: {error}"));
    if let Ok(number) = text.parse() {
        let name = Account::from_gid(Gid::from_raw(number)).map_err(database)?.map(|it| it.name);
        return Ok(Named { number, name });
    }
    match Account::from_name(text).map_err(database)? {
        Some(group) => Ok(Named { number: group.gid.as_raw(), name: Some(group.name) }),
        None => Err(Failed::usage(format_args!(
            "expected a group of this host, or a number; found --group {text:?}; `getent group` \
             lists the groups"
        ))),
    }
}

fn text(
    policy: &Policy,
    who: &Asker,
    resource: &Resource,
    decision: &Decision,
    output: &Output,
) -> String {
    let answer = if decision.is_authorized() {
        output.styled(Style::Good, "authorized")
    } else {
        output.styled(Style::Alert, "not authorized")
    };
    let shown = |named: &Named| match &named.name {
        Some(name) => format!("{}({})", name.escape_debug(), named.number),
        None => named.number.to_string(),
    };
    let groups = match &who.groups {
        Some(groups) => groups.iter().map(shown).collect::<Vec<_>>().join(", "),
        None => "not known".into(),
    };
    let domain = policy.security_domain().map_or("none", |domain| domain.as_str());
    let user = shown(&who.user);
    format!(
        "{answer}\nuser      {user}\ngroups    {groups}\nresource  {resource}\nrule      \
         {decision}\ndomain    {domain}\n"
    )
}

fn form<'a>(
    policy: &'a Policy,
    who: &'a Asker,
    resource: &'a Resource,
    decision: &'a Decision,
) -> Decided<'a> {
    let rule = decision.rule();
    Decided {
        version: Decided::VERSION,
        authorized: decision.is_authorized(),
        uid: who.user.number,
        user: who.user.name.as_deref(),
        resource: resource.as_str(),
        rule: rule.to_string(),
        profile: rule.profile().map(|profile| profile.name().to_string()),
        file: rule.file(),
        line: rule.line(),
        security_domain: policy.security_domain().map(|domain| domain.as_str()),
    }
}
