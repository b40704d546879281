//! The named futures behind the async methods.
//!
//! All of them are fused: polled after their end they are pending for ever.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedFuture, FusedStream, Stream as FutureStream};
use pin_project::pin_project;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, Sleep};

use crate::error::Error;
use crate::info::{PartnerInfo, PartnerRequest};
use crate::kernel::sys::{Socket, socket_of};
use crate::stack::{Begun, Stack, Waiting, WaitingPoll};

/// Future of [`get_partner_info`](crate::PartnerStreamExt::get_partner_info).
///
/// Does nothing until polled; the timeout counts from the first poll.
///
/// # Examples
///
/// ```
/// use std::pin::pin;
/// use std::time::Duration;
///
/// use futures_core::FusedFuture;
/// use partner_info::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
/// # let (server, _) = listener.accept().await?;
/// let mut get = pin!(server.get_partner_info(PartnerRequest::USER_ID, Duration::from_secs(5)));
/// assert!(!get.is_terminated());
/// println!("connected by {}", get.as_mut().await?);
/// assert!(get.is_terminated());
/// # Ok(())
/// # }
/// ```
#[pin_project]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct GetPartnerInfo<'a> {
    stack: &'a Stack,
    socket: Socket<'a>,
    request: PartnerRequest,
    state: State,
    #[pin]
    sleep: Option<Sleep>,
}

enum State {
    Start { timeout: Duration },
    Waiting(Waiting),
    Done,
}

impl<'a> GetPartnerInfo<'a> {
    pub(crate) fn new(
        stack: &'a Stack,
        socket: Socket<'a>,
        request: PartnerRequest,
        timeout: Duration,
    ) -> Self {
        let state = State::Start { timeout };
        Self { stack, socket, request, state, sleep: None }
    }

    /// One that was begun already, over another descriptor of the same connection.
    #[cfg(feature = "tower")]
    pub(crate) fn of_begun(
        stack: &'a Stack,
        socket: Socket<'a>,
        request: PartnerRequest,
        waiting: Waiting,
    ) -> Self {
        Self { stack, socket, request, state: State::Waiting(waiting), sleep: None }
    }
}

impl Future for GetPartnerInfo<'_> {
    type Output = Result<PartnerInfo, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut now = std::time::Instant::now();
        loop {
            match this.state {
                State::Start { timeout } if timeout.is_zero() => {
                    *this.state = State::Done;
                    return Poll::Ready(this.stack.poll_once(*this.socket, *this.request));
                }
                State::Start { timeout } => {
                    let begun = this.stack.begin(*this.socket, *this.request, *timeout, now);
                    match begun {
                        Ok(Begun::Waiting(waiting)) => *this.state = State::Waiting(waiting),
                        Ok(Begun::Answered(answer)) => {
                            *this.state = State::Done;
                            return Poll::Ready(Ok(answer));
                        }
                        Err(error) => {
                            *this.state = State::Done;
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                State::Waiting(waiting) => {
                    match waiting.poll(this.stack, *this.socket, cx.waker(), now) {
                        WaitingPoll::Ready(answer) => {
                            *this.state = State::Done;
                            this.sleep.set(None);
                            return Poll::Ready(answer);
                        }
                        WaitingPoll::Until(None) => return Poll::Pending,
                        WaitingPoll::Until(Some(at)) => {
                            let at = Instant::from_std(at);
                            match this.sleep.as_mut().as_pin_mut() {
                                Some(sleep) => sleep.reset(at),
                                None => this.sleep.set(Some(tokio::time::sleep_until(at))),
                            }
                            if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                                ready!(sleep.poll(cx));
                            }
                            now = std::time::Instant::now();
                        }
                    }
                }
                State::Done => return Poll::Pending,
            }
        }
    }
}

impl FusedFuture for GetPartnerInfo<'_> {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

impl fmt::Debug for GetPartnerInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetPartnerInfo").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Future of [`connect_partner`](crate::PartnerSocketExt::connect_partner).
///
/// # Examples
///
/// ```
/// use partner_info::future::ConnectPartner;
/// use partner_info::prelude::*;
/// use tokio::net::TcpSocket;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// let socket = TcpSocket::new_v4()?;
/// socket.set_partner_info(PartnerRequest::USER_ID)?;
///
/// // It borrows nothing, so a task can have it.
/// let connecting: ConnectPartner = socket.connect_partner(address);
/// let stream = tokio::spawn(connecting).await??;
/// assert_eq!(stream.peer_addr()?, address);
/// # Ok(())
/// # }
/// ```
#[pin_project]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct ConnectPartner {
    stack: Stack,
    connect: Option<Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>>,
}

impl ConnectPartner {
    pub(crate) fn new(stack: &Stack, socket: TcpSocket, address: SocketAddr) -> Self {
        Self { stack: stack.clone(), connect: Some(Box::pin(socket.connect(address))) }
    }
}

impl Future for ConnectPartner {
    type Output = io::Result<TcpStream>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(connect) = this.connect else {
            return Poll::Pending;
        };
        let connected = ready!(connect.as_mut().poll(cx));
        *this.connect = None;
        if let Ok(stream) = &connected {
            this.stack.prefetch_connected(socket_of(stream));
        }
        Poll::Ready(connected)
    }
}

impl FusedFuture for ConnectPartner {
    fn is_terminated(&self) -> bool {
        self.connect.is_none()
    }
}

impl fmt::Debug for ConnectPartner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectPartner").finish_non_exhaustive()
    }
}

/// Future of [`accept_partner`](crate::PartnerListenerExt::accept_partner).
///
/// # Examples
///
/// ```
/// use partner_info::future::AcceptPartner;
/// use partner_info::prelude::*;
/// use tokio::net::{TcpListener, TcpStream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// listener.set_partner_info(PartnerRequest::USER_ID)?;
///
/// let accepting: AcceptPartner<'_> = listener.accept_partner();
/// let connecting = TcpStream::connect(listener.local_addr()?);
/// let ((_, address), client) = tokio::try_join!(accepting, connecting)?;
/// assert_eq!(address, client.local_addr()?);
/// # Ok(())
/// # }
/// ```
#[pin_project]
#[must_use = "futures do nothing unless you `.await` or poll them"]
#[derive(Debug)]
pub struct AcceptPartner<'a> {
    stack: &'a Stack,
    listener: Option<&'a TcpListener>,
}

impl<'a> AcceptPartner<'a> {
    pub(crate) fn new(stack: &'a Stack, listener: &'a TcpListener) -> Self {
        Self { stack, listener: Some(listener) }
    }
}

impl Future for AcceptPartner<'_> {
    type Output = io::Result<(TcpStream, SocketAddr)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(listener) = *this.listener else {
            return Poll::Pending;
        };
        let accepted = ready!(poll_accept(this.stack, listener, cx));
        *this.listener = None;
        Poll::Ready(accepted)
    }
}

impl FusedFuture for AcceptPartner<'_> {
    fn is_terminated(&self) -> bool {
        self.listener.is_none()
    }
}

/// Stream of [`incoming_partners`](crate::PartnerListenerExt::incoming_partners). It never ends.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use futures_util::StreamExt;
/// use partner_info::prelude::*;
/// use tokio::net::TcpListener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// listener.set_partner_info(PartnerRequest::USER_ID)?;
/// # let client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
///
/// let mut incoming = listener.incoming_partners();
/// while let Some(stream) = incoming.next().await {
///     let request = PartnerRequest::USER_ID;
///     let partner = stream?.get_partner_info(request, Duration::from_secs(5)).await?;
///     println!("connected by {partner}");
/// #     break;
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
#[derive(Debug)]
pub struct IncomingPartners<'a> {
    stack: &'a Stack,
    listener: &'a TcpListener,
}

impl<'a> IncomingPartners<'a> {
    pub(crate) fn new(stack: &'a Stack, listener: &'a TcpListener) -> Self {
        Self { stack, listener }
    }
}

impl FutureStream for IncomingPartners<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(poll_accept(self.stack, self.listener, cx));
        Poll::Ready(Some(accepted.map(|(stream, _)| stream)))
    }
}

impl FusedStream for IncomingPartners<'_> {
    fn is_terminated(&self) -> bool {
        false
    }
}

fn poll_accept(
    stack: &Stack,
    listener: &TcpListener,
    cx: &mut Context<'_>,
) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
    let accepted = ready!(listener.poll_accept(cx))?;
    stack.prefetch_accepted(socket_of(&accepted.0), socket_of(listener));
    Poll::Ready(Ok(accepted))
}
