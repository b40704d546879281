//! Many sockets, many threads (H8, H17).

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::puppet::Puppet;
use super::support::{accept, connect, listen, loopbacks, peer, who};

super::tests![
    h08_exact_among_thousands_of_sockets_with_nearly_the_same_addresses,
    h08_exact_among_twenty_thousand_sockets,
    h17_a_partner_whose_threads_come_and_go,
    h17_a_partner_with_two_thousand_threads,
];

/// Each client has the port of the one asked about, or its address, or its server: never all.
fn h08_exact_among_thousands_of_sockets_with_nearly_the_same_addresses() {
    const NEIGHBOURS: u16 = 1_500;
    for at in loopbacks(8080) {
        let listener = listen(at);
        let crowd = Puppet::new(1001);
        let mut crowded = Vec::new();
        for n in 0..NEIGHBOURS {
            crowd.connect_from(SocketAddr::new(at.ip(), 20_000 + n), at);
            crowded.push(accept(&listener));
        }
        let other = SocketAddr::new(at.ip(), 8081);
        let other_listener = listen(other);
        let wanted = Puppet::new(1000);
        let from = SocketAddr::new(at.ip(), 20_000 + NEIGHBOURS);
        crowd.connect_from(from, other);
        wanted.connect_from(from, at);
        let server = accept(&listener);
        assert_eq!(peer(&server), from, "staging");
        assert_eq!(who(&server), "user 1000");
        let of_other = accept(&other_listener);
        assert_eq!(who(&of_other), "user 1001");
        assert_eq!(who(&crowded[700]), "user 1001");
    }
}

fn h08_exact_among_twenty_thousand_sockets() {
    const CLIENTS: usize = 10_000;
    let at = "127.0.0.1:8080".parse().unwrap();
    let (server, client) = (Puppet::new(0), Puppet::new(0));
    server.must("descriptors");
    client.must("descriptors");
    server.must("setuid 1001");
    client.must("setuid 1001");
    let listener = server.listen(at);
    // The server accepts while the client connects.
    let (to_accept, to_connect) =
        (format!("accept-crowd 1 {CLIENTS}"), format!("crowd {at} {CLIENTS}"));
    server.send(&to_accept);
    client.must(&to_connect);
    server.reply(&to_accept).unwrap();

    let wanted = Puppet::new(1000);
    let far = wanted.connect(at);
    let end = listener.accept();
    assert_eq!(end.who(), "user 1000");
    assert_eq!(far.who(), "user 1001");
    let ours = connect(at);
    let end = listener.accept();
    assert_eq!(end.who(), "user 0");
    assert_eq!(who(&ours), "user 1001");
}

fn h17_a_partner_whose_threads_come_and_go() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(1000);
        client.must("churn");
        for _ in 0..50 {
            let far = client.connect(at);
            let server = accept(&listener);
            assert_eq!(who(&server), "user 1000");
            assert_eq!(far.who(), "user 0");
            far.close();
        }
    }
}

fn h17_a_partner_with_two_thousand_threads() {
    let [at, _] = loopbacks(8080);
    let listener = listen(at);
    let client = Puppet::new(1000);
    client.must("threads 2000");
    let far = client.connect(at);
    let server = accept(&listener);
    assert_eq!(who(&server), "user 1000");
    assert_eq!(far.who(), "user 0");
}

/// In a puppet: threads that wait for its end.
pub(crate) fn park_threads(count: usize) {
    for _ in 0..count {
        let small = std::thread::Builder::new().stack_size(16 * 1024);
        small.spawn(|| std::thread::park_timeout(Duration::from_secs(60))).unwrap();
    }
}

/// In a puppet: threads that end as soon as they have begun.
pub(crate) fn churn_threads() {
    loop {
        let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(std::thread::yield_now)).collect();
        for thread in threads {
            let _ = thread.join();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// In a puppet: `count` connections, held.
pub(crate) fn connections(to: SocketAddr, count: usize) -> io::Result<Vec<OwnedFd>> {
    (0..count)
        .map(|_| {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.connect(&to.into())?;
            Ok(socket.into())
        })
        .collect()
}

/// In a puppet: the other ends of them.
pub(crate) fn accepted(listener: &Socket, count: usize) -> io::Result<Vec<OwnedFd>> {
    (0..count).map(|_| listener.accept().map(|(stream, _)| stream.into())).collect()
}
