//! What kind of session a process belongs to, and through which door it came.

use std::fmt;

/// What kind of session a process belongs to.
///
/// The first rule that applies decides:
///
/// | value | rule |
/// |---|---|
/// | `Kernel` | a kernel thread |
/// | `Container` | the control group names a container |
/// | `Batch` | the systemd unit is a job runner: cron, at, anacron, Slurm |
/// | `InteractiveTerminal` | with a controlling terminal, in a user's session or in no unit at all |
/// | `UserSession` | in a user's session: a login (`session-*.scope`) or the user's own manager (`user@*.service`) |
/// | `SystemService` | any other systemd service below `system.slice` |
/// | `Unknown` | everything else |
///
/// Who controls a control group controls its name: below `user@*.service` a user can make groups
/// that look like containers.
///
/// # Examples
///
/// ```
/// use partner_info::prelude::*;
/// use partner_info::token::SessionType;
///
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (server, _) = listener.accept()?;
/// # let wait = std::time::Duration::from_secs(5);
/// let partner = server.get_partner_info_blocking(PartnerRequest::UTOKEN, wait)?;
/// match partner.token().unwrap().session_type() {
///     SessionType::InteractiveTerminal => println!("somebody at a terminal"),
///     other => println!("{other}"),
/// }
/// assert_eq!(SessionType::SystemService.to_string(), "system-service");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionType {
    /// A service of the system.
    SystemService,
    /// A user's session without a terminal.
    UserSession,
    /// A process with a controlling terminal.
    InteractiveTerminal,
    /// A process in a container.
    Container,
    /// A job that a scheduler started.
    Batch,
    /// A kernel thread.
    Kernel,
    /// None of these could be established.
    Unknown,
}

impl SessionType {
    /// A short name that stays the same in later versions, for logs and machine-read output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SystemService => "system-service",
            Self::UserSession => "user-session",
            Self::InteractiveTerminal => "interactive-terminal",
            Self::Container => "container",
            Self::Batch => "batch",
            Self::Kernel => "kernel",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for SessionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What kind of door a [`PortOfEntry`] is.
///
/// # Examples
///
/// ```
/// use partner_info::token::PortClass;
///
/// assert_eq!(PortClass::Terminal.as_str(), "terminal");
/// assert_eq!(PortClass::Unit.to_string(), "unit");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PortClass {
    /// The controlling terminal, named without `/dev/`: `pts/3`, `tty1`, `ttyS0`.
    Terminal,
    /// The systemd unit: `sshd.service`.
    Unit,
}

impl PortClass {
    /// A short name that stays the same in later versions, for logs and machine-read output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Unit => "unit",
        }
    }
}

impl fmt::Display for PortClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Through which terminal or unit a process came: the controlling terminal if there is one, the
/// systemd unit otherwise.
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
/// if let Some(port) = partner.token().unwrap().port_of_entry() {
///     assert!(port.to_string().starts_with(port.class().as_str()));
///     println!("came through {port}"); // terminal:pts/3
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortOfEntry {
    class: PortClass,
    name: String,
}

impl PortOfEntry {
    pub(crate) fn new(class: PortClass, name: String) -> Self {
        Self { class, name }
    }

    /// Whether [`name`](Self::name) names a terminal or a unit.
    pub fn class(&self) -> PortClass {
        self.class
    }

    /// The name of the terminal or the unit.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// `terminal:pts/3`, `unit:sshd.service`.
impl fmt::Display for PortOfEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.class, self.name.escape_debug())
    }
}
