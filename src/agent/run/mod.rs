//! The program `partnerd`: from the command line to the exit status.

mod arguments;
mod check;
mod control;
mod logging;
mod notify;
mod socket;

use std::fmt::Display;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use self::arguments::{Arguments, Status};
use self::control::{Control, Signals};
use self::logging::Logging;
use super::audit::Audit;
use super::config::Config;
use super::identity::{Identity, Source};
use super::metrics::{self, Metrics};
use super::privileges::{self, Work};
use super::server::{self, Setup};
use super::stop;

/// What stands on the command line, for completions and manual pages.
pub(crate) fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// How long work that blocks may hold the end of the program.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Runs the agent, and says how it ended.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            // Help and version come this way too, and are no errors.
            let status = if message.use_stderr() { Status::Usage } else { Status::Stopped };
            let _ = message.print();
            return status.code().into();
        }
    };
    let ended = if arguments.check { look(&arguments) } else { run(&arguments) };
    ended.map_or_else(|status| status, |()| Status::Stopped).code().into()
}

/// Tells on the standard error why the agent does not start.
fn because<E: Display>(status: Status) -> impl FnOnce(E) -> Status {
    move |error| {
        let _ = writeln!(io::stderr(), "partnerd: {error}");
        status
    }
}

/// setrlimit(2): as many descriptors as the agent may have. Where that fails, it has fewer.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Each port in the agent's own namespace at which is asked whose a connection is.
#[cfg(feature = "ident")]
fn listen_for_ident(config: &Config) -> Result<Vec<std::os::fd::OwnedFd>, String> {
    let listen = |address: &std::net::SocketAddr| {
        super::ident::listen(*address).map_err(|error| {
            format!(
                "{address}: listening for ident: {error}; stop what answers there, run the agent as \
                 root, or name another address in `ident.listen`"
            )
        })
    };
    config.ident.listen.iter().map(listen).collect()
}

fn look(arguments: &Arguments) -> Result<(), Status> {
    let config = Config::load(arguments.config.as_deref()).map_err(because(Status::Invalid))?;
    let policy = check::policy(&config).map_err(because(Status::Invalid))?;
    let identity = Source::open(&config.identity, policy.1.security_domain())
        .map_err(because(Status::Invalid))?;
    let mut text = check::describe(&config, &policy);
    text += &check::identity(&config.identity, identity.map(|(_, identity)| identity).as_ref());
    text += &check::rights(&config).map_err(because(Status::Forbidden))?;
    io::stdout().write_all(text.as_bytes()).map_err(because(Status::Failed))
}

/// Everything that may fail for want of a right or a valid file comes before the first answer, and
/// what takes more rights than the agent keeps comes before they are given up.
fn run(arguments: &Arguments) -> Result<(), Status> {
    let file = arguments.config.clone();
    let config = Config::load(file.as_deref()).map_err(because(Status::Invalid))?;
    let policy = check::policy(&config).map_err(because(Status::Invalid))?;
    // No thread before this line and the two below: the environment is changed, and rights are a
    // thread's own.
    let listener = socket::listen(&config.socket).map_err(because(Status::Socket))?;
    let for_metrics =
        config.metrics.listen.map(TcpListener::bind).transpose().map_err(|error| {
            let address = config.metrics.listen.map(|address| address.to_string());
            let address = address.as_deref().unwrap_or("metrics.listen");
            let message = format!("{address}: listening for metrics: {error}; name a free port");
            because(Status::Socket)(message)
        })?;
    #[cfg(feature = "ident")]
    let for_ident = listen_for_ident(&config).map_err(because(Status::Socket))?;
    raise_descriptor_limit();
    let rights = privileges::keep(Work::of(&config)).map_err(because(Status::Forbidden))?;

    let logging = Logging::start(&config.log);
    for need in &rights.missing {
        tracing::warn!(capability = need.name, "a capability is missing: {}", need.without);
    }
    tracing::info!(%rights, "rights");
    if policy.1.is_embedded() {
        tracing::info!("no policy file: the embedded default is in force");
    }
    let identity = Source::open(&config.identity, policy.1.security_domain())
        .map_err(because(Status::Invalid))?;
    drop(policy);
    let (source, identity) = identity.unzip();
    if let Some(svid) = identity.as_ref().and_then(Identity::current) {
        tracing::info!(name = %svid.name(), "identity");
    }
    let reread = source.as_ref().map(Source::reread);
    let metrics = Arc::new(Metrics::new());
    let audit =
        Audit::open(&config.audit, metrics.audit_tally()).map_err(because(Status::Invalid))?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(because(Status::Failed))?;
    let local = LocalSet::new();
    let (stopper, stop) = stop::channel();
    let (reloads, for_server) = mpsc::channel(1);
    let setup = Setup {
        config: config.clone(),
        listener: listener.socket,
        audit: audit.clone(),
        metrics: Arc::clone(&metrics),
        identity,
        #[cfg(feature = "ident")]
        ident: for_ident,
        reloads: for_server,
        stop,
    };
    let for_control = audit.clone();
    let ended = runtime.block_on(local.run_until(async move {
        let signals = Signals::new()?;
        if let Some(listener) = for_metrics {
            tokio::spawn(metrics::serve(listener, metrics));
        }
        if let Some(source) = source {
            tokio::spawn(source.run());
        }
        let server = tokio::task::spawn_local(server::serve(setup));
        let audit = for_control;
        let control = Control { signals, file, config, logging, audit, reread, reloads, stopper };
        control.run(server).await
    }));
    drop(local);
    runtime.shutdown_timeout(LAST_WORK);
    audit.close();
    // Nobody is led to a socket where nothing answers.
    drop(listener.file);
    ended.map_err(|error: io::Error| {
        tracing::error!(%error, "partnerd failed");
        Status::Failed
    })
}
