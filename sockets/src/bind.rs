//! `bind`: which addresses a socket may take, and in which order Linux looks at what is wrong with them.

use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use rustix::io::Errno;
use tapsock_stack::ports::{BindId, BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::Stack;

use crate::address::{
    SOCKADDR_IN_LEN, SOCKADDR_IN6_LEN, SOCKADDR_IN6_OLD_LEN, SockAddr, is_link_local, is_shorter_than,
    unmapped,
};
use crate::destination;
use crate::errno::ToErrno;
use crate::options::{Domain, Kind};
use crate::socket::{Call, Permission};

/// An address that a socket has.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Binding {
    /// The hold on the port; `None` once a port that nobody asked for was given back, and the address is left.
    pub(crate) id: Option<BindId>,
    pub(crate) local: LocalAddr,
    origin: Origin,
}

/// Who wanted it.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Origin {
    /// The application, by `bind` (Linux's SOCK_BINDADDR_LOCK and SOCK_BINDPORT_LOCK).
    Asked,
    /// The application wanted the address, and any port (SOCK_BINDADDR_LOCK).
    AnyPort,
    /// Nobody: a call needed a port.
    Automatic,
}

impl Binding {
    /// Whether the port stays with the socket when its connection or its listening ends.
    pub(crate) fn keeps_port(&self) -> bool {
        self.origin == Origin::Asked
    }

    /// What is left without the port.
    pub(crate) fn without_port(self) -> Option<Binding> {
        (self.origin != Origin::Automatic).then_some(Binding { id: None, ..self })
    }

    /// The family of what comes to it; that of both is IPv6.
    pub(crate) fn family(&self) -> Domain {
        family_of(self.local)
    }

    pub(crate) fn port(&self, stack: &Stack) -> u16 {
        self.id.and_then(|id| stack.binding(id)).map_or(0, |(_, port)| port)
    }
}

/// A local address as a socket of `domain` shows it.
pub(crate) fn shown(local: LocalAddr, port: u16, domain: Domain) -> SockAddr {
    let address = match local {
        LocalAddr::AnyV4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        LocalAddr::V4(ip) => SocketAddr::from((ip, port)),
        LocalAddr::AnyV6 { .. } => return destination::unspecified(Domain::V6, port),
        LocalAddr::V6(ip, scope) => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope)),
    };
    destination::shown(domain, address)
}

/// Whether a socket that was bound to `local` keeps the address that a connection chooses for it. As on Linux, one of IPv6
/// that asked for any address of IPv4 has asked for an address.
pub(crate) fn settles(domain: Domain, local: LocalAddr) -> bool {
    !local.is_wildcard() || domain == Domain::V6 && local == LocalAddr::AnyV4
}

pub(crate) fn family_of(local: LocalAddr) -> Domain {
    match local {
        LocalAddr::AnyV4 | LocalAddr::V4(_) => Domain::V4,
        LocalAddr::AnyV6 { .. } | LocalAddr::V6(..) => Domain::V6,
    }
}

/// Takes `address` for a socket that has one already where `taken` says so.
///
/// Errors, in Linux's order: EINVAL where the address is too short, EAFNOSUPPORT for another family, EADDRNOTAVAIL
/// where it is not ours (ENODEV: nor the interface), EACCES for a reserved port, EINVAL where the socket has an
/// address, EADDRINUSE. Source: bind(2), ip(7), ipv6(7).
pub(crate) fn bind(call: &mut Call<'_>, address: &SockAddr, taken: bool) -> Result<Binding, Errno> {
    let (local, port) = checked(call, address, taken)?;
    let origin = if port == 0 { Origin::AnyPort } else { Origin::Asked };
    let binding = if port == 0 && call.options().late_port {
        Binding { id: None, local, origin }
    } else {
        take(call, local, port, origin)?
    };
    // As Linux: where there is an address of IPv6, there can be none of IPv4.
    if let LocalAddr::V6(..) = local {
        call.common.options.v6_only = true;
    }
    Ok(binding)
}

/// The address of a connection that is over, which stays with the socket; so does a port that was asked for.
pub(crate) fn with_address(binding: Option<Binding>, local: SocketAddr) -> Binding {
    let local = local_of_connection(local);
    match binding {
        Some(binding) => Binding { local, ..binding },
        None => Binding { id: None, local, origin: Origin::AnyPort },
    }
}

/// The address of a connection as that of a binding.
pub(crate) fn local_of_connection(local: SocketAddr) -> LocalAddr {
    let scope = if let SocketAddr::V6(local) = local { local.scope_id() } else { 0 };
    LocalAddr::new(local.ip(), scope)
}

/// Takes a port again for an address that was left without one.
pub(crate) fn rebind(call: &mut Call<'_>, binding: Binding) -> Result<Binding, Errno> {
    match binding.id {
        Some(_) => Ok(binding),
        None => take(call, binding.local, 0, binding.origin),
    }
}

/// The same, but for taking the port.
pub(crate) fn checked(call: &Call<'_>, address: &SockAddr, taken: bool) -> Result<(LocalAddr, u16), Errno> {
    match call.domain() {
        Domain::V4 => local_v4(call, address, taken),
        Domain::V6 => local_v6(call, address, taken),
    }
}

/// Takes any port of any address, for a call that needs one.
pub(crate) fn autobind(call: &mut Call<'_>) -> Result<Binding, Errno> {
    let local = any(call);
    // Linux: a listener that finds no port says so as `bind` would.
    take(call, local, 0, Origin::Automatic)
}

/// The wildcard of a socket's family.
pub(crate) fn any(call: &Call<'_>) -> LocalAddr {
    match call.domain() {
        Domain::V4 => LocalAddr::AnyV4,
        Domain::V6 => LocalAddr::AnyV6 { only_v6: call.options().v6_only },
    }
}

fn take(call: &mut Call<'_>, local: LocalAddr, port: u16, origin: Origin) -> Result<Binding, Errno> {
    let request = BindRequest {
        protocol: match call.common.subject.kind {
            Kind::Stream => Transport::Tcp,
            Kind::Datagram | Kind::Ping | Kind::Raw(_) => Transport::Udp,
        },
        address: local,
        port,
        reuse_address: call.options().reuse_address,
        reuse_port: call.options().reuse_port,
        device: call.options().device,
        range: call.options().rare().ports,
        foreign: call.options().takes_foreign(),
        privileged: call.permission == Permission::Privileged,
    };
    let id = call.stack.bind(request).map_err(|error| error.errno())?;
    Ok(Binding { id: Some(id), local, origin })
}

fn local_v4(call: &Call<'_>, address: &SockAddr, taken: bool) -> Result<(LocalAddr, u16), Errno> {
    if is_shorter_than(address, SOCKADDR_IN_LEN) {
        return Err(Errno::INVAL);
    }
    let address = match address {
        SockAddr::V4(address) => address,
        // Old programs left the family out, and meant any address.
        SockAddr::Unspec(Some(address)) if address.ip().is_unspecified() => address,
        _ => return Err(Errno::AFNOSUPPORT),
    };
    check_v4(call, *address.ip())?;
    check_port(call, address.port())?;
    if taken {
        return Err(Errno::INVAL);
    }
    Ok((local_of(*address.ip()), address.port()))
}

fn local_v6(call: &Call<'_>, address: &SockAddr, taken: bool) -> Result<(LocalAddr, u16), Errno> {
    // Ping sockets have no use for an address without a scope, as on Linux.
    let is_ping = call.common.subject.kind == Kind::Ping;
    let least = if is_ping { SOCKADDR_IN6_LEN } else { SOCKADDR_IN6_OLD_LEN };
    if is_shorter_than(address, least) {
        return Err(Errno::INVAL);
    }
    let SockAddr::V6(address) = address else {
        return Err(Errno::AFNOSUPPORT);
    };
    let (ip, port) = (*address.ip(), address.port());
    if ip.is_multicast() && call.common.subject.kind == Kind::Stream {
        return Err(Errno::INVAL);
    }
    check_port(call, port)?;
    if taken {
        return Err(Errno::INVAL);
    }
    if let Some(v4) = unmapped(*address) {
        if call.options().v6_only {
            return Err(Errno::INVAL);
        }
        check_v4(call, *v4.ip())?;
        return Ok((local_of(*v4.ip()), port));
    }
    Ok((plain_v6(call, *address)?, port))
}

/// The same for an address that is not IPv4-mapped. Errors: EINVAL where it lacks its scope, ENODEV, EADDRNOTAVAIL.
pub(crate) fn plain_v6(call: &Call<'_>, address: SocketAddrV6) -> Result<LocalAddr, Errno> {
    let ip = *address.ip();
    let scope = if is_link_local(ip.into()) { address.scope_id() } else { 0 };
    if is_link_local(ip.into()) {
        if scope == 0 {
            return Err(Errno::INVAL);
        }
        destination::interface(call.stack.interfaces(), scope).ok_or(Errno::NODEV)?;
    }
    if ip.is_unspecified() {
        return Ok(LocalAddr::AnyV6 { only_v6: call.options().v6_only });
    }
    if !ip.is_multicast() && !call.options().takes_foreign() && !call.stack.interfaces().is_local(ip.into()) {
        return Err(Errno::ADDRNOTAVAIL);
    }
    Ok(LocalAddr::V6(ip, scope))
}

/// ip(7): a reserved port is for those who are allowed to have it.
fn check_port(call: &Call<'_>, port: u16) -> Result<(), Errno> {
    let reserved = port != 0 && port < call.stack.config().ip_unprivileged_port_start;
    // A ping socket's port is an identifier, of which none is reserved.
    if reserved && call.permission == Permission::Ordinary && call.common.subject.kind != Kind::Ping {
        return Err(Errno::ACCESS);
    }
    Ok(())
}

/// Linux lets a socket have a group's or a broadcast address too: it then hears only what is sent there.
pub(crate) fn check_v4(call: &Call<'_>, ip: Ipv4Addr) -> Result<(), Errno> {
    let interfaces = call.stack.interfaces();
    let ours = call.options().takes_foreign()
        || ip.is_unspecified()
        || ip.is_multicast()
        || interfaces.is_local(ip.into());
    if ours || destination::is_broadcast(interfaces, IpAddr::V4(ip)) {
        return Ok(());
    }
    Err(Errno::ADDRNOTAVAIL)
}

pub(crate) fn local_of(ip: Ipv4Addr) -> LocalAddr {
    if ip.is_unspecified() { LocalAddr::AnyV4 } else { LocalAddr::V4(ip) }
}
