//! How far a token's holders are looked for.

#[cfg(doc)]
use super::HoldersGap;

/// How far to look for the processes that hold a socket.
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
