//! A question at port 113, from its line to that of the answer.

use std::fmt::{self, Display};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Semaphore;

use super::ends::{self, End};
use crate::accounts::Accounts;
use crate::agent::audit::{Asker, Event, PeerEvent, Record, Verdict as Recorded};
use crate::agent::config::{Network, Tell};
use crate::agent::lookup::{Asked, Missing, Place, Progress};
use crate::agent::names::{self, NoAnswer};
use crate::agent::observer::{OF_ANYBODY, Ration};
use crate::agent::outcome::routing;
use crate::agent::question::{Agent, bounded};
use crate::agent::subject::Connection;
use crate::error::{Error, ErrorKind, Reason};
use crate::ident::{self, Answer, ErrorToken, Ports, User};
use crate::info::{PartnerRequest, Routing};
use crate::kernel::verify::{Owner, Verdict};
use crate::policy::{DecidingRule, PartnerStack};
use crate::token::Uid;

/// Questions of those whose end is in no namespace that is at hand, at a time; more wait. Anybody may
/// be one of them who reaches the port, and others have their partners looked for as well.
const SEARCHES: usize = 32;

/// Answers questions.
pub(super) struct Answering {
    pub(super) agent: Arc<Agent>,
    names: Arc<Accounts>,
    /// What hidden users are called: the same as long as the agent runs, and another word for each host
    /// that asks.
    hidden: RandomState,
    searches: Semaphore,
    /// Records of those who may ask nothing, or cannot be known.
    anybody: Mutex<Ration>,
}

/// What is found out about a question, for its record.
#[derive(Default)]
struct Findings {
    asker: Option<Whom>,
    connection: Option<Connection>,
    rule: Option<Rule>,
}

/// Who asks.
#[derive(Clone, Copy)]
enum Whom {
    /// A user of this host, proven.
    User { uid: Uid, place: Place },
    /// Somebody on another host.
    Afar,
}

/// What decided whether something is told.
enum Rule {
    Policy(DecidingRule),
    Network(Network),
    NoNetwork,
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(rule) => rule.fmt(f),
            Self::Network(network) => write!(f, "{network} in ident.networks"),
            Self::NoNetwork => f.write_str("no network in ident.networks"),
        }
    }
}

/// Why nobody is named: to whoever asks, and to the administrator.
struct Refusal {
    token: ErrorToken,
    error: Error,
}

/// What an error about the connection comes to.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let token = match error.kind() {
            ErrorKind::NotAuthorized | ErrorKind::SecurityDomain => ErrorToken::HiddenUser,
            ErrorKind::NotConnected => ErrorToken::NoUser,
            ErrorKind::Unidentified => match error.reason() {
                Some(Reason::OverflowUid | Reason::TranslationHidden) | None => {
                    ErrorToken::UnknownError
                }
                Some(_) => ErrorToken::NoUser,
            },
            ErrorKind::NotRequested
            | ErrorKind::InProgress
            | ErrorKind::AlreadyInProgress
            | ErrorKind::TimedOut
            | ErrorKind::NotTcp
            | ErrorKind::TooLate
            | ErrorKind::Unsupported
            | ErrorKind::Agent
            | ErrorKind::Io => ErrorToken::UnknownError,
        };
        Self { token, error }
    }
}

/// Who asks is not known: nothing is said of the connection.
fn unknown_asker(error: Error) -> Refusal {
    Refusal { token: ErrorToken::UnknownError, error }
}

impl Answering {
    pub(super) fn new(agent: &Arc<Agent>) -> Self {
        Self {
            agent: Arc::clone(agent),
            names: names::of_system(),
            hidden: RandomState::new(),
            searches: Semaphore::new(SEARCHES),
            anybody: Mutex::new(Ration::new(OF_ANYBODY)),
        }
    }

    /// The line that answers `line`, which came over `socket`. Where nothing has to be waited for, the
    /// first poll has it.
    pub(super) async fn answer(&self, socket: BorrowedFd<'_>, from: IpAddr, line: &[u8]) -> String {
        let began = Instant::now();
        let metrics = &self.agent.metrics;
        let ports = match ident::read(line) {
            Ok(ports) => ports,
            Err(repeated) => {
                let token = ErrorToken::InvalidPort;
                metrics.ident_answered(token.as_str(), Some("malformed"), began.elapsed());
                let what = "expected two ports from 1 to 65535 with a comma between";
                self.record_nobody(from, "malformed", what);
                return ident::line(repeated, &Answer::Error(token));
            }
        };
        let mut findings = Findings::default();
        let longest = self.agent.rules.limits().question;
        let found = bounded(longest, self.find(socket, from, ports, &mut findings)).await;
        let found = found.unwrap_or_else(|| Err(Error::new(ErrorKind::TimedOut).into()));
        let (answer, told) = match found {
            Ok((uid, user)) => (Answer::User(user), Ok(uid)),
            Err(Refusal { token, error }) => (Answer::Error(token), Err(error)),
        };
        self.record(from, &findings, &answer, &told);
        let kind = told.as_ref().err().map(|error| error.kind().as_str());
        let word = match &answer {
            Answer::User(_) => "USERID",
            Answer::Error(token) => token.as_str(),
        };
        metrics.ident_answered(word, kind, began.elapsed());
        ident::line(ports.into(), &answer)
    }

    async fn find(
        &self,
        socket: BorrowedFd<'_>,
        from: IpAddr,
        ports: Ports,
        findings: &mut Findings,
    ) -> Result<(Uid, User), Refusal> {
        let agent = &self.agent;
        if agent.audit.failing() {
            return Err(Error::agent("the audit cannot be written").into());
        }
        let asked = agent.lookup.examine(socket).map_err(unknown_asker)?;
        let asker = self.asker(socket, &asked).await?;
        findings.asker = Some(asker);
        // First, so that who is refused learns nothing of the connection.
        let tell = match asker {
            Whom::User { uid, place } => {
                self.authorize(uid, place, findings).await?;
                agent.rules.ident().tell
            }
            Whom::Afar => self.authorize_host(from, findings)?,
        };
        let Connection { local, remote, .. } = asked.connection;
        let with = |address: SocketAddr, port| SocketAddr::new(address.ip().to_canonical(), port);
        let addresses = (with(local, ports.here), with(remote, ports.there));
        let end = agent.lookup.end(asked.stack(), addresses)?;
        findings.connection = Some(end.connection());
        match asker {
            Whom::User { uid, place } => {
                let other = self.other_end(&end, place).await?;
                if uid.as_raw() != 0 && other.uid != uid.as_raw() {
                    let what = format!(
                        "uid {uid} asks about a connection whose other end is not its own; ask as the \
                         user that has it, or as root"
                    );
                    return Err(Error::not_authorized(&what).into());
                }
            }
            Whom::Afar => agent.lookup.is_still(&end)?,
        }
        let uid = Uid::new(end.owner.uid).ok_or(Error::unidentified(Reason::OverflowUid))?;
        let user = self.user(uid, from, tell).await?;
        Ok((uid, user))
    }

    /// The owner of the other end, which is on this host where `place` says.
    async fn other_end(&self, end: &End, place: Place) -> Result<Owner, Error> {
        let agent = &self.agent;
        match place {
            Place::OwnStack => agent.lookup.other_end_here(end),
            Place::OtherStack => {
                let found = match agent.lookup.look_where_last(end.asked())? {
                    Some(found) => found,
                    None => {
                        let _turn = self.searches.acquire().await;
                        agent.search(end.asked(), Missing::nothing()).await?
                    }
                };
                ends::owner(found.verdict)
            }
            Place::Unknown => Err(Error::unidentified(Reason::Unproven)),
        }
    }

    /// Who is at the other end of the connection that the question came over.
    async fn asker(&self, socket: BorrowedFd<'_>, asked: &Asked) -> Result<Whom, Refusal> {
        let agent = &self.agent;
        let found = match agent.lookup.look(socket, asked).map_err(unknown_asker)? {
            Progress::Settled(found) => found,
            Progress::NotYet(missing) => {
                let _turn = self.searches.acquire().await;
                agent.found_elsewhere(asked, missing).await.map_err(unknown_asker)?
            }
        };
        let unknown = |reason| Err(unknown_asker(Error::unidentified(reason)));
        match found.verdict {
            Verdict::Partner(owner) => match Uid::new(owner.uid) {
                Some(uid) => Ok(Whom::User { uid, place: found.place }),
                None => unknown(Reason::OverflowUid),
            },
            Verdict::Refused(Reason::OutsideCluster) | Verdict::NotInThisStack => Ok(Whom::Afar),
            Verdict::Refused(reason) => unknown(reason),
            Verdict::NotYetAccepted => unknown(Reason::NotYetAccepted),
            Verdict::NotConnected => Err(unknown_asker(Error::new(ErrorKind::NotConnected))),
            Verdict::NotTcp | Verdict::Unsupported => unknown(Reason::Unproven),
            Verdict::Failed(errno) => {
                Err(unknown_asker(Error::io("look up who asks at port 113", errno)))
            }
        }
    }

    /// Whether the policy lets this user learn who its partners are. Its groups are not known: a
    /// permit for one does not help, and one of NONE does.
    async fn authorize(
        &self,
        uid: Uid,
        place: Place,
        findings: &mut Findings,
    ) -> Result<(), Refusal> {
        let stack = match place {
            Place::OwnStack => PartnerStack::Own,
            Place::OtherStack | Place::Unknown => PartnerStack::Other,
        };
        let ruled = self.agent.rule_for(uid.as_raw(), || None, stack).await;
        let rule = ruled.map_err(|refused| {
            findings.rule = refused.rule.map(Rule::Policy);
            Refusal::from(refused.error)
        })?;
        findings.rule = Some(Rule::Policy(rule));
        let has_domain = || self.agent.rules.authority().security_domain().is_some();
        if stack == PartnerStack::Other && !has_domain() {
            return Err(Error::new(ErrorKind::SecurityDomain).into());
        }
        Ok(())
    }

    fn authorize_host(&self, from: IpAddr, findings: &mut Findings) -> Result<Tell, Refusal> {
        let config = self.agent.rules.ident();
        match config.network_of(from) {
            Some(network) => {
                findings.rule = Some(Rule::Network(*network));
                Ok(config.tell_networks)
            }
            None => {
                findings.rule = Some(Rule::NoNetwork);
                let what =
                    format!("{from} is in none of `networks` of the configuration's [ident]");
                Err(Error::not_authorized(&what).into())
            }
        }
    }

    async fn user(&self, uid: Uid, from: IpAddr, tell: Tell) -> Result<User, Refusal> {
        match tell {
            Tell::Uid => Ok(User::numbered(uid.as_raw())),
            Tell::Hidden => Ok(User::hidden(self.hidden.hash_one((uid.as_raw(), from)))),
            Tell::Name => match names::name_of(&self.names, uid.as_raw()).await {
                Ok(Some(name)) => User::named(&name).ok_or_else(|| {
                    let what = format!("the name of uid {uid} would be read as something else");
                    Error::agent(&what).into()
                }),
                Ok(None) => {
                    let error = Error::agent(&format!("no account of this host has uid {uid}"));
                    Err(Refusal { token: ErrorToken::NoUser, error })
                }
                Err(NoAnswer) => Err(Error::agent("the name service does not answer").into()),
            },
        }
    }

    fn record(
        &self,
        from: IpAddr,
        findings: &Findings,
        answer: &Answer,
        told: &Result<Uid, Error>,
    ) {
        let (text, said) = (told.as_ref().err().map(ToString::to_string), answer.to_string());
        // Who may ask nothing, and who is not known: anybody may be who reaches the port.
        let is_anybody = findings.asker.is_none() || matches!(findings.rule, Some(Rule::NoNetwork));
        if let (true, Err(error)) = (is_anybody, told) {
            let text = text.as_deref().unwrap_or("refused");
            return self.record_nobody(from, error.kind().as_str(), text);
        }
        let (user, at) = match findings.asker {
            Some(Whom::User { uid, place }) => (Some(uid.as_raw()), routing(place, true)),
            Some(Whom::Afar) | None => (None, Routing::NONE),
        };
        let told = match told {
            Ok(uid) => Recorded::Told { user: Some(uid.as_raw()), routing: at, token: None },
            Err(error) => Recorded::Refused {
                kind: error.kind().as_str(),
                reason: error.reason().map(Reason::as_str),
                text: text.as_deref().unwrap_or("refused"),
            },
        };
        let asker = Asker::Ident { address: from, user, answer: &said };
        let rule = findings.rule.as_ref().map(|rule| rule as &dyn Display);
        let request = Some(PartnerRequest::USER_ID);
        let connection = findings.connection;
        self.agent.audit.record(&Record { asker, connection, request, told, rule });
    }

    /// By measure, so that nobody fills the audit who may ask nothing, or cannot be known.
    fn record_nobody(&self, from: IpAddr, kind: &str, text: &str) {
        // Each change of a ration is whole.
        let mut ration = self.anybody.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left_out) = ration.take(Instant::now()) else { return };
        drop(ration);
        let event = Event::IdentRefused;
        self.agent.audit.record_event(&PeerEvent {
            host: None,
            address: from,
            event,
            kind,
            text,
            left_out,
        });
    }
}
