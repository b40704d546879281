//! Who asks, and how much each user may ask.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(super) mod pace;
mod view;

use std::collections::HashMap;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use self::pace::Pace;
pub(super) use self::view::View;
use super::closer::Unclosed;
use super::config::LimitsConfig;
use super::subject::Peer;
use crate::kernel::sys::{self, Errno};

/// Users that are remembered, at most: those who are connected, and those who were a moment ago.
const USERS: usize = 16_384;
/// How long a user without a connection is remembered: as long as what it has spent counts.
const REMEMBERED: Duration = Duration::from_secs(2);

/// A program that is connected.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) peer: Peer,
    /// Its effective and supplementary groups; `None`: could not be read.
    pub(super) groups: Option<Vec<u32>>,
    pub(super) view: View,
    pub(super) user: Arc<User>,
}

/// What one user has under way, in all its programs.
#[derive(Debug)]
pub(super) struct User {
    connections: AtomicUsize,
    in_flight: AtomicUsize,
    /// Passed descriptors that are not closed yet.
    pub(super) unclosed: Arc<Unclosed>,
    pace: Mutex<Pace>,
    /// One at a time, so that users take turns.
    pub(super) turn: Semaphore,
}

/// All users.
pub(super) struct Users(Mutex<HashMap<u32, Arc<User>>>);

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Of all callers.
    TooMany { limit: usize },
    /// Of this user.
    TooManyOfUser { uid: u32, limit: usize },
    /// The kernel does not say who it is.
    Unknown { errno: i32 },
}

/// A place that is taken for as long as this lives.
#[derive(Debug)]
pub(super) struct Taken<T: Counts>(T);

/// What counts places.
pub(super) trait Counts {
    fn counter(&self) -> &AtomicUsize;
}

/// A user's connections.
#[derive(Debug)]
pub(super) struct Connections(Arc<User>);
/// A user's questions.
#[derive(Debug)]
pub(super) struct Questions(Arc<User>);

impl Counts for Connections {
    fn counter(&self) -> &AtomicUsize {
        &self.0.connections
    }
}

impl Counts for Questions {
    fn counter(&self) -> &AtomicUsize {
        &self.0.in_flight
    }
}

impl<T: Counts> Taken<T> {
    /// `None`: as many as `limit` are taken.
    fn take(of: T, limit: usize) -> Option<Self> {
        let one_more = |taken| (taken < limit).then_some(taken + 1);
        of.counter().fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(of))
    }
}

impl<T: Counts> Drop for Taken<T> {
    fn drop(&mut self) {
        self.0.counter().fetch_sub(1, Ordering::Relaxed);
    }
}

impl User {
    fn new(now: Instant) -> Self {
        Self {
            connections: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            unclosed: Arc::new(Unclosed::new()),
            pace: Mutex::new(Pace::new(now)),
            turn: Semaphore::new(1),
        }
    }

    /// A place for one more question; `None` where the user has `limit` in flight.
    pub(super) fn question(self: &Arc<Self>, limit: usize) -> Option<Taken<Questions>> {
        Taken::take(Questions(Arc::clone(self)), limit)
    }

    /// Counts a question that costs as much as `cost` usual ones; returns how long its user has to
    /// wait before the next.
    pub(super) fn spend(&self, cost: u32, per_second: u32, now: Instant) -> Option<Duration> {
        // Each change of a pace is whole.
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.spend(cost, per_second, now)
    }

    fn is_idle(&self, now: Instant) -> bool {
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        self.connections.load(Ordering::Relaxed) == 0
            && self.in_flight.load(Ordering::Relaxed) == 0
            && self.unclosed.count() == 0
            && now.saturating_duration_since(pace.last()) >= REMEMBERED
    }
}

impl Users {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Who is at the other end of a Unix socket, and a place for its connection.
    pub(super) fn admit(
        &self,
        socket: BorrowedFd<'_>,
        limits: &LimitsConfig,
        now: Instant,
    ) -> Result<(Caller, Taken<Connections>), Refused> {
        let unknown = |Errno(errno)| Refused::Unknown { errno };
        let (uid, gid, pid) = sys::peer_credentials(socket).map_err(unknown)?;
        let user = self.user(uid, now)?;
        let of_user = Connections(Arc::clone(&user));
        let limit = limits.connections_per_user;
        let place = Taken::take(of_user, limit).ok_or(Refused::TooManyOfUser { uid, limit })?;
        let groups = sys::peer_groups(socket).ok().map(|mut groups| {
            if !groups.contains(&gid) {
                groups.push(gid);
            }
            groups
        });
        let view = View::of(socket, pid);
        let caller = Caller { peer: Peer { uid, gid, pid }, groups, view, user };
        Ok((caller, place))
    }

    fn user(&self, uid: u32, now: Instant) -> Result<Arc<User>, Refused> {
        let mut users = self.lock();
        if let Some(user) = users.get(&uid) {
            return Ok(Arc::clone(user));
        }
        if users.len() >= USERS {
            users.retain(|_, user| !user.is_idle(now));
        }
        if users.len() >= USERS {
            return Err(Refused::TooMany { limit: USERS });
        }
        let user = Arc::new(User::new(now));
        users.insert(uid, Arc::clone(&user));
        Ok(user)
    }

    /// Forgets who is not connected any more; returns how many will have to be forgotten some time.
    pub(super) fn forget_idle(&self, now: Instant) -> usize {
        let mut users = self.lock();
        users.retain(|_, user| !user.is_idle(now));
        users.values().filter(|user| user.connections.load(Ordering::Relaxed) == 0).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<User>>> {
        // A user is in the table or not.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users", self.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let user = Arc::new(User::new(Instant::now()));
        let first = user.question(2).unwrap();
        let second = user.question(2).unwrap();
        assert!(user.question(2).is_none());
        drop(first);
        let third = user.question(2).unwrap();
        assert!(user.question(2).is_none());
        drop((second, third));
        assert_eq!(user.in_flight.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_is_idle_is_forgotten_and_who_has_just_spent_is_not() {
        let (users, start) = (Users::new(), Instant::now());
        let user = users.user(1000, start).unwrap();
        let later = start + Duration::from_secs(1);
        user.spend(1, 10, later);
        users.forget_idle(later + Duration::from_secs(1));
        assert_eq!(users.lock().len(), 1);
        users.forget_idle(later + REMEMBERED);
        assert_eq!(users.lock().len(), 0);
        // One that is still at something is kept.
        let user = users.user(1000, start).unwrap();
        let place = user.question(1).unwrap();
        users.forget_idle(later + REMEMBERED);
        assert_eq!(users.lock().len(), 1);
        drop(place);
    }
}
