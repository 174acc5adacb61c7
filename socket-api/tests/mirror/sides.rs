//! The same steps on sockets of ours, seen through their mirrors, and on the kernel's own.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, accept_with,
    bind, connect, getsockname, listen, recv, send, shutdown, socket_with, socketpair, sockopt,
};
use tapsock::bsd::{self, AF_INET, AF_UNIX, MSG_OOB, SO_ERROR, SO_LINGER, SOCK_NONBLOCK, SOL_SOCKET};
use tapsock::{Host, SockAddr};
use tapsock_sockets::UnixAddr;

use super::common::PATIENCE;

/// A step; sockets are numbered as they are made.
#[derive(Copy, Clone, Debug)]
pub enum Step {
    /// A socket: domain and type.
    Make(i32, i32),
    /// Two local sockets that are connected.
    Pair(i32),
    /// Bound to an address of its own.
    Bind(usize),
    Listen(usize, i32),
    /// The first connects to the second's address.
    Connect(usize, usize),
    /// To where the second is bound, which is closed meanwhile.
    ConnectToNobody(usize, usize),
    Accept(usize),
    /// Until it shows something: one that is being connected shows nothing.
    Await(usize),
    Send(usize),
    SendUrgent(usize),
    /// Until there is no room.
    Fill(usize),
    Receive(usize),
    ReceiveUrgent(usize),
    /// Until there is nothing more.
    Drain(usize),
    /// 0: reading, 1: writing, 2: both.
    Shut(usize, i32),
    /// SO_ERROR.
    TakeError(usize),
    /// Closed with SO_LINGER of no time: a connection is reset.
    Reset(usize),
    Close(usize),
}

/// Bytes of a step that sends.
const PIECE: usize = 100;

/// One of the two.
pub trait Side {
    fn step(&mut self, step: Step);
    /// What is polled, of the sockets that are open.
    fn polled(&self) -> Vec<&OwnedFd>;
}

/// Waits until the descriptor shows something to the kernel's poll.
pub fn appear(fd: &OwnedFd) {
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let mut asked = [PollFd::new(fd, PollFlags::IN | PollFlags::OUT)];
    assert_eq!(poll(&mut asked, Some(&patience)), Ok(1), "it never shows anything");
}

/// What the kernel's poll says of the descriptor, as letters.
pub fn mask(fd: impl AsFd) -> String {
    let all = PollFlags::IN | PollFlags::PRI | PollFlags::OUT | PollFlags::RDHUP;
    let mut asked = [PollFd::new(&fd, all)];
    poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
    let seen = asked[0].revents();
    let names = [
        (PollFlags::IN, "IN"),
        (PollFlags::PRI, "PRI"),
        (PollFlags::OUT, "OUT"),
        (PollFlags::ERR, "ERR"),
        (PollFlags::HUP, "HUP"),
        (PollFlags::RDHUP, "RDHUP"),
    ];
    let names: Vec<&str> =
        names.iter().filter(|(flag, _)| seen.contains(*flag)).map(|(_, name)| *name).collect();
    names.join("|")
}

/// What it says of all of a side.
pub fn masks(side: &impl Side) -> Vec<String> {
    side.polled().into_iter().map(mask).collect()
}

/// Sockets of ours, each with its mirror. The mirror is made with the socket, or after the step.
pub struct Ours {
    pub host: Host,
    sockets: Vec<Option<(i32, OwnedFd)>>,
    addresses: Vec<Option<SockAddr>>,
}

impl Ours {
    pub fn new(host: &Host) -> Ours {
        Ours { host: host.clone(), sockets: Vec::new(), addresses: Vec::new() }
    }

    fn keep(&mut self, id: i32) {
        self.sockets.push(Some((id, bsd::mirror_fd(&self.host, id).unwrap())));
        self.addresses.push(None);
    }

    pub fn id(&self, at: usize) -> i32 {
        self.sockets[at].as_ref().unwrap().0
    }

    fn note_address(&mut self, at: usize) {
        self.addresses[at] = Some(bsd::getsockname(&self.host, self.id(at)).unwrap());
    }
}

impl Side for Ours {
    fn step(&mut self, step: Step) {
        let host = self.host.clone();
        match step {
            Step::Make(domain, kind) => {
                let id = bsd::socket(&host, domain, kind | SOCK_NONBLOCK, 0).unwrap();
                self.keep(id);
            }
            Step::Pair(kind) => {
                let pair = bsd::socketpair(&host, AF_UNIX, kind | SOCK_NONBLOCK, 0).unwrap();
                pair.into_iter().for_each(|id| self.keep(id));
            }
            Step::Bind(at) => {
                let inet = SockAddr::V4("127.0.0.1:0".parse().unwrap());
                let is_local = matches!(bsd::getsockname(&host, self.id(at)).unwrap(), SockAddr::Unix(_));
                let any = if is_local { SockAddr::Unix(UnixAddr::UNNAMED) } else { inet };
                bsd::bind(&host, self.id(at), &any).unwrap();
                self.note_address(at);
            }
            Step::Listen(at, backlog) => bsd::listen(&host, self.id(at), backlog).unwrap(),
            Step::Connect(at, to) | Step::ConnectToNobody(at, to) => {
                let _ = bsd::connect(&host, self.id(at), self.addresses[to].as_ref().unwrap());
            }
            Step::Accept(at) => {
                let (id, _) = bsd::accept4(&host, self.id(at), SOCK_NONBLOCK).unwrap();
                self.keep(id);
            }
            Step::Await(at) => appear(&self.sockets[at].as_ref().unwrap().1),
            Step::Send(at) => drop(bsd::send(&host, self.id(at), &[0; PIECE], 0)),
            Step::SendUrgent(at) => drop(bsd::send(&host, self.id(at), b"!", MSG_OOB).unwrap()),
            Step::Fill(at) => while bsd::send(&host, self.id(at), &[0; 10_000], 0).is_ok() {},
            Step::Receive(at) => drop(bsd::recv(&host, self.id(at), &mut [0; PIECE], 0)),
            Step::ReceiveUrgent(at) => drop(bsd::recv(&host, self.id(at), &mut [0; 1], MSG_OOB).unwrap()),
            Step::Drain(at) => {
                while bsd::recv(&host, self.id(at), &mut [0; 30_000], 0).is_ok_and(|len| len > 0) {}
            }
            Step::Shut(at, how) => drop(bsd::shutdown(&host, self.id(at), how)),
            Step::TakeError(at) => drop(bsd::getsockopt(&host, self.id(at), SOL_SOCKET, SO_ERROR).unwrap()),
            Step::Reset(at) => {
                let on = [1i32.to_ne_bytes(), 0i32.to_ne_bytes()].concat();
                bsd::setsockopt(&host, self.id(at), SOL_SOCKET, SO_LINGER, &on).unwrap();
                self.step(Step::Close(at));
            }
            Step::Close(at) => bsd::close(&host, self.sockets[at].take().unwrap().0).unwrap(),
        }
    }

    fn polled(&self) -> Vec<&OwnedFd> {
        self.sockets.iter().flatten().map(|(_, mirror)| mirror).collect()
    }
}

/// Sockets of the kernel's.
#[derive(Default)]
pub struct Kernel {
    sockets: Vec<Option<OwnedFd>>,
    addresses: Vec<Option<rustix::net::SocketAddrAny>>,
}

impl Kernel {
    fn keep(&mut self, fd: OwnedFd) {
        self.sockets.push(Some(fd));
        self.addresses.push(None);
    }

    pub fn fd(&self, at: usize) -> &OwnedFd {
        self.sockets[at].as_ref().unwrap()
    }
}

impl Side for Kernel {
    fn step(&mut self, step: Step) {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (sending, receiving) = (SendFlags::NOSIGNAL, RecvFlags::empty());
        match step {
            Step::Make(domain, kind) => {
                let kind = SocketType::from_raw(kind as u32);
                let domain = AddressFamily::from_raw(domain as u16);
                self.keep(socket_with(domain, kind, flags, None).unwrap());
            }
            Step::Pair(kind) => {
                let kind = SocketType::from_raw(kind as u32);
                let (first, second) = socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
                [first, second].into_iter().for_each(|fd| self.keep(fd));
            }
            Step::Bind(at) => {
                let is_inet = sockopt::socket_domain(self.fd(at)).unwrap() == AddressFamily::INET;
                if is_inet {
                    bind(self.fd(at), &"127.0.0.1:0".parse::<std::net::SocketAddrV4>().unwrap()).unwrap();
                } else {
                    bind(self.fd(at), &SocketAddrUnix::new_unnamed()).unwrap();
                }
                self.addresses[at] = Some(getsockname(self.fd(at)).unwrap());
            }
            Step::Listen(at, backlog) => listen(self.fd(at), backlog).unwrap(),
            Step::Connect(at, to) | Step::ConnectToNobody(at, to) => {
                let _ = connect(self.fd(at), self.addresses[to].as_ref().unwrap());
            }
            Step::Accept(at) => {
                let accepted = accept_with(self.fd(at), flags).unwrap();
                self.keep(accepted);
            }
            Step::Await(at) => appear(self.fd(at)),
            Step::Send(at) => drop(send(self.fd(at), &[0; PIECE], sending)),
            Step::SendUrgent(at) => drop(send(self.fd(at), b"!", sending | SendFlags::OOB).unwrap()),
            Step::Fill(at) => while send(self.fd(at), &[0; 10_000], sending).is_ok() {},
            Step::Receive(at) => drop(recv(self.fd(at), &mut [0; PIECE][..], receiving)),
            Step::ReceiveUrgent(at) => {
                recv(self.fd(at), &mut [0; 1][..], RecvFlags::OOB).unwrap();
            }
            Step::Drain(at) => {
                while recv(self.fd(at), &mut [0; 30_000][..], receiving).is_ok_and(|(_, len)| len > 0) {}
            }
            Step::Shut(at, how) => {
                let how = [Shutdown::Read, Shutdown::Write, Shutdown::Both][how as usize];
                let _ = shutdown(self.fd(at), how);
            }
            Step::TakeError(at) => drop(sockopt::socket_error(self.fd(at)).unwrap()),
            Step::Reset(at) => {
                sockopt::set_socket_linger(self.fd(at), Some(std::time::Duration::ZERO)).unwrap();
                self.step(Step::Close(at));
            }
            Step::Close(at) => drop(self.sockets[at].take()),
        }
    }

    fn polled(&self) -> Vec<&OwnedFd> {
        self.sockets.iter().flatten().collect()
    }
}

/// The domain and type of a TCP socket, of a UDP socket, and of a local stream.
pub const TCP: Step = Step::Make(AF_INET, bsd::SOCK_STREAM);
pub const UDP: Step = Step::Make(AF_INET, bsd::SOCK_DGRAM);
pub const LOCAL: Step = Step::Make(AF_UNIX, bsd::SOCK_STREAM);

/// A source of numbers that follow from a seed (splitmix64).
pub struct Numbers(pub u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % end
    }

    /// A step on one of two local sockets that are connected.
    pub fn step(&mut self) -> Step {
        let at = self.below(2);
        match self.below(40) {
            0..12 => Step::Send(at),
            12..24 => Step::Receive(at),
            24..29 => Step::Drain(at),
            29..35 => Step::Fill(at),
            35..38 => Step::TakeError(at),
            // Rarely: little happens afterwards.
            _ if self.below(3) == 0 => Step::Shut(at, self.below(3) as i32),
            _ => Step::Drain(at),
        }
    }
}
