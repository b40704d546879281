//! Who is told.

use std::net::SocketAddr;

use super::super::agent::daemon::{NO_DOMAIN, OPEN, Partnerd};
use super::super::agent::places::{addresses, neighbour};
use super::super::puppet::{Puppet, connected};
use super::super::support::{address, eventually, listen, loopbacks, nft};
use super::{BIN, DAEMON, LISTEN, SYS, agent, ask, asked_of, listen_there, say, whose};

crate::harness::tests![
    ident_tells_a_user_about_its_own_connections_and_root_about_all,
    ident_goes_by_the_policy,
    ident_goes_by_the_domain_between_namespaces,
    ident_tells_other_hosts_nothing_unless_they_are_named,
    ident_records_what_it_tells_and_what_not,
    #[nft]
    ident_records_by_measure_who_cannot_be_known,
    ident_says_nothing_that_it_cannot_record,
    ident_answers_nobody_unless_it_is_told_to,
    ident_needs_a_port_that_is_free,
];

const HIDDEN: &str = "ERROR:HIDDEN-USER";

fn ident_tells_a_user_about_its_own_connections_and_root_about_all() {
    let _agent = agent();
    let (server, client, other) = (Puppet::new(DAEMON), Puppet::new(BIN), Puppet::new(SYS));
    for at in loopbacks(8080) {
        let (near, far) = connected(&server, &client, at);
        let ends = (far.local(), far.peer());
        assert_eq!(asked_of(&other, ends.0, ends.1), HIDDEN, "{at}");
        assert_eq!(asked_of(&other, ends.1, ends.0), HIDDEN, "{at}");
        // Not even about itself from the other side.
        assert_eq!(asked_of(&client, ends.0, ends.1), HIDDEN, "{at}");
        assert_eq!(whose(&server, &far), "USERID:UNIX:bin", "{at}");
        assert_eq!(whose(&client, &near), "USERID:UNIX:daemon", "{at}");
        let root = ask(SocketAddr::new(at.ip(), 113), at.ip(), (ends.1.port(), at.port()));
        assert_eq!(root.unwrap(), "USERID:UNIX:bin", "{at}");
    }
}

fn ident_goes_by_the_policy() {
    let policy = |permit: &str| {
        format!("[[profile]]\nname = \"EZB.IOCTL.*.*.PARTNERINFO\"\n[[profile.permit]]\n{permit}\n")
    };
    let (server, client) = (Puppet::new(DAEMON), Puppet::new(BIN));
    let at = address("127.0.0.1:8080");
    let (near, far) = connected(&server, &client, at);
    for (permit, of_server, of_client) in [
        ("uid = 1\naccess = \"READ\"", "USERID:UNIX:bin", HIDDEN),
        ("user = \"bin\"\naccess = \"READ\"", HIDDEN, "USERID:UNIX:daemon"),
        // Which groups whoever asks is in is not known: a permit for one does not help.
        ("gid = 1\naccess = \"READ\"", HIDDEN, HIDDEN),
    ] {
        let agent = Partnerd::configured(&policy(permit), LISTEN);
        assert_eq!(whose(&server, &far), of_server, "{permit}");
        assert_eq!(whose(&client, &near), of_client, "{permit}");
        // Who is refused learns nothing of what there is.
        let nowhere = asked_of(&server, (at.ip(), 9).into(), (at.ip(), 9).into());
        assert_eq!(nowhere == HIDDEN, of_server == HIDDEN, "{permit}");
        drop(agent);
    }
}

fn ident_goes_by_the_domain_between_namespaces() {
    let place = neighbour(1);
    let server = Puppet::new(DAEMON);
    let client = place.run(|| Puppet::new(BIN));
    let [at, _] = addresses(1, 1, 8080);
    let (_near, far) = connected(&server, &client, at);
    for (policy, says) in [(NO_DOMAIN, HIDDEN), (OPEN, "USERID:UNIX:bin")] {
        let _agent = Partnerd::configured(policy, &listen_there(&place));
        let there = SocketAddr::new(far.peer().ip(), 113);
        eventually("it is answered there", || say(there, at.ip(), b"\r\n").is_ok());
        assert_eq!(whose(&server, &far), says);
    }
}

/// To an agent that looks at its own namespace alone, another one is another host.
fn ident_tells_other_hosts_nothing_unless_they_are_named() {
    let there = neighbour(1);
    let agent = Partnerd::configured(OPEN, LISTEN);
    let server = there.run(|| Puppet::new(DAEMON));
    let client = Puppet::new(BIN);
    for at in addresses(1, 2, 8080) {
        let (_near, far) = connected(&server, &client, at);
        let nowhere = || asked_of(&server, far.local(), (far.peer().ip(), 9).into());
        for (more, says, of_nothing) in [
            ("", HIDDEN, HIDDEN),
            ("networks = [\"10.8.0.0/16\", \"fd08::/16\"]", HIDDEN, HIDDEN),
            ("networks = [\"10.7.1.0/24\", \"fd07::/16\"]", "USERID:UNIX:bin", "ERROR:NO-USER"),
            (
                "networks = [\"10.7.1.2/32\", \"fd07:1::2/128\"]\ntell_networks = \"uid\"",
                "USERID:OTHER:2",
                "ERROR:NO-USER",
            ),
        ] {
            agent.configure(true, &format!("{LISTEN}{more}\n"));
            agent.signal("HUP");
            eventually(more, || whose(&server, &far) == says);
            assert_eq!(nowhere(), of_nothing, "{more}");
        }
    }
}

fn ident_records_what_it_tells_and_what_not() {
    let agent = Partnerd::configured(OPEN, LISTEN);
    let (server, client, other) = (Puppet::new(DAEMON), Puppet::new(BIN), Puppet::new(SYS));
    let at = address("127.0.0.1:8080");
    let (_near, far) = connected(&server, &client, at);
    let ends = (far.local(), far.peer());
    assert_eq!(whose(&server, &far), "USERID:UNIX:bin");
    assert_eq!(asked_of(&other, ends.0, ends.1), HIDDEN);
    say(address("127.0.0.1:113"), at.ip(), b"nonsense\r\n").unwrap();
    let rule = "universal access READ of profile EZB.IOCTL.*.*.PARTNERINFO (";
    for parts in [
        [
            "\"event\":\"disclosure\",\"caller\":null,\"host\":null,\"connection\":{\"local\":\"127.0.0.1:",
            "\"asked\":[\"user-id\"],\"told\":{\"user\":2,\"routing\":14,",
            rule,
            "\"ident\":{\"address\":\"127.0.0.1\",\"user\":1,\"answer\":\"USERID:UNIX:bin\"}}",
        ],
        [
            "\"event\":\"refusal\",\"caller\":null,",
            "\"refused\":{\"kind\":\"not-authorized\",",
            rule,
            "\"ident\":{\"address\":\"127.0.0.1\",\"user\":3,\"answer\":\"ERROR:HIDDEN-USER\"}}",
        ],
        [
            "\"event\":\"ident-refused\",\"caller\":null,",
            "\"host\":{\"name\":null,\"address\":\"127.0.0.1\"}",
            "\"refused\":{\"kind\":\"malformed\",",
            "\"left_out\":0",
        ],
    ] {
        eventually(parts[0], || {
            let audit = agent.audit();
            audit.lines().any(|line| parts.iter().all(|part| line.contains(part)))
        });
    }
}

/// Whoever comes through a translation, here or on the way, is nobody: anybody may be.
fn ident_records_by_measure_who_cannot_be_known() {
    nft("table inet translate {
           chain output {
             type nat hook output priority -100
             tcp dport 1113 redirect to :113
           }
         }\n");
    let agent = Partnerd::configured(OPEN, LISTEN);
    let at = address("127.0.0.1:1113");
    for _ in 0..100 {
        assert_eq!(ask(at, at.ip(), (1, 2)).unwrap(), "ERROR:UNKNOWN-ERROR");
    }
    let lines = |event: &str| {
        let event = format!("\"event\":\"{event}\"");
        agent.audit().lines().filter(|line| line.contains(&event)).count()
    };
    eventually("some are recorded", || lines("ident-refused") > 0);
    assert_eq!(lines("refusal"), 0, "one for each");
}

fn ident_says_nothing_that_it_cannot_record() {
    let agent = Partnerd::prepare(None, "");
    let config = format!(
        "{LISTEN}[socket]\npath = {:?}\n[audit]\nfile = \"/dev/full\"\njournald = false\n\
         on_failure = \"refuse\"\n",
        agent.socket()
    );
    agent.write("partnerd.toml", &config);
    agent.run();
    let (server, client) = (Puppet::new(DAEMON), Puppet::new(BIN));
    let (_near, far) = connected(&server, &client, address("127.0.0.1:8080"));
    eventually("the audit fails", || whose(&server, &far) == "ERROR:UNKNOWN-ERROR");
}

fn ident_answers_nobody_unless_it_is_told_to() {
    let _agent = Partnerd::start(OPEN);
    for at in loopbacks(113) {
        let refused = say(at, at.ip(), b"1,2\r\n").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

fn ident_needs_a_port_that_is_free() {
    let _other = listen(address("127.0.0.1:113"));
    let agent = Partnerd::prepare(None, LISTEN);
    let (status, says) = agent.fails();
    assert_eq!(status, Some(4), "{says}");
    assert!(says.contains("0.0.0.0:113: listening for ident: "), "{says}");
    assert!(says.contains("or name another address in `ident.listen`"), "{says}");
}
