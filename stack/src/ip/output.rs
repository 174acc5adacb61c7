//! Packets on their way out: the IP header before what a transport protocol wrote.

use core::net::IpAddr;

use crate::counters::{Counter, Counters};
use crate::discovery::Fragmentation;
use crate::wire::offload::Transmit;
use crate::wire::{IpProtocol, Ipv4Header, Ipv6Header};

/// What goes first where a link does not keep up: the numbers of `SO_PRIORITY`, of which Linux's default queue
/// (`pfifo_fast`) makes three bands.
///
/// ```
/// use tapsock_stack::ip::output::Priority;
///
/// // Interactive, best effort, bulk.
/// assert_eq!([6, 0, 2].map(|number| Priority::new(number).band()), [0, 1, 2]);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Priority(u8);

impl Priority {
    /// The bands; a packet of an earlier one goes before all of the later ones.
    pub const BANDS: usize = 3;

    /// A priority, of which the lowest four bits count.
    pub const fn new(number: u32) -> Self {
        Priority((number & 15) as u8)
    }

    /// That of packets with a type of service, as Linux has it.
    pub const fn of_service(tos: u8) -> u32 {
        [0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4][(tos >> 1 & 15) as usize]
    }

    /// Its band.
    pub const fn band(self) -> usize {
        [1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1][self.0 as usize]
    }
}

/// What an IP header says, whichever its version.
#[derive(Copy, Clone, Debug)]
pub struct Outgoing {
    /// Our address.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// What follows.
    pub protocol: IpProtocol,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// Whether routers may cut it.
    pub fragmentation: Fragmentation,
    /// What the fragments of a packet would have in common; 0 where it can't be cut.
    //= RFC 6864 §4.1
    pub identification: u16,
}

impl Outgoing {
    /// Writes the IP header before what `transmit` holds, and counts the packet.
    ///
    /// Addresses of two families are a mistake of the caller; such a packet is not to be sent, and `None` says so.
    #[must_use = "a packet without a header must not leave"]
    pub fn prepend_to(&self, transmit: &mut Transmit, counters: &mut Counters) -> Option<()> {
        self.prepend_with_label(0, transmit, counters)
    }

    /// The same with a flow label, where it is IPv6.
    #[must_use = "a packet without a header must not leave"]
    pub fn prepend_with_label(
        &self,
        flow_label: u32,
        transmit: &mut Transmit,
        counters: &mut Counters,
    ) -> Option<()> {
        let len = transmit.len();
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = Ipv4Header {
                    source,
                    destination,
                    protocol: self.protocol,
                    ttl: self.hop_limit,
                    tos: self.traffic_class,
                    identification: self.identification,
                    dont_fragment: self.fragmentation == Fragmentation::Forbidden,
                    ..Ipv4Header::default()
                };
                header.prepend_to(len, &mut transmit.headers);
                counters.bump(Counter::IpOutRequests);
                counters[Counter::IpExtOutOctets] += transmit.len() as u64;
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    source,
                    destination,
                    next_header: self.protocol,
                    hop_limit: self.hop_limit,
                    traffic_class: self.traffic_class,
                    flow_label,
                    ..Ipv6Header::default()
                };
                header.prepend_to(len, &mut transmit.headers);
                counters.bump(Counter::Ip6OutRequests);
                counters[Counter::Ip6OutOctets] += transmit.len() as u64;
            }
            _ => return None,
        }
        Some(())
    }
}
