//! What a lookup costs, beside its floor, in one run: `cargo bench --bench lookup`.
//!
//! The last lines are the ratios that the project promises, each with its bound.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark may stop where it stands"
)]

mod support;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use futures_util::FutureExt;
use partner_info::Stack;
use partner_info::prelude::*;
use support::counting::{self, Counting};
use support::floor::Floor;
use support::{Connections, Crowd, echo, paired, report};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sockets of the machine besides the ones asked about.
const OTHERS: [usize; 2] = [10, 20_000];
/// Connections asked about in turn.
const CONNECTIONS: usize = 256;
const USER: PartnerRequest = PartnerRequest::USER_ID;

fn main() {
    support::raise_descriptor_limit();
    let results = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("criterion-lookup");
    let mut criterion = Criterion::default()
        .output_directory(&results)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let runtime = support::runtime();
    let _guard = runtime.enter();

    let connections = runtime.block_on(Connections::new(CONNECTIONS));
    let [few, many] = OTHERS.map(|others| {
        let _crowd = runtime.block_on(Crowd::new(others));
        lookups(&mut criterion, &connections, others)
    });
    let saved = saved(&mut criterion, &connections);
    criterion.final_summary();

    let memory = runtime.block_on(memory());
    let rates = echo::compare();
    report::print(&[
        report::Line::at_most(
            "fresh get / raw exact netlink round trip, 10 other sockets",
            few.ratio,
            3.0,
        ),
        report::Line::at_most(
            "fresh get / raw exact netlink round trip, 20,000 other sockets",
            many.ratio,
            3.0,
        ),
        report::Line::at_most(
            "fresh get, 20,000 other sockets / 10",
            many.nanoseconds / few.nanoseconds,
            1.3,
        ),
        report::Line::at_most("saved get / getsockopt(SO_COOKIE)", saved, 2.5),
        report::Line::at_most("allocations in 1,000 saved gets", memory.allocations, 0.0),
        report::Line::at_most("bytes kept a connection", memory.bytes, 256.0),
        report::Line::at_least("echo server: connections/s, asking / not", rates, 0.85),
    ]);
}

/// A stack that remembers one connection: asking about many in turn retrieves each time, while
/// account names stay known.
fn forgetful() -> Stack {
    Stack::builder().connections(1).build()
}

/// A fresh get among other sockets.
struct Fresh {
    /// How many times as long as its floor.
    ratio: f64,
    nanoseconds: f64,
}

fn lookups(criterion: &mut Criterion, connections: &Connections, others: usize) -> Fresh {
    let mut floor = Floor::new(&connections.servers);
    criterion.bench_with_input(BenchmarkId::new("floor_netlink", others), &others, |b, _| {
        b.iter(|| black_box(floor.round_trip()));
    });
    let stack = forgetful();
    warm(&stack, connections);
    let mut next = connections.servers.iter().cycle();
    let mut fresh = || {
        let stream = next.next().expect("a cycle");
        let get = stack.get_partner_info(stream, USER, Duration::from_secs(1));
        black_box(get.now_or_never().expect("known at once").expect("an answer"))
    };
    criterion.bench_with_input(BenchmarkId::new("fresh", others), &others, |b, _| {
        b.iter(&mut fresh);
    });
    let ratio = paired::ratio(
        || {
            black_box(floor.round_trip());
        },
        || drop(fresh()),
    );
    Fresh { ratio, nanoseconds: paired::nanoseconds(|| drop(fresh())) }
}

/// How many times as long as its floor a saved get takes.
fn saved(criterion: &mut Criterion, connections: &Connections) -> f64 {
    let stream = &connections.servers[0];
    let floor = || black_box(rustix::net::sockopt::socket_cookie(stream).expect("a cookie"));
    criterion.bench_function("floor_so_cookie", |b| b.iter(floor));
    let stack = Stack::builder().build();
    warm(&stack, connections);
    let saved = || black_box(stack.try_get_partner_info(stream, USER).expect("saved"));
    criterion.bench_function("saved", |b| b.iter(saved));
    paired::ratio(
        || {
            floor();
        },
        || drop(saved()),
    )
}

/// Asks about every connection until all names are known.
fn warm(stack: &Stack, connections: &Connections) {
    let until = Instant::now() + Duration::from_secs(5);
    for stream in &connections.servers {
        loop {
            let get = stack.get_partner_info(stream, USER, Duration::from_secs(1));
            match get.now_or_never() {
                Some(answer) => break drop(answer.expect("an answer")),
                None => assert!(Instant::now() < until, "the name service answers"),
            }
        }
    }
}

struct Memory {
    allocations: f64,
    bytes: f64,
}

async fn memory() -> Memory {
    let connections = Connections::new(4_096).await;
    let stack = Stack::builder().connections(connections.servers.len() * 2).build();
    let first = &connections.servers[0];
    first_answer(&stack, first).await;

    let before = counting::bytes();
    for stream in &connections.servers {
        first_answer(&stack, stream).await;
    }
    let kept = counting::bytes() - before;

    let before = counting::allocations();
    for _ in 0..1_000 {
        black_box(stack.try_get_partner_info(first, USER).expect("saved"));
    }
    let allocations = counting::allocations() - before;
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let result = Memory {
        allocations: allocations as f64,
        bytes: kept as f64 / (stack.remembered_connections() - 1) as f64,
    };
    result
}

async fn first_answer(stack: &Stack, stream: &tokio::net::TcpStream) {
    let get = stack.get_partner_info(stream, USER, Duration::from_secs(5));
    drop(get.await.expect("an answer"));
}
