//! All sockets of a host, and the calls on them.

use rustix::io::Errno;
use tapsock_stack::buf::Rope;
use tapsock_stack::stack::{SocketId, Stack};
use tapsock_stack::tcp::SharedOptions;
use tapsock_stack::time::Instant;

use crate::address::SockAddr;
use crate::constants::*;
use crate::options::{Domain, Kind, SocketOptions, Subject};
use crate::owners::Owners;
use crate::ping::PingSocket;
use crate::poll::PollMask;
use crate::raw::RawSocket;
use crate::socket::{Blocking, Body, Call, Common, Permission, Received, Socket, Stop};
use crate::table::{FD_LIMIT_DEFAULT, Fd, Table};
use crate::tcp::TcpSocket;
use crate::udp::UdpSocket;

mod closed;
mod ending;
mod events;
mod ioctl;
mod options;
mod shown;

pub use closed::ClosedNumbers;

/// The sockets of one host: integer ids over a [`Stack`], with the meaning that POSIX gives to each call and the
/// errors that Linux gives.
///
/// Nothing here waits. A call that would is a `try_…`: it returns [`Stop::Wait`] on a socket that waits, to be called
/// again when the socket is ready, and EAGAIN or EINPROGRESS on one that does not.
///
/// ```
/// use rustix::io::Errno;
/// use tapsock_sockets::constants::{AF_INET, SOCK_DGRAM, SOCK_SEQPACKET};
/// use tapsock_sockets::{Fd, Permission, SockAddr, Sockets};
/// use tapsock_stack::config::Config;
/// use tapsock_stack::stack::Stack;
/// use tapsock_stack::time::Instant;
///
/// let now = Instant::ZERO;
/// let mut sockets = Sockets::new(Stack::new(Config::default(), 1, now), Permission::Ordinary);
/// let udp = sockets.socket(AF_INET, SOCK_DGRAM, 0)?;
/// assert_eq!(udp, Fd(0));
/// sockets.bind(now, udp, &SockAddr::V4("127.0.0.1:5353".parse().unwrap()))?;
/// assert_eq!(sockets.local_address(udp)?.to_string(), "127.0.0.1:5353");
/// assert_eq!(sockets.socket(AF_INET, SOCK_SEQPACKET, 0), Err(Errno::SOCKTNOSUPPORT));
/// # Ok::<(), Errno>(())
/// ```
#[derive(Debug)]
pub struct Sockets {
    stack: Stack,
    permission: Permission,
    table: Table<Socket>,
    /// Which of our sockets the stack means.
    owners: Owners,
    /// What new sockets begin with, and what a socket was told last: kept, so that sockets share them.
    defaults: SharedOptions,
    known: SharedOptions,
    /// Sockets to which a call has done something, to be named by [`poll_event`](Sockets::poll_event); each once.
    changed: Vec<(Fd, PollMask)>,
    /// Observed sockets that a call was made on, to be named by [`poll_touched`](Sockets::poll_touched); each once.
    touched: Vec<Fd>,
    /// Sockets that have been asked for their numbers so far (SO_COOKIE).
    numbered: u64,
    numbers: ClosedNumbers,
}

impl Sockets {
    /// A table without sockets over `stack`, whose owner has that permission.
    pub fn new(stack: Stack, permission: Permission) -> Self {
        Sockets {
            stack,
            permission,
            table: Table::new(FD_LIMIT_DEFAULT),
            owners: Owners::new(),
            defaults: SharedOptions::default(),
            known: SharedOptions::default(),
            changed: Vec::new(),
            touched: Vec::new(),
            numbered: 0,
            numbers: ClosedNumbers::Free,
        }
    }

    /// The stack below.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack below, to be driven and configured.
    pub fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// How many sockets there are at most (RLIMIT_NOFILE). Those beyond a lowered limit stay.
    pub fn set_limit(&mut self, limit: usize) {
        self.table.set_limit(limit);
    }

    /// Makes a socket: socket(2), with SOCK_NONBLOCK and SOCK_CLOEXEC in `kind`.
    ///
    /// Errors: EINVAL for unknown flags, types or protocol numbers out of range, EAFNOSUPPORT for a domain that is not
    /// there, ESOCKTNOSUPPORT and EPROTONOSUPPORT for a type or a protocol that the domain has not, EPERM for a raw
    /// socket where the owner has no privilege, EMFILE.
    pub fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<Fd, Errno> {
        let (subject, blocking) = subject(domain, kind, protocol)?;
        if matches!(subject.kind, Kind::Raw(_)) && self.permission == Permission::Ordinary {
            return Err(Errno::PERM);
        }
        let mut defaults = SharedOptions::from(self.stack.config().tcp_options());
        defaults.share_with(&mut self.defaults);
        let config = self.stack.config();
        let mut options = SocketOptions::new(defaults, (config.ip_default_ttl, config.ipv6_hop_limit));
        // As on Linux, where it only means something to ping sockets: identifiers are shared unless that is taken back.
        options.reuse_address = matches!(subject.kind, Kind::Ping | Kind::Raw(_));
        options.v6_only =
            subject.domain == Domain::V6 && (subject.kind == Kind::Ping || self.stack.config().bindv6only);
        if subject.kind != Kind::Stream {
            let config = self.stack.config();
            (options.tcp.send_buffer, options.tcp.receive_buffer) =
                (config.wmem_default, config.rmem_default);
        }
        if self.table.is_full() {
            return Err(Errno::MFILE);
        }
        let body = match subject.kind {
            Kind::Stream => Body::Tcp(TcpSocket::new()),
            Kind::Datagram => Body::Udp(UdpSocket::new(&mut self.stack, subject.domain)),
            Kind::Ping => Body::Ping(PingSocket::new(&mut self.stack, subject.domain)?),
            Kind::Raw(protocol) => Body::Raw(RawSocket::new(&mut self.stack, subject.domain, protocol)?),
        };
        self.insert(Socket { common: Common { subject, blocking, observed: false, options }, body })
    }

    /// Gives a socket an address: bind(2).
    ///
    /// Errors: EBADF, EINVAL, EAFNOSUPPORT, EADDRNOTAVAIL, ENODEV, EACCES, EADDRINUSE, as Linux ranks them.
    pub fn bind(&mut self, now: Instant, fd: Fd, address: &SockAddr) -> Result<(), Errno> {
        let (given, mut place) = (address, None);
        let address = given.renewed(&mut place);
        self.call(now, fd, |call, body| match body {
            Body::Tcp(tcp) => tcp.bind(call, address),
            Body::Udp(udp) => udp.bind(call, address),
            Body::Ping(ping) => ping.bind(call, given),
            Body::Raw(raw) => raw.bind(call, address),
        })
    }

    /// Lets a stream socket take connections, or changes its backlog: listen(2). A socket without an address gets
    /// one. The backlog is held to `net.core.somaxconn`.
    ///
    /// Errors: EBADF, EOPNOTSUPP on a datagram socket, EINVAL on one that is connected, EADDRINUSE.
    pub fn listen(&mut self, now: Instant, fd: Fd, backlog: i32) -> Result<(), Errno> {
        self.call(now, fd, |call, body| match body {
            Body::Tcp(tcp) => tcp.listen(call, backlog),
            Body::Udp(_) | Body::Ping(_) | Body::Raw(_) => Err(Errno::OPNOTSUPP),
        })
    }

    /// Takes a connection: accept4(2), with SOCK_NONBLOCK and SOCK_CLOEXEC in `flags`. The new socket has the
    /// listener's options. Gives its id and the peer's address.
    ///
    /// Errors: EINVAL for other flags or where the socket does not listen, EBADF, EMFILE, EOPNOTSUPP on a datagram
    /// socket, EAGAIN.
    pub fn try_accept(&mut self, now: Instant, fd: Fd, flags: i32) -> Result<(Fd, SockAddr), Stop> {
        let blocking = blocking(flags)?;
        if self.open(fd).is_some() && self.table.is_full() {
            return Err(Errno::MFILE.into());
        }
        let (tcp, mut common, peer) = self.call(now, fd, |call, body| match body {
            Body::Tcp(tcp) => {
                let (accepted, peer) = tcp.accept(call)?;
                Ok((accepted, call.common.clone(), peer))
            }
            Body::Udp(_) | Body::Ping(_) | Body::Raw(_) => Err(Stop::Error(Errno::OPNOTSUPP)),
        })?;
        common.blocking = blocking;
        common.observed = false;
        common.options.forget_deferral();
        common.options = common.options.inherited();
        let accepted = self.insert(Socket { common, body: Body::Tcp(tcp) })?;
        Ok((accepted, peer))
    }

    /// Connects: connect(2). AF_UNSPEC dissolves a connection or association. Called again after a [`Stop::Wait`], it
    /// says how it ended.
    ///
    /// Errors: EBADF, EINVAL, EAFNOSUPPORT, EISCONN, EALREADY, EINPROGRESS, ENETUNREACH, EHOSTUNREACH, ECONNREFUSED,
    /// ETIMEDOUT, ECONNABORTED, EADDRNOTAVAIL, EACCES for a broadcast address.
    pub fn try_connect(&mut self, now: Instant, fd: Fd, address: &SockAddr) -> Result<(), Stop> {
        self.connect_by(now, fd, address, TcpSocket::connect)
    }

    /// Goes on with [`try_connect`](Self::try_connect) after a [`Stop::Wait`], for a call that waits: where another one
    /// has made an end of it meanwhile, by shutdown(2) or AF_UNSPEC, it fails; where another has found the connection
    /// first it succeeds, too.
    ///
    /// Errors: those of [`try_connect`](Self::try_connect); ECONNRESET or ECONNABORTED where it is over.
    pub fn try_connect_again(&mut self, now: Instant, fd: Fd, address: &SockAddr) -> Result<(), Stop> {
        self.connect_by(now, fd, address, TcpSocket::connect_again)
    }

    fn connect_by(
        &mut self,
        now: Instant,
        fd: Fd,
        address: &SockAddr,
        connect: impl FnOnce(&mut TcpSocket, &mut Call<'_>, &SockAddr) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut place = None;
        let address = address.renewed(&mut place);
        let held = |host: &Sockets| host.table.get(fd).and_then(|socket| socket.body.id());
        let before = held(self);
        let outcome = self.call(now, fd, |call, body| match body {
            Body::Tcp(tcp) => connect(tcp, call, address),
            Body::Udp(udp) => Ok(udp.connect(call, address)?),
            Body::Ping(ping) => Ok(ping.connect(call, address)?),
            Body::Raw(raw) => Ok(raw.connect(call, address)?),
        });
        // To be without a connection again is an edge, too.
        let is_stream = |socket: &Socket| matches!(socket.body, Body::Tcp(_));
        let dissolved = outcome.is_ok() && matches!(address, SockAddr::Unspec(_));
        let lost = before.is_some() && held(self).is_none();
        if (dissolved || lost) && self.table.get(fd).is_some_and(is_stream) {
            self.tell_of_state(fd);
        }
        outcome
    }

    /// Sends: sendto(2), or send(2) without `to`. What was taken is split off `data`, and its length returned: on a
    /// stream perhaps less than there was; a caller that waits calls again for the rest.
    ///
    /// Errors: EBADF, EPIPE, EAGAIN, EDESTADDRREQ, EMSGSIZE, EACCES, EINVAL, ENETUNREACH, EOPNOTSUPP for MSG_OOB
    /// on a datagram socket, and the pending error.
    pub fn try_send(
        &mut self,
        now: Instant,
        fd: Fd,
        data: &mut Rope,
        flags: i32,
        to: Option<&SockAddr>,
    ) -> Result<usize, Stop> {
        self.try_sendmsg(now, fd, data, &[], flags, to)
    }

    /// As [`try_send`](Sockets::try_send), with control messages, `msg_control`: sendmsg(2).
    ///
    /// Errors: its own; EINVAL for messages that are malformed or ask for what is not there, ENODEV for an unknown
    /// interface, ENETUNREACH or EINVAL for a source address that is not ours.
    pub fn try_sendmsg(
        &mut self,
        now: Instant,
        fd: Fd,
        data: &mut Rope,
        control: &[u8],
        flags: i32,
        to: Option<&SockAddr>,
    ) -> Result<usize, Stop> {
        let (given, mut place) = (to, None);
        let to = given.map(|to| to.renewed(&mut place));
        self.call(now, fd, |call, body| match body {
            // A stream socket does not look at the address, connected or not, but for MSG_FASTOPEN.
            Body::Tcp(tcp) => tcp.send(call, data, flags, control, to),
            Body::Udp(udp) => udp.send(call, data, flags, to, control),
            Body::Ping(ping) => ping.send(call, data, flags, given, control),
            Body::Raw(raw) => raw.send(call, data, flags, to, control),
        })
    }

    /// Whether a send may take several calls, as on a stream. One of a datagram takes one.
    pub fn splits_sends(&self, fd: Fd) -> bool {
        self.open(fd).is_some_and(|socket| matches!(socket.body, Body::Tcp(_)))
    }

    /// A send with MSG_ZEROCOPY on a stream that took several calls without that flag is done: tells of it by the error queue
    /// where SO_ZEROCOPY asks for that.
    ///
    /// Errors: EBADF.
    pub fn end_zero_copy(&mut self, now: Instant, fd: Fd) -> Result<(), Errno> {
        self.call(now, fd, |call, body| {
            if let Body::Tcp(tcp) = body {
                tcp.report_zero_copy(call, MSG_ZEROCOPY);
            }
            Ok(())
        })
    }

    /// A call that sends has ended with EAGAIN, at once or when its time was over. As Linux, that is counted where it found
    /// no room for a datagram of UDP (`UdpSndbufErrors`); whoever tries a call several times does so once.
    pub fn count_unsent(&mut self, fd: Fd) {
        if let Some(Body::Udp(udp)) = self.open(fd).map(|socket| &socket.body)
            && let SocketId::Udp(id) = udp.id()
        {
            self.stack.udp_count_unsent(id);
        }
    }

    /// How many bytes a send would take now: a hint for how much to copy.
    pub fn send_space(&self, fd: Fd) -> usize {
        match self.open(fd).map(|socket| &socket.body) {
            Some(Body::Tcp(tcp)) => tcp.send_space(&self.stack),
            Some(Body::Udp(_) | Body::Ping(_) | Body::Raw(_)) => DATAGRAM_MAX,
            None => 0,
        }
    }

    /// Receives at most `max` bytes: recvfrom(2).
    ///
    /// With MSG_WAITALL a caller that waits calls again for the rest, until it has all, or gets nothing, or an error;
    /// or [`Received::ends_call`]. Together with MSG_PEEK the call itself waits for all, as it does for as much as
    /// SO_RCVLOWAT asks for: it is to be tried again at each arrival, not only when the socket is readable, and at the
    /// deadline with MSG_DONTWAIT, for what is there. MSG_OOB never waits.
    ///
    /// With MSG_ERRQUEUE it takes the oldest report of the error queue, without waiting: the data is what is known of the
    /// packet, the address is where that was to go, and the last control message is the `sock_extended_err`.
    ///
    /// Errors: EBADF, EAGAIN, ENOTCONN, EINVAL for MSG_OOB where no urgent byte was named, and the pending error.
    pub fn try_recv(&mut self, now: Instant, fd: Fd, max: usize, flags: i32) -> Result<Received, Stop> {
        self.call(now, fd, |call, body| match body {
            Body::Tcp(tcp) => tcp.receive(call, max, flags),
            Body::Udp(udp) => udp.receive(call, max, flags),
            Body::Ping(ping) => ping.receive(call, max, flags),
            Body::Raw(raw) => raw.receive(call, max, flags),
        })
    }

    /// Receives what lies in one piece: of a stream as much as came together, of others the next datagram. So it need
    /// not be copied to be in one. As [`try_recv`](Sockets::try_recv) in all else.
    ///
    /// Errors: those of `try_recv`.
    pub fn try_recv_piece(&mut self, now: Instant, fd: Fd, flags: i32) -> Result<Received, Stop> {
        let max = match self.open(fd) {
            Some(Socket { common, body: Body::Tcp(tcp) }) => tcp.piece(&self.stack, common.options.low_water),
            _ => DATAGRAM_MAX,
        };
        self.try_recv(now, fd, max, flags)
    }

    /// The socket's own address: getsockname(2). Errors: EBADF.
    pub fn local_address(&self, fd: Fd) -> Result<SockAddr, Errno> {
        let Socket { common, body } = self.open(fd).ok_or(Errno::BADF)?;
        Ok(match body {
            Body::Tcp(tcp) => tcp.local(&self.stack, common),
            Body::Udp(udp) => udp.local(&self.stack, common),
            Body::Ping(ping) => ping.local(&self.stack, common),
            Body::Raw(raw) => raw.local(&self.stack, common),
        })
    }

    /// The peer's address: getpeername(2). Errors: EBADF, ENOTCONN.
    pub fn peer_address(&self, fd: Fd) -> Result<SockAddr, Errno> {
        let Socket { common, body } = self.open(fd).ok_or(Errno::BADF)?;
        match body {
            Body::Tcp(tcp) => tcp.peer(&self.stack, common),
            Body::Udp(udp) => udp.peer(&self.stack, common),
            Body::Ping(ping) => ping.peer(&self.stack, common),
            Body::Raw(raw) => raw.peer(&self.stack, common),
        }
    }

    /// Whether calls on the socket wait (O_NONBLOCK of fcntl(2)). Errors: EBADF.
    pub fn set_blocking(&mut self, fd: Fd, blocking: Blocking) -> Result<(), Errno> {
        self.open(fd).ok_or(Errno::BADF)?;
        let socket = self.table.get_mut(fd).ok_or(Errno::BADF)?;
        socket.common.blocking = blocking;
        Ok(())
    }

    /// Whether calls on the socket wait. Errors: EBADF.
    pub fn blocking(&self, fd: Fd) -> Result<Blocking, Errno> {
        Ok(self.open(fd).ok_or(Errno::BADF)?.common.blocking)
    }

    /// Runs `run` on the socket `fd`, and keeps `owners` in step with what the stack calls it afterwards.
    fn call<T, E: From<Errno>>(
        &mut self,
        now: Instant,
        fd: Fd,
        run: impl FnOnce(&mut Call<'_>, &mut Body) -> Result<T, E>,
    ) -> Result<T, E> {
        let Sockets { stack, permission, table, owners, known, touched, .. } = self;
        let Socket { common, body } =
            table.get_mut(fd).filter(|socket| socket.is_open()).ok_or(Errno::BADF)?;
        let before = body.id();
        let result = run(&mut Call { stack, common, known, permission: *permission, fd, now }, body);
        let after = body.id();
        if common.observed && !touched.contains(&fd) {
            touched.push(fd);
        }
        if before != after {
            before.inspect(|id| owners.remove(*id, fd));
            after.inspect(|id| owners.insert(*id, fd));
        }
        result
    }

    /// A socket that is somebody's.
    fn open(&self, fd: Fd) -> Option<&Socket> {
        self.table.get(fd).filter(|socket| socket.is_open())
    }

    fn insert(&mut self, socket: Socket) -> Result<Fd, Errno> {
        let id = socket.body.id();
        // The callers have looked for room.
        let fd = self.table.insert(socket).map_err(|_| Errno::MFILE)?;
        id.inspect(|id| self.owners.insert(*id, fd));
        Ok(fd)
    }
}

/// The largest datagram that any protocol takes, in bytes.
const DATAGRAM_MAX: usize = 65_535;

/// What socket(2) asks for, checked in Linux's order.
fn subject(domain: i32, kind: i32, protocol: i32) -> Result<(Subject, Blocking), Errno> {
    let blocking = blocking(kind & !SOCK_TYPE_MASK)?;
    let kind = kind & SOCK_TYPE_MASK;
    if !(0..AF_MAX).contains(&domain) {
        return Err(Errno::AFNOSUPPORT);
    }
    if kind >= SOCK_MAX {
        return Err(Errno::INVAL);
    }
    let domain = match domain {
        AF_INET => Domain::V4,
        AF_INET6 => Domain::V6,
        _ => return Err(Errno::AFNOSUPPORT),
    };
    if !(0..IPPROTO_MAX).contains(&protocol) {
        return Err(Errno::INVAL);
    }
    let icmp = if domain == Domain::V4 { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
    let kind = match (kind, protocol) {
        (SOCK_STREAM, 0 | IPPROTO_TCP) => Kind::Stream,
        (SOCK_DGRAM, 0 | IPPROTO_UDP) => Kind::Datagram,
        (SOCK_DGRAM, protocol) if protocol == icmp => Kind::Ping,
        (SOCK_RAW, 1..) => Kind::Raw(protocol as u16),
        (SOCK_STREAM | SOCK_DGRAM | SOCK_RAW, _) => return Err(Errno::PROTONOSUPPORT),
        _ => return Err(Errno::SOCKTNOSUPPORT),
    };
    Ok((Subject { domain, kind }, blocking))
}

/// The mode that SOCK_NONBLOCK asks for. Errors: EINVAL for flags other than it and SOCK_CLOEXEC.
fn blocking(flags: i32) -> Result<Blocking, Errno> {
    if flags & !(SOCK_NONBLOCK | SOCK_CLOEXEC) != 0 {
        return Err(Errno::INVAL);
    }
    Ok(if flags & SOCK_NONBLOCK == 0 { Blocking::Waits } else { Blocking::Never })
}
