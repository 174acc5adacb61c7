//! The options of a [`Socket`], typed. Names are those of `socket2`, and made alike where it has none.

use core::num::NonZeroU32;

use tapsock_sockets::OptionValue;

use super::*;

/// A getter and a setter for each row: an option that is an `int`, as a `bool`, a `u32` and the like.
macro_rules! options {
    ($($(#[$doc:meta])* $get:ident, $set:ident: $kind:ty = $level:ident, $name:ident;)*) => {
        impl Socket {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// ENOPROTOOPT where the socket has no such option.
                pub fn $get(&self) -> io::Result<$kind> {
                    Ok(<$kind>::from_int(self.int($level, $name)?))
                }

                $(#[$doc])*
                ///
                /// # Errors
                /// ENOPROTOOPT where the socket has no such option, EINVAL where the value is out of range.
                pub fn $set(&self, value: $kind) -> io::Result<()> {
                    self.set_int($level, $name, value.into_int())
                }
            )*
        }
    };
}

/// The same for options that can only be read.
macro_rules! shown {
    ($($(#[$doc:meta])* $get:ident: $kind:ty = $level:ident, $name:ident;)*) => {
        impl Socket {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// ENOPROTOOPT where the socket has no such option.
                pub fn $get(&self) -> io::Result<$kind> {
                    Ok(<$kind>::from_int(self.int($level, $name)?))
                }
            )*
        }
    };
}

/// A value that is an `int` to the socket.
trait AsInt {
    fn from_int(number: i32) -> Self;
    fn into_int(self) -> i32;
}

impl AsInt for bool {
    fn from_int(number: i32) -> Self {
        number != 0
    }

    fn into_int(self) -> i32 {
        self.into()
    }
}

impl AsInt for i32 {
    fn from_int(number: i32) -> Self {
        number
    }

    fn into_int(self) -> i32 {
        self
    }
}

impl AsInt for u32 {
    fn from_int(number: i32) -> Self {
        number.max(0).unsigned_abs()
    }

    fn into_int(self) -> i32 {
        i32::try_from(self).unwrap_or(i32::MAX)
    }
}

impl AsInt for usize {
    fn from_int(number: i32) -> Self {
        u32::from_int(number) as usize
    }

    fn into_int(self) -> i32 {
        i32::try_from(self).unwrap_or(i32::MAX)
    }
}

options! {
    /// Whether it may bind to an address whose port still rests (`SO_REUSEADDR`).
    reuse_address, set_reuse_address: bool = SOL_SOCKET, SO_REUSEADDR;
    /// Whether several sockets may have its address (`SO_REUSEPORT`).
    reuse_port, set_reuse_port: bool = SOL_SOCKET, SO_REUSEPORT;
    /// Whether it may send to broadcast addresses (`SO_BROADCAST`).
    broadcast, set_broadcast: bool = SOL_SOCKET, SO_BROADCAST;
    /// Whether an idle connection is probed (`SO_KEEPALIVE`).
    keepalive, set_keepalive: bool = SOL_SOCKET, SO_KEEPALIVE;
    /// Whether urgent data is received in line (`SO_OOBINLINE`).
    out_of_band_inline, set_out_of_band_inline: bool = SOL_SOCKET, SO_OOBINLINE;
    /// Whether it is told who sends (`SO_PASSCRED`); of local sockets.
    passcred, set_passcred: bool = SOL_SOCKET, SO_PASSCRED;
    /// Whether only hosts on its links are sent to (`SO_DONTROUTE`).
    dont_route, set_dont_route: bool = SOL_SOCKET, SO_DONTROUTE;
    /// The receive buffer in bytes, shown as double what was set (`SO_RCVBUF`).
    recv_buffer_size, set_recv_buffer_size: usize = SOL_SOCKET, SO_RCVBUF;
    /// The send buffer in bytes, shown as double what was set (`SO_SNDBUF`).
    send_buffer_size, set_send_buffer_size: usize = SOL_SOCKET, SO_SNDBUF;
    /// How much has to be there before a receive returns, in bytes (`SO_RCVLOWAT`).
    recv_low_water, set_recv_low_water: usize = SOL_SOCKET, SO_RCVLOWAT;
    /// Where peeking begins, in bytes; -1 for the front (`SO_PEEK_OFF`).
    peek_offset, set_peek_offset: i32 = SOL_SOCKET, SO_PEEK_OFF;
    /// Whether it is told when datagrams came, in microseconds (`SO_TIMESTAMP`).
    timestamp, set_timestamp: bool = SOL_SOCKET, SO_TIMESTAMP;
    /// Whether it is told when datagrams came, in nanoseconds (`SO_TIMESTAMPNS`).
    timestamp_ns, set_timestamp_ns: bool = SOL_SOCKET, SO_TIMESTAMPNS;
    /// Whether it is told how many datagrams were dropped (`SO_RXQ_OVFL`).
    recv_overflow, set_recv_overflow: bool = SOL_SOCKET, SO_RXQ_OVFL;
    /// The mark by which rules choose its routes (`SO_MARK`).
    mark, set_mark: u32 = SOL_SOCKET, SO_MARK;
    /// What its packets go before while the link is busy (`SO_PRIORITY`).
    priority, set_priority: u32 = SOL_SOCKET, SO_PRIORITY;
    /// How long a receive looks at the link before it sleeps, in microseconds (`SO_BUSY_POLL`).
    busy_poll, set_busy_poll: u32 = SOL_SOCKET, SO_BUSY_POLL;
    /// Whether sends with `MSG_ZEROCOPY` are told when they are done (`SO_ZEROCOPY`).
    zero_copy, set_zero_copy: bool = SOL_SOCKET, SO_ZEROCOPY;

    /// Whether the application writes IPv4's headers (`IP_HDRINCL`).
    header_included_v4, set_header_included_v4: bool = SOL_IP, IP_HDRINCL;
    /// IPv4's type of service (`IP_TOS`).
    tos_v4, set_tos_v4: u32 = SOL_IP, IP_TOS;
    /// IPv4's time to live (`IP_TTL`).
    ttl_v4, set_ttl_v4: u32 = SOL_IP, IP_TTL;
    /// Whether it may bind to IPv4 addresses that are not ours, yet (`IP_FREEBIND`).
    freebind_v4, set_freebind_v4: bool = SOL_IP, IP_FREEBIND;
    /// Whether it may stand for IPv4 addresses of others (`IP_TRANSPARENT`).
    ip_transparent_v4, set_ip_transparent_v4: bool = SOL_IP, IP_TRANSPARENT;
    /// The least time to live with which segments are taken (`IP_MINTTL`).
    min_ttl_v4, set_min_ttl_v4: u32 = SOL_IP, IP_MINTTL;
    /// Whether it is told IPv4's type of service (`IP_RECVTOS`).
    recv_tos_v4, set_recv_tos_v4: bool = SOL_IP, IP_RECVTOS;
    /// Whether it is told IPv4's time to live (`IP_RECVTTL`).
    recv_ttl_v4, set_recv_ttl_v4: bool = SOL_IP, IP_RECVTTL;
    /// Whether it is told where IPv4's packets were sent to (`IP_PKTINFO`).
    recv_pktinfo_v4, set_recv_pktinfo_v4: bool = SOL_IP, IP_PKTINFO;
    /// Whether it is told the address and port that IPv4's datagrams were sent to (`IP_RECVORIGDSTADDR`).
    recv_original_dst_v4, set_recv_original_dst_v4: bool = SOL_IP, IP_RECVORIGDSTADDR;
    /// Whether errors about IPv4's packets are kept one by one (`IP_RECVERR`).
    recv_err_v4, set_recv_err_v4: bool = SOL_IP, IP_RECVERR;
    /// Whether IPv4's packets may be cut: one of `IP_PMTUDISC_…` (`IP_MTU_DISCOVER`).
    mtu_discover_v4, set_mtu_discover_v4: i32 = SOL_IP, IP_MTU_DISCOVER;
    /// Whether a bind to no port takes none until one is needed (`IP_BIND_ADDRESS_NO_PORT`).
    bind_address_no_port, set_bind_address_no_port: bool = SOL_IP, IP_BIND_ADDRESS_NO_PORT;

    /// Whether the application writes IPv6's headers (`IPV6_HDRINCL`).
    header_included_v6, set_header_included_v6: bool = SOL_IPV6, IPV6_HDRINCL;
    /// IPv6's traffic class (`IPV6_TCLASS`).
    tclass_v6, set_tclass_v6: u32 = SOL_IPV6, IPV6_TCLASS;
    /// IPv6's hop limit (`IPV6_UNICAST_HOPS`).
    unicast_hops_v6, set_unicast_hops_v6: u32 = SOL_IPV6, IPV6_UNICAST_HOPS;
    /// Whether it takes no IPv4 (`IPV6_V6ONLY`).
    only_v6, set_only_v6: bool = SOL_IPV6, IPV6_V6ONLY;
    /// Whether it may bind to IPv6 addresses that are not ours, yet (`IPV6_FREEBIND`).
    freebind_v6, set_freebind_v6: bool = SOL_IPV6, IPV6_FREEBIND;
    /// Whether it is told IPv6's traffic class (`IPV6_RECVTCLASS`).
    recv_tclass_v6, set_recv_tclass_v6: bool = SOL_IPV6, IPV6_RECVTCLASS;
    /// Whether it is told IPv6's hop limit (`IPV6_RECVHOPLIMIT`).
    recv_hoplimit_v6, set_recv_hoplimit_v6: bool = SOL_IPV6, IPV6_RECVHOPLIMIT;
    /// Whether it is told where IPv6's packets were sent to (`IPV6_RECVPKTINFO`).
    recv_pktinfo_v6, set_recv_pktinfo_v6: bool = SOL_IPV6, IPV6_RECVPKTINFO;
    /// Whether it is told the address and port that IPv6's datagrams were sent to (`IPV6_RECVORIGDSTADDR`).
    recv_original_dst_v6, set_recv_original_dst_v6: bool = SOL_IPV6, IPV6_RECVORIGDSTADDR;
    /// Whether errors about IPv6's packets are kept one by one (`IPV6_RECVERR`).
    recv_err_v6, set_recv_err_v6: bool = SOL_IPV6, IPV6_RECVERR;
    /// Whether IPv6's packets may be cut: one of `IP_PMTUDISC_…` (`IPV6_MTU_DISCOVER`).
    mtu_discover_v6, set_mtu_discover_v6: i32 = SOL_IPV6, IPV6_MTU_DISCOVER;
    /// Whether datagrams that are larger than the path are refused (`IPV6_DONTFRAG`).
    dont_fragment_v6, set_dont_fragment_v6: bool = SOL_IPV6, IPV6_DONTFRAG;
    /// Whether it is told which path was too narrow (`IPV6_RECVPATHMTU`).
    recv_path_mtu_v6, set_recv_path_mtu_v6: bool = SOL_IPV6, IPV6_RECVPATHMTU;
    /// Where the checksum stands in packets of a raw socket, in bytes; -1 for nowhere (`IPV6_CHECKSUM`).
    checksum_v6, set_checksum_v6: i32 = SOL_IPV6, IPV6_CHECKSUM;

    /// Whether small segments are sent at once (`TCP_NODELAY`).
    tcp_nodelay, set_tcp_nodelay: bool = SOL_TCP, TCP_NODELAY;
    /// Whether what does not fill a segment is held back (`TCP_CORK`).
    tcp_cork, set_tcp_cork: bool = SOL_TCP, TCP_CORK;
    /// Whether what comes is acknowledged at once (`TCP_QUICKACK`).
    tcp_quickack, set_tcp_quickack: bool = SOL_TCP, TCP_QUICKACK;
    /// How long a listener waits for data after the handshake, in seconds (`TCP_DEFER_ACCEPT`).
    tcp_defer_accept, set_tcp_defer_accept: u32 = SOL_TCP, TCP_DEFER_ACCEPT;
    /// How many bytes that were not sent yet let it be writable (`TCP_NOTSENT_LOWAT`).
    tcp_notsent_lowat, set_tcp_notsent_lowat: u32 = SOL_TCP, TCP_NOTSENT_LOWAT;
    /// How long a closed connection waits for the peer's end, in seconds; -1 for not at all (`TCP_LINGER2`).
    tcp_linger2, set_tcp_linger2: i32 = SOL_TCP, TCP_LINGER2;
    /// Upper bound of the window that is offered, in bytes; 0 for none (`TCP_WINDOW_CLAMP`).
    tcp_window_clamp, set_tcp_window_clamp: u32 = SOL_TCP, TCP_WINDOW_CLAMP;
    /// Upper bound of the MSS, in bytes (`TCP_MAXSEG`).
    tcp_mss, set_tcp_mss: u32 = SOL_TCP, TCP_MAXSEG;
    /// Probes without an answer before a connection is given up (`TCP_KEEPCNT`).
    tcp_keepalive_retries, set_tcp_keepalive_retries: u32 = SOL_TCP, TCP_KEEPCNT;
    /// SYNs sent again before an attempt to connect is given up (`TCP_SYNCNT`).
    tcp_syn_count, set_tcp_syn_count: u32 = SOL_TCP, TCP_SYNCNT;

    /// How many hops packets to groups of IPv4 may take (`IP_MULTICAST_TTL`).
    multicast_ttl_v4, set_multicast_ttl_v4: u32 = SOL_IP, IP_MULTICAST_TTL;
    /// Whether this host hears what it sends to groups of IPv4 (`IP_MULTICAST_LOOP`).
    multicast_loop_v4, set_multicast_loop_v4: bool = SOL_IP, IP_MULTICAST_LOOP;
    /// Whether it hears groups of IPv4 that other sockets joined (`IP_MULTICAST_ALL`).
    multicast_all_v4, set_multicast_all_v4: bool = SOL_IP, IP_MULTICAST_ALL;
    /// How many hops packets to groups of IPv6 may take (`IPV6_MULTICAST_HOPS`).
    multicast_hops_v6, set_multicast_hops_v6: u32 = SOL_IPV6, IPV6_MULTICAST_HOPS;
    /// Whether this host hears what it sends to groups of IPv6 (`IPV6_MULTICAST_LOOP`).
    multicast_loop_v6, set_multicast_loop_v6: bool = SOL_IPV6, IPV6_MULTICAST_LOOP;
    /// Whether it hears groups of IPv6 that other sockets joined (`IPV6_MULTICAST_ALL`).
    multicast_all_v6, set_multicast_all_v6: bool = SOL_IPV6, IPV6_MULTICAST_ALL;
    /// The index of the interface that packets to groups of IPv6 leave by; 0 for the route's (`IPV6_MULTICAST_IF`).
    multicast_if_v6, set_multicast_if_v6: u32 = SOL_IPV6, IPV6_MULTICAST_IF;

    /// Payload bytes of each datagram that a large send is cut into; 0 for none (`UDP_SEGMENT`).
    udp_segment, set_udp_segment: u32 = SOL_UDP, UDP_SEGMENT;
    /// Whether merged datagrams are received whole, with the size of their parts (`UDP_GRO`).
    udp_gro, set_udp_gro: bool = SOL_UDP, UDP_GRO;
    /// Whether what is sent is held back, until it is one datagram (`UDP_CORK`).
    udp_cork, set_udp_cork: bool = SOL_UDP, UDP_CORK;
}

shown! {
    /// Whether it listens (`SO_ACCEPTCONN`).
    is_listener: bool = SOL_SOCKET, SO_ACCEPTCONN;
    /// The largest packet of IPv4 that the path to the peer takes, in bytes (`IP_MTU`).
    mtu_v4: u32 = SOL_IP, IP_MTU;
    /// The largest packet of IPv6 that the path to the peer takes, in bytes (`IPV6_MTU`).
    mtu_v6: u32 = SOL_IPV6, IPV6_MTU;
}

/// What probes of an idle connection are to be; what is not named stays as it is.
///
/// ```
/// use std::time::Duration;
/// use tapsock::Host;
/// use tapsock::socket::{Domain, Socket, TcpKeepalive, Type};
///
/// let host = Host::builder().start()?;
/// let socket = Socket::new(&host, Domain::IPV4, Type::STREAM, None)?;
/// let probes = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_retries(3);
/// socket.set_tcp_keepalive(&probes)?;
/// assert!(socket.keepalive()?);
/// assert_eq!((socket.tcp_keepalive_time()?.as_secs(), socket.tcp_keepalive_retries()?), (60, 3));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct TcpKeepalive {
    time: Option<Duration>,
    interval: Option<Duration>,
    retries: Option<u32>,
}

impl TcpKeepalive {
    /// As it is.
    pub const fn new() -> Self {
        TcpKeepalive { time: None, interval: None, retries: None }
    }

    /// How long a connection is idle before the first probe, in whole seconds (`TCP_KEEPIDLE`).
    pub const fn with_time(self, time: Duration) -> Self {
        TcpKeepalive { time: Some(time), ..self }
    }

    /// How long it takes from one probe to the next, in whole seconds (`TCP_KEEPINTVL`).
    pub const fn with_interval(self, interval: Duration) -> Self {
        TcpKeepalive { interval: Some(interval), ..self }
    }

    /// Probes without an answer before the connection is given up (`TCP_KEEPCNT`).
    pub const fn with_retries(self, retries: u32) -> Self {
        TcpKeepalive { retries: Some(retries), ..self }
    }
}

impl Socket {
    /// Has an idle connection probed, and how (`SO_KEEPALIVE` and what belongs to it).
    ///
    /// # Errors
    /// ENOPROTOOPT, EINVAL where a value is out of range.
    pub fn set_tcp_keepalive(&self, probes: &TcpKeepalive) -> io::Result<()> {
        self.set_keepalive(true)?;
        if let Some(time) = probes.time {
            self.set_int(SOL_TCP, TCP_KEEPIDLE, seconds(time))?;
        }
        if let Some(interval) = probes.interval {
            self.set_int(SOL_TCP, TCP_KEEPINTVL, seconds(interval))?;
        }
        probes.retries.map_or(Ok(()), |retries| self.set_tcp_keepalive_retries(retries))
    }

    /// How long a connection is idle before the first probe (`TCP_KEEPIDLE`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn tcp_keepalive_time(&self) -> io::Result<Duration> {
        Ok(Duration::from_secs(u64::from(u32::from_int(self.int(SOL_TCP, TCP_KEEPIDLE)?))))
    }

    /// How long it takes from one probe to the next (`TCP_KEEPINTVL`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn tcp_keepalive_interval(&self) -> io::Result<Duration> {
        Ok(Duration::from_secs(u64::from(u32::from_int(self.int(SOL_TCP, TCP_KEEPINTVL)?))))
    }

    /// How long data may stay unacknowledged, in whole milliseconds; `None` leaves it to retransmissions
    /// (`TCP_USER_TIMEOUT`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn set_tcp_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let millis = timeout.map_or(0, |timeout| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
        self.set_int(SOL_TCP, TCP_USER_TIMEOUT, millis)
    }

    /// How long data may stay unacknowledged (`TCP_USER_TIMEOUT`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn tcp_user_timeout(&self) -> io::Result<Option<Duration>> {
        let millis = u32::from_int(self.int(SOL_TCP, TCP_USER_TIMEOUT)?);
        Ok((millis > 0).then(|| Duration::from_millis(millis.into())))
    }

    /// The name of the congestion control (`TCP_CONGESTION`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn tcp_congestion(&self) -> io::Result<Vec<u8>> {
        let value = self.option(SOL_TCP, TCP_CONGESTION)?;
        Ok(value.as_bytes().iter().copied().take_while(|byte| *byte != 0).collect())
    }

    /// Chooses the congestion control by its name (`TCP_CONGESTION`).
    ///
    /// # Errors
    /// ENOENT for an unknown one, ENOPROTOOPT.
    pub fn set_tcp_congestion(&self, name: &[u8]) -> io::Result<()> {
        self.set_option(SOL_TCP, TCP_CONGESTION, name)
    }

    /// What closing does with data that was not sent: waits that long, in whole seconds; `None` closes in the background
    /// (`SO_LINGER`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        let (on, secs) = linger.map_or((0, 0), |time| (1, seconds(time)));
        self.set_option(SOL_SOCKET, SO_LINGER, &[i32::to_ne_bytes(on), secs.to_ne_bytes()].concat())
    }

    /// How long closing waits (`SO_LINGER`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        let value = self.option(SOL_SOCKET, SO_LINGER)?;
        let (halves, _) = value.as_bytes().as_chunks::<4>();
        Ok(match halves {
            [on, secs] if i32::from_ne_bytes(*on) != 0 => {
                Some(Duration::from_secs(u32::from_ne_bytes(*secs).into()))
            }
            _ => None,
        })
    }

    /// How long a receive waits; `None` for ever (`SO_RCVTIMEO`).
    ///
    /// # Errors
    /// None.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_option(SOL_SOCKET, SO_RCVTIMEO, &crate::net::timeval(timeout))
    }

    /// How long a receive waits (`SO_RCVTIMEO`).
    ///
    /// # Errors
    /// None.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.option(SOL_SOCKET, SO_RCVTIMEO)?.as_duration())
    }

    /// How long a send waits; `None` for ever (`SO_SNDTIMEO`).
    ///
    /// # Errors
    /// None.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_option(SOL_SOCKET, SO_SNDTIMEO, &crate::net::timeval(timeout))
    }

    /// How long a send waits (`SO_SNDTIMEO`).
    ///
    /// # Errors
    /// None.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.option(SOL_SOCKET, SO_SNDTIMEO)?.as_duration())
    }

    /// The pending error, which is taken by this (`SO_ERROR`).
    ///
    /// # Errors
    /// None.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(match self.int(SOL_SOCKET, SO_ERROR)? {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno)),
        })
    }

    /// The type that it was made with (`SO_TYPE`).
    ///
    /// # Errors
    /// None.
    pub fn r#type(&self) -> io::Result<Type> {
        Ok(Type::from(self.int(SOL_SOCKET, SO_TYPE)?))
    }

    /// The family that it was made with (`SO_DOMAIN`).
    ///
    /// # Errors
    /// None.
    pub fn domain(&self) -> io::Result<Domain> {
        Ok(Domain::from(self.int(SOL_SOCKET, SO_DOMAIN)?))
    }

    /// The protocol that it speaks (`SO_PROTOCOL`).
    ///
    /// # Errors
    /// None.
    pub fn protocol(&self) -> io::Result<Option<Protocol>> {
        let number = self.int(SOL_SOCKET, SO_PROTOCOL)?;
        Ok((number != 0).then(|| Protocol::from(number)))
    }

    /// A number that no other socket of the host has had (`SO_COOKIE`).
    ///
    /// # Errors
    /// None.
    pub fn cookie(&self) -> io::Result<u64> {
        let value = self.option(SOL_SOCKET, SO_COOKIE)?;
        Ok(value.as_bytes().first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes)))
    }

    /// Holds it to the interface of that name; `None` lets it go (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    /// ENODEV, EPERM where it is held already and the host is not privileged, ENOPROTOOPT.
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        self.set_option(SOL_SOCKET, SO_BINDTODEVICE, interface.unwrap_or_default())
    }

    /// The interface that it is held to (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        let value = self.option(SOL_SOCKET, SO_BINDTODEVICE)?;
        let name: Vec<u8> = value.as_bytes().iter().copied().take_while(|byte| *byte != 0).collect();
        Ok((!name.is_empty()).then_some(name))
    }

    /// Holds it to the interface of that index; `None` lets it go (`SO_BINDTOIFINDEX`).
    ///
    /// # Errors
    /// Those of [`bind_device`](Socket::bind_device).
    pub fn bind_device_by_index(&self, interface: Option<NonZeroU32>) -> io::Result<()> {
        self.set_int(SOL_SOCKET, SO_BINDTOIFINDEX, interface.map_or(0, |index| index.get().into_int()))
    }

    /// The index of the interface that it is held to (`SO_BINDTOIFINDEX`).
    ///
    /// # Errors
    /// ENOPROTOOPT.
    pub fn device_index(&self) -> io::Result<Option<NonZeroU32>> {
        Ok(NonZeroU32::new(u32::from_int(self.int(SOL_SOCKET, SO_BINDTOIFINDEX)?)))
    }

    /// The bytes of any option: getsockopt(2).
    ///
    /// # Errors
    /// ENOPROTOOPT, EOPNOTSUPP.
    pub fn option(&self, level: i32, name: i32) -> io::Result<OptionValue> {
        Ok(self.kind().option(level, name)?)
    }

    /// Sets any option to the bytes of its C type: setsockopt(2).
    ///
    /// # Errors
    /// ENOPROTOOPT, EINVAL, EPERM.
    pub fn set_option(&self, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        Ok(self.kind().set_option(level, name, value)?)
    }

    fn int(&self, level: i32, name: i32) -> io::Result<i32> {
        Ok(self.kind().option(level, name)?.as_int().ok_or(Errno::INVAL)?)
    }

    fn set_int(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        self.set_option(level, name, &value.to_ne_bytes())
    }
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}
