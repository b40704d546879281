//! Tokens, as they go over the wire.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message;

use super::names::{self, Came};
use super::{Malformed, Pids, required, wire};
use crate::token::{
    Capabilities, ExecutionNode, Gid, Holder, HolderParts, HoldersGap, Pid, PortOfEntry,
    SessionType, Uid, UserToken,
};

/// Bytes that each name of a host has at most. The kernel's own have fewer.
const MAX_NODE_NAME: usize = 255;

pub(super) fn to_wire(token: &UserToken) -> wire::Token {
    wire::Token {
        user: Some(token.user().as_raw()),
        holders: token.holders().iter().map(|holder| holder_to_wire(holder.parts())).collect(),
        completeness: Some(names::gap_number(token.holders_gap())),
        node: node_to_wire(token.execution_node()),
        remote: Some(token.flags().remote()),
    }
}

/// Leaves out holders from the end that take at least `excess` bytes together, and says that they
/// are missing.
pub(super) fn shorten(token: &mut wire::Token, excess: usize) {
    let mut excess = excess;
    let mut left_out = false;
    while excess > 0
        && let Some(holder) = token.holders.pop()
    {
        let length = holder.encoded_len();
        let with_tag = length.saturating_add(prost::length_delimiter_len(length)).saturating_add(1);
        excess = excess.saturating_sub(with_tag);
        left_out = true;
    }
    if left_out {
        token.completeness = token.completeness.map(without_some);
    }
}

/// What was not believed of the whole list is not believed of a part of it.
fn without_some(completeness: i32) -> i32 {
    let gap = match names::gap(completeness) {
        Came::Known(None) => HoldersGap::TooManyHolders,
        Came::Known(Some(gap)) => match gap {
            HoldersGap::Changing | HoldersGap::NotHeld | HoldersGap::NoProc => gap,
            HoldersGap::StoppedAtFirst
            | HoldersGap::NoRight
            | HoldersGap::HiddenProcesses
            | HoldersGap::PidNamespace
            | HoldersGap::TooManyDescriptors
            | HoldersGap::TooManyHolders => HoldersGap::TooManyHolders,
        },
        Came::Unspecified | Came::Newer => HoldersGap::Changing,
    };
    names::gap_number(Some(gap))
}

pub(super) fn from_wire(token: wire::Token, pids: Pids) -> Result<UserToken, Malformed> {
    let owner = user(required(token.user, "a token's user")?)?;
    let gap = match names::gap(required(token.completeness, "whether holders are missing")?) {
        Came::Known(gap) => gap,
        Came::Unspecified => {
            return Err(Malformed::new("whether holders are missing expected, 0 came"));
        }
        // Of all gaps the one that lets the holders speak least: what a newer agent means may be
        // that what it saw was not so.
        Came::Newer => Some(HoldersGap::Changing),
    };
    let remote = required(token.remote, "whether the token is remote")?;
    let mut holders = Vec::with_capacity(token.holders.len());
    let mut before = None;
    for holder in token.holders {
        let parts = holder_from_wire(holder, pids)?;
        if before >= Some(parts.pid) {
            return Err(Malformed::new("holders in ascending order of pid expected"));
        }
        before = Some(parts.pid);
        holders.push(Holder::new(parts));
    }
    let node = node_from_wire(token.node)?;
    let mut token = UserToken::assemble(owner, holders, gap, Arc::new(node));
    if remote {
        token.set_remote();
    }
    Ok(token)
}

pub(super) fn user(raw: u32) -> Result<Uid, Malformed> {
    Uid::new(raw).ok_or_else(|| Malformed::new(format!("a user expected, {raw} came")))
}

fn group(raw: u32) -> Result<Gid, Malformed> {
    Gid::new(raw).ok_or_else(|| Malformed::new(format!("a group expected, {raw} came")))
}

/// `None` where nothing is known of the host. A name that is too long to be one is not sent.
fn node_to_wire(node: &ExecutionNode) -> Option<wire::Node> {
    let name = |name: Option<&str>| {
        name.filter(|name| name.len() <= MAX_NODE_NAME).map(|name| name.to_owned())
    };
    let node = wire::Node {
        host_name: name(node.host_name()),
        machine_id: name(node.machine_id()),
        boot_id: name(node.boot_id()),
    };
    (node != wire::Node::default()).then_some(node)
}

fn node_from_wire(node: Option<wire::Node>) -> Result<ExecutionNode, Malformed> {
    let Some(wire::Node { host_name, machine_id, boot_id }) = node else {
        return Ok(ExecutionNode::new(None, None, None));
    };
    for name in [&host_name, &machine_id, &boot_id].into_iter().flatten() {
        let bytes = name.len();
        if bytes > MAX_NODE_NAME {
            return Err(Malformed::new(format!(
                "a host's name of at most {MAX_NODE_NAME} bytes expected, {bytes} came"
            )));
        }
    }
    Ok(ExecutionNode::new(host_name, machine_id, boot_id))
}

fn holder_to_wire(parts: &HolderParts) -> wire::Holder {
    // Taken apart in full: a new field must be sent, or be left out on purpose.
    let HolderParts {
        pid,
        start_ticks,
        started,
        pidfs_inode,
        local: _,
        descriptor,
        process_user,
        process_group,
        real_user,
        real_group,
        submitting_user,
        session_id,
        security_label,
        session_type,
        port_of_entry,
        same_user_namespace,
        supplementary_groups,
        effective_capabilities,
        cgroup,
        systemd_unit,
        container_id,
        executable,
        executable_deleted,
        command,
    } = parts;
    let path = |path: &Option<PathBuf>| path.as_deref().map(path_bytes);
    wire::Holder {
        pid: Some(pid.as_raw()),
        start_ticks: Some(*start_ticks),
        started_seconds: started.and_then(seconds),
        pidfs_inode: *pidfs_inode,
        descriptor: Some(*descriptor),
        process_user: process_user.map(Uid::as_raw),
        process_group: process_group.map(Gid::as_raw),
        real_user: real_user.map(Uid::as_raw),
        real_group: real_group.map(Gid::as_raw),
        submitting_user: submitting_user.map(Uid::as_raw),
        session_id: *session_id,
        security_label: security_label.clone(),
        session_type: names::session_number(*session_type),
        port_of_entry: port_of_entry.as_ref().map(|port| wire::PortOfEntry {
            class: Some(names::class_number(port.class())),
            name: Some(port.name().to_owned()),
        }),
        same_user_namespace: *same_user_namespace,
        supplementary_groups: supplementary_groups
            .as_deref()
            .map(|groups| wire::Groups { groups: groups.iter().map(|it| it.as_raw()).collect() }),
        effective_capabilities: effective_capabilities.map(Capabilities::bits),
        cgroup: path(cgroup),
        systemd_unit: systemd_unit.clone(),
        container_id: container_id.clone(),
        executable: path(executable),
        executable_deleted: *executable_deleted,
        command: command.as_ref().map(|name| name.as_bytes().to_vec()),
    }
}

fn holder_from_wire(holder: wire::Holder, pids: Pids) -> Result<HolderParts, Malformed> {
    let raw_pid = required(holder.pid, "a pid")?;
    let groups = |groups: wire::Groups| groups.groups.into_iter().map(group).collect();
    let path = |bytes| PathBuf::from(OsString::from_vec(bytes));
    Ok(HolderParts {
        pid: Pid::new(raw_pid)
            .ok_or_else(|| Malformed::new(format!("a pid expected, {raw_pid} came")))?,
        start_ticks: required(holder.start_ticks, "a holder's start")?,
        started: holder.started_seconds.map(time).transpose()?,
        pidfs_inode: holder.pidfs_inode,
        local: match pids {
            Pids::Ours => true,
            Pids::Foreign => false,
        },
        descriptor: required(holder.descriptor, "a descriptor")?,
        process_user: holder.process_user.map(user).transpose()?,
        process_group: holder.process_group.map(group).transpose()?,
        real_user: holder.real_user.map(user).transpose()?,
        real_group: holder.real_group.map(group).transpose()?,
        submitting_user: holder.submitting_user.map(user).transpose()?,
        session_id: holder.session_id,
        security_label: holder.security_label,
        session_type: holder.session_type.map_or(SessionType::Unknown, session),
        port_of_entry: holder.port_of_entry.map(port_from_wire).transpose()?.flatten(),
        same_user_namespace: holder.same_user_namespace,
        supplementary_groups: holder.supplementary_groups.map(groups).transpose()?,
        effective_capabilities: holder.effective_capabilities.map(Capabilities::from_bits),
        cgroup: holder.cgroup.map(path),
        systemd_unit: holder.systemd_unit,
        container_id: holder.container_id.map(container).transpose()?,
        executable: holder.executable.map(path),
        executable_deleted: holder.executable_deleted,
        command: holder.command.map(OsString::from_vec),
    })
}

fn session(number: i32) -> SessionType {
    match names::session(number) {
        Came::Known(session) => session,
        Came::Unspecified | Came::Newer => SessionType::Unknown,
    }
}

/// `None` for a door of a class that is not known here.
fn port_from_wire(port: wire::PortOfEntry) -> Result<Option<PortOfEntry>, Malformed> {
    let name = required(port.name, "a name of a port of entry")?;
    match names::class(required(port.class, "a class of a port of entry")?) {
        Came::Known(class) => Ok(Some(PortOfEntry::new(class, name))),
        Came::Unspecified => Err(Malformed::new("a class of a port of entry expected, 0 came")),
        Came::Newer => Ok(None),
    }
}

/// Container ids are shown as they are, unlike other text.
fn container(id: String) -> Result<String, Malformed> {
    if id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(id)
    } else {
        Err(Malformed::new("a container id of 64 hexadecimal digits expected"))
    }
}

fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// `None` for a time before 1970, when nothing runs that can be asked about.
fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fn time(seconds: u64) -> Result<SystemTime, Malformed> {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .ok_or_else(|| Malformed::new(format!("a time expected, {seconds} seconds came")))
}
