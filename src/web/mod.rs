//! For servers: a listener that asks at accept who has come, and a layer that admits by the answer.
//!
//! The parts, for any server over tokio that serves [`http`] requests:
//!
//! 1. [`PartnerListener`] accepts. It begins the retrieval at the accept and gives a
//!    [`PartnerStream`], with a [`ConnectedPartner`] to get the answer from.
//! 2. The server puts the `ConnectedPartner` in the extensions of each request. axum does so for
//!    `into_make_service_with_connect_info::<ConnectedPartner>()`, tonic for
//!    `serve_with_incoming`, and with hyper one line does it (`examples/hyper_protected.rs`).
//! 3. [`AdmitLayer`] waits for the answer and admits by [`Rule`]s, or refuses with 403.
//!
//! With the feature `axum` there is also the extractor `Partner`.
//!
//! # Examples
//!
//! The three parts, with any service of tower's making:
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use partner_info::web::{AdmitLayer, PartnerListener, Rule};
//! use tokio::net::{TcpListener, TcpStream};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let listener = PartnerListener::new(TcpListener::bind("127.0.0.1:0").await?);
//! let client = TcpStream::connect(listener.local_addr()?).await?;
//! let stream = listener.accept().await?;
//!
//! let myself = rustix::process::geteuid().as_raw();
//! let service = ServiceBuilder::new()
//!     .layer(AdmitLayer::new([Rule::user(myself)]))
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, Infallible>(Response::new(String::from("welcome")))
//!     }));
//!
//! // What the server does with each request that comes on this stream.
//! let mut request = Request::new(());
//! request.extensions_mut().insert(stream.partner().clone());
//! let response = service.oneshot(request).await.unwrap();
//! assert_eq!(response.body(), "welcome");
//! # Ok(())
//! # }
//! ```
//!
//! # What it is worth
//!
//! * **Who is not identified is refused.** So is everybody where there is no rule.
//! * The answer is one for each connection, retrieved when it was accepted, as everywhere in this
//!   crate: all requests of a connection are those of one partner. A program that passes its
//!   connected socket on to another user's has lent its name. Where the retrieval has failed, all
//!   requests of that connection are refused, and the connection is closed after the first: the
//!   partner can connect anew.
//! * A reverse proxy, and any other relay, is itself the partner. No header is looked at.
//! * It says who owns the partner's socket and does not encrypt: on a network that others can write
//!   to it needs TLS as well.

#[cfg(feature = "axum")]
mod axum;
mod connection;
mod layer;
mod listener;
mod refusal;
mod rule;
mod stream;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(feature = "axum")]
pub use self::axum::Partner;
pub use connection::ConnectedPartner;
pub use layer::{Admit, AdmitFuture, AdmitLayer};
pub use listener::PartnerListener;
pub use refusal::{Grpc, Http, Refusal, Refuse};
pub use rule::{NoSuchAccount, Rule};
pub use stream::PartnerStream;
