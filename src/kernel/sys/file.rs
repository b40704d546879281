//! Small files that may change: open(2), fstat(2), read(2).

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// What tells one state of a file from another.
///
/// The time of the last change of the inode is among it: it also moves where the permissions
/// change, and where somebody sets the time of the last modification back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    length: u64,
    modified: Option<std::time::SystemTime>,
    #[cfg(unix)]
    inode: [i64; 4],
    #[cfg(unix)]
    mode: u32,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: [
                metadata.dev().cast_signed(),
                metadata.ino().cast_signed(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            ],
            #[cfg(unix)]
            mode: metadata.mode(),
        }
    }
}

#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
impl Identity {
    /// Type and permission bits.
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }
}

/// stat(2).
pub(crate) fn look(path: &Path) -> io::Result<Identity> {
    std::fs::metadata(path).map(|metadata| Identity::of(&metadata))
}

/// The first `limit` bytes of a regular file, and the identity it had before they were read: a
/// change during the read shows as another identity at the next look. Never waits for a writer,
/// as reading a FIFO would.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<(Identity, Vec<u8>)> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    let file: File = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok((Identity::of(&metadata), bytes))
}
