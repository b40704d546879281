//! What was decided, and by which rule.

use std::fmt;
use std::sync::Arc;

use super::caller::Caller;
use super::profile::{Permit, Profile};
use super::resource::Resource;
use super::text::quoted;

/// Where the partner is, as far as authorization is concerned.
///
/// ```
/// use partner_info::policy::{Caller, PartnerStack, Policy};
///
/// let policy = Policy::embedded();
/// let resource = policy.resource("web1")?;
/// let alice = Caller::new(1000);
/// assert!(policy.decide(&alice, &resource, PartnerStack::Own).is_authorized());
/// assert!(!policy.decide(&alice, &resource, PartnerStack::Other).is_authorized());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PartnerStack {
    /// In the caller's own stack (network namespace), as the kernel's socket table proves.
    Own,
    /// In another stack, on another image, or not known to be in the own one.
    Other,
}

/// The answer of [`Policy::decide`](super::Policy::decide): authorized or not, and why.
///
/// [`Display`](fmt::Display) tells the rule. To act on it, take [`into_result`](Self::into_result).
///
/// ```
/// use partner_info::policy::{Caller, PartnerStack, Policy, RuleKind};
///
/// let policy = Policy::parse("policy.toml", "")?; // no profiles
/// let resource = policy.resource("web1")?;
/// let decision = policy.decide(&Caller::new(1000), &resource, PartnerStack::Own);
/// assert!(!decision.is_authorized());
/// assert_eq!(decision.rule().kind(), RuleKind::NoProfile);
/// assert_eq!(decision.to_string(), "no profile matches (policy.toml)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a decision that nobody looks at guards nothing"]
pub struct Decision {
    outcome: Result<Authorized, Refusal>,
}

impl Decision {
    pub(crate) fn authorized(caller: &Caller<'_>, stack: PartnerStack, rule: DecidingRule) -> Self {
        Decision { outcome: Ok(Authorized { uid: caller.uid(), stack, rule }) }
    }

    pub(crate) fn refused(caller: &Caller<'_>, resource: &Resource, rule: DecidingRule) -> Self {
        let user = caller.user().map(Into::into);
        let refusal = Refusal { uid: caller.uid(), user, resource: resource.clone(), rule };
        Decision { outcome: Err(refusal) }
    }

    /// Whether the caller is authorized.
    pub fn is_authorized(&self) -> bool {
        self.outcome.is_ok()
    }

    /// The rule that decided.
    pub fn rule(&self) -> &DecidingRule {
        match &self.outcome {
            Ok(authorized) => &authorized.rule,
            Err(refusal) => &refusal.rule,
        }
    }

    /// The proof that the caller is authorized.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if it is not. It tells who asked, for which resource, and which rule decided;
    /// an operator grants access by adding a permit with READ to the profile that it names.
    pub fn into_result(self) -> Result<Authorized, Refusal> {
        self.outcome
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule().fmt(f)
    }
}

/// Proof that a caller was found authorized, made by [`Policy::decide`](super::Policy::decide)
/// alone.
///
/// It speaks of one caller and one place of the partner; whoever takes it as an argument compares
/// both with what is being asked for.
///
/// ```
/// use partner_info::policy::{Caller, PartnerStack, Policy, RuleKind};
///
/// let policy = Policy::embedded();
/// let resource = policy.resource("web1")?;
/// let decision = policy.decide(&Caller::new(1000), &resource, PartnerStack::Own);
/// let authorized = decision.into_result()?;
/// assert_eq!((authorized.uid(), authorized.stack()), (1000, PartnerStack::Own));
/// assert_eq!(authorized.rule().kind(), RuleKind::OwnStack);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Authorized {
    uid: u32,
    stack: PartnerStack,
    rule: DecidingRule,
}

impl Authorized {
    /// The uid of the caller that is authorized.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Where the partner may be: a caller authorized for its own stack by the embedded default is
    /// not authorized for others.
    pub fn stack(&self) -> PartnerStack {
        self.stack
    }

    /// The rule that decided.
    pub fn rule(&self) -> &DecidingRule {
        &self.rule
    }
}

/// A caller is not authorized: who asked, for what, and which rule decided.
///
/// ```
/// use partner_info::policy::{Caller, PartnerStack, Policy};
///
/// let policy = Policy::embedded();
/// let resource = policy.resource("web1")?;
/// let alice = Caller::new(1000).named("alice");
/// let decision = policy.decide(&alice, &resource, PartnerStack::Other);
/// let refusal = decision.into_result().unwrap_err();
/// assert_eq!((refusal.uid(), refusal.user()), (1000, Some("alice")));
/// assert_eq!(refusal.resource(), &resource);
/// assert_eq!(
///     refusal.to_string(),
///     "uid 1000 (\"alice\") is not authorized for EZB.IOCTL.WEB1.TCPIP.PARTNERINFO: no policy \
///      file, partner not in the caller's own stack"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Refusal {
    uid: u32,
    user: Option<Box<str>>,
    resource: Resource,
    rule: DecidingRule,
}

impl Refusal {
    /// The uid of the caller.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The name of the caller, if it was known. It comes from the account database: escape it
    /// before it goes to a terminal or a log.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// What the caller asked for.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The rule that decided.
    pub fn rule(&self) -> &DecidingRule {
        &self.rule
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {} (", self.uid)?;
        match &self.user {
            Some(user) => f.write_str(&quoted(user))?,
            None => f.write_str("name not known")?,
        }
        write!(f, ") is not authorized for {}: {}", self.resource, self.rule)
    }
}

impl std::error::Error for Refusal {}

/// The rule that decided, with its place in the file.
///
/// [`Display`](fmt::Display) tells all of it on one line, such as
/// `permit user alice READ in profile EZB.IOCTL.*.*.PARTNERINFO (policy.toml:12)`.
///
/// ```
/// use partner_info::policy::{Access, Caller, PartnerStack, Policy, RuleKind};
///
/// let text = r#"
/// [[profile]]
/// name = "EZB.IOCTL.*.*.PARTNERINFO"
/// [[profile.permit]]
/// user = "mallory"
/// access = "NONE"
/// "#;
/// let policy = Policy::parse("policy.toml", text)?;
/// let mallory = Caller::new(1001).named("mallory").in_groups(&[]);
/// let decision = policy.decide(&mallory, &policy.resource("web1")?, PartnerStack::Own);
/// let rule = decision.rule();
/// assert_eq!(rule.kind(), RuleKind::Permit);
/// assert_eq!((rule.file(), rule.line()), (Some("policy.toml"), Some(5)));
/// assert_eq!(rule.profile().map(|profile| profile.name()), Some("EZB.IOCTL.*.*.PARTNERINFO"));
/// assert_eq!(rule.permit().map(|permit| permit.access()), Some(Access::None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct DecidingRule(pub(crate) Ground);

/// [`DecidingRule`] with what it speaks of. Shared with the policy, so that naming the rule costs
/// no allocation.
#[derive(Clone, Debug)]
pub(crate) enum Ground {
    Privileged,
    OwnStack,
    NoPolicyFile,
    NoProfile { file: Arc<str> },
    Permit { file: Arc<str>, profile: Arc<Profile>, permit: Arc<Permit> },
    UniversalAccess { file: Arc<str>, profile: Arc<Profile> },
    MayApply { file: Arc<str>, profile: Arc<Profile>, permit: Arc<Permit> },
}

/// The kind of a [`DecidingRule`].
///
/// ```
/// use partner_info::policy::{Caller, PartnerStack, Policy, RuleKind};
///
/// let text = r#"
/// [[profile]]
/// name = "EZB.IOCTL.*.*.PARTNERINFO"
/// uacc = "READ"
/// [[profile.permit]]
/// group = "guests"
/// access = "NONE"
/// "#;
/// let policy = Policy::parse("policy.toml", text)?;
/// let resource = policy.resource("web1")?;
/// let kind = |caller| policy.decide(&caller, &resource, PartnerStack::Own).rule().kind();
/// assert_eq!(kind(Caller::new(1000).in_groups(&[])), RuleKind::UniversalAccess);
/// assert_eq!(kind(Caller::new(1000)), RuleKind::MayApply); // perhaps a guest: refused
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RuleKind {
    /// The caller is privileged.
    Privileged,
    /// There is no policy file, and the partner is in the caller's own stack.
    OwnStack,
    /// There is no policy file, and the partner is not in the caller's own stack.
    NoPolicyFile,
    /// No profile covers the resource.
    NoProfile,
    /// An entry for the user or one of its groups.
    Permit,
    /// The profile's universal access; no entry names the caller.
    UniversalAccess,
    /// An entry that refuses may be for this caller, whose names or groups are not all known.
    MayApply,
}

impl DecidingRule {
    pub(crate) const PRIVILEGED: Self = Self(Ground::Privileged);
    pub(crate) const OWN_STACK: Self = Self(Ground::OwnStack);

    /// The kind of rule.
    pub fn kind(&self) -> RuleKind {
        match &self.0 {
            Ground::Privileged => RuleKind::Privileged,
            Ground::OwnStack => RuleKind::OwnStack,
            Ground::NoPolicyFile => RuleKind::NoPolicyFile,
            Ground::NoProfile { .. } => RuleKind::NoProfile,
            Ground::Permit { .. } => RuleKind::Permit,
            Ground::UniversalAccess { .. } => RuleKind::UniversalAccess,
            Ground::MayApply { .. } => RuleKind::MayApply,
        }
    }

    /// The profile that decided, if one did.
    pub fn profile(&self) -> Option<&Profile> {
        match &self.0 {
            Ground::Permit { profile, .. }
            | Ground::UniversalAccess { profile, .. }
            | Ground::MayApply { profile, .. } => Some(profile),
            Ground::Privileged
            | Ground::OwnStack
            | Ground::NoPolicyFile
            | Ground::NoProfile { .. } => None,
        }
    }

    /// The entry that decided, if one did.
    pub fn permit(&self) -> Option<&Permit> {
        match &self.0 {
            Ground::Permit { permit, .. } | Ground::MayApply { permit, .. } => Some(permit),
            Ground::Privileged
            | Ground::OwnStack
            | Ground::NoPolicyFile
            | Ground::NoProfile { .. }
            | Ground::UniversalAccess { .. } => None,
        }
    }

    /// The policy file, as it was named when it was read, if a file had a say.
    pub fn file(&self) -> Option<&str> {
        match &self.0 {
            Ground::NoProfile { file }
            | Ground::Permit { file, .. }
            | Ground::UniversalAccess { file, .. }
            | Ground::MayApply { file, .. } => Some(file),
            Ground::Privileged | Ground::OwnStack | Ground::NoPolicyFile => None,
        }
    }

    /// The line of the file that decided, counted from 1, if a line did.
    pub fn line(&self) -> Option<usize> {
        match &self.0 {
            Ground::Permit { permit, .. } | Ground::MayApply { permit, .. } => Some(permit.line),
            Ground::UniversalAccess { profile, .. } => Some(profile.universal_access_line),
            Ground::Privileged
            | Ground::OwnStack
            | Ground::NoPolicyFile
            | Ground::NoProfile { .. } => None,
        }
    }
}

impl fmt::Display for DecidingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ground::Privileged => f.write_str("privileged caller"),
            Ground::OwnStack => f.write_str("no policy file, partner in the caller's own stack"),
            Ground::NoPolicyFile => {
                f.write_str("no policy file, partner not in the caller's own stack")
            }
            Ground::NoProfile { file } => write!(f, "no profile matches ({file})"),
            Ground::Permit { file, profile, permit } => {
                write!(f, "{permit} in profile {} ({file}:{})", profile.name, permit.line)
            }
            Ground::UniversalAccess { file, profile } => write!(
                f,
                "universal access {} of profile {} ({file}:{})",
                profile.universal_access, profile.name, profile.universal_access_line
            ),
            Ground::MayApply { file, profile, permit } => write!(
                f,
                "{permit} in profile {} may be for this caller, whose names or groups are not all \
                 known ({file}:{})",
                profile.name, permit.line
            ),
        }
    }
}
