//! The addresses of the stack, and of its peer.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tapsock::IpCidr;

use crate::failure::Failure;

/// Which host of the network the peer is.
const PEER: u32 = 1;

/// The first address of each family.
#[derive(Copy, Clone, Debug, Default)]
pub struct Addresses {
    /// IPv4's.
    pub v4: Option<Ipv4Addr>,
    /// IPv6's.
    pub v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// The first of each family.
    pub(super) fn of(cidrs: &[IpCidr]) -> Self {
        let mut addresses = Addresses::default();
        for cidr in cidrs.iter().rev() {
            match cidr.address {
                IpAddr::V4(address) => addresses.v4 = Some(address),
                IpAddr::V6(address) => addresses.v6 = Some(address),
            }
        }
        addresses
    }

    /// Both, IPv4's first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }

    /// The one of the family that `other` is of.
    pub fn of_family(&self, other: IpAddr) -> Option<IpAddr> {
        self.iter().find(|address| address.is_ipv4() == other.is_ipv4())
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Vec<_> = self.iter().map(|address| address.to_string()).collect();
        f.write_str(&text.join(", "))
    }
}

/// For each of our addresses one for the peer in the same network: its first host, or its second where we are that.
pub(super) fn peers_of(ours: &[IpCidr]) -> Result<Vec<IpCidr>, Failure> {
    let mut peers: Vec<IpCidr> = Vec::new();
    for cidr in ours {
        if peers.iter().any(|peer| peer.network() == cidr.network()) {
            continue;
        }
        let host = |number: u32| match cidr.network().address {
            IpAddr::V4(network) => IpAddr::V4(Ipv4Addr::from_bits(network.to_bits().wrapping_add(number))),
            IpAddr::V6(network) => {
                IpAddr::V6(Ipv6Addr::from_bits(network.to_bits().wrapping_add(u128::from(number))))
            }
        };
        let is_free = |address: &IpAddr| {
            cidr.contains(*address)
                && cidr.broadcast().map(IpAddr::V4) != Some(*address)
                && ours.iter().all(|ours| ours.address != *address)
        };
        let peer = (PEER..=PEER + ours.len() as u32).map(host).find(is_free).ok_or_else(|| {
            let hint = "Take a shorter prefix, such as /24 for IPv4 or /64 for IPv6.";
            Failure::new(format!("--address {cidr}: its network has no room for a peer")).hint(hint)
        })?;
        peers.push(IpCidr::new(peer, cidr.prefix_len));
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(ours: &[&str]) -> Result<Vec<String>, String> {
        let ours: Vec<_> = ours.iter().map(|cidr| cidr.parse().unwrap()).collect();
        let peers = peers_of(&ours).map_err(|failure| failure.to_string())?;
        Ok(peers.iter().map(|peer| peer.to_string()).collect())
    }

    #[test]
    fn the_peer_is_the_first_other_host_of_the_network() {
        assert_eq!(peers(&["10.7.0.2/24", "fd07::2/64"]).unwrap(), ["10.7.0.1/24", "fd07::1/64"]);
        assert_eq!(peers(&["192.0.2.1/24", "192.0.2.2/24"]).unwrap(), ["192.0.2.3/24"]);
        assert_eq!(peers(&["192.0.2.1/30"]).unwrap(), ["192.0.2.2/30"]);
        assert!(peers(&["192.0.2.1/32"]).unwrap_err().contains("no room"));
    }
}
