//! The number of the connection to the agent comes to stand for something else.

use std::os::fd::OwnedFd;
use std::time::Duration;

use partner_info::{Stack, prelude::*};
use rustix::net::sockopt::{socket_cookie, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use socket2::{Domain, Protocol, Socket, Type};

use super::super::faults::open_numbers;
use super::super::raw::{borrowed, close_in_use, put_in_place_of};
use super::super::support::{PATIENCE, accept, get, say};
use super::places::listening_here;

crate::harness::faults::scenes![
    h25_what_stands_in_for_the_connection_to_the_agent_names_nobody_and_stays_open,
];

/// The number of this process's connection to the agent: its only Unix socket of this type.
fn number_of_connection() -> i32 {
    let is_one = |number: &i32| {
        let number = borrowed(*number);
        socket_domain(number).is_ok_and(|domain| domain == AddressFamily::UNIX)
            && socket_type(number).is_ok_and(|kind| kind == SocketType::SEQPACKET)
    };
    let found: Vec<i32> = open_numbers().into_iter().filter(is_one).collect();
    let [number] = found[..] else { panic!("staging: one connection, not {found:?}") };
    number
}

/// An answer that names user 42 to a question of this number, about the socket with this cookie.
fn answer(number: u8, mut cookie: u64) -> Vec<u8> {
    let mut bytes = vec![0x08, 1, 0x10, number, 0x18];
    while cookie >= 0x80 {
        bytes.push(u8::try_from(cookie & 0x7f).unwrap() | 0x80);
        cookie >>= 7;
    }
    bytes.push(u8::try_from(cookie).unwrap());
    bytes.extend([0x22, 4, 0x08, 42, 0x10, 14]);
    bytes
}

fn h25_what_stands_in_for_the_connection_to_the_agent_names_nobody_and_stays_open() {
    let (_there, agent, client, at, listener) = listening_here();
    client.connect(at);
    let server = accept(&listener);
    let stack = Stack::builder().agent(agent.socket()).name_patience(Duration::ZERO).build();
    let ask = || {
        stack.forget_partner(&server).unwrap();
        say(&get(&stack, &server, PartnerRequest::USER_ID, PATIENCE))
    };
    for _ in 0..3 {
        assert_eq!(ask(), "user 1001");
        let number = number_of_connection();
        let kind = Type::SEQPACKET;
        let (ours, theirs) = Socket::pair(Domain::UNIX, kind, None::<Protocol>).unwrap();
        for question in 1..100 {
            theirs.send(&answer(question, socket_cookie(&server).unwrap())).unwrap();
        }
        put_in_place_of(number, &OwnedFd::from(ours));
        let before = socket_cookie(borrowed(number)).unwrap();
        assert_eq!(ask(), "user 1001");
        // It is somebody else's: neither closed nor shut down, and nothing was sent to it.
        assert_eq!(socket_cookie(borrowed(number)), Ok(before));
        theirs.set_nonblocking(true).unwrap();
        let heard = theirs.recv(&mut [std::mem::MaybeUninit::uninit(); 64]);
        assert_eq!(heard.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        close_in_use(number);
    }
    // Closed, and nothing opened since.
    close_in_use(number_of_connection());
    assert_eq!(ask(), "user 1001");
}
