//! One connection to port 113: lines in, answers out, and the limits.
//!
//! Whoever asks waits for the first bytes that come back, and takes them for the whole answer. So an
//! answer is sent by one call, and whatever happens the connection ends within a bound.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant as Deadline;

use super::Shared;
use crate::agent::door;
use crate::agent::metrics::Metrics;
use crate::agent::peers::Taken;
use crate::agent::stop::Stop;
use crate::ident::{self, MAX_LINE, Split};

/// Somebody who has connected.
struct Visitor {
    socket: OwnedFd,
    /// In canonical form.
    from: IpAddr,
    namespace: u64,
    stop: Stop,
    /// When it has to have asked.
    deadline: Deadline,
    _open: Taken,
}

/// Why a connection is closed without an answer: a stable name.
struct Closed(&'static str);

impl Shared {
    /// Takes a connection in, where there is room for it.
    pub(super) fn admit(
        self: &Arc<Self>,
        namespace: u64,
        socket: OwnedFd,
        from: SocketAddr,
        stop: &Stop,
    ) {
        let config = self.answering.agent.rules.ident();
        let Some(open) = Taken::take(&self.open, config.connections) else {
            return self.metrics().ident_closed("too-many");
        };
        let now = Deadline::now();
        let visitor = Visitor {
            socket,
            from: from.ip().to_canonical(),
            namespace,
            stop: stop.clone(),
            deadline: now.checked_add(config.line).unwrap_or(now),
            _open: open,
        };
        tokio::spawn(Arc::clone(self).visit(visitor));
    }

    fn metrics(&self) -> &Metrics {
        &self.answering.agent.metrics
    }

    async fn visit(self: Arc<Self>, mut visitor: Visitor) {
        self.metrics().ident_connected();
        if let Err(Closed(why)) = self.serve(&mut visitor).await {
            self.metrics().ident_closed(why);
        }
        self.metrics().ident_disconnected();
    }

    /// Answers the line that comes, and those that came with it.
    async fn serve(&self, visitor: &mut Visitor) -> Result<(), Closed> {
        let host = self.addresses.host((visitor.namespace, visitor.from), Instant::now());
        let mut buffer = Vec::new();
        loop {
            self.hear(visitor, &mut buffer).await?;
            // Not before: who says nothing has asked nothing, and others have its address.
            let per_second = self.answering.agent.rules.ident().questions_per_second;
            if let Some(wait) = host.spend(1, per_second, Instant::now()) {
                let turn = tokio::time::sleep(wait);
                self.wait(&mut visitor.stop, visitor.deadline, turn).await?;
            }
            let Split::Line(line, rest) = ident::split(&buffer) else {
                return Err(Closed("too-long"));
            };
            self.answering.agent.room_for_a_record().await;
            let answer = self.answering.answer(visitor.socket.as_fd(), visitor.from, line).await;
            let sent = rustix::io::retry_on_intr(|| {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                rustix::net::send(&visitor.socket, answer.as_bytes(), flags)
            });
            if sent != Ok(answer.len()) {
                return Err(Closed("not-read"));
            }
            buffer = rest.to_vec();
            if !matches!(ident::split(&buffer), Split::Line(..)) {
                return Ok(());
            }
        }
    }

    /// Reads until there is a line.
    async fn hear(&self, visitor: &mut Visitor, buffer: &mut Vec<u8>) -> Result<(), Closed> {
        let mut waited = false;
        loop {
            match ident::split(buffer) {
                Split::Line(..) => return Ok(()),
                Split::TooLong => return Err(Closed("too-long")),
                Split::Incomplete => {}
            }
            match receive(&visitor.socket, buffer) {
                Ok(0) => return Err(Closed("gone")),
                Ok(_) => continue,
                Err(Errno::AGAIN) => {}
                Err(_) => return Err(Closed("gone")),
            }
            if !std::mem::replace(&mut waited, true) {
                // What is asked mostly comes right after the connection, and then nothing needs to be
                // told of it.
                tokio::task::yield_now().await;
                continue;
            }
            let watched = door::ready(visitor.socket.as_fd(), Interest::READABLE);
            let watched = watched.map_err(|_| Closed("failed"))?;
            let more = async {
                loop {
                    let Ok(mut ready) = watched.readable().await else { break };
                    // Whether it is wrong about that.
                    let look = |socket: &AsyncFd<BorrowedFd<'_>>| {
                        let mut one = [0];
                        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
                        Ok(rustix::net::recv(socket.get_ref(), &mut one[..], flags).map(drop)?)
                    };
                    if ready.try_io(look).is_ok() {
                        break;
                    }
                }
            };
            self.wait(&mut visitor.stop, visitor.deadline, more).await?;
        }
    }

    /// Waits for something, as long as there is a place to wait and time for it.
    async fn wait(
        &self,
        stop: &mut Stop,
        deadline: Deadline,
        something: impl Future<Output = ()>,
    ) -> Result<(), Closed> {
        let most = self.answering.agent.rules.ident().connections.div_ceil(2);
        let mut waiting = self.silent.arrive(most);
        tokio::select! {
            biased;
            () = something => Ok(()),
            () = waiting.lost() => Err(Closed("gave-way")),
            () = tokio::time::sleep_until(deadline) => Err(Closed("timed-out")),
            () = stop.requested() => Err(Closed("stopped")),
        }
    }
}

/// recv(2), without waiting: as much as may belong to a line.
fn receive(socket: &OwnedFd, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
    let mut bytes = [0; MAX_LINE];
    let room = bytes.get_mut(buffer.len()..).unwrap_or(&mut []);
    let count = rustix::io::retry_on_intr(|| {
        rustix::net::recv(socket, &mut *room, RecvFlags::DONTWAIT).map(|(_, count)| count)
    })?;
    buffer.extend_from_slice(room.get(..count).unwrap_or(&[]));
    Ok(count)
}
