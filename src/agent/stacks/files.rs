//! Where network namespaces are found: in the processes that are in them, and in the files that
//! keep those without a process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use std::os::unix::fs::MetadataExt;

/// Folders with files of namespaces: of ip-netns(8), and of container engines.
const FOLDERS: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// The namespaces of this host, each once, by inode: at most `most`.
///
/// One that is neither a process's nor in one of these folders is not found here: one that is
/// kept by nothing but a socket or a descriptor.
pub(super) fn of_host(most: usize) -> HashMap<u64, PathBuf> {
    let mut found = HashMap::new();
    for folder in FOLDERS {
        for path in entries(Path::new(folder)) {
            add(&mut found, path, most);
        }
    }
    for path in entries(Path::new("/proc")) {
        let number = path.file_name().and_then(|name| name.to_str());
        if number.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            add(&mut found, path.join("ns/net"), most);
        }
    }
    found
}

/// Those of these files that are there.
pub(super) fn listed(paths: &[PathBuf]) -> HashMap<u64, PathBuf> {
    let mut found = HashMap::new();
    for path in paths {
        add(&mut found, path.clone(), usize::MAX);
    }
    found
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

fn add(found: &mut HashMap<u64, PathBuf>, path: PathBuf, most: usize) {
    // A process may be gone by now, or be nobody's to look at.
    if found.len() < most
        && let Ok(file) = std::fs::metadata(&path)
    {
        found.entry(file.ino()).or_insert(path);
    }
}
