//! The same addresses, the same descriptor, the same socket: another connection (H5, H6, H31).

use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use partner_info::Stack;
use partner_info::prelude::*;
use socket2::Socket;

use super::puppet::Puppet;
use super::raw;
use super::support::{
    SYN_SENT, accept, address, assert_nobody, connect, eventually, fresh, get, listen, local,
    loopbacks, nft, peer, say, seen, state, tcp, who,
};

super::tests![
    h05_recycled_port_never_names_the_second_process,
    h05_a_port_recycled_in_the_middle_of_an_ask_is_noticed,
    h05_a_saved_answer_is_not_given_to_the_next_connection,
    h06_a_newcomer_in_syn_sent_is_never_named,
    #[nft]
    h06_a_newcomer_whose_packets_are_dropped_is_never_named,
    h31_a_descriptor_number_used_again_names_the_new_partner,
    h31_a_socket_connected_anew_names_the_new_partner,
    h31_a_forgotten_socket_connected_anew_to_the_same_address_names_the_new_partner,
];

/// A sends a command and resets, B takes A's port and connects; accept still hands out A's
/// connection, and a lookup of its addresses finds B, established, with a descriptor.
fn h05_recycled_port_never_names_the_second_process() {
    const TRIES: u16 = 1_000;
    // One stack for all: what it saves of one connection must not leak into another.
    let stack = fresh();
    let ask = |socket: &Socket| {
        say(&get(&stack, socket, PartnerRequest::USER_ID, Duration::from_millis(20)))
    };
    for server in loopbacks(8080) {
        let listener = listen(server);
        let (first, second) = (Puppet::new(1000), Puppet::new(1001));
        let mut staged = 0;
        for n in 0..TRIES / 2 {
            let from = SocketAddr::new(server.ip(), 20_000 + n);
            let far = first.connect_from(from, server);
            far.must("send command");
            far.reset();
            let newcomer = second.tcp(from);
            newcomer.bind(from);
            if newcomer.connect(server).is_err() {
                let _ = listener.accept();
                continue;
            }
            let of_first = accept(&listener);
            let said = ask(&of_first);
            assert_nobody(&said);

            let of_second = accept(&listener);
            if peer(&of_second) == from {
                staged += 1;
                assert_eq!(ask(&of_second), "user 1001");
            }
            assert_nobody(&ask(&of_first));
            newcomer.reset();
        }
        assert!(staged > TRIES / 2 * 9 / 10, "the staging worked {staged} times only");
    }
}

/// The recycling falls between two system calls of an ask: on one processor, a process that runs
/// before all others wakes at some moment of a loop of asks, resets, and connects anew.
fn h05_a_port_recycled_in_the_middle_of_an_ask_is_noticed() {
    const TRIES: u16 = 400;
    let cpu = usable_cpu();
    let recycler = Puppet::new(0);
    recycler.must(&format!("before-others {cpu}"));
    stay_on(cpu);
    // Before other load of the machine, too.
    rustix::process::setpriority_process(None, -20).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let mut caught_in_the_middle = 0;
    for server in loopbacks(8080) {
        let listener = listen(server);
        for n in 0..TRIES / 2 {
            let from = SocketAddr::new(server.ip(), 20_000 + n);
            let old = recycler.connect_from(from, server);
            old.must("owner 1000");
            old.must("linger 0");
            let new = recycler.tcp(from);
            new.bind(from);
            new.must("owner 1001");
            let accepted = std::net::TcpStream::from(accept(&listener));
            accepted.set_nonblocking(true).unwrap();
            let accepted = tokio::net::TcpStream::from_std(accepted).unwrap();
            let recycle =
                format!("recycle {} {} {server} {}", old.id(), new.id(), 200 + n * 7 % 100);
            recycler.send(&recycle);
            let said = loop {
                match ask_once(&accepted) {
                    said if said == "user 1000" => {}
                    said => break said,
                }
            };
            recycler.reply(&recycle).unwrap();
            assert_nobody(&said);
            caught_in_the_middle += u32::from(said != "NotConnected");
            let newcomer = accept(&listener);
            assert_eq!(peer(&newcomer), from, "staging");
            assert_eq!(who(&newcomer), "user 1001");
            new.reset();
        }
    }
    assert!(caught_in_the_middle > 0, "no ask was interrupted between its first and last call");
}

/// One ask that has nothing saved and nothing to wait for.
fn ask_once(stream: &tokio::net::TcpStream) -> String {
    let stack = Stack::builder().name_patience(Duration::ZERO).connections(1).names(1).build();
    let get = pin!(stack.get_partner_info(stream, PartnerRequest::USER_ID, Duration::from_secs(1)));
    match get.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => say(&answer),
        // Its partner's end is not accepted: that is the newcomer's, or it is gone.
        Poll::Pending => "pending".into(),
    }
}

/// In a puppet: after a while, closes the one socket with a reset and connects the other.
pub(crate) fn recycle(
    old: Option<Socket>,
    new: &Socket,
    to: SocketAddr,
    pause: Duration,
) -> std::io::Result<()> {
    std::thread::sleep(pause);
    drop(old);
    new.connect(&to.into())
}

fn usable_cpu() -> usize {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
    (0..CpuSet::count()).find(|cpu| set.is_set(*cpu).unwrap_or(false)).unwrap()
}

/// Keeps the calling thread on one processor.
pub(crate) fn stay_on(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

fn h05_a_saved_answer_is_not_given_to_the_next_connection() {
    let stack = fresh();
    for server in loopbacks(8080) {
        let listener = listen(server);
        let from = SocketAddr::new(server.ip(), 20_000);
        for uid in [1000, 1001, 1000, 65534] {
            let client = Puppet::new(uid);
            let far = client.connect_from(from, server);
            let accepted = accept(&listener);
            assert_eq!(peer(&accepted), from, "staging");
            let said =
                say(&get(&stack, &accepted, PartnerRequest::USER_ID, Duration::from_secs(1)));
            assert_eq!(said, format!("user {uid}"));
            far.reset();
        }
    }
}

/// The partner has vanished without a word to our end, and a newcomer tries its addresses: the
/// first packet of the newcomer meets our end.
fn h06_a_newcomer_in_syn_sent_is_never_named() {
    for server in loopbacks(8080) {
        let listener = listen(server);
        let (first, second) = (Puppet::new(1000), Puppet::new(1001));
        let from = SocketAddr::new(server.ip(), 20_000);
        let far = first.connect_from(from, server);
        let accepted = accept(&listener);
        far.reset();
        let newcomer = second.tcp(from);
        newcomer.bind(from);
        newcomer.must("nonblocking");
        let _ = newcomer.connect(server);
        for _ in 0..20 {
            assert_nobody(&who(&accepted));
        }
    }
}

/// The same with the newcomer held in SYN_SENT for as long as it takes.
fn h06_a_newcomer_whose_packets_are_dropped_is_never_named() {
    for server in loopbacks(8080) {
        let listener = listen(server);
        let (first, second) = (Puppet::new(1000), Puppet::new(1001));
        let from = SocketAddr::new(server.ip(), 20_000);
        let far = first.connect_from(from, server);
        let accepted = accept(&listener);
        // Nothing leaves that port any more, neither the reset nor the newcomer's packets.
        nft("table inet wall {
               chain out {
                 type filter hook output priority 0
                 tcp sport 20000 drop
               }
             }\n");
        far.reset();
        let newcomer = second.tcp(from);
        newcomer.bind(from);
        newcomer.must("nonblocking");
        newcomer.connect(server).unwrap_err();
        let entry = seen(from, server).unwrap();
        assert_eq!((entry.state, entry.uid), (SYN_SENT, 1001), "staging");
        assert!(entry.inode != 0, "staging");
        assert_eq!(state(&accepted), super::support::ESTABLISHED, "staging");

        assert_eq!(who(&accepted), "NotEstablished");
        assert_nobody(&super::support::routing(&accepted));
        nft("flush ruleset\n");
    }
}

fn h31_a_descriptor_number_used_again_names_the_new_partner() {
    let stack = fresh();
    let listener = listen(address("127.0.0.1:8080"));
    let (first, second) = (Puppet::new(1000), Puppet::new(1001));
    let _far = first.connect(local(&listener));
    let accepted = accept(&listener);
    let number = accepted.as_raw_fd();
    assert_eq!(ask(&stack, &accepted), "user 1000");

    let _far = second.connect(local(&listener));
    raw::put_in_place_of(number, &accept(&listener));
    assert_eq!(ask(&stack, &accepted), "user 1001");
}

/// connect(2) with `AF_UNSPEC` ends a connection and keeps the socket, and with it the cookie.
fn h31_a_socket_connected_anew_names_the_new_partner() {
    let stack = fresh();
    let (first, second) = (Puppet::new(1000), Puppet::new(1001));
    let (one, two) = (address("127.0.0.1:8001"), address("127.0.0.1:8002"));
    let (listens_one, listens_two) = (first.listen(one), second.listen(two));
    let socket = connect(one);
    let _one = listens_one.accept();
    assert_eq!(ask(&stack, &socket), "user 1000");

    rustix::net::connect_unspec(&socket).unwrap();
    assert_eq!(ask(&stack, &socket), "NotConnected");
    socket.connect(&two.into()).unwrap();
    let _two = listens_two.accept();
    assert_eq!(ask(&stack, &socket), "user 1001");
    assert_eq!(say(&stack.try_get_partner_info(&socket, PartnerRequest::USER_ID)), "user 1001");
}

/// The addresses and the cookie are the same, and nothing else tells the two connections apart: who
/// does this says so (docs/limits.md).
fn h31_a_forgotten_socket_connected_anew_to_the_same_address_names_the_new_partner() {
    let stack = fresh();
    let (first, second) = (Puppet::new(1000), Puppet::new(1001));
    let server = address("127.0.0.1:8001");
    let socket = tcp(server);
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address("127.0.0.1:20000").into()).unwrap();
    let listener = first.listen(server);
    socket.connect(&server.into()).unwrap();
    let far = listener.accept();
    assert_eq!(ask(&stack, &socket), "user 1000");

    rustix::net::connect_unspec(&socket).unwrap();
    stack.forget_partner(&socket).unwrap();
    far.reset();
    listener.close();
    let listener = second.listen(server);
    eventually("connected anew", || socket.connect(&server.into()).is_ok());
    let _far = listener.accept();
    let said = ask(&stack, &socket);
    assert_eq!(said, "user 1001");
}

fn ask(stack: &Stack, socket: &Socket) -> String {
    say(&get(stack, socket, PartnerRequest::USER_ID, Duration::from_secs(1)))
}
