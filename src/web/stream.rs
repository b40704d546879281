//! An accepted stream that knows whose it is.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection::{ConnectedPartner, Retrieving};

/// A stream from [`PartnerListener`](super::PartnerListener): reads and writes as the
/// [`TcpStream`] that it is.
///
/// Dropping it closes the connection, and ends a retrieval that is under way.
///
/// # Examples
///
/// ```
/// use partner_info::web::PartnerListener;
/// use tokio::io::AsyncReadExt;
/// use tokio::net::TcpListener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let mut client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
/// # tokio::io::AsyncWriteExt::write_all(&mut client, b"hello").await?;
/// let mut stream = PartnerListener::new(listener).accept().await?;
/// stream.get_ref().set_nodelay(true)?;
///
/// let mut word = [0; 5];
/// stream.read_exact(&mut word).await?;
/// assert_eq!(&word, b"hello");
/// println!("said by {}", stream.partner().get().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PartnerStream {
    stream: TcpStream,
    partner: ConnectedPartner,
    _retrieving: Option<Retrieving>,
}

impl PartnerStream {
    pub(super) fn new(
        stream: TcpStream,
        partner: ConnectedPartner,
        retrieving: Option<Retrieving>,
    ) -> Self {
        Self { stream, partner, _retrieving: retrieving }
    }

    /// The partner: to be put in the extensions of each request of this connection.
    #[must_use]
    pub fn partner(&self) -> &ConnectedPartner {
        &self.partner
    }

    /// The stream, for its options.
    #[must_use]
    pub fn get_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsyncRead for PartnerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PartnerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
