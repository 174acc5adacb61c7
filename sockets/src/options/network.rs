//! The options of IPv4 and of IPv6.

use rustix::io::Errno;
use tapsock_stack::discovery::{AutoLabel, PathMtuDiscovery};
use tapsock_stack::error_queue::ErrorDelivery;
use tapsock_stack::iface::{InterfaceId, PreferredSource};
use tapsock_stack::ip::output::Priority;
use tapsock_stack::ports::PortLimits;
use tapsock_stack::wire::ipv4_options::{AnswerOptions, Ipv4Options, RECORD_ROUTE, ROUTER_ALERT, TIMESTAMP};

use super::value::{in_range, read_int};
use super::{Change, Domain, Kind, Limits, OptionValue, SocketOptions, Subject};
use crate::constants::*;

impl SocketOptions {
    pub(super) fn set_ip(
        &mut self,
        subject: Subject,
        limits: Limits,
        name: i32,
        value: &[u8],
    ) -> Result<Change, Errno> {
        // Options of any length are no number.
        if name == IP_OPTIONS && subject.has_v4_options() {
            let options = AnswerOptions::new(&ended(value)).ok_or(Errno::INVAL)?;
            check_ip_options(&options, limits.privileged)?;
            self.rare_mut().ip_options = options;
            return Ok(if subject.kind == Kind::Stream { Change::Transport } else { Change::Kept });
        }
        let number = read_ip_int(value)?;
        match name {
            IP_TOS => {
                let tos = traffic_class(subject, number as u8, self.tos);
                // As Linux: what changes nothing leaves SO_PRIORITY as it is.
                if tos != self.tos {
                    self.tos = tos;
                    self.rare_mut().priority = Priority::of_service(tos) as i32;
                }
            }
            IP_TTL if value.is_empty() => return Err(Errno::INVAL),
            IP_TTL if number == -1 => self.ttl = None,
            IP_TTL => self.ttl = Some(in_range(number, 1, 255)? as u8),
            IP_MTU_DISCOVER => self.discovery.v4 = discovery(number)?,
            IP_RECVERR => self.errors.v4 = errors(number),
            IP_FREEBIND | IP_TRANSPARENT | IP_MINTTL if value.is_empty() => return Err(Errno::INVAL),
            IP_TRANSPARENT => self.rare_mut().transparent = transparent(number, limits)?,
            IP_MINTTL => self.rare_mut().min_ttl = in_range(number, 0, 255)? as u8,
            IP_MULTICAST_TTL | IP_MULTICAST_LOOP | IP_MULTICAST_ALL if value.is_empty() => {
                return Err(Errno::INVAL);
            }
            IP_MULTICAST_TTL if subject.sends_to_groups() => {
                self.rare_mut().group_ttl = group_limit(in_range(number, -1, 255)?);
            }
            IP_RECVERR_RFC4884 => self.rare_mut().extensions[0] = in_range(number, 0, 1)? == 1,
            // As Linux: of the options of sending to groups these two are refused to a stream.
            IP_MULTICAST_TTL | IP_MULTICAST_IF => return Err(Errno::INVAL),
            IP_MULTICAST_LOOP => self.rare_mut().no_loop.0 = number == 0,
            IP_MULTICAST_ALL => self.rare_mut().own_groups_v4 = Some(in_range(number, 0, 1)? == 0),
            IP_LOCAL_PORT_RANGE => self.rare_mut().ports = port_limits(value)?,
            IP_FREEBIND => self.free_bind = number != 0,
            IP_BIND_ADDRESS_NO_PORT => self.late_port = number != 0,
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(Change::Transport)
    }

    pub(super) fn get_ip(&self, subject: Subject, name: i32) -> Result<OptionValue, Errno> {
        match name {
            IP_TOS => Ok(i32::from(self.tos).into()),
            IP_TTL => Ok(i32::from(self.hop_limit_or_default(Domain::V4)).into()),
            IP_OPTIONS if subject.has_v4_options() => Ok(self.rare().ip_options.as_bytes().to_vec().into()),
            IP_MTU_DISCOVER => Ok(self.discovery.v4.number().into()),
            IP_RECVERR => Ok((self.errors.v4 == ErrorDelivery::All).into()),
            IP_TRANSPARENT => Ok(self.rare().transparent.into()),
            IP_MINTTL => Ok(i32::from(self.rare().min_ttl).into()),
            // Who writes headers is asked before.
            IP_HDRINCL => Ok(false.into()),
            IP_MULTICAST_TTL => Ok(i32::from(self.rare().group_ttl.unwrap_or(1)).into()),
            IP_MULTICAST_LOOP => Ok((!self.rare().no_loop.0).into()),
            IP_MULTICAST_ALL => Ok((!self.own_groups_only(subject.domain).0).into()),
            IP_MULTICAST_IF => {
                let source = self.rare().group_source.unwrap_or(core::net::Ipv4Addr::UNSPECIFIED);
                Ok(source.octets().to_vec().into())
            }
            IP_LOCAL_PORT_RANGE => {
                let both = u32::from(self.rare().ports.low) | u32::from(self.rare().ports.high) << 16;
                Ok(both.to_ne_bytes().to_vec().into())
            }
            IP_UNICAST_IF => Ok(self.shown_unicast_interface(0)),
            IP_RECVERR_RFC4884 => Ok(self.rare().extensions[0].into()),
            IP_FREEBIND => Ok(self.free_bind.into()),
            IP_BIND_ADDRESS_NO_PORT => Ok(self.late_port.into()),
            _ => Err(Errno::NOPROTOOPT),
        }
    }

    pub(super) fn set_ipv6(
        &mut self,
        subject: Subject,
        limits: Limits,
        name: i32,
        value: &[u8],
    ) -> Result<Change, Errno> {
        let number = read_int(value);
        match name {
            IPV6_V6ONLY => self.v6_only = number? != 0,
            IPV6_UNICAST_HOPS => {
                let hops = in_range(number?, -1, 255)?;
                self.hops = u8::try_from(hops).ok();
            }
            IPV6_MULTICAST_HOPS if subject.sends_to_groups() => {
                self.rare_mut().group_hops = group_limit(in_range(number?, -1, 255)?);
            }
            IPV6_MULTICAST_LOOP => self.rare_mut().no_loop.1 = in_range(number?, 0, 1)? == 0,
            IPV6_MULTICAST_ALL => self.rare_mut().own_groups_v6 = number? == 0,
            IPV6_MTU_DISCOVER => self.discovery.v6 = discovery(number?)?,
            IPV6_RECVERR => self.errors.v6 = errors(number?),
            IPV6_MTU => {
                self.rare_mut().largest_v6 = match number? {
                    0 => None,
                    largest => Some(in_range(largest, MIN_MTU_V6, i32::MAX)? as u32),
                };
            }
            IPV6_PKTINFO => {
                let interface = packet_info(value)?;
                // As Linux, also of none: what the socket is held to stays.
                if self.device.is_some_and(|device| device.index() != interface) {
                    return Err(Errno::INVAL);
                }
                // Its address it takes, and does nothing with it.
                self.rare_mut().interface_v6 = InterfaceId::from_index(interface);
            }
            IPV6_RECVERR_RFC4884 => self.rare_mut().extensions[1] = in_range(number?, 0, 1)? == 1,
            // To Linux too little is nothing, of these two.
            IPV6_DONTFRAG => self.rare_mut().unfragmented = number.unwrap_or(0) != 0,
            IPV6_AUTOFLOWLABEL => {
                self.rare_mut().labels =
                    if number.unwrap_or(0) != 0 { AutoLabel::On } else { AutoLabel::Off };
            }
            IPV6_ADDR_PREFERENCES => self.set_preferences(number?)?,
            IPV6_TRANSPARENT => self.rare_mut().transparent = transparent(number?, limits)?,
            IPV6_MINHOPCOUNT => self.rare_mut().min_hops = in_range(number?, 0, 255)? as u8,
            IPV6_FREEBIND => self.free_bind = number? != 0,
            IPV6_TCLASS => {
                let wanted = in_range(number?, -1, 255)?.max(0);
                self.traffic_class = traffic_class(subject, wanted as u8, self.traffic_class);
            }
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(Change::Transport)
    }

    pub(super) fn get_ipv6(&self, name: i32) -> Result<OptionValue, Errno> {
        match name {
            IPV6_V6ONLY => Ok(self.v6_only.into()),
            IPV6_UNICAST_HOPS => Ok(i32::from(self.hop_limit_or_default(Domain::V6)).into()),
            IPV6_MULTICAST_HOPS => Ok(i32::from(self.rare().group_hops.unwrap_or(1)).into()),
            IPV6_MULTICAST_LOOP => Ok((!self.rare().no_loop.1).into()),
            IPV6_MULTICAST_ALL => Ok((!self.rare().own_groups_v6).into()),
            IPV6_MULTICAST_IF => {
                let index = self.rare().group_interface_v6.map_or(0, InterfaceId::index);
                Ok((index as i32).into())
            }
            IPV6_MTU_DISCOVER => Ok(self.discovery.v6.number().into()),
            IPV6_RECVERR => Ok((self.errors.v6 == ErrorDelivery::All).into()),
            IPV6_UNICAST_IF => Ok(self.shown_unicast_interface(1)),
            IPV6_RECVERR_RFC4884 => Ok(self.rare().extensions[1].into()),
            IPV6_DONTFRAG => Ok(self.rare().unfragmented.into()),
            IPV6_AUTOFLOWLABEL => Ok((self.rare().labels != AutoLabel::Off).into()),
            IPV6_ADDR_PREFERENCES => Ok(self.preferences().into()),
            IPV6_TRANSPARENT => Ok(self.rare().transparent.into()),
            IPV6_MINHOPCOUNT => Ok(i32::from(self.rare().min_hops).into()),
            IPV6_FREEBIND => Ok(self.free_bind.into()),
            IPV6_TCLASS => Ok(i32::from(self.traffic_class).into()),
            _ => Err(Errno::NOPROTOOPT),
        }
    }

    /// As the number of the interface is set: in network byte order.
    fn shown_unicast_interface(&self, family: usize) -> OptionValue {
        let index = self.rare().unicast_interface[family].map_or(0, InterfaceId::index);
        i32::from_ne_bytes(index.to_be_bytes()).into()
    }

    /// As Linux, of each pair one at most; what is not named is the default again. Whether addresses are made of keys, and homes of
    /// mobile hosts, nothing here depends on.
    fn set_preferences(&mut self, wanted: i32) -> Result<(), Errno> {
        let source = match wanted & (SRC_TEMPORARY | SRC_PUBLIC | SRC_ANY) {
            0 | SRC_ANY => PreferredSource::Any,
            SRC_TEMPORARY => PreferredSource::Temporary,
            SRC_PUBLIC => PreferredSource::Lasting,
            _ => return Err(Errno::INVAL),
        };
        let care_of = match wanted & (SRC_CARE_OF | SRC_HOME) {
            SRC_CARE_OF => true,
            0 | SRC_HOME => false,
            _ => return Err(Errno::INVAL),
        };
        if wanted & SRC_KEYS == SRC_KEYS {
            return Err(Errno::INVAL);
        }
        let rare = self.rare_mut();
        (rare.source, rare.care_of) = (source, care_of);
        Ok(())
    }

    fn preferences(&self) -> i32 {
        let source = match self.rare().source {
            PreferredSource::Any => SRC_ANY,
            PreferredSource::Lasting => SRC_PUBLIC,
            PreferredSource::Temporary => SRC_TEMPORARY,
        };
        source | if self.rare().care_of { SRC_CARE_OF } else { SRC_HOME }
    }
}

/// Whether these may go out: as Linux, types that it does not know want privilege. Unlike there, source routes are refused
/// (RFC 7126 §4.3), as they are where they come in.
///
/// Errors: EINVAL.
pub(crate) fn check_ip_options(options: &AnswerOptions, privileged: bool) -> Result<(), Errno> {
    let parsed = Ipv4Options::parse(options.as_bytes()).map_err(|_| Errno::INVAL)?;
    let known = options.are_all(|kind| matches!(kind, RECORD_ROUTE | TIMESTAMP | ROUTER_ALERT));
    if parsed.source_route || !known && !privileged { Err(Errno::INVAL) } else { Ok(()) }
}

/// Options of IPv4 as Linux keeps them: with nothing but zeros from the end of the list on.
fn ended(options: &[u8]) -> Vec<u8> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    let (mut bytes, mut at) = (options.to_vec(), 0);
    while let Some(kind) = bytes.get(at) {
        match *kind {
            END => {
                bytes[at..].fill(END);
                break;
            }
            NO_OPERATION => at += 1,
            _ => at += bytes.get(at + 1).map_or(2, |len| usize::from(*len).max(2)),
        }
    }
    bytes
}

/// The least that every path of IPv6 takes, in bytes (RFC 8200 §5).
const MIN_MTU_V6: i32 = 1280;

/// The interface of a `struct in6_pktinfo`. Errors: EINVAL where it is cut off.
fn packet_info(value: &[u8]) -> Result<u32, Errno> {
    const ADDRESS_LEN: usize = 16;
    let interface = value.get(ADDRESS_LEN..).and_then(<[u8]>::first_chunk).ok_or(Errno::INVAL)?;
    Ok(u32::from_ne_bytes(*interface))
}

/// Values of IPV6_ADDR_PREFERENCES (`IPV6_PREFER_SRC_…`).
const SRC_TEMPORARY: i32 = 0x1;
const SRC_PUBLIC: i32 = 0x2;
const SRC_CARE_OF: i32 = 0x4;
const SRC_ANY: i32 = 0x100;
const SRC_HOME: i32 = 0x400;
/// Addresses that are made of keys, and those that are not.
const SRC_KEYS: i32 = 0x808;

/// The value of an option of IPv4. ip(7): they take a C `char` as well as an `int`.
pub(crate) fn read_ip_int(value: &[u8]) -> Result<i32, Errno> {
    match value {
        [] => Ok(0),
        [byte] | [byte, _] | [byte, _, _] => Ok(i32::from(*byte)),
        _ => read_int(value),
    }
}

/// A limit of hops to groups; -1 is the default of one.
fn group_limit(number: i32) -> Option<u8> {
    u8::try_from(number).ok()
}

/// TCP owns the two ECN bits of its packets.
fn traffic_class(subject: Subject, wanted: u8, before: u8) -> u8 {
    const ECN: u8 = 0x3;
    match subject.kind {
        Kind::Stream => wanted & !ECN | before & ECN,
        Kind::Datagram | Kind::Ping | Kind::Raw(_) => wanted,
    }
}

/// Whether the socket may stand for others' addresses. Errors: EPERM without privilege.
fn transparent(number: i32, limits: Limits) -> Result<bool, Errno> {
    if number != 0 && !limits.privileged { Err(Errno::PERM) } else { Ok(number != 0) }
}

/// Two bounds in one number. Errors: EINVAL where it is not four bytes, or there is nothing between the two.
fn port_limits(value: &[u8]) -> Result<PortLimits, Errno> {
    let both = u32::from_ne_bytes(value.try_into().map_err(|_| Errno::INVAL)?);
    let (low, high) = (both as u16, (both >> 16) as u16);
    if low != 0 && high != 0 && low > high { Err(Errno::INVAL) } else { Ok(PortLimits { low, high }) }
}

fn errors(number: i32) -> ErrorDelivery {
    if number != 0 { ErrorDelivery::All } else { ErrorDelivery::HardWhenConnected }
}

fn discovery(number: i32) -> Result<PathMtuDiscovery, Errno> {
    PathMtuDiscovery::from_number(number).ok_or(Errno::INVAL)
}
