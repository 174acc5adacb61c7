//! Socket options: their values, and how `setsockopt` and `getsockopt` read and show them.
//!
//! An option stands here if it acts; any other fails with ENOPROTOOPT. What it acts on lies in the calls: this file
//! holds the values.

use core::num::NonZeroU32;

use rustix::io::Errno;
use tapsock_stack::discovery::Discovery;
use tapsock_stack::error_queue::ErrorDeliveries;
use tapsock_stack::iface::{Addresses, InterfaceId, Way};
use tapsock_stack::ip::output::Priority;
use tapsock_stack::ports::Reuse;
use tapsock_stack::stack::Family;
use tapsock_stack::tcp;
use tapsock_stack::tcp::config::CongestionSet;

use crate::constants::*;

mod network;
mod rare;
mod socket_level;
mod told;
mod transport;
mod value;

pub(crate) use network::{check_ip_options, read_ip_int};
use rare::Rare;
pub(crate) use told::Told;
pub use value::OptionValue;
pub(crate) use value::{read_int, read_pair, read_timeout};

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
    /// All packets of the protocol of that number.
    Raw(u16),
}

/// Whose option it is.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Subject {
    pub(crate) domain: Domain,
    pub(crate) kind: Kind,
}

impl Subject {
    /// Whether it has ports.
    pub(crate) fn has_ports(self) -> bool {
        matches!(self.kind, Kind::Stream | Kind::Datagram)
    }

    /// Whether it has the options of sending to groups.
    pub(crate) fn sends_to_groups(self) -> bool {
        self.kind != Kind::Stream
    }

    /// The number of the protocol (SO_PROTOCOL).
    pub(crate) fn protocol(self) -> i32 {
        match (self.kind, self.domain) {
            (Kind::Stream, _) => IPPROTO_TCP,
            (Kind::Datagram, _) => IPPROTO_UDP,
            (Kind::Ping, Domain::V4) => IPPROTO_ICMP,
            (Kind::Ping, Domain::V6) => IPPROTO_ICMPV6,
            (Kind::Raw(protocol), _) => i32::from(protocol),
        }
    }

    /// Whether it has the options of IPv4. Linux gives them to IPv6's sockets too, but not to raw ones.
    pub(crate) fn has_v4_options(self) -> bool {
        self.domain == Domain::V4 || !matches!(self.kind, Kind::Raw(_))
    }
}

/// What the host says of values.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Limits {
    /// The largest buffers that may be asked for, in bytes (`net.core.wmem_max`, `net.core.rmem_max`).
    pub(crate) send_max: u32,
    pub(crate) receive_max: u32,
    /// Of a socket that has no time-out of its own (`net.ipv4.tcp_fin_timeout`).
    pub(crate) fin_timeout_secs: Option<u16>,
    /// The bits of `net.ipv4.tcp_fastopen`.
    pub(crate) fast_open: u32,
    /// The largest backlog (`net.core.somaxconn`).
    pub(crate) backlog_max: u32,
    /// What may be chosen (`net.ipv4.tcp_allowed_congestion_control`).
    pub(crate) congestion: CongestionSet,
    /// Whether the owner may go beyond them.
    pub(crate) privileged: bool,
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
    pub(crate) v6_only: bool,
    /// `None`: the host's.
    pub(crate) ttl: Option<u8>,
    pub(crate) tos: u8,
    pub(crate) hops: Option<u8>,
    /// IPv4's TTL and IPv6's hop limit of the host.
    default_limits: (u8, u8),
    pub(crate) traffic_class: u8,
    pub(crate) discovery: Discovery,
    /// IP_RECVERR and IPV6_RECVERR.
    pub(crate) errors: ErrorDeliveries,
    /// Zero: datagrams are not cut.
    pub(crate) udp_segment: u16,
    pub(crate) udp_gro: bool,
    pub(crate) udp_cork: bool,
    /// How much has to be there before a stream is readable, in bytes (SO_RCVLOWAT).
    pub(crate) low_water: u32,
    /// Only hosts on our links are sent to (SO_DONTROUTE).
    pub(crate) direct: bool,
    /// The only interface that is used (SO_BINDTODEVICE).
    pub(crate) device: Option<InterfaceId>,
    /// Those that few sockets set.
    rare: Option<Box<Rare>>,
    /// Addresses that are not ours may be bound (IP_FREEBIND).
    pub(crate) free_bind: bool,
    /// `bind` to no port takes none yet (IP_BIND_ADDRESS_NO_PORT).
    pub(crate) late_port: bool,
    /// What a receiving call tells beside the data.
    pub(crate) told: Told,
    /// What a connection is told, but for hop limit and traffic class, which depend on its family. The buffers serve
    /// datagram sockets too.
    pub(crate) tcp: tcp::SharedOptions,
}

impl SocketOptions {
    /// The options of a new socket on a host whose connections have `defaults`, and whose packets have `default_limits`:
    /// IPv4's TTL and IPv6's hop limit.
    pub(crate) fn new(defaults: tcp::SharedOptions, default_limits: (u8, u8)) -> Self {
        SocketOptions {
            reuse_address: false,
            reuse_port: false,
            broadcast: false,
            v6_only: false,
            ttl: None,
            tos: 0,
            hops: None,
            default_limits,
            traffic_class: 0,
            discovery: Discovery::default(),
            errors: ErrorDeliveries::default(),
            udp_segment: 0,
            udp_gro: false,
            udp_cork: false,
            low_water: 1,
            direct: false,
            device: None,
            rare: None,
            free_bind: false,
            late_port: false,
            told: Told::default(),
            tcp: defaults,
        }
    }

    /// TCP_DEFER_ACCEPT and TCP_FASTOPEN are the listener's own.
    pub(crate) fn forget_deferral(&mut self) {
        if self.tcp.rare().defer_accept > 0 || self.tcp.rare().fast_open_queue > 0 {
            let rare = self.tcp.rare_mut();
            (rare.defer_accept, rare.fast_open_queue, rare.fast_open_keys) = (0, 0, None);
        }
    }

    /// The receive buffer grows by itself no more, and no larger one is to be expected.
    fn fix_receive_buffer(&mut self) {
        self.tcp.receive_buffer_max = None;
        if self.tcp.rare().window_room > 0 {
            self.tcp.rare_mut().window_room = 0;
        }
    }

    /// What a stream socket does not take to its next connection: Linux's `tcp_disconnect`.
    pub(crate) fn forget_connection(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.peek_offset = None;
        }
        (self.tcp.max_segment, self.tcp.late_acks) = (None, false);
        if self.tcp.rare().window_clamp.is_some() {
            self.tcp.rare_mut().window_clamp = None;
        }
    }

    /// Where MSG_PEEK begins, in bytes; below zero: always at the front (SO_PEEK_OFF).
    pub(crate) fn peek_offset(&self) -> i32 {
        self.rare().peek_offset.unwrap_or(-1)
    }

    /// How many bytes MSG_PEEK passes over.
    pub(crate) fn peek_start(&self) -> usize {
        usize::try_from(self.peek_offset()).unwrap_or(0)
    }

    /// Moves where MSG_PEEK begins, as it has shown `by` bytes or, below zero, as so many were read.
    pub(crate) fn move_peek_offset(&mut self, by: i64) {
        let offset = self.peek_offset();
        if offset >= 0 {
            let moved = (i64::from(offset) + by).clamp(0, i32::MAX.into());
            self.rare_mut().peek_offset = Some(moved as i32);
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
            Domain::V4 => self.default_limits.0,
            Domain::V6 => self.default_limits.1,
        };
        self.hop_limit(family).unwrap_or(default)
    }

    /// Whether it is to be noted when data comes.
    fn stamps_arrivals(&self) -> bool {
        let told = self.told.contains(Told::STAMP) || self.told.contains(Told::STAMP_NANOS);
        told || self.rare().timestamping.tells_arrivals()
    }

    /// Whether addresses that are not ours may be bound.
    pub(crate) fn takes_foreign(&self) -> bool {
        self.free_bind || self.rare().transparent
    }

    /// How packets leave.
    pub(crate) fn way(&self) -> Way {
        Way {
            device: self.device,
            mark: NonZeroU32::new(self.rare().mark),
            addresses: if self.rare().transparent { Addresses::Any } else { Addresses::Ours },
            source: self.rare().source,
        }
    }

    /// What a connection of that family is told: the socket's own where that says it all.
    pub(crate) fn for_connection(&self, family: Domain) -> tcp::SharedOptions {
        let mut wanted = tcp::Options {
            hop_limit: self.hop_limit(family),
            traffic_class: self.traffic_class(family),
            discovery: match family {
                Domain::V4 => self.discovery.v4,
                Domain::V6 => self.discovery.v6,
            },
            error_delivery: match family {
                Domain::V4 => self.errors.v4,
                Domain::V6 => self.errors.v6,
            },
            min_hop_limit: match family {
                Domain::V4 => self.rare().min_ttl,
                Domain::V6 => self.rare().min_hops,
            },
            labels: self.rare().labels,
            priority: Priority::new(self.rare().priority as u32),
            stamp_arrivals: self.stamps_arrivals(),
            ..tcp::Options::clone(&self.tcp)
        };
        if family == Domain::V4 && !self.rare().ip_options.is_empty() {
            wanted.rare_mut().ip_options = self.rare().ip_options;
        }
        if wanted == *self.tcp { self.tcp.clone() } else { wanted.into() }
    }

    /// `setsockopt`. Errors: ENOPROTOOPT where the option is not one of `subject`'s or can't be set, EINVAL where the
    /// value is too short or out of range, EDOM for a fraction of a second that is none, ENOENT for a congestion
    /// control of no known name. Source: socket(7), ip(7), ipv6(7), tcp(7), udp(7).
    pub(crate) fn set(
        &mut self,
        subject: Subject,
        limits: Limits,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<Change, Errno> {
        if let Some(what) = Told::named(subject, level, name) {
            self.told.set(what, read_flag(level, value)?);
            let is_seen = subject.kind == Kind::Stream && level == SOL_SOCKET;
            return Ok(if is_seen { Change::Transport } else { Change::Kept });
        }
        match level {
            SOL_SOCKET => self.set_socket(subject, limits, name, value),
            SOL_TCP if subject.kind == Kind::Stream => self.set_tcp(limits, name, value),
            SOL_UDP if subject.kind == Kind::Datagram => self.set_udp(name, value),
            SOL_IP if subject.has_v4_options() => self.set_ip(subject, limits, name, value),
            SOL_IPV6 if subject.domain == Domain::V6 => self.set_ipv6(subject, limits, name, value),
            _ => Err(Errno::NOPROTOOPT),
        }
    }

    /// `getsockopt`, but for what depends on the socket's state. Errors: ENOPROTOOPT for an option that is not there,
    /// EOPNOTSUPP for a level that is not `subject`'s.
    pub(crate) fn get(&self, subject: Subject, level: i32, name: i32) -> Result<OptionValue, Errno> {
        if let Some(what) = Told::named(subject, level, name) {
            return Ok(self.told.contains(what).into());
        }
        match level {
            SOL_SOCKET => self.get_socket(subject, name),
            SOL_TCP if subject.kind == Kind::Stream => self.get_tcp(name),
            SOL_UDP if subject.kind == Kind::Datagram => self.get_udp(name),
            SOL_IP if subject.has_v4_options() => self.get_ip(subject, name),
            SOL_IPV6 if subject.domain == Domain::V6 => self.get_ipv6(name),
            // Linux's two families disagree.
            _ => Err(if subject.domain == Domain::V4 { Errno::OPNOTSUPP } else { Errno::NOPROTOOPT }),
        }
    }
}

/// Whether `value` says yes. An `int`; where `level` is IPv4's, fewer bytes will do.
fn read_flag(level: i32, value: &[u8]) -> Result<bool, Errno> {
    let number = if level == SOL_IP { network::read_ip_int(value)? } else { read_int(value)? };
    Ok(number != 0)
}

#[cfg(test)]
mod tests;
