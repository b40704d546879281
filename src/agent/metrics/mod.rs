//! What the agent counts, and where a monitoring system reads it.

#[cfg(feature = "ident")]
mod ident;
mod peers;
mod serve;

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::peers::PeerMetrics;
pub(crate) use self::serve::serve;
use super::audit::Tally;

/// Upper bounds of the histogram of questions, in seconds: from what a lookup takes to the longest
/// that a question may.
const BUCKETS: [f64; 20] = [
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005,
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 300.0,
];

/// A name and one of the few values it may have: all are the agent's own words, so that nobody who
/// asks can make the number of series grow.
type Label = [(&'static str, &'static str); 1];

/// The counters and gauges of an agent.
pub(crate) struct Metrics {
    registry: Registry,
    questions: Family<Label, Counter>,
    refusals: Family<Label, Counter>,
    question_seconds: Histogram,
    in_flight: Gauge,
    connections: Gauge,
    connections_refused: Family<Label, Counter>,
    namespaces: Gauge,
    audit: Tally,
    peers: PeerMetrics,
    #[cfg(feature = "ident")]
    ident: ident::IdentMetrics,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("partnerd");
        let questions = Family::<Label, Counter>::default();
        for outcome in ["told", "refused", "not_yet_accepted"] {
            // There from the beginning, so that a rate can be taken of the first.
            drop(questions.get_or_create(&[("outcome", outcome)]));
        }
        let refusals = Family::<Label, Counter>::default();
        let question_seconds = Histogram::new(BUCKETS);
        let in_flight = Gauge::default();
        let connections = Gauge::default();
        let connections_refused = Family::<Label, Counter>::default();
        let namespaces = Gauge::default();
        let audit = Tally::default();
        let peers = PeerMetrics::register(&mut registry);
        #[cfg(feature = "ident")]
        let ident = ident::IdentMetrics::register(&mut registry);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("questions", "Questions, by what came of them", questions.clone());
        registry.register("refusals", "Refused questions, by kind of error", refusals.clone());
        let help = "Time from a question's arrival to its answer, in seconds";
        registry.register("question_seconds", help, question_seconds.clone());
        let help = "Questions that are being answered";
        registry.register("questions_in_flight", help, in_flight.clone());
        registry.register("connections", "Connections of callers", connections.clone());
        let help = "Connections of callers that were not taken, by reason";
        registry.register("connections_refused", help, connections_refused.clone());
        let help = "Network namespaces that partners are looked for in";
        registry.register("namespaces", help, namespaces.clone());
        registry.register("audit_records", "Audit records made", audit.records.clone());
        registry.register("audit_failures", "Audit writes that failed", audit.failures.clone());
        let help = "Audit records that could not be written";
        registry.register("audit_records_lost", help, audit.lost.clone());
        registry.register("build", "The version of this program", build);
        Self {
            registry,
            questions,
            refusals,
            question_seconds,
            in_flight,
            connections,
            connections_refused,
            namespaces,
            audit,
            peers,
            #[cfg(feature = "ident")]
            ident,
        }
    }

    /// What the audit counts, for [`Audit::open`](super::audit::Audit::open).
    pub(crate) fn audit_tally(&self) -> Tally {
        self.audit.clone()
    }

    /// A caller connected.
    pub(crate) fn connected(&self) {
        self.connections.inc();
    }

    /// A caller that was [`connected`](Self::connected) is gone.
    pub(crate) fn disconnected(&self) {
        self.connections.dec();
    }

    /// A caller connected and was sent away.
    pub(crate) fn connection_refused(&self, why: &'static str) {
        self.connections_refused.get_or_create(&[("why", why)]).inc();
    }

    /// A question came. One of the three below tells what came of it.
    pub(crate) fn question_came(&self) {
        self.in_flight.inc();
    }

    pub(crate) fn question_told(&self, took: Duration) {
        self.question_ended("told", took);
    }

    pub(crate) fn question_refused(&self, kind: &'static str, took: Duration) {
        self.refusals.get_or_create(&[("kind", kind)]).inc();
        self.question_ended("refused", took);
    }

    pub(crate) fn question_not_yet_accepted(&self, took: Duration) {
        self.question_ended("not_yet_accepted", took);
    }

    fn question_ended(&self, outcome: &'static str, took: Duration) {
        self.in_flight.dec();
        self.questions.get_or_create(&[("outcome", outcome)]).inc();
        self.question_seconds.observe(took.as_secs_f64());
    }

    /// How many network namespaces there are to look in.
    pub(crate) fn namespaces_known(&self, count: usize) {
        self.namespaces.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Everything, in Prometheus' text format.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|found| found == line)
    }

    #[test]
    fn events_are_counted() {
        let metrics = Metrics::new();
        metrics.connected();
        metrics.connected();
        metrics.disconnected();
        metrics.connection_refused("limit");
        for _ in 0..5 {
            metrics.question_came();
        }
        metrics.question_told(Duration::from_micros(7));
        metrics.question_told(Duration::from_micros(8));
        metrics.question_refused("not-authorized", Duration::from_micros(1));
        metrics.question_not_yet_accepted(Duration::from_secs(2));
        metrics.namespaces_known(3);
        metrics.audit_tally().records.inc();
        let text = metrics.text().unwrap();
        for line in [
            "partnerd_connections 1",
            "partnerd_connections_refused_total{why=\"limit\"} 1",
            "partnerd_questions_total{outcome=\"told\"} 2",
            "partnerd_questions_total{outcome=\"refused\"} 1",
            "partnerd_questions_total{outcome=\"not_yet_accepted\"} 1",
            "partnerd_refusals_total{kind=\"not-authorized\"} 1",
            "partnerd_questions_in_flight 1",
            "partnerd_question_seconds_bucket{le=\"5e-06\"} 1",
            "partnerd_question_seconds_bucket{le=\"1e-05\"} 3",
            "partnerd_question_seconds_count 4",
            "partnerd_namespaces 3",
            "partnerd_audit_records_total 1",
            "partnerd_audit_failures_total 0",
            "partnerd_audit_records_lost_total 0",
        ] {
            assert!(has(&text, line), "{line} is not in\n{text}");
        }
        assert!(text.contains("partnerd_build_info{version=\""), "{text}");
    }

    #[test]
    fn outcomes_are_there_from_the_beginning() {
        let text = Metrics::new().text().unwrap();
        assert!(has(&text, "partnerd_questions_total{outcome=\"told\"} 0"), "{text}");
    }
}
