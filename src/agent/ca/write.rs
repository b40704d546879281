//! Writes files that belong together: all of them, or none.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::CaError;

/// Behind the name of a file that is being written.
const TEMPORARY: &str = ".new";

pub(super) struct NewFile {
    pub(super) name: &'static str,
    pub(super) text: String,
    /// For nobody but the owner.
    pub(super) secret: bool,
}

/// Writes `files` into `folder`, which is made if it is not there. What is there is left alone
/// unless `replace`; `remedy` says what to do about it.
pub(super) fn write(
    folder: &Path,
    files: &[NewFile],
    replace: bool,
    remedy: &'static str,
) -> Result<Vec<PathBuf>, CaError> {
    let failed = |path: &Path, doing| {
        let path = path.to_owned();
        move |error| CaError::Io { path, doing, error }
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(failed(folder, "making the folder"))?;
    let paths: Vec<_> = files.iter().map(|file| folder.join(file.name)).collect();
    if !replace && let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(CaError::Exists { path: path.clone(), remedy });
    }
    let mut temporary = Temporary(Vec::new());
    for (file, path) in files.iter().zip(&paths) {
        let new = beside(path);
        // One that was left by a run that was killed.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&new, "removing what an earlier run left")(error));
            }
            Ok(()) | Err(_) => {}
        }
        let mode = if file.secret { 0o600 } else { 0o644 };
        let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new);
        let mut opened = opened.map_err(failed(&new, "making the file"))?;
        temporary.0.push(new.clone());
        let written = opened.write_all(file.text.as_bytes()).and_then(|()| opened.sync_all());
        written.map_err(failed(&new, "writing the file"))?;
    }
    for (new, path) in temporary.0.iter().zip(&paths) {
        fs::rename(new, path).map_err(failed(path, "giving the file its name"))?;
    }
    Ok(paths)
}

fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(TEMPORARY);
    beside.into()
}

/// Files that are removed where they still have their first name.
struct Temporary(Vec<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        for path in &self.0 {
            // Renamed by now, or the folder is not ours to write to any more.
            let _ = fs::remove_file(path);
        }
    }
}
