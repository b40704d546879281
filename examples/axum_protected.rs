//! A web service on localhost for some of its users: `axum_protected ADDRESS [UID ...]`, by default for
//! the user who runs it.
//!
//! `cargo run --features axum --example axum_protected -- 127.0.0.1:7009`, and then `curl 127.0.0.1:7009` as
//! yourself and as somebody else.

use axum::Router;
use axum::routing::get;
use partner_info::web::{AdmitLayer, ConnectedPartner, Partner, PartnerListener, Rule};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7009".into());
    let mut rules = Vec::new();
    for uid in arguments {
        rules.push(Rule::user(uid.parse()?));
    }
    if rules.is_empty() {
        rules.push(Rule::user(rustix::process::geteuid().as_raw()));
    }

    let app = Router::new().route("/", get(hello)).layer(AdmitLayer::new(rules));
    let listener = PartnerListener::new(TcpListener::bind(&address).await?);
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<ConnectedPartner>()).await?;
    Ok(())
}

async fn hello(partner: Partner) -> String {
    format!("welcome: {}\n", *partner)
}
