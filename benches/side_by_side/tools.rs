//! What programs offer for the same question.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::enclosure;
use crate::ways::{Asked, Named};

/// Debian's, which has Debian's python3-psutil.
const PYTHON: &str = "/usr/bin/python3";

fn is_there(program: &str) -> bool {
    let search = Command::new("/bin/sh").args(["-c", &format!("command -v {program}")]).output();
    search.is_ok_and(|found| found.status.success())
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("run it");
    String::from_utf8(output.stdout).expect("text")
}

/// The number that stands after `label`.
fn number_after(text: &str, label: &str) -> u32 {
    let found = text.split_once(label).unwrap_or_else(|| panic!("{label} in {text:?}")).1;
    let digits = found.find(|c: char| !c.is_ascii_digit()).unwrap_or(found.len());
    found[..digits].parse().expect("a number")
}

fn ss(options: &str, asked: &Asked) -> String {
    let Asked { ours, theirs, .. } = asked;
    output(Command::new("ss").args([options, "src", &theirs.to_string(), "dst", &ours.to_string()]))
}

const NO_SS: &str = "not installed: apt-get install iproute2";

pub fn ss_user() -> Result<impl FnMut(&Asked) -> Named, &'static str> {
    let ask = |asked: &Asked| Named::user(number_after(&ss("-tneH", asked), "uid:"));
    if is_there("ss") { Ok(ask) } else { Err(NO_SS) }
}

pub fn ss_process() -> Result<impl FnMut(&Asked) -> Named, &'static str> {
    let ask = |asked: &Asked| Named::pid(number_after(&ss("-tnpH", asked), "pid="));
    if is_there("ss") { Ok(ask) } else { Err(NO_SS) }
}

/// Who holds a connection, by its port.
pub fn lsof() -> Result<impl FnMut(&Asked) -> Named, &'static str> {
    let ask = |asked: &Asked| {
        let Asked { ours, theirs, .. } = asked;
        let place = format!("-iTCP@{theirs}");
        let text = output(Command::new("lsof").args(["-nP", "-Fpun", &place]));
        let name = format!("n{theirs}->{ours}");
        // A process with its user, and then the names of its descriptors.
        let (mut user, mut pid) = (None, None);
        for line in text.lines() {
            match line.split_at(1) {
                ("p", number) => pid = number.parse().ok(),
                ("u", number) => user = number.parse().ok(),
                _ if line == name => break,
                _ => {}
            }
        }
        Named { user, pid, took: None }
    };
    if is_there("lsof") { Ok(ask) } else { Err("not installed: apt-get install lsof") }
}

/// A Python program that runs already: what psutil takes is measured in there.
pub struct Psutil {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Psutil {
    pub fn start() -> Result<Self, &'static str> {
        let missing = "not installed: apt-get install python3-psutil";
        let mut child = Command::new(PYTHON)
            .args(["-c", include_str!("psutil.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|_| missing)?;
        let questions = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut this = Self { child, questions, answers };
        let mut version = String::new();
        match this.answers.read_line(&mut version) {
            Ok(1..) => Ok(this),
            Ok(0) | Err(_) => Err(missing),
        }
    }

    pub fn ask(&mut self, asked: &Asked) -> Named {
        writeln!(self.questions, "{} {}", asked.theirs.port(), asked.ours.port()).expect("ask it");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        let words: Vec<u32> =
            line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        let [nanoseconds, user, pid] = words[..] else { panic!("an answer, not {line:?}") };
        Named { user: Some(user), pid: Some(pid), took: Some(f64::from(nanoseconds) / 1e3) }
    }
}

impl Drop for Psutil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// oidentd on a port of 127.0.0.1, on the processor where it was started.
pub struct Oidentd {
    child: Child,
    address: SocketAddr,
}

impl Oidentd {
    pub fn start(port: u16) -> Result<Self, &'static str> {
        if !is_there("oidentd") {
            return Err("not installed: apt-get install oidentd");
        }
        let child = Command::new("oidentd")
            .args(["--foreground", "--nosyslog", "--quiet", "--address", "127.0.0.1"])
            .args(["--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start oidentd");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "oidentd listens");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { child, address })
    }

    /// The way to ask it, or why there is none.
    pub fn asking(
        start: &Result<Self, &'static str>,
    ) -> Result<impl FnMut(&Asked) -> Named, &'static str> {
        match start {
            Ok(running) => Ok(|asked: &Asked| running.ask(asked)),
            Err(why) => Err(*why),
        }
    }

    /// One question on a new connection, as the servers that ask do it.
    fn ask(&self, asked: &Asked) -> Named {
        let mut stream = TcpStream::connect(self.address).expect("connect");
        let question = format!("{},{}\r\n", asked.theirs.port(), asked.ours.port());
        stream.write_all(question.as_bytes()).expect("ask");
        let mut reply = Vec::new();
        while !reply.ends_with(b"\n") {
            let mut buffer = [0; 512];
            let len = stream.read(&mut buffer).expect("read");
            assert_ne!(len, 0, "an answer, not {:?}", String::from_utf8_lossy(&reply));
            reply.extend_from_slice(&buffer[..len]);
        }
        // A reset leaves no TIME_WAIT behind, which would be one more socket.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("set SO_LINGER");
        let reply = String::from_utf8(reply).expect("text");
        let name = reply.rsplit(':').next().expect("a part").trim();
        Named::user(enclosure::uid_of(name).unwrap_or_else(|| panic!("a user, not {reply:?}")))
    }
}

impl Drop for Oidentd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
