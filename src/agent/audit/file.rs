//! The file of the audit: whole lines, appended.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Owner and group of the agent may read it.
const MODE: u32 = 0o640;

/// A file that is open for appending.
#[derive(Debug)]
pub(super) struct AuditFile {
    file: File,
    regular: bool,
    /// Whether the file ends within a line that somebody else, or a crash, left there.
    broken: bool,
}

impl AuditFile {
    /// Opens the file, and makes it where it is not there. Never waits, as opening a FIFO would.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(MODE)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW)
            .open(path)?;
        let kind = file.metadata()?.file_type();
        if !kind.is_file() && !kind.is_char_device() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut broken = false;
        if kind.is_file() && file.metadata()?.len() > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            broken = last != *b"\n";
        }
        Ok(Self { file, regular: kind.is_file(), broken })
    }

    /// Writes lines, each with its end, in one write(2) where the system takes them so. Gives how
    /// many bytes are there, always whole lines, and what hindered the others.
    pub(super) fn append(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        if self.broken {
            match self.file.write_all(b"\n") {
                Ok(()) => self.broken = false,
                Err(error) => return (0, Err(error)),
            }
        }
        let mut there = 0;
        while let Some(rest) = lines.get(there..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return self.cut(lines, there, io::ErrorKind::WriteZero.into()),
                Ok(written) => there += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.cut(lines, there, error),
            }
        }
        (there, Ok(()))
    }

    /// Takes away the line of which only the beginning fitted.
    pub(super) fn cut(
        &mut self,
        lines: &[u8],
        there: usize,
        error: io::Error,
    ) -> (usize, io::Result<()>) {
        let written = lines.get(..there).unwrap_or(lines);
        let whole = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < there && self.regular {
            let excess = u64::try_from(there - whole).unwrap_or(u64::MAX);
            let length = self.file.metadata().map(|metadata| metadata.len());
            let cut = length.and_then(|length| self.file.set_len(length.saturating_sub(excess)));
            // If not even that works, the next line starts at the beginning of a line.
            self.broken = cut.is_err();
        }
        (whole, Err(error))
    }
}
