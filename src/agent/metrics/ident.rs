//! What is counted at port 113.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{BUCKETS, Label, Metrics};

pub(super) struct IdentMetrics {
    answers: Family<Label, Counter>,
    refusals: Family<Label, Counter>,
    seconds: Histogram,
    connections: Gauge,
    closed: Family<Label, Counter>,
}

impl IdentMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let ident = Self {
            answers: Family::default(),
            refusals: Family::default(),
            seconds: Histogram::new(BUCKETS),
            connections: Gauge::default(),
            closed: Family::default(),
        };
        for answer in ["USERID", "INVALID-PORT", "NO-USER", "HIDDEN-USER", "UNKNOWN-ERROR"] {
            // There from the beginning, so that a rate can be taken of the first.
            drop(ident.answers.get_or_create(&[("answer", answer)]));
        }
        let help = "Answers at port 113, by what was answered";
        registry.register("ident_answers", help, ident.answers.clone());
        let help = "Questions at port 113 that were not answered with a user, by kind of error";
        registry.register("ident_refusals", help, ident.refusals.clone());
        let help = "Time from a question's arrival at port 113 to its answer, in seconds";
        registry.register("ident_question_seconds", help, ident.seconds.clone());
        let help = "Connections to port 113";
        registry.register("ident_connections", help, ident.connections.clone());
        let help = "Connections to port 113 that were closed without an answer, by reason";
        registry.register("ident_connections_closed", help, ident.closed.clone());
        ident
    }
}

impl Metrics {
    /// Somebody connected to port 113. [`ident_disconnected`](Self::ident_disconnected) follows.
    pub(crate) fn ident_connected(&self) {
        self.ident.connections.inc();
    }

    pub(crate) fn ident_disconnected(&self) {
        self.ident.connections.dec();
    }

    /// A question has its answer. `kind`: why nobody was named.
    pub(crate) fn ident_answered(
        &self,
        answer: &'static str,
        kind: Option<&'static str>,
        took: Duration,
    ) {
        self.ident.answers.get_or_create(&[("answer", answer)]).inc();
        if let Some(kind) = kind {
            self.ident.refusals.get_or_create(&[("kind", kind)]).inc();
        }
        self.ident.seconds.observe(took.as_secs_f64());
    }

    /// A connection was closed without an answer.
    pub(crate) fn ident_closed(&self, why: &'static str) {
        self.ident.closed.get_or_create(&[("why", why)]).inc();
    }
}
