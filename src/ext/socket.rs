//! Before connect, or before listen.

#[cfg(feature = "tokio")]
use std::net::SocketAddr;

use super::sealed::Sealed;
#[cfg(feature = "tokio")]
use super::sealed::TokioSocket;
use crate::error::Error;
#[cfg(feature = "tokio")]
use crate::future::ConnectPartner;
use crate::info::PartnerRequest;
use crate::kernel::sys::socket_of;
use crate::stack::Stack;

/// Partner information for a socket that is not connected yet: the `TcpSocket` of tokio and, with the
/// feature `socket2`, the `Socket` of socket2.
///
/// The sockets of std and mio are connected, or listen, from the beginning; a stream of theirs that
/// is to ask in advance begins as a `Socket` of socket2.
///
/// Sealed: implemented for types of this crate's choice only.
pub trait PartnerSocketExt: Sealed {
    /// Asks in advance for the partner's credentials, so that gets need not wait for them.
    /// (`SIOCSPARTNERINFO`)
    ///
    /// For a socket that will connect, it holds for that connection; for one that listens, or will,
    /// for every connection it accepts from then on. The retrieval starts with tokio's
    /// `connect_partner`, or with
    /// [`accept_partner`](crate::PartnerListenerExt::accept_partner), or else with the first get.
    /// The latest set counts.
    ///
    /// # Errors
    ///
    /// - [`NotAuthorized`](crate::ErrorKind::NotAuthorized): the policy does not permit this caller.
    /// - [`TooLate`](crate::ErrorKind::TooLate): the socket is connected already. Call this before
    ///   connect.
    /// - [`NotTcp`](crate::ErrorKind::NotTcp): the descriptor is not a TCP socket.
    /// - [`Io`](crate::ErrorKind::Io): a system call failed; the message names it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # #[cfg(feature = "tokio")]
    /// # mod example {
    /// use partner_info::prelude::*;
    /// use tokio::net::TcpSocket;
    ///
    /// # async fn connect() -> std::io::Result<()> {
    /// let socket = TcpSocket::new_v4()?;
    /// socket.set_partner_info(PartnerRequest::USER_ID)?;
    /// let stream = socket.connect_partner(([127, 0, 0, 1], 5432).into()).await?;
    /// # Ok(())
    /// # }
    /// # }
    /// ```
    #[doc(alias = "SIOCSPARTNERINFO")]
    fn set_partner_info(&self, request: PartnerRequest) -> Result<(), Error> {
        Stack::current().set(socket_of(self), request)
    }

    /// Connects as [`TcpSocket::connect`](tokio::net::TcpSocket::connect) does, then starts at once
    /// the retrieval that [`set_partner_info`](Self::set_partner_info) asked for. Without a set it
    /// only connects. For tokio's socket.
    ///
    /// # Errors
    ///
    /// Those of connect. A retrieval that fails does not fail the connect: the next get says so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    #[cfg(feature = "tokio")]
    fn connect_partner(self, address: SocketAddr) -> ConnectPartner
    where
        Self: TokioSocket,
    {
        Stack::current().connect_partner(self.into_socket(), address)
    }
}

#[cfg(feature = "tokio")]
impl PartnerSocketExt for tokio::net::TcpSocket {}

#[cfg(feature = "socket2")]
impl PartnerSocketExt for socket2::Socket {}
