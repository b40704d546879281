//! Where the program writes, and what that can show.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::Failed;

/// How a piece of text is to look, where it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Heading,
    /// What is not known, or wants to be seen to.
    Alert,
    /// What is as it should be.
    Good,
    /// What is not.
    Bad,
}

impl Style {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Heading => Some("1"),
            Self::Alert => Some("33"),
            Self::Good => Some("32"),
            Self::Bad => Some("31"),
        }
    }
}

/// The standard output and error of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    terminal: bool,
    colours: bool,
}

impl Output {
    /// Colours on a terminal that has them, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(super) fn of_process() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let terminal = io::stdout().is_terminal();
        Self { terminal, colours: terminal && !dumb && !is_set("NO_COLOR") }
    }

    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self { terminal: false, colours: false }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub(super) fn styled(&self, style: Style, text: &str) -> String {
        match style.code().filter(|_| self.colours) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }

    pub(super) fn text(&self, text: &str) -> Result<(), Failed> {
        match self.try_text(text) {
            Ok(()) => Ok(()),
            // Who reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failed::new(format_args!("write the answer: {error}"))),
        }
    }

    /// For who wants to know that nobody reads.
    pub(super) fn try_text(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// One line of JSON.
    pub(super) fn json(&self, form: &impl Serialize) -> Result<(), Failed> {
        self.text(&self.json_line(form)?)
    }

    pub(super) fn json_line(&self, form: &impl Serialize) -> Result<String, Failed> {
        let text = serde_json::to_string(form);
        let text = text.map_err(|error| Failed::new(format_args!("write JSON: {error}")))?;
        Ok(text + "\n")
    }

    pub(super) fn complain(&self, what: &str) {
        let _ = writeln!(io::stderr(), "partner: {what}");
    }
}
