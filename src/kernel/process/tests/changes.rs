//! Processes that change at the worst moment, each time one passes.

use std::cell::{Cell, RefCell};

use nix::sched::{CloneFlags, unshare};

use super::super::table::{self, Budget, Outcome};
use super::*;

/// Holds one socket, under a number that is not below the one it was told last.
pub(super) fn shifting_descriptor() {
    let mut socket = rustix::io::fcntl_dupfd_cloexec(socket(), 50).unwrap();
    answer(inode(&socket));
    while let Some(number) = told() {
        let moved = rustix::io::fcntl_dupfd_cloexec(&socket, number.parse().unwrap()).unwrap();
        drop(std::mem::replace(&mut socket, moved));
        answer("moved");
    }
}

/// Holds a socket, and is called what it was told last.
pub(super) fn changing_name() {
    let socket = socket();
    answer(inode(&socket));
    while let Some(name) = told() {
        // The name of a process is that of its first thread, and this is another one.
        std::fs::write("/proc/self/comm", name).unwrap();
        answer("renamed");
    }
    drop(socket);
}

/// From a number that is not read yet to one that was read already: only a second look finds it.
#[test]
fn a_socket_that_is_moved_past_the_reader() {
    let _alone = alone();
    let proc = Proc::open().unwrap();
    let mut actor = Actor::start("shifter");
    let owner = actor.socket();
    let entry = sys::Entry { pid: pid(actor.pid()), inode: 0 };
    let actor = RefCell::new(actor);
    let moved = Cell::new(false);
    let outcome = table::search_with(&proc, entry, owner.inode, &Budget::new(1000), &|number| {
        if number == 22 && !moved.replace(true) {
            let mut actor = actor.borrow_mut();
            actor.tell("20");
            assert_eq!(actor.answer(), "moved");
        }
    });
    assert!(moved.get());
    assert!(matches!(outcome, Outcome::Hit(hit) if hit.descriptor == 20), "{outcome:?}");
}

#[test]
fn a_holder_that_never_rests_is_said_to_be_changing() {
    let _alone = alone();
    let mut actor = Actor::start("renamer");
    let owner = actor.socket();
    let (actor, names) = (RefCell::new(actor), Cell::new(0));
    let changing = || {
        let mut actor = actor.borrow_mut();
        names.set(names.get() + 1);
        actor.tell(&format!("name {}", names.get()));
        assert_eq!(actor.answer(), "renamed");
    };
    for search in [HolderSearch::All, HolderSearch::First] {
        let token = Finder::new(VIEW).token_with(&owner, search, &changing);
        assert_eq!(pids(&token), [0; 0], "{token}");
        assert_eq!(token.holders_gap(), Some(HoldersGap::Changing));
    }
    let token = all(&owner);
    assert_eq!(token.command().unwrap().to_str(), Some(&*format!("name {}", names.get())));
}

#[test]
fn a_holder_that_always_moves_on_is_said_to_be_changing() {
    let _alone = alone();
    let mut actor = Actor::start("shifter");
    let owner = actor.socket();
    let (actor, numbers) = (RefCell::new(actor), Cell::new(60));
    let moving = || {
        let mut actor = actor.borrow_mut();
        numbers.set(numbers.get() + 1);
        actor.tell(&numbers.get().to_string());
        assert_eq!(actor.answer(), "moved");
    };
    let token = Finder::new(VIEW).token_with(&owner, HolderSearch::All, &moving);
    assert_eq!(pids(&token), [0; 0], "{token}");
    assert_eq!(token.holders_gap(), Some(HoldersGap::Changing));
    assert_eq!(pids(&all(&owner)), [actor.borrow().pid()]);
}

/// The thread that asks has descriptors of its own, and this process another socket.
#[test]
fn a_thread_with_descriptors_of_its_own_finds_the_processes() {
    let _alone = alone();
    let proc = Proc::open().unwrap();
    let own = sys::Entry { pid: proc.own(), inode: 0 };
    let search = |inode| table::search(&proc, own, inode, &Budget::new(100_000));
    let (apart, is_apart) = std::sync::mpsc::channel();
    let (ask, asked) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            unshare(CloneFlags::CLONE_FILES).unwrap();
            apart.send(()).unwrap();
            let inode = asked.recv().unwrap();
            (search(inode), inode)
        });
        is_apart.recv().unwrap();
        let socket = socket();
        ask.send(inode(&socket)).unwrap();
        let (outcome, inode) = thread.join().unwrap();
        assert!(matches!(outcome, Outcome::Hit(_)), "{outcome:?}");
        let outcome = table::search(&proc, own, inode, &Budget::new(100_000));
        assert!(matches!(outcome, Outcome::Hit(_)), "{outcome:?}");
    });
}
