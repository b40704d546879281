//! What is no question about a connected TCP socket.

use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use socket2::{Domain, Protocol, Socket, Type};

use super::super::support::{accept, address, connect, eventually, listen, loopbacks, tcp};
use super::daemon::{OPEN, Partnerd, token};
use super::places::neighbour;
use super::speaker::{Said, Speaker, TOKEN, USER, question};

crate::harness::tests![
    what_is_no_tcp_socket_is_refused,
    a_tcp_socket_without_a_partner_is_refused,
    a_question_comes_with_one_descriptor,
    what_is_no_question_is_refused,
    an_empty_packet_without_a_descriptor_is_the_end,
    nonsense_in_great_number_leaves_the_agent_as_it_was,
];

/// An agent, a caller, and a connection of which it can be asked.
struct Stage {
    agent: Partnerd,
    speaker: Speaker,
    _client: Socket,
    server: Socket,
    descriptors: usize,
}

impl Stage {
    fn new() -> Self {
        let [at, _] = loopbacks(8080);
        let listener = listen(at);
        let client = connect(at);
        let server = accept(&listener);
        let agent = Partnerd::start(OPEN);
        let speaker = Speaker::new(&agent.socket());
        assert_eq!(speaker.ask_about(1, &server).what, "user 0");
        // What it opens once and keeps.
        speaker.ask(&question(2, TOKEN), &[server.as_fd()]);
        let before = agent.descriptors();
        // What was passed is closed a moment later.
        let mut fewest = before;
        for number in 2..50 {
            assert_eq!(speaker.ask_about(number, &server).what, "user 0");
            fewest = fewest.min(agent.descriptors());
        }
        Self { agent, speaker, _client: client, server, descriptors: fewest }
    }

    /// The agent answers, and keeps nothing.
    fn is_well(&self, after: &str) {
        let said = self.speaker.ask_about(7_000_000_000, &self.server);
        assert_eq!((said.number, &*said.what), (7_000_000_000, "user 0"), "after {after}");
        eventually(&format!("the agent has closed all, after {after}"), || {
            self.agent.descriptors() <= self.descriptors
        });
    }

    fn ask_about(&self, socket: &impl AsFd) -> String {
        let said = self.speaker.ask_about(77, socket);
        assert_eq!(said.number, 77);
        said.what
    }
}

fn what_is_no_tcp_socket_is_refused() {
    let stage = Stage::new();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(udp.local_addr().unwrap()).unwrap();
    let (unix, _other) = UnixStream::pair().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).unwrap();
    raw.connect(&address("127.0.0.1:0").into()).unwrap();
    let file = |path| std::fs::File::open(path).unwrap();
    let epoll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap();
    let things: [(&str, OwnedFd); 11] = [
        ("a UDP socket", udp.into()),
        ("a Unix socket", unix.into()),
        ("the socket to the agent", stage.speaker.as_fd().try_clone_to_owned().unwrap()),
        ("a raw socket", raw.into()),
        ("a regular file", file("/etc/passwd").into()),
        ("a folder", file("/").into()),
        ("/dev/null", file("/dev/null").into()),
        ("a pipe to read", reader.into()),
        ("a pipe to write", writer.into()),
        ("a namespace", file("/proc/self/ns/net").into()),
        ("an epoll", epoll),
    ];
    for (name, thing) in things {
        assert_eq!(stage.ask_about(&thing), "not tcp", "{name}");
        stage.is_well(name);
    }
}

fn a_tcp_socket_without_a_partner_is_refused() {
    let stage = Stage::new();
    for at in loopbacks(8081) {
        let unconnected = tcp(at);
        let listener = listen(at);
        for (name, socket) in [("an unconnected one", &unconnected), ("a listener", &listener)] {
            assert_eq!(stage.ask_about(socket), "not connected", "{name} {at}");
            stage.is_well(name);
        }
        let client = connect(at);
        let server = accept(&listener);
        drop(client);
        eventually("its partner is gone", || stage.ask_about(&server) == "unidentified 1");
        stage.is_well("one whose partner has closed");
        let client = connect(at);
        let server = accept(&listener);
        client.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        eventually("it is reset", || stage.ask_about(&server) == "not connected");
        stage.is_well("one that was reset");
        // Not accepted yet, and then never.
        let client = connect(at);
        assert_eq!(stage.ask_about(&client), "not yet accepted");
        stage.is_well("one that nobody has accepted");
    }
    // Of another namespace, in which nobody is.
    let there = neighbour(1);
    let listener = there.run(|| listen(address("10.7.1.2:8080")));
    assert_eq!(stage.ask_about(&listener), "not connected");
    drop((listener, there));
    stage.is_well("a listener elsewhere");
}

fn a_question_comes_with_one_descriptor() {
    let stage = Stage::new();
    let socket = stage.server.as_fd();
    for (count, came) in [(0, "0 came"), (2, "2 came"), (4, "4 came"), (5, ""), (8, "")] {
        for request in [USER, TOKEN] {
            let said = stage.speaker.ask(&question(9, request), &vec![socket; count]);
            refused(&said, 9, &format!("one descriptor goes with a question, {came}"));
        }
        stage.is_well(&format!("{count} descriptors"));
    }
}

#[track_caller]
fn refused(said: &Said, number: u64, text: &str) {
    assert_eq!((said.number, &*said.what), (number, "failed"), "{said:?}");
    assert!(said.text.contains(text), "{said:?}");
}

fn what_is_no_question_is_refused() {
    let stage = Stage::new();
    let socket = stage.server.as_fd();
    let changed = |at: usize, byte: u8| {
        let mut bytes = question(9, USER);
        bytes[at] = byte;
        bytes
    };
    let long = |len: usize| {
        let mut bytes = question(9, USER);
        // A field that nobody knows.
        let rest = len - bytes.len() - 4;
        bytes.extend([0x82, 0x01]);
        bytes.extend([u8::try_from(rest & 0x7f).unwrap() | 0x80, u8::try_from(rest >> 7).unwrap()]);
        bytes.resize(len, b'x');
        bytes
    };
    for (name, bytes, number, text) in [
        ("garbage", vec![0xff; 40], 0, "malformed message"),
        ("zeros", vec![0; 40], 0, "malformed message"),
        ("text", b"GET / HTTP/1.1\r\n\r\n".to_vec(), 0, "malformed message"),
        ("nothing but a descriptor", Vec::new(), 0, "a version expected"),
        ("another version", changed(1, 2), 9, "version 2 of the protocol came"),
        ("bits that mean nothing", changed(5, 4), 9, "a request of the bits 0x3 expected"),
        ("no such search", changed(7, 3), 9, "a search 1 or 2 expected"),
        ("a question that is cut off", question(9, USER)[..6].to_vec(), 9, "how far to search"),
        ("one byte too many", long(1_025), 9, "at most 1024 bytes"),
        ("many bytes too many", long(10_000), 9, "at most 1024 bytes"),
    ] {
        let said = stage.speaker.ask(&bytes, &[socket]);
        refused(&said, number, text);
        assert!(said.text.contains("partnerd.proto"), "{said:?}");
        stage.is_well(name);
        // And with too many descriptors, or none.
        stage.speaker.ask(&bytes, &[socket; 5]);
        if !bytes.is_empty() {
            stage.speaker.ask(&bytes, &[]);
        }
        stage.is_well(name);
    }
    assert_eq!(stage.speaker.ask(&long(1_024), &[socket]).what, "user 0");
}

/// As it is on every socket of this type.
fn an_empty_packet_without_a_descriptor_is_the_end() {
    let stage = Stage::new();
    let other = Speaker::new(&stage.agent.socket());
    assert_eq!(other.ask_about(1, &stage.server).what, "user 0");
    other.send(&[], &[]).unwrap();
    assert_eq!(other.receive(), None);
    stage.is_well("an empty packet");
}

fn nonsense_in_great_number_leaves_the_agent_as_it_was() {
    let stage = Stage::new();
    let caller = stage.agent.puppet(1000);
    let client = stage.agent.puppet(1001);
    let listener = caller.listen(address("127.0.0.1:8081"));
    let _near = client.connect(address("127.0.0.1:8081"));
    let far = listener.accept();
    for round in 0..10 {
        let others: Vec<_> = (0..4).map(|_| Speaker::new(&stage.agent.socket())).collect();
        for other in &others {
            // Some go without waiting for what they are told.
            other.send(&vec![0x5a; 100 * round], &[stage.server.as_fd(); 3]).unwrap();
            let _ = other.send(&[7; 3_000], &[]);
        }
        assert_eq!(far.must("anew token 5000"), token(1001, &client));
    }
    stage.is_well("nonsense");
}
