//! What one UDP socket keeps: its ends, what it has received, and what went wrong.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::mailbox::Mailbox;
use crate::buf::Rope;
use crate::discovery::Discovery;
use crate::error::SocketError;
use crate::error_queue::{ErrorDeliveries, ErrorDelivery};
use crate::iface::{InterfaceId, Way};
use crate::ip::icmp::Hardness;
use crate::ports::{BindId, LocalAddr, PortLimits};
use crate::time::Instant;

/// Bytes that a datagram costs in its queue beside its payload: what Linux 6.18 charges for the buffer of a short
/// one. So 256 empty datagrams fit the default buffer, and 92 of 1472 bytes, as there.
pub const OVERHEAD: usize = 832;

/// A datagram that was received.
///
/// ```
/// use tapsock_stack::buf::Rope;
/// use tapsock_stack::iface::InterfaceId;
/// use tapsock_stack::time::Instant;
/// use tapsock_stack::udp::Datagram;
///
/// let datagram = Datagram {
///     payload: Rope::from(&b"hello"[..]),
///     from: "10.0.0.2:5000".parse().unwrap(),
///     to: "10.0.0.1".parse().unwrap(),
///     to_port: 53,
///     interface: InterfaceId::LOOPBACK,
///     hop_limit: 64,
///     traffic_class: 0,
///     flow_label: 0,
///     segment_size: None,
///     arrived: Instant::ZERO,
///     drops_before: 0,
///     ip_options: None,
/// };
/// assert_eq!(datagram.payload.len(), 5);
/// ```
#[derive(Clone, Debug)]
pub struct Datagram {
    /// What follows the UDP header.
    pub payload: Rope,
    /// Who sent it.
    pub from: SocketAddr,
    /// The address it was sent to: one of ours, a broadcast address or a group.
    pub to: IpAddr,
    /// The port it was sent to; 0 where its protocol has none.
    pub to_port: u16,
    /// Where it came in.
    pub interface: InterfaceId,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// IPv6's flow label.
    pub flow_label: u32,
    /// Bytes in each of the datagrams that were merged into this one, of which the last may be shorter; `None` for
    /// one that is just one.
    pub segment_size: Option<u16>,
    /// When it came in.
    pub arrived: Instant,
    /// Datagrams that the socket had dropped by then, modulo 2³². The queue sets it.
    pub drops_before: u32,
    /// The options of IPv4's header, where it has any.
    pub ip_options: Option<Box<[u8]>>,
}

impl Datagram {
    /// The datagrams that were merged into this one.
    fn split(self) -> impl Iterator<Item = Datagram> {
        let size = self.segment_size.map_or(0, usize::from);
        let mut rest = Some(Datagram { segment_size: None, ..self });
        core::iter::from_fn(move || {
            let left = rest.as_mut()?;
            if size == 0 || left.payload.len() <= size {
                return rest.take();
            }
            let payload = left.payload.split_to(size);
            Some(Datagram { payload, ..left.without_payload() })
        })
    }

    fn without_payload(&self) -> Datagram {
        Datagram { payload: Rope::new(), ip_options: self.ip_options.clone(), ..*self }
    }
}

/// What became of a datagram, counted in datagrams as they were sent.
///
/// ```
/// use tapsock_stack::udp::Delivery;
///
/// assert_eq!(Delivery::default(), Delivery { queued: 0, dropped: 0 });
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
#[must_use = "drops are to be counted, and readers to be told"]
pub struct Delivery {
    /// Those in the queue, `UdpInDatagrams`.
    pub queued: u32,
    /// Those that the queue had no room for, `UdpRcvbufErrors`.
    pub dropped: u32,
}

/// Whether datagrams that the sender or the link merged reach the reader in one piece.
///
/// ```
/// use tapsock_stack::udp::Merged;
///
/// assert_eq!(Merged::default(), Merged::Split);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Merged {
    /// Each is one of its own.
    #[default]
    Split,
    /// They do, with [`Datagram::segment_size`] (`UDP_GRO`).
    Whole,
}

/// Who chose a socket's port.
///
/// ```
/// use tapsock_stack::udp::PortChoice;
///
/// assert_eq!(PortChoice::default(), PortChoice::Stack);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum PortChoice {
    /// The stack, for a socket that had none when it sent or connected, or that was bound to port 0. It goes when the
    /// connection is dissolved.
    #[default]
    Stack,
    /// The user.
    User,
}

/// Why nothing was received.
///
/// ```
/// use tapsock_stack::udp::{RecvError, UdpSocket};
///
/// assert_eq!(UdpSocket::new(212_992).recv().unwrap_err(), RecvError::WouldBlock);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum RecvError {
    /// The queue is empty (EAGAIN).
    WouldBlock,
    /// The queue is empty and the reading side is shut down. Linux lets a blocking call return 0 bytes, and a
    /// non-blocking one fail with EAGAIN.
    Shutdown,
    /// Something went wrong earlier. It is said once.
    Error(SocketError),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::WouldBlock => f.write_str("nothing there yet"),
            RecvError::Shutdown => f.write_str("shut down for reading"),
            RecvError::Error(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RecvError {}

/// A UDP socket's own state. [`UdpTable`](super::UdpTable) gives it its ends.
///
/// ```
/// use tapsock_stack::udp::UdpSocket;
///
/// let socket = UdpSocket::new(212_992);
/// assert!(!socket.mail.is_readable());
/// assert_eq!((socket.local(), socket.remote()), (None, None));
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    /// What it is bound to where it is bound to no address: the family, and whether IPv4 is taken too.
    pub wildcard: LocalAddr,
    /// The binding that the socket's port belongs to. The socket only keeps it for its owner.
    pub bind: Option<BindId>,
    /// Who chose that port.
    pub port_choice: PortChoice,
    /// The address that the user bound it to; it stays when the port goes.
    pub bound: Option<LocalAddr>,
    /// Where it is bound to an address that is no host's, what it sends from: `connect` has chosen it, and it stays until the
    /// socket is bound anew.
    pub source: Option<IpAddr>,
    /// `SO_REUSEPORT`: datagrams are spread over the sockets of one address that have it.
    pub reuse_port: bool,
    /// `UDP_GRO`.
    pub merged: Merged,
    /// `IP_MTU_DISCOVER` and `IPV6_MTU_DISCOVER`.
    pub discovery: Discovery,
    /// How its packets leave, and where it receives (`SO_BINDTODEVICE`, `SO_MARK`, `IP_TRANSPARENT`).
    pub way: Way,
    /// The ports that it may be given (`IP_LOCAL_PORT_RANGE`).
    pub ports: PortLimits,
    /// `IP_RECVERR` and `IPV6_RECVERR`.
    pub error_delivery: ErrorDeliveries,
    /// Whether it hears groups only that it is in itself, of IPv4 and of IPv6 (`IP_MULTICAST_ALL` off).
    pub own_groups_only: (bool, bool),
    /// What it has in hand.
    pub mail: Mailbox,
    pub(super) local: Option<(LocalAddr, u16)>,
    pub(super) remote: Option<SocketAddr>,
}

impl UdpSocket {
    /// A socket without ends, and with a queue of `receive_buffer` bytes.
    pub fn new(receive_buffer: usize) -> Self {
        UdpSocket {
            wildcard: LocalAddr::AnyV4,
            bind: None,
            port_choice: PortChoice::default(),
            bound: None,
            source: None,
            reuse_port: false,
            merged: Merged::default(),
            discovery: Discovery::default(),
            way: Way::default(),
            ports: PortLimits::default(),
            error_delivery: ErrorDeliveries::default(),
            own_groups_only: (false, false),
            mail: Mailbox::new(receive_buffer),
            local: None,
            remote: None,
        }
    }

    /// Whether it is one of IPv6, be its address one of IPv4.
    pub(super) fn is_v6(&self) -> bool {
        matches!(self.wildcard, LocalAddr::AnyV6 { .. })
    }

    /// Address and port that it receives at, once it has a port.
    pub fn local(&self) -> Option<(LocalAddr, u16)> {
        self.local
    }

    /// The only peer, where it is connected. An IPv4 peer is a V4 address, whatever the socket's family.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Puts a received datagram into the queue. A full queue drops it; an empty one takes any.
    pub fn deliver(&mut self, datagram: Datagram) -> Delivery {
        let segments = match datagram.segment_size {
            Some(size) if size > 0 => datagram.payload.len().div_ceil(size.into()).max(1) as u32,
            _ => 1,
        };
        let mut delivery = Delivery::default();
        match self.merged {
            Merged::Whole => {
                if self.mail.push(datagram) {
                    delivery.queued = segments;
                }
            }
            Merged::Split => {
                for one in datagram.split() {
                    // Once one finds no room the others are not tried: the sender chose how many there are.
                    if !self.mail.push(one) {
                        break;
                    }
                    delivery.queued += 1;
                }
            }
        }
        delivery.dropped = segments - delivery.queued;
        self.mail.count_drops(delivery.dropped);
        delivery
    }

    /// Takes the oldest datagram, or the pending error before it.
    pub fn recv(&mut self) -> Result<Datagram, RecvError> {
        let mut datagram = self.mail.recv()?;
        if self.merged == Merged::Split {
            datagram.segment_size = None;
        }
        Ok(datagram)
    }

    /// Hears of an ICMP error about a datagram that the socket sent to `peer`. Returns whether it has become the pending
    /// error.
    //= RFC 1122 §4.1.3.3
    pub fn on_icmp_error(&mut self, peer: IpAddr, error: SocketError, hardness: Hardness) -> bool {
        let heard = match self.error_delivery.of(peer) {
            ErrorDelivery::All => true,
            ErrorDelivery::HardWhenConnected => self.remote.is_some() && hardness == Hardness::Hard,
        };
        if heard {
            self.mail.fail(error);
        }
        heard
    }
}

#[cfg(test)]
mod tests;
