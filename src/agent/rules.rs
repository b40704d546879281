//! What a reload changes: limits, other hosts, and the policy.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

#[cfg(feature = "ident")]
use super::config::IdentConfig;
use super::config::{Config, LimitsConfig, PeersConfig};
use crate::stack::authority::{Authority, Names, Source};

/// The rules in force, which a question reads when it needs them.
pub(super) struct Rules(RwLock<InForce>);

struct InForce {
    limits: Arc<LimitsConfig>,
    peers: Arc<PeersConfig>,
    #[cfg(feature = "ident")]
    ident: Arc<IdentConfig>,
    policy: Option<PathBuf>,
    authority: Arc<Authority>,
}

impl Rules {
    pub(super) fn of(config: &Config) -> Self {
        Self(RwLock::new(InForce {
            limits: Arc::new(config.limits.clone()),
            peers: Arc::new(config.peers.clone()),
            #[cfg(feature = "ident")]
            ident: Arc::new(config.ident.clone()),
            policy: config.policy.clone(),
            authority: Arc::new(authority(config.policy.as_deref())),
        }))
    }

    pub(super) fn limits(&self) -> Arc<LimitsConfig> {
        self.now(|rules| Arc::clone(&rules.limits))
    }

    pub(super) fn peers(&self) -> Arc<PeersConfig> {
        self.now(|rules| Arc::clone(&rules.peers))
    }

    #[cfg(feature = "ident")]
    pub(super) fn ident(&self) -> Arc<IdentConfig> {
        self.now(|rules| Arc::clone(&rules.ident))
    }

    pub(super) fn authority(&self) -> Arc<Authority> {
        self.now(|rules| Arc::clone(&rules.authority))
    }

    /// Goes by this configuration from the next question on.
    pub(super) fn reload(&self, config: Config) {
        let mut rules = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if rules.policy != config.policy {
            rules.authority = Arc::new(authority(config.policy.as_deref()));
        } else if let Err(error) = rules.authority.reload() {
            tracing::error!(%error, "the policy that was in force stays in force");
        }
        rules.policy = config.policy;
        rules.limits = Arc::new(config.limits);
        rules.peers = Arc::new(config.peers);
        #[cfg(feature = "ident")]
        {
            rules.ident = Arc::new(config.ident);
        }
    }

    // Each change leaves the rules whole, so a poisoned lock tells nothing.
    fn now<T>(&self, read: impl FnOnce(&InForce) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn authority(policy: Option<&Path>) -> Authority {
    Authority::new(Source::of_file(policy), Names::of_system())
}
