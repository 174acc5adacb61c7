//! What a segment costs beside idle connections, in steps.

use core::net::SocketAddr;
use core::time::Duration;

use super::*;
use crate::buf::Rope;
use crate::ports::Transport;
use crate::work::{self, Work};

const ETH: InterfaceId = InterfaceId(1);

/// Two hosts on a link that takes no time.
struct Pair {
    stacks: [Stack; 2],
    now: Instant,
    segments: u64,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::from_secs(1);
        let stacks = [1u8, 2].map(|host| {
            let mut stack = Stack::new(Config::default(), host.into(), now);
            let hardware = EthernetAddress([2, 0, 0, 0, 0, host]);
            let caps = LinkCaps::plain(Medium::Ethernet, 1500);
            assert_eq!(stack.add_interface("eth0", hardware, caps), Ok(ETH));
            stack.add_address(ETH, format!("10.0.0.{host}/24").parse().unwrap()).unwrap();
            stack
        });
        Pair { stacks, now, segments: 0 }
    }

    /// Carries frames until neither host has any.
    fn carry(&mut self) {
        let mut idle = 0;
        for from in [0, 1].into_iter().cycle() {
            idle += 1;
            while let Some((_, mut frame)) = self.stacks[from].poll_transmit(self.now) {
                frame.complete_checksum();
                self.stacks[1 - from].receive(self.now, ETH, frame.to_frame());
                self.segments += 1;
                idle = 0;
            }
            while self.stacks[from].poll_event().is_some() {}
            if idle == 2 {
                return;
            }
        }
    }

    /// Lets time pass in which nothing is sent but what is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.stacks.iter().filter_map(Stack::poll_timeout).min().filter(|at| *at <= end)
        {
            self.now = self.now.max(at);
            let now = self.now;
            self.stacks.iter_mut().for_each(|stack| stack.handle_timeout(now));
            self.carry();
        }
        self.now = end;
    }

    /// Opens connections to one listener, in turns: both ends of the last.
    fn open(&mut self, count: usize) -> [TcpId; 2] {
        let address = LocalAddr::AnyV4;
        let request = BindRequest { port: 2000, ..BindRequest::new(Transport::Tcp, address) };
        let bind = self.stacks[1].bind(request).unwrap();
        let options = self.stacks[1].config().tcp_options();
        let listener = self.stacks[1].tcp_listen(bind, 8, options.clone()).unwrap();
        let to: SocketAddr = "10.0.0.2:2000".parse().unwrap();
        let mut last = None;
        for _ in 0..count {
            let active = self.stacks[0].tcp_connect(self.now, None, to, options.clone()).unwrap();
            self.carry();
            last = self.stacks[1].tcp_accept(listener).map(|passive| [active, passive]);
        }
        last.expect("the handshake is done")
    }

    /// One byte there and back, and 100,000 there, with pauses in which timers come due.
    fn talk(&mut self, [active, passive]: [TcpId; 2]) {
        let ends = [(0, active), (1, passive)];
        for round in 0..50 {
            let (writer, reader) = (ends[round % 2], ends[1 - round % 2]);
            self.send(writer, reader, if round % 10 == 0 { 100_000 } else { 1 });
            self.pass(Duration::from_millis(if round % 5 == 0 { 700 } else { 1 }));
        }
    }

    fn send(&mut self, from: (usize, TcpId), to: (usize, TcpId), len: usize) {
        let (mut sent, mut got) = (0, 0);
        while got < len {
            let data = Rope::from(vec![7; len - sent]);
            sent += self.stacks[from.0].tcp_write(self.now, from.1, data).unwrap_or(0);
            self.carry();
            match self.stacks[to.0].tcp_read(self.now, to.1, len) {
                Ok(data) => got += data.len(),
                Err(_) => self.pass(Duration::from_millis(1)),
            }
            self.carry();
        }
    }
}

/// The work, and the segments, of one connection that talks beside `idle` others that are silent.
fn work_beside(idle: usize) -> (Work, u64) {
    let mut pair = Pair::new();
    let ends = pair.open(idle + 1);
    // Past the deadlines of handshakes, and with all that the first segments make.
    pair.pass(Duration::from_secs(30));
    pair.talk(ends);
    pair.segments = 0;
    let work = work::of(|| pair.talk(ends));
    (work, pair.segments)
}

#[test]
fn a_segment_costs_the_same_beside_ten_thousand_idle_connections() {
    let (alone, beside) = (work_beside(0), work_beside(10_000));
    assert_eq!(alone, beside);
    let (work, segments) = alone;
    assert!(segments > 300, "{segments}");
    // One lookup of the connection by its tuple, and one of its neighbour in the cache.
    assert!(work.hashes <= 3 * segments, "{work:?} for {segments}");
    assert!(work.timers <= segments && work.walked == 0, "{work:?} for {segments}");
}
