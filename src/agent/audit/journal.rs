//! A record as a datagram of journald's native protocol, and the way there.
//!
//! Source: *Native Journal Protocol*, <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::fmt::{self, Display};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix};

use super::record::{Asker, Event, PeerEvent, Record, Verdict, asked};
use crate::agent::subject::Peer;

/// How long a journal that reads nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// `LOG_NOTICE` and `LOG_INFO` of syslog(3).
const NOTICE: u8 = 5;
const INFO: u8 = 6;

/// Adds one datagram to `out`.
pub(super) fn write(record: &Record<'_>, out: &mut Vec<u8>) {
    let asker = record.asker;
    let (priority, message) = match &record.told {
        Verdict::Told { user: Some(user), .. } => {
            (INFO, format!("told {asker} that its partner is uid {user}"))
        }
        Verdict::Told { user: None, token: Some(_), .. } => {
            (INFO, format!("told {asker} which processes its partner is"))
        }
        Verdict::Told { user: None, token: None, .. } => {
            (INFO, format!("told {asker} where its partner is"))
        }
        Verdict::Refused { kind, .. } => (NOTICE, format!("refused {asker}: {kind}")),
        Verdict::NotYet => (INFO, format!("{asker} asked before the accept")),
    };
    head(out, &message, priority, record.told.event());
    match asker {
        Asker::Caller(Peer { uid, gid, pid }) => {
            field(out, "PARTNERD_CALLER_UID", uid);
            field(out, "PARTNERD_CALLER_GID", gid);
            if let Some(pid) = pid {
                field(out, "PARTNERD_CALLER_PID", pid);
            }
        }
        Asker::Host { name, address } => host(out, Some(name), address),
        #[cfg(feature = "ident")]
        Asker::Ident { address, user, answer } => {
            field(out, "PARTNERD_IDENT_ADDRESS", address);
            if let Some(user) = user {
                field(out, "PARTNERD_IDENT_USER", user);
            }
            field(out, "PARTNERD_IDENT_ANSWER", answer);
        }
    }
    if let Some(connection) = record.connection {
        field(out, "PARTNERD_LOCAL", connection.local);
        field(out, "PARTNERD_REMOTE", connection.remote);
        field(out, "PARTNERD_COOKIE", connection.cookie);
        field(out, "PARTNERD_NAMESPACE", connection.namespace);
    }
    if let Some(request) = record.request {
        field(out, "PARTNERD_ASKED", asked(request).join(","));
    }
    match &record.told {
        Verdict::Told { user, routing, token } => {
            if let Some(user) = user {
                field(out, "PARTNERD_USER", user);
            }
            field(out, "PARTNERD_ROUTING", routing.bits());
            // A field may stand several times: one for each process.
            for holder in token.iter().flat_map(|token| token.holders) {
                let command = holder.command().map(std::os::unix::ffi::OsStrExt::as_bytes);
                let mut value = holder.pid().to_string().into_bytes();
                if let Some(command) = command {
                    value.push(b' ');
                    value.extend_from_slice(command);
                }
                bytes(out, "PARTNERD_HOLDER", &value);
            }
            if let Some(gap) = token.as_ref().and_then(|token| token.gap) {
                field(out, "PARTNERD_HOLDERS_GAP", gap);
            }
        }
        Verdict::Refused { kind, reason, text } => {
            field(out, "PARTNERD_KIND", kind);
            if let Some(reason) = reason {
                field(out, "PARTNERD_REASON", reason);
            }
            field(out, "PARTNERD_TEXT", text);
        }
        Verdict::NotYet => {}
    }
    if let Some(rule) = record.rule {
        field(out, "PARTNERD_RULE", rule);
    }
}

/// Adds one datagram to `out`.
pub(super) fn write_event(event: &PeerEvent<'_>, out: &mut Vec<u8>) {
    let PeerEvent { host: name, address, event, kind, text, left_out } = *event;
    let what = match event {
        Event::HandshakeFailed => "did not prove who it is",
        Event::ConnectionRefused => "was not let in",
        Event::QuestionRefused => "was refused a question",
        #[cfg(feature = "ident")]
        Event::IdentRefused => "was told nothing at port 113",
    };
    let message = match name {
        Some(name) => format!("host {name} at {address} {what}: {kind}"),
        None => format!("{address} {what}: {kind}"),
    };
    head(out, &message, NOTICE, event.as_str());
    host(out, name, address);
    field(out, "PARTNERD_KIND", kind);
    field(out, "PARTNERD_TEXT", text);
    field(out, "PARTNERD_LEFT_OUT", left_out);
}

fn head(out: &mut Vec<u8>, message: &str, priority: u8, event: &str) {
    field(out, "MESSAGE", message);
    field(out, "PRIORITY", priority);
    field(out, "SYSLOG_IDENTIFIER", "partnerd");
    field(out, "PARTNERD_EVENT", event);
}

fn host(out: &mut Vec<u8>, name: Option<&str>, address: IpAddr) {
    if let Some(name) = name {
        field(out, "PARTNERD_HOST", name);
    }
    field(out, "PARTNERD_HOST_ADDRESS", address);
}

impl Display for Asker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(peer) => write!(f, "uid {}", peer.uid),
            Self::Host { name, address } => write!(f, "host {name} at {address}"),
            #[cfg(feature = "ident")]
            Self::Ident { address, user: Some(user), .. } => {
                write!(f, "uid {user} at {address}, which asked at port 113,")
            }
            #[cfg(feature = "ident")]
            Self::Ident { address, user: None, .. } => {
                write!(f, "{address}, which asked at port 113,")
            }
        }
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: impl Display) {
    bytes(out, name, value.to_string().as_bytes());
}

/// `NAME=value`, or where the value has a line end in it, the name alone, the length as 64 bits in
/// little endian, and the value.
fn bytes(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// The way to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        // Who is there is found out now. It is not stayed with: a journal that restarts makes a
        // new socket of the same name.
        UnixDatagram::unbound()?.connect(path)?;
        Ok(Self { socket, path: path.into() })
    }

    /// One record. A failure has written nothing.
    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.socket.send_to(datagram, &self.path) {
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => self.send_file(datagram),
            sent => sent.map(|_| ()),
        }
    }

    /// What is too long for a datagram goes as a sealed file in memory, whose descriptor is sent.
    fn send_file(&self, content: &[u8]) -> io::Result<()> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("partnerd-audit", flags)?;
        let mut writer = std::fs::File::from(file);
        io::Write::write_all(&mut writer, content)?;
        let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&writer, all)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [writer.as_fd()];
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let address = SocketAddrUnix::new(self.path.as_path())?;
        let nothing = [IoSlice::new(&[])];
        let flags = SendFlags::NOSIGNAL;
        rustix::net::sendmsg_addr(&self.socket, &address, &nothing, &mut ancillary, flags)?;
        Ok(())
    }
}
