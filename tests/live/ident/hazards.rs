//! Ways to name the wrong user by addresses alone.

use std::net::SocketAddr;

use super::super::agent::daemon::Partnerd;
use super::super::agent::places::{addresses, neighbour};
use super::super::nat::redirect;
use super::super::puppet::{Puppet, connected, connected_from};
use super::super::support::{FIN_WAIT2, address, eventually, loopbacks, nft, seen};
use super::{BIN, DAEMON, LISTEN, SYS, agent, ask, asked_of, whose};

crate::harness::tests![
    ident_h01_a_closed_end_is_nobody_s,
    ident_h05_who_took_the_port_is_not_named_to_who_has_the_old_connection,
    ident_h07_a_listener_on_the_port_is_not_named,
    ident_h11_an_end_that_nobody_has_accepted_is_nobody_s,
    ident_h12_the_socket_s_owner_is_named_and_not_the_process,
    #[nft]
    ident_h20_a_redirected_connection_is_nobody_s,
    #[nft]
    ident_h20_a_tracked_connection_is_answered,
    #[nft]
    ident_h20_who_has_the_port_of_a_translated_connection_is_not_named_to_another_host,
    ident_h23_a_connection_to_itself_is_its_own,
];

const NO_USER: &str = "ERROR:NO-USER";

fn ident_h01_a_closed_end_is_nobody_s() {
    let _agent = agent();
    let (server, client) = (Puppet::new(DAEMON), Puppet::new(BIN));
    for at in loopbacks(8080) {
        let (near, far) = connected(&server, &client, at);
        let ends = (far.local(), far.peer());
        assert_eq!(whose(&server, &far), "USERID:UNIX:bin", "staging");
        near.close();
        eventually("FIN_WAIT2, no inode", || {
            seen(ends.1, ends.0).is_some_and(|it| (it.state, it.inode) == (FIN_WAIT2, 0))
        });
        assert_eq!(whose(&server, &far), NO_USER, "{at}");
        assert_eq!(
            ask(SocketAddr::new(at.ip(), 113), at.ip(), (ends.1.port(), at.port())).unwrap(),
            NO_USER
        );
        far.close();
        assert_eq!(asked_of(&server, ends.0, ends.1), NO_USER, "{at}");
        // One that was killed.
        let killed = Puppet::new(BIN);
        let (_near, far) = connected(&server, &killed, at);
        killed.kill();
        assert_eq!(whose(&server, &far), NO_USER, "{at}");
    }
}

/// A sends a command and resets, B takes A's port and connects, and the server has accepted A's
/// connection alone.
fn ident_h05_who_took_the_port_is_not_named_to_who_has_the_old_connection() {
    let _agent = agent();
    let server = Puppet::new(DAEMON);
    let (first, second) = (Puppet::new(BIN), Puppet::new(SYS));
    for at in loopbacks(8080) {
        let listener = server.listen(at);
        let mut staged = 0;
        for n in 0..50 {
            let from = SocketAddr::new(at.ip(), 20_000 + n);
            let near = first.connect_from(from, at);
            near.must("send command");
            near.reset();
            let newcomer = second.tcp(from);
            newcomer.bind(from);
            let is_there = newcomer.connect(at).is_ok();
            let of_first = listener.accept();
            let said = asked_of(&server, at, from);
            assert_eq!(said, NO_USER);
            of_first.close();
            if is_there {
                let of_second = listener.accept();
                staged += 1;
                // This one is B's.
                assert_eq!(whose(&server, &of_second), "USERID:UNIX:sys");
                newcomer.reset();
                of_second.close();
            }
        }
        assert!(staged > 40, "the staging worked {staged} times only");
        listener.close();
    }
}

fn ident_h07_a_listener_on_the_port_is_not_named() {
    let _agent = agent();
    let (server, client, other) = (Puppet::new(DAEMON), Puppet::new(BIN), Puppet::new(SYS));
    for at in loopbacks(8080) {
        let from = SocketAddr::new(at.ip(), 20_000);
        let (near, far) = connected_from(&server, &client, (at, from));
        assert_eq!(whose(&server, &far), "USERID:UNIX:bin", "staging");
        near.reset();
        let _listener = other.listen(from);
        assert_eq!(asked_of(&server, at, from), NO_USER, "{at}");
        // Whoever asks about what was never a connection.
        assert_eq!(asked_of(&server, (at.ip(), 9).into(), from), NO_USER, "{at}");
    }
}

fn ident_h11_an_end_that_nobody_has_accepted_is_nobody_s() {
    let _agent = agent();
    let (server, client) = (Puppet::new(DAEMON), Puppet::new(BIN));
    for at in loopbacks(8080) {
        let listener = server.listen(at);
        let near = client.connect(at);
        assert_eq!(whose(&client, &near), NO_USER, "{at}");
        // And to who will accept it the client is nobody yet.
        assert_eq!(asked_of(&server, at, near.local()), NO_USER, "{at}");
        let far = listener.accept();
        assert_eq!(whose(&client, &near), "USERID:UNIX:daemon", "{at}");
        assert_eq!(whose(&server, &far), "USERID:UNIX:bin", "{at}");
    }
}

fn ident_h12_the_socket_s_owner_is_named_and_not_the_process() {
    let _agent = agent();
    let (server, client) = (Puppet::new(DAEMON), Puppet::new(0));
    let at = address("127.0.0.1:8080");
    let (near, far) = connected(&server, &client, at);
    near.must(&format!("owner {SYS}"));
    client.must(&format!("setuid {BIN}"));
    assert_eq!(whose(&server, &far), "USERID:UNIX:sys");
}

fn ident_h20_a_redirected_connection_is_nobody_s() {
    redirect();
    let _agent = agent();
    let (server, client, other) = (Puppet::new(DAEMON), Puppet::new(BIN), Puppet::new(SYS));
    for at in loopbacks(8080) {
        let listener = server.listen(at);
        let near = client.connect_from((at.ip(), 20_000).into(), (at.ip(), 80).into());
        let far = listener.accept();
        assert_eq!(whose(&server, &far), NO_USER, "{at}");
        assert_eq!(whose(&client, &near), NO_USER, "{at}");
        // Somebody has the port that the server sees, and connects to the server, too.
        let newcomer = other.tcp(at);
        newcomer.bind(far.peer());
        if newcomer.connect(at).is_ok() {
            assert_eq!(whose(&server, &far), NO_USER, "{at}");
        }
    }
}

/// A firewall that looks at connection states translates nothing.
fn ident_h20_a_tracked_connection_is_answered() {
    nft("table inet filter {
           chain input {
             type filter hook input priority 0
             ct state established accept
           }
         }\n");
    let _agent = agent();
    let (server, client) = (Puppet::new(DAEMON), Puppet::new(BIN));
    for at in loopbacks(8080) {
        let (_near, far) = connected(&server, &client, at);
        assert_eq!(whose(&server, &far), "USERID:UNIX:bin", "{at}");
    }
}

/// Seen from the other host, the connection of one of our users has the addresses that the socket of
/// another one has here.
fn ident_h20_who_has_the_port_of_a_translated_connection_is_not_named_to_another_host() {
    let there = neighbour(1);
    nft("table inet translate {
           chain output {
             type nat hook output priority -100
             tcp dport 81 dnat ip to 10.7.1.2:8080
             tcp dport 81 dnat ip6 to [fd07:1::2]:8080
           }
         }\n");
    let networks = "networks = [\"10.7.0.0/16\", \"fd07::/16\"]\n";
    let _agent = Partnerd::configured("", &format!("{LISTEN}{networks}"));
    let server = there.run(|| Puppet::new(DAEMON));
    let (client, other) = (Puppet::new(BIN), Puppet::new(SYS));
    for (at, from) in addresses(1, 2, 8080).into_iter().zip(addresses(1, 1, 20_000)) {
        let listener = server.listen(at);
        let near = client.connect_from(from, (at.ip(), 81).into());
        let far = listener.accept();
        assert_eq!(far.peer(), near.local(), "staging");
        assert_eq!(whose(&server, &far), NO_USER, "{at}");
        let newcomer = other.tcp(at);
        newcomer.bind(far.peer());
        newcomer.connect(at).unwrap();
        // The kernel has given it another port on the way.
        let of_newcomer = listener.accept();
        assert_ne!(of_newcomer.peer(), far.peer(), "staging");
        assert_eq!(whose(&server, &far), NO_USER, "{at}");
        assert_eq!(whose(&server, &of_newcomer), NO_USER, "{at}");
        // One that is tracked, and not translated.
        let plain = client.connect(at);
        let of_plain = listener.accept();
        assert_eq!(plain.local(), of_plain.peer(), "staging");
        assert_eq!(whose(&server, &of_plain), "USERID:UNIX:bin", "{at}");
        listener.close();
    }
}

fn ident_h23_a_connection_to_itself_is_its_own() {
    let _agent = agent();
    let puppet = Puppet::new(BIN);
    for at in loopbacks(20_000) {
        let own = puppet.connect_from(at, at);
        assert_eq!(whose(&puppet, &own), "USERID:UNIX:bin", "{at}");
    }
}
