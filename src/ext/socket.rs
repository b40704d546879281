//! Before connect, or before listen.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

use super::sealed::Sealed;
use crate::error::Error;
use crate::future::ConnectPartner;
use crate::info::PartnerRequest;
use crate::stack::Stack;

/// Partner information for a socket that is not connected yet: tokio's [`TcpSocket`].
///
/// Sealed: implemented for types of this crate's choice only.
pub trait PartnerSocketExt: Sealed {
    /// Asks in advance for the partner's credentials, so that gets need not wait for them.
    /// (`SIOCSPARTNERINFO`)
    ///
    /// For a socket that will connect, it holds for that connection; for one that will listen, for
    /// every connection it accepts. The retrieval starts with
    /// [`connect_partner`](Self::connect_partner) or
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
    /// use partner_info::prelude::*;
    /// use tokio::net::TcpSocket;
    ///
    /// # async fn connect() -> std::io::Result<()> {
    /// let socket = TcpSocket::new_v4()?;
    /// socket.set_partner_info(PartnerRequest::USER_ID)?;
    /// let stream = socket.connect_partner(([127, 0, 0, 1], 5432).into()).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "SIOCSPARTNERINFO")]
    fn set_partner_info(&self, request: PartnerRequest) -> Result<(), Error>;

    /// Connects as [`TcpSocket::connect`] does, then starts at once the retrieval that
    /// [`set_partner_info`](Self::set_partner_info) asked for. Without a set it only connects.
    ///
    /// # Errors
    ///
    /// Those of connect. A retrieval that fails does not fail the connect: the next get says so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    fn connect_partner(self, address: SocketAddr) -> ConnectPartner;
}

impl PartnerSocketExt for TcpSocket {
    fn set_partner_info(&self, request: PartnerRequest) -> Result<(), Error> {
        Stack::current().set_partner_info(self, request)
    }

    fn connect_partner(self, address: SocketAddr) -> ConnectPartner {
        Stack::current().connect_partner(self, address)
    }
}
