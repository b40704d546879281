//! Where the policy comes from, what becomes of its file, and who is refused with which words.
//! The caller is made up, so that the tests mean the same whoever runs them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc;

use super::*;
use crate::accounts::AccountNames;
use crate::error::ErrorKind;
use crate::stack::Stack;

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("partner-info-authority-{}-{next}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("policy.toml")
    }

    /// Puts a file in place in one step, as an administrator should.
    fn put(&self, text: &str) {
        let new = self.0.join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.file()).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Users and groups are called by their numbers, but for those without a name.
struct Numbered;

impl AccountNames for Numbered {
    fn name_of(&self, uid: u32) -> io::Result<Option<String>> {
        Ok((uid < 5_000).then(|| format!("u{uid}")))
    }

    fn group_name_of(&self, gid: u32) -> io::Result<Option<String>> {
        Ok((gid < 5_000).then(|| format!("g{gid}")))
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

fn names(source: impl AccountNames, patience: Duration) -> Names {
    Names::new(Arc::new(source), Duration::from_secs(60), patience)
}

/// Looks at its file each time.
fn authority(source: Source) -> Authority {
    Authority::looking_every(Duration::ZERO, source, names(Numbered, PATIENCE))
}

fn given(text: &str) -> Authority {
    authority(Source::Given(Policy::parse("p.toml", text).unwrap()))
}

fn asking(uid: u32, groups: &[u32]) -> Asking {
    Asking { uid, groups: Some(groups.to_vec()), privileged: false }
}

/// Asks until the names are known: `yes`, or the words of the refusal.
fn ask(authority: &Authority, stack: PartnerStack, asking: &dyn Fn() -> Asking) -> String {
    loop {
        match authority.decide_by(&authority.current(), stack, asking) {
            Ok(Standing::Authorized) => return "yes".into(),
            Ok(Standing::NamesPending) => std::thread::yield_now(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotAuthorized);
                return error.to_string();
            }
        }
    }
}

fn own(authority: &Authority, uid: u32) -> String {
    ask(authority, PartnerStack::Own, &|| asking(uid, &[uid]))
}

fn state(authority: &Authority) -> (PolicyInForce, Option<String>) {
    let kind = authority.current().kind;
    (kind, authority.watch().fault.as_ref().map(ToString::to_string))
}

const EVERYBODY: &str = "[[profile]]\nname = \"EZB.**\"\nuacc = \"READ\"\n";
const NOBODY: &str = "[[profile]]\nname = \"EZB.**\"\n";
const BROKEN: &str = "[[profile]]\nname = \"A.**.B.**\"\n";

#[test]
fn where_the_policy_comes_from() {
    const DEFAULT: &str = "/etc/partner-info/policy.toml";
    let table = [
        // the variable, whether the environment is distrusted, the file, whether it may be absent
        (None, false, DEFAULT, true),
        (None, true, DEFAULT, true),
        (Some(""), false, DEFAULT, true),
        (Some("/p"), false, "/p", false),
        (Some("/p"), true, DEFAULT, true),
    ];
    for (variable, distrusted, file, may_be_absent) in table {
        let source = Source::of(variable.map(OsString::from), distrusted);
        assert_eq!(source.path(), Some(std::path::Path::new(file)), "{variable:?} {distrusted}");
        let absent = matches!(source, Source::DefaultFile(_));
        assert_eq!(absent, may_be_absent, "{variable:?} {distrusted}");
    }
}

#[test]
fn the_latest_word_of_the_builder_counts() {
    let folder = Folder::new();
    folder.put(EVERYBODY);
    let nobody = || Policy::parse("p.toml", NOBODY).unwrap();
    let of = |builder: crate::StackBuilder| builder.build().policy_status().in_force();
    assert_eq!(of(Stack::builder().policy(nobody())), PolicyInForce::Given);
    assert_eq!(of(Stack::builder().policy_file(folder.file())), PolicyInForce::File);
    let both = Stack::builder().policy(nobody()).policy_file(folder.file());
    assert_eq!(of(both), PolicyInForce::File);
    let both = Stack::builder().policy_file(folder.file()).policy(nobody());
    assert_eq!(of(both), PolicyInForce::Given);
    let embedded = Stack::builder().policy(Policy::embedded()).build();
    assert_eq!(embedded.policy_status().in_force(), PolicyInForce::Embedded);
    assert_eq!(embedded.policy_status().file(), None);
    assert!(embedded.reload_policy().is_ok());
    assert_eq!(
        embedded.inner().authority.pass.load(Ordering::Relaxed),
        u64::MAX,
        "no clock is read"
    );
}

#[test]
fn a_new_file_is_in_force_at_the_next_question() {
    let folder = Folder::new();
    folder.put(NOBODY);
    let authority = authority(Source::File(folder.file()));
    assert!(own(&authority, 1000).contains("universal access NONE of profile EZB.**"));
    folder.put(EVERYBODY);
    assert_eq!(own(&authority, 1000), "yes");
    // Written in place, in the same length.
    fs::write(folder.file(), EVERYBODY.replace("READ", "NONE")).unwrap();
    assert_ne!(own(&authority, 1000), "yes");
}

#[test]
fn a_file_is_looked_at_no_more_often_than_said() {
    let folder = Folder::new();
    folder.put(NOBODY);
    let hour = Duration::from_secs(3_600);
    let source = Source::File(folder.file());
    let authority = Authority::looking_every(hour, source, names(Numbered, PATIENCE));
    folder.put(EVERYBODY);
    assert_ne!(own(&authority, 1000), "yes", "not looked at again");
    authority.look(&mut authority.watch(), true);
    assert_eq!(own(&authority, 1000), "yes", "read on demand");
}

#[test]
fn a_broken_file_leaves_the_last_good_one_in_force() {
    let folder = Folder::new();
    folder.put(EVERYBODY);
    let authority = authority(Source::File(folder.file()));
    folder.put(BROKEN);
    assert_eq!(own(&authority, 1000), "yes");
    let (kind, fault) = state(&authority);
    assert_eq!(kind, PolicyInForce::File);
    let fault = fault.expect("a fault");
    assert!(fault.contains("policy.toml:2:8: [double-star-twice]"), "{fault}");
    // Mended: what it says now is in force, and there is no fault.
    folder.put(NOBODY);
    assert_ne!(own(&authority, 1000), "yes");
    assert_eq!(state(&authority), (PolicyInForce::File, None));
}

#[test]
fn a_file_that_is_gone_leaves_what_it_said_in_force() {
    for source in [Source::File, Source::DefaultFile] {
        let folder = Folder::new();
        folder.put(NOBODY);
        let authority = authority(source(folder.file()));
        fs::remove_file(folder.file()).unwrap();
        assert_ne!(own(&authority, 1000), "yes", "its absence opens nothing");
        let (kind, fault) = state(&authority);
        assert_eq!(kind, PolicyInForce::File);
        assert!(fault.expect("a fault").contains("is gone"));
        folder.put(EVERYBODY);
        assert_eq!(own(&authority, 1000), "yes");
        assert_eq!(state(&authority), (PolicyInForce::File, None));
    }
}

#[test]
fn the_default_file_may_come_later() {
    let folder = Folder::new();
    let authority = authority(Source::DefaultFile(folder.file()));
    assert_eq!(state(&authority), (PolicyInForce::Embedded, None));
    assert_eq!(own(&authority, 1000), "yes");
    folder.put(BROKEN);
    assert_eq!(own(&authority, 1000), "yes", "the last good one is the embedded default");
    assert_eq!(state(&authority).0, PolicyInForce::Embedded);
    assert!(state(&authority).1.expect("a fault").contains("double-star-twice"));
    folder.put(NOBODY);
    assert_ne!(own(&authority, 1000), "yes");
    assert_eq!(state(&authority), (PolicyInForce::File, None));
}

#[test]
fn without_a_good_file_nobody_is_authorized() {
    let folder = Folder::new();
    let privileged = || Asking { uid: 0, groups: None, privileged: true };
    let fifo = folder.0.join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    let table = [
        (folder.0.join("absent"), "cannot be read: No such file"),
        (folder.0.clone(), "cannot be read: not a regular file"),
        (fifo, "cannot be read: not a regular file"),
    ];
    for (path, words) in table {
        let authority = authority(Source::File(path));
        assert_eq!(state(&authority).0, PolicyInForce::Nothing);
        for said in [own(&authority, 1000), ask(&authority, PartnerStack::Own, &privileged)] {
            assert!(said.contains(words) && said.contains("no policy is in force"), "{said}");
        }
    }
    folder.put(BROKEN);
    for source in [Source::File, Source::DefaultFile] {
        folder.put(BROKEN);
        let authority = authority(source(folder.file()));
        let said = own(&authority, 1000);
        assert!(said.contains("policy.toml:2:8: [double-star-twice]"), "{said}");
        folder.put(EVERYBODY);
        assert_eq!(own(&authority, 1000), "yes");
    }
}

#[test]
fn a_refusal_names_who_asked_for_what_and_which_rule_decided() {
    let policy = r#"
stack = "T1"
[[profile]]
name = "EZB.IOCTL.*.T1.PARTNERINFO"
permit = [
  { user = "u1000", access = "READ" },
  { uid = 1001, access = "READ" },
  { group = "g20", access = "READ" },
  { gid = 21, access = "READ" },
  { user = "u1002", access = "NONE" },
]
"#;
    let authority = given(policy);
    let host = sys::host_name().to_ascii_uppercase();
    let resource = format!("EZB.IOCTL.{}.T1.PARTNERINFO", host.split('.').next().unwrap());
    assert_eq!(authority.current().resource.as_ref().unwrap().as_str(), resource);
    let table: [(u32, &[u32], &str); 8] = [
        (1000, &[9], "yes"),
        (1001, &[9], "yes"),
        (1003, &[9, 20], "yes"),
        (1003, &[9, 21], "yes"),
        (1002, &[20], "permit user u1002 NONE in profile EZB.IOCTL.*.T1.PARTNERINFO (p.toml:10)"),
        (1003, &[9], "universal access NONE of profile EZB.IOCTL.*.T1.PARTNERINFO (p.toml:4)"),
        (6000, &[9], "universal access NONE"),
        // Without a name it may be u1002.
        (
            6000,
            &[21],
            "may be for this caller, whose names or groups are not all known (p.toml:10)",
        ),
    ];
    for (uid, groups, words) in table {
        let said = ask(&authority, PartnerStack::Own, &|| asking(uid, groups));
        assert!(said.contains(words), "{uid} {groups:?}: {said}");
        if said != "yes" {
            let who = if uid < 5_000 { format!("(\"u{uid}\")") } else { "(name not known)".into() };
            let start = format!("uid {uid} {who} is not authorized for {resource}: ");
            assert!(said.starts_with(&start), "{said}");
            assert!(said.contains("; an administrator can "), "{said}");
        }
    }
    let privileged = || Asking { uid: 6000, groups: None, privileged: true };
    assert_eq!(ask(&authority, PartnerStack::Own, &privileged), "yes");
    let no_groups = || Asking { uid: 1003, groups: None, privileged: false };
    assert!(ask(&authority, PartnerStack::Own, &no_groups).contains("universal access NONE"));
    assert!(own(&given(""), 1000).contains("no profile matches (p.toml)"));
}

#[test]
fn the_embedded_default_speaks_of_the_own_stack_alone() {
    let authority = authority(Source::Given(Policy::embedded()));
    assert_eq!(own(&authority, 1000), "yes");
    let other = |privileged| {
        ask(&authority, PartnerStack::Other, &|| Asking { uid: 1000, groups: None, privileged })
    };
    assert!(other(false).contains("no policy file, partner not in the caller's own stack"));
    assert_eq!(other(true), "yes");
    assert_eq!(authority.current().policy.as_ref().unwrap().security_domain(), None);
}

#[test]
fn every_remedy_tells_an_administrator_what_to_do() {
    for rule in [
        RuleKind::NoPolicyFile,
        RuleKind::NoProfile,
        RuleKind::Permit,
        RuleKind::UniversalAccess,
        RuleKind::MayApply,
    ] {
        assert!(remedy(rule).starts_with("an administrator can "), "{rule:?}");
    }
}

/// Names that come when they are let go.
struct Held(Mutex<mpsc::Receiver<()>>);

impl AccountNames for Held {
    fn name_of(&self, uid: u32) -> io::Result<Option<String>> {
        self.0.lock().unwrap().recv().map_err(io::Error::other)?;
        Ok(Some(format!("u{uid}")))
    }
}

const BY_NAME: &str =
    "[[profile]]\nname = \"EZB.**\"\npermit = [{ user = \"u1\", access = \"READ\" }]";

#[test]
fn h29_a_caller_whose_name_is_on_its_way_is_neither_authorized_nor_refused() {
    let (gate, held) = mpsc::channel();
    let source = Source::Given(Policy::parse("p.toml", BY_NAME).unwrap());
    let authority = Authority::new(source, names(Held(Mutex::new(held)), PATIENCE));
    let decide =
        |uid| authority.decide_by(&authority.current(), PartnerStack::Own, || asking(uid, &[]));
    assert_eq!(decide(1), Ok(Standing::NamesPending));
    assert_eq!(decide(1), Ok(Standing::NamesPending));
    gate.send(()).unwrap();
    assert_eq!(own(&authority, 1), "yes");
}

#[test]
fn h29_a_name_service_that_hangs_is_not_waited_for_any_longer_than_said() {
    let (_gate, held) = mpsc::channel();
    let source = Source::Given(Policy::parse("p.toml", BY_NAME).unwrap());
    let authority = Authority::new(source, names(Held(Mutex::new(held)), Duration::ZERO));
    assert!(own(&authority, 1).contains("universal access NONE"));
}

#[test]
fn h29_names_are_looked_up_only_where_the_profile_has_entries_by_name() {
    struct Panics;
    impl AccountNames for Panics {
        fn name_of(&self, _: u32) -> io::Result<Option<String>> {
            panic!("nobody asked for a name");
        }
        fn group_name_of(&self, _: u32) -> io::Result<Option<String>> {
            panic!("nobody asked for a name");
        }
    }
    // Entries by name in a profile that does not apply do not count.
    let text = "[[profile]]\nname = \"EZB.**\"\npermit = [{ uid = 1, access = \"READ\" }]\n\
                [[profile]]\nname = \"OTHER.**\"\npermit = [{ user = \"x\", access = \"READ\" }]";
    let source = Source::Given(Policy::parse("p.toml", text).unwrap());
    let authority = Authority::new(source, names(Panics, PATIENCE));
    let decide =
        |uid| authority.decide_by(&authority.current(), PartnerStack::Own, || asking(uid, &[7]));
    assert_eq!(decide(1), Ok(Standing::Authorized));
    assert_eq!(decide(2).unwrap_err().kind(), ErrorKind::NotAuthorized);
}

#[test]
fn a_host_whose_name_makes_no_resource_authorizes_nobody() {
    let authority = given(EVERYBODY);
    let policy = Policy::parse("p.toml", EVERYBODY).unwrap();
    let in_force = InForce::new(PolicyInForce::Given, Ok(policy), "b\u{fc}ro".into());
    let said = authority.decide_by(&in_force, PartnerStack::Own, || asking(1000, &[]));
    assert!(said.unwrap_err().to_string().contains("no resource name can be made of"));
}
