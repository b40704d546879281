//! Carries the steps of [`retrieval`](crate::retrieval) out, for sockets of any runtime.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::Stack;
use super::authority::NamesWait;
use super::connection::{Connected, connected};
use super::judge::socket_owner;
use super::table::{Known, Record, Slow, SocketKey};
use super::tokens::{Progress, READING};
use crate::accounts::Lookup;
use crate::client::Incoming;
use crate::error::{Error, ErrorKind};
use crate::info::{Credentials, PartnerInfo, PartnerRequest, UserId};
use crate::kernel::sys::Socket;
use crate::policy::PartnerStack;
use crate::retrieval::{Found, Holding, Name, Outcome, Step, TokenRead, TokenState};

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
    /// Starts what was set on this socket, which was just connected.
    pub(crate) fn prefetch_connected(&self, stream: Socket<'_>) {
        if let Ok(connection) = connected(stream)
            && let Some(record) = self.set_before_connect(connection)
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
        let record = match self.inner().table.look(connection.key, connection.peer(), request) {
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
        let (record, first) = match self.inner().table.look(connection.key, peer, request) {
            Known::Answer(found) if names.is_none() => {
                return Ok(Begun::Answered(PartnerInfo::new(found, request)));
            }
            Known::Record(record) => (record, None),
            Known::Answer(_) => (self.inner().table.get_or_new(connection.key, peer), None),
            Known::Nothing if names.is_some() => {
                (self.inner().table.get_or_new(connection.key, peer), None)
            }
            // Nothing is known of this connection: what can be answered at once needs no state.
            Known::Nothing => match self.answer_at_once(socket, connection, request, now)? {
                Ok(answer) => return Ok(Begun::Answered(answer)),
                Err(outcome) => {
                    (self.inner().table.get_or_new(connection.key, peer), Some(outcome))
                }
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
                    self.inner().name_patience,
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
        let user = match uid.map(|uid| (uid, self.name(uid, now))) {
            None => None,
            Some((uid, Name::Known(name))) => Some(UserId::new(uid, name)),
            Some((uid, Name::NotWanted)) => Some(UserId::new(uid, None)),
            Some((_, Name::Pending | Name::Unavailable)) => return Ok(Err(outcome)),
        };
        let (covers, name_late) = (request, false);
        let found =
            Credentials { covers, user, process_user: None, token: None, name_late, routing };
        self.inner().table.save(connection.key, connection.peer(), found.clone());
        Ok(Ok(PartnerInfo::new(found, request)))
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
        let patience = self.inner().name_patience;
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
                slow.retrieval.handle_name(self.name(uid, now), now);
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
                if let Some(token) = self.inner().tokens.at_a_glance(&owner) {
                    return TokenRead::Read(token);
                }
                match self.inner().tokens.ask(owner) {
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
            Progress::Short(errno) => TokenRead::Failed(Error::io(READING, errno)),
            Progress::Failed => TokenRead::Busy,
        }
    }

    fn add_late_names(&self, slow: &mut Slow, now: Instant) {
        let Some(uids) = slow.retrieval.late_names() else { return };
        let mut names = [None, None];
        for (uid, name) in uids.into_iter().zip(&mut names) {
            match uid.map(|uid| self.name(uid, now)) {
                None | Some(Name::NotWanted) => {}
                Some(Name::Known(known)) => *name = known,
                Some(Name::Pending | Name::Unavailable) => return,
            }
        }
        slow.retrieval.handle_late_names(names);
    }

    /// The name of a partner on this image, where it is here.
    fn name(&self, uid: u32, now: Instant) -> Name {
        let Some(accounts) = &self.inner().accounts else { return Name::NotWanted };
        match accounts.lookup(uid, now) {
            Lookup::Known(name) => Name::Known(name),
            Lookup::Pending => Name::Pending,
            Lookup::Unavailable => Name::Unavailable,
        }
    }
}

impl Waiting {
    /// What is to be waited for besides the waker by who has no runtime that takes in what the agent
    /// says.
    pub(crate) fn incoming(&self) -> Option<Incoming> {
        self.record.lock().asking.as_ref()?.incoming()
    }

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
