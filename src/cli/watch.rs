//! `partner watch`.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::arguments::Watch;
use super::form::Change;
use super::output::Output;
use super::survey::{Connection, Surveyor};
use super::table;
use super::terminal::Screen;
use super::{Failed, Status};

/// How often a key is looked for.
const KEYS: Duration = Duration::from_millis(50);

pub(super) fn run(watch: &Watch, output: &Output) -> Result<Status, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failed::new)?;
    let _guard = runtime.enter();
    let signals = Signals::new().map_err(Failed::new)?;
    let mut surveyor = Surveyor::open()?;
    let every = Duration::from_secs(watch.interval.into());
    runtime.block_on(async {
        if output.is_terminal() && !watch.json {
            screen(&mut surveyor, every, signals, output).await
        } else {
            lines(&mut surveyor, every, signals, watch.json, output).await
        }
    })
}

/// Those that end the program.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

async fn screen(
    surveyor: &mut Surveyor,
    every: Duration,
    mut signals: Signals,
    output: &Output,
) -> Result<Status, Failed> {
    // Whatever keeps from looking is said on the screen that was there before.
    let mut found = surveyor.look(|_, _| true)?;
    let screen = Screen::enter().map_err(Failed::new)?;
    loop {
        let (columns, rows) = screen.size();
        let text = table::screen(&found, output, (columns, rows.saturating_sub(1)));
        let keys = if screen.has_keys() { "q ends" } else { "Ctrl-C ends" };
        let count = found.len();
        let last = format!("{count} connections, every {} s; {keys}", every.as_secs());
        if screen.show(&(text + &last)).is_err() {
            return Ok(Status::Done);
        }
        tokio::select! {
            () = signals.any() => return Ok(Status::Done),
            () = quit(screen.has_keys()) => return Ok(Status::Done),
            () = tokio::time::sleep(every) => {}
        }
        found = surveyor.look(|_, _| true)?;
    }
}

/// Until q is pressed; for ever, where there are no keys.
async fn quit(has_keys: bool) {
    loop {
        tokio::time::sleep(KEYS).await;
        if has_keys
            && pressed().is_some_and(|keys| keys.iter().any(|key| matches!(key, b'q' | b'Q')))
        {
            return;
        }
    }
}

/// What was typed, without waiting.
fn pressed() -> Option<Vec<u8>> {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if rustix::event::poll(&mut fds, Some(&now)).ok()? == 0 {
        return None;
    }
    let mut keys = vec![0; 64];
    let length = stdin.lock().read(&mut keys).ok()?;
    keys.truncate(length);
    Some(keys)
}

/// A connection, as long as it is the same one.
type Key = ([SocketAddr; 2], u64);

async fn lines(
    surveyor: &mut Surveyor,
    every: Duration,
    mut signals: Signals,
    json: bool,
    output: &Output,
) -> Result<Status, Failed> {
    let mut known = BTreeMap::<Key, (String, Connection)>::new();
    loop {
        let now: BTreeMap<Key, (String, Connection)> = surveyor
            .look(|_, _| true)?
            .into_iter()
            .map(|connection| (key(&connection), (table::line(&connection), connection)))
            .collect();
        let mut text = String::new();
        for (change, (line, connection)) in changes(&known, &now) {
            if json {
                text += &output.json_line(&Change::new(change.word(), connection))?;
            } else {
                text += &format!("{} {line}\n", change.sign());
            }
        }
        if output.try_text(&text).is_err() {
            // Nobody reads any more.
            return Ok(Status::Done);
        }
        known = now;
        tokio::select! {
            () = signals.any() => return Ok(Status::Done),
            () = tokio::time::sleep(every) => {}
        }
    }
}

fn key(connection: &Connection) -> Key {
    (connection.ends.each_ref().map(|end| end.address), connection.cookie)
}

/// What has become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Gone,
    Changed,
    Come,
}

impl Event {
    fn sign(self) -> char {
        match self {
            Self::Gone => '-',
            Self::Changed => '=',
            Self::Come => '+',
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Come => "come",
        }
    }
}

/// What is in one and not in the other: first what has gone, as its addresses may be used again.
fn changes<'a, K: Ord, T>(
    before: &'a BTreeMap<K, (String, T)>,
    now: &'a BTreeMap<K, (String, T)>,
) -> Vec<(Event, (&'a str, &'a T))> {
    let gone = before.iter().filter(|(key, _)| !now.contains_key(*key));
    let gone = gone.map(|(_, (line, it))| (Event::Gone, (line.as_str(), it)));
    let other = now.iter().filter_map(|(key, (line, it))| match before.get(key) {
        None => Some((Event::Come, (line.as_str(), it))),
        Some((old, _)) if old != line => Some((Event::Changed, (line.as_str(), it))),
        Some(_) => None,
    });
    gone.chain(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_went_and_changed_is_told_once() {
        let of = |all: &[(u8, &str)]| -> BTreeMap<u8, (String, ())> {
            all.iter().map(|(key, line)| (*key, ((*line).to_owned(), ()))).collect()
        };
        let before = of(&[(1, "a"), (2, "b"), (3, "c")]);
        let now = of(&[(2, "b"), (3, "d"), (4, "e")]);
        let told: Vec<_> = changes(&before, &now)
            .iter()
            .map(|(event, (line, ()))| format!("{} {line}", event.sign()))
            .collect();
        assert_eq!(told, ["- a", "= d", "+ e"]);
        assert!(changes(&now, &now).is_empty());
    }
}
