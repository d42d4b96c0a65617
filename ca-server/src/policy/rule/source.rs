//! `source`: the networks that a role is asked for and used from. The ask must come from inside,
//! and the certificate carries all of them as its critical option `source-address`
//! (PROTOCOL.certkeys), which sshd compares with the address of each connection.

use std::fmt;
use std::net::IpAddr;

use super::{Case, Objection};

/// The ask comes from one of the role's networks. Who reads this has the role, and would find the
/// networks in the certificate: they can be told.
pub(super) fn rule(case: &Case<'_>) -> Result<(), Objection> {
    let networks = &case.role.source;
    let inside = |address| networks.iter().any(|network| network.contains(address));
    if networks.is_empty() || case.ask.source.is_some_and(inside) {
        return Ok(());
    }
    let role = &case.role.name;
    let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
    let reason = match case.ask.source {
        Some(from) => format!("The role {role} is not given to {}.", from.to_canonical()),
        None => format!("The role {role} is given to some networks only, and yours is not known."),
    };
    let help = format!("Ask from {}.", networks.join(" or "));
    Err(Objection {
        rule: "source",
        reason,
        help,
    })
}

/// A network: an address with no bit set behind its prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not `ADDRESS/PREFIX`.
    #[error("a network is written ADDRESS/PREFIX")]
    Shape,
    /// The address is none.
    #[error("the part before the slash is no IPv4 or IPv6 address")]
    Address,
    /// The prefix is none, or longer than the address.
    #[error("the part after the slash must be a number from 1 to {most}")]
    Prefix {
        /// 32 or 128.
        most: u8,
    },
    /// Bits behind the prefix are set.
    #[error("bits behind the prefix are set; the network is {network}")]
    HostBits {
        /// The network that the address lies in.
        network: Cidr,
    },
    /// `::ffff:10.0.0.0/104`: sshd compares IPv4 connections as IPv4.
    #[error("an IPv4 network is written as IPv4")]
    Mapped,
}

impl Cidr {
    /// Checks and takes `ADDRESS/PREFIX`.
    pub fn new(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = text.split_once('/').ok_or(CidrError::Shape)?;
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        if address.to_canonical() != address {
            return Err(CidrError::Mapped);
        }
        let most = if address.is_ipv4() { 32 } else { 128 };
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix.parse::<u8>() {
            Ok(number) if digits && (1..=most).contains(&number) => number,
            _ => return Err(CidrError::Prefix { most }),
        };
        let network = Cidr {
            address: masked(address, prefix),
            prefix,
        };
        if network.address != address {
            return Err(CidrError::HostBits { network });
        }
        Ok(network)
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether the address lies inside. An IPv4 address in IPv6 clothes counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let shift = 32u32.saturating_sub(u32::from(prefix));
            let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let shift = 128u32.saturating_sub(u32::from(prefix));
            let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
