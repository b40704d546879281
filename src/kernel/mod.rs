//! Asking this kernel who holds the other end of a connection.
//!
//! `netlink`, `sock_diag`, `conntrack` and `route` turn bytes into types, `verify` decides what to ask and what
//! was proven; none of them does input or output. `sys` holds the system calls, and `resolver`
//! carries questions and answers between the two.

use std::net::{IpAddr, SocketAddr};

#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
pub(crate) mod across;
pub(crate) mod conntrack;
#[cfg_attr(
    not(feature = "agent"),
    allow(dead_code, reason = "the program `partner` asks for lists")
)]
pub(crate) mod dump;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod netlink;
#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
pub(crate) mod nsid;
#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
pub(crate) mod prober;
#[cfg(all(target_os = "linux", not(partner_info_other_platform)))]
pub(crate) mod process;
#[cfg(not(all(target_os = "linux", not(partner_info_other_platform))))]
#[path = "process_elsewhere.rs"]
pub(crate) mod process;
pub(crate) mod resolver;
pub(crate) mod route;
#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
pub(crate) mod sequence;
pub(crate) mod sock_diag;
#[cfg(all(feature = "agent", target_os = "linux", not(partner_info_other_platform)))]
pub(crate) mod survey;
pub(crate) mod sys;
pub(crate) mod user_namespace;
pub(crate) mod verify;

/// Index of the loopback interface, `LOOPBACK_IFINDEX` of `include/net/flow.h`: the same in every
/// network namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// One end of a connection, in canonical form: an IPv4-mapped IPv6 address is an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { ip: address.ip().to_canonical(), port: address.port() }
    }
}
