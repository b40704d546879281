//! Address translation in the asker's own namespace (H20).
//!
//! A local redirect makes two things untrue that hold elsewhere. The partner's socket has other
//! addresses than the server sees; and a newcomer may use the addresses that the server sees,
//! because the kernel rewrites its packets before they meet the server's connection.

use std::net::SocketAddr;
use std::time::Duration;

use super::puppet::Puppet;
use super::support::{
    Namespace, accept, address, assert_nobody, connect, eventually, listen, local, nft, peer,
    receive, routing, sysctl, tcp, who,
};

super::tests![
    #[nft]
    h20_a_redirected_client_is_refused,
    #[nft]
    h20_a_redirected_client_is_not_named_as_who_shares_its_port,
    #[nft]
    h20_a_client_with_a_remapped_port_is_not_named_as_who_has_that_port,
    #[nft]
    h20_a_redirected_client_is_not_named_as_a_victim_that_chose_no_port,
    #[nft]
    h20_a_redirect_that_tracking_has_forgotten_names_nobody,
    #[nft]
    h20_a_thread_that_moved_asks_the_tracking_of_the_socket_s_namespace,
    #[nft]
    h20_a_redirected_client_of_a_dual_stack_server_names_nobody,
    #[nft]
    h20_a_redirected_mptcp_client_names_nobody,
    #[nft]
    h20_a_client_is_not_told_an_older_server_end_with_its_port,
    #[nft]
    h20_untranslated_clients_beside_a_redirect_are_never_named_wrongly,
    #[nft]
    h20_connections_that_are_tracked_and_not_translated_are_answered,
    #[nft]
    h20_who_vouches_for_the_rules_is_answered_where_nothing_speaks_against_it,
    #[nft]
    h20_a_masqueraded_client_is_refused,
];

/// The server's port, and the one that is redirected to it.
const SERVER: u16 = 8080;
const REDIRECTED: u16 = 80;

fn at(v6: bool, port: u16) -> SocketAddr {
    super::support::loopbacks(port)[usize::from(v6)]
}

pub(crate) fn redirect() {
    nft("table inet translate {
           chain output {
             type nat hook output priority -100
             tcp dport 80 redirect to :8080
           }
         }\n");
}

fn h20_a_redirected_client_is_refused() {
    redirect();
    for v6 in [false, true] {
        let listener = listen(at(v6, SERVER));
        let client = Puppet::new(1000);
        let far = client.connect(at(v6, REDIRECTED));
        let server = accept(&listener);
        assert_eq!(who(&server), "AddressTranslated");
        assert_nobody(&far.who());
        assert_eq!(routing(&server), "AddressTranslated");
    }
}

fn h20_a_redirected_client_is_not_named_as_who_shares_its_port() {
    redirect();
    for v6 in [false, true] {
        for asker in [0, 1003] {
            let server = Puppet::new(asker);
            let listener = server.listen(at(v6, SERVER));
            let (first, second) = (Puppet::new(1000), Puppet::new(1001));
            let port = at(v6, 40_000 + u16::from(asker != 0));
            first.connect_from(port, at(v6, REDIRECTED));
            let of_first = listener.accept();
            // Its packets are given another source port: the server's own end of the first
            // connection never sees them.
            second.connect_from(port, at(v6, SERVER));
            let of_second = listener.accept();
            assert_eq!(of_first.peer(), port, "staging");
            assert_ne!(of_second.peer(), port, "staging");

            assert_nobody(&of_first.who());
            let said = of_second.who();
            assert!(
                ["user 1001", "AddressTranslated", "TranslationHidden"].contains(&&*said),
                "{said}"
            );
        }
    }
}

fn h20_a_client_with_a_remapped_port_is_not_named_as_who_has_that_port() {
    redirect();
    for v6 in [false, true] {
        for asker in [0, 1003] {
            let server = Puppet::new(asker);
            let listener = server.listen(at(v6, SERVER));
            let (first, second, third) = (Puppet::new(1000), Puppet::new(1001), Puppet::new(1002));
            let port = at(v6, 40_000 + u16::from(asker != 0));
            first.connect_from(port, at(v6, REDIRECTED));
            let _of_first = listener.accept();
            second.connect_from(port, at(v6, SERVER));
            let of_second = listener.accept();
            third.connect_from(of_second.peer(), at(v6, SERVER));
            let of_third = listener.accept();
            assert_ne!(of_second.peer(), port, "staging");
            assert_ne!(of_third.peer(), of_second.peer(), "staging");

            let said = of_second.who();
            assert_ne!(said, "user 1002", "named as the third user, asked by {asker}");
            assert!(
                ["user 1001", "AddressTranslated", "TranslationHidden"].contains(&&*said),
                "{said}"
            );
        }
    }
}

/// No `SO_REUSEADDR` and no bind: the attacker only needs to hold most ports.
fn h20_a_redirected_client_is_not_named_as_a_victim_that_chose_no_port() {
    redirect();
    sysctl("net/ipv4/ip_local_port_range", "50000 50063");
    let listener = listen(at(false, SERVER));
    let (attacker, victim) = (Puppet::new(1000), Puppet::new(1001));
    let mut attacks = Vec::new();
    for _ in 0..60 {
        attacks.push((attacker.connect(at(false, REDIRECTED)), accept(&listener)));
    }
    // The victim's kernel takes the attacker's ports for free: their connections look different.
    let mut shared = 0;
    for _ in 0..8 {
        let far = victim.connect(at(false, SERVER));
        let of_victim = accept(&listener);
        shared += u32::from(peer(&of_victim) != far.local());
        for (_, of_attacker) in &attacks {
            assert_nobody(&who(of_attacker));
        }
        far.reset();
    }
    assert!(shared >= 4, "staging worked {shared} times only");
}

/// Connection tracking forgets connections that one side has closed after a minute (a second
/// here), while the server, who is late, still holds its end. What it has forgotten cannot be seen:
/// where the stranger is in the same state as the partner would be, a late asker is told of it
/// (docs/limits.md).
fn forgotten(first_does: &str, second_does: &str) {
    redirect();
    sysctl("net/netfilter/nf_conntrack_tcp_timeout_close_wait", "1");
    sysctl("net/netfilter/nf_conntrack_tcp_timeout_established", "1");
    let servers = [(false, Puppet::new(0)), (true, Puppet::new(1003))];
    let (first, second) = (Puppet::new(1000), Puppet::new(1001));
    let staged = servers.each_ref().map(|(v6, server)| {
        let listener = server.listen(at(*v6, SERVER));
        let port = at(*v6, 40_000);
        let far = first.connect_from(port, at(*v6, REDIRECTED));
        far.must("send command");
        let victim = second.connect_from(port, at(*v6, SERVER));
        if second_does != "nothing" {
            victim.must(second_does);
        }
        if first_does != "nothing" {
            far.must(first_does);
        }
        listener
    });
    std::thread::sleep(Duration::from_millis(2_500));
    for listener in staged {
        let (of_first, of_second) = (listener.accept(), listener.accept());
        assert_eq!(of_first.peer().port(), 40_000, "staging");
        assert_ne!(of_second.peer().port(), 40_000, "staging");
        assert_nobody(&of_first.who());
    }
}

fn h20_a_redirect_that_tracking_has_forgotten_names_nobody() {
    forgotten("close", "nothing");
}

/// What it asks by was opened where the socket is, and tracking of another namespace knows nothing.
fn h20_a_thread_that_moved_asks_the_tracking_of_the_socket_s_namespace() {
    redirect();
    for v6 in [false, true] {
        let listener = listen(at(v6, SERVER));
        let (first, second) = (Puppet::new(1000), Puppet::new(1001));
        let port = at(v6, 40_000);
        first.connect_from(port, at(v6, REDIRECTED));
        let of_first = accept(&listener);
        second.connect_from(port, at(v6, SERVER));
        let of_second = accept(&listener);
        assert_ne!(peer(&of_second), port, "staging");
        assert_nobody(&who(&of_first));
        let home = Namespace::current();
        Namespace::new().enter();
        assert_nobody(&who(&of_first));
        home.enter();
    }
}

/// An IPv6 socket with IPv4 partners: tracking knows it by IPv4.
fn h20_a_redirected_client_of_a_dual_stack_server_names_nobody() {
    redirect();
    for asker in [0, 1003] {
        let server = Puppet::new(asker);
        let listener = server.tcp(at(true, 0));
        listener.must("both-families");
        listener.bind(address("[::]:8080"));
        listener.must("listen");
        let (first, second) = (Puppet::new(1000), Puppet::new(1001));
        let port = at(false, 40_000 + u16::from(asker != 0));
        first.connect_from(port, at(false, REDIRECTED));
        let of_first = listener.accept();
        second.connect_from(port, at(false, SERVER));
        let of_second = listener.accept();
        assert_eq!(of_first.peer().port(), port.port(), "staging");
        assert_ne!(of_second.peer().port(), port.port(), "staging");
        assert_nobody(&of_first.who());
    }
}

/// A multipath socket does not answer `SO_ORIGINAL_DST`.
fn h20_a_redirected_mptcp_client_names_nobody() {
    redirect();
    for v6 in [false, true] {
        for asker in [0, 1003] {
            let server = Puppet::new(asker);
            let listener = server.socket(at(v6, 0), "mptcp");
            listener.bind(at(v6, SERVER));
            listener.must("listen");
            let (first, second) = (Puppet::new(1000), Puppet::new(1001));
            let port = at(v6, 40_000 + u16::from(asker != 0));
            let connect_from = |client: &Puppet, to| {
                let far = client.socket(port, "mptcp");
                far.bind(port);
                far.connect(to).unwrap();
            };
            connect_from(&first, at(v6, REDIRECTED));
            let of_first = listener.accept();
            connect_from(&second, at(v6, SERVER));
            let of_second = listener.accept();
            assert_eq!(of_first.peer(), port, "staging");
            assert_ne!(of_second.peer(), port, "staging");
            assert_nobody(&of_first.who());
        }
    }
}

/// The same confusion seen from the client's side.
fn h20_a_client_is_not_told_an_older_server_end_with_its_port() {
    redirect();
    let client = Puppet::new(1002);
    let older = Puppet::new(1000);
    let listener = older.listen(at(false, SERVER));
    let port = at(false, 40_000);
    let _first = client.connect_from(port, at(false, REDIRECTED));
    let _of_first = listener.accept();
    listener.close();
    let newer = Puppet::new(1001);
    let listener = newer.listen(at(false, SERVER));
    let second = client.connect_from(port, at(false, SERVER));
    let of_second = listener.accept();
    assert_ne!(of_second.peer(), port, "staging");

    let said = second.who();
    assert_ne!(said, "user 1000", "named the owner of another server end");
    assert_nobody(&of_second.who().replace("user 1002", "right"));
}

fn h20_untranslated_clients_beside_a_redirect_are_never_named_wrongly() {
    redirect();
    let listener = listen(at(false, SERVER));
    let client = Puppet::new(1001);
    let far = client.connect(at(false, SERVER));
    let server = accept(&listener);
    assert_eq!(peer(&server), far.local(), "staging");
    let said = who(&server);
    assert!(["user 1001", "AddressTranslated", "TranslationHidden"].contains(&&*said), "{said}");
}

/// A firewall that looks at connection states translates nothing; the asker is root here, and may
/// find out.
fn h20_connections_that_are_tracked_and_not_translated_are_answered() {
    nft("table inet filter {
           chain input {
             type filter hook input priority 0
             ct state established accept
           }
         }\n");
    for v6 in [false, true] {
        let listener = listen(at(v6, SERVER));
        let client = Puppet::new(1001);
        let far = client.connect(at(v6, SERVER));
        let server = accept(&listener);
        assert_eq!(who(&server), "user 1001");
        // Its client is not root, and may not.
        let said = far.who();
        assert!(["user 0", "TranslationHidden"].contains(&&*said), "{said}");
    }
}

fn h20_who_vouches_for_the_rules_is_answered_where_nothing_speaks_against_it() {
    redirect();
    for v6 in [false, true] {
        let server = Puppet::new(1003);
        let listener = server.listen(at(v6, SERVER));
        let (first, second) = (Puppet::new(1000), Puppet::new(1001));
        first.connect(at(v6, SERVER));
        let straight = listener.accept();
        assert_eq!(straight.must("vouched-who"), "user 1000");
        let port = at(v6, 40_000);
        first.connect_from(port, at(v6, REDIRECTED));
        let redirected = listener.accept();
        assert_nobody(&redirected.must("vouched-who"));
        second.connect_from(port, at(v6, SERVER));
        listener.accept();
        assert_nobody(&redirected.must("vouched-who"));
    }
}

fn h20_a_masqueraded_client_is_refused() {
    nft("table ip translate {
           chain postrouting {
             type nat hook postrouting priority 100
             tcp dport 8080 tcp sport 40000 snat to 127.0.0.9:41000
           }
         }\n");
    let listener = listen(at(false, SERVER));
    let client = Puppet::new(1000);
    let far = client.connect_from(at(false, 40_000), at(false, SERVER));
    let server = accept(&listener);
    assert_eq!(peer(&server), address("127.0.0.9:41000"), "staging");
    assert_eq!(who(&server), "AddressTranslated");
    assert_nobody(&far.who());

    // Somebody listens at the address it was given, and somebody else connects from there.
    let _listener = Puppet::new(1001).listen(peer(&server));
    assert_nobody(&who(&server));
    far.must("send x");
    eventually("the command arrives", || receive(&server) == b"x");
    let other = tcp(peer(&server));
    other.set_reuse_address(true).unwrap();
    drop(other);
    let direct = connect(at(false, SERVER));
    let of_direct = accept(&listener);
    assert_eq!(peer(&of_direct), local(&direct));
    assert_eq!(who(&of_direct), "user 0");
}
