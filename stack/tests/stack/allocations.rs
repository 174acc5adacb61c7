//! Memory: what an idle connection holds, and that segments cost no allocation once things run.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use tapsock_stack::buf::{Checksum, Chunk, Frame, FrameBuf, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::{Family, Stack, TcpId, UdpSendOptions};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::offload::{LinkCaps, Transmit};

use crate::wire::{ETH, LINKS, PAIRS, at, station};

/// Two stacks and a pool of buffers between them: nothing here allocates once it runs.
struct Shuttle {
    stacks: [Stack; 2],
    caps: LinkCaps,
    now: Instant,
    pool: Vec<Arc<FrameBuf>>,
    next: usize,
    under_way: VecDeque<(Instant, usize, Frame)>,
    /// When the frame sent last arrives.
    last: Instant,
    /// What applications send: the same bytes again and again.
    source: Arc<FrameBuf>,
}

/// How long a frame takes, and how far apart frames arrive.
const DELAY: Duration = Duration::from_micros(200);
const SPACING: Duration = Duration::from_micros(1);

/// Data from host `from` to the other, which reads at most `piece` bytes at once.
struct Flow {
    from: usize,
    sender: TcpId,
    receiver: TcpId,
    piece: usize,
}

impl Shuttle {
    fn new(caps: LinkCaps, buffers: usize) -> Self {
        let now = Instant::from_secs(1);
        let stacks = [0, 1].map(|host| {
            let mut stack = Stack::new(Config::default(), 7 + host as u64, now);
            let eth = stack.add_interface("eth0", station(host), caps).unwrap();
            for cidr in [format!("10.0.0.{}/24", host + 1), format!("fd00::{}/64", host + 1)] {
                stack.add_address(eth, cidr.parse().unwrap()).unwrap();
            }
            stack
        });
        let size = caps.gso_max.max(caps.mtu) + 14;
        let pool = (0..buffers).map(|_| Arc::new(FrameBuf::new(size))).collect();
        let under_way = VecDeque::with_capacity(buffers);
        let source = Arc::new(FrameBuf::new(1 << 16));
        Shuttle { stacks, caps, now, pool, next: 0, under_way, last: now, source }
    }

    fn data(&self, len: usize) -> Rope {
        Rope::from(Chunk::new(self.source.clone(), 0..len.min(1 << 16)))
    }

    /// A frame in a buffer of the pool.
    fn frame(&mut self, mut transmit: Transmit) -> Frame {
        let checksum = match transmit.checksum {
            Some(_) if self.caps.fills_checksums => Checksum::Valid,
            _ => {
                transmit.complete_checksum();
                Checksum::Unverified
            }
        };
        let (headers, len) = (transmit.headers.len(), transmit.len());
        for _ in 0..self.pool.len() {
            self.next = (self.next + 1) % self.pool.len();
            let slot = &mut self.pool[self.next];
            if let Some(buffer) = Arc::get_mut(slot) {
                let bytes = &mut buffer.as_mut_slice()[..len];
                bytes[..headers].copy_from_slice(&transmit.headers);
                transmit.payload.copy_to(&mut bytes[headers..]);
                let gso_size = transmit.segmentation.map(|how| how.size);
                return Frame { bytes: Chunk::new(slot.clone(), 0..len), checksum, gso_size };
            }
        }
        panic!("all buffers are held");
    }

    /// Takes what the stacks send, and goes on to the next arrival or deadline. False where there is neither before
    /// `limit`.
    fn step(&mut self, limit: Instant) -> bool {
        for host in 0..2 {
            while let Some((_, transmit)) = self.stacks[host].poll_transmit(self.now) {
                let frame = self.frame(transmit);
                self.last = (self.now + DELAY).max(self.last + SPACING);
                self.under_way.push_back((self.last, 1 - host, frame));
            }
            while self.stacks[host].poll_event().is_some() {}
        }
        let deadline = self.stacks.iter().filter_map(|stack| stack.poll_timeout()).min();
        match self.under_way.front() {
            Some((at, ..)) if *at <= limit && deadline.is_none_or(|deadline| *at <= deadline) => {
                let (at, to, frame) = self.under_way.pop_front().unwrap();
                self.now = at;
                self.stacks[to].receive(at, ETH, frame);
            }
            _ => match deadline.filter(|deadline| *deadline <= limit) {
                Some(deadline) => {
                    self.now = self.now.max(deadline);
                    self.stacks.iter_mut().for_each(|stack| stack.handle_timeout(self.now));
                }
                None => return false,
            },
        }
        true
    }

    /// Lets all frames cross, and two milliseconds pass.
    fn settle(&mut self) {
        let end = self.now + Duration::from_millis(2);
        while self.step(end) {}
        self.now = end;
    }

    /// Connections from host 0 to host 1 at `to`, both ends of each.
    fn connect(&mut self, to: SocketAddr, count: usize) -> Vec<(TcpId, TcpId)> {
        let options = self.stacks[1].config().tcp_options();
        let request =
            BindRequest { port: to.port(), ..BindRequest::new(Transport::Tcp, LocalAddr::from(to.ip())) };
        let bind = self.stacks[1].bind(request).unwrap();
        let listener = self.stacks[1].tcp_listen(bind, 64, options.clone()).unwrap();
        let mut ends = Vec::with_capacity(count);
        while ends.len() < count {
            let active: Vec<TcpId> = (0..32.min(count - ends.len()))
                .map(|_| self.stacks[0].tcp_connect(self.now, None, to, options.clone()).unwrap())
                .collect();
            self.settle();
            for here in active {
                ends.push((here, self.stacks[1].tcp_accept(listener).unwrap()));
            }
        }
        ends
    }

    fn write_all(&mut self, host: usize, id: TcpId, len: usize) {
        let data = self.data(len);
        assert_eq!(self.stacks[host].tcp_write(self.now, id, data), Ok(len));
    }

    fn read(&mut self, host: usize, id: TcpId, max: usize) -> usize {
        self.stacks[host].tcp_read(self.now, id, max).map_or(0, |data| data.len())
    }

    /// Reads what is there in pieces.
    fn read_all(&mut self, host: usize, id: TcpId, piece: usize) -> usize {
        let mut read = 0;
        loop {
            match self.read(host, id, piece) {
                0 => return read,
                count => read += count,
            }
        }
    }

    /// Writes as much as there is room for, and reads it at once on the other side, until `bytes` have arrived.
    fn stream(&mut self, flow: &Flow, bytes: usize) {
        let &Flow { from, sender, receiver, piece } = flow;
        let (mut read, end) = (0, self.now + Duration::from_secs(60));
        while read < bytes {
            loop {
                let len = self.stacks[from].tcp_free_space(sender).min(1 << 16);
                if len == 0 {
                    break;
                }
                self.write_all(from, sender, len);
            }
            assert!(self.step(end), "{read} of {bytes} bytes");
            read += self.read_all(1 - from, receiver, piece);
        }
    }

    /// Lets `bytes` cross that are written at once.
    fn message(&mut self, from: usize, (sender, receiver): (TcpId, TcpId), bytes: usize) {
        self.write_all(from, sender, bytes);
        let (mut read, end) = (0, self.now + Duration::from_secs(60));
        while read < bytes {
            assert!(self.step(end), "{read} of {bytes} bytes");
            read += self.read_all(1 - from, receiver, 2 * 1448);
        }
    }

    fn ping_pong(&mut self, (here, there): (TcpId, TcpId), rounds: usize) {
        for _ in 0..rounds {
            self.message(0, (here, there), 64);
            self.message(1, (there, here), 64);
        }
    }
}

#[test]
fn bulk_allocates_nothing() {
    for caps in LINKS {
        for (_, address) in PAIRS {
            let gso = caps.gso_max > 0;
            let mut shuttle = Shuttle::new(caps, if gso { 400 } else { 8000 });
            let (here, there) = shuttle.connect(at(address, 2000), 1)[0];
            // A rope of three chunks needs no allocation: two segments of 1448 bytes touch no more.
            let piece = if gso { usize::MAX } else { 2 * 1448 };
            let segments = if gso { 1000 * 44 } else { 1000 };
            for (from, sender, receiver) in [(0, here, there), (1, there, here)] {
                let flow = Flow { from, sender, receiver, piece };
                shuttle.stream(&flow, 20 * segments * 1448);
                let count = allocation_counter::measure(|| shuttle.stream(&flow, segments * 1448));
                assert_eq!(count.count_total, 0, "{count:?} from host {from} to {address}, {caps:?}");
            }
        }
    }
}

#[test]
fn a_long_read_allocates_once_and_not_for_each_segment() {
    let mut shuttle = Shuttle::new(LINKS[0], 8000);
    let (here, there) = shuttle.connect(at("10.0.0.2", 2000), 1)[0];
    shuttle.message(0, (here, there), 10_000);
    shuttle.write_all(0, here, 40_000);
    shuttle.settle();
    let count = allocation_counter::measure(|| assert_eq!(shuttle.read(1, there, usize::MAX), 40_000));
    assert!(count.count_total <= 5, "{count:?} for 28 segments");
}

#[test]
fn ping_pong_allocates_nothing() {
    for caps in LINKS {
        for (_, address) in PAIRS {
            let mut shuttle = Shuttle::new(caps, 400);
            let ends = shuttle.connect(at(address, 2000), 1)[0];
            shuttle.ping_pong(ends, 100);
            let count = allocation_counter::measure(|| shuttle.ping_pong(ends, 1000));
            assert_eq!(count.count_total, 0, "{count:?} to {address}, {caps:?}");
        }
    }
}

#[test]
fn requests_of_some_segments_allocate_nothing() {
    for caps in LINKS {
        let mut shuttle = Shuttle::new(caps, 400);
        let (here, there) = shuttle.connect(at("10.0.0.2", 2000), 1)[0];
        let round = |shuttle: &mut Shuttle| {
            shuttle.message(0, (here, there), 10_000);
            shuttle.message(1, (there, here), 10_000);
        };
        (0..20).for_each(|_| round(&mut shuttle));
        let count = allocation_counter::measure(|| (0..100).for_each(|_| round(&mut shuttle)));
        assert_eq!(count.count_total, 0, "{count:?}, {caps:?}");
    }
}

#[test]
fn a_queue_that_fills_and_empties_keeps_its_room() {
    let mut shuttle = Shuttle::new(LINKS[0], 400);
    let (here, there) = shuttle.connect(at("10.0.0.2", 2000), 1)[0];
    let round = |shuttle: &mut Shuttle| {
        shuttle.write_all(0, here, 10_000);
        shuttle.settle();
        assert_eq!(shuttle.read_all(1, there, 2 * 1448), 10_000);
    };
    (0..20).for_each(|_| round(&mut shuttle));
    let count = allocation_counter::measure(|| (0..100).for_each(|_| round(&mut shuttle)));
    assert_eq!(count.count_total, 0, "{count:?}");
}

#[test]
fn datagrams_allocate_nothing() {
    for caps in LINKS {
        for (_, address) in PAIRS {
            let mut shuttle = Shuttle::new(caps, 400);
            let to = at(address, 5000);
            let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
            let server = shuttle.stacks[1].udp_open(family);
            let request =
                BindRequest { port: 5000, ..BindRequest::new(Transport::Udp, LocalAddr::from(to.ip())) };
            let bind = shuttle.stacks[1].bind(request).unwrap();
            shuttle.stacks[1].udp_bind(server, bind);
            let client = shuttle.stacks[0].udp_open(family);
            shuttle.stacks[0].udp_connect(client, Some(to)).unwrap();
            let options = UdpSendOptions::default();
            let round = |shuttle: &mut Shuttle| {
                for _ in 0..20 {
                    let (now, data) = (shuttle.now, shuttle.data(64));
                    shuttle.stacks[0].udp_send(now, client, data, None, options).unwrap();
                }
                shuttle.settle();
                for _ in 0..20 {
                    let datagram = shuttle.stacks[1].udp_recv(server).unwrap();
                    let (now, from) = (shuttle.now, Some(datagram.from));
                    shuttle.stacks[1].udp_send(now, server, datagram.payload, from, options).unwrap();
                }
                shuttle.settle();
                for _ in 0..20 {
                    shuttle.stacks[0].udp_recv(client).unwrap();
                }
            };
            shuttle.settle();
            (0..10).for_each(|_| round(&mut shuttle));
            let count = allocation_counter::measure(|| (0..100).for_each(|_| round(&mut shuttle)));
            assert_eq!(count.count_total, 0, "{count:?} to {address}, {caps:?}");
        }
    }
}

/// Raw sockets that see the segments too: one that nobody reads, whose queue is full, and others that want none.
#[test]
fn segments_that_raw_sockets_see_allocate_nothing() {
    for (local, address) in PAIRS {
        let mut shuttle = Shuttle::new(LINKS[0], 400);
        let family = if at(address, 0).is_ipv4() { Family::V4 } else { Family::V6 };
        let now = shuttle.now;
        let open = |stack: &mut Stack| stack.raw_open(family, 6).unwrap();
        let [unread, elsewhere] = [(); 2].map(|()| open(&mut shuttle.stacks[1]));
        shuttle.stacks[1].raw_mut(unread).unwrap().receive_buffer = 4096;
        shuttle.stacks[1].raw_connect(elsewhere, Some(at(address, 0))).unwrap();
        let reader = open(&mut shuttle.stacks[0]);
        let ends = shuttle.connect(at(address, 2000), 1)[0];
        let round = |shuttle: &mut Shuttle| {
            shuttle.ping_pong(ends, 1);
            while shuttle.stacks[0].raw_recv(reader).is_ok() {}
        };
        (0..200).for_each(|_| round(&mut shuttle));
        let count = allocation_counter::measure(|| (0..1000).for_each(|_| round(&mut shuttle)));
        assert_eq!(count.count_total, 0, "{count:?} from {local} to {address}");
        assert!(shuttle.now > now && shuttle.stacks[1].raw_recv(unread).is_ok(), "segments were seen");
        assert!(shuttle.stacks[1].raw_recv(elsewhere).is_err());
    }
}

/// What an idle connection may hold, in bytes, with its part of every table.
const IDLE_BUDGET: i64 = 1000;

#[test]
fn an_idle_connection_is_small() {
    const COUNT: usize = 10_000;
    for (_, address) in PAIRS {
        let mut shuttle = Shuttle::new(LINKS[0], 400);
        shuttle.connect(at(address, 1999), 1);
        let mut ends = Vec::new();
        let fresh = allocation_counter::measure(|| ends = shuttle.connect(at(address, 2000), COUNT));
        let ids = (ends.capacity() * size_of::<(TcpId, TcpId)>()) as i64;
        let each = (fresh.bytes_current - ids) / (2 * COUNT as i64);
        assert!(each <= IDLE_BUDGET, "{each} bytes for each end of a fresh connection");
        // A connection that was used holds no more.
        let used = allocation_counter::measure(|| {
            for &pair in &ends {
                shuttle.ping_pong(pair, 1);
                shuttle.message(0, pair, 40_000);
                shuttle.message(1, (pair.1, pair.0), 40_000);
            }
        });
        let each = (fresh.bytes_current - ids + used.bytes_current) / (2 * COUNT as i64);
        assert!(each <= IDLE_BUDGET, "{each} bytes for each end of a used connection");
    }
}
