//! A client that asks who its server is before it says anything.
//!
//! `cargo run --example echo_client -- 127.0.0.1:7007`, with the `echo_server` example running.

use std::io;
use std::time::Duration;

use partner_info::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".into());
    let mut stream = TcpStream::connect(&address).await?;
    // A server may take its time to accept: until then nobody holds its end.
    let server = stream.get_partner_info(PartnerRequest::USER_ID, Duration::from_secs(5)).await?;
    println!("the server at {address}: {server}");

    stream.write_all(b"hello").await?;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply).await?;
    println!("it answered {}", String::from_utf8_lossy(&reply));
    Ok(())
}
