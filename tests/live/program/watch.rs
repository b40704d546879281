//! `partner watch`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, tcgetattr};

use super::super::puppet::{Puppet, connected};
use super::super::support::{eventually, loopbacks};
use super::{program, said};

crate::harness::tests![
    lines_say_what_comes_and_goes,
    json_lines_have_an_event_and_the_connection,
    it_ends_when_nobody_reads,
    a_screen_ends_with_q_and_leaves_the_terminal_as_it_was,
    a_screen_ends_with_a_signal_and_leaves_the_terminal_as_it_was,
];

/// A running program, whose lines are read.
struct Watching {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watching {
    fn start(more: &[&str]) -> Self {
        let (_program, mut command) = program(0, &[&["watch", "--interval", "1"], more].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ends_with(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

fn lines_say_what_comes_and_goes() {
    let [at, _] = loopbacks(8080);
    let (server, client) = (Puppet::new(1000), Puppet::new(1001));
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (near, far) = connected(&server, &client, at);
        let mut watching = Watching::start(&[]);
        let local = near.local();
        let line = watching.line();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!([words[0], words[1]], ["+", &at.to_string()], "{line}");
        assert!(line.contains(&local.to_string()) && !line.contains('?'), "{line}");
        far.reset();
        near.reset();
        let gone = watching.line();
        assert_eq!(gone, line.replacen('+', "-", 1));
        assert_eq!(watching.ends_with(signal), Some(0), "{signal:?}");
    }
}

fn json_lines_have_an_event_and_the_connection() {
    let [at, _] = loopbacks(8080);
    let (server, client) = (Puppet::new(1000), Puppet::new(1001));
    let listener = server.listen(at);
    let near = client.connect(at);
    let mut watching = Watching::start(&["--json"]);
    let mut next = || serde_json::from_str::<serde_json::Value>(&watching.line()).unwrap();
    let ends = |line: &serde_json::Value| [0, 1].map(|end| said(&line["connection"]["ends"][end]));
    let come = next();
    assert_eq!((&come["version"], &come["event"]), (&1.into(), &"come".into()), "{come}");
    assert_eq!(ends(&come), ["not-yet-accepted", "user 1001"]);
    let far = listener.accept();
    let changed = next();
    assert_eq!(changed["event"], "changed", "{changed}");
    assert_eq!(ends(&changed), ["user 1000", "user 1001"]);
    far.reset();
    near.reset();
    assert_eq!(next()["event"], "gone");
    assert_eq!(watching.ends_with(Signal::INT), Some(0));
}

fn it_ends_when_nobody_reads() {
    let [at, _] = loopbacks(8080);
    let (server, client) = (Puppet::new(1000), Puppet::new(1001));
    let mut watching = Watching::start(&[]);
    drop(watching.lines);
    let _held = connected(&server, &client, at);
    assert_eq!(watching.child.wait().unwrap().code(), Some(0));
}

/// The program on a terminal of its own.
struct Terminal {
    child: Child,
    ours: File,
    theirs: File,
    before: Termios,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(colours: bool) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let before = tcgetattr(&theirs).unwrap();
        let (_program, mut command) = program(0, &["watch", "--interval", "1"]);
        command.env("TERM", "xterm");
        if !colours {
            command.env("NO_COLOR", "1");
        }
        command.stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap());
        let child = command.spawn().unwrap();
        let ours = File::from(ours);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut from, into) = (ours.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut piece) {
                into.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        });
        let terminal = Self { child, ours, theirs, before, shown };
        eventually("a screen", || terminal.shown().contains("q ends"));
        terminal
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    fn local_modes(&self) -> LocalModes {
        tcgetattr(&self.theirs).unwrap().local_modes
    }

    #[track_caller]
    fn leaves_it_as_it_was(mut self) {
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        eventually("the screen of before", || self.shown().ends_with("\x1b[?25h\x1b[?1049l"));
        assert_eq!(self.local_modes(), self.before.local_modes);
    }
}

fn a_screen_ends_with_q_and_leaves_the_terminal_as_it_was() {
    let [at, _] = loopbacks(8080);
    let (server, client) = (Puppet::new(1000), Puppet::new(1001));
    let (near, _far) = connected(&server, &client, at);
    for colours in [true, false] {
        let mut terminal = Terminal::start(colours);
        let shown = terminal.shown();
        assert!(shown.starts_with("\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"), "{shown:?}");
        assert!(shown.contains(&near.local().to_string()), "{shown:?}");
        assert!(shown.contains("1 connections, every 1 s"), "{shown:?}");
        assert_eq!(shown.contains("\x1b[1m"), colours, "{shown:?}");
        assert!(!terminal.local_modes().intersects(LocalModes::ICANON | LocalModes::ECHO));
        terminal.ours.write_all(b"xq").unwrap();
        terminal.leaves_it_as_it_was();
    }
}

fn a_screen_ends_with_a_signal_and_leaves_the_terminal_as_it_was() {
    for signal in [Signal::INT, Signal::TERM] {
        let terminal = Terminal::start(true);
        kill_process(Pid::from_child(&terminal.child), signal).unwrap();
        terminal.leaves_it_as_it_was();
    }
}
