//! Server ends that nobody has accepted yet (H11): the client asks first.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use partner_info::prelude::*;
use partner_info::{ErrorKind, Reason};

use super::puppet::Puppet;
use super::support::{
    ESTABLISHED, PATIENCE, SHORT, assert_nobody, connect, eventually, fresh, get, local, loopbacks,
    routing, say, seen, who, who_within,
};

super::tests![
    h11_before_accept_the_listener_s_owner_is_not_named,
    h11_the_acceptor_is_named_and_not_who_made_the_listener,
    h11_a_get_that_waits_finds_who_accepts_meanwhile,
    h11_data_that_waits_unaccepted_changes_nothing,
    h11_no_suspend_gets_are_in_progress_until_it_is_accepted,
    h11_a_closed_listener_leaves_no_owner,
];

/// A listener made by root, given to 1001, and held by a process that has become 1000: the owner
/// that the kernel shows for an end nobody has accepted is 1001 (or 0), who accepts is 1000.
fn mixed_listener(puppet: &Puppet, at: SocketAddr) -> super::puppet::Far<'_> {
    let listener = puppet.listen(at);
    listener.must("owner 1001");
    puppet.must("setuid 1000");
    listener
}

fn h11_before_accept_the_listener_s_owner_is_not_named() {
    for at in loopbacks(8080) {
        let puppet = Puppet::new(0);
        let _listener = mixed_listener(&puppet, at);
        let client = connect(at);
        eventually("established, no inode", || {
            let entry = seen(at, local(&client)).unwrap();
            (entry.state, entry.inode) == (ESTABLISHED, 0)
        });
        let begun = Instant::now();
        assert_eq!(who(&client), "NotYetAccepted");
        assert!(begun.elapsed() >= SHORT && begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        // Where it is needs no owner.
        assert_eq!(routing(&client), "routing 14");
    }
}

fn h11_the_acceptor_is_named_and_not_who_made_the_listener() {
    for at in loopbacks(8080) {
        let puppet = Puppet::new(0);
        let listener = mixed_listener(&puppet, at);
        let stack = fresh();
        let client = connect(at);
        let early = get(&stack, &client, PartnerRequest::USER_ID, SHORT).unwrap_err();
        assert_eq!(early.reason(), Some(Reason::NotYetAccepted));
        let _server = listener.accept();
        // Found later, by the same stack that gave up before.
        assert_eq!(say(&get(&stack, &client, PartnerRequest::USER_ID, PATIENCE)), "user 1000");
        assert_eq!(who(&client), "user 1000");
    }
}

fn h11_a_get_that_waits_finds_who_accepts_meanwhile() {
    for at in loopbacks(8080) {
        let puppet = Puppet::new(0);
        let listener = mixed_listener(&puppet, at);
        let client = connect(at);
        let said = std::thread::scope(|scope| {
            let here = super::support::Namespace::current();
            let client = &client;
            let asks = scope.spawn(move || {
                here.enter();
                who_within(client, PATIENCE)
            });
            std::thread::sleep(Duration::from_millis(100));
            assert!(!asks.is_finished(), "named somebody before the accept");
            let _server = listener.accept();
            asks.join().unwrap()
        });
        assert_eq!(said, "user 1000");
    }
}

/// The unaccepted end moves to CLOSE_WAIT, still without an owner.
fn h11_data_that_waits_unaccepted_changes_nothing() {
    for at in loopbacks(8080) {
        let puppet = Puppet::new(0);
        let listener = mixed_listener(&puppet, at);
        let client = connect(at);
        client.send(b"command").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(who(&client), "NotYetAccepted");
        let _server = listener.accept();
        assert_eq!(who(&client), "user 1000");
    }
}

fn h11_no_suspend_gets_are_in_progress_until_it_is_accepted() {
    for at in loopbacks(8080) {
        let puppet = Puppet::new(0);
        let listener = mixed_listener(&puppet, at);
        let stack = fresh();
        let client = super::support::tcp(at);
        stack.set_partner_info(&client, PartnerRequest::USER_ID).unwrap();
        client.connect(&at.into()).unwrap();
        let poll = || stack.try_get_partner_info(&client, PartnerRequest::USER_ID);
        for _ in 0..50 {
            assert_eq!(poll().unwrap_err().kind(), ErrorKind::InProgress);
            std::thread::sleep(Duration::from_millis(1));
        }
        let _server = listener.accept();
        let end = Instant::now() + PATIENCE;
        let said = loop {
            match poll() {
                Err(error) if error.kind() == ErrorKind::InProgress && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                answer => break say(&answer),
            }
        };
        assert_eq!(said, "user 1000");
    }
}

fn h11_a_closed_listener_leaves_no_owner() {
    for at in loopbacks(8080) {
        let puppet = Puppet::new(0);
        let listener = mixed_listener(&puppet, at);
        let client = connect(at);
        listener.close();
        assert_nobody(&who(&client));
    }
}
