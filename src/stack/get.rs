//! Carries the steps of [`retrieval`](crate::retrieval) out, for sockets of any runtime.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::authority::NamesWait;
use super::table::{Known, Record, Slow, SocketKey, not_a_socket};
use super::{Resolver, Stack};
use crate::accounts::Lookup;
use crate::error::{Error, ErrorKind, Reason};
use crate::info::{Credentials, PartnerInfo, PartnerRequest, Routing, UserId};
use crate::kernel::process::SocketOwner;
use crate::kernel::resolver::{self, Failure};
use crate::kernel::sys::{self, Errno, Socket, errno};
use crate::kernel::verify::{Owner, Protocol, Verdict};
use crate::kernel::{Endpoint, sys::addresses};
use crate::policy::PartnerStack;
use crate::retrieval::{Found, Holding, Name, Outcome, Step, TokenRead, TokenState};
use crate::token::Uid;

use super::tokens::Progress;

/// A connected socket: its number and its peer.
#[derive(Clone, Copy)]
pub(super) struct Connected {
    pub(super) key: SocketKey,
    pub(super) remote: std::net::SocketAddr,
}

/// What a waiting get does next.
pub(crate) enum WaitingPoll {
    Ready(Result<PartnerInfo, Error>),
    /// Not before this instant, or when the waker is woken; without an instant only then.
    Until(Option<Instant>),
}

/// A get that waits: the only one on its connection for as long as it lives.
pub(crate) struct Waiting {
    connection: Connected,
    record: Arc<Record>,
    request: PartnerRequest,
    deadline: Option<Instant>,
    /// While the caller's right depends on names that are not here yet.
    names: Option<NamesWait>,
}

/// How the first step of a get ended.
pub(crate) enum Begun {
    Answered(PartnerInfo),
    Waiting(Waiting),
}

impl Stack {
    /// See [`PartnerSocketExt::set_partner_info`](crate::PartnerSocketExt::set_partner_info).
    pub(crate) fn set(&self, socket: Socket<'_>, request: PartnerRequest) -> Result<(), Error> {
        let key = SocketKey::of(socket)?;
        if sys::protocol(socket).map_err(not_a_socket)? == Protocol::Other {
            return Err(Error::new(ErrorKind::NotTcp));
        }
        match addresses::peer(socket) {
            Ok(_) => return Err(Error::new(ErrorKind::TooLate)),
            Err(Errno(errno::ENOTCONN)) => {}
            Err(error) => return Err(not_a_socket(error)),
        }
        // Names that are on their way do not hold up a set: it tells nothing, and gets are asked.
        self.authorize(socket, request, PartnerStack::Own)?;
        if sys::is_listening(socket).map_err(not_a_socket)? {
            let local = addresses::local(socket).map_err(not_a_socket)?;
            let local = local.ok_or(Error::new(ErrorKind::NotTcp))?;
            self.inner.listeners.set(key, local.into(), request);
            if request.contains(PartnerRequest::UTOKEN) {
                self.inner.tokens.prepare_once();
            }
        } else {
            self.inner.table.get_or_new_unconnected(key).lock().retrieval.handle_set(request);
        }
        Ok(())
    }

    /// Forgets what is kept of a socket.
    pub(crate) fn forget(&self, socket: Socket<'_>) -> Result<(), Error> {
        self.inner.table.forget(SocketKey::of(socket)?);
        Ok(())
    }

    /// Starts what was set on this socket, which was just connected.
    pub(crate) fn prefetch_connected(&self, stream: Socket<'_>) {
        if let Ok(connection) = connected(stream)
            && let Some(record) = self.inner.table.get(connection.key, connection.peer())
        {
            self.prefetch(stream, connection, &record);
        }
    }

    /// Starts what was set on this listener, on a stream that it just accepted.
    pub(crate) fn prefetch_accepted(&self, stream: Socket<'_>, listener: Socket<'_>) {
        if let Ok(key) = SocketKey::of(listener)
            && let Some(what) = self.set_on_listener(key)
            && let Ok(connection) = connected(stream)
        {
            self.prefetch(stream, connection, &self.requested_record(connection, what));
        }
    }

    fn prefetch(&self, stream: Socket<'_>, connection: Connected, record: &Record) {
        let mut slow = record.lock();
        slow.retrieval.begin_prefetch();
        self.drive(stream, connection, record, &mut slow, Instant::now());
    }

    /// A get that does not wait.
    pub(crate) fn poll_once(
        &self,
        socket: Socket<'_>,
        request: PartnerRequest,
    ) -> Result<PartnerInfo, Error> {
        let connection = connected(socket)?;
        self.authorize_at_once(socket, request)?;
        let record = match self.inner.table.look(connection.key, connection.peer(), request) {
            Known::Answer(found) => return Ok(PartnerInfo::new(found, request)),
            Known::Record(record) => record,
            Known::Nothing => self.inherit(socket, connection)?,
        };
        let now = Instant::now();
        let mut slow = record.lock();
        self.add_late_names(&mut slow, now);
        slow.retrieval.handle_wake();
        match slow.retrieval.begin_poll(request) {
            Ok(Some(found)) => Ok(PartnerInfo::new(found, request)),
            Ok(None) => {
                self.drive(socket, connection, &record, &mut slow, now);
                Err(Error::new(ErrorKind::InProgress))
            }
            Err(error) if error.kind() == ErrorKind::InProgress => {
                self.drive(socket, connection, &record, &mut slow, now);
                slow.retrieval.end_poll(request).map(|found| PartnerInfo::new(found, request))
            }
            Err(error) => Err(error),
        }
    }

    /// The first step of a get that waits.
    pub(crate) fn begin(
        &self,
        socket: Socket<'_>,
        request: PartnerRequest,
        timeout: Duration,
        now: Instant,
    ) -> Result<Begun, Error> {
        let connection = connected(socket)?;
        let names = self.authorize(socket, request, PartnerStack::Own)?.wait();
        let peer = connection.peer();
        let (record, first) = match self.inner.table.look(connection.key, peer, request) {
            Known::Answer(found) if names.is_none() => {
                return Ok(Begun::Answered(PartnerInfo::new(found, request)));
            }
            Known::Record(record) => (record, None),
            Known::Answer(_) => (self.inner.table.get_or_new(connection.key, peer), None),
            Known::Nothing if names.is_some() => {
                (self.inner.table.get_or_new(connection.key, peer), None)
            }
            // Nothing is known of this connection: what can be answered at once needs no state.
            Known::Nothing => match self.answer_at_once(socket, connection, request, now)? {
                Ok(answer) => return Ok(Begun::Answered(answer)),
                Err(outcome) => (self.inner.table.get_or_new(connection.key, peer), Some(outcome)),
            },
        };
        {
            let mut slow = record.lock();
            self.add_late_names(&mut slow, now);
            if names.is_none()
                && let Some(answer) = slow.retrieval.settled(request)
            {
                let answer = answer.map(|found| PartnerInfo::new(found, request))?;
                return Ok(Begun::Answered(answer));
            }
            slow.retrieval.begin_wait()?;
            if let Some(outcome) = first {
                slow.retrieval.handle_first_outcome(
                    request,
                    outcome,
                    self.inner.name_patience,
                    now,
                );
            }
        }
        let deadline = now.checked_add(timeout);
        Ok(Begun::Waiting(Waiting { connection, record, request, deadline, names }))
    }

    /// The answer, if no wait is needed for it; else what the resolvers came to.
    fn answer_at_once(
        &self,
        socket: Socket<'_>,
        connection: Connected,
        request: PartnerRequest,
        now: Instant,
    ) -> Result<Result<PartnerInfo, Outcome>, Error> {
        let outcome = self.resolve(socket, connection, request, now);
        let (uid, routing) = match &outcome {
            // Processes are read on another thread.
            Outcome::Found(Found {
                token: TokenState::ToRead(_) | TokenState::Read(_), ..
            })
            | Outcome::NotYetAccepted
            | Outcome::Elsewhere(_) => return Ok(Err(outcome)),
            Outcome::Found(found) => (found.uid, found.routing),
            Outcome::Failed(error) if error.kind() == ErrorKind::SecurityDomain => {
                return Ok(Err(outcome));
            }
            Outcome::Failed(error) => return Err(error.clone()),
        };
        let user = match uid.map(|uid| (uid, self.inner.accounts.lookup(uid, now))) {
            None => None,
            Some((uid, Lookup::Known(name))) => Some(UserId::new(uid, name)),
            Some((_, Lookup::Pending | Lookup::Unavailable)) => return Ok(Err(outcome)),
        };
        let (covers, name_late) = (request, false);
        let found =
            Credentials { covers, user, process_user: None, token: None, name_late, routing };
        self.inner.table.save(connection.key, connection.peer(), found.clone());
        Ok(Ok(PartnerInfo::new(found, request)))
    }

    /// The record of a stream that takes the indicator of the listener it came from.
    fn inherit(&self, socket: Socket<'_>, connection: Connected) -> Result<Arc<Record>, Error> {
        if sys::protocol(socket).map_err(not_a_socket)? == Protocol::Other {
            return Err(Error::new(ErrorKind::NotTcp));
        }
        let not_requested = || Error::new(ErrorKind::NotRequested);
        let local = addresses::local(socket).map_err(not_a_socket)?.ok_or_else(not_requested)?;
        let local = Endpoint::from(local);
        let inner = &self.inner;
        let what = match resolver::listener(local).map_err(failed)? {
            Some(cookie) => {
                let key = connection.key.of_sibling(cookie);
                let set = self.set_on_listener(key);
                if set.is_none() {
                    inner.listeners.handle_other_listener(local, key);
                }
                set
            }
            None => inner.listeners.by_address(local),
        };
        what.map(|what| self.requested_record(connection, what)).ok_or_else(not_requested)
    }

    fn set_on_listener(&self, key: SocketKey) -> Option<PartnerRequest> {
        self.inner.listeners.by_socket(key).or_else(|| {
            // Set on a `TcpSocket` before it became a listener.
            let record = self.inner.table.get_unconnected(key)?;
            let what = record.lock().retrieval.requested()?;
            self.inner.listeners.promote(key, what);
            Some(what)
        })
    }

    fn requested_record(&self, connection: Connected, what: PartnerRequest) -> Arc<Record> {
        let record = self.inner.table.get_or_new(connection.key, connection.peer());
        record.lock().retrieval.handle_set(what);
        record
    }

    /// Carries out what the retrieval under way needs now.
    fn drive(
        &self,
        socket: Socket<'_>,
        connection: Connected,
        record: &Record,
        slow: &mut Slow,
        now: Instant,
    ) {
        while let Some(step) = slow.retrieval.step_under_way(now) {
            if !self.carry_out(&step, socket, connection, slow, (None, None), now) {
                break;
            }
        }
        record.publish(&slow.retrieval);
    }

    /// Returns whether there was something to carry out.
    fn carry_out(
        &self,
        step: &Step,
        socket: Socket<'_>,
        connection: Connected,
        slow: &mut Slow,
        (waker, deadline): (Option<&Waker>, Option<Instant>),
        now: Instant,
    ) -> bool {
        let patience = self.inner.name_patience;
        match *step {
            Step::Retrieve(what) => {
                slow.job = None;
                slow.asking = None;
                let outcome = self.resolve(socket, connection, what, now);
                slow.retrieval.handle_outcome(outcome, patience, now);
                true
            }
            Step::Ask(what) => {
                let who = (waker, deadline);
                let says = self.ask_agent(socket, connection, what, slow, who, now);
                slow.retrieval.handle_agent(says, patience, now);
                true
            }
            Step::Read(holding) => {
                let read = self.read_token(holding, slow, waker);
                slow.retrieval.handle_token(read, patience, now);
                true
            }
            Step::Name(uid) => {
                let name = match self.inner.accounts.lookup(uid, now) {
                    Lookup::Known(name) => Name::Known(name),
                    Lookup::Pending => Name::Pending,
                    Lookup::Unavailable => Name::Unavailable,
                };
                slow.retrieval.handle_name(name, now);
                true
            }
            Step::Answer(_) | Step::Wait(_) => false,
        }
    }

    fn read_token(&self, holding: Holding, slow: &mut Slow, waker: Option<&Waker>) -> TokenRead {
        let job = match slow.job.take() {
            Some(job) => job,
            None => {
                let Some(owner) = socket_owner(holding) else { return TokenRead::Busy };
                if let Some(token) = self.inner.tokens.at_a_glance(&owner) {
                    return TokenRead::Read(token);
                }
                match self.inner.tokens.ask(owner) {
                    Some(job) => job,
                    None => return TokenRead::Busy,
                }
            }
        };
        match job.poll(waker) {
            Progress::Read(token) => TokenRead::Read(token),
            Progress::Pending => {
                slow.job = Some(job);
                TokenRead::Pending
            }
            Progress::Failed => TokenRead::Busy,
        }
    }

    fn resolve(
        &self,
        socket: Socket<'_>,
        at: Connected,
        what: PartnerRequest,
        now: Instant,
    ) -> Outcome {
        if !self.has(Resolver::Kernel) {
            let nobody = Error::unsupported("this stack was built without a resolver that answers");
            return self.elsewhere(Outcome::Failed(nobody), None, now);
        }
        let connected = resolver::Connected { cookie: at.key.cookie, remote: at.remote };
        let elsewhere = || self.may_ask_agent(now);
        match resolver::resolve(socket, connected, self.inner.trust_hidden_translation, elsewhere) {
            Ok(verdict) => self.judge(verdict, what, now),
            Err(failure @ Failure::Unsupported) => {
                self.elsewhere(Outcome::Failed(failed(failure)), None, now)
            }
            Err(failure @ Failure::Io { .. }) => Outcome::Failed(failed(failure)),
        }
    }

    fn judge(&self, verdict: Verdict, what: PartnerRequest, now: Instant) -> Outcome {
        let refused = |error| Outcome::Failed(error);
        match verdict {
            Verdict::Partner(owner) => self.found(owner, what, now),
            Verdict::NotYetAccepted if what.is_empty() => Outcome::Found(SAME_STACK),
            Verdict::NotYetAccepted => Outcome::NotYetAccepted,
            // Where nobody knows more, the cluster is this stack, and the partner is not in it.
            Verdict::NotInThisStack => {
                let without = match what.is_empty() {
                    true => Outcome::Found(Found { routing: Routing::NONE, ..SAME_STACK }),
                    false => refused(Error::unidentified(Reason::NotInThisStack)),
                };
                self.elsewhere(without, None, now)
            }
            // An agent has the right, or goes to the place, that this thread lacks.
            Verdict::Refused(reason @ (Reason::TranslationHidden | Reason::OtherNamespace)) => {
                self.elsewhere(refused(Error::unidentified(reason)), None, now)
            }
            Verdict::Refused(reason) => refused(Error::unidentified(reason)),
            Verdict::NotConnected => refused(Error::new(ErrorKind::NotConnected)),
            Verdict::NotTcp => refused(Error::new(ErrorKind::NotTcp)),
            Verdict::Unsupported => refused(Error::unsupported(
                "this kernel's sock_diag does not show TCP sockets (tcp_diag is missing)",
            )),
            Verdict::Failed(errno) => refused(Error::io("look up the partner's socket", errno)),
        }
    }

    /// The kernel has proven the owner.
    fn found(&self, owner: Owner, what: PartnerRequest, now: Instant) -> Outcome {
        let Owner { uid, inode, cgroup } = owner;
        let found = |token| {
            let uid = (!what.is_empty()).then_some(uid);
            Outcome::Found(Found { uid, name: None, routing: Routing::SAME_STACK, token })
        };
        if !what.contains(PartnerRequest::UTOKEN) {
            return found(TokenState::NotAskedFor);
        }
        let holding = Holding { uid, inode, cgroup };
        let at_a_glance = || self.inner.tokens.at_a_glance(&socket_owner(holding)?);
        if let Some(token) = at_a_glance() {
            return found(TokenState::Read(token));
        }
        let here = found(TokenState::ToRead(holding));
        if sys::may_read_others() { here } else { self.elsewhere(here, Some(uid), now) }
    }

    fn add_late_names(&self, slow: &mut Slow, now: Instant) {
        let Some(uids) = slow.retrieval.late_names() else { return };
        let mut names = [None, None];
        for (uid, name) in uids.into_iter().zip(&mut names) {
            match uid.map(|uid| self.inner.accounts.lookup(uid, now)) {
                None => {}
                Some(Lookup::Known(known)) => *name = known,
                Some(Lookup::Pending | Lookup::Unavailable) => return,
            }
        }
        slow.retrieval.handle_late_names(names);
    }
}

impl Waiting {
    /// Goes as far as it can without waiting.
    pub(crate) fn poll(
        &mut self,
        stack: &Stack,
        socket: Socket<'_>,
        waker: &Waker,
        now: Instant,
    ) -> WaitingPoll {
        if let Some(names) = &mut self.names {
            match names.poll(stack, socket, self.deadline, now) {
                Ok(None) => self.names = None,
                Ok(Some(at)) => return WaitingPoll::Until(Some(at)),
                Err(refused) => return WaitingPoll::Ready(Err(refused)),
            }
        }
        let mut slow = self.record.lock();
        slow.retrieval.handle_wake();
        loop {
            let step = slow.retrieval.step_wait(self.request, self.deadline, now);
            let who = (Some(waker), self.deadline);
            if stack.carry_out(&step, socket, self.connection, &mut slow, who, now) {
                continue;
            }
            match step {
                Step::Answer(answer) => {
                    self.record.publish(&slow.retrieval);
                    let answer = answer.map(|found| PartnerInfo::new(found, self.request));
                    return WaitingPoll::Ready(answer);
                }
                Step::Wait(until) => return WaitingPoll::Until(until),
                Step::Retrieve(_) | Step::Ask(_) | Step::Read(_) | Step::Name(_) => {}
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.record.lock().retrieval.end_wait();
    }
}

impl Connected {
    fn peer(&self) -> Endpoint {
        self.remote.into()
    }
}

/// SO_COOKIE and getpeername(2): two system calls, and all that a saved answer needs.
#[inline]
pub(super) fn connected(socket: Socket<'_>) -> Result<Connected, Error> {
    let key = SocketKey::of(socket)?;
    match addresses::peer(socket) {
        Ok(Some(remote)) => Ok(Connected { key, remote }),
        Ok(None) => Err(Error::new(ErrorKind::NotTcp)),
        Err(Errno(errno::ENOTCONN)) => Err(match sys::protocol(socket) {
            Ok(Protocol::Tcp | Protocol::Mptcp) => Error::new(ErrorKind::NotConnected),
            Ok(Protocol::Other) => Error::new(ErrorKind::NotTcp),
            Err(error) => not_a_socket(error),
        }),
        Err(error) => Err(not_a_socket(error)),
    }
}

fn failed(failure: Failure) -> Error {
    match failure {
        Failure::Unsupported => Error::unsupported(
            "this kernel, or the sandbox around this process, answers no NETLINK_SOCK_DIAG question",
        ),
        Failure::Io { doing, errno } => Error::io(doing, errno),
    }
}

fn socket_owner(holding: Holding) -> Option<SocketOwner> {
    let owner = SocketOwner::new(holding.inode.into(), Uid::new(holding.uid)?)?;
    Some(match holding.cgroup {
        Some(id) => owner.in_cgroup(id),
        None => owner,
    })
}

/// Routing alone.
const SAME_STACK: Found =
    Found { uid: None, name: None, routing: Routing::SAME_STACK, token: TokenState::NotAskedFor };
