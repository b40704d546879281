//! Accepting.

use tokio::net::TcpListener;

use super::sealed::Sealed;
use crate::error::Error;
use crate::future::{AcceptPartner, IncomingPartners};
use crate::info::PartnerRequest;
use crate::stack::Stack;

/// Partner information for connections to be accepted: tokio's [`TcpListener`].
///
/// Sealed: implemented for types of this crate's choice only.
pub trait PartnerListenerExt: Sealed {
    /// Asks in advance for the credentials of every partner accepted from now on.
    /// (`SIOCSPARTNERINFO`)
    ///
    /// An accepted stream takes this indicator however it is accepted, also by
    /// [`TcpListener::accept`]: its first get without waiting starts the retrieval. With
    /// [`accept_partner`](Self::accept_partner) the retrieval starts at the accept. The latest set
    /// counts. A stream accepted before, and not asked about since, takes it too.
    ///
    /// Where several listeners share one address (`SO_REUSEPORT`), set it on all of them or on
    /// none: which of them accepted a stream cannot be told later.
    ///
    /// # Errors
    ///
    /// - [`NotAuthorized`](crate::ErrorKind::NotAuthorized): the policy does not permit this caller.
    /// - [`NotTcp`](crate::ErrorKind::NotTcp): the descriptor is not a TCP socket.
    /// - [`Io`](crate::ErrorKind::Io): a system call failed; the message names it.
    ///
    /// # Examples
    ///
    /// ```
    /// use partner_info::prelude::*;
    /// use tokio::net::TcpListener;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// listener.set_partner_info(PartnerRequest::USER_ID)?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "SIOCSPARTNERINFO")]
    fn set_partner_info(&self, request: PartnerRequest) -> Result<(), Error>;

    /// Accepts as [`TcpListener::accept`] does, then starts at once the retrieval that
    /// [`set_partner_info`](Self::set_partner_info) asked for. Without a set it only accepts.
    ///
    /// # Errors
    ///
    /// Those of accept. A retrieval that fails does not fail the accept: the next get says so.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped future has accepted nothing.
    fn accept_partner(&self) -> AcceptPartner<'_>;

    /// The accepted streams, one after the other, each as from
    /// [`accept_partner`](Self::accept_partner): a [`futures::Stream`](futures_core::Stream) that
    /// never ends. An error of accept is an item; the stream goes on after it.
    fn incoming_partners(&self) -> IncomingPartners<'_>;
}

impl PartnerListenerExt for TcpListener {
    fn set_partner_info(&self, request: PartnerRequest) -> Result<(), Error> {
        Stack::current().set_partner_info(self, request)
    }

    fn accept_partner(&self) -> AcceptPartner<'_> {
        Stack::current().accept_partner(self)
    }

    fn incoming_partners(&self) -> IncomingPartners<'_> {
        Stack::current().incoming_partners(self)
    }
}
