//! The agent while it runs: signals, the configuration read again, the service manager.

use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::logging::Logging;
use super::{check, notify};
use crate::agent::audit::Audit;
use crate::agent::config::{Config, Namespaces};
use crate::agent::stop::Stopper;

/// How long what is in flight may take after the request to stop.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// How long the server may take to begin with a new configuration.
const HAND_OVER: Duration = Duration::from_secs(5);

/// The signals that the agent knows. From the moment they are made they no longer end the process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// What can be changed while the agent runs, and how it is told.
pub(super) struct Control {
    pub(super) signals: Signals,
    /// As on the command line.
    pub(super) file: Option<PathBuf>,
    pub(super) config: Config,
    pub(super) logging: Logging,
    pub(super) audit: Audit,
    /// Has the files of the identity read again.
    pub(super) reread: Option<Arc<Notify>>,
    pub(super) reloads: mpsc::Sender<Config>,
    pub(super) stopper: Stopper,
}

impl Control {
    /// Runs until a signal says stop, or the server ends by itself.
    pub(super) async fn run(mut self, mut server: JoinHandle<io::Result<()>>) -> io::Result<()> {
        let mut heartbeat = notify::heartbeat().map(|period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        notify::ready(&self.status());
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "partnerd answers");
        loop {
            tokio::select! {
                ended = &mut server => return ended?,
                _ = self.signals.terminate.recv() => break,
                _ = self.signals.interrupt.recv() => break,
                _ = self.signals.hangup.recv() => self.reload().await,
                () = beat(&mut heartbeat) => notify::alive(),
            }
        }
        notify::stopping();
        tracing::info!("partnerd stops");
        self.stopper.stop();
        match timeout(LAST_ANSWERS, &mut server).await {
            Ok(ended) => ended?,
            Err(_) => {
                tracing::warn!("questions were left without an answer");
                server.abort();
                Ok(())
            }
        }
    }

    async fn reload(&mut self) {
        notify::reloading();
        if let Some(reread) = &self.reread {
            reread.notify_one();
        }
        match self.read() {
            Ok(config) => self.adopt(config).await,
            Err(error) => tracing::error!(%error, "the configuration stays as it was"),
        }
        notify::ready(&self.status());
    }

    /// The configuration as the file has it now, if it and the policy are valid.
    fn read(&self) -> Result<Config, Box<dyn std::error::Error>> {
        let config = Config::load(self.file.as_deref())?;
        check::policy(&config)?;
        Ok(config)
    }

    async fn adopt(&mut self, new: Config) {
        let later = self.config.differs_beyond_reload(&new);
        if !later.is_empty() {
            let keys = later.join(", ");
            tracing::warn!(keys, "these changes take effect at the next start");
        }
        let mut new = self.config.reloaded(new);
        self.logging.level(new.log.level);
        if let Err(error) = self.audit.reopen(&new.audit) {
            tracing::error!(%error, "the audit stays as it was");
            new.audit = self.config.audit.clone();
        }
        self.config = new.clone();
        match timeout(HAND_OVER, self.reloads.send(new)).await {
            Ok(Ok(())) => tracing::info!("the configuration was read again"),
            Ok(Err(_)) | Err(_) => tracing::error!("the server does not take the configuration"),
        }
    }

    fn status(&self) -> String {
        let namespaces = match &self.config.namespaces {
            Namespaces::All => "all network namespaces".into(),
            Namespaces::Own => "the own network namespace".into(),
            Namespaces::Listed(paths) => format!("the own network namespace and {}", paths.len()),
        };
        format!("answers for {namespaces}")
    }
}

/// The next beat; never where nobody listens for it.
async fn beat(heartbeat: &mut Option<Interval>) {
    match heartbeat {
        Some(interval) => {
            interval.tick().await;
        }
        None => pending().await,
    }
}
