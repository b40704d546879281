//! Certificates that are renewed, and that are not.

use std::time::Duration;

use super::super::agent::places::{addresses, neighbour};
use super::super::puppet::Far;
use super::super::support::eventually;
use super::site::{Authority, connected};

crate::harness::tests![
    renewed_certificates_cost_no_question_its_answer,
    an_expired_certificate_is_not_taken_and_a_renewed_one_is,
];

fn renewed_certificates_cost_no_question_its_answer() {
    let there = neighbour(8);
    let authority = Authority::new("TEST.DOMAIN");
    let (one, two) = (authority.start("one"), there.run(|| authority.start("two")));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let ends: Vec<_> = addresses(8, 1, 8080)
        .into_iter()
        .chain(addresses(8, 1, 8081))
        .map(|at| connected(&server, &client, at))
        .collect();
    let ids: Vec<_> = ends.iter().map(|(_, far)| Far::id(far)).collect();
    let many = format!("many 1000 5000 {}", ids.join(" "));
    server.send(&many);
    let recorded = || two.audit().lines().count();
    for turn in 1..=4 {
        for (name, agent) in [("one", &one), ("two", &two)] {
            let before = recorded();
            authority.issue(name, &[]);
            agent.signal("HUP");
            let renewed = || agent.log().matches("a new identity is in force").count();
            eventually("it is renewed", || renewed() >= turn);
            eventually("some are answered", || recorded() >= before + 20);
        }
    }
    assert!(recorded() < 4000, "staging: all were answered before");
    assert_eq!(server.reply(&many).unwrap(), "user 1001=4000");
}

/// The links that were made before are lost with the agent that asks.
fn an_expired_certificate_is_not_taken_and_a_renewed_one_is() {
    let there = neighbour(8);
    let authority = Authority::new("TEST.DOMAIN");
    let (one, two) = (authority.start("one"), there.run(|| authority.start("two")));
    authority.issue_for("two", Duration::from_secs(4));
    two.signal("HUP");
    eventually("it is taken", || two.log().contains("a new identity is in force"));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let ends = addresses(8, 1, 8080).map(|at| connected(&server, &client, at));
    for (near, far) in &ends {
        assert_eq!(far.must("anew user 5000"), "user 1001");
        assert_eq!(near.must("anew user 5000"), "user 1000");
    }
    eventually("it has expired", || {
        one.kill();
        one.run();
        ends[0].1.must("anew user 5000") == "Agent"
    });
    for (near, far) in &ends {
        assert_eq!(far.must("anew token 5000"), "Agent");
        assert_eq!(near.must("anew token 5000"), "Agent");
        assert_eq!(far.must("anew routing 5000"), "routing 1");
    }
    authority.issue("two", &[]);
    two.signal("HUP");
    for (near, far) in &ends {
        eventually("it is renewed", || far.must("anew user 5000") == "user 1001");
        eventually("it is renewed", || near.must("anew user 5000") == "user 1000");
    }
}
