//! Listening for the agents of other hosts, in every namespace that is looked at.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::Hosts;
use super::answering::Answering;
use crate::agent::everywhere::{self, Families};
use crate::agent::lookup::Lookup;
use crate::agent::peers::Listener;
use crate::agent::stacks::Held;
use crate::kernel::sys::Errno;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 256;

impl Hosts {
    /// Listens in the agent's own namespace.
    ///
    /// # Errors
    ///
    /// Where the port is in use, or may not be had.
    pub(crate) fn open_home(
        &self,
        lookup: &Lookup,
        listener: &Listener<Answering>,
    ) -> io::Result<()> {
        let home = Arc::clone(lookup.stacks().home());
        self.open(lookup, listener, home)
    }

    /// Listens in the others as they come, and leaves those that go; for ever.
    pub(crate) async fn watch(&self, lookup: Arc<Lookup>, listener: Arc<Listener<Answering>>) {
        let looked = Arc::clone(&lookup);
        everywhere::follow(looked, |found| self.open_and_leave(&lookup, &listener, found)).await;
    }

    fn open_and_leave(
        &self,
        lookup: &Lookup,
        listener: &Listener<Answering>,
        found: Vec<Arc<Held>>,
    ) {
        let home = lookup.stacks().home().cookie();
        let there: HashSet<u64> = found.iter().map(|stack| stack.cookie()).collect();
        let is_gone = |cookie: &u64| *cookie != home && !there.contains(cookie);
        let gone: Vec<u64> = self.stacks.lock().keys().copied().filter(is_gone).collect();
        for cookie in gone {
            self.stacks.lock().remove(&cookie);
            listener.remove(cookie);
            self.peers.leave(cookie);
        }
        for stack in found {
            if self.stacks.get(stack.cookie()).is_some() {
                continue;
            }
            let cookie = stack.cookie();
            if let Err(error) = self.open(lookup, listener, stack) {
                tracing::debug!(
                    namespace = cookie, %error,
                    "other hosts cannot ask about this network namespace"
                );
            }
        }
    }

    fn open(
        &self,
        lookup: &Lookup,
        listener: &Listener<Answering>,
        stack: Arc<Held>,
    ) -> io::Result<()> {
        let socket = lookup.stacks().within(&stack, || listen(self.port));
        let socket = socket.map_err(|Errno(errno)| io::Error::from_raw_os_error(errno))??;
        let cookie = stack.cookie();
        self.stacks.lock().insert(cookie, stack);
        listener.add(cookie, socket);
        Ok(())
    }
}

/// A socket for both families, or for IPv4 alone where there is no IPv6.
fn listen(port: u16) -> io::Result<tokio::net::TcpListener> {
    let listen = |at| everywhere::listen(at, Families::Both, BACKLOG);
    let both = listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    let socket = match both {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?
        }
        both => both?,
    };
    tokio::net::TcpListener::from_std(socket.into())
}
