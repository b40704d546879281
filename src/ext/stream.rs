//! After connect, or after accept.

use std::time::Duration;

#[cfg(feature = "mio")]
use super::sealed::MioStream;
#[cfg(feature = "tokio")]
use super::sealed::TokioStream;
use super::sealed::{Blocking, Sealed};
use crate::error::Error;
#[cfg(feature = "tokio")]
use crate::future::GetPartnerInfo;
use crate::info::{PartnerInfo, PartnerRequest};
use crate::kernel::sys::socket_of;
use crate::stack::Stack;
#[cfg(feature = "mio")]
use crate::wait::PartnerEvent;

/// Who is at the other end of a connected stream: the `TcpStream` of std, of tokio and, with the
/// feature `mio`, of mio; and with the feature `socket2` the `Socket` of socket2.
///
/// All of them poll with [`try_get_partner_info`](Self::try_get_partner_info). Each waits in the way
/// of its runtime, and all ways wait for the same:
///
/// | stream | call | which |
/// |---|---|---|
/// | tokio | `get_partner_info` | is a future |
/// | std, socket2 | `get_partner_info_blocking` | blocks the thread |
/// | mio | `partner_event` | gives an event source |
///
/// Sealed: implemented for types of this crate's choice only.
pub trait PartnerStreamExt: Sealed {
    /// Gets the partner's credentials, waiting for them up to `timeout`. (`SIOCGPARTNERINFO`)
    /// For tokio's stream.
    ///
    /// The answer describes the holder of the partner's socket at one moment between the first
    /// poll and the end of this future, or of the earlier get of this connection that saved it:
    /// credentials are kept, and a later get costs no retrieval. What is asked for beyond what is
    /// saved is retrieved, together with all the rest. An empty request asks for the routing alone.
    ///
    /// A partner on this machine is mostly found at once. It takes longer when its end of the
    /// connection was not accepted yet, or when its account name is looked up for the first time.
    /// A name that does not come in time is absent; the rest is answered without it.
    ///
    /// With [`Duration::ZERO`] this is [`try_get_partner_info`](Self::try_get_partner_info).
    ///
    /// # Errors
    ///
    /// - [`NotAuthorized`](crate::ErrorKind::NotAuthorized): the policy does not permit this caller.
    ///   The message names who asked, for what, and which rule decided.
    /// - [`Unidentified`](crate::ErrorKind::Unidentified): asked, and no trustworthy answer exists;
    ///   [`reason`](Error::reason) tells why. Treat the partner as unknown.
    /// - [`TimedOut`](crate::ErrorKind::TimedOut): `timeout` passed first. A later get may find it.
    /// - [`AlreadyInProgress`](crate::ErrorKind::AlreadyInProgress): another get waits on this
    ///   connection. Await that one.
    /// - [`NotConnected`](crate::ErrorKind::NotConnected): the connection is gone.
    /// - [`NotTcp`](crate::ErrorKind::NotTcp): the descriptor is not a TCP socket.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported): this kernel, or the sandbox around the
    ///   process, answers no such question.
    /// - [`Io`](crate::ErrorKind::Io): a system call failed; the message names it.
    ///
    /// # Panics
    ///
    /// Where it has to wait outside of a tokio runtime with its timer enabled.
    ///
    /// # Cancel safety
    ///
    /// Safe at any moment: it reads no byte of the stream, and the next get goes on where this one
    /// was.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use partner_info::prelude::*;
    /// use tokio::net::{TcpListener, TcpStream};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
    ///
    /// let partner = server.get_partner_info(PartnerRequest::USER_ID, Duration::from_secs(1)).await?;
    /// if let Some(user) = partner.user() {
    ///     println!("connected by {user}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tokio")]
    #[doc(alias = "SIOCGPARTNERINFO")]
    fn get_partner_info(&self, request: PartnerRequest, timeout: Duration) -> GetPartnerInfo<'_>
    where
        Self: TokioStream,
    {
        GetPartnerInfo::new(Stack::current(), socket_of(self), request, timeout)
    }

    /// Gets the partner's credentials, **blocking the calling thread** for them up to `timeout`.
    /// (`SIOCGPARTNERINFO`) For streams of std and socket2.
    ///
    /// The answer describes the holder of the partner's socket at one moment between call and
    /// return, or of the earlier get of this connection that saved it: credentials are kept, and a
    /// later get costs no retrieval. What is asked for beyond what is saved is retrieved, together
    /// with all the rest. An empty request asks for the routing alone.
    ///
    /// A partner on this machine is mostly found at once. It takes longer when its end of the
    /// connection was not accepted yet, or when its account name is looked up for the first time.
    /// A name that does not come in time is absent; the rest is answered without it. The thread
    /// sleeps meanwhile, in poll(2). Whether the stream is non-blocking makes no difference.
    ///
    /// It needs no runtime. Within one it holds up whatever else the thread would do, so that a
    /// partner whose end is to be accepted by the same thread is not accepted before `timeout`. Who
    /// can await has tokio's `get_partner_info`.
    ///
    /// With [`Duration::ZERO`] this is [`try_get_partner_info`](Self::try_get_partner_info).
    ///
    /// # Errors
    ///
    /// - [`NotAuthorized`](crate::ErrorKind::NotAuthorized): the policy does not permit this caller.
    ///   The message names who asked, for what, and which rule decided.
    /// - [`Unidentified`](crate::ErrorKind::Unidentified): asked, and no trustworthy answer exists;
    ///   [`reason`](Error::reason) tells why. Treat the partner as unknown.
    /// - [`TimedOut`](crate::ErrorKind::TimedOut): `timeout` passed first. A later get may find it.
    /// - [`AlreadyInProgress`](crate::ErrorKind::AlreadyInProgress): another get waits on this
    ///   connection, in another thread. Let it finish.
    /// - [`NotConnected`](crate::ErrorKind::NotConnected): the connection is gone.
    /// - [`NotTcp`](crate::ErrorKind::NotTcp): the descriptor is not a TCP socket.
    /// - [`SecurityDomain`](crate::ErrorKind::SecurityDomain), [`Agent`](crate::ErrorKind::Agent),
    ///   [`Unsupported`](crate::ErrorKind::Unsupported): as they say.
    /// - [`Io`](crate::ErrorKind::Io): a system call failed; the message names it. To wait takes one
    ///   descriptor.
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
    /// let client = TcpStream::connect(listener.local_addr()?)?;
    /// let (server, _) = listener.accept()?;
    ///
    /// let partner =
    ///     server.get_partner_info_blocking(PartnerRequest::USER_ID, Duration::from_secs(1))?;
    /// if let Some(user) = partner.user() {
    ///     println!("connected by {user}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "SIOCGPARTNERINFO")]
    fn get_partner_info_blocking(
        &self,
        request: PartnerRequest,
        timeout: Duration,
    ) -> Result<PartnerInfo, Error>
    where
        Self: Blocking,
    {
        Stack::current().get_partner_info_blocking(self, request, timeout)
    }

    /// Begins to get the partner's credentials, for up to `timeout` from now, and gives an event
    /// source that is readable when there is something to poll it for. (`SIOCGPARTNERINFO`) For
    /// mio's stream.
    ///
    /// z/OS has nothing of the kind: its select masks do not tell of partner information.
    ///
    /// With [`Duration::ZERO`] this is [`try_get_partner_info`](Self::try_get_partner_info), with its
    /// errors, and the source is readable at once.
    ///
    /// # Errors
    ///
    /// What can be told at once, of those of
    /// [`get_partner_info_blocking`](Self::get_partner_info_blocking); all else is told by
    /// [`PartnerEvent::poll`]. A source takes three descriptors.
    ///
    /// # Examples
    ///
    /// See [`PartnerEvent`].
    #[cfg(feature = "mio")]
    fn partner_event(
        &self,
        request: PartnerRequest,
        timeout: Duration,
    ) -> Result<PartnerEvent, Error>
    where
        Self: MioStream,
    {
        Stack::current().partner_event(self, request, timeout)
    }

    /// Gets the partner's credentials without waiting. (`SIOCGPARTNERINFO` with `PI_Timeout` 0)
    ///
    /// Never suspends, and makes a few system calls at most. After a set, the first call starts the
    /// retrieval and says [`InProgress`](crate::ErrorKind::InProgress); a later one has the answer.
    ///
    /// # Errors
    ///
    /// Those of [`get_partner_info_blocking`](Self::get_partner_info_blocking) without `TimedOut`, and
    ///
    /// - [`NotRequested`](crate::ErrorKind::NotRequested): nothing was set, and nothing is saved.
    ///   Call `set_partner_info` before connect or listen.
    /// - [`InProgress`](crate::ErrorKind::InProgress): not here yet. Get again later.
    ///
    /// An `Unidentified` is told once; the next call starts anew.
    #[doc(alias = "SIOCGPARTNERINFO")]
    fn try_get_partner_info(&self, request: PartnerRequest) -> Result<PartnerInfo, Error> {
        Stack::current().poll_once(socket_of(self), request)
    }
}

impl PartnerStreamExt for std::net::TcpStream {}

#[cfg(feature = "tokio")]
impl PartnerStreamExt for tokio::net::TcpStream {}

#[cfg(feature = "mio")]
impl PartnerStreamExt for mio::net::TcpStream {}

#[cfg(feature = "socket2")]
impl PartnerStreamExt for socket2::Socket {}
