//! The options of groups, and those that raw sockets alone have, as sequences set them: level, name, and the value in words.

use std::net::IpAddr;

use tapsock::SockAddr;
use tapsock::bsd::*;

use super::{Ip, Sort};

/// An option and its value.
type Setting = (i32, i32, Vec<i32>);

/// The interface of the loopback.
const LO: i32 = 1;
const NO_INTERFACE: i32 = 0;
const UNKNOWN: i32 = 9;

/// Those of groups, where the sort can be in some.
pub(super) fn of_groups(sort: Sort) -> Vec<Setting> {
    let mut all = Vec::new();
    let mut one = |level, name, value: &[u8]| all.push((level, name, words(value)));
    if sort.is_stream() {
        return all;
    }
    let (group, other) = (Ip::Group4.address(), Ip::Lo4.address());
    let (group6, other6) = (Ip::Group6.address(), Ip::Lo6.address());
    for on in 0i32..2 {
        for name in [IP_MULTICAST_LOOP, IP_MULTICAST_ALL, IP_MULTICAST_TTL] {
            one(SOL_IP, name, &on.to_ne_bytes());
        }
        for name in [IPV6_MULTICAST_LOOP, IPV6_MULTICAST_ALL, IPV6_MULTICAST_HOPS] {
            one(SOL_IPV6, name, &on.to_ne_bytes());
        }
    }
    for interface in [LO, LO, LO, NO_INTERFACE, UNKNOWN] {
        let index = interface.to_ne_bytes();
        one(SOL_IP, IP_MULTICAST_IF, &[&[0; 8], &index[..]].concat());
        one(SOL_IPV6, IPV6_MULTICAST_IF, &index);
        for name in [IP_ADD_MEMBERSHIP, IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP] {
            one(SOL_IP, name, &[&octets(group)[..], &[0; 4], &index].concat());
        }
        for name in [IPV6_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP] {
            one(SOL_IPV6, name, &[&octets(group6)[..], &index].concat());
        }
        for (level, group, source) in [(SOL_IP, group, other), (SOL_IPV6, group6, other6)] {
            for name in [MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP] {
                one(level, name, &request(interface, &[group]));
            }
            for name in SOURCES {
                one(level, name, &request(interface, &[group, source]));
            }
        }
    }
    for name in [IP_ADD_SOURCE_MEMBERSHIP, IP_DROP_SOURCE_MEMBERSHIP, IP_BLOCK_SOURCE, IP_UNBLOCK_SOURCE] {
        // The interface that has this address.
        for source in [Ip::Lo4, Ip::Second4] {
            let parts = [group, Ip::Lo4.address(), source.address()].map(octets);
            one(SOL_IP, name, &parts.concat());
        }
    }
    all
}

const SOURCES: [i32; 5] = [
    MCAST_JOIN_SOURCE_GROUP,
    MCAST_LEAVE_SOURCE_GROUP,
    MCAST_BLOCK_SOURCE,
    MCAST_BLOCK_SOURCE,
    MCAST_UNBLOCK_SOURCE,
];

/// Whether the option lets a socket into a group, or out of one.
pub(super) fn is_of_groups(level: i32, name: i32) -> bool {
    match level {
        SOL_IP => (IP_ADD_MEMBERSHIP..=MCAST_LEAVE_SOURCE_GROUP).contains(&name),
        SOL_IPV6 => {
            [IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP].contains(&name)
                || (MCAST_JOIN_GROUP..=MCAST_LEAVE_SOURCE_GROUP).contains(&name)
        }
        _ => false,
    }
}

/// Those that raw sockets alone have.
pub(super) fn of_raw(sort: Sort) -> Vec<Setting> {
    let mut all = Vec::new();
    if sort.kind != SOCK_RAW {
        return all;
    }
    for on in [0, 1] {
        all.push((SOL_IP, IP_HDRINCL, vec![on]));
        all.push((SOL_IPV6, IPV6_HDRINCL, vec![on]));
    }
    // Echo requests, echo replies and what says that somebody is not reached.
    for types in [0, 1 << 8, 1 | 1 << 3, -1] {
        all.push((SOL_RAW, ICMP_FILTER, vec![types]));
    }
    for word in [0, 1, i32::MIN, -1] {
        all.push((SOL_ICMPV6, ICMP6_FILTER, vec![word, 0, 0, 0, word, 0, 0, 0]));
    }
    for offset in [-1, 0, 2, 2, 3, 4] {
        all.push((SOL_IPV6, IPV6_CHECKSUM, vec![offset]));
        all.push((SOL_RAW, IPV6_CHECKSUM, vec![offset]));
    }
    all
}

/// A packet that begins with its header, from the loopback's address to itself.
pub(super) fn with_header(domain: i32, protocol: i32, payload: &[u8]) -> Vec<u8> {
    let own = if domain == AF_INET { Ip::Lo4 } else { Ip::Lo6 };
    let own = octets(own.address());
    let head = match domain {
        AF_INET => vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol as u8, 0, 0],
        _ => [&[0x60, 0, 0, 0], &(payload.len() as u16).to_be_bytes()[..], &[protocol as u8, 64]].concat(),
    };
    [&head[..], &own, &own, payload].concat()
}

/// A `struct group_req`, or of two addresses a `struct group_source_req`.
fn request(interface: i32, addresses: &[IpAddr]) -> Vec<u8> {
    let mut bytes = [interface.to_ne_bytes(), [0; 4]].concat();
    for address in addresses {
        let name = SockAddr::from(std::net::SocketAddr::new(*address, 0));
        let end = bytes.len() + SOCKADDR_STORAGE;
        bytes.extend(&*name.as_bytes());
        bytes.resize(end, 0);
    }
    bytes
}

/// `sizeof(struct sockaddr_storage)`
const SOCKADDR_STORAGE: usize = 128;

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn words(bytes: &[u8]) -> Vec<i32> {
    bytes.as_chunks().0.iter().map(|word| i32::from_ne_bytes(*word)).collect()
}
