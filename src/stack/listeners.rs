//! Listeners whose connections were asked for in advance, so that an accepted stream takes its
//! listener's indicator however it was accepted.
//!
//! The indicator is no credential: who wrongly had one would be told that a retrieval was started.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use quick_cache::sync::Cache;

use super::table::SocketKey;
use crate::info::PartnerRequest;
use crate::kernel::Endpoint;

/// Listeners that are remembered.
const LISTENERS: usize = 1024;

pub(crate) struct Listeners {
    by_socket: Cache<SocketKey, PartnerRequest>,
    by_address: Cache<Endpoint, Listener>,
}

#[derive(Clone, Copy)]
struct Listener {
    key: SocketKey,
    what: PartnerRequest,
}

impl Listeners {
    pub(crate) fn new() -> Self {
        Self { by_socket: Cache::new(LISTENERS), by_address: Cache::new(LISTENERS) }
    }

    pub(crate) fn set(&self, key: SocketKey, address: Endpoint, what: PartnerRequest) {
        self.by_socket.insert(key, what);
        self.by_address.insert(address, Listener { key, what });
    }

    /// A socket that was set before it listened, now known to listen.
    pub(crate) fn promote(&self, key: SocketKey, what: PartnerRequest) {
        self.by_socket.insert(key, what);
    }

    pub(crate) fn by_socket(&self, key: SocketKey) -> Option<PartnerRequest> {
        self.by_socket.get(&key)
    }

    /// The same in a process that was forked from the one whose these are; `None` where a lock is
    /// held.
    pub(crate) fn set_or_locked(&self, key: SocketKey) -> Option<PartnerRequest> {
        self.by_socket.try_peek(&key).ok().flatten()
    }

    /// What was set on the listener that accepted a stream with this local address, where the
    /// kernel shows no listener there any more.
    pub(crate) fn by_address(&self, local: Endpoint) -> Option<PartnerRequest> {
        self.at(local).map(|listener| listener.what)
    }

    /// The kernel shows another listener at this address than the one that was set: the old one is
    /// closed, unless the two share the address (`SO_REUSEPORT`), which the cookie of one cannot
    /// tell. A stream is then taken for the other's.
    pub(crate) fn handle_other_listener(&self, local: Endpoint, key: SocketKey) {
        if let Some(listener) = self.at(local)
            && listener.key != key
        {
            for address in forms(local) {
                self.by_address.remove(&address);
            }
        }
    }

    fn at(&self, local: Endpoint) -> Option<Listener> {
        forms(local).into_iter().find_map(|address| self.by_address.get(&address))
    }
}

/// The addresses that a listener may be bound to when it accepts at `local`.
fn forms(local: Endpoint) -> [Endpoint; 3] {
    let any = |ip: IpAddr| Endpoint { ip, port: local.port };
    [local, any(Ipv4Addr::UNSPECIFIED.into()), any(Ipv6Addr::UNSPECIFIED.into())]
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listeners", self.by_socket.len())
    }
}
