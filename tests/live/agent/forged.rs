//! Sockets with the numbers of somebody else's connection (H18).
//!
//! Any user can make one: `TCP_REPAIR` takes `CAP_NET_ADMIN` in the user namespace that owns the
//! network namespace, which may be the user's own. What it takes beside that are the numbers.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;

use super::super::raw;
use super::super::support::{Namespace, accept, listen, tcp};
use super::daemon::{OPEN, Partnerd};
use super::places::{addresses, be_both_hosts, number};

crate::harness::tests![
    h18_a_forger_who_knows_the_numbers_is_not_named_in_place_of_a_partner_that_is_there,
];

const TCP_REPAIR: i32 = 19;
const TCP_REPAIR_QUEUE: i32 = 20;
const TCP_QUEUE_SEQ: i32 = 21;
const RECEIVED: i32 = 1;
const SENT: i32 = 2;
/// Without a packet to the other end.
const OFF: i32 = -1;

/// The numbers of the byte that is sent next, and of the one that is expected.
fn numbers(socket: &Socket) -> io::Result<(i32, i32)> {
    let set = |option, value| raw::set_option(socket, libc::IPPROTO_TCP, option, value);
    set(TCP_REPAIR, 1)?;
    let of = |queue| {
        set(TCP_REPAIR_QUEUE, queue)?;
        raw::option(socket, libc::IPPROTO_TCP, TCP_QUEUE_SEQ)
    };
    let numbers = (of(SENT)?, of(RECEIVED)?);
    set(TCP_REPAIR, OFF)?;
    Ok(numbers)
}

/// In a puppet: makes `socket` one end of a connection with these numbers.
pub(super) fn repair(
    socket: &Socket,
    from: SocketAddr,
    to: SocketAddr,
    (sent, received): (i32, i32),
) -> io::Result<()> {
    let set = |option, value| raw::set_option(socket, libc::IPPROTO_TCP, option, value);
    set(TCP_REPAIR, 1)?;
    socket.set_reuse_address(true)?;
    socket.bind(&from.into())?;
    for (queue, number) in [(SENT, sent), (RECEIVED, received)] {
        set(TCP_REPAIR_QUEUE, queue)?;
        set(TCP_QUEUE_SEQ, number)?;
    }
    socket.connect(&to.into())?;
    set(TCP_REPAIR, OFF)
}

/// The initial numbers are a hash of the addresses, the same in all namespaces, and the time in
/// units of 64 ns: so a forger may guess them.
fn h18_a_forger_who_knows_the_numbers_is_not_named_in_place_of_a_partner_that_is_there() {
    let [one, two] = [Namespace::new(), Namespace::new()];
    one.run(|| {
        two.cable("eth0", "eth0");
        number("eth0", 9, 1);
    });
    two.run(|| number("eth0", 9, 2));
    for (at, from) in addresses(9, 1, 8080).into_iter().zip(addresses(9, 2, 20_000)) {
        let agent = Partnerd::start(OPEN);
        let _resident = two.run(|| agent.puppet(1001));
        let listener = one.run(|| listen(at));
        let client = two.run(|| {
            let client = tcp(from);
            client.bind(&from.into()).unwrap();
            client.connect(&at.into()).unwrap();
            client
        });
        let server = accept(&listener);
        std::os::unix::fs::fchown(&client, Some(1001), None).unwrap();
        let (sent, received) = numbers(&client).unwrap();

        let forger = agent.puppet(1004);
        be_both_hosts(&forger, 9);
        let forged = forger.tcp(from);
        forged.must(&format!("repair {from} {to} {sent} {received}", to = at));
        assert_eq!((forged.local(), forged.peer()), (from, at), "staging");

        for _ in 0..20 {
            // It has its own namespace looked at.
            forged.must("anew routing 5000");
            let said = one.run(|| who_by(&agent, &server));
            assert!(["user 1001", "Unproven"].contains(&&*said), "{at}: {said}");
        }
    }
}

fn who_by(agent: &Partnerd, socket: &Socket) -> String {
    use super::super::support::{PATIENCE, get, say};
    let stack = partner_info::Stack::builder()
        .name_patience(std::time::Duration::ZERO)
        .agent(agent.socket())
        .build();
    say(&get(&stack, socket, partner_info::PartnerRequest::USER_ID, PATIENCE))
}
