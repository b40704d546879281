//! The log: events of `tracing`, to the standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::agent::config::{LogConfig, LogFormat, LogLevel};

/// Overrides the configuration's level, with the directives of `tracing-subscriber`.
const VARIABLE: &str = "RUST_LOG";

/// Changes the level while the agent runs.
pub(super) struct Logging {
    /// `None`: the environment says what is logged.
    level: Option<reload::Handle<LevelFilter, Registry>>,
}

impl Logging {
    /// Begins to log. A second time in a process nothing changes.
    pub(super) fn start(config: &LogConfig) -> Self {
        let directives = std::env::var(VARIABLE).ok().filter(|directives| !directives.is_empty());
        if let Some(directives) = directives {
            let filter = EnvFilter::builder().parse_lossy(directives);
            // Fails where something else logs already.
            let _ =
                tracing_subscriber::registry().with(output(config).with_filter(filter)).try_init();
            return Self { level: None };
        }
        let (filter, handle) = reload::Layer::new(filter(config.level));
        let _ = tracing_subscriber::registry().with(filter).with(output(config)).try_init();
        Self { level: Some(handle) }
    }

    pub(super) fn level(&self, level: LogLevel) {
        if let Some(handle) = &self.level
            && let Err(error) = handle.reload(filter(level))
        {
            tracing::error!(%error, "the level of the log stays as it was");
        }
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn output<S>(config: &LogConfig) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match config.format {
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().with_ansi(false).boxed(),
    }
}
