//! A screen on a terminal, by the few sequences that every terminal has (ECMA-48, and the alternate
//! screen of xterm).

use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[2J";
/// Where a terminal does not say.
const USUAL: (usize, usize) = (80, 24);

/// The alternate screen, without echo. What was there before comes back with the end of this value.
pub(super) struct Screen {
    keys: Option<Termios>,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        // Where the input is no terminal there are no keys.
        let keys = termios::tcgetattr(stdin.as_fd()).ok();
        if let Some(before) = &keys {
            let mut quiet = before.clone();
            // Ctrl-C stays a signal.
            quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            termios::tcsetattr(stdin.as_fd(), OptionalActions::Now, &quiet)?;
        }
        let screen = Self { keys };
        put(ENTER)?;
        Ok(screen)
    }

    /// Whether keys can be read.
    pub(super) fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// In this size, as columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        let size = termios::tcgetwinsize(io::stdout().as_fd());
        match size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row))) {
            Ok((0, _) | (_, 0)) | Err(_) => USUAL,
            Ok(size) => size,
        }
    }

    pub(super) fn show(&self, text: &str) -> io::Result<()> {
        put(&(HOME_AND_CLEAR.to_owned() + text.trim_end_matches('\n')))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = put(LEAVE);
        if let Some(before) = &self.keys {
            let _ = termios::tcsetattr(io::stdin().as_fd(), OptionalActions::Now, before);
        }
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
