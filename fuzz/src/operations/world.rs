//! Two hosts, the wire between them, and time.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use tapsock_stack::buf::Rope;
use tapsock_stack::config::Config;
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::{self, Linger, ListenerId, PingId, Stack, UdpSendOptions};
use tapsock_stack::tcp::Options;
use tapsock_stack::tcp::config::{CongestionKind, KeepAlive};
use tapsock_stack::tcp::connection::Shutdown;
use tapsock_stack::time::Instant;
use tapsock_stack::udp::UdpId;
use tapsock_stack::wire::offload::{LinkCaps, Medium};

use super::scenario::{
    HostSetup, How, Letting, Link, Operation, Port, Setup, Side, SocketOption, Start, Whom,
};
use super::sockets::Socket;
use super::watch::Watch;
use super::wire::Flying;
use crate::craft::{Family, address, station};

pub(super) const ETH: InterfaceId = InterfaceId(1);
const UDP_PORT: u16 = 5000;

/// Sockets of one run at most.
const MAX_SOCKETS: usize = 40;

/// Bytes that one connection is written in all at most.
const MAX_WRITTEN: u64 = 4 << 20;

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) delay: Duration,
    pub(super) caps: LinkCaps,
    pub(super) hosts: [Host; 2],
    pub(super) sockets: Vec<Socket>,
    pub(super) under_way: VecDeque<Flying>,
    pub(super) remembered: VecDeque<(usize, Vec<u8>)>,
    pub(super) watch: Watch,
    pub(super) lose_every: u64,
    pub(super) delay_every: u64,
    /// Frames that were sent so far.
    pub(super) emitted: u64,
    /// Whether to tell what happens.
    pub(super) show: bool,
}

pub(super) struct Host {
    pub(super) stack: Stack,
    options: Options,
    pub(super) listeners: Vec<(Port, ListenerId)>,
    udp: [UdpId; 2],
    ping: [PingId; 2],
    pub(super) down: bool,
}

impl Host {
    fn new(number: usize, setup: &HostSetup, caps: LinkCaps, now: Instant) -> Self {
        let config = Config { tcp_abort_on_overflow: setup.abort_on_overflow, ..Config::default() };
        let mut stack = Stack::new(config, 1 + number as u64, now);
        let eth = stack.add_interface("eth0", station(number), caps).expect("the first");
        for family in [Family::V4, Family::V6] {
            let prefix = if family == Family::V4 { 24 } else { 64 };
            let cidr = format!("{}/{prefix}", address(number, family)).parse().expect("an address");
            stack.add_address(eth, cidr).expect("room");
        }
        let mut options = stack.config().tcp_options();
        options.sack = setup.features.sack();
        options.timestamps = setup.features.timestamps();
        options.window_scaling = setup.features.window_scaling();
        options.congestion = congestion(!setup.features.cubic());
        if let Some(units) = setup.receive_buffer {
            (options.receive_buffer, options.receive_buffer_max) = (buffer(units), None);
        }
        if let Some(units) = setup.send_buffer {
            (options.send_buffer, options.send_buffer_max) = (buffer(units), None);
        }
        let families = [stack::Family::V4, stack::Family::V6];
        let udp = families.map(|family| {
            let id = stack.udp_open(family);
            let any = match family {
                stack::Family::V4 => LocalAddr::AnyV4,
                stack::Family::V6 => LocalAddr::AnyV6 { only_v6: true },
            };
            let request = BindRequest { port: UDP_PORT, ..BindRequest::new(Transport::Udp, any) };
            let bind = stack.bind(request).expect("the port is free");
            stack.udp_bind(id, bind);
            id
        });
        let ping = families.map(|family| stack.ping_open(family).expect("room"));
        Host { stack, options, listeners: Vec::new(), udp, ping, down: false }
    }
}

/// What `setsockopt` would make of it: never less than Linux's minimum.
fn buffer(units: u8) -> u32 {
    (u32::from(units) * 256).max(2304)
}

fn congestion(reno: bool) -> CongestionKind {
    if reno { CongestionKind::Reno } else { CongestionKind::Cubic }
}

impl World {
    pub(super) fn new(setup: &Setup, show: bool) -> Self {
        let caps = match setup.link {
            Link::Plain => LinkCaps::plain(Medium::Ethernet, 1500),
            Link::Offloading => LinkCaps::offloading(Medium::Ethernet, 1500),
            Link::Small => LinkCaps::plain(Medium::Ethernet, 1280),
            Link::Jumbo => LinkCaps::plain(Medium::Ethernet, 9000),
        };
        let now = Instant::from_secs(1_000);
        let [left, right] = &setup.hosts;
        let mut world = World {
            now,
            delay: Duration::from_millis(setup.delay_ms.into()),
            caps,
            hosts: [Host::new(0, left, caps, now), Host::new(1, right, caps, now)],
            sockets: Vec::new(),
            under_way: VecDeque::new(),
            remembered: VecDeque::new(),
            watch: Watch::default(),
            lose_every: 0,
            delay_every: 0,
            emitted: 0,
            show,
        };
        if setup.start != Start::Nothing {
            world.begin(Side::Right, Family::V4);
        }
        if setup.start == Start::ConnectedTwice {
            world.begin(Side::Left, Family::V6);
        }
        world
    }

    /// A connection to the host `to`, which listens from now on.
    fn begin(&mut self, to: Side, family: Family) {
        self.listen(to, Port::One, 4);
        let from = if to == Side::Left { Side::Right } else { Side::Left };
        self.connect(from, family, Port::One, None, Whom::Peer);
        self.pass(Duration::from_millis(1100));
        self.accept(to.index());
    }

    pub(super) fn perform(&mut self, operation: &Operation) {
        if self.show {
            eprintln!("{operation:?}");
        }
        match *operation {
            Operation::Listen { side, port, backlog } => self.listen(side, port, backlog.into()),
            Operation::Connect { side, family, port, own_port, whom } => {
                self.connect(side, family, port, own_port, whom);
            }
            Operation::Accept { side } => self.accept(side.index()),
            Operation::Write { socket, len } => self.with_socket(socket, |socket, stack, now| {
                socket.write(stack, now, len.into());
            }),
            Operation::WriteMuch { socket } => self.with_socket(socket, |socket, stack, now| {
                if socket.written < MAX_WRITTEN {
                    socket.write(stack, now, 200_000);
                }
            }),
            Operation::Read { socket, max } => self.with_socket(socket, |socket, stack, now| {
                socket.read(stack, now, max.into());
            }),
            Operation::ReadAll { socket } => {
                self.with_socket(socket, |socket, stack, now| while socket.read(stack, now, usize::MAX) {})
            }
            Operation::Shutdown { socket, how } => self.with_socket(socket, |socket, stack, now| {
                socket.shutdown(stack, now, shutdown(how));
            }),
            Operation::Close { socket, how } => self.with_socket(socket, |socket, stack, now| {
                let linger = if how == Letting::Abort { Linger::Abort } else { Linger::Background };
                stack.tcp_close(now, socket.id, linger);
                socket.held = false;
            }),
            Operation::Change { socket, option } => self.with_socket(socket, |socket, stack, now| {
                stack.set_tcp_options(now, socket.id, |options| change(options, option));
            }),
            Operation::CloseListener { side } => self.close_listener(side.index()),
            Operation::Datagram { side, family, len, segment } => self.datagram(side, family, len, segment),
            Operation::Ping { side, family, len } => self.ping(side, family, len.into()),
            Operation::Pass { millis } => self.pass(Duration::from_millis(millis.into())),
            Operation::PassSeconds { secs } => self.pass(Duration::from_secs(secs.into())),
            Operation::Run { rounds } => (0..rounds % 32).for_each(|_| self.round()),
            Operation::LoseEvery { count } => self.lose_every = count.into(),
            Operation::DelayEvery { count } => self.delay_every = count.into(),
            Operation::Lose { frame } => drop(self.frame_at(frame).and_then(|at| self.under_way.remove(at))),
            Operation::Repeat { frame } => self.repeat(frame),
            Operation::Swap { frame } => self.swap(frame),
            Operation::Flip { frame, byte, bit } => self.flip(frame, byte.into(), bit),
            Operation::Forge { socket, ref segment } => self.forge(socket, segment),
            Operation::ForgeSyn { side, family, port, from, ref segment } => {
                let own = SocketAddr::new(address(side.index(), family), port.service());
                let other = SocketAddr::new(address(side.other(), family), from.own());
                self.send_forged(segment, (other, own), side.index(), family);
            }
            Operation::Complain { frame, complaint } => self.complain(frame, complaint),
            Operation::LinkDown { side, really } => self.link_down(side.index(), really),
        }
        self.flush();
    }

    fn listen(&mut self, side: Side, port: Port, backlog: usize) {
        let host = &mut self.hosts[side.index()];
        let any = LocalAddr::AnyV6 { only_v6: false };
        let request = BindRequest { port: port.service(), ..BindRequest::new(Transport::Tcp, any) };
        let Ok(bind) = host.stack.bind(request) else { return };
        if let Ok(id) = host.stack.tcp_listen(bind, backlog, host.options.clone()) {
            host.listeners.push((port, id));
        }
    }

    fn connect(&mut self, side: Side, family: Family, port: Port, own_port: Option<Port>, whom: Whom) {
        if self.sockets.len() >= MAX_SOCKETS {
            return;
        }
        let there = match whom {
            Whom::Peer | Whom::PeerToo | Whom::PeerAsWell => side.other(),
            Whom::Ourselves => side.index(),
            Whom::Nobody => 7,
        };
        let to = SocketAddr::new(address(there, family), port.service());
        let host = &mut self.hosts[side.index()];
        let bind = own_port.and_then(|own| {
            let any = LocalAddr::AnyV6 { only_v6: false };
            let port = own.own();
            let request = BindRequest { port, reuse_address: true, ..BindRequest::new(Transport::Tcp, any) };
            host.stack.bind(request).ok()
        });
        let made = host.stack.tcp_connect(self.now, bind, to, host.options.clone());
        if let Some(bind) = bind {
            host.stack.unbind(bind);
        }
        let Ok(id) = made else { return };
        self.sockets.extend(Socket::new(&host.stack, side.index(), id));
        self.trust_last();
    }

    pub(super) fn accept(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        for (_, listener) in &host.listeners {
            while let Some(id) = host.stack.tcp_accept(*listener) {
                self.sockets.extend(Socket::new(&host.stack, index, id));
                if let Some(socket) = self.sockets.last_mut() {
                    socket.trusted = !self.watch.is_forged(&(socket.local, socket.remote));
                }
            }
        }
    }

    fn trust_last(&mut self) {
        if let Some(socket) = self.sockets.last_mut() {
            socket.trusted = !self.watch.is_forged(&(socket.local, socket.remote));
        }
    }

    pub(super) fn close_listener(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        if let Some((_, id)) = host.listeners.pop() {
            host.stack.close_listener(self.now, id);
        }
    }

    /// Does something with the socket of this number that is held.
    fn with_socket(&mut self, number: u8, act: impl FnOnce(&mut Socket, &mut Stack, Instant)) {
        let mut held: Vec<&mut Socket> = self.sockets.iter_mut().filter(|socket| socket.held).collect();
        let count = held.len().max(1);
        if let Some(socket) = held.get_mut(usize::from(number) % count) {
            let stack = &mut self.hosts[socket.host].stack;
            act(socket, stack, self.now);
        }
    }

    fn datagram(&mut self, side: Side, family: Family, len: u16, segment: Option<u16>) {
        let host = &mut self.hosts[side.index()];
        let to = SocketAddr::new(address(side.other(), family), UDP_PORT);
        let options = UdpSendOptions { segment_size: segment, ..UdpSendOptions::default() };
        let payload = Rope::from(vec![len as u8; len.into()]);
        let _ = host.stack.udp_send(self.now, host.udp[family as usize], payload, Some(to), options);
        let other = &mut self.hosts[side.other()];
        while let Ok(datagram) = other.stack.udp_recv(other.udp[family as usize]) {
            let bytes = datagram.payload.to_vec();
            assert!(bytes.windows(2).all(|pair| pair[0] == pair[1]), "a datagram is one sender's");
        }
    }

    fn ping(&mut self, side: Side, family: Family, len: usize) {
        let host = &mut self.hosts[side.index()];
        let to = SocketAddr::new(address(side.other(), family), 0);
        let kind = if family == Family::V4 { 8 } else { 128 };
        let message = [&[kind, 0, 0, 0, 0, 0, 0, 1][..], &vec![7; len]].concat();
        let id = host.ping[family as usize];
        let _ = host.stack.ping_send(self.now, id, &Rope::from(message), Some(to));
        while host.stack.ping_recv(id).is_ok() {}
    }

    /// Programs write a little and read all, and a millisecond passes.
    fn round(&mut self) {
        for socket in self.sockets.iter_mut().filter(|socket| socket.held) {
            let stack = &mut self.hosts[socket.host].stack;
            socket.write(stack, self.now, 700);
            while socket.read(stack, self.now, 5_000) {}
        }
        self.pass(Duration::from_millis(1));
    }
}

fn shutdown(how: How) -> Shutdown {
    match how {
        How::Read => Shutdown::Read,
        How::Write => Shutdown::Write,
        How::Both => Shutdown::Both,
    }
}

fn change(options: &mut Options, option: SocketOption) {
    match option {
        SocketOption::NoDelay(on) => options.no_delay = on,
        SocketOption::Cork(on) => options.cork = on,
        SocketOption::ReceiveBuffer(units) => options.receive_buffer = buffer(units),
        SocketOption::SendBuffer(units) => options.send_buffer = buffer(units),
        SocketOption::KeepAlive { probes, idle, interval } => {
            options.keep_alive = KeepAlive {
                enabled: true,
                probes: probes.clamp(1, 127),
                idle_secs: u16::from(idle).max(1),
                interval_secs: u16::from(interval).max(1),
            };
        }
        SocketOption::UserTimeout { secs } => {
            options.rare_mut().user_timeout = (secs > 0).then(|| Duration::from_secs(secs.into()));
        }
        SocketOption::Reno(on) => options.congestion = congestion(on),
        SocketOption::MaxSegment(bytes) => options.max_segment = Some(bytes.clamp(88, 32_767)),
    }
}
