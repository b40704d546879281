//! The metrics over HTTP, for programs of this host.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::prometheus_text;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::Metrics;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 8;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may live.
const LIFE: Duration = Duration::from_secs(30);
/// The pause after an accept that failed, which is for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes that a connection buffers at most; no request that is answered has as many.
const BUFFER: usize = 8 << 10;

/// Serves the metrics until it is dropped. The runtime must have I/O and time enabled.
///
/// # Errors
///
/// Where the runtime does not take the listener; never later.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    metrics: Arc<Metrics>,
) -> io::Result<Infallible> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics was not accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            // A client that goes away, or says what is not HTTP, is of no interest to anybody.
            let _ = timeout(LIFE, connection(stream, metrics)).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, metrics: Arc<Metrics>) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &metrics);
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(method: &Method, path: &str, metrics: &Metrics) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let (status, kind, body) = match path {
        "/metrics" | "/healthz" if method != Method::GET && method != Method::HEAD => {
            (StatusCode::METHOD_NOT_ALLOWED, TEXT, String::from("only GET\n"))
        }
        "/metrics" => match metrics.text() {
            Ok(text) => (StatusCode::OK, prometheus_text::CONTENT_TYPE, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        },
        "/healthz" => (StatusCode::OK, TEXT, String::from("ok\n")),
        _ => (StatusCode::NOT_FOUND, TEXT, String::from("only /metrics and /healthz\n")),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::SocketAddr;

    use super::*;

    /// A server on a thread of its own, for the length of a test.
    struct Server {
        address: SocketAddr,
        stop: Option<tokio::sync::oneshot::Sender<()>>,
        thread: Option<std::thread::JoinHandle<()>>,
    }

    impl Server {
        fn new() -> Self {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let (stop, stopped) = tokio::sync::oneshot::channel();
            let thread = std::thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let server = tokio::spawn(serve(listener, Arc::new(Metrics::new())));
                    let _ = stopped.await;
                    server.abort();
                });
            });
            Self { address, stop: Some(stop), thread: Some(thread) }
        }

        fn connect(&self) -> std::net::TcpStream {
            let stream = std::net::TcpStream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream
        }

        fn ask(&self, request: &str) -> String {
            let mut stream = self.connect();
            write!(stream, "{request}\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            drop(self.stop.take());
            self.thread.take().unwrap().join().unwrap();
        }
    }

    #[test]
    fn metrics_and_health_are_served_and_nothing_else() {
        let server = Server::new();
        for (request, begins, has) in [
            ("GET /metrics HTTP/1.1", "HTTP/1.1 200", "\npartnerd_connections 0\n"),
            ("GET /metrics?a=b HTTP/1.1", "HTTP/1.1 200", "text/plain; version=0.0.4"),
            ("GET /healthz HTTP/1.1", "HTTP/1.1 200", "\r\n\r\nok\n"),
            ("HEAD /healthz HTTP/1.1", "HTTP/1.1 200", "content-length: 3"),
            ("POST /metrics HTTP/1.1", "HTTP/1.1 405", "allow: GET, HEAD"),
            ("GET / HTTP/1.1", "HTTP/1.1 404", "only /metrics"),
            ("GET /metrics/ HTTP/1.1", "HTTP/1.1 404", "only /metrics"),
            ("rubbish", "HTTP/1.1 400", ""),
        ] {
            let answer = server.ask(request);
            assert!(answer.starts_with(begins) && answer.contains(has), "{request}: {answer}");
        }
    }

    #[test]
    fn a_head_that_is_too_long_is_refused() {
        let server = Server::new();
        let mut stream = server.connect();
        // The answer may come, and the connection go, before all of it is written.
        let _ = write!(stream, "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }

    #[test]
    fn silent_clients_hold_nobody_up_for_long() {
        let server = Server::new();
        let silent: Vec<_> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        assert!(server.ask("GET /healthz HTTP/1.1").starts_with("HTTP/1.1 200"));
        drop(silent);
    }
}
