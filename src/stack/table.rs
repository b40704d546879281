//! What is kept of connections: a bounded table keyed by the kernel's own number of a socket.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use quick_cache::sync::Cache;

use crate::error::{Error, ErrorKind};
use crate::info::Credentials;
use crate::kernel::Endpoint;
use crate::kernel::sys::{self, Errno, NOT_LINUX, Socket, errno};
use crate::retrieval::Retrieval;

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
            Box::new(Mutex::new(Slow { retrieval, job: None }))
        });
        // A panic leaves a retrieval in one of its states: each operation replaces a state whole.
        slow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records by socket, never more than its capacity.
pub(crate) struct Table {
    records: Cache<SocketKey, Arc<Record>>,
}

impl Table {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { records: Cache::new(capacity) }
    }

    /// The record of this connection; not one of an earlier connection of the same socket.
    #[inline]
    pub(crate) fn get(&self, key: SocketKey, peer: Endpoint) -> Option<Arc<Record>> {
        let record = self.records.get(&key)?;
        match record.peer {
            Some(known) if known == peer => Some(record),
            Some(_) => None,
            // Set before connect: this is the connection it was set for.
            None => Some(self.replace(key, peer, &record)),
        }
    }

    /// The record of a socket that is not connected.
    pub(crate) fn get_unconnected(&self, key: SocketKey) -> Option<Arc<Record>> {
        self.records.get(&key).filter(|record| record.peer.is_none())
    }

    /// As [`get`](Self::get), and a new record where there is none.
    pub(crate) fn get_or_new(&self, key: SocketKey, peer: Endpoint) -> Arc<Record> {
        let record = self.get_or_insert(key, Some(peer));
        if record.peer == Some(peer) { record } else { self.replace(key, peer, &record) }
    }

    /// Keeps credentials for a connection of which nothing was known.
    pub(crate) fn save(&self, key: SocketKey, peer: Endpoint, found: Credentials) {
        let saved = OnceLock::from(found);
        let record = Record { peer: Some(peer), saved, slow: OnceLock::new() };
        self.records.insert(key, Arc::new(record));
    }

    /// The record of a socket that is not connected yet.
    pub(crate) fn get_or_new_unconnected(&self, key: SocketKey) -> Arc<Record> {
        let record = self.get_or_insert(key, None);
        if record.peer.is_none() {
            return record;
        }
        let fresh = Arc::new(Record::new(None));
        self.records.insert(key, Arc::clone(&fresh));
        fresh
    }

    fn get_or_insert(&self, key: SocketKey, peer: Option<Endpoint>) -> Arc<Record> {
        let make = || Ok::<_, std::convert::Infallible>(Arc::new(Record::new(peer)));
        match self.records.get_or_insert_with(&key, make) {
            Ok(record) => record,
        }
    }

    /// A new connection of a known socket: it keeps what was set, and nothing else.
    fn replace(&self, key: SocketKey, peer: Endpoint, old: &Record) -> Arc<Record> {
        let record = Arc::new(Record::new(Some(peer)));
        if old.peer.is_none()
            && let Some(what) = old.lock().retrieval.requested()
        {
            record.lock().retrieval.handle_set(what);
        }
        self.records.insert(key, Arc::clone(&record));
        record
    }

    pub(crate) fn forget(&self, key: SocketKey) {
        self.records.remove(&key);
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
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
    use crate::info::PartnerRequest;

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
    fn what_was_set_before_connect_holds_for_that_connection_alone() {
        let table = Table::new(10);
        table.get_or_new_unconnected(key(1)).lock().retrieval.handle_set(PartnerRequest::USER_ID);
        let connected = table.get(key(1), peer(1)).expect("set");
        assert_eq!(connected.lock().retrieval.requested(), Some(PartnerRequest::USER_ID));
        let again = table.get_or_new(key(1), peer(2));
        assert_eq!(again.lock().retrieval.requested(), None);
    }
}
