//! Two stacks whose frames cross in buffers that are there already, so that what allocates is the stacks.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use tapsock_stack::buf::{Checksum, Chunk, Frame, FrameBuf, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::{ListenerId, Stack, TcpId};
use tapsock_stack::tcp::SharedOptions;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::offload::{LinkCaps, Transmit};

use crate::wire::{ETH, station};

/// Two stacks and a pool of buffers between them: nothing here allocates once it runs.
pub(crate) struct Shuttle {
    pub(crate) stacks: [Stack; 2],
    caps: LinkCaps,
    pub(crate) now: Instant,
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
pub(crate) struct Flow {
    pub(crate) from: usize,
    pub(crate) sender: TcpId,
    pub(crate) receiver: TcpId,
    pub(crate) piece: usize,
}

impl Shuttle {
    pub(crate) fn new(caps: LinkCaps, buffers: usize) -> Self {
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

    pub(crate) fn data(&self, len: usize) -> Rope {
        Rope::from(Chunk::new(self.source.clone(), 0..len.min(1 << 16)))
    }

    /// A frame in a buffer of the pool.
    pub(crate) fn frame(&mut self, mut transmit: Transmit) -> Frame {
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

    /// Puts a frame of `host` on the wire.
    pub(crate) fn send(&mut self, host: usize, transmit: Transmit) {
        let frame = self.frame(transmit);
        self.last = (self.now + DELAY).max(self.last + SPACING);
        self.under_way.push_back((self.last, 1 - host, frame));
    }

    /// Takes what the stacks send, and goes on to the next arrival or deadline. False where there is neither before
    /// `limit`.
    pub(crate) fn step(&mut self, limit: Instant) -> bool {
        for host in 0..2 {
            while let Some((_, transmit)) = self.stacks[host].poll_transmit(self.now) {
                self.send(host, transmit);
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
    pub(crate) fn settle(&mut self) {
        self.wait(Duration::from_millis(2));
    }

    /// Lets time pass in which nobody does anything.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Host 1 listens at `to`.
    pub(crate) fn listen(&mut self, to: SocketAddr, backlog: usize) -> ListenerId {
        let options = self.stacks[1].config().tcp_options();
        let request =
            BindRequest { port: to.port(), ..BindRequest::new(Transport::Tcp, LocalAddr::from(to.ip())) };
        let bind = self.stacks[1].bind(request).unwrap();
        self.stacks[1].tcp_listen(bind, backlog, options).unwrap()
    }

    /// Connections from host 0 to host 1 at `to`, both ends of each.
    pub(crate) fn connect(&mut self, to: SocketAddr, count: usize) -> Vec<(TcpId, TcpId)> {
        let options = SharedOptions::from(self.stacks[0].config().tcp_options());
        let listener = self.listen(to, 64);
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

    pub(crate) fn write_all(&mut self, host: usize, id: TcpId, len: usize) {
        let data = self.data(len);
        assert_eq!(self.stacks[host].tcp_write(self.now, id, data), Ok(len));
    }

    pub(crate) fn read(&mut self, host: usize, id: TcpId, max: usize) -> usize {
        self.stacks[host].tcp_read(self.now, id, max).map_or(0, |data| data.len())
    }

    /// Reads what is there in pieces.
    pub(crate) fn read_all(&mut self, host: usize, id: TcpId, piece: usize) -> usize {
        let mut read = 0;
        loop {
            match self.read(host, id, piece) {
                0 => return read,
                count => read += count,
            }
        }
    }

    /// Writes as much as there is room for, and reads it at once on the other side, until `bytes` have arrived.
    pub(crate) fn stream(&mut self, flow: &Flow, bytes: usize) {
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
    pub(crate) fn message(&mut self, from: usize, (sender, receiver): (TcpId, TcpId), bytes: usize) {
        self.write_all(from, sender, bytes);
        let (mut read, end) = (0, self.now + Duration::from_secs(60));
        while read < bytes {
            assert!(self.step(end), "{read} of {bytes} bytes");
            read += self.read_all(1 - from, receiver, 2 * 1448);
        }
    }

    pub(crate) fn ping_pong(&mut self, (here, there): (TcpId, TcpId), rounds: usize) {
        for _ in 0..rounds {
            self.message(0, (here, there), 64);
            self.message(1, (there, here), 64);
        }
    }
}
