//! A link between agents does not outlive the certificates that it was made with.

use std::time::Duration;

use super::super::agent::places::{addresses, neighbour};
use super::super::support::eventually;
use super::site::{Authority, connected};

crate::harness::tests![an_expired_certificate_names_nobody_until_it_is_renewed];

fn an_expired_certificate_names_nobody_until_it_is_renewed() {
    let there = neighbour(8);
    let authority = Authority::new("TEST.DOMAIN");
    let one = authority.start("one");
    let two = there.run(|| authority.start("two"));
    authority.issue_for("two", Duration::from_secs(4));
    two.signal("HUP");
    eventually("it is taken", || two.log().contains("a new identity is in force"));
    let (server, client) = (one.puppet(1000), there.run(|| two.puppet(1001)));
    let ends = addresses(8, 1, 8080).map(|at| connected(&server, &client, at));
    for (near, far) in &ends {
        assert_eq!(far.must("anew user 5000"), "user 1001");
        assert_eq!(near.must("anew user 5000"), "user 1000");
    }
    for (near, far) in &ends {
        // Over links that were made while it was valid, too.
        eventually("it has expired", || far.must("anew user 5000") == "Agent");
        eventually("it has expired", || near.must("anew user 5000") == "Agent");
    }
    authority.issue("two", &[]);
    two.signal("HUP");
    for (near, far) in &ends {
        eventually("it is renewed", || far.must("anew user 5000") == "user 1001");
        eventually("it is renewed", || near.must("anew user 5000") == "user 1000");
    }
}
