//! The agent goes away and comes back.

use super::super::puppet::{Far, Puppet, connected};
use super::super::support::{eventually, run};
use super::daemon::{OPEN, Partnerd};
use super::places::{addresses, neighbour, two_stacks};

crate::harness::tests![
    an_agent_that_is_killed_amid_questions_leaves_no_wrong_answer,
    an_agent_that_is_stopped_amid_questions_leaves_no_wrong_answer,
    an_agent_that_stands_still_lets_questions_time_out,
    a_program_finds_an_agent_that_was_started_after_it,
];

const CONNECTIONS: usize = 8;
/// Questions about each connection, from each end.
const EACH: usize = 1_000;
/// What may be said where the agent is not there, or not in time.
const ERRORS: [&str; 3] = ["Agent", "NotInThisStack", "TimedOut"];

fn ids(ends: &[Far<'_>]) -> String {
    ends.iter().map(Far::id).collect::<Vec<_>>().join(" ")
}

/// Asserts that all questions were answered, with the right user or an error; returns how many
/// with the user.
fn right(said: &str, user: &str) -> usize {
    let mut counts = (0, 0);
    for part in said.split(',') {
        let (said, count) = part.rsplit_once('=').unwrap();
        let count: usize = count.parse().unwrap();
        counts.0 += count;
        if said == user {
            counts.1 += count;
        } else {
            assert!(ERRORS.contains(&said), "{said}");
        }
    }
    assert_eq!(counts.0, CONNECTIONS * EACH, "{said}");
    counts.1
}

fn with_questions_on_their_way(disturb: impl Fn(&Partnerd)) {
    let (_there, agent, server, client) = two_stacks(OPEN);
    let listeners = addresses(1, 1, 8080).map(|at| (at, server.listen(at)));
    let (near, far): (Vec<_>, Vec<_>) = (0..CONNECTIONS)
        .map(|n| {
            let (at, listener) = &listeners[n % 2];
            (client.connect(*at), listener.accept())
        })
        .unzip();
    let ask = |each: usize| {
        let of_server = format!("many {each} 3000 {}", ids(&far));
        let of_client = format!("many {each} 3000 {}", ids(&near));
        server.send(&of_server);
        client.send(&of_client);
        (of_server, of_client)
    };
    let answers = |(of_server, of_client): (String, String)| {
        (server.reply(&of_server).unwrap(), client.reply(&of_client).unwrap())
    };
    // What each keeps open once it has asked.
    let all = |user: &str, each: usize| format!("{user}={}", CONNECTIONS * each);
    assert_eq!(answers(ask(5)), (all("user 1001", 5), all("user 1000", 5)));
    let open = |puppet: &Puppet| puppet.must("open-descriptors").parse::<u32>().unwrap();
    // The runtime lets go of the last connection to the agent a moment later.
    let fewest = |puppet| (0..50).map(|_| open(puppet)).min().unwrap();
    let before = (fewest(&server), fewest(&client));

    let recorded = || agent.audit().lines().count();
    let asked = ask(EACH);
    for _ in 0..3 {
        let before = recorded();
        eventually("some are answered", || recorded() >= before + 100);
        disturb(&agent);
    }
    assert!(recorded() < 2 * CONNECTIONS * EACH, "staging: all were answered before");
    let said = answers(asked);
    assert!(right(&said.0, "user 1001") > 400, "{}", said.0);
    assert!(right(&said.1, "user 1000") > 400, "{}", said.1);

    assert_eq!(answers(ask(5)), (all("user 1001", 5), all("user 1000", 5)));
    // A socket that the kernel is asked for routes by is made once, when it is needed first; what is
    // lost with an agent is lost three times.
    eventually("nothing is left open", || {
        open(&server) <= before.0 + 1 && open(&client) <= before.1 + 1
    });
    agent.kill();
    agent.run();
    assert_eq!(answers(ask(5)), (all("user 1001", 5), all("user 1000", 5)));
    let once = agent.descriptors();
    assert_eq!(answers(ask(200)), (all("user 1001", 200), all("user 1000", 200)));
    eventually("the agent keeps nothing", || agent.descriptors() <= once);
}

fn an_agent_that_is_killed_amid_questions_leaves_no_wrong_answer() {
    with_questions_on_their_way(|agent| {
        agent.kill();
        agent.run();
    });
}

fn an_agent_that_is_stopped_amid_questions_leaves_no_wrong_answer() {
    with_questions_on_their_way(|agent| {
        agent.signal("TERM");
        assert_eq!(agent.wait(), Some(0));
        agent.run();
    });
}

fn an_agent_that_stands_still_lets_questions_time_out() {
    let (_there, agent, server, client) = two_stacks(OPEN);
    let [at, _] = addresses(1, 1, 8080);
    let (near, far) = connected(&server, &client, at);
    run(&format!("kill -STOP {}", agent.pid()));
    assert_eq!(far.must("ask user 200"), "TimedOut");
    assert_eq!(near.must("anew user 200"), "TimedOut");
    run(&format!("kill -CONT {}", agent.pid()));
    // The retrieval has gone on.
    assert_eq!(far.must("ask user 5000"), "user 1001");
    assert_eq!(near.must("anew user 5000"), "user 1000");
}

fn a_program_finds_an_agent_that_was_started_after_it() {
    let there = neighbour(1);
    let agent = Partnerd::prepare(Some(OPEN), "");
    let server = agent.puppet(1000);
    let client = there.run(|| agent.puppet(1001));
    let [at, _] = addresses(1, 1, 8080);
    let (_near, far) = connected(&server, &client, at);
    assert_eq!(far.must("ask user 5000"), "NotInThisStack");
    assert_eq!(far.must("ask routing 5000"), "routing 1");
    agent.run();
    eventually("the agent is found", || far.must("ask user 5000") == "user 1001");
}
