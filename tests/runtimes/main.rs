//! The contract's table of states, for each runtime: what a get returns without waiting, and with.
//!
//! As the user that runs the tests; with others' users, and an agent, in `tests/live/runtimes.rs`.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

mod each;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use each::{Runtime, in_tokio};
use partner_info::prelude::*;
use partner_info::{Error, ErrorKind, Stack};

const WHO: PartnerRequest = PartnerRequest::USER_ID;
/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a get waits that is expected to be refused.
const SHORT: Duration = Duration::from_millis(60);

/// A connection of this process to itself, and a stack that knows nothing of it.
struct Pair {
    stack: Stack,
    listener: TcpListener,
    client: TcpStream,
}

impl Pair {
    /// The listener has accepted nothing.
    fn new() -> Self {
        Self::after(|_, _| {})
    }

    fn after(before_connect: impl FnOnce(&Stack, &TcpListener)) -> Self {
        let stack = Stack::builder().resolvers([partner_info::Resolver::Kernel]).build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        before_connect(&stack, &listener);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Self { stack, listener, client }
    }

    fn accept(&self) -> TcpStream {
        self.listener.accept().unwrap().0
    }
}

/// `me`, or the reason or kind of the error.
fn say(answer: &Result<PartnerInfo, Error>) -> String {
    match answer {
        Ok(info) => {
            let user = info.user().expect("a user was asked for");
            assert_eq!(user.uid(), rustix::process::geteuid().as_raw());
            "me".into()
        }
        Err(error) => match error.reason() {
            Some(reason) => format!("{reason:?}"),
            None => format!("{:?}", error.kind()),
        },
    }
}

fn poll_until_known(runtime: Runtime, stack: &Stack, stream: &TcpStream) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        match say(&runtime.poll(stack, stream, WHO)) {
            said if said == "InProgress" && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(1));
            }
            said => return said,
        }
    }
}

#[test]
fn no_set_and_nothing_retrieved() {
    for runtime in Runtime::ALL {
        let pair = Pair::new();
        let server = pair.accept();
        // It starts nothing, however often.
        for _ in 0..3 {
            let polled = runtime.poll(&pair.stack, &server, WHO);
            assert_eq!(say(&polled), "NotRequested", "{runtime:?}");
            let zero = runtime.get(&pair.stack, &server, WHO, Duration::ZERO);
            assert_eq!(say(&zero), "NotRequested", "{runtime:?}");
        }
        let waited = runtime.get(&pair.stack, &server, WHO, PATIENCE);
        assert_eq!(say(&waited), "me", "{runtime:?}");
    }
}

#[test]
fn set_and_not_begun() {
    for runtime in Runtime::ALL {
        let set = || {
            let pair =
                Pair::after(|stack, listener| stack.set_partner_info(listener, WHO).unwrap());
            let server = pair.accept();
            (pair, server)
        };
        let (pair, server) = set();
        assert_eq!(say(&runtime.poll(&pair.stack, &server, WHO)), "InProgress", "{runtime:?}");
        assert_eq!(poll_until_known(runtime, &pair.stack, &server), "me", "{runtime:?}");
        let (pair, server) = set();
        let zero = runtime.get(&pair.stack, &server, WHO, Duration::ZERO);
        assert_eq!(say(&zero), "InProgress", "{runtime:?}");
        let (pair, server) = set();
        let waited = runtime.get(&pair.stack, &server, WHO, PATIENCE);
        assert_eq!(say(&waited), "me", "{runtime:?}");
    }
}

#[test]
fn under_way() {
    for runtime in Runtime::ALL {
        // Nobody accepts, so it stays under way for as long as the test wants.
        let pair = Pair::new();
        let waited = runtime.get(&pair.stack, &pair.client, WHO, SHORT);
        assert_eq!(say(&waited), "NotYetAccepted", "{runtime:?}");
        assert_eq!(say(&runtime.poll(&pair.stack, &pair.client, WHO)), "InProgress", "{runtime:?}");
        let zero = runtime.get(&pair.stack, &pair.client, WHO, Duration::ZERO);
        assert_eq!(say(&zero), "InProgress", "{runtime:?}");
        let _server = pair.accept();
        assert_eq!(poll_until_known(runtime, &pair.stack, &pair.client), "me", "{runtime:?}");
    }
}

#[test]
fn a_get_waits_for_the_accept() {
    for runtime in Runtime::ALL {
        let pair = Pair::new();
        std::thread::scope(|scope| {
            let get = scope.spawn(|| runtime.get(&pair.stack, &pair.client, WHO, PATIENCE));
            std::thread::sleep(SHORT);
            let _server = pair.accept();
            assert_eq!(say(&get.join().unwrap()), "me", "{runtime:?}");
        });
    }
}

#[test]
fn saved() {
    for first in Runtime::ALL {
        let pair = Pair::new();
        let server = pair.accept();
        let found = first.get(&pair.stack, &server, WHO, PATIENCE).unwrap();
        drop(pair.client);
        // It is one table for all: what one saved the others find, though the partner has gone.
        for runtime in Runtime::ALL {
            for timeout in [Duration::ZERO, PATIENCE] {
                let again = runtime.get(&pair.stack, &server, WHO, timeout).unwrap();
                assert_eq!(again, found, "{first:?}, {runtime:?}");
            }
            assert_eq!(runtime.poll(&pair.stack, &server, WHO).unwrap(), found);
        }
    }
}

#[test]
fn the_partner_has_gone() {
    for runtime in Runtime::ALL {
        let pair = Pair::new();
        let server = pair.accept();
        drop(pair.client);
        let waited = runtime.get(&pair.stack, &server, WHO, PATIENCE);
        assert_eq!(say(&waited), "PartnerGone", "{runtime:?}");
    }
}

#[test]
fn not_connected_and_not_tcp() {
    for runtime in Runtime::ALL {
        let pair = Pair::new();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for timeout in [Duration::ZERO, SHORT] {
            let said = say(&runtime.get(&pair.stack, &pair.listener, WHO, timeout));
            assert_eq!(said, "NotConnected", "{runtime:?}");
            let said = say(&runtime.get(&pair.stack, &udp, WHO, timeout));
            assert_eq!(said, "NotTcp", "{runtime:?}");
        }
    }
}

#[test]
fn a_second_get_while_one_waits() {
    for first in Runtime::ALL {
        let pair = Pair::new();
        std::thread::scope(|scope| {
            let get = scope.spawn(|| first.get(&pair.stack, &pair.client, WHO, PATIENCE));
            // A poll does not wait, so that the other is the first in any case.
            let end = Instant::now() + PATIENCE;
            while say(&first.poll(&pair.stack, &pair.client, WHO)) != "AlreadyInProgress" {
                assert!(Instant::now() < end, "{first:?} never waited");
            }
            for runtime in Runtime::ALL {
                let second = say(&runtime.get(&pair.stack, &pair.client, WHO, PATIENCE));
                assert_eq!(second, "AlreadyInProgress", "{first:?}, {runtime:?}");
                let zero = say(&runtime.get(&pair.stack, &pair.client, WHO, Duration::ZERO));
                assert_eq!(zero, "AlreadyInProgress", "{first:?}, {runtime:?}");
            }
            let _server = pair.accept();
            assert_eq!(say(&get.join().unwrap()), "me", "{first:?}");
        });
    }
}

#[test]
fn a_dropped_wait_leaves_no_trace() {
    let pair = Pair::new();
    let client = mio::net::TcpStream::from_std(pair.client.try_clone().unwrap());
    for _ in 0..50 {
        let mut event = pair.stack.partner_event(&client, WHO, PATIENCE).unwrap();
        let error = event.poll(&client).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InProgress);
    }
    let _server = pair.accept();
    for runtime in Runtime::ALL {
        assert_eq!(say(&runtime.get(&pair.stack, &client, WHO, PATIENCE)), "me", "{runtime:?}");
    }
}

#[test]
fn a_thread_that_waits_sleeps() {
    let pair = Pair::new();
    let cpu = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    for runtime in Runtime::ALL {
        let (before, begun) = (cpu(), Instant::now());
        let said = say(&runtime.get(&pair.stack, &pair.client, WHO, Duration::from_millis(300)));
        assert_eq!(said, "NotYetAccepted", "{runtime:?}");
        let (after, took) = (cpu(), begun.elapsed());
        let worked = Duration::try_from(after).unwrap() - Duration::try_from(before).unwrap();
        // Who spins works all the time, or on a busy machine as much of it as it is given; who
        // sleeps works for a few milliseconds however long it takes.
        assert!(worked < took / 4, "{runtime:?}: {worked:?} of {took:?}");
    }
}

#[test]
fn blocking_inside_of_a_runtime() {
    let pair = Pair::new();
    let server = pair.accept();
    let here = in_tokio(async { pair.stack.get_partner_info_blocking(&server, WHO, PATIENCE) });
    assert_eq!(say(&here), "me");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let (tell, told) = mpsc::channel();
    let runtime = runtime.unwrap();
    let stack = pair.stack.clone();
    let client = pair.client.try_clone().unwrap();
    runtime.spawn(async move {
        tell.send(stack.get_partner_info_blocking(&client, WHO, PATIENCE)).unwrap();
    });
    assert_eq!(say(&told.recv_timeout(PATIENCE).unwrap()), "me");
}

/// The traits themselves, in the context of the process.
#[test]
fn by_the_traits() -> io::Result<()> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));

    let listener = TcpListener::bind(loopback)?;
    PartnerListenerExt::set_partner_info(&listener, WHO)?;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    PartnerSocketExt::set_partner_info(&socket, WHO)?;
    socket.connect(&listener.local_addr()?.into())?;
    let late = PartnerSocketExt::set_partner_info(&socket, WHO).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::TooLate);
    let (server, address) = listener.accept_partner()?;
    assert_eq!(Some(address), socket.local_addr()?.as_socket());
    assert_eq!(say(&socket.get_partner_info_blocking(WHO, PATIENCE)), "me");
    assert_eq!(say(&server.get_partner_info_blocking(WHO, PATIENCE)), "me");
    assert_eq!(say(&server.try_get_partner_info(WHO)), "me");
    assert_eq!(say(&socket.try_get_partner_info(WHO)), "me");

    let listener = mio::net::TcpListener::bind(loopback)?;
    let would_block = listener.accept_partner().unwrap_err();
    assert_eq!(would_block.kind(), io::ErrorKind::WouldBlock);
    PartnerListenerExt::set_partner_info(&listener, WHO)?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept_partner()?;
    // It began at the accept, so the partner may be gone.
    drop(client);
    let end = Instant::now() + PATIENCE;
    while server.try_get_partner_info(WHO).is_err_and(|e| e.kind() == ErrorKind::InProgress) {
        assert!(Instant::now() < end);
    }
    assert_eq!(say(&server.try_get_partner_info(WHO)), "me");
    let event = server.partner_event(WHO, PATIENCE)?;
    assert_eq!(say(&each::run_loop(&server, event)), "me");
    Ok(())
}
