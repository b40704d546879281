//! Whose connection it is, for all who serve its requests.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::error::{Error, ErrorKind};
use crate::future::GetPartnerInfo;
use crate::info::{PartnerInfo, PartnerRequest};
use crate::kernel::sys::{errno, socket_of};
use crate::stack::{Begun, Stack};

/// The partner of one accepted connection: known, or about to be.
///
/// A clone is another handle to the same answer. It holds no descriptor, and may outlive the
/// connection.
///
/// # Examples
///
/// ```
/// use partner_info::web::PartnerListener;
/// use tokio::net::TcpListener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
/// let stream = PartnerListener::new(listener).accept().await?;
/// let partner = stream.partner().clone();
///
/// // Every handle has the one answer of the connection.
/// let answer = partner.get().await?;
/// assert_eq!(partner.try_get()?, answer);
/// assert_eq!(stream.partner().get().await?.user(), answer.user());
/// # assert_eq!(answer.user().unwrap().uid(), rustix::process::geteuid().as_raw());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ConnectedPartner {
    remote: SocketAddr,
    stack: Stack,
    answer: watch::Receiver<Option<Result<PartnerInfo, Error>>>,
}

/// As long as it lives, the answer is being retrieved.
#[derive(Debug)]
pub(super) struct Retrieving(AbortHandle);

impl Drop for Retrieving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ConnectedPartner {
    /// Begins the retrieval. It ends with an answer, with `timeout`, or when the second value is
    /// dropped.
    pub(super) fn begin(
        stack: &Stack,
        stream: &TcpStream,
        remote: SocketAddr,
        request: PartnerRequest,
        timeout: Duration,
    ) -> (Self, Option<Retrieving>) {
        let (tell, answer) = watch::channel(None);
        let partner = Self { remote, stack: stack.clone(), answer };
        let socket = socket_of(stream);
        match stack.begin(socket, request, timeout, Instant::now()) {
            Ok(Begun::Answered(info)) => drop(tell.send(Some(Ok(info)))),
            Err(error) => drop(tell.send(Some(Err(error)))),
            Ok(Begun::Waiting(_)) if timeout.is_zero() => {
                drop(tell.send(Some(Err(Error::new(ErrorKind::TimedOut)))));
            }
            // A task waits, over a descriptor of its own that it closes at the end: the stream
            // belongs to the server.
            Ok(Begun::Waiting(waiting)) => match socket.try_clone_to_owned() {
                Ok(socket) => {
                    let stack = stack.clone();
                    let task = tokio::spawn(async move {
                        let socket = socket_of(&socket);
                        let answer =
                            GetPartnerInfo::of_begun(&stack, socket, request, waiting).await;
                        let _ = tell.send(Some(answer));
                    });
                    return (partner, Some(Retrieving(task.abort_handle())));
                }
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(errno::EIO);
                    let error = Error::io("keep a descriptor of the connection", errno);
                    drop(tell.send(Some(Err(error))));
                }
            },
        }
        (partner, None)
    }

    /// The answer; waits for it, no longer than the timeout of the listener counted from the accept.
    ///
    /// It describes the holder of the partner's socket at one moment between accept and answer, and
    /// stays the same for the life of the connection.
    ///
    /// # Errors
    ///
    /// Those of [`get_partner_info`](crate::PartnerStreamExt::get_partner_info). An error stays, too:
    /// the partner of this connection is unknown. [`NotConnected`](ErrorKind::NotConnected) where the
    /// connection ended before there was an answer.
    ///
    /// # Cancel safety
    ///
    /// Safe at any moment.
    pub async fn get(&self) -> Result<PartnerInfo, Error> {
        let mut answer = self.answer.clone();
        match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or_else(gone),
            Err(_) => gone(),
        }
    }

    /// The answer, if it is here.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`InProgress`](ErrorKind::InProgress) where it is not here yet.
    pub fn try_get(&self) -> Result<PartnerInfo, Error> {
        match &*self.answer.borrow() {
            Some(answer) => answer.clone(),
            None if self.answer.has_changed().is_err() => gone(),
            None => Err(Error::new(ErrorKind::InProgress)),
        }
    }

    /// The partner's address. It says nothing of who the partner is.
    #[must_use]
    pub fn remote_addr(&self) -> SocketAddr {
        self.remote
    }

    pub(super) fn stack(&self) -> &Stack {
        &self.stack
    }
}

fn gone() -> Result<PartnerInfo, Error> {
    Err(Error::new(ErrorKind::NotConnected))
}

impl fmt::Debug for ConnectedPartner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectedPartner")
            .field("remote", &self.remote)
            .field("answer", &self.try_get())
            .finish_non_exhaustive()
    }
}
