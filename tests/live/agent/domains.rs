//! The security domain, and what is told without one.

use super::super::puppet::connected;
use super::super::support::eventually;
use super::daemon::{NO_DOMAIN, OPEN, Partnerd, open_in, token};
use super::places::{addresses, neighbour, two_stacks};

crate::harness::tests![
    without_a_domain_the_partner_s_place_is_told_and_nobody_s_name,
    a_domain_of_the_asker_s_own_must_be_the_agent_s,
    a_partner_in_the_own_stack_needs_no_domain,
    a_refused_connection_stays_refused_and_a_new_one_is_answered,
];

fn without_a_domain_the_partner_s_place_is_told_and_nobody_s_name() {
    let (_there, _agent, server, client) = two_stacks(NO_DOMAIN);
    for at in addresses(1, 1, 8080) {
        let (near, far) = connected(&server, &client, at);
        for end in [&near, &far] {
            // Same image, internal; and not the same cluster.
            assert_eq!(end.must("anew routing 5000"), "routing 12", "{at}");
            assert_eq!(end.must("anew user 5000"), "SecurityDomain", "{at}");
            assert_eq!(end.must("anew token 5000"), "SecurityDomain", "{at}");
        }
    }
}

fn a_domain_of_the_asker_s_own_must_be_the_agent_s() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    agent.write("same.toml", &open_in("TEST.DOMAIN"));
    agent.write("case.toml", &open_in("test.Domain"));
    agent.write("other.toml", &open_in("TEST.DOMAIN2"));
    agent.write("none.toml", NO_DOMAIN);
    let client = there.run(|| agent.puppet(1001));
    let [at, _] = addresses(1, 1, 8080);
    for (policy, said) in [
        ("same.toml", "user 1001"),
        ("case.toml", "user 1001"),
        ("other.toml", "SecurityDomain"),
        ("none.toml", "SecurityDomain"),
    ] {
        let server = agent.puppet_under(1000, policy);
        let (_near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew user 5000"), said, "{policy}");
        // Where the partner is needs no domain of one's own.
        assert_eq!(far.must("anew routing 5000"), "routing 14", "{policy}");
    }
}

fn a_partner_in_the_own_stack_needs_no_domain() {
    let there = neighbour(1);
    let agent = Partnerd::start(NO_DOMAIN);
    let (server, client) = there.run(|| (agent.puppet(1000), agent.puppet(1001)));
    for at in addresses(1, 2, 8080) {
        let (_near, far) = connected(&server, &client, at);
        // Its processes are the agent's to read.
        assert_eq!(far.must("anew token 5000"), token(1001, &client), "{at}");
        assert_eq!(far.must("anew routing 5000"), "routing 14", "{at}");
    }
}

fn a_refused_connection_stays_refused_and_a_new_one_is_answered() {
    let (_there, agent, server, client) = two_stacks(NO_DOMAIN);
    for (turn, at) in addresses(1, 1, 8080).into_iter().enumerate() {
        agent.write("policy.toml", NO_DOMAIN);
        agent.signal("HUP");
        let listener = server.listen(at);
        let connect = || {
            let near = client.connect(at);
            (near, listener.accept())
        };
        eventually("the domain is gone", || connect().1.must("ask user 5000") == "SecurityDomain");
        let (_near, refused) = connect();
        assert_eq!(refused.must("ask user 5000"), "SecurityDomain");
        agent.write("policy.toml", OPEN);
        agent.signal("HUP");
        eventually("the domain is corrected", || connect().1.must("ask user 5000") == "user 1001");
        assert_eq!(refused.must("ask user 5000"), "SecurityDomain", "turn {turn}");
        assert_eq!(refused.must("try user"), "SecurityDomain", "turn {turn}");
        assert_eq!(connect().1.must("ask user 5000"), "user 1001", "turn {turn}");
    }
}
