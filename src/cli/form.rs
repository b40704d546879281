//! What `--json` writes.
//!
//! It is a promise, as what the feature `serde` writes: `version` is 1, and changes only when a field
//! changes its meaning or goes away, while fields may be added. What is not known is null, and an end
//! that is not proven has an `error` and no user.

use std::net::SocketAddr;

use serde::Serialize;

use super::survey::{self, Connection, End};
use crate::error::{Error, ErrorKind, Reason};
use crate::info::{Routing, UserId};
use crate::token::UserToken;

const VERSION: u32 = 1;

#[derive(Serialize)]
pub(super) struct Connections<'a> {
    version: u32,
    connections: Vec<ConnectionForm<'a>>,
}

#[derive(Serialize)]
struct ConnectionForm<'a> {
    ends: [EndForm<'a>; 2],
    /// Where the two are to each other, if both are proven.
    routing: Option<Routing>,
}

#[derive(Serialize)]
struct EndForm<'a> {
    address: SocketAddr,
    user: Option<&'a UserId>,
    process_user: Option<&'a UserId>,
    token: Option<&'a UserToken>,
    error: Option<ErrorForm>,
}

/// As the feature `serde` writes an error, in the words of this program.
#[derive(Serialize)]
struct ErrorForm {
    version: u32,
    kind: ErrorKind,
    errno: Option<i32>,
    reason: Option<Reason>,
    message: String,
}

impl<'a> Connections<'a> {
    pub(super) fn new(connections: &'a [Connection]) -> Self {
        Self {
            version: VERSION,
            connections: connections.iter().map(ConnectionForm::new).collect(),
        }
    }
}

/// A line of `watch`.
#[derive(Serialize)]
pub(super) struct Change<'a> {
    version: u32,
    event: &'static str,
    connection: ConnectionForm<'a>,
}

impl<'a> Change<'a> {
    pub(super) fn new(event: &'static str, connection: &'a Connection) -> Self {
        Self { version: VERSION, event, connection: ConnectionForm::new(connection) }
    }
}

impl<'a> ConnectionForm<'a> {
    fn new(connection: &'a Connection) -> Self {
        let proven = connection.ends.iter().all(|end| end.who.is_ok());
        Self {
            ends: connection.ends.each_ref().map(EndForm::new),
            routing: proven.then_some(Routing::SAME_STACK),
        }
    }
}

impl<'a> EndForm<'a> {
    fn new(end: &'a End) -> Self {
        let who = end.who.as_ref();
        Self {
            address: end.address,
            user: who.ok().map(|who| &who.user),
            process_user: who.ok().and_then(|who| who.process_user.as_ref()),
            token: who.ok().map(|who| &who.token),
            error: who.err().map(ErrorForm::new),
        }
    }
}

impl ErrorForm {
    fn new(error: &Error) -> Self {
        Self {
            version: VERSION,
            kind: error.kind(),
            errno: error.raw_os_error(),
            reason: error.reason(),
            message: survey::explain(error),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Decided<'a> {
    pub(super) version: u32,
    pub(super) authorized: bool,
    pub(super) uid: u32,
    pub(super) user: Option<&'a str>,
    pub(super) resource: &'a str,
    pub(super) rule: String,
    pub(super) profile: Option<String>,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<usize>,
    pub(super) security_domain: Option<&'a str>,
}

impl Decided<'_> {
    pub(super) const VERSION: u32 = VERSION;
}
