//! What stands in packets, byte by byte.
//!
//! Parsers take whatever a peer sent and never panic: past this module a nonsensical header can't be represented.
//! Builders write from the inside to the outside into a [`HeaderBlock`](crate::buf::HeaderBlock). All numbers in
//! the structures are in host byte order.

use core::fmt;

pub mod arp;
pub mod checksum;
pub mod dhcpv4;
pub mod ethernet;
pub mod group;
pub mod icmp;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv4_options;
pub mod ipv6;
pub mod ipv6_ext;
pub mod ndp;
pub mod offload;
pub mod tcp;
pub mod tcp_options;
pub mod udp;

pub use ethernet::{EtherType, EthernetAddress, EthernetHeader};
pub use ipv4::Ipv4Header;
pub use ipv6::Ipv6Header;
pub use tcp::{TcpFlags, TcpHeader};
pub use tcp_options::{FastOpenCookie, FastOpenForm, FastOpenOption, SackBlocks, TcpOptions, Timestamps};
pub use udp::UdpHeader;

use crate::buf::HEADER_BLOCK_LEN;

/// What is written before a payload at most: every writer of headers keeps to these lengths by its type.
const _: () = {
    const FRAGMENT_AND_HOP_BY_HOP: usize = 16;
    let v4 = Ipv4Header::MIN_LEN + ipv4_options::MAX_LEN;
    let v6 = Ipv6Header::LEN + FRAGMENT_AND_HOP_BY_HOP;
    let transport = TcpHeader::MAX_LEN;
    // Messages of neighbour discovery are written whole, and the longest is a redirect's: its fixed part and two options.
    let redirect = 40 + 8 + 8;
    assert!(TcpHeader::MIN_LEN + tcp_options::MAX_OPTIONS_LEN == transport && redirect < transport);
    assert!(EthernetHeader::LEN + v4 + transport <= HEADER_BLOCK_LEN, "IPv4's longest headers");
    assert!(EthernetHeader::LEN + v6 + transport <= HEADER_BLOCK_LEN, "IPv6's longest headers");
};

/// Why bytes are not what they claim to be.
///
/// ```
/// use tapsock_stack::wire::{Ipv4Header, Malformed};
///
/// assert_eq!(Ipv4Header::parse(&[0x45; 19]), Err(Malformed::Truncated));
/// assert_eq!(Ipv4Header::parse(&[0x65; 20]), Err(Malformed::BadVersion));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum Malformed {
    /// Fewer bytes than the header, or than its length field says.
    Truncated,
    /// An IP version other than the parser's.
    BadVersion,
    /// A header length below the minimum or beyond the packet.
    BadHeaderLength,
    /// A length field that contradicts the header.
    BadLength,
    /// The checksum does not match.
    BadChecksum,
    /// An option that does not fit its header.
    BadOption,
    /// An address that may not stand where it stands.
    BadAddress,
    /// A code or hop limit that the message may not have.
    BadCode,
    /// Well formed, but nothing that is spoken here.
    Unsupported,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Truncated => "truncated",
            Malformed::BadVersion => "wrong IP version",
            Malformed::BadHeaderLength => "bad header length",
            Malformed::BadLength => "bad length",
            Malformed::BadChecksum => "bad checksum",
            Malformed::BadOption => "bad option",
            Malformed::BadAddress => "bad address",
            Malformed::BadCode => "bad code or hop limit",
            Malformed::Unsupported => "unsupported",
        })
    }
}

impl core::error::Error for Malformed {}

/// What follows an IP header: IPv4's protocol and IPv6's next header, as IANA numbers them.
///
/// ```
/// use tapsock_stack::wire::IpProtocol;
///
/// assert_eq!(IpProtocol::TCP, IpProtocol(6));
/// assert_eq!(IpProtocol(17).to_string(), "UDP");
/// assert_eq!(IpProtocol(89).to_string(), "protocol 89");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: IpProtocol = IpProtocol(0);
    /// ICMP for IPv4.
    pub const ICMP: IpProtocol = IpProtocol(1);
    /// Group management for IPv4.
    pub const IGMP: IpProtocol = IpProtocol(2);
    /// TCP.
    pub const TCP: IpProtocol = IpProtocol(6);
    /// UDP.
    pub const UDP: IpProtocol = IpProtocol(17);
    /// IPv6 routing header.
    pub const ROUTING: IpProtocol = IpProtocol(43);
    /// IPv6 fragment header.
    pub const FRAGMENT: IpProtocol = IpProtocol(44);
    /// ICMP for IPv6.
    pub const ICMPV6: IpProtocol = IpProtocol(58);
    /// IPv6: nothing follows.
    pub const NO_NEXT: IpProtocol = IpProtocol(59);
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: IpProtocol = IpProtocol(60);
}

impl fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            IpProtocol::HOP_BY_HOP => "hop-by-hop options",
            IpProtocol::ICMP => "ICMP",
            IpProtocol::IGMP => "IGMP",
            IpProtocol::TCP => "TCP",
            IpProtocol::UDP => "UDP",
            IpProtocol::ROUTING => "routing header",
            IpProtocol::FRAGMENT => "fragment header",
            IpProtocol::ICMPV6 => "ICMPv6",
            IpProtocol::NO_NEXT => "no next header",
            IpProtocol::DESTINATION_OPTIONS => "destination options",
            IpProtocol(other) => return write!(f, "protocol {other}"),
        })
    }
}

#[cfg(test)]
mod tests;
