//! The calls that wait, on the kernel's sockets: the table that this stack is held to says what Linux does, and this holds
//! Linux to it. What ends them is a shutdown, a time-out, and what they wait for; `close` ends none there.

use std::ffi::c_int;
use std::fs::{self, File};
use std::io::Write;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use tapsock::SockAddr;
use tapsock::bsd::{IPV6_HDRINCL, PollMask};
use tapsock_driver::Namespace;
use tapsock_tests::bench::skipped_for;
use tapsock_tests::sides::PATIENCE;

#[allow(dead_code, reason = "closes and signals are for the other stack alone")]
#[path = "../../socket-api/tests/blocking/table/rows.rs"]
mod rows;

#[path = "kernel_waits/calls.rs"]
mod calls;

use calls::{
    accept, accept4, checked, connect, name_of, named, parts, plain, recv, send, set, set_at, time_out,
    vectored,
};
use rows::{Call, Call::*, End, Kind, Kind::*, cases};

/// Of the calls that end by their time-out.
const TIME_OUT: Duration = Duration::from_millis(30);
/// Protocols that nobody has.
const NOBODYS: c_int = 200;
const NOBODYS_COUNT: u8 = 50;
/// An echo request, of each family.
const REQUESTS: [&[u8]; 2] = [b"\x08\0\0\0\0\x01\0\x01hello", b"\x80\0\0\0\0\x01\0\x01hello"];

/// A call that would wait, and what it waits for.
struct Scene {
    namespace: Namespace,
    kind: Kind,
    call: Call,
    /// What the call is made on.
    socket: RawFd,
    /// Where what it waits for comes from.
    other: RawFd,
    /// What is shut down.
    watched: RawFd,
    /// Of the listener, or of the neighbour that does not answer.
    address: Vec<u8>,
    /// All of them, which are closed at the end.
    held: Vec<OwnedFd>,
}

fn said<T: ToString>(ended: Result<T, c_int>) -> String {
    match ended {
        Ok(value) => value.to_string(),
        Err(libc::EAGAIN) => "EAGAIN".to_owned(),
        Err(libc::ECONNRESET) => "ECONNRESET".to_owned(),
        Err(libc::EINPROGRESS) => "EINPROGRESS".to_owned(),
        Err(libc::EINVAL) => "EINVAL".to_owned(),
        Err(libc::EPIPE) => "EPIPE".to_owned(),
        Err(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
    }
}

/// What a socket is bound to: any port, and a name that the kernel chooses; or a neighbour that never answers.
fn any(kind: Kind) -> Vec<u8> {
    let plain = kind.plain();
    let text = match (plain, kind.is_v6()) {
        (Tcp | Udp | Ping | Raw, false) => "127.0.0.1:0".to_owned(),
        (Tcp | Udp | Ping | Raw, true) => "[::1]:0".to_owned(),
        (UdpOut | RawOut, is_v6) => {
            // Each its own: the neighbour's queue is full for one at a time.
            static NEXT: AtomicU8 = AtomicU8::new(2);
            let host = NEXT.fetch_add(1, Ordering::Relaxed);
            let port = if plain == UdpOut { 9 } else { 0 };
            if is_v6 { format!("[fd00::{host:x}]:{port}") } else { format!("10.0.0.{host}:{port}") }
        }
        _ => return (libc::AF_UNIX as u16).to_ne_bytes().to_vec(),
    };
    SockAddr::from(text.parse::<SocketAddr>().unwrap()).as_bytes().to_vec()
}

impl Scene {
    fn new(namespace: &Namespace, kind: Kind, call: Call, end: End) -> Scene {
        let mut scene = Scene {
            namespace: namespace.clone(),
            kind,
            call,
            socket: -1,
            other: -1,
            watched: -1,
            address: any(kind),
            held: Vec::new(),
        };
        match call {
            Accept | Accept4 => scene.socket = scene.listen(),
            Connect => {
                scene.other = scene.listen();
                // One waits for the listener, and no more may.
                let first = scene.fresh();
                connect(first, &scene.address).unwrap();
                scene.socket = scene.fresh();
            }
            _ => [scene.socket, scene.other] = scene.connected(),
        }
        if call.wants_room() {
            scene.fill();
        }
        if call == RecvAll {
            send(scene.other, b"hello", 0).unwrap();
        }
        scene.watched = scene.socket;
        if call.is_of_an_instance() {
            // SAFETY: no memory is passed, and the descriptor is new.
            let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
            scene.socket = scene.hold(epoll);
            let events = if call.wants_room() { libc::EPOLLOUT } else { libc::EPOLLIN | libc::EPOLLRDHUP };
            let events = events as u32;
            let mut event = libc::epoll_event { events, u64: 0 };
            // SAFETY: the kernel reads the event.
            let added =
                unsafe { libc::epoll_ctl(scene.socket, libc::EPOLL_CTL_ADD, scene.watched, &mut event) };
            checked(added as isize).unwrap();
        }
        if end == End::TimeOut && !call.watches() {
            time_out(scene.socket, TIME_OUT);
        }
        scene
    }

    fn hold(&mut self, socket: OwnedFd) -> RawFd {
        self.held.push(socket);
        self.held.last().unwrap().as_raw_fd()
    }

    fn fresh(&mut self) -> RawFd {
        let socket = socket_of(&self.namespace, self.kind);
        self.hold(socket)
    }

    fn bound(&mut self) -> RawFd {
        let socket = self.fresh();
        named(socket, &any(self.kind), libc::bind).unwrap();
        socket
    }

    fn listen(&mut self) -> RawFd {
        let listener = self.bound();
        // SAFETY: no memory is passed.
        checked(unsafe { libc::listen(listener, 0) } as isize).unwrap();
        self.address = name_of(listener);
        listener
    }

    fn connected(&mut self) -> [RawFd; 2] {
        match self.kind.plain() {
            Tcp => {
                let listener = self.listen();
                let client = self.fresh();
                connect(client, &self.address).unwrap();
                [client, self.hold(accept(listener).unwrap())]
            }
            Udp => {
                let pair = [self.bound(), self.bound()];
                connect(pair[0], &name_of(pair[1])).unwrap();
                connect(pair[1], &name_of(pair[0])).unwrap();
                pair
            }
            Named => {
                let [sender, receiver] = [self.fresh(), self.bound()];
                connect(sender, &name_of(receiver)).unwrap();
                [sender, receiver]
            }
            Ping | Raw | UdpOut | RawOut => {
                let alone = self.fresh();
                connect(alone, &self.address).unwrap();
                // What it sends brings an answer, or comes back.
                [alone, alone]
            }
            _ => {
                let mut pair = [-1; 2];
                let flags = type_of(self.kind) | libc::SOCK_CLOEXEC;
                // SAFETY: the kernel writes two numbers.
                checked(unsafe { libc::socketpair(libc::AF_UNIX, flags, 0, pair.as_mut_ptr()) } as isize)
                    .unwrap();
                // SAFETY: the descriptors are new, and nobody else's.
                pair.map(|new| self.hold(unsafe { OwnedFd::from_raw_fd(new) }))
            }
        }
    }

    /// What is sent.
    fn packet(&self) -> [u8; 1000] {
        let at = if self.kind.is_v6() { 8..24 } else { 4..8 };
        self.kind.packet(self.address.get(at).unwrap_or_default())
    }

    fn fill(&self) {
        let packet = self.packet();
        if matches!(self.kind.plain(), UdpOut | RawOut) {
            // Full before the queue of the neighbour is, which drops what is too much.
            set(self.socket, libc::SO_SNDBUF, 5000);
        }
        while send(self.socket, &packet, libc::MSG_DONTWAIT).is_ok() {}
        if self.kind.plain() == Tcp {
            // What is acknowledged late makes room again.
            time_out(self.socket, Duration::from_millis(300));
            let mut full = 0;
            while full < 3 {
                full = if send(self.socket, &packet, 0).is_ok() { 0 } else { full + 1 };
            }
            time_out(self.socket, Duration::ZERO);
        }
    }

    /// Makes the call, and says how it ended.
    fn make(&self, end: End) -> String {
        if self.call.watches() {
            return self.watch(end);
        }
        let socket = self.socket;
        let mut data = self.packet();
        let mut bytes = [0; 64];
        let ended = match self.call {
            Accept => return said(accept(socket).map(|_| "taken")),
            Accept4 => return said(accept4(socket).map(|_| "taken")),
            Connect => connect(socket, &self.address),
            Recv => recv(socket, &mut bytes, 0),
            RecvAll => recv(socket, &mut bytes[..10], libc::MSG_WAITALL),
            Send => send(socket, &data, 0),
            Recvfrom | Read | Sendto | Write => plain(self.call, socket, &mut bytes, &data),
            Sendfile => {
                let mut file = File::from(memfd_create("packet", MemfdFlags::CLOEXEC).unwrap());
                file.write_all(&data).unwrap();
                // SAFETY: the kernel reads and writes the offset.
                checked(unsafe { libc::sendfile(socket, file.as_raw_fd(), &mut 0, 1000) })
            }
            Recvmsg | Recvmmsg | Readv => vectored(self.call, socket, &mut parts(&mut bytes, 2)),
            Sendmsg | Sendmmsg | Writev => vectored(self.call, socket, &mut parts(&mut data, 400)),
            _ => unreachable!("it watches"),
        };
        said(ended)
    }

    /// The calls that watch.
    fn watch(&self, end: End) -> String {
        let socket = self.socket;
        let times = end == End::TimeOut;
        let millis = if times { TIME_OUT.as_millis() as c_int } else { -1 };
        let mut micro = libc::timeval { tv_sec: 0, tv_usec: TIME_OUT.subsec_micros().into() };
        let micro = if times { &raw mut micro } else { ptr::null_mut() };
        let nano = libc::timespec { tv_sec: 0, tv_nsec: TIME_OUT.subsec_nanos().into() };
        let nano = if times { &raw const nano } else { ptr::null() };
        let (real, _far) = UnixStream::pair().unwrap();
        let watched = |fd, events| libc::pollfd { fd, events, revents: 0 };
        let wanted = if self.call.wants_room() { libc::POLLOUT } else { libc::POLLIN | libc::POLLRDHUP };
        let mut fds = [watched(socket, wanted), watched(real.as_raw_fd(), libc::POLLIN)];
        let (at, none) = (fds.as_mut_ptr(), ptr::null_mut());
        assert!((socket as usize) < libc::FD_SETSIZE);
        // SAFETY: a set of zeros is an empty one, in which the number has a place; events of zeros are some, and as many are
        // written as there is room for; so are the masks of what is polled. There is no mask of signals.
        let ended = checked(unsafe {
            let mut set: libc::fd_set = zeroed();
            libc::FD_SET(socket, &mut set);
            let mut events: [libc::epoll_event; 4] = zeroed();
            let events = events.as_mut_ptr();
            match self.call {
                Epoll | EpollOut => libc::epoll_wait(socket, events, 4, millis) as isize,
                EpollPwait2 => libc::syscall(
                    libc::SYS_epoll_pwait2,
                    socket,
                    events,
                    4,
                    nano,
                    ptr::null::<libc::sigset_t>(),
                    0usize,
                ) as isize,
                Select => libc::select(socket + 1, &mut set, none, none, micro) as isize,
                SelectOut => libc::select(socket + 1, none, &mut set, none, micro) as isize,
                Pselect => libc::pselect(socket + 1, &mut set, none, none, nano, ptr::null()) as isize,
                Poll | PollOut => libc::poll(at, 1, millis) as isize,
                Ppoll => libc::ppoll(at, 1, nano, ptr::null()) as isize,
                _ => libc::poll(at, 2, millis) as isize,
            }
        });
        match ended {
            Ok(1..) if matches!(self.call, Poll | PollBeside | Ppoll | PollOut) => {
                format!("{:?}", PollMask::from_bits(fds[0].revents as u16))
            }
            ended => said(ended),
        }
    }

    fn end_by(&self, end: End) {
        match end {
            // It may say ENOTCONN, and wakes all the same. SAFETY: no memory is passed.
            End::Shutdown => drop(checked(unsafe { libc::shutdown(self.watched, libc::SHUT_RDWR) } as isize)),
            End::Data => self.serve(),
            _ => {}
        }
    }

    /// Does what the call waits for. It may have ended already.
    fn serve(&self) {
        match (self.call, self.kind.plain()) {
            (Accept | Accept4, _) => {
                let _ = connect(socket_of(&self.namespace, self.kind).as_raw_fd(), &self.address);
            }
            (Connect, _) => drop(accept(self.other)),
            (call, UdpOut | RawOut) if call.wants_room() => {
                // The neighbour is found, and takes all.
                let at = match self.kind.is_v6() {
                    true => format!("fd00::{:x}", self.address[23]),
                    false => format!("10.0.0.{}", self.address[7]),
                };
                let neighbour = ["neigh", "replace", &at, "lladdr", "02:00:00:00:00:02", "dev", "nowhere"];
                assert!(self.namespace.command("ip").args(neighbour).status().unwrap().success());
            }
            (call, _) if call.wants_room() => {
                let mut room = [0; 65_536];
                while recv(self.other, &mut room, libc::MSG_DONTWAIT).is_ok_and(|len| len > 0) {}
            }
            (_, Ping) => {
                let request = REQUESTS[usize::from(self.kind.is_v6())];
                let _ = send(self.other, request, libc::MSG_DONTWAIT);
            }
            _ => drop(send(self.other, b"hello", libc::MSG_DONTWAIT)),
        }
    }
}

fn type_of(kind: Kind) -> c_int {
    match kind.plain() {
        Tcp | Stream => libc::SOCK_STREAM,
        Raw | RawOut => libc::SOCK_RAW,
        Records => libc::SOCK_SEQPACKET,
        _ => libc::SOCK_DGRAM,
    }
}

/// A socket, of the namespace where it matters.
fn socket_of(namespace: &Namespace, kind: Kind) -> OwnedFd {
    let (inet, icmp) = match kind.is_v6() {
        true => (libc::AF_INET6, libc::IPPROTO_ICMPV6),
        false => (libc::AF_INET, libc::IPPROTO_ICMP),
    };
    let protocol = match kind.plain() {
        Ping => icmp,
        // Each its own: a raw socket hears all that is of its protocol.
        Raw | RawOut => {
            static NEXT: [AtomicU8; 2] = [const { AtomicU8::new(0) }; 2];
            let next = &NEXT[usize::from(kind.is_v6())];
            NOBODYS + c_int::from(next.fetch_add(1, Ordering::Relaxed) % NOBODYS_COUNT)
        }
        Stream | Datagram | Named | Records => {
            // SAFETY: no memory is passed.
            let made = unsafe { libc::socket(libc::AF_UNIX, type_of(kind) | libc::SOCK_CLOEXEC, 0) };
            checked(made as isize).unwrap();
            // SAFETY: the descriptor is new, and nobody else's.
            return unsafe { OwnedFd::from_raw_fd(made) };
        }
        _ => 0,
    };
    let socket = namespace.socket(inet, type_of(kind), protocol).unwrap();
    if kind.plain() == RawOut {
        let (level, name) = match kind.is_v6() {
            true => (libc::SOL_IPV6, IPV6_HDRINCL),
            false => (libc::SOL_IP, libc::IP_HDRINCL),
        };
        set_at(socket.as_raw_fd(), level, name, 1);
    }
    socket
}

/// Waits until the thread sleeps in a call of the kernel's that is no lock.
fn await_sleep(thread: c_int, until: Instant) {
    let task = format!("/proc/self/task/{thread}");
    while Instant::now() < until {
        // It is gone where the call has ended.
        let Ok(call) = fs::read_to_string(format!("{task}/syscall")) else { return };
        let number = call.split(' ').next().and_then(|number| number.parse::<i64>().ok());
        if number.is_some_and(|number| number >= 0 && number != libc::SYS_futex) {
            return;
        }
        thread::yield_now();
    }
}

/// How the call ends, made by one thread and ended by another once the first has fallen asleep.
fn run(namespace: &Namespace, kind: Kind, call: Call, end: End) -> String {
    let scene = Arc::new(Scene::new(namespace, kind, call, end));
    let (begun, thread) = mpsc::channel();
    let (done, ended) = mpsc::channel();
    let calling = scene.clone();
    thread::spawn(move || {
        // SAFETY: no memory is passed.
        begun.send(unsafe { libc::gettid() }).unwrap();
        drop(done.send(calling.make(end)));
    });
    let until = Instant::now() + PATIENCE;
    await_sleep(thread.recv().unwrap(), until);
    if let (Ok(text), false) = (ended.try_recv(), end == End::TimeOut) {
        return format!("{text} without waiting");
    }
    scene.end_by(end);
    let outlasts = end == End::Shutdown && rows::outlasts_a_shutdown(kind, call);
    if outlasts {
        scene.serve();
    }
    let serves = (outlasts || end == End::Data) && call.wants_room();
    while Instant::now() < until {
        // A stream's buffer is emptied again and again.
        if serves {
            scene.serve();
        }
        let pause = if serves { Duration::from_millis(1) } else { PATIENCE };
        if let Ok(text) = ended.recv_timeout(pause) {
            return text;
        }
    }
    "never".to_owned()
}

/// A namespace with ping sockets, and a link without anybody.
fn namespace() -> Option<Namespace> {
    let namespace = Namespace::create().map_or_else(skipped_for, Some)?;
    // SAFETY: no memory is passed.
    let group = unsafe { libc::getegid() };
    namespace.set_sysctl("net.ipv4.ping_group_range", &format!("{group} {group}")).unwrap();
    let link = "ip link add nowhere type veth peer name nobody && ip link set nobody up && \
                ip link set nowhere up && ip address add 10.0.0.1/24 dev nowhere && \
                ip address add fd00::1/64 dev nowhere nodad";
    assert!(namespace.command("sh").args(["-c", link]).status().unwrap().success(), "{link}");
    Some(namespace)
}

#[test]
fn the_table_of_calls_that_wait_is_linuxs() {
    let Some(namespace) = namespace() else { return };
    let mut all: Vec<_> = cases([End::Shutdown, End::TimeOut, End::Data]).collect();
    // Streams that are full have waited for a second: those come together.
    all.sort_by_key(|(kind, call, ..)| !(call.wants_room() && kind.plain() == Tcp));
    let mut wrong = Vec::new();
    // At the same time, but so many that their descriptors have places in a set of select(2).
    for some in all.chunks(60) {
        thread::scope(|scope| {
            let running = some.iter().map(|(kind, call, end, expected)| {
                let run = scope.spawn(|| run(&namespace, *kind, *call, *end));
                (format!("{kind:?} {call:?} by {end:?}"), expected, run)
            });
            for (case, expected, run) in running.collect::<Vec<_>>() {
                let ended = run.join().unwrap();
                if ended != *expected {
                    wrong.push(format!("{case}: {ended}, not {expected}"));
                }
            }
        });
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
