//! Socket options: their values, and how `setsockopt` and `getsockopt` read and show them.
//!
//! An option stands here if it acts; any other fails with ENOPROTOOPT. What it acts on lies in the calls: this file
//! holds the values.

use core::time::Duration;

use rustix::io::Errno;
use tapsock_stack::discovery::{Discovery, PathMtuDiscovery};
use tapsock_stack::ports::Reuse;
use tapsock_stack::stack::Family;
use tapsock_stack::tcp;

use crate::constants::*;

mod value;

pub use value::OptionValue;
use value::{CONGESTION_NAME_LEN, in_range, read_congestion, read_pair};
pub(crate) use value::{read_int, read_timeout};

/// The family that a socket was made for.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Domain {
    V4,
    V6,
}

impl Domain {
    /// The stack's name for it.
    pub(crate) fn family(self) -> Family {
        match self {
            Domain::V4 => Family::V4,
            Domain::V6 => Family::V6,
        }
    }
}

/// What a socket was made for.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// TCP.
    Stream,
    /// UDP.
    Datagram,
    /// ICMP echo.
    Ping,
}

/// Whose option it is.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Subject {
    pub(crate) domain: Domain,
    pub(crate) kind: Kind,
}

impl Subject {
    /// The number of the protocol (SO_PROTOCOL).
    pub(crate) fn protocol(self) -> i32 {
        match (self.kind, self.domain) {
            (Kind::Stream, _) => IPPROTO_TCP,
            (Kind::Datagram, _) => IPPROTO_UDP,
            (Kind::Ping, Domain::V4) => IPPROTO_ICMP,
            (Kind::Ping, Domain::V6) => IPPROTO_ICMPV6,
        }
    }
}

/// The largest buffers that may be asked for, in bytes (`net.core.wmem_max`, `net.core.rmem_max`).
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct BufferLimits {
    pub(crate) send_max: u32,
    pub(crate) receive_max: u32,
}

/// Who has to learn of a change.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// Nobody: the calls look the value up.
    Kept,
    /// The connection, the listener or the datagram socket in the stack.
    Transport,
}

/// SO_LINGER.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Linger {
    pub(crate) on: bool,
    pub(crate) secs: u32,
}

/// The values of one socket's options.
#[derive(Clone, Debug)]
pub(crate) struct SocketOptions {
    pub(crate) reuse_address: bool,
    pub(crate) reuse_port: bool,
    pub(crate) broadcast: bool,
    pub(crate) linger: Linger,
    /// `None`: for ever. Zero: not at all.
    pub(crate) receive_timeout: Option<Duration>,
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) v6_only: bool,
    /// `None`: the host's.
    pub(crate) ttl: Option<u8>,
    pub(crate) tos: u8,
    pub(crate) hops: Option<u8>,
    /// IPv6's hop limit of the host; IPv4's stands in `tcp`.
    default_hops: u8,
    pub(crate) traffic_class: u8,
    pub(crate) discovery: Discovery,
    /// Zero: datagrams are not cut.
    pub(crate) udp_segment: u16,
    pub(crate) udp_gro: bool,
    /// What a connection is told, but for hop limit and traffic class, which depend on its family. The buffers serve
    /// datagram sockets too.
    pub(crate) tcp: tcp::Options,
}

impl SocketOptions {
    /// The options of a new socket on a host whose connections have `defaults`, and `default_hops` over IPv6.
    pub(crate) fn new(defaults: tcp::Options, default_hops: u8) -> Self {
        SocketOptions {
            reuse_address: false,
            reuse_port: false,
            broadcast: false,
            linger: Linger::default(),
            receive_timeout: None,
            send_timeout: None,
            v6_only: false,
            ttl: None,
            tos: 0,
            hops: None,
            default_hops,
            traffic_class: 0,
            discovery: Discovery::default(),
            udp_segment: 0,
            udp_gro: false,
            tcp: defaults,
        }
    }

    /// Which sockets may have the same address.
    pub(crate) fn reuse(&self) -> Reuse {
        Reuse { address: self.reuse_address, port: self.reuse_port }
    }

    /// The hop limit that was asked for, for packets of that family.
    pub(crate) fn hop_limit(&self, family: Domain) -> Option<u8> {
        match family {
            Domain::V4 => self.ttl,
            Domain::V6 => self.hops,
        }
    }

    /// The traffic class of packets of that family.
    pub(crate) fn traffic_class(&self, family: Domain) -> u8 {
        match family {
            Domain::V4 => self.tos,
            Domain::V6 => self.traffic_class,
        }
    }

    fn hop_limit_or_default(&self, family: Domain) -> u8 {
        let default = match family {
            Domain::V4 => self.tcp.hop_limit,
            Domain::V6 => self.default_hops,
        };
        self.hop_limit(family).unwrap_or(default)
    }

    /// What a connection of that family is told.
    pub(crate) fn for_connection(&self, family: Domain) -> tcp::Options {
        tcp::Options {
            hop_limit: self.hop_limit_or_default(family),
            traffic_class: self.traffic_class(family),
            discovery: match family {
                Domain::V4 => self.discovery.v4,
                Domain::V6 => self.discovery.v6,
            },
            ..self.tcp.clone()
        }
    }

    /// `setsockopt`. Errors: ENOPROTOOPT where the option is not one of `subject`'s or can't be set, EINVAL where the
    /// value is too short or out of range, EDOM for a fraction of a second that is none, ENOENT for a congestion
    /// control of no known name. Source: socket(7), ip(7), ipv6(7), tcp(7), udp(7).
    pub(crate) fn set(
        &mut self,
        subject: Subject,
        limits: BufferLimits,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<Change, Errno> {
        match level {
            SOL_SOCKET => self.set_socket(subject, limits, name, value),
            SOL_TCP if subject.kind == Kind::Stream => self.set_tcp(name, value),
            SOL_UDP if subject.kind == Kind::Datagram => self.set_udp(name, value),
            SOL_IP => self.set_ip(subject, name, value),
            SOL_IPV6 if subject.domain == Domain::V6 => self.set_ipv6(subject, name, value),
            _ => Err(Errno::NOPROTOOPT),
        }
    }

    /// `getsockopt`, but for what depends on the socket's state. Errors: ENOPROTOOPT for an option that is not there,
    /// EOPNOTSUPP for a level that is not `subject`'s.
    pub(crate) fn get(&self, subject: Subject, level: i32, name: i32) -> Result<OptionValue, Errno> {
        match level {
            SOL_SOCKET => self.get_socket(subject, name),
            SOL_TCP if subject.kind == Kind::Stream => self.get_tcp(name),
            SOL_UDP if subject.kind == Kind::Datagram => self.get_udp(name),
            SOL_IP => self.get_ip(subject, name),
            SOL_IPV6 if subject.domain == Domain::V6 => self.get_ipv6(subject, name),
            // Linux's two families disagree.
            _ => Err(if subject.domain == Domain::V4 { Errno::OPNOTSUPP } else { Errno::NOPROTOOPT }),
        }
    }

    fn set_socket(
        &mut self,
        subject: Subject,
        limits: BufferLimits,
        name: i32,
        value: &[u8],
    ) -> Result<Change, Errno> {
        let number = read_int(value)?;
        match name {
            SO_REUSEADDR => {
                self.reuse_address = number != 0;
                return Ok(Change::Transport);
            }
            SO_REUSEPORT => {
                self.reuse_port = number != 0;
                return Ok(Change::Transport);
            }
            SO_BROADCAST => self.broadcast = number != 0,
            SO_LINGER => {
                let (on, secs) = read_pair::<4>(value).ok_or(Errno::INVAL)?;
                self.linger = Linger { on: i32::from_ne_bytes(on) != 0, secs: u32::from_ne_bytes(secs) };
            }
            SO_RCVTIMEO => self.receive_timeout = read_timeout(value)?,
            SO_SNDTIMEO => self.send_timeout = read_timeout(value)?,
            SO_SNDBUF if subject.kind != Kind::Ping => {
                self.tcp.send_buffer = doubled(number, limits.send_max, SEND_BUFFER_MIN);
                self.tcp.send_buffer_max = None;
                return Ok(Change::Transport);
            }
            SO_RCVBUF if subject.kind != Kind::Ping => {
                self.tcp.receive_buffer = doubled(number, limits.receive_max, RECEIVE_BUFFER_MIN);
                self.tcp.receive_buffer_max = None;
                return Ok(Change::Transport);
            }
            SO_KEEPALIVE => {
                self.tcp.keep_alive.enabled = number != 0;
                return Ok(Change::Transport);
            }
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(Change::Kept)
    }

    fn get_socket(&self, subject: Subject, name: i32) -> Result<OptionValue, Errno> {
        Ok(match name {
            SO_REUSEADDR => self.reuse_address.into(),
            SO_REUSEPORT => self.reuse_port.into(),
            SO_BROADCAST => self.broadcast.into(),
            SO_KEEPALIVE => self.tcp.keep_alive.enabled.into(),
            SO_SNDBUF => self.tcp.send_buffer.into(),
            SO_RCVBUF => self.tcp.receive_buffer.into(),
            SO_RCVTIMEO => self.receive_timeout.into(),
            SO_SNDTIMEO => self.send_timeout.into(),
            SO_LINGER => {
                let Linger { on, secs } = self.linger;
                [i32::from(on).to_ne_bytes(), secs.to_ne_bytes()].concat().into()
            }
            SO_TYPE => if subject.kind == Kind::Stream { SOCK_STREAM } else { SOCK_DGRAM }.into(),
            SO_DOMAIN => if subject.domain == Domain::V4 { AF_INET } else { AF_INET6 }.into(),
            SO_PROTOCOL => subject.protocol().into(),
            _ => return Err(Errno::NOPROTOOPT),
        })
    }

    fn set_tcp(&mut self, name: i32, value: &[u8]) -> Result<Change, Errno> {
        if name == TCP_CONGESTION {
            self.tcp.congestion = read_congestion(value)?;
            return Ok(Change::Transport);
        }
        let number = read_int(value)?;
        let keep_alive = &mut self.tcp.keep_alive;
        match name {
            TCP_NODELAY => self.tcp.no_delay = number != 0,
            TCP_CORK => self.tcp.cork = number != 0,
            TCP_MAXSEG if number == 0 => self.tcp.max_segment = None,
            TCP_MAXSEG => self.tcp.max_segment = Some(in_range(number, MAXSEG_MIN, MAXSEG_MAX)? as u16),
            TCP_KEEPIDLE => keep_alive.idle_secs = in_range(number, 1, KEEP_SECS_MAX)? as u16,
            TCP_KEEPINTVL => keep_alive.interval_secs = in_range(number, 1, KEEP_SECS_MAX)? as u16,
            TCP_KEEPCNT => keep_alive.probes = in_range(number, 1, KEEP_PROBES_MAX)? as u8,
            TCP_USER_TIMEOUT => {
                let millis = in_range(number, 0, i32::MAX)? as u64;
                self.tcp.user_timeout = (millis > 0).then_some(Duration::from_millis(millis));
            }
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(Change::Transport)
    }

    fn get_tcp(&self, name: i32) -> Result<OptionValue, Errno> {
        let keep_alive = self.tcp.keep_alive;
        Ok(match name {
            TCP_NODELAY => self.tcp.no_delay.into(),
            TCP_CORK => self.tcp.cork.into(),
            TCP_MAXSEG => i32::from(self.tcp.max_segment.unwrap_or(MSS_DEFAULT)).into(),
            TCP_KEEPIDLE => i32::from(keep_alive.idle_secs).into(),
            TCP_KEEPINTVL => i32::from(keep_alive.interval_secs).into(),
            TCP_KEEPCNT => i32::from(keep_alive.probes).into(),
            TCP_USER_TIMEOUT => {
                let millis = self.tcp.user_timeout.unwrap_or_default().as_millis();
                u32::try_from(millis).unwrap_or(u32::MAX).into()
            }
            TCP_CONGESTION => {
                let mut name = self.tcp.congestion.name().as_bytes().to_vec();
                name.resize(CONGESTION_NAME_LEN, 0);
                name.into()
            }
            _ => return Err(Errno::NOPROTOOPT),
        })
    }

    fn set_udp(&mut self, name: i32, value: &[u8]) -> Result<Change, Errno> {
        let number = read_int(value)?;
        match name {
            UDP_SEGMENT => self.udp_segment = u16::try_from(number).map_err(|_| Errno::INVAL)?,
            UDP_GRO => {
                self.udp_gro = number != 0;
                return Ok(Change::Transport);
            }
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(Change::Kept)
    }

    fn get_udp(&self, name: i32) -> Result<OptionValue, Errno> {
        match name {
            UDP_SEGMENT => Ok(i32::from(self.udp_segment).into()),
            UDP_GRO => Ok(self.udp_gro.into()),
            _ => Err(Errno::NOPROTOOPT),
        }
    }

    fn set_ip(&mut self, subject: Subject, name: i32, value: &[u8]) -> Result<Change, Errno> {
        // ip(7): these take a C `char` as well as an `int`.
        let number = match value {
            [] => 0,
            [byte] | [byte, _] | [byte, _, _] => i32::from(*byte),
            _ => read_int(value)?,
        };
        match name {
            IP_TOS => self.tos = traffic_class(subject, number as u8, self.tos),
            IP_TTL if value.is_empty() => return Err(Errno::INVAL),
            IP_TTL if number == -1 => self.ttl = None,
            IP_TTL => self.ttl = Some(in_range(number, 1, 255)? as u8),
            IP_MTU_DISCOVER if subject.kind != Kind::Ping => self.discovery.v4 = discovery(number)?,
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(Change::Transport)
    }

    fn get_ip(&self, subject: Subject, name: i32) -> Result<OptionValue, Errno> {
        match name {
            IP_TOS => Ok(i32::from(self.tos).into()),
            IP_TTL => Ok(i32::from(self.hop_limit_or_default(Domain::V4)).into()),
            IP_MTU_DISCOVER if subject.kind != Kind::Ping => Ok(self.discovery.v4.number().into()),
            _ => Err(Errno::NOPROTOOPT),
        }
    }

    fn set_ipv6(&mut self, subject: Subject, name: i32, value: &[u8]) -> Result<Change, Errno> {
        let number = read_int(value);
        match name {
            IPV6_V6ONLY => self.v6_only = number? != 0,
            IPV6_UNICAST_HOPS => {
                let hops = in_range(number?, -1, 255)?;
                self.hops = u8::try_from(hops).ok();
            }
            IPV6_MTU_DISCOVER if subject.kind != Kind::Ping => self.discovery.v6 = discovery(number?)?,
            IPV6_TCLASS => {
                let wanted = in_range(number?, -1, 255)?.max(0);
                self.traffic_class = traffic_class(subject, wanted as u8, self.traffic_class);
            }
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(Change::Transport)
    }

    fn get_ipv6(&self, subject: Subject, name: i32) -> Result<OptionValue, Errno> {
        match name {
            IPV6_V6ONLY => Ok(self.v6_only.into()),
            IPV6_UNICAST_HOPS => Ok(i32::from(self.hop_limit_or_default(Domain::V6)).into()),
            IPV6_MTU_DISCOVER if subject.kind != Kind::Ping => Ok(self.discovery.v6.number().into()),
            IPV6_TCLASS => Ok(i32::from(self.traffic_class).into()),
            _ => Err(Errno::NOPROTOOPT),
        }
    }
}

/// TCP owns the two ECN bits of its packets.
fn traffic_class(subject: Subject, wanted: u8, before: u8) -> u8 {
    const ECN: u8 = 0x3;
    match subject.kind {
        Kind::Stream => wanted & !ECN | before & ECN,
        Kind::Datagram | Kind::Ping => wanted,
    }
}

fn discovery(number: i32) -> Result<PathMtuDiscovery, Errno> {
    PathMtuDiscovery::from_number(number).ok_or(Errno::INVAL)
}

/// socket(7): the kernel doubles the value, to have room for its bookkeeping. A negative one asks for the largest.
fn doubled(wanted: i32, max: u32, min: u32) -> u32 {
    (wanted as u32).min(max).saturating_mul(2).max(min)
}

/// Linux's SOCK_MIN_SNDBUF, in bytes.
const SEND_BUFFER_MIN: u32 = 4608;
/// Linux's SOCK_MIN_RCVBUF, in bytes.
const RECEIVE_BUFFER_MIN: u32 = 2304;
/// Linux's TCP_MIN_MSS and MAX_TCP_WINDOW, in bytes.
const MAXSEG_MIN: i32 = 88;
const MAXSEG_MAX: i32 = 32_767;
/// What TCP_MAXSEG shows before there is a connection, in bytes.
const MSS_DEFAULT: u16 = 536;
/// Linux's MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL, in seconds.
const KEEP_SECS_MAX: i32 = 32_767;
/// Linux's MAX_TCP_KEEPCNT.
const KEEP_PROBES_MAX: i32 = 127;

#[cfg(test)]
mod tests;
