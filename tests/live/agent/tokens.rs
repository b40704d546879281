//! Processes of other users, which the agent reads and an ordinary process may not.

use super::super::puppet::{Puppet, connected};
use super::super::support::{eventually, loopbacks};
use super::daemon::{OPEN, Partnerd, gap, puppet_of, token};
use super::places::{addresses, neighbour, two_stacks};

crate::harness::tests![
    h27_with_an_agent_a_token_names_another_user_s_process,
    h27_without_an_agent_a_token_of_another_user_is_a_default_one,
    h12_the_process_of_a_socket_that_root_made_is_told_beside_its_owner,
    h14_several_holders_of_several_users_are_all_told,
    h14_the_agent_is_no_holder_of_what_both_ends_ask_about,
    a_token_in_a_namespace_that_is_not_the_agent_s_names_the_process,
];

fn h27_with_an_agent_a_token_names_another_user_s_process() {
    let agent = Partnerd::start(OPEN);
    let (server, client) = (agent.puppet(1000), agent.puppet(1001));
    for at in loopbacks(8080) {
        let (near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew token 5000"), token(1001, &client), "{at}");
        assert_eq!(near.must("anew token 5000"), token(1000, &server), "{at}");
        // The user alone needs no agent, and goes no further than the kernel.
        assert_eq!(far.must("ask user 5000"), "user 1001", "{at}");
    }
    eventually("all is recorded", || agent.audit().lines().count() >= 4);
    let asked: Vec<_> = agent.audit().lines().map(|line| line.contains("utoken")).collect();
    assert_eq!(asked, [true; 4], "{}", agent.audit());
}

fn h27_without_an_agent_a_token_of_another_user_is_a_default_one() {
    let nowhere = std::env::temp_dir().join("no-agent-is-here.sock");
    let (server, client) = (puppet_of(&nowhere, 1000), puppet_of(&nowhere, 1001));
    for at in loopbacks(8080) {
        let (near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew token 5000"), "user 1001 holders - gap no-right", "{at}");
        assert_eq!(near.must("anew token 5000"), "user 1000 holders - gap no-right", "{at}");
    }
}

fn h12_the_process_of_a_socket_that_root_made_is_told_beside_its_owner() {
    let agent = Partnerd::start(OPEN);
    for at in loopbacks(8080) {
        let (server, client) = (agent.puppet(1000), agent.puppet(0));
        let listener = server.listen(at);
        let near = client.tcp(at);
        client.must("setuid 1001");
        near.connect(at).unwrap();
        let far = listener.accept();
        let said = format!("user 0 holders {}=1001 gap {}", client.pid(), gap());
        assert_eq!(far.must("anew token 5000"), said, "{at}");
    }
}

fn h14_several_holders_of_several_users_are_all_told() {
    let agent = Partnerd::start(OPEN);
    for at in loopbacks(8080) {
        let (server, client) = (agent.puppet(1000), agent.puppet(0));
        let listener = server.listen(at);
        let near = client.connect(at);
        near.must("owner 1001");
        for holder in [1001, 1002] {
            near.must(&format!("share {holder}"));
        }
        let said = listener.accept().must("anew token 5000");
        let users: Vec<_> = said
            .split(' ')
            .nth(3)
            .unwrap()
            .split(',')
            .map(|holder| holder.split_once('=').unwrap().1)
            .collect();
        assert!(said.starts_with("user 1001 "), "{said}");
        let mut users = users;
        users.sort_unstable();
        assert_eq!(users, ["0", "1001", "1002"], "{said}");
        listener.close();
    }
}

/// Each end passes its socket, and so the agent has the other's while it looks who holds it.
fn h14_the_agent_is_no_holder_of_what_both_ends_ask_about() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    let [at, _] = addresses(1, 1, 8080);
    let (near, far) = connected(&server, &client, at);
    for _ in 0..30 {
        let asked = [(&server, &far), (&client, &near)]
            .map(|(puppet, end)| (puppet, format!("anew {} token 5000", end.id())));
        for (puppet, line) in &asked {
            puppet.send(line);
        }
        let [of_client, of_server] = asked.map(|(puppet, line)| puppet.reply(&line).unwrap());
        assert_eq!(of_client, token(1001, &client));
        assert_eq!(of_server, token(1000, &server));
    }
}

fn a_token_in_a_namespace_that_is_not_the_agent_s_names_the_process() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let (server, client): (Puppet, Puppet) = there.run(|| (agent.puppet(1000), agent.puppet(1001)));
    for at in addresses(1, 2, 8080).into_iter().chain(loopbacks(8081)) {
        let (_near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew token 5000"), token(1001, &client), "{at}");
        assert_eq!(far.must("anew routing 5000"), "routing 14", "{at}");
    }
}
