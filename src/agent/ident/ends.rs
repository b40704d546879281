//! Whose a connection is that is given by its addresses.
//!
//! No descriptor says here which connection is meant, so nothing is taken on trust: the end that is
//! asked about is found in the table by its addresses, and known by its cookie from then on.
//!
//! Where whoever asks is on this host, the other end is here, too, and must be found: what both have
//! sent and received proves the two to be the ends of one connection, also where addresses are
//! translated, and the other end must be one that a process has accepted. So a newcomer that took the
//! ports of a connection is not named to a server that has the old one still (H5).
//!
//! Where whoever asks is on another host, there is but one end to look at. It must be the same before
//! and after connection tracking has said that nobody translates its addresses (H20).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::agent::lookup::{Asked, Found, Lookup, Seen, failed};
use crate::agent::stacks::Held;
use crate::agent::subject::Connection;
use crate::error::{Error, ErrorKind, Reason};
use crate::kernel::conntrack::Translation;
use crate::kernel::sock_diag::{Answer, Entry, Query};
use crate::kernel::sys::Errno;
use crate::kernel::verify::{self, Next, OwnEnd, Owner, Verdict, Verification};
use crate::kernel::{Endpoint, LOOPBACK};

/// An end that is asked about.
#[derive(Debug)]
pub(super) struct End {
    asked: Asked,
    entry: Entry,
    pub(super) owner: Owner,
}

impl End {
    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    pub(super) fn connection(&self) -> Connection {
        self.asked.connection
    }
}

impl Lookup {
    /// The end with these addresses in a stack: `local` is its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotConnected`] where there is none that is connected, [`ErrorKind::Unidentified`] where
    /// nobody holds it.
    pub(super) fn end(
        &self,
        stack: &Arc<Held>,
        (local, remote): (SocketAddr, SocketAddr),
    ) -> Result<End, Error> {
        let entry = entry(stack, local.into(), remote.into())?;
        let owner = owner(verify::judge_entry(&entry, stack.asker().trust(false)))?;
        let namespace = stack.cookie();
        let connection = Connection { local, remote, cookie: entry.cookie, namespace };
        let own =
            OwnEnd { local: entry.local, remote: entry.remote, scope: 0, cookie: entry.cookie };
        Ok(End { asked: Asked::of_entry(stack, connection, own), entry, owner })
    }

    /// The owner of the other end, which is in the same stack.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unidentified`] where no socket there is proven to be the other end of just this one.
    pub(super) fn other_end_here(&self, end: &End) -> Result<Owner, Error> {
        let stack = end.asked.stack();
        owner(match self.prober() {
            None => self.other_end_by_table(end)?,
            Some(_) => match self.look_in(stack, &end.asked)? {
                Seen::Settled(Found { verdict, .. }) => verdict,
                Seen::Stranger | Seen::Nobody => Verdict::Refused(Reason::Unproven),
            },
        })
    }

    /// Without sequence numbers, as where a descriptor is at hand: while both ends are in the table of
    /// one stack and nobody translates, they are each other's.
    fn other_end_by_table(&self, end: &End) -> Result<Verdict, Error> {
        let stack = end.asked.stack();
        let own = end.asked.own().end;
        let mut verification = Verification::new(own, stack.asker().trust(false));
        let mut next = verification.handle_translation(self.translation(stack, &own)?);
        loop {
            next = match next {
                Next::Done(verdict) => return Ok(verdict),
                Next::Lookups { partner, own } => {
                    let [partner, own] = stack.asker().lookups([partner, own]).map_err(failed)?;
                    verification.handle_lookups(partner, own)
                }
                // What takes a descriptor, or looks further than this table.
                Next::Translation | Next::Examine | Next::Place(_) | Next::OwnPlace(_) => {
                    return Ok(Verdict::Refused(Reason::Unproven));
                }
            };
        }
    }

    /// Whether an end is, once more, the one that it was, and is nobody's whose addresses are translated.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unidentified`] where not, or where this cannot be seen.
    pub(super) fn is_still(&self, end: &End) -> Result<(), Error> {
        let stack = end.asked.stack();
        let own = end.asked.own().end;
        match self.translation(stack, &own)? {
            Translation::None => {}
            Translation::Translated => return Err(Error::unidentified(Reason::AddressTranslated)),
            Translation::Hidden { .. } => {
                return Err(Error::unidentified(Reason::TranslationHidden));
            }
        }
        let again = entry(stack, own.local, own.remote)?;
        let is_same = again.cookie == end.entry.cookie
            && (again.uid, again.inode) == (end.entry.uid, end.entry.inode);
        if is_same { Ok(()) } else { Err(Error::unidentified(Reason::ConnectionChanged)) }
    }

    fn translation(&self, stack: &Held, own: &OwnEnd) -> Result<Translation, Error> {
        let look = || stack.asker().translation_of(own.local, own.remote);
        self.stacks()
            .within(stack, look)
            .map_err(|Errno(errno)| Error::io("enter the connection's network namespace", errno))
    }
}

/// The connected socket with just these addresses.
fn entry(stack: &Held, local: Endpoint, remote: Endpoint) -> Result<Entry, Error> {
    let query = Query { local, remote, device: LOOPBACK };
    let [answer] = stack.asker().lookups([query]).map_err(failed)?;
    match answer {
        // Not one that listens at the port (H7).
        Answer::Found(entry) if (entry.local, entry.remote) == (local, remote) => Ok(entry),
        Answer::Found(_) | Answer::NotFound => Err(Error::new(ErrorKind::NotConnected)),
        Answer::Failed(errno) => {
            Err(Error::io("look up the connection that is asked about", errno))
        }
    }
}

pub(super) fn owner(verdict: Verdict) -> Result<Owner, Error> {
    match verdict {
        Verdict::Partner(owner) => Ok(owner),
        Verdict::NotYetAccepted => Err(Error::unidentified(Reason::NotYetAccepted)),
        Verdict::Refused(reason) => Err(Error::unidentified(reason)),
        Verdict::NotConnected => Err(Error::new(ErrorKind::NotConnected)),
        Verdict::NotInThisStack | Verdict::NotTcp | Verdict::Unsupported => {
            Err(Error::unidentified(Reason::Unproven))
        }
        Verdict::Failed(errno) => Err(Error::io("look up a connection by its addresses", errno)),
    }
}
