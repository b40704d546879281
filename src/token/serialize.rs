//! The token for programs, behind the feature `serde`.
//!
//! What is written is a promise, so it is written down here field by field and does not follow
//! renames of the types. `version` is 1; it changes only when a field changes its meaning or goes
//! away, while fields may be added. An absent field is written as null. Text of a process (command,
//! executable, cgroup) that is not valid UTF-8 is written as an array of byte values instead of a
//! string. There is no `Deserialize`: a token that was read from somewhere proves nothing.

use std::time::UNIX_EPOCH;

use serde::{Serialize, Serializer};

use super::text::Text;
use super::{
    Capabilities, ExecutionNode, Gid, Holder, HoldersGap, Pid, PortClass, PortOfEntry, SessionType,
    TokenFlags, Uid, UserToken,
};

/// The version of what is written.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct TokenForm<'a> {
    version: u32,
    user: Uid,
    flags: TokenFlags,
    holders: &'a [Holder],
    holders_complete: bool,
    holders_gap: Option<HoldersGap>,
    execution_node: &'a ExecutionNode,
}

#[derive(Serialize)]
struct HolderForm<'a> {
    pid: Pid,
    start_ticks: u64,
    /// Seconds since 1970-01-01 00:00 UTC.
    started: Option<u64>,
    descriptor: u32,
    process_user: Option<Uid>,
    process_group: Option<Gid>,
    real_user: Option<Uid>,
    real_group: Option<Gid>,
    submitting_user: Option<Uid>,
    session_id: Option<u32>,
    security_label: Option<&'a str>,
    session_type: SessionType,
    port_of_entry: Option<&'a PortOfEntry>,
    supplementary_groups: Option<&'a [Gid]>,
    effective_capabilities: Option<Capabilities>,
    cgroup: Option<Text<'a>>,
    systemd_unit: Option<&'a str>,
    container_id: Option<&'a str>,
    executable: Option<Text<'a>>,
    executable_deleted: Option<bool>,
    command: Option<Text<'a>>,
    privileged: Option<bool>,
}

#[derive(Serialize)]
struct FlagsForm {
    privileged: Option<bool>,
    undefined_user: Option<bool>,
    surrogate: Option<bool>,
    remote: bool,
    default: bool,
}

#[derive(Serialize)]
struct PortForm<'a> {
    class: PortClass,
    name: &'a str,
}

#[derive(Serialize)]
struct NodeForm<'a> {
    host_name: Option<&'a str>,
    machine_id: Option<&'a str>,
    boot_id: Option<&'a str>,
}

impl Serialize for UserToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TokenForm {
            version: VERSION,
            user: self.user(),
            flags: self.flags(),
            holders: self.holders(),
            holders_complete: self.holders_complete(),
            holders_gap: self.holders_gap(),
            execution_node: self.execution_node(),
        }
        .serialize(serializer)
    }
}

impl Serialize for Holder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        HolderForm {
            pid: self.pid(),
            start_ticks: self.start_ticks(),
            started: self
                .started()
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                .map(|since| since.as_secs()),
            descriptor: self.descriptor(),
            process_user: self.process_user(),
            process_group: self.process_group(),
            real_user: self.real_user(),
            real_group: self.real_group(),
            submitting_user: self.submitting_user(),
            session_id: self.session_id(),
            security_label: self.security_label(),
            session_type: self.session_type(),
            port_of_entry: self.port_of_entry(),
            supplementary_groups: self.supplementary_groups(),
            effective_capabilities: self.effective_capabilities(),
            cgroup: self.cgroup().map(|path| Text(path.as_os_str())),
            systemd_unit: self.systemd_unit(),
            container_id: self.container_id(),
            executable: self.executable().map(|path| Text(path.as_os_str())),
            executable_deleted: self.executable_deleted(),
            command: self.command().map(Text),
            privileged: self.privileged(),
        }
        .serialize(serializer)
    }
}

impl Serialize for TokenFlags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FlagsForm {
            privileged: self.privileged(),
            undefined_user: self.undefined_user(),
            surrogate: self.surrogate(),
            remote: self.remote(),
            default: self.default(),
        }
        .serialize(serializer)
    }
}

impl Serialize for PortOfEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PortForm { class: self.class(), name: self.name() }.serialize(serializer)
    }
}

impl Serialize for ExecutionNode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        NodeForm {
            host_name: self.host_name(),
            machine_id: self.machine_id(),
            boot_id: self.boot_id(),
        }
        .serialize(serializer)
    }
}

/// Sixteen hexadecimal digits: JSON readers lose the low bits of large numbers.
impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! serialize_number {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u32(self.as_raw())
            }
        }
    )*};
}

macro_rules! serialize_name {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )*};
}

serialize_number!(Uid, Gid, Pid);
serialize_name!(SessionType, PortClass, HoldersGap);
