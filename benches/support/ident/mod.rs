//! Who answers at port 113, and who asks.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

const ROLE: &str = "PARTNER_INFO_BENCH_ROLE";
/// `daemon`: a user with a name, on every Debian.
const ASKER: u32 = 1;
/// Connections asked about in turn.
const CONNECTIONS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(10);

const POLICY: &str = r#"
[[profile]]
name = "EZB.IOCTL.*.*.PARTNERINFO"
uacc = "READ"
"#;

/// Plays this process's role, if it is the one that asks.
pub fn play() -> Option<()> {
    std::env::var(ROLE).ok().filter(|role| role == "ident-asker")?;
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let at = listener.local_addr().expect("an address");
    let pairs: Vec<_> = (0..CONNECTIONS)
        .map(|_| (TcpStream::connect(at).expect("connect"), listener.accept().expect("accept").0))
        .collect();
    let ports = |(near, _): &(TcpStream, TcpStream)| {
        (near.local_addr().expect("an address").port(), at.port())
    };
    let questions: Vec<_> = pairs.iter().map(ports).collect();
    println!("ready");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let words: Vec<u64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
        let [port, count, milliseconds] = words[..] else { panic!("{line}") };
        let at = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("a port")));
        let count = usize::try_from(count).expect("few");
        let round = round(at, &questions, count, Duration::from_millis(milliseconds));
        println!("{} {} {} {}", round.rate, round.p50, round.p99, round.failed);
    }
    Some(())
}

/// What came of one round: answers a second, microseconds, and questions without an answer.
#[derive(Clone, Copy)]
pub struct Round {
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    pub failed: f64,
}

impl Round {
    pub fn medians(rounds: &[Self]) -> Self {
        let of = |what: fn(&Self) -> f64| middle(rounds.iter().map(what).collect());
        Self {
            rate: of(|round| round.rate),
            p50: of(|round| round.p50),
            p99: of(|round| round.p99),
            failed: of(|round| round.failed),
        }
    }
}

pub fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52")]
fn round(at: SocketAddr, questions: &[(u16, u16)], count: usize, time: Duration) -> Round {
    let (failed, next) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let asking = |_| {
            scope.spawn(|| {
                let mut times = Vec::new();
                while began.elapsed() < time {
                    let question =
                        questions[next.fetch_add(1, Ordering::Relaxed) % questions.len()];
                    let asked = Instant::now();
                    match ask(at, question) {
                        Ok(()) => times.push(asked.elapsed().as_secs_f64() * 1e6),
                        Err(_) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                times
            })
        };
        let threads: Vec<_> = (0..count).map(asking).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it asks")).collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(f64::INFINITY);
    let failed = failed.into_inner() as f64;
    Round { rate: times.len() as f64 / seconds, p50: at(50), p99: at(99), failed }
}

/// One question over one connection, and one read.
fn ask(at: SocketAddr, (here, there): (u16, u16)) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{here},{there}\r\n").as_bytes())?;
    let mut answer = [0; 128];
    let count = stream.read(&mut answer)?;
    let right = format!("{here},{there}:USERID:UNIX:daemon\r\n");
    if answer[..count] == *right.as_bytes() {
        return Ok(());
    }
    // A reset comes as an error; nothing, or another line, is none that would do.
    assert!(count == 0, "a wrong answer: {:?}", String::from_utf8_lossy(&answer[..count]));
    Err(std::io::ErrorKind::UnexpectedEof.into())
}

/// The process that asks.
pub struct Asker {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Asker {
    pub fn start() -> Self {
        let mut command = Command::new("/proc/self/exe");
        command.env(ROLE, "ident-asker").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.uid(ASKER).gid(ASKER).spawn().expect("start a process");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut asker = Self { child, output };
        assert_eq!(asker.line(), "ready\n");
        asker
    }

    pub fn round(&mut self, port: u16, count: usize, time: Duration) -> Round {
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{port} {count} {}", time.as_millis()).expect("tell it");
        let line = self.line();
        let numbers: Vec<f64> =
            line.split_ascii_whitespace().map(|word| word.parse().expect("a number")).collect();
        let [rate, p50, p99, failed] = numbers[..] else { panic!("{line}") };
        Round { rate, p50, p99, failed }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it says something");
        line
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Moves this process into a network namespace with ports enough for a connection a question.
pub fn enter_a_new_namespace() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.expect("ip").success());
    for (name, value) in [("ip_local_port_range", "10000 65000"), ("tcp_tw_reuse", "1")] {
        fs::write(format!("/proc/sys/net/ipv4/{name}"), value).expect("set it");
    }
}

fn wait_for(port: u16, child: &mut Child) {
    let patience = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = child.try_wait().expect("look at it");
        assert!(ended.is_none() && Instant::now() < patience, "it does not answer: {ended:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `partnerd`, without a limit that would be reached.
pub struct Partnerd {
    folder: PathBuf,
    child: Child,
}

impl Partnerd {
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("partnerd-ident-{}", std::process::id()));
        fs::create_dir(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("its mode");
        let file = |name: &str| folder.join(name);
        fs::write(file("policy.toml"), POLICY).expect("write the policy");
        let config = format!(
            "policy = {:?}\nnamespaces = \"own\"\n[ident]\nlisten = [\"127.0.0.1:113\"]\n\
             questions_per_second = 1000000\n[socket]\npath = {:?}\n\
             [audit]\nfile = {:?}\njournald = false\n",
            file("policy.toml"),
            file("partnerd.sock"),
            file("audit.jsonl"),
        );
        fs::write(file("partnerd.toml"), config).expect("write the configuration");
        let log = File::create(file("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_partnerd"));
        command.arg("--config").arg(file("partnerd.toml")).stdin(Stdio::null()).stderr(log);
        let mut child = command.spawn().expect("start partnerd");
        wait_for(113, &mut child);
        Self { folder, child }
    }

    pub fn port(&self) -> u16 {
        113
    }
}

impl Drop for Partnerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const OIDENTD: &str = "/usr/sbin/oidentd";

pub fn is_oidentd_installed() -> bool {
    Path::new(OIDENTD).exists()
}

/// oidentd, without a limit of its own.
pub struct Oidentd(Child);

impl Oidentd {
    pub fn start() -> Self {
        let mut command = Command::new(OIDENTD);
        command.args(["-i", "-q", "-S", "-u", "0", "-g", "0", "-a", "127.0.0.1", "-p", "1113"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("start oidentd");
        wait_for(1113, &mut child);
        Self(child)
    }

    pub fn port(&self) -> u16 {
        1113
    }
}

impl Drop for Oidentd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
