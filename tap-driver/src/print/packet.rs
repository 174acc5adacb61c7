//! What a frame is, by etherparse: as much of it as can be read.

use std::net::IpAddr;

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, LinkSlice, TransportSlice};
use tapsock_stack::wire::offload::Medium;

use crate::pcapng::read::Frame;

/// A frame taken apart. See [`Style`](super::Style) for an example.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// Its headers; `None` where not even the first can be read.
    pub(super) parts: Option<LaxSlicedPacket<'a>>,
    /// From the IP or ARP header on.
    pub(super) inside: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Takes it apart.
    pub fn parse(frame: &'a Frame) -> Packet<'a> {
        let bytes = frame.bytes.as_slice();
        match frame.medium {
            Medium::Ethernet => {
                let parts = LaxSlicedPacket::from_ethernet(bytes).ok();
                Packet { parts, inside: bytes.get(14..).unwrap_or_default() }
            }
            Medium::Ip => Packet { parts: LaxSlicedPacket::from_ip(bytes).ok(), inside: bytes },
        }
    }

    /// Source and destination; of ARP, sender and target.
    pub fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match self.parts.as_ref()?.net.as_ref()? {
            LaxNetSlice::Ipv4(ip) => {
                let header = ip.header();
                Some((header.source_addr().into(), header.destination_addr().into()))
            }
            LaxNetSlice::Ipv6(ip) => {
                let header = ip.header();
                Some((header.source_addr().into(), header.destination_addr().into()))
            }
            LaxNetSlice::Arp(_) => {
                let arp = self.arp()?;
                Some((IpAddr::from(arp.sender_ipv4), IpAddr::from(arp.target_ipv4)))
            }
        }
    }

    /// ARP for IPv4 over Ethernet.
    pub(super) fn arp(&self) -> Option<etherparse::ArpEthIpv4Packet> {
        match self.parts.as_ref()?.net.as_ref()? {
            LaxNetSlice::Arp(arp) => etherparse::ArpEthIpv4Packet::try_from(arp.to_packet()).ok(),
            _ => None,
        }
    }

    /// What the IP packet carries.
    pub(super) fn transport(&self) -> Option<&TransportSlice<'a>> {
        self.parts.as_ref()?.transport.as_ref()
    }

    /// The ports of TCP and UDP.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.transport()? {
            TransportSlice::Tcp(tcp) => Some((tcp.source_port(), tcp.destination_port())),
            TransportSlice::Udp(udp) => Some((udp.source_port(), udp.destination_port())),
            _ => None,
        }
    }

    /// Whether it is of that protocol.
    pub fn is(&self, layer: Layer) -> bool {
        let Some(parts) = &self.parts else { return false };
        matches!(
            (layer, &parts.net, &parts.transport),
            (Layer::Ip, Some(LaxNetSlice::Ipv4(_)), _)
                | (Layer::Ip6, Some(LaxNetSlice::Ipv6(_)), _)
                | (Layer::Arp, Some(LaxNetSlice::Arp(_)), _)
                | (Layer::Tcp, _, Some(TransportSlice::Tcp(_)))
                | (Layer::Udp, _, Some(TransportSlice::Udp(_)))
                | (Layer::Icmp, _, Some(TransportSlice::Icmpv4(_)))
                | (Layer::Icmp6, _, Some(TransportSlice::Icmpv6(_)))
        )
    }

    /// The type in the Ethernet header.
    pub(super) fn ether_type(&self) -> Option<EtherType> {
        match self.parts.as_ref()?.link.as_ref()? {
            LinkSlice::Ethernet2(header) => Some(header.ether_type()),
            _ => None,
        }
    }
}

/// A protocol that a filter may name.
///
/// ```
/// use tapsock_driver::print::{Filter, Layer};
///
/// assert_eq!(Filter::parse("icmp6"), Ok(Filter::Is(Layer::Icmp6)));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Layer {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// ARP.
    Arp,
    /// TCP, over either.
    Tcp,
    /// UDP, over either.
    Udp,
    /// ICMP of IPv4.
    Icmp,
    /// ICMP of IPv6.
    Icmp6,
}
