//! Keeps the traits to the types of this crate's choice, so that methods can be added; and each way
//! to wait to the types that can wait so.

use crate::kernel::sys::AsSocket;

pub trait Sealed: AsSocket + Sized {}

/// tokio's stream.
#[cfg(feature = "tokio")]
#[diagnostic::on_unimplemented(
    message = "`get_partner_info` is there for tokio's `TcpStream`, and not for `{Self}`",
    note = "a stream of std or socket2 has `get_partner_info_blocking`, one of mio `partner_event`"
)]
pub trait TokioStream: Sealed {}

/// tokio's socket.
#[cfg(feature = "tokio")]
#[diagnostic::on_unimplemented(
    message = "`connect_partner` is there for tokio's `TcpSocket`, and not for `{Self}`",
    note = "connect the socket; the first get starts what was set"
)]
pub trait TokioSocket: Sealed {
    fn into_socket(self) -> tokio::net::TcpSocket;
}

/// tokio's listener.
#[cfg(feature = "tokio")]
#[diagnostic::on_unimplemented(
    message = "`incoming_partners` is there for tokio's `TcpListener`, and not for `{Self}`",
    note = "call `accept_partner` in a loop"
)]
pub trait TokioListener: Sealed {
    fn as_listener(&self) -> &tokio::net::TcpListener;
}

/// Streams whose calls may block.
#[diagnostic::on_unimplemented(
    message = "`get_partner_info_blocking` blocks, which is not for `{Self}`",
    note = "a stream of tokio has `get_partner_info`, one of mio `partner_event`"
)]
pub trait Blocking: Sealed {}

/// mio's stream.
#[cfg(feature = "mio")]
#[diagnostic::on_unimplemented(
    message = "`partner_event` is there for mio's `TcpStream`, and not for `{Self}`",
    note = "a stream of tokio has `get_partner_info`, one of std or socket2 \
            `get_partner_info_blocking`"
)]
pub trait MioStream: Sealed {}

impl Sealed for std::net::TcpListener {}
impl Sealed for std::net::TcpStream {}
impl Blocking for std::net::TcpStream {}

#[cfg(feature = "socket2")]
impl Sealed for socket2::Socket {}
#[cfg(feature = "socket2")]
impl Blocking for socket2::Socket {}

#[cfg(feature = "mio")]
impl Sealed for mio::net::TcpListener {}
#[cfg(feature = "mio")]
impl Sealed for mio::net::TcpStream {}
#[cfg(feature = "mio")]
impl MioStream for mio::net::TcpStream {}

#[cfg(feature = "tokio")]
impl Sealed for tokio::net::TcpSocket {}
#[cfg(feature = "tokio")]
impl TokioSocket for tokio::net::TcpSocket {
    fn into_socket(self) -> Self {
        self
    }
}
#[cfg(feature = "tokio")]
impl Sealed for tokio::net::TcpListener {}
#[cfg(feature = "tokio")]
impl TokioListener for tokio::net::TcpListener {
    fn as_listener(&self) -> &Self {
        self
    }
}
#[cfg(feature = "tokio")]
impl Sealed for tokio::net::TcpStream {}
#[cfg(feature = "tokio")]
impl TokioStream for tokio::net::TcpStream {}
