//! Ethernet II frames.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use super::Malformed;
use crate::buf::HeaderBlock;

/// A station's address, EUI-48.
///
/// ```
/// use tapsock_stack::wire::EthernetAddress;
///
/// let address: EthernetAddress = "02:00:00:00:00:2a".parse()?;
/// assert_eq!(address, EthernetAddress([2, 0, 0, 0, 0, 0x2a]));
/// assert!(address.is_unicast());
/// assert_eq!(EthernetAddress::BROADCAST.to_string(), "ff:ff:ff:ff:ff:ff");
/// # Ok::<(), tapsock_stack::wire::Malformed>(())
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct EthernetAddress(pub [u8; 6]);

impl EthernetAddress {
    /// All stations.
    pub const BROADCAST: EthernetAddress = EthernetAddress([0xff; 6]);

    /// Whether all stations are meant.
    pub const fn is_broadcast(&self) -> bool {
        matches!(self.0, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    }

    /// Whether a group of stations is meant. Broadcast is such a group.
    pub const fn is_multicast(&self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether it is one station's address: neither a group nor all zeros.
    pub const fn is_unicast(&self) -> bool {
        !self.is_multicast() && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }

    /// The group that a multicast IP address is sent to; [`BROADCAST`](Self::BROADCAST) for 255.255.255.255.
    ///
    /// For other addresses the result has no meaning: they want a neighbour's address.
    pub const fn multicast_for(group: IpAddr) -> Self {
        match group {
            IpAddr::V4(group) if group.is_broadcast() => Self::BROADCAST,
            //= RFC 1112 §6.4
            IpAddr::V4(group) => {
                let [_, b, c, d] = group.octets();
                EthernetAddress([0x01, 0x00, 0x5e, b & 0x7f, c, d])
            }
            //= RFC 2464 §7
            IpAddr::V6(group) => {
                let [.., a, b, c, d] = group.octets();
                EthernetAddress([0x33, 0x33, a, b, c, d])
            }
        }
    }
}

impl fmt::Display for EthernetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for EthernetAddress {
    type Err = Malformed;

    /// Six pairs of hexadecimal digits with colons between them; all else is [`Malformed::BadAddress`].
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut address = EthernetAddress::default();
        let mut parts = text.split(':');
        for octet in &mut address.0 {
            let part =
                parts.next().filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()));
            let part = part.ok_or(Malformed::BadAddress)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| Malformed::BadAddress)?;
        }
        if parts.next().is_some() { Err(Malformed::BadAddress) } else { Ok(address) }
    }
}

/// What a frame carries.
///
/// ```
/// use tapsock_stack::wire::EtherType;
///
/// assert_eq!(EtherType::from(0x86dd), EtherType::Ipv6);
/// assert_eq!(u16::from(EtherType::Other(0x88cc)), 0x88cc);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum EtherType {
    /// IPv4.
    Ipv4,
    /// Address resolution for IPv4.
    Arp,
    /// IPv6.
    Ipv6,
    /// Anything else, by IEEE's number; below 0x600 it is the length of an IEEE 802.3 frame.
    Other(u16),
}

impl From<u16> for EtherType {
    fn from(number: u16) -> Self {
        match number {
            0x0800 => EtherType::Ipv4,
            0x0806 => EtherType::Arp,
            0x86dd => EtherType::Ipv6,
            other => EtherType::Other(other),
        }
    }
}

impl From<EtherType> for u16 {
    fn from(ether_type: EtherType) -> u16 {
        match ether_type {
            EtherType::Ipv4 => 0x0800,
            EtherType::Arp => 0x0806,
            EtherType::Ipv6 => 0x86dd,
            EtherType::Other(other) => other,
        }
    }
}

/// The header of a frame.
///
/// ```
/// use tapsock_stack::buf::HeaderBlock;
/// use tapsock_stack::wire::{EtherType, EthernetAddress, EthernetHeader};
///
/// let header = EthernetHeader {
///     destination: EthernetAddress::BROADCAST,
///     source: EthernetAddress([2, 0, 0, 0, 0, 1]),
///     ether_type: EtherType::Arp,
/// };
/// let mut block = HeaderBlock::new();
/// header.prepend_to(&mut block);
/// assert_eq!(EthernetHeader::parse(&block), Ok(header));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct EthernetHeader {
    /// The station that it goes to.
    pub destination: EthernetAddress,
    /// The station that sent it.
    pub source: EthernetAddress,
    /// What follows.
    pub ether_type: EtherType,
}

impl EthernetHeader {
    /// Length in bytes.
    pub const LEN: usize = 14;

    /// Reads the header at the start of `bytes`. Fails with [`Malformed::Truncated`] only.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(&[a, b, c, d, e, f, g, h, i, j, k, l, m, n]) = bytes.first_chunk() else {
            return Err(Malformed::Truncated);
        };
        Ok(EthernetHeader {
            destination: EthernetAddress([a, b, c, d, e, f]),
            source: EthernetAddress([g, h, i, j, k, l]),
            ether_type: EtherType::from(u16::from_be_bytes([m, n])),
        })
    }

    /// Writes the header before all that `headers` holds.
    pub fn prepend_to(&self, headers: &mut HeaderBlock) {
        let bytes = headers.prepend(Self::LEN);
        bytes[0..6].copy_from_slice(&self.destination.0);
        bytes[6..12].copy_from_slice(&self.source.0);
        bytes[12..14].copy_from_slice(&u16::from(self.ether_type).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn text_is_six_pairs_of_digits() {
        let address = EthernetAddress([0, 0x1a, 0xff, 3, 4, 5]);
        assert_eq!(address.to_string().parse(), Ok(address));
        assert_eq!("00:1A:FF:03:04:05".parse(), Ok(address));
        for wrong in ["", "00:1a:ff:03:04", "00:1a:ff:03:04:05:06", "0:1a:ff:03:04:05", "+0:1a:ff:03:04:05"] {
            assert_eq!(wrong.parse::<EthernetAddress>(), Err(Malformed::BadAddress), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_told_apart() {
        let station = EthernetAddress([2, 0, 0, 0, 0, 1]);
        let group = EthernetAddress([0x33, 0x33, 0, 0, 0, 1]);
        assert!(station.is_unicast() && !station.is_multicast());
        assert!(group.is_multicast() && !group.is_unicast() && !group.is_broadcast());
        assert!(EthernetAddress::BROADCAST.is_broadcast() && EthernetAddress::BROADCAST.is_multicast());
        assert!(!EthernetAddress::default().is_unicast());
    }

    //= RFC 1112 §6.4, type=test
    //= RFC 2464 §7, type=test
    #[test]
    fn groups_have_addresses_of_their_own() {
        let v4 = EthernetAddress::multicast_for(Ipv4Addr::new(224, 0x81, 2, 3).into());
        assert_eq!(v4.to_string(), "01:00:5e:01:02:03");
        let v6 = EthernetAddress::multicast_for(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff28, 0x9c5a).into());
        assert_eq!(v6.to_string(), "33:33:ff:28:9c:5a");
        let all = EthernetAddress::multicast_for(Ipv4Addr::BROADCAST.into());
        assert_eq!(all, EthernetAddress::BROADCAST);
    }

    #[test]
    fn a_header_cut_short_is_truncated() {
        for len in 0..EthernetHeader::LEN {
            assert_eq!(EthernetHeader::parse(&[1; EthernetHeader::LEN][..len]), Err(Malformed::Truncated));
        }
        for number in [0x0800, 0x0806, 0x86dd, 0x88cc, 46] {
            assert_eq!(u16::from(EtherType::from(number)), number);
        }
    }
}
