//! How far a token's holders are looked for.

#[cfg(doc)]
use super::HoldersGap;

/// How far to look for the processes that hold a socket.
///
/// # Examples
///
/// ```
/// use partner_info::prelude::*;
/// use partner_info::token::HoldersGap;
/// use partner_info::{HolderSearch, Stack};
///
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (server, _) = listener.accept()?;
/// Stack::builder().holder_search(HolderSearch::First).build().make_default().unwrap();
/// # let wait = std::time::Duration::from_secs(5);
/// let partner = server.get_partner_info_blocking(PartnerRequest::UTOKEN, wait)?;
/// let token = partner.token().unwrap();
/// assert_eq!(token.holders().len(), 1);
/// assert_eq!(token.holders_gap(), Some(HoldersGap::StoppedAtFirst));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HolderSearch {
    /// Every process: the list of holders is complete, or the token tells why it may not be.
    #[default]
    All,
    /// Up to the first holder: much quicker on a large machine. The list of holders has one, and
    /// the token says [`HoldersGap::StoppedAtFirst`].
    First,
}
