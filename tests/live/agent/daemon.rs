//! `partnerd`, started by a test.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::puppet::Puppet;
use super::super::support::eventually;

/// A policy that lets everybody ask, in a domain.
pub(crate) const OPEN: &str = r#"
[[profile]]
name = "EZBDOMAIN"
appldata = "TEST.DOMAIN"
[[profile]]
name = "EZB.IOCTL.*.*.PARTNERINFO"
uacc = "READ"
"#;

/// [`OPEN`] in another domain.
pub(crate) fn open_in(domain: &str) -> String {
    OPEN.replace("TEST.DOMAIN", domain)
}

/// A policy that lets user 1000 ask, in a domain.
pub(crate) const ONE: &str = r#"
[[profile]]
name = "EZBDOMAIN"
appldata = "TEST.DOMAIN"
[[profile]]
name = "EZB.IOCTL.*.*.PARTNERINFO"
[[profile.permit]]
uid = 1000
access = "READ"
"#;

/// A policy that lets everybody ask, without a domain.
pub(crate) const NO_DOMAIN: &str = r#"
[[profile]]
name = "EZB.IOCTL.*.*.PARTNERINFO"
uacc = "READ"
"#;

/// A running agent, in the network namespace of the thread that started it.
pub(crate) struct Partnerd {
    folder: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Partnerd {
    pub(crate) fn start(policy: &str) -> Self {
        Self::configured(policy, "")
    }

    /// One with more configuration than where its files are.
    pub(crate) fn configured(policy: &str, more: &str) -> Self {
        Self::make(Some(policy), more)
    }

    /// One whose configuration names no policy file.
    pub(crate) fn without_policy() -> Self {
        Self::make(None, "")
    }

    fn make(policy: Option<&str>, more: &str) -> Self {
        let agent = Self::prepare(policy, more);
        agent.run();
        agent
    }

    /// The files of one that does not run yet.
    pub(crate) fn prepare(policy: Option<&str>, more: &str) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let last = LAST.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("partnerd-{}-{last}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let agent = Self { folder, child: Mutex::default() };
        if let Some(policy) = policy {
            agent.write("policy.toml", policy);
        }
        agent.configure(policy.is_some(), more);
        agent
    }

    /// Writes the configuration: `more`, and where its files are.
    pub(crate) fn configure(&self, has_policy: bool, more: &str) {
        let policy = match has_policy {
            true => format!("policy = {:?}\n", self.file("policy.toml")),
            false => String::new(),
        };
        let config = format!(
            "{policy}{more}\n[socket]\npath = {:?}\n[audit]\nfile = {:?}\njournald = false\n",
            self.socket(),
            self.file("audit.jsonl"),
        );
        self.write("partnerd.toml", &config);
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partnerd"));
        command.arg("--config").arg(self.file("partnerd.toml")).stdin(Stdio::null());
        command
    }

    /// Starts the program where it cannot run: its exit status, and what it says.
    pub(crate) fn fails(&self) -> (Option<i32>, String) {
        let output = self.command().output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file of its folder, all of it at once: the agent may be reading it.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.file("new"), text).unwrap();
        fs::rename(self.file("new"), self.file(name)).unwrap();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.file("partnerd.sock")
    }

    /// Starts the program, and waits until it answers.
    pub(crate) fn run(&self) {
        self.run_as(self.command());
    }

    /// The same in a mount namespace of its own, in which a folder of its files is a disk of this
    /// size: `8m`.
    pub(crate) fn run_on_a_disk(&self, folder: &str, size: &str) {
        let (inner, mounted) = (self.command(), self.file(folder));
        fs::create_dir(&mounted).unwrap();
        let script = format!(
            "mount -t tmpfs -o size={size} none {} && exec \"$@\"",
            mounted.to_str().unwrap()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
        command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
        self.run_as(command);
    }

    /// A file of its folder, as the running program sees it.
    pub(crate) fn file_within(&self, name: &str) -> PathBuf {
        let path = self.file(name);
        Path::new(&format!("/proc/{}/root", self.pid())).join(path.strip_prefix("/").unwrap())
    }

    fn run_as(&self, mut command: Command) {
        let log = fs::File::create(self.file("log")).unwrap();
        let child = command.stderr(log).spawn().unwrap();
        *self.child.lock().unwrap() = Some(child);
        eventually("partnerd answers", || {
            let mut child = self.child.lock().unwrap();
            let ended = child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "partnerd ended: {ended:?}: {}", self.log());
            drop(child);
            // It listens a moment before that, and knows no signals yet.
            self.log().contains("partnerd answers")
        });
    }

    /// Ends it as if it had crashed.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap().take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends it a signal, such as `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end, and returns its exit status.
    pub(crate) fn wait(&self) -> Option<i32> {
        let mut child = self.child.lock().unwrap().take().expect("it runs");
        child.wait().unwrap().code()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.lock().unwrap().as_ref().expect("it runs").id()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    pub(crate) fn audit(&self) -> String {
        fs::read_to_string(self.file("audit.jsonl")).unwrap_or_default()
    }

    /// Open descriptors of the running program.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// A process that asks this agent.
    pub(crate) fn puppet(&self, uid: u32) -> Puppet {
        puppet_of(&self.socket(), uid)
    }

    /// One that has a policy file of its own, in the agent's folder.
    pub(crate) fn puppet_under(&self, uid: u32, policy: &str) -> Puppet {
        Puppet::with(uid, |command| {
            command.env("PARTNER_INFO_AGENT", self.socket());
            command.env("PARTNER_INFO_POLICY", self.file(policy));
        })
    }
}

/// A process that asks the agent at `socket`.
pub(crate) fn puppet_of(socket: &Path, uid: u32) -> Puppet {
    Puppet::with(uid, |command| {
        command.env("PARTNER_INFO_AGENT", socket);
    })
}

/// What is said of a user whose socket this process alone holds.
pub(crate) fn token(uid: u32, process: &Puppet) -> String {
    format!("user {uid} holders {}={uid} gap {}", process.pid(), gap())
}

/// What a list of holders says of itself on this machine: there are some on which even root may not
/// read the descriptors of every process.
pub(crate) fn gap() -> &'static str {
    let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    let is_hidden = |process: fs::DirEntry| match fs::read_dir(process.path().join("fd")) {
        Ok(descriptors) => descriptors
            .flatten()
            .any(|one| fs::read_link(one.path()).is_err_and(|error| denied(&error))),
        Err(error) => denied(&error),
    };
    let hidden = fs::read_dir("/proc").unwrap().flatten().any(is_hidden);
    if hidden { "no-right" } else { "-" }
}

impl Drop for Partnerd {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("partnerd said:\n{}", self.log());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
