//! What `sendmsg` is told by control messages, and what it refuses.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;
use tapsock_stack::wire::ipv4_options::{AnswerOptions, MAX_LEN};

use super::Credentials;
use super::decode::{credentials, descriptors, int, whole};
use super::layout::{Message, Messages, field};
use super::numbers::*;
use crate::constants::{
    IP_RETOPTS, IP_TOS, IP_TTL, IPV6_TCLASS, SO_MARK, SO_PRIORITY, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_UDP,
    UDP_SEGMENT,
};

/// The second number of `SO_TIMESTAMPING`.
const SO_TIMESTAMPING_NEW: i32 = 65;
/// What a message may ask of time stamps: those of sending, by device, stack, scheduler, acknowledgement and completion.
const TIMESTAMPING_OF_SENDING: u32 = 0x1 | 0x2 | 0x100 | 0x200 | 0x4_0000;

/// Who sends: each reads the levels that concern it and passes over the others.
///
/// ```
/// use tapsock_sockets::control::{Control, ControlFor, ControlMessages, SendControl};
///
/// let mut messages = ControlMessages::with_room(64);
/// messages.push(&Control::Ttl(0));
/// assert!(SendControl::parse(messages.as_bytes(), ControlFor::Udp4).is_err());
/// assert!(SendControl::parse(messages.as_bytes(), ControlFor::Udp6).is_ok());
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ControlFor {
    /// An IPv4 UDP socket.
    Udp4,
    /// An IPv6 UDP socket, to an IPv6 destination.
    Udp6,
    /// An IPv6 UDP socket, to an IPv4-mapped destination.
    Udp6Mapped,
    /// An IPv4 raw or ping socket.
    Raw4,
    /// An IPv6 raw or ping socket.
    Raw6,
    /// A TCP socket.
    Tcp,
}

/// What one send does otherwise than the socket's options say. `None` leaves it to them.
///
/// ```
/// use tapsock_sockets::control::{Control, ControlFor, ControlMessages, SendControl};
///
/// let mut messages = ControlMessages::with_room(64);
/// messages.push(&Control::Ttl(1));
/// let control = SendControl::parse(messages.as_bytes(), ControlFor::Udp4).unwrap();
/// assert_eq!(control, SendControl { hop_limit: Some(1), ..SendControl::default() });
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct SendControl {
    /// Index of the interface to send by.
    pub interface: Option<u32>,
    /// The source address. Whether it may be used is for the sender to say (Linux: EINVAL). As on Linux, the unspecified one
    /// of IPv4 takes the place of the socket's own: the way says which it is.
    pub source: Option<IpAddr>,
    /// Time to live or hop limit.
    pub hop_limit: Option<u8>,
    /// Type of service or traffic class.
    pub traffic_class: Option<u8>,
    /// IPv6's traffic class and flow label, as in `sin6_flowinfo`.
    pub flow_info: Option<u32>,
    /// Do not fragment (IPv6).
    pub dont_fragment: Option<bool>,
    /// Options of IPv4's header. Whether they may be sent is for the sender to say (Linux: EINVAL).
    pub ip_options: Option<AnswerOptions>,
    /// The protocol of a raw packet.
    pub protocol: Option<u8>,
    /// Payload bytes of each datagram; zero is as if nothing were said.
    pub segment_size: Option<u16>,
    /// `SO_PRIORITY`. Above 6 Linux wants CAP_NET_ADMIN (EPERM).
    pub priority: Option<i32>,
    /// `SO_MARK`. Linux wants CAP_NET_ADMIN (EPERM).
    pub mark: Option<u32>,
    /// Which time stamps of sending to take: `SOF_TIMESTAMPING_TX_*`.
    pub timestamping: Option<u32>,
}

impl SendControl {
    /// Reads `msg_control`. A later message prevails over an earlier one.
    ///
    /// Errors: EINVAL where a header is malformed, and where a message of a level that concerns the sender is
    /// unknown, has the wrong length or is out of range. Unlike Linux, extension
    /// headers are among the unknown, unless empty.
    /// Source: ip(7), ipv6(7), udp(7), RFC 3542.
    pub fn parse(bytes: &[u8], sender: ControlFor) -> Result<SendControl, Errno> {
        let mut control = SendControl::default();
        for message in Messages::new(bytes) {
            control.take(message?, sender).ok_or(Errno::INVAL)?;
        }
        Ok(control)
    }

    fn take(&mut self, message: Message<'_>, sender: ControlFor) -> Option<()> {
        use ControlFor::*;
        match (message.level, sender) {
            (SOL_SOCKET, _) => self.take_socket(message.kind, message.payload),
            (SOL_UDP, Udp4 | Udp6 | Udp6Mapped) => self.take_udp(message.kind, message.payload),
            (SOL_IP, Udp4 | Raw4 | Udp6Mapped) => self.take_ip(message.kind, message.payload),
            (SOL_IPV6, Udp6Mapped) if message.kind == IPV6_PKTINFO => self.take_mapped(message.payload),
            (SOL_IPV6, Udp6 | Raw6) => self.take_ipv6(message.kind, message.payload),
            _ => Some(()),
        }
    }

    fn take_socket(&mut self, kind: i32, payload: &[u8]) -> Option<()> {
        match kind {
            SO_PRIORITY => self.priority = Some(int(payload)?),
            SO_MARK => self.mark = Some(u32::from_ne_bytes(whole(payload)?)),
            SCM_TIMESTAMPING | SO_TIMESTAMPING_NEW => {
                let flags = u32::from_ne_bytes(whole(payload)?);
                self.timestamping = Some(flags).filter(|flags| flags & !TIMESTAMPING_OF_SENDING == 0);
                self.timestamping?;
            }
            // They concern local sockets, and others do not look inside.
            SCM_RIGHTS | SCM_CREDENTIALS => {}
            _ => return None,
        }
        Some(())
    }

    fn take_udp(&mut self, kind: i32, payload: &[u8]) -> Option<()> {
        if kind != UDP_SEGMENT {
            return None;
        }
        self.segment_size = Some(u16::from_ne_bytes(whole(payload)?)).filter(|size| *size > 0);
        Some(())
    }

    fn take_ip(&mut self, kind: i32, payload: &[u8]) -> Option<()> {
        match kind {
            IP_PKTINFO => {
                let info = whole::<12>(payload)?;
                let source = Ipv4Addr::from(field::<4>(&info, 4)?);
                self.set_interface(u32::from_ne_bytes(field(&info, 0)?));
                self.source = Some(IpAddr::V4(source));
            }
            IP_TTL => self.hop_limit = Some(u8::try_from(int(payload)?).ok().filter(|ttl| *ttl > 0)?),
            IP_TOS => {
                let value = whole::<1>(payload).map(|byte| i32::from(byte[0])).or_else(|| int(payload))?;
                self.traffic_class = Some(u8::try_from(value).ok()?);
            }
            IP_PROTOCOL => {
                self.protocol = Some(u8::try_from(int(payload)?).ok().filter(|number| *number > 0)?)
            }
            IP_RETOPTS => self.ip_options = AnswerOptions::new(&payload[..payload.len().min(MAX_LEN)]),
            _ => return None,
        }
        Some(())
    }

    /// `IPV6_PKTINFO` for a packet that goes out as IPv4: its source must be an IPv4-mapped address.
    fn take_mapped(&mut self, payload: &[u8]) -> Option<()> {
        let (source, interface) = packet_info6(payload)?;
        let source = source.to_ipv4_mapped()?;
        self.set_interface(interface);
        self.source = Some(IpAddr::V4(source));
        Some(())
    }

    fn take_ipv6(&mut self, kind: i32, payload: &[u8]) -> Option<()> {
        match kind {
            IPV6_PKTINFO | IPV6_2292PKTINFO => {
                let (source, interface) = packet_info6(payload)?;
                self.set_interface(interface);
                if !source.is_unspecified() {
                    self.source = Some(IpAddr::V6(source));
                }
            }
            IPV6_HOPLIMIT | IPV6_2292HOPLIMIT => self.hop_limit = byte_or_default(payload)?,
            IPV6_TCLASS => self.traffic_class = byte_or_default(payload)?,
            IPV6_FLOWINFO => self.flow_info = Some(u32::from_be_bytes(field(payload, 0)?)),
            IPV6_DONTFRAG => {
                self.dont_fragment = Some(match int(payload)? {
                    0 => false,
                    1 => true,
                    _ => return None,
                });
            }
            _ => return None,
        }
        Some(())
    }

    /// Zero leaves the interface open, or as an earlier message set it.
    fn set_interface(&mut self, index: u32) {
        if index != 0 {
            self.interface = Some(index);
        }
    }
}

/// What goes with the data of a local socket.
///
/// ```
/// use tapsock_sockets::control::{Control, ControlMessages, LocalControl};
///
/// let mut messages = ControlMessages::with_room(64);
/// messages.push(&Control::Rights(vec![3, 4]));
/// assert_eq!(LocalControl::parse(messages.as_bytes()).unwrap().rights, [3, 4]);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LocalControl {
    /// Descriptors, at most [`SCM_MAX_FD`]. Whether they are any is for the sender to say (Linux: EBADF).
    pub rights: Vec<i32>,
    /// Who to be. Whether the sender may is for it to say (Linux: EPERM).
    pub credentials: Option<Credentials>,
}

impl LocalControl {
    /// Reads `msg_control` of a send on a local socket; levels other than `SOL_SOCKET` are passed over.
    ///
    /// Errors: EINVAL where a header is malformed, for other messages than `SCM_RIGHTS` and `SCM_CREDENTIALS`, for
    /// credentials of the wrong length, and for more than [`SCM_MAX_FD`] descriptors in all.
    /// Source: unix(7).
    pub fn parse(bytes: &[u8]) -> Result<LocalControl, Errno> {
        let mut control = LocalControl::default();
        for message in Messages::new(bytes) {
            let Message { level, kind, payload } = message?;
            match (level, kind) {
                (SOL_SOCKET, SCM_RIGHTS) => {
                    if control.rights.len() + payload.len() / size_of::<i32>() > SCM_MAX_FD {
                        return Err(Errno::INVAL);
                    }
                    control.rights.extend(descriptors(payload));
                }
                (SOL_SOCKET, SCM_CREDENTIALS) => {
                    control.credentials = Some(credentials(payload).ok_or(Errno::INVAL)?);
                }
                (SOL_SOCKET, _) => return Err(Errno::INVAL),
                _ => {}
            }
        }
        Ok(control)
    }
}

/// Address and interface of a `struct in6_pktinfo`. Linux takes a longer one.
fn packet_info6(payload: &[u8]) -> Option<(Ipv6Addr, u32)> {
    Some((Ipv6Addr::from(field::<16>(payload, 0)?), u32::from_ne_bytes(field(payload, 16)?)))
}

/// An `int` of 0 to 255, or -1 for the socket's own.
fn byte_or_default(payload: &[u8]) -> Option<Option<u8>> {
    match int(payload)? {
        -1 => Some(None),
        value => Some(Some(u8::try_from(value).ok()?)),
    }
}
