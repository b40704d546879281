//! Accepting.

use std::io;
use std::net::SocketAddr;

use super::sealed::Sealed;
#[cfg(feature = "tokio")]
use super::sealed::TokioListener;
use crate::error::Error;
#[cfg(feature = "tokio")]
use crate::future::{AcceptPartner, IncomingPartners};
use crate::info::PartnerRequest;
use crate::kernel::sys::socket_of;
use crate::stack::Stack;

/// Partner information for connections to be accepted: the `TcpListener` of std, of tokio and, with
/// the feature `mio`, of mio.
///
/// A `Socket` of socket2 that listens has [`PartnerSocketExt`](crate::PartnerSocketExt).
///
/// Sealed: implemented for types of this crate's choice only.
pub trait PartnerListenerExt: Sealed {
    /// What [`accept_partner`](Self::accept_partner) gives: a future for tokio's listener, and for
    /// others the outcome itself.
    type Accept<'a>
    where
        Self: 'a;

    /// Asks in advance for the credentials of every partner accepted from now on.
    /// (`SIOCSPARTNERINFO`)
    ///
    /// An accepted stream takes this indicator however it is accepted, also by the listener's own
    /// `accept`: its first get without waiting starts the retrieval. With
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
    /// use std::net::TcpListener;
    ///
    /// use partner_info::prelude::*;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_partner_info(PartnerRequest::USER_ID)?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "SIOCSPARTNERINFO")]
    fn set_partner_info(&self, request: PartnerRequest) -> Result<(), Error> {
        Stack::current().set(socket_of(self), request)
    }

    /// Accepts as the listener's own `accept` does, then starts at once the retrieval that
    /// [`set_partner_info`](Self::set_partner_info) asked for. Without a set it only accepts.
    ///
    /// tokio's listener gives a future, std's blocks, and mio's says
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) where nobody has come.
    ///
    /// # Errors
    ///
    /// Those of accept. A retrieval that fails does not fail the accept: the next get says so.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped future has accepted nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    ///
    /// use partner_info::prelude::*;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_partner_info(PartnerRequest::USER_ID)?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// let (stream, _) = listener.accept_partner()?;
    /// let partner =
    ///     stream.get_partner_info_blocking(PartnerRequest::USER_ID, Duration::from_secs(1))?;
    /// println!("connected by {partner}");
    /// # Ok(())
    /// # }
    /// ```
    fn accept_partner(&self) -> Self::Accept<'_> {
        self.accept_partner_of(Stack::current())
    }

    /// See [`Stack::accept_partner`].
    #[doc(hidden)]
    fn accept_partner_of<'a>(&'a self, stack: &'a Stack) -> Self::Accept<'a>;

    /// The accepted streams, one after the other, each as from
    /// [`accept_partner`](Self::accept_partner): a [`futures::Stream`](futures_core::Stream) that
    /// never ends. An error of accept is an item; the stream goes on after it. For tokio's listener.
    #[cfg(feature = "tokio")]
    fn incoming_partners(&self) -> IncomingPartners<'_>
    where
        Self: TokioListener,
    {
        Stack::current().incoming_partners(self.as_listener())
    }
}

impl PartnerListenerExt for std::net::TcpListener {
    type Accept<'a> = io::Result<(std::net::TcpStream, SocketAddr)>;

    fn accept_partner_of(&self, stack: &Stack) -> Self::Accept<'_> {
        accepted(stack, self, self.accept())
    }
}

#[cfg(feature = "mio")]
impl PartnerListenerExt for mio::net::TcpListener {
    type Accept<'a> = io::Result<(mio::net::TcpStream, SocketAddr)>;

    fn accept_partner_of(&self, stack: &Stack) -> Self::Accept<'_> {
        accepted(stack, self, self.accept())
    }
}

#[cfg(feature = "tokio")]
impl PartnerListenerExt for tokio::net::TcpListener {
    type Accept<'a> = AcceptPartner<'a>;

    fn accept_partner_of<'a>(&'a self, stack: &'a Stack) -> Self::Accept<'a> {
        AcceptPartner::new(stack, self)
    }
}

/// The outcome of an accept, with what it starts.
fn accepted<S: Sealed>(
    stack: &Stack,
    listener: &impl Sealed,
    accepted: io::Result<(S, SocketAddr)>,
) -> io::Result<(S, SocketAddr)> {
    if let Ok((stream, _)) = &accepted {
        stack.prefetch_accepted(socket_of(stream), socket_of(listener));
    }
    accepted
}
