//! Tokens for people who read logs: one line, `key=value`, nothing that a process chose unescaped.

use std::ffi::OsStr;
use std::fmt;

use super::{Holder, SessionType, UserToken};

/// One line: the owner, the flags, how many holders, and each of them; absent fields are left out.
///
/// ```text
/// user=1000 flags=surrogate holders=1 node=db1 {pid=4711 command="curl" executable="/usr/bin/curl" process-user=1000 ...}
/// ```
impl fmt::Display for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user={} flags={} holders={}", self.user(), self.flags(), self.holders().len())?;
        option(f, "incomplete", self.holders_gap())?;
        write!(f, " node={}", self.execution_node())?;
        for holder in self.holders() {
            write!(f, " {{{holder}}}")?;
        }
        Ok(())
    }
}

/// One line; absent fields are left out, and text that a process chose is quoted and escaped.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid={}", self.pid())?;
        quoted(f, "command", self.command())?;
        quoted(f, "executable", self.executable().map(AsRef::as_ref))?;
        if self.executable_deleted() == Some(true) {
            f.write_str(" deleted")?;
        }
        option(f, "process-user", self.process_user())?;
        option(f, "process-group", self.process_group())?;
        if self.real_user() != self.process_user() {
            option(f, "real-user", self.real_user())?;
        }
        option(f, "login", self.submitting_user())?;
        option(f, "session", self.session_id())?;
        if self.session_type() != SessionType::Unknown {
            write!(f, " type={}", self.session_type())?;
        }
        option(f, "entry", self.port_of_entry())?;
        quoted(f, "unit", self.systemd_unit().map(AsRef::as_ref))?;
        option(f, "container", self.container_id())?;
        quoted(f, "cgroup", self.cgroup().map(AsRef::as_ref))?;
        quoted(f, "label", self.security_label().map(AsRef::as_ref))?;
        option(f, "capabilities", self.effective_capabilities())
    }
}

fn option(f: &mut fmt::Formatter<'_>, key: &str, value: Option<impl fmt::Display>) -> fmt::Result {
    match value {
        Some(value) => write!(f, " {key}={value}"),
        None => Ok(()),
    }
}

/// `Debug` of an `OsStr` quotes it and escapes control characters and invalid UTF-8.
fn quoted(f: &mut fmt::Formatter<'_>, key: &str, value: Option<&OsStr>) -> fmt::Result {
    match value {
        Some(value) => write!(f, " {key}={value:?}"),
        None => Ok(()),
    }
}
