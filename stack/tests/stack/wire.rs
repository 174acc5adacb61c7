//! A wire that joins stacks, and its clock.

use core::net::SocketAddr;
use core::ops::{Index, IndexMut};
use core::time::Duration;
use std::collections::VecDeque;

use tapsock_stack::buf::Frame;
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::ports::{BindId, BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::{Family, ListenerId, SocketId, Stack, TcpId};
use tapsock_stack::tcp::State;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit};

/// Steps at one instant at the most: more, and somebody plays tennis.
const MAX_STEPS_AT_ONCE: u32 = 1_000_000;

/// The link of every host.
pub const ETH: InterfaceId = InterfaceId(1);

/// Links without and with offloads.
pub const LINKS: [LinkCaps; 2] =
    [LinkCaps::plain(Medium::Ethernet, 1500), LinkCaps::offloading(Medium::Ethernet, 1500)];

/// IPv4 and IPv6 of host 0 and host 1, and of each host to itself.
pub const PAIRS: [(&str, &str); 2] = [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")];

/// What becomes of a frame.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    Pass,
    Lose,
}

type Filter = Box<dyn FnMut(usize, &Frame) -> Fate>;

/// Hosts on one Ethernet: host `n` has 10.0.0.(n + 1)/24 and fd00::(n + 1)/64.
pub struct Wire {
    pub now: Instant,
    /// How long a frame takes.
    pub delay: Duration,
    hosts: Vec<Host>,
    under_way: VecDeque<(Instant, usize, Frame)>,
    filter: Option<Filter>,
    /// All frames that were sent, with their sender; only while `sniffing`.
    pub seen: Vec<(usize, Frame)>,
    pub sniffing: bool,
    next_port: u16,
}

struct Host {
    stack: Stack,
    caps: LinkCaps,
    events: Vec<SocketId>,
}

impl Index<usize> for Wire {
    type Output = Stack;

    fn index(&self, host: usize) -> &Stack {
        &self.hosts[host].stack
    }
}

impl IndexMut<usize> for Wire {
    fn index_mut(&mut self, host: usize) -> &mut Stack {
        &mut self.hosts[host].stack
    }
}

/// The station address of host `n`.
pub fn station(host: usize) -> EthernetAddress {
    EthernetAddress([2, 0, 0, 0, 0, host as u8 + 1])
}

impl Wire {
    /// `count` hosts with Linux's settings.
    pub fn new(count: usize, caps: LinkCaps) -> Self {
        Wire::with_config(count, caps, &Config::default())
    }

    pub fn with_config(count: usize, caps: LinkCaps, config: &Config) -> Self {
        let mut wire = Wire {
            now: Instant::from_secs(1),
            delay: Duration::from_micros(100),
            hosts: Vec::new(),
            under_way: VecDeque::new(),
            filter: None,
            seen: Vec::new(),
            sniffing: false,
            next_port: 1100,
        };
        for host in 0..count {
            let mut stack = Stack::new(config.clone(), 42 + host as u64, wire.now);
            let eth = stack.add_interface("eth0", station(host), caps).unwrap();
            assert_eq!(eth, ETH);
            let number = host + 1;
            for cidr in [format!("10.0.0.{number}/24"), format!("fd00::{number}/64")] {
                stack.add_address(eth, cidr.parse().unwrap()).unwrap();
            }
            wire.hosts.push(Host { stack, caps, events: Vec::new() });
        }
        wire
    }

    /// Decides on every frame from now on: told are the sender's number and the frame.
    pub fn filter(&mut self, filter: impl FnMut(usize, &Frame) -> Fate + 'static) {
        self.filter = Some(Box::new(filter));
    }

    pub fn pass_all(&mut self) {
        self.filter = None;
    }

    pub fn counter(&self, host: usize, counter: Counter) -> u64 {
        self[host].counters()[counter]
    }

    /// The sockets that a host was told of, in order.
    pub fn events(&mut self, host: usize) -> Vec<SocketId> {
        core::mem::take(&mut self.hosts[host].events)
    }

    /// Hands a frame to a host as if it came over the wire.
    pub fn inject(&mut self, host: usize, frame: impl Into<Frame>) {
        let now = self.now;
        self[host].receive(now, ETH, frame.into());
        self.flush();
    }

    /// Takes what the hosts want to send and tell.
    pub fn flush(&mut self) {
        for host in 0..self.hosts.len() {
            while let Some((interface, transmit)) = self.hosts[host].stack.poll_transmit(self.now) {
                assert_eq!(interface, ETH, "lo has no wire");
                self.emit(host, transmit);
            }
            while let Some((event, _)) = self.hosts[host].stack.poll_event() {
                self.hosts[host].events.push(event);
            }
        }
    }

    fn emit(&mut self, host: usize, mut transmit: Transmit) {
        hold_to_caps(&transmit, self.hosts[host].caps);
        if !self.hosts[host].caps.fills_checksums {
            transmit.complete_checksum();
        }
        let frame = transmit.to_frame();
        if self.sniffing {
            self.seen.push((host, frame.clone()));
        }
        let fate = self.filter.as_mut().map_or(Fate::Pass, |filter| filter(host, &frame));
        if fate == Fate::Pass {
            self.under_way.push_back((self.now + self.delay, host, frame));
        }
    }

    /// Goes on to the next arrival or deadline. False where there is none before `limit`, which is then the time.
    pub fn step(&mut self, limit: Instant) -> bool {
        self.flush();
        let arrival = self.under_way.front().map(|(at, ..)| *at);
        let deadline = self.hosts.iter().filter_map(|host| host.stack.poll_timeout()).min();
        let next = match (arrival, deadline) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => match a.or(b) {
                Some(at) => at,
                None => Instant::from_nanos(u64::MAX),
            },
        };
        if next > limit {
            self.now = limit.max(self.now);
            return false;
        }
        self.now = next.max(self.now);
        let now = self.now;
        if arrival == Some(next) {
            let (_, from, frame) = self.under_way.pop_front().unwrap();
            for host in (0..self.hosts.len()).filter(|host| *host != from) {
                self.hosts[host].stack.receive(now, ETH, frame.clone());
            }
        } else {
            for host in &mut self.hosts {
                if host.stack.poll_timeout().is_some_and(|at| at <= now) {
                    host.stack.handle_timeout(now);
                }
            }
        }
        self.flush();
        true
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end, |_| false);
    }

    /// Runs until `done`, or until `end`. Says whether it was done.
    pub fn run_until(&mut self, end: Instant, mut done: impl FnMut(&mut Wire) -> bool) -> bool {
        let (mut at, mut steps) = (self.now, 0);
        loop {
            if done(self) {
                return true;
            }
            if !self.step(end) {
                return done(self);
            }
            steps = if self.now == at { steps + 1 } else { 0 };
            at = self.now;
            assert!(steps < MAX_STEPS_AT_ONCE, "time stands still at {at:?}");
        }
    }

    /// Runs until nothing is under way any more, but at most for ten milliseconds.
    pub fn settle(&mut self) {
        let end = self.now + Duration::from_millis(10);
        self.run_until(end, |wire| {
            wire.flush();
            wire.under_way.is_empty()
        });
    }

    /// Lets hosts 0 and 1 find each other on the link.
    pub fn neighbors(&mut self) {
        for (_, address) in PAIRS {
            let id = self[0].udp_open(family_of(address));
            let (now, payload) = (self.now, tapsock_stack::buf::Rope::from(vec![0]));
            self[0].udp_send(now, id, payload, Some(at(address, 9)), Default::default()).unwrap();
            self[0].udp_close(id);
        }
        self.settle();
        self.events(0);
    }

    pub fn bind(&mut self, host: usize, protocol: Transport, address: &str, port: u16) -> BindId {
        let address = LocalAddr::new(address.parse().unwrap(), 0);
        let request = BindRequest { port, ..BindRequest::new(protocol, address) };
        self[host].bind(request).unwrap()
    }

    pub fn listen(&mut self, host: usize, address: &str, port: u16, backlog: usize) -> ListenerId {
        let options = self[host].config().tcp_options();
        let bind = self.bind(host, Transport::Tcp, address, port);
        self[host].tcp_listen(bind, backlog, options).unwrap()
    }

    pub fn connect(&mut self, host: usize, to: SocketAddr) -> TcpId {
        let (now, options) = (self.now, self[host].config().tcp_options());
        self[host].tcp_connect(now, None, to, options).unwrap()
    }

    /// A connection from host 0 to host `there`, both ends. They use the addresses of `pair`.
    pub fn pair(&mut self, there: usize, address: &str) -> (TcpId, TcpId) {
        self.next_port += 1;
        let port = self.next_port;
        let listener = self.listen(there, address, port, 8);
        let active = self.connect(0, at(address, port));
        self.settle();
        let passive = self[there].tcp_accept(listener).expect("the handshake is done");
        assert_eq!(self.state(0, active), State::Established);
        let now = self.now;
        self[there].close_listener(now, listener);
        (active, passive)
    }

    pub fn state(&self, host: usize, id: TcpId) -> State {
        self[host].tcp(id).expect("the connection is held").state()
    }
}

/// The link can do what it is asked to.
fn hold_to_caps(transmit: &Transmit, caps: LinkCaps) {
    let packet = transmit.len() - caps.medium.header_len();
    match transmit.segmentation {
        None => assert!(packet <= caps.mtu, "{packet} bytes over an MTU of {}", caps.mtu),
        Some(how) => {
            assert!(packet <= caps.gso_max, "{packet} bytes for a link that cuts {}", caps.gso_max);
            let headers = transmit.headers.len() - caps.medium.header_len();
            assert!(headers + usize::from(how.size) <= caps.mtu, "segments of {} bytes", how.size);
        }
    }
}

pub fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

pub fn family_of(address: &str) -> Family {
    if address.contains(':') { Family::V6 } else { Family::V4 }
}
