//! Which addresses are private, and which of a host's may be asked. Asks nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one that the Internet cannot reach: loopback, a private or link-local
/// network, or one of the ranges that RFC 6890 keeps for other purposes.
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
    // Only 2000::/3 is the Internet, and 2001:db8::/32 in it is for books.
    let segments = address.segments();
    segments[0] & 0xe000 != 0x2000 || (segments[0] == 0x2001 && segments[1] == 0x0db8)
}

/// Those of a host's addresses that may be asked. Whoever was redirected by a public server is
/// not let into private networks: the server would choose what we ask there, not the user.
pub(crate) fn permitted(addresses: Vec<IpAddr>, redirected_by_public: bool) -> Vec<IpAddr> {
    let keep = |address: &IpAddr| !redirected_by_public || !is_private(*address);
    addresses.into_iter().filter(keep).collect()
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
    fn a_public_redirect_leads_to_public_addresses_only() {
        let addresses: Vec<IpAddr> =
            ["127.0.0.1", "1.1.1.1"].map(|address| address.parse().unwrap()).to_vec();

        assert_eq!(permitted(addresses.clone(), false), addresses);
        assert_eq!(permitted(addresses.clone(), true), addresses[1..]);
    }
}
