//! getaddrinfo(3).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use tapsock_sockets::constants::{
    AF_INET, AF_INET6, AF_UNSPEC, IPPROTO_TCP, IPPROTO_UDP, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM,
};

use super::Names;
use super::error::EaiError;
use super::interfaces::LocalNet;
use super::node::look_up;
use super::numeric::{inet_aton, scope, service_number, unmapped};
use super::order::sort_destinations;

/// Without a node: the unspecified address, to bind to.
pub const AI_PASSIVE: i32 = 0x1;
/// Give the canonical name with the first result.
pub const AI_CANONNAME: i32 = 0x2;
/// The node is an address; no name is looked up.
pub const AI_NUMERICHOST: i32 = 0x4;
/// For IPv6: where there is none, IPv4 addresses as IPv4-mapped ones.
pub const AI_V4MAPPED: i32 = 0x8;
/// With `AI_V4MAPPED`: those as well where there are IPv6 addresses.
pub const AI_ALL: i32 = 0x10;
/// Only families that the host has an address of, loopback not counted.
pub const AI_ADDRCONFIG: i32 = 0x20;
/// Encode international names: taken, and without effect.
pub const AI_IDN: i32 = 0x40;
/// Decode the canonical name: taken, and without effect.
pub const AI_CANONIDN: i32 = 0x80;
/// The service is a port; no name is looked up.
pub const AI_NUMERICSERV: i32 = 0x400;

/// What glibc takes: those above, and two of old that mean nothing.
const AI_KNOWN: i32 = 0x7ff;

const SOCK_DCCP: i32 = 6;
const IPPROTO_DCCP: i32 = 33;
const IPPROTO_SCTP: i32 = 132;
const IPPROTO_UDPLITE: i32 = 136;

/// What a caller of getaddrinfo(3) asks for; zero asks for any.
///
/// ```
/// use tapsock::resolve::Hints;
///
/// assert_eq!(Hints::default().family, 0);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Hash)]
pub struct Hints {
    /// `AI_*`.
    pub flags: i32,
    /// `AF_UNSPEC`, `AF_INET` or `AF_INET6`.
    pub family: i32,
    /// `SOCK_*`.
    pub socket_type: i32,
    /// `IPPROTO_*`.
    pub protocol: i32,
}

/// A result: what to call `socket` with, and `connect` or `bind` then.
///
/// ```
/// use tapsock::resolve::{Hints, LocalNet, Names, getaddrinfo};
///
/// let hints = Hints { family: 2, socket_type: 1, ..Hints::default() };
/// let found = getaddrinfo(&Names::builtin(), &LocalNet::none(), Some("localhost"), Some("http"), Some(&hints));
/// let first = &found.unwrap()[0];
/// assert_eq!((first.address, first.protocol), ("127.0.0.1:80".parse().unwrap(), 6));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddrInfo {
    /// `SOCK_*`.
    pub socket_type: i32,
    /// `IPPROTO_*`.
    pub protocol: i32,
    /// The address; its kind is the family.
    pub address: SocketAddr,
    /// With `AI_CANONNAME`, on the first result.
    pub canonical_name: Option<String>,
}

/// getaddrinfo(3): the addresses of a node, the ports of a service, and the socket types that go with them, the best
/// address first. No hints are as `AI_V4MAPPED | AI_ADDRCONFIG`. A node or service `*` is as none.
///
/// Errors: those of [`EaiError`], which glibc would give.
/// Source: getaddrinfo(3), RFC 3493 §6.1.
pub fn getaddrinfo(
    names: &Names,
    net: &LocalNet<'_>,
    node: Option<&str>,
    service: Option<&str>,
    hints: Option<&Hints>,
) -> Result<Vec<AddrInfo>, EaiError> {
    let node = node.filter(|node| *node != "*");
    let service = service.filter(|service| *service != "*");
    if node.is_none() && service.is_none() {
        return Err(EaiError::NoName);
    }
    let mut hints = hints.copied().unwrap_or(NO_HINTS);
    if hints.flags & !AI_KNOWN != 0 || (hints.flags & AI_CANONNAME != 0 && node.is_none()) {
        return Err(EaiError::BadFlags);
    }
    if ![AF_UNSPEC, AF_INET, AF_INET6].contains(&hints.family) {
        return Err(EaiError::Family);
    }
    if hints.flags & AI_ADDRCONFIG != 0 {
        hints.family = configured(hints.family, net)?;
    }
    let service = Service::read(service, hints.flags)?;
    let ends = ends(names, service, &hints)?;
    let (canonical, mut addresses) = match node {
        Some(node) => addresses_of(names, net, node, &hints)?,
        None => (String::new(), own_addresses(&hints)),
    };
    if let Some(source) = net.source
        && addresses.len() > 1
    {
        sort_destinations(&mut addresses, source);
    }
    let mut results = Vec::with_capacity(addresses.len() * ends.len());
    for mut address in addresses {
        for &End { socket_type, protocol, port } in &ends {
            address.set_port(port);
            results.push(AddrInfo { socket_type, protocol, address, canonical_name: None });
        }
    }
    if let Some(first) = results.first_mut().filter(|_| hints.flags & AI_CANONNAME != 0) {
        first.canonical_name = Some(canonical);
    }
    Ok(results)
}

const NO_HINTS: Hints =
    Hints { flags: AI_V4MAPPED | AI_ADDRCONFIG, family: AF_UNSPEC, socket_type: 0, protocol: 0 };

/// The family, narrowed to what the host has.
fn configured(family: i32, net: &LocalNet<'_>) -> Result<i32, EaiError> {
    match (family, net.families()) {
        (AF_UNSPEC, (true, false)) => Ok(AF_INET),
        (AF_UNSPEC, (false, true)) => Ok(AF_INET6),
        (AF_INET, (false, _)) | (AF_INET6, (_, false)) => Err(EaiError::NoName),
        _ => Ok(family),
    }
}

/// What the caller said of the service.
#[derive(Copy, Clone)]
enum Service<'a> {
    Any,
    Port(u16),
    Name(&'a str),
}

impl<'a> Service<'a> {
    /// A number is a port, cut to 16 bits as glibc does. One that is negative as an `int` is a name.
    fn read(service: Option<&'a str>, flags: i32) -> Result<Service<'a>, EaiError> {
        let Some(text) = service.filter(|text| !text.is_empty()) else { return Ok(Service::Any) };
        match service_number(text) {
            Some(number) if number >= 0 => Ok(Service::Port(number as u16)),
            None if flags & AI_NUMERICSERV != 0 => Err(EaiError::NoName),
            _ => Ok(Service::Name(text)),
        }
    }
}

/// A kind of socket that results are made for.
struct Kind {
    socket_type: i32,
    /// Zero: any.
    protocol: i32,
    /// In services(5).
    name: &'static str,
    /// Whether it is meant by a port without a socket type.
    usual: bool,
}

impl Kind {
    const fn new(socket_type: i32, protocol: i32, name: &'static str, usual: bool) -> Kind {
        Kind { socket_type, protocol, name, usual }
    }

    fn suits(&self, hints: &Hints) -> bool {
        (hints.socket_type == 0 || hints.socket_type == self.socket_type)
            && (hints.protocol == 0 || self.protocol == 0 || hints.protocol == self.protocol)
    }

    fn has_ports(&self) -> bool {
        self.socket_type != SOCK_RAW
    }

    fn end(&self, hints: &Hints, port: u16) -> End {
        let protocol = if self.protocol == 0 { hints.protocol } else { self.protocol };
        End { socket_type: self.socket_type, protocol, port }
    }
}

/// In glibc's order.
const KINDS: [Kind; 7] = [
    Kind::new(SOCK_STREAM, IPPROTO_TCP, "tcp", true),
    Kind::new(SOCK_DGRAM, IPPROTO_UDP, "udp", true),
    Kind::new(SOCK_DCCP, IPPROTO_DCCP, "dccp", false),
    Kind::new(SOCK_DGRAM, IPPROTO_UDPLITE, "udplite", false),
    Kind::new(SOCK_STREAM, IPPROTO_SCTP, "sctp", false),
    Kind::new(SOCK_SEQPACKET, IPPROTO_SCTP, "sctp", false),
    Kind::new(SOCK_RAW, 0, "raw", true),
];

/// A result without its address.
struct End {
    socket_type: i32,
    protocol: i32,
    port: u16,
}

/// The socket types, protocols and ports that are asked for.
fn ends(names: &Names, service: Service<'_>, hints: &Hints) -> Result<Vec<End>, EaiError> {
    let named = |kind: &Kind, name| names.services.by_name(name, Some(kind.name)).map(|found| found.port());
    if hints.socket_type == 0 && hints.protocol == 0 {
        let ends: Vec<End> = match service {
            Service::Any => KINDS.iter().filter(|kind| kind.usual).map(|kind| kind.end(hints, 0)).collect(),
            Service::Port(port) => {
                KINDS.iter().filter(|kind| kind.usual).map(|kind| kind.end(hints, port)).collect()
            }
            Service::Name(name) => KINDS
                .iter()
                .filter(|kind| kind.has_ports())
                .filter_map(|kind| Some(kind.end(hints, named(kind, name)?)))
                .collect(),
        };
        return if ends.is_empty() { Err(EaiError::Service) } else { Ok(ends) };
    }
    // The first kind that suits stands for all.
    let kind = KINDS.iter().find(|kind| kind.suits(hints)).ok_or(EaiError::SocketType)?;
    let port = match service {
        Service::Any => 0,
        _ if !kind.has_ports() => return Err(EaiError::Service),
        Service::Port(port) => port,
        Service::Name(name) => named(kind, name).ok_or(EaiError::Service)?,
    };
    Ok(vec![kind.end(hints, port)])
}

/// Without a node: this host.
fn own_addresses(hints: &Hints) -> Vec<SocketAddr> {
    let passive = hints.flags & AI_PASSIVE != 0;
    let v6 = if passive { Ipv6Addr::UNSPECIFIED } else { Ipv6Addr::LOCALHOST };
    let v4 = if passive { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let mut addresses = Vec::new();
    if hints.family != AF_INET {
        addresses.push(SocketAddr::from((v6, 0)));
    }
    if hints.family != AF_INET6 {
        addresses.push(SocketAddr::from((v4, 0)));
    }
    addresses
}

/// The canonical name and the addresses of a node. A numeric one is its own canonical name.
fn addresses_of(
    names: &Names,
    net: &LocalNet<'_>,
    node: &str,
    hints: &Hints,
) -> Result<(String, Vec<SocketAddr>), EaiError> {
    if let Some(address) = numeric(net, node, hints) {
        return Ok((node.to_owned(), vec![address?]));
    }
    if hints.flags & AI_NUMERICHOST != 0 {
        return Err(EaiError::NoName);
    }
    let found = look_up(names, net, node, hints)?;
    let addresses = found.addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
    Ok((found.canonical, addresses))
}

/// The address that `node` spells, as the family that is asked for; `None` where it is a name.
fn numeric(net: &LocalNet<'_>, node: &str, hints: &Hints) -> Option<Result<SocketAddr, EaiError>> {
    if let Some(address) = inet_aton(node) {
        return Some(match hints.family {
            AF_INET6 if hints.flags & AI_V4MAPPED != 0 => Ok((address.to_ipv6_mapped(), 0).into()),
            AF_INET6 => Err(EaiError::AddressFamily),
            _ => Ok((address, 0).into()),
        });
    }
    let (text, zone) = node.split_once('%').map_or((node, None), |(text, zone)| (text, Some(zone)));
    let address: Ipv6Addr = text.parse().ok()?;
    let as_v4 = unmapped(IpAddr::V6(address)).filter(|_| hints.family == AF_INET);
    if hints.family == AF_INET && as_v4.is_none() {
        return Some(Err(EaiError::AddressFamily));
    }
    let scope_id = match zone.map(|zone| scope(net.interfaces, address, zone)) {
        Some(None) => return Some(Err(EaiError::NoName)),
        Some(Some(scope_id)) => scope_id,
        None => 0,
    };
    Some(Ok(match as_v4 {
        Some(address) => (address, 0).into(),
        None => SocketAddrV6::new(address, 0, 0, scope_id).into(),
    }))
}
