//! Control messages: what `sendmsg` and `recvmsg` carry beside the data, typed, and as bytes in Linux's layout.
//!
//! A receiver's messages are pushed into [`ControlMessages`], which cuts them off as Linux does where the caller's
//! buffer is too small. A sender's are read by [`SendControl`] and [`LocalControl`], with Linux's refusals.

mod decode;
mod layout;
mod messages;
mod numbers;
mod send;

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::time::Duration;

use crate::address::{SOCKADDR_IN_LEN, SOCKADDR_IN6_LEN, SockAddr};
use crate::constants::{SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP, SOL_UDP, UDP_GRO, UDP_SEGMENT};

pub use layout::{CMSG_HEADER_LEN, Message, Messages, cmsg_len, cmsg_space};
pub use messages::ControlMessages;
pub use numbers::{
    IP_ORIGDSTADDR, IP_PKTINFO, IP_PROTOCOL, IP_RECVERR, IPV6_2292HOPLIMIT, IPV6_2292PKTINFO, IPV6_DONTFRAG,
    IPV6_FLOWINFO, IPV6_HOPLIMIT, IPV6_ORIGDSTADDR, IPV6_PATHMTU, IPV6_PKTINFO, IPV6_RECVERR,
    MSG_CMSG_CLOEXEC, MSG_CTRUNC, SCM_CREDENTIALS, SCM_MAX_FD, SCM_RIGHTS, SCM_TIMESTAMP, SCM_TIMESTAMPING,
    SCM_TIMESTAMPNS, SO_EE_CODE_ZEROCOPY_COPIED, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, SO_EE_ORIGIN_LOCAL,
    SO_EE_ORIGIN_NONE, SO_EE_ORIGIN_TIMESTAMPING, SO_EE_ORIGIN_ZEROCOPY, SO_RXQ_OVFL_MESSAGE, TCP_CM_INQ,
};
pub use send::{ControlFor, LocalControl, SendControl};

use crate::constants::{IP_RECVOPTS, IP_RETOPTS, IP_TOS, IP_TTL, IPV6_TCLASS};

/// A control message.
///
/// ```
/// use tapsock_sockets::control::{Control, Message};
///
/// let message = Control::Ttl(64);
/// assert_eq!((message.level(), message.kind()), (0, 2));
/// assert_eq!(message.payload(), 64i32.to_ne_bytes());
/// assert_eq!(Control::decode(0, 2, &message.payload()), Some(message));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Control {
    /// `SCM_RIGHTS`: descriptors, at most [`SCM_MAX_FD`]. Source: unix(7).
    Rights(Vec<i32>),
    /// `SCM_CREDENTIALS`: who sent it. Source: unix(7).
    Credentials(Credentials),
    /// `IP_PKTINFO`: where a packet came in. Source: ip(7).
    PacketInfo4 {
        /// The interface's index.
        interface: u32,
        /// The local address that an answer would come from (`ipi_spec_dst`).
        local: Ipv4Addr,
        /// The destination in the header (`ipi_addr`).
        destination: Ipv4Addr,
    },
    /// `IPV6_PKTINFO`: where a packet came in. Source: RFC 3542 §6.2.
    PacketInfo6 {
        /// The destination in the header.
        destination: Ipv6Addr,
        /// The interface's index.
        interface: u32,
    },
    /// `IP_TTL`: IPv4's time to live. Source: ip(7).
    Ttl(u8),
    /// `IPV6_HOPLIMIT`. Source: RFC 3542 §6.3.
    HopLimit(u8),
    /// `IP_TOS`: IPv4's type of service, one byte. Source: ip(7).
    Tos(u8),
    /// `IP_RECVOPTS`: the options of IPv4's header. Source: ip(7).
    IpOptions(Vec<u8>),
    /// `IP_RETOPTS`: those for an answer. Source: ip(7).
    ReturnOptions(Vec<u8>),
    /// `IPV6_TCLASS`. Source: RFC 3542 §6.5.
    TrafficClass(u8),
    /// `IPV6_FLOWINFO`: traffic class and flow label, as in the header. Source: ipv6(7), RFC 6437.
    FlowInfo(u32),
    /// `SCM_TIMESTAMP`: when it came in, since 1970; microseconds count, what is finer is lost. Source: socket(7).
    Timestamp(Duration),
    /// `SCM_TIMESTAMPNS`: when it came in, since 1970. Source: socket(7).
    TimestampNs(Duration),
    /// `SCM_TIMESTAMPING`: stamps since 1970, zero where there is none. Source: Linux's timestamping.rst.
    Timestamping {
        /// The stack's.
        software: Duration,
        /// The device's.
        hardware: Duration,
    },
    /// `SO_RXQ_OVFL`: datagrams that the socket has dropped so far. Source: socket(7).
    RxqOverflow(u32),
    /// `TCP_CM_INQ`: bytes that are left to be read, or one where nothing is but the end. Source: Linux's `tcp.h`.
    Unread(i32),
    /// `UDP_SEGMENT`: payload bytes of each datagram that a send is cut into. Source: udp(7).
    SegmentSize(u16),
    /// `UDP_GRO`: payload bytes of each datagram that was merged into this one. Source: udp(7).
    GroSize(u16),
    /// `IP_RECVERR`: an error, and who told of it; IPv4's. Source: ip(7).
    ExtendedError4(ExtendedError, Option<SocketAddrV4>),
    /// `IPV6_RECVERR`: an error, and who told of it; IPv6's. Source: ipv6(7).
    ExtendedError6(ExtendedError, Option<SocketAddrV6>),
    /// `IP_ORIGDSTADDR` or `IPV6_ORIGDSTADDR`: the destination that the packet was sent to. Source: ip(7).
    OriginalDestination(SocketAddr),
    /// `IPV6_PATHMTU`: the path to a destination takes no more than so many bytes. Source: RFC 3542 §11.3.
    PathMtu {
        /// The path's end.
        destination: SocketAddrV6,
        /// Its MTU, in bytes.
        mtu: u32,
    },
}

/// `struct ucred`.
///
/// ```
/// use tapsock_sockets::control::{Control, Credentials};
///
/// let root = Credentials { pid: 1, uid: 0, gid: 0 };
/// assert_eq!(Control::Credentials(root).payload().len(), 12);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Hash)]
pub struct Credentials {
    /// The process.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// `struct sock_extended_err`, ip(7).
///
/// ```
/// use tapsock_sockets::control::{Control, ExtendedError, SO_EE_ORIGIN_LOCAL};
///
/// let too_long = ExtendedError { errno: 90, origin: SO_EE_ORIGIN_LOCAL, info: 1280, ..Default::default() };
/// assert_eq!(Control::ExtendedError4(too_long, None).payload().len(), 32);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Hash)]
pub struct ExtendedError {
    /// The errno.
    pub errno: u32,
    /// Where it arose: `SO_EE_ORIGIN_*`.
    pub origin: u8,
    /// ICMP's type (`ee_type`).
    pub kind: u8,
    /// ICMP's code, or the origin's own.
    pub code: u8,
    /// More of it: the MTU, in bytes; the first of a range of zero-copy sends; the kind of a time stamp.
    pub info: u32,
    /// Still more: the last of that range; the number of the stamped send.
    pub data: u32,
}

impl Control {
    /// `cmsg_level`.
    pub fn level(&self) -> i32 {
        self.number().0
    }

    /// `cmsg_type`.
    pub fn kind(&self) -> i32 {
        self.number().1
    }

    /// What follows the header.
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_payload(&mut out);
        out
    }

    /// Reads what follows the header of a message that was received. `None` where it is unknown, or cut off.
    pub fn decode(level: i32, kind: i32, payload: &[u8]) -> Option<Control> {
        decode::decode(level, kind, payload)
    }

    fn number(&self) -> (i32, i32) {
        match self {
            Control::Rights(_) => (SOL_SOCKET, SCM_RIGHTS),
            Control::Credentials(_) => (SOL_SOCKET, SCM_CREDENTIALS),
            Control::PacketInfo4 { .. } => (SOL_IP, IP_PKTINFO),
            Control::PacketInfo6 { .. } => (SOL_IPV6, IPV6_PKTINFO),
            Control::Ttl(_) => (SOL_IP, IP_TTL),
            Control::HopLimit(_) => (SOL_IPV6, IPV6_HOPLIMIT),
            Control::Tos(_) => (SOL_IP, IP_TOS),
            Control::IpOptions(_) => (SOL_IP, IP_RECVOPTS),
            Control::ReturnOptions(_) => (SOL_IP, IP_RETOPTS),
            Control::TrafficClass(_) => (SOL_IPV6, IPV6_TCLASS),
            Control::FlowInfo(_) => (SOL_IPV6, IPV6_FLOWINFO),
            Control::Timestamp(_) => (SOL_SOCKET, SCM_TIMESTAMP),
            Control::TimestampNs(_) => (SOL_SOCKET, SCM_TIMESTAMPNS),
            Control::Timestamping { .. } => (SOL_SOCKET, SCM_TIMESTAMPING),
            Control::RxqOverflow(_) => (SOL_SOCKET, SO_RXQ_OVFL_MESSAGE),
            Control::Unread(_) => (SOL_TCP, TCP_CM_INQ),
            Control::SegmentSize(_) => (SOL_UDP, UDP_SEGMENT),
            Control::GroSize(_) => (SOL_UDP, UDP_GRO),
            Control::ExtendedError4(..) => (SOL_IP, IP_RECVERR),
            Control::ExtendedError6(..) => (SOL_IPV6, IPV6_RECVERR),
            Control::OriginalDestination(SocketAddr::V4(_)) => (SOL_IP, IP_ORIGDSTADDR),
            Control::OriginalDestination(SocketAddr::V6(_)) => (SOL_IPV6, IPV6_ORIGDSTADDR),
            Control::PathMtu { .. } => (SOL_IPV6, IPV6_PATHMTU),
        }
    }

    /// Appends what follows the header.
    fn write_payload(&self, out: &mut Vec<u8>) {
        match self {
            Control::Rights(descriptors) => out.extend(descriptors.iter().flat_map(|fd| fd.to_ne_bytes())),
            Control::Credentials(who) => {
                out.extend(who.pid.to_ne_bytes());
                out.extend(who.uid.to_ne_bytes());
                out.extend(who.gid.to_ne_bytes());
            }
            Control::PacketInfo4 { interface, local, destination } => {
                out.extend(interface.to_ne_bytes());
                out.extend(local.octets());
                out.extend(destination.octets());
            }
            Control::PacketInfo6 { destination, interface } => {
                out.extend(destination.octets());
                out.extend(interface.to_ne_bytes());
            }
            Control::Tos(value) => out.push(*value),
            Control::IpOptions(options) | Control::ReturnOptions(options) => out.extend(options),
            Control::FlowInfo(value) => out.extend(value.to_be_bytes()),
            Control::Ttl(value) | Control::HopLimit(value) | Control::TrafficClass(value) => {
                out.extend(i32::from(*value).to_ne_bytes());
            }
            Control::Timestamp(time) => {
                out.extend(time.as_secs().to_ne_bytes());
                out.extend(u64::from(time.subsec_micros()).to_ne_bytes());
            }
            Control::TimestampNs(time) => write_timespec(out, *time),
            Control::Timestamping { software, hardware } => {
                write_timespec(out, *software);
                // Of old, the device's time in the system's clock; always zero.
                write_timespec(out, Duration::ZERO);
                write_timespec(out, *hardware);
            }
            Control::RxqOverflow(count) => out.extend(count.to_ne_bytes()),
            Control::Unread(bytes) => out.extend(bytes.to_ne_bytes()),
            Control::SegmentSize(size) => out.extend(size.to_ne_bytes()),
            Control::GroSize(size) => out.extend(i32::from(*size).to_ne_bytes()),
            Control::ExtendedError4(error, offender) => {
                error.write(out);
                write_address(out, offender.map(SockAddr::V4), SOCKADDR_IN_LEN);
            }
            Control::ExtendedError6(error, offender) => {
                error.write(out);
                write_address(out, offender.map(SockAddr::V6), SOCKADDR_IN6_LEN);
            }
            Control::OriginalDestination(address) => out.extend(&*SockAddr::from(*address).as_bytes()),
            Control::PathMtu { destination, mtu } => {
                out.extend(&*SockAddr::V6(*destination).as_bytes());
                out.extend(mtu.to_ne_bytes());
            }
        }
    }
}

impl ExtendedError {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.errno.to_ne_bytes());
        out.extend([self.origin, self.kind, self.code, 0]);
        out.extend(self.info.to_ne_bytes());
        out.extend(self.data.to_ne_bytes());
    }
}

fn write_timespec(out: &mut Vec<u8>, time: Duration) {
    out.extend(time.as_secs().to_ne_bytes());
    out.extend(u64::from(time.subsec_nanos()).to_ne_bytes());
}

/// The address, or as many zeros as it would take.
fn write_address(out: &mut Vec<u8>, address: Option<SockAddr>, len: usize) {
    let start = out.len();
    if let Some(address) = address {
        out.extend(&*address.as_bytes());
    }
    out.resize(start + len, 0);
}

#[cfg(test)]
mod tests;
