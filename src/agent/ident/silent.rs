//! Connections that have not asked yet. A further one takes the place of the oldest: who asks does so
//! at once, and who says nothing keeps nobody out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Never made: the sender is dropped.
pub(super) enum Displaced {}

/// Those that wait, in the order in which they came.
#[derive(Default)]
pub(super) struct Silent {
    count: Arc<AtomicUsize>,
    /// Those that wait no more among them, some of the time.
    queue: Mutex<VecDeque<oneshot::Sender<Displaced>>>,
}

/// A place among those that wait, for as long as this lives.
pub(super) struct Waiting {
    displaced: oneshot::Receiver<Displaced>,
    count: Arc<AtomicUsize>,
}

impl Silent {
    /// Takes a place. Where `most` are taken, the oldest is lost.
    pub(super) fn arrive(&self, most: usize) -> Waiting {
        let (place, displaced) = oneshot::channel();
        // Each change of the queue is whole.
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.count.load(Ordering::Relaxed) < most.max(1);
        while let Some(first) = queue.front() {
            if free && !first.is_closed() {
                break;
            }
            free |= queue.pop_front().is_some_and(|first| !first.is_closed());
        }
        if queue.len() >= most.saturating_mul(2) {
            queue.retain(|one| !one.is_closed());
        }
        queue.push_back(place);
        self.count.fetch_add(1, Ordering::Relaxed);
        Waiting { displaced, count: Arc::clone(&self.count) }
    }
}

impl Waiting {
    /// Ends when the place is lost. Cancel safe.
    pub(super) async fn lost(&mut self) {
        let _ = (&mut self.displaced).await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_lost(waiting: &mut Waiting) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(waiting.lost()).poll(&mut context).is_ready()
    }

    #[test]
    fn the_oldest_gives_way_and_who_waits_no_more_is_in_nobodys_way() {
        let silent = Silent::default();
        let mut first = silent.arrive(2);
        let second = silent.arrive(2);
        assert!(!is_lost(&mut first));
        drop(second);
        let mut third = silent.arrive(2);
        assert!(!is_lost(&mut first) && !is_lost(&mut third));
        let mut fourth = silent.arrive(2);
        assert!(is_lost(&mut first) && !is_lost(&mut third) && !is_lost(&mut fourth));
        drop(first);
        let mut fifth = silent.arrive(2);
        assert!(is_lost(&mut third) && !is_lost(&mut fourth) && !is_lost(&mut fifth));
    }

    #[test]
    fn who_comes_and_goes_leaves_nothing_behind() {
        let silent = Silent::default();
        let mut old = silent.arrive(8);
        for _ in 0..1_000 {
            drop(silent.arrive(8));
        }
        assert!(silent.queue.lock().unwrap().len() <= 17);
        assert_eq!(silent.count.load(Ordering::Relaxed), 1);
        assert!(!is_lost(&mut old));
    }
}
