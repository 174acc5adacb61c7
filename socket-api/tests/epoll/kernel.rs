//! The same calls on local sockets of ours and on the kernel's own, watched by an instance of each.

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll as kernel};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown, socketpair,
};
use tapsock::bsd::{
    self, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLPRI,
    EPOLLRDHUP, EpollEvent, SHUT_RD, SHUT_WR, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM,
};
use tapsock::{Errno, Host};

/// Sockets in a run: pairs of neighbours.
const SOCKETS: usize = 4;
/// Bytes that a message has at most; some of them fill a send buffer.
const LONGEST: usize = 60_000;

/// A call.
#[derive(Clone, Debug)]
enum Op {
    Control(i32, usize, u32),
    Send(usize, usize),
    Receive(usize, usize),
    Shutdown(usize, i32),
    Wait(usize),
}

/// What a call gives: a number, or events as pairs of data and bits.
#[derive(Debug, Eq, PartialEq)]
enum Outcome {
    Number(Result<usize, Errno>),
    Events(Vec<(u64, u32)>),
}

/// Four sockets of ours.
struct Ours {
    host: Host,
    epoll: i32,
    sockets: Vec<i32>,
}

impl Ours {
    fn new(host: &Host, kind: i32) -> Ours {
        let pairs = [super::local_pair(host, kind), super::local_pair(host, kind)];
        let epoll = bsd::epoll_create1(host, 0).unwrap();
        Ours { host: host.clone(), epoll, sockets: pairs.concat() }
    }

    fn apply(&self, op: &Op) -> Outcome {
        let Ours { host, epoll, sockets } = self;
        Outcome::Number(match *op {
            Op::Control(operation, at, events) => {
                let event = Some(EpollEvent { events, data: at as u64 });
                bsd::epoll_ctl(host, *epoll, operation, sockets[at], event).map(|()| 0)
            }
            Op::Send(at, len) => bsd::send(host, sockets[at], &[7; LONGEST][..len], 0),
            Op::Receive(at, len) => bsd::recv(host, sockets[at], &mut [0; LONGEST][..len], 0),
            Op::Shutdown(at, how) => bsd::shutdown(host, sockets[at], how).map(|()| 0),
            Op::Wait(max) => {
                let mut events = vec![EpollEvent::default(); max];
                let count = bsd::epoll_wait(host, *epoll, &mut events, 0).unwrap();
                return Outcome::Events(events[..count].iter().map(|it| (it.data, it.events)).collect());
            }
        })
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        for id in self.sockets.iter().chain([&self.epoll]) {
            bsd::close(&self.host, *id).unwrap();
        }
    }
}

/// Four sockets of the kernel.
struct Kernel {
    epoll: OwnedFd,
    sockets: Vec<OwnedFd>,
}

impl Kernel {
    fn new(kind: i32) -> Kernel {
        let kind = SocketType::from_raw(kind as u32);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let pair = || socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
        let sockets = [pair(), pair()].into_iter().flat_map(|(first, second)| [first, second]).collect();
        Kernel { epoll: kernel::create(kernel::CreateFlags::CLOEXEC).unwrap(), sockets }
    }

    fn apply(&self, op: &Op) -> Outcome {
        let Kernel { epoll, sockets } = self;
        Outcome::Number(match *op {
            Op::Control(operation, at, events) => {
                let data = kernel::EventData::new_u64(at as u64);
                let flags = kernel::EventFlags::from_bits_retain(events);
                match operation {
                    EPOLL_CTL_ADD => kernel::add(epoll, &sockets[at], data, flags),
                    EPOLL_CTL_MOD => kernel::modify(epoll, &sockets[at], data, flags),
                    _ => kernel::delete(epoll, &sockets[at]),
                }
                .map(|()| 0)
            }
            Op::Send(at, len) => send(&sockets[at], &[7; LONGEST][..len], SendFlags::NOSIGNAL),
            Op::Receive(at, len) => {
                recv(&sockets[at], &mut [0; LONGEST][..len], RecvFlags::empty()).map(|(len, _)| len)
            }
            Op::Shutdown(at, SHUT_RD) => shutdown(&sockets[at], Shutdown::Read).map(|()| 0),
            Op::Shutdown(at, SHUT_WR) => shutdown(&sockets[at], Shutdown::Write).map(|()| 0),
            Op::Shutdown(at, _) => shutdown(&sockets[at], Shutdown::Both).map(|()| 0),
            Op::Wait(max) => {
                let mut events = Vec::with_capacity(max);
                let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
                kernel::wait(epoll, spare_capacity(&mut events), Some(&at_once)).unwrap();
                let told = |event: &kernel::Event| {
                    let (flags, data) = (event.flags, event.data);
                    (data.u64(), flags.bits())
                };
                return Outcome::Events(events.iter().map(told).collect());
            }
        })
    }
}

/// A source of numbers that follow from a seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % end
    }

    fn of<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    fn op(&mut self) -> Op {
        let at = self.below(SOCKETS);
        match self.below(32) {
            0..10 => Op::Wait(self.of(&[1, 8, 8])),
            10..17 => Op::Send(at, self.of(&[1, 5, 5000, LONGEST])),
            17..24 => Op::Receive(at, self.of(&[1, 3, 4096, LONGEST])),
            24..31 => {
                let operation = self.of(&[EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL]);
                let what = self.of(&[EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLRDHUP, EPOLLPRI]);
                Op::Control(operation, at, what | self.of(&[0, EPOLLET, EPOLLET, EPOLLONESHOT]))
            }
            // Rarely: little happens afterwards.
            _ if self.below(4) == 0 => Op::Shutdown(at, self.of(&[SHUT_RD, SHUT_WR])),
            _ => Op::Wait(8),
        }
    }
}

#[test]
fn local_sockets_report_what_the_kernels_report() {
    let host = super::host();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        for seed in 0..300 {
            let (ours, theirs, mut numbers) = (Ours::new(&host, kind), Kernel::new(kind), Numbers(seed));
            let mut done = Vec::new();
            for _ in 0..120 {
                done.push(numbers.op());
                let op = &done[done.len() - 1];
                let (ours, theirs) = (ours.apply(op), theirs.apply(op));
                assert_eq!(ours, theirs, "kind {kind}, seed {seed}: {done:?}");
            }
        }
    }
}
