//! Two network namespaces, and an agent in the first.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};

use crate::roles::Actor;
use crate::support::places;

/// Where the listener is, beside the agent.
const HERE: &str = "10.7.0.1";
/// Where partners of everybody's are accepted, in the other namespace.
pub const THERE: &str = "10.7.0.2:7001";

const POLICY: &str = r#"
[[profile]]
name = "EZBDOMAIN"
appldata = "BENCH.DOMAIN"
[[profile]]
name = "EZB.IOCTL.*.*.PARTNERINFO"
uacc = "READ"
"#;

/// The namespaces, and who stands in them besides agents and askers.
pub struct Stage {
    there: File,
    folder: PathBuf,
    _floor: Actor,
}

impl Stage {
    /// Moves this process into a new network namespace, with another one at the end of a cable.
    pub fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        run("ip link set lo up");
        let there = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            run("ip link set lo up");
            File::open("/proc/thread-self/ns/net").expect("the namespace")
        });
        let there = there.join().expect("a namespace");
        let path = format!("/proc/{}/fd/{}", std::process::id(), there.as_raw_fd());
        run(&format!("ip link add near type veth peer name far netns {path}"));
        run(&format!("ip addr add {HERE}/24 dev near && ip link set near up"));
        inside(&there, || run("ip addr add 10.7.0.2/24 dev far && ip link set far up"));
        let folder = folder();
        let socket = folder.join("floor.sock");
        let floor = places::first(|| Actor::start(&format!("floor {}", socket.display()), 0));
        Self { there, folder, _floor: floor }
    }

    /// The socket of the floor.
    pub fn floor(&self) -> String {
        self.folder.join("floor.sock").display().to_string()
    }

    /// A process that asks, connected with a partner in the other namespace that accepts others'
    /// connections, too.
    pub fn asker(&self, user: u32, partner: u32, connections: usize) -> Actor {
        let mut asker = Actor::start(&format!("asker {HERE}:7000 {connections}"), user);
        let role = format!("partner {HERE}:7000 {connections} {THERE}");
        asker.keeps(inside(&self.there, || Actor::start(&role, partner)));
        asker.ask("accept");
        asker
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// `partnerd`, in the namespace where the benchmark is.
pub struct Partnerd {
    folder: PathBuf,
    child: Child,
}

impl Partnerd {
    /// Starts one with this much configuration besides where its files are, and waits until it
    /// listens.
    pub fn start(more: &str) -> Self {
        let folder = folder();
        let file = |name: &str| folder.join(name);
        fs::write(file("policy.toml"), POLICY).expect("write the policy");
        let config = format!(
            "policy = {:?}\n{more}\n[socket]\npath = {:?}\n[audit]\nfile = {:?}\njournald = false\n",
            file("policy.toml"),
            file("partnerd.sock"),
            file("audit.jsonl"),
        );
        fs::write(file("partnerd.toml"), config).expect("write the configuration");
        let log = File::create(file("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_partnerd"));
        command.arg("--config").arg(file("partnerd.toml")).stdin(Stdio::null()).stderr(log);
        let mut child = places::first(|| command.spawn()).expect("start partnerd");
        let patience = Instant::now() + Duration::from_secs(10);
        while !file("partnerd.sock").exists() {
            let ended = child.try_wait().expect("look at partnerd");
            let log = fs::read_to_string(file("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < patience, "partnerd: {ended:?}: {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { folder, child }
    }

    pub fn socket(&self) -> String {
        self.folder.join("partnerd.sock").display().to_string()
    }

    /// `VmRSS`.
    pub fn resident_mebibytes(&self) -> f64 {
        let status = fs::read_to_string(self.proc().join("status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kibibytes = line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number");
        kibibytes / 1024.0
    }

    pub fn descriptors(&self) -> usize {
        fs::read_dir(self.proc().join("fd")).expect("its descriptors").count()
    }

    fn proc(&self) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string())
    }
}

impl Drop for Partnerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            eprintln!("partnerd said:\n{log}");
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder that others can look into, and nobody else can write to.
fn folder() -> PathBuf {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let last = LAST.fetch_add(1, Ordering::Relaxed);
    let name = format!("partnerd-bench-{}-{last}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("its mode");
    folder
}

/// Runs something on a thread that is in `namespace`; processes it starts are there, too.
fn inside<T: Send>(namespace: &File, what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
            what()
        });
        inside.join().expect("it ran")
    })
}

/// Runs a command that must succeed.
fn run(command: &str) {
    let output = Command::new("/bin/sh").args(["-c", command]).output().expect("a shell");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}
