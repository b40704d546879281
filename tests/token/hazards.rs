//! The hazards of a token, over real connections.

use std::time::Duration;

use partner_info::token::{HoldersGap, Uid};
use partner_info::{ErrorKind, HolderSearch, UserId};

use super::actor::Actor;
use super::support::{
    SOMEBODY, Scratch, accept, eventually, fresh, get, get_both, listener, pids, run, stack, tests,
    token,
};

tests![
    TESTS:
    h14_every_process_of_a_forked_family_is_listed,
    h15_a_partner_that_exits_while_it_is_asked_about,
    h15_a_pidfd_of_a_holder_is_of_that_process,
];
tests![
    ROOT_TESTS:
    h12_root_makes_the_socket_and_drops_to_a_user,
    h13_a_set_uid_program_inherits_a_connected_socket,
    h14_holders_of_two_users_are_both_listed,
    h27_without_the_right_to_look_the_user_is_still_answered,
];

fn uid(raw: u32) -> Option<Uid> {
    Uid::new(raw)
}

fn h12_root_makes_the_socket_and_drops_to_a_user() {
    run(async {
        let listener = listener().await;
        let mut actor = Actor::new();
        actor.call("socket");
        actor.call(&format!("setuid {SOMEBODY}"));
        actor.call(&format!("connect {}", listener.local_addr().unwrap()));
        let stream = accept(&listener).await;
        let info = get_both(&fresh(), &stream).await;
        assert_eq!(info.user().unwrap().uid(), 0);
        let token = info.token().unwrap();
        assert_eq!(pids(token), [actor.pid()]);
        assert_eq!(Some(token.user()), uid(0));
        assert_eq!(token.holders()[0].process_user(), uid(SOMEBODY));
        // Unless every process could be looked at, one that differs from the owner does not speak.
        let spoken = token.holders_complete().then_some(SOMEBODY);
        assert_eq!(token.process_user(), spoken.and_then(uid));
        assert_eq!(token.flags().privileged(), spoken.map(|_| false));
        assert_eq!(info.process_user().map(UserId::uid), spoken);
    });
}

fn h13_a_set_uid_program_inherits_a_connected_socket() {
    run(async {
        let scratch = Scratch::new("h13-live");
        let sleep = std::fs::canonicalize("/bin/sleep").unwrap();
        let program = scratch.copy(&sleep, "sleep", 0o4755);
        let listener = listener().await;
        let mut actor = Actor::of(SOMEBODY);
        actor.call("socket");
        actor.call(&format!("connect {}", listener.local_addr().unwrap()));
        let holder: u32 = actor.call(&format!("share {}", program.display())).parse().unwrap();
        actor.call("close");
        let stream = accept(&listener).await;
        for search in [HolderSearch::All, HolderSearch::First] {
            let info = get_both(&stack(search), &stream).await;
            assert_eq!(info.user().map(UserId::uid), Some(SOMEBODY));
            let token = info.token().unwrap();
            assert_eq!(pids(token), [holder]);
            assert_eq!(Some(token.user()), uid(SOMEBODY));
            assert_eq!(token.holders()[0].process_user(), uid(0));
            assert_eq!(token.holders()[0].real_user(), uid(SOMEBODY));
            assert_eq!(token.flags().privileged(), Some(true));
        }
    });
}

fn h14_every_process_of_a_forked_family_is_listed() {
    run(async {
        let listener = listener().await;
        let mut actor = Actor::new();
        actor.call("socket");
        actor.call(&format!("connect {}", listener.local_addr().unwrap()));
        let mut expected: Vec<u32> =
            (0..3).map(|_| actor.call("share sleep").parse().unwrap()).collect();
        expected.push(actor.pid());
        expected.sort_unstable();
        let stream = accept(&listener).await;
        let token = token(&stream).await;
        assert_eq!(pids(&token), expected);
        assert_eq!(token.pid(), None, "the token chooses none of them");
        assert_eq!(token.command(), None);
        let first = get(&stack(HolderSearch::First), &stream).await.unwrap();
        let first = first.token().unwrap();
        assert_eq!(first.holders_gap(), Some(HoldersGap::StoppedAtFirst));
        assert!(expected.contains(&pids(first)[0]));
    });
}

fn h14_holders_of_two_users_are_both_listed() {
    run(async {
        let listener = listener().await;
        let mut actor = Actor::new();
        actor.call("socket");
        actor.call(&format!("connect {}", listener.local_addr().unwrap()));
        let other = actor.call(&format!("share-as {SOMEBODY} sleep"));
        let mut expected = vec![actor.pid(), other.parse().unwrap()];
        expected.sort_unstable();
        let stream = accept(&listener).await;
        let token = token(&stream).await;
        assert_eq!(pids(&token), expected);
        assert_eq!(token.process_user(), None, "they differ");
        let mut users: Vec<_> =
            token.holders().iter().map(|holder| holder.process_user()).collect();
        users.sort_unstable();
        assert_eq!(users, [uid(0), uid(SOMEBODY)]);
        assert_eq!(token.flags().privileged(), Some(true));
    });
}

fn h15_a_partner_that_exits_while_it_is_asked_about() {
    run(async {
        let listener = listener().await;
        let address = listener.local_addr().unwrap();
        let stack = fresh();
        let mut named = 0;
        for round in 0..40 {
            let mut actor = Actor::new();
            actor.call("socket");
            actor.call(&format!("connect {address}"));
            let stream = accept(&listener).await;
            let pid = actor.pid();
            let killer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_micros(1 << (round / 2)));
                actor.kill();
                actor.wait();
            });
            match get(&stack, &stream).await {
                Ok(info) => {
                    let token = info.token().unwrap();
                    assert!(token.holders().len() <= 1, "{token}");
                    assert!(pids(token).iter().all(|it| *it == pid), "{token}");
                    assert_eq!(token.holders().is_empty(), token.flags().default());
                    named += u32::from(!token.flags().default());
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unidentified, "{error}"),
            }
            killer.join().unwrap();
        }
        assert!(named > 0, "never named");
    });
}

fn h15_a_pidfd_of_a_holder_is_of_that_process() {
    run(async {
        let listener = listener().await;
        let mut actor = Actor::new();
        actor.call("socket");
        actor.call(&format!("connect {}", listener.local_addr().unwrap()));
        let stream = accept(&listener).await;
        let token = token(&stream).await;
        let holder = token.holder().unwrap();
        let pidfd = holder.pidfd().unwrap();
        let info = std::os::fd::AsRawFd::as_raw_fd(&pidfd);
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{info}")).unwrap();
        assert!(info.contains(&format!("Pid:\t{}\n", actor.pid())), "{info}");
        actor.kill();
        eventually("the pidfd tells the end", || {
            let mut ends = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut ends, Some(&rustix::event::Timespec::default())).unwrap() > 0
        });
        // Not yet waited for, and then gone.
        assert!(holder.pidfd().is_err());
        actor.wait();
        assert!(holder.pidfd().is_err());
    });
}

fn h27_without_the_right_to_look_the_user_is_still_answered() {
    run(async {
        let mut asker = Actor::start("asker", Some(SOMEBODY));
        let address = asker.answer();
        let mut actor = Actor::new();
        actor.call("socket");
        actor.call(&format!("connect {address}"));
        let said = asker.answer();
        assert!(said.starts_with("user=0 user=0 flags="), "{said}");
        assert!(said.contains("default"), "{said}");
        assert!(said.contains("holders=0 incomplete=no-right"), "{said}");
        assert!(!said.contains("pid="), "{said}");
        // Its own user's processes it may see.
        let mut actor = Actor::of(SOMEBODY);
        actor.call("socket");
        actor.call(&format!("connect {address}"));
        let said = asker.answer();
        assert!(said.starts_with(&format!("user={SOMEBODY} user={SOMEBODY}")), "{said}");
        assert!(said.contains(&format!("pid={} ", actor.pid())), "{said}");
        assert!(said.contains("holders=1 incomplete=no-right"), "{said}");
    });
}
