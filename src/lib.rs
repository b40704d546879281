//! Who is at the other end of this TCP connection?
//!
//! Every account of a machine can connect to 127.0.0.1, and TCP, unlike a Unix socket, does not
//! say who did. On z/OS the TCP/IP stack answers that question; this crate brings the answer to
//! async Rust on Linux, with the same two calls: [`set_partner_info`] before connect or listen,
//! [`get_partner_info`] after connect or accept.
//!
//! ```
//! use std::time::Duration;
//!
//! use partner_info::prelude::*;
//! use tokio::net::{TcpListener, TcpStream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let client = TcpStream::connect(listener.local_addr()?).await?;
//! let (server, _) = listener.accept().await?;
//!
//! let partner = server.get_partner_info(PartnerRequest::USER_ID, Duration::from_secs(1)).await?;
//! println!("{partner}"); // user alice(1000), same cluster, same image, internal
//! # Ok(())
//! # }
//! ```
//!
//! In one network namespace the kernel answers, exactly and verified, without a daemon, a privilege
//! or any set-up. For partners in other namespaces of the host, as in containers, on other hosts of the
//! security domain, and for the processes of other users the host's agent `partnerd` is asked, where
//! there is one: see [`StackBuilder::agent`]. It asks the agents of other hosts itself.
//!
//! # What an answer is worth
//!
//! A wrong name is worse than no name. An `Ok` is complete and verified for what was requested;
//! where there is any doubt the answer is an error, [`ErrorKind::Unidentified`], with a [`Reason`].
//! Unknown is never root.
//!
//! [`PartnerInfo::user`] is the *owner of the partner's socket*, as the kernel recorded it when the
//! socket was made or accepted. It is the identity to authorize on. A program that passes bytes on
//! for others (a relay, a proxy, a browser) is itself the partner.
//!
//! [`PartnerInfo::token`] tells of the *processes* behind that socket: several may hold it, and they
//! may run as somebody else. It is there to be logged, and for rules that only narrow.
//!
//! # Runtimes
//!
//! Sockets of tokio, of std, and with the features `mio` and `socket2` of these. A get that does not
//! wait is the same everywhere; one that waits is a future for tokio, blocks the thread for std and
//! socket2, and is an event source for mio: see [`PartnerStreamExt`].
//!
//! For servers of `http` requests there is a listener and a layer that admits by who the partner is:
//! `web`, with the features `axum`, `tonic` or `tower`.
//!
//! # Who may ask
//!
//! Everybody may ask about partners in its own network namespace, until a policy file says otherwise:
//! see [`policy`] and [`StackBuilder::policy_file`]. Each set and get is decided by what the calling
//! thread is at that moment.
//!
//! # What it does not do
//!
//! It does not look behind relays, does not authenticate bytes, and answers for TCP alone. Without an
//! agent partners in other network namespaces and on other hosts are [`Reason::NotInThisStack`]. With
//! one they are [`Reason::OutsideCluster`] where no other host is asked, [`Reason::Unproven`] where the
//! two ends do not fit, as behind NAT, and [`ErrorKind::Agent`] where the partner's host does not
//! answer.
//!
//! # Before you decide by it
//!
#![cfg_attr(
    all(doc, feature = "tokio"),
    doc = "What an answer means, what a relay or a browser changes, and when not to use this: [`guide`]."
)]
//!
//! # Platforms
//!
//! Linux. Elsewhere every call is [`ErrorKind::Unsupported`].
//!
//! [`set_partner_info`]: PartnerSocketExt::set_partner_info
#![cfg_attr(feature = "tokio", doc = "[`get_partner_info`]: PartnerStreamExt::get_partner_info")]
#![cfg_attr(
    not(feature = "tokio"),
    doc = "[`get_partner_info`]: PartnerStreamExt::get_partner_info_blocking"
)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    any(not(feature = "tokio"), partner_info_other_platform, not(target_os = "linux")),
    allow(dead_code, unused_imports, reason = "tokio connects, and gets find somebody on Linux")
)]

mod accounts;
#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
#[doc(hidden)]
pub mod agent;
#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
#[doc(hidden)]
pub mod cli;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
mod client;
#[cfg(not(all(target_os = "linux", not(partner_info_other_platform))))]
#[path = "client/elsewhere.rs"]
mod client;
mod error;
mod ext;
#[cfg(feature = "tokio")]
pub mod future;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(all(any(doc, doctest), feature = "tokio"))]
pub mod guide;
#[cfg_attr(
    not(all(feature = "ident", target_os = "linux", not(partner_info_other_platform))),
    allow(dead_code, reason = "who asks at port 113 is answered by the agent")
)]
#[cfg(any(feature = "ident", test, fuzzing))]
mod ident;
mod info;
mod kernel;
pub mod policy;
#[cfg_attr(
    not(all(feature = "agent", target_os = "linux", not(partner_info_other_platform))),
    allow(
        dead_code,
        unused_imports,
        reason = "what is asked is read, and answers are written, by the agent"
    )
)]
mod protocol;
mod retrieval;
#[cfg(feature = "serde")]
mod serialize;
mod stack;
pub mod token;
mod wait;
#[cfg(feature = "tower")]
pub mod web;
mod workers;

pub use accounts::AccountNames;
pub use error::{Error, ErrorKind, Reason};
pub use ext::{PartnerListenerExt, PartnerSocketExt, PartnerStreamExt};
pub use info::{PartnerInfo, PartnerRequest, Routing, UserId};
pub use policy::SecurityDomain;
pub use stack::{PolicyFileError, PolicyInForce, PolicyStatus, Resolver, Stack, StackBuilder};
pub use token::{HolderSearch, UserToken};
#[cfg(feature = "mio")]
pub use wait::PartnerEvent;

/// What most programs need: the extension traits and what their calls take and give.
pub mod prelude {
    pub use crate::ext::{PartnerListenerExt, PartnerSocketExt, PartnerStreamExt};
    pub use crate::info::{PartnerInfo, PartnerRequest};
    #[cfg(feature = "mio")]
    pub use crate::wait::PartnerEvent;
}

/// The code of the administrator's page compiles.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../docs/administration.md")]
struct Administration;

/// The code of the README compiles.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
