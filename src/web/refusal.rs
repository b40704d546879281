//! What who is not admitted is told.

use std::fmt;

use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode, Version};

/// Why a request is refused. The name of the reason is all that the partner is told; the log has more.
///
/// # Examples
///
/// ```
/// use partner_info::web::Refusal;
///
/// assert_eq!(Refusal::NotAdmitted.as_str(), "not-admitted");
/// assert_eq!(Refusal::NotAdmitted.status(), 403);
/// assert_eq!(Refusal::NoListener.status(), 500);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The partner is known, and no rule admits it.
    NotAdmitted,
    /// The partner is unknown.
    Unidentified,
    /// A rule depends on the groups of the partner's user, and the account database did not tell
    /// them.
    GroupsUnknown,
    /// The program serves connections that no [`PartnerListener`](super::PartnerListener) accepted,
    /// or does not pass its [`ConnectedPartner`](super::ConnectedPartner) on: nobody can be
    /// identified.
    NoListener,
}

impl Refusal {
    /// A short name that stays the same in later versions.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAdmitted => "not-admitted",
            Self::Unidentified => "unidentified",
            Self::GroupsUnknown => "groups-unknown",
            Self::NoListener => "no-listener",
        }
    }

    /// 403, or 500 where the server is put together wrongly.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotAdmitted | Self::Unidentified | Self::GroupsUnknown => StatusCode::FORBIDDEN,
            Self::NoListener => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn body(self) -> &'static str {
        match self {
            Self::NotAdmitted => "refused: not-admitted\n",
            Self::Unidentified => "refused: unidentified\n",
            Self::GroupsUnknown => "refused: groups-unknown\n",
            Self::NoListener => "refused: no-listener\n",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Refusal {}

/// How a refusal is said, in responses with a body of type `B`: [`Http`] or [`Grpc`].
pub trait Refuse<B>: sealed::Sealed {
    /// The response to a request of this version.
    fn refuse(refusal: Refusal, version: Version) -> Response<B>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Http {}
    impl Sealed for super::Grpc {}
}

/// Refuses with 403 and one line of plain text, `refused: not-admitted`.
///
/// # Examples
///
/// ```
/// use http::{Response, Version};
/// use partner_info::web::{Http, Refusal, Refuse};
///
/// let response: Response<String> = Http::refuse(Refusal::Unidentified, Version::HTTP_11);
/// assert_eq!(response.status(), 403);
/// assert_eq!(response.body(), "refused: unidentified\n");
/// assert_eq!(response.headers()["connection"], "close");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Http;

impl<B: From<&'static str>> Refuse<B> for Http {
    fn refuse(refusal: Refusal, version: Version) -> Response<B> {
        let mut response = Response::new(B::from(refusal.body()));
        *response.status_mut() = refusal.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        // This connection's partner stays unknown; another connection's may be known.
        if refusal == Refusal::Unidentified && version <= Version::HTTP_11 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Refuses with the status `PERMISSION_DENIED`, as gRPC has it, or `INTERNAL` where the server is put
/// together wrongly; the reason's name is its message.
///
/// # Examples
///
/// ```
/// use http::{Response, Version};
/// use partner_info::web::{Grpc, Refusal, Refuse};
///
/// let response: Response<String> = Grpc::refuse(Refusal::NotAdmitted, Version::HTTP_2);
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.headers()["grpc-status"], "7"); // PERMISSION_DENIED
/// assert_eq!(response.headers()["grpc-message"], "not-admitted");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Grpc;

impl<B: Default> Refuse<B> for Grpc {
    fn refuse(refusal: Refusal, _: Version) -> Response<B> {
        let status = match refusal {
            Refusal::NotAdmitted | Refusal::Unidentified | Refusal::GroupsUnknown => "7",
            Refusal::NoListener => "13",
        };
        let mut response = Response::new(B::default());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(status));
        headers.insert("grpc-message", HeaderValue::from_static(refusal.as_str()));
        response
    }
}
