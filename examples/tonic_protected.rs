//! A gRPC service on localhost for some of its users, and a client of it:
//! `tonic_protected ADDRESS [UID ...]` serves, by default the user who runs it, and
//! `tonic_protected call ADDRESS` calls it.
//!
//! `cargo run --features tonic --example tonic_protected -- 127.0.0.1:7011`, and then with `call 127.0.0.1:7011` as
//! yourself and as somebody else.

use std::convert::Infallible;
use std::task::{Context, Poll};

use partner_info::PartnerInfo;
use partner_info::web::{AdmitLayer, PartnerListener, Rule};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7011".into());
    if address == "call" {
        return call(&arguments.next().ok_or("usage: tonic_protected call ADDRESS")?).await;
    }
    let mut rules = Vec::new();
    for uid in arguments {
        rules.push(Rule::user(uid.parse()?));
    }
    if rules.is_empty() {
        rules.push(Rule::user(rustix::process::geteuid().as_raw()));
    }

    let listener = PartnerListener::new(TcpListener::bind(&address).await?);
    println!("listening on {}", listener.local_addr()?);
    Server::builder()
        .layer(AdmitLayer::new(rules).for_grpc())
        .add_service(Greeter)
        .serve_with_incoming(listener)
        .await?;
    Ok(())
}

/// What the service does.
#[derive(Clone)]
struct Hello;

impl UnaryService<String> for Hello {
    type Response = String;
    type Future = BoxFuture<Response<String>, Status>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let partner = request.extensions().get::<PartnerInfo>();
            let partner = partner.ok_or_else(|| Status::internal("served without the layer"))?;
            Ok(Response::new(format!("welcome: {partner}")))
        })
    }
}

/// What tonic's code generator makes of a service with one method.
#[derive(Clone)]
struct Greeter;

impl NamedService for Greeter {
    const NAME: &'static str = "example.Greeter";
}

impl Service<http::Request<Body>> for Greeter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let codec = ProstCodec::<String, String>::default();
            Ok(tonic::server::Grpc::new(codec).unary(Hello, request).await)
        })
    }
}

async fn call(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let path = PathAndQuery::from_static("/example.Greeter/Hello");
    let codec = ProstCodec::<String, String>::default();
    match client.unary(Request::new(String::new()), path, codec).await {
        Ok(said) => println!("{}", said.into_inner()),
        Err(status) => println!("{:?}: {}", status.code(), status.message()),
    }
    Ok(())
}
