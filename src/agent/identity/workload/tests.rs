//! Against a Workload API server of the test's own, on a Unix socket.

use std::path::PathBuf;

use h2::server::SendResponse;
use prost::Message;
use prost::bytes::Bytes;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

use super::super::tests::HERE;
use super::super::tests::issue::{Authority, Issued, agent_params};
use super::super::{Identity, Role, Source};
use super::*;
use crate::agent::config::IdentityConfig;

/// As in the public definitions of the Workload API, `workload.proto`.
#[derive(Clone, PartialEq, Message)]
struct X509SvidResponse {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<Document>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    crl: Vec<Vec<u8>>,
    #[prost(map = "string, bytes", tag = "3")]
    federated_bundles: std::collections::HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Document {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    #[prost(bytes = "vec", tag = "2")]
    x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    x509_svid_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    bundle: Vec<u8>,
    #[prost(string, tag = "5")]
    hint: String,
}

/// What the server does next.
enum Step {
    Say(X509SvidResponse),
    /// Ends the connection.
    HangUp,
}

/// Serves one connection after the other, each until it is told to hang up.
async fn serve(listener: UnixListener, mut steps: mpsc::Receiver<Step>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, respond) = connection.accept().await.unwrap().unwrap();
        assert_eq!(request.uri().path(), "/SpiffeWorkloadAPI/FetchX509SVID");
        assert_eq!(request.headers().get("workload.spiffe.io").unwrap(), "true");
        tokio::select! {
            // Drives the connection, on which there is no second request.
            _ = connection.accept() => {}
            more = answer(respond, &mut steps) => if !more { return },
        }
    }
}

async fn answer(mut respond: SendResponse<Bytes>, steps: &mut mpsc::Receiver<Step>) -> bool {
    let head = http::Response::builder().header("content-type", "application/grpc");
    let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
    loop {
        match steps.recv().await {
            Some(Step::Say(message)) => {
                let message = message.encode_to_vec();
                let mut frame = vec![0];
                frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
                frame.extend(message);
                body.send_data(frame.into(), false).unwrap();
            }
            Some(Step::HangUp) => return true,
            None => return false,
        }
    }
}

fn document(uri: &str, issued: &Issued, roots: &[&Authority]) -> Document {
    Document {
        spiffe_id: uri.into(),
        x509_svid: issued.chain.iter().flat_map(|der| der.to_vec()).collect(),
        x509_svid_key: issued.key.serialize_der(),
        bundle: roots.iter().flat_map(|root| root.der().to_vec()).collect(),
        hint: String::new(),
    }
}

fn agent(root: &Authority, uri: &str) -> Document {
    document(uri, &root.sign(agent_params(uri, &[])), &[root])
}

struct Server {
    path: PathBuf,
    steps: mpsc::Sender<Step>,
}

impl Server {
    fn new(name: &str) -> Self {
        let name = format!("partnerd-workload-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let (steps, rest) = mpsc::channel(8);
        tokio::spawn(serve(listener, rest));
        Self { path, steps }
    }

    async fn say(&self, svids: Vec<Document>, federated: &[(&str, &Authority)]) {
        let federated = federated.iter().map(|(id, root)| ((*id).into(), root.der().to_vec()));
        let federated_bundles = federated.collect();
        let message = X509SvidResponse { svids, crl: Vec::new(), federated_bundles };
        assert!(self.steps.send(Step::Say(message)).await.is_ok());
    }

    fn identity(&self, domain: Option<&str>) -> Identity {
        let domain = domain.map(|domain| domain.parse().unwrap());
        let config = IdentityConfig::WorkloadApi { socket: self.path.clone() };
        let (source, identity) = Source::open(&config, domain.as_ref()).unwrap().unwrap();
        tokio::spawn(source.run());
        identity
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn changed(identity: &mut Identity) -> String {
    timeout(Duration::from_secs(60), identity.changed()).await.unwrap();
    identity.current().unwrap().name().to_string()
}

#[tokio::test]
async fn the_agents_identity_follows_the_api() {
    let (root, foreign) = (Authority::new("root"), Authority::new("foreign"));
    let server = Server::new("follows");
    let mut identity = server.identity(None);
    assert!(identity.current().is_none());
    let (one, two) = ("spiffe://prod.example/partnerd/one", "spiffe://prod.example/partnerd/two");
    let other = "spiffe://prod.example/web/server";
    let svids = vec![agent(&root, other), agent(&root, one)];
    server.say(svids, &[("spiffe://foreign.example", &foreign)]).await;
    assert_eq!(changed(&mut identity).await, one);

    // Nobody of a federated domain is an agent of ours, whatever its certificate says.
    let (web, stranger) = (root.agent("web", &[]), foreign.agent("web", &[]));
    assert!(identity.peer(&web.chain, HERE, Role::Client).is_ok());
    let refused = identity.peer(&stranger.chain, HERE, Role::Client).unwrap_err();
    assert_eq!(refused.kind(), "untrusted");

    server.say(vec![agent(&root, two)], &[]).await;
    assert_eq!(changed(&mut identity).await, two);
    // The stream ends, and begins anew.
    assert!(server.steps.send(Step::HangUp).await.is_ok());
    server.say(vec![agent(&root, one)], &[]).await;
    assert_eq!(changed(&mut identity).await, one);
}

#[tokio::test]
async fn what_is_no_agents_changes_nothing() {
    let root = Authority::new("root");
    let server = Server::new("nothing");
    let mut identity = server.identity(Some("PROD.example"));
    let ours = "spiffe://prod.example/partnerd/web";
    let two = "spiffe://prod.example/partnerd/db";
    server.say(vec![agent(&root, "spiffe://prod.example/web")], &[]).await;
    server.say(vec![agent(&root, "spiffe://test.example/partnerd/web")], &[]).await;
    server.say(vec![agent(&root, ours), agent(&root, two)], &[]).await;
    // One of another authority than the bundle's.
    let strange = Authority::new("strange").sign(agent_params(two, &[]));
    server.say(vec![document(two, &strange, &[&root])], &[]).await;
    // Of two domains, that of the policy is taken.
    let test = agent(&root, "spiffe://test.example/partnerd/web");
    server.say(vec![test, agent(&root, ours)], &[]).await;
    assert_eq!(changed(&mut identity).await, ours);
}

#[tokio::test]
async fn an_api_that_is_not_there_yet_is_waited_for() {
    let root = Authority::new("root");
    let path = std::env::temp_dir().join(format!("partnerd-workload-late-{}", std::process::id()));
    let config = IdentityConfig::WorkloadApi { socket: path };
    let (source, mut identity) = Source::open(&config, None).unwrap().unwrap();
    tokio::spawn(source.run());
    assert!(timeout(Duration::from_millis(50), identity.changed()).await.is_err());
    let server = Server::new("late");
    let uri = "spiffe://prod.example/partnerd/web";
    server.say(vec![agent(&root, uri)], &[]).await;
    assert_eq!(changed(&mut identity).await, uri);
}

#[test]
fn faults_say_what_was_expected_what_came_and_what_to_do() {
    let domain = || Some("prod.example".parse().unwrap());
    for fault in [
        Fault::Api("denied".into()),
        Fault::Silent,
        Fault::Ended,
        Fault::None(domain()),
        Fault::None(None),
        Fault::Several,
        Fault::NoRoots,
    ] {
        let text = fault.to_string();
        assert!(text.starts_with("expected ") && text.contains("; found "), "{text}");
        assert_eq!(text.matches("; ").count(), 2, "{text}");
    }
}
