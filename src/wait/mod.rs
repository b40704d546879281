//! Waiting without tokio: on the calling thread, or in an event loop of mio.
//!
//! The retrieval is driven by who asks, here as everywhere: no thread works behind a wait, so that
//! each look is made with the rights, and in the network namespace, of the thread that asks. Whoever
//! waits is woken by a waker, by the clock, and by what the agent says: nobody else need be there to
//! take that in.

#[cfg(feature = "mio")]
mod event;

use std::task::Waker;
use std::time::{Duration, Instant};

#[cfg(feature = "mio")]
pub use event::PartnerEvent;

use crate::error::Error;
use crate::info::{PartnerInfo, PartnerRequest};
use crate::kernel::sys::{Errno, Socket, WakeUp};
use crate::stack::{Begun, Stack, WaitingPoll};

/// A get that blocks the calling thread.
pub(crate) fn get(
    stack: &Stack,
    socket: Socket<'_>,
    request: PartnerRequest,
    timeout: Duration,
) -> Result<PartnerInfo, Error> {
    if timeout.is_zero() {
        return stack.poll_once(socket, request);
    }
    let mut now = Instant::now();
    let mut waiting = match stack.begin(socket, request, timeout, now)? {
        Begun::Answered(answer) => return Ok(answer),
        Begun::Waiting(waiting) => waiting,
    };
    let wake_up = WakeUp::new().map_err(failed("make an event descriptor"))?;
    let waker = Waker::from(wake_up.clone());
    loop {
        wake_up.clear();
        let until = match waiting.poll(stack, socket, &waker, now) {
            WaitingPoll::Ready(answer) => return answer,
            WaitingPoll::Until(until) => until,
        };
        let incoming = waiting.incoming();
        let incoming = incoming.as_ref().map(crate::kernel::sys::socket_of);
        wake_up.wait(incoming, until).map_err(failed("wait for the answer"))?;
        now = Instant::now();
    }
}

fn failed(doing: &'static str) -> impl Fn(Errno) -> Error {
    move |Errno(errno)| Error::io(doing, errno)
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
mod tests;
