//! The helper processes: what this program is when a test has started it again.
//!
//! A puppet reads one command a line and answers each with one line, `ok` and a text or `err` and
//! an errno. It ends with its input, and in any case after a minute.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{getsockopt, sockopt};
use partner_info::{Stack, prelude::*};
use socket2::{Domain, Protocol, Socket, Type};

use super::puppet::{Puppet, ROLE};
use super::support::{address, get, local, peer, say, who_within};

/// Seconds after which every helper process ends.
const LIFETIME: u32 = 60;

pub(crate) fn main() -> ExitCode {
    nix::unistd::alarm::set(LIFETIME);
    match std::env::var(ROLE).as_deref() {
        Ok("puppet") => puppet(),
        Ok("scene") => super::faults::act(),
        // Holds its standard input, which is a socket, until it is killed or its puppet ends.
        Ok("holder") => {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
                .unwrap();
            println!("holding");
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

fn puppet() {
    let mut state = State::default();
    let mut output = io::stdout();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let words: Vec<&str> = line.split_whitespace().collect();
        let reply = match state.command(&words) {
            Ok(text) => format!("ok {text}\n"),
            Err(error) => format!("err {}\n", error.raw_os_error().unwrap_or(libc::EIO)),
        };
        if output.write_all(reply.as_bytes()).and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}

#[derive(Default)]
struct State {
    sockets: HashMap<u32, Socket>,
    next: u32,
    holders: Vec<Holder>,
    crowd: Vec<OwnedFd>,
    #[cfg(feature = "agent")]
    asker: super::agent::Asker,
}

/// A child that holds a descriptor.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl State {
    fn keep(&mut self, socket: Socket) -> io::Result<String> {
        self.next += 1;
        self.sockets.insert(self.next, socket);
        Ok(self.next.to_string())
    }

    fn command(&mut self, words: &[&str]) -> io::Result<String> {
        let done = Ok(String::new());
        match *words {
            ["hello"] => Ok(rustix::process::geteuid().as_raw().to_string()),
            ["socket", family, protocol] => {
                let domain = if family == "4" { Domain::IPV4 } else { Domain::IPV6 };
                let protocol = if protocol == "tcp" { Protocol::TCP } else { Protocol::MPTCP };
                let socket = Socket::new(domain, Type::STREAM, Some(protocol))?;
                self.keep(socket)
            }
            ["setuid", uid] => {
                let uid = uid.parse().unwrap();
                nix::unistd::setgroups(&[])?;
                nix::unistd::setgid(nix::unistd::Gid::from_raw(uid))?;
                nix::unistd::setuid(nix::unistd::Uid::from_raw(uid))?;
                done
            }
            ["unshare-user", inside] => {
                let outside = rustix::process::geteuid().as_raw();
                unshare(CloneFlags::CLONE_NEWUSER)?;
                std::fs::write("/proc/self/uid_map", format!("{inside} {outside} 1"))?;
                done
            }
            ["no-netlink", errno] => {
                super::sandbox::refuse_netlink(errno.parse().unwrap());
                done
            }
            ["replace-file", path, with] => {
                super::names::replace_file(path, with).map(|()| String::new())
            }
            ["threads", count] => {
                super::crowds::park_threads(count.parse().unwrap());
                done
            }
            ["churn"] => {
                std::thread::spawn(super::crowds::churn_threads);
                done
            }
            ["crowd", listener, count] => {
                self.crowd = super::crowds::connections(address(listener), count.parse().unwrap())?;
                done
            }
            ["descriptors"] => {
                let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
                setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
                done
            }
            ["accept-crowd", id, count] => {
                let listener = self.socket(id)?;
                self.crowd = super::crowds::accepted(listener, count.parse().unwrap())?;
                done
            }
            ["recycle", old, new, to, microseconds] => {
                super::recycled::recycle(
                    self.sockets.remove(&old.parse().unwrap()),
                    self.socket(new)?,
                    address(to),
                    Duration::from_micros(microseconds.parse().unwrap()),
                )?;
                done
            }
            ["before-others", cpu] => {
                super::recycled::stay_on(cpu.parse().unwrap());
                super::raw::run_before_others()?;
                done
            }
            #[cfg(feature = "agent")]
            ["connect-partner", id, to] => {
                let id = id.parse().unwrap();
                let socket = self.sockets.remove(&id).unwrap();
                self.sockets.insert(id, self.asker.connect_partner(socket, to)?);
                done
            }
            #[cfg(feature = "agent")]
            ["accept-partner", id] => {
                let stream = self.asker.accept_partner(&self.sockets[&id.parse().unwrap()])?;
                self.keep(stream)
            }
            #[cfg(feature = "agent")]
            ["many", count, milliseconds, ref ids @ ..] => {
                let sockets: Vec<_> =
                    ids.iter().map(|id| &self.sockets[&id.parse().unwrap()]).collect();
                self.asker.many(&sockets, count, milliseconds)
            }
            [verb, id, ref arguments @ ..] if id.parse::<u32>().is_ok() => {
                self.on_socket(verb, id, arguments)
            }
            #[cfg(feature = "agent")]
            _ => self.asker.command(words),
            #[cfg(not(feature = "agent"))]
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }

    fn socket(&self, id: &str) -> io::Result<&Socket> {
        let id = id.parse().map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        self.sockets.get(&id).ok_or(io::Error::from_raw_os_error(libc::EBADF))
    }

    fn on_socket(&mut self, verb: &str, id: &str, arguments: &[&str]) -> io::Result<String> {
        let socket = self.socket(id)?;
        let done = || Ok(String::new());
        match (verb, arguments) {
            ("reuse", []) => socket.set_reuse_address(true).and_then(|()| done()),
            ("linger", [seconds]) => {
                let time = Duration::from_secs(seconds.parse().unwrap());
                socket.set_linger(Some(time)).and_then(|()| done())
            }
            ("freebind", []) => {
                let option = if local(socket).is_ipv4() {
                    socket.set_freebind_v4(true)
                } else {
                    socket.set_freebind_v6(true)
                };
                option.and_then(|()| done())
            }
            ("device", [name]) => socket.bind_device(Some(name.as_bytes())).and_then(|()| done()),
            ("both-families", []) => socket.set_only_v6(false).and_then(|()| done()),
            ("nonblocking", []) => socket.set_nonblocking(true).and_then(|()| done()),
            ("bind", [at]) => socket.bind(&address(at).into()).and_then(|()| done()),
            ("listen", []) => socket.listen(1024).and_then(|()| done()),
            ("listen-for", [waiting]) => {
                socket.listen(waiting.parse().unwrap()).and_then(|()| done())
            }
            ("connect", [to]) => socket.connect(&address(to).into()).and_then(|()| done()),
            ("disconnect", []) => Ok(rustix::net::connect_unspec(socket).map(|()| String::new())?),
            ("send", [text]) => socket.send(text.as_bytes()).and_then(|_| done()),
            ("flood", []) => flood(socket),
            ("half-close", []) => socket.shutdown(std::net::Shutdown::Write).and_then(|()| done()),
            ("owner", [uid]) => {
                let uid = uid.parse().unwrap();
                std::os::unix::fs::fchown(socket.as_fd(), Some(uid), None).and_then(|()| done())
            }
            ("local", []) => Ok(local(socket).to_string()),
            ("peer", []) => Ok(peer(socket).to_string()),
            ("peercred", []) => {
                let credentials = getsockopt(socket, sockopt::PeerCredentials)?;
                Ok(format!("pid {} uid {}", credentials.pid(), credentials.uid()))
            }
            ("accept", []) => {
                let (stream, _) = socket.accept()?;
                self.keep(stream)
            }
            ("close", []) => {
                self.sockets.remove(&id.parse().unwrap());
                done()
            }
            ("wait-for-end", []) => {
                let mut rest = Vec::new();
                (&*socket).read_to_end(&mut rest).map(|_| String::new())
            }
            ("share", [uid]) => {
                let holder = Puppet::command("holder");
                let holder = start_holder(holder, socket, uid.parse().unwrap())?;
                self.holders.push(holder);
                done()
            }
            ("who", [milliseconds]) => {
                let timeout = Duration::from_millis(milliseconds.parse().unwrap());
                Ok(who_within(socket, timeout))
            }
            // Asked by a thread that was started for it.
            ("thread-who", []) => Ok(std::thread::scope(|scope| {
                let asking = scope.spawn(|| who_within(socket, Duration::from_millis(60)));
                asking.join().unwrap()
            })),
            ("routing", []) => Ok(super::support::routing(socket)),
            ("poll-without-descriptors", []) => super::interface::poll_without_descriptors(socket),
            ("fork-and-ask", [other]) => super::owners::fork_and_ask(socket, self.socket(other)?),
            ("vouched-who", []) => {
                let vouched = Stack::builder().trust_hidden_translation(true).build();
                Ok(say(&get(&vouched, socket, PartnerRequest::USER_ID, Duration::from_secs(1))))
            }
            ("slow-name", [milliseconds]) => super::names::slow_get(socket, milliseconds),
            ("default-who", []) => Ok(say(&get(
                Stack::current(),
                socket,
                PartnerRequest::USER_ID,
                Duration::from_secs(1),
            ))),
            #[cfg(feature = "agent")]
            ("fork-and-ask-the-agent", [other]) => {
                super::agent::Asker::fork_and_ask(socket, self.socket(other)?)
            }
            #[cfg(feature = "agent")]
            _ => {
                let socket = &self.sockets[&id.parse().unwrap()];
                self.asker.on_socket(verb, socket, arguments)
            }
            #[cfg(not(feature = "agent"))]
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }
}

/// Sends until no more fits, so that data stays unsent; leaves the socket blocking.
fn flood(socket: &Socket) -> io::Result<String> {
    socket.set_nonblocking(true)?;
    let mut sent = 0_usize;
    let full = loop {
        match socket.send(&[0; 65_536]) {
            Ok(len) => sent += len,
            Err(error) => break error,
        }
    };
    socket.set_nonblocking(false)?;
    if full.kind() == io::ErrorKind::WouldBlock { Ok(sent.to_string()) } else { Err(full) }
}

fn start_holder(
    mut command: std::process::Command,
    socket: &Socket,
    uid: u32,
) -> io::Result<Holder> {
    use std::os::unix::process::CommandExt;
    let descriptor = socket.as_fd().try_clone_to_owned()?;
    command.stdin(descriptor).stdout(Stdio::piped()).uid(uid).gid(uid);
    let mut child = command.spawn()?;
    let mut said = String::new();
    io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut said)?;
    assert_eq!(said, "holding\n");
    Ok(Holder(child))
}
