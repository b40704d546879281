//! All that is told of a partner on another host, as a puppet says it.

use std::fmt::Display;
use std::time::Duration;

use partner_info::{PartnerRequest, Stack};
use socket2::Socket;

use super::super::support::{get, say};

/// In a puppet: asks for everything, with time for the names, and says what came: words such as
/// `user=1001 name=carol`, with `-` for what is not known; or the reason or kind of the error.
pub(crate) fn describe(socket: &Socket, timeout: Duration) -> String {
    let stack = Stack::builder().name_patience(timeout).build();
    let answer = get(&stack, socket, PartnerRequest::all(), timeout);
    let Ok(info) = &answer else { return say(&answer) };
    let (Some(user), Some(token)) = (info.user(), info.token()) else { return "nobody".into() };
    let process = info.process_user();
    let (flags, node) = (token.flags(), token.execution_node());
    [
        format!("user={}", user.uid()),
        format!("name={}", or_dash(user.name())),
        format!("process={}", or_dash(process.map(partner_info::UserId::uid))),
        format!("process-name={}", or_dash(process.and_then(partner_info::UserId::name))),
        format!("pid={}", or_dash(token.pid().map(|pid| pid.as_raw()))),
        format!("command={}", or_dash(token.command().and_then(std::ffi::OsStr::to_str))),
        format!("remote={}", flags.remote()),
        format!("default={}", flags.default()),
        format!("undefined={}", or_dash(flags.undefined_user())),
        format!("node={}", or_dash(node.host_name())),
        format!("boot={}", or_dash(node.boot_id())),
        format!("routing={}", info.routing().bits()),
    ]
    .join(" ")
}

fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}
