//! The host on this stack, in virtual time.

use std::time::Duration;

use tapsock::{Errno, SockAddr};
use tapsock_sockets::constants::{SO_ERROR, SOCK_NONBLOCK, SOL_SOCKET};
use tapsock_sockets::{Fd, Permission, Sockets, Stop};
use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::iface::{InterfaceId, Route, RouteKind};
use tapsock_stack::stack::Stack;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::{LinkCaps, Medium};

use crate::craft::host_station;
use crate::host::{End, Sent, Setup, Way};

/// When its clock begins: not at zero, which no clock shows.
const BEGINNING: Instant = Instant::from_secs(1000);

pub struct Ours {
    sockets: Sockets,
    now: Instant,
    ports: Vec<InterfaceId>,
}

impl Ours {
    pub fn new(setup: &Setup) -> Ours {
        let mut config = Config::default();
        let mut set = |name: &str, value: &str| {
            config.set(name, value).unwrap_or_else(|error| panic!("{name}={value}: {error}"));
        };
        for (name, value) in setup.settings {
            set(name, value);
            // Those for neighbours hold for both families here.
            if name.contains(".neigh.") {
                set(&name.replace("ipv4", "ipv6"), value);
            }
        }
        let stack = Stack::new(config, 7, BEGINNING);
        Ours { sockets: Sockets::new(stack, Permission::Privileged), now: BEGINNING, ports: Vec::new() }
    }

    fn take_sent(&mut self, sent: &mut Vec<Sent>) {
        while let Some((interface, mut frame)) = self.sockets.stack_mut().poll_transmit(self.now) {
            frame.complete_checksum();
            let port = self.ports.iter().position(|id| *id == interface).expect("an interface of the script");
            sent.push(Sent { at: self.now(), port, bytes: frame.to_frame().bytes.to_vec() });
        }
        while self.sockets.poll_event().is_some() {}
    }
}

impl End for Ours {
    fn begin(&mut self, setup: &Setup) {
        for port in 0..setup.ports {
            let caps = LinkCaps::plain(Medium::Ethernet, 1500);
            let station = EthernetAddress(host_station(port));
            let added = self.sockets.stack_mut().add_interface(&format!("tap{port}"), station, caps);
            self.ports.push(added.expect("there is room for it"));
        }
        for (port, cidr) in setup.addresses {
            self.add_address(*port, cidr);
        }
        for way in setup.ways {
            self.add_route(way);
        }
    }

    fn now(&self) -> Duration {
        self.now.saturating_since(BEGINNING)
    }

    fn pass(&mut self, time: Duration) -> Vec<Sent> {
        let until = self.now + time;
        let mut sent = Vec::new();
        self.take_sent(&mut sent);
        while let Some(at) = self.sockets.stack().poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.sockets.stack_mut().handle_timeout(self.now);
            self.take_sent(&mut sent);
        }
        self.now = until;
        sent
    }

    fn inject(&mut self, port: usize, frame: &[u8]) {
        self.sockets.stack_mut().receive(self.now, self.ports[port], Frame::from(frame.to_vec()));
    }

    fn set(&mut self, name: &str, value: &str) {
        let set = self.sockets.stack_mut().config_mut().set(name, value);
        set.unwrap_or_else(|error| panic!("{name}={value}: {error}"));
    }

    fn add_address(&mut self, port: usize, cidr: &str) {
        let cidr = cidr.parse().expect("an address");
        self.sockets.stack_mut().add_address(self.ports[port], cidr).expect("it can be given");
    }

    fn remove_address(&mut self, port: usize, cidr: &str) {
        let (address, _) = cidr.split_once('/').expect("an address with its prefix");
        let address = address.parse().expect("an address");
        self.sockets.stack_mut().remove_address(self.ports[port], address).expect("it is there");
    }

    fn add_route(&mut self, way: &Way) {
        let (to, port) = (way.to.parse().expect("a prefix"), self.ports[way.port]);
        let mut route = match way.via {
            Some(gateway) => Route::via(to, gateway.parse().expect("an address"), port),
            None => Route::direct(to, port),
        };
        route.mtu = way.mtu;
        route.kind = match way.kind {
            "blackhole" => RouteKind::Blackhole,
            "unreachable" => RouteKind::Unreachable,
            "prohibit" => RouteKind::Prohibited,
            _ => route.kind,
        };
        self.sockets.stack_mut().add_route(route).expect("there is room for it");
    }

    fn index(&self, port: usize) -> u32 {
        self.ports[port].index()
    }

    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> i32 {
        self.sockets.socket(domain, kind | SOCK_NONBLOCK, protocol).expect("there is room for it").0
    }

    fn bind(&mut self, socket: i32, to: &SockAddr) -> Result<(), Errno> {
        self.sockets.bind(self.now, Fd(socket), to)
    }

    fn connect(&mut self, socket: i32, to: &SockAddr) -> Result<(), Errno> {
        self.sockets.try_connect(self.now, Fd(socket), to).map_err(errno)
    }

    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        self.sockets.set_option(self.now, Fd(socket), level, name, value)
    }

    fn send(&mut self, socket: i32, data: &[u8], to: Option<&SockAddr>) -> Result<usize, Errno> {
        let mut rope = Rope::from(data.to_vec());
        self.sockets.try_send(self.now, Fd(socket), &mut rope, 0, to).map_err(errno)
    }

    fn close(&mut self, socket: i32) {
        self.sockets.close(self.now, Fd(socket)).expect("it is open");
    }

    fn error(&mut self, socket: i32) -> i32 {
        let mut value = [0; 4];
        let error = self.sockets.option(self.now, Fd(socket), SOL_SOCKET, SO_ERROR).expect("it is open");
        error.copy_out(&mut value).expect("an `int` is cut");
        i32::from_ne_bytes(value)
    }
}

fn errno(stop: Stop) -> Errno {
    match stop {
        Stop::Error(errno) => errno,
        Stop::Wait(_) => Errno::AGAIN,
    }
}
