//! After connect, or after accept.

use std::time::Duration;

use tokio::net::TcpStream;

use super::sealed::Sealed;
use crate::error::Error;
use crate::future::GetPartnerInfo;
use crate::info::{PartnerInfo, PartnerRequest};
use crate::stack::Stack;

/// Who is at the other end: for tokio's connected [`TcpStream`].
///
/// Sealed: implemented for types of this crate's choice only.
pub trait PartnerStreamExt: Sealed {
    /// Gets the partner's credentials, waiting for them up to `timeout`. (`SIOCGPARTNERINFO`)
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
    #[doc(alias = "SIOCGPARTNERINFO")]
    fn get_partner_info(&self, request: PartnerRequest, timeout: Duration) -> GetPartnerInfo<'_>;

    /// Gets the partner's credentials without waiting. (`SIOCGPARTNERINFO` with `PI_Timeout` 0)
    ///
    /// Never suspends, and makes a few system calls at most. After a set, the first call starts the
    /// retrieval and says [`InProgress`](crate::ErrorKind::InProgress); a later one has the answer.
    ///
    /// # Errors
    ///
    /// Those of [`get_partner_info`](Self::get_partner_info) without `TimedOut`, and
    ///
    /// - [`NotRequested`](crate::ErrorKind::NotRequested): nothing was set, and nothing is saved.
    ///   Call `set_partner_info` before connect or listen.
    /// - [`InProgress`](crate::ErrorKind::InProgress): not here yet. Get again later.
    ///
    /// An `Unidentified` is told once; the next call starts anew.
    #[doc(alias = "SIOCGPARTNERINFO")]
    fn try_get_partner_info(&self, request: PartnerRequest) -> Result<PartnerInfo, Error>;
}

impl PartnerStreamExt for TcpStream {
    fn get_partner_info(&self, request: PartnerRequest, timeout: Duration) -> GetPartnerInfo<'_> {
        Stack::current().get_partner_info(self, request, timeout)
    }

    fn try_get_partner_info(&self, request: PartnerRequest) -> Result<PartnerInfo, Error> {
        Stack::current().try_get_partner_info(self, request)
    }
}
