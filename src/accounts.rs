//! Account names, looked up off the caller's thread and kept for a while.
//!
//! A name service may be a directory server that is slow or down, and getpwuid_r(3) has no
//! timeout. So threads of our own ask it, a few at most; who wants a name looks whether it is here
//! and comes again. A name that does not come is absent: the number stands for the user.

mod kept;
#[cfg(feature = "tower")]
mod memberships;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::kept::{Kept, State};
#[cfg(feature = "tower")]
pub(crate) use self::memberships::{Groups, Memberships};

/// Where account names come from.
///
/// The default is the system's name service, getpwuid_r(3) and getgrgid_r(3). The name of a partner
/// is for people to read: no lookup decides by it. The names of the *caller* decide where the
/// policy permits users or groups by name.
///
/// # Examples
///
/// ```
/// use std::io;
/// use std::time::Duration;
///
/// use partner_info::prelude::*;
/// use partner_info::{AccountNames, Stack};
///
/// /// Everybody has a name by the number.
/// struct ByNumber;
///
/// impl AccountNames for ByNumber {
///     fn name_of(&self, uid: u32) -> io::Result<Option<String>> {
///         Ok(Some(format!("u{uid}")))
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// Stack::builder().account_names(ByNumber).build().make_default().unwrap();
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (server, _) = listener.accept()?;
/// let partner =
///     server.get_partner_info_blocking(PartnerRequest::USER_ID, Duration::from_secs(5))?;
/// let user = partner.user().unwrap();
/// assert_eq!(user.name(), Some(format!("u{}", user.uid()).as_str()));
/// # Ok(())
/// # }
/// ```
pub trait AccountNames: Send + Sync + 'static {
    /// The name of the account with this number, `None` where no account has it.
    ///
    /// Called on a thread of its own, so it may block.
    ///
    /// # Errors
    ///
    /// Any error means that the name is not known now; it is asked again later.
    fn name_of(&self, uid: u32) -> io::Result<Option<String>>;

    /// The name of the group with this number, `None` where no group has it; from the system's name
    /// service unless implemented.
    ///
    /// Called on a thread of its own, so it may block.
    ///
    /// # Errors
    ///
    /// Any error means that the name is not known now; it is asked again later.
    fn group_name_of(&self, gid: u32) -> io::Result<Option<String>> {
        system_group_name(gid)
    }

    /// The groups that the account with this number is a member of, its primary group among them;
    /// `None` where no account has it. From the system's name service, getgrouplist(3), unless
    /// implemented.
    ///
    /// Called on a thread of its own, so it may block.
    ///
    /// # Errors
    ///
    /// Any error means that the groups are not known now; they are asked for again later.
    fn groups_of(&self, uid: u32) -> io::Result<Option<Vec<u32>>> {
        system_groups(uid)
    }
}

#[cfg(target_os = "linux")]
fn system_groups(uid: u32) -> io::Result<Option<Vec<u32>>> {
    let Some(user) = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))? else {
        return Ok(None);
    };
    let name = std::ffi::CString::new(user.name)?;
    let groups = nix::unistd::getgrouplist(&name, user.gid)?;
    Ok(Some(groups.into_iter().map(nix::unistd::Gid::as_raw).collect()))
}

#[cfg(not(target_os = "linux"))]
fn system_groups(_: u32) -> io::Result<Option<Vec<u32>>> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn system_group_name(gid: u32) -> io::Result<Option<String>> {
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(gid))?;
    Ok(group.map(|group| group.name))
}

#[cfg(not(unix))]
fn system_group_name(_: u32) -> io::Result<Option<String>> {
    Ok(None)
}

/// Whose name is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Account {
    User(u32),
    Group(u32),
}

/// The system's name service.
#[derive(Debug)]
pub(crate) struct SystemAccounts;

#[cfg(unix)]
impl AccountNames for SystemAccounts {
    fn name_of(&self, uid: u32) -> io::Result<Option<String>> {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))?;
        Ok(user.map(|user| user.name))
    }
}

#[cfg(not(unix))]
impl AccountNames for SystemAccounts {
    fn name_of(&self, _: u32) -> io::Result<Option<String>> {
        Ok(None)
    }
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// The name service has answered: this name, or that there is none.
    Known(Option<Arc<str>>),
    /// It has been asked.
    Pending,
    /// It is too busy to be asked.
    Unavailable,
}

/// How names are looked up and kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long an answer is believed.
    pub(crate) age: Duration,
    /// How many names are kept.
    pub(crate) names: usize,
}

/// Account names with an age.
#[derive(Debug)]
pub(crate) struct Accounts(Kept<Account, Option<Arc<str>>>);

impl Accounts {
    pub(crate) fn new(source: Arc<dyn AccountNames>, limits: Limits) -> Self {
        let ask = move |account| {
            let name = match account {
                Account::User(uid) => source.name_of(uid),
                Account::Group(gid) => source.group_name_of(gid),
            };
            Ok(name?.map(Arc::from))
        };
        Self(Kept::new("partner-info-names", limits, None, ask))
    }

    /// The name of `uid`, where it is here; else the name service is asked, and a later call finds
    /// the answer. Never blocks on the name service.
    pub(crate) fn lookup(&self, uid: u32, now: Instant) -> Lookup {
        self.of(Account::User(uid), now)
    }

    /// As [`lookup`](Self::lookup), of a user or a group; and where the answer has aged, it serves
    /// until the next one is here.
    pub(crate) fn lookup_or_last(&self, account: Account, now: Instant) -> Lookup {
        match self.of(account, now) {
            known @ Lookup::Known(_) => known,
            other @ (Lookup::Pending | Lookup::Unavailable) => {
                self.0.last(account).map_or(other, Lookup::Known)
            }
        }
    }

    fn of(&self, account: Account, now: Instant) -> Lookup {
        match self.0.lookup(account, now) {
            State::Known(name) => Lookup::Known(name),
            State::Pending => Lookup::Pending,
            State::Unavailable => Lookup::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests;
