//! Admitting, or refusing, before a service sees a request.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Extensions, Request, Response};
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::connection::ConnectedPartner;
use super::refusal::{Grpc, Http, Refusal, Refuse};
use super::rule::{Rule, Verdict, judge};
use crate::error::{Error, ErrorKind};
use crate::info::PartnerInfo;
use crate::stack::{PartnerGroups, Stack};

/// How long the groups of a user may take.
const GROUPS_PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Admits requests of partners to whom one of its rules applies, and refuses all others.
///
/// Without rules it admits nobody, and nobody is admitted who is not identified. What it admits has
/// the [`PartnerInfo`] in its extensions. It waits for the answer no longer than the listener's
/// [`timeout`](super::PartnerListener::timeout) after the accept; then the partner is unidentified.
/// Where a rule needs the groups of a user, their first lookup may take up to five seconds more.
///
/// [`Http`] says how it refuses; [`for_grpc`](Self::for_grpc) makes it one for gRPC.
///
/// # Examples
///
/// With any service of `http` requests, here one of tower's making:
///
/// ```
/// use http::{Request, Response};
/// use partner_info::web::{AdmitLayer, Rule};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = ServiceBuilder::new()
///     .layer(AdmitLayer::new([Rule::user(1000)]))
///     .service(service_fn(|_: Request<()>| async {
///         Ok::<_, std::convert::Infallible>(Response::new(String::from("welcome")))
///     }));
///
/// // A request that no `PartnerListener` stands behind is nobody's.
/// let response = service.oneshot(Request::new(())).await.unwrap();
/// assert_eq!(response.status(), 500);
/// assert_eq!(response.body(), "refused: no-listener\n");
/// # }
/// ```
#[derive(Clone)]
pub struct AdmitLayer<P = Http> {
    rules: Arc<[Rule]>,
    protocol: PhantomData<fn() -> P>,
}

impl AdmitLayer {
    /// Admits those to whom one of these rules applies, and refuses with 403.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().collect(), protocol: PhantomData }
    }

    /// The same for gRPC: refuses with the status `PERMISSION_DENIED`.
    #[must_use]
    pub fn for_grpc(self) -> AdmitLayer<Grpc> {
        AdmitLayer { rules: self.rules, protocol: PhantomData }
    }
}

impl<P> fmt::Debug for AdmitLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmitLayer").field("rules", &self.rules).finish()
    }
}

impl<S, P> Layer<S> for AdmitLayer<P> {
    type Service = Admit<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Admit { inner, rules: Arc::clone(&self.rules), protocol: PhantomData }
    }
}

/// The service that [`AdmitLayer`] makes.
#[derive(Clone)]
pub struct Admit<S, P = Http> {
    inner: S,
    rules: Arc<[Rule]>,
    protocol: PhantomData<fn() -> P>,
}

impl<S: fmt::Debug, P> fmt::Debug for Admit<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admit").field("inner", &self.inner).field("rules", &self.rules).finish()
    }
}

impl<S, P, Q, B> Service<Request<Q>> for Admit<S, P>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    Q: Send + 'static,
    P: Refuse<B>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = AdmitFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let version = request.version();
        let refused = |refusal| AdmitFuture(State::Refused(Some(P::refuse(refusal, version))));
        let Some(partner) = connected_partner(request.extensions()) else {
            tracing::error!(
                "a request without a ConnectedPartner in its extensions: accept with \
                 PartnerListener, and pass on whom it accepted"
            );
            return refused(Refusal::NoListener);
        };
        match admit_now(&self.rules, &partner) {
            Some(Ok(info)) => {
                request.extensions_mut().insert(info);
                AdmitFuture(State::Admitted(self.inner.call(request)))
            }
            Some(Err(refusal)) => refused(refusal),
            None => {
                // The one that is ready is the one to be called.
                let ready = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, ready);
                let rules = Arc::clone(&self.rules);
                AdmitFuture(State::Waiting(Box::pin(async move {
                    match admit(&rules, &partner).await {
                        Ok(info) => {
                            request.extensions_mut().insert(info);
                            Ok(inner.call(request))
                        }
                        Err(refusal) => Err(P::refuse(refusal, version)),
                    }
                })))
            }
        }
    }
}

/// Future of [`Admit`].
#[pin_project]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct AdmitFuture<F, B>(#[pin] State<F, B>);

/// The service's future, or the refusal.
type Admitting<F, B> = Pin<Box<dyn Future<Output = Result<F, Response<B>>> + Send>>;

#[pin_project(project = StateProjection)]
enum State<F, B> {
    Waiting(Admitting<F, B>),
    Admitted(#[pin] F),
    Refused(Option<Response<B>>),
}

impl<F, B, E> Future for AdmitFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().0;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Waiting(admitting) => match admitting.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(admitted)) => State::Admitted(admitted),
                    Poll::Ready(Err(refusal)) => State::Refused(Some(refusal)),
                },
                StateProjection::Admitted(admitted) => return admitted.poll(cx),
                StateProjection::Refused(response) => {
                    return response.take().map_or(Poll::Pending, |said| Poll::Ready(Ok(said)));
                }
            };
            state.set(next);
        }
    }
}

impl<F, B> fmt::Debug for AdmitFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmitFuture").finish_non_exhaustive()
    }
}

/// Whose request it is, as the server passed it on.
pub(super) fn connected_partner(extensions: &Extensions) -> Option<ConnectedPartner> {
    #[cfg(feature = "axum")]
    if let Some(info) = extensions.get::<axum::extract::ConnectInfo<ConnectedPartner>>() {
        return Some(info.0.clone());
    }
    extensions.get().cloned()
}

/// The verdict, where no wait is needed for it.
fn admit_now(rules: &[Rule], partner: &ConnectedPartner) -> Option<Result<PartnerInfo, Refusal>> {
    let info = match partner.try_get() {
        Err(error) if error.kind() == ErrorKind::InProgress => return None,
        answer => answer,
    };
    let info = match info.map_err(|error| unidentified(partner, &error)) {
        Ok(info) => info,
        Err(refusal) => return Some(Err(refusal)),
    };
    let stack = partner.stack();
    let verdict = match judge(rules, stack, &info, None) {
        Verdict::GroupsNeeded => {
            let uid = info.user()?.uid();
            let groups = stack.groups_of(uid, Instant::now()).ok()??;
            judge(rules, stack, &info, Some(&groups))
        }
        verdict @ (Verdict::Admitted | Verdict::NotAdmitted) => verdict,
    };
    Some(said(verdict, info, partner))
}

/// The verdict, when all that it takes is there.
async fn admit(rules: &[Rule], partner: &ConnectedPartner) -> Result<PartnerInfo, Refusal> {
    let info = partner.get().await.map_err(|error| unidentified(partner, &error))?;
    let stack = partner.stack();
    let mut verdict = judge(rules, stack, &info, None);
    if let (Verdict::GroupsNeeded, Some(user)) = (verdict, info.user()) {
        let groups = groups(stack, user.uid()).await?;
        verdict = judge(rules, stack, &info, Some(&groups));
    }
    said(verdict, info, partner)
}

async fn groups(stack: &Stack, uid: u32) -> Result<PartnerGroups, Refusal> {
    let end = Instant::now().checked_add(GROUPS_PATIENCE);
    let mut pause = FIRST_PAUSE;
    loop {
        let now = Instant::now();
        match stack.groups_of(uid, now) {
            Ok(Some(groups)) => return Ok(groups),
            Ok(None) if end.is_none_or(|end| now < end) => {}
            Ok(None) | Err(()) => {
                tracing::warn!(
                    uid,
                    "refused: the account database does not tell this user's groups"
                );
                return Err(Refusal::GroupsUnknown);
            }
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

fn said(
    verdict: Verdict,
    info: PartnerInfo,
    partner: &ConnectedPartner,
) -> Result<PartnerInfo, Refusal> {
    match verdict {
        Verdict::Admitted => Ok(info),
        // Without a user to look up groups for, nothing admits.
        Verdict::NotAdmitted | Verdict::GroupsNeeded => {
            let remote = partner.remote_addr();
            let uid = info.user().map(crate::info::UserId::uid);
            tracing::info!(%remote, uid, "refused: no rule admits this partner");
            Err(Refusal::NotAdmitted)
        }
    }
}

/// What an unknown partner is told: not even why it is unknown, which is for the log.
pub(super) fn unidentified(partner: &ConnectedPartner, error: &Error) -> Refusal {
    let remote = partner.remote_addr();
    tracing::info!(%remote, kind = error.kind().as_str(), %error, "refused: the partner is unknown");
    Refusal::Unidentified
}
