//! Accepting, and asking at once.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream as FutureStream;
use tokio::net::TcpListener;

use super::connection::ConnectedPartner;
use super::stream::PartnerStream;
use crate::info::PartnerRequest;
use crate::stack::Stack;

/// How long a partner's retrieval may take, unless said otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A [`TcpListener`] that begins at each accept to ask who has come.
///
/// It is what `axum::serve` takes (feature `axum`), and a [`Stream`](futures_core::Stream) of
/// [`PartnerStream`]s, as `tonic`'s `serve_with_incoming` takes it (feature `tonic`). No accept waits for
/// an answer: one partner whose retrieval takes long holds up nobody else.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use partner_info::PartnerRequest;
/// use partner_info::web::PartnerListener;
/// use tokio::net::TcpListener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
/// let listener = PartnerListener::new(listener).timeout(Duration::from_secs(2));
/// let stream = listener.accept().await?;
/// println!("{} is {}", stream.partner().remote_addr(), stream.partner().get().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PartnerListener {
    listener: TcpListener,
    stack: Stack,
    request: PartnerRequest,
    timeout: Duration,
}

impl PartnerListener {
    /// Asks for users in the process's own [`Stack`], for up to five seconds, unless told
    /// otherwise.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        let (request, timeout) = (PartnerRequest::USER_ID, TIMEOUT);
        Self { listener, stack: Stack::current().clone(), request, timeout }
    }

    /// What is asked for of every partner. Rules that look at an executable or a unit need
    /// [`PartnerRequest::UTOKEN`] as well; all rules need [`PartnerRequest::USER_ID`].
    #[must_use]
    pub fn request(mut self, request: PartnerRequest) -> Self {
        self.request = request;
        self
    }

    /// How long a partner's retrieval may take, counted from its accept. As long waits, at most, who
    /// serves its first request.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The stack in which it asks, and whose policy decides for
    /// [`Rule::profile`](super::Rule::profile).
    #[must_use]
    pub fn stack(mut self, stack: Stack) -> Self {
        self.stack = stack;
        self
    }

    /// Accepts one connection and begins to ask.
    ///
    /// # Errors
    ///
    /// Those of accept. A retrieval that fails does not fail the accept.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped future has accepted nothing.
    pub async fn accept(&self) -> io::Result<PartnerStream> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<PartnerStream>> {
        let (stream, remote) = ready!(self.listener.poll_accept(cx))?;
        let (partner, retrieving) =
            ConnectedPartner::begin(&self.stack, &stream, remote, self.request, self.timeout);
        Poll::Ready(Ok(PartnerStream::new(stream, partner, retrieving)))
    }
}

/// Never ends. An error of accept is an item, and the stream goes on after it.
impl FutureStream for PartnerListener {
    type Item = io::Result<PartnerStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_accept(cx).map(Some)
    }
}
