//! Whose address counts: the TCP peer's, unless that is a proxy of ours (A84).
//!
//! In: the peer, and `X-Forwarded-For` as it came. Out: one address, which `source` rules, limits
//! and the ledger use. From a peer that is not configured as a proxy the header is not even read;
//! from one that is, addresses are taken from the right until one is not a proxy's. No other header
//! (`Forwarded`, `X-Real-IP`, names with underscores) is ever looked at, and no URL is made from one.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;

use crate::policy::Cidr;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP, from this address.
    Tcp(IpAddr),
    /// Over the admin socket, from this user.
    Socket {
        /// As the kernel says (`SO_PEERCRED`).
        uid: u32,
    },
}

/// A proxy of ours sent a header that no proxy of ours makes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a trusted proxy sent an X-Forwarded-For that is not a list of addresses")]
pub(crate) struct BadForwarded;

/// The address that counts for a request from `peer`; an error where a trusted proxy sends nonsense
/// (closed: the proxy's own address must not pass a `source` rule in a stranger's place).
pub(crate) fn client(
    peer: IpAddr,
    headers: &HeaderMap,
    proxies: &[Cidr],
) -> Result<IpAddr, BadForwarded> {
    let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !is_proxy(client) {
        return Ok(client);
    }
    let values = headers.get_all("x-forwarded-for");
    let mut hops = Vec::new();
    for value in values {
        let text = value.to_str().map_err(|_| BadForwarded)?;
        hops.extend(text.split(',').map(str::trim));
    }
    for hop in hops.into_iter().rev() {
        client = hop
            .parse::<IpAddr>()
            .map_err(|_| BadForwarded)?
            .to_canonical();
        if !is_proxy(client) {
            break;
        }
    }
    Ok(client)
}

/// What limits count by: an IPv4 address, or the /64 that one IPv6 machine has whole.
pub(crate) fn limited_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::HeaderMap;

    use super::{BadForwarded, client, limited_as};
    use crate::policy::Cidr;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append("x-forwarded-for", value.parse().unwrap());
        }
        map
    }

    #[test]
    fn forwarded_headers_of_a_stranger_are_ignored() {
        let mut all = headers(&["10.0.0.1"]);
        for name in [
            "forwarded",
            "x-real-ip",
            "x_forwarded_for",
            "x-forwarded-host",
            "x-remote-user",
        ] {
            all.append(name, "10.0.0.1".parse().unwrap());
        }
        assert_eq!(client(ip("192.0.2.9"), &all, &[]), Ok(ip("192.0.2.9")));
        let other = [Cidr::new("10.9.0.0/16").unwrap()];
        assert_eq!(client(ip("192.0.2.9"), &all, &other), Ok(ip("192.0.2.9")));
    }

    #[test]
    fn what_a_client_put_in_front_of_a_proxys_own_word_does_not_count() {
        let proxies = [Cidr::new("10.0.0.7/32").unwrap()];
        let forged = headers(&["10.0.0.1, 198.51.100.4"]);
        assert_eq!(
            client(ip("10.0.0.7"), &forged, &proxies),
            Ok(ip("198.51.100.4"))
        );
        let twice = headers(&["10.0.0.1", "198.51.100.4, 10.0.0.7"]);
        assert_eq!(
            client(ip("::ffff:10.0.0.7"), &twice, &proxies),
            Ok(ip("198.51.100.4"))
        );
        assert_eq!(
            client(ip("10.0.0.7"), &HeaderMap::new(), &proxies),
            Ok(ip("10.0.0.7"))
        );
    }

    #[test]
    fn nonsense_from_a_proxy_is_an_error_and_not_the_proxys_own_address() {
        let proxies = [Cidr::new("10.0.0.7/32").unwrap()];
        for value in ["unknown", "", "1.2.3.4:80", "1.2.3.4,"] {
            let bad = headers(&[value]);
            assert_eq!(
                client(ip("10.0.0.7"), &bad, &proxies),
                Err(BadForwarded),
                "{value}"
            );
        }
    }

    #[test]
    fn one_ipv6_machine_is_one_peer() {
        assert_eq!(
            limited_as(ip("2001:db8::1")),
            limited_as(ip("2001:db8::ffff"))
        );
        assert_ne!(
            limited_as(ip("2001:db8:0:1::1")),
            limited_as(ip("2001:db8::1"))
        );
        assert_eq!(limited_as(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
    }
}
