//! A network of hosts, as `192.0.2.0/24` or `2001:db8::/32`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The networks of no public address.
///
/// Sources: RFC 1918, section 3; RFC 6598, section 7; RFC 4193, section 3.1.
pub(super) const PRIVATE: [Network; 5] = [
    v4([10, 0, 0, 0], 8),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    v4([100, 64, 0, 0], 10),
    v6(0xfc00, 7),
];

/// What is the address of no other host, or of no single one.
const NO_HOSTS: [(Network, &str); 9] = [
    (v4([0, 0, 0, 0], 8), "the unspecified address"),
    (v4([127, 0, 0, 0], 8), "loopback addresses"),
    (v4([169, 254, 0, 0], 16), "link-local addresses"),
    (v4([224, 0, 0, 0], 4), "multicast addresses"),
    (v6_low(0), "the unspecified address"),
    (v6_low(1), "the loopback address"),
    (v6(0xfe80, 10), "link-local addresses"),
    (v6(0xff00, 8), "multicast addresses"),
    (MAPPED, "IPv4 addresses in the form of IPv6"),
];

/// `::ffff:0:0/96`.
const MAPPED: Network =
    Network { ip: IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0)), prefix: 96 };

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Network {
    Network { ip: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
}

const fn v6(first: u16, prefix: u8) -> Network {
    Network { ip: IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)), prefix }
}

const fn v6_low(last: u16) -> Network {
    Network { ip: IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, last)), prefix: 128 }
}

/// The addresses that begin with the same bits. None of them is loopback, link-local, multicast or
/// unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// Its first address; what follows the prefix is zero.
    ip: IpAddr,
    prefix: u8,
}

/// Why a text is no network of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NetworkError {
    Syntax,
    /// There are bits after the prefix: an address of this network.
    HostBits(Network),
    /// It has these addresses in it.
    NoHosts(&'static str),
}

impl Network {
    pub(super) fn parse(text: &str) -> Result<Self, NetworkError> {
        let (ip, prefix) = text.split_once('/').ok_or(NetworkError::Syntax)?;
        let ip = ip.parse::<IpAddr>().map_err(|_| NetworkError::Syntax)?;
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let plain = prefix.parse().ok().filter(|number: &u8| number.to_string() == prefix);
        let prefix = plain.filter(|prefix| *prefix <= width).ok_or(NetworkError::Syntax)?;
        let network = Self { ip: first(ip, prefix), prefix };
        if network.ip != ip {
            return Err(NetworkError::HostBits(network));
        }
        match NO_HOSTS.iter().find(|(other, _)| network.overlaps(other)) {
            Some((_, what)) => Err(NetworkError::NoHosts(what)),
            None => Ok(network),
        }
    }

    /// Whether the address is one of these; one of IPv4 may have the form of IPv6.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.has(address.to_canonical())
    }

    fn has(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.ip.is_ipv4() && first(address, self.prefix) == self.ip
    }

    fn overlaps(&self, other: &Self) -> bool {
        // Of two networks with an address in common one is within the other.
        self.has(other.ip) || other.has(self.ip)
    }
}

/// The address with the bits after the prefix set to zero.
fn first(ip: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match ip {
        IpAddr::V4(ip) => {
            let rest = u32::MAX.checked_shr(prefix).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & !rest))
        }
        IpAddr::V6(ip) => {
            let rest = u128::MAX.checked_shr(prefix).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !rest))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_and_written() {
        for text in [
            "10.0.0.0/8",
            "192.0.2.7/32",
            "192.0.0.0/4",
            "fc00::/7",
            "2001:db8::/32",
            "2001:db8::1/128",
            "2000::/3",
        ] {
            assert_eq!(Network::parse(text).unwrap().to_string(), text);
        }
        for private in PRIVATE {
            assert_eq!(Network::parse(&private.to_string()), Ok(private));
        }
    }

    #[test]
    fn an_address_is_inside_or_outside() {
        for (network, inside, outside) in [
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..],
                &["11.0.0.0", "9.255.255.255", "a00::", "::ffff:11.0.0.0"][..],
            ),
            ("100.64.0.0/10", &["100.64.0.0", "100.127.255.255"], &["100.63.0.0", "100.128.0.0"]),
            ("192.0.2.7/32", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]),
            ("fc00::/7", &["fc00::", "fdff::1"], &["fe00::", "fbff::1", "252.0.0.0"]),
            ("2001:db8::1/128", &["2001:db8::1"], &["2001:db8::", "2001:db8::2"]),
        ] {
            let network = Network::parse(network).unwrap();
            for address in inside {
                assert!(network.contains(address.parse().unwrap()), "{address} in {network}");
            }
            for address in outside {
                assert!(!network.contains(address.parse().unwrap()), "{address} in {network}");
            }
        }
    }

    #[test]
    fn what_is_no_network_of_hosts_is_refused() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/-1",
            "10.0.0.0/8 ",
            "10.0.0.0/255.0.0.0",
            "10.0.0/8",
            "010.0.0.0/8",
            "::/129",
            "[fc00::]/7",
            "fc00::%1/7",
            "web1/8",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(Network::parse(text), Err(NetworkError::Syntax), "{text:?}");
        }
        for (text, network) in
            [("10.0.0.1/8", "10.0.0.0/8"), ("fd00::/7", "fc00::/7"), ("1.2.3.4/0", "0.0.0.0/0")]
        {
            let Err(NetworkError::HostBits(found)) = Network::parse(text) else {
                panic!("{text} is taken");
            };
            assert_eq!(found.to_string(), network);
        }
        for (text, what) in [
            ("0.0.0.0/0", "the unspecified address"),
            ("0.0.0.0/32", "the unspecified address"),
            ("127.0.0.0/8", "loopback addresses"),
            ("127.0.0.1/32", "loopback addresses"),
            ("64.0.0.0/2", "loopback addresses"),
            ("169.254.0.0/16", "link-local addresses"),
            ("224.0.0.0/4", "multicast addresses"),
            ("239.1.0.0/16", "multicast addresses"),
            ("::/0", "the unspecified address"),
            ("::/128", "the unspecified address"),
            ("::1/128", "the loopback address"),
            ("fe80::/10", "link-local addresses"),
            ("fe80::/64", "link-local addresses"),
            ("ff02::/16", "multicast addresses"),
            ("::ffff:10.0.0.0/104", "IPv4 addresses in the form of IPv6"),
        ] {
            assert_eq!(Network::parse(text), Err(NetworkError::NoHosts(what)), "{text}");
        }
    }
}
