//! What other hosts do that comes to no answer: all of it is counted, and what an administrator wants
//! to know of is recorded, by measure, so that nobody fills the audit who has proven nothing.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::audit::{Audit, Event, PeerEvent};
use super::metrics::Metrics;
use super::peers::{Observer, Peer};
use crate::policy::text::shown;

/// Records a second of what anybody may do who reaches the port.
pub(super) const OF_ANYBODY: u32 = 10;
/// Records a second of what it takes a certificate for.
const OF_HOSTS: u32 = 1_000;
/// Characters of a reason at most: part of it may be the other side's words.
const TEXT: usize = 300;

/// Records and counts.
pub(crate) struct PeerObserver {
    audit: Audit,
    metrics: Arc<Metrics>,
    anybody: Mutex<Ration>,
    hosts: Mutex<Ration>,
}

impl PeerObserver {
    pub(crate) fn new(audit: Audit, metrics: Arc<Metrics>) -> Self {
        Self {
            audit,
            metrics,
            anybody: Mutex::new(Ration::new(OF_ANYBODY)),
            hosts: Mutex::new(Ration::new(OF_HOSTS)),
        }
    }

    /// Records what happened unless too much did already.
    fn record(&self, ration: &Mutex<Ration>, event: &PeerEvent<'_>) {
        // Each change of a ration is whole.
        let mut ration = ration.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left_out) = ration.take(Instant::now()) else { return };
        drop(ration);
        self.audit.record_event(&PeerEvent { left_out, ..*event });
    }
}

impl Observer for PeerObserver {
    fn connection_refused(&self, from: IpAddr, kind: &'static str) {
        self.metrics.peer_connection_refused(kind);
        let text = match kind {
            "too-many" => "as many connections of other hosts are open as may be",
            "too-many-of-host" => "as many connections of this address are open as may be",
            "too-many-unproven" => "too many that connected have not proven who they are",
            _ => "the connection was closed before anything was read",
        };
        let event = Event::ConnectionRefused;
        let event = PeerEvent { host: None, address: from, event, kind, text, left_out: 0 };
        self.record(&self.anybody, &event);
    }

    fn handshake_failed(&self, from: IpAddr, kind: &'static str, why: &str) {
        self.metrics.peer_handshake_failed(kind);
        let text = &shown(why, TEXT);
        let event = Event::HandshakeFailed;
        let event = PeerEvent { host: None, address: from, event, kind, text, left_out: 0 };
        self.record(&self.anybody, &event);
    }

    fn connected(&self, peer: &Peer, resumed: bool) {
        self.metrics.peer_connected(resumed);
        tracing::debug!(host = peer.name.host, address = %peer.address, resumed, "a host connected");
    }

    fn disconnected(&self, peer: &Peer, kind: &'static str) {
        self.metrics.peer_disconnected(kind);
        tracing::debug!(host = peer.name.host, address = %peer.address, kind, "a host is gone");
    }

    fn question_refused(&self, peer: &Peer, kind: &'static str) {
        self.metrics.peer_question_refused(&peer.name.host, kind);
        let text = match kind {
            "not-between-us" => "the question is not about a connection between the two hosts",
            "security-domain" => "the host says that it is of another security domain, or of none",
            "over-limit" => "as many questions of the connection are in flight as may be",
            _ => "the question was refused before it was looked at",
        };
        let host = Some(peer.name.host.as_str());
        let event = Event::QuestionRefused;
        let event = PeerEvent { host, address: peer.address, event, kind, text, left_out: 0 };
        self.record(&self.hosts, &event);
    }
}

/// So many a second. No clock: instants come in.
#[derive(Debug)]
pub(super) struct Ration {
    each_second: u32,
    /// The beginning of the second, and how many there were in it.
    began: Option<Instant>,
    taken: u32,
    /// How many too many there were since the last that was not.
    left_out: u64,
}

impl Ration {
    pub(super) fn new(each_second: u32) -> Self {
        Self { each_second, began: None, taken: 0, left_out: 0 }
    }

    /// `Some`: this is not one too many, and how many were before it.
    pub(super) fn take(&mut self, now: Instant) -> Option<u64> {
        let over = |began| now.saturating_duration_since(began) >= Duration::from_secs(1);
        if self.began.is_none_or(over) {
            self.began = Some(now);
            self.taken = 0;
        }
        if self.taken >= self.each_second {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.taken += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::path::PathBuf;

    use serde_json::Value;

    use super::*;
    use crate::agent::audit::Tally;
    use crate::agent::config::{AuditConfig, OnFailure};
    use crate::agent::peers::PeerName;

    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    #[test]
    fn what_is_too_much_is_left_out_and_said_afterwards() {
        let mut ration = Ration::new(2);
        let start = Instant::now();
        for (after, taken) in [
            (0, Some(0)),
            (10, Some(0)),
            (20, None),
            (999, None),
            (1_000, Some(2)),
            (1_999, Some(0)),
            (1_999, None),
            (9_000, Some(1)),
            (9_001, Some(0)),
        ] {
            assert_eq!(ration.take(start + Duration::from_millis(after)), taken, "{after}");
        }
    }

    /// What is recorded and what is counted while something happens.
    fn observed(name: &str, happens: impl Fn(&PeerObserver)) -> (Vec<Value>, String) {
        let file = format!("partnerd-observer-{}-{name}", std::process::id());
        let file = std::env::temp_dir().join(file);
        let config = AuditConfig {
            file: Some(file.clone()),
            journald: Some(false),
            journald_socket: PathBuf::new(),
            on_failure: OnFailure::Continue,
        };
        let audit = Audit::open(&config, Tally::default()).unwrap();
        let metrics = Arc::new(Metrics::new());
        happens(&PeerObserver::new(audit.clone(), Arc::clone(&metrics)));
        audit.close();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines, metrics.text().unwrap())
    }

    #[test]
    fn what_happens_is_recorded_and_counted() {
        let name = PeerName { domain: "prod.example".into(), host: "web1".into(), expires: None };
        let peer = Peer { name, address: FROM, namespace: 1 };
        let (lines, metrics) = observed("all", |observer| {
            observer.connection_refused(FROM, "too-many");
            observer.handshake_failed(FROM, "tls", &"\x1b".repeat(1000));
            observer.connected(&peer, true);
            observer.question_refused(&peer, "not-between-us");
            observer.disconnected(&peer, "closed");
        });
        let of = |line: &Value| {
            let [event, kind, host] = ["/event", "/refused/kind", "/host/name"]
                .map(|key| line.pointer(key).unwrap().as_str().map(str::to_owned));
            (event.unwrap(), kind.unwrap(), host)
        };
        assert_eq!(
            lines.iter().map(of).collect::<Vec<_>>(),
            [
                ("connection-refused".into(), "too-many".into(), None),
                ("handshake-failed".into(), "tls".into(), None),
                ("question-refused".into(), "not-between-us".into(), Some("web1".into())),
            ]
        );
        assert!(lines.iter().all(|line| line["host"]["address"] == "192.0.2.7"));
        let text = lines[1]["refused"]["text"].as_str().unwrap();
        assert!(text.len() < 3000 && text.ends_with("(700 more characters)"), "{text}");
        for line in [
            "partnerd_peer_connections_refused_total{why=\"too-many\"} 1",
            "partnerd_peer_handshakes_total{outcome=\"tls\"} 1",
            "partnerd_peer_handshakes_total{outcome=\"resumed\"} 1",
            "partnerd_peer_refusals_total{kind=\"not-between-us\"} 1",
            "partnerd_peer_questions_by_host_total{host=\"web1\"} 1",
            "partnerd_peer_disconnections_total{why=\"closed\"} 1",
            "partnerd_peer_connections 0",
        ] {
            assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
        }
    }

    #[test]
    fn who_has_proven_nothing_does_not_fill_the_audit() {
        let began = Instant::now();
        let (lines, metrics) = observed("many", |observer| {
            for _ in 0..500 {
                observer.connection_refused(FROM, "too-many");
                observer.handshake_failed(FROM, "closed", "");
            }
        });
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
        assert!((10..=10 * seconds).contains(&lines.len()), "{} records", lines.len());
        for line in [
            "partnerd_peer_connections_refused_total{why=\"too-many\"} 500",
            "partnerd_peer_handshakes_total{outcome=\"closed\"} 500",
        ] {
            assert!(metrics.lines().any(|found| found == line), "{line}");
        }
    }
}
