//! The calls of the kernel, on sockets of a namespace.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use rustix::net::{self, RecvFlags, SendFlags, Shutdown, SocketAddrAny, SocketFlags, sockopt};
use tapsock::Errno;
use tapsock::bsd::*;
use tapsock_driver::Namespace;

use super::{Calls, Received};

/// The calls of the kernel.
///
/// ```
/// use tapsock::bsd::{AF_INET, SOCK_STREAM};
/// use tapsock_driver::Namespace;
/// use tapsock_tests::calls::{Calls, KernelCalls};
///
/// let Ok(namespace) = Namespace::create() else { return };
/// let mut calls = KernelCalls::new(&namespace);
/// assert_eq!(calls.socket(AF_INET, SOCK_STREAM, 0), Ok(0));
/// ```
#[derive(Debug)]
pub struct KernelCalls {
    namespace: Namespace,
    /// The real descriptors, by the program's numbers.
    sockets: Vec<Option<OwnedFd>>,
}

impl KernelCalls {
    /// In `namespace`.
    pub fn new(namespace: &Namespace) -> KernelCalls {
        KernelCalls { namespace: namespace.clone(), sockets: Vec::new() }
    }

    fn fd(&self, socket: i32) -> Result<BorrowedFd<'_>, Errno> {
        let index = usize::try_from(socket).map_err(|_| Errno::BADF)?;
        Ok(self.sockets.get(index).and_then(Option::as_ref).ok_or(Errno::BADF)?.as_fd())
    }

    fn enter(&mut self, socket: OwnedFd) -> i32 {
        let free = self.sockets.iter().position(Option::is_none).unwrap_or(self.sockets.len());
        if free == self.sockets.len() {
            self.sockets.push(None);
        }
        self.sockets[free] = Some(socket);
        free as i32
    }
}

fn inet(address: SocketAddrAny) -> Result<SocketAddr, Errno> {
    SocketAddr::try_from(address)
}

impl Calls for KernelCalls {
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
        let made = self.namespace.socket(domain, kind, protocol);
        let socket = made.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(self.enter(socket))
    }

    fn bind(&mut self, socket: i32, address: SocketAddr) -> Result<(), Errno> {
        net::bind(self.fd(socket)?, &address)
    }

    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno> {
        net::listen(self.fd(socket)?, backlog)
    }

    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, SocketAddr), Errno> {
        let flags = SocketFlags::from_bits_retain(flags as u32);
        let (accepted, peer) = net::acceptfrom_with(self.fd(socket)?, flags)?;
        Ok((self.enter(accepted), inet(peer.ok_or(Errno::AFNOSUPPORT)?)?))
    }

    fn connect(&mut self, socket: i32, address: Option<SocketAddr>) -> Result<(), Errno> {
        match address {
            Some(address) => net::connect(self.fd(socket)?, &address),
            None => net::connect_unspec(self.fd(socket)?),
        }
    }

    fn send(&mut self, socket: i32, data: &[u8], flags: i32, to: Option<SocketAddr>) -> Result<usize, Errno> {
        let flags = SendFlags::from_bits_retain(flags as u32) | SendFlags::NOSIGNAL;
        match to {
            Some(to) => net::sendto(self.fd(socket)?, data, flags, &to),
            None => net::send(self.fd(socket)?, data, flags),
        }
    }

    fn recv(&mut self, socket: i32, max: usize, flags: i32) -> Result<Received, Errno> {
        let mut data = vec![0; max];
        let flags = RecvFlags::from_bits_retain(flags as u32);
        let (_, len, from) = net::recvfrom(self.fd(socket)?, &mut data[..], flags)?;
        data.truncate(len);
        Ok(Received { data, len, from: from.and_then(|from| inet(from).ok()) })
    }

    fn shutdown(&mut self, socket: i32, how: i32) -> Result<(), Errno> {
        let how = match how {
            SHUT_RD => Shutdown::Read,
            SHUT_WR => Shutdown::Write,
            _ => Shutdown::Both,
        };
        net::shutdown(self.fd(socket)?, how)
    }

    fn close(&mut self, socket: i32) -> Result<(), Errno> {
        self.fd(socket)?;
        self.sockets[socket as usize] = None;
        Ok(())
    }

    fn local_address(&mut self, socket: i32) -> Result<SocketAddr, Errno> {
        inet(net::getsockname(self.fd(socket)?)?)
    }

    fn peer_address(&mut self, socket: i32) -> Result<SocketAddr, Errno> {
        inet(net::getpeername(self.fd(socket)?)?.ok_or(Errno::AFNOSUPPORT)?)
    }

    fn option(&mut self, socket: i32, level: i32, name: i32) -> Result<i32, Errno> {
        option(self.fd(socket)?, level, name)
    }

    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: i32) -> Result<(), Errno> {
        set_option(self.fd(socket)?, level, name, value)
    }

    fn set_receive_timeout(&mut self, socket: i32, millis: u32) -> Result<(), Errno> {
        let timeout = Duration::from_millis(millis.into());
        sockopt::set_socket_timeout(self.fd(socket)?, sockopt::Timeout::Recv, Some(timeout))
    }

    fn set_linger(&mut self, socket: i32, seconds: u16) -> Result<(), Errno> {
        sockopt::set_socket_linger(self.fd(socket)?, Some(Duration::from_secs(seconds.into())))
    }

    fn poll(&mut self, socket: i32, events: u16, timeout_millis: i32) -> Result<u16, Errno> {
        let mut entry = [PollFd::from_borrowed_fd(self.fd(socket)?, PollFlags::from_bits_retain(events))];
        let millis = i64::from(timeout_millis);
        let timeout = Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 };
        rustix::event::poll(&mut entry, (millis >= 0).then_some(&timeout))?;
        Ok(entry[0].revents().bits())
    }
}

/// The options by the names that rustix has for them.
///
/// # Panics
/// For one that has no line here.
fn option(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32, Errno> {
    match (level, name) {
        (SOL_SOCKET, SO_REUSEADDR) => sockopt::socket_reuseaddr(fd).map(i32::from),
        (SOL_SOCKET, SO_REUSEPORT) => sockopt::socket_reuseport(fd).map(i32::from),
        (SOL_SOCKET, SO_BROADCAST) => sockopt::socket_broadcast(fd).map(i32::from),
        (SOL_SOCKET, SO_KEEPALIVE) => sockopt::socket_keepalive(fd).map(i32::from),
        (SOL_SOCKET, SO_ACCEPTCONN) => sockopt::socket_acceptconn(fd).map(i32::from),
        (SOL_SOCKET, SO_SNDBUF) => sockopt::socket_send_buffer_size(fd).map(|size| size as i32),
        (SOL_SOCKET, SO_RCVBUF) => sockopt::socket_recv_buffer_size(fd).map(|size| size as i32),
        (SOL_SOCKET, SO_TYPE) => sockopt::socket_type(fd).map(|kind| kind.as_raw() as i32),
        (SOL_SOCKET, SO_DOMAIN) => sockopt::socket_domain(fd).map(|domain| domain.as_raw().into()),
        (SOL_SOCKET, SO_PROTOCOL) => {
            Ok(sockopt::socket_protocol(fd)?.map_or(0, |protocol| protocol.as_raw().get() as i32))
        }
        (SOL_SOCKET, SO_ERROR) => Ok(sockopt::socket_error(fd)?.err().map_or(0, Errno::raw_os_error)),
        (SOL_TCP, TCP_NODELAY) => sockopt::tcp_nodelay(fd).map(i32::from),
        (SOL_TCP, TCP_CORK) => sockopt::tcp_cork(fd).map(i32::from),
        (SOL_TCP, TCP_KEEPCNT) => sockopt::tcp_keepcnt(fd).map(|count| count as i32),
        (SOL_TCP, TCP_KEEPIDLE) => sockopt::tcp_keepidle(fd).map(|idle| idle.as_secs() as i32),
        (SOL_TCP, TCP_KEEPINTVL) => sockopt::tcp_keepintvl(fd).map(|interval| interval.as_secs() as i32),
        (SOL_TCP, TCP_USER_TIMEOUT) => sockopt::tcp_user_timeout(fd).map(|millis| millis as i32),
        (SOL_IP, IP_TTL) => sockopt::ip_ttl(fd).map(|ttl| ttl as i32),
        (SOL_IP, IP_TOS) => sockopt::ip_tos(fd).map(i32::from),
        (SOL_IP, IP_MTU_DISCOVER) => sockopt::ip_mtu_discover(fd).map(Ipv4PathMtuDiscovery::as_raw),
        (SOL_IP, IP_MTU) => sockopt::ip_mtu(fd).map(|mtu| mtu as i32),
        (SOL_IPV6, IPV6_MTU_DISCOVER) => sockopt::ipv6_mtu_discover(fd).map(Ipv6PathMtuDiscovery::as_raw),
        (SOL_IPV6, IPV6_MTU) => sockopt::ipv6_mtu(fd).map(|mtu| mtu as i32),
        (SOL_IPV6, IPV6_V6ONLY) => sockopt::ipv6_v6only(fd).map(i32::from),
        (SOL_IPV6, IPV6_UNICAST_HOPS) => sockopt::ipv6_unicast_hops(fd).map(i32::from),
        (SOL_IPV6, IPV6_TCLASS) => sockopt::ipv6_tclass(fd).map(|class| class as i32),
        _ => panic!("option {name} of level {level} has no line here"),
    }
}

fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    let (on, size) = (value != 0, value as usize);
    let seconds = Duration::from_secs(value as u64);
    match (level, name) {
        (SOL_SOCKET, SO_REUSEADDR) => sockopt::set_socket_reuseaddr(fd, on),
        (SOL_SOCKET, SO_REUSEPORT) => sockopt::set_socket_reuseport(fd, on),
        (SOL_SOCKET, SO_BROADCAST) => sockopt::set_socket_broadcast(fd, on),
        (SOL_SOCKET, SO_KEEPALIVE) => sockopt::set_socket_keepalive(fd, on),
        (SOL_SOCKET, SO_SNDBUF) => sockopt::set_socket_send_buffer_size(fd, size),
        (SOL_SOCKET, SO_RCVBUF) => sockopt::set_socket_recv_buffer_size(fd, size),
        (SOL_TCP, TCP_NODELAY) => sockopt::set_tcp_nodelay(fd, on),
        (SOL_TCP, TCP_CORK) => sockopt::set_tcp_cork(fd, on),
        (SOL_TCP, TCP_KEEPCNT) => sockopt::set_tcp_keepcnt(fd, value as u32),
        (SOL_TCP, TCP_KEEPIDLE) => sockopt::set_tcp_keepidle(fd, seconds),
        (SOL_TCP, TCP_KEEPINTVL) => sockopt::set_tcp_keepintvl(fd, seconds),
        (SOL_TCP, TCP_USER_TIMEOUT) => sockopt::set_tcp_user_timeout(fd, value as u32),
        (SOL_IP, IP_TTL) => sockopt::set_ip_ttl(fd, value as u32),
        (SOL_IP, IP_TOS) => sockopt::set_ip_tos(fd, value as u8),
        (SOL_IP, IP_MTU_DISCOVER) => sockopt::set_ip_mtu_discover(fd, Ipv4PathMtuDiscovery::from_raw(value)),
        (SOL_IPV6, IPV6_MTU_DISCOVER) => {
            sockopt::set_ipv6_mtu_discover(fd, Ipv6PathMtuDiscovery::from_raw(value))
        }
        (SOL_IPV6, IPV6_V6ONLY) => sockopt::set_ipv6_v6only(fd, on),
        (SOL_IPV6, IPV6_UNICAST_HOPS) => sockopt::set_ipv6_unicast_hops(fd, u8::try_from(value).ok()),
        (SOL_IPV6, IPV6_TCLASS) => sockopt::set_ipv6_tclass(fd, value as u32),
        _ => panic!("option {name} of level {level} has no line here"),
    }
}
