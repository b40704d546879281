//! What is kept of connections: a bounded table keyed by the kernel's own number of a socket.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use quick_cache::sync::Cache;

use crate::error::{Error, ErrorKind};
use crate::info::{Credentials, PartnerRequest};
use crate::kernel::Endpoint;
use crate::kernel::sys::{self, Errno, NOT_LINUX, Socket, errno};
use crate::retrieval::Retrieval;

use super::elsewhere::Asking;
use super::tokens::Job;

/// The kernel's number of a socket. Never an address, never a descriptor: both are reused (H31).
///
/// Since Linux 5.4 a cookie is unique on the machine. Before, it was unique in its network
/// namespace only; there the socket's inode number stands in for the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SocketKey {
    pub(crate) cookie: u64,
    namespace: u32,
}

impl SocketKey {
    #[inline]
    pub(crate) fn of(socket: Socket<'_>) -> Result<Self, Error> {
        let cookie = sys::cookie(socket).map_err(not_a_socket)?;
        let namespace = if cookies_are_global(socket) {
            0
        } else {
            let inode = sys::inode(socket).map_err(not_a_socket)?;
            u32::try_from(inode & u64::from(u32::MAX)).map_err(|_| Error::new(ErrorKind::NotTcp))?
        };
        Ok(Self { cookie, namespace })
    }

    /// The key of another socket of the same namespace. Where cookies are not global its inode
    /// would be needed, so there it matches nothing.
    pub(crate) fn of_sibling(self, cookie: u64) -> Self {
        Self { cookie, namespace: if self.namespace == 0 { 0 } else { u32::MAX } }
    }
}

/// `SO_NETNS_COOKIE` came with Linux 5.14, the global counter with 5.4: who knows the one has the
/// other.
#[inline]
fn cookies_are_global(socket: Socket<'_>) -> bool {
    static GLOBAL: OnceLock<bool> = OnceLock::new();
    *GLOBAL.get_or_init(|| sys::namespace_cookie(socket).is_ok())
}

/// The error of a descriptor that does not answer as a socket does.
pub(crate) fn not_a_socket(Errno(number): Errno) -> Error {
    if Errno(number) == NOT_LINUX {
        return Error::unsupported("partner information is there on Linux only");
    }
    match number {
        errno::ENOTSOCK | errno::ENOPROTOOPT | errno::EOPNOTSUPP => Error::new(ErrorKind::NotTcp),
        errno => Error::io("read the socket's options", errno),
    }
}

/// What is kept of a socket.
#[derive(Clone)]
enum Kept {
    /// The answer was there at once, and nothing else is to be known: the usual case, kept in
    /// place.
    Answer {
        peer: Endpoint,
        found: Credentials,
    },
    Record(Arc<Record>),
}

/// What is known of a connection that somebody asks about.
pub(crate) enum Known {
    /// All that was asked for.
    Answer(Credentials),
    Record(Arc<Record>),
    Nothing,
}

/// One connection.
pub(crate) struct Record {
    /// The same socket may be disconnected and connected anew with connect(2) and `AF_UNSPEC`; its
    /// cookie stays. Another peer address is another connection.
    peer: Option<Endpoint>,
    /// What was saved first, readable without a lock.
    saved: OnceLock<Credentials>,
    /// Made where an answer is not there at once, which is rare.
    slow: OnceLock<Box<Mutex<Slow>>>,
}

/// The part of a record that changes.
#[derive(Default)]
pub(crate) struct Slow {
    pub(crate) retrieval: Retrieval,
    /// The token that is being read for it.
    pub(crate) job: Option<Arc<Job>>,
    /// What the agent is asked for it.
    pub(crate) asking: Option<Asking>,
}

impl Record {
    fn new(peer: Option<Endpoint>) -> Self {
        Self { peer, saved: OnceLock::new(), slow: OnceLock::new() }
    }

    /// Credentials that need no lock, if they are there.
    #[inline]
    pub(crate) fn saved(&self) -> Option<&Credentials> {
        self.saved.get()
    }

    pub(crate) fn publish(&self, retrieval: &Retrieval) {
        if let Some(saved) = retrieval.saved()
            && !saved.name_late
        {
            let _ = self.saved.set(saved.clone());
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Slow> {
        let slow = self.slow.get_or_init(|| {
            let saved = self.saved.get().cloned();
            let retrieval = saved.map_or_else(Retrieval::default, Retrieval::with_saved);
            Box::new(Mutex::new(Slow { retrieval, ..Slow::default() }))
        });
        // A panic leaves a retrieval in one of its states: each operation replaces a state whole.
        slow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records by socket, never more than its capacity.
pub(crate) struct Table {
    kept: Cache<SocketKey, Kept>,
}

impl Table {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { kept: Cache::new(capacity) }
    }

    /// What is known of this connection that answers `request`, or may come to answer it; nothing
    /// of an earlier connection of the same socket.
    #[inline]
    pub(crate) fn look(&self, key: SocketKey, peer: Endpoint, request: PartnerRequest) -> Known {
        match self.kept.get(&key) {
            None => Known::Nothing,
            Some(Kept::Answer { peer: known, .. }) if known != peer => Known::Nothing,
            Some(Kept::Answer { found, .. }) if found.covers.contains(request) => {
                Known::Answer(found)
            }
            Some(kept) => self.record_of(key, peer, kept).map_or(Known::Nothing, |record| {
                match record.saved().filter(|saved| saved.covers.contains(request)) {
                    Some(saved) => Known::Answer(saved.clone()),
                    None => Known::Record(record),
                }
            }),
        }
    }

    /// The record of this connection; not one of an earlier connection of the same socket.
    pub(crate) fn get(&self, key: SocketKey, peer: Endpoint) -> Option<Arc<Record>> {
        self.record_of(key, peer, self.kept.get(&key)?)
    }

    fn record_of(&self, key: SocketKey, peer: Endpoint, kept: Kept) -> Option<Arc<Record>> {
        match kept {
            Kept::Answer { peer: known, found } => (known == peer).then(|| {
                let record = Record { saved: OnceLock::from(found), ..Record::new(Some(peer)) };
                self.put(key, record)
            }),
            Kept::Record(record) => match record.peer {
                Some(known) => (known == peer).then_some(record),
                // Set before connect: this is the connection it was set for.
                None => Some(self.replace(key, peer, &record)),
            },
        }
    }

    /// The record of a socket that is not connected.
    pub(crate) fn get_unconnected(&self, key: SocketKey) -> Option<Arc<Record>> {
        match self.kept.get(&key)? {
            Kept::Record(record) if record.peer.is_none() => Some(record),
            Kept::Record(_) | Kept::Answer { .. } => None,
        }
    }

    /// What was set on a socket, without a peer or with this one, for a process that was forked from
    /// the one whose table this is; `None` where a lock is held.
    pub(crate) fn set_or_locked(
        &self,
        key: SocketKey,
        peer: Option<Endpoint>,
    ) -> Option<PartnerRequest> {
        match self.kept.try_peek(&key).ok().flatten()? {
            Kept::Record(record) if record.peer.is_none() || record.peer == peer => {
                record.slow.get()?.try_lock().ok()?.retrieval.requested()
            }
            Kept::Record(_) | Kept::Answer { .. } => None,
        }
    }

    /// As [`get`](Self::get), and a new record where there is none.
    pub(crate) fn get_or_new(&self, key: SocketKey, peer: Endpoint) -> Arc<Record> {
        let kept = self.get_or_insert(key, Some(peer));
        self.record_of(key, peer, kept).unwrap_or_else(|| self.put(key, Record::new(Some(peer))))
    }

    /// Keeps credentials for a connection of which nothing was known.
    #[inline]
    pub(crate) fn save(&self, key: SocketKey, peer: Endpoint, found: Credentials) {
        self.kept.insert(key, Kept::Answer { peer, found });
    }

    /// The record of a socket that is not connected yet.
    pub(crate) fn get_or_new_unconnected(&self, key: SocketKey) -> Arc<Record> {
        match self.get_or_insert(key, None) {
            Kept::Record(record) if record.peer.is_none() => record,
            Kept::Record(_) | Kept::Answer { .. } => self.put(key, Record::new(None)),
        }
    }

    fn get_or_insert(&self, key: SocketKey, peer: Option<Endpoint>) -> Kept {
        let make = || Ok::<_, Infallible>(Kept::Record(Arc::new(Record::new(peer))));
        match self.kept.get_or_insert_with(&key, make) {
            Ok(kept) => kept,
        }
    }

    fn put(&self, key: SocketKey, record: Record) -> Arc<Record> {
        let record = Arc::new(record);
        self.kept.insert(key, Kept::Record(Arc::clone(&record)));
        record
    }

    /// A new connection of a known socket: it keeps what was set, and nothing else.
    fn replace(&self, key: SocketKey, peer: Endpoint, old: &Record) -> Arc<Record> {
        let record = Record::new(Some(peer));
        if let Some(what) = old.lock().retrieval.requested() {
            record.lock().retrieval.handle_set(what);
        }
        self.put(key, record)
    }

    pub(crate) fn forget(&self, key: SocketKey) {
        self.kept.remove(&key);
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Routing;

    fn key(cookie: u64) -> SocketKey {
        SocketKey { cookie, namespace: 0 }
    }

    fn peer(port: u16) -> Endpoint {
        Endpoint { ip: [127, 0, 0, 1].into(), port }
    }

    #[test]
    fn h31_never_more_than_its_capacity() {
        for capacity in [1, 2, 7, 100, 4_096] {
            let table = Table::new(capacity);
            for cookie in 0..20_000 {
                table.get_or_new(key(cookie), peer(1));
                assert!(table.len() <= capacity, "{} of {capacity}", table.len());
            }
        }
    }

    #[test]
    fn h31_the_same_socket_with_another_peer_is_another_connection() {
        let table = Table::new(10);
        let first = table.get_or_new(key(1), peer(1));
        assert!(Arc::ptr_eq(&first, &table.get(key(1), peer(1)).unwrap()));
        assert!(table.get(key(1), peer(2)).is_none());
        let second = table.get_or_new(key(1), peer(2));
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(table.get(key(1), peer(1)).is_none(), "the first is forgotten");
        assert!(table.get(key(2), peer(2)).is_none(), "another socket is another connection");
    }

    #[test]
    fn h31_an_answer_kept_in_place_is_one_connection_s() {
        const USER: PartnerRequest = PartnerRequest::USER_ID;
        let table = Table::new(10);
        let found = Credentials {
            covers: USER,
            user: None,
            process_user: None,
            token: None,
            name_late: false,
            routing: Routing::SAME_STACK,
        };
        table.save(key(1), peer(1), found.clone());
        for _ in 0..2 {
            let known = table.look(key(1), peer(1), USER);
            assert!(matches!(known, Known::Answer(answer) if answer == found));
            assert!(matches!(table.look(key(1), peer(2), USER), Known::Nothing));
            assert!(matches!(table.look(key(2), peer(1), USER), Known::Nothing));
            // More than is kept needs the record, which has what was kept.
            let known = table.look(key(1), peer(1), PartnerRequest::all());
            let Known::Record(record) = known else { panic!("a record") };
            assert_eq!(record.saved(), Some(&found));
            assert_eq!(record.lock().retrieval.saved(), Some(&found));
        }
        assert!(table.get_unconnected(key(1)).is_none());
        table.forget(key(1));
        assert!(matches!(table.look(key(1), peer(1), USER), Known::Nothing));
    }

    #[test]
    fn what_was_set_before_connect_holds_for_that_connection_alone() {
        let table = Table::new(10);
        table.get_or_new_unconnected(key(1)).lock().retrieval.handle_set(PartnerRequest::USER_ID);
        let connected = table.get(key(1), peer(1)).expect("set");
        assert_eq!(connected.lock().retrieval.requested(), Some(PartnerRequest::USER_ID));
        let again = table.get_or_new(key(1), peer(2));
        assert_eq!(again.lock().retrieval.requested(), None);
    }
}
