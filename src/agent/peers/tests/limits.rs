//! How much one peer may have, and how long it may take.

use super::raw::Raw;
use super::*;
use crate::protocol::Refused;

#[tokio::test]
async fn connections_of_one_address_and_of_all() {
    let limits = Limits { connections: 4, connections_per_address: 2, ..Limits::standard() };
    let world = World::new(limits).await;
    let first = Raw::connect(&world).await;
    let second = Raw::connect(&world).await;
    let _third = Raw::connect(&world).await;
    world.events.wait_for("refused too-many-of-host").await;
    drop((first, second));
    while world.listener.connections() > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Half of all are for those who are proven.
    let mut silent = Vec::new();
    for host in 2..5 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((IpAddr::from([127, 0, 0, host]), 0).into()).unwrap();
        silent.push(socket.connect(world.address).await.unwrap());
    }
    world.events.wait_for("refused too-many-unproven").await;
}

#[tokio::test]
async fn questions_in_flight() {
    let world = World::new(Limits { questions: 3, ..Limits::standard() }).await;
    let mut raw = Raw::connect(&world).await;
    let mut out = Vec::new();
    for number in 1..=5 {
        question(NEVER).put(number, LONG, &mut out);
    }
    question(10).put(6, LONG, &mut out);
    raw.write(&out).await;
    let _hello = raw.message().await.unwrap();
    for number in 4..=6 {
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.number, number);
        assert!(matches!(answer.outcome, Outcome::Refused(Refused::Failed(_))));
    }
    assert_eq!(world.events.count("question over-limit"), 3);
}

#[tokio::test]
async fn a_question_takes_no_longer_than_it_says() {
    let limits = Limits { question: Duration::from_millis(200), ..Limits::standard() };
    let world = World::new(limits).await;
    let mut raw = Raw::connect(&world).await;
    let mut out = Vec::new();
    question(NEVER).put(1, LONG, &mut out);
    question(NEVER).put(2, Duration::from_millis(20), &mut out);
    question(NEVER).put(3, Duration::ZERO, &mut out);
    question(10).put(4, Duration::ZERO, &mut out);
    raw.write(&out).await;
    let _hello = raw.message().await.unwrap();
    for (number, is_told) in [(4, true), (3, false), (2, false), (1, false)] {
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.number, number);
        assert_eq!(answer.outcome == told(10), is_told, "{answer:?}");
    }
}

#[tokio::test]
async fn who_asks_too_fast_waits() {
    let limits = Limits { questions_per_second: 100, ..Limits::standard() };
    let world = World::new(limits).await;
    let link = world.link();
    let began = tokio::time::Instant::now();
    for _ in 0..40 {
        ask(&link, 10).await;
    }
    // A tenth of a second may be spent at once.
    assert!(began.elapsed() >= Duration::from_millis(280), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_in_flight_is_answered_before_the_end() {
    let world = World::new(Limits::standard()).await;
    let link = world.link();
    ask(&link, 10).await;
    let late = ask(&link, LATE);
    let close = async {
        tokio::time::sleep(A_WHILE / 4).await;
        world.listener.close(LONG).await;
    };
    tokio::join!(late, close);
    assert_eq!(world.listener.connections(), 0);
    assert_eq!(world.events.count("ended stopped"), 1);
}
