//! What is counted of other hosts: of their questions, and of those that they are asked.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Label, Metrics};

/// Hosts that are counted by name. A name is in a certificate, so nobody makes them up; but there may
/// be more of them than a monitoring system wants.
const HOSTS: usize = 1_000;
/// All others, and a host of this very name.
const OTHERS: &str = "other";

pub(super) struct PeerMetrics {
    questions: Family<Label, Counter>,
    refusals: Family<Label, Counter>,
    by_host: ByHost,
    handshakes: Family<Label, Counter>,
    connections: Gauge,
    disconnections: Family<Label, Counter>,
    connections_refused: Family<Label, Counter>,
    host_questions: Family<Label, Counter>,
}

#[derive(Default)]
struct ByHost {
    family: Family<[(&'static str, String); 1], Counter>,
    known: Mutex<HashMap<String, Counter>>,
}

impl PeerMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let peers = Self {
            // There from the beginning, so that a rate can be taken of the first.
            questions: outcomes(&["told", "refused", "not_yet_accepted"]),
            refusals: Family::default(),
            by_host: ByHost::default(),
            handshakes: outcomes(&["full", "resumed"]),
            connections: Gauge::default(),
            disconnections: Family::default(),
            connections_refused: Family::default(),
            host_questions: outcomes(&["told", "refused", "unreachable", "timed_out"]),
        };
        let help = "Questions of other hosts, by what came of them";
        registry.register("peer_questions", help, peers.questions.clone());
        let help = "Refused questions of other hosts, by kind";
        registry.register("peer_refusals", help, peers.refusals.clone());
        let help = "Questions of other hosts, by host";
        registry.register("peer_questions_by_host", help, peers.by_host.family.clone());
        let help = "Handshakes of other hosts, by what came of them";
        registry.register("peer_handshakes", help, peers.handshakes.clone());
        let help = "Connections of other hosts that are proven";
        registry.register("peer_connections", help, peers.connections.clone());
        let help = "Connections of other hosts that ended, by reason";
        registry.register("peer_disconnections", help, peers.disconnections.clone());
        let help = "Connections of other hosts that were not taken, by reason";
        registry.register("peer_connections_refused", help, peers.connections_refused.clone());
        let help = "Questions asked of other hosts, by what came of them";
        registry.register("host_questions", help, peers.host_questions.clone());
        peers
    }

    fn question_ended(&self, host: &str, outcome: &'static str) {
        self.questions.get_or_create(&[("outcome", outcome)]).inc();
        self.by_host.count(host);
    }
}

fn outcomes(names: &[&'static str]) -> Family<Label, Counter> {
    let family = Family::<Label, Counter>::default();
    for name in names {
        drop(family.get_or_create(&[("outcome", name)]));
    }
    family
}

impl ByHost {
    fn count(&self, host: &str) {
        // A host is in the table or not.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = known.get(host) {
            counter.inc();
            return;
        }
        let name = if known.len() < HOSTS { host } else { OTHERS };
        let counter = self.family.get_or_create(&[("host", name.to_owned())]).clone();
        if name == host {
            known.insert(host.to_owned(), counter.clone());
        }
        counter.inc();
    }
}

impl Metrics {
    /// A host proved who it is. [`peer_disconnected`](Self::peer_disconnected) follows.
    pub(crate) fn peer_connected(&self, resumed: bool) {
        let outcome = if resumed { "resumed" } else { "full" };
        self.peers.handshakes.get_or_create(&[("outcome", outcome)]).inc();
        self.peers.connections.inc();
    }

    pub(crate) fn peer_disconnected(&self, why: &'static str) {
        self.peers.connections.dec();
        self.peers.disconnections.get_or_create(&[("why", why)]).inc();
    }

    /// A host did not prove who it is.
    pub(crate) fn peer_handshake_failed(&self, kind: &'static str) {
        self.peers.handshakes.get_or_create(&[("outcome", kind)]).inc();
    }

    /// A connection was closed before anything was read.
    pub(crate) fn peer_connection_refused(&self, why: &'static str) {
        self.peers.connections_refused.get_or_create(&[("why", why)]).inc();
    }

    /// Something was told to another host. `host` is the name in its certificate, as below.
    pub(crate) fn peer_question_told(&self, host: &str) {
        self.peers.question_ended(host, "told");
    }

    pub(crate) fn peer_question_not_yet_accepted(&self, host: &str) {
        self.peers.question_ended(host, "not_yet_accepted");
    }

    pub(crate) fn peer_question_refused(&self, host: &str, kind: &'static str) {
        self.peers.refusals.get_or_create(&[("kind", kind)]).inc();
        self.peers.question_ended(host, "refused");
    }

    /// Another host was asked. `outcome`: `told`, `refused`, `not_yet_accepted`, or why there is no
    /// answer: `unreachable`, `untrusted`, `security_domain`, `timed_out`, `busy`, `lost`, `failed`.
    pub(crate) fn host_question_ended(&self, outcome: &'static str) {
        self.peers.host_questions.get_or_create(&[("outcome", outcome)]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|found| found == line)
    }

    #[test]
    fn events_of_other_hosts_are_counted() {
        let metrics = Metrics::new();
        metrics.peer_connected(false);
        metrics.peer_connected(true);
        metrics.peer_connected(true);
        metrics.peer_disconnected("idle");
        metrics.peer_handshake_failed("untrusted");
        metrics.peer_connection_refused("too-many");
        metrics.peer_question_told("web1");
        metrics.peer_question_not_yet_accepted("web1");
        metrics.peer_question_refused("db1", "over-limit");
        metrics.host_question_ended("busy");
        let text = metrics.text().unwrap();
        for line in [
            "partnerd_peer_handshakes_total{outcome=\"full\"} 1",
            "partnerd_peer_handshakes_total{outcome=\"resumed\"} 2",
            "partnerd_peer_handshakes_total{outcome=\"untrusted\"} 1",
            "partnerd_peer_connections 2",
            "partnerd_peer_disconnections_total{why=\"idle\"} 1",
            "partnerd_peer_connections_refused_total{why=\"too-many\"} 1",
            "partnerd_peer_questions_total{outcome=\"told\"} 1",
            "partnerd_peer_questions_total{outcome=\"not_yet_accepted\"} 1",
            "partnerd_peer_questions_total{outcome=\"refused\"} 1",
            "partnerd_peer_refusals_total{kind=\"over-limit\"} 1",
            "partnerd_peer_questions_by_host_total{host=\"web1\"} 2",
            "partnerd_peer_questions_by_host_total{host=\"db1\"} 1",
            "partnerd_host_questions_total{outcome=\"busy\"} 1",
            "partnerd_host_questions_total{outcome=\"timed_out\"} 0",
        ] {
            assert!(has(&text, line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn no_number_of_hosts_makes_the_series_grow_for_ever() {
        let metrics = Metrics::new();
        for round in 1..=2 {
            for host in 0..HOSTS + 10 {
                metrics.peer_question_told(&format!("h{host}"));
            }
            let text = metrics.text().unwrap();
            let series = "partnerd_peer_questions_by_host_total{";
            assert_eq!(text.lines().filter(|line| line.starts_with(series)).count(), HOSTS + 1);
            for (host, count) in [("h0", round), ("h999", round), (OTHERS, 10 * round)] {
                let line = format!("{series}host=\"{host}\"}} {count}");
                assert!(has(&text, &line), "{line}");
            }
        }
    }
}
