//! Each call that waits, on each kind of socket, ended by each thing that ends it: a close, a shutdown, a time-out, and
//! what it waits for, all from another thread.
//!
//! Outcomes are those of Linux 6.18, but for `close`, which leaves the call waiting there. Where a shutdown ends nothing,
//! the call gets what it waits for afterwards.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tapsock::bsd::{
    AF_INET, AF_UNIX, EPOLL_CTL_ADD, EPOLLIN, EPOLLRDHUP, EpollEvent, FdSet, MSG_DONTWAIT, PollFd, PollMask,
    RecvMessage, SHUT_RDWR, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET,
    SendMessage,
};
use tapsock::bsd::{
    accept, bind, close, connect, epoll_create1, epoll_ctl, epoll_wait, getsockname, listen, poll, recv,
    recvmsg, select, send, sendmsg, setsockopt, shutdown, socket, socketpair,
};
use tapsock::{Driver, Errno, Host, SockAddr};
use tapsock_sockets::UnixAddr;

use super::common::PATIENCE;

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Kind {
    Tcp,
    Udp,
    Stream,
    Datagram,
    Records,
    /// A datagram socket that is connected to one that has a name, and is not connected back.
    Named,
}

use Kind::*;

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Call {
    Accept,
    Connect,
    Recv,
    Recvmsg,
    Send,
    Sendmsg,
    Poll,
    Select,
    Epoll,
}

use Call::*;

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum End {
    Close,
    Shutdown,
    TimeOut,
    Data,
}

/// Kind, call, and how it ends by a close, a shutdown of both directions, a time-out, and what it waits for.
const TABLE: &[(&[Kind], Call, [&str; 4])] = &[
    (&[Tcp, Stream, Records], Accept, ["EBADF", "EINVAL", "EAGAIN", "taken"]),
    (&[Tcp], Connect, ["EBADF", "ECONNRESET", "EINPROGRESS", "0"]),
    // It waits for the listener, which knows nothing of this shutdown.
    (&[Stream, Records], Connect, ["EBADF", "0", "EAGAIN", "0"]),
    (&[Tcp, Udp, Stream, Datagram, Records], Recv, ["EBADF", "0", "EAGAIN", "5"]),
    (&[Tcp, Udp, Stream, Datagram, Records], Recvmsg, ["EBADF", "0", "EAGAIN", "5"]),
    (&[Tcp, Stream, Datagram, Records], Send, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    (&[Tcp, Stream, Datagram, Records], Sendmsg, ["EBADF", "EPIPE", "EAGAIN", "1000"]),
    // It waits for the receiver, which knows nothing of this shutdown.
    (&[Named], Send, ["EBADF", "1000", "EAGAIN", "1000"]),
    (&[Tcp, Udp, Stream, Datagram, Records], Poll, ["NVAL", "IN|HUP|RDHUP", "0", "IN"]),
    (&[Tcp, Udp, Stream, Datagram, Records], Select, ["EBADF", "1", "0", "1"]),
    // What is closed is the instance.
    (&[Tcp, Udp, Stream, Datagram, Records], Epoll, ["EBADF", "1", "0", "1"]),
];

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
}

fn any(kind: Kind) -> SockAddr {
    match kind {
        Tcp | Udp => SockAddr::V4("127.0.0.1:0".parse().unwrap()),
        _ => SockAddr::Unix(UnixAddr::UNNAMED),
    }
}

fn fresh(host: &Host, kind: Kind) -> i32 {
    let (domain, kind) = match kind {
        Tcp => (AF_INET, SOCK_STREAM),
        Udp => (AF_INET, SOCK_DGRAM),
        Stream => (AF_UNIX, SOCK_STREAM),
        Datagram | Named => (AF_UNIX, SOCK_DGRAM),
        Records => (AF_UNIX, SOCK_SEQPACKET),
    };
    socket(host, domain, kind, 0).unwrap()
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

impl Scene {
    fn new(kind: Kind, call: Call, end: End) -> Scene {
        // Without a thread of its own, only those that wait sleep.
        let host = Host::builder().driver(Driver::External).start().unwrap();
        let mut scene =
            Scene { host: host.clone(), kind, call, socket: 0, other: 0, watched: 0, address: any(kind) };
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
        if let Send | Sendmsg = call {
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
        if end == End::TimeOut && !matches!(call, Poll | Select | Epoll) {
            time_out(&host, scene.socket, Duration::from_millis(30));
        }
        scene
    }

    /// Makes the call, and says how it ended.
    fn make(&self, end: End) -> String {
        let (host, socket) = (&self.host, self.socket);
        let timeout = if end == End::TimeOut { 30 } else { -1 };
        let mut bytes = [0; 64];
        let ended = match self.call {
            Accept => return said(accept(host, socket).map(|_| "taken")),
            Connect => return said(connect(host, socket, &self.address).map(|()| 0)),
            Recv => recv(host, socket, &mut bytes, 0),
            Recvmsg => {
                let mut iov = [std::io::IoSliceMut::new(&mut bytes)];
                let mut message = RecvMessage { iov: &mut iov, control_room: 64 };
                recvmsg(host, socket, &mut message, 0).map(|received| received.len)
            }
            Send => send(host, socket, &[1; 1000], 0),
            Sendmsg => {
                let (first, rest) = ([1; 400], [1; 600]);
                let iov = [&first[..], &rest].map(std::io::IoSlice::new);
                sendmsg(host, socket, &SendMessage { iov: &iov, ..SendMessage::default() }, 0)
            }
            Poll => {
                let mut fds = [PollFd::new(socket, PollMask::IN | PollMask::RDHUP)];
                return match poll(host, &mut fds, timeout) {
                    Ok(0) => "0".to_owned(),
                    ended => said(ended.map(|_| format!("{:?}", fds[0].revents))),
                };
            }
            Select => {
                let mut set: FdSet = [socket].into_iter().collect();
                let timeout = (end == End::TimeOut).then(|| Duration::from_millis(30));
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
            End::TimeOut => {}
            End::Data => self.serve(),
        }
    }

    /// Does what the call waits for. It may have ended already.
    fn serve(&self) {
        let host = &self.host;
        match self.call {
            Accept => drop(connect(host, fresh(host, self.kind), &self.address)),
            Connect => drop(accept(host, self.other)),
            Send | Sendmsg => while recv(host, self.other, &mut [0; 65_536], MSG_DONTWAIT).is_ok() {},
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
                (Errno::PIPE, "EPIPE"),
            ];
            let name = names.iter().find(|(known, _)| *known == errno);
            name.map_or_else(|| errno.to_string(), |(_, name)| (*name).to_owned())
        }
    }
}

/// How the call ends, made by one thread and ended by another once the first has fallen asleep.
fn run(kind: Kind, call: Call, end: End, expected: &str) -> String {
    let scene = Arc::new(Scene::new(kind, call, end));
    let before = scene.sleeps();
    let (done, ended) = mpsc::channel();
    let calling = scene.clone();
    thread::spawn(move || drop(done.send(calling.make(end))));
    let until = Instant::now() + PATIENCE;
    while scene.sleeps() == before && Instant::now() < until {
        if let (Ok(text), true) = (ended.try_recv(), end != End::TimeOut) {
            return format!("{text} without waiting");
        }
        thread::yield_now();
    }
    scene.end_by(end);
    if end == End::Shutdown && matches!((call, expected), (Connect, "0") | (Send, "1000")) {
        scene.serve();
    }
    let serves = end == End::Data && matches!(call, Send | Sendmsg);
    while Instant::now() < until {
        // A stream's buffer is emptied again and again.
        if serves {
            scene.serve();
        }
        let pause = if serves { Duration::ZERO } else { PATIENCE };
        if let Ok(text) = ended.recv_timeout(pause) {
            return text;
        }
    }
    "never".to_owned()
}

#[test]
fn each_call_that_waits_is_ended_by_all_that_end_it() {
    let cases = TABLE.iter().flat_map(|(kinds, call, outcomes)| {
        let ends = [End::Close, End::Shutdown, End::TimeOut, End::Data].into_iter().zip(*outcomes);
        kinds
            .iter()
            .flat_map(move |kind| ends.clone().map(move |(end, expected)| (*kind, *call, end, expected)))
    });
    // Some wait for a second, and all of them for other threads: at the same time.
    let running: Vec<_> = cases
        .map(|(kind, call, end, expected)| {
            let run = thread::spawn(move || run(kind, call, end, expected));
            (format!("{kind:?} {call:?} by {end:?}"), expected, run)
        })
        .collect();
    let wrong: Vec<String> = running
        .into_iter()
        .filter_map(|(case, expected, run)| {
            let ended = run.join().unwrap();
            (ended != expected).then(|| format!("{case}: {ended}, not {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
