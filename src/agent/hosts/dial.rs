//! Connecting to the agent of another host, from the address and the network namespace of the
//! connection that is asked about: the asked agent answers nobody else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::{TcpSocket, TcpStream};

use crate::agent::lookup::Lookup;
use crate::agent::peers::{Dial, Key};
use crate::kernel::sys::Errno;

/// Connects to agents at one port.
pub(super) struct Dialer {
    lookup: Arc<Lookup>,
    port: u16,
}

impl Dialer {
    pub(super) fn new(lookup: Arc<Lookup>, port: u16) -> Self {
        Self { lookup, port }
    }

    /// A socket in that namespace, bound to that address.
    fn socket(&self, key: Key) -> io::Result<TcpSocket> {
        let stacks = self.lookup.stacks();
        let gone = || io::Error::other("the network namespace of the connection is gone");
        let stack = stacks.held(key.namespace).ok_or_else(gone)?;
        let make = || match key.local {
            IpAddr::V4(_) => TcpSocket::new_v4(),
            IpAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = stacks.within(&stack, make);
        let socket = socket.map_err(|Errno(errno)| io::Error::from_raw_os_error(errno))??;
        socket.bind(SocketAddr::new(key.local, 0))?;
        Ok(socket)
    }
}

impl Dial for Dialer {
    fn dial(&self, to: Key) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>> {
        let socket = self.socket(to);
        let address = SocketAddr::new(to.remote, self.port);
        Box::pin(async move { socket?.connect(address).await })
    }
}
