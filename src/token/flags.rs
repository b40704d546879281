//! The token's flags, and why a list of holders may lack one.

use std::fmt;

/// The flags of a token. A flag that could not be determined is `None`, never `false`.
///
/// # Examples
///
/// ```
/// use partner_info::prelude::*;
///
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (server, _) = listener.accept()?;
/// # let wait = std::time::Duration::from_secs(5);
/// let partner = server.get_partner_info_blocking(PartnerRequest::UTOKEN, wait)?;
/// let flags = partner.token().unwrap().flags();
/// assert!(!flags.remote()); // it runs on this image
/// assert!(!flags.default()); // and its process was found
///
/// // `None` is not "no": only `Some(false)` says that no holder is privileged.
/// let harmless = flags.privileged() == Some(false);
/// println!("harmless: {harmless}, flags: {flags}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenFlags {
    privileged: Option<bool>,
    undefined_user: Option<bool>,
    surrogate: Option<bool>,
    remote: bool,
    default: bool,
}

impl TokenFlags {
    pub(super) fn new(
        privileged: Option<bool>,
        undefined_user: Option<bool>,
        surrogate: Option<bool>,
        remote: bool,
        default: bool,
    ) -> Self {
        Self { privileged, undefined_user, surrogate, remote, default }
    }

    /// Some process that holds the socket has effective uid 0 or an effective capability.
    ///
    /// `Some(false)` says that no holder has, and is said only of a complete list of holders whose
    /// privilege is known. The flag speaks of the processes: a user who makes a socket and runs a
    /// set-uid program with it is still that user.
    pub fn privileged(&self) -> Option<bool> {
        self.privileged
    }

    /// No account has the uid of the socket's owner; `None` when nobody has looked.
    pub fn undefined_user(&self) -> Option<bool> {
        self.undefined_user
    }

    /// The audit login uid differs from the socket's owner: somebody acts as somebody else.
    pub fn surrogate(&self) -> Option<bool> {
        self.surrogate
    }

    /// The token came from another image.
    pub fn remote(&self) -> bool {
        self.remote
    }

    /// Nothing could be read beyond the socket's owner: the token names no holder.
    pub fn default(&self) -> bool {
        self.default
    }
}

/// The flags that are set, comma separated; `-` when none is.
impl fmt::Display for TokenFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.privileged == Some(true), "privileged"),
            (self.undefined_user == Some(true), "undefined-user"),
            (self.surrogate == Some(true), "surrogate"),
            (self.remote, "remote"),
            (self.default, "default"),
        ];
        let mut separator = "";
        for (_, name) in flags.iter().filter(|(set, _)| *set) {
            write!(f, "{separator}{name}")?;
            separator = ",";
        }
        if separator.is_empty() { f.write_str("-") } else { Ok(()) }
    }
}

/// Why the list of holders in a token may lack one.
///
/// # Examples
///
/// ```
/// use partner_info::token::HoldersGap;
///
/// assert_eq!(HoldersGap::NoRight.as_str(), "no-right");
/// assert_eq!(HoldersGap::NoRight.to_string(), "no-right");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HoldersGap {
    /// The search was told to stop at the first holder.
    StoppedAtFirst,
    /// The descriptors of at least one process may not be read by the asking process.
    NoRight,
    /// `/proc` hides the processes of others (mount option `hidepid`).
    HiddenProcesses,
    /// The asking process lives in a pid namespace of its own and does not see processes outside.
    PidNamespace,
    /// There were more descriptors than one search may read.
    TooManyDescriptors,
    /// Holders went on changing while they were read.
    Changing,
    /// Every process was read and none holds the socket: it is gone, or no process's descriptor.
    NotHeld,
    /// `/proc` is not mounted, is no procfs, or belongs to another pid namespace.
    NoProc,
    /// The agent's answer had no room for all holders; those with the lowest pids are there.
    TooManyHolders,
}

impl HoldersGap {
    /// A short name that stays the same in later versions, for logs and machine-read output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StoppedAtFirst => "stopped-at-first",
            Self::NoRight => "no-right",
            Self::HiddenProcesses => "hidden-processes",
            Self::PidNamespace => "pid-namespace",
            Self::TooManyDescriptors => "too-many-descriptors",
            Self::Changing => "changing",
            Self::NotHeld => "not-held",
            Self::NoProc => "no-proc",
            Self::TooManyHolders => "too-many-holders",
        }
    }
}

impl fmt::Display for HoldersGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
