//! Connections for eyes. Nothing that a process or an account chose reaches the terminal unescaped.

use std::fmt::Write;

use super::output::{Output, Style};
use super::survey::{self, Connection, End, Who};
use crate::error::Error;
use crate::token::{Holder, SessionType, UserToken};

const HEADINGS: [&str; 6] = ["END", "USER", "PROGRAM", "OTHER END", "USER", "PROGRAM"];
const GAP: usize = 2;

/// One cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Cell {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::Plain }
    }

    fn alert(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::Alert }
    }
}

/// One line a connection, in columns; a heading on a terminal.
pub(super) fn connections(connections: &[Connection], output: &Output) -> String {
    let heading = output.is_terminal().then(heading);
    let rows: Vec<_> = heading.into_iter().chain(connections.iter().map(row)).collect();
    columns(&rows, output, usize::MAX)
}

/// The same with its heading, as much of it as goes onto a screen of so many columns and rows.
pub(super) fn screen(
    connections: &[Connection],
    output: &Output,
    (width, height): (usize, usize),
) -> String {
    let rows = std::iter::once(heading()).chain(connections.iter().map(row));
    columns(&rows.take(height).collect::<Vec<_>>(), output, width)
}

/// One connection, without columns.
pub(super) fn line(connection: &Connection) -> String {
    row(connection).into_iter().map(|cell| cell.text).collect::<Vec<_>>().join("  ")
}

fn heading() -> Vec<Cell> {
    HEADINGS.map(|text| Cell { text: text.into(), style: Style::Heading }).to_vec()
}

/// The cells of one connection.
fn row(connection: &Connection) -> Vec<Cell> {
    connection.ends.iter().flat_map(end).collect()
}

fn end(end: &End) -> [Cell; 3] {
    let address = Cell::plain(end.address.to_string());
    match &end.who {
        Ok(who) => [address, Cell::plain(who.user.to_string()), programs(&who.token)],
        Err(error) => [address, Cell::alert("?"), Cell::alert(word(error))],
    }
}

/// Why an end is unknown, in a word that stays the same.
fn word(error: &Error) -> &'static str {
    error.reason().map_or_else(|| error.kind().as_str(), |reason| reason.as_str())
}

/// `curl[4711]`, and how many more there are.
fn programs(token: &UserToken) -> Cell {
    let gap = token.holders_gap();
    match token.holders() {
        [] => Cell::alert(gap.map_or_else(|| "?".into(), |gap| format!("? {gap}"))),
        [first, others @ ..] => {
            let mut text = format!("{}[{}]", command(first), first.pid());
            if !others.is_empty() {
                let _ = write!(text, " and {} more", others.len());
            }
            Cell::plain(text)
        }
    }
}

fn command(holder: &Holder) -> String {
    let command = holder.command().map(|command| command.to_string_lossy());
    command.map_or_else(|| "?".into(), |command| command.escape_debug().to_string())
}

fn columns(rows: &[Vec<Cell>], output: &Output, most: usize) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let (mut pad, mut left) = (0, most);
        for (cell, width) in row.iter().zip(&widths) {
            if pad >= left {
                break;
            }
            left -= pad;
            text.extend(std::iter::repeat_n(' ', pad));
            let shown: String = cell.text.chars().take(left).collect();
            let length = shown.chars().count();
            text += &output.styled(cell.style, &shown);
            left -= length;
            pad = width.saturating_sub(length) + GAP;
        }
        text.push('\n');
    }
    text
}

/// All that is known of one connection, on several lines.
pub(super) fn details(connection: &Connection, output: &Output) -> String {
    let [near, far] = &connection.ends;
    let title = format!("{} <-> {}", near.address, far.address);
    let mut text = output.styled(Style::Heading, &title) + "\n";
    let width = near.address.to_string().len().max(far.address.to_string().len());
    for end in [near, far] {
        let address = end.address.to_string();
        match &end.who {
            Ok(who) => {
                let _ = writeln!(text, "  {address:width$}  user {}", who.user);
                processes(&mut text, who, output);
            }
            Err(error) => {
                let what =
                    output.styled(Style::Alert, &format!("not known: {}", survey::explain(error)));
                let _ = writeln!(text, "  {address:width$}  {what}");
            }
        }
    }
    text
}

fn processes(text: &mut String, who: &Who, output: &Output) {
    for holder in who.token.holders() {
        let _ = write!(text, "    {}[{}]", command(holder), holder.pid());
        if let Some(path) = holder.executable() {
            let _ = write!(text, " {}", path.to_string_lossy().escape_debug());
        }
        let user = holder.process_user();
        match &who.process_user {
            Some(name) if user.map(crate::token::Uid::as_raw) == Some(name.uid()) => {
                let _ = write!(text, ", running as {name}");
            }
            Some(_) | None => {
                if let Some(user) = user {
                    let _ = write!(text, ", running as {user}");
                }
            }
        }
        if holder.session_type() != SessionType::Unknown {
            let _ = write!(text, ", {}", holder.session_type());
        }
        if let Some(unit) = holder.systemd_unit() {
            let _ = write!(text, " {}", unit.escape_debug());
        }
        if let Some(container) = holder.container_id() {
            let _ = write!(text, " {container}");
        }
        text.push('\n');
    }
    if let Some(gap) = who.token.holders_gap() {
        let what = match who.token.holders() {
            [] => "processes not known",
            [_, ..] => "there may be other processes",
        };
        let what = output.styled(Style::Alert, &format!("{what}: {}", remedy(gap)));
        let _ = writeln!(text, "    {what}");
    }
}

/// What a gap means, and what to do.
fn remedy(gap: crate::token::HoldersGap) -> String {
    use crate::token::HoldersGap;
    let what = match gap {
        HoldersGap::NoRight | HoldersGap::HiddenProcesses => {
            "this user may not see the descriptors of all processes; run partner as root"
        }
        HoldersGap::PidNamespace => {
            "not all processes are in this pid namespace; run partner on the host itself"
        }
        HoldersGap::Changing => "they changed while they were read; ask again",
        HoldersGap::NotHeld => {
            "no process has it as a descriptor; it may be in flight, or the kernel's"
        }
        HoldersGap::NoProc => "/proc is not that of this pid namespace; mount it",
        HoldersGap::TooManyDescriptors => "there are more descriptors than are read",
        HoldersGap::StoppedAtFirst | HoldersGap::TooManyHolders => "not all were looked for",
    };
    format!("{what} ({gap})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;
    use crate::info::UserId;
    use crate::token::tests::token_of_command;

    fn end(address: &str, who: Result<Who, Error>) -> End {
        End { address: address.parse().unwrap(), who }
    }

    fn named(uid: u32, name: &str, command: &str) -> Result<Who, Error> {
        let user = UserId::new(uid, Some(name.into()));
        Ok(Who { user, process_user: None, token: token_of_command(uid, command) })
    }

    fn of(near: Result<Who, Error>, far: Result<Who, Error>) -> Connection {
        let ends = [end("127.0.0.1:80", near), end("127.0.0.1:40000", far)];
        Connection { ends, cookie: 1 }
    }

    #[test]
    fn columns_stand_under_each_other() {
        let all = [
            of(named(1000, "alice", "curl"), named(26, "postgres", "postgres")),
            of(named(1, "a", "b"), Err(Error::unidentified(Reason::PartnerGone))),
        ];
        let expected = "\
127.0.0.1:80  alice(1000)  curl[4711]  127.0.0.1:40000  postgres(26)  postgres[4711]
127.0.0.1:80  a(1)         b[4711]     127.0.0.1:40000  ?             partner-gone
";
        assert_eq!(connections(&all, &Output::plain()), expected);
    }

    #[test]
    fn a_screen_shows_no_more_than_it_has_room_for() {
        let all = vec![of(named(1000, "alice", "curl"), named(26, "postgres", "postgres")); 9];
        for (width, height) in [(1, 1), (15, 3), (30, 5), (200, 99)] {
            let text = screen(&all, &Output::plain(), (width, height));
            assert_eq!(text.lines().count(), height.min(10));
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
        }
    }

    #[test]
    fn what_others_chose_does_not_reach_the_terminal_as_it_is() {
        let hostile = of(named(1000, "\x1b[2J", "\x1b]0;x\x07\n"), named(1, "a", "b"));
        for text in [
            connections(std::slice::from_ref(&hostile), &Output::plain()),
            line(&hostile),
            details(&hostile, &Output::plain()),
        ] {
            let control = text.chars().filter(|one| one.is_control() && *one != '\n').count();
            assert_eq!(control, 0, "{text:?}");
            assert!(text.contains(r"\u{1b}]0;x\u{7}\n[4711]"), "{text}");
        }
    }

    #[test]
    fn an_end_that_is_not_known_says_why() {
        let text = details(
            &of(named(1, "a", "b"), Err(Error::unidentified(Reason::PartnerGone))),
            &Output::plain(),
        );
        let line = text.lines().last().unwrap();
        assert!(
            line.starts_with("  127.0.0.1:40000  not known: unidentified: the partner has closed")
        );
    }
}
