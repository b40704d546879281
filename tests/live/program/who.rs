//! `partner who`: the hazards, for who holds none of the descriptors.

use std::net::SocketAddr;

use super::super::agent::daemon::gap;
use super::super::agent::places::{addresses, neighbour};
use super::super::devices::{on_twin_link, twin_links};
use super::super::nat::redirect;
use super::super::puppet::{Puppet, connected};
use super::super::support::{FIN_WAIT2, SYN_SENT, address, eventually, loopbacks, nft, run, seen};
use super::{partner, partner_with, pids, said, who, who_as};

crate::harness::tests![
    both_ends_are_named_with_their_processes,
    without_root_the_users_are_named_and_the_processes_are_not,
    the_text_says_what_the_json_says,
    h01_an_end_that_was_closed_is_nobody,
    #[nft]
    h06_who_only_tries_to_connect_is_no_connection,
    h09_an_end_that_is_bound_to_a_device_is_named,
    h09_the_same_addresses_on_two_links_are_not_taken_for_each_other,
    h10_mapped_addresses_are_the_same_connection,
    h11_an_end_that_nobody_has_accepted_is_nobody_yet,
    h12_the_owner_and_the_process_are_both_told,
    h14_all_processes_that_hold_an_end_are_told,
    h18_the_end_in_another_namespace_is_nobody,
    #[nft]
    h20_translated_ends_are_not_taken_for_each_other_s,
    #[nft]
    h20_what_may_be_translated_is_refused_without_the_right_to_see_it,
    h23_a_self_connected_socket_is_both_ends,
    h24_multipath_ends_are_named,
    who_is_not_permitted_is_told_the_rule,
    what_is_not_there_and_what_is_no_question_have_their_own_statuses,
];

fn both_ends_are_named_with_their_processes() {
    for at in loopbacks(8080) {
        let (server, client) = (Puppet::new(1000), Puppet::new(1001));
        let (near, far) = connected(&server, &client, at);
        let port = at.port().to_string();
        let pair = [at.to_string(), near.local().to_string()];
        let [one, two] = pair.each_ref().map(String::as_str);
        for (question, first) in
            [(vec![port.as_str()], 1000), (vec![one, two], 1000), (vec![two, one], 1001)]
        {
            let ran = partner(0, &[&["who", "--json"], &question[..]].concat());
            assert_eq!(ran.status, Some(0), "{ran:?}");
            let ends = ran.ends();
            let expected = [(1000, server.pid()), (1001, client.pid())];
            let order = if first == 1000 { [0, 1] } else { [1, 0] };
            for (end, index) in ends.iter().zip(order) {
                let (uid, pid) = expected[index];
                assert_eq!(said(end), format!("user {uid}"), "{question:?}");
                assert_eq!(pids(end), [u64::from(pid)], "{question:?}");
                assert_eq!(end["process_user"]["uid"], uid);
            }
            let json = ran.json();
            let routing = &json["connections"][0]["routing"];
            assert_eq!(*routing, serde_json::json!(["same-cluster", "same-image", "internal"]));
        }
        drop(far);
    }
}

fn without_root_the_users_are_named_and_the_processes_are_not() {
    let [at, _] = loopbacks(8080);
    let (server, client) = (Puppet::new(1000), Puppet::new(1001));
    let (near, _far) = connected(&server, &client, at);
    for asker in [1000, 1002] {
        let ran = partner(asker, &["who", &at.to_string(), &near.local().to_string(), "--json"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        let [one, two] = ran.ends();
        assert_eq!([said(&one), said(&two)], ["user 1000", "user 1001"]);
        assert_eq!(pids(&two), [0; 0], "{asker} may not see that");
        assert_eq!(two["token"]["holders_gap"], "no-right");
        let text = partner(asker, &["who", "8080"]);
        assert_eq!(text.status, Some(0));
        assert!(text.out.contains("run partner as root (no-right)"), "{}", text.out);
    }
}

fn the_text_says_what_the_json_says() {
    let [at, _] = loopbacks(8080);
    let (server, client) = (Puppet::new(1000), Puppet::new(1001));
    let (near, far) = connected(&server, &client, at);
    let ran = partner(0, &["who", "8080"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let lines: Vec<_> = ran.out.lines().collect();
    let local = near.local();
    assert_eq!(lines[0], format!("{at} <-> {local}"));
    let of = |uid: u32| {
        lines.iter().find(|line| {
            line.contains(&format!("({uid})")) || line.ends_with(&format!("user {uid}"))
        })
    };
    assert!(of(1000).is_some_and(|line| line.trim().starts_with(&at.to_string())), "{}", ran.out);
    assert!(
        of(1001).is_some_and(|line| line.trim().starts_with(&local.to_string())),
        "{}",
        ran.out
    );
    for pid in [server.pid(), client.pid()] {
        assert!(ran.out.contains(&format!("[{pid}] ")), "{}", ran.out);
    }
    assert!(!ran.out.contains('\x1b'), "no colours where there is no terminal");
    drop(far);
}

fn h01_an_end_that_was_closed_is_nobody() {
    for at in loopbacks(8080) {
        let (server, client) = (Puppet::new(1000), Puppet::new(1001));
        let (near, far) = connected(&server, &client, at);
        let local = near.local();
        near.close();
        let left = || seen(local, at).map(|entry| (entry.state, entry.inode));
        eventually("FIN_WAIT2, no inode", || left() == Some((FIN_WAIT2, 0)));
        let expected = ["user 1000".to_owned(), "partner-gone".to_owned()];
        assert_eq!(who(at, local), (expected, Some(1)));
        far.close();
    }
}

fn h06_who_only_tries_to_connect_is_no_connection() {
    nft("table inet wall {
           chain in {
             type filter hook input priority 0
             tcp flags & syn == syn drop
           }
         }\n");
    for at in loopbacks(8080) {
        let client = Puppet::new(1000);
        let far = client.tcp(at);
        let from = SocketAddr::new(at.ip(), 20_000);
        far.bind(from);
        far.must("nonblocking");
        far.connect(at).unwrap_err();
        assert_eq!(seen(from, at).map(|entry| entry.state), Some(SYN_SENT), "staging");
        let ran = partner(0, &["who", &at.to_string(), &from.to_string(), "--json"]);
        assert_eq!(ran.status, Some(1));
        assert_eq!(ran.json()["connections"], serde_json::json!([]));
        assert!(ran.err.contains("no such connection"), "{}", ran.err);
    }
}

fn h09_an_end_that_is_bound_to_a_device_is_named() {
    let idle = super::super::support::Namespace::new();
    idle.cable("cable0", "cable1");
    run("ip addr add 10.1.0.1/24 dev cable0");
    let table = [
        ("127.0.0.1:8080", None, Some("lo")),
        ("127.0.0.1:8080", Some("lo"), None),
        ("127.0.0.1:8080", Some("lo"), Some("lo")),
        ("10.1.0.1:8080", None, Some("cable0")),
        ("10.1.0.1:8080", Some("cable0"), None),
        ("10.1.0.1:8080", Some("cable0"), Some("cable0")),
    ];
    for (at, of_server, of_client) in table {
        let at = address(at);
        let (server, client) = (Puppet::new(1000), Puppet::new(1001));
        let (listener, near) = (server.tcp(at), client.tcp(at));
        for (socket, device) in [(&listener, of_server), (&near, of_client)] {
            if let Some(device) = device {
                socket.must(&format!("device {device}"));
            }
        }
        listener.bind(at);
        listener.must("listen");
        near.connect(at).unwrap();
        let _far = listener.accept();
        let (ends, status) = who(at, near.local());
        assert_eq!(ends, ["user 1000", "user 1001"], "{at} {of_server:?} {of_client:?}");
        assert_eq!(status, Some(0));
    }
}

/// Two interfaces with the same link-local address: the addresses alone do not tell which is whose.
fn h09_the_same_addresses_on_two_links_are_not_taken_for_each_other() {
    let _idle = twin_links();
    let at = on_twin_link;
    let server = Puppet::new(1000);
    let mut held = Vec::new();
    for (link, uid) in [("cable0", 1001), ("cable2", 1002)] {
        let client = Puppet::new(uid);
        let listener = server.listen(at(link, 8080));
        let near = client.connect_from(at(link, 20_000), at(link, 8080)).id().to_owned();
        let far = listener.accept().id().to_owned();
        held.push((client, near, far));
    }
    let ran = partner(0, &["who", "8080", "--json"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let json = ran.json();
    let connections = json["connections"].as_array().unwrap();
    assert_eq!(connections.len(), 4, "{json}");
    for connection in connections {
        let mut ends = [0, 1].map(|index| said(&connection["ends"][index]));
        ends.sort_unstable();
        assert_eq!(ends[0], "not-established", "{connection}");
        assert!(["user 1000", "user 1001", "user 1002"].contains(&&*ends[1]), "{connection}");
    }
}

fn h10_mapped_addresses_are_the_same_connection() {
    let (server, client) = (Puppet::new(1000), Puppet::new(1001));
    let any = address("[::]:8080");
    let listener = server.tcp(any);
    listener.must("both-families");
    listener.bind(any);
    listener.must("listen");
    let near = client.connect(address("127.0.0.1:8080"));
    let _far = listener.accept();
    for at in [address("127.0.0.1:8080"), address("[::ffff:127.0.0.1]:8080")] {
        let (ends, status) = who(at, near.local());
        assert_eq!((ends, status), (["user 1000".into(), "user 1001".into()], Some(0)));
    }
}

fn h11_an_end_that_nobody_has_accepted_is_nobody_yet() {
    for at in loopbacks(8080) {
        let (server, client) = (Puppet::new(1000), Puppet::new(1001));
        let listener = server.listen(at);
        let near = client.connect(at);
        let expected = ["not-yet-accepted".to_owned(), "user 1001".to_owned()];
        assert_eq!(who(at, near.local()), (expected, Some(1)));
        let _far = listener.accept();
        let expected = ["user 1000".to_owned(), "user 1001".to_owned()];
        assert_eq!(who(at, near.local()), (expected, Some(0)));
    }
}

fn h12_the_owner_and_the_process_are_both_told() {
    let [at, _] = loopbacks(8080);
    let (server, client) = (Puppet::new(1000), Puppet::new(0));
    let listener = server.listen(at);
    let near = client.connect(at);
    let _far = listener.accept();
    client.must("setuid 1001");
    let ran = partner(0, &["who", &near.local().to_string(), &at.to_string(), "--json"]);
    let [end, _] = ran.ends();
    assert_eq!(said(&end), "user 0");
    // Of all holders together only where none can be missing.
    assert_eq!(end["token"]["holders"][0]["process_user"], 1001, "{end}");
}

fn h14_all_processes_that_hold_an_end_are_told() {
    let [at, _] = loopbacks(8080);
    let (server, client) = (Puppet::new(1000), Puppet::new(0));
    let (near, _far) = connected(&server, &client, at);
    near.must("share 1002");
    let ran = partner(0, &["who", &near.local().to_string(), &at.to_string(), "--json"]);
    let [end, _] = ran.ends();
    let users: Vec<_> = end["token"]["holders"].as_array().unwrap().iter().collect();
    let mut users: Vec<_> = users.iter().map(|one| one["process_user"].as_u64().unwrap()).collect();
    users.sort_unstable();
    assert_eq!(users, [0, 1002], "{end}");
    assert_eq!(end["token"]["holders_gap"].as_str().unwrap_or("-"), gap());
}

fn h18_the_end_in_another_namespace_is_nobody() {
    let there = neighbour(1);
    let server = Puppet::new(1000);
    let client = there.run(|| Puppet::new(1001));
    for at in addresses(1, 1, 8080) {
        let (near, far) = connected(&server, &client, at);
        let from = far.peer();
        let expected = ["user 1000".to_owned(), "not-in-this-stack".to_owned()];
        assert_eq!(who(at, from), (expected, Some(1)));
        let expected = ["user 1001".to_owned(), "not-in-this-stack".to_owned()];
        assert_eq!(there.run(|| who(from, at)), (expected, Some(1)));
        let text = partner(0, &["who", "8080"]).out;
        assert!(text.contains("only a program that holds the connection can ask"), "{text}");
        drop(near);
    }
}

/// The second client has just the addresses that the first one's server sees.
fn h20_translated_ends_are_not_taken_for_each_other_s() {
    redirect();
    for at in loopbacks(8080) {
        let server = Puppet::new(1000);
        let listener = server.listen(at);
        let (first, second) = (Puppet::new(1001), Puppet::new(1002));
        let from = SocketAddr::new(at.ip(), 40_000);
        first.connect_from(from, SocketAddr::new(at.ip(), 80));
        let of_first = listener.accept();
        second.connect_from(from, at);
        let of_second = listener.accept();
        assert_eq!(of_first.peer(), from, "staging");
        assert_ne!(of_second.peer(), from, "staging");
        for asker in [0, 1003] {
            // Each is who holds the socket with these addresses; neither is the other's partner.
            let why = if asker == 0 { "address-translated" } else { "translation-hidden" };
            let pair = [at.to_string(), from.to_string()];
            let all = pair.each_ref().map(String::as_str);
            let ran = partner(asker, &[&["who", "--json"], &all[..]].concat());
            assert_eq!(ran.status, Some(1), "{ran:?}");
            let json = ran.json();
            let connections = json["connections"].as_array().unwrap();
            assert_eq!(connections.len(), 2, "{json}");
            for connection in connections {
                assert!(connection["routing"].is_null(), "{connection}");
                let ends = [0, 1].map(|index| said(&connection["ends"][index]));
                let is = |one: &str, two: &str| ends == [one.to_owned(), two.to_owned()];
                assert!(is("user 1000", why) || is(why, "user 1002"), "{connection}");
            }
        }
    }
}

fn h20_what_may_be_translated_is_refused_without_the_right_to_see_it() {
    redirect();
    for at in loopbacks(8080) {
        let (server, client) = (Puppet::new(1000), Puppet::new(1001));
        let (near, far) = connected(&server, &client, at);
        let named = ["user 1000".to_owned(), "user 1001".to_owned()];
        assert_eq!(who(at, near.local()), (named, Some(0)));
        let local = near.local().to_string();
        let ran = partner(1002, &["who", &at.to_string(), &local]);
        assert_eq!(ran.status, Some(1), "{ran:?}");
        assert!(ran.out.contains("CAP_NET_ADMIN"), "{}", ran.out);
        drop(far);
    }
}

fn h23_a_self_connected_socket_is_both_ends() {
    for at in loopbacks(20_000) {
        let puppet = Puppet::new(1000);
        let far = puppet.connect_from(at, at);
        let expected = ["user 1000".to_owned(), "user 1000".to_owned()];
        assert_eq!(who(at, at), (expected, Some(0)));
        far.reset();
    }
}

fn h24_multipath_ends_are_named() {
    for at in loopbacks(8080) {
        let (server, client) = (Puppet::new(1000), Puppet::new(1001));
        let listener = server.socket(at, "mptcp");
        listener.bind(at);
        listener.must("listen");
        let near = client.socket(at, "mptcp");
        near.connect(at).unwrap();
        let _far = listener.accept();
        let expected = ["user 1000".to_owned(), "user 1001".to_owned()];
        assert_eq!(who_as(0, at, near.local()), (expected, Some(0)));
    }
}

fn who_is_not_permitted_is_told_the_rule() {
    let [at, _] = loopbacks(8080);
    let (server, client) = (Puppet::new(1000), Puppet::new(1001));
    let (near, _far) = connected(&server, &client, at);
    let policy =
        super::super::agent::daemon::Partnerd::prepare(Some(super::super::agent::daemon::ONE), "");
    let local = near.local().to_string();
    for (asker, status) in [(1000, 0), (1002, 1), (0, 0)] {
        let ran = partner_with(asker, &["who", &at.to_string(), &local, "--json"], |command| {
            command.env("PARTNER_INFO_POLICY", policy.file("policy.toml"));
        });
        assert_eq!(ran.status, Some(status), "{asker}: {ran:?}");
        if status == 1 {
            assert_eq!(ran.out, "");
            let rule = "universal access NONE of profile EZB.IOCTL.*.*.PARTNERINFO";
            assert!(ran.err.starts_with("partner: uid 1002 ("), "{}", ran.err);
            assert!(ran.err.contains(rule), "{}", ran.err);
        }
    }
}

fn what_is_not_there_and_what_is_no_question_have_their_own_statuses() {
    let table: [(&[&str], i32, &str); 7] = [
        (&["who", "1"], 1, "no connection of this network namespace has an end with port 1"),
        (&["who", "127.0.0.1:1", "127.0.0.1:2"], 1, "no such connection"),
        (&["who", "127.0.0.1:1"], 2, "found 127.0.0.1:1 alone"),
        (&["who", "1", "127.0.0.1:2"], 2, "found a port and an address"),
        (&["who", "0"], 2, "expected a port from 1 to 65535"),
        (&["who", "localhost:80", "127.0.0.1:2"], 2, "write for example 127.0.0.1:5432"),
        (&["who"], 2, "Usage: partner who"),
    ];
    for (arguments, status, message) in table {
        let ran = partner(1000, arguments);
        assert_eq!(ran.status, Some(status), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(message), "{arguments:?}: {}", ran.err);
        assert_eq!(ran.out, "");
    }
}
