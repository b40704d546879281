//! The policy as a whole.

use std::sync::Arc;

use super::domain::SecurityDomain;
use super::error::PolicyError;
use super::profile::Profile;
use super::resource::{Resource, ResourceError};

/// Bytes that a policy file has at most: 1 MiB.
///
/// ```
/// use partner_info::policy::{MAX_POLICY_BYTES, Policy, PolicyRule};
///
/// assert!(Policy::parse("policy.toml", &"\n".repeat(MAX_POLICY_BYTES)).is_ok());
/// let error = Policy::parse("policy.toml", &"\n".repeat(MAX_POLICY_BYTES + 1)).unwrap_err();
/// assert_eq!(error.rule(), PolicyRule::TextSize);
/// ```
pub const MAX_POLICY_BYTES: usize = 1 << 20;

/// The name of a stack to which the policy gives none.
pub(crate) const DEFAULT_STACK: &str = "TCPIP";

/// Who may have the partner's credentials, and this host's security domain.
///
/// Made from a file with [`parse`](Policy::parse), or for a process that has none with
/// [`embedded`](Policy::embedded). There is no `Default`: which of the two holds is a choice that
/// should be visible where it is made.
///
/// ```
/// use partner_info::policy::Policy;
///
/// let text = r#"
/// [[profile]]
/// name = "EZBDOMAIN"
/// appldata = "PROD.EXAMPLE"
/// "#;
/// let policy = Policy::parse("policy.toml", text)?;
/// assert_eq!(policy.security_domain(), Some(&"prod.example".parse()?));
/// assert_eq!(policy.profiles().len(), 0); // it guards nothing
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) source: Source,
    pub(crate) stack: Box<str>,
    pub(crate) domain: Option<SecurityDomain>,
}

/// Where the policy's rules come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// No file: the caller's own stack, and nothing else.
    Embedded,
    /// A file, its profiles with the most specific first, without `EZBDOMAIN`.
    File {
        /// The file's name, fit to show.
        name: Arc<str>,
        profiles: Vec<Arc<Profile>>,
    },
}

impl Policy {
    /// Reads a policy file. `file` names it in messages and is not opened; `text` is what it says.
    ///
    /// An empty text is a policy without profiles, which authorizes privileged callers only.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with the line of the first fault, the rule it breaks, and what to do. The
    /// file is then of no use as a whole: keep the policy that was in force, or do not start.
    ///
    /// # Examples
    ///
    /// ```
    /// use partner_info::policy::{Policy, PolicyRule};
    ///
    /// let error = Policy::parse("policy.toml", "[[profile]]\nnames = \"A.B\"\n").unwrap_err();
    /// assert_eq!((error.line(), error.rule()), (2, PolicyRule::UnknownKey));
    /// ```
    pub fn parse(file: &str, text: &str) -> Result<Self, PolicyError> {
        super::file::parse(file, text)
    }

    /// The policy of a process without a policy file: every caller is authorized for partners in
    /// its own stack, since the kernel tells any process that much, and only privileged callers
    /// for others. No security domain is defined, so that no credentials leave the stack.
    ///
    /// ```
    /// use partner_info::policy::Policy;
    ///
    /// let policy = Policy::embedded();
    /// assert!(policy.is_embedded());
    /// assert_eq!((policy.stack(), policy.security_domain()), ("TCPIP", None));
    /// ```
    pub fn embedded() -> Self {
        Policy { source: Source::Embedded, stack: DEFAULT_STACK.into(), domain: None }
    }

    /// Whether this is the embedded default, and no file's policy.
    pub fn is_embedded(&self) -> bool {
        matches!(self.source, Source::Embedded)
    }

    /// The name of this host's stack, `TCPIP` unless the file says otherwise.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// The security domain, if the file defines one.
    pub fn security_domain(&self) -> Option<&SecurityDomain> {
        self.domain.as_ref()
    }

    /// The resource that guards the partner's credentials on the host with this name:
    /// `EZB.IOCTL.<sysname>.<stack>.PARTNERINFO`.
    ///
    /// `sysname` is the host's name as `uname -n` tells it; what follows the first point is left
    /// out. Make the resource once and keep it.
    ///
    /// # Errors
    ///
    /// [`ResourceError`] if the short name is empty or holds a space or a character that is not
    /// printable ASCII. Give the host a valid name.
    ///
    /// # Examples
    ///
    /// ```
    /// use partner_info::policy::Policy;
    ///
    /// let policy = Policy::parse("policy.toml", "stack = \"BLUE\"")?;
    /// let resource = policy.resource("web1.example.com")?;
    /// assert_eq!(resource.as_str(), "EZB.IOCTL.WEB1.BLUE.PARTNERINFO");
    /// assert!(policy.resource("").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resource(&self, sysname: &str) -> Result<Resource, ResourceError> {
        Resource::partner_info(sysname, &self.stack)
    }

    /// The profiles, the most specific first; `EZBDOMAIN` is not among them.
    pub fn profiles(&self) -> impl ExactSizeIterator<Item = &Profile> {
        self.stored().iter().map(AsRef::as_ref)
    }

    /// The most specific profile that covers the resource, if any does.
    ///
    /// ```
    /// use partner_info::policy::Policy;
    ///
    /// let text = r#"
    /// [[profile]]
    /// name = "EZB.IOCTL.*.*.PARTNERINFO"
    /// [[profile]]
    /// name = "EZB.IOCTL.WEB1.*.PARTNERINFO"
    /// "#;
    /// let policy = Policy::parse("policy.toml", text)?;
    /// let profile = policy.profile_for(&policy.resource("web1")?);
    /// assert_eq!(profile.map(|profile| profile.name()), Some("EZB.IOCTL.WEB1.*.PARTNERINFO"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn profile_for(&self, resource: &Resource) -> Option<&Profile> {
        self.most_specific(resource).map(AsRef::as_ref)
    }

    pub(crate) fn most_specific(&self, resource: &Resource) -> Option<&Arc<Profile>> {
        self.stored().iter().find(|profile| profile.matches(resource))
    }

    fn stored(&self) -> &[Arc<Profile>] {
        match &self.source {
            Source::Embedded => &[],
            Source::File { profiles, .. } => profiles,
        }
    }
}
