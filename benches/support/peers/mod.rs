//! Three ways to ask over TLS, and how they are measured.

pub mod frames;
pub mod rates;
pub mod unary;

#[path = "../../../src/agent/peers/tests/certificates.rs"]
pub mod certificates;

use std::net::SocketAddr;

use crate::support::places;
pub use crate::support::rounds::{Measured, Round, drive};

/// Bytes of a question, and of an answer, where they mean nothing.
pub const QUESTION: usize = 100;
pub const ANSWER: usize = 200;

/// Runs a server on a thread of its own, with a runtime of its own, on the first processor.
pub fn on_its_own_thread<F: Future<Output = ()>>(
    serve: impl FnOnce(tokio::net::TcpListener) -> F + Send + 'static,
) -> SocketAddr {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("listen");
    listener.set_nonblocking(true).expect("set it");
    let address = listener.local_addr().expect("an address");
    places::first(move || {
        std::thread::spawn(move || {
            crate::support::runtime().block_on(async {
                serve(tokio::net::TcpListener::from_std(listener).expect("register it")).await;
                std::future::pending::<()>().await;
            });
        })
    });
    SocketAddr::from(([127, 0, 0, 1], address.port()))
}
