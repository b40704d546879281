//! Whether the caller may learn who its partner is: the policy in force, applied to who asks now.
//!
//! Every set and every get with a request that is not empty comes here first, also one that finds
//! its answer saved. Under the embedded default, which lets everybody ask about its own stack, that
//! costs a load and a comparison.

mod asking;
mod source;
mod standing;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use asking::PerKind;
pub(crate) use asking::{Asking, Names};
#[cfg(feature = "agent")]
pub(crate) use source::DEFAULT_FILE;
pub(crate) use source::Source;
use source::{Look, Read};
pub use source::{PolicyFileError, PolicyInForce, PolicyStatus};
pub(crate) use standing::{NamesWait, Standing};

use crate::error::Error;
use crate::kernel::sys::{self, Socket};
#[cfg(feature = "tower")]
use crate::policy::Caller;
use crate::policy::{
    DecidingRule, PartnerStack, Policy, Refusal, Resource, ResourceError, RuleKind, SecurityDomain,
    Subject,
};

/// How long a look at the policy file serves.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A caller's right, with the rule that decided.
#[derive(Debug)]
#[cfg_attr(not(feature = "agent"), allow(dead_code, reason = "the agent records rules"))]
pub(crate) enum Ruling {
    Authorized(DecidingRule),
    /// As [`Standing::NamesPending`].
    NamesPending,
}

/// A refusal, with the rule that decided, where it came to rules.
#[derive(Debug)]
#[cfg_attr(not(feature = "agent"), allow(dead_code, reason = "the agent records rules"))]
pub(crate) struct Refused {
    pub(crate) error: Error,
    pub(crate) rule: Option<DecidingRule>,
}

/// The policy in force, and what keeps it up to date.
pub(crate) struct Authority {
    source: Source,
    look_every: Duration,
    /// See [`pass`]: what a caller needs to know that asks about its own stack.
    pass: AtomicU64,
    in_force: RwLock<Arc<InForce>>,
    watch: Mutex<Watch>,
    names: Names,
}

/// What was last seen of the policy file.
#[derive(Debug, Default)]
struct Watch {
    look: Option<Look>,
    fault: Option<PolicyFileError>,
}

/// A policy with what it takes to decide by it.
#[derive(Debug)]
struct InForce {
    kind: PolicyInForce,
    /// Or, where there is none, what to tell everybody.
    policy: Result<Policy, String>,
    host: String,
    resource: Result<Resource, ResourceError>,
    /// Whether the profile of the resource has entries for users, and for groups, by name.
    by_name: PerKind<bool>,
}

impl InForce {
    fn new(kind: PolicyInForce, policy: Result<Policy, String>, host: String) -> Self {
        // The stack's name does not count where there is no policy to look it up in.
        let of_policy = |policy: &Policy| policy.resource(&host);
        let resource = policy.as_ref().map_or_else(|_| of_policy(&Policy::embedded()), of_policy);
        let has = |is: fn(&Subject) -> bool| {
            let profile = policy.as_ref().ok().zip(resource.as_ref().ok());
            let profile = profile.and_then(|(policy, resource)| policy.profile_for(resource));
            profile.is_some_and(|profile| profile.permits().any(|permit| is(permit.subject())))
        };
        let by_name = PerKind {
            user: has(|subject| matches!(subject, Subject::User(_))),
            group: has(|subject| matches!(subject, Subject::Group(_))),
        };
        Self { kind, policy, host, resource, by_name }
    }

    fn of_file(policy: Policy) -> Self {
        Self::new(PolicyInForce::File, Ok(policy), sys::host_name())
    }

    fn is_embedded(&self) -> bool {
        self.policy.as_ref().is_ok_and(Policy::is_embedded)
    }
}

/// Two facts in one number, so that one load tells both: whether everybody may ask about its own
/// stack, in the lowest bit, and above it the millisecond from which on the file must be looked at
/// before that is believed.
fn pass(everybody: bool, until: Option<u64>) -> u64 {
    let until = until.unwrap_or(u64::MAX).min(u64::MAX >> 1);
    until << 1 | u64::from(everybody)
}

impl Authority {
    pub(crate) fn new(source: Source, names: Names) -> Self {
        Self::looking_every(LOOK_EVERY, source, names)
    }

    fn looking_every(look_every: Duration, source: Source, names: Names) -> Self {
        let first = match &source {
            Source::Given(policy) => {
                let kind = match policy.is_embedded() {
                    true => PolicyInForce::Embedded,
                    false => PolicyInForce::Given,
                };
                InForce::new(kind, Ok(policy.clone()), sys::host_name())
            }
            // Until the file is read, a few lines below.
            Source::File(_) | Source::DefaultFile(_) => {
                let policy = Err(String::from("no policy was read yet"));
                InForce::new(PolicyInForce::Nothing, policy, sys::host_name())
            }
        };
        let authority = Self {
            pass: AtomicU64::new(pass(first.is_embedded(), None)),
            in_force: RwLock::new(Arc::new(first)),
            source,
            look_every,
            watch: Mutex::default(),
            names,
        };
        authority.look(&mut authority.watch(), false);
        authority
    }

    /// Whether the caller may have the credentials of a partner in `stack`.
    #[inline]
    fn decide(&self, socket: Socket<'_>, stack: PartnerStack) -> Result<Standing, Error> {
        if stack == PartnerStack::Own && self.everybody_passes() {
            return Ok(Standing::Authorized);
        }
        self.decide_anew(socket, stack)
    }

    #[inline]
    fn everybody_passes(&self) -> bool {
        let pass = self.pass.load(Ordering::Relaxed);
        pass == u64::MAX || (pass & 1 == 1 && sys::coarse_milliseconds() < pass >> 1)
    }

    #[cold]
    #[inline(never)]
    fn decide_anew(&self, socket: Socket<'_>, stack: PartnerStack) -> Result<Standing, Error> {
        self.decide_by(&self.current(), stack, || Asking::now(socket))
    }

    fn decide_by(
        &self,
        in_force: &InForce,
        stack: PartnerStack,
        asking: impl FnOnce() -> Asking,
    ) -> Result<Standing, Error> {
        match self.rule_by(in_force, stack, asking) {
            Ok(Ruling::Authorized(_)) => Ok(Standing::Authorized),
            Ok(Ruling::NamesPending) => Ok(Standing::NamesPending),
            Err(refused) => Err(refused.error),
        }
    }

    /// As the policy in force has it for somebody else than the calling thread, and by which rule.
    #[cfg(feature = "agent")]
    pub(crate) fn rule_for(
        &self,
        asking: impl FnOnce() -> Asking,
        stack: PartnerStack,
    ) -> Result<Ruling, Refused> {
        self.rule_by(&self.current(), stack, asking)
    }

    /// Whether the policy in force grants `caller` READ on a resource that is not this crate's.
    #[cfg(feature = "tower")]
    pub(crate) fn grants(&self, caller: &Caller<'_>, resource: &Resource) -> bool {
        let in_force = self.current();
        // What the embedded default lets everybody do is to ask about the own stack, and no more.
        let grants = |policy: &Policy| policy.decide(caller, resource, PartnerStack::Other);
        in_force.policy.as_ref().is_ok_and(|policy| grants(policy).is_authorized())
    }

    /// The security domain that the policy in force defines.
    pub(crate) fn security_domain(&self) -> Option<SecurityDomain> {
        self.current().policy.as_ref().ok()?.security_domain().cloned()
    }

    fn rule_by(
        &self,
        in_force: &InForce,
        stack: PartnerStack,
        asking: impl FnOnce() -> Asking,
    ) -> Result<Ruling, Refused> {
        let policy = match &in_force.policy {
            Ok(policy) => policy,
            Err(why) => return Err(Refused { error: Error::not_authorized(why), rule: None }),
        };
        if policy.is_embedded() && stack == PartnerStack::Own {
            return Ok(Ruling::Authorized(DecidingRule::OWN_STACK));
        }
        let asking = asking();
        if asking.privileged {
            return Ok(Ruling::Authorized(DecidingRule::PRIVILEGED));
        }
        let resource = match &in_force.resource {
            Ok(resource) => resource,
            Err(error) => {
                tracing::info!(uid = asking.uid, %error, "not authorized: no resource name");
                let error = Error::not_authorized(&format!(
                    "uid {} is not authorized: {error}; give the host such a name",
                    asking.uid
                ));
                return Err(Refused { error, rule: None });
            }
        };
        let names = self.names.of(&asking, in_force.by_name, Instant::now());
        match self.names.decide(&names, policy, &asking, resource, stack) {
            Ok(authorized) => Ok(Ruling::Authorized(authorized.rule().clone())),
            Err(_) if names.are_on_their_way() => Ok(Ruling::NamesPending),
            Err(refusal) => {
                let rule = Some(refusal.rule().clone());
                Err(Refused { error: refused(&refusal), rule })
            }
        }
    }

    /// The security domain that an agent must have too: none to compare under the embedded default,
    /// which is nobody's policy; else what the policy defines, if it does.
    pub(crate) fn domain_to_compare(&self) -> Option<Option<String>> {
        let in_force = self.current();
        match in_force.kind {
            PolicyInForce::Embedded => None,
            PolicyInForce::Given | PolicyInForce::File | PolicyInForce::Nothing => {
                let domain = in_force.policy.as_ref().ok().and_then(Policy::security_domain);
                Some(domain.map(|domain| domain.as_str().to_owned()))
            }
        }
    }

    /// See [`Stack::reload_policy`].
    pub(crate) fn reload(&self) -> Result<(), PolicyFileError> {
        let mut watch = self.watch();
        self.look(&mut watch, true);
        watch.fault.clone().map_or(Ok(()), Err)
    }

    /// See [`Stack::policy_status`].
    pub(crate) fn status(&self) -> PolicyStatus {
        let kind = self.current().kind;
        PolicyStatus::new(kind, self.source.path(), self.watch().fault.clone())
    }

    /// What is in force now; looks at the file where the last look is too old.
    fn current(&self) -> Arc<InForce> {
        if sys::coarse_milliseconds() >= self.pass.load(Ordering::Relaxed) >> 1 {
            // Whoever finds another thread looking goes by what was in force until now.
            match self.watch.try_lock() {
                Ok(mut watch) => self.look(&mut watch, false),
                Err(TryLockError::Poisoned(watch)) => self.look(&mut watch.into_inner(), false),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.read()
    }

    fn read(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        // Both fields hold at any moment.
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_in_force(&self, new: InForce) {
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }

    /// Looks at the policy file and, where it is another than before or `anew`, reads it.
    fn look(&self, watch: &mut Watch, anew: bool) {
        let Some(path) = self.source.path() else {
            return;
        };
        let look = Look::at(path);
        if anew || watch.look.as_ref() != Some(&look) {
            self.load(watch, look, path);
        }
        let in_force = self.read();
        let host = sys::host_name();
        if in_force.host != host {
            self.put_in_force(InForce::new(in_force.kind, in_force.policy.clone(), host));
        }
        let every = u64::try_from(self.look_every.as_millis()).unwrap_or(u64::MAX);
        let until = sys::coarse_milliseconds().saturating_add(every);
        self.pass.store(pass(self.read().is_embedded(), Some(until)), Ordering::Relaxed);
    }

    fn load(&self, watch: &mut Watch, look: Look, path: &Path) {
        let before = self.read().kind;
        let may_be_absent = matches!(self.source, Source::DefaultFile(_));
        let Read { look, policy } = source::read(path, look);
        let absent = look.is_absent();
        watch.look = Some(look);
        let fault = match policy {
            Ok(policy) => {
                let profiles = policy.profiles().len();
                tracing::info!(file = %path.display(), profiles, "the policy file is in force");
                self.put_in_force(InForce::of_file(policy));
                watch.fault = None;
                return;
            }
            Err(_) if absent && may_be_absent && before != PolicyInForce::File => {
                let policy = Ok(Policy::embedded());
                self.put_in_force(InForce::new(PolicyInForce::Embedded, policy, sys::host_name()));
                watch.fault = None;
                return;
            }
            Err(_) if absent && before == PolicyInForce::File => {
                PolicyFileError::Gone { path: path.into() }
            }
            Err(fault) => fault,
        };
        let file = path.display();
        if before == PolicyInForce::Nothing {
            tracing::error!(%file, error = %fault, "no policy is in force: nobody is authorized");
            let why = format!("not authorized: no policy is in force, since {fault}");
            let nothing = InForce::new(PolicyInForce::Nothing, Err(why), sys::host_name());
            self.put_in_force(nothing);
        } else {
            tracing::error!(%file, error = %fault, "the policy that was in force stays in force");
        }
        watch.fault = Some(fault);
    }
}

fn refused(refusal: &Refusal) -> Error {
    let rule = refusal.rule();
    let (uid, resource) = (refusal.uid(), refusal.resource());
    tracing::info!(uid, %resource, %rule, "not authorized");
    Error::not_authorized(&format!("{refusal}; {}", remedy(rule.kind())))
}

/// What to do about a refusal.
fn remedy(rule: RuleKind) -> &'static str {
    match rule {
        RuleKind::NoPolicyFile => {
            "an administrator can write a policy file, or run the program as a privileged one"
        }
        RuleKind::NoProfile => {
            "an administrator can add a profile for this resource, and READ for this user in it"
        }
        RuleKind::Permit => "an administrator can change that entry",
        RuleKind::UniversalAccess => {
            "an administrator can permit this user, or one of its groups, READ in that profile"
        }
        RuleKind::MayApply => {
            "an administrator can list accounts by uid and gid, or see why the account database \
             does not tell this caller's names"
        }
        // Neither refuses.
        RuleKind::Privileged | RuleKind::OwnStack => "see the manual",
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("source", &self.source)
            .field("in_force", &self.read().kind)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
