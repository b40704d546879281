//! What the service manager is told, where there is one: sd_notify(3).

use std::time::Duration;

use sd_notify::NotifyState;

/// The agent answers. `status` is a line for people.
pub(super) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] follows.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the service manager was not told of the reload"),
    }
}

pub(super) fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// The agent's loop still turns.
pub(super) fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is to be said: twice in the time after which the service manager takes the
/// agent for dead. `None`: it does not look.
pub(super) fn heartbeat() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|period| period / 2).filter(|period| !period.is_zero())
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        // It is not there any more, or was never: the agent does its work without it.
        tracing::debug!(%error, "the service manager was not told");
    }
}
