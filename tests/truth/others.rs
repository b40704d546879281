//! What other tools say of the same connections, each used as its documentation shows.

use std::net::{IpAddr, SocketAddr};

use netstat2::{AddressFamilyFlags, ProtocolFlags, ProtocolSocketInfo};

use super::server::Said;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// This crate, asked about the same connections.
    Ours,
    /// The first row of /proc/net/tcp and /proc/net/tcp6 with the four numbers: its uid.
    Proc,
    Netstat2,
    /// The process on the partner's port: its effective user.
    Listeners,
}

pub(crate) const TOOLS: [(Tool, &str); 4] = [
    (Tool::Ours, "`partner-info`"),
    (Tool::Proc, "`/proc/net/tcp`, first row that matches"),
    (Tool::Netstat2, "`netstat2`, first socket that matches"),
    (Tool::Listeners, "`listeners`, process by port"),
];

/// Who is at `partner`, connected to `own`.
pub(crate) fn ask(tool: Tool, partner: SocketAddr, own: SocketAddr) -> Said {
    let found = match tool {
        Tool::Ours => None,
        Tool::Proc => proc(partner, own),
        Tool::Netstat2 => netstat2(partner, own),
        Tool::Listeners => listeners(partner.port()),
    };
    found.map_or(Said::Nobody("not found"), Said::User)
}

fn plain((ip, port): (IpAddr, u16)) -> (IpAddr, u16) {
    (ip.to_canonical(), port)
}

fn proc(partner: SocketAddr, own: SocketAddr) -> Option<u32> {
    super::support::seen(partner, own).map(|entry| entry.uid)
}

fn netstat2(partner: SocketAddr, own: SocketAddr) -> Option<u32> {
    let wanted = [(partner.ip(), partner.port()), (own.ip(), own.port())].map(plain);
    let all = AddressFamilyFlags::IPV4 | AddressFamilyFlags::IPV6;
    let mut sockets = netstat2::iterate_sockets_info_without_pids(all, ProtocolFlags::TCP).unwrap();
    sockets.find_map(|socket| {
        let socket = socket.ok()?;
        let ProtocolSocketInfo::Tcp(tcp) = &socket.protocol_socket_info else { return None };
        let ends =
            [(tcp.local_addr, tcp.local_port), (tcp.remote_addr, tcp.remote_port)].map(plain);
        (ends == wanted).then_some(socket.uid)
    })
}

fn listeners(port: u16) -> Option<u32> {
    let process = listeners::get_process_by_port(port, listeners::Protocol::TCP).ok()?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid)).ok()?;
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    uids.split_whitespace().nth(1)?.parse().ok()
}
