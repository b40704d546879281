//! Where a partner runs.

use std::fmt;

/// The host on which a partner runs: its name, its machine id and the id of its present boot.
///
/// The boot id tells two runs of one machine apart: a pid and a start time mean the same process
/// only under the same boot id.
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
/// let node = partner.token().unwrap().execution_node();
/// let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
/// assert_eq!(node.boot_id(), Some(boot_id.trim_end()));
/// println!("partner on {node}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecutionNode {
    host_name: Option<String>,
    machine_id: Option<String>,
    boot_id: Option<String>,
}

impl ExecutionNode {
    pub(crate) fn new(
        host_name: Option<String>,
        machine_id: Option<String>,
        boot_id: Option<String>,
    ) -> Self {
        Self { host_name, machine_id, boot_id }
    }

    /// The host name, as `uname(2)` tells it.
    pub fn host_name(&self) -> Option<&str> {
        self.host_name.as_deref()
    }

    /// The machine id of `machine-id(5)`: 32 lower-case hexadecimal digits.
    pub fn machine_id(&self) -> Option<&str> {
        self.machine_id.as_deref()
    }

    /// The kernel's boot id, `/proc/sys/kernel/random/boot_id`: a UUID in lower case.
    pub fn boot_id(&self) -> Option<&str> {
        self.boot_id.as_deref()
    }
}

/// The host name, or else the machine id, or else `-`.
impl fmt::Display for ExecutionNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host_name(), self.machine_id()) {
            (Some(name), _) | (None, Some(name)) => write!(f, "{}", name.escape_debug()),
            (None, None) => f.write_str("-"),
        }
    }
}
