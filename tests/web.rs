//! The layer and the extractor, in a server of this process: who is let in, and what all others are
//! told. Other users' processes call real servers in `tests/live/servers.rs`.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use partner_info::policy::Policy;
use partner_info::web::{
    AdmitLayer, ConnectedPartner, Grpc, Http, Partner, PartnerListener, Refusal, Refuse, Rule,
};
use partner_info::{AccountNames, ErrorKind, PartnerInfo, Resolver, Stack, StackBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Who is named, and who is in which group, as the test says.
struct Accounts {
    groups: fn(u32) -> io::Result<Option<Vec<u32>>>,
    /// No name comes before this.
    open: Arc<AtomicBool>,
}

impl Accounts {
    fn with(groups: fn(u32) -> io::Result<Option<Vec<u32>>>) -> Self {
        Self { groups, open: Arc::new(AtomicBool::new(true)) }
    }
}

impl AccountNames for Accounts {
    fn name_of(&self, _: u32) -> io::Result<Option<String>> {
        while !self.open.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Some("me".into()))
    }

    fn group_name_of(&self, gid: u32) -> io::Result<Option<String>> {
        Ok(Some(format!("group{gid}")))
    }

    fn groups_of(&self, uid: u32) -> io::Result<Option<Vec<u32>>> {
        (self.groups)(uid)
    }
}

fn stack() -> StackBuilder {
    Stack::builder().resolvers([Resolver::Kernel])
}

async fn listener(stack: Stack) -> PartnerListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    PartnerListener::new(listener).stack(stack)
}

/// A server whose only page is for those whom the rules admit.
async fn serve(listener: PartnerListener, layer: AdmitLayer) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    let page =
        |partner: Partner| async move { format!("welcome: {}\n", partner.user().unwrap().uid()) };
    let app = Router::new().route("/", get(page)).layer(layer);
    let app = app.into_make_service_with_connect_info::<ConnectedPartner>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// The whole answer to one request on a connection of its own.
async fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(LAST_REQUEST).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

#[track_caller]
fn assert_said(said: &str, status: u16, body: &str) {
    assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
    assert!(said.ends_with(&format!("\r\n\r\n{body}\n")), "{said}");
}

#[tokio::test]
async fn the_rules_decide() {
    let welcome = format!("welcome: {}", me());
    let policy = format!(
        "[[profile]]\nname = \"WEB.MINE\"\npermit = [{{ uid = {}, access = \"READ\" }}]\n\
         [[profile]]\nname = \"WEB.GROUP\"\npermit = [{{ group = \"group50\", access = \"READ\" }}]\n\
         [[profile]]\nname = \"WEB.OTHER\"\npermit = [{{ uid = {}, access = \"READ\" }}]\n",
        me(),
        me() + 1,
    );
    let policy = Policy::parse("policy.toml", &policy).unwrap();
    let accounts = || Accounts::with(|_| Ok(Some(vec![50])));
    let profile = |name: &str| Rule::profile(name.parse().unwrap());
    for (rules, admitted) in [
        (vec![], false),
        (vec![Rule::user(me())], true),
        (vec![Rule::user(me() + 1)], false),
        (vec![Rule::user(me() + 1), Rule::user(me())], true),
        (vec![Rule::any_user()], true),
        (vec![Rule::group(50)], true),
        (vec![Rule::group(51)], false),
        (vec![Rule::group(51), Rule::group(50)], true),
        // What a process tells is not asked for here.
        (vec![Rule::user(me()).executable("/bin/true")], false),
        (vec![Rule::any_user().unit("some.service")], false),
    ] {
        // The caller's own right is the embedded default's.
        let stack = stack().account_names(accounts()).policy(Policy::embedded()).build();
        let said = ask(serve(listener(stack).await, AdmitLayer::new(rules.clone())).await).await;
        match admitted {
            true => assert_said(&said, 200, &welcome),
            false => assert_said(&said, 403, "refused: not-admitted"),
        }
    }
    for (name, admitted) in
        [("WEB.MINE", true), ("WEB.GROUP", true), ("WEB.OTHER", false), ("WEB.NONE", false)]
    {
        // Who may learn users by this policy: nobody but root, so that it is asked without it.
        let stack = stack().account_names(accounts()).policy(policy.clone()).build();
        let said = ask(serve(listener(stack).await, AdmitLayer::new([profile(name)])).await).await;
        match (admitted, me()) {
            (true, 0) => assert_said(&said, 200, &welcome),
            (false, 0) => assert_said(&said, 403, "refused: not-admitted"),
            // The server itself may not learn who it is.
            _ => assert_said(&said, 403, "refused: unidentified"),
        }
    }
}

#[tokio::test]
async fn who_is_unknown_is_refused_whatever_the_rules_say() {
    let nobody_to_ask = Stack::builder().resolvers([]).build();
    let address = serve(listener(nobody_to_ask).await, AdmitLayer::new([Rule::any_user()])).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    // And the server closes: another connection's partner may be known.
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_said(&said, 403, "refused: unidentified");
    assert!(said.contains("connection: close\r\n"), "{said}");
}

#[tokio::test]
async fn a_group_that_cannot_be_known_admits_nobody() {
    let down = Accounts::with(|_| Err(io::ErrorKind::TimedOut.into()));
    let stack = stack().account_names(down).build();
    let rules = [Rule::group(50), Rule::user(me() + 1)];
    let said = ask(serve(listener(stack).await, AdmitLayer::new(rules)).await).await;
    assert_said(&said, 403, "refused: groups-unknown");
}

#[tokio::test]
async fn all_requests_of_a_connection_wait_for_one_answer() {
    let accounts = Accounts::with(|_| Ok(None));
    let open = Arc::clone(&accounts.open);
    open.store(false, Ordering::Relaxed);
    let stack = stack().account_names(accounts).name_patience(Duration::from_secs(30)).build();
    let listener = listener(stack).await.timeout(Duration::from_secs(30));
    let address = serve(listener, AdmitLayer::new([Rule::user(me())])).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[REQUEST, REQUEST, LAST_REQUEST].concat()).await.unwrap();
    let mut first = [0; 1];
    let early = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut first)).await;
    assert!(early.is_err(), "answered before it was known who asks");
    open.store(true, Ordering::Relaxed);
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.matches(&format!("welcome: {}\n", me())).count(), 3, "{said}");
}

#[tokio::test]
async fn a_timeout_refuses() {
    let accounts = Accounts::with(|_| Ok(None));
    let open = Arc::clone(&accounts.open);
    open.store(false, Ordering::Relaxed);
    // The number is known and is answered when the time is over, without the name.
    let stack = stack().account_names(accounts).name_patience(Duration::from_secs(30)).build();
    let quick = listener(stack).await.timeout(Duration::from_millis(50));
    let said = ask(serve(quick, AdmitLayer::new([Rule::user(me())])).await).await;
    assert_said(&said, 200, &format!("welcome: {}", me()));
    open.store(true, Ordering::Relaxed);

    // Without any time nothing is waited for: what is not here at once is unknown.
    let accounts = Accounts::with(|_| Ok(None));
    accounts.open.store(false, Ordering::Relaxed);
    let open = Arc::clone(&accounts.open);
    let stack = stack_of(accounts);
    let none = listener(stack).await.timeout(Duration::ZERO);
    let said = ask(serve(none, AdmitLayer::new([Rule::user(me())])).await).await;
    assert_said(&said, 403, "refused: unidentified");
    open.store(true, Ordering::Relaxed);
}

#[tokio::test]
async fn what_the_program_asks_meanwhile_is_not_the_connection_s_answer() {
    let accounts = Accounts::with(|_| Ok(None));
    let open = Arc::clone(&accounts.open);
    open.store(false, Ordering::Relaxed);
    let stack = stack().account_names(accounts).name_patience(Duration::from_secs(30)).build();
    let listener = listener(stack.clone()).await;
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let stream = listener.accept().await.unwrap();
    // Before anything else of this runtime has had its turn.
    let request = partner_info::PartnerRequest::USER_ID;
    let get = stack.get_partner_info(stream.get_ref(), request, Duration::from_secs(5));
    assert_eq!(get.await.unwrap_err().kind(), ErrorKind::AlreadyInProgress);
    open.store(true, Ordering::Relaxed);
    assert_eq!(stream.partner().get().await.unwrap().user().unwrap().uid(), me());
}

fn stack_of(accounts: Accounts) -> Stack {
    stack().account_names(accounts).build()
}

#[tokio::test]
async fn the_extractor_alone_refuses_who_is_unknown() {
    for (stack, status) in [(stack().build(), 200), (Stack::builder().resolvers([]).build(), 403)] {
        let listener = listener(stack).await.tap_io(|stream| {
            let _ = stream.get_ref().set_nodelay(true);
        });
        let address = axum::serve::Listener::local_addr(&listener).unwrap();
        let page =
            |partner: Partner| async move { partner.user().unwrap().uid().to_string() + "\n" };
        let app = Router::new().route("/", get(page));
        let app = app.into_make_service_with_connect_info::<ConnectedPartner>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let said = ask(address).await;
        match status {
            200 => assert_said(&said, 200, &me().to_string()),
            _ => assert_said(&said, 403, "refused: unidentified"),
        }
    }
}

#[tokio::test]
async fn a_server_that_passes_nobody_on_refuses_everybody() {
    let layer = AdmitLayer::new([Rule::any_user()]);
    let page = |_: Partner| async { "welcome\n" };
    let plain = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
    for app in [
        Router::new().route("/", get(|| async { "welcome\n" })).layer(layer),
        Router::new().route("/", get(page)),
    ] {
        let listener = plain().await;
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        assert_said(&ask(address).await, 500, "refused: no-listener");
    }
}

#[tokio::test]
async fn a_connection_s_answer_outlives_it() {
    let listener = listener(stack().build()).await;
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let stream = listener.accept().await.unwrap();
    let partner = stream.partner().clone();
    assert_eq!(partner.remote_addr(), client.local_addr().unwrap());
    let info = partner.get().await.unwrap();
    drop((stream, client));
    assert_eq!(partner.get().await.unwrap(), info);
    assert_eq!(partner.try_get().unwrap(), info);
}

#[tokio::test]
async fn a_connection_that_ends_first_ends_the_wait() {
    let accounts = Accounts::with(|_| Ok(None));
    let open = Arc::clone(&accounts.open);
    open.store(false, Ordering::Relaxed);
    let stack = stack().account_names(accounts).name_patience(Duration::from_secs(30)).build();
    let listener = listener(stack).await.timeout(Duration::from_secs(30));
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let stream = listener.accept().await.unwrap();
    let partner = stream.partner().clone();
    assert_eq!(partner.try_get().unwrap_err().kind(), ErrorKind::InProgress);
    drop(stream);
    assert_eq!(partner.get().await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(partner.try_get().unwrap_err().kind(), ErrorKind::NotConnected);
    open.store(true, Ordering::Relaxed);
}

/// A slow partner holds up nobody else, and the service that was made ready is the one that is called.
#[tokio::test]
async fn nobody_waits_for_another() {
    let accounts = Accounts::with(|_| Ok(None));
    let open = Arc::clone(&accounts.open);
    open.store(false, Ordering::Relaxed);
    let stack = stack().account_names(accounts).name_patience(Duration::from_secs(30)).build();
    let listener = listener(stack).await.timeout(Duration::from_secs(30));
    let (tell, told) = oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut accepted = Vec::new();
        for _ in 0..20 {
            accepted.push(listener.accept().await.unwrap());
        }
        let _ = tell.lock().unwrap().take().unwrap().send(accepted);
    });
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(TcpStream::connect(address).await.unwrap());
    }
    let accepted = told.await.unwrap();
    for stream in &accepted {
        assert_eq!(stream.partner().try_get().unwrap_err().kind(), ErrorKind::InProgress);
    }
    open.store(true, Ordering::Relaxed);
    for stream in &accepted {
        let info: PartnerInfo = stream.partner().get().await.unwrap();
        assert_eq!(info.user().unwrap().name(), Some("me"));
    }
}

#[test]
fn a_refusal_tells_its_reason_and_no_more() {
    for (refusal, status, code, name) in [
        (Refusal::NotAdmitted, 403, "7", "not-admitted"),
        (Refusal::Unidentified, 403, "7", "unidentified"),
        (Refusal::GroupsUnknown, 403, "7", "groups-unknown"),
        (Refusal::NoListener, 500, "13", "no-listener"),
    ] {
        for version in [http::Version::HTTP_10, http::Version::HTTP_11, http::Version::HTTP_2] {
            let said: http::Response<String> = Http::refuse(refusal, version);
            assert_eq!(
                (said.status().as_u16(), said.body()),
                (status, &format!("refused: {name}\n"))
            );
            let closes = said.headers().contains_key("connection");
            // A header of that name is an error in HTTP/2.
            let expected = name == "unidentified" && version != http::Version::HTTP_2;
            assert_eq!(closes, expected, "{version:?}");
            let said: http::Response<String> = Grpc::refuse(refusal, version);
            assert_eq!((said.status().as_u16(), said.body().as_str()), (200, ""));
            let header = |name: &str| said.headers()[name].to_str().unwrap().to_owned();
            assert_eq!((header("grpc-status"), header("grpc-message")), (code.into(), name.into()));
        }
    }
}
