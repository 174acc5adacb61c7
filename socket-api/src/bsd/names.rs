//! Names of hosts, services, protocols and interfaces, as a host and the system's files know them.

use core::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use tapsock_sockets::{Service, SockAddr};
use tapsock_stack::iface::{Interface as StackInterface, IpCidr, Preference};

use crate::host::Host;
use crate::resolve::dns::AddressType;
use crate::resolve::{
    self, AddrInfo, AskDns, EaiError, Hints, Interface, LocalNet, NameInfo, Names, Protocol, Room, Source,
    asking,
};

/// The addresses of a node and the ports of a service, by `/etc/hosts`, the host's name servers and `/etc/services`, the
/// address that this host reaches best first. Waits for an answer where servers are asked. See getaddrinfo(3) and [`resolve`](crate::resolve).
///
/// ```
/// use tapsock::Host;
/// use tapsock::bsd::{self, AF_INET, SOCK_STREAM};
/// use tapsock::resolve::Hints;
///
/// let host = Host::builder().start().unwrap();
/// let hints = Hints { family: AF_INET, socket_type: SOCK_STREAM, ..Hints::default() };
/// let found = bsd::getaddrinfo(&host, Some("127.0.0.1"), Some("80"), Some(&hints)).unwrap();
/// assert_eq!(found[0].address, "127.0.0.1:80".parse().unwrap());
/// ```
///
/// # Errors
/// Those of [`EaiError`].
pub fn getaddrinfo(
    host: &Host,
    node: Option<&str>,
    service: Option<&str>,
    hints: Option<&Hints>,
) -> Result<Vec<AddrInfo>, EaiError> {
    let interfaces = if_nameindex(host);
    let source = |destination| source(host, destination);
    let ask = |name: &str, kinds: &[AddressType]| asking::look_up(host, name, kinds);
    let dns: Option<&AskDns<'_>> = (!asking::conf(host).servers.is_empty()).then_some(&ask);
    let net = LocalNet { interfaces: &interfaces, source: Some(&source), dns };
    resolve::getaddrinfo(&Names::system(), &net, node, service, hints)
}

/// Host and service of an address. See getnameinfo(3).
///
/// # Errors
/// `EAI_BADFLAGS`, `EAI_FAMILY`, `EAI_NONAME`, `EAI_OVERFLOW`.
pub fn getnameinfo(host: &Host, address: &SockAddr, room: Room, flags: i32) -> Result<NameInfo, EaiError> {
    let interfaces = if_nameindex(host);
    resolve::getnameinfo(
        &Names::system(),
        &LocalNet { interfaces: &interfaces, source: None, dns: None },
        address,
        room,
        flags,
    )
}

/// The service of that name or alias, by `/etc/services`. See getservbyname(3).
///
/// ```
/// assert_eq!(tapsock::bsd::getservbyname("domain", Some("udp")).unwrap().port(), 53);
/// assert_eq!(tapsock::bsd::getservbyport(53, Some("udp")).unwrap().name(), "domain");
/// ```
pub fn getservbyname(name: &str, protocol: Option<&str>) -> Option<Service> {
    Names::system().services.by_name(name, protocol).cloned()
}

/// The service at that port, in the machine's byte order. See getservbyport(3).
pub fn getservbyport(port: u16, protocol: Option<&str>) -> Option<Service> {
    Names::system().services.by_port(port, protocol).cloned()
}

/// The protocol of that name or alias, by `/etc/protocols`. See getprotobyname(3).
///
/// ```
/// assert_eq!(tapsock::bsd::getprotobyname("udp").unwrap().number(), 17);
/// assert_eq!(tapsock::bsd::getprotobynumber(6).unwrap().name(), "tcp");
/// ```
pub fn getprotobyname(name: &str) -> Option<Protocol> {
    Names::system().protocols.by_name(name).cloned()
}

/// The protocol of that number. See getprotobynumber(3).
pub fn getprotobynumber(number: i32) -> Option<Protocol> {
    Names::system().protocols.by_number(number).cloned()
}

/// The host's interfaces, with their addresses. See if_nameindex(3).
///
/// ```
/// use tapsock::{Errno, Host, bsd};
///
/// let host = Host::builder().start().unwrap();
/// let lo = bsd::if_nametoindex(&host, "lo")?;
/// assert_eq!(bsd::if_indextoname(&host, lo)?, "lo");
/// assert_eq!((bsd::if_nameindex(&host)[0].index, lo), (1, 1));
/// assert_eq!(bsd::if_nametoindex(&host, "eth0"), Err(Errno::NODEV));
/// # Ok::<(), Errno>(())
/// ```
pub fn if_nameindex(host: &Host) -> Vec<Interface> {
    host.interfaces().iter().map(told).collect()
}

/// The index of an interface. See if_nametoindex(3).
///
/// # Errors
/// ENODEV.
pub fn if_nametoindex(host: &Host, name: &str) -> Result<u32, Errno> {
    resolve::if_nametoindex(&if_nameindex(host), name)
}

/// The name of an interface. See if_indextoname(3).
///
/// # Errors
/// ENXIO.
pub fn if_indextoname(host: &Host, index: u32) -> Result<String, Errno> {
    resolve::if_indextoname(&if_nameindex(host), index).map(str::to_owned)
}

pub(crate) fn told(interface: &StackInterface) -> Interface {
    let addresses = interface.addresses().iter().map(|own| own.cidr).collect();
    Interface { index: interface.id().index(), name: interface.name().to_owned(), addresses }
}

/// Where a datagram of the host's to `destination` would come from.
fn source(host: &Host, destination: SocketAddr) -> Option<Source> {
    let turn = host.shard().turn();
    let interfaces = turn.state.sockets.stack().interfaces();
    let hop = interfaces.route(destination.ip(), None, None).ok();
    let found = hop.map(|hop| {
        let owned = interfaces.iter().flat_map(StackInterface::addresses);
        let own = owned.into_iter().find(|own| own.cidr.address == hop.source);
        let lone = IpCidr::new(hop.source, full_length(hop.source));
        Source {
            address: own.map_or(lone, |own| own.cidr),
            deprecated: own.is_some_and(|own| own.preference == Preference::Deprecated),
        }
    });
    turn.finish();
    found
}

fn full_length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
