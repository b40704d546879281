//! How a stack is made.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::authority::{Authority, Names, Source};
use super::lineage::Lineage;
use super::listeners::Listeners;
use super::table::Table;
use super::tokens::Tokens;
use super::{Inner, Resolver, Stack};
#[cfg(feature = "tower")]
use crate::accounts::Memberships;
use crate::accounts::{AccountNames, Accounts, Limits, SystemAccounts};
use crate::client::Agent;
use crate::policy::Policy;
use crate::token::HolderSearch;

/// Makes a [`Stack`].
///
/// ```
/// # use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// use partner_info::policy::Policy;
/// use partner_info::{PartnerRequest, Stack};
///
/// let stack = Stack::builder()
///     .connections(1_000)
///     .name_patience(Duration::from_millis(100))
///     .policy(Policy::embedded())
///     .build();
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let client = TcpStream::connect(listener.local_addr()?)?;
/// # let (server, _) = listener.accept()?;
/// let request = PartnerRequest::USER_ID;
/// let partner = stack.get_partner_info_blocking(&server, request, Duration::from_secs(1))?;
/// assert!(partner.user().is_some());
/// assert_eq!(stack.remembered_connections(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
#[derive(Clone)]
pub struct StackBuilder {
    connections: usize,
    names: usize,
    name_age: Duration,
    name_patience: Duration,
    account_names: Arc<dyn AccountNames>,
    names_partners: bool,
    resolvers: Vec<Resolver>,
    agent: Option<PathBuf>,
    trust_hidden_translation: bool,
    holder_search: HolderSearch,
    policy: Option<Source>,
}

impl Default for StackBuilder {
    fn default() -> Self {
        Self {
            connections: 65_536,
            names: 4_096,
            name_age: Duration::from_secs(60),
            name_patience: Duration::from_secs(1),
            account_names: Arc::new(SystemAccounts),
            names_partners: true,
            resolvers: vec![Resolver::Kernel, Resolver::Agent],
            agent: None,
            trust_hidden_translation: false,
            holder_search: HolderSearch::All,
            policy: None,
        }
    }
}

impl StackBuilder {
    /// How many connections are remembered, at most; 65,536 unless said otherwise, and at least 1.
    ///
    /// A connection takes some 200 bytes. Where more are in use, those least used are forgotten:
    /// the next get on such a connection retrieves again, and a set on it has to be made again.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// How many account names are kept, at most; 4,096 unless said otherwise.
    pub fn names(mut self, names: usize) -> Self {
        self.names = names;
        self
    }

    /// How long an account name is believed; one minute unless said otherwise. A renamed account
    /// shows its old name for that long.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use partner_info::Stack;
    ///
    /// // Few accounts, seldom renamed.
    /// let stack = Stack::builder().names(100).name_age(Duration::from_secs(600)).build();
    /// # let _ = stack;
    /// ```
    pub fn name_age(mut self, age: Duration) -> Self {
        self.name_age = age;
        self
    }

    /// How long a get waits for an account's name once its number is proven, within the get's own
    /// timeout; one second unless said otherwise. After that the answer comes without the name.
    pub fn name_patience(mut self, patience: Duration) -> Self {
        self.name_patience = patience;
        self
    }

    /// Where account names come from, also the caller's own where the policy asks for them; the
    /// system's name service unless said otherwise.
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// use std::{io, time::Duration};
    ///
    /// use partner_info::{AccountNames, PartnerRequest, Stack};
    ///
    /// struct Numbered;
    ///
    /// impl AccountNames for Numbered {
    ///     fn name_of(&self, uid: u32) -> io::Result<Option<String>> {
    ///         Ok(Some(format!("user-{uid}")))
    ///     }
    /// }
    ///
    /// let patience = Duration::from_secs(10);
    /// let stack = Stack::builder().account_names(Numbered).name_patience(patience).build();
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// let request = PartnerRequest::USER_ID;
    /// let partner = stack.get_partner_info_blocking(&server, request, patience)?;
    /// let user = partner.user().unwrap();
    /// assert_eq!(user.name(), Some(format!("user-{}", user.uid()).as_str()));
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn account_names(mut self, source: impl AccountNames) -> Self {
        self.account_names = Arc::new(source);
        self
    }

    /// Looks up no partner's name: a [`UserId`](crate::UserId) is a number, and so it is shown. For a
    /// program that decides by numbers: no get waits for a name service, and no thread asks one.
    ///
    /// A partner on another host has the name that its host tells all the same, and whether an account
    /// has the number ([`TokenFlags::undefined_user`](crate::token::TokenFlags::undefined_user)) is not known. The
    /// caller's own names are looked up where the policy asks for them.
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// # use std::time::Duration;
    /// use partner_info::{PartnerRequest, Stack};
    ///
    /// let stack = Stack::builder().without_names().build();
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// let request = PartnerRequest::USER_ID;
    /// let partner = stack.get_partner_info_blocking(&server, request, Duration::from_secs(1))?;
    /// assert!(partner.user().is_some_and(|user| user.name().is_none()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn without_names(mut self) -> Self {
        self.names_partners = false;
        self
    }

    /// Who is asked; the kernel and the agent unless said otherwise. The kernel is asked first, in
    /// whatever order they are given. With nobody to ask, every get is
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// # use std::time::Duration;
    /// use partner_info::{ErrorKind, PartnerRequest, Stack};
    ///
    /// let stack = Stack::builder().resolvers([]).build(); // nobody to ask
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// let (request, timeout) = (PartnerRequest::USER_ID, Duration::from_secs(1));
    /// let error = stack.get_partner_info_blocking(&server, request, timeout).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Unsupported);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn resolvers(mut self, resolvers: impl IntoIterator<Item = Resolver>) -> Self {
        self.resolvers = resolvers.into_iter().collect();
        self
    }

    /// The Unix socket of this host's agent. Unless said otherwise it is what the environment
    /// variable `PARTNER_INFO_AGENT` names, except in a set-id program; else
    /// `/run/partnerd/partnerd.sock`. An agent need not be there.
    ///
    /// An agent is believed that runs as root, as this process's own user, or as the owner of the
    /// socket's folder where nobody else can write there: anybody can listen on some path.
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// # use std::time::Duration;
    /// use partner_info::{PartnerRequest, Stack};
    ///
    /// let stack = Stack::builder().agent("/nonexistent/partnerd.sock").build();
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// // In this network namespace the kernel's answer stands.
    /// let request = PartnerRequest::USER_ID;
    /// assert!(stack.get_partner_info_blocking(&server, request, Duration::from_secs(1)).is_ok());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn agent(mut self, socket: impl Into<PathBuf>) -> Self {
        self.agent = Some(socket.into());
        self
    }

    /// Whether a connection that connection tracking (conntrack) handles is taken for untranslated
    /// although this process may not see it; `false` unless said otherwise, and then such a partner
    /// is [`Reason::TranslationHidden`](crate::Reason::TranslationHidden).
    ///
    /// With `true` **you vouch that no rule of this network namespace redirects local connections
    /// to the ports in question**. Where one does, a local user can be taken for another. A process
    /// with `CAP_NET_ADMIN` sees the truth and needs no trust.
    ///
    /// ```
    /// use partner_info::Stack;
    ///
    /// // As `nft list ruleset` shows, nothing redirects to our ports.
    /// let stack = Stack::builder().trust_hidden_translation(true).build();
    /// # let _ = stack;
    /// ```
    pub fn trust_hidden_translation(mut self, trust: bool) -> Self {
        self.trust_hidden_translation = trust;
        self
    }

    /// How far to look for the processes that hold a partner's socket, for its token;
    /// [`HolderSearch::All`] unless said otherwise.
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// # use std::time::Duration;
    /// use partner_info::{HolderSearch, PartnerRequest, Stack};
    ///
    /// let stack = Stack::builder().holder_search(HolderSearch::First).build();
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// # let (server, _) = listener.accept()?;
    /// let request = PartnerRequest::UTOKEN;
    /// let partner = stack.get_partner_info_blocking(&server, request, Duration::from_secs(9))?;
    /// assert_eq!(partner.token().map(|token| token.holders().len()), Some(1));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn holder_search(mut self, search: HolderSearch) -> Self {
        self.holder_search = search;
        self
    }

    /// The policy that says who may ask, instead of a file.
    ///
    /// Of this and [`policy_file`](Self::policy_file) the last call counts. Without either the file
    /// is what the environment variable `PARTNER_INFO_POLICY` names, except in a set-id program;
    /// else `/etc/partner-info/policy.toml`, if it is there; else the embedded default is in force,
    /// [`Policy::embedded`].
    ///
    /// ```
    /// use partner_info::Stack;
    /// use partner_info::policy::Policy;
    ///
    /// let stack = Stack::builder().policy(Policy::parse("built in", "stack = \"BLUE\"")?).build();
    /// assert!(stack.resource()?.as_str().ends_with(".BLUE.PARTNERINFO"));
    /// assert_eq!(stack.policy_status().file(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(Source::Given(policy));
        self
    }

    /// The file with the policy that says who may ask. It must be there.
    ///
    /// A change is noticed within a second, by the next set or get, which then reads the file;
    /// [`Stack::reload_policy`] does so at once. A file that breaks a rule, cannot be read or is
    /// gone leaves in force what it said before, and that is logged. Where there is no before,
    /// everything that needs authorization is
    /// [`NotAuthorized`](crate::ErrorKind::NotAuthorized), for everybody: so the stack is made in
    /// any case. [`Stack::policy_status`] tells.
    ///
    /// ```
    /// use partner_info::Stack;
    ///
    /// let path = std::env::temp_dir().join(format!("blue-{}.toml", std::process::id()));
    /// std::fs::write(&path, "stack = \"BLUE\"")?;
    /// let stack = Stack::builder().policy_file(&path).build();
    /// assert!(stack.resource()?.as_str().ends_with(".BLUE.PARTNERINFO"));
    /// assert!(stack.policy_status().fault().is_none());
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn policy_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.policy = Some(Source::File(path.into()));
        self
    }

    /// The stack. Reads the policy file.
    #[must_use]
    pub fn build(self) -> Stack {
        Stack::begun_by(Recipe(Self {
            agent: Some(self.agent.unwrap_or_else(Agent::path_of_environment)),
            policy: Some(self.policy.unwrap_or_else(Source::of_environment)),
            ..self
        }))
    }
}

/// All that was decided about a stack: its like can be made again.
#[derive(Clone, Debug)]
pub(super) struct Recipe(StackBuilder);

impl Recipe {
    /// A stack of this process, where `before` is its parent's.
    pub(super) fn make(self, before: Weak<Inner>) -> Inner {
        let StackBuilder { account_names, name_age, name_patience, names_partners, .. } = &self.0;
        let names = Names::new(Arc::clone(account_names), *name_age, *name_patience);
        let limits = Limits { age: *name_age, names: self.0.names };
        let policy = self.0.policy.clone().unwrap_or_else(Source::of_environment);
        let agent = self.0.agent.clone().unwrap_or_else(Agent::path_of_environment);
        Inner {
            table: Table::new(self.0.connections),
            listeners: Listeners::new(),
            authority: Authority::new(policy, names),
            #[cfg(feature = "tower")]
            memberships: Memberships::new(Arc::clone(account_names), *name_age),
            accounts: names_partners.then(|| Accounts::new(Arc::clone(account_names), limits)),
            tokens: Tokens::new(self.0.holder_search),
            resolvers: self.0.resolvers.clone(),
            agent: Agent::new(agent),
            trust_hidden_translation: self.0.trust_hidden_translation,
            name_patience: *name_patience,
            lineage: Lineage::new(self, before),
        }
    }
}

impl std::fmt::Debug for StackBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StackBuilder")
            .field("connections", &self.connections)
            .field("names", &self.names)
            .field("name_age", &self.name_age)
            .field("name_patience", &self.name_patience)
            .field("names_partners", &self.names_partners)
            .field("resolvers", &self.resolvers)
            .field("agent", &self.agent)
            .field("trust_hidden_translation", &self.trust_hidden_translation)
            .field("holder_search", &self.holder_search)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
