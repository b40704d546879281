//! The sealed extension traits, and the same calls on a [`Stack`] of one's own.

mod listener;
mod sealed;
mod socket;
mod stream;

#[cfg(feature = "tokio")]
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(feature = "tokio")]
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub use listener::PartnerListenerExt;
pub use socket::PartnerSocketExt;
pub use stream::PartnerStreamExt;

use crate::error::Error;
#[cfg(feature = "tokio")]
use crate::future::{ConnectPartner, GetPartnerInfo, IncomingPartners};
use crate::info::{PartnerInfo, PartnerRequest};
use crate::kernel::sys::{AsSocket, socket_of};
use crate::stack::Stack;
use crate::wait;
#[cfg(feature = "mio")]
use crate::wait::PartnerEvent;

/// The calls of the extension traits, in the context of this stack.
impl Stack {
    /// As [`PartnerStreamExt::get_partner_info_blocking`], on a TCP socket of any runtime.
    pub fn get_partner_info_blocking(
        &self,
        socket: &impl AsSocket,
        request: PartnerRequest,
        timeout: Duration,
    ) -> Result<PartnerInfo, Error> {
        wait::get(self, socket_of(socket), request, timeout)
    }

    /// As [`PartnerStreamExt::partner_event`], on a TCP socket of any runtime.
    #[cfg(feature = "mio")]
    pub fn partner_event(
        &self,
        socket: &impl AsSocket,
        request: PartnerRequest,
        timeout: Duration,
    ) -> Result<PartnerEvent, Error> {
        PartnerEvent::new(self, socket_of(socket), request, timeout)
    }

    /// As [`PartnerListenerExt::accept_partner`].
    pub fn accept_partner<'a, L: PartnerListenerExt>(&'a self, listener: &'a L) -> L::Accept<'a> {
        listener.accept_partner_of(self)
    }
}

/// The same for tokio alone.
#[cfg(feature = "tokio")]
impl Stack {
    /// As [`PartnerStreamExt::get_partner_info`].
    pub fn get_partner_info<'a>(
        &'a self,
        stream: &'a TcpStream,
        request: PartnerRequest,
        timeout: Duration,
    ) -> GetPartnerInfo<'a> {
        GetPartnerInfo::new(self, socket_of(stream), request, timeout)
    }

    /// As [`PartnerSocketExt::connect_partner`].
    pub fn connect_partner(&self, socket: TcpSocket, address: SocketAddr) -> ConnectPartner {
        ConnectPartner::new(self, socket, address)
    }

    /// As [`PartnerListenerExt::incoming_partners`].
    pub fn incoming_partners<'a>(&'a self, listener: &'a TcpListener) -> IncomingPartners<'a> {
        IncomingPartners::new(self, listener)
    }
}
