//! The full security token of a partner: [`UserToken`], and the processes behind it: [`Holder`].
//!
//! A token has two levels, and they are kept apart because they come from different places:
//!
//! * [`UserToken::user`] is the owner that the kernel recorded when the socket was made or
//!   accepted. It is the identity to authorize on.
//! * Everything else describes the *processes* that hold the socket now. There may be none that can
//!   be read, one, or several (a forked family, a passed descriptor), and a set-uid program may
//!   hold a socket that its caller made. None of this ever changes `user`.
//!
//! # When the token speaks for all holders
//!
//! Each process that was found is a [`Holder`] with its own fields. The token's own accessors
//! ([`UserToken::command`], [`UserToken::cgroup`], ...) answer only when
//!
//! 1. every holder that was found has the field, with the same value, and
//! 2. the list of holders is known to be complete ([`UserToken::holders_complete`]), or else every
//!    holder that was found runs as the socket's owner.
//!
//! In every other case they answer `None`: the token does not choose one of several processes. The
//! second half of the second rule is for those who may not read everybody's `/proc`, so nearly all
//! callers. There may be a holder that they cannot see, and the one they see may have been given
//! the socket to stand in the light. But then both are processes of the same user: nobody can make
//! the token describe the process of somebody else. Who wants to know what was seen nevertheless
//! asks [`UserToken::holder`] or [`UserToken::holders`].
//!
//! What could not be read is absent. It is never zero, never empty, and never root.

mod display;
mod flags;
mod holder;
mod ids;
mod node;
mod search;
#[cfg(feature = "serde")]
mod serialize;
mod session;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(any(feature = "serde", feature = "agent"))]
pub(crate) mod text;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use self::flags::{HoldersGap, TokenFlags};
pub use self::holder::Holder;
pub(crate) use self::holder::HolderParts;
pub use self::ids::{Capabilities, Gid, Pid, Uid};
pub use self::node::ExecutionNode;
pub use self::search::HolderSearch;
pub use self::session::{PortClass, PortOfEntry, SessionType};

/// The security token of a partner: the owner of its socket, and the processes that hold it.
///
/// The token describes one moment: the holders as they were while the retrieval ran. A process may
/// drop its privilege, run another program or pass the socket on a microsecond later.
///
/// There is no public constructor: a token exists only because the kernel, or an agent that asked
/// its own kernel, answered. Cloning is cheap, the holders are shared.
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
/// let token = partner.token().unwrap();
///
/// // The other end is this very process.
/// assert_eq!(token.user().as_raw(), rustix::process::geteuid().as_raw());
/// assert_eq!(token.pid().unwrap().as_raw(), std::process::id());
/// assert_eq!(token.executable(), Some(std::env::current_exe()?.as_path()));
/// println!("{token}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserToken {
    user: Uid,
    holders: Arc<[Holder]>,
    gap: Option<HoldersGap>,
    node: Arc<ExecutionNode>,
    undefined_user: Option<bool>,
    remote: bool,
}

impl UserToken {
    /// Puts a token together. `gap` tells why the list of holders may lack one; `None` claims that
    /// it does not.
    pub(crate) fn assemble(
        user: Uid,
        holders: Vec<Holder>,
        gap: Option<HoldersGap>,
        node: Arc<ExecutionNode>,
    ) -> Self {
        Self { user, holders: holders.into(), gap, node, undefined_user: None, remote: false }
    }

    /// The same for somebody to whom the numbers of this host's users and processes mean nothing, or
    /// something else: `user` is the owner by its number there, and no process is named.
    #[cfg(feature = "agent")]
    pub(crate) fn for_other_namespaces(self, user: Uid) -> Self {
        let (holders, gap) = (Arc::default(), Some(HoldersGap::PidNamespace));
        Self { user, holders, gap, ..self }
    }

    /// The same without one process, which holds the socket only because it was passed to it.
    #[cfg(feature = "agent")]
    pub(crate) fn without_process(self, pid: u32) -> Self {
        let is_other = |holder: &&Holder| holder.pid().as_raw() != pid;
        let holders: Arc<[Holder]> = self.holders.iter().filter(is_other).cloned().collect();
        let gap = self.gap.or_else(|| holders.is_empty().then_some(HoldersGap::NotHeld));
        Self { holders, gap, ..self }
    }

    /// Records whether an account has the uid of [`user`](Self::user), once that was looked up.
    pub(crate) fn set_undefined_user(&mut self, undefined: bool) {
        self.undefined_user = Some(undefined);
    }

    /// Records that the token came from another image.
    pub(crate) fn set_remote(&mut self) {
        self.remote = true;
    }

    /// The owner of the partner's socket, as the kernel recorded it: the identity to authorize on.
    pub fn user(&self) -> Uid {
        self.user
    }

    /// Every process that was found to hold the partner's socket, in ascending order of pid.
    ///
    /// Whether there may be others tells [`holders_gap`](Self::holders_gap).
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
    /// let token = partner.token().unwrap();
    /// for holder in token.holders() {
    ///     println!("process {} holds it as descriptor {}", holder.pid(), holder.descriptor());
    /// }
    /// if let Some(gap) = token.holders_gap() {
    ///     println!("there may be others: {gap}");
    /// }
    /// # assert_eq!(token.holders_complete(), token.holders_gap().is_none());
    /// # assert_eq!(token.holders().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn holders(&self) -> &[Holder] {
        &self.holders
    }

    /// The process that holds the partner's socket, when exactly one was found.
    ///
    /// Unless [`holders_complete`](Self::holders_complete), there may be others that were not seen.
    pub fn holder(&self) -> Option<&Holder> {
        match &*self.holders {
            [only] => Some(only),
            [] | [_, _, ..] => None,
        }
    }

    /// Whether the list of holders is complete: each process that held the socket during the whole
    /// search is in it.
    ///
    /// A process that received the socket while the search ran, or in the last tick before (1 to 10
    /// ms) and is running now, may be missing from a complete list. Nor can a reader of `/proc` see
    /// a socket that no process holds as a descriptor: one in flight in a Unix socket's queue, or
    /// only registered with an `io_uring`; nor one in the private descriptor table of a single
    /// thread (`unshare(CLONE_FILES)`), or in one shared between processes (`clone(CLONE_FILES)`).
    /// `docs/token.md` has the whole list.
    pub fn holders_complete(&self) -> bool {
        self.gap.is_none()
    }

    /// Why the list of holders may lack one; `None` when it is complete.
    pub fn holders_gap(&self) -> Option<HoldersGap> {
        self.gap
    }

    /// The flags: privileged, undefined user, surrogate, remote, default.
    pub fn flags(&self) -> TokenFlags {
        TokenFlags::new(
            self.privileged(),
            self.undefined_user,
            self.submitting_user().map(|login| login != self.user),
            self.remote,
            self.holders.is_empty(),
        )
    }

    /// The host on which the partner runs.
    pub fn execution_node(&self) -> &ExecutionNode {
        &self.node
    }

    /// The effective user of the process, where all holders agree.
    ///
    /// It can differ from [`user`](Self::user) in both directions: root makes a socket and drops to
    /// a user, or a user makes one and runs a set-uid program. Never authorize on it.
    pub fn process_user(&self) -> Option<Uid> {
        self.agreed(Holder::process_user)
    }

    /// The effective group of the process, where all holders agree.
    pub fn process_group(&self) -> Option<Gid> {
        self.agreed(Holder::process_group)
    }

    /// The audit login uid, where all holders agree: who logged in, before any `su` or `sudo`.
    pub fn submitting_user(&self) -> Option<Uid> {
        self.agreed(Holder::submitting_user)
    }

    /// The audit session id, where all holders agree.
    pub fn session_id(&self) -> Option<u32> {
        self.agreed(Holder::session_id)
    }

    /// The label that the security module gave the process, where all holders agree.
    pub fn security_label(&self) -> Option<&str> {
        self.agreed(Holder::security_label)
    }

    /// What kind of session the process belongs to; [`SessionType::Unknown`] unless all holders
    /// agree.
    pub fn session_type(&self) -> SessionType {
        self.agreed(|holder| Some(holder.session_type())).unwrap_or(SessionType::Unknown)
    }

    /// Through which terminal or unit the process came, where all holders agree.
    pub fn port_of_entry(&self) -> Option<&PortOfEntry> {
        self.agreed(Holder::port_of_entry)
    }

    /// The supplementary groups, where all holders agree. An empty slice is a process without any.
    pub fn supplementary_groups(&self) -> Option<&[Gid]> {
        self.agreed(Holder::supplementary_groups)
    }

    /// The effective capabilities, where all holders agree.
    pub fn effective_capabilities(&self) -> Option<Capabilities> {
        self.agreed(Holder::effective_capabilities)
    }

    /// The control group, where all holders agree.
    pub fn cgroup(&self) -> Option<&Path> {
        self.agreed(Holder::cgroup)
    }

    /// The systemd unit, where all holders agree.
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
    /// let token = partner.token().unwrap();
    ///
    /// // A rule that narrows: what is unknown does not fit.
    /// let is_backup = token.systemd_unit() == Some("backup.service");
    /// assert!(!is_backup);
    /// # Ok(())
    /// # }
    /// ```
    pub fn systemd_unit(&self) -> Option<&str> {
        self.agreed(Holder::systemd_unit)
    }

    /// The container id, where all holders agree.
    pub fn container_id(&self) -> Option<&str> {
        self.agreed(Holder::container_id)
    }

    /// The process id, when one process alone holds the socket.
    pub fn pid(&self) -> Option<Pid> {
        self.agreed(|holder| Some(holder.pid()))
    }

    /// When the process started, where all holders agree.
    pub fn started(&self) -> Option<SystemTime> {
        self.agreed(Holder::started)
    }

    /// The executable, where all holders agree.
    pub fn executable(&self) -> Option<&Path> {
        self.agreed(Holder::executable)
    }

    /// The command name, where all holders agree. A process chooses it freely.
    pub fn command(&self) -> Option<&OsStr> {
        self.agreed(Holder::command)
    }

    /// The one value that every holder has, when they may speak for the token (see the module).
    fn agreed<'a, T: PartialEq>(&'a self, field: impl Fn(&'a Holder) -> Option<T>) -> Option<T> {
        if !self.may_speak() {
            return None;
        }
        let (first, rest) = self.holders.split_first()?;
        let value = field(first)?;
        rest.iter().all(|other| field(other).as_ref() == Some(&value)).then_some(value)
    }

    fn may_speak(&self) -> bool {
        match self.gap {
            None => true,
            Some(
                HoldersGap::StoppedAtFirst
                | HoldersGap::NoRight
                | HoldersGap::HiddenProcesses
                | HoldersGap::PidNamespace
                | HoldersGap::TooManyDescriptors
                | HoldersGap::TooManyHolders,
            ) => self.holders.iter().all(|holder| holder.process_user() == Some(self.user)),
            // What was seen may already have been untrue when it was seen.
            Some(HoldersGap::Changing | HoldersGap::NotHeld | HoldersGap::NoProc) => false,
        }
    }

    /// "Yes" needs one privileged holder; "no" needs all of them, none unseen: those that cannot be
    /// seen are the privileged ones.
    fn privileged(&self) -> Option<bool> {
        if self.holders.iter().any(|holder| holder.privileged() == Some(true)) {
            return Some(true);
        }
        let known = self.holders.iter().all(|holder| holder.privileged() == Some(false));
        (known && self.holders_complete() && !self.holders.is_empty()).then_some(false)
    }
}
