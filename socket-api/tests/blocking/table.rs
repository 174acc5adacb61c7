//! Each call that waits, on each kind of socket, ended by each thing that ends it: a close, a shutdown, a time-out, and
//! what it waits for, all from another thread; and not by signals.
//!
//! The outcomes stand in `table/rows.rs`; the kernel's own sockets are held to them by `tests/tests/kernel_waits.rs`.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::Duration;

use tapsock::bsd::{
    AF_INET, AF_INET6, AF_UNIX, EPOLL_CTL_ADD, EPOLLIN, EPOLLOUT, EPOLLRDHUP, EpollEvent, FdSet, IP_HDRINCL,
    IPPROTO_ICMP, IPPROTO_ICMPV6, IPV6_HDRINCL, MSG_DONTWAIT, MSG_WAITALL, PollFd, PollMask, RealPollFd,
    RecvMessage, SHUT_RDWR, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM,
    SOL_IP, SOL_IPV6, SOL_SOCKET, SendMessage,
};
use tapsock::bsd::{
    accept, accept4, bind, close, connect, epoll_create1, epoll_ctl, epoll_pwait2, epoll_wait, getsockname,
    listen, poll, poll_beside, ppoll, pselect, read, readv, recv, recvfrom, recvmmsg, recvmsg, select, send,
    sendfile, sendmmsg, sendmsg, sendto, setsockopt, shutdown, socket, socketpair, write, writev,
};
use tapsock::{Driver, Errno, Host, SockAddr};
use tapsock_driver::link::{Link, RecvSlot};
use tapsock_driver::memory::{MemoryConfig, MemoryLink};
use tapsock_driver::{RecvHalf, SendHalf};
use tapsock_sockets::UnixAddr;
use tapsock_stack::wire::offload::Medium;

mod rows;
mod running;

use rows::{Call, Call::*, End, Kind, Kind::*, cases};

/// A call that would wait, and what it waits for.
struct Scene {
    host: Host,
    kind: Kind,
    call: Call,
    /// What the call is made on.
    socket: i32,
    /// Where what it waits for comes from.
    other: i32,
    /// What is watched, for epoll.
    watched: i32,
    address: SockAddr,
    /// The far end of the link, where the host has one.
    link: Option<FarEnd>,
}

/// Both halves: without one of them the link is down.
type FarEnd = Mutex<(Box<dyn RecvHalf>, Box<dyn SendHalf>)>;

/// Of the calls that end by their time-out.
const TIME_OUT: Duration = Duration::from_millis(10);
/// A protocol that nobody has.
const NOBODYS: i32 = 200;
/// An echo request, of each family.
const REQUESTS: [&[u8]; 2] = [b"\x08\0\0\0\0\x01\0\x01hello", b"\x80\0\0\0\0\x01\0\x01hello"];

fn any(kind: Kind) -> SockAddr {
    let address = match kind {
        Tcp | Udp | Ping | Raw => "127.0.0.1:0",
        Tcp6 | Udp6 | Ping6 | Raw6 => "[::1]:0",
        UdpOut | RawOut => "10.0.0.2:9",
        UdpOut6 => "[fd00::2]:9",
        RawOut6 => "[fd00::2]:0",
        _ => return SockAddr::Unix(UnixAddr::UNNAMED),
    };
    SockAddr::from(address.parse::<SocketAddr>().unwrap())
}

fn fresh(host: &Host, kind: Kind) -> i32 {
    let inet = if kind.is_v6() { AF_INET6 } else { AF_INET };
    let icmp = if kind.is_v6() { IPPROTO_ICMPV6 } else { IPPROTO_ICMP };
    let plain = kind.plain();
    let (domain, kind, protocol) = match plain {
        Tcp => (inet, SOCK_STREAM, 0),
        Udp | UdpOut => (inet, SOCK_DGRAM, 0),
        Ping => (inet, SOCK_DGRAM, icmp),
        Raw | RawOut => (inet, SOCK_RAW, NOBODYS),
        Stream => (AF_UNIX, SOCK_STREAM, 0),
        Datagram | Named => (AF_UNIX, SOCK_DGRAM, 0),
        _ => (AF_UNIX, SOCK_SEQPACKET, 0),
    };
    let socket = socket(host, domain, kind, protocol).unwrap();
    if plain == RawOut {
        let (level, name) = if inet == AF_INET6 { (SOL_IPV6, IPV6_HDRINCL) } else { (SOL_IP, IP_HDRINCL) };
        setsockopt(host, socket, level, name, &1i32.to_ne_bytes()).unwrap();
    }
    socket
}

fn listener(host: &Host, kind: Kind) -> (i32, SockAddr) {
    let listener = fresh(host, kind);
    bind(host, listener, &any(kind)).unwrap();
    listen(host, listener, 0).unwrap();
    (listener, getsockname(host, listener).unwrap())
}

fn connected(host: &Host, kind: Kind) -> [i32; 2] {
    match kind.plain() {
        Tcp => {
            let (listener, address) = listener(host, kind);
            let client = fresh(host, kind);
            connect(host, client, &address).unwrap();
            [client, accept(host, listener).unwrap().0]
        }
        Udp => {
            let pair = [(); 2].map(|()| fresh(host, kind));
            pair.iter().for_each(|socket| bind(host, *socket, &any(kind)).unwrap());
            connect(host, pair[0], &getsockname(host, pair[1]).unwrap()).unwrap();
            connect(host, pair[1], &getsockname(host, pair[0]).unwrap()).unwrap();
            pair
        }
        Named => {
            let [sender, receiver] = [(); 2].map(|()| fresh(host, kind));
            bind(host, receiver, &any(kind)).unwrap();
            connect(host, sender, &getsockname(host, receiver).unwrap()).unwrap();
            [sender, receiver]
        }
        Ping | Raw | UdpOut | RawOut => {
            let alone = fresh(host, kind);
            connect(host, alone, &any(kind)).unwrap();
            // What it sends brings an answer, or comes back.
            [alone, alone]
        }
        Stream => socketpair(host, AF_UNIX, SOCK_STREAM, 0).unwrap(),
        Datagram => socketpair(host, AF_UNIX, SOCK_DGRAM, 0).unwrap(),
        _ => socketpair(host, AF_UNIX, SOCK_SEQPACKET, 0).unwrap(),
    }
}

/// Sets both time-outs; of none, they wait for ever.
fn time_out(host: &Host, socket: i32, time: Duration) {
    let value = [time.as_secs() as i64, i64::from(time.subsec_micros())].map(i64::to_ne_bytes).concat();
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
        setsockopt(host, socket, SOL_SOCKET, option, &value).unwrap();
    }
}

/// A host, and the far end of its link where it has one, which takes two packets until somebody reads them.
fn host_for(kind: Kind) -> (Host, Option<FarEnd>) {
    // Without a thread of its own, only those that wait sleep.
    let builder = Host::builder().driver(Driver::External).privileged().shutdown_timeout(Duration::ZERO);
    if !matches!(kind.plain(), UdpOut | RawOut) {
        return (builder.start().unwrap(), None);
    }
    let config = MemoryConfig { medium: Medium::Ip, capacity: 2, ..MemoryConfig::default() };
    let (near, far) = MemoryLink::pair(config).unwrap();
    let builder = builder.link(near).address("10.0.0.1/24".parse().unwrap());
    let host = builder.address("fd00::1/64".parse().unwrap()).start().unwrap();
    (host, Some(Mutex::new(Box::new(far).split())))
}

impl Scene {
    fn new(kind: Kind, call: Call, end: End) -> Scene {
        let (host, link) = host_for(kind);
        let mut scene = Scene {
            host: host.clone(),
            kind,
            call,
            socket: 0,
            other: 0,
            watched: 0,
            address: any(kind),
            link,
        };
        match call {
            Accept | Accept4 => (scene.socket, scene.address) = listener(&host, kind),
            Connect => {
                (scene.other, scene.address) = listener(&host, kind);
                // One waits for the listener, and no more may.
                connect(&host, fresh(&host, kind), &scene.address).unwrap();
                scene.socket = fresh(&host, kind);
            }
            _ => [scene.socket, scene.other] = connected(&host, kind),
        }
        if call.wants_room() {
            scene.fill();
        }
        if call == RecvAll {
            send(&host, scene.other, b"hello", 0).unwrap();
        }
        scene.watched = scene.socket;
        if call.is_of_an_instance() {
            scene.socket = epoll_create1(&host, 0).unwrap();
            let events = if call.wants_room() { EPOLLOUT } else { EPOLLIN | EPOLLRDHUP };
            let event = EpollEvent { events, data: 0 };
            epoll_ctl(&host, scene.socket, EPOLL_CTL_ADD, scene.watched, Some(event)).unwrap();
        }
        if end.has_a_time_out() && !call.watches() {
            time_out(&host, scene.socket, TIME_OUT);
        }
        scene
    }

    /// Sends until no more can go.
    fn fill(&self) {
        let (host, socket) = (&self.host, self.socket);
        let packet = self.kind.packet(&[]);
        while send(host, socket, &packet, MSG_DONTWAIT).is_ok() {}
        if self.kind.plain() == Tcp {
            // What is acknowledged late makes room again.
            time_out(host, socket, Duration::from_millis(300));
            while send(host, socket, &packet, 0).is_ok() {}
            time_out(host, socket, Duration::ZERO);
        }
    }

    /// Makes the call, and says how it ended.
    fn make(&self, end: End) -> String {
        if self.call.watches() {
            return self.watch(end);
        }
        let (host, socket) = (&self.host, self.socket);
        let (packet, mut bytes) = (self.kind.packet(&[]), [0; 64]);
        let (first, rest) = packet.split_at(400);
        let ended = match self.call {
            Accept => return said(accept(host, socket).map(|_| "taken")),
            Accept4 => return said(accept4(host, socket, 0).map(|_| "taken")),
            Connect => return said(connect(host, socket, &self.address).map(|()| 0)),
            Recv => recv(host, socket, &mut bytes, 0),
            Recvfrom => recvfrom(host, socket, &mut bytes, 0).map(|(len, _)| len),
            Read => read(host, socket, &mut bytes),
            RecvAll => recv(host, socket, &mut bytes[..10], MSG_WAITALL),
            Recvmsg => {
                let mut iov = [IoSliceMut::new(&mut bytes)];
                let mut message = RecvMessage { iov: &mut iov, control_room: 64 };
                recvmsg(host, socket, &mut message, 0).map(|received| received.len)
            }
            Recvmmsg => {
                let mut iov = [IoSliceMut::new(&mut bytes)];
                let mut messages = [RecvMessage { iov: &mut iov, control_room: 64 }];
                recvmmsg(host, socket, &mut messages, 0, None).map(|received| received.len())
            }
            Readv => {
                let (first, rest) = bytes.split_at_mut(2);
                readv(host, socket, &mut [IoSliceMut::new(first), IoSliceMut::new(rest)])
            }
            Send => send(host, socket, &packet, 0),
            Sendto => sendto(host, socket, &packet, 0, None),
            Write => write(host, socket, &packet),
            Sendmmsg => {
                let iov = [IoSlice::new(&packet)];
                let messages = [SendMessage { iov: &iov, ..SendMessage::default() }];
                sendmmsg(host, socket, &messages, 0).map(|sent| sent.len())
            }
            Sendfile => {
                let file = File::open("/proc/self/exe").unwrap();
                sendfile(host, socket, file.as_fd(), Some(&mut 0), 1000)
            }
            Writev => writev(host, socket, &[first, rest].map(IoSlice::new)),
            Sendmsg => {
                let iov = [first, rest].map(IoSlice::new);
                sendmsg(host, socket, &SendMessage { iov: &iov, ..SendMessage::default() }, 0)
            }
            _ => unreachable!("it watches"),
        };
        said(ended)
    }

    /// The calls that watch.
    fn watch(&self, end: End) -> String {
        let (host, socket) = (&self.host, self.socket);
        let timeout = end.has_a_time_out().then_some(TIME_OUT);
        let millis = timeout.map_or(-1, |timeout| timeout.as_millis() as i32);
        let wanted = if self.call.wants_room() { PollMask::OUT } else { PollMask::IN | PollMask::RDHUP };
        let mut fds = [PollFd::new(socket, wanted)];
        let mut set: FdSet = [socket].into_iter().filter(|_| !self.call.is_of_an_instance()).collect();
        let (real, _far) = UnixStream::pair().unwrap();
        let polled = match self.call {
            Epoll | EpollOut => {
                return said(epoll_wait(host, socket, &mut [EpollEvent::default(); 4], millis));
            }
            EpollPwait2 => {
                return said(epoll_pwait2(host, socket, &mut [EpollEvent::default(); 4], timeout));
            }
            Select => return said(select(host, socket + 1, Some(&mut set), None, None, timeout)),
            SelectOut => return said(select(host, socket + 1, None, Some(&mut set), None, timeout)),
            Pselect => return said(pselect(host, socket + 1, Some(&mut set), None, None, timeout)),
            Poll | PollOut => poll(host, &mut fds, millis),
            Ppoll => ppoll(host, &mut fds, timeout),
            _ => {
                let mut others = [RealPollFd::new(real.as_fd(), PollMask::IN.bits())];
                poll_beside(host, &mut fds, &mut others, timeout)
            }
        };
        match polled {
            Ok(0) => "0".to_owned(),
            ended => said(ended.map(|_| format!("{:?}", fds[0].revents))),
        }
    }

    /// Times that a thread has gone to sleep.
    fn sleeps(&self) -> u64 {
        let stats = self.host.engine_stats();
        stats.ppolls + stats.parks + stats.local_parks
    }

    fn end_by(&self, end: End) {
        match end {
            End::Close => close(&self.host, self.socket).unwrap(),
            End::Shutdown => drop(shutdown(&self.host, self.watched, SHUT_RDWR)),
            End::TimeOut | End::SignalAndTimeOut => {}
            End::Data | End::Signal => self.serve(),
        }
    }

    /// Does what the call waits for. It may have ended already.
    fn serve(&self) {
        let host = &self.host;
        match self.call {
            Accept | Accept4 => drop(connect(host, fresh(host, self.kind), &self.address)),
            Connect => drop(accept(host, self.other)),
            _ if self.call.wants_room() => match &self.link {
                // The caller's thread finds that there is room again.
                Some(link) => while link.lock().unwrap().0.receive(&mut RecvSlot::new()).is_ok() {},
                None => {
                    let mut room = [0; 65_536];
                    while recv(host, self.other, &mut room, MSG_DONTWAIT).is_ok_and(|len| len > 0) {}
                }
            },
            _ if self.kind.plain() == Ping => {
                let _ = send(host, self.other, REQUESTS[usize::from(self.kind.is_v6())], MSG_DONTWAIT);
            }
            _ => drop(send(host, self.other, b"hello", MSG_DONTWAIT)),
        }
    }
}

fn said<T: ToString>(ended: Result<T, Errno>) -> String {
    match ended {
        Ok(value) => value.to_string(),
        Err(errno) => {
            let names = [
                (Errno::AGAIN, "EAGAIN"),
                (Errno::BADF, "EBADF"),
                (Errno::CONNRESET, "ECONNRESET"),
                (Errno::INPROGRESS, "EINPROGRESS"),
                (Errno::INVAL, "EINVAL"),
                (Errno::ISCONN, "EISCONN"),
                (Errno::PIPE, "EPIPE"),
            ];
            let name = names.iter().find(|(known, _)| *known == errno);
            name.map_or_else(|| errno.to_string(), |(_, name)| (*name).to_owned())
        }
    }
}
