//! getnameinfo(3).

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use tapsock_sockets::{SockAddr, UnixName};

use super::Names;
use super::error::EaiError;
use super::hosts::Family;
use super::interfaces::{LocalNet, if_indextoname};
use super::numeric::means_an_interface;

/// Give the host's address, not its name.
pub const NI_NUMERICHOST: i32 = 0x1;
/// Give the port, not the service's name.
pub const NI_NUMERICSERV: i32 = 0x2;
/// Leave this host's domain off the name.
pub const NI_NOFQDN: i32 = 0x4;
/// No name is an error.
pub const NI_NAMEREQD: i32 = 0x8;
/// The service is UDP's.
pub const NI_DGRAM: i32 = 0x10;
/// Decode international names: taken, and without effect.
pub const NI_IDN: i32 = 0x20;
/// Room for any host name, in bytes.
pub const NI_MAXHOST: usize = 1025;
/// Room for any service name, in bytes.
pub const NI_MAXSERV: usize = 32;

/// What glibc takes: those above, and two of old that mean nothing.
const NI_KNOWN: i32 = 0xff;

/// Bytes that the caller has for each answer, the zero at its end included. `None`: it is not asked for.
///
/// ```
/// use tapsock::resolve::Room;
///
/// assert_eq!(Room::default().host, Some(1025));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Room {
    /// For the host; zero is as not asked for.
    pub host: Option<usize>,
    /// For the service; zero is as not asked for.
    pub service: Option<usize>,
}

impl Default for Room {
    fn default() -> Room {
        Room { host: Some(NI_MAXHOST), service: Some(NI_MAXSERV) }
    }
}

/// The names of an address, as far as they were asked for.
///
/// ```
/// use tapsock::SockAddr;
/// use tapsock::resolve::{LocalNet, NI_NUMERICHOST, Names, Room, getnameinfo};
///
/// let address = SockAddr::V4("127.0.0.1:80".parse().unwrap());
/// let name = getnameinfo(&Names::builtin(), &LocalNet::none(), &address, Room::default(), 0).unwrap();
/// assert_eq!((name.host.unwrap(), name.service.unwrap()), ("localhost".to_owned(), "http".to_owned()));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NameInfo {
    /// The host.
    pub host: Option<String>,
    /// The service.
    pub service: Option<String>,
}

/// getnameinfo(3): host and service of an address. A host without a name is written as its address, a service without
/// one as its port.
///
/// Errors: `EAI_BADFLAGS` for unknown flags; `EAI_FAMILY` for other families than IPv4, IPv6 and local; `EAI_NONAME`
/// where `NI_NAMEREQD` is set and there is no name, or nothing was asked for; `EAI_OVERFLOW` where there is no room.
/// Source: getnameinfo(3), RFC 3493 §6.2.
pub fn getnameinfo(
    names: &Names,
    net: &LocalNet<'_>,
    address: &SockAddr,
    room: Room,
    flags: i32,
) -> Result<NameInfo, EaiError> {
    if flags & !NI_KNOWN != 0 {
        return Err(EaiError::BadFlags);
    }
    if flags & NI_NAMEREQD != 0 && room.host.is_none() && room.service.is_none() {
        return Err(EaiError::NoName);
    }
    if address.to_inet().is_none() && !matches!(address, SockAddr::Unix(_)) {
        return Err(EaiError::Family);
    }
    let host_room = room.host.filter(|room| *room > 0);
    let host = match host_room {
        Some(room) => Some(fitting(host(names, net, address, flags)?, room)?),
        None => None,
    };
    let service_room = room.service.filter(|room| *room > 0);
    let service = match service_room {
        Some(room) => Some(fitting(service(names, address, flags), room)?),
        None => None,
    };
    Ok(NameInfo { host, service })
}

fn fitting(text: String, room: usize) -> Result<String, EaiError> {
    if text.len() < room { Ok(text) } else { Err(EaiError::Overflow) }
}

fn host(names: &Names, net: &LocalNet<'_>, address: &SockAddr, flags: i32) -> Result<String, EaiError> {
    let wanted = flags & NI_NUMERICHOST == 0;
    let name = match address.to_inet() {
        Some(address) => names.hosts.by_address(address.ip()).map(|name| shortened(names, name, flags)),
        None => Some(names.host_name.as_str()),
    };
    match (name.filter(|_| wanted), address.to_inet()) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, _) if flags & NI_NAMEREQD != 0 => Err(EaiError::NoName),
        (None, Some(SocketAddr::V6(address))) => Ok(written(net, *address.ip(), address.scope_id())),
        (None, Some(address)) => Ok(address.ip().to_string()),
        (None, None) => Ok("localhost".to_owned()),
    }
}

/// The name, without this host's domain where `NI_NOFQDN` says so.
fn shortened<'a>(names: &Names, name: &'a str, flags: i32) -> &'a str {
    if flags & NI_NOFQDN == 0 {
        return name;
    }
    let short = domain(names).and_then(|domain| name.strip_suffix(domain)?.strip_suffix('.'));
    short.filter(|short| !short.is_empty()).unwrap_or(name)
}

/// The domain of this host: what follows the first dot of `localhost`'s canonical name, of its own name, of its
/// canonical name, or of 127.0.0.1's.
fn domain(names: &Names) -> Option<&str> {
    let canonical = |name| names.hosts.by_name(name, Family::V4).map(|(canonical, _)| canonical);
    let after_dot = |name: &'_ str| -> Option<usize> { name.find('.').map(|dot| dot + 1) };
    [
        canonical("localhost"),
        Some(names.host_name.as_str()),
        canonical(&names.host_name),
        names.hosts.by_address(IpAddr::from([127, 0, 0, 1])),
    ]
    .into_iter()
    .flatten()
    .find_map(|name| Some(&name[after_dot(name)?..]))
}

/// An IPv6 address with its scope: the interface's name where the address is link-local, else the number.
fn written(net: &LocalNet<'_>, address: Ipv6Addr, scope: u32) -> String {
    match scope {
        0 => address.to_string(),
        _ => match if_indextoname(net.interfaces, scope).ok().filter(|_| means_an_interface(address)) {
            Some(name) => format!("{address}%{name}"),
            None => format!("{address}%{scope}"),
        },
    }
}

fn service(names: &Names, address: &SockAddr, flags: i32) -> String {
    let port = match address {
        SockAddr::Unix(local) => {
            return match local.name() {
                UnixName::Path(path) => String::from_utf8_lossy(path).into_owned(),
                UnixName::Unnamed | UnixName::Abstract(_) => String::new(),
            };
        }
        _ => address.to_inet().map_or(0, |address| address.port()),
    };
    let protocol = if flags & NI_DGRAM != 0 { "udp" } else { "tcp" };
    let named = names.services.by_port(port, Some(protocol)).filter(|_| flags & NI_NUMERICSERV == 0);
    named.map_or_else(|| port.to_string(), |found| found.name().to_owned())
}
