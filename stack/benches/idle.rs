//! What a segment costs beside idle connections: `cargo bench -p tapsock-stack --bench idle`.
//!
//! Two stacks play ping-pong with 64 bytes, and stream in segments of 1448; printed is the time a segment takes through
//! both of them, beside none, 10,000 and 100,000 connections that are open and silent.

use core::hint::black_box;
use core::net::SocketAddr;
use core::time::Duration;

use tapsock_stack::buf::Rope;
use tapsock_stack::config::Config;
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::{ListenerId, Stack, TcpId};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::{LinkCaps, Medium};

const ETH: InterfaceId = InterfaceId(1);
const ROUNDS: u32 = 20_000;
const STREAM: usize = 64 << 20;
const RUNS: usize = 3;

fn main() {
    println!("{:>10} {:>16} {:>16}", "idle", "64 bytes, ns", "1448 bytes, ns");
    for idle in [0, 10_000, 100_000] {
        let mut pair = Pair::new();
        let mut listener = pair.listen(2000);
        for count in 0..idle {
            // One port's four-tuples end before 28,000.
            if count > 0 && count % 20_000 == 0 {
                listener = pair.listen(2000 + (count / 20_000) as u16);
            }
            pair.open(&listener);
        }
        let ends = pair.open(&listener);
        let best = |run: &mut dyn FnMut() -> f64| (0..RUNS).map(|_| run()).fold(f64::MAX, f64::min);
        let small = best(&mut || pair.ping_pong(ends));
        let large = best(&mut || pair.stream(ends));
        println!("{idle:>10} {small:>16.0} {large:>16.0}");
    }
}

/// Two stacks, and whatever one sends is at the other at once.
struct Pair {
    stacks: [Stack; 2],
    now: Instant,
    segments: u64,
}

struct Listener {
    id: ListenerId,
    at: SocketAddr,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::from_secs(1);
        let stacks = [1, 2].map(|host: u8| {
            let mut stack = Stack::new(Config::default(), host.into(), now);
            let hardware = EthernetAddress([2, 0, 0, 0, 0, host]);
            let eth = stack.add_interface("eth0", hardware, LinkCaps::plain(Medium::Ethernet, 1500));
            assert_eq!(eth, Ok(ETH));
            stack.add_address(ETH, format!("10.0.0.{host}/24").parse().unwrap()).unwrap();
            stack
        });
        Pair { stacks, now, segments: 0 }
    }

    fn listen(&mut self, port: u16) -> Listener {
        let at = SocketAddr::new([10, 0, 0, 2].into(), port);
        let request = BindRequest { port, ..BindRequest::new(Transport::Tcp, LocalAddr::AnyV4) };
        let bind = self.stacks[1].bind(request).unwrap();
        let options = self.stacks[1].config().tcp_options();
        Listener { id: self.stacks[1].tcp_listen(bind, 16, options).unwrap(), at }
    }

    fn open(&mut self, listener: &Listener) -> (TcpId, TcpId) {
        let options = self.stacks[0].config().tcp_options();
        let here = self.stacks[0].tcp_connect(self.now, None, listener.at, options).unwrap();
        self.exchange();
        (here, self.stacks[1].tcp_accept(listener.id).unwrap())
    }

    /// Until neither has anything to say.
    fn exchange(&mut self) {
        self.now += Duration::from_micros(20);
        let mut silent = 0;
        for from in [0, 1].into_iter().cycle() {
            silent += 1;
            while let Some((_, transmit)) = self.stacks[from].poll_transmit(self.now) {
                let mut transmit = transmit;
                transmit.complete_checksum();
                self.stacks[1 - from].receive(self.now, ETH, transmit.to_frame());
                self.segments += 1;
                silent = 0;
            }
            while self.stacks[from].poll_event().is_some() {}
            if silent == 2 {
                break;
            }
        }
        for stack in &mut self.stacks {
            if stack.poll_timeout().is_some_and(|at| at <= self.now) {
                stack.handle_timeout(self.now);
            }
        }
    }

    fn send(&mut self, from: usize, (sender, receiver): (TcpId, TcpId), data: Rope) {
        self.stacks[from].tcp_write(self.now, sender, data).unwrap();
        self.exchange();
        black_box(self.stacks[1 - from].tcp_read(self.now, receiver, usize::MAX)).ok();
    }

    /// Nanoseconds for each segment.
    fn timed(&mut self, run: impl FnOnce(&mut Self)) -> f64 {
        let (start, before) = (std::time::Instant::now(), self.segments);
        run(self);
        start.elapsed().as_nanos() as f64 / (self.segments - before) as f64
    }

    fn ping_pong(&mut self, (here, there): (TcpId, TcpId)) -> f64 {
        let data = Rope::from(vec![7; 64]);
        self.timed(|pair| {
            for _ in 0..ROUNDS {
                pair.send(0, (here, there), data.clone());
                pair.send(1, (there, here), data.clone());
            }
        })
    }

    fn stream(&mut self, ends: (TcpId, TcpId)) -> f64 {
        let data = Rope::from(vec![7; 1 << 16]);
        self.timed(|pair| {
            for _ in 0..STREAM >> 16 {
                pair.send(0, ends, data.clone());
            }
        })
    }
}
