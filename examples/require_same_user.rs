//! A service on localhost that serves the user who runs it and nobody else.
//!
//! `cargo run --example require_same_user -- 127.0.0.1:7008`, and then connect as yourself and as
//! somebody else.

use std::io;
use std::time::Duration;

use partner_info::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7008".into());
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
    let verdict = admit(&stream).await;
    println!("{}: {}", stream.peer_addr()?, verdict.as_ref().unwrap_or_else(|why| why));
    let reply = match verdict {
        Ok(who) => format!("welcome, {who}\n"),
        Err(why) => format!("refused: {why}\n"),
    };
    stream.write_all(reply.as_bytes()).await
}

/// Who it is, or why they are refused. There is no third way: an error of any kind refuses.
async fn admit(stream: &TcpStream) -> Result<String, String> {
    let own = rustix::process::geteuid().as_raw();
    let partner = stream
        .get_partner_info(PartnerRequest::USER_ID, Duration::from_secs(5))
        .await
        .map_err(|error| error.to_string())?;
    match partner.user() {
        Some(user) if user.uid() == own => Ok(user.to_string()),
        Some(user) => Err(format!("this service is for user {own} alone, and you are {user}")),
        None => Err("the partner's user was not asked for".into()),
    }
}
