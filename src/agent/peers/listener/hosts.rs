//! How much each host has under way, proven or not.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::agent::callers::pace::Pace;

/// Hosts from which on those that are idle are cleaned out.
const FEW: usize = 256;
/// Hosts from which on only those are kept that are in use: what the others have spent is forgotten.
/// Who has that many addresses is not slowed by what one of them has spent.
const MOST: usize = 4096;
/// How long a host without a connection is remembered: as long as what it has spent counts.
const REMEMBERED: Duration = Duration::from_secs(2);

/// A network namespace by its cookie, and an address in it.
type Key = (u64, IpAddr);

/// One address in one network namespace.
pub(in crate::agent) struct Host {
    /// Proven ones.
    pub(super) connections: Arc<AtomicUsize>,
    /// Those that are not proven, in the order in which they came.
    unproven: Mutex<VecDeque<oneshot::Sender<Displaced>>>,
    pace: Mutex<Pace>,
}

/// Never made: the sender is dropped.
pub(super) enum Displaced {}

/// Those that are connected, and those that were a moment ago: no more than [`MOST`], or where more
/// are in use than those and a [`FEW`].
#[derive(Default)]
pub(in crate::agent) struct Hosts(Mutex<Known>);

#[derive(Default)]
struct Known {
    table: HashMap<Key, Arc<Host>>,
    /// How many there may be before the next look for who can be forgotten.
    tidy_at: usize,
}

impl Host {
    /// Takes a place among those that are not proven, for as long as what is returned lives. Where
    /// there are `most` the first of them loses its place, and what it holds ends: every account of
    /// a host connects from the host's address, and those that say nothing must not keep its agent out.
    pub(super) fn arrive(&self, most: usize) -> oneshot::Receiver<Displaced> {
        let (place, displaced) = oneshot::channel();
        // Each change of the queue is whole.
        let mut unproven = self.unproven.lock().unwrap_or_else(PoisonError::into_inner);
        unproven.retain(|one| !one.is_closed());
        if unproven.len() >= most.max(1) {
            unproven.pop_front();
        }
        unproven.push_back(place);
        displaced
    }

    /// Counts questions; returns how long the host has to wait before the next.
    pub(in crate::agent) fn spend(
        &self,
        count: u32,
        per_second: u32,
        now: Instant,
    ) -> Option<Duration> {
        // Each change of a pace is whole.
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.spend(count, per_second, now)
    }

    fn is_connected(&self) -> bool {
        self.connections.load(Ordering::Relaxed) > 0
    }

    /// What it has spent counts no more.
    fn is_forgotten(&self, now: Instant) -> bool {
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        now.saturating_duration_since(pace.last()) >= REMEMBERED
    }
}

impl Hosts {
    pub(in crate::agent) fn host(&self, key: Key, now: Instant) -> Arc<Host> {
        // A host is in the table or not.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { table, tidy_at } = &mut *known;
        if let Some(host) = table.get(&key) {
            return Arc::clone(host);
        }
        if table.len() >= (*tidy_at).max(FEW) {
            let is_used = |host: &Arc<Host>| Arc::strong_count(host) > 1 || host.is_connected();
            table.retain(|_, host| is_used(host) || !host.is_forgotten(now));
            if table.len() >= MOST {
                table.retain(|_, host| is_used(host));
            }
            let left = table.len();
            *tidy_at = match left < MOST {
                true => left.saturating_mul(2).min(MOST),
                false => left.saturating_add(FEW),
            };
        }
        let host = Arc::new(Host {
            connections: Arc::default(),
            unproven: Mutex::default(),
            pace: Mutex::new(Pace::new(now)),
        });
        table.insert(key, Arc::clone(&host));
        host
    }
}

/// A place that is taken for as long as this lives.
#[derive(Debug)]
pub(in crate::agent) struct Place(Arc<AtomicUsize>);

impl Place {
    /// `None`: as many as `limit` are taken.
    pub(in crate::agent) fn take(of: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let one_more = |taken| (taken < limit).then_some(taken + 1);
        of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(Arc::clone(of)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_who_is_in_use_stays() {
        let (hosts, now) = (Hosts::default(), Instant::now());
        let address = |number: u32| (1, IpAddr::from(number.to_be_bytes()));
        let used: Vec<_> = (0..1_000).map(|number| hosts.host(address(number), now)).collect();
        for number in 0..100_000 {
            hosts.host(address(number), now);
            assert!(hosts.0.lock().unwrap().table.len() <= MOST.max(1_000 + FEW));
        }
        for (number, host) in (0..).zip(&used) {
            assert!(Arc::ptr_eq(host, &hosts.host(address(number), now)), "{number}");
        }
    }

    #[test]
    fn more_than_are_remembered_may_be_in_use() {
        let (hosts, now) = (Hosts::default(), Instant::now());
        let most = u32::try_from(3 * MOST).unwrap();
        let address = |number: u32| (1, IpAddr::from(number.to_be_bytes()));
        let used: Vec<_> = (0..most).map(|number| hosts.host(address(number), now)).collect();
        assert!(
            used.iter().zip(0..).all(|(host, n)| Arc::ptr_eq(host, &hosts.host(address(n), now)))
        );
    }
}
