//! A packet as it stands on the wire, read into fields and written from them.
//!
//! The codec is the runner's own: what the stack under test gets wrong in its own, it can't hide here.

use core::net::IpAddr;

use crate::ast::{TcpFlags, TcpOption};

mod decode;
mod encode;
mod parts;
mod print;

pub use decode::{Malformed, decode};
pub use encode::encode;
pub(super) use encode::{complete_checksums, insert_ip_options, spoil_checksum};
pub(super) use parts::{Parts, cut, insert_extension};
pub(super) use print::write_options;

/// An IP packet.
///
/// ```
/// use tapsock_conformance::run::packet::{self, Packet, Tcp, Transport};
///
/// let packet = Packet {
///     source: "192.0.2.1".parse().unwrap(),
///     destination: "192.168.0.1".parse().unwrap(),
///     traffic_class: 0,
///     flow_label: 0,
///     hop_limit: 255,
///     parts: 1,
///     transport: Transport::Tcp(Tcp { source_port: 40_000, destination_port: 8080, ..Tcp::default() }),
/// };
/// assert_eq!(packet::decode(&packet::encode(&packet)), Ok(packet));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// IPv4's type of service, or IPv6's traffic class; the last two bits are ECN's.
    pub traffic_class: u8,
    /// IPv6's flow label; zero in IPv4.
    pub flow_label: u32,
    /// IPv4's time to live, or IPv6's hop limit.
    pub hop_limit: u8,
    /// In how many fragments it came; 1 where it came whole. It is always written whole.
    pub parts: u8,
    /// What it carries.
    pub transport: Transport,
}

/// What a packet carries.
///
/// ```
/// use tapsock_conformance::run::packet::{Transport, Udp};
///
/// let datagram = Transport::Udp(Udp { source_port: 1, destination_port: 2, payload: vec![0; 3] });
/// assert_eq!(datagram.payload_len(), 3);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Transport {
    /// A TCP segment.
    Tcp(Tcp),
    /// A UDP datagram.
    Udp(Udp),
    /// An ICMP or ICMPv6 message.
    Icmp(Icmp),
    /// Anything else, by its protocol number.
    Other(u8, Vec<u8>),
}

/// A TCP segment.
///
/// ```
/// use tapsock_conformance::ast::TcpFlags;
/// use tapsock_conformance::run::packet::Tcp;
///
/// assert!(Tcp { flags: TcpFlags::SYN, ..Tcp::default() }.has(TcpFlags::SYN));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tcp {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The sequence number of the first byte.
    pub seq: u32,
    /// The acknowledgement number, also where the flag is not set.
    pub ack: u32,
    /// The flags.
    pub flags: TcpFlags,
    /// The window as it stands in the header.
    pub window: u16,
    /// The urgent pointer, also where the flag is not set.
    pub urgent: u16,
    /// The options with their padding, in order.
    pub options: Vec<TcpOption>,
    /// The data.
    pub payload: Vec<u8>,
}

impl Tcp {
    /// Whether all of `flags` are set.
    pub fn has(&self, flags: TcpFlags) -> bool {
        self.flags.contains(flags)
    }
}

/// A UDP datagram.
///
/// ```
/// use tapsock_conformance::run::packet::Udp;
///
/// assert!(Udp::default().payload.is_empty());
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Udp {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The data.
    pub payload: Vec<u8>,
}

/// An ICMP or ICMPv6 message.
///
/// ```
/// use tapsock_conformance::run::packet::Icmp;
///
/// let fragmentation_needed = Icmp { kind: 3, code: 4, rest: 1200, body: Vec::new() };
/// assert_eq!(fragmentation_needed.rest, 1200);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Icmp {
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// The rest of the header: the MTU, or identifier and sequence number.
    pub rest: u32,
    /// The quoted packet, or the data.
    pub body: Vec<u8>,
}

impl Transport {
    /// Bytes of data.
    pub fn payload_len(&self) -> usize {
        match self {
            Transport::Tcp(tcp) => tcp.payload.len(),
            Transport::Udp(udp) => udp.payload.len(),
            Transport::Icmp(icmp) => icmp.body.len(),
            Transport::Other(_, bytes) => bytes.len(),
        }
    }

    /// The protocol number; that of ICMP depends on the family.
    fn protocol(&self, destination: IpAddr) -> u8 {
        match self {
            Transport::Tcp(_) => 6,
            Transport::Udp(_) => 17,
            Transport::Icmp(_) if destination.is_ipv4() => 1,
            Transport::Icmp(_) => 58,
            Transport::Other(protocol, _) => *protocol,
        }
    }
}

impl Packet {
    /// The ports, of those that have them: source and destination.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match &self.transport {
            Transport::Tcp(tcp) => Some((tcp.source_port, tcp.destination_port)),
            Transport::Udp(udp) => Some((udp.source_port, udp.destination_port)),
            Transport::Icmp(_) | Transport::Other(..) => None,
        }
    }

    /// The TCP segment in it.
    pub fn tcp(&self) -> Option<&Tcp> {
        match &self.transport {
            Transport::Tcp(tcp) => Some(tcp),
            _ => None,
        }
    }
}

/// The Internet checksum of `bytes`, beginning with `sum` (RFC 1071).
fn checksum(sum: u32, bytes: &[u8]) -> u16 {
    let mut sum = u64::from(sum);
    for pair in bytes.chunks(2) {
        sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The sum of the pseudo-header, not folded.
fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> u32 {
    let words = |bytes: &[u8]| -> u32 {
        bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
    };
    let address = |address: IpAddr| match address {
        IpAddr::V4(address) => words(&address.octets()),
        IpAddr::V6(address) => words(&address.octets()),
    };
    let len = len as u32;
    address(source) + address(destination) + u32::from(protocol) + (len >> 16) + (len & 0xffff)
}

#[cfg(test)]
mod tests;
