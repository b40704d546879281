//! What a benchmark of the agent stands on: namespaces, agents, and processes of other users.
#![allow(dead_code, reason = "each benchmark uses some of it")]

pub mod actor;
pub mod namespaces;
pub mod partnerd;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that others can look into, and nobody else can write to. It goes with this value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let folder = loop {
            let last = LAST.fetch_add(1, Ordering::Relaxed);
            let name = format!("partnerd-bench-{}-{last}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            match fs::create_dir(&folder) {
                Ok(()) => break folder,
                // A process of another pid namespace may have the same number.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("a folder in {}: {error}", std::env::temp_dir().display()),
            }
        };
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("its mode");
        Self(folder)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a command that must succeed.
pub fn run(command: &str) {
    let output = Command::new("/bin/sh").args(["-c", command]).output().expect("a shell");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}
