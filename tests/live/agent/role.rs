//! What a helper process does by the process's own stack, which asks the agent.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sched::{CloneFlags, unshare};
use partner_info::{Error, PartnerInfo, PartnerRequest, Stack, prelude::*};
use socket2::Socket;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;

use super::super::raw;
use super::super::support::{PATIENCE, address, get, run, say};
use super::forged;
use super::impostor::Impostor;

/// The part of a puppet that is kept from one command to the next.
#[derive(Default)]
pub(crate) struct Asker {
    /// Goes on running between commands, as that of a server does.
    runtime: Option<Runtime>,
    impostor: Option<Impostor>,
}

impl Asker {
    fn runtime(&mut self) -> &Runtime {
        self.runtime.get_or_insert_with(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap()
        })
    }

    /// Commands about the process.
    pub(crate) fn command(&mut self, words: &[&str]) -> io::Result<String> {
        match *words {
            ["open-descriptors"] => Ok(std::fs::read_dir("/proc/self/fd")?.count().to_string()),
            // Its numbers are written by the test.
            ["unshare-user-bare"] => unshared(CloneFlags::CLONE_NEWUSER),
            ["unshare-user-and-network"] => {
                let outside = rustix::process::geteuid().as_raw();
                let done = unshared(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
                std::fs::write("/proc/self/uid_map", format!("0 {outside} 1"))?;
                Ok(done)
            }
            ["impostor", says, path] => {
                self.impostor = Some(Impostor::listen(Path::new(path), says)?);
                Ok(String::new())
            }
            ["impostor-heard"] => Ok(self.impostor.as_ref().map_or(0, Impostor::heard).to_string()),
            // Its own group is the first of these.
            ["become", "user", uid, groups] => {
                let groups: Vec<_> = groups
                    .split(',')
                    .map(|group| nix::unistd::Gid::from_raw(group.parse().unwrap()))
                    .collect();
                nix::unistd::setgroups(&groups)?;
                nix::unistd::setgid(groups[0])?;
                nix::unistd::setuid(nix::unistd::Uid::from_raw(uid.parse().unwrap()))?;
                Ok(String::new())
            }
            // One's own address of the connection that is asked about, and the partner's.
            #[cfg(feature = "ident")]
            ["ident", local, remote, ref at @ ..] => {
                let (local, remote) = (address(local), address(remote));
                let port = at.first().map_or(113, |port| port.parse().unwrap());
                let at = (remote.ip(), port).into();
                super::super::ident::ask(at, local.ip(), (remote.port(), local.port()))
            }
            ["run", ref command @ ..] => {
                run(&command.join(" "));
                Ok(String::new())
            }
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }

    /// Commands about a socket.
    pub(crate) fn on_socket(
        &mut self,
        verb: &str,
        socket: &Socket,
        arguments: &[&str],
    ) -> io::Result<String> {
        match (verb, arguments) {
            // By a stack with nothing saved.
            ("anew", [what, milliseconds]) => {
                let what = request(what);
                Ok(tell(what, &get(&anew(), socket, what, time(milliseconds))))
            }
            ("describe", [milliseconds]) => {
                Ok(super::super::hosts::described::describe(socket, time(milliseconds)))
            }
            // All that an error says.
            ("why", [what, milliseconds]) => {
                match get(&anew(), socket, request(what), time(milliseconds)) {
                    Ok(_) => Ok("answered".into()),
                    Err(error) => Ok(error.to_string()),
                }
            }
            // By the stack of the process.
            ("ask", [what, milliseconds]) => {
                let (what, timeout) = (request(what), time(milliseconds));
                let stream = another_name(socket)?;
                let answer = self.runtime().block_on(async {
                    let stream = TcpStream::from_std(stream.into()).unwrap();
                    stream.get_partner_info(what, timeout).await
                });
                socket.set_nonblocking(false)?;
                Ok(tell(what, &answer))
            }
            ("repair", [from, to, sent, received]) => {
                let numbers = (sent.parse().unwrap(), received.parse().unwrap());
                forged::repair(socket, address(from), address(to), numbers)?;
                Ok(String::new())
            }
            ("try", [what]) => {
                let what = request(what);
                Ok(tell(what, &Stack::current().try_get_partner_info(socket, what)))
            }
            ("set", [what]) => Ok(Stack::current()
                .set_partner_info(socket, request(what))
                .map_or_else(|error| say(&Err(error)), |()| "set".into())),
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }

    /// Asks about `first` here and about `second` in a child, at the same time and by one stack.
    pub(crate) fn fork_and_ask(first: &Socket, second: &Socket) -> io::Result<String> {
        let (mut parent_right, mut child_right) = (true, true);
        for _ in 0..10 {
            let stack = anew();
            let ask = |socket: &Socket, what| {
                stack.forget_partner(socket).unwrap();
                say(&get(&stack, socket, what, PATIENCE))
            };
            // It is connected to the agent now, and has one thread still: routing needs no name.
            parent_right &= ask(first, PartnerRequest::empty()) == "routing 14";
            let child = raw::in_forked_child(|| {
                (0..10).all(|_| ask(second, PartnerRequest::USER_ID) == "user 1002")
            })?;
            parent_right &= (0..30).all(|_| ask(first, PartnerRequest::empty()) == "routing 14");
            child_right &= raw::wait_for(child)?;
        }
        let word = |right| if right { "right" } else { "wrong" };
        Ok(format!("parent {}, child {}", word(parent_right), word(child_right)))
    }

    /// Connects `socket` and asks at once for what was set; returns the connected one.
    pub(crate) fn connect_partner(&mut self, socket: Socket, to: &str) -> io::Result<Socket> {
        socket.set_nonblocking(true)?;
        let stream = self.runtime().block_on(async {
            let socket = TcpSocket::from_std_stream(socket.into());
            socket.connect_partner(address(to)).await
        })?;
        blocking(stream)
    }

    /// Accepts, and asks at once for what was set on the listener.
    pub(crate) fn accept_partner(&mut self, listener: &Socket) -> io::Result<Socket> {
        let name = another_name(listener)?;
        let stream = self.runtime().block_on(async {
            let listener = TcpListener::from_std(name.into()).unwrap();
            tokio::time::timeout(PATIENCE, listener.accept_partner()).await
        });
        listener.set_nonblocking(false)?;
        blocking(stream??.0)
    }

    /// Asks `count` times about each of these, at the same time about all, each time with nothing
    /// saved. Returns how often each answer came, such as `user 1000=99,Agent=1`; `late` for one
    /// that came long after its timeout.
    pub(crate) fn many(
        &mut self,
        sockets: &[&Socket],
        count: &str,
        milliseconds: &str,
    ) -> io::Result<String> {
        let (count, timeout): (u32, _) = (count.parse().unwrap(), time(milliseconds));
        let names: Vec<OwnedFd> =
            sockets.iter().map(|socket| another_name(socket)).collect::<io::Result<_>>()?;
        let stack = anew();
        let said = self.runtime().block_on(async {
            let each = names.into_iter().map(|name| {
                let stream = TcpStream::from_std(name.into()).unwrap();
                ask_again_and_again(&stack, stream, count, timeout)
            });
            join_all(each).await.concat()
        });
        for socket in sockets {
            socket.set_nonblocking(false)?;
        }
        let mut counts = BTreeMap::<String, u32>::new();
        for one in said {
            *counts.entry(one).or_default() += 1;
        }
        let counts: Vec<_> = counts.iter().map(|(said, count)| format!("{said}={count}")).collect();
        Ok(counts.join(","))
    }
}

async fn ask_again_and_again(
    stack: &Stack,
    stream: TcpStream,
    count: u32,
    timeout: Duration,
) -> Vec<String> {
    let mut said = Vec::new();
    for _ in 0..count {
        stack.forget_partner(&stream).unwrap();
        let begun = Instant::now();
        let answer = stack.get_partner_info(&stream, PartnerRequest::USER_ID, timeout).await;
        let late = begun.elapsed() > timeout + PATIENCE;
        said.push(if late { "late".into() } else { say(&answer) });
    }
    said
}

fn anew() -> Stack {
    super::super::support::fresh()
}

fn unshared(what: CloneFlags) -> io::Result<String> {
    Ok(unshare(what).map(|()| String::new())?)
}

fn request(words: &str) -> PartnerRequest {
    match words {
        "user" => PartnerRequest::USER_ID,
        "token" => PartnerRequest::USER_ID | PartnerRequest::UTOKEN,
        "routing" => PartnerRequest::empty(),
        _ => panic!("no request: {words}"),
    }
}

fn time(milliseconds: &str) -> Duration {
    Duration::from_millis(milliseconds.parse().unwrap())
}

/// Another descriptor of the same socket, for a runtime: it never blocks.
fn another_name(socket: &Socket) -> io::Result<OwnedFd> {
    socket.set_nonblocking(true)?;
    socket.as_fd().try_clone_to_owned()
}

fn blocking(stream: TcpStream) -> io::Result<Socket> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream.into())
}

/// What [`say`] says, and for a token the processes and their users as well:
/// `user 1001 holders 123=1001,124=0 gap -`.
fn tell(what: PartnerRequest, answer: &Result<PartnerInfo, Error>) -> String {
    let mut said = say(answer);
    let Ok(info) = answer else { return said };
    if !what.contains(PartnerRequest::UTOKEN) {
        return said;
    }
    let token = info.token().expect("what was asked for is answered");
    let holder = |one: &partner_info::token::Holder| {
        let user = one.process_user().map_or_else(|| "?".into(), |uid| uid.as_raw().to_string());
        format!("{}={user}", one.pid().as_raw())
    };
    let holders: Vec<_> = token.holders().iter().map(holder).collect();
    let holders = if holders.is_empty() { "-".into() } else { holders.join(",") };
    let gap = token.holders_gap().map_or("-", |gap| gap.as_str());
    write!(said, " holders {holders} gap {gap}").unwrap();
    said
}
