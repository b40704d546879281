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
