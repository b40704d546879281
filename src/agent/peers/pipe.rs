//! Frames over one TLS connection.
//!
//! Frames that are ready together leave together: whoever writes appends to [`Pipe::output`] and then
//! lets it be written once. A pipe that is not used for a moment has next to no buffers.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsStream;

use crate::protocol::Malformed;
use crate::protocol::peers::split;

/// Reads in a row before others have their turn.
pub(super) const ROUNDS: usize = 16;
/// Bytes in the output from which on nothing should be added.
pub(super) const FULL: usize = 64 * 1024;
/// Bytes that a buffer keeps where it is not used.
const KEPT: usize = 1024;
/// How long a pipe that is not used keeps what room it had.
pub(super) const TRIM: Duration = Duration::from_secs(1);
/// Bytes that the TLS layer holds back, encrypted, where the peer does not read.
const TLS_BUFFER: usize = 32 * 1024;
/// How long a peer may take to read the last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) struct Pipe {
    stream: TlsStream<TcpStream>,
    /// The beginning of a message that is not here as a whole.
    partial: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    unflushed: bool,
    /// Nothing has come or gone since the room was given back.
    trimmed: bool,
    /// Since when the peer reads nothing of what waits for it.
    stuck: Option<Instant>,
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum Broken {
    /// The peer ended it.
    Closed,
    Io(io::Error),
    /// The peer says what it should not.
    Malformed(Malformed),
    /// The peer does not read.
    Stalled,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the other host ended the connection"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Malformed(malformed) => write!(f, "{malformed}"),
            Self::Stalled => f.write_str("the other host does not read"),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        // Without a close_notify, as from a host that was killed.
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Closed } else { Self::Io(error) }
    }
}

impl Pipe {
    pub(super) fn new(mut stream: TlsStream<TcpStream>) -> Self {
        match &mut stream {
            TlsStream::Client(stream) => stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER)),
            TlsStream::Server(stream) => stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER)),
        }
        Self {
            stream,
            partial: Vec::new(),
            output: Vec::new(),
            written: 0,
            unflushed: false,
            trimmed: false,
            stuck: None,
        }
    }

    /// Where frames are appended.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub(super) fn is_full(&self) -> bool {
        self.output.len() >= FULL
    }

    /// Whether there is room that should not be kept for long.
    pub(super) fn is_roomy(&self) -> bool {
        !self.trimmed && self.output.capacity().max(self.partial.capacity()) > KEPT
    }

    /// Gives back the room that is not in use.
    pub(super) fn trim(&mut self) {
        self.output.shrink_to(KEPT);
        self.partial.shrink_to(KEPT);
        self.trimmed = true;
    }

    /// Since when the peer reads nothing of what waits for it.
    pub(super) fn stuck(&self) -> Option<Instant> {
        self.stuck
    }

    /// Reads some, and hands each whole message to `take`, together with the output.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        mut take: impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), Malformed>,
    ) -> Poll<Result<(), Broken>> {
        let Self { stream, partial, output, trimmed, .. } = self;
        let chunk = ready!(Pin::new(&mut *stream).poll_fill_buf(context))?;
        *trimmed = false;
        let length = chunk.len();
        if length == 0 {
            return Poll::Ready(Err(Broken::Closed));
        }
        let taken = if partial.is_empty() {
            each(chunk, output, &mut take).map(|rest| partial.extend_from_slice(rest))
        } else {
            partial.extend_from_slice(chunk);
            each(partial, output, &mut take).map(<[u8]>::len).map(|rest| {
                let done = partial.len().saturating_sub(rest);
                drop(partial.drain(..done));
            })
        };
        Pin::new(stream).consume(length);
        Poll::Ready(taken.map_err(Broken::Malformed))
    }

    /// Writes what is in the output. Ready when the kernel has taken all of it.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Result<(), Broken>> {
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Broken::Closed)),
                Poll::Ready(Ok(count)) => {
                    self.written = self.written.saturating_add(count);
                    self.unflushed = true;
                    self.trimmed = false;
                    self.stuck = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    self.stuck.get_or_insert(now);
                    drop(self.output.drain(..self.written));
                    self.written = 0;
                    return Poll::Pending;
                }
            }
        }
        self.output.clear();
        self.written = 0;
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(Ok(())) => {
                self.unflushed = false;
                self.stuck = None;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => {
                self.stuck.get_or_insert(now);
                Poll::Pending
            }
        }
    }

    /// Writes what is left, and ends the connection.
    pub(super) async fn end(mut self) {
        let last = async {
            let written =
                std::future::poll_fn(|context| self.poll_write(context, Instant::now())).await;
            if written.is_ok() {
                // It may be gone already.
                let _ = std::future::poll_fn(|context| {
                    Pin::new(&mut self.stream).poll_shutdown(context)
                })
                .await;
            }
        };
        // Who does not read its last words loses them.
        let _ = tokio::time::timeout(LAST_WORDS, last).await;
    }
}

/// Waits for `limit`. The timer is moved only where it is too late, or has fired: each question would
/// move it otherwise.
pub(super) fn poll_until(
    mut timer: Pin<&mut Sleep>,
    limit: Instant,
    context: &mut Context<'_>,
) -> Poll<()> {
    if timer.deadline() > limit || timer.is_elapsed() {
        timer.as_mut().reset(limit);
    }
    timer.poll(context)
}

/// Hands out each whole message; returns what is left.
fn each<'a>(
    mut bytes: &'a [u8],
    output: &mut Vec<u8>,
    take: &mut impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), Malformed>,
) -> Result<&'a [u8], Malformed> {
    while let Some((message, rest)) = split(bytes)? {
        take(message, output)?;
        bytes = rest;
    }
    Ok(bytes)
}
