//! What is asked, and what is answered.

use std::fmt;
use std::sync::Arc;

use crate::token::UserToken;

bitflags::bitflags! {
    /// What a get asks for: any set of these.
    ///
    /// Routing information comes with every answer. An empty request asks for it alone and needs
    /// no authorization.
    ///
    /// # Examples
    ///
    /// ```
    /// use partner_info::PartnerRequest;
    ///
    /// let both = PartnerRequest::USER_ID | PartnerRequest::UTOKEN;
    /// assert!(both.contains(PartnerRequest::UTOKEN));
    /// assert!(PartnerRequest::empty().is_empty()); // routing alone
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PartnerRequest: u8 {
        /// The partner's user: the owner of its socket. (`PI_REQTYPE_PARTNER_USERID`)
        #[doc(alias = "PI_REQTYPE_PARTNER_USERID")]
        const USER_ID = 1;
        /// The partner's full security token: the processes behind its socket.
        /// (`PI_REQTYPE_PARTNER_UTOKEN`)
        #[doc(alias = "PI_REQTYPE_PARTNER_UTOKEN")]
        const UTOKEN = 2;
    }
}

bitflags::bitflags! {
    /// Where the partner is, with the values of z/OS's `SO_CLUSTERCONNTYPE`. Flags add up: a
    /// partner in the same stack is `SAME_CLUSTER | SAME_IMAGE | INTERNAL`.
    ///
    /// Source: *z/OS Communications Server: IP Programmer's Guide*, `SO_CLUSTERCONNTYPE`.
    ///
    /// # Examples
    ///
    /// ```
    /// use partner_info::{Routing, prelude::*};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let client = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// # let wait = std::time::Duration::from_secs(5);
    /// let partner = server.get_partner_info_blocking(PartnerRequest::empty(), wait)?;
    /// assert!(partner.routing().contains(Routing::SAME_IMAGE | Routing::INTERNAL));
    /// assert_eq!(partner.routing().to_string(), "same cluster, same image, internal");
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[doc(alias = "SO_CLUSTERCONNTYPE")]
    pub struct Routing: u8 {
        /// 0: no connection.
        const NO_CONNECTION = 0;
        /// 1: connected, and the partner is outside the cluster.
        const NONE = 1;
        /// 2: the partner is in the same cluster: its image shares our security domain.
        const SAME_CLUSTER = 2;
        /// 4: the partner runs under the same kernel.
        const SAME_IMAGE = 4;
        /// 8: the connection does not leave the cluster's own links.
        const INTERNAL = 8;
    }
}

impl Routing {
    /// A partner in the same network namespace: proven by the kernel's socket table.
    pub(crate) const SAME_STACK: Self =
        Self::SAME_CLUSTER.union(Self::SAME_IMAGE).union(Self::INTERNAL);
}

impl fmt::Display for Routing {
    /// Words for a log line: `same cluster, same image, internal`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no connection");
        }
        let words = [
            (Self::NONE, "outside the cluster"),
            (Self::SAME_CLUSTER, "same cluster"),
            (Self::SAME_IMAGE, "same image"),
            (Self::INTERNAL, "internal"),
        ];
        let mut first = true;
        for (_, word) in words.iter().filter(|(flag, _)| self.contains(*flag)) {
            if !first {
                f.write_str(", ")?;
            }
            first = false;
            f.write_str(word)?;
        }
        Ok(())
    }
}

/// A user of the partner's host: its number, and its name where an account has that number.
///
/// Two are equal when their numbers are: the name is for people.
///
/// # Examples
///
/// ```
/// use partner_info::prelude::*;
///
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (server, _) = listener.accept()?;
/// # let wait = std::time::Duration::from_secs(5);
/// let partner = server.get_partner_info_blocking(PartnerRequest::USER_ID, wait)?;
/// let user = partner.user().unwrap();
/// match user.name() {
///     Some(name) => println!("{name} has the number {}", user.uid()),
///     None => println!("no name is known of {}", user.uid()),
/// }
/// assert!(user.to_string().contains(&user.uid().to_string())); // alice(1000)
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct UserId {
    uid: u32,
    name: Option<Arc<str>>,
}

impl UserId {
    pub(crate) fn new(uid: u32, name: Option<Arc<str>>) -> Self {
        Self { uid, name }
    }

    /// The numeric user id, as the caller's user namespace sees it. 0 is root, and is only there
    /// where the kernel proved it: what is unknown is an error.
    ///
    /// Of a partner on another host, without [`Routing::SAME_IMAGE`], it is the number that this host
    /// has: the hosts of one security domain are expected to number their accounts alike. Where they
    /// do not, look at the routing before the number.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The account's name when it was looked up; `None` where no account has this number, or the
    /// name service did not answer in time. Of a partner on another host it is what that host calls
    /// it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl PartialEq for UserId {
    fn eq(&self, other: &Self) -> bool {
        self.uid == other.uid
    }
}

impl Eq for UserId {}

impl std::hash::Hash for UserId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uid.hash(state);
    }
}

impl fmt::Display for UserId {
    /// `alice(1000)`, or `1000` where there is no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}({})", name.escape_default(), self.uid),
            None => write!(f, "{}", self.uid),
        }
    }
}

/// Who is at the other end of a connection: complete and verified for what was requested.
///
/// It describes the holder of the partner's socket at one moment between the call of the get that
/// retrieved it and that get's return. Cloning is cheap.
///
/// # Examples
///
/// ```
/// use partner_info::prelude::*;
///
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (server, _) = listener.accept()?;
/// # let wait = std::time::Duration::from_secs(5);
/// let partner = server.get_partner_info_blocking(PartnerRequest::USER_ID, wait)?;
///
/// // The other end is this very process.
/// let myself = rustix::process::geteuid().as_raw();
/// assert_eq!(partner.user().unwrap().uid(), myself);
///
/// // What was not requested is not there.
/// assert!(partner.token().is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PartnerInfo {
    found: Credentials,
    requested: PartnerRequest,
}

/// What one retrieval proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) covers: PartnerRequest,
    /// The owner of the partner's socket.
    pub(crate) user: Option<UserId>,
    pub(crate) process_user: Option<UserId>,
    pub(crate) token: Option<Arc<UserToken>>,
    /// The name service was asked and had not answered yet.
    pub(crate) name_late: bool,
    pub(crate) routing: Routing,
}

impl PartnerInfo {
    pub(crate) fn new(found: Credentials, requested: PartnerRequest) -> Self {
        Self { found, requested }
    }

    /// The owner of the partner's socket, recorded by the kernel when the socket was made or
    /// accepted: **the identity to authorize on**. `Some` exactly where
    /// [`PartnerRequest::USER_ID`] was requested.
    ///
    /// Source: `sk_uid` in the kernel's `include/net/sock.h`, as `idiag_uid` of sock_diag(7).
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        if self.requested.contains(PartnerRequest::USER_ID) {
            self.found.user.as_ref()
        } else {
            None
        }
    }

    /// The effective user of the process that holds the partner's socket. It may differ from
    /// [`user`](Self::user): a server that makes its socket as root and then becomes another user
    /// has owner 0 and that other process user; the two are never merged.
    ///
    /// It is read together with the token, so it is there only where [`PartnerRequest::UTOKEN`] was
    /// requested, and only where [`UserToken::process_user`] is.
    ///
    /// # Examples
    ///
    /// ```
    /// use partner_info::prelude::*;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let client = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// # let wait = std::time::Duration::from_secs(5);
    /// let partner = server.get_partner_info_blocking(PartnerRequest::UTOKEN, wait)?;
    /// if let (Some(process), Some(token)) = (partner.process_user(), partner.token()) {
    ///     // For the log. To authorize, look at the owner.
    ///     println!("owner {}, held by a process of {process}", token.user());
    /// #     assert_eq!(process.uid(), rustix::process::geteuid().as_raw());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn process_user(&self) -> Option<&UserId> {
        if self.has_token() { self.found.process_user.as_ref() } else { None }
    }

    /// The processes behind the partner's socket. `Some` exactly where [`PartnerRequest::UTOKEN`]
    /// was requested.
    #[must_use]
    pub fn token(&self) -> Option<&UserToken> {
        if self.has_token() { self.found.token.as_deref() } else { None }
    }

    fn has_token(&self) -> bool {
        self.requested.contains(PartnerRequest::UTOKEN)
    }

    /// Where the partner is.
    #[must_use]
    pub fn routing(&self) -> Routing {
        self.found.routing
    }
}

impl fmt::Debug for PartnerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartnerInfo")
            .field("user", &self.user())
            .field("process_user", &self.process_user())
            .field("token", &self.token())
            .field("routing", &self.routing())
            .finish()
    }
}

impl fmt::Display for PartnerInfo {
    /// One line for a log: `user alice(1000), same cluster, same image, internal`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = self.user() {
            write!(f, "user {user}, ")?;
        }
        write!(f, "{}", self.routing())?;
        if let Some(token) = self.token() {
            write!(f, ", token: {token}")?;
        }
        Ok(())
    }
}
