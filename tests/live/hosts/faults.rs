//! The agent of the partner's host is not there, not in time, or is no agent.

use super::super::agent::daemon::{OPEN, Partnerd};
use super::super::agent::places::{addresses, neighbour};
use super::super::puppet::{Far, Puppet, connected};
use super::super::support::{eventually, run};
use super::site::{Authority, two_hosts};

crate::harness::tests![
    without_an_agent_on_the_partner_s_host_the_place_alone_is_told,
    an_agent_that_is_killed_amid_another_host_s_questions_leaves_no_wrong_answer,
    a_link_that_is_down_ends_a_question_in_time,
    what_listens_in_the_agent_s_place_and_is_silent_lets_questions_time_out,
];

fn without_an_agent_on_the_partner_s_host_the_place_alone_is_told() {
    let there = neighbour(8);
    let authority = Authority::new("TEST.DOMAIN");
    let one = authority.start("one");
    let two = Partnerd::prepare(Some(OPEN), &authority.host("two"));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let ends = addresses(8, 1, 8080).map(|at| connected(&server, &client, at));
    for (_, far) in &ends {
        assert_eq!(far.must("anew user 5000"), "Agent");
        assert_eq!(far.must("anew token 5000"), "Agent");
        assert_eq!(far.must("anew routing 5000"), "routing 1");
        let why = far.must("why user 5000");
        assert!(why.contains("the partner's host answers no question"), "{why}");
    }
    there.run(|| two.run());
    for (near, far) in &ends {
        // The same connections; and whoever asked before may ask again.
        eventually("the agent is found", || far.must("ask user 5000") == "user 1001");
        assert_eq!(near.must("ask user 5000"), "user 1000");
        assert_eq!(far.must("anew routing 5000"), "routing 2");
    }
}

const CONNECTIONS: usize = 8;
/// Questions about each connection.
const EACH: usize = 400;

fn an_agent_that_is_killed_amid_another_host_s_questions_leaves_no_wrong_answer() {
    let (there, _authority, one, two) = two_hosts();
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let [v4, v6] = addresses(8, 1, 8080);
    let ends: Vec<_> =
        (0..CONNECTIONS).map(|n| connected(&server, &client, [v4, v6][n % 2])).collect();
    let ids: Vec<_> = ends.iter().map(|(_, far)| Far::id(far)).collect();
    let many = |each: usize| format!("many {each} 3000 {}", ids.join(" "));
    let all = |each: usize| format!("user 1001={}", CONNECTIONS * each);
    assert_eq!(server.must(&many(5)), all(5));

    server.send(&many(EACH));
    let recorded = || two.audit().lines().count();
    for _ in 0..3 {
        let before = recorded();
        eventually("some are answered", || recorded() >= before + 100);
        two.kill();
        there.run(|| two.run());
    }
    assert!(recorded() < CONNECTIONS * EACH, "staging: all were answered before");
    let said = server.reply("many").unwrap();
    let (mut count, mut right) = (0, 0);
    for part in said.split(',') {
        let (answer, times) = part.rsplit_once('=').unwrap();
        let times: usize = times.parse().unwrap();
        count += times;
        match answer {
            "user 1001" => right += times,
            // Never another user, nor an answer long after its time.
            _ => assert!(["Agent", "TimedOut"].contains(&answer), "{said}"),
        }
    }
    assert_eq!(count, CONNECTIONS * EACH, "{said}");
    assert!(right >= 300, "{said}");
    eventually("it is found again", || server.must(&many(1)) == all(1));
    assert_eq!(server.must(&many(5)), all(5));
}

fn a_link_that_is_down_ends_a_question_in_time() {
    let there = neighbour(8);
    // Else the addresses of IPv6 are lost with the link.
    there.run(|| run("sysctl -qw net.ipv6.conf.all.keep_addr_on_down=1"));
    let authority = Authority::new("TEST.DOMAIN");
    let (one, two) = (authority.start("one"), there.run(|| authority.start("two")));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let ends = addresses(8, 1, 8080).map(|at| connected(&server, &client, at));
    for (near, far) in &ends {
        // There are links between the agents now.
        assert_eq!(far.must("anew user 5000"), "user 1001");
        assert_eq!(near.must("anew user 5000"), "user 1000");
    }
    there.run(|| run("ip link set far8 down"));
    for (near, far) in &ends {
        for (puppet, end) in [(&server, far), (&client, near)] {
            let said = puppet.must(&format!("many 1 500 {}", end.id()));
            assert!(["Agent=1", "TimedOut=1"].contains(&&*said), "{said}");
        }
    }
    there.run(|| run("ip link set far8 up"));
    for (near, far) in &ends {
        eventually("the link is up", || far.must("anew user 1000") == "user 1001");
        eventually("the link is up", || near.must("anew user 1000") == "user 1000");
    }
}

/// A program may listen where the agent does not.
fn what_listens_in_the_agent_s_place_and_is_silent_lets_questions_time_out() {
    let there = neighbour(8);
    let authority = Authority::new("TEST.DOMAIN");
    let one = authority.start("one");
    let two = Partnerd::prepare(Some(OPEN), &authority.host("two"));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let impostor = there.run(|| Puppet::new(1003));
    let ends = addresses(8, 1, 8080).map(|at| connected(&server, &client, at));
    let silent = addresses(8, 2, 0xf612).map(|at| impostor.listen(at));
    for (_, far) in &ends {
        assert_eq!(far.must("anew user 300"), "TimedOut");
        assert_eq!(far.must("anew token 300"), "TimedOut");
    }
    // They were connected to.
    for listener in silent {
        listener.accept().close();
        listener.close();
    }
    impostor.kill();
    there.run(|| two.run());
    for (_, far) in &ends {
        eventually("the agent is found", || far.must("anew user 1000") == "user 1001");
    }
}
