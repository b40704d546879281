//! Connections whose other end is on another image: what each side looks at, and what it proves.
//!
//! The asking agent says what its end has sent and received. Who can say that holds the end, or has
//! seen the whole connection pass; so the asked agent tells nobody else. It says in turn what its own
//! end has sent and received, and the asking agent proves the two to be one connection, as it does
//! with two ends on its own image.

use std::net::IpAddr;

use super::lookup::{Asked, Lookup, failed};
use super::stacks::Held;
use crate::error::{Error, ErrorKind, Reason};
use crate::kernel::across::{self, Own};
use crate::kernel::sequence::{End, Ends};
use crate::kernel::sock_diag::{Answer, Query};
use crate::kernel::sys::Errno;
use crate::kernel::verify::{self, OwnEnd, Verdict};
use crate::kernel::{Endpoint, LOOPBACK};

/// How often an end is looked at that does not fit: numbers are not read at one moment.
const TRIES: u32 = 8;

/// What the asked side's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Afar {
    pub(crate) verdict: Verdict,
    pub(crate) cookie: u64,
    /// What it has sent and received.
    pub(crate) end: End,
}

impl Lookup {
    /// For the asking side: what our own end has sent and received, while it is the connection that
    /// was asked about.
    pub(crate) fn own_end(&self, asked: &Asked) -> Result<End, Error> {
        let unproven = || Error::unidentified(Reason::Unproven);
        let prober = self.prober().ok_or_else(unproven)?;
        let OwnEnd { local, remote, .. } = asked.own().end;
        let io = |Errno(errno)| Error::io("ask for sequence numbers", errno);
        let number = asked.stack().number(prober).map_err(io)?;
        let end = prober.look_at((local, remote), number).map_err(io)?;
        // After the look: so the numbers are those of the socket that was passed.
        let query = Query { local, remote, device: asked.device() };
        let [own] = asked.stack().asker().lookups([query]).map_err(failed)?;
        is_own(asked.own(), own)?;
        end.ok_or_else(unproven)
    }

    /// For the asking side: whether the end that another image speaks of is the other end of ours.
    /// `before` is what ours had sent and received when the question was sent.
    pub(crate) fn prove(&self, asked: &Asked, before: End, partner: End) -> Result<(), Error> {
        for _ in 0..TRIES {
            let ends = Ends { own: before, partner, own_again: self.own_end(asked)? };
            if ends.prove_one_connection() {
                return Ok(());
            }
        }
        Err(Error::unidentified(Reason::Unproven))
    }

    /// For the asked side: the end with these addresses in this stack, if it is the other end of
    /// one that has sent and received what `theirs` says. `None` tells nothing: there may be no such
    /// end, or one that is another's.
    pub(crate) fn look_at(
        &self,
        stack: &Held,
        (local, remote): (Endpoint, Endpoint),
        theirs: &End,
    ) -> Result<Option<Afar>, Error> {
        let Some(prober) = self.prober() else { return Ok(None) };
        if is_local(local.ip) || is_local(remote.ip) {
            return Ok(None);
        }
        let io = |Errno(errno)| Error::io("ask for sequence numbers", errno);
        let number = stack.number(prober).map_err(io)?;
        let query = Query { local, remote, device: LOOPBACK };
        // As the partner of the other side sees us: our own addresses are its remote ones.
        let other = OwnEnd { local: remote, remote: local, scope: 0, cookie: 0 };
        for _ in 0..TRIES {
            let [first] = stack.asker().lookups([query]).map_err(failed)?;
            let Some(first) = across::candidate(&other, first) else { return Ok(None) };
            let end = prober.look_at((local, remote), number).map_err(io)?;
            let [again] = stack.asker().lookups([query]).map_err(failed)?;
            let Some(again) = across::candidate(&other, again) else { return Ok(None) };
            if again.cookie != first.cookie {
                continue;
            }
            if let Some(end) = end.filter(|end| end.may_be_peer_of(theirs)) {
                let trust = stack.asker().trust(false);
                let verdict = verify::judge_entry(&again, trust);
                return Ok(Some(Afar { verdict, cookie: again.cookie, end }));
            }
        }
        Ok(None)
    }
}

/// Addresses that mean something on one image alone.
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local(),
    }
}

fn is_own(own: &Own, answer: Answer) -> Result<(), Error> {
    match answer {
        Answer::Found(entry) if own.is(&entry) => {
            let live = verify::is_live(entry.state);
            if live { Ok(()) } else { Err(Error::new(ErrorKind::NotConnected)) }
        }
        Answer::Found(_) | Answer::NotFound => Err(Error::unidentified(Reason::ConnectionChanged)),
        Answer::Failed(errno) => Err(Error::io("look up the socket that was passed", errno)),
    }
}
