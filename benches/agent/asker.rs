//! A process that asks about its partners, and the floor beside it.

use std::hint::black_box;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use partner_info::prelude::*;
use partner_info::{AccountNames, Stack};
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

use crate::common::actor::{say, told};
use crate::support::places;
use crate::{support, wire};

const PATIENCE: Duration = Duration::from_secs(5);
/// What the shortest question has, and some.
const QUESTION: [u8; 40] = [0; 40];

/// No name service is measured here.
struct NoNames;

impl AccountNames for NoNames {
    fn name_of(&self, _: u32) -> std::io::Result<Option<String>> {
        Ok(None)
    }
}

pub fn play(at: &str, connections: usize) {
    let listener = TcpListener::bind(at).expect("listen");
    // All of them wait at first.
    rustix::net::listen(&listener, 1_024).expect("listen, with room");
    say(&[]);
    let runtime = support::runtime();
    let mut streams = Vec::new();
    for line in told() {
        let number = |word: &str| word.parse::<usize>().expect("a number");
        let numbers = match *line.split(' ').collect::<Vec<_>>() {
            ["accept"] => {
                let _guard = runtime.enter();
                streams = accept(&listener, connections);
                Vec::new()
            }
            ["stand", processor] => {
                places::stand(number(processor));
                Vec::new()
            }
            ["floor", count, path] => spread(floor(&streams, number(count), path)),
            ["floor-tokio", count, path] => {
                spread(runtime.block_on(floor_tokio(&streams, number(count), path)))
            }
            ["floor-flight", flight, count, path] => {
                vec![floor_flight(&streams, number(flight), number(count), path)]
            }
            ["get", what, count, path] => {
                let what = match what {
                    "token" => PartnerRequest::all(),
                    _ => PartnerRequest::USER_ID,
                };
                spread(runtime.block_on(gets(&streams, what, number(count), path)))
            }
            ["flight", flight, count, path] => {
                vec![runtime.block_on(flight_of(&streams, number(flight), number(count), path))]
            }
            ref other => panic!("no such command: {other:?}"),
        };
        say(&numbers);
    }
}

fn accept(listener: &TcpListener, connections: usize) -> Vec<TcpStream> {
    let accept = |_| {
        let (stream, _) = listener.accept().expect("accept");
        stream.set_nonblocking(true).expect("set O_NONBLOCK");
        TcpStream::from_std(stream).expect("a stream")
    };
    (0..connections).map(accept).collect()
}

/// Median and 99th percentile, in microseconds.
fn spread(mut times: Vec<Duration>) -> Vec<f64> {
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e6;
    vec![at(50), at(99)]
}

fn floor(streams: &[TcpStream], count: usize, path: &str) -> Vec<Duration> {
    let server = wire::connect(path);
    let mut reply = [0_u8; 1024];
    let round_trip = |stream: &TcpStream| {
        let began = Instant::now();
        wire::pass(server.as_fd(), &QUESTION, stream.as_fd()).expect("send");
        let (len, _) = rustix::net::recv(&server, &mut reply, RecvFlags::empty()).expect("receive");
        assert_eq!(len, 64, "the reply");
        began.elapsed()
    };
    streams.iter().cycle().take(count).map(round_trip).collect()
}

async fn floor_tokio(streams: &[TcpStream], count: usize, path: &str) -> Vec<Duration> {
    let server = wire::connect(path);
    rustix::io::ioctl_fionbio(&server, true).expect("set O_NONBLOCK");
    #[allow(deprecated, reason = "what is to be used instead is unsafe; an `OwnedFd` is not")]
    let server = AsyncFd::with_interest(server, Interest::READABLE).expect("watch it");
    let mut reply = [0_u8; 1024];
    let mut times = Vec::with_capacity(count);
    for stream in streams.iter().cycle().take(count) {
        let began = Instant::now();
        wire::pass(server.as_fd(), &QUESTION, stream.as_fd()).expect("send");
        let receive = |server: &OwnedFd| {
            let (len, _) = rustix::net::recv(server, &mut reply, RecvFlags::empty())?;
            Ok(len)
        };
        let len = server.async_io(Interest::READABLE, receive).await.expect("receive");
        assert_eq!(len, 64, "the reply");
        times.push(began.elapsed());
    }
    times
}

/// Round trips a second with `flight` of them under way.
fn floor_flight(streams: &[TcpStream], flight: usize, count: usize, path: &str) -> f64 {
    let server = wire::connect(path);
    let mut reply = [0_u8; 1024];
    let began = Instant::now();
    let mut streams = streams.iter().cycle();
    for sent in 0..count + flight {
        if sent < count {
            let stream = streams.next().expect("a cycle");
            wire::pass(server.as_fd(), &QUESTION, stream.as_fd()).expect("send");
        }
        if sent >= flight {
            let _ = rustix::net::recv(&server, &mut reply, RecvFlags::empty()).expect("receive");
        }
    }
    rate(count, began)
}

fn rate(count: usize, began: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let count = count as f64;
    count / began.elapsed().as_secs_f64()
}

async fn stack(streams: &[TcpStream], path: &str) -> Stack {
    let stack = Stack::builder().agent(path).account_names(NoNames).build();
    // The name of the user, which there is none of, is known from then on.
    get(&stack, &streams[0], PartnerRequest::USER_ID).await;
    stack
}

/// A get that finds nothing saved.
async fn get(stack: &Stack, stream: &TcpStream, what: PartnerRequest) {
    stack.forget_partner(stream).expect("a socket");
    let answer = stack.get_partner_info(stream, what, PATIENCE).await.expect("an answer");
    let user = answer.user().expect("a user").uid();
    assert_eq!(user, crate::PARTNER, "the partner is in the other namespace");
    black_box(answer);
}

async fn gets(
    streams: &[TcpStream],
    what: PartnerRequest,
    count: usize,
    path: &str,
) -> Vec<Duration> {
    let stack = stack(streams, path).await;
    let mut times = Vec::with_capacity(count);
    for stream in streams.iter().cycle().take(count) {
        let began = Instant::now();
        get(&stack, stream, what).await;
        times.push(began.elapsed());
    }
    times
}

/// Gets a second with `flight` of them under way, each among connections of its own.
async fn flight_of(streams: &[TcpStream], flight: usize, count: usize, path: &str) -> f64 {
    let stack = &stack(streams, path).await;
    let began = Instant::now();
    let lanes: FuturesUnordered<_> = streams
        .chunks(streams.len() / flight)
        .map(|own| async move {
            for stream in own.iter().cycle().take(count / flight) {
                get(stack, stream, PartnerRequest::USER_ID).await;
            }
        })
        .collect();
    lanes.for_each(|()| async {}).await;
    rate(count / flight * flight, began)
}
