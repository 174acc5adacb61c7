//! A program on two hosts, of which one has sockets with an option, and what came of it.

use core::fmt::Debug;
use core::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use core::time::Duration;

use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, Permission, SockAddr, Stop};
use tapsock_stack::buf::Rope;
use tapsock_stack::iface::{InterfaceId, Route};
use tapsock_stack::wire::offload::Medium;

use crate::common::*;

#[derive(Copy, Clone, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub domain: i32,
    pub kind: i32,
    pub protocol: i32,
}

/// A value of an option.
#[derive(Clone, Debug)]
pub struct Setting {
    pub level: i32,
    pub number: i32,
    pub value: Vec<u8>,
}

pub struct Run {
    pub net: Net,
    pub log: Vec<String>,
    pub kind: Kind,
    pub settings: Vec<Setting>,
}

/// Whether a socket takes a value, after those.
pub fn takes(kind: Kind, before: &[Setting], setting: &Setting) -> bool {
    let mut run = Run::new(kind, &[]);
    let fd = run.plain();
    before.iter().chain([setting]).all(|Setting { level, number, value }| {
        run.net.a.set_option(run.net.now, fd, *level, *number, value).is_ok()
    })
}

/// Which address a connection has, of those that last and those that do not.
pub fn preferences(run: &mut Run) {
    run.net = Net::on(Medium::Ethernet);
    run.net.b.stack_mut().add_address(InterfaceId(1), "fe80::2/64".parse().unwrap()).unwrap();
    let router = run.net.b.socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6).unwrap();
    assert_eq!(set(&mut run.net.b, run.net.now, router, SOL_IPV6, IPV6_MULTICAST_HOPS, 255), "OK");
    // From a router with a prefix that is on the link and makes addresses, for an hour.
    let mut advert = [vec![134, 0, 0, 0, 64, 0, 0x0e, 0x10], vec![0; 8], vec![3, 4, 64, 0xc0]].concat();
    advert.extend([3600u32.to_be_bytes(); 2].concat());
    advert.extend([0; 4]);
    advert.extend("2001:db8::".parse::<Ipv6Addr>().unwrap().octets());
    run.net.a.stack_mut().config_mut().set("net.ipv6.conf.all.use_tempaddr", "1").unwrap();
    let group = SockAddr::V6(SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, 2));
    assert_eq!(send_to(&mut run.net.b, run.net.now, router, &advert, &group), "48");
    run.net.settle();
    let fd = run.fresh();
    run.connect(fd, &addr("2001:db8::9", 0));
    let name = run.net.a.local_address(fd).map(|name| name.to_inet().map(|name: SocketAddr| name.ip()));
    run.note("from", name);
}

/// What routers are told of groups.
pub fn reports(run: &mut Run) {
    run.net = Net::on(Medium::Ethernet);
    run.fresh();
    for _ in 0..3 {
        run.settle();
        run.net.sleep(Duration::from_secs(10));
    }
    run.settle();
}

impl Run {
    /// Both hosts know ways to 10.9.0.0/16 and fd09::/64 by each other, to groups, and with the mark 7 to 10.8.0.0/16 and
    /// fd08::/64.
    pub fn new(kind: Kind, settings: &[Setting]) -> Run {
        let mut net = Net::with(Permission::Privileged);
        let wire = InterfaceId(1);
        for (destination, gateway, mark) in [
            ("10.9.0.0/16", "10.0.0.2", 0),
            ("fd09::/64", "fd00::2", 0),
            ("10.8.0.0/16", "10.0.0.2", 7),
            ("fd08::/64", "fd00::2", 7),
        ] {
            let mut route = Route::via(destination.parse().unwrap(), gateway.parse().unwrap(), wire);
            route.mark = core::num::NonZeroU32::new(mark);
            net.a.stack_mut().add_route(route).unwrap();
        }
        for host in [&mut net.a, &mut net.b] {
            for groups in ["239.0.0.0/8", "ff05::/16"] {
                host.stack_mut().add_route(Route::direct(groups.parse().unwrap(), wire)).unwrap();
            }
            host.stack_mut().config_mut().set("net.ipv4.tcp_fastopen", "3").unwrap();
        }
        Run { net, log: Vec::new(), kind, settings: settings.to_vec() }
    }

    pub fn domain(&self) -> i32 {
        self.kind.domain
    }

    /// An address of the program's family.
    pub fn at(&self, v4: &str, v6: &str, port: u16) -> SockAddr {
        in_family(self.domain(), v4, v6, port)
    }

    pub fn note(&mut self, what: &str, value: impl Debug) {
        self.log.push(format!("{what}: {value:?}"));
    }

    /// A socket with the options.
    pub fn fresh(&mut self) -> Fd {
        self.fresh_after(&[])
    }

    /// The same, to which something is done before.
    pub fn fresh_after(&mut self, before: &[(i32, i32, i32)]) -> Fd {
        let fd = self.plain();
        for (level, number, value) in before {
            assert_eq!(set(&mut self.net.a, self.net.now, fd, *level, *number, *value), "OK");
        }
        for Setting { level, number, value } in self.settings.clone() {
            self.net.a.set_option(self.net.now, fd, level, number, &value).unwrap();
        }
        fd
    }

    /// A socket of the kind without them.
    pub fn plain(&mut self) -> Fd {
        let Kind { domain, kind, protocol, .. } = self.kind;
        self.net.a.socket(domain, kind, protocol).unwrap()
    }

    pub fn bind(&mut self, fd: Fd, to: &SockAddr) {
        let bound = errno(self.net.a.bind(self.net.now, fd, to));
        self.note("bind", bound);
        self.name(fd);
    }

    pub fn name(&mut self, fd: Fd) {
        let name = self.net.a.local_address(fd);
        self.note("name", name);
    }

    pub fn connect(&mut self, fd: Fd, to: &SockAddr) {
        let outcome = self.net.a.try_connect(self.net.now, fd, to);
        self.note("connect", outcome);
    }

    /// Lets all frames pass, and notes those of the host.
    pub fn settle(&mut self) {
        self.net.settle();
        let sent = core::mem::take(&mut self.net.sent);
        for packet in sent {
            self.note("packet", (packet.len(), &packet[..packet.len().min(100)]));
        }
    }

    /// Lets so many times so much time pass, and notes how many packets each brings.
    pub fn sleep(&mut self, times: usize, step: Duration) {
        for _ in 0..times {
            self.net.sleep(step);
            let sent = core::mem::take(&mut self.net.sent);
            if !sent.is_empty() {
                self.note("packets", (self.net.now, sent.len()));
            }
        }
    }

    pub fn send(&mut self, fd: Fd, data: &[u8], flags: i32, to: Option<&SockAddr>) {
        let sent = self.net.a.try_send(self.net.now, fd, &mut Rope::from(data), flags, to);
        self.note("send", sent);
    }

    /// What there is to be received.
    pub fn recv(&mut self, fd: Fd, max: usize, flags: i32) {
        let times = if flags & MSG_PEEK != 0 { 3 } else { 100 };
        for _ in 0..times {
            match self.net.a.try_recv(self.net.now, fd, max, flags | MSG_DONTWAIT) {
                Ok(received) if received.data.is_empty() && received.control.is_empty() => {
                    return self.note("recv", "nothing");
                }
                Ok(received) => {
                    let data = received.data.to_vec();
                    let shown = (&data[..data.len().min(60)], data.len(), received.full_len, received.from);
                    let beside = (received.flags, received.segment_size, received.stamps, received.control);
                    self.note("recv", (shown, beside));
                }
                Err(stop) => return self.note("recv", stop),
            }
        }
    }

    /// One receiving call that may wait.
    pub fn recv_once(&mut self, fd: Fd, max: usize, flags: i32) {
        let received = self.net.a.try_recv(self.net.now, fd, max, flags);
        let received = received.map(|received| (received.data.to_vec(), received.control, received.flags));
        self.note("recv", received);
    }

    /// What the error queue holds, the pending error, and what `poll` shows.
    pub fn state(&mut self, fd: Fd) {
        self.recv(fd, 60, MSG_ERRQUEUE);
        let error = int(&mut self.net.a, self.net.now, fd, SOL_SOCKET, SO_ERROR);
        let (shown, busy) = (poll(&self.net.a, fd), self.net.a.busy_poll(fd));
        self.note("state", (error, shown, busy));
    }

    /// That packet could not be delivered, says the other host, and something besides (RFC 4884).
    pub fn complain_of(&mut self, packet: &[u8]) {
        let mut quoted = packet[..packet.len().min(60)].to_vec();
        quoted.resize(128, 0);
        let extensions = [0x20, 0, 0, 0, 0, 8, 1, 1, 1, 2, 3, 4];
        let message = match self.domain() {
            AF_INET => with_checksum([&[3, 1, 0, 0, 0, 128 / 4, 0, 0], &quoted[..], &extensions].concat()),
            _ => [&[1, 3, 0, 0, 128 / 8, 0, 0, 0], &quoted[..], &extensions].concat(),
        };
        let protocol = if self.domain() == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
        let raw = self.net.b.socket(self.domain(), SOCK_RAW, protocol).unwrap();
        let to = a(self.domain(), 0);
        send_to(&mut self.net.b, self.net.now, raw, &message, &to);
        self.net.b.close(self.net.now, raw).unwrap();
    }

    /// The next packet gets lost, and the other host says so.
    pub fn complain_of_next(&mut self) {
        let next = self.net.a.stack_mut().poll_transmit(self.net.now);
        if let Some((_, transmit)) = next {
            let packet = transmit.to_frame().bytes.to_vec();
            self.note("packet", &packet);
            self.complain_of(&packet);
        }
        self.settle();
    }

    /// The next packet gets lost: it is too long for a path, says the other host.
    pub fn too_big(&mut self) {
        let Some((_, transmit)) = self.net.a.stack_mut().poll_transmit(self.net.now) else { return };
        let packet = transmit.to_frame().bytes.to_vec();
        let message = [&[2, 0, 0, 0, 0, 0, 5, 20], &packet[..packet.len().min(60)]].concat();
        let raw = self.net.b.socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6).unwrap();
        send_to(&mut self.net.b, self.net.now, raw, &message, &a(AF_INET6, 0));
        self.settle();
    }

    /// That the next packet got lost, which is one of IPv4 that a socket of IPv6 has sent.
    pub fn complain_of_v4(&mut self) {
        let domain = core::mem::replace(&mut self.kind.domain, AF_INET);
        self.complain_of_next();
        self.kind.domain = domain;
    }

    /// Sends until that would wait.
    pub fn fill(&mut self, fd: Fd, data: &[u8], to: Option<&SockAddr>) {
        let mut count = 0;
        // The last of them may only say that it would wait.
        for _ in 0..=1000 {
            match self.net.a.try_send(self.net.now, fd, &mut Rope::from(data), 0, to) {
                Ok(taken) => count += taken.min(1),
                Err(Stop::Wait(wait)) => return self.note("fill", (count, wait)),
                Err(stop) => return self.note("fill", (count, stop)),
            }
        }
        self.note("fill", "no end");
    }
}

/// A message of ICMP, whose checksum is 0 still.
pub fn with_checksum(mut message: Vec<u8>) -> Vec<u8> {
    let words = message.chunks(2).map(|word| u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]));
    let mut sum: u32 = words.map(u32::from).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    message[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    message
}
