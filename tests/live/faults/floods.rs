//! Ten thousand gets at once, most of which are dropped half-way.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use partner_info::{ErrorKind, PartnerInfo, Stack, prelude::*};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::super::counting;
use super::super::puppet::Puppet;
use super::super::support::{eventually, loopbacks, sysctl};

super::scenes![ten_thousand_gets_of_which_most_are_dropped_leave_nothing_behind];

const GETS: usize = 10_000;
/// Of these, every tenth goes on.
const KEPT: usize = 10;
const WHO: PartnerRequest = PartnerRequest::USER_ID;
/// As long as the scene may take, on a busy machine.
const MOST: Duration = Duration::from_secs(300);

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

fn ten_thousand_gets_of_which_most_are_dropped_leave_nothing_behind() {
    nix::unistd::alarm::set(u32::try_from(MOST.as_secs()).unwrap());
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    sysctl("net/core/somaxconn", "20000");
    sysctl("net/ipv4/tcp_max_syn_backlog", "20000");
    // The first time, what is kept for the life of a process is made.
    round(8080);
    let before = (super::descriptors(), counting::bytes());
    round(8081);
    let after = (super::descriptors(), counting::bytes());
    assert_eq!(after.0, before.0, "descriptors");
    let grown = after.1 - before.1;
    assert!(grown < 64 << 10, "{grown} bytes are left");
}

fn round(port: u16) {
    let [at, _] = loopbacks(port);
    // Another process has the other ends: here there is not room for all.
    let server = Puppet::new(0);
    server.must("descriptors");
    let listener = server.tcp(at);
    listener.bind(at);
    listener.must("listen-for 20000");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Before their time nobody is forgotten.
    let stack = Stack::builder().connections(4 * GETS).name_patience(Duration::ZERO).build();
    let streams = connect_all(&runtime, at);
    let gets: Vec<_> = streams
        .iter()
        .map(|stream| {
            let (stack, stream) = (stack.clone(), Arc::clone(stream));
            runtime.spawn(async move { stack.get_partner_info(&stream, WHO, MOST).await })
        })
        .collect();
    // Nobody has accepted any of them, so that all wait.
    let waits = |stream: &TcpStream| {
        let poll = stack.try_get_partner_info(stream, WHO);
        poll.is_err_and(|error| error.kind() == ErrorKind::AlreadyInProgress)
    };
    eventually_all(&streams, waits);
    let (kept, dropped): (Vec<_>, Vec<_>) =
        gets.into_iter().enumerate().partition(|(n, _)| n % KEPT == 0);
    for (_, get) in &dropped {
        get.abort();
    }
    for (_, get) in dropped {
        assert!(runtime.block_on(get).unwrap_err().is_cancelled());
    }
    let stuck = streams.iter().enumerate().filter(|(n, stream)| n % KEPT != 0 && waits(stream));
    assert_eq!(stuck.count(), 0, "connections on which a get that was dropped waits");
    server.must(&format!("accept-crowd {} {GETS}", listener.id()));
    for (_, get) in kept {
        assert_eq!(user(&runtime.block_on(get).unwrap().unwrap()), 0);
    }
    for stream in &streams {
        let answer = runtime.block_on(stack.get_partner_info(stream, WHO, MOST));
        assert_eq!(user(&answer.unwrap()), 0);
    }
    assert!(stack.remembered_connections() >= GETS);
}

type Streams = Vec<Arc<TcpStream>>;

fn connect_all(runtime: &Runtime, at: std::net::SocketAddr) -> Streams {
    let connect = |_| runtime.block_on(TcpStream::connect(at)).unwrap().into();
    (0..GETS).map(connect).collect()
}

fn eventually_all(streams: &Streams, is: impl Fn(&TcpStream) -> bool) {
    for stream in streams {
        eventually("a get waits", || is(stream));
    }
}

fn user(info: &PartnerInfo) -> u32 {
    info.user().unwrap().uid()
}
