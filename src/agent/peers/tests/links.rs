//! Asking: many at once, in any order, over connections that break.

use futures_util::{StreamExt, stream};

use super::raw::{Does, begin, host, link_to};
use super::*;

#[tokio::test]
async fn answers_come_in_any_order() {
    let world = World::new(Limits::standard()).await;
    let link = world.link();
    let order = Mutex::new(Vec::new());
    let asked = async |port| {
        ask(&link, port).await;
        order.lock().unwrap().push(port);
    };
    tokio::join!(asked(LATE), asked(10), asked(LATE), asked(11));
    let order = order.into_inner().unwrap();
    assert_eq!(order[2..], [LATE, LATE], "{order:?}");
    assert_eq!(world.events.count("full"), 1, "over one connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_questions_of_which_64_are_in_flight() {
    let world = World::new(Limits::standard()).await;
    let link = world.link();
    let asked = stream::iter(1_000..2_000_u16).map(|port| {
        let link = &link;
        async move { ask(link, port).await }
    });
    let answered = asked.buffer_unordered(64).count().await;
    assert_eq!(answered, 1_000);
    assert_eq!(world.listener.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_may_be_in_flight_wait_their_turn() {
    let world = World::new(Limits::standard()).await;
    let link = world.link();
    let asked = stream::iter(1_000..3_000_u16).map(|port| {
        let link = &link;
        async move { ask(link, if port % 50 == 0 { LATE } else { port }).await }
    });
    assert_eq!(asked.buffer_unordered(1_000).count().await, 2_000);
    assert_eq!(world.events.count("question over-limit"), 0);
}

#[tokio::test]
async fn what_was_on_its_way_when_a_connection_broke_is_asked_again() {
    let tls = certificates::domain();
    let to = host(&tls, Does::Reset, Does::Answer).await;
    let link = link_to(&tls, &to);
    let asked = stream::iter(10..20_u16).map(|port| ask(&link, port)).buffer_unordered(10);
    assert_eq!(asked.count().await, 10);
    assert_eq!(to.dials(), 2);
}

#[tokio::test]
async fn a_question_that_breaks_connections_is_not_asked_for_ever() {
    let tls = certificates::domain();
    let to = host(&tls, Does::Reset, Does::Reset).await;
    let link = link_to(&tls, &to);
    let error = link.ask(question(10)).await.unwrap_err();
    assert!(matches!(error, AskError::Lost(_)), "{error:?}");
    assert_eq!(to.dials(), 2);
}

#[tokio::test]
async fn who_never_answers_is_waited_for_until_the_deadline() {
    let tls = certificates::domain();
    for does in [Does::Silent, Does::Dead] {
        let to = host(&tls, does, does).await;
        let link = link_to(&tls, &to);
        let within = Duration::from_millis(150);
        let asked = stream::iter(10..20).map(|port| link.ask(question_within(port, within)));
        let errors: Vec<_> = asked.buffer_unordered(10).collect().await;
        assert!(errors.iter().all(|error| *error == Err(AskError::TimedOut)), "{errors:?}");
        assert_eq!(to.dials(), 1, "{does:?}");
    }
}

#[tokio::test]
async fn where_nobody_listens_everybody_is_told_at_once() {
    let tls = certificates::domain();
    let listener = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let to = To::new(listener.local_addr().unwrap());
    drop(listener);
    let link = link_to(&tls, &to);
    for _ in 0..10 {
        let error = link.ask(question(10)).await.unwrap_err();
        assert!(matches!(&error, AskError::Unreachable(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with("the partner's host answers no question: "), "{text}");
    }
    assert!(to.dials() <= 3, "not at every question: {}", to.dials());
}

#[tokio::test]
async fn what_a_peer_should_not_say_ends_the_connection_and_is_not_believed() {
    let tls = certificates::domain();
    type Expected = fn(&AskError) -> bool;
    let rows: [(Does, Expected); 5] = [
        (Does::Babble, |error| matches!(error, AskError::Failed(_))),
        (Does::Say(b"\0\x4c\x4b\x40"), |error| matches!(error, AskError::Failed(_))),
        (Does::Say(b"\0\0\0\x02\xff\xff"), |error| matches!(error, AskError::Failed(_))),
        (Does::Say(b"\0\0\0\x06\x08\0\x22\x02\x08\x02"), |error| {
            *error == AskError::SecurityDomain
        }),
        (Does::OtherDomain, |error| *error == AskError::SecurityDomain),
    ];
    for (does, expected) in rows {
        let to = host(&tls, does, does).await;
        let link = link_to(&tls, &to);
        // A token was not asked for, and neither was a user.
        let asked = Question { request: PartnerRequest::empty(), ..question(10) };
        let error = link.ask(asked).await.unwrap_err();
        assert!(expected(&error), "{does:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_reconnection_resumes_the_session() {
    let world = World::new(Limits::standard()).await;
    let link = world.link();
    ask(&link, 10).await;
    world.events.wait_for("full").await;
    // The tickets come after the handshake, with the first answer at the latest.
    world.listener.remove(NAMESPACE);
    world.events.wait_for("ended stopped").await;
    let socket = TcpListener::bind(world.address).await.unwrap();
    world.listener.add(NAMESPACE, socket);
    ask(&link, 11).await;
    assert_eq!((world.events.count("full"), world.events.count("resumed")), (1, 1));
}

#[tokio::test]
async fn a_link_that_is_not_used_is_closed_and_made_again() {
    let world = World::new(Limits::standard()).await;
    let means = Means { idle: Duration::from_millis(50), ..world.means() };
    let link = Link::new(KEY, Arc::new(means));
    ask(&link, 10).await;
    world.events.wait_for("ended closed").await;
    assert!(link.is_fresh());
    ask(&link, 11).await;
    assert_eq!(world.events.count("resumed"), 1);
}

#[tokio::test]
async fn a_question_that_is_dropped_is_forgotten() {
    let world = World::new(Limits::standard()).await;
    let link = world.link();
    for _ in 0..1_000 {
        let mut asked = Box::pin(link.ask(question(NEVER)));
        begin(&mut asked).await;
    }
    ask(&link, 10).await;
    assert_eq!(link.questions(), 0);
}

#[tokio::test]
async fn the_least_recently_used_links_are_closed() {
    let world = World::new(Limits::standard()).await;
    let peers = Peers::new(world.means(), 4);
    for host in 1..=10 {
        let local = IpAddr::from([127, 0, 0, host]);
        let key = Key { local, ..KEY };
        let question = Question { asker: (local, 10).into(), ..question(10) };
        peers.ask(key, question).await.unwrap();
        // One that is used all the time stays.
        let first = Key { local: IpAddr::from([127, 0, 0, 1]), ..KEY };
        let question = Question { asker: (first.local, 10).into(), ..self::question(10) };
        peers.ask(first, question).await.unwrap();
        assert!(peers.len() <= 4);
    }
    assert_eq!(world.events.count("full") + world.events.count("resumed"), 10);
    drop(peers);
    let closed = async {
        while world.listener.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, closed).await.unwrap();
}
