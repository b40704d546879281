//! The calls on tokio's types: dropped futures, inherited indicators, prefetch.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use partner_info::prelude::*;
use partner_info::{ErrorKind, Stack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::puppet::Puppet;
use super::support::{PATIENCE, SHORT, fresh, loopbacks, say};

super::tests![
    a_second_get_is_already_in_progress_and_a_dropped_get_leaves_no_trace,
    gets_take_no_byte_of_the_stream,
    an_accepted_stream_takes_the_listener_s_indicator,
    the_indicator_outlives_its_listener,
    a_set_before_listen_is_inherited,
    another_listener_s_streams_take_no_indicator,
    connect_and_accept_prefetch,
    incoming_streams_prefetch,
    many_gets_at_once_each_have_their_own_partner,
    the_process_default_answers_through_the_traits,
    a_get_without_an_end_is_answered,
];

const WHO: PartnerRequest = PartnerRequest::USER_ID;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// A connected pair of this process: client, server.
async fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Polls until it is no longer under way.
async fn poll(stack: &Stack, stream: &TcpStream) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        match stack.try_get_partner_info(stream, WHO) {
            Err(error) if error.kind() == ErrorKind::InProgress && Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            answer => return say(&answer),
        }
    }
}

fn a_second_get_is_already_in_progress_and_a_dropped_get_leaves_no_trace() {
    block_on(async {
        for at in loopbacks(8080) {
            let stack = fresh();
            let listener = TcpListener::bind(at).await.unwrap();
            let client = TcpStream::connect(at).await.unwrap();
            let mut context = Context::from_waker(Waker::noop());
            {
                // Nobody has accepted, so it waits.
                let mut first = pin!(stack.get_partner_info(&client, WHO, PATIENCE));
                assert!(first.as_mut().poll(&mut context).is_pending());
                let second = stack.get_partner_info(&client, WHO, PATIENCE).await;
                assert_eq!(say(&second), "AlreadyInProgress");
                let polled = stack.try_get_partner_info(&client, WHO);
                assert!(matches!(&*say(&polled), "AlreadyInProgress" | "InProgress"));
                assert!(first.as_mut().poll(&mut context).is_pending());
            }
            // A get that was never polled counts for nothing.
            let unpolled = stack.get_partner_info(&client, WHO, PATIENCE);
            let third = stack.get_partner_info(&client, WHO, SHORT).await;
            assert_eq!(say(&third), "NotYetAccepted");
            drop(unpolled);
            for _ in 0..20 {
                let mut dropped = pin!(stack.get_partner_info(&client, WHO, PATIENCE));
                assert_eq!(dropped.as_mut().poll(&mut context).map(drop), Poll::Pending);
            }
            let _server = listener.accept().await.unwrap();
            let last = stack.get_partner_info(&client, WHO, PATIENCE).await;
            assert_eq!(say(&last), "user 0");
        }
    });
}

fn gets_take_no_byte_of_the_stream() {
    block_on(async {
        let stack = fresh();
        let listener = TcpListener::bind("127.0.0.1:8080").await.unwrap();
        let mut client = TcpStream::connect("127.0.0.1:8080").await.unwrap();
        client.write_all(b"one").await.unwrap();
        for _ in 0..10 {
            let get = stack.get_partner_info(&client, WHO, PATIENCE);
            tokio::time::timeout(Duration::from_millis(3), get).await.unwrap_err();
        }
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"two").await.unwrap();
        assert_eq!(say(&stack.get_partner_info(&client, WHO, PATIENCE).await), "user 0");
        assert_eq!(say(&stack.get_partner_info(&server, WHO, PATIENCE).await), "user 0");
        client.shutdown().await.unwrap();
        server.shutdown().await.unwrap();
        let (mut from_client, mut from_server) = (String::new(), String::new());
        server.read_to_string(&mut from_client).await.unwrap();
        client.read_to_string(&mut from_server).await.unwrap();
        assert_eq!((&*from_client, &*from_server), ("one", "two"));
    });
}

fn an_accepted_stream_takes_the_listener_s_indicator() {
    block_on(async {
        for at in ["127.0.0.1:8080", "[::1]:8080", "0.0.0.0:8081", "[::]:8082"] {
            let stack = fresh();
            let listener = TcpListener::bind(at).await.unwrap();
            let (_one, before) = pair(&listener).await;
            assert_eq!(poll(&stack, &before).await, "NotRequested");
            stack.set_partner_info(&listener, WHO).unwrap();
            let (_two, after) = pair(&listener).await;
            let first = stack.try_get_partner_info(&after, WHO);
            assert_eq!(say(&first), "InProgress", "{at}");
            assert_eq!(poll(&stack, &after).await, "user 0", "{at}");
        }
    });
}

fn the_indicator_outlives_its_listener() {
    block_on(async {
        for at in loopbacks(8080) {
            let stack = fresh();
            let listener = TcpListener::bind(at).await.unwrap();
            stack.set_partner_info(&listener, WHO).unwrap();
            let (_client, server) = pair(&listener).await;
            drop(listener);
            assert_eq!(say(&stack.try_get_partner_info(&server, WHO)), "InProgress");
            assert_eq!(poll(&stack, &server).await, "user 0");
        }
    });
}

fn a_set_before_listen_is_inherited() {
    block_on(async {
        for at in loopbacks(8080) {
            let stack = fresh();
            let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            let socket = socket.unwrap();
            stack.set_partner_info(&socket, WHO).unwrap();
            socket.bind(at).unwrap();
            let listener = socket.listen(16).unwrap();
            let (_client, server) = pair(&listener).await;
            assert_eq!(say(&stack.try_get_partner_info(&server, WHO)), "InProgress");
            assert_eq!(poll(&stack, &server).await, "user 0");
        }
    });
}

fn another_listener_s_streams_take_no_indicator() {
    block_on(async {
        let stack = fresh();
        let set = TcpListener::bind("127.0.0.1:8080").await.unwrap();
        stack.set_partner_info(&set, WHO).unwrap();
        let other = TcpListener::bind("127.0.0.1:8081").await.unwrap();
        let (client, server) = pair(&other).await;
        assert_eq!(poll(&stack, &server).await, "NotRequested");
        assert_eq!(poll(&stack, &client).await, "NotRequested");
        // The same address, another listener.
        drop(set);
        let next = TcpListener::bind("127.0.0.1:8080").await.unwrap();
        let (_client, server) = pair(&next).await;
        assert_eq!(poll(&stack, &server).await, "NotRequested");
    });
}

fn connect_and_accept_prefetch() {
    let client_process = Puppet::new(1000);
    block_on(async {
        for at in loopbacks(8080) {
            let stack = fresh();
            let listener = TcpListener::bind(at).await.unwrap();
            stack.set_partner_info(&listener, WHO).unwrap();
            client_process.connect(at);
            let (server, address) = stack.accept_partner(&listener).await.unwrap();
            assert_eq!(server.peer_addr().unwrap(), address);
            assert_eq!(poll(&stack, &server).await, "user 1000");

            let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            let socket = socket.unwrap();
            stack.set_partner_info(&socket, WHO).unwrap();
            let client = stack.connect_partner(socket, at).await.unwrap();
            let _server = listener.accept().await.unwrap();
            assert_eq!(poll(&stack, &client).await, "user 0");
            // Prefetch retrieves at once: the partner may be gone by the time it is asked for.
            let far = client_process.connect(at);
            let (server, _) = stack.accept_partner(&listener).await.unwrap();
            far.close();
            assert_eq!(poll(&stack, &server).await, "user 1000");
        }
    });
}

fn incoming_streams_prefetch() {
    use futures_util::StreamExt;
    let clients = [Puppet::new(1000), Puppet::new(1001)];
    block_on(async {
        let stack = fresh();
        let listener = TcpListener::bind("127.0.0.1:8080").await.unwrap();
        stack.set_partner_info(&listener, WHO).unwrap();
        let mut incoming = stack.incoming_partners(&listener);
        for (client, expected) in
            clients.iter().cycle().zip(["user 1000", "user 1001"].iter().cycle()).take(6)
        {
            let far = client.connect(SocketAddr::from(([127, 0, 0, 1], 8080)));
            let server = incoming.next().await.unwrap().unwrap();
            far.close();
            assert_eq!(poll(&stack, &server).await, *expected);
        }
    });
}

/// One stack, many connections of many users at once, polled in turns.
fn many_gets_at_once_each_have_their_own_partner() {
    const EACH: usize = 40;
    let clients: Vec<Puppet> = (1_000..1_005).map(Puppet::new).collect();
    block_on(async {
        let stack = Stack::builder().build();
        let listener = TcpListener::bind("127.0.0.1:8080").await.unwrap();
        let mut gets = tokio::task::JoinSet::new();
        for _ in 0..EACH {
            for (client, uid) in clients.iter().zip(1_000_u32..) {
                client.connect(listener.local_addr().unwrap());
                let (server, _) = listener.accept().await.unwrap();
                let stack = stack.clone();
                gets.spawn(async move {
                    let info = stack.get_partner_info(&server, WHO, PATIENCE).await.unwrap();
                    (info.user().unwrap().uid(), uid)
                });
            }
        }
        for (found, expected) in gets.join_all().await {
            assert_eq!(found, expected);
        }
        assert!(stack.remembered_connections() >= EACH);
    });
}

fn the_process_default_answers_through_the_traits() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:8080").await.unwrap();
        PartnerListenerExt::set_partner_info(&listener, WHO).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        PartnerSocketExt::set_partner_info(&socket, WHO).unwrap();
        let client = socket.connect_partner(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept_partner().await.unwrap();
        for stream in [&client, &server] {
            let info = stream.get_partner_info(WHO, PATIENCE).await.unwrap();
            assert_eq!(info.user().unwrap().uid(), 0);
            assert_eq!(info.user().unwrap().name(), Some("root"));
            assert_eq!(info.to_string(), "user root(0), same cluster, same image, internal");
            assert_eq!(stream.try_get_partner_info(WHO).unwrap(), info);
        }
    });
}

fn a_get_without_an_end_is_answered() {
    block_on(async {
        let stack = fresh();
        let listener = TcpListener::bind("127.0.0.1:8080").await.unwrap();
        let client = TcpStream::connect("127.0.0.1:8080").await.unwrap();
        let get = stack.get_partner_info(&client, WHO, Duration::MAX);
        let accept = async {
            tokio::time::sleep(Duration::from_millis(120)).await;
            listener.accept().await.unwrap()
        };
        let (answer, _server) = tokio::join!(get, accept);
        assert_eq!(say(&answer), "user 0");
    });
}
