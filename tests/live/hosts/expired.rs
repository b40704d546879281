//! A link between agents does not outlive the certificates that it was made with.

use std::time::Duration;

use super::super::agent::daemon::Partnerd;
use super::super::agent::places::addresses;
use super::super::puppet::{Far, connected};
use super::super::support::eventually;
use super::site::two_hosts;

crate::harness::tests![
    an_expired_certificate_names_nobody_until_it_is_renewed,
    an_expired_certificate_is_not_taken_and_a_renewed_one_is,
];

/// Where the certificate of one host ends soon: named until then, `expired`, and named again when it
/// is renewed. `expired` is given the other host's agent.
fn ends_and_is_renewed(expired: impl FnOnce(&Partnerd, &[(Far<'_>, Far<'_>); 2])) {
    let (there, authority, one, two) = two_hosts();
    authority.issue_for("two", Duration::from_secs(4));
    two.signal("HUP");
    eventually("it is taken", || two.log().contains("a new identity is in force"));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let ends = addresses(8, 1, 8080).map(|at| connected(&server, &client, at));
    for (near, far) in &ends {
        assert_eq!(far.must("anew user 5000"), "user 1001");
        assert_eq!(near.must("anew user 5000"), "user 1000");
    }
    expired(&one, &ends);
    authority.issue("two", &[]);
    two.signal("HUP");
    for (near, far) in &ends {
        eventually("it is renewed", || far.must("anew user 5000") == "user 1001");
        eventually("it is renewed", || near.must("anew user 5000") == "user 1000");
    }
}

fn an_expired_certificate_names_nobody_until_it_is_renewed() {
    ends_and_is_renewed(|_, ends| {
        for (near, far) in ends {
            // Over links that were made while it was valid, too.
            eventually("it has expired", || far.must("anew user 5000") == "Agent");
            eventually("it has expired", || near.must("anew user 5000") == "Agent");
        }
    });
}

/// The links that were made before are lost with the agent that asks.
fn an_expired_certificate_is_not_taken_and_a_renewed_one_is() {
    ends_and_is_renewed(|one, ends| {
        eventually("it has expired", || {
            one.kill();
            one.run();
            ends[0].1.must("anew user 5000") == "Agent"
        });
        for (near, far) in ends {
            assert_eq!(far.must("anew token 5000"), "Agent");
            assert_eq!(near.must("anew token 5000"), "Agent");
            assert_eq!(far.must("anew routing 5000"), "routing 1");
        }
    });
}
