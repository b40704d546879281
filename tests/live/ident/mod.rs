//! The agent at port 113 (RFC 1413), asked by real processes of real users.
//!
//! Users are such as every Debian has, so that they have names.

mod answers;
mod hazards;
mod limits;
mod oidentd;
mod postgresql;
mod rights;

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};

use super::Test;
use super::agent::daemon::Partnerd;
use super::puppet::{Far, Puppet};
use super::support::{Namespace, PATIENCE, tcp};

/// Users with names: `daemon`, `bin` and `sys`.
pub(crate) const DAEMON: u32 = 1;
pub(crate) const BIN: u32 = 2;
pub(crate) const SYS: u32 = 3;

/// At every address of the own namespace: those of others are other tests' as well.
pub(crate) const LISTEN: &str =
    "namespaces = \"own\"\n[ident]\nlisten = [\"0.0.0.0:113\", \"[::]:113\"]\n";

pub(crate) fn tests() -> Vec<Test> {
    [
        answers::TESTS,
        hazards::TESTS,
        limits::TESTS,
        oidentd::TESTS,
        postgresql::TESTS,
        rights::TESTS,
    ]
    .concat()
}

/// Whether PostgreSQL is not installed.
pub(crate) fn lacks_postgresql() -> bool {
    postgresql::programs().is_none()
}

/// An agent that answers there, without a policy: everybody may ask about the own stack.
pub(crate) fn agent() -> Partnerd {
    let agent = Partnerd::prepare(None, LISTEN);
    agent.run();
    agent
}

/// The configuration of one that looks at another namespace, too.
pub(crate) fn listen_there(there: &Namespace) -> String {
    LISTEN.replacen("\"own\"", &format!("[{:?}]", there.path()), 1)
}

/// Asks as PostgreSQL does: one connection, from the address that the asked connection has there, one
/// question, one read. What is said after the ports.
pub(crate) fn ask(at: SocketAddr, from: IpAddr, ports: (u16, u16)) -> io::Result<String> {
    let (here, there) = ports;
    let said = say(at, from, format!("{here},{there}\r\n").as_bytes())?;
    let answer = said.strip_prefix(&format!("{here},{there}:"));
    let answer = answer.and_then(|answer| answer.strip_suffix("\r\n"));
    Ok(answer.unwrap_or_else(|| panic!("not an answer: {said:?}")).to_owned())
}

/// Sends this, and reads once.
pub(crate) fn say(at: SocketAddr, from: IpAddr, bytes: &[u8]) -> io::Result<String> {
    let socket = tcp(at);
    socket.set_read_timeout(Some(2 * PATIENCE))?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&at.into())?;
    (&socket).write_all(bytes)?;
    let mut answer = [0; 1024];
    let count = (&socket).read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..count]).into_owned())
}

/// Has the user of a puppet ask whose the other end of its connection is.
pub(crate) fn whose(asker: &Puppet, end: &Far<'_>) -> String {
    asked_of(asker, end.local(), end.peer())
}

/// The same for a connection between these two, of which the asker has the first.
pub(crate) fn asked_of(asker: &Puppet, local: SocketAddr, remote: SocketAddr) -> String {
    asker.must(&format!("ident {local} {remote}"))
}
