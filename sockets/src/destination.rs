//! Where a call sends or connects to: the address as given, made into one that the stack knows, or refused as Linux
//! refuses it; and back again.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use rustix::io::Errno;
use tapsock_stack::iface::{InterfaceId, Interfaces, Way};
use tapsock_stack::ports::LocalAddr;

use crate::address::{
    SOCKADDR_IN_LEN, SOCKADDR_IN6_OLD_LEN, SockAddr, is_link_local, is_shorter_than, mapped, unmapped,
};
use crate::bind::family_of;
use crate::constants::{AF_INET, AF_INET6, IPPROTO_RAW};
use crate::groups;
use crate::options::Domain;
use crate::socket::Call;

/// The peer that a stream socket is to be connected to, where it is bound to `bound`.
///
/// Errors: EINVAL where the address is too short or lacks its scope, EAFNOSUPPORT for another family, ENETUNREACH
/// where no connection can lead there. Source: connect(2), ip(7), ipv6(7).
pub(crate) fn stream(
    call: &Call<'_>,
    bound: Option<LocalAddr>,
    address: &SockAddr,
) -> Result<SocketAddr, Errno> {
    let remote = match call.domain() {
        Domain::V4 => SocketAddr::V4(only_v4(address, host(call, bound))?),
        Domain::V6 => dual(call, bound, only_v6(address)?)?,
    };
    let interfaces = call.stack.interfaces();
    if remote.ip().is_multicast() || is_broadcast(interfaces, remote.ip()) {
        return Err(Errno::NETUNREACH);
    }
    check_scope(interfaces, remote)?;
    Ok(remote)
}

/// The peer that a datagram socket is to be connected to. Unlike a stream socket, one of IPv6 takes a `sockaddr_in`.
pub(crate) fn datagram(
    call: &Call<'_>,
    bound: Option<LocalAddr>,
    address: &SockAddr,
) -> Result<SocketAddr, Errno> {
    let remote = match (call.domain(), address) {
        (Domain::V4, _) => SocketAddr::V4(only_v4(address, host(call, bound))?),
        (Domain::V6, _) if call.options().v6_only && is_v4(address) => return Err(Errno::AFNOSUPPORT),
        (Domain::V6, SockAddr::V4(address)) => dual(call, bound, mapped(SocketAddr::V4(*address)))?,
        (Domain::V6, _) => dual(call, bound, only_v6(address)?)?,
    };
    check_scope(call.stack.interfaces(), remote)?;
    Ok(remote)
}

/// Where one datagram goes; `None` where the address says nothing, and the socket's peer is meant.
pub(crate) fn message(
    call: &Call<'_>,
    bound: Option<LocalAddr>,
    address: &SockAddr,
) -> Result<Option<SocketAddr>, Errno> {
    let remote = match (call.domain(), address) {
        (Domain::V4, SockAddr::Unspec(Some(address))) => SocketAddr::V4(*address),
        (Domain::V4, _) => SocketAddr::V4(only_v4(address, host(call, bound))?),
        (Domain::V6, SockAddr::Unspec(_)) => return Ok(None),
        (Domain::V6, _) if call.options().v6_only && is_v4(address) => return Err(Errno::NETUNREACH),
        (Domain::V6, SockAddr::V4(address)) => dual(call, bound, mapped(SocketAddr::V4(*address)))?,
        (Domain::V6, SockAddr::V6(address)) if address.port() == 0 && unmapped(*address).is_none() => {
            return Err(Errno::INVAL);
        }
        // Unlike the other calls, this one takes a foreign family for nonsense.
        (Domain::V6, SockAddr::V6(address)) => dual(call, bound, *address)?,
        (Domain::V6, _) => return Err(Errno::INVAL),
    };
    if remote.port() == 0 {
        return Err(Errno::INVAL);
    }
    Ok(Some(to_ourselves(remote, host(call, bound))))
}

/// The peer that a raw socket is to be connected to, where it is bound to `bound`. IPv6's takes no IPv4, not even mapped.
pub(crate) fn raw_peer(
    call: &Call<'_>,
    bound: Option<LocalAddr>,
    address: &SockAddr,
) -> Result<SocketAddr, Errno> {
    let remote = match call.domain() {
        Domain::V4 => SocketAddr::V4(only_v4(address, host(call, bound))?),
        Domain::V6 if !is_v6(address) => return Err(Errno::AFNOSUPPORT),
        Domain::V6 => plain_v6(only_v6(address)?)?,
    };
    check_scope(call.stack.interfaces(), remote)?;
    Ok(remote)
}

/// Where one packet of a raw socket goes; `None` where the address says nothing, and the socket's peer is meant. The
/// port of IPv6's is the protocol, or 0.
pub(crate) fn raw_message(
    call: &Call<'_>,
    protocol: u16,
    address: &SockAddr,
) -> Result<Option<SocketAddr>, Errno> {
    let remote = match (call.domain(), address) {
        (Domain::V4, SockAddr::Unspec(Some(address))) => to_ourselves(SocketAddr::V4(*address), None),
        (Domain::V4, _) => SocketAddr::V4(only_v4(address, None)?),
        (Domain::V6, SockAddr::Unspec(_)) => return Ok(None),
        (Domain::V6, _) => {
            let remote = only_v6(address)?;
            let port = remote.port();
            let fits = port == 0 || port == protocol || i32::from(protocol) == IPPROTO_RAW;
            if !fits || i32::from(port) > IPPROTO_RAW {
                return Err(Errno::INVAL);
            }
            plain_v6(remote)?
        }
    };
    // Unlike `connect`, this looks for a way all the same.
    if call.options().device.is_none() && check_scope(call.stack.interfaces(), remote).is_err() {
        return Err(Errno::NETUNREACH);
    }
    Ok(Some(remote))
}

/// The wildcard of IPv4 again, now that a control message has named the `source`: it means that, as on Linux.
pub(crate) fn from_source(address: &SockAddr, to: SocketAddr, source: Option<IpAddr>) -> SocketAddr {
    match (address, source) {
        (SockAddr::V4(address) | SockAddr::Unspec(Some(address)), Some(source @ IpAddr::V4(_)))
            if address.ip().is_unspecified() =>
        {
            to_ourselves(SocketAddr::new(source, to.port()), None)
        }
        _ => to,
    }
}

fn plain_v6(address: SocketAddrV6) -> Result<SocketAddr, Errno> {
    if unmapped(address).is_some() {
        return Err(Errno::NETUNREACH);
    }
    let scope = if is_link_local(IpAddr::V6(*address.ip())) { address.scope_id() } else { 0 };
    let plain = SocketAddrV6::new(*address.ip(), address.port(), address.flowinfo(), scope);
    Ok(to_ourselves(SocketAddr::V6(plain), None))
}

/// An address as a socket of `domain` shows it: to IPv6's, IPv4 is IPv4-mapped. A scope is shown where it is needed.
pub(crate) fn shown(domain: Domain, address: SocketAddr) -> SockAddr {
    match (domain, address) {
        (Domain::V4, address) => SockAddr::from(address),
        (Domain::V6, address) => {
            let mut address = mapped(address);
            if !is_link_local(IpAddr::V6(*address.ip())) {
                address.set_scope_id(0);
            }
            SockAddr::V6(address)
        }
    }
}

/// The wildcard address, as a socket shows it that has none.
pub(crate) fn unspecified(domain: Domain, port: u16) -> SockAddr {
    match domain {
        Domain::V4 => SockAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)),
        Domain::V6 => SockAddr::V6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0)),
    }
}

/// The interface of a scope, which is its number as Linux counts them.
pub(crate) fn interface(interfaces: &Interfaces, scope: u32) -> Option<InterfaceId> {
    interfaces.interface(InterfaceId::from_index(scope)?).map(|found| found.id())
}

/// The interface that IPV6_PKTINFO has named for all that is sent, or IP_UNICAST_IF or IPV6_UNICAST_IF for what goes to one
/// host, where neither the address nor SO_BINDTODEVICE names one.
pub(crate) fn sticky_interface(call: &Call<'_>, remote: SocketAddr) -> Option<InterfaceId> {
    let options = call.options();
    let (rare, v4) = (options.rare(), remote.is_ipv4());
    if scope_of(remote) != 0 || options.device.is_some() {
        return None;
    }
    let of_all = rare.interface_v6.filter(|_| !v4);
    of_all.or_else(|| rare.unicast_interface(v4).filter(|_| !remote.ip().is_multicast()))
}

/// The interface that an address names itself.
pub(crate) fn scope_of(remote: SocketAddr) -> u32 {
    match remote {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(remote) => remote.scope_id(),
    }
}

/// How a connection to `remote` leaves.
pub(crate) fn way_to(call: &Call<'_>, remote: Option<SocketAddr>) -> Way {
    let way = call.options().way();
    let named = remote.and_then(|remote| {
        let by_group = || groups::interface_to(call, remote.ip()).filter(|_| scope_of(remote) == 0);
        sticky_interface(call, remote).or_else(by_group)
    });
    Way { device: way.device.or(named), ..way }
}

/// Whether an address means every host of some link of ours.
pub(crate) fn is_broadcast(interfaces: &Interfaces, ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(Ipv4Addr::BROADCAST) => true,
        _ => interfaces.iter().any(|interface| interfaces.is_broadcast(interface.id(), ip)),
    }
}

/// ip(7): what goes to every host on a link needs SO_BROADCAST.
pub(crate) fn check_broadcast(call: &Call<'_>, remote: SocketAddr) -> Result<(), Errno> {
    if call.options().broadcast || !call.stack.is_broadcast_destination(remote) {
        return Ok(());
    }
    Err(Errno::ACCESS)
}

/// socket(7): with SO_DONTROUTE, or where the call asks for it, no router is used. Errors: ENETUNREACH.
pub(crate) fn check_direct(call: &Call<'_>, remote: SocketAddr, asked: bool) -> Result<(), Errno> {
    if !asked && !call.options().direct {
        return Ok(());
    }
    let hop = call.stack.interfaces().route(remote.ip(), None, call.options().device);
    if hop.is_ok_and(|hop| hop.next_hop != remote.ip()) { Err(Errno::NETUNREACH) } else { Ok(()) }
}

/// Whether it says that it is `sockaddr_in`, be it too short for one.
pub(crate) fn is_v4(address: &SockAddr) -> bool {
    i32::from(address.family()) == AF_INET
}

/// Whether it says that it is `sockaddr_in6`. Raw and ping sockets of IPv6 look at that before they look at the length.
pub(crate) fn is_v6(address: &SockAddr) -> bool {
    i32::from(address.family()) == AF_INET6
}

/// Whether it means a host of IPv6, and none of IPv4.
pub(crate) fn is_only_v6(address: &SockAddr) -> bool {
    matches!(address, SockAddr::V6(address) if unmapped(*address).is_none())
}

fn only_v4(address: &SockAddr, bound: Option<LocalAddr>) -> Result<SocketAddrV4, Errno> {
    match address {
        _ if is_shorter_than(address, SOCKADDR_IN_LEN) => Err(Errno::INVAL),
        SockAddr::V4(address) => Ok(match to_ourselves(SocketAddr::V4(*address), bound) {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => *address,
        }),
        _ => Err(Errno::AFNOSUPPORT),
    }
}

fn only_v6(address: &SockAddr) -> Result<SocketAddrV6, Errno> {
    match address {
        _ if is_shorter_than(address, SOCKADDR_IN6_OLD_LEN) => Err(Errno::INVAL),
        SockAddr::V6(address) => Ok(*address),
        _ => Err(Errno::AFNOSUPPORT),
    }
}

/// What an IPv6 socket means by `address`: IPv4 where it is IPv4-mapped, as far as socket and binding allow.
fn dual(call: &Call<'_>, bound: Option<LocalAddr>, address: SocketAddrV6) -> Result<SocketAddr, Errno> {
    let bound_v4 = bound.is_some_and(|bound| family_of(bound) == Domain::V4);
    if let Some(v4) = unmapped(address) {
        let bound_v6 = matches!(bound, Some(LocalAddr::V6(..)));
        if call.options().v6_only || bound_v6 {
            return Err(Errno::NETUNREACH);
        }
        return Ok(to_ourselves(SocketAddr::V4(v4), host(call, bound)));
    }
    if bound_v4 {
        if address.ip().is_unspecified() {
            return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())));
        }
        // As Linux, that there is no way is seen before that the source is of the other family.
        let ip = IpAddr::V6(*address.ip());
        let way = call.stack.interfaces().route(ip, None, call.options().device);
        return Err(if way.is_ok() { Errno::AFNOSUPPORT } else { Errno::NETUNREACH });
    }
    plain_v6(address)
}

/// What a socket is bound to, where that is a host: a group, or a broadcast address, is no place to send from.
fn host(call: &Call<'_>, bound: Option<LocalAddr>) -> Option<LocalAddr> {
    bound.filter(|bound| call.stack.interfaces().source_of(*bound).is_some())
}

/// Linux takes the wildcard address for ourselves: in IPv4 that is the address that the socket is bound to.
fn to_ourselves(address: SocketAddr, bound: Option<LocalAddr>) -> SocketAddr {
    match (address, bound) {
        _ if !address.ip().is_unspecified() => address,
        (SocketAddr::V4(_), Some(LocalAddr::V4(own))) => SocketAddr::from((own, address.port())),
        (SocketAddr::V4(_), _) => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        (SocketAddr::V6(_), _) => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
    }
}

/// A link-local address means nothing without its interface.
fn check_scope(interfaces: &Interfaces, remote: SocketAddr) -> Result<(), Errno> {
    match remote {
        SocketAddr::V6(remote) if is_link_local(IpAddr::V6(*remote.ip())) => match remote.scope_id() {
            0 => Err(Errno::INVAL),
            scope => interface(interfaces, scope).map(|_| ()).ok_or(Errno::NETUNREACH),
        },
        _ => Ok(()),
    }
}
