//! The sealed extension traits, and the same calls on a [`Stack`] of one's own.

mod listener;
mod socket;
mod stream;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub use listener::PartnerListenerExt;
pub use socket::PartnerSocketExt;
pub use stream::PartnerStreamExt;

use crate::future::{AcceptPartner, ConnectPartner, GetPartnerInfo, IncomingPartners};
use crate::info::PartnerRequest;
use crate::stack::Stack;

/// Keeps the traits to the types of this crate's choice, so that methods can be added.
mod sealed {
    pub trait Sealed {}
    impl Sealed for tokio::net::TcpSocket {}
    impl Sealed for tokio::net::TcpListener {}
    impl Sealed for tokio::net::TcpStream {}
}

/// The calls of the extension traits, in the context of this stack.
impl Stack {
    /// As [`PartnerStreamExt::get_partner_info`].
    pub fn get_partner_info<'a>(
        &'a self,
        stream: &'a TcpStream,
        request: PartnerRequest,
        timeout: Duration,
    ) -> GetPartnerInfo<'a> {
        GetPartnerInfo::new(self, stream, request, timeout)
    }

    /// As [`PartnerSocketExt::connect_partner`].
    pub fn connect_partner(&self, socket: TcpSocket, address: SocketAddr) -> ConnectPartner {
        ConnectPartner::new(self, socket, address)
    }

    /// As [`PartnerListenerExt::accept_partner`].
    pub fn accept_partner<'a>(&'a self, listener: &'a TcpListener) -> AcceptPartner<'a> {
        AcceptPartner::new(self, listener)
    }

    /// As [`PartnerListenerExt::incoming_partners`].
    pub fn incoming_partners<'a>(&'a self, listener: &'a TcpListener) -> IncomingPartners<'a> {
        IncomingPartners::new(self, listener)
    }
}
