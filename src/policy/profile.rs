//! A profile: a name that covers resources, and the list of who may use them.

use std::fmt;
use std::sync::Arc;

use super::access::Access;
use super::name::ProfileName;
use super::resource::Resource;
use super::specificity::Specificity;

/// One profile of a policy, for showing it; deciding is [`Policy::decide`](super::Policy::decide).
///
/// ```
/// use partner_info::policy::{Access, Policy};
///
/// let text = r#"
/// [[profile]]
/// name = "EZB.IOCTL.WEB%.*.PARTNERINFO"
/// "#;
/// let policy = Policy::parse("policy.toml", text)?;
/// for profile in policy.profiles() {
///     assert_eq!((profile.name(), profile.line()), ("EZB.IOCTL.WEB%.*.PARTNERINFO", 3));
///     assert!(!profile.is_discrete());
///     assert!(profile.matches(&policy.resource("web1")?));
///     assert!(!profile.matches(&policy.resource("web10")?));
///     assert_eq!(profile.universal_access(), Access::None);
/// }
/// # assert_eq!(policy.profiles().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Profile {
    pub(crate) name: ProfileName,
    pub(crate) line: usize,
    pub(crate) universal_access: Access,
    pub(crate) universal_access_line: usize,
    pub(crate) permits: Vec<Arc<Permit>>,
}

impl Profile {
    /// The name as the file spells it.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The line of the name, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether the name holds no wildcard.
    pub fn is_discrete(&self) -> bool {
        self.name.is_discrete()
    }

    /// Whether the profile's name covers this resource. A more specific profile may still take
    /// precedence; see [`Policy::profile_for`](super::Policy::profile_for).
    pub fn matches(&self, resource: &Resource) -> bool {
        self.name.matches(resource)
    }

    /// What everybody is granted whom no entry names; NONE unless the file says otherwise.
    #[doc(alias = "UACC")]
    pub fn universal_access(&self) -> Access {
        self.universal_access
    }

    /// The entries, users before groups, each in the order of their names and then numbers.
    ///
    /// ```
    /// use partner_info::policy::Policy;
    ///
    /// let text = r#"
    /// [[profile]]
    /// name = "EZB.IOCTL.*.*.PARTNERINFO"
    /// [[profile.permit]]
    /// group = "operators"
    /// access = "READ"
    /// [[profile.permit]]
    /// user = "mallory"
    /// access = "NONE"
    /// "#;
    /// let policy = Policy::parse("policy.toml", text)?;
    /// let permits = policy.profiles().flat_map(|profile| profile.permits());
    /// let shown: Vec<_> = permits.map(|permit| permit.to_string()).collect();
    /// assert_eq!(shown, ["permit user mallory NONE", "permit group operators READ"]);
    /// # Ok::<(), partner_info::policy::PolicyError>(())
    /// ```
    pub fn permits(&self) -> impl ExactSizeIterator<Item = &Permit> {
        self.permits.iter().map(AsRef::as_ref)
    }

    pub(crate) fn specificity(&self) -> Specificity {
        Specificity::of(&self.name)
    }
}

/// One entry of a profile's access list.
///
/// ```
/// use partner_info::policy::{Access, Policy, Subject};
///
/// let text = r#"
/// [[profile]]
/// name = "EZB.IOCTL.*.*.PARTNERINFO"
/// [[profile.permit]]
/// uid = 1000
/// access = "READ"
/// "#;
/// let policy = Policy::parse("policy.toml", text)?;
/// let permit = policy.profiles().flat_map(|profile| profile.permits()).next().unwrap();
/// assert!(matches!(permit.subject(), Subject::Uid(1000)));
/// assert_eq!((permit.access(), permit.line()), (Access::Read, 5));
/// # Ok::<(), partner_info::policy::PolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Permit {
    pub(crate) subject: Subject,
    pub(crate) access: Access,
    pub(crate) line: usize,
}

impl Permit {
    /// For whom the entry is.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What it grants.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The line of the user or group in the file, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "permit {} {}", self.subject, self.access)
    }
}

/// For whom an entry of an access list is.
///
/// ```
/// use partner_info::policy::Subject;
///
/// assert_eq!(Subject::User("alice".into()).to_string(), "user alice");
/// assert_eq!(Subject::Gid(2000).to_string(), "gid 2000");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Subject {
    /// The user account with this name, compared without regard to case.
    User(Box<str>),
    /// The user account with this uid.
    Uid(u32),
    /// Members of the group with this name, compared without regard to case.
    Group(Box<str>),
    /// Members of the group with this gid.
    Gid(u32),
}

impl Subject {
    /// The key of the file that names this kind of subject.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Subject::User(_) => "user",
            Subject::Uid(_) => "uid",
            Subject::Group(_) => "group",
            Subject::Gid(_) => "gid",
        }
    }

    /// Equal for two subjects exactly when they are the same entry of a list, and ordered as
    /// [`Profile::permits`] shows them.
    pub(crate) fn sort_key(&self) -> (u8, String, u32) {
        match self {
            Subject::User(name) => (0, name.to_ascii_uppercase(), 0),
            Subject::Uid(uid) => (1, String::new(), *uid),
            Subject::Group(name) => (2, name.to_ascii_uppercase(), 0),
            Subject::Gid(gid) => (3, String::new(), *gid),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())?;
        match self {
            Subject::User(name) | Subject::Group(name) => write!(f, " {name}"),
            Subject::Uid(id) | Subject::Gid(id) => write!(f, " {id}"),
        }
    }
}
