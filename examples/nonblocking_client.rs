//! A client that must never be suspended: it asks in advance, then polls.
//!
//! `cargo run --example nonblocking_client -- 127.0.0.1:7007`, with the `echo_server` example
//! running.

use std::io;
use std::time::Duration;

use partner_info::ErrorKind;
use partner_info::prelude::*;
use tokio::net::TcpSocket;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".into());
    let address = address.parse().map_err(io::Error::other)?;
    let socket = TcpSocket::new_v4()?;
    // Before connect: the retrieval then starts with the connection.
    socket.set_partner_info(PartnerRequest::USER_ID)?;
    let stream = socket.connect_partner(address).await?;

    let mut polls = 0;
    let server = loop {
        polls += 1;
        match stream.try_get_partner_info(PartnerRequest::USER_ID) {
            Ok(server) => break server,
            Err(error) if error.kind() == ErrorKind::InProgress && polls < 1_000 => {
                // An event loop would serve somebody else now.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    println!("the server at {address}, after {polls} polls: {server}");
    Ok(())
}
