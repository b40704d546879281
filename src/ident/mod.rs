//! RFC 1413: what is asked at port 113, and what is answered. Bytes to types and back; no input, no
//! output.
//!
//! A question is `<port here>, <port there>` and an end of line: whose is the connection between that
//! port of this host and that port of the host that asks? An answer repeats the ports.
//!
//! Source: RFC 1413, *Identification Protocol*, sections 3 to 6.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write};

/// Bytes of a line at most, with its end: section 6 has nobody wait for more.
pub(crate) const MAX_LINE: usize = 1_000;
/// Bytes of a user identifier at most: section 6.
const MAX_USER: usize = 512;
/// Digits of a port at most: section 6.
const MAX_DIGITS: usize = 5;

/// The connection that is asked about, of those between two addresses. No port is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Of the host that is asked.
    pub(crate) here: u16,
    /// Of the host that asks.
    pub(crate) there: u16,
}

/// What an answer repeats of its question: the two numbers, each 0 where there was none of at most
/// five digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    here: u32,
    there: u32,
}

/// What the beginning of a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split<'a> {
    /// The first line without its end, and what comes after it.
    Line(&'a [u8], &'a [u8]),
    /// The beginning of a line.
    Incomplete,
    /// Longer than a line may be.
    TooLong,
}

/// Looks for the end of the first line: a line feed, before which a carriage return may stand.
pub(crate) fn split(bytes: &[u8]) -> Split<'_> {
    let within = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
        return if within.len() < MAX_LINE { Split::Incomplete } else { Split::TooLong };
    };
    let (line, rest) = bytes.split_at(end);
    Split::Line(line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or(&[]))
}

/// Reads a line without its end.
///
/// # Errors
///
/// Where it is not two ports from 1 to 65535, of at most five digits each, with a comma between and
/// nothing but spaces and tabs around; with what the answer that says so is to repeat.
pub(crate) fn read(line: &[u8]) -> Result<Ports, Repeated> {
    let mut fields = line.split(|byte| *byte == b',');
    let (Some(here), Some(there), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(Repeated { here: 0, there: 0 });
    };
    let [here, there] = [here, there].map(number);
    match [here, there].map(port) {
        [Some(here), Some(there)] => Ok(Ports { here, there }),
        [_, None] | [None, _] => {
            Err(Repeated { here: here.unwrap_or(0), there: there.unwrap_or(0) })
        }
    }
}

/// A number of at most five digits, without a sign.
fn number(field: &[u8]) -> Option<u32> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = field.iter().position(|byte| !is_blank(byte))?;
    let end = field.iter().rposition(|byte| !is_blank(byte))?;
    let digits = field.get(start..=end)?;
    let plain = digits.len() <= MAX_DIGITS && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| plain)?;
    text.parse().ok()
}

fn port(number: Option<u32>) -> Option<u16> {
    u16::try_from(number?).ok().filter(|port| *port != 0)
}

impl From<Ports> for Repeated {
    fn from(Ports { here, there }: Ports) -> Self {
        Self { here: here.into(), there: there.into() }
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    User(User),
    Error(ErrorToken),
}

/// Who holds the connection, in a form that can stand in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// `UNIX`: the identifier is the name of an account.
    is_name: bool,
    identifier: Box<str>,
}

/// Why nobody is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorToken {
    /// The question has no two ports.
    InvalidPort,
    /// There is no such connection, or nobody is known whose it is.
    NoUser,
    /// It is not told to who asks.
    HiddenUser,
    /// Whatever else is the matter.
    UnknownError,
}

impl ErrorToken {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidPort => "INVALID-PORT",
            Self::NoUser => "NO-USER",
            Self::HiddenUser => "HIDDEN-USER",
            Self::UnknownError => "UNKNOWN-ERROR",
        }
    }
}

impl User {
    /// The name of an account; `None` where it would be read as something else: an empty or a long one,
    /// one with a control character or a colon in it, or with white space at an end.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let fits = (1..=MAX_USER).contains(&name.len())
            && !name.contains(|c: char| c.is_control() || c == ':')
            && name.trim() == name;
        fits.then(|| Self { is_name: true, identifier: name.into() })
    }

    /// The number of an account.
    pub(crate) fn numbered(uid: u32) -> Self {
        Self { is_name: false, identifier: uid.to_string().into() }
    }

    /// What tells nobody but this host who it is.
    pub(crate) fn hidden(token: u64) -> Self {
        Self { is_name: false, identifier: format!("hidden-{token:016x}").into() }
    }
}

/// The operating system, with the character set where it is not ASCII, and the identifier: sections 4
/// and 6.
impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_name { "UNIX" } else { "OTHER" })?;
        if !self.identifier.is_ascii() {
            f.write_str(",UTF-8")?;
        }
        write!(f, ":{}", self.identifier)
    }
}

/// The answer without the ports: what is recorded.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "USERID:{user}"),
            Self::Error(token) => write!(f, "ERROR:{}", token.as_str()),
        }
    }
}

/// The line of an answer, with its end. White space could be taken for a part of an identifier, so there
/// is none.
pub(crate) fn line(repeated: Repeated, answer: &Answer) -> String {
    let mut line = String::new();
    let Repeated { here, there } = repeated;
    // Writing to a string does not fail.
    let _ = write!(line, "{here},{there}:{answer}\r\n");
    line
}
