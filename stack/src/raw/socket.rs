//! What one raw socket keeps: its ends, what it has received, and what went wrong.

use core::net::{IpAddr, SocketAddr};

use crate::buf::Checksum;
use crate::discovery::Discovery;
use crate::error::SocketError;
use crate::error_queue::ErrorDelivery;
use crate::iface::Way;
use crate::ip::icmp::Hardness;
use crate::ip::input::Packet;
use crate::ports::LocalAddr;
use crate::udp::{Datagram, Mailbox, RecvError};
use crate::wire::IpProtocol;
use crate::wire::checksum::pseudo_header;
use crate::wire::icmp::ICMP_HEADER_LEN;

/// Who writes the IP header of what a raw socket sends.
///
/// ```
/// use tapsock_stack::raw::Headers;
///
/// assert_eq!(Headers::default(), Headers::Stack);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Headers {
    /// The stack.
    #[default]
    Stack,
    /// The application (`IP_HDRINCL`, `IPV6_HDRINCL`).
    Application,
}

/// The ICMP types that a raw socket does not want (`ICMP_FILTER`, `ICMP6_FILTER`).
///
/// ```
/// use tapsock_stack::raw::TypeFilter;
///
/// let mut filter = TypeFilter::default();
/// filter.words[4] = 1;
/// assert!(filter.blocks(128) && !filter.blocks(129));
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct TypeFilter {
    /// A bit for each type, 32 in a word, the lowest first. A bit that is set keeps the type away. ICMP has only the
    /// first word.
    pub words: [u32; 8],
}

impl TypeFilter {
    /// Whether messages of the type `kind` are kept away.
    pub fn blocks(&self, kind: u8) -> bool {
        self.words[usize::from(kind) / 32] & 1 << (kind % 32) != 0
    }
}

/// A raw socket's own state. [`RawTable`](super::RawTable) finds it by its protocol.
///
/// ```
/// use tapsock_stack::ports::LocalAddr;
/// use tapsock_stack::raw::RawSocket;
///
/// let socket = RawSocket::new(1, LocalAddr::AnyV4);
/// assert_eq!((socket.protocol(), socket.local(), socket.remote()), (1, LocalAddr::AnyV4, None));
/// ```
#[derive(Debug)]
pub struct RawSocket {
    /// Who writes IP headers.
    pub headers: Headers,
    /// Where the checksum stands in what is sent and received, in bytes from the end of the IPv6 header
    /// (`IPV6_CHECKSUM`).
    pub checksum_at: Option<u32>,
    /// ICMP types that are not wanted.
    pub filter: TypeFilter,
    /// `IP_MTU_DISCOVER` and `IPV6_MTU_DISCOVER`.
    pub discovery: Discovery,
    /// The only interface to send and receive by, and whose routes come first (`SO_BINDTODEVICE`, `SO_MARK`).
    pub way: Way,
    /// `IP_RECVERR` or `IPV6_RECVERR`.
    pub error_delivery: ErrorDelivery,
    /// Whether it hears groups only that it is in itself (`IP_MULTICAST_ALL` or `IPV6_MULTICAST_ALL` off).
    pub own_groups_only: bool,
    /// What it has in hand.
    pub mail: Mailbox,
    protocol: u16,
    /// The family: the wildcard address.
    wildcard: LocalAddr,
    /// What `bind` gave.
    bound: LocalAddr,
    /// What it receives at: `bound`, or what `connect` chose.
    local: LocalAddr,
    /// What it sends from, where that is settled: not where `bind` has named a group, or all hosts of a link.
    source: Option<IpAddr>,
    remote: Option<SocketAddr>,
    /// Cleared when a connection is dissolved: as on Linux, the socket then hears nothing any more.
    listens: bool,
}

impl RawSocket {
    /// A socket of that protocol, bound to nothing, of the family of `wildcard`. Protocols above 255 receive nothing.
    pub fn new(protocol: u16, wildcard: LocalAddr) -> Self {
        let v6 = !wildcard.ip().is_ipv4();
        RawSocket {
            headers: if protocol == RAW_PROTOCOL { Headers::Application } else { Headers::Stack },
            //= RFC 3542 §3.1
            checksum_at: (v6 && protocol == u16::from(IpProtocol::ICMPV6.0)).then_some(ICMPV6_CHECKSUM),
            filter: TypeFilter::default(),
            discovery: Discovery::default(),
            way: Way::default(),
            error_delivery: ErrorDelivery::default(),
            own_groups_only: false,
            mail: Mailbox::new(DEFAULT_BUFFER),
            protocol,
            wildcard,
            bound: wildcard,
            local: wildcard,
            source: None,
            remote: None,
            listens: true,
        }
    }

    /// The number that it was made with.
    pub fn protocol(&self) -> u16 {
        self.protocol
    }

    /// Whether it is one of IPv4.
    pub fn is_v4(&self) -> bool {
        self.wildcard.ip().is_ipv4()
    }

    /// The address that it receives at.
    pub fn local(&self) -> LocalAddr {
        self.local
    }

    /// The only peer, where it is connected.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Whether packets still come to it: not once its connection has been dissolved.
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// The address that it sends from, where that is settled.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Gives it an address, and one to send from where that is settled; a wildcard takes it back.
    pub fn bind(&mut self, local: LocalAddr, source: Option<IpAddr>) {
        (self.bound, self.local, self.source) = (local, local, source);
    }

    /// Sets the only peer. `local` is the address that its packets are sent to, where `bind` has named none, and come from.
    pub fn connect(&mut self, local: LocalAddr, remote: SocketAddr) {
        self.remote = Some(remote);
        self.source.get_or_insert(local.ip());
        if self.bound.is_wildcard() {
            self.local = local;
        }
    }

    /// Takes connection and address back (`__udp_disconnect`, without a port that was asked for).
    pub fn dissolve(&mut self) {
        (self.bound, self.local, self.remote) = (self.wildcard, self.wildcard, None);
        (self.source, self.listens) = (None, false);
    }

    /// Whether a packet of its protocol is for it, but for what filters say.
    pub fn is_for_it(&self, packet: &Packet) -> bool {
        self.listens
            && self.local.accepts(packet.destination, packet.interface.index())
            && self.remote.is_none_or(|remote| remote.ip() == packet.source)
            && self.way.device.is_none_or(|device| device == packet.interface)
    }

    /// Whether the filters, and the checksum that it was told to look at, let a packet pass.
    pub fn wants(&self, packet: &Packet) -> bool {
        let kind = packet.payload.first().copied();
        let wanted = match packet.protocol {
            // As Linux: what has no whole header is not wanted either, and only 32 types can be named.
            IpProtocol::ICMP if self.is_v4() => {
                packet.payload.len() >= ICMP_HEADER_LEN
                    && kind.is_some_and(|kind| kind >= 32 || !self.filter.blocks(kind))
            }
            IpProtocol::ICMPV6 if !self.is_v4() => {
                packet.payload.len() >= ICMPV6_HEADER_LEN
                    && kind.is_some_and(|kind| !self.filter.blocks(kind))
            }
            _ => true,
        };
        wanted && (self.checksum_at.is_none() || has_right_sum(packet))
    }

    /// Puts a packet into the queue. Returns whether there was room.
    pub fn deliver(&mut self, packet: Datagram) -> bool {
        let queued = self.mail.push(packet);
        if !queued {
            self.mail.count_drops(1);
        }
        queued
    }

    /// Looks at the oldest packet, which stays. A pending error is taken as where it is received. As on Linux, an empty
    /// packet is shown once, and then passed over.
    pub fn peek(&mut self) -> Result<&Datagram, RecvError> {
        self.mail.peek_at(0).map(|(packet, _)| packet)
    }

    /// Hears of an ICMP error about a packet that the socket sent. Returns whether it has become the pending error.
    pub fn on_icmp_error(&mut self, error: SocketError, hardness: Hardness) -> bool {
        let heard = match self.error_delivery {
            ErrorDelivery::All => true,
            ErrorDelivery::HardWhenConnected => self.remote.is_some() && hardness == Hardness::Hard,
        };
        if heard {
            self.mail.fail(error);
        }
        heard
    }
}

/// Type, code and checksum of ICMPv6: what has less is no message to Linux's filter.
const ICMPV6_HEADER_LEN: usize = 4;

/// Whether all of the payload, with the pseudo-header, sums up to a right checksum, wherever its field stands.
fn has_right_sum(packet: &Packet) -> bool {
    if packet.checksum == Checksum::Valid {
        return true;
    }
    let len = u32::try_from(packet.payload.len()).unwrap_or(u32::MAX);
    let mut sum = pseudo_header(packet.source, packet.destination, packet.protocol, len);
    sum.add_bytes(&packet.payload);
    sum.is_valid()
}

/// IPPROTO_RAW.
const RAW_PROTOCOL: u16 = 255;
/// Where ICMPv6's checksum stands, in bytes.
const ICMPV6_CHECKSUM: u32 = 2;
/// The receive buffer of a socket that is told nothing else: Linux's `net.core.rmem_default`, in bytes.
const DEFAULT_BUFFER: usize = 212_992;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::Chunk;
    use crate::iface::InterfaceId;

    fn packet(protocol: IpProtocol, source: &str, destination: &str, payload: &[u8]) -> Packet {
        Packet {
            interface: InterfaceId::LOOPBACK,
            stations: Default::default(),
            sender: Default::default(),
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol,
            hop_limit: 64,
            traffic_class: 0,
            whole: Chunk::copy_from(payload),
            payload: Chunk::copy_from(payload),
            protocol_offset: 0,
            checksum: Checksum::Unverified,
            gso_size: None,
            fragment: None,
            fragmented: false,
        }
    }

    #[test]
    fn ends_and_device_say_what_is_for_a_socket() {
        let mut socket = RawSocket::new(200, LocalAddr::AnyV4);
        let p = |source, destination| packet(IpProtocol(200), source, destination, b"x");
        assert!(socket.is_for_it(&p("10.0.0.2", "10.0.0.1")));
        assert!(!socket.is_for_it(&p("fd00::2", "fd00::1")));
        socket.bind(LocalAddr::V4([10, 0, 0, 1].into()), Some([10, 0, 0, 1].into()));
        assert!(socket.is_for_it(&p("10.0.0.2", "10.0.0.1")));
        assert!(!socket.is_for_it(&p("10.0.0.2", "10.0.0.9")));
        socket.connect(LocalAddr::AnyV4, "10.0.0.2:0".parse().unwrap());
        assert!(socket.is_for_it(&p("10.0.0.2", "10.0.0.1")));
        assert!(!socket.is_for_it(&p("10.0.0.3", "10.0.0.1")));
        socket.way.device = InterfaceId::from_index(7);
        assert!(!socket.is_for_it(&p("10.0.0.2", "10.0.0.1")));
        socket.way.device = None;
        socket.dissolve();
        assert!(!socket.is_for_it(&p("10.0.0.2", "10.0.0.1")), "Linux forgets it for good");
    }

    #[test]
    fn filters_name_types() {
        let mut socket = RawSocket::new(1, LocalAddr::AnyV4);
        let p = |payload: &[u8]| packet(IpProtocol::ICMP, "10.0.0.2", "10.0.0.1", payload);
        socket.filter.words[0] = 1 << 8;
        socket.filter.words[1] = u32::MAX;
        assert!(socket.wants(&p(&[0; 8])) && !socket.wants(&p(&[8, 0, 0, 0, 0, 0, 0, 0])));
        assert!(socket.wants(&p(&[40, 0, 0, 0, 0, 0, 0, 0])), "there is no bit for it");
        assert!(!socket.wants(&p(&[0; 7])), "no whole header");
    }

    #[test]
    fn checksums_are_verified_where_they_are_asked_for() {
        let mut socket = RawSocket::new(200, LocalAddr::AnyV6 { only_v6: true });
        let wrong = packet(IpProtocol(200), "fd00::2", "fd00::1", &[1, 2, 3, 4]);
        assert!(socket.wants(&wrong));
        socket.checksum_at = Some(0);
        assert!(!socket.wants(&wrong));
        assert!(socket.wants(&Packet { checksum: Checksum::Valid, ..wrong }), "the link vouches for it");
        assert_eq!(RawSocket::new(58, LocalAddr::AnyV6 { only_v6: true }).checksum_at, Some(2));
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let mut socket = RawSocket::new(200, LocalAddr::AnyV4);
        let datagram = Datagram {
            payload: (&b"x"[..]).into(),
            from: "10.0.0.2:0".parse().unwrap(),
            to: "10.0.0.1".parse().unwrap(),
            to_port: 0,
            interface: InterfaceId::LOOPBACK,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            segment_size: None,
            arrived: crate::time::Instant::ZERO,
            drops_before: 0,
            ip_options: None,
        };
        let taken = (0..1000).filter(|_| socket.deliver(datagram.clone())).count();
        assert_eq!((taken, socket.mail.drops()), (255, 745));
        assert_eq!(socket.mail.queued_bytes(), 255 * 833);
        assert_eq!(socket.mail.recv().unwrap().payload.len(), 1);
        assert!(socket.deliver(datagram));
    }
}
