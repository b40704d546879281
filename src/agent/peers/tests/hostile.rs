//! Peers that do what they should not keep nobody else from an answer.

use tokio::io::AsyncWriteExt;

use super::raw::Raw;
use super::*;
use crate::protocol::Refused;

/// The beginning of a ClientHello that does not come.
const HALF_A_HANDSHAKE: &[u8] = b"\x16\x03\x01\x02\x00\x01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_silent_and_the_unfinished_stop_nobody() {
    let limits = Limits { handshake: Duration::from_secs(60), ..Limits::standard() };
    let world = World::new(limits).await;
    let mut kept = Vec::new();
    for number in 0..1_200_u16 {
        let [high, low] = (number / 8).to_be_bytes();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((IpAddr::from([127, 1, high, low]), 0).into()).unwrap();
        let mut stream = socket.connect(world.address).await.unwrap();
        if number >= 1_000 {
            stream.write_all(HALF_A_HANDSHAKE).await.unwrap();
        }
        kept.push(stream);
    }
    let link = world.link();
    let within = Duration::from_secs(10);
    link.ask(question_within(10, within)).await.unwrap();
    assert!(world.listener.connections() > 1_000);
    world.events.wait_for("failed gave-way").await;
}

/// Every account of a host connects from the address from which its agent does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_silent_of_an_address_do_not_keep_its_agent_out() {
    let limits = Limits {
        handshake: Duration::from_secs(60),
        connections_per_address: 1,
        ..Limits::standard()
    };
    let world = World::new(limits).await;
    let mut kept = Vec::new();
    for _ in 0..200 {
        kept.push(TcpStream::connect(world.address).await.unwrap());
    }
    world.events.wait_for("failed gave-way").await;
    let link = world.link();
    ask(&link, 10).await;
    // Nor does it lose the place that it has.
    for _ in 0..200 {
        kept.push(TcpStream::connect(world.address).await.unwrap());
    }
    while world.events.count("failed gave-way") < 200 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    ask(&link, 10).await;
    assert_eq!(world.events.count("full"), 1);
    assert_eq!(world.events.count("refused too-many-of-host"), 0);
}

#[tokio::test]
async fn who_says_nothing_is_left() {
    let limits = Limits { handshake: Duration::from_millis(100), ..Limits::standard() };
    let world = World::new(limits).await;
    let _silent = TcpStream::connect(world.address).await.unwrap();
    let mut half = TcpStream::connect(world.address).await.unwrap();
    half.write_all(HALF_A_HANDSHAKE).await.unwrap();
    while world.events.count("failed timed-out") < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut garbage = TcpStream::connect(world.address).await.unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    world.events.wait_for("failed tls").await;
    drop(TcpStream::connect(world.address).await.unwrap());
    world.events.wait_for("failed closed").await;
    assert_eq!(world.listener.connections(), 0);
}

#[tokio::test]
async fn slow_and_senseless_peers_delay_nobody() {
    let limits = Limits {
        stall: Duration::from_millis(300),
        questions_per_second: u32::MAX,
        ..Limits::standard()
    };
    let world = World::new(limits).await;
    let link = world.link();
    ask(&link, 10).await;

    let mut half = Raw::connect(&world).await;
    half.write(b"\0\0\x10\0half of it").await;

    let mut long = Raw::connect(&world).await;
    long.write(b"\0\x4c\x4b\x40").await;
    let _hello = long.message().await.unwrap();
    let farewell = long.answer().await.unwrap();
    let Outcome::Refused(Refused::Failed(text)) = farewell.outcome else { panic!("a reason") };
    assert!(text.contains("a frame of at most 65536 bytes expected, 5000000 came"), "{text}");
    assert_eq!((farewell.number, long.answer().await), (0, None));
    world.events.wait_for("ended malformed").await;

    let mut greedy = Raw::connect(&world).await;
    let mut questions = Vec::new();
    for number in 1..=1_000 {
        question(10).put(number, LONG, &mut questions);
    }
    let stalled = async { while greedy.stream.write_all(&questions).await.is_ok() {} };
    let others = async {
        while world.events.count("ended stalled") == 0 {
            ask(&link, 11).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, async { tokio::join!(stalled, others) }).await.unwrap();
    assert_eq!(world.events.count("full") + world.events.count("resumed"), 4);
    ask(&link, 12).await;
}
