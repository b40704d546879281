//! The runtimes, behind one face: what each calls a get.

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use partner_info::prelude::*;
use partner_info::{Error, ErrorKind, Stack};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Tokio,
    Std,
    Socket2,
    Mio,
}

impl Runtime {
    pub(crate) const ALL: [Self; 4] = [Self::Tokio, Self::Std, Self::Socket2, Self::Mio];

    /// A get on another descriptor of this socket: a cookie does not change by that.
    pub(crate) fn get(
        self,
        stack: &Stack,
        socket: &impl AsFd,
        request: PartnerRequest,
        timeout: Duration,
    ) -> Result<PartnerInfo, Error> {
        let stream = TcpStream::from(socket.as_fd().try_clone_to_owned().unwrap());
        match self {
            Self::Tokio => in_tokio(async {
                stream.set_nonblocking(true).unwrap();
                let stream = tokio::net::TcpStream::from_std(stream).unwrap();
                stack.get_partner_info(&stream, request, timeout).await
            }),
            Self::Std => stack.get_partner_info_blocking(&stream, request, timeout),
            Self::Socket2 => {
                stack.get_partner_info_blocking(&socket2::Socket::from(stream), request, timeout)
            }
            Self::Mio => {
                let stream = mio::net::TcpStream::from_std(stream);
                let event = stack.partner_event(&stream, request, timeout)?;
                run_loop(&stream, event)
            }
        }
    }

    /// The same without waiting.
    pub(crate) fn poll(
        self,
        stack: &Stack,
        socket: &impl AsFd,
        request: PartnerRequest,
    ) -> Result<PartnerInfo, Error> {
        let stream = TcpStream::from(socket.as_fd().try_clone_to_owned().unwrap());
        match self {
            Self::Tokio => in_tokio(async {
                stream.set_nonblocking(true).unwrap();
                let stream = tokio::net::TcpStream::from_std(stream).unwrap();
                stack.try_get_partner_info(&stream, request)
            }),
            Self::Std => stack.try_get_partner_info(&stream, request),
            Self::Socket2 => stack.try_get_partner_info(&socket2::Socket::from(stream), request),
            Self::Mio => {
                stack.try_get_partner_info(&mio::net::TcpStream::from_std(stream), request)
            }
        }
    }
}

pub(crate) fn in_tokio<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// An event loop that does nothing else, and sleeps for as long as nothing comes.
pub(crate) fn run_loop(
    stream: &mio::net::TcpStream,
    mut event: PartnerEvent,
) -> Result<PartnerInfo, Error> {
    let mut poll = Poll::new().unwrap();
    poll.registry().register(&mut event, Token(0), Interest::READABLE).unwrap();
    let mut events = Events::with_capacity(4);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            polled => polled.unwrap(),
        }
        match event.poll(stream) {
            Err(error) if error.kind() == ErrorKind::InProgress => {}
            answer => {
                poll.registry().deregister(&mut event).unwrap();
                return answer;
            }
        }
    }
}
