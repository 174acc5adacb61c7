//! Each call that waits, on each kind of socket, ended by each thing that ends it: a close, a shutdown, a time-out, and
//! what it waits for, all from another thread; and not by signals.
//!
//! The outcomes stand in `table/rows.rs`; the kernel's own sockets are held to them by `tests/tests/kernel_waits.rs`.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::Duration;

use tapsock::bsd::{
    AF_INET, AF_UNIX, EPOLL_CTL_ADD, EPOLLIN, EPOLLRDHUP, EpollEvent, FdSet, IPPROTO_ICMP, MSG_DONTWAIT,
    PollFd, PollMask, RealPollFd, RecvMessage, SHUT_RDWR, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_DGRAM, SOCK_RAW,
    SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, SendMessage,
};
use tapsock::bsd::{
    accept, bind, close, connect, epoll_create1, epoll_ctl, epoll_wait, getsockname, listen, poll,
    poll_beside, readv, recv, recvmmsg, recvmsg, select, send, sendfile, sendmmsg, sendmsg, setsockopt,
    shutdown, socket, socketpair, writev,
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
const TIME_OUT: Duration = Duration::from_millis(30);
/// A protocol that nobody has.
const NOBODYS: i32 = 200;
/// An echo request.
const REQUEST: &[u8] = b"\x08\0\0\0\0\x01\0\x01hello";

fn any(kind: Kind) -> SockAddr {
    match kind {
        Tcp | Udp | Ping | Raw => SockAddr::V4("127.0.0.1:0".parse().unwrap()),
        UdpOut | RawOut => SockAddr::V4("10.0.0.2:9".parse().unwrap()),
        _ => SockAddr::Unix(UnixAddr::UNNAMED),
    }
}

fn fresh(host: &Host, kind: Kind) -> i32 {
    let (domain, kind, protocol) = match kind {
        Tcp => (AF_INET, SOCK_STREAM, 0),
        Udp | UdpOut => (AF_INET, SOCK_DGRAM, 0),
        Ping => (AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
        Raw | RawOut => (AF_INET, SOCK_RAW, NOBODYS),
        Stream => (AF_UNIX, SOCK_STREAM, 0),
        Datagram | Named => (AF_UNIX, SOCK_DGRAM, 0),
        Records => (AF_UNIX, SOCK_SEQPACKET, 0),
    };
    socket(host, domain, kind, protocol).unwrap()
}

fn listener(host: &Host, kind: Kind) -> (i32, SockAddr) {
    let listener = fresh(host, kind);
    bind(host, listener, &any(kind)).unwrap();
    listen(host, listener, 0).unwrap();
    (listener, getsockname(host, listener).unwrap())
}

fn connected(host: &Host, kind: Kind) -> [i32; 2] {
    match kind {
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
        Records => socketpair(host, AF_UNIX, SOCK_SEQPACKET, 0).unwrap(),
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
    if !matches!(kind, UdpOut | RawOut) {
        return (builder.start().unwrap(), None);
    }
    let config = MemoryConfig { medium: Medium::Ip, capacity: 2, ..MemoryConfig::default() };
    let (near, far) = MemoryLink::pair(config).unwrap();
    let host = builder.link(near).address("10.0.0.1/24".parse().unwrap()).start().unwrap();
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
            Accept => (scene.socket, scene.address) = listener(&host, kind),
            Connect => {
                (scene.other, scene.address) = listener(&host, kind);
                // One waits for the listener, and no more may.
                connect(&host, fresh(&host, kind), &scene.address).unwrap();
                scene.socket = fresh(&host, kind);
            }
            _ => [scene.socket, scene.other] = connected(&host, kind),
        }
        if call.sends() {
            while send(&host, scene.socket, &[0; 1000], MSG_DONTWAIT).is_ok() {}
            if kind == Tcp {
                // What is acknowledged late makes room again.
                time_out(&host, scene.socket, Duration::from_millis(300));
                while send(&host, scene.socket, &[0; 1000], 0).is_ok() {}
                time_out(&host, scene.socket, Duration::ZERO);
            }
        }
        scene.watched = scene.socket;
        if call == Epoll {
            scene.socket = epoll_create1(&host, 0).unwrap();
            let event = EpollEvent { events: EPOLLIN | EPOLLRDHUP, data: 0 };
            epoll_ctl(&host, scene.socket, EPOLL_CTL_ADD, scene.watched, Some(event)).unwrap();
        }
        if end.has_a_time_out() && !matches!(call, Poll | PollBeside | Select | Epoll) {
            time_out(&host, scene.socket, TIME_OUT);
        }
        scene
    }

    /// Makes the call, and says how it ended.
    fn make(&self, end: End) -> String {
        let (host, socket) = (&self.host, self.socket);
        let timeout = if end.has_a_time_out() { TIME_OUT.as_millis() as i32 } else { -1 };
        let mut bytes = [0; 64];
        let ended = match self.call {
            Accept => return said(accept(host, socket).map(|_| "taken")),
            Connect => return said(connect(host, socket, &self.address).map(|()| 0)),
            Recv => recv(host, socket, &mut bytes, 0),
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
            Send => send(host, socket, &[1; 1000], 0),
            Sendmmsg => {
                let iov = [IoSlice::new(&[1; 1000])];
                let messages = [SendMessage { iov: &iov, ..SendMessage::default() }];
                sendmmsg(host, socket, &messages, 0).map(|sent| sent.len())
            }
            Sendfile => {
                let file = File::open("/proc/self/exe").unwrap();
                sendfile(host, socket, file.as_fd(), Some(&mut 0), 1000)
            }
            Writev => writev(host, socket, &[IoSlice::new(&[1; 400]), IoSlice::new(&[1; 600])]),
            Sendmsg => {
                let (first, rest) = ([1; 400], [1; 600]);
                let iov = [&first[..], &rest].map(IoSlice::new);
                sendmsg(host, socket, &SendMessage { iov: &iov, ..SendMessage::default() }, 0)
            }
            Poll => {
                let mut fds = [PollFd::new(socket, PollMask::IN | PollMask::RDHUP)];
                return match poll(host, &mut fds, timeout) {
                    Ok(0) => "0".to_owned(),
                    ended => said(ended.map(|_| format!("{:?}", fds[0].revents))),
                };
            }
            PollBeside => {
                let (real, _far) = UnixStream::pair().unwrap();
                let mut fds = [PollFd::new(socket, PollMask::IN | PollMask::RDHUP)];
                let mut others = [RealPollFd::new(real.as_fd(), PollMask::IN.bits())];
                let timeout = end.has_a_time_out().then_some(TIME_OUT);
                return match poll_beside(host, &mut fds, &mut others, timeout) {
                    Ok(0) => "0".to_owned(),
                    ended => said(ended.map(|_| format!("{:?}", fds[0].revents))),
                };
            }
            Select => {
                let mut set: FdSet = [socket].into_iter().collect();
                let timeout = end.has_a_time_out().then_some(TIME_OUT);
                select(host, socket + 1, Some(&mut set), None, None, timeout)
            }
            Epoll => epoll_wait(host, socket, &mut [EpollEvent::default(); 4], timeout),
        };
        said(ended)
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
            Accept => drop(connect(host, fresh(host, self.kind), &self.address)),
            Connect => drop(accept(host, self.other)),
            _ if self.call.sends() => match &self.link {
                // The caller's thread finds that there is room again.
                Some(link) => while link.lock().unwrap().0.receive(&mut RecvSlot::new()).is_ok() {},
                None => while recv(host, self.other, &mut [0; 65_536], MSG_DONTWAIT).is_ok() {},
            },
            _ if self.kind == Ping => drop(send(host, self.other, REQUEST, MSG_DONTWAIT)),
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
