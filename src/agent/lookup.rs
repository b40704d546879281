//! Who is at the other end of a socket that was passed: in its own stack, or in another one.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use quick_cache::sync::Cache;

use super::stacks::{Held, Stacks, Unavailable};
use super::subject::Connection;
use crate::error::{Error, ErrorKind, Reason};
use crate::kernel::LOOPBACK;
use crate::kernel::across::{self, Across, Looks, Own};
use crate::kernel::prober::Prober;
use crate::kernel::resolver::{Connected, Failure};
use crate::kernel::sock_diag::Query;
use crate::kernel::sys::{self, Errno, addresses, errno};
use crate::kernel::verify::{OwnEnd, Protocol, Verdict};

/// Where partners were found: so many pairs of a stack and a partner's address.
const HINTS: usize = 16_384;
/// How often a candidate is looked at whose numbers do not fit, or who moves: numbers are not read
/// at one moment, and honest ends that send data may fail to fit now and then.
const TRIES: u32 = 8;

/// Looks partners up.
#[derive(Debug)]
pub(crate) struct Lookup {
    stacks: Stacks,
    /// `None`: the kernel does not show what proves a partner of another stack.
    prober: Option<Prober>,
    /// In which stack the partners of a stack with this address were last. A place to look first,
    /// and nothing more.
    hints: Cache<(u64, IpAddr), u64>,
}

/// What a descriptor tells of itself, proven to be a connected TCP socket.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) connection: Connection,
    own: Own,
    /// The interface that the socket is bound to, or the one that matches if it is bound to none.
    device: u32,
    stack: Arc<Held>,
}

/// Where a partner was found, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) verdict: Verdict,
}

/// Where what a verdict speaks of is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    OwnStack,
    OtherStack,
    Unknown,
}

/// How far a lookup came that does not wait.
#[derive(Debug)]
pub(crate) enum Progress {
    Settled(Found),
    /// Other stacks may have to be looked for; then [`Lookup::look_everywhere`].
    NotYet(Missing),
}

/// What was seen where no partner was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing {
    /// What the own stack's table says.
    own: Verdict,
    /// A socket with the partner's addresses was there, and was not proven to be the partner.
    unproven: bool,
}

impl Lookup {
    pub(crate) fn new(stacks: Stacks, prober: Option<Prober>) -> Self {
        Self { stacks, prober, hints: Cache::new(HINTS) }
    }

    pub(super) fn prober(&self) -> Option<&Prober> {
        self.prober.as_ref()
    }

    pub(crate) fn stacks(&self) -> &Stacks {
        &self.stacks
    }

    /// What the descriptor is. A handful of system calls, none of which waits.
    pub(crate) fn examine(&self, socket: BorrowedFd<'_>) -> Result<Asked, Error> {
        let io = |doing| move |Errno(errno)| Error::io(doing, errno);
        // Before anything else: other files may do with a question what they like.
        let protocol = match sys::protocol(socket) {
            Ok(Protocol::Other) | Err(Errno(errno::ENOTSOCK | errno::EOPNOTSUPP)) => {
                return Err(Error::new(ErrorKind::NotTcp));
            }
            Ok(protocol @ (Protocol::Tcp | Protocol::Mptcp)) => protocol,
            Err(error) => return Err(io("ask what the descriptor is")(error)),
        };
        let remote = match addresses::peer(socket) {
            Ok(Some(remote)) => remote,
            Ok(None) => return Err(Error::new(ErrorKind::NotTcp)),
            Err(Errno(errno::ENOTCONN)) => return Err(Error::new(ErrorKind::NotConnected)),
            Err(error) => return Err(io("ask for the peer's address")(error)),
        };
        let local = addresses::local(socket).map_err(io("ask for the own address"))?;
        let local = local.ok_or(Error::new(ErrorKind::NotTcp))?;
        let cookie = sys::cookie(socket).map_err(io("ask for the socket's cookie"))?;
        let stack = self.stacks.of_socket(socket).map_err(unavailable)?;
        let multipath_inode = match protocol {
            Protocol::Mptcp => {
                let inode = sys::inode(socket).map_err(io("look at the socket"))?;
                // No inode is no match.
                Some(u32::try_from(inode).unwrap_or(0))
            }
            Protocol::Tcp | Protocol::Other => None,
        };
        let scope = match remote {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(address) => address.scope_id(),
        };
        let end = OwnEnd { local: local.into(), remote: remote.into(), scope, cookie };
        let own = Own { end, multipath_inode };
        let device = sys::bound_device(socket).ok().filter(|device| *device != 0);
        let device = device.unwrap_or(LOOPBACK);
        let connection = Connection { local, remote, cookie, namespace: stack.cookie() };
        Ok(Asked { connection, own, device, stack })
    }

    /// Looks in the own stack, and in the others that are at hand.
    pub(crate) fn look(&self, socket: BorrowedFd<'_>, asked: &Asked) -> Result<Progress, Error> {
        if let Some(found) = self.look_where_last(asked)? {
            return Ok(Progress::Settled(found));
        }
        let verdict = self.look_in_own(socket, asked)?;
        match verdict {
            // An address that is local and of no socket may be another stack's as well.
            Verdict::NotInThisStack | Verdict::Refused(Reason::AddressTranslated) => {}
            Verdict::Partner(_)
            | Verdict::NotYetAccepted
            | Verdict::Refused(_)
            | Verdict::NotConnected
            | Verdict::NotTcp
            | Verdict::Unsupported
            | Verdict::Failed(_) => {
                return Ok(Progress::Settled(Found { place: Place::OwnStack, verdict }));
            }
        }
        let missing = Missing { own: verdict, unproven: false };
        self.look_in_sure(&others(asked, self.stacks.all_held()), asked, missing)
    }

    /// Looks in `all` stacks that there are, as they were looked for after the question came, and in
    /// those at hand: the last place to look. Who calls holds on to them: one that was let go of would
    /// not be looked at, and its partner not found, or somebody else taken for the only one.
    pub(crate) fn look_everywhere(
        &self,
        all: Vec<Arc<Held>>,
        asked: &Asked,
        missing: Missing,
    ) -> Result<Found, Error> {
        let others = others(asked, all.into_iter().chain(self.stacks.all_held()));
        Ok(match self.look_in_sure(&others, asked, missing)? {
            Progress::Settled(found) => found,
            Progress::NotYet(missing) => self.look_in_forgeable(&others, asked, missing)?,
        })
    }

    /// Looks where partners of this address were last.
    pub(super) fn look_where_last(&self, asked: &Asked) -> Result<Option<Found>, Error> {
        let key = (asked.stack.cookie(), asked.own.end.remote.ip);
        if let Some(hint) = self.hints.get(&key).and_then(|cookie| self.stacks.held(cookie))
            && !hint.is_forgeable()
            && let Seen::Settled(found) = self.look_in(&hint, asked)?
        {
            return Ok(Some(found));
        }
        Ok(None)
    }

    fn look_in_own(&self, socket: BorrowedFd<'_>, asked: &Asked) -> Result<Verdict, Error> {
        let Connection { cookie, remote, .. } = asked.connection;
        let connected = Connected { cookie, remote };
        let stack = &asked.stack;
        let resolve = || stack.asker().resolve(socket, connected, false, &|| false);
        let verdict = self.stacks.within(stack, resolve);
        let entering = |Errno(errno)| Error::io("enter the socket's network namespace", errno);
        verdict.map_err(entering)?.map_err(failed)
    }

    /// Looks in the stacks whose sockets only the kernel, and root, give their numbers: the first
    /// that proves is believed.
    fn look_in_sure(
        &self,
        others: &[Arc<Held>],
        asked: &Asked,
        mut missing: Missing,
    ) -> Result<Progress, Error> {
        for stack in others.iter().filter(|stack| !stack.is_forgeable()) {
            match self.look_in(stack, asked)? {
                Seen::Settled(found) => {
                    let key = (asked.stack.cookie(), asked.own.end.remote.ip);
                    self.hints.insert(key, stack.cookie());
                    return Ok(Progress::Settled(found));
                }
                Seen::Stranger => missing.unproven = true,
                Seen::Nobody => {}
            }
        }
        Ok(Progress::NotYet(missing))
    }

    /// Looks in the stacks that are owned by user namespaces of users. Who is root there can give a
    /// socket any addresses and numbers, and the numbers of a connection are no secret for good: the
    /// first ones are a hash of the addresses, the same in all namespaces, and the time. So one is
    /// believed only where no other has such a socket, after all that are sure were looked at.
    fn look_in_forgeable(
        &self,
        others: &[Arc<Held>],
        asked: &Asked,
        mut missing: Missing,
    ) -> Result<Found, Error> {
        let mut only = None;
        for stack in others.iter().filter(|stack| stack.is_forgeable()) {
            match self.look_in(stack, asked)? {
                Seen::Settled(found) if only.is_none() => only = Some(found),
                Seen::Settled(_) | Seen::Stranger => missing.unproven = true,
                Seen::Nobody => {}
            }
        }
        Ok(only.filter(|_| !missing.unproven).unwrap_or_else(|| missing.verdict()))
    }

    /// Looks in one stack, by sequence numbers: the own one needs no more than addresses where a
    /// descriptor is there to go by.
    pub(super) fn look_in(&self, stack: &Held, asked: &Asked) -> Result<Seen, Error> {
        let OwnEnd { local, remote, scope, .. } = asked.own.end;
        // A link-local address means something only together with an interface, and the partner's
        // is not known.
        if scope != 0 {
            return Ok(Seen::Nobody);
        }
        let partner = Query { local: remote, remote: local, device: LOOPBACK };
        let own = Query { local, remote, device: asked.device };
        let mut seen = Seen::Nobody;
        for _ in 0..TRIES {
            let [first] = stack.asker().lookups([partner]).map_err(failed)?;
            let Some(candidate) = across::candidate(&asked.own.end, first) else {
                return Ok(seen);
            };
            seen = Seen::Stranger;
            let Some(prober) = &self.prober else { return Ok(seen) };
            let numbers =
                asked.stack.number(prober).and_then(|own| Ok([own, stack.number(prober)?]));
            let ends = numbers.and_then(|numbers| prober.look((local, remote), numbers));
            let ends = ends.map_err(|Errno(errno)| Error::io("ask for sequence numbers", errno))?;
            let [own] = asked.stack.asker().lookups([own]).map_err(failed)?;
            let [candidate_again] = stack.asker().lookups([partner]).map_err(failed)?;
            let trust = stack.asker().trust(false);
            let looks = Looks { candidate, ends, own, candidate_again };
            if let Across::Settled(verdict) = across::judge(&asked.own, &looks, trust) {
                return Ok(Seen::Settled(Found { place: Place::OtherStack, verdict }));
            }
        }
        Ok(seen)
    }
}

/// Each of `stacks` but the own one, once.
fn others(asked: &Asked, stacks: impl IntoIterator<Item = Arc<Held>>) -> Vec<Arc<Held>> {
    let mut seen = HashSet::from([asked.stack.cookie()]);
    stacks.into_iter().filter(|stack| seen.insert(stack.cookie())).collect()
}

impl Asked {
    /// What was found in the table of a stack, where no descriptor was passed.
    #[cfg(feature = "ident")]
    pub(super) fn of_entry(stack: &Arc<Held>, connection: Connection, end: OwnEnd) -> Self {
        let own = Own { end, multipath_inode: None };
        Self { connection, own, device: LOOPBACK, stack: Arc::clone(stack) }
    }

    pub(super) fn own(&self) -> &Own {
        &self.own
    }

    pub(super) fn device(&self) -> u32 {
        self.device
    }

    pub(super) fn stack(&self) -> &Arc<Held> {
        &self.stack
    }
}

/// What was seen in one stack.
pub(super) enum Seen {
    Settled(Found),
    /// A socket with the partner's addresses that is not proven to be the partner.
    Stranger,
    Nobody,
}

impl Missing {
    /// Nothing was looked at yet.
    #[cfg(feature = "ident")]
    pub(super) fn nothing() -> Self {
        Self { own: Verdict::NotInThisStack, unproven: false }
    }

    /// What there is to say where every stack was looked at.
    pub(crate) fn verdict(self) -> Found {
        let verdict = match self.own {
            _ if self.unproven => Verdict::Refused(Reason::Unproven),
            Verdict::NotInThisStack => Verdict::Refused(Reason::OutsideCluster),
            own @ (Verdict::Partner(_)
            | Verdict::NotYetAccepted
            | Verdict::Refused(_)
            | Verdict::NotConnected
            | Verdict::NotTcp
            | Verdict::Unsupported
            | Verdict::Failed(_)) => own,
        };
        Found { place: Place::Unknown, verdict }
    }
}

fn unavailable(why: Unavailable) -> Error {
    match why {
        Unavailable::NotServed => Error::unidentified(Reason::StackNotServed),
        Unavailable::Failed { doing, errno } => Error::io(doing, errno),
    }
}

pub(crate) fn failed(failure: Failure) -> Error {
    match failure {
        Failure::Unsupported => Error::unsupported(
            "this kernel, or the sandbox around the agent, answers no NETLINK_SOCK_DIAG question",
        ),
        Failure::Io { doing, errno } => Error::io(doing, errno),
    }
}
