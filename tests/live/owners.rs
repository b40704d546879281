//! Whose socket it is: owner, process, holders (H12, H13, H14, H28, H30).

use socket2::Socket;

use super::puppet::Puppet;
use super::raw;
use super::support::{accept, connect, fresh, get, listen, loopbacks, routing, say, who};

super::tests![
    h12_root_s_socket_stays_root_s_after_the_process_drops_to_a_user,
    h12_a_socket_given_away_has_the_new_owner,
    h13_a_user_s_socket_held_by_root_stays_the_user_s,
    h14_several_holders_do_not_change_the_owner,
    h14_the_last_holder_may_be_another_user,
    h25_a_forked_child_and_its_parent_each_read_their_own_replies,
    h28_so_peercred_says_nothing_and_the_answer_is_right,
    h30_a_uid_without_an_account_is_a_number,
];

fn h12_root_s_socket_stays_root_s_after_the_process_drops_to_a_user() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(0);
        let before = client.tcp(at);
        client.must("setuid 1000");
        before.connect(at).unwrap();
        let of_before = accept(&listener);
        client.connect(at);
        let of_after = accept(&listener);
        assert_eq!(who(&of_before), "user 0");
        assert_eq!(who(&of_after), "user 1000");
    }
}

fn h12_a_socket_given_away_has_the_new_owner() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(0);
        let far = client.connect(at);
        let server = accept(&listener);
        assert_eq!(who(&server), "user 0");
        far.must("owner 1001");
        assert_eq!(who(&server), "user 1001");
        // The saved answer is of the moment it was retrieved.
        let stack = fresh();
        let ask = || {
            let patience = super::support::PATIENCE;
            say(&get(&stack, &server, partner_info::PartnerRequest::USER_ID, patience))
        };
        assert_eq!(ask(), "user 1001");
        far.must("owner 1000");
        assert_eq!(ask(), "user 1001");
        assert_eq!(who(&server), "user 1000");
    }
}

/// What a set-uid-root program inherits, or a privileged helper is passed, stays the user's.
fn h13_a_user_s_socket_held_by_root_stays_the_user_s() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let root = Puppet::new(0);
        let far = root.tcp(at);
        far.must("owner 1000");
        far.connect(at).unwrap();
        let server = accept(&listener);
        assert_eq!(who(&server), "user 1000");
        far.must("share 0");
        assert_eq!(who(&server), "user 1000");
    }
}

fn h14_several_holders_do_not_change_the_owner() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let root = Puppet::new(0);
        let far = root.connect(at);
        let server = accept(&listener);
        far.must("owner 1000");
        for holder in [0, 1001, 1002, 65534] {
            far.must(&format!("share {holder}"));
            assert_eq!(who(&server), "user 1000", "also held by {holder}");
        }
    }
}

fn h14_the_last_holder_may_be_another_user() {
    for at in loopbacks(8080) {
        let listener = listen(at);
        let root = Puppet::new(0);
        let far = root.connect(at);
        let server = accept(&listener);
        far.must("owner 1000");
        far.must("share 1001");
        far.close();
        assert_eq!(who(&server), "user 1000");
        // And when that is gone too, there is none.
        drop(root);
        super::support::eventually("gone", || who(&server) == "PartnerGone");
    }
}

/// Both had the same netlink socket; each must ask by one of its own from the fork on.
fn h25_a_forked_child_and_its_parent_each_read_their_own_replies() {
    let [at, _] = loopbacks(8080);
    let asker = Puppet::new(1002);
    let listener = asker.listen(at);
    let (first, second) = (Puppet::new(1000), Puppet::new(1001));
    first.connect(at);
    let of_first = listener.accept();
    second.connect(at);
    let of_second = listener.accept();
    // It has asked before, and has one thread still: routing needs no name.
    assert_eq!(of_first.must("routing"), "routing 14");
    let said = of_first.must(&format!("fork-and-ask {}", of_second.id()));
    assert_eq!(said, "parent right, child right");
}

/// In a puppet: asks about `first` here and about `second` in a child, at the same time, again and
/// again: what is wrong in a new child is set right after its first mistake.
pub(crate) fn fork_and_ask(first: &Socket, second: &Socket) -> std::io::Result<String> {
    let (mut parent_right, mut child_right) = (true, true);
    for _ in 0..25 {
        let child = raw::in_forked_child(|| (0..10).all(|_| who(second) == "user 1001"))?;
        // Routing needs no name, and so no thread, which fork(2) would lose.
        parent_right &= (0..30).all(|_| routing(first) == "routing 14");
        child_right &= raw::wait_for(child)?;
    }
    let word = |right| if right { "right" } else { "wrong" };
    Ok(format!("parent {}, child {}", word(parent_right), word(child_right)))
}

/// getsockopt(2) succeeds, which has led programs to take its zeros for root.
fn h28_so_peercred_says_nothing_and_the_answer_is_right() {
    for at in loopbacks(8080) {
        let asker = Puppet::new(1001);
        let listener = asker.listen(at);
        let client = Puppet::new(1000);
        let far = client.connect(at);
        let server = listener.accept();
        assert_eq!(server.must("peercred"), "pid 0 uid 4294967295");
        assert_eq!(far.must("peercred"), "pid 0 uid 4294967295");
        assert_eq!(server.who(), "user 1000");
        assert_eq!(far.who(), "user 1001");
    }
}

fn h30_a_uid_without_an_account_is_a_number() {
    // A number that is neither in /etc/passwd nor the overflow uid.
    let free = (60_500..).find(|uid| nix::unistd::User::from_uid((*uid).into()).unwrap().is_none());
    let free = free.unwrap();
    for at in loopbacks(8080) {
        let listener = listen(at);
        let client = Puppet::new(free);
        client.connect(at);
        let server = accept(&listener);
        let stack = partner_info::Stack::builder().build();
        let patience = super::support::PATIENCE;
        let info = get(&stack, &server, partner_info::PartnerRequest::USER_ID, patience).unwrap();
        let user = info.user().unwrap();
        assert_eq!((user.uid(), user.name()), (free, None));

        let root = connect(at);
        let of_root = accept(&listener);
        let info = get(&stack, &of_root, partner_info::PartnerRequest::USER_ID, patience).unwrap();
        let user = info.user().unwrap();
        assert_eq!((user.uid(), user.name()), (0, Some("root")));
        drop(root);
    }
}
