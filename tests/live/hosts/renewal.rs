//! Certificates that are renewed.

use super::super::agent::places::addresses;
use super::super::puppet::{Far, connected};
use super::super::support::eventually;
use super::site::two_hosts;

crate::harness::tests![renewed_certificates_cost_no_question_its_answer,];

fn renewed_certificates_cost_no_question_its_answer() {
    let (there, authority, one, two) = two_hosts();
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
