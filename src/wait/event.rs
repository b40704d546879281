//! An event source that tells when to get.

use std::fmt;
use std::io;
#[cfg(unix)]
use std::os::fd::AsRawFd;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use mio::event::Source;
#[cfg(unix)]
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::failed;
use crate::client::Incoming;
use crate::error::{Error, ErrorKind};
use crate::info::{PartnerInfo, PartnerRequest};
use crate::kernel::sys::{AsSocket, Bell, Socket, socket_of};
use crate::stack::{Begun, BegunFor, Stack, Waiting, WaitingPoll};

/// A get under way, as an event source of [`mio`]: readable when there is something to
/// [`poll`](Self::poll) for. Made by
/// [`partner_event`](crate::PartnerStreamExt::partner_event).
///
/// Register it with [`Interest::READABLE`]. As with every source of mio an event may come although
/// there is no answer yet; then `poll` says [`InProgress`](ErrorKind::InProgress), and another event
/// follows. One is readable from the start where the answer is there already, so that a program need
/// not poll before it waits.
///
/// It holds three descriptors of its own, and not the stream. Dropping it leaves the event loop and
/// ends the wait, and leaves no trace: the next get goes on where this one was.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use mio::{Events, Interest, Poll, Token};
/// use partner_info::{ErrorKind, prelude::*};
///
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let stream = listener.accept()?.0;
/// # stream.set_nonblocking(true)?;
/// let stream = mio::net::TcpStream::from_std(stream);
/// let mut poll = Poll::new()?;
/// let mut event = stream.partner_event(PartnerRequest::USER_ID, Duration::from_secs(1))?;
/// poll.registry().register(&mut event, Token(1), Interest::READABLE)?;
///
/// let mut events = Events::with_capacity(8);
/// let partner = loop {
///     poll.poll(&mut events, None)?;
///     match event.poll(&stream) {
///         Err(error) if error.kind() == ErrorKind::InProgress => continue,
///         answer => break answer?,
///     }
/// };
/// println!("connected by {partner}");
/// # Ok(())
/// # }
/// ```
#[must_use = "it tells nothing unless it is registered and polled"]
pub struct PartnerEvent {
    stack: Stack,
    request: PartnerRequest,
    connection: BegunFor,
    pub(super) bell: Bell,
    /// Taken for as long as the bell rings for it.
    incoming: Option<Incoming>,
    state: State,
}

enum State {
    Waiting(Waiting),
    /// Not taken yet.
    Answered(Result<PartnerInfo, Error>),
    Taken,
}

impl PartnerEvent {
    pub(crate) fn new(
        stack: &Stack,
        socket: Socket<'_>,
        request: PartnerRequest,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let now = Instant::now();
        let connection = BegunFor::of(socket)?;
        let state = if timeout.is_zero() {
            State::Answered(Ok(stack.poll_once(socket, request)?))
        } else {
            match stack.begin(socket, request, timeout, now)? {
                Begun::Answered(answer) => State::Answered(Ok(answer)),
                Begun::Waiting(waiting) => State::Waiting(waiting),
            }
        };
        let bell = Bell::new().map_err(failed("make descriptors for an event source"))?;
        let stack = stack.clone();
        let mut event = Self { stack, request, connection, bell, incoming: None, state };
        if let Some(answer) = event.look(socket, now) {
            event.state = State::Answered(answer);
        }
        if matches!(event.state, State::Answered(_)) {
            event.bell.wake_up().wake_by_ref();
        }
        Ok(event)
    }

    /// Takes the answer, if it is here; never suspends.
    ///
    /// `stream` is the one that this source was made for, or another descriptor of it. The answer
    /// describes the holder of the partner's socket at one moment between
    /// [`partner_event`](crate::PartnerStreamExt::partner_event) and now, or of the earlier get that
    /// saved it. After the answer was taken, this is
    /// [`try_get_partner_info`](crate::PartnerStreamExt::try_get_partner_info).
    ///
    /// # Errors
    ///
    /// - [`InProgress`](ErrorKind::InProgress): not here yet. Wait for the next event.
    /// - [`TimedOut`](ErrorKind::TimedOut): the timeout passed first.
    /// - [`Unidentified`](ErrorKind::Unidentified) with
    ///   [`ConnectionChanged`](crate::Reason::ConnectionChanged): `stream` is not the connection that
    ///   this was made for. The wait goes on, and an answer stays to be taken.
    /// - All others of a get:
    ///   [`get_partner_info_blocking`](crate::PartnerStreamExt::get_partner_info_blocking).
    pub fn poll(&mut self, stream: &impl AsSocket) -> Result<PartnerInfo, Error> {
        let socket = socket_of(stream);
        match self.state {
            State::Waiting(_) => self.connection.is_still(socket)?,
            State::Answered(_) => self.connection.is_no_other(socket)?,
            // It is asked about what is given.
            State::Taken => {}
        }
        self.bell.clear();
        let answer = match std::mem::replace(&mut self.state, State::Taken) {
            State::Answered(answer) => answer,
            State::Taken => self.stack.poll_once(socket, self.request),
            waiting @ State::Waiting(_) => {
                self.state = waiting;
                let answer = self.look(socket, Instant::now());
                answer.ok_or(Error::new(ErrorKind::InProgress))?
            }
        };
        self.state = State::Taken;
        answer
    }

    /// What the get that waits came to, if it came to something; else the bell rings when to look again.
    fn look(&mut self, socket: Socket<'_>, now: Instant) -> Option<Result<PartnerInfo, Error>> {
        let State::Waiting(waiting) = &mut self.state else { return None };
        let waker = Waker::from(self.bell.wake_up().clone());
        let (answer, until, incoming) = match waiting.poll(&self.stack, socket, &waker, now) {
            WaitingPoll::Ready(answer) => (Some(answer), None, None),
            WaitingPoll::Until(until) => (None, until, waiting.incoming()),
        };
        self.listen_to(incoming);
        if let Some(at) = until {
            self.bell.ring_at(at);
        }
        answer
    }

    fn listen_to(&mut self, incoming: Option<Incoming>) {
        if self.incoming == incoming {
            return;
        }
        if let Some(old) = self.incoming.take() {
            self.bell.remove(socket_of(&old));
        }
        // Where it cannot be added (`ENOMEM`), the clock still has it looked at.
        self.incoming = incoming.filter(|new| self.bell.add(socket_of(new)).is_ok());
    }
}

#[cfg(unix)]
impl Source for PartnerEvent {
    fn register(&mut self, registry: &Registry, token: Token, what: Interest) -> io::Result<()> {
        SourceFd(&self.bell.as_raw_fd()).register(registry, token, what)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, what: Interest) -> io::Result<()> {
        SourceFd(&self.bell.as_raw_fd()).reregister(registry, token, what)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.bell.as_raw_fd()).deregister(registry)
    }
}

/// None is ever made here.
#[cfg(not(unix))]
impl Source for PartnerEvent {
    fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        match self.bell {}
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        match self.bell {}
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        match self.bell {}
    }
}

impl fmt::Debug for PartnerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartnerEvent").field("request", &self.request).finish_non_exhaustive()
    }
}
