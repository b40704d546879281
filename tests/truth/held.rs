//! The connections that a client holds, and how it lets go of them.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

use super::claim::Dice;

/// The ports that clients have: few, so that each is used again and again.
pub(crate) const PORTS: std::ops::Range<u16> = 20_000..20_800;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    Close,
    Reset,
}

impl Leave {
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        if dice.one_in(2) { Self::Reset } else { Self::Close }
    }
}

/// Lets go of a connection.
pub(crate) fn leave(socket: Socket, how: Leave) {
    if how == Leave::Reset {
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
    drop(socket);
}

struct Entry {
    socket: Socket,
    /// When to leave, if not at the server's byte.
    until: Option<Instant>,
    how: Leave,
}

#[derive(Default)]
pub(crate) struct Held(Vec<Entry>);

impl Held {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Holds a connection until the server has sent a byte, or closed it.
    pub(crate) fn until_told(&mut self, socket: Socket, how: Leave) {
        self.0.push(Entry { socket, until: None, how });
    }

    /// Holds a connection for a while.
    pub(crate) fn for_a_while(&mut self, socket: Socket, time: Duration, how: Leave) {
        self.0.push(Entry { socket, until: Some(Instant::now() + time), how });
    }

    /// Lets go of those whose time has come. Waits that long for one of them, or for `others` to be
    /// readable; returns which of `others` are.
    pub(crate) fn turn<const N: usize>(
        &mut self,
        others: [BorrowedFd<'_>; N],
        wait: Duration,
    ) -> [bool; N] {
        let mut all: Vec<PollFd<'_>> = others
            .iter()
            .copied()
            .chain(self.0.iter().map(|entry| entry.socket.as_fd()))
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .collect();
        let wait = Timespec::try_from(wait).unwrap();
        match poll(&mut all, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
        let ready: Vec<bool> = all.iter().map(|one| !one.revents().is_empty()).collect();
        drop(all);
        let now = Instant::now();
        for at in (0..self.0.len()).rev() {
            let is_over = self.0[at].until.is_some_and(|until| until <= now);
            // Who is to leave by itself stays, whatever the server does.
            if is_over || (self.0[at].until.is_none() && ready[N + at]) {
                let Entry { socket, how, .. } = self.0.swap_remove(at);
                leave(socket, how);
            }
        }
        std::array::from_fn(|at| ready[at])
    }
}

/// A TCP socket whose port others may have after it.
pub(crate) fn tcp(like: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(like), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}
