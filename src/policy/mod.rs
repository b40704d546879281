//! Who may learn who the partner is, and which security domain this host belongs to.
//!
//! A [`Policy`] is read from one TOML file and decides, for a [`Caller`] and a [`Resource`],
//! whether the caller may have the partner's credentials. It follows RACF: resources are guarded
//! by profiles in the class SERVAUTH, the most specific profile that matches decides, and within
//! it the entry of the user, then those of its groups, then universal access. No matching profile
//! means not authorized.
//!
//! Everything here is pure: no file is opened, no account looked up, no clock read. The caller of
//! this module brings the text, the host's name and what it knows about the asking process; what
//! it does not know stays unknown, and the unknown never widens access.
//!
//! ```
//! use partner_info::policy::{Caller, Group, PartnerStack, Policy};
//!
//! let text = r#"
//! [[profile]]
//! name = "EZB.IOCTL.*.*.PARTNERINFO"
//! [[profile.permit]]
//! user = "alice"
//! access = "READ"
//! "#;
//! let policy = Policy::parse("policy.toml", text)?;
//! let resource = policy.resource("web1.example.com")?;
//! assert_eq!(resource.to_string(), "EZB.IOCTL.WEB1.TCPIP.PARTNERINFO");
//!
//! let groups = [Group::new(100).named("users")];
//! let alice = Caller::new(1000).named("alice").in_groups(&groups);
//! let decision = policy.decide(&alice, &resource, PartnerStack::Other);
//! assert_eq!(
//!     decision.to_string(),
//!     "permit user alice READ in profile EZB.IOCTL.*.*.PARTNERINFO (policy.toml:5)"
//! );
//! let authorized = decision.into_result()?;
//! assert_eq!(authorized.uid(), 1000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source: z/OS Communications Server, *trusted TCP connections* (the resource, `EZBDOMAIN`);
//! z/OS Security Server RACF Command Language Reference, *Profile names for general resources*.

mod access;
mod account;
mod caller;
mod decide;
mod decision;
mod domain;
mod error;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(any(test, fuzzing))]
mod model;
mod name;
mod profile;
mod render;
mod resource;
mod specificity;
mod store;
pub(crate) mod text;

pub use access::{Access, UnknownAccess};
#[cfg(feature = "tower")]
pub(crate) use caller::names_an_account;
pub use caller::{Caller, Group};
pub use decision::{Authorized, DecidingRule, Decision, PartnerStack, Refusal, RuleKind};
pub use domain::{SecurityDomain, SecurityDomainError};
pub use error::{PolicyError, PolicyRule};
pub use profile::{Permit, Profile, Subject};
pub use resource::{Resource, ResourceError};
pub use store::{MAX_POLICY_BYTES, Policy};

#[cfg(test)]
mod tests;
