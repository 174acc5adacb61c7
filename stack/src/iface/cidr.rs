//! An address with the length of its network's prefix.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// An IP address and how many of its leading bits name the network.
///
/// A `prefix_len` beyond the address's 32 or 128 bits counts as all of them.
///
/// ```
/// use tapsock_stack::iface::IpCidr;
///
/// let cidr: IpCidr = "10.0.0.1/24".parse().unwrap();
/// assert!(cidr.contains("10.0.0.77".parse().unwrap()));
/// assert!(!cidr.contains("10.0.1.77".parse().unwrap()));
/// assert_eq!(cidr.network().to_string(), "10.0.0.0/24");
/// assert_eq!(cidr.broadcast(), Some("10.0.0.255".parse().unwrap()));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct IpCidr {
    /// The address; host bits may be set.
    pub address: IpAddr,
    /// Length of the network's prefix, in bits.
    pub prefix_len: u8,
}

impl IpCidr {
    /// `address` in a network of `prefix_len` bits.
    pub const fn new(address: IpAddr, prefix_len: u8) -> Self {
        IpCidr { address, prefix_len }
    }

    /// The network that holds nothing but `address`.
    pub const fn host(address: IpAddr) -> Self {
        IpCidr { address, prefix_len: full_len(address) }
    }

    /// Whether `address` is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                (ours.to_bits() ^ other.to_bits()) & mask_v4(self.prefix_len) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                (ours.to_bits() ^ other.to_bits()) & mask_v6(self.prefix_len) == 0
            }
            _ => false,
        }
    }

    /// The network itself: host bits cleared, the prefix no longer than the address.
    pub fn network(&self) -> IpCidr {
        let address = match self.address {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask_v4(self.prefix_len))),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask_v6(self.prefix_len))),
        };
        IpCidr { address, prefix_len: self.prefix_len.min(full_len(address)) }
    }

    /// The address that means every host of the network. IPv6 has none, and a network of one or two hosts (RFC 3021)
    /// neither.
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(v4) if self.prefix_len <= 30 => {
                Some(Ipv4Addr::from_bits(v4.to_bits() | !mask_v4(self.prefix_len)))
            }
            _ => None,
        }
    }

    /// Whether the network holds one address only.
    pub fn is_host(&self) -> bool {
        self.prefix_len >= full_len(self.address)
    }
}

impl fmt::Display for IpCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

/// The text is not an address with an optional prefix length (EINVAL).
///
/// ```
/// use tapsock_stack::iface::{CidrError, IpCidr};
///
/// assert_eq!("10.0.0.1/33".parse::<IpCidr>(), Err(CidrError));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct CidrError;

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address like 10.0.0.1/24 or fd00::1/64")
    }
}

impl core::error::Error for CidrError {}

impl FromStr for IpCidr {
    type Err = CidrError;

    /// `10.0.0.1/24`, `fd00::1/64`; an address alone is a network of its own, as for `ip address add`.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let Some((address, len)) = text.split_once('/') else {
            return text.parse().map(IpCidr::host).map_err(|_| CidrError);
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError)?;
        if !len.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(CidrError);
        }
        let prefix_len: u8 = len.parse().map_err(|_| CidrError)?;
        if prefix_len > full_len(address) {
            return Err(CidrError);
        }
        Ok(IpCidr { address, prefix_len })
    }
}

const fn full_len(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn mask_v4(prefix_len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix_len.min(32))).unwrap_or(0)
}

fn mask_v6(prefix_len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix_len.min(128))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> IpCidr {
        text.parse().unwrap()
    }

    #[test]
    fn contains_compares_the_prefix_only() {
        let table = [
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.1/32", "10.0.0.1", true),
            ("10.0.0.1/32", "10.0.0.0", false),
            ("10.0.0.128/25", "10.0.0.127", false),
            ("fe80::1/64", "fe80::ffff:ffff:ffff:ffff", true),
            ("fe80::1/64", "fe80:0:0:1::1", false),
            ("::1/128", "::1", true),
            ("::1/128", "::", false),
        ];
        for (network, address, expected) in table {
            assert_eq!(cidr(network).contains(address.parse().unwrap()), expected, "{network} {address}");
        }
    }

    #[test]
    fn text_form_is_checked_and_round_trips() {
        for text in ["10.0.0.1/24", "0.0.0.0/0", "fd00::1/64", "::/0"] {
            assert_eq!(cidr(text).to_string(), text);
        }
        assert_eq!(cidr("10.0.0.1"), IpCidr::host("10.0.0.1".parse().unwrap()));
        for bad in
            ["", "/", "10.0.0.1/", "10.0.0/8", "10.0.0.1/33", "fd00::1/129", "10.0.0.1/+8", "10.0.0.1/-1"]
        {
            assert_eq!(bad.parse::<IpCidr>(), Err(CidrError), "{bad}");
        }
    }

    //= RFC 3021 §2.1, type=test
    #[test]
    fn point_to_point_networks_have_no_broadcast() {
        assert_eq!(cidr("10.0.0.1/30").broadcast(), Some(Ipv4Addr::new(10, 0, 0, 3)));
        assert_eq!(cidr("10.0.0.1/31").broadcast(), None);
        assert_eq!(cidr("10.0.0.1/32").broadcast(), None);
        assert_eq!(cidr("0.0.0.0/0").broadcast(), Some(Ipv4Addr::BROADCAST));
        assert_eq!(cidr("fd00::1/64").broadcast(), None);
    }

    #[test]
    fn an_overlong_prefix_counts_as_the_whole_address() {
        let odd = IpCidr::new("10.0.0.1".parse().unwrap(), 200);
        assert!(odd.is_host() && odd.contains(odd.address));
        assert_eq!(odd.network(), IpCidr::host(odd.address));
    }
}
