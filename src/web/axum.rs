//! For axum.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::connect_info::Connected;
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener, TapIo};
use http::Version;
use http::request::Parts;

use super::connection::ConnectedPartner;
use super::layer::{connected_partner, unidentified};
use super::listener::PartnerListener;
use super::refusal::{Http, Refusal, Refuse};
use super::stream::PartnerStream;
use crate::info::PartnerInfo;

/// How long accepting rests after an error that is not one connection's.
const REST: Duration = Duration::from_secs(1);

impl Listener for PartnerListener {
    type Io = PartnerStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (PartnerStream, SocketAddr) {
        loop {
            match Self::accept(self).await {
                Ok(stream) => {
                    let remote = stream.partner().remote_addr();
                    return (stream, remote);
                }
                Err(error) if is_of_one_connection(&error) => {}
                // No descriptor is left, for example: some may be in a while.
                Err(error) => {
                    tracing::error!(%error, "accept failed");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

impl Connected<IncomingStream<'_, PartnerListener>> for ConnectedPartner {
    fn connect_info(stream: IncomingStream<'_, PartnerListener>) -> Self {
        stream.io().partner().clone()
    }
}

impl<F> Connected<IncomingStream<'_, TapIo<PartnerListener, F>>> for ConnectedPartner
where
    F: FnMut(&mut PartnerStream) + Send + 'static,
{
    fn connect_info(stream: IncomingStream<'_, TapIo<PartnerListener, F>>) -> Self {
        stream.io().partner().clone()
    }
}

/// Extracts who the partner is; refuses with 403 where it is unknown.
///
/// The server is served by
/// `Router::into_make_service_with_connect_info::<ConnectedPartner>()`, else every request is refused
/// with 500. It admits everybody who is identified: who may come in is
/// [`AdmitLayer`](super::AdmitLayer)'s to decide.
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::get};
/// use partner_info::web::{ConnectedPartner, Partner, PartnerListener};
/// use tokio::net::TcpListener;
///
/// async fn hello(partner: Partner) -> String {
///     match partner.user() {
///         Some(user) => format!("hello, {user}\n"),
///         None => String::from("no user was asked for\n"),
///     }
/// }
///
/// # async fn serve() -> std::io::Result<()> {
/// let app = Router::new().route("/", get(hello));
/// let listener = PartnerListener::new(TcpListener::bind("127.0.0.1:8080").await?);
/// axum::serve(listener, app.into_make_service_with_connect_info::<ConnectedPartner>()).await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Partner(pub PartnerInfo);

impl Deref for Partner {
    type Target = PartnerInfo;

    fn deref(&self) -> &PartnerInfo {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Partner {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let partner = connected_partner(&parts.extensions).ok_or(Refusal::NoListener)?;
        match partner.get().await {
            Ok(info) => Ok(Self(info)),
            Err(error) => Err(unidentified(&partner, &error)),
        }
    }
}

impl IntoResponse for Refusal {
    /// As [`Http`] says it to any version, so without closing the connection.
    fn into_response(self) -> Response {
        <Http as Refuse<Body>>::refuse(self, Version::HTTP_2)
    }
}
