//! How fast one user may ask. No clock: instants come in.

use std::time::{Duration, Instant};

/// So much may be spent at once, in parts of a second.
const BURST: Duration = Duration::from_millis(100);

/// What a user has spent. A leaky bucket: each question fills it, time empties it.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct Pace {
    /// When all that was spent will have been worked off.
    settled: Instant,
    last: Instant,
}

impl Pace {
    pub(in crate::agent) fn new(now: Instant) -> Self {
        Self { settled: now, last: now }
    }

    /// When something was spent last.
    pub(in crate::agent) fn last(&self) -> Instant {
        self.last
    }

    /// Spends as much as `cost` questions; returns how long to wait before the next.
    pub(in crate::agent) fn spend(
        &mut self,
        cost: u32,
        per_second: u32,
        now: Instant,
    ) -> Option<Duration> {
        let each = Duration::from_secs(1).checked_div(per_second).unwrap_or(Duration::from_secs(1));
        let price = each.saturating_mul(cost);
        let from = self.settled.max(now);
        self.settled = from.checked_add(price).unwrap_or(from);
        self.last = now;
        let ahead = self.settled.saturating_duration_since(now);
        ahead.checked_sub(BURST).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many questions are asked in a time, by who waits when told to.
    fn asked(pace: &mut Pace, per_second: u32, cost: u32, time: Duration) -> u32 {
        let start = Instant::now();
        let (mut now, mut asked) = (start, 0);
        while now < start + time {
            asked += 1;
            now += pace.spend(cost, per_second, now).unwrap_or(Duration::from_micros(1));
        }
        asked
    }

    #[test]
    fn nobody_asks_faster_than_agreed_beyond_a_burst() {
        for (per_second, cost) in [(10, 1), (1_000, 1), (20_000, 1), (1_000, 50)] {
            let mut pace = Pace::new(Instant::now());
            let asked = asked(&mut pace, per_second, cost, Duration::from_secs(10));
            let agreed = 10 * per_second / cost;
            assert!(asked <= agreed + agreed / 50 + 2, "{asked} of {agreed}");
            assert!(asked >= agreed - agreed / 50, "{asked} of {agreed}");
        }
    }

    #[test]
    fn who_asks_now_and_then_never_waits() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..1_000 {
            now += Duration::from_millis(11);
            assert_eq!(pace.spend(1, 100, now), None);
        }
    }
}
