//! What is remembered, and when it is not believed.

use super::super::cache::{Belief, Tables};
use super::super::sys::{Entry, Proc};
use super::super::table::{self, Budget, Outcome};
use super::*;

fn entry(proc: &Proc, pid: u32) -> Entry {
    let mut entries = proc.processes().unwrap().into_iter();
    entries.find(|entry| entry.pid.as_raw() == pid).unwrap()
}

/// Reads a table until the process does not run meanwhile.
fn read(proc: &Proc, pid: u32) -> table::Table {
    let entry = entry(proc, pid);
    let mut table = None;
    eventually("a process at rest", || {
        match table::search(proc, entry, u64::MAX, &Budget::new(1000)) {
            Outcome::Miss(found) => table = found,
            Outcome::Hit(_) | Outcome::Gone | Outcome::Denied | Outcome::Exhausted => {
                panic!("not readable")
            }
        }
        table.is_some()
    });
    table.unwrap()
}

#[test]
fn a_table_is_believed_until_its_process_runs() {
    let _alone = alone();
    let proc = Proc::open().unwrap();
    let mut actor = Actor::start("sockets");
    actor.tell("");
    let first = actor.socket();
    let table = read(&proc, actor.pid());
    let mut tables = Tables::default();
    let entry = entry(&proc, actor.pid());
    tables.insert(entry, table);
    assert!(matches!(tables.belief(entry, first.inode), Belief::Holds(_)));
    assert_eq!(tables.belief(entry, u64::MAX), Belief::HoldsNot);
    // Another process with the same pid is another process.
    let successor = Entry { inode: entry.inode + 1, ..entry };
    assert_eq!(tables.belief(successor, first.inode), Belief::Unknown);
    assert_eq!(tables.belief(successor, u64::MAX), Belief::Unknown);

    actor.tell("");
    let second = actor.socket();
    assert_eq!(tables.belief(entry, first.inode), Belief::Unknown);
    assert_eq!(tables.belief(entry, second.inode), Belief::Unknown);
}

#[test]
fn a_socket_made_after_the_tables_were_read_is_found() {
    let _alone = alone();
    let mut actor = Actor::start("sockets");
    let finder = Finder::new(VIEW);
    for _ in 0..20 {
        finder.warm();
        actor.tell("");
        let owner = actor.socket();
        assert_eq!(pids(&finder.token(&owner, HolderSearch::All)), [actor.pid()]);
        assert_eq!(pids(&finder.token(&owner, HolderSearch::First)), [actor.pid()]);
    }
}

#[test]
fn another_holder_is_found_although_one_is_remembered() {
    let _alone = alone();
    let socket = socket();
    let owner = owner(&socket);
    let first = hold(socket.try_clone().unwrap());
    let finder = Finder::new(VIEW);
    drop(finder.token(&owner, HolderSearch::All));
    let second = hold(socket);
    let mut expected = [first.pid(), second.pid()];
    expected.sort_unstable();
    assert_eq!(pids(&finder.token(&owner, HolderSearch::All)), expected);
    drop(first);
    assert_eq!(pids(&finder.token(&owner, HolderSearch::All)), [second.pid()]);
    assert_eq!(pids(&finder.token(&owner, HolderSearch::First)), [second.pid()]);
}

#[test]
fn a_budget_ends_a_search() {
    let _alone = alone();
    let proc = Proc::open().unwrap();
    let socket = socket();
    let inode = owner(&socket).inode;
    let child = hold(socket);
    let entry = entry(&proc, child.pid());
    let search = |limit| table::search(&proc, entry, inode, &Budget::new(limit));
    assert!(matches!(search(0), Outcome::Exhausted));
    assert!(matches!(search(1), Outcome::Hit(hit) if hit.descriptor == 0));
}

#[test]
fn at_a_glance_only_the_process_that_was_found_before_and_still_holds_the_socket() {
    let _alone = alone();
    let finder = Finder::new(VIEW);
    let mut actor = Actor::start("sockets");
    let mut other = Actor::start("sockets");
    let next = |actor: &mut Actor| {
        actor.tell("");
        actor.socket()
    };
    let first = next(&mut actor);
    assert!(finder.token_at_a_glance(&first).is_none(), "nobody was found before");
    assert_eq!(pids(&finder.token(&first, HolderSearch::First)), [actor.pid()]);
    let second = next(&mut actor);
    let token = finder.token_at_a_glance(&second).expect("next to the first");
    assert_eq!(pids(&token), [actor.pid()]);
    assert_eq!(token.holders_gap(), Some(HoldersGap::StoppedAtFirst));
    let elsewhere = next(&mut other);
    assert!(finder.token_at_a_glance(&elsewhere).is_none(), "another process's socket");
}
