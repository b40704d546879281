//! The task that carries the questions of one link: connects, writes, reads, and ends where nobody
//! asks.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use rustls::{CertificateError, OtherError};
use tokio::time::Instant;
use tokio_rustls::{TlsConnector, TlsStream};

use super::{AskError, Link};
use crate::agent::identity;
use crate::agent::peers::pipe::{Broken, FULL, Pipe, ROUNDS, TRIM, poll_until};
use crate::agent::peers::socket;
use crate::agent::peers::trust::{PeerName, Role, one_domain};
use crate::protocol::peers::{Answer, Hello, NOBODY_S, Outcome};
use crate::protocol::{Malformed, Refused};

/// Starts the task in the current runtime.
pub(super) fn start(link: Arc<Link>) {
    let mut driver = Driver { link, over: false };
    tokio::spawn(async move {
        driver.run().await;
        driver.ended();
    });
}

/// As long as it lives, somebody carries the questions.
struct Driver {
    link: Arc<Link>,
    /// It has ended by itself: another one may have been started meanwhile.
    over: bool,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // With a runtime that ends go its tasks.
        if !self.over {
            self.link.lock().abandoned();
        }
    }
}

/// Why a connection is over.
enum Over {
    /// Nobody asks over it.
    Unused,
    /// It had not come to anything.
    Unestablished(AskError),
    Broken(String),
}

impl Driver {
    fn ended(&mut self) {
        self.over = true;
    }

    async fn run(&self) {
        let link = &self.link;
        loop {
            let pause = link.lock().pause();
            tokio::time::sleep_until(pause).await;
            // What it takes to connect is not kept.
            let over = match Box::pin(self.establish()).await {
                Ok((pipe, peer)) => self.converse(pipe, peer).await,
                Err(error) => Over::Unestablished(error),
            };
            let now = Instant::now();
            match over {
                Over::Unused => return,
                Over::Unestablished(why) => {
                    tracing::info!(remote = %link.key.remote, %why, "no link to another host");
                    return link.lock().unestablished(why, now);
                }
                Over::Broken(why) => {
                    tracing::info!(remote = %link.key.remote, %why, "a link to another host broke");
                    if !link.lock().broke(&why, now) {
                        return;
                    }
                }
            }
        }
    }

    /// Connects, and proves who is there.
    async fn establish(&self) -> Result<(Pipe, Arc<PeerName>), AskError> {
        let means = &self.link.means;
        match tokio::time::timeout(means.establish, self.connect()).await {
            Ok(established) => established,
            Err(_) => Err(AskError::Unreachable("no connection in time".to_owned())),
        }
    }

    async fn connect(&self) -> Result<(Pipe, Arc<PeerName>), AskError> {
        let Link { key, means, .. } = &*self.link;
        let ours = (means.introduce)();
        let unreachable = |error: std::io::Error| AskError::Unreachable(error.to_string());
        let stream = means.dial.dial(*key).await.map_err(unreachable)?;
        socket::prepare(&stream).map_err(unreachable)?;
        let name = ServerName::IpAddress(key.remote.into());
        let connector = TlsConnector::from(means.trust.client_config());
        let stream = connector.connect(name, stream).await.map_err(tls)?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or(&[]);
        let peer = means
            .trust
            .peer(certificates, key.remote, Role::Answers)
            .map_err(AskError::Untrusted)?;
        if !one_domain(ours.domain.as_deref(), Some(&peer.domain)) {
            return Err(AskError::SecurityDomain);
        }
        let mut pipe = Pipe::new(TlsStream::Client(stream));
        ours.put(pipe.output());
        Ok((pipe, Arc::new(peer)))
    }

    /// Carries questions and answers until the connection is over.
    async fn converse(&self, pipe: Pipe, peer: Arc<PeerName>) -> Over {
        let means = &self.link.means;
        let began = Instant::now();
        let mut talk = Talk { link: &self.link, pipe, peer, heard: Heard::Nothing, used: began };
        let mut timer = pin!(tokio::time::sleep_until(began));
        let over = poll_fn(|context| {
            let now = Instant::now();
            if let Poll::Ready(over) = talk.poll(context, now) {
                return Poll::Ready(over);
            }
            loop {
                let roomy = talk.pipe.is_roomy();
                let limit = match (talk.pipe.stuck(), &talk.heard) {
                    (_, Heard::Nothing) => began.checked_add(means.establish),
                    (Some(since), _) => since.checked_add(means.stall),
                    (None, _) if roomy => talk.used.checked_add(TRIM.min(means.idle)),
                    (None, _) => talk.used.checked_add(means.idle),
                };
                // Each time anew: the timer below may have fired after the last look.
                let now = Instant::now();
                let limit = limit.unwrap_or(now);
                if limit <= now {
                    if roomy {
                        talk.pipe.trim();
                    } else if let Some(over) = talk.expired() {
                        return Poll::Ready(over);
                    } else {
                        talk.used = now;
                    }
                    continue;
                }
                ready!(poll_until(timer.as_mut(), limit, context));
            }
        })
        .await;
        let over = over.unwrap_or_else(|broken| talk.classified(broken));
        match &over {
            Over::Unused => talk.pipe.end().await,
            Over::Unestablished(_) | Over::Broken(_) => {}
        }
        over
    }
}

/// What the peer has said.
enum Heard {
    Nothing,
    Hello,
    /// It ends the connection for this reason.
    Farewell(AskError),
    /// Its security domain is not ours.
    OtherDomain,
}

/// One connection.
struct Talk<'a> {
    link: &'a Link,
    pipe: Pipe,
    peer: Arc<PeerName>,
    heard: Heard,
    /// When somebody asked last.
    used: Instant,
}

impl Talk<'_> {
    fn poll(&mut self, context: &mut Context<'_>, now: Instant) -> Poll<Result<Over, Broken>> {
        for _ in 0..ROUNDS {
            let length = self.pipe.output().len();
            let left = self.link.lock().send(context.waker(), now, self.pipe.output(), FULL);
            if self.pipe.output().len() > length {
                self.used = now;
            }
            let written = self.pipe.poll_write(context, now)?;
            if left && written.is_ready() {
                continue;
            }
            let Self { link, pipe, peer, heard, .. } = self;
            let read = pipe.poll_read(context, |message, _| hear(link, peer, heard, message))?;
            match heard {
                Heard::Nothing | Heard::Hello => {}
                Heard::OtherDomain => {
                    return Poll::Ready(Ok(Over::Unestablished(AskError::SecurityDomain)));
                }
                Heard::Farewell(why) => {
                    return Poll::Ready(Ok(Over::Unestablished(why.clone())));
                }
            }
            if read.is_pending() {
                let mut state = self.link.lock();
                return if state.is_retired() && state.end_if_unused() {
                    Poll::Ready(Ok(Over::Unused))
                } else {
                    Poll::Pending
                };
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// What is over where a limit has passed; `None` where somebody still waits.
    fn expired(&self) -> Option<Result<Over, Broken>> {
        match (&self.heard, self.pipe.stuck()) {
            (Heard::Nothing, _) => {
                let why = AskError::Unreachable("no word from it in time".to_owned());
                Some(Ok(Over::Unestablished(why)))
            }
            (_, Some(_)) => Some(Err(Broken::Stalled)),
            (_, None) => self.link.lock().end_if_unused().then_some(Ok(Over::Unused)),
        }
    }

    fn classified(&self, broken: Broken) -> Over {
        match (&self.heard, broken) {
            // In TLS 1.3 this is how a peer says that it does not trust us.
            (Heard::Nothing, Broken::Io(error)) => Over::Unestablished(tls(error)),
            (Heard::Nothing, Broken::Closed) => {
                Over::Unestablished(AskError::Unreachable(Broken::Closed.to_string()))
            }
            (_, Broken::Malformed(malformed)) => {
                Over::Unestablished(AskError::Failed(malformed.to_string()))
            }
            (Heard::Hello | Heard::Farewell(_) | Heard::OtherDomain, broken) => {
                Over::Broken(broken.to_string())
            }
            (Heard::Nothing, Broken::Stalled) => Over::Broken(Broken::Stalled.to_string()),
        }
    }
}

/// Takes one message in.
fn hear(
    link: &Link,
    peer: &Arc<PeerName>,
    heard: &mut Heard,
    message: &[u8],
) -> Result<(), Malformed> {
    match heard {
        Heard::Nothing => {
            let hello = Hello::decode(message)?;
            let ours = (link.means.introduce)();
            if one_domain(ours.domain.as_deref(), hello.domain.as_deref()) {
                link.lock().established();
                *heard = Heard::Hello;
            } else {
                *heard = Heard::OtherDomain;
            }
            Ok(())
        }
        Heard::Hello => {
            let answer = Answer::decode(message)?;
            if answer.number == NOBODY_S {
                *heard = Heard::Farewell(farewell(answer.outcome));
                return Ok(());
            }
            link.lock().answer(answer, peer)
        }
        // Nothing more is believed.
        Heard::Farewell(_) | Heard::OtherDomain => Ok(()),
    }
}

fn farewell(outcome: Outcome) -> AskError {
    match outcome {
        Outcome::Refused(Refused::SecurityDomain) => AskError::SecurityDomain,
        Outcome::Refused(Refused::Failed(text) | Refused::NotAuthorized(text)) => {
            AskError::Failed(text)
        }
        Outcome::Refused(Refused::NotConnected | Refused::NotTcp | Refused::Unidentified(_))
        | Outcome::Told { .. }
        | Outcome::NotYetAccepted { .. } => {
            AskError::Failed("it ends the connection without a reason".to_owned())
        }
    }
}

/// Whether a failed handshake was about trust, about the domain, or about the way.
fn tls(error: std::io::Error) -> AskError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) if is_of_other_domain(inner) => AskError::SecurityDomain,
        // In our own words, where it was we who refused.
        Some(inner) => AskError::Untrusted(
            identity::Refused::of(inner).map_or_else(|| error.to_string(), ToString::to_string),
        ),
        None => AskError::Unreachable(error.to_string()),
    }
}

/// Whether all else is right with the certificate: its issuer is trusted.
fn is_of_other_domain(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why))) = error else {
        return false;
    };
    matches!(why.downcast_ref(), Some(identity::Refused::Domain { .. }))
}
