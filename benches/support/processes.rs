//! Other processes of the machine: this benchmark, started again in a role.

use std::io::{PipeWriter, Read, Write, pipe};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::Crowd;

const ROLE: &str = "PARTNER_INFO_BENCH_ROLE";

/// The first of the users as whom processes run, where this one may choose.
pub const FIRST_USER: u32 = 30_000;

/// Descriptors of each process, its connections and the three standard ones included.
const DESCRIPTORS: usize = 20;

/// What this process is, if it is one of the others. It ends with its standard input.
pub fn role() -> Option<()> {
    let role = std::env::var(ROLE).ok()?;
    let mut words = role.split(' ');
    match (words.next()?, words.next()?) {
        ("crowd", sockets) => {
            super::raise_descriptor_limit();
            let runtime = super::runtime();
            let _crowd = runtime.block_on(Crowd::new(sockets.parse().expect("a number")));
            println!("ready");
            let _ = std::io::stdin().read(&mut [0]);
        }
        ("process", sockets) => {
            let sockets: usize = sockets.parse().expect("a number");
            let _sockets: Vec<_> =
                (0..sockets).map(|_| UdpSocket::bind("127.0.0.1:0").expect("bind")).collect();
            println!("ready");
            let server: Option<SocketAddr> = words.next().and_then(|word| word.parse().ok());
            let mut connections = Vec::new();
            // Told to connect.
            while let Ok(1..) = std::io::stdin().read(&mut [0]) {
                let mut stream = std::net::TcpStream::connect(server?).expect("connect");
                stream.write_all(&[0]).expect("write");
                connections.push(stream);
            }
        }
        (other, _) => panic!("no such role: {other}"),
    }
    Some(())
}

/// Children that end when this value does.
#[derive(Default)]
pub struct Processes(Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

impl Processes {
    fn start(&mut self, role: &str, user: Option<u32>, input: Stdio) -> &mut Child {
        let mut command = Command::new("/proc/self/exe");
        command.env(ROLE, role).stdin(input).stdout(Stdio::piped());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let mut child = command.spawn().expect("start a process");
        let mut ready = [0; 6];
        child.stdout.take().expect("piped").read_exact(&mut ready).expect("it says that it is");
        self.0.push(child);
        self.0.last_mut().expect("just pushed")
    }

    /// Processes that hold connections whose other ends wait to be accepted: `sockets` in all.
    pub fn crowd(sockets: usize) -> Self {
        const EACH: usize = 5_000;
        let mut all = Self::default();
        let mut left = sockets;
        while left > 0 {
            let here = left.min(EACH);
            all.start(&format!("crowd {here}"), None, Stdio::piped());
            left -= here;
        }
        all
    }
}

/// A process that connects when it is told.
pub struct Partner {
    pub pid: u32,
    /// `None`: the one of this process.
    pub user: Option<u32>,
    input: ChildStdin,
}

/// Processes of some users.
pub struct Partners {
    _processes: Processes,
    _input: PipeWriter,
    /// Where they connect to.
    pub listener: TcpListener,
    pub all: Vec<Partner>,
    pub users: u32,
}

impl Partners {
    /// Starts `count` processes, spread over `users` users where this one may choose them; every
    /// `every`th of them can be told to connect to this one.
    pub async fn new(count: usize, users: u32, every: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("an address");
        let may_choose = rustix::process::geteuid().is_root();
        let (ended, input) = pipe().expect("a pipe");
        let mut processes = Processes::default();
        let mut all = Vec::new();
        for number in 0..count {
            let user = u32::try_from(number).expect("few") % users;
            let user = (may_choose && users > 1).then_some(FIRST_USER + user);
            let partner = number.is_multiple_of(every);
            // Standard input, output and error, and the two connections of a partner.
            let sockets = DESCRIPTORS - if partner { 5 } else { 3 };
            let stdin =
                if partner { Stdio::piped() } else { Stdio::from(ended.try_clone().unwrap()) };
            let child = processes.start(&format!("process {sockets} {address}"), user, stdin);
            if let Some(input) = child.stdin.take() {
                all.push(Partner { pid: child.id(), user, input });
            }
        }
        let users = if may_choose { users } else { 1 };
        Self { _processes: processes, _input: input, listener, all, users }
    }

    /// Has a process connect, and send a byte.
    pub fn tell(&mut self, partner: usize) {
        self.all[partner].input.write_all(&[0]).expect("tell it");
    }

    /// Has a process connect; our end of that connection.
    pub async fn connection(&mut self, partner: usize) -> TcpStream {
        self.tell(partner);
        let (mut stream, _) = self.listener.accept().await.expect("accept");
        stream.read_exact(&mut [0]).await.expect("a byte");
        stream
    }
}
