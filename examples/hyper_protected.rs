//! The same as `axum_protected`, with hyper alone: `hyper_protected ADDRESS [UID ...]`.
//!
//! `cargo run --features tower --example hyper_protected -- 127.0.0.1:7010`, and then `curl 127.0.0.1:7010`.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use partner_info::PartnerInfo;
use partner_info::web::{AdmitLayer, PartnerListener, Rule};
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower_layer::Layer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7010".into());
    let mut rules = Vec::new();
    for uid in arguments {
        rules.push(Rule::user(uid.parse()?));
    }
    if rules.is_empty() {
        rules.push(Rule::user(rustix::process::geteuid().as_raw()));
    }

    let admitted = AdmitLayer::new(rules).layer(tower::service_fn(hello));
    let listener = PartnerListener::new(TcpListener::bind(&address).await?);
    println!("listening on {}", listener.local_addr()?);
    loop {
        let stream = listener.accept().await?;
        let (partner, admitted) = (stream.partner().clone(), admitted.clone());
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            // Without this line nobody is identified, and everybody refused.
            request.extensions_mut().insert(partner.clone());
            admitted.clone().oneshot(request)
        });
        tokio::spawn(async move {
            let served =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            if let Err(error) = served {
                println!("{error}");
            }
        });
    }
}

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let said = match request.extensions().get::<PartnerInfo>() {
        Some(partner) => format!("welcome: {partner}\n"),
        None => String::from("the layer lets nobody through whom it does not name\n"),
    };
    Ok(Response::new(Full::from(said)))
}
