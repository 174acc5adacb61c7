//! The wire of a [`World`]: frames under way, what befalls them, and time.

use core::time::Duration;

use tapsock_stack::buf::{Checksum, Chunk, Frame};
use tapsock_stack::tcp::segment::WindowScale;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::TcpHeader;

use super::forge;
use super::scenario::{Complaint, Forged};
use super::sockets::Socket;
use super::watch::{Direction, Sent, reversed};
use super::world::{ETH, World};
use crate::craft::{Family, Path, address};
use crate::emitted::{self, MAX_AT_ONCE};

/// Frames under way at most: the wire loses what comes beyond.
const MAX_UNDER_WAY: usize = 4_000;

/// What a frame is held back for at least.
const REORDERING: Duration = Duration::from_millis(2);

/// Frames remembered, for errors about them.
const MAX_REMEMBERED: usize = 64;

/// A frame under way.
#[derive(Clone)]
pub(super) struct Flying {
    at: Instant,
    from: usize,
    frame: Frame,
    /// A bit of it was flipped. Never two: a checksum may miss that.
    broken: bool,
}

impl World {
    /// The place of a frame under way.
    pub(super) fn frame_at(&self, number: u8) -> Option<usize> {
        (!self.under_way.is_empty()).then(|| usize::from(number) % self.under_way.len())
    }

    pub(super) fn repeat(&mut self, number: u8) {
        if let Some(at) = self.frame_at(number) {
            let again = self.under_way[at].clone();
            self.under_way.insert(at, again);
        }
    }

    /// Two neighbours change places.
    pub(super) fn swap(&mut self, number: u8) {
        let Some(at) = self.frame_at(number).filter(|at| at + 1 < self.under_way.len()) else { return };
        let (early, late) = (self.under_way[at].at, self.under_way[at + 1].at);
        self.under_way.swap(at, at + 1);
        (self.under_way[at].at, self.under_way[at + 1].at) = (early, late);
    }

    pub(super) fn flip(&mut self, number: u8, byte: usize, bit: u8) {
        let Some(at) = self.frame_at(number) else { return };
        let Flying { frame, broken, .. } = &mut self.under_way[at];
        // What a link vouches for is never broken.
        if frame.checksum == Checksum::Unverified && !*broken {
            let mut bytes = frame.bytes.to_vec();
            let place = byte % bytes.len();
            bytes[place] ^= 1 << (bit % 8);
            (frame.bytes, *broken) = (Chunk::from(bytes), true);
        }
    }

    pub(super) fn forge(&mut self, number: u8, forged: &Forged) {
        let index = usize::from(number) % self.sockets.len().max(1);
        let Some(socket) = self.sockets.get(index) else { return };
        let (here, there) = (socket.host, 1 - socket.host);
        let family = if socket.local.is_ipv4() { Family::V4 } else { Family::V6 };
        if socket.remote.ip() != address(there, family) {
            return;
        }
        let (direction, to) = match forged.to_peer {
            false => ((socket.remote, socket.local), here),
            true => ((socket.local, socket.remote), there),
        };
        self.send_forged(forged, direction, to, family);
    }

    pub(super) fn send_forged(&mut self, forged: &Forged, direction: Direction, to: usize, family: Family) {
        let header: TcpHeader = forge::segment(forged, direction, &self.watch);
        let frame = Path::between(1 - to, to, family).tcp(&header, &vec![0xf0; forged.len.into()]);
        self.watch.distrust(direction);
        for socket in &mut self.sockets {
            let own = (socket.local, socket.remote);
            socket.trusted &= own != direction && own != reversed(direction);
        }
        for _ in 0..=forged.repeat % 8 {
            let frame = Frame::from(frame.clone());
            self.hosts[to].stack.receive(self.now, ETH, frame);
            self.flush();
        }
    }

    pub(super) fn complain(&mut self, number: u8, complaint: Complaint) {
        let index = usize::from(number) % self.remembered.len().max(1);
        let Some((from, frame)) = self.remembered.get(index) else { return };
        let from = *from;
        if let Some(error) = forge::complaint(complaint, frame, from) {
            self.hosts[from].stack.receive(self.now, ETH, Frame::from(error));
        }
    }

    pub(super) fn link_down(&mut self, host: usize, really: u8) {
        if really == 77 {
            self.hosts[host].stack.set_link_down(self.now, ETH);
            self.hosts[host].down = true;
        }
    }

    /// Takes what the stacks send, and looks at it.
    pub(super) fn flush(&mut self) {
        for host in 0..2 {
            for count in 0.. {
                assert!(count < MAX_AT_ONCE, "it sends and sends");
                let Some((interface, transmit)) = self.hosts[host].stack.poll_transmit(self.now) else {
                    break;
                };
                assert!(
                    interface == ETH && !self.hosts[host].down,
                    "lo has no wire, nor has a link that is down"
                );
                let frame = emitted::frame(transmit, self.caps);
                self.emit(host, frame);
            }
            while self.hosts[host].stack.poll_event().is_some() {}
        }
    }

    fn emit(&mut self, host: usize, frame: Frame) {
        if let Some(sent) = Sent::parse(&frame.bytes) {
            if self.show {
                eprintln!("{:?} {:?} {} bytes: {:?}", self.now, sent.direction, sent.len, sent.header);
            }
            let scale = self.scale_of(host, sent.direction);
            self.watch.on_sent(&sent, scale);
        }
        if self.remembered.len() >= MAX_REMEMBERED {
            self.remembered.pop_front();
        }
        let head = frame.bytes.len().min(200);
        self.remembered.push_back((host, frame.bytes[..head].to_vec()));
        self.emitted += 1;
        let chosen = |every: u64| every > 1 && self.emitted.is_multiple_of(every);
        if self.under_way.len() < MAX_UNDER_WAY && !chosen(self.lose_every) {
            let delay = if chosen(self.delay_every) { 3 * self.delay + REORDERING } else { self.delay };
            let at = self.now + delay;
            let place = self.under_way.partition_point(|flying| flying.at <= at);
            self.under_way.insert(place, Flying { at, from: host, frame, broken: false });
        }
    }

    /// The window scale of the connection that a host has in this direction, as far as a program holds it.
    fn scale_of(&self, host: usize, (local, remote): Direction) -> Option<WindowScale> {
        let own = |socket: &&Socket| (socket.host, socket.local, socket.remote) == (host, local, remote);
        let mut scales = self.sockets.iter().filter(own).filter_map(|socket| {
            let info = self.hosts[host].stack.tcp_info(socket.id)?;
            info.state.is_synchronized().then_some(info.rcv_wscale)
        });
        scales.next()
    }

    /// Lets time pass, event by event.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let (mut at, mut turns) = (self.now, 0);
        self.flush();
        loop {
            let arrival = self.under_way.front().map(|flying| flying.at);
            let deadline = self.hosts.iter().filter_map(|host| host.stack.poll_timeout()).min();
            let Some(next) = arrival.into_iter().chain(deadline).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                if let Some(Flying { from, frame, .. }) = self.under_way.pop_front() {
                    self.hosts[1 - from].stack.receive(self.now, ETH, frame);
                }
            } else {
                for host in &mut self.hosts {
                    if host.stack.poll_timeout().is_some_and(|at| at <= self.now) {
                        host.stack.handle_timeout(self.now);
                    }
                }
            }
            self.flush();
            turns = if at == self.now { turns + 1 } else { 0 };
            assert!(turns < 100_000, "time stands still at {at:?}");
            at = self.now;
        }
        self.now = end;
    }
}
