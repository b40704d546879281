//! Who connects: at a fixed rate, whether or not the last one was answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::common::actor::{say, say_words, told};
use crate::{KEPT, LANES, Lane, OUT};

/// One connection in so many is reset at once.
pub const LEAVES: u64 = 25;

/// Whom nobody has closed by then nobody has taken: the queue of a listener was full.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that a listener keeps: those of some seconds.
const BACKLOG: u32 = 1_024;

#[derive(Default)]
struct Count {
    made: AtomicU64,
    left: AtomicU64,
    forgotten: AtomicU64,
}

/// Listens, with a queue for moments at which the machine has other things to do.
pub fn listen(at: &str) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("set SO_REUSEADDR");
    socket.bind(at.parse().expect("an address")).expect("bind");
    socket.listen(BACKLOG).expect("listen")
}

pub fn play(lane: &Lane) {
    let runtime = runtime();
    if lane.user == LANES[0].user {
        runtime.block_on(async {
            tokio::spawn(accept(listen(OUT.0)));
        });
    }
    let at: SocketAddr = lane.at.parse().expect("an address");
    let count = Arc::new(Count::default());
    let mut kept = Vec::new();
    let mut running = None;
    say(&[]);
    for line in told() {
        match line.as_str() {
            "keep" => {
                kept = runtime.block_on(async {
                    let mut kept = Vec::new();
                    for _ in 0..KEPT.0 {
                        kept.push(connect(at).await);
                    }
                    kept
                });
                say(&[]);
            }
            "begin" => {
                let stop = Arc::new(AtomicBool::new(false));
                let task = churn(at, lane.rate, Arc::clone(&count), Arc::clone(&stop));
                running = Some((stop, runtime.spawn(task)));
                say(&[]);
            }
            "end" => {
                let (stop, task) = running.take().expect("it began");
                stop.store(true, Ordering::Relaxed);
                runtime.block_on(task).expect("it ends");
                kept.clear();
                let [made, left, forgotten] = [&count.made, &count.left, &count.forgotten]
                    .map(|count| count.swap(0, Ordering::Relaxed));
                say_words(&format!("{made} {left} {forgotten}"));
            }
            other => panic!("no such command: {other}"),
        }
    }
}

/// One that works while its caller waits for lines.
pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("a runtime")
}

/// A tick a connection, made up for where it came late.
pub fn ticks(rate: u32) -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}

/// The cable may not carry yet.
async fn connect(at: SocketAddr) -> TcpStream {
    for _ in 0..500 {
        let connect = TcpStream::connect(at);
        if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(5), connect).await {
            return stream;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody listens at {at}");
}

async fn churn(at: SocketAddr, rate: u32, count: Arc<Count>, stop: Arc<AtomicBool>) {
    let mut ticks = ticks(rate);
    let mut open = JoinSet::new();
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        number += 1;
        let leaves = number.is_multiple_of(LEAVES);
        open.spawn(one(at, leaves, Arc::clone(&count)));
        while open.try_join_next().is_some() {}
    }
    while open.join_next().await.is_some() {}
}

async fn one(at: SocketAddr, leaves: bool, count: Arc<Count>) {
    let Ok(mut stream) = TcpStream::connect(at).await else { return };
    count.made.fetch_add(1, Ordering::Relaxed);
    if leaves {
        count.left.fetch_add(1, Ordering::Relaxed);
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
        return;
    }
    // Until the other end has asked, and closes.
    if tokio::time::timeout(PATIENCE, stream.read(&mut [0])).await.is_err() {
        count.forgotten.fetch_add(1, Ordering::Relaxed);
    }
}

/// Takes what the library connects, and closes when it does.
async fn accept(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("accept");
        tokio::spawn(async move {
            let _ = stream.read(&mut [0]).await;
        });
    }
}
