//! What is set on every TCP connection between hosts.

use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

/// A peer that is silent this long is asked whether it is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(4);
/// And again after this.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
const KEEPALIVE_TRIES: u32 = 3;
/// What was sent and is not acknowledged after this ends the connection, in milliseconds.
const UNACKNOWLEDGED: u32 = 10_000;

/// A host that has gone without a word is noticed after ten seconds, whether somebody waits for it or
/// not. Small messages leave at once.
pub(super) fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    sockopt::set_tcp_nodelay(stream, true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_TRIES)?;
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED)?;
    Ok(())
}
