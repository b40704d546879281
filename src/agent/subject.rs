//! Who asks, and about which connection.

use std::net::SocketAddr;

/// A program that asks: what the kernel recorded of it when it connected (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// In the agent's pid namespace; `None` where the caller has no number there.
    pub(crate) pid: Option<u32>,
}

/// The connection that a question is about, as its descriptor tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// `SO_COOKIE`.
    pub(crate) cookie: u64,
    /// `SO_NETNS_COOKIE`: which network namespace it is in.
    pub(crate) namespace: u64,
}
