//! How much one user may ask, and that others do not notice.

use std::os::fd::AsFd;

use rustix::io::Errno;
use socket2::Socket;

use super::super::puppet::connected;
use super::super::support::{accept, connect, eventually, listen, loopbacks};
use super::daemon::{OPEN, Partnerd, token};
use super::places::{addresses, neighbour};
use super::speaker::{Speaker, TOKEN, USER, question};

crate::harness::tests![
    a_user_with_too_many_connections_is_told_so,
    the_library_says_that_there_are_too_many_connections,
    too_many_connections_of_all_are_refused,
    who_does_not_read_its_answers_is_dropped_and_others_are_answered,
    a_user_with_too_many_questions_in_flight_is_told_so,
    who_asks_too_fast_waits_and_nobody_else_does,
];

fn pair() -> (Socket, Socket) {
    let [at, _] = loopbacks(8080);
    let listener = listen(at);
    let client = connect(at);
    (client, accept(&listener))
}

/// A caller that is taken in, as soon as there is a place.
fn admitted(agent: &Partnerd, server: &Socket) -> Speaker {
    let mut admitted = None;
    eventually("there is a place", || {
        let next = Speaker::new(&agent.socket());
        let _ = next.send(&question(1, USER), &[server.as_fd()]);
        let is_taken = next.receive().is_some_and(|said| said.what == "user 0");
        admitted = is_taken.then_some(next);
        is_taken
    });
    admitted.unwrap()
}

fn a_user_with_too_many_connections_is_told_so() {
    let agent = Partnerd::configured(OPEN, "[limits]\nconnections_per_user = 2");
    let (_client, server) = pair();
    let mut taken: Vec<_> = (0..2).map(|_| admitted(&agent, &server)).collect();
    let third = Speaker::new(&agent.socket());
    let said = third.receive().unwrap();
    assert_eq!((said.number, &*said.what), (0, "failed"));
    assert!(said.text.contains("uid 0 has 2 connections to the agent already"), "{}", said.text);
    assert_eq!(third.receive(), None);
    // Another user has places of its own.
    let other = agent.puppet(1000);
    let listener = other.listen(loopbacks(8081)[0]);
    let client = agent.puppet(1001);
    let _near = client.connect(loopbacks(8081)[0]);
    assert_eq!(listener.accept().must("anew token 5000"), token(1001, &client));
    // And one that is given back can be had.
    taken.pop();
    let _next = admitted(&agent, &server);
    assert_eq!(taken[0].ask_about(2, &server).what, "user 0");
}

fn the_library_says_that_there_are_too_many_connections() {
    let there = neighbour(1);
    let agent = Partnerd::configured(OPEN, "[limits]\nconnections_per_user = 2");
    let client = there.run(|| agent.puppet(1001));
    let servers: Vec<_> = (0..3).map(|_| agent.puppet(1000)).collect();
    let ends: Vec<_> = (8080..)
        .zip(&servers)
        .map(|(port, server)| {
            let [at, _] = addresses(1, 1, port);
            let listener = server.listen(at);
            client.connect(at);
            listener.accept()
        })
        .collect();
    for end in &ends[..2] {
        assert_eq!(end.must("ask user 5000"), "user 1001");
    }
    assert_eq!(ends[2].must("ask user 5000"), "Agent");
    let why = ends[2].must("why user 5000");
    assert!(why.contains("uid 1000 has 2 connections to the agent already"), "{why}");
    servers[0].kill();
    eventually("there is a place", || ends[2].must("ask user 5000") == "user 1001");
}

fn too_many_connections_of_all_are_refused() {
    let agent = Partnerd::configured(OPEN, "[limits]\nconnections = 3");
    let (_client, server) = pair();
    let taken: Vec<_> = (0..3).map(|_| admitted(&agent, &server)).collect();
    let said = Speaker::new(&agent.socket()).receive().unwrap();
    assert!(said.text.contains("the agent has 3 connections already"), "{}", said.text);
    drop(taken);
    admitted(&agent, &server);
}

fn who_does_not_read_its_answers_is_dropped_and_others_are_answered() {
    let there = neighbour(1);
    let agent = Partnerd::configured(OPEN, "[limits]\nstall_seconds = 1");
    let client = there.run(|| agent.puppet(1001));
    let server = agent.puppet(1000);
    let [at, _] = addresses(1, 1, 8080);
    let (_near, far) = connected(&server, &client, at);
    assert_eq!(far.must("anew token 5000"), token(1001, &client));
    let (_local, passed) = pair();
    let descriptors = agent.descriptors();
    let flooders: Vec<_> = (0..8).map(|_| Speaker::new(&agent.socket())).collect();
    let mut sent = 0_u64;
    let mut dropped = vec![false; flooders.len()];
    eventually("all are dropped", || {
        for (flooder, dropped) in flooders.iter().zip(&mut dropped) {
            loop {
                match flooder.send(&question(sent, USER), &[passed.as_fd()]) {
                    Ok(()) => sent += 1,
                    Err(Errno::PIPE | Errno::CONNRESET) => break *dropped = true,
                    Err(_) => break,
                }
            }
        }
        // All the while.
        assert_eq!(far.must("anew user 5000"), "user 1001");
        dropped.iter().all(|dropped| *dropped)
    });
    assert!(sent > 100, "{sent}");
    drop(flooders);
    assert_eq!(far.must("anew token 5000"), token(1001, &client));
    eventually("nothing is kept of them", || agent.descriptors() <= descriptors);
}

fn a_user_with_too_many_questions_in_flight_is_told_so() {
    let there = neighbour(1);
    let agent = Partnerd::configured(OPEN, "[limits]\nquestions_per_user = 4");
    let client = there.run(|| agent.puppet(1001));
    let server = agent.puppet(1000);
    let [at, _] = addresses(1, 1, 8080);
    let (_near, far) = connected(&server, &client, at);
    let speaker = Speaker::new(&agent.socket());
    let (_local, passed) = pair();
    // Tokens take a while, and a user's come one after the other.
    for number in 1..=40 {
        speaker.send(&question(number, TOKEN), &[passed.as_fd()]).unwrap();
    }
    assert_eq!(far.must("anew token 5000"), token(1001, &client));
    let answers: Vec<_> = (0..40).map(|_| speaker.receive().unwrap()).collect();
    let (told, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|said| said.what == "user 0");
    assert!(told.len() >= 4, "{told:?}");
    assert!(!refused.is_empty(), "{told:?}");
    for said in &refused {
        assert_eq!(said.what, "failed");
        let text = "uid 0 has 4 questions in flight already; ask fewer at a time";
        assert!(said.text.contains(text), "{said:?}");
    }
    let mut numbers: Vec<_> = answers.iter().map(|said| said.number).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=40));
    // It may ask again.
    assert_eq!(speaker.ask(&question(41, TOKEN), &[passed.as_fd()]).what, "user 0");
}

fn who_asks_too_fast_waits_and_nobody_else_does() {
    let there = neighbour(1);
    let agent = Partnerd::configured(OPEN, "[limits]\nquestions_per_second = 50");
    let client = there.run(|| agent.puppet(1001));
    let server = agent.puppet(1000);
    let [at, _] = addresses(1, 1, 8080);
    let (_near, far) = connected(&server, &client, at);
    let speaker = Speaker::new(&agent.socket());
    let (_local, passed) = pair();
    let sent = (1..=100).filter(|n| speaker.send(&question(*n, USER), &[passed.as_fd()]).is_ok());
    let sent = sent.count();
    // Two seconds' worth, less what may be asked in one go.
    assert_eq!(far.must("anew user 5000"), "user 1001");
    let answered = agent.audit().lines().filter(|line| line.contains("\"uid\":0,")).count();
    assert!(answered < sent, "{answered} of {sent} were answered before somebody else's one");
    for number in 1..=u64::try_from(sent).unwrap() {
        let said = speaker.receive().unwrap();
        assert_eq!((said.number, &*said.what), (number, "user 0"));
    }
}
