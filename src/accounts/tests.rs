use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, mpsc};

use super::kept::{ERROR_AGE, WORKERS};
use super::*;

const LIMITS: Limits = Limits { age: Duration::from_secs(60), names: 8 };

/// Counts the questions; holds each back until it is let go.
struct Source {
    asked: Arc<AtomicU32>,
    gate: Mutex<mpsc::Receiver<io::Result<Option<String>>>>,
}

type Gate = mpsc::Sender<io::Result<Option<String>>>;

fn source() -> (Source, Gate, Arc<AtomicU32>) {
    let (gate, receiver) = mpsc::channel();
    let asked = Arc::new(AtomicU32::new(0));
    (Source { asked: Arc::clone(&asked), gate: Mutex::new(receiver) }, gate, asked)
}

impl AccountNames for Source {
    fn name_of(&self, _: u32) -> io::Result<Option<String>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.gate.lock().unwrap().recv().map_err(io::Error::other)?
    }
}

/// Looks again until the answer is here.
fn settled(accounts: &Accounts, uid: u32, now: Instant) -> Lookup {
    loop {
        match accounts.lookup(uid, now) {
            Lookup::Pending => std::thread::yield_now(),
            lookup @ (Lookup::Known(_) | Lookup::Unavailable) => return lookup,
        }
    }
}

fn known(name: &str) -> Lookup {
    Lookup::Known(Some(name.into()))
}

#[test]
fn a_name_is_asked_once_and_kept_for_its_age() {
    let (source, gate, asked) = source();
    let accounts = Accounts::new(Arc::new(source), LIMITS);
    let now = Instant::now();
    assert_eq!(accounts.lookup(1000, now), Lookup::Pending);
    assert_eq!(accounts.lookup(1000, now), Lookup::Pending);
    gate.send(Ok(Some("alice".into()))).unwrap();
    assert_eq!(settled(&accounts, 1000, now), known("alice"));
    assert_eq!(accounts.lookup(1000, now), known("alice"));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // It is asked again when it has aged.
    let later = Instant::now() + LIMITS.age + Duration::from_secs(1);
    assert_eq!(accounts.lookup(1000, later), Lookup::Pending);
    assert_eq!(accounts.lookup(1000, now), known("alice"), "young enough for now");
    gate.send(Ok(Some("renamed".into()))).unwrap();
    while accounts.lookup(1000, now) != known("renamed") {
        std::thread::yield_now();
    }
}

#[test]
fn h30_no_account_is_an_answer() {
    let (source, gate, asked) = source();
    let accounts = Accounts::new(Arc::new(source), LIMITS);
    gate.send(Ok(None)).unwrap();
    assert_eq!(settled(&accounts, 4711, Instant::now()), Lookup::Known(None));
    assert_eq!(accounts.lookup(4711, Instant::now()), Lookup::Known(None));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn an_error_is_believed_for_a_moment_only() {
    let (source, gate, _) = source();
    let accounts = Accounts::new(Arc::new(source), LIMITS);
    gate.send(Err(io::ErrorKind::TimedOut.into())).unwrap();
    assert_eq!(settled(&accounts, 1, Instant::now()), Lookup::Known(None));
    let later = Instant::now() + ERROR_AGE + Duration::from_secs(1);
    assert_eq!(accounts.lookup(1, later), Lookup::Pending);
}

#[test]
fn h29_a_name_service_that_hangs_blocks_nobody_and_takes_few_threads() {
    let (source, gate, asked) = source();
    let accounts = Accounts::new(Arc::new(source), LIMITS);
    let now = Instant::now();
    let uids = 1_000_000..1_003_000;
    let unavailable = uids.filter(|uid| accounts.lookup(*uid, now) == Lookup::Unavailable).count();
    let most = WORKERS.queue + 2 * WORKERS.threads;
    assert!(unavailable >= 3_000 - most, "the queue is bounded");
    while asked.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    assert!(accounts.0.sizes().0 <= most);
    drop(gate);
}

#[test]
fn a_source_that_panics_is_a_name_that_is_absent() {
    struct Panics;
    impl AccountNames for Panics {
        fn name_of(&self, _: u32) -> io::Result<Option<String>> {
            panic!("a bug in a source of names");
        }
    }
    let accounts = Accounts::new(Arc::new(Panics), LIMITS);
    assert_eq!(settled(&accounts, 1, Instant::now()), Lookup::Known(None));
    assert_eq!(settled(&accounts, 2, Instant::now()), Lookup::Known(None));
}

#[test]
fn names_are_bounded() {
    let (source, gate, _) = source();
    let accounts = Accounts::new(Arc::new(source), LIMITS);
    for uid in 0..100 {
        gate.send(Ok(Some(format!("user{uid}")))).unwrap();
        settled(&accounts, uid, Instant::now());
    }
    let (_, known) = accounts.0.sizes();
    assert!(known <= LIMITS.names, "{known}");
}

#[test]
fn the_system_knows_root() {
    let accounts = Accounts::new(Arc::new(SystemAccounts), LIMITS);
    assert_eq!(settled(&accounts, 0, Instant::now()), known("root"));
}

#[test]
fn users_and_groups_of_one_number_are_two_accounts() {
    struct Both;
    impl AccountNames for Both {
        fn name_of(&self, uid: u32) -> io::Result<Option<String>> {
            Ok(Some(format!("user{uid}")))
        }
        fn group_name_of(&self, gid: u32) -> io::Result<Option<String>> {
            Ok(Some(format!("group{gid}")))
        }
    }
    let accounts = Accounts::new(Arc::new(Both), LIMITS);
    assert_eq!(settled(&accounts, 7, Instant::now()), known("user7"));
    let group = || accounts.lookup_or_last(Account::Group(7), Instant::now());
    while group() == Lookup::Pending {
        std::thread::yield_now();
    }
    assert_eq!(group(), known("group7"));
    assert_eq!(settled(&accounts, 7, Instant::now()), known("user7"));
}

#[test]
fn an_aged_answer_serves_its_own_caller_until_the_next_is_here() {
    let (source, gate, asked) = source();
    let accounts = Accounts::new(Arc::new(source), LIMITS);
    let user = Account::User(1000);
    assert_eq!(accounts.lookup_or_last(user, Instant::now()), Lookup::Pending, "there is no last");
    gate.send(Ok(Some("alice".into()))).unwrap();
    assert_eq!(settled(&accounts, 1000, Instant::now()), known("alice"));
    let later = Instant::now() + LIMITS.age + Duration::from_secs(1);
    assert_eq!(accounts.lookup_or_last(user, later), known("alice"), "and it is asked again");
    while asked.load(Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    // The name service has failed since: then the name is not known.
    gate.send(Err(io::ErrorKind::TimedOut.into())).unwrap();
    while accounts.lookup_or_last(user, later) != Lookup::Known(None) {
        std::thread::yield_now();
    }
}
