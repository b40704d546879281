//! Callers in user and process namespaces of their own: what a number means there (H19).

use nix::sched::{CloneFlags, unshare};

use super::super::puppet::{Puppet, connected};
use super::daemon::{OPEN, Partnerd, token};
use super::places::{addresses, neighbour};

crate::harness::tests![
    h19_a_caller_in_a_user_namespace_is_told_its_own_numbers,
    h19_a_caller_in_a_user_namespace_is_told_no_processes,
    h19_a_caller_in_a_process_namespace_is_told_the_user_and_no_processes,
    h19_a_partner_in_a_user_namespace_is_told_by_its_number_outside,
    h19_a_caller_s_root_is_not_root,
];

/// In a user namespace with this map, whose numbers on the left are those inside.
fn enter_user_namespace(puppet: &Puppet, map: &str) {
    puppet.must("unshare-user-bare");
    std::fs::write(format!("/proc/{}/uid_map", puppet.pid()), map).unwrap();
}

fn h19_a_caller_in_a_user_namespace_is_told_its_own_numbers() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    for at in addresses(1, 1, 8080) {
        let asker = agent.puppet(1001);
        enter_user_namespace(&asker, "0 1001 1\n7 1002 1\n100000 2000 50\n");
        let listener = asker.listen(at);
        for (uid, said) in [
            (1001, "user 0"),
            (1002, "user 7"),
            (2000, "user 100000"),
            (2049, "user 100049"),
            (2050, "OverflowUid"),
            (1003, "OverflowUid"),
            (65_534, "OverflowUid"),
            (0, "OverflowUid"),
            (7, "OverflowUid"),
        ] {
            let client = there.run(|| agent.puppet(uid));
            let _near = client.connect(at);
            assert_eq!(listener.accept().must("anew user 5000"), said, "partner {uid}");
        }
    }
}

fn h19_a_caller_in_a_user_namespace_is_told_no_processes() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let client = there.run(|| agent.puppet(1002));
    for at in addresses(1, 1, 8080) {
        let asker = agent.puppet(1001);
        enter_user_namespace(&asker, "0 1001 1\n7 1002 1\n");
        let listener = asker.listen(at);
        let _near = client.connect(at);
        let far = listener.accept();
        assert_eq!(far.must("anew token 5000"), "user 7 holders - gap pid-namespace");
    }
}

fn h19_a_caller_in_a_process_namespace_is_told_the_user_and_no_processes() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let client = there.run(|| agent.puppet(1002));
    let same = there.run(|| agent.puppet(1001));
    let here = super::super::support::Namespace::current();
    let asker = std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            here.enter();
            // For children, of which the puppet is the first.
            unshare(CloneFlags::CLONE_NEWPID).unwrap();
            agent.puppet(1001)
        });
        inside.join().unwrap()
    });
    for at in addresses(1, 1, 8080) {
        let listener = asker.listen(at);
        let near = client.connect(at);
        let far = listener.accept();
        assert_eq!(far.must("anew user 5000"), "user 1002");
        assert_eq!(far.must("anew token 5000"), "user 1002 holders - gap pid-namespace");
        // Who is outside is told of the process inside.
        assert_eq!(near.must("anew token 5000"), token(1001, &asker));
        let _near = same.connect(at);
        assert_eq!(listener.accept().must("anew user 5000"), "user 1001");
        listener.close();
    }
}

fn h19_a_partner_in_a_user_namespace_is_told_by_its_number_outside() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let server = agent.puppet(1000);
    for at in addresses(1, 1, 8080) {
        let client = there.run(|| agent.puppet(1001));
        enter_user_namespace(&client, "0 1001 1\n");
        let (_near, far) = connected(&server, &client, at);
        assert_eq!(far.must("anew user 5000"), "user 1001");
        assert_eq!(far.must("anew token 5000"), token(1001, &client));
    }
}

/// A policy that permits uid 0 nothing of its own, and the agent who knows who is root.
fn h19_a_caller_s_root_is_not_root() {
    let there = neighbour(1);
    let agent = Partnerd::start(super::daemon::ONE);
    let client = there.run(|| agent.puppet(1001));
    for at in addresses(1, 1, 8080) {
        let asker = agent.puppet(1001);
        enter_user_namespace(&asker, "0 1001 1\n");
        let listener = asker.listen(at);
        let _near = client.connect(at);
        let far = listener.accept();
        assert_eq!(far.must("anew user 5000"), "NotAuthorized");
        let why = far.must("why user 5000");
        assert!(why.starts_with("uid 1001 ("), "{why}");
        listener.close();
    }
}
