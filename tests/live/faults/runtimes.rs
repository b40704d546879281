//! A runtime that is shut down while gets wait in it: their connections are free at once.

use std::time::Duration;

use partner_info::{ErrorKind, Stack, prelude::*};
use socket2::Socket;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::super::support::{PATIENCE, accept, connect, eventually, fresh, get, listen};
use super::super::support::{loopbacks, say};

super::scenes![gets_that_end_with_their_runtime_leave_their_connections_free];

const WHO: PartnerRequest = PartnerRequest::USER_ID;
const CONNECTIONS: usize = 50;

/// Long enough that no get ends by itself.
const FOR_EVER: Duration = Duration::from_secs(600);

type End = fn(Runtime);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Starts gets of all these in a runtime, and returns when all wait.
pub(crate) fn wait_in(runtime: &Runtime, stack: &Stack, sockets: &[Socket]) {
    for socket in sockets {
        socket.set_nonblocking(true).unwrap();
        let (stack, stream) = (stack.clone(), socket.try_clone().unwrap());
        runtime.spawn(async move {
            let stream = TcpStream::from_std(stream.into()).unwrap();
            stack.get_partner_info(&stream, WHO, FOR_EVER).await
        });
    }
    eventually("all wait", || sockets.iter().all(|socket| waits(stack, socket)));
}

/// Whether a get waits on this connection.
pub(crate) fn waits(stack: &Stack, socket: &Socket) -> bool {
    let poll = stack.try_get_partner_info(socket, WHO);
    poll.is_err_and(|error| error.kind() == ErrorKind::AlreadyInProgress)
}

fn gets_that_end_with_their_runtime_leave_their_connections_free() {
    let ends: [(&str, End); 3] = [
        ("dropped", drop),
        ("shutdown_background", Runtime::shutdown_background),
        ("shutdown_timeout", |runtime| runtime.shutdown_timeout(PATIENCE)),
    ];
    let listeners = loopbacks(8080).map(listen);
    for (what, end) in ends {
        let stack = fresh();
        // What is opened once and kept.
        assert_eq!(say(&get(&stack, &connect(loopbacks(8080)[0]), WHO, Duration::ZERO)).len(), 12);
        accept(&listeners[0]);
        // Nobody has accepted their other ends, so that gets wait.
        let clients: Vec<Socket> =
            (0..CONNECTIONS).map(|n| connect(loopbacks(8080)[n % 2])).collect();
        assert_eq!(say(&get(&stack, &clients[0], PartnerRequest::empty(), PATIENCE)), "routing 14");
        let before = super::descriptors();
        let first = runtime();
        wait_in(&first, &stack, &clients);
        end(first);
        // In the background it ends a moment later.
        eventually(what, || !clients.iter().any(|client| waits(&stack, client)));
        eventually("nothing is left open", || super::descriptors() == before);
        let servers: Vec<Socket> = (0..CONNECTIONS).map(|n| accept(&listeners[n % 2])).collect();
        let second = runtime();
        for client in &clients {
            client.set_nonblocking(true).unwrap();
            let answer = second.block_on(async {
                let stream = TcpStream::from_std(client.try_clone().unwrap().into()).unwrap();
                stack.get_partner_info(&stream, WHO, PATIENCE).await
            });
            assert_eq!(say(&answer), "user 0", "{what}");
        }
        drop((second, servers));
        assert_eq!(super::descriptors(), before, "{what}");
    }
}
