//! The agent's start, reload and end.

use std::fs;
use std::os::unix::fs::FileTypeExt;

use super::super::puppet::connected;
use super::super::support::eventually;
use super::daemon::{NO_DOMAIN, ONE, OPEN, Partnerd};
use super::places::{addresses, two_stacks};
use super::speaker::Speaker;

crate::harness::tests![
    a_reload_puts_a_new_policy_in_force_and_drops_no_question,
    a_reload_puts_new_limits_in_force,
    a_reload_of_what_is_not_valid_changes_nothing,
    a_new_policy_file_counts_without_a_reload,
    the_agent_stops_on_request_and_takes_its_socket_along,
    a_second_agent_on_the_same_socket_is_refused,
    a_configuration_that_is_not_valid_is_refused_with_its_place,
    the_socket_of_an_agent_that_was_killed_is_replaced,
    what_is_no_socket_is_not_replaced,
];

fn a_reload_puts_a_new_policy_in_force_and_drops_no_question() {
    let (_there, agent, server, client) = two_stacks(OPEN);
    let [at, _] = addresses(1, 1, 8080);
    let (near, far) = connected(&server, &client, at);
    let asked = format!("many 2000 5000 {}", far.id());
    server.send(&asked);
    for turn in 1..20 {
        eventually("some are answered", || agent.audit().lines().count() >= turn * 50);
        agent.write("policy.toml", if turn % 2 == 0 { OPEN } else { ONE });
        agent.signal("HUP");
    }
    // Permitted by both.
    assert_eq!(server.reply(&asked).unwrap(), "user 1001=2000");
    for (policy, said) in
        [(OPEN, "user 1000"), (ONE, "NotAuthorized"), (NO_DOMAIN, "SecurityDomain")]
    {
        agent.write("policy.toml", policy);
        agent.signal("HUP");
        eventually(said, || near.must("anew user 5000") == said);
    }
}

fn a_reload_puts_new_limits_in_force() {
    let agent = Partnerd::start(OPEN);
    let _first = Speaker::new(&agent.socket());
    let is_taken = || {
        let second = Speaker::new(&agent.socket());
        let _ = second.send(&[0xff], &[]);
        let said = second.receive().unwrap();
        !said.text.contains("connections to the agent already")
    };
    assert!(is_taken());
    agent.configure(true, "[limits]\nconnections_per_user = 1");
    agent.signal("HUP");
    eventually("one is the most", || !is_taken());
    agent.configure(true, "");
    agent.signal("HUP");
    eventually("more are taken", is_taken);
}

fn a_reload_of_what_is_not_valid_changes_nothing() {
    let (_there, agent, server, client) = two_stacks(OPEN);
    let [at, _] = addresses(1, 1, 8080);
    let (near, _far) = connected(&server, &client, at);
    let says = |text: &str| eventually(text, || agent.log().contains(text));
    agent.write("policy.toml", &(NO_DOMAIN.to_owned() + "unknown = 1\n"));
    agent.signal("HUP");
    says("policy.toml:5:1: [unknown-key]");
    assert_eq!(near.must("anew user 5000"), "user 1000");
    agent.write("policy.toml", OPEN);
    agent.write("partnerd.toml", "[limits]\nconnections = 0\n");
    agent.signal("HUP");
    says("partnerd.toml:2:15: expected a number from 1 to 1000000");
    assert_eq!(near.must("anew user 5000"), "user 1000");
    // And it can be mended.
    agent.configure(true, "");
    agent.write("policy.toml", ONE);
    agent.signal("HUP");
    eventually("the new policy", || near.must("anew user 5000") == "NotAuthorized");
}

fn a_new_policy_file_counts_without_a_reload() {
    let (_there, agent, server, client) = two_stacks(OPEN);
    let [at, _] = addresses(1, 1, 8080);
    let (near, _far) = connected(&server, &client, at);
    assert_eq!(near.must("anew user 5000"), "user 1000");
    agent.write("new.toml", ONE);
    fs::rename(agent.file("new.toml"), agent.file("policy.toml")).unwrap();
    eventually("it is in force", || near.must("anew user 5000") == "NotAuthorized");
}

fn the_agent_stops_on_request_and_takes_its_socket_along() {
    for signal in ["TERM", "INT"] {
        let agent = Partnerd::start(OPEN);
        let idle = Speaker::new(&agent.socket());
        assert!(fs::symlink_metadata(agent.socket()).unwrap().file_type().is_socket());
        agent.signal(signal);
        assert_eq!(agent.wait(), Some(0), "{signal}: {}", agent.log());
        assert!(!agent.socket().exists(), "{signal}");
        assert_eq!(idle.receive(), None, "{signal}");
    }
}

fn a_second_agent_on_the_same_socket_is_refused() {
    let agent = Partnerd::start(OPEN);
    for _ in 0..3 {
        let (status, said) = agent.fails();
        assert_eq!(status, Some(4), "{said}");
        assert!(said.contains("another agent answers there"), "{said}");
        assert!(said.contains(agent.socket().to_str().unwrap()), "{said}");
    }
    let speaker = Speaker::new(&agent.socket());
    assert!(speaker.ask(&[0xff], &[]).text.contains("malformed"));
}

fn a_configuration_that_is_not_valid_is_refused_with_its_place() {
    let agent = Partnerd::prepare(Some(OPEN), "");
    for (file, text, place) in [
        ("partnerd.toml", "[limits]\nconnections = 0\n", "/partnerd.toml:2:15: "),
        ("partnerd.toml", "\n\nlisten = 1\n", "/partnerd.toml:3:1: "),
        ("partnerd.toml", "policy = \"/nowhere/policy.toml\"\n", "/nowhere/policy.toml: "),
        ("policy.toml", "[[profile]]\nname = \"A..B\"\n", "/policy.toml:2:8: [empty-qualifier]"),
    ] {
        agent.configure(true, "");
        agent.write("policy.toml", OPEN);
        agent.write(file, text);
        let (status, said) = agent.fails();
        assert_eq!(status, Some(3), "{said}");
        assert!(said.contains(place), "{said}");
        assert!(!agent.socket().exists(), "{said}");
    }
    // Nothing is told that cannot be recorded.
    agent.configure(true, "");
    agent.write("policy.toml", OPEN);
    fs::create_dir(agent.file("audit.jsonl")).unwrap();
    let (status, said) = agent.fails();
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("audit.jsonl"), "{said}");
}

fn the_socket_of_an_agent_that_was_killed_is_replaced() {
    let agent = Partnerd::start(OPEN);
    for _ in 0..3 {
        let before = Speaker::new(&agent.socket());
        agent.kill();
        assert_eq!(before.receive(), None);
        assert!(agent.socket().exists(), "staging");
        agent.run();
        let speaker = Speaker::new(&agent.socket());
        assert!(speaker.ask(&[0xff], &[]).text.contains("malformed"));
    }
}

fn what_is_no_socket_is_not_replaced() {
    let agent = Partnerd::prepare(Some(OPEN), "");
    fs::write(agent.socket(), "precious").unwrap();
    let (status, said) = agent.fails();
    assert_eq!(status, Some(4), "{said}");
    assert_eq!(fs::read_to_string(agent.socket()).unwrap(), "precious");
}
