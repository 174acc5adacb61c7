//! Two hosts with a wire between them, in virtual time.
#![allow(dead_code)]

use core::net::SocketAddr;
use core::time::Duration;

use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, Permission, PollMask, SockAddr, Sockets, Stop};
use tapsock_stack::buf::Rope;
use tapsock_stack::config::Config;
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::stack::Stack;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::{LinkCaps, Medium};

/// The prefixes of the wire.
const NETWORKS: [&str; 2] = ["10.0.0.", "fd00::"];

/// Frames that one step may bring: more means that the two never fall silent.
const FRAMES_MAX: usize = 100_000;

pub struct Net {
    pub now: Instant,
    /// `a` is 10.0.0.1 and fd00::1, `b` is 10.0.0.2 and fd00::2.
    pub a: Sockets,
    pub b: Sockets,
    /// Whether frames pass.
    pub plugged: bool,
    /// The IP packets that `a` has sent.
    pub sent: Vec<Vec<u8>>,
}

impl Net {
    pub fn new() -> Net {
        Net::with(Permission::Ordinary)
    }

    pub fn with(permission: Permission) -> Net {
        Net::of(permission, Medium::Ip)
    }

    /// On a wire of another kind, with sockets of the privileged.
    pub fn on(medium: Medium) -> Net {
        Net::of(Permission::Privileged, medium)
    }

    fn of(permission: Permission, medium: Medium) -> Net {
        let now = Instant::from_secs(1);
        let [a, b] = [1, 2].map(|number| host(now, number, permission, medium));
        Net { now, a, b, plugged: true, sent: Vec::new() }
    }

    /// Lets all frames pass until nobody has more to say.
    pub fn settle(&mut self) {
        for _ in 0..FRAMES_MAX {
            let from_a = pass(self.now, &mut self.a, self.plugged.then_some(&mut self.b));
            let from_b = pass(self.now, &mut self.b, self.plugged.then_some(&mut self.a));
            if from_a.is_empty() && from_b.is_empty() {
                return;
            }
            self.sent.extend(from_a);
        }
        panic!("the hosts do not fall silent");
    }

    /// Lets time pass.
    pub fn sleep(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.settle();
            let next = [&self.a, &self.b].into_iter().filter_map(|host| host.stack().poll_timeout()).min();
            match next {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break,
            }
            for host in [&mut self.a, &mut self.b] {
                host.stack_mut().handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    /// A listener on `b` and a connection to it from `a`: listener, `a`'s end, `b`'s end. All in blocking mode.
    pub fn connected(&mut self, domain: i32) -> (Fd, Fd, Fd) {
        let listener = self.b.socket(domain, SOCK_STREAM, 0).unwrap();
        self.b.bind(self.now, listener, &b(domain, 8000)).unwrap();
        self.b.listen(self.now, listener, 5).unwrap();
        let (client, server) = self.another(domain, listener);
        (listener, client, server)
    }

    /// One more connection to that listener.
    pub fn another(&mut self, domain: i32, listener: Fd) -> (Fd, Fd) {
        let address = self.b.local_address(listener).unwrap();
        assert_eq!(i32::from(address.family()), domain);
        self.another_at(listener, &address)
    }

    /// The same, to an address of the listener.
    pub fn another_at(&mut self, listener: Fd, address: &SockAddr) -> (Fd, Fd) {
        let client = self.a.socket(address.family().into(), SOCK_STREAM, 0).unwrap();
        assert!(matches!(self.a.try_connect(self.now, client, address), Err(Stop::Wait(_))));
        self.settle();
        assert_eq!(self.a.try_connect(self.now, client, address), Ok(()));
        let (server, _) = self.b.try_accept(self.now, listener, 0).unwrap();
        (client, server)
    }
}

fn host(now: Instant, number: u64, permission: Permission, medium: Medium) -> Sockets {
    let mut stack = Stack::new(Config::default(), number, now);
    let caps = LinkCaps::plain(medium, 1500);
    let id = stack.add_interface("wire0", EthernetAddress([2, 0, 0, 0, 0, number as u8]), caps).unwrap();
    assert_eq!(id, InterfaceId(1));
    for (network, prefix) in NETWORKS.into_iter().zip([24, 64]) {
        stack.add_address(id, format!("{network}{number}/{prefix}").parse().unwrap()).unwrap();
    }
    Sockets::new(stack, permission)
}

/// Moves all frames of `from`, which are returned; to nowhere, where the wire is cut.
fn pass(now: Instant, from: &mut Sockets, mut to: Option<&mut Sockets>) -> Vec<Vec<u8>> {
    let mut moved = Vec::new();
    while let Some((_, transmit)) = from.stack_mut().poll_transmit(now) {
        let frame = transmit.to_frame();
        moved.push(frame.bytes.to_vec());
        if let Some(to) = &mut to {
            to.stack_mut().receive(now, InterfaceId(1), frame);
        }
    }
    moved
}

pub const DOMAINS: [i32; 2] = [AF_INET, AF_INET6];

/// An address of `a`, in either family.
pub fn a(domain: i32, port: u16) -> SockAddr {
    in_family(domain, "10.0.0.1", "fd00::1", port)
}

/// An address of `b`, in either family.
pub fn b(domain: i32, port: u16) -> SockAddr {
    in_family(domain, "10.0.0.2", "fd00::2", port)
}

/// The wildcard address.
pub fn any(domain: i32, port: u16) -> SockAddr {
    in_family(domain, "0.0.0.0", "::", port)
}

pub fn in_family(domain: i32, v4: &str, v6: &str, port: u16) -> SockAddr {
    addr(if domain == AF_INET { v4 } else { v6 }, port)
}

pub fn addr(ip: &str, port: u16) -> SockAddr {
    SockAddr::from(SocketAddr::new(ip.parse().unwrap(), port))
}

/// How a call ended, in one word: OK, an errno's number by name, or what it waits for.
pub fn said<T>(result: Result<T, Stop>) -> String {
    match result {
        Ok(_) => "OK".to_owned(),
        Err(Stop::Wait(wait)) if wait.mask.contains(PollMask::IN) => "waits to read".to_owned(),
        Err(Stop::Wait(_)) => "waits to write".to_owned(),
        Err(Stop::Error(errno)) => name(errno).to_owned(),
    }
}

/// The same for a call that never waits.
pub fn errno<T>(result: Result<T, Errno>) -> String {
    said(result.map_err(Stop::from))
}

pub fn name(errno: Errno) -> &'static str {
    match errno {
        Errno::ACCESS => "EACCES",
        Errno::ADDRINUSE => "EADDRINUSE",
        Errno::ADDRNOTAVAIL => "EADDRNOTAVAIL",
        Errno::AFNOSUPPORT => "EAFNOSUPPORT",
        Errno::AGAIN => "EAGAIN",
        Errno::ALREADY => "EALREADY",
        Errno::BADF => "EBADF",
        Errno::CONNABORTED => "ECONNABORTED",
        Errno::CONNREFUSED => "ECONNREFUSED",
        Errno::CONNRESET => "ECONNRESET",
        Errno::DESTADDRREQ => "EDESTADDRREQ",
        Errno::FAULT => "EFAULT",
        Errno::HOSTUNREACH => "EHOSTUNREACH",
        Errno::INPROGRESS => "EINPROGRESS",
        Errno::INVAL => "EINVAL",
        Errno::ISCONN => "EISCONN",
        Errno::MFILE => "EMFILE",
        Errno::MSGSIZE => "EMSGSIZE",
        Errno::NETDOWN => "ENETDOWN",
        Errno::NETUNREACH => "ENETUNREACH",
        Errno::NOBUFS => "ENOBUFS",
        Errno::NODEV => "ENODEV",
        Errno::NOPROTOOPT => "ENOPROTOOPT",
        Errno::NOTCONN => "ENOTCONN",
        Errno::OPNOTSUPP => "EOPNOTSUPP",
        Errno::PERM => "EPERM",
        Errno::PROTO => "EPROTO",
        Errno::PIPE => "EPIPE",
        Errno::PROTONOSUPPORT => "EPROTONOSUPPORT",
        Errno::SOCKTNOSUPPORT => "ESOCKTNOSUPPORT",
        Errno::TIMEDOUT => "ETIMEDOUT",
        _ => panic!("no name for {errno:?}"),
    }
}

/// What `poll` shows, without the three events that say IN and OUT again.
pub fn poll(host: &Sockets, fd: Fd) -> String {
    let mask = host.readiness(fd);
    let shown = [PollMask::IN, PollMask::PRI, PollMask::OUT, PollMask::ERR, PollMask::HUP, PollMask::RDHUP];
    let shown = shown
        .into_iter()
        .filter(|event| mask.contains(*event))
        .fold(PollMask::NONE, |all, event| all | event);
    format!("{shown:?}")
}

/// Sends and says how that ended: the number of bytes taken, or why none were.
pub fn send(host: &mut Sockets, now: Instant, fd: Fd, bytes: &[u8], flags: i32) -> String {
    match host.try_send(now, fd, &mut Rope::from(bytes), flags, None) {
        Ok(count) => count.to_string(),
        error => said(error),
    }
}

pub fn send_to(host: &mut Sockets, now: Instant, fd: Fd, bytes: &[u8], to: &SockAddr) -> String {
    match host.try_send(now, fd, &mut Rope::from(bytes), MSG_DONTWAIT, Some(to)) {
        Ok(count) => count.to_string(),
        error => said(error),
    }
}

/// Receives without waiting and says how that ended: the bytes in quotes, or why there were none.
pub fn recv(host: &mut Sockets, now: Instant, fd: Fd, max: usize, flags: i32) -> String {
    match host.try_recv(now, fd, max, flags | MSG_DONTWAIT) {
        Ok(received) => format!("{:?}", String::from_utf8_lossy(&received.data.to_vec())),
        error => said(error),
    }
}

pub fn int(host: &mut Sockets, now: Instant, fd: Fd, level: i32, option: i32) -> i32 {
    host.option(now, fd, level, option).unwrap().as_int().unwrap()
}

pub fn set(host: &mut Sockets, now: Instant, fd: Fd, level: i32, option: i32, value: i32) -> String {
    errno(host.set_option(now, fd, level, option, &value.to_ne_bytes()))
}

pub fn nonblocking(host: &mut Sockets, domain: i32) -> Fd {
    host.socket(domain, SOCK_STREAM | SOCK_NONBLOCK, 0).unwrap()
}

pub fn stream(host: &mut Sockets, domain: i32) -> Fd {
    host.socket(domain, SOCK_STREAM, 0).unwrap()
}

pub fn datagram(host: &mut Sockets, domain: i32) -> Fd {
    host.socket(domain, SOCK_DGRAM, 0).unwrap()
}

/// All sockets that changed.
pub fn events(host: &mut Sockets) -> Vec<Fd> {
    core::iter::from_fn(|| host.poll_event()).map(|(fd, _)| fd).collect()
}
