//! `partnerd`, in the calling thread's namespace.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Folder;
use crate::support::places;
use crate::support::status::Status;

const POLICY: &str = r#"
[[profile]]
name = "EZBDOMAIN"
appldata = "BENCH.DOMAIN"
[[profile]]
name = "EZB.IOCTL.*.*.PARTNERINFO"
uacc = "READ"
"#;

/// A running agent. It ends when this value does.
pub struct Partnerd {
    folder: Folder,
    child: Child,
}

impl Partnerd {
    /// Starts one with this much configuration besides where its files are, and waits until it
    /// listens. It stays on the first processor.
    pub fn start(more: &str) -> Self {
        places::first(|| Self::start_anywhere(more))
    }

    /// The same, on whatever processor there is.
    pub fn start_anywhere(more: &str) -> Self {
        let folder = Folder::new();
        let file = |name: &str| folder.file(name);
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
        let mut child = command.spawn().expect("start partnerd");
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
        self.folder.file("partnerd.sock").display().to_string()
    }

    pub fn status(&self) -> Status {
        Status::of(self.child.id())
    }
}

impl Drop for Partnerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.file("log")).unwrap_or_default();
            eprintln!("partnerd said:\n{log}");
        }
    }
}
