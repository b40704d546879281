//! The context of all gets: what is kept, whom to ask, and how long a name may take.

pub(crate) mod authority;
mod builder;
mod connection;
mod elsewhere;
mod get;
mod judge;
mod lineage;
mod listeners;
#[cfg(feature = "tower")]
mod partner;
mod set;
mod table;
pub(crate) mod tokens;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use authority::Authority;
pub use authority::{PolicyFileError, PolicyInForce, PolicyStatus};
pub use builder::StackBuilder;
#[cfg(feature = "mio")]
pub(crate) use connection::BegunFor;
pub(crate) use get::{Begun, Waiting, WaitingPoll};
#[cfg(feature = "tower")]
pub(crate) use partner::PartnerGroups;

use crate::accounts::Accounts;
#[cfg(feature = "tower")]
use crate::accounts::Memberships;
use crate::client::Agent;
use crate::error::Error;
use crate::info::{PartnerInfo, PartnerRequest};
use crate::kernel::sys::{AsSocket, socket_of};
use lineage::Lineage;
use listeners::Listeners;
use table::Table;
use tokens::Tokens;

/// The context in which partners are looked up: one network namespace as this process sees it.
///
/// Nothing needs to be set up: the extension traits use [`Stack::current`], the process default. A
/// stack of one's own, made with [`Stack::builder`], is for tests, and for who wants other limits:
/// it has the same calls as methods, and [`make_default`](Self::make_default) puts it in the place
/// of the default.
///
/// A clone is another handle to the same stack.
///
/// # After fork(2)
///
/// A child may ask, also that of a process with many threads: there a stack begins anew, with the
/// same settings, with threads, a netlink socket and a connection to the agent of its own, and
/// nothing saved. It takes no lock that a thread of the parent's may have held. What the parent had
/// set before holds in the child too, except where another thread was changing a part of the same
/// table at the moment of the fork: then the child's no-suspend get is
/// [`NotRequested`](crate::ErrorKind::NotRequested). Two things remain to the program: a runtime of
/// the child's own, since tokio's does not survive a fork; and, in a process with many threads, to
/// have called [`Stack::current`] before the fork, so that none is making it meanwhile. A program
/// that is executed inherits nothing.
///
/// ```
/// use partner_info::Stack;
///
/// let stack = Stack::builder().connections(1_000).build();
/// # let _ = stack;
/// ```
#[derive(Clone, Debug)]
pub struct Stack {
    /// Of the process that made it: see [`lineage`].
    first: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    table: Table,
    listeners: Listeners,
    authority: Authority,
    /// `None`: partners are numbers.
    accounts: Option<Accounts>,
    #[cfg(feature = "tower")]
    memberships: Memberships,
    tokens: Tokens,
    resolvers: Vec<Resolver>,
    agent: Agent,
    trust_hidden_translation: bool,
    name_patience: Duration,
    lineage: Lineage,
}

/// Who is asked about a partner.
///
/// ```
/// # use std::net::{TcpListener, TcpStream};
/// # use std::time::Duration;
/// use partner_info::{PartnerRequest, Resolver, Stack};
///
/// let stack = Stack::builder().resolvers([Resolver::Kernel]).build(); // never an agent
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let client = TcpStream::connect(listener.local_addr()?)?;
/// # let (server, _) = listener.accept()?;
/// let request = PartnerRequest::USER_ID;
/// assert!(stack.get_partner_info_blocking(&server, request, Duration::from_secs(1)).is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resolver {
    /// This kernel, about partners in the same network namespace.
    Kernel,
    /// The agent of this host, `partnerd`, about what this kernel does not tell this process:
    /// partners in other network namespaces, and the processes of other users. Where there is no
    /// agent, the kernel's answer stands.
    Agent,
}

static DEFAULT: OnceLock<Stack> = OnceLock::new();

impl Stack {
    /// A builder with the defaults of the process stack.
    pub fn builder() -> StackBuilder {
        StackBuilder::default()
    }

    /// The stack that the extension traits use: the one given to
    /// [`make_default`](Self::make_default), else one with the defaults, made on first use.
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// # use std::time::Duration;
    /// use partner_info::{Stack, prelude::*};
    ///
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// server.get_partner_info_blocking(PartnerRequest::USER_ID, Duration::from_secs(1))?;
    /// assert_eq!(Stack::current().remembered_connections(), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn current() -> &'static Self {
        DEFAULT.get_or_init(|| Self::builder().build())
    }

    /// Makes this the stack that the extension traits use, for the life of the process.
    ///
    /// # Errors
    ///
    /// Gives the stack back where the process has a default already: call this before the first
    /// lookup.
    ///
    /// # Examples
    ///
    /// ```
    /// use partner_info::Stack;
    ///
    /// let stack = Stack::builder().connections(1_000).build();
    /// assert!(stack.make_default().is_ok());
    /// assert!(Stack::builder().build().make_default().is_err()); // there is one
    /// ```
    pub fn make_default(self) -> Result<(), Self> {
        DEFAULT.set(self)
    }

    /// Reads the descriptors of all processes ahead, on a thread of its own, so that the first
    /// question for a token finds them read. Returns at once. For a program that asks for tokens:
    /// once, when it starts. The first [`set_partner_info`](Self::set_partner_info) that asks for
    /// tokens on a listening socket does it by itself.
    ///
    /// ```
    /// use partner_info::Stack;
    ///
    /// let stack = Stack::builder().build();
    /// stack.prepare_tokens(); // in main, before the first client comes
    /// ```
    pub fn prepare_tokens(&self) {
        self.inner().tokens.prepare();
    }

    /// How many connections are remembered now; never more than the builder was told.
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// # use std::time::Duration;
    /// use partner_info::{PartnerRequest, Stack};
    ///
    /// let stack = Stack::builder().build();
    /// assert_eq!(stack.remembered_connections(), 0);
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// stack.get_partner_info_blocking(&server, PartnerRequest::USER_ID, Duration::from_secs(1))?;
    /// assert_eq!(stack.remembered_connections(), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn remembered_connections(&self) -> usize {
        self.inner().table.len()
    }

    /// Asks in advance for the credentials of the partner, on a TCP socket of any runtime that is
    /// not connected yet. (`SIOCSPARTNERINFO`)
    ///
    /// On a socket that will connect it holds for that connection; on one that listens, or will
    /// listen, for every connection accepted from then on. The latest set counts.
    ///
    /// # Errors
    ///
    /// - [`NotAuthorized`](crate::ErrorKind::NotAuthorized): the policy does not permit this caller.
    /// - [`TooLate`](crate::ErrorKind::TooLate): the socket is connected already.
    /// - [`NotTcp`](crate::ErrorKind::NotTcp): the descriptor is not a TCP socket.
    /// - [`Io`](crate::ErrorKind::Io): a system call failed; the message names it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// use partner_info::{ErrorKind, PartnerRequest, Stack};
    ///
    /// let stack = Stack::builder().build();
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// stack.set_partner_info(&listener, PartnerRequest::USER_ID)?;
    ///
    /// let client = TcpStream::connect(listener.local_addr()?)?;
    /// let error = stack.set_partner_info(&client, PartnerRequest::USER_ID).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::TooLate);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "SIOCSPARTNERINFO")]
    pub fn set_partner_info(
        &self,
        socket: &impl AsSocket,
        request: PartnerRequest,
    ) -> Result<(), Error> {
        self.set(socket_of(socket), request)
    }

    /// Gets the partner's credentials without waiting, on a connected TCP socket of any runtime.
    /// (`SIOCGPARTNERINFO` with `PI_Timeout` 0)
    ///
    /// Never suspends, and makes a few system calls at most. After a set, the first call starts the
    /// retrieval and says [`InProgress`](crate::ErrorKind::InProgress); a later one has the answer.
    ///
    /// # Errors
    ///
    /// - [`NotAuthorized`](crate::ErrorKind::NotAuthorized): the policy does not permit this caller.
    /// - [`NotRequested`](crate::ErrorKind::NotRequested): nothing was set, and nothing is saved.
    /// - [`InProgress`](crate::ErrorKind::InProgress): not here yet. Get again later.
    /// - [`Unidentified`](crate::ErrorKind::Unidentified): asked, and no trustworthy answer exists;
    ///   told once, then the next call starts anew.
    /// - [`AlreadyInProgress`](crate::ErrorKind::AlreadyInProgress): a get waits on this connection.
    /// - [`NotConnected`](crate::ErrorKind::NotConnected), [`NotTcp`](crate::ErrorKind::NotTcp),
    ///   [`Unsupported`](crate::ErrorKind::Unsupported), [`Io`](crate::ErrorKind::Io): as they say.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// use partner_info::{ErrorKind, PartnerRequest, Stack};
    ///
    /// let stack = Stack::builder().build();
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// let error = stack.try_get_partner_info(&server, PartnerRequest::USER_ID).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotRequested); // nothing was set
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "SIOCGPARTNERINFO")]
    pub fn try_get_partner_info(
        &self,
        socket: &impl AsSocket,
        request: PartnerRequest,
    ) -> Result<PartnerInfo, Error> {
        self.poll_once(socket_of(socket), request)
    }

    /// Forgets what is kept of this socket: saved credentials, and what was set.
    ///
    /// Only a program needs this that disconnects a socket with connect(2) and `AF_UNSPEC` and
    /// connects the same socket again, bound to the same port, to the same address: the kernel shows
    /// nothing that would tell the two connections apart, so that the second would be answered with
    /// what was saved of the first. Any other change of a socket's partner is noticed.
    ///
    /// # Errors
    ///
    /// [`NotTcp`](crate::ErrorKind::NotTcp): the descriptor is not a socket.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// # use std::time::Duration;
    /// use partner_info::{ErrorKind, PartnerRequest, Stack};
    ///
    /// let stack = Stack::builder().build();
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// let request = PartnerRequest::USER_ID;
    /// stack.get_partner_info_blocking(&server, request, Duration::from_secs(1))?;
    /// assert!(stack.try_get_partner_info(&server, request).is_ok()); // saved
    /// stack.forget_partner(&server)?;
    /// let error = stack.try_get_partner_info(&server, request).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotRequested);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn forget_partner(&self, socket: &impl AsSocket) -> Result<(), Error> {
        self.forget(socket_of(socket))
    }
}
