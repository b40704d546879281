//! Whether the agent of another host can be reached and trusted: what `partner doctor` asks.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::identity::Identity;
use super::peers::{AskError, Dial, Key, Means, PeerName, Peers};
use crate::info::PartnerRequest;
use crate::protocol::peers::{End, Hello, Question};
use crate::token::HolderSearch;

/// How long connecting and an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Discard (RFC 863): the agent is asked about a connection that is none.
const NO_PORT: u16 = 9;

/// Connects from wherever the routing table says.
struct Plainly {
    port: u16,
}

impl Dial for Plainly {
    fn dial(&self, to: Key) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>> {
        Box::pin(TcpStream::connect(SocketAddr::new(to.remote, self.port)))
    }
}

/// Asks the agent at `address` about a connection that is none, and returns who it has proven to be.
/// The two have then spoken over TLS, each trusts the other's certificate, and both are of one
/// security domain. The asked agent records a refused question. Waits for the network.
///
/// # Errors
///
/// [`AskError`] says what stands in the way. A runtime that cannot be made is `Unreachable`.
pub(crate) fn greet(
    identity: &Identity,
    domain: Option<&str>,
    (address, port): (IpAddr, u16),
) -> Result<Arc<PeerName>, AskError> {
    let unreachable = |error: io::Error| AskError::Unreachable(error.to_string());
    let local = local_address(SocketAddr::new(address, port)).map_err(unreachable)?;
    let domain = domain.map(str::to_owned);
    let host = match identity.current() {
        Some(svid) => svid.name().host().to_owned(),
        None => return Err(AskError::Untrusted("this host has no valid identity".into())),
    };
    let hello = Arc::new(Hello { domain: domain.clone(), host });
    let introduce = Arc::new(move || Arc::clone(&hello));
    let means = Means::new(Arc::new(Plainly { port }), Arc::new(identity.clone()), introduce);
    let question = Question {
        number: 0,
        asked: SocketAddr::new(address, NO_PORT),
        asker: SocketAddr::new(local, NO_PORT),
        request: PartnerRequest::USER_ID,
        search: HolderSearch::First,
        timeout: PATIENCE,
        domain,
        end: End {
            received_next: 0,
            sent_next: 0,
            unacknowledged: 0,
            bytes_received: 0,
            bytes_acknowledged: 0,
        },
    };
    let key = Key { namespace: 0, local, remote: address };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(unreachable)?.block_on(async {
        // Made and ended within the runtime.
        let peers = Peers::new(means, 1);
        peers.ask(key, question).await.map(|answered| answered.by)
    })
}

/// The address that this host would connect from. Sends nothing.
fn local_address(to: SocketAddr) -> io::Result<IpAddr> {
    let any = match to {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}
