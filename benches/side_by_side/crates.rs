//! What other crates offer for the same question.

use std::os::unix::fs::MetadataExt;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};
use netstat2::{AddressFamilyFlags, ProtocolFlags, ProtocolSocketInfo, SocketInfo};
use procfs::process::FDTarget;

use crate::ways::{Asked, Named};

fn is_theirs(socket: &SocketInfo, asked: &Asked) -> bool {
    match &socket.protocol_socket_info {
        ProtocolSocketInfo::Tcp(tcp) => {
            (tcp.local_addr, tcp.local_port) == (asked.theirs.ip(), asked.theirs.port())
                && (tcp.remote_addr, tcp.remote_port) == (asked.ours.ip(), asked.ours.port())
        }
        ProtocolSocketInfo::Udp(_) => false,
    }
}

/// Its best call for a user: the one that looks at no process.
pub fn netstat2_user(asked: &Asked) -> Named {
    let (family, protocol) = (AddressFamilyFlags::IPV4, ProtocolFlags::TCP);
    let sockets = netstat2::iterate_sockets_info_without_pids(family, protocol).expect("a list");
    let found = sockets.flatten().find(|socket| is_theirs(socket, asked));
    Named::user(found.expect("the connection").uid)
}

pub fn netstat2_process(asked: &Asked) -> Named {
    let (family, protocol) = (AddressFamilyFlags::IPV4, ProtocolFlags::TCP);
    let sockets = netstat2::iterate_sockets_info(family, protocol).expect("a list");
    let found = sockets.flatten().find(|socket| is_theirs(socket, asked)).expect("the connection");
    Named { user: Some(found.uid), pid: found.associated_pids.first().copied(), took: None }
}

fn procfs_entry(asked: &Asked) -> procfs::net::TcpNetEntry {
    let table = procfs::net::tcp().expect("/proc/net/tcp");
    let found = table
        .into_iter()
        .find(|entry| entry.local_address == asked.theirs && entry.remote_address == asked.ours);
    found.expect("the connection")
}

pub fn procfs_user(asked: &Asked) -> Named {
    Named::user(procfs_entry(asked).uid)
}

pub fn procfs_process(asked: &Asked) -> Named {
    let entry = procfs_entry(asked);
    let holds = |process: &procfs::process::Process| {
        let target = FDTarget::Socket(entry.inode);
        let files = process.fd().into_iter().flatten().flatten();
        files.into_iter().any(|file| file.target == target)
    };
    let mut processes = procfs::process::all_processes().expect("the processes").flatten();
    let holder = processes.find(holds).expect("a holder");
    Named {
        user: Some(entry.uid),
        pid: Some(u32::try_from(holder.pid).expect("a pid")),
        took: None,
    }
}

pub fn listeners_process(asked: &Asked) -> Named {
    let port = asked.theirs.port();
    let found = listeners::get_process_by_port(port, listeners::Protocol::TCP);
    Named::pid(found.expect("a process").pid)
}

/// It tells a process; whose that is, /proc tells.
pub fn listeners_user(asked: &Asked) -> Named {
    let pid = listeners_process(asked).pid.expect("a process");
    let owner = std::fs::metadata(format!("/proc/{pid}")).expect("the process").uid();
    Named::user(owner)
}

/// netlink-packet-sock-diag, on a socket that is kept, as its example does it.
pub struct Dump {
    socket: Socket,
    request: Vec<u8>,
}

impl Dump {
    pub fn new() -> Self {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG).expect("a netlink socket");
        socket.bind_auto().expect("bind");
        socket.connect(&SocketAddr::new(0, 0)).expect("connect");
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let request = InetRequest {
            family: AF_INET,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::all(),
            socket_id: SocketId::new_v4(),
        };
        let mut packet = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        packet.finalize();
        let mut request = vec![0; packet.buffer_len()];
        packet.serialize(&mut request);
        Self { socket, request }
    }

    pub fn user(&mut self, asked: &Asked) -> Named {
        self.socket.send(&self.request, 0).expect("send");
        let mut buffer = vec![0; 65_536];
        let mut found = None;
        let theirs = (asked.theirs.ip(), asked.theirs.port());
        let ours = (asked.ours.ip(), asked.ours.port());
        loop {
            let size = self.socket.recv(&mut &mut buffer[..], 0).expect("receive");
            let mut rest = &buffer[..size];
            while !rest.is_empty() {
                let packet =
                    NetlinkMessage::<SockDiagMessage>::deserialize(rest).expect("a packet");
                rest = &rest[(packet.header.length as usize).next_multiple_of(4).min(rest.len())..];
                if let NetlinkPayload::Done(_) = packet.payload {
                    return Named::user(found.expect("the connection"));
                }
                let NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) =
                    packet.payload
                else {
                    panic!("a socket")
                };
                let id = response.header.socket_id;
                if (id.source_address, id.source_port) == theirs
                    && (id.destination_address, id.destination_port) == ours
                {
                    found = Some(response.header.uid);
                }
            }
        }
    }
}
