//! Address resolution for IPv4 over Ethernet (RFC 826), on smoltcp's codec.

use core::net::Ipv4Addr;

use smoltcp::wire::{
    ArpOperation as SmoltcpOperation, ArpPacket as SmoltcpPacket, ArpRepr,
    EthernetAddress as SmoltcpEthernetAddress,
};

use super::{EthernetAddress, Malformed};
use crate::buf::HeaderBlock;

/// What an ARP packet is about.
///
/// ```
/// use tapsock_stack::wire::arp::ArpOperation;
///
/// assert_ne!(ArpOperation::Request, ArpOperation::Reply);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ArpOperation {
    /// "Who has the target's IP address?"
    Request,
    /// "The sender has its IP address."
    Reply,
}

/// An ARP packet for IPv4 over Ethernet.
///
/// ```
/// use core::net::Ipv4Addr;
/// use tapsock_stack::buf::HeaderBlock;
/// use tapsock_stack::wire::EthernetAddress;
/// use tapsock_stack::wire::arp::{ArpOperation, ArpPacket};
///
/// let request = ArpPacket {
///     operation: ArpOperation::Request,
///     sender_hardware: EthernetAddress([2, 0, 0, 0, 0, 1]),
///     sender_ip: Ipv4Addr::new(192, 0, 2, 1),
///     target_hardware: EthernetAddress::default(),
///     target_ip: Ipv4Addr::new(192, 0, 2, 2),
/// };
/// let mut headers = HeaderBlock::new();
/// request.prepend_to(&mut headers);
/// assert_eq!(ArpPacket::parse(&headers), Ok(request));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct ArpPacket {
    /// What it is about.
    pub operation: ArpOperation,
    /// The sender's station.
    pub sender_hardware: EthernetAddress,
    /// The sender's IP address; 0.0.0.0 in a probe (RFC 5227 §1.1).
    pub sender_ip: Ipv4Addr,
    /// The station that a reply goes to; means nothing in a request.
    pub target_hardware: EthernetAddress,
    /// The IP address asked for, or answered to.
    pub target_ip: Ipv4Addr,
}

impl ArpPacket {
    /// Length in bytes.
    pub const LEN: usize = 28;

    /// Reads the packet at the start of `bytes`, the payload of a frame, which may be padded.
    ///
    /// Fails with [`Malformed::Truncated`]; `Unsupported` for other hardware, protocols and operations; `BadAddress`
    /// where the sender's station is no single station, or its IP address is a group's or broadcast.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let packet = SmoltcpPacket::new_checked(bytes).map_err(|_| Malformed::Truncated)?;
        let Ok(ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr,
            source_protocol_addr,
            target_hardware_addr,
            target_protocol_addr,
        }) = ArpRepr::parse(&packet)
        else {
            return Err(Malformed::Unsupported);
        };
        let packet = ArpPacket {
            operation: match operation {
                SmoltcpOperation::Request => ArpOperation::Request,
                SmoltcpOperation::Reply => ArpOperation::Reply,
                SmoltcpOperation::Unknown(_) => return Err(Malformed::Unsupported),
            },
            sender_hardware: EthernetAddress(source_hardware_addr.0),
            sender_ip: source_protocol_addr,
            target_hardware: EthernetAddress(target_hardware_addr.0),
            target_ip: target_protocol_addr,
        };
        let implausible_ip = packet.sender_ip.is_multicast() || packet.sender_ip.is_broadcast();
        if !packet.sender_hardware.is_unicast() || implausible_ip {
            return Err(Malformed::BadAddress);
        }
        Ok(packet)
    }

    /// Writes the packet before all that `headers` holds.
    pub fn prepend_to(&self, headers: &mut HeaderBlock) {
        let packet = ArpRepr::EthernetIpv4 {
            operation: match self.operation {
                ArpOperation::Request => SmoltcpOperation::Request,
                ArpOperation::Reply => SmoltcpOperation::Reply,
            },
            source_hardware_addr: SmoltcpEthernetAddress(self.sender_hardware.0),
            source_protocol_addr: self.sender_ip,
            target_hardware_addr: SmoltcpEthernetAddress(self.target_hardware.0),
            target_protocol_addr: self.target_ip,
        };
        packet.emit(&mut SmoltcpPacket::new_unchecked(headers.prepend(Self::LEN)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::written;

    fn with(change: impl FnOnce(&mut [u8])) -> Result<ArpPacket, Malformed> {
        let packet = ArpPacket {
            operation: ArpOperation::Reply,
            sender_hardware: EthernetAddress([2, 0, 0, 0, 0, 1]),
            sender_ip: Ipv4Addr::new(192, 0, 2, 1),
            target_hardware: EthernetAddress([2, 0, 0, 0, 0, 2]),
            target_ip: Ipv4Addr::new(192, 0, 2, 2),
        };
        let mut bytes = written(|block| packet.prepend_to(block));
        bytes.extend([0; 18]);
        change(&mut bytes);
        ArpPacket::parse(&bytes)
    }

    #[test]
    fn other_hardware_protocols_and_operations_are_refused() {
        assert!(with(|_| {}).is_ok());
        for (at, value) in [(1, 6), (2, 0x86), (7, 3), (7, 0), (4, 8), (5, 6)] {
            assert_eq!(with(|bytes| bytes[at] = value), Err(Malformed::Unsupported), "byte {at}");
        }
        assert_eq!(with(|bytes| bytes[4] = 255), Err(Malformed::Truncated));
    }

    #[test]
    fn a_sender_that_is_no_single_host_is_refused() {
        assert_eq!(with(|bytes| bytes[8..14].fill(0xff)), Err(Malformed::BadAddress));
        assert_eq!(with(|bytes| bytes[8..14].fill(0)), Err(Malformed::BadAddress));
        assert_eq!(with(|bytes| bytes[8] = 1), Err(Malformed::BadAddress));
        assert_eq!(with(|bytes| bytes[14] = 224), Err(Malformed::BadAddress));
        assert_eq!(with(|bytes| bytes[14..18].fill(0xff)), Err(Malformed::BadAddress));
        // A probe asks without an address (RFC 5227).
        assert!(with(|bytes| bytes[14..18].fill(0)).is_ok());
    }

    #[test]
    fn a_packet_cut_short_is_truncated() {
        let bytes = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2];
        assert!(ArpPacket::parse(&bytes).is_ok());
        for len in 0..bytes.len() {
            assert_eq!(ArpPacket::parse(&bytes[..len]), Err(Malformed::Truncated));
        }
    }
}
