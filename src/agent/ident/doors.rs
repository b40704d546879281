//! Listening at port 113, in every namespace that is looked at.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::SocketFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Shared;
use crate::agent::door;
use crate::agent::everywhere::{self, Families};
use crate::agent::question::Agent;
use crate::agent::stacks::Held;
use crate::agent::stop::{self, Stop, Stopper};
use crate::kernel::sys::Errno;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 1024;
/// How long nothing is taken where the agent has no descriptor left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// The sockets that listen.
pub(super) struct Doors {
    agent: Arc<Agent>,
    shared: Arc<Shared>,
    listen: Vec<SocketAddr>,
    /// By the cookie of the namespace: dropped, they close its sockets and let its silent connections go.
    open: Mutex<HashMap<u64, Stopper>>,
}

impl Doors {
    pub(super) fn new(agent: &Arc<Agent>, shared: &Arc<Shared>) -> Self {
        Self {
            agent: Arc::clone(agent),
            shared: Arc::clone(shared),
            listen: agent.rules.ident().listen.clone(),
            open: Mutex::default(),
        }
    }

    /// Answers on the sockets of the agent's own namespace, in the current runtime.
    pub(super) fn open_home(&self, sockets: Vec<OwnedFd>) -> io::Result<()> {
        self.answer(self.agent.lookup.stacks().home().cookie(), sockets)
    }

    pub(super) fn close(&self) {
        self.lock().clear();
    }

    /// Listens in the others as they come, and leaves those that go; for ever.
    pub(super) async fn watch(&self) {
        let lookup = Arc::clone(&self.agent.lookup);
        everywhere::follow(lookup, |found| self.open_and_leave(&found)).await;
    }

    fn open_and_leave(&self, found: &[Arc<Held>]) {
        let home = self.agent.lookup.stacks().home().cookie();
        let there: HashSet<u64> = found.iter().map(|stack| stack.cookie()).collect();
        self.lock().retain(|cookie, _| *cookie == home || there.contains(cookie));
        for stack in found {
            let cookie = stack.cookie();
            if self.lock().contains_key(&cookie) {
                continue;
            }
            if let Err(error) = self.open(stack) {
                tracing::debug!(
                    namespace = cookie, %error,
                    "nobody can ask at port 113 about this network namespace"
                );
            }
        }
    }

    /// At those of the addresses that the namespace has.
    fn open(&self, stack: &Held) -> io::Result<()> {
        let listen = || self.listen.iter().map(|address| listen(*address)).collect::<Vec<_>>();
        let sockets = self.agent.lookup.stacks().within(stack, listen);
        let sockets = sockets.map_err(|Errno(errno)| io::Error::from_raw_os_error(errno))?;
        let (sockets, mut failures): (Vec<_>, Vec<_>) =
            sockets.into_iter().partition(Result::is_ok);
        let sockets: Vec<_> = sockets.into_iter().flatten().collect();
        match failures.pop() {
            Some(Err(error)) if sockets.is_empty() => Err(error),
            Some(_) | None => self.answer(stack.cookie(), sockets),
        }
    }

    fn answer(&self, cookie: u64, sockets: Vec<OwnedFd>) -> io::Result<()> {
        let (stopper, stop) = stop::channel();
        for socket in sockets {
            let socket = door::ready(socket, Interest::READABLE)?;
            tokio::spawn(accept(Arc::clone(&self.shared), cookie, socket, stop.clone()));
        }
        self.lock().insert(cookie, stopper);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Stopper>> {
        // A namespace is in the table or not.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(shared: Arc<Shared>, namespace: u64, socket: AsyncFd<OwnedFd>, mut stop: Stop) {
    let tell = stop.clone();
    let mut stopped = std::pin::pin!(stop.requested());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => return,
            accepted = socket.async_io(Interest::READABLE, take) => accepted,
        };
        match accepted {
            Ok((caller, from)) => shared.admit(namespace, caller, from, &tell),
            Err(error) => {
                tracing::warn!(%error, "a connection to port 113 could not be taken");
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
        }
    }
}

/// accept4(2).
fn take(socket: &OwnedFd) -> io::Result<(OwnedFd, SocketAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    loop {
        match rustix::net::acceptfrom_with(socket, flags) {
            Ok((caller, from)) => {
                if let Some(from) = from.and_then(|from| SocketAddr::try_from(from).ok()) {
                    return Ok((caller, from));
                }
            }
            // One that was gone before it was taken is no failure.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A socket of the address's own family alone, in the calling thread's namespace.
pub(in crate::agent) fn listen(at: SocketAddr) -> io::Result<OwnedFd> {
    everywhere::listen(at, Families::ItsOwn, BACKLOG)
}
