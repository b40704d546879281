//! The task that takes in answers as they come, in the runtime of whoever asked first.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::connection::Connection;

/// Has a task of the current runtime take in what comes, unless one does so already. Outside of a
/// runtime nothing happens: then each look at a question takes in what has come.
pub(super) fn drive(connection: &Arc<Connection>) {
    if connection.has_ended() || connection.driven.load(Ordering::Acquire) {
        return;
    }
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if connection.driven.swap(true, Ordering::AcqRel) {
        return;
    }
    let driven = Driven(Arc::clone(connection));
    runtime.spawn(async move {
        // Not before the task runs: it is the runtime's reactor that the socket is registered with.
        #[allow(
            deprecated,
            reason = "what is to be used instead is unsafe; a kept `OwnedFd` is not"
        )]
        let Ok(socket) = AsyncFd::with_interest(driven, Interest::READABLE) else { return };
        while !socket.get_ref().0.has_ended() {
            let Ok(mut ready) = socket.readable().await else { return };
            // Before the look: what comes after it is a readiness of its own.
            ready.clear_ready();
            socket.get_ref().0.take_in();
        }
    });
}

/// As long as it lives, a task takes in what comes.
struct Driven(Arc<Connection>);

impl AsRawFd for Driven {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.driven.store(false, Ordering::Release);
        // With the runtime that has ended goes the task; whoever waits in another one starts its own.
        self.0.wake_all();
    }
}
