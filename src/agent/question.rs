//! One question, from the descriptor that came with it to its answer.

use std::fmt::Display;
use std::future::poll_fn;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::audit::{Asker, Audit, Record, ToldToken, Verdict as Recorded};
use super::callers::Caller;
use super::closer::Lent;
use super::config::Config;
use super::hosts::{self, Afar, Hosts, Wanted};
use super::lookup::{Asked, Found, Lookup, Missing, Place, Progress};
use super::metrics::Metrics;
use super::outcome::{Ended, Seen, refused, routing, verdict};
use super::peers;
use super::rules::Rules;
use super::scout::Scout;
use super::subject::Connection;
use crate::error::{Error, ErrorKind, Reason};
use crate::info::{PartnerRequest, Routing};
use crate::kernel::process::SocketOwner;
use crate::kernel::sys;
use crate::kernel::verify::{Owner, Verdict};
use crate::policy::{DecidingRule, PartnerStack, SecurityDomain};
use crate::protocol::peers::Hello;
use crate::protocol::{Answer, Outcome, Question, Refused, Told};
use crate::stack::authority::{Asking, Refused as NoRight, Ruling};
use crate::stack::tokens::{Progress as TokenProgress, READING, Tokens};
use crate::token::{HolderSearch, HoldersGap, Uid, UserToken};

/// First and longest pause while a caller's own names are looked up.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// All that it takes to answer.
pub(super) struct Agent {
    pub(super) lookup: Arc<Lookup>,
    pub(super) scout: Scout,
    tokens: Tokens,
    pub(super) audit: Audit,
    pub(super) metrics: Arc<Metrics>,
    pub(super) rules: Rules,
    /// The agents of other hosts, where this one has an identity.
    pub(super) hosts: OnceLock<Hosts>,
}

/// What is found out about a question, for its answer and its record.
#[derive(Default)]
struct Findings {
    connection: Option<Connection>,
    rule: Option<DecidingRule>,
}

impl Agent {
    pub(super) fn new(
        lookup: Arc<Lookup>,
        config: &Config,
        tokens: Tokens,
        audit: Audit,
        metrics: Arc<Metrics>,
    ) -> Self {
        let scout = Scout::new(Arc::clone(&lookup));
        let rules = Rules::of(config);
        Self { lookup, scout, tokens, audit, metrics, rules, hosts: OnceLock::new() }
    }

    /// Whether the host of this name, which a certificate proves, may ask.
    pub(super) fn may_ask(&self, host: &str) -> bool {
        self.rules.peers().allows(host)
    }

    fn is_in_networks(&self, ip: IpAddr) -> bool {
        self.rules.peers().networks.iter().any(|network| network.contains(ip))
    }

    /// As they are now; those of the port hold from the start.
    pub(super) fn peer_limits(&self) -> peers::Limits {
        let limits = self.rules.limits();
        peers::Limits {
            connections: limits.peer_connections,
            connections_per_address: limits.peer_connections_per_address,
            handshakes: limits.peer_handshakes,
            questions_per_second: limits.peer_questions_per_second,
            question: limits.question,
            stall: limits.stall,
            ..peers::Limits::standard()
        }
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// What this host says of itself to others.
    pub(super) fn introduction(&self) -> Hello {
        let domain = self.rules.authority().security_domain().map(|domain| domain.to_string());
        Hello { domain, host: sys::host_name() }
    }

    /// Answers a question about the socket that was `passed`. Where nothing has to be waited for,
    /// the first poll answers.
    pub(super) async fn answer(
        &self,
        caller: &Caller,
        question: &Question,
        passed: Lent,
        began: Instant,
    ) -> (Answer, Option<Lent>) {
        let mut findings = Findings::default();
        let mut passed = Some(passed);
        let longest = self.rules.limits().question.min(question.timeout);
        let work = self.find(caller, question, &mut passed, &mut findings);
        let ended = match bounded(longest, work).await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) => Ended::Refused(error),
            None => Ended::Refused(Error::new(ErrorKind::TimedOut)),
        };
        self.record(caller, Some(question.request), &findings, &ended);
        let took = began.elapsed();
        match &ended {
            Ended::Told(_) => self.metrics.question_told(took),
            Ended::NotYetAccepted => self.metrics.question_not_yet_accepted(took),
            Ended::Refused(error) => self.metrics.question_refused(error.kind().as_str(), took),
        }
        let cookie = findings.connection.map(|connection| connection.cookie);
        let outcome = match ended {
            Ended::Told(told) => Outcome::Told(told),
            Ended::NotYetAccepted => Outcome::NotYetAccepted,
            Ended::Refused(error) => Outcome::Refused(refused(&error)),
        };
        (Answer { number: question.number, cookie, outcome }, passed)
    }

    /// Refuses what is no question, or one too many.
    pub(super) fn refuse(
        &self,
        caller: &Caller,
        number: u64,
        kind: &'static str,
        what: &str,
    ) -> Answer {
        let told = Recorded::Refused { kind, reason: None, text: what };
        let asker = Asker::Caller(caller.peer);
        let record = Record { asker, connection: None, request: None, told, rule: None };
        self.audit.record(&record);
        self.metrics.question_refused(kind, Duration::ZERO);
        Answer { number, cookie: None, outcome: Outcome::Refused(Refused::Failed(what.into())) }
    }

    async fn find(
        &self,
        caller: &Caller,
        question: &Question,
        passed: &mut Option<Lent>,
        findings: &mut Findings,
    ) -> Result<Ended, Error> {
        if self.audit.failing() {
            return Err(Error::agent(
                "the audit cannot be written, and nothing is told without it; see the agent's log",
            ));
        }
        let Some(socket) = passed.as_ref().and_then(Lent::descriptor) else {
            return Err(Error::new(ErrorKind::NotTcp));
        };
        let asked = self.lookup.examine(socket)?;
        findings.connection = Some(asked.connection);
        // First, so that an error tells a caller who is refused nothing.
        let request = question.request;
        if !request.is_empty() {
            findings.rule = self.authorize(caller, PartnerStack::Own, findings).await?;
        }
        let found = self.found(socket, &asked).await?;
        if let Some(hosts) = self.hosts_of(&found, &asked) {
            // It is not needed any more.
            drop(passed.take());
            return self.find_afar(hosts, caller, question, &asked, findings).await;
        }
        let in_cluster = match found.place {
            Place::OwnStack | Place::Unknown => true,
            Place::OtherStack if request.is_empty() => {
                self.rules.authority().security_domain().is_some()
            }
            Place::OtherStack => {
                findings.rule = self.authorize(caller, PartnerStack::Other, findings).await?;
                self.verify_domain(question)?;
                true
            }
        };
        let routing = routing(found.place, in_cluster);
        let owner = match verdict(found, request)? {
            Seen::Owner(owner) => owner,
            Seen::NotYetAccepted if !request.is_empty() => return Ok(Ended::NotYetAccepted),
            Seen::NotYetAccepted | Seen::Place => {
                return Ok(Ended::Told(Told { user: None, name: None, routing, token: None }));
            }
        };
        if request.is_empty() {
            return Ok(Ended::Told(Told { user: None, name: None, routing, token: None }));
        }
        let user = caller.view.user(owner.uid).and_then(Uid::new);
        let user = user.ok_or(Error::unidentified(Reason::OverflowUid))?;
        let token = if request.contains(PartnerRequest::UTOKEN) {
            // It is not needed any more.
            drop(passed.take());
            let token = self.token(caller, question, owner).await?;
            Some(if caller.view.is_same() { token } else { token.for_other_namespaces(user) })
        } else {
            None
        };
        Ok(Ended::Told(Told { user: Some(user), name: None, routing, token }))
    }

    /// Waits until what comes of a question can be recorded, as long as a question may take. Where
    /// nothing is told while the audit fails, it need not be waited for either.
    pub(super) async fn room_for_a_record(&self) {
        if !self.audit.failing() {
            let _ = bounded(self.rules.limits().question, self.audit.room()).await;
        }
    }

    /// Where the partner is, of all namespaces that are looked at.
    async fn found(&self, socket: BorrowedFd<'_>, asked: &Asked) -> Result<Found, Error> {
        match self.lookup.look(socket, asked)? {
            Progress::Settled(found) => Ok(found),
            Progress::NotYet(missing) => self.found_elsewhere(asked, missing).await,
        }
    }

    /// Where the partner is, who is in no namespace that is at hand.
    pub(super) async fn found_elsewhere(
        &self,
        asked: &Asked,
        missing: Missing,
    ) -> Result<Found, Error> {
        if !self.lookup.stacks().are_others_served() {
            return Ok(missing.verdict());
        }
        self.search(asked, missing).await
    }

    /// Where the partner is, of all namespaces that there are; they are looked for first.
    pub(super) async fn search(&self, asked: &Asked, missing: Missing) -> Result<Found, Error> {
        let search = self.scout.search(asked.clone(), missing).ok_or_else(|| {
            Error::agent("too many partners are looked for at once; ask again later")
        })?;
        search.await.map_err(|_| Error::agent("a search for a partner failed"))?
    }

    /// Whom to ask about a partner that is in no namespace of this host.
    fn hosts_of(&self, found: &Found, asked: &Asked) -> Option<&Hosts> {
        let unknown =
            matches!(found.verdict, Verdict::Refused(Reason::OutsideCluster | Reason::Unproven));
        let remote = asked.connection.remote.ip();
        let may_be_there = found.place == Place::Unknown && unknown && hosts::is_afar(remote);
        self.hosts.get().filter(|_| may_be_there && self.is_in_networks(remote))
    }

    async fn find_afar(
        &self,
        hosts: &Hosts,
        caller: &Caller,
        question: &Question,
        asked: &Asked,
        findings: &mut Findings,
    ) -> Result<Ended, Error> {
        let request = question.request;
        let outside = Told { user: None, name: None, routing: Routing::NONE, token: None };
        let domain = self.rules.authority().security_domain();
        let domain = match domain {
            None if request.is_empty() => return Ok(Ended::Told(outside)),
            domain => domain.ok_or(Error::new(ErrorKind::SecurityDomain))?,
        };
        if !request.is_empty() {
            findings.rule = self.authorize(caller, PartnerStack::Other, findings).await?;
            self.verify_domain(question)?;
        }
        let wanted = Wanted {
            request,
            search: question.search,
            timeout: question.timeout.min(self.rules.limits().question),
            domain: domain.to_string(),
        };
        let answered = hosts.ask(&self.lookup, asked, wanted, &self.metrics).await;
        match answered {
            Ok(Afar::Told(told)) => Ok(Ended::Told(told)),
            Ok(Afar::NotYetAccepted) => Ok(Ended::NotYetAccepted),
            // A host that answers no question is in no cluster, as far as can be told; one of another
            // domain is in another.
            Err(error)
                if request.is_empty()
                    && matches!(error.kind(), ErrorKind::Agent | ErrorKind::SecurityDomain) =>
            {
                Ok(Ended::Told(outside))
            }
            Err(error) => Err(error),
        }
    }

    async fn authorize(
        &self,
        caller: &Caller,
        stack: PartnerStack,
        findings: &mut Findings,
    ) -> Result<Option<DecidingRule>, Error> {
        let (uid, groups) = (caller.peer.uid, caller.groups.as_ref());
        let ruled = self.rule_for(uid, || groups.cloned(), stack).await;
        ruled.map(Some).map_err(|refused| {
            findings.rule = refused.rule;
            refused.error
        })
    }

    /// The rule by which a user may ask. `groups`: `None` where they are not known.
    pub(super) async fn rule_for(
        &self,
        uid: u32,
        groups: impl Fn() -> Option<Vec<u32>>,
        stack: PartnerStack,
    ) -> Result<DecidingRule, NoRight> {
        let asking = || Asking { uid, groups: groups(), privileged: uid == 0 };
        let authority = self.rules.authority();
        let mut pause = FIRST_PAUSE;
        loop {
            match authority.rule_for(asking, stack)? {
                Ruling::Authorized(rule) => return Ok(rule),
                Ruling::NamesPending => {
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// The domain must be defined here, and be the same by the asker's own policy where it has one.
    /// Both ends are on this host, so this is both sides.
    fn verify_domain(&self, question: &Question) -> Result<(), Error> {
        let refused = Error::new(ErrorKind::SecurityDomain);
        let Some(ours) = self.rules.authority().security_domain() else { return Err(refused) };
        let theirs = match &question.domain {
            None => return Ok(()),
            Some(None) => return Err(refused),
            Some(Some(name)) => name.parse::<SecurityDomain>(),
        };
        if theirs.is_ok_and(|theirs| theirs == ours) { Ok(()) } else { Err(refused) }
    }

    async fn token(
        &self,
        caller: &Caller,
        question: &Question,
        owner: Owner,
    ) -> Result<UserToken, Error> {
        let socket = Uid::new(owner.uid).and_then(|uid| SocketOwner::new(owner.inode.into(), uid));
        let socket = socket.ok_or(Error::unidentified(Reason::PartnerGone))?;
        let socket = match owner.cgroup {
            Some(id) => socket.in_cgroup(id),
            None => socket,
        };
        // Reading takes long, and users take turns at it.
        let _turn = caller.user.turn.acquire().await;
        // Where the partner asks as well, or has asked just now, its socket is here too.
        let ourselves = std::process::id();
        let token = self.read(socket.clone(), question.search).await?.without_process(ourselves);
        match token.holders_gap() {
            Some(HoldersGap::StoppedAtFirst) if token.holders().is_empty() => {
                let all = self.read(socket, HolderSearch::All).await?;
                Ok(all.without_process(ourselves))
            }
            Some(_) | None => Ok(token),
        }
    }

    async fn read(&self, socket: SocketOwner, search: HolderSearch) -> Result<UserToken, Error> {
        let busy = || Error::agent("too many tokens are being read; ask again later");
        let job = self.tokens.ask_for(socket, search).ok_or_else(busy)?;
        poll_fn(|context| match job.poll(Some(context.waker())) {
            TokenProgress::Pending => Poll::Pending,
            TokenProgress::Read(token) => Poll::Ready(Ok(token)),
            TokenProgress::Short(errno) => Poll::Ready(Err(Error::io(READING, errno))),
            TokenProgress::Failed => Poll::Ready(Err(Error::agent("a token could not be read"))),
        })
        .await
    }

    fn record(
        &self,
        caller: &Caller,
        request: Option<PartnerRequest>,
        findings: &Findings,
        ended: &Ended,
    ) {
        let text;
        let told = match ended {
            Ended::Told(told) => Recorded::Told {
                user: told.user.map(Uid::as_raw),
                routing: told.routing,
                token: told
                    .token
                    .as_ref()
                    .map(|token| ToldToken { holders: token.holders(), gap: token.holders_gap() }),
            },
            Ended::NotYetAccepted => Recorded::NotYet,
            Ended::Refused(error) => {
                text = error.to_string();
                let reason = error.reason().map(Reason::as_str);
                Recorded::Refused { kind: error.kind().as_str(), reason, text: &text }
            }
        };
        let rule = findings.rule.as_ref().map(|rule| rule as &dyn Display);
        let Findings { connection, .. } = *findings;
        let asker = Asker::Caller(caller.peer);
        self.audit.record(&Record { asker, connection, request, told, rule });
    }
}

/// The end of `work`, unless it takes longer. A timer is made only where it has to be waited for.
pub(super) async fn bounded<T>(longest: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let first = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    match first {
        Poll::Ready(end) => Some(end),
        Poll::Pending => tokio::time::timeout(longest, work).await.ok(),
    }
}
