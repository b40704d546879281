//! An identity from the SPIFFE Workload API, which says by itself when there is a new one.
//!
//! Source: *The SPIFFE Workload API*, sections 5 and 6: one stream, a message for each change,
//! and a client that begins anew, after a growing pause, when the stream ends.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use spiffe::{WorkloadApiClient, X509Context, X509Svid};
use tokio::time::{sleep, timeout};

use super::name::PeerName;
use super::svid::SvidError;
use super::{Publisher, Svid};
use crate::agent::audit::Utc;
use crate::policy::SecurityDomain;
use crate::policy::text::shown;

/// How long the connection, and the first message, may take.
const FIRST_ANSWER: Duration = Duration::from_secs(30);
/// Without an identity, a stream that says nothing new is begun anew after this.
const PATIENCE: Duration = Duration::from_secs(60);
/// With one, it is when the identity expires, and after a day at the latest.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Pauses before it is begun anew: the first, and the longest; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Characters of an error of the API that are repeated at most.
const SHOWN_OF_ERROR: usize = 300;

#[derive(Clone, Debug)]
pub(super) struct WorkloadApi {
    socket: PathBuf,
    /// That of the policy.
    domain: Option<SecurityDomain>,
}

impl WorkloadApi {
    pub(super) fn new(socket: &Path, domain: Option<SecurityDomain>) -> Self {
        Self { socket: socket.into(), domain }
    }

    /// Publishes what the API says, as long as it runs.
    pub(super) async fn watch(self, publisher: Publisher) {
        let mut pause = FIRST_PAUSE;
        let mut told = String::new();
        loop {
            let mut heard = false;
            let Err(fault) = self.follow(&publisher, &mut heard, &mut told).await;
            if heard {
                pause = FIRST_PAUSE;
            }
            tell(&fault, &mut told);
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Follows one stream until it ends. `heard` says whether it has said anything.
    async fn follow(
        &self,
        publisher: &Publisher,
        heard: &mut bool,
        told: &mut String,
    ) -> Result<std::convert::Infallible, Fault> {
        let endpoint = format!("unix://{}", self.socket.display());
        let begun = timeout(FIRST_ANSWER, async {
            let client = WorkloadApiClient::connect_to(&endpoint).await?;
            client.stream_x509_contexts().await
        });
        let mut stream = begun.await.map_err(|_| Fault::Silent)?.map_err(|e| Fault::api(&e))?;
        let mut wait = FIRST_ANSWER;
        loop {
            let next = timeout(wait, stream.next()).await.map_err(|_| Fault::Silent)?;
            let context = next.ok_or(Fault::Ended)?.map_err(|error| Fault::api(&error))?;
            *heard = true;
            wait = match self.choose(&context, &publisher.provider) {
                Ok(svid) => {
                    told.clear();
                    let (name, expires) = (svid.name().to_string(), svid.expires());
                    if publisher.publish(svid) {
                        let expires = Utc(expires).to_string();
                        tracing::info!(name, expires, "a new identity is in force");
                    }
                    let left = expires.duration_since(SystemTime::now());
                    left.unwrap_or(Duration::ZERO).clamp(PATIENCE, LONGEST)
                }
                Err(fault) => {
                    tell(&fault, told);
                    PATIENCE
                }
            };
        }
    }

    /// The one SVID that is an agent's, with the roots of its own domain. Those of other domains
    /// that the API knows count nothing here.
    fn choose(&self, context: &X509Context, provider: &CryptoProvider) -> Result<Svid, Fault> {
        let ours = |svid: &&std::sync::Arc<X509Svid>| {
            let name = PeerName::parse(&svid.spiffe_id().to_string());
            let domain = self.domain.as_ref();
            name.is_ok_and(|name| domain.is_none_or(|domain| name.domain() == domain))
        };
        let mut candidates = context.svids().iter().filter(ours);
        let svid = candidates.next().ok_or_else(|| Fault::None(self.domain.clone()))?;
        if candidates.next().is_some() {
            return Err(Fault::Several);
        }
        let bundle = context.bundle_set().get(svid.spiffe_id().trust_domain());
        let bundle = bundle.ok_or(Fault::NoRoots)?;
        let der = |der: &spiffe::Certificate| CertificateDer::from(der.as_bytes().to_vec());
        let chain = svid.cert_chain().iter().map(der).collect();
        let roots: Vec<_> = bundle.authorities().iter().map(der).collect();
        let key = PrivatePkcs8KeyDer::from(svid.private_key().as_bytes().to_vec());
        Svid::new(chain, PrivateKeyDer::from(key), &roots, provider).map_err(Fault::Unsound)
    }
}

fn tell(fault: &Fault, told: &mut String) {
    let error = fault.to_string();
    if error != *told {
        tracing::error!(error, "no new identity from the Workload API; it is asked again");
        *told = error;
    }
}

/// Why there is no identity from the API.
#[derive(Debug)]
enum Fault {
    Api(String),
    Silent,
    Ended,
    None(Option<SecurityDomain>),
    Several,
    NoRoots,
    Unsound(SvidError),
}

impl Fault {
    fn api(error: &spiffe::WorkloadApiError) -> Self {
        Self::Api(shown(&error.to_string(), SHOWN_OF_ERROR))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => write!(
                f,
                "expected an answer; found the error \"{error}\"; see that the SPIFFE agent runs, \
                 and that partnerd is registered with it"
            ),
            Self::Silent => f.write_str(
                "expected an answer, or a new one before the last expires; found none; see that \
                 the SPIFFE agent runs",
            ),
            Self::Ended => f.write_str(
                "expected a stream that stays; found its end; see that the SPIFFE agent runs",
            ),
            Self::None(domain) => {
                let domain = domain.as_ref().map_or("DOMAIN", SecurityDomain::as_str);
                write!(
                    f,
                    "expected an SVID spiffe://{domain}/partnerd/HOST; found none; register \
                     partnerd under this name"
                )
            }
            Self::Several => f.write_str(
                "expected one SVID spiffe://DOMAIN/partnerd/HOST; found several; register one, or \
                 say in the policy which security domain it is",
            ),
            Self::NoRoots => f.write_str(
                "expected the bundle of the SVID's trust domain; found none; see the SPIFFE \
                 agent's log",
            ),
            Self::Unsound(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
