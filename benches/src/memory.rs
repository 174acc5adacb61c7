//! Two stacks with their sockets on a wire in memory: what the protocol costs, without a device, a kernel or a wait.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant as Clock};

use tapsock_driver::pool::Pool;
use tapsock_sockets::constants::{AF_INET, SOCK_NONBLOCK, SOCK_STREAM, SOL_TCP, TCP_NODELAY};
use tapsock_sockets::{Fd, Permission, SockAddr, Sockets};
use tapsock_stack::buf::{Checksum, Chunk, Frame, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::iface::{InterfaceId, Route};
use tapsock_stack::stack::Stack;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit};

/// Bytes of a message in a round trip and of a request and its answer, unless a case says otherwise.
pub(crate) const MESSAGE: usize = 64;
/// Frames that go one way before the other end is asked, as a driver reads them.
const BATCH: usize = 16;
/// Bytes that a program writes and reads at once.
const CHUNK: usize = 64 * 1024;
/// Virtual time of a turn.
const TURN: Duration = Duration::from_micros(50);
/// Virtual time in which everything that was under way has ended.
const REST: Duration = Duration::from_secs(5);
/// Connections that are begun before they are accepted.
const GROUP: usize = 256;
/// The first port that is listened on, and connections to each: fewer than there are ports of the other end.
pub(crate) const PORT: u16 = 5001;
const PER_PORT: usize = 25_000;
const PORTS: u16 = 5;
/// Turns without progress after which something is wrong.
const PATIENCE: usize = 100_000;

const SENDER: usize = 0;
const RECEIVER: usize = 1;

/// Frames of 1,500 bytes, their checksums left to the link.
pub(crate) const SINGLE: LinkCaps =
    LinkCaps { medium: Medium::Ethernet, mtu: 1500, gso_max: 0, udp_gso: false, fills_checksums: true };
/// Frames of up to 64 KiB.
pub(crate) const MERGED: LinkCaps = LinkCaps::offloading(Medium::Ethernet, 1500);

/// What moving bytes cost each end.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) send: Duration,
    pub(crate) receive: Duration,
    /// Frames with data.
    pub(crate) frames: u64,
}

impl Cost {
    /// Nanoseconds of the sender for each frame.
    pub(crate) fn send_ns(&self) -> f64 {
        self.send.as_nanos() as f64 / self.frames as f64
    }

    /// Nanoseconds of the receiver for each frame.
    pub(crate) fn receive_ns(&self) -> f64 {
        self.receive.as_nanos() as f64 / self.frames as f64
    }
}

/// An established connection, as its two ends know it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Flow([Fd; 2]);

/// Two hosts and what is between them.
pub(crate) struct Wire {
    ends: [Sockets; 2],
    interface: InterfaceId,
    listeners: Vec<Fd>,
    pool: Pool,
    now: Instant,
    data: Chunk,
    frames: Vec<Transmit>,
    /// The last frame with data that the receiving end was given, where somebody wants it.
    sampled: Option<Vec<u8>>,
}

impl Wire {
    pub(crate) fn new(caps: LinkCaps) -> Self {
        let now = Instant::from_secs(1);
        let mut interface = InterfaceId::LOOPBACK;
        let mut ends = [1, 2].map(|host| {
            let mut stack = Stack::new(Config::default(), host.into(), now);
            interface = stack
                .add_interface("wire0", EthernetAddress([2, 0, 0, 0, 0, host]), caps)
                .expect("the first interface");
            let cidr = format!("10.0.0.{host}/8").parse().expect("an address");
            stack.add_address(interface, cidr).expect("the first address");
            // Each is the other's way to everybody else.
            let (everywhere, other) =
                ("0.0.0.0/0".parse().expect("a network"), IpAddr::from([10, 0, 0, 3 - host]));
            let route = Route { gateway: Some(other), ..Route::direct(everywhere, interface) };
            stack.add_route(route).expect("the first route");
            let mut sockets = Sockets::new(stack, Permission::Ordinary);
            sockets.set_limit(1 << 20);
            sockets
        });
        let listeners = (0..PORTS).map(|index| {
            let server = &mut ends[RECEIVER];
            let listener = server.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).expect("a socket");
            server.bind(now, listener, &address(index)).expect("a free port");
            server.listen(now, listener, 4096).expect("a bound socket");
            listener
        });
        let listeners = listeners.collect();
        let data = Chunk::from(vec![0x5a; CHUNK]);
        Wire {
            ends,
            interface,
            listeners,
            pool: Pool::new(),
            now,
            data,
            frames: Vec::with_capacity(BATCH),
            sampled: None,
        }
    }

    /// Opens `count` connections, at most as many as there are ports for.
    pub(crate) fn open(&mut self, count: usize) -> Vec<Flow> {
        let mut flows = Vec::with_capacity(count);
        while flows.len() < count {
            let port = flows.len() / PER_PORT;
            let group = GROUP.min(count - flows.len()).min((port + 1) * PER_PORT - flows.len());
            let connecting: Vec<Fd> = (0..group).map(|_| self.connect(port as u16)).collect();
            self.settle();
            for near in connecting {
                let accepted = self.ends[RECEIVER].try_accept(self.now, self.listeners[port], SOCK_NONBLOCK);
                let (far, _) = accepted.expect("it has connected");
                self.ends[RECEIVER]
                    .set_option(self.now, far, SOL_TCP, TCP_NODELAY, &1i32.to_ne_bytes())
                    .expect("TCP");
                flows.push(Flow([near, far]));
            }
        }
        flows
    }

    fn connect(&mut self, port: u16) -> Fd {
        let end = &mut self.ends[SENDER];
        let socket = end.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).expect("below the limit");
        end.set_option(self.now, socket, SOL_TCP, TCP_NODELAY, &1i32.to_ne_bytes()).expect("TCP");
        // EINPROGRESS.
        let _ = end.try_connect(self.now, socket, &address(port));
        socket
    }

    /// Lets everything that is under way arrive, and all timers of a connection that falls idle run out.
    pub(crate) fn settle(&mut self) {
        while self.exchange(SENDER) + self.exchange(RECEIVER) > 0 {}
        for _ in 0..4 {
            self.now += REST / 4;
            self.ends.iter_mut().for_each(|end| end.stack_mut().handle_timeout(self.now));
            while self.exchange(SENDER) + self.exchange(RECEIVER) > 0 {}
        }
    }

    /// Carries up to a batch of frames from one end to the other; how many.
    fn exchange(&mut self, from: usize) -> usize {
        self.collect(from);
        self.hand_over(1 - from)
    }

    fn collect(&mut self, from: usize) {
        let end = &mut self.ends[from];
        while self.frames.len() < BATCH {
            let Some((_, transmit)) = end.stack_mut().poll_transmit(self.now) else { break };
            self.frames.push(transmit);
        }
        while end.poll_event().is_some() {}
    }

    fn hand_over(&mut self, to: usize) -> usize {
        let count = self.frames.len();
        for transmit in self.frames.drain(..) {
            let frame = carry(&mut self.pool, &transmit);
            if let (RECEIVER, Some(sampled), false) = (to, &mut self.sampled, transmit.payload.is_empty()) {
                *sampled = frame.bytes.to_vec();
            }
            self.ends[to].stack_mut().receive(self.now, self.interface, frame);
        }
        while self.ends[to].poll_event().is_some() {}
        count
    }

    /// Sends `bytes` over `flow`, timing each end's own work: not the carrying of frames, which stands for the device,
    /// and not the copies from and to a program's buffer.
    pub(crate) fn bulk(&mut self, flow: Flow, bytes: u64) -> Cost {
        let Flow([near, far]) = flow;
        let (mut cost, mut done, mut idle) = (Cost::default(), 0, 0);
        let mut carried = Vec::with_capacity(BATCH);
        while done < bytes {
            self.now += TURN;
            let clock = Clock::now();
            self.send_of_bulk(near);
            cost.send += clock.elapsed();
            cost.frames += self.frames.len() as u64;
            idle = if self.frames.is_empty() { idle + 1 } else { 0 };
            assert!(idle < PATIENCE, "nothing is sent any more");

            carried.extend(self.frames.drain(..).map(|transmit| carry(&mut self.pool, &transmit)));
            let clock = Clock::now();
            done += self.receive_of_bulk(far, &mut carried);
            cost.receive += clock.elapsed();

            carried.extend(self.frames.drain(..).map(|transmit| carry(&mut self.pool, &transmit)));
            let clock = Clock::now();
            self.answers_of_bulk(&mut carried);
            cost.send += clock.elapsed();
        }
        self.drain(far);
        cost
    }

    /// The sender writes what there is room for, and makes frames of it. Whoever counts instructions knows it by its name, as
    /// the two that follow.
    #[inline(never)]
    fn send_of_bulk(&mut self, near: Fd) {
        self.run_timers(SENDER);
        while self.ends[SENDER].send_space(near) >= CHUNK {
            let mut rope = Rope::from(self.data.clone());
            if self.ends[SENDER].try_send(self.now, near, &mut rope, 0, None).is_err() {
                break;
            }
        }
        self.collect(SENDER);
    }

    /// The receiver takes `frames`, reads, and answers. Returns the bytes that it has read.
    #[inline(never)]
    fn receive_of_bulk(&mut self, far: Fd, frames: &mut Vec<Frame>) -> u64 {
        self.run_timers(RECEIVER);
        for frame in frames.drain(..) {
            self.ends[RECEIVER].stack_mut().receive(self.now, self.interface, frame);
        }
        let mut done = 0;
        while let Ok(received) = self.ends[RECEIVER].try_recv(self.now, far, 4 * CHUNK, 0) {
            done += received.data.len() as u64;
        }
        self.collect(RECEIVER);
        done
    }

    /// The sender takes what was answered.
    #[inline(never)]
    fn answers_of_bulk(&mut self, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            self.ends[SENDER].stack_mut().receive(self.now, self.interface, frame);
        }
    }

    /// Lets the receiver of a bulk read what is still under way.
    fn drain(&mut self, far: Fd) {
        self.settle();
        while let Ok(received) = self.ends[RECEIVER].try_recv(self.now, far, usize::MAX, 0) {
            assert!(!received.data.is_empty(), "nobody has ended the stream");
            self.settle();
        }
    }

    /// Sends a message there and back, and leaves the acknowledgement of the last to its timer.
    pub(crate) fn exchange_message(&mut self, flow: Flow) {
        self.now += TURN;
        let mut message = self.data.clone();
        message.truncate(MESSAGE);
        for (from, fd) in flow.0.into_iter().enumerate() {
            let mut rope = Rope::from(message.clone());
            self.ends[from].try_send(self.now, fd, &mut rope, 0, None).expect("an open connection");
            while self.exchange(from) > 0 {}
            let to = 1 - from;
            let got = self.ends[to].try_recv(self.now, flow.0[to], MESSAGE, 0).expect("the message");
            assert_eq!(got.data.len(), MESSAGE);
        }
        self.run_timers(SENDER);
        self.run_timers(RECEIVER);
    }

    /// Gives `frames` to the receiving end, and throws away what it answers; how long that took it.
    pub(crate) fn flood(&mut self, frames: Vec<Frame>) -> Duration {
        self.now += TURN;
        let clock = Clock::now();
        let end = &mut self.ends[RECEIVER];
        for frame in frames {
            end.stack_mut().receive(self.now, self.interface, frame);
            while let Some((_, answer)) = end.stack_mut().poll_transmit(self.now) {
                drop(answer);
            }
        }
        while end.poll_event().is_some() {}
        clock.elapsed()
    }

    /// A frame of the pool that holds `bytes`.
    pub(crate) fn frame(&mut self, bytes: &[u8]) -> Frame {
        let bytes = self.pool.build(bytes.len(), |buffer| buffer.copy_from_slice(bytes));
        Frame { bytes, checksum: Checksum::Valid, gso_size: None }
    }

    /// The frame that brought the last message of `flow` to its receiver.
    pub(crate) fn sample(&mut self, flow: Flow) -> Vec<u8> {
        self.sampled = Some(Vec::new());
        self.exchange_message(flow);
        self.settle();
        self.sampled.take().unwrap_or_default()
    }

    fn run_timers(&mut self, end: usize) {
        let stack = self.ends[end].stack_mut();
        if stack.poll_timeout().is_some_and(|at| at <= self.now) {
            stack.handle_timeout(self.now);
        }
    }

    /// Sends a message there and back `count` times; how long both ends took for one.
    pub(crate) fn round_trips(&mut self, flow: Flow, count: u32) -> Duration {
        let clock = Clock::now();
        for _ in 0..count {
            self.exchange_message(flow);
        }
        let elapsed = clock.elapsed() / count;
        self.settle();
        elapsed
    }
}

/// The frame as the other end receives it, in a buffer of the pool.
fn carry(pool: &mut Pool, transmit: &Transmit) -> Frame {
    let headers = transmit.headers.len();
    let bytes = pool.build(transmit.len(), |buffer| {
        buffer[..headers].copy_from_slice(&transmit.headers);
        transmit.payload.copy_to(&mut buffer[headers..]);
    });
    let gso_size = transmit.segmentation.map(|segmentation| segmentation.size);
    Frame { bytes, checksum: Checksum::Valid, gso_size }
}

fn address(index: u16) -> SockAddr {
    SockAddr::from(SocketAddr::from(([10, 0, 0, 2], PORT + index)))
}
