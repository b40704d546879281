//! The same questions to oidentd, from Debian's package: where the two agree, and where not. The table of
//! docs/ident.md is this one.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::super::puppet::{Puppet, connected_from};
use super::super::support::{TIME_WAIT, address, eventually, loopbacks, nft, seen};
use super::{BIN, DAEMON, SYS, agent, asked_of, say};

crate::harness::tests![
    #[oidentd]
    ident_agrees_with_oidentd_where_that_is_right,
];

const OURS: u16 = 113;
const OTHER: u16 = 1113;

const BIN_S: &str = "USERID:UNIX:bin";
const SYS_S: &str = "USERID:UNIX:sys";
const DAEMON_S: &str = "USERID:UNIX:daemon";
const NO_USER: &str = "ERROR:NO-USER";
const HIDDEN: &str = "ERROR:HIDDEN-USER";

/// oidentd, at another port of the calling thread's namespace.
struct Oidentd(Child);

impl Oidentd {
    fn start() -> Self {
        let mut command = Command::new("oidentd");
        command.args(["-i", "-S", "-u", "0", "-g", "0", "-l", "100", "-p", &OTHER.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let other = Self(command.spawn().unwrap());
        for at in loopbacks(OTHER) {
            eventually("oidentd answers", || say(at, at.ip(), b"1,2\r\n").is_ok());
        }
        other
    }
}

impl Drop for Oidentd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What both say to the user of a puppet that has the first of these two addresses.
fn both(asker: &Puppet, local: SocketAddr, remote: SocketAddr) -> [String; 2] {
    let other = asker.must(&format!("ident {local} {remote} {OTHER}"));
    [asked_of(asker, local, remote), other]
}

fn ident_agrees_with_oidentd_where_that_is_right() {
    let _agent = agent();
    let _other = Oidentd::start();
    let (server, client, third) = (Puppet::new(DAEMON), Puppet::new(BIN), Puppet::new(SYS));
    for at in loopbacks(8080) {
        let from = |port| SocketAddr::new(at.ip(), port);
        let agree = |said: [String; 2], is: &str| assert_eq!(said, [is, is], "{at}");
        let differ = |said: [String; 2], ours: &str, other: &str, what: &str| {
            assert_eq!(said, [ours, other], "{what}, {at}");
        };

        // A right pair, from both sides, also half-closed; and wrong ones.
        let (near, far) = connected_from(&server, &client, (at, from(20_000)));
        agree(both(&server, at, from(20_000)), BIN_S);
        agree(both(&client, from(20_000), at), DAEMON_S);
        near.must("half-close");
        agree(both(&server, at, from(20_000)), BIN_S);
        agree(both(&server, at, from(20_001)), NO_USER);
        agree(both(&server, (at.ip(), 8081).into(), from(20_000)), NO_USER);

        // Another user asks, who has nothing to do with it.
        differ(both(&third, at, from(20_000)), HIDDEN, BIN_S, "another user asks");

        // The partner has closed; then somebody listens at its port.
        near.close();
        eventually("no inode", || seen(from(20_000), at).is_none_or(|it| it.inode == 0));
        agree(both(&server, at, from(20_000)), NO_USER);
        far.close();
        eventually("TIME_WAIT", || seen(from(20_000), at).is_some_and(|it| it.state == TIME_WAIT));
        agree(both(&server, at, from(20_000)), NO_USER);
        let listener = third.listen(from(20_002));
        agree(both(&server, at, from(20_002)), NO_USER);
        listener.close();

        // Nobody has accepted it yet.
        let listener = server.listen(at);
        let near = client.connect_from(from(20_003), at);
        differ(both(&client, from(20_003), at), NO_USER, DAEMON_S, "not accepted yet");
        differ(both(&server, at, from(20_003)), NO_USER, BIN_S, "not accepted yet");
        let far = listener.accept();
        agree(both(&server, at, from(20_003)), BIN_S);
        near.reset();
        far.close();

        // Somebody has taken the port of a connection that the server has still.
        client.connect_from(from(20_004), at).reset();
        let newcomer = third.tcp(at);
        newcomer.bind(from(20_004));
        newcomer.connect(at).unwrap();
        let of_first = listener.accept();
        differ(both(&server, at, from(20_004)), NO_USER, SYS_S, "a recycled port");
        // What neither can know: that another connection than the newcomer's is meant.
        let of_newcomer = listener.accept();
        agree(both(&server, at, from(20_004)), SYS_S);
        of_first.close();
        newcomer.reset();
        of_newcomer.close();
        listener.close();
    }

    // The form of an IPv4 address in IPv6.
    let listener = server.listen(address("[::]:8082"));
    let near = client.tcp(address("[::1]:0"));
    near.bind(address("[::ffff:127.0.0.1]:20005"));
    near.connect(address("[::ffff:127.0.0.1]:8082")).unwrap();
    let _far = listener.accept();
    let ends = ["127.0.0.1:8082", "127.0.0.1:20005"].map(address);
    assert_eq!(both(&server, ends[0], ends[1]), [BIN_S, BIN_S]);
    assert_eq!(both(&client, ends[1], ends[0]), [DAEMON_S, DAEMON_S]);

    // What is no question.
    for (line, ours, other) in [
        ("0,1\r\n", "0,1:ERROR:INVALID-PORT\r\n", "0,1:ERROR:INVALID-PORT\r\n"),
        ("1,65536\r\n", "1,65536:ERROR:INVALID-PORT\r\n", "1,65536:ERROR:INVALID-PORT\r\n"),
        ("\t1 , 2\n", "1,2:ERROR:NO-USER\r\n", "1,2:ERROR:NO-USER\r\n"),
        ("-1,2\r\n", "0,2:ERROR:INVALID-PORT\r\n", "-1,2:ERROR:INVALID-PORT\r\n"),
        ("a,b\r\n", "0,0:ERROR:INVALID-PORT\r\n", ""),
        ("1,2x\r\n", "1,0:ERROR:INVALID-PORT\r\n", "1,2:ERROR:NO-USER\r\n"),
        ("1,2,3\r\n", "0,0:ERROR:INVALID-PORT\r\n", "1,2:ERROR:NO-USER\r\n"),
    ] {
        let say = |port| {
            let at = address(&format!("127.0.0.1:{port}"));
            say(at, at.ip(), line.as_bytes()).unwrap()
        };
        assert_eq!([say(OURS), say(OTHER)], [ours, other], "{line:?}");
    }

    // A redirected connection, and somebody who has the port that the server sees.
    nft("table inet translate {
           chain output {
             type nat hook output priority -100
             tcp dport 80 redirect to :8080
           }
         }\n");
    let at = address("127.0.0.1:8080");
    let listener = server.listen(at);
    let near = client.tcp(at);
    near.bind(address("127.0.0.1:20006"));
    let newcomer = third.tcp(at);
    newcomer.bind(address("127.0.0.1:20006"));
    near.connect(address("127.0.0.1:80")).unwrap();
    let of_near = listener.accept();
    assert_eq!(of_near.peer(), address("127.0.0.1:20006"), "staging");
    newcomer.connect(at).unwrap();
    let _of_newcomer = listener.accept();
    let said = both(&server, at, of_near.peer());
    assert_eq!(said, [NO_USER, SYS_S], "a redirected connection");
}
