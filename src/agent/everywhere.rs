//! Listening in every network namespace that is looked at: a container has an address of its own, and is
//! asked about there.
//!
//! A socket that listens keeps its namespace alive. So namespaces are looked for every few seconds, and
//! who listens leaves one that neither a process nor a file keeps any more.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::lookup::Lookup;
use super::stacks::Held;

/// How often namespaces are looked for.
const EVERY: Duration = Duration::from_secs(2);

/// Which connections a socket for IPv6 takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Families {
    Both,
    #[cfg(feature = "ident")]
    ItsOwn,
}

/// Tells `each` all namespaces that there are, every time that they were looked for; for ever. Where no
/// others than the agent's own are served there is nothing to tell.
pub(super) async fn follow(lookup: Arc<Lookup>, mut each: impl FnMut(Vec<Arc<Held>>)) {
    if !lookup.stacks().are_others_served() {
        return std::future::pending().await;
    }
    loop {
        let looking = Arc::clone(&lookup);
        // Takes milliseconds.
        let found = tokio::task::spawn_blocking(move || looking.stacks().discover()).await;
        if let Ok(found) = found {
            each(found);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// A socket that listens, in the calling thread's namespace; it never blocks.
pub(super) fn listen(at: SocketAddr, families: Families, backlog: i32) -> io::Result<OwnedFd> {
    let family = if at.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, families != Families::Both)?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &at)?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket)
}
