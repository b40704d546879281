//! Processes with very many descriptors or threads, and one whose first thread is gone.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

/// Twenty thousand with those that the program has anyway: the hard limit of some hosts.
const DESCRIPTORS: usize = 19_900;
const THREADS: usize = 2_000;

pub(super) fn many_descriptors() {
    let maximum = Some(DESCRIPTORS as u64 + 100);
    let limit = Rlimit { current: maximum, maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, limit).unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let files: Vec<_> = (0..DESCRIPTORS).map(|_| null.try_clone().unwrap()).collect();
    while told().is_some() {
        let socket = socket();
        answer(inode(&socket));
        std::mem::forget(socket);
    }
    drop(files);
}

pub(super) fn many_threads() {
    let threads: Vec<_> = (0..THREADS)
        .map(|_| std::thread::Builder::new().stack_size(16 * 1024).spawn(std::thread::park))
        .collect();
    assert!(threads.iter().all(Result::is_ok));
    while told().is_some() {
        let socket = socket();
        answer(inode(&socket));
        std::mem::forget(socket);
    }
}

#[test]
fn twenty_thousand_descriptors() {
    let _alone = alone();
    let mut actor = Actor::start("descriptors");
    let finder = Finder::new(VIEW);
    actor.tell("");
    let first = actor.socket();
    let token = finder.token(&first, HolderSearch::All);
    assert_eq!(pids(&token), [actor.pid()]);
    assert!(token.holders()[0].descriptor() as usize >= DESCRIPTORS);

    actor.tell("");
    let second = actor.socket();
    let start = Instant::now();
    assert_eq!(pids(&finder.token(&second, HolderSearch::First)), [actor.pid()]);
    let near = start.elapsed();
    assert!(near < Duration::from_millis(10), "read the whole table again: {near:?}");
}

pub(super) fn sparse_descriptors() {
    let socket = socket();
    let far = rustix::io::fcntl_dupfd_cloexec(&socket, 900).unwrap();
    drop(socket);
    answer(inode(&far));
    drop((told(), far));
}

#[test]
fn descriptors_with_large_holes_and_old_kernels() {
    use super::super::table::{self, Budget, Outcome};

    let _alone = alone();
    let mut actor = Actor::start("sparse");
    let owner = actor.socket();
    for proc in [Proc::open().unwrap(), Proc::open().unwrap().without_counts()] {
        let expected = table::Hit { pid: pid(actor.pid()), thread: None, descriptor: 900 };
        let entry = sys::Entry { pid: pid(actor.pid()), inode: 0 };
        let outcome = table::search(&proc, entry, owner.inode, &Budget::new(200));
        assert!(matches!(outcome, Outcome::Hit(hit) if hit == expected), "{outcome:?}");
        let outcome = table::search(&proc, entry, u64::MAX, &Budget::new(200));
        assert!(matches!(outcome, Outcome::Miss(_)), "{outcome:?}");
    }
    assert_eq!(pids(&all(&owner)), [actor.pid()]);
}

/// Holds a socket all the time, but never for long under one number.
pub(super) fn moving_descriptor() {
    let mut socket = socket();
    answer(inode(&socket));
    let end = Instant::now() + Duration::from_secs(60);
    for number in [60, 3, 40].into_iter().cycle() {
        let moved = rustix::io::fcntl_dupfd_cloexec(&socket, number).unwrap();
        drop(std::mem::replace(&mut socket, moved));
        std::thread::sleep(Duration::from_micros(20));
        if Instant::now() > end {
            return;
        }
    }
}

#[test]
fn a_descriptor_that_moves() {
    let _alone = alone();
    let mut actor = Actor::start("mover");
    let owner = actor.socket();
    let mut found = 0;
    for _ in 0..200 {
        let token = Finder::new(VIEW).token(&owner, HolderSearch::All);
        if pids(&token) == [actor.pid()] {
            found += 1;
        } else {
            assert!(!token.holders_complete(), "{token}");
        }
    }
    assert!(found > 0, "never found");
}

#[test]
fn two_thousand_threads() {
    let _alone = alone();
    let mut actor = Actor::start("threads");
    actor.tell("");
    let owner = actor.socket();
    let token = all(&owner);
    assert_eq!(pids(&token), [actor.pid()]);
    assert!(token.holders()[0].executable().is_some());
}

#[test]
#[ignore = "needs python3: ends the first thread of a process alone"]
fn a_process_whose_first_thread_has_exited() {
    const PROGRAM: &str = "import ctypes, threading, time\n\
        threading.Thread(target=time.sleep, args=(1000,)).start()\n\
        ctypes.CDLL(None).pthread_exit(None)";

    let _alone = alone();
    let socket = socket();
    let owner = owner(&socket);
    let child = hold_with(Command::new("python3").args(["-c", PROGRAM]), socket);
    let leader = format!("/proc/{0}/task/{0}/stat", child.pid());
    eventually("the first thread is gone", || {
        std::fs::read_to_string(&leader).unwrap().contains(") Z ")
    });
    let finder = Finder::new(VIEW);
    for search in [HolderSearch::All, HolderSearch::First, HolderSearch::All] {
        let token = finder.token(&owner, search);
        assert_eq!(pids(&token), [child.pid()]);
        let holder = token.holder().unwrap();
        assert!(holder.executable().is_some());
        assert_eq!(holder.process_user(), Some(own_uid()));
    }
}
