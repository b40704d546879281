//! What is asked for before there is a connection, and which streams it holds for.

use std::sync::Arc;

use super::Stack;
use super::connection::Connected;
use super::judge::failed;
use super::table::{Record, SocketKey, not_a_socket};
use crate::error::{Error, ErrorKind};
use crate::info::PartnerRequest;
use crate::kernel::Endpoint;
use crate::kernel::resolver;
use crate::kernel::sys::{self, Errno, Socket, addresses, errno};
use crate::kernel::verify::Protocol;
use crate::policy::PartnerStack;

impl Stack {
    /// See [`PartnerSocketExt::set_partner_info`](crate::PartnerSocketExt::set_partner_info).
    pub(crate) fn set(&self, socket: Socket<'_>, request: PartnerRequest) -> Result<(), Error> {
        let key = SocketKey::of(socket)?;
        if sys::protocol(socket).map_err(not_a_socket)? == Protocol::Other {
            return Err(Error::new(ErrorKind::NotTcp));
        }
        match addresses::peer(socket) {
            Ok(_) => return Err(Error::new(ErrorKind::TooLate)),
            Err(Errno(errno::ENOTCONN)) => {}
            Err(error) => return Err(not_a_socket(error)),
        }
        // Names that are on their way do not hold up a set: it tells nothing, and gets are asked.
        self.authorize(socket, request, PartnerStack::Own)?;
        if sys::is_listening(socket).map_err(not_a_socket)? {
            let local = addresses::local(socket).map_err(not_a_socket)?;
            let local = local.ok_or(Error::new(ErrorKind::NotTcp))?;
            self.inner().listeners.set(key, local.into(), request);
            if request.contains(PartnerRequest::UTOKEN) {
                self.inner().tokens.prepare_once();
            }
        } else {
            self.inner().table.get_or_new_unconnected(key).lock().retrieval.handle_set(request);
        }
        Ok(())
    }

    /// Forgets what is kept of a socket.
    pub(crate) fn forget(&self, socket: Socket<'_>) -> Result<(), Error> {
        self.inner().table.forget(SocketKey::of(socket)?);
        Ok(())
    }

    /// The record of a stream that takes the indicator of the listener it came from.
    pub(super) fn inherit(
        &self,
        socket: Socket<'_>,
        connection: Connected,
    ) -> Result<Arc<Record>, Error> {
        if sys::protocol(socket).map_err(not_a_socket)? == Protocol::Other {
            return Err(Error::new(ErrorKind::NotTcp));
        }
        let inner = self.inner();
        if let Some(what) = inner.set_before_fork(connection.key, Some(connection.peer())) {
            return Ok(self.requested_record(connection, what));
        }
        let not_requested = || Error::new(ErrorKind::NotRequested);
        let local = addresses::local(socket).map_err(not_a_socket)?.ok_or_else(not_requested)?;
        let local = Endpoint::from(local);
        let what = match resolver::listener(local).map_err(failed)? {
            Some(cookie) => {
                let key = connection.key.of_sibling(cookie);
                let set = self.set_on_listener(key);
                if set.is_none() {
                    inner.listeners.handle_other_listener(local, key);
                }
                set
            }
            None => inner.listeners.by_address(local),
        };
        what.map(|what| self.requested_record(connection, what)).ok_or_else(not_requested)
    }

    /// The record of a stream that was just connected, where something was set on it.
    pub(super) fn set_before_connect(&self, connection: Connected) -> Option<Arc<Record>> {
        let inner = self.inner();
        inner.table.get(connection.key, connection.peer()).or_else(|| {
            let what = inner.set_before_fork(connection.key, None)?;
            Some(self.requested_record(connection, what))
        })
    }

    pub(super) fn set_on_listener(&self, key: SocketKey) -> Option<PartnerRequest> {
        let inner = self.inner();
        inner.listeners.by_socket(key).or_else(|| {
            // Set on a `TcpSocket` before it became a listener, or before this process was forked.
            let record = inner.table.get_unconnected(key);
            let set = record.and_then(|record| record.lock().retrieval.requested());
            let what = set.or_else(|| inner.set_before_fork(key, None))?;
            inner.listeners.promote(key, what);
            Some(what)
        })
    }

    pub(super) fn requested_record(
        &self,
        connection: Connected,
        what: PartnerRequest,
    ) -> Arc<Record> {
        let record = self.inner().table.get_or_new(connection.key, connection.peer());
        record.lock().retrieval.handle_set(what);
        record
    }
}
