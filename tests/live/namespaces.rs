//! Asking across namespaces: of the network, and of users (H19).

use partner_info::prelude::*;

use super::puppet::Puppet;
use super::support::{
    Namespace, PATIENCE, accept, address, assert_nobody, connect, fresh, get, listen, loopbacks,
    run, say, who,
};

super::tests![
    h18_a_socket_of_another_namespace_is_refused_until_the_thread_is_there,
    h18_the_same_addresses_in_two_namespaces_are_two_connections,
    h18_a_thread_that_moves_asks_where_it_is,
    h19_unmapped_users_are_nobody,
    h19_users_of_the_namespace_are_answered,
    h19_a_thread_started_in_a_user_namespace_names_by_its_numbers,
    h19_the_overflow_uid_is_nobody_where_it_is_mapped_to_somebody,
    h19_the_real_nobody_is_answered,
];

fn h18_a_socket_of_another_namespace_is_refused_until_the_thread_is_there() {
    let home = Namespace::current();
    for at in loopbacks(8080) {
        let there = Namespace::new();
        let client = there.run(|| Puppet::new(1000));
        let server = there.run(|| {
            let listener = listen(at);
            client.connect(at);
            accept(&listener)
        });
        home.run(|| {
            assert_eq!(who(&server), "OtherNamespace");
            there.enter();
            assert_eq!(who(&server), "user 1000");
        });
    }
}

fn h18_the_same_addresses_in_two_namespaces_are_two_connections() {
    let stack = fresh();
    let there = Namespace::new();
    let (at, from) = (address("127.0.0.1:8080"), address("127.0.0.1:20000"));
    let connected = |uid: u32| {
        let client = Puppet::new(uid);
        let listener = listen(at);
        client.connect_from(from, at);
        (client, accept(&listener))
    };
    let (_one, here_end) = connected(1000);
    let (_two, there_end) = there.run(|| connected(1001));
    let ask = |socket| say(&get(&stack, socket, PartnerRequest::USER_ID, PATIENCE));
    assert_eq!(who(&here_end), "user 1000");
    assert_eq!(who(&there_end), "OtherNamespace");
    assert_eq!(ask(&here_end), "user 1000");
    assert_eq!(ask(&there_end), "OtherNamespace");
    there.run(|| {
        assert_eq!(who(&here_end), "OtherNamespace");
        assert_eq!(who(&there_end), "user 1001");
        assert_eq!(ask(&there_end), "user 1001");
    });
    // Saved by now, so it needs no lookup.
    assert_eq!(ask(&there_end), "user 1001");
}

fn h18_a_thread_that_moves_asks_where_it_is() {
    let listener = listen(address("127.0.0.1:8080"));
    let _client = connect(address("127.0.0.1:8080"));
    let first = accept(&listener);
    assert_eq!(who(&first), "user 0");
    let there = Namespace::new();
    there.cable("near", "far");
    run("ip addr add 10.2.0.1/24 dev near");
    there.run(|| run("ip addr add 10.2.0.2/24 dev far"));
    let remote_listener = listen(address("10.2.0.1:8080"));
    let client = there.run(|| Puppet::new(1000));
    let _far = client.connect(address("10.2.0.1:8080"));
    let second = accept(&remote_listener);
    assert_eq!(who(&second), "NotInThisStack");

    let home = Namespace::current();
    there.enter();
    let listener = listen(address("127.0.0.1:8080"));
    let client = Puppet::new(1001);
    let _far = client.connect(address("127.0.0.1:8080"));
    let third = accept(&listener);
    assert_eq!(who(&third), "user 1001");
    // Not from here; and never as somebody.
    assert_nobody(&who(&second));
    home.enter();
    assert_eq!(who(&first), "user 0");
    assert_eq!(who(&second), "NotInThisStack");
}

fn h19_unmapped_users_are_nobody() {
    for at in loopbacks(8080) {
        let asker = Puppet::new(1001);
        asker.must("unshare-user 1001");
        let listener = asker.listen(at);
        for uid in [0, 1000, 65534] {
            let client = Puppet::new(uid);
            let _far = client.connect(at);
            assert_eq!(listener.accept().who(), "OverflowUid", "partner {uid}");
        }
    }
}

fn h19_users_of_the_namespace_are_answered() {
    for at in loopbacks(8080) {
        let asker = Puppet::new(1001);
        asker.must("unshare-user 0");
        let listener = asker.listen(at);
        let client = Puppet::new(1001);
        let _far = client.connect(at);
        // Its number is what it is called there.
        assert_eq!(listener.accept().who(), "user 0");
        // Root outside is not root inside.
        let ours = connect(at);
        let server = listener.accept();
        assert_eq!(server.who(), "OverflowUid");
        drop(ours);
    }
}

/// A process that enters a user namespace must ask from a new thread, which asks in the new one's
/// terms: docs/limits.md. Root outside must not become the root it is itself inside.
fn h19_a_thread_started_in_a_user_namespace_names_by_its_numbers() {
    for at in loopbacks(8080) {
        let asker = Puppet::new(1001);
        let listener = asker.listen(at);
        let ours = connect(at);
        let of_root = listener.accept();
        // It has asked before, and has one thread still, as the call demands.
        assert_eq!(of_root.must("routing"), "routing 14");
        let client = Puppet::new(1001);
        client.connect(at);
        let of_itself = listener.accept();
        asker.must("unshare-user 0");
        assert_eq!(of_root.must("thread-who"), "OverflowUid");
        assert_eq!(of_itself.must("thread-who"), "user 0");
        drop(ours);
    }
}

/// A process may call itself 65534; then that number means it and everybody else.
fn h19_the_overflow_uid_is_nobody_where_it_is_mapped_to_somebody() {
    for at in loopbacks(8080) {
        let asker = Puppet::new(1001);
        asker.must("unshare-user 65534");
        let listener = asker.listen(at);
        for uid in [0, 1000, 1001, 65534] {
            let client = Puppet::new(uid);
            let _far = client.connect(at);
            assert_eq!(listener.accept().who(), "OverflowUid", "partner {uid}");
        }
    }
}

fn h19_the_real_nobody_is_answered() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(65534);
        let far = client.connect(at);
        let server = accept(&listener);
        assert_eq!(who(&server), "user 65534");
        assert_eq!(far.who(), "user 0");
    }
}
