//! Connections of this stack, with who holds their ends.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Failed;
use crate::accounts::{Accounts, Limits, Lookup, SystemAccounts};
use crate::error::{Error, ErrorKind, Reason};
use crate::info::{PartnerRequest, UserId};
use crate::kernel::Endpoint;
use crate::kernel::process::{Finder, SocketOwner};
use crate::kernel::resolver::Failure;
use crate::kernel::sock_diag::Entry;
use crate::kernel::survey::{Candidates, Seen, Survey};
use crate::kernel::verify::{Owner, Verdict};
use crate::policy::PartnerStack;
use crate::stack::Stack;
use crate::stack::authority::Standing;
use crate::stack::tokens::READING;
use crate::token::{HolderSearch, Uid, UserToken};

/// How long names are waited for, all of them together.
const NAMES_PATIENCE: Duration = Duration::from_secs(1);
const NAMES: Limits = Limits { age: Duration::from_secs(60), names: 4_096 };
/// How often a connection is looked at whose ends change hands meanwhile.
const TRIES: u32 = 3;
/// So many sockets are looked for one by one.
const FEW: usize = 4;
const PAUSE: Duration = Duration::from_millis(2);

/// One connection of which at least one end is in this stack.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) ends: [End; 2],
    /// Of the first end's socket: no other one has it until the host is started again.
    pub(super) cookie: u64,
}

#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) address: SocketAddr,
    pub(super) who: Result<Who, Error>,
}

/// Who holds an end.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) user: UserId,
    pub(super) process_user: Option<UserId>,
    pub(super) token: UserToken,
}

/// What looks at connections; to be kept for the next look.
pub(super) struct Surveyor {
    stack: Stack,
    survey: Survey,
    finder: Finder,
    accounts: Accounts,
}

/// A connection whose users have no names yet.
struct Found {
    addresses: [Endpoint; 2],
    ends: [Told; 2],
    cookie: u64,
}

/// What is proven of an end, and its processes.
type Told = Result<(Owner, UserToken), Error>;

impl Surveyor {
    pub(super) fn open() -> Result<Self, Failed> {
        Ok(Self {
            stack: Stack::builder().build(),
            survey: Survey::open().map_err(failed)?,
            finder: Finder::current()
                .map_err(|errno| Failed::new(Error::io("look at this process", errno)))?,
            accounts: Accounts::new(Arc::new(SystemAccounts), NAMES),
        })
    }

    /// The connections with an end that is `wanted`, of which the ends are given in both orders; in
    /// the order of their addresses.
    pub(super) fn look(
        &mut self,
        wanted: impl Fn(Endpoint, Endpoint) -> bool,
    ) -> Result<Vec<Connection>, Failed> {
        self.authorize()?;
        let candidates = self.survey.candidates().map_err(failed)?;
        let mut told_of = HashSet::new();
        let mut found = Vec::new();
        let mut near: Vec<_> =
            candidates.iter().filter(|entry| wanted(entry.local, entry.remote)).collect();
        near.sort_by_key(|entry| {
            (entry.local.port, entry.local.ip, entry.remote.port, entry.remote.ip)
        });
        if near.len() > FEW {
            // A search stops reading a process where it finds the socket, and remembers what it has
            // read to the end.
            self.finder.warm();
        }
        for near in near {
            // From its other end it is the same connection.
            if told_of.contains(&(near.remote, near.local)) {
                continue;
            }
            if let Some((seen, ends)) = self.tell(&candidates, near)? {
                if seen.joined {
                    told_of.insert((near.local, near.remote));
                }
                found.push(Found {
                    addresses: [near.local, near.remote],
                    ends,
                    cookie: seen.cookie,
                });
            }
        }
        Ok(self.name(found))
    }

    /// The policy that the library goes by, for who runs this program.
    fn authorize(&self) -> Result<(), Failed> {
        let end = Instant::now() + NAMES_PATIENCE;
        loop {
            let socket = self.survey.socket();
            match self.stack.authorize(socket, PartnerRequest::all(), PartnerStack::Own) {
                Ok(Standing::Authorized) => return Ok(()),
                Ok(Standing::NamesPending) if Instant::now() < end => std::thread::sleep(PAUSE),
                Ok(Standing::NamesPending) => {
                    return Err(Failed::new(Error::new(ErrorKind::TimedOut)));
                }
                Err(error) => return Err(Failed::new(error)),
            }
        }
    }

    /// What is proven of both ends, before and after their processes were read; `None` where the
    /// connection is gone.
    fn tell(
        &mut self,
        candidates: &Candidates,
        near: &Entry,
    ) -> Result<Option<(Seen, [Told; 2])>, Failed> {
        let changed = || Error::unidentified(Reason::ConnectionChanged);
        let mut tries = 0;
        loop {
            let Some(seen) = self.survey.look(candidates, near).map_err(failed)? else {
                return Ok(None);
            };
            let ends = [seen.near, seen.far].map(|verdict| {
                let owner = proven(verdict)?;
                Ok((owner, self.token(owner)?))
            });
            if Some(seen) == self.survey.look(candidates, near).map_err(failed)? {
                return Ok(Some((seen, ends)));
            }
            tries += 1;
            if tries == TRIES {
                return Ok(Some((seen, [Err(changed()), Err(changed())])));
            }
        }
    }

    fn token(&self, owner: Owner) -> Result<UserToken, Error> {
        let socket = Uid::new(owner.uid).and_then(|uid| SocketOwner::new(owner.inode.into(), uid));
        let socket = socket.ok_or(Error::unidentified(Reason::ConnectionChanged))?;
        let socket = match owner.cgroup {
            Some(id) => socket.in_cgroup(id),
            None => socket,
        };
        self.finder.read(&socket, HolderSearch::All).map_err(|errno| Error::io(READING, errno))
    }

    /// Adds what the users are called, as far as the name service says so in time.
    fn name(&self, found: Vec<Found>) -> Vec<Connection> {
        let end = Instant::now() + NAMES_PATIENCE;
        let user = |uid: u32| UserId::new(uid, self.name_of(uid, end).flatten());
        let who = |(owner, mut token): (Owner, UserToken)| {
            if let Some(name) = self.name_of(owner.uid, end) {
                token.set_undefined_user(name.is_none());
            }
            let process_user = token.process_user().map(|uid| user(uid.as_raw()));
            Who { user: user(owner.uid), process_user, token }
        };
        let connection = |Found { addresses, ends, cookie }| {
            let [near, far] = ends.map(|told| told.map(who));
            let [at_near, at_far] = addresses.map(|end| SocketAddr::new(end.ip, end.port));
            Connection {
                ends: [End { address: at_near, who: near }, End { address: at_far, who: far }],
                cookie,
            }
        };
        found.into_iter().map(connection).collect()
    }

    /// `None`: it is not known; `Some(None)`: no account has this number.
    fn name_of(&self, uid: u32, end: Instant) -> Option<Option<Arc<str>>> {
        loop {
            let now = Instant::now();
            match self.accounts.lookup(uid, now) {
                Lookup::Known(name) => return Some(name),
                Lookup::Pending | Lookup::Unavailable if now < end => std::thread::sleep(PAUSE),
                Lookup::Pending | Lookup::Unavailable => return None,
            }
        }
    }
}

/// The owner, or why nobody is named, in the words of the library.
fn proven(verdict: Verdict) -> Result<Owner, Error> {
    match verdict {
        Verdict::Partner(owner) => Ok(owner),
        Verdict::NotYetAccepted => Err(Error::unidentified(Reason::NotYetAccepted)),
        Verdict::NotInThisStack => Err(Error::unidentified(Reason::NotInThisStack)),
        Verdict::Refused(reason) => Err(Error::unidentified(reason)),
        Verdict::NotConnected => Err(Error::new(ErrorKind::NotConnected)),
        Verdict::NotTcp => Err(Error::new(ErrorKind::NotTcp)),
        Verdict::Unsupported => Err(Error::unsupported(
            "this kernel's sock_diag does not show TCP sockets (tcp_diag is missing)",
        )),
        Verdict::Failed(errno) => Err(Error::io("look up a socket", errno)),
    }
}

/// The same for people. What the library says to who holds the connection is another thing in one case.
pub(super) fn explain(error: &Error) -> String {
    match error.reason() {
        Some(Reason::NotInThisStack) => "unidentified: this end is in no socket of this network \
            namespace: it is in another one, or on another host, and only a program that holds the \
            connection can ask the agent about that"
            .into(),
        Some(_) | None => error.to_string(),
    }
}

fn failed(failure: Failure) -> Failed {
    Failed::new(match failure {
        Failure::Unsupported => Error::unsupported(
            "this kernel, or the sandbox around this process, answers no NETLINK_SOCK_DIAG question",
        ),
        Failure::Io { doing, errno } => Error::io(doing, errno),
    })
}
