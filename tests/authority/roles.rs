//! What the processes do that the tests start.

use std::io;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use partner_info::prelude::*;
use partner_info::{AccountNames, Error, Stack};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::DAEMON;

const USER: PartnerRequest = PartnerRequest::USER_ID;
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn play(role: &str) -> ExitCode {
    match role {
        "user-namespace" => enter_user_namespace(CloneFlags::empty()),
        "user-and-network-namespace" => enter_user_namespace(CloneFlags::CLONE_NEWNET),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match role {
            "get" | "user-namespace" | "user-and-network-namespace" => get().await,
            "every-call" => every_call().await,
            "saved" => saved().await,
            "late-name" => late_name().await,
            "late-name-saved" => late_name_saved().await,
            "drop" => drop_rights().await,
            "capability" => capability().await,
            "other-stack" => other_stack().await,
            "where" => {
                let status = Stack::current().policy_status();
                println!("{}", status.file().unwrap().display());
            }
            _ => panic!("there is no role {role}"),
        }
    });
    ExitCode::SUCCESS
}

fn say(answer: Result<PartnerInfo, Error>) -> String {
    match answer {
        Ok(info) => match info.user() {
            Some(user) => format!("user {}", user.uid()),
            None => format!("routing {}", info.routing().bits()),
        },
        Err(error) => match error.reason() {
            Some(reason) => format!("{:?}: {reason:?}", error.kind()),
            None => format!("{:?}: {error}", error.kind()),
        },
    }
}

fn said(result: Result<(), Error>) -> String {
    result.map_or_else(|error| format!("{:?}: {error}", error.kind()), |()| "ok".into())
}

/// Both ends of a connection: the client's, and the server's.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

async fn get() {
    let (_client, server) = pair().await;
    println!("{}", say(server.get_partner_info(USER, PATIENCE).await));
}

async fn every_call() {
    let socket = TcpSocket::new_v4().unwrap();
    println!("set socket: {}", said(socket.set_partner_info(USER)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("set listener: {}", said(listener.set_partner_info(USER)));
    let (_client, server) = pair().await;
    println!("get: {}", say(server.get_partner_info(USER, PATIENCE).await));
    println!("try: {}", say(server.try_get_partner_info(USER)));
    let both = PartnerRequest::all();
    println!("get token: {}", say(server.get_partner_info(both, PATIENCE).await));
    let nothing = PartnerRequest::empty();
    println!("get nothing: {}", say(server.get_partner_info(nothing, PATIENCE).await));
    println!("set nothing: {}", said(socket.set_partner_info(nothing)));
    println!("try nothing: {}", say(server.try_get_partner_info(nothing)));
}

async fn saved() {
    let (_client, server) = pair().await;
    println!("{}", say(server.get_partner_info(USER, PATIENCE).await));
    println!("{}", say(server.try_get_partner_info(USER)));
    io::stdin().read_line(&mut String::new()).unwrap();
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Err(error) = server.try_get_partner_info(USER) {
            println!("at last {:?}: {error}", error.kind());
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn late_name() {
    struct Late(std::sync::Mutex<mpsc::Receiver<()>>);
    impl AccountNames for Late {
        fn name_of(&self, _: u32) -> io::Result<Option<String>> {
            let _ = self.0.lock().unwrap().recv();
            Ok(Some("late".into()))
        }
    }
    let (let_go, held) = mpsc::channel();
    let stack = Stack::builder().account_names(Late(held.into())).name_patience(PATIENCE).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("set: {}", said(stack.set_partner_info(&listener, USER)));
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    println!("try: {:?}", stack.try_get_partner_info(&client, USER).unwrap_err().kind());
    let short = Duration::from_millis(20);
    let error = stack.get_partner_info(&client, USER, short).await.unwrap_err();
    println!("get, too short: {:?}", error.kind());
    let (_server, _) = listener.accept().await.unwrap();
    drop(let_go);
    println!("get, long enough: {}", say(stack.get_partner_info(&client, USER, PATIENCE).await));
    println!("try: {}", say(stack.try_get_partner_info(&client, USER)));
}

async fn late_name_saved() {
    struct Held(Arc<AtomicBool>);
    impl AccountNames for Held {
        fn name_of(&self, _: u32) -> io::Result<Option<String>> {
            while self.0.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(Some("late".into()))
        }
    }
    let held = Arc::new(AtomicBool::new(false));
    let names = Held(Arc::clone(&held));
    let stack = Stack::builder().account_names(names).name_patience(PATIENCE).build();
    let (_client, server) = pair().await;
    println!("get: {}", say(stack.get_partner_info(&server, USER, PATIENCE).await));
    held.store(true, Ordering::SeqCst);
    io::stdin().read_line(&mut String::new()).unwrap();
    stack.reload_policy().unwrap();
    println!("try: {:?}", stack.try_get_partner_info(&server, USER).unwrap_err().kind());
    let short = Duration::from_millis(20);
    let error = stack.get_partner_info(&server, USER, short).await.unwrap_err();
    println!("get, too short: {:?}", error.kind());
    held.store(false, Ordering::SeqCst);
    println!("get, long enough: {}", say(stack.get_partner_info(&server, USER, PATIENCE).await));
}

fn become_daemon() {
    setgroups(&[]).unwrap();
    setresgid(Gid::from_raw(DAEMON), Gid::from_raw(DAEMON), Gid::from_raw(DAEMON)).unwrap();
    setresuid(Uid::from_raw(DAEMON), Uid::from_raw(DAEMON), Uid::from_raw(DAEMON)).unwrap();
}

async fn drop_rights() {
    let (_client, server) = pair().await;
    println!("{}", say(server.get_partner_info(USER, PATIENCE).await));
    become_daemon();
    println!("{}", say(server.try_get_partner_info(USER)));
}

fn capabilities(effective: CapabilitySet, permitted: CapabilitySet) {
    let sets = CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).unwrap();
}

async fn capability() {
    let (_client, server) = pair().await;
    set_keep_capabilities(true).unwrap();
    let root = Uid::from_raw(0);
    let daemon = Uid::from_raw(DAEMON);
    setresuid(daemon, daemon, root).unwrap();
    let net_admin = CapabilitySet::NET_ADMIN;
    capabilities(net_admin, net_admin | CapabilitySet::SETUID);
    println!("{}", say(server.get_partner_info(USER, PATIENCE).await));
    capabilities(CapabilitySet::empty(), net_admin | CapabilitySet::SETUID);
    println!("{}", say(server.get_partner_info(USER, PATIENCE).await));
    setresuid(root, root, root).unwrap();
    capabilities(CapabilitySet::empty(), CapabilitySet::empty());
    println!("{}", say(server.get_partner_info(USER, PATIENCE).await));
}

/// As uid 0 of a user namespace that anybody could have made.
fn enter_user_namespace(and: CloneFlags) {
    unshare(CloneFlags::CLONE_NEWUSER | and).unwrap();
    std::fs::write("/proc/self/setgroups", "deny").unwrap();
    std::fs::write("/proc/self/gid_map", "0 0 1").unwrap();
    std::fs::write("/proc/self/uid_map", "0 0 1").unwrap();
    assert!(rustix::process::geteuid().is_root());
    if and.contains(CloneFlags::CLONE_NEWNET) {
        run("ip link set lo up");
    }
}

fn run(command: &str) {
    assert!(Command::new("/bin/sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

/// Asks about a partner in another network namespace, under the embedded default.
async fn other_stack() {
    let (ready, other_is_ready) = mpsc::channel();
    let (cabled, other_is_cabled) = mpsc::channel::<()>();
    let (listening, other_listens) = mpsc::channel();
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ready.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
        other_is_cabled.recv().unwrap();
        run("ip addr add 10.9.9.2/24 dev there && ip link set there up");
        let listener = std::net::TcpListener::bind("10.9.9.2:8080").unwrap();
        listening.send(()).unwrap();
        let _stream = listener.accept();
        std::thread::sleep(PATIENCE);
    });
    let thread = other_is_ready.recv().unwrap();
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let namespace = format!("/proc/{}/task/{thread}/ns/net", std::process::id());
    run(&format!("ip link add here type veth peer name there netns {namespace}"));
    run("ip addr add 10.9.9.1/24 dev here && ip link set here up");
    cabled.send(()).unwrap();
    other_listens.recv().unwrap();
    let stream = TcpStream::connect("10.9.9.2:8080").await.unwrap();
    let stack = Stack::builder().build();
    println!("{}", say(stack.get_partner_info(&stream, USER, PATIENCE).await));
    become_daemon();
    println!("{}", say(stack.get_partner_info(&stream, USER, PATIENCE).await));
    println!("{}", say(stack.get_partner_info(&stream, PartnerRequest::empty(), PATIENCE).await));
}
