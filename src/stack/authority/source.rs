//! Where the policy comes from, and what is to be said of its file.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::kernel::sys::{self, file};
use crate::policy::{MAX_POLICY_BYTES, Policy, PolicyError};

/// Names the policy file, for programs that are not told by their code.
const VARIABLE: &str = "PARTNER_INFO_POLICY";
/// The policy file where nothing else names one.
pub(crate) const DEFAULT_FILE: &str = "/etc/partner-info/policy.toml";

/// Where the policy comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Given(Policy),
    /// A file that must be there.
    File(PathBuf),
    /// A file that may be absent: then the embedded default is in force.
    DefaultFile(PathBuf),
}

impl Source {
    /// As the environment has it.
    pub(crate) fn of_environment() -> Self {
        Self::of(std::env::var_os(VARIABLE), sys::distrusts_environment())
    }

    /// This file, which must be there; without one the default file, which may be absent.
    #[cfg(feature = "agent")]
    pub(crate) fn of_file(path: Option<&Path>) -> Self {
        path.map_or_else(|| Self::DefaultFile(DEFAULT_FILE.into()), |path| Self::File(path.into()))
    }

    /// An environment that who started a set-id program may have made is not asked.
    pub(super) fn of(variable: Option<OsString>, distrusted: bool) -> Self {
        match variable.filter(|path| !path.is_empty()) {
            Some(_) if distrusted => {
                tracing::warn!("{VARIABLE} is ignored in a set-id program");
                Self::DefaultFile(DEFAULT_FILE.into())
            }
            Some(path) => Self::File(path.into()),
            None => Self::DefaultFile(DEFAULT_FILE.into()),
        }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Given(_) => None,
            Self::File(path) | Self::DefaultFile(path) => Some(path),
        }
    }
}

/// What a look at a file saw. Where two are equal, there is nothing new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Absent,
    Failed(io::ErrorKind),
    Present(file::Identity),
}

impl Look {
    pub(super) fn at(path: &Path) -> Self {
        file::look(path).map_or_else(|error| Self::failed(&error), Self::Present)
    }

    fn failed(error: &io::Error) -> Self {
        let kind = error.kind();
        let absent = matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        if absent { Self::Absent } else { Self::Failed(kind) }
    }

    pub(super) fn is_absent(&self) -> bool {
        *self == Self::Absent
    }
}

/// What reading a file came to, and the state of the file that this is about.
pub(super) struct Read {
    pub(super) look: Look,
    pub(super) policy: Result<Policy, PolicyFileError>,
}

/// `look` was made just before.
pub(super) fn read(path: &Path, look: Look) -> Read {
    // One byte more than a policy may have tells that it has too many.
    match file::read(path, MAX_POLICY_BYTES + 1) {
        Ok((identity, bytes)) => {
            let name = path.to_string_lossy();
            // A byte that is not UTF-8 stands in a comment, or else breaks a rule at its line.
            let text = String::from_utf8_lossy(&bytes);
            let policy = Policy::parse(&name, &text).map_err(PolicyFileError::Invalid);
            Read { look: Look::Present(identity), policy }
        }
        Err(error) => {
            // A file that is there and cannot be read: a change of its mode shows in its identity.
            let look = match look {
                Look::Present(_) if error.kind() != io::ErrorKind::NotFound => look,
                Look::Present(_) | Look::Absent | Look::Failed(_) => Look::failed(&error),
            };
            let error = Arc::new(error);
            Read { look, policy: Err(PolicyFileError::Unreadable { path: path.into(), error }) }
        }
    }
}

/// Why a policy file is not in force as it stands.
///
/// ```
/// use partner_info::{PolicyFileError, Stack};
///
/// let stack = Stack::builder().policy_file("/nonexistent/policy.toml").build();
/// let error = stack.reload_policy().unwrap_err();
/// assert!(matches!(error, PolicyFileError::Unreadable { .. }));
/// assert!(error.to_string().contains("the policy file cannot be read"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PolicyFileError {
    /// The file cannot be read. Where it was named by the builder or the environment, it must be
    /// there.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// The file breaks a rule: the message names file, line and rule.
    Invalid(PolicyError),
    /// The file was there and is no longer. What it said stays in force until the process ends.
    Gone {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for PolicyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| path.to_string_lossy().escape_debug().to_string();
        match self {
            Self::Unreadable { path, error } => {
                write!(f, "{}: the policy file cannot be read: {error}", shown(path))
            }
            Self::Invalid(error) => error.fmt(f),
            Self::Gone { path } => {
                write!(f, "{}: the policy file is gone; put it back, or one that", shown(path))?;
                f.write_str(" says what is wanted")
            }
        }
    }
}

impl std::error::Error for PolicyFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error.as_ref()),
            Self::Invalid(error) => Some(error),
            Self::Gone { .. } => None,
        }
    }
}

/// Which policy is in force.
///
/// ```
/// use partner_info::policy::Policy;
/// use partner_info::{PolicyInForce, Stack};
///
/// let stack = Stack::builder().policy(Policy::parse("built in", "")?).build();
/// assert_eq!(stack.policy_status().in_force(), PolicyInForce::Given);
///
/// let stack = Stack::builder().policy_file("/nonexistent/policy.toml").build();
/// assert_eq!(stack.policy_status().in_force(), PolicyInForce::Nothing);
/// # Ok::<(), partner_info::policy::PolicyError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyInForce {
    /// The embedded default: everybody may ask about partners in its own stack, and only
    /// privileged callers about others.
    Embedded,
    /// The policy that was given to the builder.
    Given,
    /// What the policy file says, or said when it could last be read.
    File,
    /// None, since the policy file could not be read from the beginning: nobody is authorized.
    Nothing,
}

/// What [`Stack::policy_status`](crate::Stack::policy_status) tells.
///
/// ```
/// use std::path::Path;
///
/// use partner_info::Stack;
///
/// let stack = Stack::builder().policy_file("/nonexistent/policy.toml").build();
/// let status = stack.policy_status();
/// assert_eq!(status.file(), Some(Path::new("/nonexistent/policy.toml")));
/// assert!(status.fault().is_some());
/// ```
#[derive(Clone, Debug)]
pub struct PolicyStatus {
    in_force: PolicyInForce,
    file: Option<PathBuf>,
    fault: Option<PolicyFileError>,
}

impl PolicyStatus {
    pub(super) fn new(
        in_force: PolicyInForce,
        file: Option<&Path>,
        fault: Option<PolicyFileError>,
    ) -> Self {
        Self { in_force, file: file.map(Into::into), fault }
    }

    /// Which policy is in force.
    #[must_use]
    pub fn in_force(&self) -> PolicyInForce {
        self.in_force
    }

    /// The file that is looked at, whether it is there or not; `None` for a policy that was given.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Why what is in force is not what the file says now; `None` where it is.
    #[must_use]
    pub fn fault(&self) -> Option<&PolicyFileError> {
        self.fault.as_ref()
    }
}
