//! Partners in another namespace that are not there yet, not there any more, or half gone.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use partner_info::{PartnerRequest, Stack};

use super::super::puppet::connected;
use super::super::support::{
    PATIENCE, accept, address, assert_nobody, connect, eventually, get, listen, say,
};
use super::daemon::{OPEN, Partnerd};
use super::places::{addresses, neighbour, two_stacks};

crate::harness::tests![
    h11_a_partner_that_has_not_accepted_is_waited_for,
    h11_a_partner_that_nobody_accepts_is_not_yet_accepted,
    h01_a_partner_that_has_closed_is_nobody,
    h01_a_partner_that_was_killed_is_nobody,
    h04_a_half_closed_partner_is_named,
    h04_both_may_be_half_closed_in_turn,
    h05_a_newcomer_with_the_partner_s_port_is_not_named,
    h18_a_partner_is_named_while_data_flows,
    h18_a_partner_is_named_after_much_data,
];

fn h11_a_partner_that_has_not_accepted_is_waited_for() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    for at in addresses(1, 1, 8080) {
        for what in ["user", "token"] {
            let listener = server.listen(at);
            let near = client.connect(at);
            assert_eq!(near.must(&format!("anew {what} 1000")), "NotYetAccepted", "{at}");
            let question = format!("anew {} {what} 9000", near.id());
            client.send(&question);
            let _far = listener.accept();
            let said = client.reply(&question).unwrap();
            assert!(said.starts_with("user 1000"), "{at}: {said}");
            listener.close();
        }
    }
}

fn h11_a_partner_that_nobody_accepts_is_not_yet_accepted() {
    let (_there, agent, server, client) = two_stacks(OPEN);
    for at in addresses(1, 1, 8080) {
        let _listener = server.listen(at);
        let near = client.connect(at);
        let before = agent.audit().lines().count();
        assert_eq!(near.must("ask user 1000"), "NotYetAccepted", "{at}");
        // Less and less often, and not a thousand times.
        let asked = agent.audit().lines().count() - before;
        assert!(asked < 100, "{at}: the agent was asked {asked} times");
        // Its place is known all the same.
        assert_eq!(near.must("anew routing 5000"), "routing 14", "{at}");
    }
}

fn h01_a_partner_that_has_closed_is_nobody() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    for at in addresses(1, 1, 8080) {
        for asked_before in [false, true] {
            let (near, far) = connected(&server, &client, at);
            if asked_before {
                assert_eq!(far.must("anew user 5000"), "user 1001", "staging");
            }
            near.close();
            eventually("it is gone", || far.must("anew user 5000") != "user 1001");
            for what in ["user", "token", "routing"] {
                let said = far.must(&format!("anew {what} 5000"));
                assert_nobody(&said);
            }
            let said = far.must("anew user 5000");
            assert!(["PartnerGone", "Unproven", "OutsideCluster"].contains(&&*said), "{said}");
        }
    }
}

fn h01_a_partner_that_was_killed_is_nobody() {
    let agent = Partnerd::start(OPEN);
    let server = agent.puppet(1000);
    for (n, v6) in [(1, false), (2, true)] {
        let there = neighbour(n);
        let client = there.run(|| agent.puppet(1001));
        let at = addresses(n, 1, 8080)[usize::from(v6)];
        let (near, far) = connected(&server, &client, at);
        near.must("send bye");
        client.kill();
        eventually("it is gone", || far.must("anew user 5000") != "user 1001");
        drop(there);
        for _ in 0..20 {
            assert_nobody(&far.must("anew user 5000"));
        }
    }
}

fn h04_a_half_closed_partner_is_named() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    for at in addresses(1, 1, 8080) {
        let (near, far) = connected(&server, &client, at);
        near.must("half-close");
        far.must("wait-for-end");
        assert_eq!(far.must("anew user 5000"), "user 1001", "{at}");
        assert_eq!(near.must("anew user 5000"), "user 1000", "{at}");
    }
}

/// With something sent in between: a FIN is counted as a byte on each side.
fn h04_both_may_be_half_closed_in_turn() {
    let (_there, _agent, server, client) = two_stacks(OPEN);
    for at in addresses(1, 1, 8080) {
        let (near, far) = connected(&server, &client, at);
        far.must("send hello");
        near.must("send hello");
        far.must("half-close");
        near.must("wait-for-end");
        near.must("send more");
        assert_eq!(far.must("anew user 5000"), "user 1001", "{at}");
        assert_eq!(near.must("anew user 5000"), "user 1000", "{at}");
    }
}

/// The first client sends a command and resets; the second takes its port. Both wait to be accepted.
fn h05_a_newcomer_with_the_partner_s_port_is_not_named() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let server = agent.puppet(1000);
    let first = there.run(|| agent.puppet(1001));
    let second = there.run(|| agent.puppet(1002));
    for v6 in [false, true] {
        let at = addresses(1, 1, 8080)[usize::from(v6)];
        let from = addresses(1, 2, 20_000)[usize::from(v6)];
        let listener = server.listen(at);
        let near = first.connect_from(from, at);
        near.must("send command");
        near.reset();
        let _newcomer = second.connect_from(from, at);
        let of_first = listener.accept();
        let of_second = listener.accept();
        assert_eq!(of_second.peer(), from, "staging");
        for what in ["user", "token"] {
            assert_nobody(&of_first.must(&format!("anew {what} 5000")));
        }
        assert_eq!(of_second.must("anew user 5000"), "user 1002", "{at}");
        listener.close();
    }
}

/// Numbers move while they are read.
fn h18_a_partner_is_named_while_data_flows() {
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    // The test's own threads are there at times only.
    let _resident = there.run(|| agent.puppet(1001));
    let done = AtomicBool::new(false);
    for at in addresses(1, 1, 8080) {
        let listener = listen(at);
        let client = there.run(|| connect(at));
        let server = accept(&listener);
        std::thread::scope(|scope| {
            for mut end in [&client, &server] {
                let done = &done;
                // A get makes the socket non-blocking for a moment.
                let goes_on = |moved: std::io::Result<usize>| match moved {
                    Ok(len) => len > 0,
                    Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
                };
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) && goes_on(end.write(&[7; 3_000])) {}
                    end.shutdown(std::net::Shutdown::Write).unwrap();
                });
                scope.spawn(move || while goes_on(end.read(&mut [0; 4_096])) {});
            }
            let said: Vec<_> = (0..200)
                .map(|n| {
                    let stack = stack_of(&agent);
                    let socket = if n % 2 == 0 { &server } else { &client };
                    let ask = || say(&get(&stack, socket, PartnerRequest::USER_ID, PATIENCE));
                    if n % 2 == 0 { ask() } else { there.run(ask) }
                })
                .collect();
            done.store(true, Ordering::Relaxed);
            let wrong: Vec<_> = said.iter().filter(|said| *said != "user 0").collect();
            assert!(wrong.is_empty(), "{at}: {wrong:?}");
        });
        done.store(false, Ordering::Relaxed);
    }
}

/// More than 4 GiB: the numbers have gone round.
fn h18_a_partner_is_named_after_much_data() {
    const PIECE: usize = 1 << 20;
    let there = neighbour(1);
    let agent = Partnerd::start(OPEN);
    let _resident = there.run(|| agent.puppet(1001));
    let at = address("10.7.1.1:8080");
    let listener = listen(at);
    let client = there.run(|| connect(at));
    let server = accept(&listener);
    let ask = || say(&get(&stack_of(&agent), &server, PartnerRequest::USER_ID, PATIENCE));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let piece = vec![7; PIECE];
            (0..4_200).for_each(|_| (&client).write_all(&piece).unwrap());
        });
        let mut piece = vec![0; PIECE];
        (0..4_200).for_each(|_| (&server).read_exact(&mut piece).unwrap());
    });
    assert_eq!(ask(), "user 0");
}

fn stack_of(agent: &Partnerd) -> Stack {
    Stack::builder().name_patience(std::time::Duration::ZERO).agent(agent.socket()).build()
}
