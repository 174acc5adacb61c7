//! All sources of a group at once (RFC 3678 §4.1.3, §4.2.3): IP_MSFILTER and MCAST_MSFILTER, which name the group that they
//! are asked about.

use core::net::IpAddr;

use rustix::io::Errno;
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::iface::multicast::{Filter, FilterMode, MAX_SOURCES, MembershipError};
use tapsock_stack::stack::GroupChange;

use super::{Place, int_at, interface_of, socket_address, v4_at};
use crate::constants::*;
use crate::options::{Kind, OptionValue};
use crate::socket::{Body, Call};

/// `MCAST_EXCLUDE` and `MCAST_INCLUDE`.
const MODES: [FilterMode; 2] = [FilterMode::Exclude, FilterMode::Include];

/// What stands before the sources.
struct Head {
    place: Place,
    group: IpAddr,
    mode: Option<FilterMode>,
    count: usize,
    shape: &'static Shape,
}

/// Where the parts of a value stand.
struct Shape {
    /// The mode; the number of sources follows.
    mode: usize,
    /// Bytes of a source.
    source: usize,
}

/// `struct ip_msfilter`: a group, the address of the interface, the mode, the number of sources, and those.
const IN_ADDR: Shape = Shape { mode: 8, source: 4 };
/// `struct group_filter`, the same with the index of the interface first and with `struct sockaddr_storage`s.
const STORAGE: Shape = Shape { mode: 136, source: 128 };

impl Shape {
    /// Bytes before the sources.
    fn head(&self) -> usize {
        self.mode + 8
    }
}

/// Whether it is one of these options.
pub(super) fn is_filter(level: i32, name: i32) -> bool {
    matches!((level, name), (SOL_IP, IP_MSFILTER) | (SOL_IP | SOL_IPV6, MCAST_MSFILTER))
}

/// Names all sources of a group that the socket is in anew; of a list that lets nobody through, leaves it.
///
/// Errors: EINVAL where the value is too short for what it says, names no group, no mode, or a group that the socket is
/// not in; ENOBUFS for too many sources; ENODEV; EADDRNOTAVAIL for another family than that of the level, and to leave
/// what the socket is not in.
pub(super) fn set(
    call: &mut Call<'_>,
    body: &Body,
    level: i32,
    name: i32,
    value: &[u8],
) -> Result<(), Errno> {
    let shape = shape_of(name);
    let count = int_at(value, shape.mode + 4).ok_or(Errno::INVAL)? as usize;
    if count > MAX_SOURCES {
        return Err(Errno::NOBUFS);
    }
    let listed = value.get(shape.head()..shape.head() + count * shape.source).ok_or(Errno::INVAL)?;
    let head = Head::read(level, name, value).map_err(|error| match level {
        SOL_IP => error,
        _ => Errno::INVAL,
    })?;
    let source = |bytes: &[u8]| match (name, level) {
        (IP_MSFILTER, _) => v4_at(bytes, 0).map(IpAddr::V4).ok_or(Errno::INVAL),
        (_, SOL_IP) => socket_address(level, bytes).ok_or(Errno::ADDRNOTAVAIL),
        // As Linux, which looks at no family here.
        _ => super::v6_at(bytes, 8).map(IpAddr::V6).ok_or(Errno::INVAL),
    };
    let sources = listed.chunks_exact(shape.source).map(source).collect::<Result<Vec<_>, _>>()?;
    let mode = head.mode.filter(|_| head.group.is_multicast()).ok_or(Errno::INVAL)?;
    let filter = Filter { mode, sources };
    let not_there = if filter == Filter::NONE { Errno::ADDRNOTAVAIL } else { Errno::INVAL };
    // A stream is in no group.
    if call.common.subject.kind == Kind::Stream {
        return Err(not_there);
    }
    let interface = head.interface(call, body).ok_or(Errno::NODEV)?;
    // As Linux: an index names one interface here, and 0 none; only to leave it leaves the choice.
    if matches!(head.place, Place::Index(0)) && head.group.is_ipv6() && filter != Filter::NONE {
        return Err(not_there);
    }
    let id = body.id().ok_or(Errno::NOPROTOOPT)?;
    call.stack.set_group_filter(id, interface, head.group, filter).map_err(|error| match error {
        MembershipError::Full => Errno::NOBUFS,
        MembershipError::NoInterface => Errno::NODEV,
        _ => not_there,
    })
}

/// The mode and the sources of the group that `asked` names: the value with as many sources as `asked` has room for by its own
/// word, and with the number of all. They are in order, each once.
///
/// Errors: EINVAL where `asked` is too short or names no group; ENODEV; EADDRNOTAVAIL where the socket is not in the group
/// there.
pub(super) fn get(
    call: &Call<'_>,
    body: &Body,
    level: i32,
    name: i32,
    asked: &[u8],
) -> Result<OptionValue, Errno> {
    let head = Head::read(level, name, asked)?;
    if !head.group.is_multicast() {
        return Err(Errno::INVAL);
    }
    let nowhere = if name == IP_MSFILTER { Errno::NODEV } else { Errno::ADDRNOTAVAIL };
    // An index names one interface here, and 0 none.
    let interface = match head.place {
        Place::Index(0) => None,
        _ => head.interface(call, body),
    };
    let interface = interface.ok_or(nowhere)?;
    let filter = body.id().and_then(|id| call.stack.group_filter(id, interface, head.group));
    let Filter { mode, sources } = filter.ok_or(Errno::ADDRNOTAVAIL)?;
    let mut bytes = asked[..head.shape.mode].to_vec();
    let mode = MODES.iter().position(|known| known == mode).unwrap_or_default() as u32;
    bytes.extend([mode, sources.len() as u32].map(u32::to_ne_bytes).concat());
    for source in sources.iter().take(head.count) {
        let start = bytes.len();
        match (name, source) {
            (IP_MSFILTER, IpAddr::V4(source)) => bytes.extend(source.octets()),
            (_, IpAddr::V4(source)) => {
                bytes.extend((AF_INET as u16).to_ne_bytes());
                bytes.extend([0; 2]);
                bytes.extend(source.octets());
            }
            (_, IpAddr::V6(source)) => {
                bytes.extend((AF_INET6 as u16).to_ne_bytes());
                bytes.extend([0; 6]);
                bytes.extend(source.octets());
            }
        }
        bytes.resize(start + head.shape.source, 0);
    }
    Ok(bytes.into())
}

fn shape_of(name: i32) -> &'static Shape {
    if name == IP_MSFILTER { &IN_ADDR } else { &STORAGE }
}

impl Head {
    /// Errors: EINVAL where the value is too short or, to be asked, of another family; EADDRNOTAVAIL for another family.
    fn read(level: i32, name: i32, value: &[u8]) -> Result<Head, Errno> {
        let shape = shape_of(name);
        let number = |at| int_at(value, at).ok_or(Errno::INVAL);
        let (mode, count) = (number(shape.mode)?, number(shape.mode + 4)? as usize);
        let (place, group) = match name {
            IP_MSFILTER => {
                let [group, address] = [0, 4].map(|at| v4_at(value, at).ok_or(Errno::INVAL));
                (Place::Address(address?), IpAddr::V4(group?))
            }
            _ => {
                let group = value.get(8..STORAGE.mode).and_then(|storage| socket_address(level, storage));
                (Place::Index(number(0)?), group.ok_or(Errno::ADDRNOTAVAIL)?)
            }
        };
        Ok(Head { place, group, mode: MODES.get(mode as usize).copied(), count, shape })
    }

    fn interface(&self, call: &Call<'_>, body: &Body) -> Option<InterfaceId> {
        interface_of(call, body.id()?, self.group, self.place, GroupChange::Block(self.group))
    }
}
