//! One process that holds a partner's socket.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::{Capabilities, Gid, Pid, PortOfEntry, SessionType, Uid};

/// One process that holds the partner's socket.
///
/// All fields are of one process, read while it was proven to be the same one and to hold the
/// socket. A field that could not be read is `None`. Cloning is cheap.
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
/// let holder = partner.token().unwrap().holder().unwrap();
///
/// // The other end is this very process.
/// assert_eq!(holder.pid().as_raw(), std::process::id());
/// assert!(holder.start_ticks() > 0);
/// if let Some(command) = holder.command() {
///     println!("held by {}, which calls itself {}", holder.pid(), command.display());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(Arc<HolderParts>);

/// What a [`Holder`] is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HolderParts {
    pub(crate) pid: Pid,
    /// Clock ticks since boot.
    pub(crate) start_ticks: u64,
    pub(crate) started: Option<SystemTime>,
    /// The inode of a pidfd of the process, where the kernel makes that unique (6.9 and later).
    pub(crate) pidfs_inode: Option<u64>,
    /// Whether the process runs on this image, so that its pid means something here.
    pub(crate) local: bool,
    pub(crate) descriptor: u32,
    pub(crate) process_user: Option<Uid>,
    pub(crate) process_group: Option<Gid>,
    pub(crate) real_user: Option<Uid>,
    pub(crate) real_group: Option<Gid>,
    pub(crate) submitting_user: Option<Uid>,
    pub(crate) session_id: Option<u32>,
    pub(crate) security_label: Option<String>,
    pub(crate) session_type: SessionType,
    pub(crate) port_of_entry: Option<PortOfEntry>,
    /// Whether the process is in the user namespace of the asking process.
    pub(crate) same_user_namespace: Option<bool>,
    pub(crate) supplementary_groups: Option<Vec<Gid>>,
    pub(crate) effective_capabilities: Option<Capabilities>,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) systemd_unit: Option<String>,
    pub(crate) container_id: Option<String>,
    pub(crate) executable: Option<PathBuf>,
    pub(crate) executable_deleted: Option<bool>,
    pub(crate) command: Option<OsString>,
}

impl Holder {
    pub(crate) fn new(parts: HolderParts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn parts(&self) -> &HolderParts {
        &self.0
    }

    /// The process id, in the pid namespace of the process that asked.
    pub fn pid(&self) -> Pid {
        self.0.pid
    }

    /// When the process started, in clock ticks (usually of 10 ms) since the host booted: field 22
    /// of `/proc/<pid>/stat`. Together with the pid and the boot id it names a process.
    pub fn start_ticks(&self) -> u64 {
        self.0.start_ticks
    }

    /// When the process started, by the host's wall clock, exact to a second.
    pub fn started(&self) -> Option<SystemTime> {
        self.0.started
    }

    /// One descriptor under which the process holds the socket; it may have others.
    pub fn descriptor(&self) -> u32 {
        self.0.descriptor
    }

    /// The effective user of the process.
    pub fn process_user(&self) -> Option<Uid> {
        self.0.process_user
    }

    /// The effective group of the process.
    pub fn process_group(&self) -> Option<Gid> {
        self.0.process_group
    }

    /// The real user of the process: who started it, when it is a set-uid program.
    pub fn real_user(&self) -> Option<Uid> {
        self.0.real_user
    }

    /// The real group of the process.
    pub fn real_group(&self) -> Option<Gid> {
        self.0.real_group
    }

    /// The audit login uid: who logged in, before any `su` or `sudo`. Absent for processes that
    /// descend from no login.
    pub fn submitting_user(&self) -> Option<Uid> {
        self.0.submitting_user
    }

    /// The audit session id. Absent for processes that descend from no login.
    pub fn session_id(&self) -> Option<u32> {
        self.0.session_id
    }

    /// The label that the security module (SELinux, AppArmor, Smack) gave the process.
    pub fn security_label(&self) -> Option<&str> {
        self.0.security_label.as_deref()
    }

    /// What kind of session the process belongs to.
    pub fn session_type(&self) -> SessionType {
        self.0.session_type
    }

    /// Through which terminal or unit the process came.
    pub fn port_of_entry(&self) -> Option<&PortOfEntry> {
        self.0.port_of_entry.as_ref()
    }

    /// The supplementary groups; an empty slice is a process without any.
    pub fn supplementary_groups(&self) -> Option<&[Gid]> {
        self.0.supplementary_groups.as_deref()
    }

    /// The effective capabilities, in the process's own user namespace.
    pub fn effective_capabilities(&self) -> Option<Capabilities> {
        self.0.effective_capabilities
    }

    /// The control group, as a path from the root of the asking process's cgroup namespace.
    ///
    /// On a host with version 1 hierarchies it is the first of these that is not the root: the
    /// unified one, the one named `systemd`, any other. The root itself is absent: it says nothing.
    pub fn cgroup(&self) -> Option<&Path> {
        self.0.cgroup.as_deref()
    }

    /// The unit of the system's service manager that the process belongs to, as `systemctl` shows
    /// it. For processes under a user's own manager it is that manager's, `user@<uid>.service`.
    pub fn systemd_unit(&self) -> Option<&str> {
        self.0.systemd_unit.as_deref()
    }

    /// The id of the container, 64 hexadecimal digits (Docker, containerd, CRI-O, Podman).
    pub fn container_id(&self) -> Option<&str> {
        self.0.container_id.as_deref()
    }

    /// The path of the executable, in the mount namespace of that process.
    pub fn executable(&self) -> Option<&Path> {
        self.0.executable.as_deref()
    }

    /// Whether the executable's name was removed, as after an upgrade.
    ///
    /// The kernel tells it by ending the path in ` (deleted)`; a file that is really named so looks
    /// the same.
    pub fn executable_deleted(&self) -> Option<bool> {
        self.0.executable_deleted
    }

    /// The command name, at most 15 bytes. A process chooses it freely.
    pub fn command(&self) -> Option<&OsStr> {
        self.0.command.as_deref()
    }

    /// Whether the process has effective uid 0 or an effective capability.
    ///
    /// Capabilities in a user namespace of its own do not count: any user can have them there.
    pub fn privileged(&self) -> Option<bool> {
        let root = self.process_user().map(Uid::is_root);
        let capable = match (self.effective_capabilities(), self.0.same_user_namespace) {
            (Some(set), _) if set.is_empty() => Some(false),
            (Some(_), same) => same,
            (None, _) => None,
        };
        match (root, capable) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            (None, _) | (_, None) => None,
        }
    }
}
