//! From a control group's id, which `sock_diag` returns for a socket, to the processes in it.
//!
//! The id is the inode number of the group's directory in the unified hierarchy. Processes move
//! between groups and sockets between processes, so this only orders a search and excludes nobody.
//! On hosts where the unified hierarchy has every process in its root it orders nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use super::parse::link;
use super::sys;
use crate::token::Pid;

/// At most this many directories are looked through for an id.
const DIRECTORIES: usize = 4096;

/// At most this many ids are remembered.
const IDS_KEPT: usize = 4096;

/// A group with more processes than fit here narrows nothing.
const LIST_LIMIT: usize = 4096;

/// Where the unified hierarchy is, and which id belongs to which of its directories.
#[derive(Debug, Default)]
pub(super) struct CgroupDirs {
    root: Option<PathBuf>,
    known: HashMap<u64, PathBuf>,
    /// Ids that no directory has: groups that were removed, or the root.
    missing: HashSet<u64>,
}

impl CgroupDirs {
    /// The processes that are in the group `id` now; none if that says nothing.
    pub(super) fn processes(&mut self, id: u64) -> Vec<Pid> {
        let Some(directory) = self.directory(id) else {
            return Vec::new();
        };
        sys::read_in(&directory, c"cgroup.procs", LIST_LIMIT).map_or_else(Vec::new, |text| {
            text.split(|&byte| byte == b'\n')
                .filter_map(link::number)
                .filter_map(Pid::new)
                .collect()
        })
    }

    fn directory(&mut self, id: u64) -> Option<PathBuf> {
        if let Some(known) = self.known.get(&id)
            && sys::inode(known) == Some(id)
        {
            return Some(known.clone());
        }
        self.known.remove(&id);
        if self.missing.contains(&id) {
            return None;
        }
        let root = self.root()?;
        let found = find(&root, id);
        if self.known.len() + self.missing.len() >= IDS_KEPT {
            self.known.clear();
            self.missing.clear();
        }
        match &found {
            Some(path) => drop(self.known.insert(id, path.clone())),
            None => drop(self.missing.insert(id)),
        }
        found
    }

    fn root(&mut self) -> Option<PathBuf> {
        if self.root.is_none() {
            self.root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
                .map(PathBuf::from)
                .into_iter()
                .find(|path| sys::is_cgroup2(path));
        }
        self.root.clone()
    }
}

/// Looks for the directory with inode `id` below `root`, level by level.
fn find(root: &Path, id: u64) -> Option<PathBuf> {
    let mut waiting = VecDeque::from([root.to_owned()]);
    let mut left = DIRECTORIES;
    while let (Some(directory), Some(remaining)) = (waiting.pop_front(), left.checked_sub(1)) {
        left = remaining;
        for (inode, path) in sys::subdirectories(&directory).into_iter().flatten() {
            if inode == id {
                return Some(path);
            }
            waiting.push_back(path);
        }
    }
    None
}
