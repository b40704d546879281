//! What can go wrong, as kinds, errno values and reasons.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A failed set or get of partner information.
///
/// An error never carries an identity: where part of an answer is known and part is not, the whole
/// answer is an error. [`kind`](Self::kind) says what to do, [`raw_os_error`](Self::raw_os_error)
/// is the errno that the z/OS manuals name for it, in this platform's number, and
/// [`reason`](Self::reason) tells more where the kind is [`ErrorKind::Unidentified`].
///
/// Errors convert into [`io::Error`], so `?` works in functions that return [`io::Result`].
///
/// ```
/// use partner_info::{ErrorKind, prelude::*};
///
/// # async fn serve(stream: &tokio::net::TcpStream) -> std::io::Result<()> {
/// match stream.try_get_partner_info(PartnerRequest::USER_ID) {
///     Ok(partner) => println!("served {partner}"),
///     Err(error) if error.kind() == ErrorKind::InProgress => println!("not known yet"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    repr: Repr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Repr {
    Kind(ErrorKind),
    NotAuthorized(Arc<str>),
    Unidentified(Reason),
    Unsupported {
        why: &'static str,
    },
    /// What the agent of this host says, or what is wrong with it, and what to do.
    Agent(Arc<str>),
    Io {
        doing: &'static str,
        errno: i32,
    },
}

/// What kind of failure an [`Error`] is, with the errno of the z/OS manuals.
///
/// ```
/// # use std::net::{TcpListener, TcpStream};
/// use partner_info::{ErrorKind, prelude::*};
///
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let client = TcpStream::connect(listener.local_addr()?)?;
/// # let (server, _) = listener.accept()?;
/// let error = server.try_get_partner_info(PartnerRequest::USER_ID).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotRequested);
/// assert_eq!(error.kind().as_str(), "not-requested");
/// assert!(error.to_string().starts_with("not requested: a get without waiting needs"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Source: *z/OS Communications Server: IP Programmer's Guide*, SIOCGPARTNERINFO and
/// SIOCSPARTNERINFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `EACCES`: the caller is not privileged and holds no READ on the profile. Ask the
    /// administrator for a permit; the error names the rule that decided.
    NotAuthorized,
    /// `EPERM`: a security domain is not defined on one side, or the two differ. Define the same
    /// domain on both hosts, then use a new connection: a connection is verified once.
    SecurityDomain,
    /// `EAGAIN`: a no-suspend get without an earlier set. Call `set_partner_info` before connect
    /// or listen, or get with a timeout.
    NotRequested,
    /// `EINPROGRESS`: a no-suspend get after a set, and the credentials are not here yet. Get
    /// again later.
    InProgress,
    /// `EALREADY`: another get waits on this connection. Let it finish, or drop it.
    AlreadyInProgress,
    /// `ETIME`: the wait ended first. The retrieval goes on; a later get may find it done.
    TimedOut,
    /// `ENOTCONN`: the socket is not connected, or the connection is gone.
    NotConnected,
    /// `EPROTOTYPE`: not a TCP socket.
    NotTcp,
    /// `EOPNOTSUPP`: a set on a socket that is connected already. Set before connect or listen.
    TooLate,
    /// `ESRCH`: asked, and no trustworthy answer exists. Treat the partner as unknown: it may be
    /// anybody. [`Error::reason`] tells why.
    Unidentified,
    /// `ENOSYS`: this kernel, or this platform, cannot answer.
    Unsupported,
    /// `EHOSTUNREACH`: the partner's host answers no question. The message tells what its agent
    /// said, or what is wrong with it.
    Agent,
    /// A system call failed, with its own errno; the message says what was being done.
    Io,
}

/// Why no trustworthy answer exists, for [`ErrorKind::Unidentified`].
///
/// Each of them means *unknown*. None of them is evidence for, or against, any user.
///
/// ```
/// # use std::net::{TcpListener, TcpStream};
/// # use std::time::Duration;
/// use partner_info::{ErrorKind, Reason, prelude::*};
///
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// let client = TcpStream::connect(listener.local_addr()?)?;
/// let (server, _) = listener.accept()?;
/// drop(client);
/// let timeout = Duration::from_secs(1);
/// let error = server.get_partner_info_blocking(PartnerRequest::USER_ID, timeout).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Unidentified);
/// assert_eq!(error.reason(), Some(Reason::PartnerGone));
/// assert_eq!(Reason::PartnerGone.as_str(), "partner-gone");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The partner closed its socket: what is left of it in the kernel has no owner.
    PartnerGone,
    /// The partner's end exists and no process accepted it in time.
    NotYetAccepted,
    /// The addresses belong to a socket that is not connected to us: a newcomer that only tries
    /// to connect, or one that is closing without an owner.
    NotEstablished,
    /// While the partner was looked up, our own end ceased to be the connection it was.
    ConnectionChanged,
    /// No socket of this network namespace is the partner: it is in another namespace, or on
    /// another host, and there is no agent on this host that could be asked.
    NotInThisStack,
    /// The agent of this host finds the partner in no network namespace that it looks at: it is
    /// outside the cluster.
    OutsideCluster,
    /// A socket in another network namespace has the partner's addresses, and is not proven to be
    /// this connection's other end: it is another connection's, or the kernel does not show the
    /// proof.
    Unproven,
    /// The agent of this host is told not to look at the network namespace that this socket is in.
    StackNotServed,
    /// Our own socket is in a network namespace other than the calling thread's.
    OtherNamespace,
    /// The two ends see different addresses: they were translated on the way (NAT, REDIRECT, a
    /// relay). Connection tracking says so, or the partner's address is one of this network
    /// namespace and no socket of it has these addresses.
    AddressTranslated,
    /// Connection tracking (conntrack) handles this connection, so its addresses may have been
    /// translated, and this process may not see whether they were. Give it `CAP_NET_ADMIN`, or
    /// exempt the connection from tracking (nft: `notrack`), or let the operator vouch for the
    /// rules: [`StackBuilder::trust_hidden_translation`](crate::StackBuilder::trust_hidden_translation).
    TranslationHidden,
    /// The owner is not mapped into the caller's user namespace: the kernel shows the overflow
    /// uid, which stands for everybody and therefore for nobody.
    OverflowUid,
}

impl Error {
    pub(crate) const fn new(kind: ErrorKind) -> Self {
        Self { repr: Repr::Kind(kind) }
    }

    /// `refusal` says who asked, for what, which rule decided, and what to do.
    pub(crate) fn not_authorized(refusal: &str) -> Self {
        Self { repr: Repr::NotAuthorized(refusal.into()) }
    }

    pub(crate) const fn unidentified(reason: Reason) -> Self {
        Self { repr: Repr::Unidentified(reason) }
    }

    pub(crate) const fn unsupported(why: &'static str) -> Self {
        Self { repr: Repr::Unsupported { why } }
    }

    /// `what` says what the agent said, or what is wrong with it, and what to do.
    pub(crate) fn agent(what: &str) -> Self {
        Self { repr: Repr::Agent(what.into()) }
    }

    /// What the agent says, for who passes it on.
    #[cfg(feature = "agent")]
    pub(crate) fn agents_words(&self) -> String {
        match &self.repr {
            Repr::Agent(what) => what.to_string(),
            Repr::Kind(_)
            | Repr::NotAuthorized(_)
            | Repr::Unidentified(_)
            | Repr::Unsupported { .. }
            | Repr::Io { .. } => self.to_string(),
        }
    }

    pub(crate) const fn io(doing: &'static str, errno: i32) -> Self {
        Self { repr: Repr::Io { doing, errno } }
    }

    /// The kind of this failure.
    ///
    /// ```
    /// use std::net::UdpSocket;
    ///
    /// use partner_info::{ErrorKind, PartnerRequest, Stack};
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// let request = PartnerRequest::USER_ID;
    /// let error = Stack::current().set_partner_info(&socket, request).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotTcp);
    /// assert_eq!(error.reason(), None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.repr {
            Repr::Kind(kind) => *kind,
            Repr::NotAuthorized(_) => ErrorKind::NotAuthorized,
            Repr::Unidentified(_) => ErrorKind::Unidentified,
            Repr::Unsupported { .. } => ErrorKind::Unsupported,
            Repr::Agent(_) => ErrorKind::Agent,
            Repr::Io { .. } => ErrorKind::Io,
        }
    }

    /// Why there is no trustworthy answer; `Some` exactly where [`kind`](Self::kind) is
    /// [`ErrorKind::Unidentified`].
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match &self.repr {
            Repr::Unidentified(reason) => Some(*reason),
            Repr::Kind(_)
            | Repr::NotAuthorized(_)
            | Repr::Unsupported { .. }
            | Repr::Agent(_)
            | Repr::Io { .. } => None,
        }
    }

    /// The errno of this failure, in this platform's number, as
    /// [`io::Error::raw_os_error`] has it; `None` on a platform without errno values.
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// use partner_info::prelude::*;
    ///
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// let error = server.try_get_partner_info(PartnerRequest::USER_ID).unwrap_err();
    /// assert_eq!(error.raw_os_error(), Some(libc::EAGAIN)); // nothing was set
    /// assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "errno")]
    pub fn raw_os_error(&self) -> Option<i32> {
        if let Repr::Io { errno, .. } = self.repr {
            return Some(errno);
        }
        errno::of(self.kind())
    }
}

#[cfg(unix)]
mod errno {
    use super::ErrorKind;

    // FreeBSD and its kin know no ETIME; their nearest is ETIMEDOUT.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
    const TIME: i32 = libc::ETIME;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
    const TIME: i32 = libc::ETIMEDOUT;

    pub(super) fn of(kind: ErrorKind) -> Option<i32> {
        Some(match kind {
            ErrorKind::NotAuthorized => libc::EACCES,
            ErrorKind::SecurityDomain => libc::EPERM,
            ErrorKind::NotRequested => libc::EAGAIN,
            ErrorKind::InProgress => libc::EINPROGRESS,
            ErrorKind::AlreadyInProgress => libc::EALREADY,
            ErrorKind::TimedOut => TIME,
            ErrorKind::NotConnected => libc::ENOTCONN,
            ErrorKind::NotTcp => libc::EPROTOTYPE,
            ErrorKind::TooLate => libc::EOPNOTSUPP,
            ErrorKind::Unidentified => libc::ESRCH,
            ErrorKind::Unsupported => libc::ENOSYS,
            ErrorKind::Agent => libc::EHOSTUNREACH,
            ErrorKind::Io => return None,
        })
    }
}

#[cfg(not(unix))]
mod errno {
    pub(super) fn of(_: super::ErrorKind) -> Option<i32> {
        None
    }
}

impl ErrorKind {
    /// A short name that stays the same in later versions, for logs and machine-read output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAuthorized => "not-authorized",
            Self::SecurityDomain => "security-domain",
            Self::NotRequested => "not-requested",
            Self::InProgress => "in-progress",
            Self::AlreadyInProgress => "already-in-progress",
            Self::TimedOut => "timed-out",
            Self::NotConnected => "not-connected",
            Self::NotTcp => "not-tcp",
            Self::TooLate => "too-late",
            Self::Unidentified => "unidentified",
            Self::Unsupported => "unsupported",
            Self::Agent => "agent",
            Self::Io => "io",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::NotAuthorized => {
                "not authorized: the caller is not privileged and holds no READ on the profile"
            }
            Self::SecurityDomain => {
                "security domain not verified: it is not defined on one side, or the two differ; \
                 define the same on both hosts and use a new connection"
            }
            Self::NotRequested => {
                "not requested: a get without waiting needs an earlier set_partner_info; \
                 set before connect or listen, or get with a timeout"
            }
            Self::InProgress => "in progress: the credentials are not here yet; get again later",
            Self::AlreadyInProgress => {
                "already in progress: another get waits on this connection; await or drop it first"
            }
            Self::TimedOut => {
                "timed out: the credentials did not come within the timeout; a later get may find \
                 them"
            }
            Self::NotConnected => "not connected: the socket has no partner, or no longer has one",
            Self::NotTcp => "not TCP: partner information is there for TCP sockets only",
            Self::TooLate => {
                "too late: the socket is connected already; set_partner_info comes before connect \
                 or listen"
            }
            Self::Unidentified => "unidentified: no trustworthy answer exists",
            Self::Unsupported => "unsupported: this kernel or platform cannot answer",
            Self::Agent => "agent: the partner's host answers no question",
            Self::Io => "a system call failed",
        }
    }
}

impl Reason {
    /// A short name that stays the same in later versions, for logs and machine-read output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PartnerGone => "partner-gone",
            Self::NotYetAccepted => "not-yet-accepted",
            Self::NotEstablished => "not-established",
            Self::ConnectionChanged => "connection-changed",
            Self::NotInThisStack => "not-in-this-stack",
            Self::OutsideCluster => "outside-cluster",
            Self::Unproven => "unproven",
            Self::StackNotServed => "stack-not-served",
            Self::OtherNamespace => "other-namespace",
            Self::AddressTranslated => "address-translated",
            Self::TranslationHidden => "translation-hidden",
            Self::OverflowUid => "overflow-uid",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::PartnerGone => "the partner has closed its socket, and nobody owns what is left",
            Self::NotYetAccepted => "no process accepted the partner's end in time",
            Self::NotEstablished => {
                "the partner's addresses belong to a socket that is not connected to this one"
            }
            Self::ConnectionChanged => {
                "this end ceased to be the same connection while its partner was looked up"
            }
            Self::NotInThisStack => {
                "the partner is in no socket of this network namespace, and this host has no agent \
                 to ask about other namespaces and hosts; start partnerd"
            }
            Self::OutsideCluster => {
                "the partner is in no network namespace that this host's agent looks at, and its \
                 address is of no host that this one asks"
            }
            Self::Unproven => {
                "a socket with the partner's addresses is not proven to be the other end of this \
                 connection, in another network namespace or on the partner's host"
            }
            Self::StackNotServed => {
                "this host's agent does not look at the network namespace of this socket; see \
                 `namespaces` in its configuration"
            }
            Self::OtherNamespace => {
                "this socket is in another network namespace than the calling thread; ask from a \
                 thread in the socket's namespace"
            }
            Self::AddressTranslated => {
                "the two ends see different addresses, which were translated on the way (NAT, \
                 REDIRECT, a relay)"
            }
            Self::TranslationHidden => {
                "connection tracking handles this connection and may have translated its addresses; \
                 to see it takes CAP_NET_ADMIN, to rule it out an nft notrack rule"
            }
            Self::OverflowUid => {
                "the partner's user is not mapped into this user namespace; ask from a namespace \
                 that maps it"
            }
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.repr {
            Repr::Kind(kind) => f.write_str(kind.text()),
            Repr::NotAuthorized(refusal) => f.write_str(refusal),
            Repr::Unidentified(reason) => write!(f, "unidentified: {reason}"),
            Repr::Unsupported { why } => write!(f, "unsupported: {why}"),
            Repr::Agent(what) => write!(f, "agent: {what}"),
            Repr::Io { doing, errno } => {
                write!(f, "{doing}: {}", io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind())
            .field("message", &format_args!("{self}"))
            .finish()
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    /// Keeps this error as the inner one; the [`io::ErrorKind`] is the nearest there is.
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::NotAuthorized | ErrorKind::SecurityDomain => io::ErrorKind::PermissionDenied,
            ErrorKind::NotRequested | ErrorKind::InProgress | ErrorKind::AlreadyInProgress => {
                io::ErrorKind::WouldBlock
            }
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::NotConnected => io::ErrorKind::NotConnected,
            ErrorKind::NotTcp | ErrorKind::TooLate => io::ErrorKind::InvalidInput,
            ErrorKind::Unidentified => io::ErrorKind::NotFound,
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            ErrorKind::Agent => io::ErrorKind::HostUnreachable,
            ErrorKind::Io => error
                .raw_os_error()
                .map_or(io::ErrorKind::Other, |n| io::Error::from_raw_os_error(n).kind()),
        };
        io::Error::new(kind, error)
    }
}
