//! Numbers with a meaning: users, groups, processes, capabilities.

use std::fmt;
use std::num::NonZeroU32;

/// A numeric user id. `u32::MAX` is the kernel's "no user" and is never a value of this type.
///
/// # Examples
///
/// ```
/// use partner_info::token::Uid;
///
/// assert_eq!(Uid::new(1000).map(Uid::as_raw), Some(1000));
/// assert_eq!(Uid::new(u32::MAX), None); // no user
/// assert!(Uid::new(0).is_some_and(Uid::is_root));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(u32);

impl Uid {
    /// The user id `raw`; `None` for `u32::MAX`, which means "no user".
    pub fn new(raw: u32) -> Option<Self> {
        (raw != u32::MAX).then_some(Self(raw))
    }

    /// The number.
    pub fn as_raw(self) -> u32 {
        self.0
    }

    /// Whether this is root, uid 0.
    pub fn is_root(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A numeric group id. `u32::MAX` is the kernel's "no group" and is never a value of this type.
///
/// # Examples
///
/// ```
/// use partner_info::token::Gid;
///
/// assert_eq!(Gid::new(1000).map(Gid::as_raw), Some(1000));
/// assert_eq!(Gid::new(u32::MAX), None); // no group
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gid(u32);

impl Gid {
    /// The group id `raw`; `None` for `u32::MAX`, which means "no group".
    pub fn new(raw: u32) -> Option<Self> {
        (raw != u32::MAX).then_some(Self(raw))
    }

    /// The number.
    pub fn as_raw(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A process id, as the process that asked sees it: in the pid namespace of its `/proc`.
///
/// # Examples
///
/// ```
/// use partner_info::token::Pid;
///
/// assert_eq!(Pid::new(1).map(Pid::as_raw), Some(1));
/// assert_eq!(Pid::new(0), None);
/// assert_eq!(Pid::new(u32::MAX), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(NonZeroU32);

impl Pid {
    /// The process id `raw`; `None` for zero and for numbers above `i32::MAX`.
    pub fn new(raw: u32) -> Option<Self> {
        i32::try_from(raw).ok()?;
        NonZeroU32::new(raw).map(Self)
    }

    /// The number.
    pub fn as_raw(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of capabilities, bit *n* being capability number *n* of `capabilities(7)`.
///
/// # Examples
///
/// ```
/// use partner_info::token::Capabilities;
///
/// const CAP_NET_ADMIN: u8 = 12;
///
/// let set = Capabilities::from_bits(1 << CAP_NET_ADMIN);
/// assert!(set.contains(CAP_NET_ADMIN) && !set.is_empty());
/// assert_eq!(set.to_string(), "0000000000001000");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Capabilities(u64);

impl Capabilities {
    /// The set with these bits.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits, as in the line `CapEff` of `/proc/<pid>/status`.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether the set has no capability.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the set has capability number `number`; numbers from 64 on are in no set.
    pub fn contains(self, number: u8) -> bool {
        1_u64.checked_shl(number.into()).is_some_and(|bit| self.0 & bit != 0)
    }
}

/// Sixteen hexadecimal digits, as in `/proc/<pid>/status`.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
