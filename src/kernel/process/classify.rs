//! Session type and port of entry, from what was read of a process. Pure.

use super::parse::tty::terminal_name;
use crate::token::{PortClass, PortOfEntry, SessionType};

/// Units that run jobs for users.
const BATCH_UNITS: [&str; 7] = [
    "cron.service",
    "crond.service",
    "cronie.service",
    "anacron.service",
    "atd.service",
    "slurmd.service",
    "slurmstepd.scope",
];

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) kernel_thread: bool,
    pub(super) terminal: Option<u32>,
    pub(super) cgroup: Option<&'a [u8]>,
    pub(super) unit: Option<&'a str>,
    pub(super) container: Option<&'a str>,
}

/// The rules that [`SessionType`] documents.
pub(super) fn session_type(evidence: Evidence<'_>) -> SessionType {
    if evidence.kernel_thread {
        return SessionType::Kernel;
    }
    if evidence.container.is_some() {
        return SessionType::Container;
    }
    let Some(unit) = evidence.unit else {
        return match evidence.terminal {
            Some(_) => SessionType::InteractiveTerminal,
            None => SessionType::Unknown,
        };
    };
    if BATCH_UNITS.contains(&unit) {
        return SessionType::Batch;
    }
    let login = unit.starts_with("session-") && unit.ends_with(".scope");
    let manager = unit.starts_with("user@") && unit.ends_with(".service");
    if login || manager {
        return match evidence.terminal {
            Some(_) => SessionType::InteractiveTerminal,
            None => SessionType::UserSession,
        };
    }
    let in_system = evidence.cgroup.is_some_and(|path| path.starts_with(b"/system.slice/"));
    if in_system && unit.ends_with(".service") {
        return SessionType::SystemService;
    }
    SessionType::Unknown
}

/// The terminal if its name is known, the unit otherwise.
pub(super) fn port_of_entry(evidence: Evidence<'_>) -> Option<PortOfEntry> {
    if let Some(name) = evidence.terminal.and_then(terminal_name) {
        return Some(PortOfEntry::new(PortClass::Terminal, name));
    }
    evidence.unit.map(|unit| PortOfEntry::new(PortClass::Unit, unit.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::parse::cgroup::cgroup;
    use super::*;

    const PTS_1: u32 = 34817;

    #[test]
    fn rules() {
        let id = "a".repeat(64);
        for (path, terminal, expected, port) in [
            ("/system.slice/ssh.service", None, SessionType::SystemService, "unit:ssh.service"),
            ("/system.slice/cron.service", None, SessionType::Batch, "unit:cron.service"),
            (
                "/user.slice/user-1.slice/session-3.scope",
                Some(PTS_1),
                SessionType::InteractiveTerminal,
                "terminal:pts/1",
            ),
            (
                "/user.slice/user-1.slice/session-3.scope",
                None,
                SessionType::UserSession,
                "unit:session-3.scope",
            ),
            (
                "/user.slice/user-1.slice/user@1.service/app.slice/cron.service",
                Some(PTS_1),
                SessionType::InteractiveTerminal,
                "terminal:pts/1",
            ),
            (
                "/system.slice/docker-ID.scope",
                Some(PTS_1),
                SessionType::Container,
                "terminal:pts/1",
            ),
            ("/init.scope", None, SessionType::Unknown, "unit:init.scope"),
            ("/machine.slice/x.service", None, SessionType::Unknown, "unit:x.service"),
            ("/process_api/x", None, SessionType::Unknown, "-"),
            ("/process_api/x", Some(PTS_1), SessionType::InteractiveTerminal, "terminal:pts/1"),
            ("/", Some(0x0500), SessionType::InteractiveTerminal, "-"),
        ] {
            let path = path.replace("ID", &id);
            let group = cgroup(format!("0::{path}\n").as_bytes());
            let evidence = Evidence {
                kernel_thread: false,
                terminal,
                cgroup: Some(path.as_bytes()),
                unit: group.unit.as_deref(),
                container: group.container.as_deref(),
            };
            assert_eq!(session_type(evidence), expected, "{path} {terminal:?}");
            let entry = port_of_entry(evidence).map_or("-".to_owned(), |port| port.to_string());
            assert_eq!(entry, port, "{path} {terminal:?}");
            let thread = Evidence { kernel_thread: true, ..evidence };
            assert_eq!(session_type(thread), SessionType::Kernel);
        }
    }
}
