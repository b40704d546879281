//! Which connection a socket is.

use super::table::{SocketKey, not_a_socket};
use crate::error::{Error, ErrorKind, Reason};
use crate::kernel::Endpoint;
use crate::kernel::sys::{self, Errno, Socket, addresses, errno};
use crate::kernel::verify::Protocol;

/// A connected socket: its number and its peer.
#[derive(Clone, Copy)]
pub(super) struct Connected {
    pub(super) key: SocketKey,
    pub(super) remote: std::net::SocketAddr,
}

impl Connected {
    pub(super) fn peer(&self) -> Endpoint {
        self.remote.into()
    }
}

/// SO_COOKIE and getpeername(2): two system calls, and all that a saved answer needs.
#[inline]
pub(super) fn connected(socket: Socket<'_>) -> Result<Connected, Error> {
    let key = SocketKey::of(socket)?;
    match addresses::peer(socket) {
        Ok(Some(remote)) => Ok(Connected { key, remote }),
        Ok(None) => Err(Error::new(ErrorKind::NotTcp)),
        Err(Errno(errno::ENOTCONN)) => Err(match sys::protocol(socket) {
            Ok(Protocol::Tcp | Protocol::Mptcp) => Error::new(ErrorKind::NotConnected),
            Ok(Protocol::Other) => Error::new(ErrorKind::NotTcp),
            Err(error) => not_a_socket(error),
        }),
        Err(error) => Err(not_a_socket(error)),
    }
}

/// Refuses a socket that is not, or no longer, this connection.
pub(super) fn is_still(socket: Socket<'_>, at: Connected) -> Result<(), Error> {
    let now = connected(socket)?;
    if now.key == at.key && now.remote == at.remote {
        Ok(())
    } else {
        Err(Error::unidentified(Reason::ConnectionChanged))
    }
}

/// The connection that a get was begun for, to be held against what it is gone on with.
#[cfg(feature = "mio")]
#[derive(Clone, Copy)]
pub(crate) struct BegunFor(Connected);

#[cfg(feature = "mio")]
impl BegunFor {
    pub(crate) fn of(socket: Socket<'_>) -> Result<Self, Error> {
        connected(socket).map(Self)
    }

    /// Refuses a socket that is not, or no longer, this connection.
    pub(crate) fn is_still(self, socket: Socket<'_>) -> Result<(), Error> {
        is_still(socket, self.0)
    }

    /// Refuses a socket that is another connection. One that has ended since is none.
    pub(crate) fn is_no_other(self, socket: Socket<'_>) -> Result<(), Error> {
        match self.is_still(socket) {
            Err(error)
                if error.kind() == ErrorKind::NotConnected
                    && SocketKey::of(socket)? == self.0.key =>
            {
                Ok(())
            }
            other => other,
        }
    }
}
