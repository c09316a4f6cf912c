//! Which IP addresses are private, and to which of a host's a connection may be made. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Tells whether an IP address is one that the Internet cannot reach: loopback, a private or
/// link-local network, or one of the ranges that RFC 6890 reserves.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        // Multicast, reserved, broadcast.
        || a >= 224
        // Carrier-grade NAT, protocol assignments, benchmarks.
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18)
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    // An IPv4 address may hide in an IPv6 one: mapped, NAT64, 6to4.
    let hidden = match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some((high, low))
        }
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    if let Some((high, low)) = hidden {
        return is_private_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    }
    // Only 2000::/3 is the Internet, and 2001:db8::/32 in it is for documentation.
    let segments = address.segments();
    segments[0] & 0xe000 != 0x2000 || (segments[0] == 0x2001 && segments[1] == 0x0db8)
}

/// The IP addresses to which a connection may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    All,
    /// No private address, because the user forbade them.
    DenyPrivate,
    /// No private address, because a public server redirected here: it would choose what is
    /// requested in a private network, not the user.
    FromPublicNetwork,
}

impl Rule {
    pub(crate) fn permits(self, address: IpAddr) -> bool {
        self == Rule::All || !is_private(address)
    }

    /// Returns why no connection is made to a host none of whose addresses is permitted.
    pub(crate) fn refusal(self, host: &str) -> String {
        match self {
            Rule::FromPublicNetwork => {
                format!("a public server redirected to {host:?}, whose address is private")
            }
            Rule::All | Rule::DenyPrivate => format!("the address of {host:?} is private"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_ranges_are_told_from_the_internet() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_rule_permits_all_or_only_the_internet() {
        let (private, public) = ([127, 0, 0, 1].into(), [1, 1, 1, 1].into());

        assert!(Rule::All.permits(private) && Rule::All.permits(public));
        for rule in [Rule::DenyPrivate, Rule::FromPublicNetwork] {
            assert!(!rule.permits(private) && rule.permits(public));
        }
    }
}
