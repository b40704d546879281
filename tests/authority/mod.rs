//! The tests, and how a role is started.

mod roles;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};

/// Which role this program is to play.
const ROLE: &str = "PARTNER_INFO_TEST_ROLE";
/// What names the policy file.
const VARIABLE: &str = "PARTNER_INFO_POLICY";
/// An account that every Debian has, with a group of the same number and name.
const DAEMON: u32 = 1;

const NOBODY: &str = "[[profile]]\nname = \"EZB.**\"\n";
const EVERYBODY: &str = "[[profile]]\nname = \"EZB.**\"\nuacc = \"READ\"\n";

type Test = (&'static str, bool, fn());

macro_rules! tests {
    ($($(#[$root:ident])? $name:ident),* $(,)?) => {
        const TESTS: &[Test] = &[$((stringify!($name), tests!(@ $($root)?), $name)),*];
    };
    (@) => { false };
    (@ root) => { true };
}

tests![
    whom_the_policy_permits,
    a_set_and_both_gets_are_refused_and_an_empty_request_is_not,
    a_saved_answer_is_refused_once_the_policy_says_so,
    a_broken_file_authorizes_nobody_and_names_the_line,
    names_that_are_on_their_way_are_waited_for,
    names_that_are_on_their_way_hold_a_saved_answer_back,
    #[root]
    a_program_that_drops_its_rights_loses_its_right,
    #[root]
    the_capability_counts_while_it_is_effective,
    #[root]
    root_of_a_user_namespace_is_privileged_in_its_own_stack_alone,
    #[root]
    a_partner_in_another_stack_is_not_told_apart_from_a_refusal,
    #[root]
    a_set_id_program_does_not_follow_its_callers_environment,
];

pub(crate) fn main() -> ExitCode {
    if let Some(role) = std::env::var_os(ROLE) {
        return roles::play(role.to_str().unwrap());
    }
    let root = rustix::process::geteuid().is_root();
    let trials = TESTS.iter().map(|(name, needs_root, run)| {
        let trial = Trial::test(*name, move || {
            run();
            Ok(())
        });
        if *needs_root && !root {
            trial.with_kind("needs root").with_ignored_flag(true)
        } else {
            trial
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// Who the ordinary user of the tests is: as root, another one.
fn user() -> (u32, u32) {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if uid.is_root() { (DAEMON, DAEMON) } else { (uid.as_raw(), gid.as_raw()) }
}

fn name(of: &str) -> String {
    let (uid, _) = user();
    let id = Command::new("id").args([of, &uid.to_string()]).output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

/// A policy file that every user may read, gone at the end.
struct PolicyFile(PathBuf);

impl PolicyFile {
    fn new(text: &str) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("partner-info-policy-{}-{next}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let file = Self(folder);
        file.put(text);
        file
    }

    fn path(&self) -> PathBuf {
        self.0.join("policy.toml")
    }

    fn put(&self, text: &str) {
        let new = self.0.join("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(new, self.path()).unwrap();
    }
}

impl Drop for PolicyFile {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process in a role.
struct Role {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Role {
    fn start(role: &str, policy: Option<&PolicyFile>, user: Option<(u32, u32)>) -> Self {
        Self::of(Command::new("/proc/self/exe"), role, policy, user)
    }

    fn of(
        mut command: Command,
        role: &str,
        policy: Option<&PolicyFile>,
        user: Option<(u32, u32)>,
    ) -> Self {
        command.env(ROLE, role).env_remove(VARIABLE);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(policy) = policy {
            command.env(VARIABLE, policy.path());
        }
        if let Some((uid, gid)) = user
            && rustix::process::geteuid().is_root()
        {
            command.uid(uid).gid(gid);
        }
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    /// What it says next.
    fn says(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn go_on(&mut self) {
        writeln!(self.input).unwrap();
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn as_user(role: &str, policy: &PolicyFile) -> Role {
    Role::start(role, Some(policy), Some(user()))
}

fn permit(key: &str, value: &str) -> String {
    format!("{NOBODY}permit = [{{ {key} = {value}, access = \"READ\" }}]\n")
}

fn whom_the_policy_permits() {
    let (uid, gid) = user();
    let quoted = |of| format!("\"{}\"", name(of));
    let table = [
        (NOBODY.to_owned(), false),
        (String::new(), false),
        (EVERYBODY.to_owned(), true),
        (permit("uid", &uid.to_string()), true),
        (permit("uid", "4000000"), false),
        (permit("gid", &gid.to_string()), true),
        (permit("gid", "4000000"), false),
        (permit("user", &quoted("-un")), true),
        (permit("user", "\"somebody-else\""), false),
        (permit("group", &quoted("-gn")), true),
        (permit("group", "\"some-other-group\""), false),
    ];
    for (policy, authorized) in table {
        let file = PolicyFile::new(&policy);
        let said = as_user("get", &file).says();
        if authorized {
            assert_eq!(said, format!("user {uid}"), "{policy}");
        } else {
            assert!(said.starts_with(&format!("NotAuthorized: uid {uid} (")), "{policy}: {said}");
            assert!(said.contains(&file.path().to_str().unwrap()[..20]), "{policy}: {said}");
        }
    }
}

fn a_set_and_both_gets_are_refused_and_an_empty_request_is_not() {
    let file = PolicyFile::new(NOBODY);
    let mut role = as_user("every-call", &file);
    for call in ["set socket", "set listener", "get", "try", "get token"] {
        let said = role.says();
        assert!(said.starts_with(&format!("{call}: NotAuthorized: uid ")), "{said}");
    }
    assert_eq!(role.says(), "get nothing: routing 14");
    assert_eq!(role.says(), "set nothing: ok");
    assert_eq!(role.says(), "try nothing: routing 14");
}

fn a_saved_answer_is_refused_once_the_policy_says_so() {
    let file = PolicyFile::new(EVERYBODY);
    let mut role = as_user("saved", &file);
    assert!(role.says().starts_with("user "));
    assert!(role.says().starts_with("user "));
    file.put(NOBODY);
    role.go_on();
    assert!(role.says().starts_with("at last NotAuthorized: "));
}

fn a_broken_file_authorizes_nobody_and_names_the_line() {
    let file = PolicyFile::new("[[profile]]\nname = \"EZB.**\"\nucca = \"READ\"\n");
    for user in [Some(user()), None] {
        let said = Role::start("get", Some(&file), user).says();
        assert!(said.contains("policy.toml:3:1: [unknown-key]"), "{said}");
    }
}

fn names_that_are_on_their_way_are_waited_for() {
    let file = PolicyFile::new(&permit("user", "\"late\""));
    let mut role = as_user("late-name", &file);
    assert_eq!(role.says(), "set: ok");
    assert_eq!(role.says(), "try: InProgress");
    assert_eq!(role.says(), "get, too short: TimedOut");
    assert!(role.says().starts_with("get, long enough: user "));
    assert!(role.says().starts_with("try: user "));
}

fn names_that_are_on_their_way_hold_a_saved_answer_back() {
    let file = PolicyFile::new(EVERYBODY);
    let mut role = as_user("late-name-saved", &file);
    assert!(role.says().starts_with("get: user "));
    file.put(&permit("user", "\"late\""));
    role.go_on();
    assert_eq!(role.says(), "try: InProgress");
    assert_eq!(role.says(), "get, too short: TimedOut");
    assert!(role.says().starts_with("get, long enough: user "));
}

fn a_program_that_drops_its_rights_loses_its_right() {
    let file = PolicyFile::new(NOBODY);
    let mut role = Role::start("drop", Some(&file), None);
    assert_eq!(role.says(), "user 0");
    assert!(role.says().starts_with("NotAuthorized: uid 1 (name not known)"));
}

fn the_capability_counts_while_it_is_effective() {
    let file = PolicyFile::new(NOBODY);
    let mut role = Role::start("capability", Some(&file), None);
    assert_eq!(role.says(), "user 0");
    assert!(role.says().starts_with("NotAuthorized: uid 1 "));
    assert_eq!(role.says(), "user 0", "root without a capability is root");
}

fn root_of_a_user_namespace_is_privileged_in_its_own_stack_alone() {
    let file = PolicyFile::new(NOBODY);
    let said = Role::start("user-namespace", Some(&file), None).says();
    assert!(said.starts_with("NotAuthorized: uid 0 "), "{said}");
    let said = Role::start("user-and-network-namespace", Some(&file), None).says();
    assert_eq!(said, "user 0");
}

fn a_partner_in_another_stack_is_not_told_apart_from_a_refusal() {
    // Without a policy nobody is asked about other stacks, and there is nothing to authorize.
    let mut role = Role::start("other-stack", None, None);
    assert_eq!(role.says(), "Unidentified: NotInThisStack", "as a privileged caller");
    assert_eq!(role.says(), "Unidentified: NotInThisStack");
    assert_eq!(role.says(), "routing 1");
    // With one, who may not ask does not learn where the partner is.
    let file = PolicyFile::new(NOBODY);
    let mut role = Role::start("other-stack", Some(&file), None);
    assert_eq!(role.says(), "Unidentified: NotInThisStack", "as a privileged caller");
    let said = role.says();
    assert!(said.starts_with("NotAuthorized: uid 1 "), "{said}");
    assert_eq!(role.says(), "routing 1");
}

fn a_set_id_program_does_not_follow_its_callers_environment() {
    let file = PolicyFile::new(NOBODY);
    assert_eq!(as_user("where", &file).says(), file.path().to_str().unwrap());
    // A copy that belongs to root and that only the test's user can start.
    let program = file.0.join("set-id");
    fs::copy("/proc/self/exe", &program).unwrap();
    chown(&program, Some(0), Some(DAEMON)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4750)).unwrap();
    let mut role = Role::of(Command::new(program), "where", Some(&file), Some(user()));
    assert_eq!(role.says(), "/etc/partner-info/policy.toml");
}
