//! A server and a client in one program: each asks who its partner is.
//!
//! Run it with `cargo run --example both_ends`.

use std::io;
use std::time::Duration;

use partner_info::prelude::*;
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;

    let server = async {
        let (stream, _) = listener.accept().await?;
        let partner = stream.get_partner_info(PartnerRequest::USER_ID, PATIENCE).await?;
        println!("the server's partner: {partner}");
        // Keep the stream until the client has asked, too.
        io::Result::Ok(stream)
    };
    let client = async {
        let stream = TcpStream::connect(address).await?;
        let partner = stream.get_partner_info(PartnerRequest::USER_ID, PATIENCE).await?;
        println!("the client's partner: {partner}");
        io::Result::Ok(stream)
    };
    tokio::try_join!(server, client)?;
    Ok(())
}
