//! Asked in advance about a partner in another namespace.

use super::super::puppet::Far;
use super::super::support::eventually;
use super::daemon::{OPEN, Partnerd, token};
use super::places::{addresses, neighbour, two_stacks};

crate::harness::tests![
    a_connection_that_was_set_before_connect_finds_its_answer_without_a_wait,
    an_accepted_connection_finds_its_answer_without_a_wait,
    what_was_set_and_never_begun_begins_with_the_first_look,
    a_partner_that_accepts_late_is_found_without_a_wait,
    h18_a_prefetch_names_no_stranger,
];

/// Looks again and again without waiting; what the first look said must be one of the two.
fn found_without_a_wait(end: &Far<'_>, what: &str, answer: &str) {
    let first = end.must(&format!("try {what}"));
    assert!(["InProgress", answer].contains(&&*first), "{first}");
    eventually("the answer is here", || {
        let said = end.must(&format!("try {what}"));
        assert!(["InProgress", answer].contains(&&*said), "{said}");
        said == answer
    });
    // Saved by now.
    assert_eq!(end.must(&format!("ask {what} 0")), answer);
}

fn a_connection_that_was_set_before_connect_finds_its_answer_without_a_wait() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    for at in addresses(1, 1, 8080) {
        for what in ["user", "token"] {
            let listener = server.listen(at);
            let near = client.tcp(at);
            assert_eq!(near.must(&format!("set {what}")), "set");
            near.connect_partner(at);
            let _far = listener.accept();
            let answer = if what == "user" { "user 1000".into() } else { token(1000, &server) };
            found_without_a_wait(&near, what, &answer);
            assert_eq!(near.must("set user"), "TooLate");
            listener.close();
        }
    }
}

fn an_accepted_connection_finds_its_answer_without_a_wait() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    for at in addresses(1, 1, 8080) {
        for what in ["user", "token"] {
            let listener = server.listen(at);
            assert_eq!(listener.must(&format!("set {what}")), "set");
            let _near = client.connect(at);
            let far = listener.accept_partner();
            let answer = if what == "user" { "user 1001".into() } else { token(1001, &client) };
            found_without_a_wait(&far, what, &answer);
            listener.close();
        }
    }
}

fn what_was_set_and_never_begun_begins_with_the_first_look() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    for at in addresses(1, 1, 8080) {
        let listener = server.listen(at);
        let _unset = client.connect(at);
        let of_unset = listener.accept();
        assert_eq!(of_unset.must("try user"), "NotRequested");
        assert_eq!(listener.must("set user"), "set");
        let near = client.tcp(at);
        assert_eq!(near.must("set user"), "set");
        near.connect(at).unwrap();
        // Inherited from the listener, though accepted in the plain way.
        let far = listener.accept();
        found_without_a_wait(&far, "user", "user 1001");
        found_without_a_wait(&near, "user", "user 1000");
        listener.close();
    }
}

fn a_partner_that_accepts_late_is_found_without_a_wait() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    for at in addresses(1, 1, 8080) {
        let listener = server.listen(at);
        let near = client.tcp(at);
        assert_eq!(near.must("set user"), "set");
        near.connect_partner(at);
        for _ in 0..20 {
            assert_eq!(near.must("try user"), "InProgress");
        }
        let _far = listener.accept();
        found_without_a_wait(&near, "user", "user 1000");
    }
}

/// The first partner has closed before its place is taken by another user.
fn h18_a_prefetch_names_no_stranger() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let server = agent.puppet(1000);
    let (first, second) = there.run(|| (agent.puppet(1001), agent.puppet(1002)));
    for (at, from) in addresses(1, 1, 8080).into_iter().zip(addresses(1, 2, 20_000)) {
        let listener = server.listen(at);
        assert_eq!(listener.must("set user"), "set");
        first.connect_from(from, at).reset();
        let _newcomer = second.connect_from(from, at);
        let of_first = listener.accept_partner();
        let of_second = listener.accept_partner();
        found_without_a_wait(&of_second, "user", "user 1002");
        for _ in 0..20 {
            let said = of_first.must("try user");
            assert!(!said.starts_with("user"), "{said}");
        }
    }
}
