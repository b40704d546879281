//! Where the identity comes from, as the configuration says.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

use super::files::Files;
use super::{Identity, Publisher, channel};
use crate::agent::config::{IdentityConfig, shown_path};
use crate::policy::SecurityDomain;

/// Keeps an identity up to date, while it runs.
pub(crate) struct Source {
    publisher: Publisher,
    kind: Kind,
    reread: Arc<Notify>,
}

enum Kind {
    Files(Box<Files>),
    #[cfg(feature = "spiffe")]
    WorkloadApi(super::workload::WorkloadApi),
}

impl Source {
    /// What files say is in force when this returns; what the Workload API says, when it does.
    /// Opens files, and may wait for the disk.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] where files say no identity. One that has expired is none to fail for:
    /// the agent does without, and a new one is noticed.
    ///
    /// Where the policy has a `domain`, an identity of another is refused: no question to or from
    /// another host could be answered with it.
    pub(crate) fn open(
        config: &IdentityConfig,
        domain: Option<&SecurityDomain>,
    ) -> Result<Option<(Self, Identity)>, IdentityError> {
        if matches!(config, IdentityConfig::Absent) {
            return Ok(None);
        }
        let (publisher, identity) = channel().map_err(IdentityError::Tls)?;
        let kind = match config {
            IdentityConfig::Absent => return Ok(None),
            IdentityConfig::Files { certificate, key, trust } => {
                let mut files = Files::new(certificate, key, trust, domain.cloned());
                publisher.publish(files.load(&publisher.provider)?);
                Kind::Files(Box::new(files))
            }
            #[cfg(feature = "spiffe")]
            IdentityConfig::WorkloadApi { socket } => {
                Kind::WorkloadApi(super::workload::WorkloadApi::new(socket, domain.cloned()))
            }
            #[cfg(not(feature = "spiffe"))]
            IdentityConfig::WorkloadApi { socket } => {
                return Err(IdentityError::NotBuilt { socket: socket.clone() });
            }
        };
        let reread = Arc::new(Notify::new());
        Ok(Some((Self { publisher, kind, reread }, identity)))
    }

    /// Has files read again at once.
    pub(crate) fn reread(&self) -> Arc<Notify> {
        Arc::clone(&self.reread)
    }

    /// Runs for ever.
    pub(crate) async fn run(self) {
        match self.kind {
            Kind::Files(files) => files.watch(self.publisher, self.reread).await,
            #[cfg(feature = "spiffe")]
            Kind::WorkloadApi(api) => api.watch(self.publisher).await,
        }
    }
}

/// Why there is no identity: what was expected, what came, what to do.
#[derive(Debug)]
pub(crate) enum IdentityError {
    Unreadable {
        path: PathBuf,
        /// The configuration's key that names it.
        key: &'static str,
        error: io::Error,
    },
    Invalid {
        path: PathBuf,
        expected: String,
        /// Fit to show.
        found: String,
        remedy: &'static str,
    },
    #[cfg(not(feature = "spiffe"))]
    NotBuilt {
        socket: PathBuf,
    },
    Tls(rustls::Error),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, key, error } => {
                let path = shown_path(path);
                write!(f, "{path}: expected a readable file; found that it cannot be read: ")?;
                write!(f, "{error}; make it readable by the agent, or correct {key}")
            }
            Self::Invalid { path, expected, found, remedy } => {
                let path = shown_path(path);
                write!(f, "{path}: expected {expected}; found {found}; {remedy}")
            }
            #[cfg(not(feature = "spiffe"))]
            Self::NotBuilt { socket } => {
                let socket = shown_path(socket);
                write!(f, "identity.workload_api: expected a program built with the feature ")?;
                write!(f, "\"spiffe\"; found one without, and {socket}; build it with this ")?;
                write!(f, "feature, or name files")
            }
            Self::Tls(error) => write!(f, "TLS 1.3 cannot be set up: {error}"),
        }
    }
}

impl std::error::Error for IdentityError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::Invalid { .. } => None,
            #[cfg(not(feature = "spiffe"))]
            Self::NotBuilt { .. } => None,
            Self::Tls(error) => Some(error),
        }
    }
}
