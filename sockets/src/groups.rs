//! Groups of a socket of datagrams, UDP's, raw or ping: joined, left, and by which interface they are sent to (RFC 3678, ip(7), ipv6(7)).

mod filters;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::iface::multicast::MembershipError;
use tapsock_stack::stack::{GroupChange, SocketId};

use crate::constants::*;
use crate::destination;
use crate::options::{Domain, Kind, OptionValue, read_int};
use crate::socket::{Body, Call};

/// Sets an option about groups; `None` where it is none.
///
/// Errors: EINVAL where the value is too short, names no group, or contradicts what the socket hears already; ENODEV for
/// an interface that is not there (EADDRNOTAVAIL for IP_MULTICAST_IF); EADDRINUSE for a group that it is in; EADDRNOTAVAIL
/// for one that it is not in; ENOBUFS; EPROTO for a stream.
pub(crate) fn set_option(
    call: &mut Call<'_>,
    body: &mut Body,
    level: i32,
    name: i32,
    value: &[u8],
) -> Option<Result<(), Errno>> {
    let subject = call.common.subject;
    let of_v4 = level == SOL_IP && subject.has_v4_options();
    if !(of_v4 || level == SOL_IPV6 && subject.domain == Domain::V6) {
        return None;
    }
    match (level, name) {
        (SOL_IP, IP_MULTICAST_IF) if subject.sends_to_groups() => Some(set_interface_v4(call, value)),
        (SOL_IPV6, IPV6_MULTICAST_IF) if subject.sends_to_groups() => Some(set_interface_v6(call, value)),
        (SOL_IP, IP_UNICAST_IF) => Some(set_unicast_interface(call, 0, value)),
        (SOL_IPV6, IPV6_UNICAST_IF) => Some(set_unicast_interface(call, 1, value)),
        _ if filters::is_filter(level, name) => Some(filters::set(call, body, level, name, value)),
        _ => {
            let wanted = wanted(level, name, value)?;
            Some(match subject.kind {
                // Of these two the kind is looked at before the length.
                Kind::Stream if matches!((level, name), (SOL_IP, IP_ADD_MEMBERSHIP | IP_DROP_MEMBERSHIP)) => {
                    Err(Errno::PROTO)
                }
                // Of the others the address is too, but for the two of IPv6.
                Kind::Stream => wanted.and_then(|wanted| {
                    let first =
                        matches!((level, name), (SOL_IPV6, IPV6_ADD_MEMBERSHIP | IPV6_DROP_MEMBERSHIP));
                    Err(if first || wanted.group.is_multicast() { Errno::PROTO } else { Errno::INVAL })
                }),
                Kind::Datagram | Kind::Ping | Kind::Raw(_) => {
                    wanted.and_then(|wanted| change(call, body, &wanted))
                }
            })
        }
    }
}

/// The value of an option about a group that `asked` names; `None` where it is none.
///
/// Errors: EINVAL where `asked` is too short or names no group; ENODEV; EADDRNOTAVAIL where the socket is not in it.
pub(crate) fn option(
    call: &Call<'_>,
    body: &Body,
    (level, name): (i32, i32),
    asked: &[u8],
) -> Option<Result<OptionValue, Errno>> {
    let subject = call.common.subject;
    let has_level = match level {
        SOL_IP => subject.has_v4_options(),
        _ => subject.domain == Domain::V6,
    };
    (has_level && filters::is_filter(level, name)).then(|| filters::get(call, body, level, name, asked))
}

/// The interface of packets to groups, where the socket has one (IP_MULTICAST_IF, IPV6_MULTICAST_IF).
pub(crate) fn interface_to(call: &Call<'_>, remote: IpAddr) -> Option<InterfaceId> {
    let rare = call.options().rare();
    match remote {
        IpAddr::V4(_) => rare.group_interface,
        IpAddr::V6(_) => rare.group_interface_v6,
    }
    .filter(|_| remote.is_multicast())
}

/// The interface of packets to one host, by its number in network byte order; 0: any.
///
/// Errors: EINVAL where the value has another length, or the socket is held to an interface; EADDRNOTAVAIL for an interface
/// that is not there.
fn set_unicast_interface(call: &mut Call<'_>, family: usize, value: &[u8]) -> Result<(), Errno> {
    let index = value.try_into().map(u32::from_be_bytes).map_err(|_| Errno::INVAL)?;
    let named = destination::interface(call.stack.interfaces(), index);
    if index != 0 && named.is_none() {
        return Err(Errno::ADDRNOTAVAIL);
    }
    if named.is_some() && call.options().device.is_some() {
        return Err(Errno::INVAL);
    }
    call.common.options.rare_mut().unicast_interface[family] = named;
    Ok(())
}

/// What is asked for.
struct Wanted {
    group: IpAddr,
    place: Place,
    change: GroupChange,
}

/// The interface.
#[derive(Copy, Clone)]
enum Place {
    /// By its number; 0 leaves the choice.
    Index(u32),
    /// By its address.
    Address(Ipv4Addr),
}

fn change(call: &mut Call<'_>, body: &Body, wanted: &Wanted) -> Result<(), Errno> {
    let id = body.id().ok_or(Errno::NOPROTOOPT)?;
    if !wanted.group.is_multicast() {
        let leaves_v4 = wanted.change == GroupChange::Leave && wanted.group.is_ipv4();
        return Err(if leaves_v4 { Errno::ADDRNOTAVAIL } else { Errno::INVAL });
    }
    let left_to_us = matches!(wanted.place, Place::Index(0) | Place::Address(Ipv4Addr::UNSPECIFIED));
    let interface = interface_of(call, id, wanted.group, wanted.place, wanted.change);
    let interface = interface.ok_or(match wanted.change {
        // It is in none there.
        GroupChange::Leave if wanted.group.is_ipv6() || !left_to_us => Errno::ADDRNOTAVAIL,
        _ => Errno::NODEV,
    })?;
    call.stack.change_group(id, interface, wanted.group, wanted.change).map_err(|error| match error {
        MembershipError::NoInterface => Errno::NODEV,
        MembershipError::Joined => Errno::ADDRINUSE,
        MembershipError::NotFound => Errno::ADDRNOTAVAIL,
        MembershipError::OtherMode => Errno::INVAL,
        MembershipError::Full => Errno::NOBUFS,
    })
}

/// The interface that is meant.
fn interface_of(
    call: &Call<'_>,
    id: SocketId,
    group: IpAddr,
    place: Place,
    change: GroupChange,
) -> Option<InterfaceId> {
    let interfaces = call.stack.interfaces();
    match place {
        Place::Index(0) | Place::Address(Ipv4Addr::UNSPECIFIED) => {
            call.stack.group_interface(id, group, change)
        }
        Place::Index(index) => destination::interface(interfaces, index),
        Place::Address(address) => {
            interfaces.iter().find(|found| found.owns(address.into())).map(|found| found.id())
        }
    }
}

/// Reads the value of an option that joins or leaves; `None` where it is none.
fn wanted(level: i32, name: i32, value: &[u8]) -> Option<Result<Wanted, Errno>> {
    let read: fn(i32, i32, &[u8]) -> Option<Wanted> = match (level, name) {
        (SOL_IP, IP_ADD_MEMBERSHIP | IP_DROP_MEMBERSHIP) => membership_v4,
        (
            SOL_IP,
            IP_ADD_SOURCE_MEMBERSHIP | IP_DROP_SOURCE_MEMBERSHIP | IP_BLOCK_SOURCE | IP_UNBLOCK_SOURCE,
        ) => source_v4,
        (SOL_IPV6, IPV6_ADD_MEMBERSHIP | IPV6_DROP_MEMBERSHIP) => membership_v6,
        (
            SOL_IP | SOL_IPV6,
            MCAST_JOIN_GROUP
            | MCAST_LEAVE_GROUP
            | MCAST_JOIN_SOURCE_GROUP
            | MCAST_LEAVE_SOURCE_GROUP
            | MCAST_BLOCK_SOURCE
            | MCAST_UNBLOCK_SOURCE,
        ) => of_either,
        _ => return None,
    };
    Some(read(level, name, value).ok_or(Errno::INVAL))
}

/// `struct ip_mreqn`, or the shorter `struct ip_mreq`.
fn membership_v4(_: i32, name: i32, value: &[u8]) -> Option<Wanted> {
    let (group, address) = (v4_at(value, 0)?, v4_at(value, 4)?);
    let place = match int_at(value, 8) {
        Some(index) if index != 0 => Place::Index(index),
        _ => Place::Address(address),
    };
    let change = if name == IP_ADD_MEMBERSHIP { GroupChange::Join } else { GroupChange::Leave };
    Some(Wanted { group: group.into(), place, change })
}

/// `struct ip_mreq_source`.
fn source_v4(_: i32, name: i32, value: &[u8]) -> Option<Wanted> {
    let (group, address, source) = (v4_at(value, 0)?, v4_at(value, 4)?, IpAddr::V4(v4_at(value, 8)?));
    let change = match name {
        IP_ADD_SOURCE_MEMBERSHIP => GroupChange::JoinSource(source),
        IP_DROP_SOURCE_MEMBERSHIP => GroupChange::LeaveSource(source),
        IP_BLOCK_SOURCE => GroupChange::Block(source),
        _ => GroupChange::Unblock(source),
    };
    Some(Wanted { group: group.into(), place: Place::Address(address), change })
}

/// `struct ipv6_mreq`.
fn membership_v6(_: i32, name: i32, value: &[u8]) -> Option<Wanted> {
    let octets: [u8; 16] = *value.first_chunk()?;
    let change = if name == IPV6_ADD_MEMBERSHIP { GroupChange::Join } else { GroupChange::Leave };
    let place = Place::Index(int_at(value, 16)?);
    Some(Wanted { group: Ipv6Addr::from(octets).into(), place, change })
}

/// `struct group_req` and `struct group_source_req`, whose addresses begin at multiples of eight bytes.
fn of_either(level: i32, name: i32, value: &[u8]) -> Option<Wanted> {
    const FIRST: usize = 8;
    const STORAGE: usize = 128;
    let place = Place::Index(int_at(value, 0)?);
    let group = socket_address(level, value.get(FIRST..FIRST + STORAGE)?)?;
    let source = || socket_address(level, value.get(FIRST + STORAGE..FIRST + 2 * STORAGE)?);
    let change = match name {
        MCAST_JOIN_GROUP => GroupChange::Join,
        MCAST_LEAVE_GROUP => GroupChange::Leave,
        MCAST_JOIN_SOURCE_GROUP => GroupChange::JoinSource(source()?),
        MCAST_LEAVE_SOURCE_GROUP => GroupChange::LeaveSource(source()?),
        MCAST_BLOCK_SOURCE => GroupChange::Block(source()?),
        _ => GroupChange::Unblock(source()?),
    };
    Some(Wanted { group, place, change })
}

/// The address in a `struct sockaddr_storage` of the family of `level`.
fn socket_address(level: i32, storage: &[u8]) -> Option<IpAddr> {
    let family = i32::from(u16::from_ne_bytes(*storage.first_chunk()?));
    match (level, family) {
        (SOL_IP, AF_INET) => v4_at(storage, 4).map(IpAddr::V4),
        (SOL_IPV6, AF_INET6) => v6_at(storage, 8).map(IpAddr::V6),
        _ => None,
    }
}

fn v4_at(value: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = *value.get(at..)?.first_chunk()?;
    Some(Ipv4Addr::from(octets))
}

fn v6_at(value: &[u8], at: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = *value.get(at..)?.first_chunk()?;
    Some(Ipv6Addr::from(octets))
}

fn int_at(value: &[u8], at: usize) -> Option<u32> {
    value.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// A `struct in_addr`, `struct ip_mreq` or `struct ip_mreqn`.
fn set_interface_v4(call: &mut Call<'_>, value: &[u8]) -> Result<(), Errno> {
    let first = v4_at(value, 0).ok_or(Errno::INVAL)?;
    let address = v4_at(value, 4).unwrap_or(first);
    let interfaces = call.stack.interfaces();
    let interface = match int_at(value, 8).unwrap_or(0) {
        0 if address.is_unspecified() => None,
        0 => Some(interfaces.iter().find(|found| found.owns(address.into())).map(|found| found.id())),
        index => Some(destination::interface(interfaces, index)),
    };
    let interface = interface.map(|found| found.ok_or(Errno::ADDRNOTAVAIL)).transpose()?;
    if interface.is_some() && call.options().device.is_some_and(|device| Some(device) != interface) {
        return Err(Errno::INVAL);
    }
    let rare = call.common.options.rare_mut();
    rare.group_interface = interface;
    rare.group_source = Some(address).filter(|address| !address.is_unspecified());
    Ok(())
}

fn set_interface_v6(call: &mut Call<'_>, value: &[u8]) -> Result<(), Errno> {
    let index = u32::try_from(read_int(value)?).map_err(|_| Errno::NODEV)?;
    let interface = match index {
        0 => None,
        _ => Some(destination::interface(call.stack.interfaces(), index).ok_or(Errno::NODEV)?),
    };
    if call.options().device.is_some_and(|device| Some(device) != interface) {
        return Err(Errno::INVAL);
    }
    call.common.options.rare_mut().group_interface_v6 = interface;
    Ok(())
}
