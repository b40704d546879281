//! The same over tonic: one unary method, written by hand.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tonic::body::Body;
use tonic::codegen::http::uri::{PathAndQuery, Uri};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::certificates::Configurations;
use super::{ANSWER, QUESTION, Round, drive};

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
}

#[derive(Clone)]
struct Echo;

impl UnaryService<Message> for Echo {
    type Response = Message;
    type Future = BoxFuture<Response<Message>, Status>;

    fn call(&mut self, request: Request<Message>) -> Self::Future {
        assert_eq!(request.into_inner().bytes.len(), QUESTION);
        Box::pin(async { Ok(Response::new(Message { bytes: vec![7; ANSWER] })) })
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let codec = ProstCodec::<Message, Message>::default();
            Ok(tonic::server::Grpc::new(codec).unary(Echo, request).await)
        })
    }
}

/// A TLS connection, as tonic wants to have one.
struct Connection(TlsStream<TcpStream>);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

pub async fn serve(tls: Configurations, listener: TcpListener) {
    let (stream, _) = listener.accept().await.expect("accept");
    stream.set_nodelay(true).expect("set it");
    let stream = TlsAcceptor::from(tls.server).accept(stream).await.expect("a handshake");
    let connection = Connection(TlsStream::Server(stream));
    let incoming = futures_util::stream::once(async { Ok::<_, io::Error>(connection) });
    Server::builder().add_service(Echo).serve_with_incoming(incoming).await.expect("serve");
}

#[derive(Clone)]
struct Connector(Configurations, SocketAddr);

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self(tls, address) = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::IpAddress(IpAddr::from([127, 0, 0, 1]).into());
            let stream = TlsConnector::from(tls.client).connect(name, stream).await?;
            Ok(TokioIo::new(TlsStream::Client(stream)))
        })
    }
}

pub struct Client(Channel);

impl Client {
    pub async fn new(tls: &Configurations, address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_static("http://peer.test");
        let connector = Connector(tls.clone(), address);
        Self(endpoint.connect_with_connector(connector).await.expect("connect"))
    }

    pub async fn round(&self, count: usize, length: Duration) -> Round {
        let channel = self.0.clone();
        let ask = move || {
            let mut client = tonic::client::Grpc::new(channel.clone());
            async move {
                client.ready().await.expect("ready");
                let codec = ProstCodec::<Message, Message>::default();
                let path = PathAndQuery::from_static("/bench.Echo/Echo");
                let request = Request::new(Message { bytes: vec![7; QUESTION] });
                let answer = client.unary(request, path, codec).await.expect("an answer");
                assert_eq!(answer.into_inner().bytes.len(), ANSWER);
            }
        };
        drive(count, length, ask).await
    }
}
