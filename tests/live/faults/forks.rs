//! fork(2) in a process whose other threads ask all the time, and programs that it starts.

use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use partner_info::{Stack, prelude::*};
use socket2::Socket;

use super::super::puppet::Puppet;
use super::super::raw::{in_forked_child, wait_for};
use super::super::support::{PATIENCE, accept, fresh, get, listen, loopbacks, say, tcp};

super::scenes![
    h25_a_child_of_a_process_with_many_threads_asks_by_itself_and_never_hangs,
    a_child_has_what_its_parent_set,
    programs_that_are_started_inherit_nothing_and_disturb_nothing,
];

const WHO: PartnerRequest = PartnerRequest::USER_ID;
const ALL: PartnerRequest = PartnerRequest::all();
const THREADS: usize = 4;

/// Two partners, 1000 and 1001, and the server's ends.
fn partners() -> ([Puppet; 2], [Socket; 2]) {
    let [at, _] = loopbacks(8080);
    let listener = listen(at);
    let clients = [1000, 1001].map(Puppet::new);
    let servers = [0, 1].map(|n| {
        clients[n].connect(at);
        accept(&listener)
    });
    (clients, servers)
}

/// Runs `amid` while threads ask this stack about `socket` without a pause, for all it has locks
/// for: names, tokens, and its table. Returns how often they were answered, always rightly.
fn while_threads_ask(stack: &Stack, socket: &Socket, amid: impl FnOnce(&AtomicUsize)) -> usize {
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for n in 0..THREADS {
            let (over, answered) = (&over, &answered);
            let socket = socket.try_clone().unwrap();
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    // Together with the others: one of them may wait on this connection.
                    let what = if n == 0 { ALL } else { WHO };
                    let said = say(&get(stack, &socket, what, PATIENCE));
                    assert!(["user 1000", "AlreadyInProgress"].contains(&&*said), "{said}");
                    stack.forget_partner(&socket).unwrap();
                    answered.fetch_add(usize::from(said == "user 1000"), Ordering::Relaxed);
                }
            });
        }
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| amid(&answered)));
        over.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    answered.into_inner()
}

fn h25_a_child_of_a_process_with_many_threads_asks_by_itself_and_never_hangs() {
    let (_clients, [first, second]) = partners();
    let stack = Stack::builder().name_age(Duration::ZERO).build();
    let asked = while_threads_ask(&stack, &first, |answered| {
        let mut done = 0;
        for turn in 0..15 {
            // Some of the threads are within the library at each fork.
            while answered.load(Ordering::Relaxed) < done + 2 {
                std::thread::yield_now();
            }
            done = answered.load(Ordering::Relaxed);
            let child = in_forked_child(|| {
                // A child that hangs is ended, and has not ended by itself.
                nix::unistd::alarm::set(20);
                let ask = |stack: &Stack, what| say(&get(stack, &second, what, PATIENCE));
                [ALL, WHO].into_iter().all(|what| ask(&stack, what) == "user 1001")
                    && ask(&fresh(), WHO) == "user 1001"
            });
            assert!(wait_for(child.unwrap()).unwrap(), "child {turn} hangs, or is wrong");
        }
    });
    assert!(asked > 30, "staging: {asked}");
}

/// As in a server that makes its listener, and then its workers; set before listen(2) or after it.
fn a_child_has_what_its_parent_set() {
    let at = |port| loopbacks(port)[0];
    let stack = fresh();
    let set = |socket: &Socket| stack.set_partner_info(socket, WHO).unwrap();
    let (early, late, client) = (tcp(at(8080)), listen(at(8081)), tcp(at(8081)));
    set(&early);
    early.bind(&at(8080).into()).unwrap();
    early.listen(8).unwrap();
    set(&late);
    set(&client);
    let partner = Puppet::new(1001);
    let far = partner.listen(at(8082));
    let child = in_forked_child(|| {
        nix::unistd::alarm::set(20);
        client.connect(&at(8082).into()).unwrap();
        let _accepted = far.accept();
        let servers = [(&early, 8080), (&late, 8081)].map(|(listener, port)| {
            partner.connect(at(port));
            accept(listener)
        });
        servers.iter().chain([&client]).all(|socket| {
            let poll = || say(&stack.try_get_partner_info(socket, WHO));
            let first = poll();
            while poll() == "InProgress" {
                std::thread::yield_now();
            }
            first == "InProgress" && poll() == "user 1001"
        })
    });
    assert!(wait_for(child.unwrap()).unwrap());
}

fn programs_that_are_started_inherit_nothing_and_disturb_nothing() {
    let (_clients, [first, _second]) = partners();
    let stack = Stack::builder().build();
    let seen = Mutex::new(Vec::new());
    let asked = while_threads_ask(&stack, &first, |answered| {
        while answered.load(Ordering::Relaxed) < 50 {
            // Without what changes the child first, this is vfork(2) and execve(2).
            let listing = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
            let listing = String::from_utf8(listing.stdout).unwrap();
            seen.lock().unwrap().push(listing);
        }
    });
    assert!(asked >= 50, "staging: {asked}");
    let seen = seen.into_inner().unwrap();
    let own = rustix::fs::fstat(first.as_fd()).unwrap().st_ino;
    assert!(!seen.is_empty(), "staging");
    for listing in seen {
        // Neither a socket of the library's nor this connection.
        let sockets = listing.lines().filter(|line| line.contains("socket:["));
        assert_eq!(sockets.count(), 0, "{own}: {listing}");
    }
}
