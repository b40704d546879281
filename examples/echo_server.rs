//! An echo server that says of each connection who made it, and where its partner is.
//!
//! `cargo run --example echo_server -- 127.0.0.1:7007`, and then the `echo_client` example.

use std::io;
use std::time::Duration;

use partner_info::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".into());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(stream).await {
                println!("{peer}: {error}");
            }
        });
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let peer = stream.peer_addr()?;
    match stream.get_partner_info(PartnerRequest::USER_ID, Duration::from_secs(5)).await {
        Ok(partner) => println!("{peer}: {partner}"),
        // Unknown is not root, and not anybody: this server echoes to strangers, too.
        Err(error) => println!("{peer}: unknown: {error}"),
    }
    let mut buffer = [0; 1024];
    while let n @ 1.. = stream.read(&mut buffer).await? {
        let received = buffer.get(..n).unwrap_or_default();
        stream.write_all(received).await?;
    }
    Ok(())
}
