//! Account names that come late or never (H29): the number is answered all the same.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use partner_info::prelude::*;
use partner_info::{AccountNames, Stack};
use socket2::Socket;

use super::puppet::Puppet;
use super::support::{PATIENCE, accept, address, connect, get, listen, run};

super::tests![
    h29_a_name_source_that_hangs_costs_the_name_and_not_the_number,
    h29_a_name_source_that_hangs_does_not_hold_up_others,
    h29_a_name_source_that_panics_or_fails_costs_the_name_only,
    h29_a_name_that_comes_late_is_there_in_a_later_get,
    h29_without_names_no_source_is_asked,
    #[cc]
    h29_the_system_s_name_service_hangs,
];

/// Longer than any test waits; the threads end with the process.
const FOR_EVER: Duration = Duration::from_secs(600);

struct Hangs(Arc<AtomicUsize>);

impl AccountNames for Hangs {
    fn name_of(&self, _: u32) -> io::Result<Option<String>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(FOR_EVER);
        Ok(Some("never".into()))
    }
}

/// A connection whose client is the test itself, and the server's end.
fn pair(at: &str) -> (Socket, Socket) {
    let listener = listen(address(at));
    let client = connect(address(at));
    (client, accept(&listener))
}

fn answer(stack: &Stack, socket: &Socket, timeout: Duration) -> (u32, Option<String>, Duration) {
    let begun = Instant::now();
    let info = get(stack, socket, PartnerRequest::USER_ID, timeout).unwrap();
    let user = info.user().unwrap();
    (user.uid(), user.name().map(str::to_owned), begun.elapsed())
}

fn h29_a_name_source_that_hangs_costs_the_name_and_not_the_number() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (_client, server) = pair("127.0.0.1:8080");
    // The timeout ends the wait, where the patience for names is longer...
    let patient =
        Stack::builder().account_names(Hangs(Arc::clone(&asked))).name_patience(FOR_EVER).build();
    let (uid, name, took) = answer(&patient, &server, Duration::from_millis(200));
    assert_eq!((uid, name), (0, None));
    assert!(took >= Duration::from_millis(200) && took < PATIENCE, "{took:?}");
    // ...and the patience ends it, where the timeout is longer.
    let hasty = Stack::builder()
        .account_names(Hangs(Arc::clone(&asked)))
        .name_patience(Duration::from_millis(200))
        .build();
    let (uid, name, took) = answer(&hasty, &server, FOR_EVER);
    assert_eq!((uid, name), (0, None));
    assert!(took >= Duration::from_millis(200) && took < PATIENCE, "{took:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // What was answered is saved: the name service is not waited for again.
    let (uid, name, took) = answer(&hasty, &server, FOR_EVER);
    assert_eq!((uid, name), (0, None));
    assert!(took < Duration::from_millis(150), "{took:?}");
}

fn h29_a_name_source_that_hangs_does_not_hold_up_others() {
    let asked = Arc::new(AtomicUsize::new(0));
    let stack = Stack::builder()
        .account_names(Hangs(Arc::clone(&asked)))
        .name_patience(Duration::from_millis(50))
        .build();
    let listener = listen(address("127.0.0.1:8080"));
    let puppets: Vec<Puppet> = (2_000..2_008).map(Puppet::new).collect();
    let begun = Instant::now();
    for (puppet, uid) in puppets.iter().zip(2_000..) {
        puppet.connect(address("127.0.0.1:8080"));
        let server = accept(&listener);
        let (found, name, _) = answer(&stack, &server, Duration::from_secs(5));
        assert_eq!((found, name), (uid, None));
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(asked.load(Ordering::SeqCst) <= 8);
}

fn h29_a_name_source_that_panics_or_fails_costs_the_name_only() {
    struct Fails;
    impl AccountNames for Fails {
        fn name_of(&self, uid: u32) -> io::Result<Option<String>> {
            if uid == 0 {
                // As a panic, without the message.
                std::panic::resume_unwind(Box::new("on purpose"));
            }
            Err(io::Error::other("the directory is down"))
        }
    }
    let stack = Stack::builder().account_names(Fails).build();
    let listener = listen(address("127.0.0.1:8080"));
    let client = Puppet::new(1000);
    for _ in 0..3 {
        let _root = connect(address("127.0.0.1:8080"));
        let (uid, name, _) = answer(&stack, &accept(&listener), PATIENCE);
        assert_eq!((uid, name), (0, None));
        client.connect(address("127.0.0.1:8080"));
        let (uid, name, _) = answer(&stack, &accept(&listener), PATIENCE);
        assert_eq!((uid, name), (1000, None));
    }
}

fn h29_a_name_that_comes_late_is_there_in_a_later_get() {
    struct Slow;
    impl AccountNames for Slow {
        fn name_of(&self, _: u32) -> io::Result<Option<String>> {
            std::thread::sleep(Duration::from_millis(300));
            Ok(Some("slow".into()))
        }
    }
    let stack =
        Stack::builder().account_names(Slow).name_patience(Duration::from_millis(50)).build();
    let (_client, server) = pair("127.0.0.1:8080");
    let (uid, name, _) = answer(&stack, &server, PATIENCE);
    assert_eq!((uid, name), (0, None));
    super::support::eventually("the name", || {
        let (uid, name, _) = answer(&stack, &server, PATIENCE);
        assert_eq!(uid, 0);
        name.as_deref() == Some("slow")
    });
}

fn h29_without_names_no_source_is_asked() {
    let asked = Arc::new(AtomicUsize::new(0));
    let stack = Stack::builder()
        .account_names(Hangs(Arc::clone(&asked)))
        .name_patience(FOR_EVER)
        .without_names()
        .build();
    let listener = listen(address("127.0.0.1:8080"));
    let client = Puppet::new(1000);
    client.connect(address("127.0.0.1:8080"));
    let server = accept(&listener);
    for _ in 0..2 {
        let (uid, name, _) = answer(&stack, &server, FOR_EVER);
        assert_eq!((uid, name), (1000, None));
    }
    let info = get(&stack, &server, PartnerRequest::all(), FOR_EVER).unwrap();
    assert_eq!(info.user().map(|user| (user.uid(), user.name())), Some((1000, None)));
    assert_eq!(info.process_user().map(|user| (user.uid(), user.name())), Some((1000, None)));
    assert_eq!(info.token().unwrap().flags().undefined_user(), None, "nobody looked");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

/// A module of the C library's name service that sleeps, as one does whose directory server is
/// down. Only a mount namespace of the puppet's own is told to use it.
fn h29_the_system_s_name_service_hangs() {
    const MODULE: &str = "
        #include <unistd.h>
        int _nss_sleepy_getpwuid_r(unsigned uid, void *pw, char *buf, unsigned long len, int *e) {
            sleep(600);
            return 0;
        }";
    let folder = std::env::temp_dir().join(format!("partner-info-nss-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (source, module) = (folder.join("sleepy.c"), folder.join("libnss_sleepy.so.2"));
    let switch = folder.join("nsswitch.conf");
    std::fs::write(&source, MODULE).unwrap();
    std::fs::write(&switch, "passwd: sleepy\ngroup: files\n").unwrap();
    run(&format!("cc -shared -fPIC -o {} {}", module.display(), source.display()));

    let asker = Puppet::with(0, |command| {
        command.env("LD_LIBRARY_PATH", &folder);
    });
    asker.must(&format!("replace-file /etc/nsswitch.conf {}", switch.display()));
    let listener = asker.listen(address("127.0.0.1:8080"));
    let client = Puppet::new(1000);
    client.connect(address("127.0.0.1:8080"));
    let server = listener.accept();
    let said = server.must("slow-name 300");
    std::fs::remove_dir_all(&folder).unwrap();
    let (who, milliseconds) = said.split_once(" after ").unwrap();
    assert_eq!(who, "1000");
    let milliseconds: u64 = milliseconds.parse().unwrap();
    assert!((250..10_000).contains(&milliseconds), "{milliseconds} ms");
}

/// In a puppet: in a mount namespace of its own, `with` stands in the place of `path`.
pub(crate) fn replace_file(path: &str, with: &str) -> io::Result<()> {
    let none = None::<&Path>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some(with), path, none, MsFlags::MS_BIND, none)?;
    Ok(())
}

/// In a puppet: who it is with the system's name service, and how long that took.
pub(crate) fn slow_get(socket: &Socket, milliseconds: &str) -> io::Result<String> {
    let stack = Stack::builder().build();
    let timeout = Duration::from_millis(milliseconds.parse().unwrap());
    let begun = Instant::now();
    let info = get(&stack, socket, PartnerRequest::USER_ID, timeout)?;
    // `1000`, and `name(1000)` if it had a name.
    Ok(format!("{} after {}", info.user().unwrap(), begun.elapsed().as_millis()))
}
