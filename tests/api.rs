//! What the types promise to the compiler, and the errors to the operating system.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test says what it expects"
)]

use futures_core::{FusedFuture, FusedStream};
use partner_info::future::{AcceptPartner, ConnectPartner, GetPartnerInfo, IncomingPartners};
use partner_info::prelude::*;
use partner_info::{Error, ErrorKind, Reason, Resolver, Routing, Stack, StackBuilder, UserId};
use static_assertions::{assert_impl_all, assert_not_impl_any};

assert_impl_all!(GetPartnerInfo<'static>: Send, FusedFuture, std::fmt::Debug);
assert_impl_all!(ConnectPartner: Send, FusedFuture, std::fmt::Debug);
assert_impl_all!(AcceptPartner<'static>: Send, Sync, Unpin, FusedFuture, std::fmt::Debug);
assert_impl_all!(IncomingPartners<'static>: Send, Sync, Unpin, FusedStream, std::fmt::Debug);
assert_impl_all!(PartnerInfo: Send, Sync, Unpin, Clone, std::fmt::Debug, std::fmt::Display);
assert_impl_all!(UserId: Send, Sync, Unpin, Clone, Eq, std::hash::Hash, std::fmt::Display);
assert_impl_all!(Error: Send, Sync, Unpin, Clone, std::error::Error);
assert_impl_all!(ErrorKind: Send, Sync, Copy, std::fmt::Display);
assert_impl_all!(Reason: Send, Sync, Copy, std::fmt::Display);
assert_impl_all!(Routing: Send, Sync, Copy, std::fmt::Display);
assert_impl_all!(PartnerRequest: Send, Sync, Copy);
assert_impl_all!(Resolver: Send, Sync, Copy);
assert_impl_all!(Stack: Send, Sync, Unpin, Clone, std::fmt::Debug);
assert_impl_all!(StackBuilder: Send, std::fmt::Debug);
#[cfg(feature = "mio")]
assert_impl_all!(PartnerEvent: Send, mio::event::Source, std::fmt::Debug);
#[cfg(feature = "tower")]
mod web {
    use partner_info::web::{
        Admit, AdmitLayer, ConnectedPartner, Grpc, NoSuchAccount, PartnerListener, PartnerStream,
        Refusal, Rule,
    };

    use super::{assert_impl_all, assert_not_impl_any};

    assert_impl_all!(ConnectedPartner: Send, Sync, Unpin, Clone, std::fmt::Debug);
    assert_impl_all!(PartnerListener: Send, Sync, Unpin, futures_core::Stream, std::fmt::Debug);
    assert_impl_all!(PartnerStream: Send, Sync, Unpin, std::fmt::Debug);
    assert_impl_all!(AdmitLayer<Grpc>: Send, Sync, Unpin, Clone, std::fmt::Debug);
    assert_impl_all!(Admit<()>: Send, Sync, Unpin, Clone, std::fmt::Debug);
    assert_impl_all!(Rule: Send, Sync, Unpin, Clone, std::fmt::Debug);
    assert_impl_all!(Refusal: Send, Sync, Copy, std::error::Error);
    assert_impl_all!(NoSuchAccount: Send, Sync, Unpin, Clone, std::error::Error);
    // There is no layer that admits by default, nor a rule.
    assert_not_impl_any!(AdmitLayer: Default);
    assert_not_impl_any!(Rule: Default);
}
// An identity is proven, never made up.
assert_not_impl_any!(PartnerInfo: Default);
assert_not_impl_any!(UserId: Default, From<u32>);

#[test]
fn routing_has_the_values_of_so_clusterconntype() {
    assert_eq!(Routing::NO_CONNECTION.bits(), 0);
    assert_eq!(Routing::NONE.bits(), 1);
    assert_eq!(Routing::SAME_CLUSTER.bits(), 2);
    assert_eq!(Routing::SAME_IMAGE.bits(), 4);
    assert_eq!(Routing::INTERNAL.bits(), 8);
    assert_eq!(PartnerRequest::USER_ID.bits(), 1);
    assert_eq!(PartnerRequest::UTOKEN.bits(), 2);
}

#[tokio::test]
async fn errors_have_the_errno_that_the_manuals_name() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();

    let error = server.try_get_partner_info(PartnerRequest::USER_ID).unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::NotRequested, Some(libc::EAGAIN)));
    assert_eq!(error.reason(), None);

    let error = Stack::current().set_partner_info(&client, PartnerRequest::USER_ID).unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::TooLate, Some(libc::EOPNOTSUPP)));

    let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let error = Stack::current().try_get_partner_info(&udp, PartnerRequest::USER_ID).unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::NotTcp, Some(libc::EPROTOTYPE)));

    let error =
        Stack::current().try_get_partner_info(&listener, PartnerRequest::USER_ID).unwrap_err();
    assert_eq!(
        (error.kind(), error.raw_os_error()),
        (ErrorKind::NotConnected, Some(libc::ENOTCONN))
    );
    let io: std::io::Error = error.clone().into();
    assert_eq!(io.kind(), std::io::ErrorKind::NotConnected);
    assert_eq!(io.get_ref().unwrap().downcast_ref::<Error>(), Some(&error));

    let none = Stack::builder().resolvers([]).build();
    let wait = std::time::Duration::from_secs(1);
    let error = none.get_partner_info(&server, PartnerRequest::USER_ID, wait).await.unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Unsupported, Some(libc::ENOSYS)));

    drop(client);
    let error = server.get_partner_info(PartnerRequest::USER_ID, wait).await.unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Unidentified, Some(libc::ESRCH)));
    assert_eq!(error.reason(), Some(Reason::PartnerGone));
}

#[tokio::test]
async fn a_future_that_has_ended_is_pending_for_ever() {
    use futures_util::FutureExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let wait = std::time::Duration::from_millis(5);
    let mut get = Box::pin(client.get_partner_info(PartnerRequest::USER_ID, wait));
    assert!(!get.is_terminated());
    let error = get.as_mut().await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::NotYetAccepted));
    assert!(get.is_terminated());
    assert!(get.as_mut().now_or_never().is_none());
}
