//! Who is named.

use std::io::{Read, Write};
use std::net::SocketAddr;

use super::super::agent::daemon::{OPEN, Partnerd};
use super::super::agent::places::{addresses, neighbour};
use super::super::puppet::{Puppet, connected};
use super::super::support::{address, connect, eventually, loopbacks};
use super::{BIN, DAEMON, LISTEN, SYS, agent, ask, asked_of, listen_there, say, whose};

crate::harness::tests![
    ident_names_both_ends_to_each_other,
    ident_answers_for_v4_mapped_connections_over_ipv4,
    ident_answers_for_a_connection_within_another_namespace_there,
    ident_answers_between_namespaces_where_each_end_is,
    ident_knows_the_same_addresses_in_two_namespaces_apart,
    ident_names_as_it_is_told_to,
    ident_has_no_name_or_a_number_for_a_user_without_account,
    ident_answers_the_lines_that_come_together,
    ident_says_so_where_nothing_is_asked,
    ident_answers_the_same_after_a_restart,
];

fn ident_names_both_ends_to_each_other() {
    let _agent = agent();
    let (server, client) = (Puppet::new(DAEMON), Puppet::new(BIN));
    for at in loopbacks(8080) {
        let (near, far) = connected(&server, &client, at);
        assert_eq!(whose(&server, &far), "USERID:UNIX:bin", "{at}");
        assert_eq!(whose(&client, &near), "USERID:UNIX:daemon", "{at}");
        // What is sent over it changes nothing, and neither does half of an end.
        near.must("send abc");
        assert_eq!(whose(&server, &far), "USERID:UNIX:bin", "{at}");
        near.must("half-close");
        assert_eq!(whose(&server, &far), "USERID:UNIX:bin", "{at}");
    }
}

fn ident_answers_for_v4_mapped_connections_over_ipv4() {
    let _agent = agent();
    let (server, client) = (Puppet::new(DAEMON), Puppet::new(BIN));
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    for (at, to) in [
        ("[::]:8080", "127.0.0.1:8080"),
        ("0.0.0.0:8081", "[::ffff:127.0.0.1]:8081"),
        ("[::]:8082", "[::ffff:127.0.0.1]:8082"),
    ] {
        let listener = server.listen(address(at));
        let near = client.connect(address(to));
        let far = listener.accept();
        let ends = [far.local(), far.peer()].map(plain);
        assert_eq!(asked_of(&server, ends[0], ends[1]), "USERID:UNIX:bin", "{at}");
        assert_eq!(asked_of(&client, ends[1], ends[0]), "USERID:UNIX:daemon", "{at}");
        drop(near);
    }
}

fn ident_answers_for_a_connection_within_another_namespace_there() {
    let there = neighbour(1);
    let agent = Partnerd::prepare(None, &listen_there(&there));
    agent.run();
    there.run(|| {
        let (server, client) = (Puppet::new(DAEMON), Puppet::new(BIN));
        for at in loopbacks(8080) {
            let at_113 = SocketAddr::new(at.ip(), 113);
            eventually("it is answered there", || say(at_113, at.ip(), b"\r\n").is_ok());
            let (near, far) = connected(&server, &client, at);
            assert_eq!(whose(&server, &far), "USERID:UNIX:bin", "{at}");
            assert_eq!(whose(&client, &near), "USERID:UNIX:daemon", "{at}");
        }
    });
}

fn ident_answers_between_namespaces_where_each_end_is() {
    let there = neighbour(1);
    let _agent = Partnerd::configured(OPEN, &listen_there(&there));
    let server = Puppet::new(DAEMON);
    let client = there.run(|| Puppet::new(BIN));
    for at in addresses(1, 1, 8080) {
        let (near, far) = connected(&server, &client, at);
        let of_client = SocketAddr::new(far.peer().ip(), 113);
        let of_server = SocketAddr::new(at.ip(), 113);
        eventually("it is answered there", || say(of_client, at.ip(), b"\r\n").is_ok());
        assert_eq!(whose(&server, &far), "USERID:UNIX:bin", "{at}");
        assert_eq!(whose(&client, &near), "USERID:UNIX:daemon", "{at}");
        // Root is no party to it, and may know.
        let ports = (at.port(), far.peer().port());
        let asked = there.run(|| ask(of_server, far.peer().ip(), ports).unwrap());
        assert_eq!(asked, "USERID:UNIX:daemon", "{at}");
    }
}

fn ident_knows_the_same_addresses_in_two_namespaces_apart() {
    let there = neighbour(1);
    let agent = Partnerd::prepare(None, &listen_there(&there));
    agent.run();
    let (at, from) = (address("127.0.0.1:8080"), address("127.0.0.1:20000"));
    let look = |user: u32, name: &str| {
        let (server, client) = (Puppet::new(DAEMON), Puppet::new(user));
        eventually("it is answered", || say(address("127.0.0.1:113"), at.ip(), b"\r\n").is_ok());
        let listener = server.listen(at);
        client.connect_from(from, at);
        let far = listener.accept();
        assert_eq!(whose(&server, &far), format!("USERID:UNIX:{name}"));
        (server, client)
    };
    let _here = look(BIN, "bin");
    let _there = there.run(|| look(SYS, "sys"));
}

fn ident_names_as_it_is_told_to() {
    let agent = agent();
    let (server, client) = (Puppet::new(DAEMON), Puppet::new(BIN));
    let (_near, far) = connected(&server, &client, address("127.0.0.1:8080"));
    let mut hidden = Vec::new();
    for (tell, says) in [("uid", "USERID:OTHER:2"), ("name", "USERID:UNIX:bin"), ("hidden", "")] {
        agent.configure(false, &format!("{LISTEN}tell = \"{tell}\"\n"));
        agent.signal("HUP");
        let says = format!("{says}{}", if says.is_empty() { "USERID:OTHER:hidden-" } else { "" });
        eventually(tell, || whose(&server, &far).starts_with(&says));
    }
    hidden.push(whose(&server, &far));
    // The same word for the same user, and in the record, who it is.
    hidden.push(whose(&server, &far));
    assert_eq!(hidden[0], hidden[1]);
    let (_near, back) = connected(&client, &server, address("127.0.0.1:8081"));
    assert_ne!(whose(&client, &back), hidden[0]);
    eventually("it is recorded", || {
        let audit = agent.audit();
        let line = audit.lines().find(|line| line.contains(&hidden[0]));
        line.is_some_and(|line| line.contains("\"told\":{\"user\":2,"))
    });
}

fn ident_has_no_name_or_a_number_for_a_user_without_account() {
    let agent = agent();
    let (server, client) = (Puppet::new(DAEMON), Puppet::new(54_321));
    let (_near, far) = connected(&server, &client, address("127.0.0.1:8080"));
    assert_eq!(whose(&server, &far), "ERROR:NO-USER");
    agent.configure(false, &format!("{LISTEN}tell = \"uid\"\n"));
    agent.signal("HUP");
    eventually("it is a number", || whose(&server, &far) == "USERID:OTHER:54321");
}

fn ident_answers_the_lines_that_come_together() {
    let _agent = agent();
    let socket = connect(address("127.0.0.1:113"));
    (&socket).write_all(b"1,2\r\n\t3 , 4\n0,6\n").unwrap();
    let mut said = String::new();
    (&socket).read_to_string(&mut said).unwrap();
    let answers = ["1,2:ERROR:NO-USER\r\n", "3,4:ERROR:NO-USER\r\n", "0,6:ERROR:INVALID-PORT\r\n"];
    assert_eq!(said, answers.concat());
}

fn ident_says_so_where_nothing_is_asked() {
    let _agent = agent();
    for at in loopbacks(113) {
        for (line, says) in [
            ("0,23\r\n", "0,23:ERROR:INVALID-PORT\r\n"),
            ("65536 , 1\r\n", "65536,1:ERROR:INVALID-PORT\r\n"),
            ("-1,1\n", "0,1:ERROR:INVALID-PORT\r\n"),
            ("1\r\n", "0,0:ERROR:INVALID-PORT\r\n"),
            ("\n", "0,0:ERROR:INVALID-PORT\r\n"),
            ("1,2\r\n", "1,2:ERROR:NO-USER\r\n"),
        ] {
            assert_eq!(say(at, at.ip(), line.as_bytes()).unwrap(), says, "{line:?}");
        }
    }
}

fn ident_answers_the_same_after_a_restart() {
    let agent = agent();
    let (server, client) = (Puppet::new(DAEMON), Puppet::new(BIN));
    let (_near, far) = connected(&server, &client, address("127.0.0.1:8080"));
    for _ in 0..3 {
        assert_eq!(whose(&server, &far), "USERID:UNIX:bin");
        agent.signal("TERM");
        assert_eq!(agent.wait(), Some(0));
        agent.run();
    }
    agent.kill();
    agent.run();
    assert_eq!(whose(&server, &far), "USERID:UNIX:bin");
}
