//! What each end does in a round.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier};
use std::thread;

use tapsock::bsd::{
    self, AF_INET, AF_INET6, AF_UNIX, EPOLL_CTL_ADD, EPOLLIN, EpollEvent, FdSet, IPPROTO_ICMP, MSG_DONTWAIT,
    MSG_WAITALL, PollFd, PollMask, RealPollFd, RecvMessage, SO_LINGER, SO_SNDBUF, SOCK_DGRAM, SOCK_RAW,
    SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, SendMessage,
};
use tapsock::{Host, SockAddr};
use tapsock_sockets::UnixAddr;

use crate::common::{RIGHT, RIGHT6, ip};

/// What the two ends do once a round.
pub struct Round {
    pub client: End,
    pub server: End,
}

pub type End = Box<dyn FnMut(&Host) + Send>;

impl Round {
    fn new(client: impl FnMut(&Host) + Send + 'static, server: impl FnMut(&Host) + Send + 'static) -> Round {
        Round { client: Box::new(client), server: Box::new(server) }
    }

    /// 64 bytes there and back: each end receives by `receive`.
    fn echo(
        [client, server]: [i32; 2],
        send: impl Fn(&Host, i32) + Copy + Send + 'static,
        receive: impl Fn(&Host, i32) + Copy + Send + 'static,
    ) -> Round {
        Round::new(
            move |host| {
                send(host, client);
                receive(host, client);
            },
            move |host| {
                receive(host, server);
                send(host, server);
            },
        )
    }

    /// The same, with what each end watches its socket by.
    fn watched<W: Send + 'static>(
        hosts: [&Host; 2],
        sockets: [i32; 2],
        watch: impl Fn(&Host, i32) -> W,
        wait: impl Fn(&Host, &W) + Copy + Send + 'static,
    ) -> Round {
        let [client, server] = sockets;
        let (here, there) = (watch(hosts[0], client), watch(hosts[1], server));
        Round::new(
            move |host| {
                send(host, client);
                wait(host, &here);
                receive(host, client);
            },
            move |host| {
                wait(host, &there);
                receive(host, server);
                send(host, server);
            },
        )
    }
}

pub fn address(port: u16) -> SockAddr {
    SockAddr::from(SocketAddr::from((ip(RIGHT), port)))
}

fn listener(host: &Host, domain: i32, at: &SockAddr) -> (i32, SockAddr) {
    let listener = bsd::socket(host, domain, SOCK_STREAM, 0).unwrap();
    bsd::bind(host, listener, at).unwrap();
    bsd::listen(host, listener, 16).unwrap();
    (listener, bsd::getsockname(host, listener).unwrap())
}

/// A connection: the left host's socket and the right one's.
fn tcp(hosts: [&Host; 2]) -> [i32; 2] {
    tcp_pairs(hosts, AF_INET, 1)[0]
}

/// `count` connections. Each host has a thread in a call, since nobody else drives it.
fn tcp_pairs([left, right]: [&Host; 2], domain: i32, count: u64) -> Vec<[i32; 2]> {
    let at = if domain == AF_INET { RIGHT } else { RIGHT6 };
    let (listener, there) = listener(right, domain, &SockAddr::from(SocketAddr::from((ip(at), 0))));
    let host = left.clone();
    let connecting = thread::spawn(move || {
        let connect = |_| {
            let client = bsd::socket(&host, domain, SOCK_STREAM, 0).unwrap();
            bsd::connect(&host, client, &there).unwrap();
            client
        };
        (0..count).map(connect).collect::<Vec<_>>()
    });
    let servers: Vec<_> = (0..count).map(|_| bsd::accept(right, listener).unwrap().0).collect();
    connecting.join().unwrap().into_iter().zip(servers).map(|(client, server)| [client, server]).collect()
}

fn send(host: &Host, socket: i32) {
    assert_eq!(bsd::send(host, socket, &[1; 64], 0), Ok(64));
}

fn receive(host: &Host, socket: i32) {
    assert_eq!(bsd::recv(host, socket, &mut [0; 128], 0), Ok(64));
}

pub fn send_and_recv(hosts: [&Host; 2], _: u64) -> Round {
    Round::echo(tcp(hosts), send, receive)
}

pub fn send_and_recv_over_ipv6(hosts: [&Host; 2], _: u64) -> Round {
    Round::echo(tcp_pairs(hosts, AF_INET6, 1)[0], send, receive)
}

/// A message of two pieces.
fn in_two_pieces<T>(with: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
    with(&[IoSlice::new(&[1; 32]), IoSlice::new(&[2; 32])])
}

/// Room of two pieces for one.
fn into_two_pieces<T>(with: impl FnOnce(&mut [IoSliceMut<'_>]) -> T) -> T {
    let (mut first, mut second) = ([0; 32], [0; 64]);
    with(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)])
}

pub fn sendmsg_and_recvmsg(hosts: [&Host; 2], _: u64) -> Round {
    let send = |host: &Host, socket| {
        let sent = in_two_pieces(|iov| {
            bsd::sendmsg(host, socket, &SendMessage { iov, ..SendMessage::default() }, 0)
        });
        assert_eq!(sent, Ok(64));
    };
    let receive = |host: &Host, socket| {
        let received = into_two_pieces(|iov| {
            bsd::recvmsg(host, socket, &mut RecvMessage { iov, control_room: 0 }, 0).unwrap().len
        });
        assert_eq!(received, 64);
    };
    Round::echo(tcp(hosts), send, receive)
}

pub fn sendmmsg_and_recvmmsg(hosts: [&Host; 2], _: u64) -> Round {
    let send = |host: &Host, socket| {
        let sent = in_two_pieces(|iov| {
            let messages = [SendMessage { iov, ..SendMessage::default() }];
            bsd::sendmmsg(host, socket, &messages, 0).unwrap()
        });
        assert_eq!(sent, [64]);
    };
    let receive = |host: &Host, socket| {
        let received = into_two_pieces(|iov| {
            let mut messages = [RecvMessage { iov, control_room: 0 }];
            bsd::recvmmsg(host, socket, &mut messages, 0, None).unwrap()
        });
        assert_eq!(received.iter().map(|message| message.len).collect::<Vec<_>>(), [64]);
    };
    Round::echo(tcp(hosts), send, receive)
}

pub fn writev_and_readv(hosts: [&Host; 2], _: u64) -> Round {
    let send = |host: &Host, socket| assert_eq!(in_two_pieces(|iov| bsd::writev(host, socket, iov)), Ok(64));
    let receive =
        |host: &Host, socket| assert_eq!(into_two_pieces(|iov| bsd::readv(host, socket, iov)), Ok(64));
    Round::echo(tcp(hosts), send, receive)
}

pub fn sendfile_and_recv(hosts: [&Host; 2], _: u64) -> Round {
    let [client, server] = tcp(hosts);
    let file = Arc::new(File::open("/proc/self/exe").unwrap());
    let send = |file: &File, host: &Host, socket| {
        assert_eq!(bsd::sendfile(host, socket, file.as_fd(), Some(&mut 0), 64), Ok(64));
    };
    let theirs = file.clone();
    Round::new(
        move |host| {
            send(&file, host, client);
            receive(host, client);
        },
        move |host| {
            receive(host, server);
            send(&theirs, host, server);
        },
    )
}

/// Waits by `poll` for one of `sockets`, and says which.
fn polled(host: &Host, sockets: &[i32]) -> i32 {
    let mut fds: Vec<_> = sockets.iter().map(|socket| PollFd::new(*socket, PollMask::IN)).collect();
    assert_eq!(bsd::poll(host, &mut fds, -1), Ok(1));
    sockets[fds.iter().position(|fd| fd.revents == PollMask::IN).unwrap()]
}

fn poll_and_receive(host: &Host, socket: i32) {
    polled(host, &[socket]);
    receive(host, socket);
}

pub fn poll(hosts: [&Host; 2], _: u64) -> Round {
    Round::echo(tcp(hosts), send, poll_and_receive)
}

/// Looking at several sockets costs no more than at one.
pub fn poll_of_four(hosts: [&Host; 2], _: u64) -> Round {
    let pairs = tcp_pairs(hosts, AF_INET, 4);
    let [clients, servers] = [0, 1].map(|end| pairs.iter().map(|pair| pair[end]).collect::<Vec<_>>());
    let mut turns = (0..clients.len()).cycle();
    Round::new(
        move |host| {
            let asked = clients[turns.next().unwrap()];
            send(host, asked);
            assert_eq!(polled(host, &clients), asked);
            receive(host, asked);
        },
        move |host| {
            let asked = polled(host, &servers);
            receive(host, asked);
            send(host, asked);
        },
    )
}

pub fn select(hosts: [&Host; 2], _: u64) -> Round {
    let select_and_receive = |host: &Host, socket| {
        let mut set: FdSet = [socket].into_iter().collect();
        assert_eq!(bsd::select(host, socket + 1, Some(&mut set), None, None, None), Ok(1));
        receive(host, socket);
    };
    Round::echo(tcp(hosts), send, select_and_receive)
}

/// An instance that watches `socket`.
fn instance(host: &Host, socket: i32) -> i32 {
    let epoll = bsd::epoll_create1(host, 0).unwrap();
    let event = EpollEvent { events: EPOLLIN, data: 7 };
    bsd::epoll_ctl(host, epoll, EPOLL_CTL_ADD, socket, Some(event)).unwrap();
    epoll
}

fn wait_by_epoll(host: &Host, epoll: &i32) {
    let mut events = [EpollEvent::default(); 4];
    assert_eq!(bsd::epoll_wait(host, *epoll, &mut events, -1), Ok(1));
    assert_eq!(events[0], EpollEvent { events: EPOLLIN, data: 7 });
}

pub fn epoll_wait(hosts: [&Host; 2], _: u64) -> Round {
    Round::watched(hosts, tcp(hosts), instance, wait_by_epoll)
}

/// Beside a real descriptor of which nothing comes.
pub fn poll_beside(hosts: [&Host; 2], _: u64) -> Round {
    let watch = |_: &Host, socket| (socket, UnixStream::pair().unwrap());
    let wait = |host: &Host, (socket, (near, _)): &(i32, (UnixStream, UnixStream))| {
        let mut fds = [PollFd::new(*socket, PollMask::IN)];
        let mut others = [RealPollFd::new(near.as_fd(), PollMask::IN.bits())];
        assert_eq!(bsd::poll_beside(host, &mut fds, &mut others, None), Ok(1));
    };
    Round::watched(hosts, tcp(hosts), watch, wait)
}

pub fn epoll_beside(hosts: [&Host; 2], _: u64) -> Round {
    let watch = |host: &Host, socket| {
        let (epoll, pair) = (instance(host, socket), UnixStream::pair().unwrap());
        let event = EpollEvent { events: EPOLLIN, data: 8 };
        bsd::epoll_ctl_fd(host, epoll, EPOLL_CTL_ADD, pair.0.as_fd(), Some(event)).unwrap();
        (epoll, pair)
    };
    let wait = |host: &Host, (epoll, _): &(i32, (UnixStream, UnixStream))| wait_by_epoll(host, epoll);
    Round::watched(hosts, tcp(hosts), watch, wait)
}

/// A datagram socket on each host; the right one's has `port`.
fn udp([left, right]: [&Host; 2], port: u16) -> [i32; 2] {
    let [client, server] = [left, right].map(|host| bsd::socket(host, AF_INET, SOCK_DGRAM, 0).unwrap());
    bsd::bind(right, server, &address(port)).unwrap();
    [client, server]
}

pub fn sendto_and_recvfrom(hosts: [&Host; 2], _: u64) -> Round {
    let [client, server] = udp(hosts, 5_000);
    Round::new(
        move |host| {
            bsd::sendto(host, client, &[1; 64], 0, Some(&address(5_000))).unwrap();
            receive(host, client);
        },
        move |host| {
            let (len, from) = bsd::recvfrom(host, server, &mut [0; 128], 0).unwrap();
            bsd::sendto(host, server, &[1; 64][..len], 0, from.as_ref()).unwrap();
        },
    )
}

/// The sender is ahead by what its buffer and the wire hold.
pub fn behind_a_full_link(hosts: [&Host; 2], _: u64) -> Round {
    let [client, server] = udp(hosts, 5_001);
    bsd::setsockopt(hosts[0], client, SOL_SOCKET, SO_SNDBUF, &0i32.to_ne_bytes()).unwrap();
    Round::new(
        move |host| assert_eq!(bsd::sendto(host, client, &[1; 1000], 0, Some(&address(5_001))), Ok(1000)),
        move |host| assert_eq!(bsd::recvfrom(host, server, &mut [0; 1000], 0).unwrap().0, 1000),
    )
}

/// An echo request, which the other host answers by itself while one of its threads waits for a copy.
pub fn ping_and_raw([left, right]: [&Host; 2], _: u64) -> Round {
    const REQUEST: [u8; 64] = {
        let mut request = [0; 64];
        request[0] = 8;
        request
    };
    let client = bsd::socket(left, AF_INET, SOCK_DGRAM, IPPROTO_ICMP).unwrap();
    bsd::connect(left, client, &address(0)).unwrap();
    let server = bsd::socket(right, AF_INET, SOCK_RAW, IPPROTO_ICMP).unwrap();
    Round::new(
        move |host| {
            assert_eq!(bsd::send(host, client, &REQUEST, 0), Ok(64));
            receive(host, client);
        },
        move |host| assert_eq!(bsd::recv(host, server, &mut [0; 128], 0), Ok(20 + 64)),
    )
}

/// The connections stay: closing has a cost of its own.
pub fn connect_and_accept([_, right]: [&Host; 2], _: u64) -> Round {
    let (listener, there) = listener(right, AF_INET, &address(0));
    // Or the next SYN comes with the ACK before it, to a server that the machine has held up.
    let here = Arc::new(Barrier::new(2));
    let beside = here.clone();
    Round::new(
        move |host| {
            let client = bsd::socket(host, AF_INET, SOCK_STREAM, 0).unwrap();
            bsd::connect(host, client, &there).unwrap();
            here.wait();
        },
        move |host| {
            bsd::accept(host, listener).unwrap();
            beside.wait();
        },
    )
}

/// A send that waits for room sleeps once, for the acknowledgement that makes it: five segments are as many as half of the
/// peer's window has room for, and more than the buffer holds, so that each send waits until the peer has what the one
/// before sent, and then goes at once.
pub fn send_for_room(hosts: [&Host; 2], _: u64) -> Round {
    const FIVE_SEGMENTS: usize = 5 * 1448;
    let ([left, right], [client, server]) = (hosts, tcp(hosts));
    bsd::setsockopt(left, client, SOL_SOCKET, SO_SNDBUF, &2_000i32.to_ne_bytes()).unwrap();
    let first = bsd::send(left, client, &[1; 65_536], MSG_DONTWAIT).unwrap();
    assert_eq!(bsd::recv(right, server, &mut vec![0; first], MSG_WAITALL), Ok(first));
    assert_eq!(bsd::send(left, client, &[1; FIVE_SEGMENTS], 0), Ok(FIVE_SEGMENTS));
    let mut into = vec![0; FIVE_SEGMENTS];
    Round::new(
        move |host| assert_eq!(bsd::send(host, client, &[1; FIVE_SEGMENTS], 0), Ok(FIVE_SEGMENTS)),
        move |host| assert_eq!(bsd::recv(host, server, &mut into, MSG_WAITALL), Ok(FIVE_SEGMENTS)),
    )
}

/// It sleeps once, for the acknowledgement of its FIN, which comes with the FIN of the other end: one of a FIN alone waits
/// a little for that.
pub fn lingering_close(hosts: [&Host; 2], rounds: u64) -> Round {
    let pairs = tcp_pairs(hosts, AF_INET, rounds);
    let linger = [1i32, 60].map(i32::to_ne_bytes).concat();
    for [client, _] in &pairs {
        bsd::setsockopt(hosts[0], *client, SOL_SOCKET, SO_LINGER, &linger).unwrap();
    }
    let (mut clients, mut servers): (Vec<_>, Vec<_>) =
        pairs.into_iter().map(|[client, server]| (client, server)).unzip();
    Round::new(
        move |host| bsd::close(host, clients.pop().unwrap()).unwrap(),
        move |host| {
            let server = servers.pop().unwrap();
            assert_eq!(bsd::recv(host, server, &mut [0], 0), Ok(0));
            bsd::close(host, server).unwrap();
        },
    )
}

fn local([host, _]: [&Host; 2], kind: i32) -> [i32; 2] {
    bsd::socketpair(host, AF_UNIX, kind, 0).unwrap()
}

pub fn local_stream(hosts: [&Host; 2], _: u64) -> Round {
    Round::echo(local(hosts, SOCK_STREAM), send, receive)
}

pub fn local_datagrams(hosts: [&Host; 2], _: u64) -> Round {
    Round::echo(local(hosts, SOCK_DGRAM), send, receive)
}

pub fn local_records(hosts: [&Host; 2], _: u64) -> Round {
    Round::echo(local(hosts, SOCK_SEQPACKET), send, receive)
}

pub fn local_poll(hosts: [&Host; 2], _: u64) -> Round {
    Round::echo(local(hosts, SOCK_STREAM), send, poll_and_receive)
}

pub fn local_epoll_wait(hosts: [&Host; 2], _: u64) -> Round {
    Round::watched(hosts, local(hosts, SOCK_STREAM), instance, wait_by_epoll)
}

pub fn local_connect_and_accept([host, _]: [&Host; 2], _: u64) -> Round {
    let (listener, there) = listener(host, AF_UNIX, &SockAddr::Unix(UnixAddr::UNNAMED));
    Round::new(
        move |host| {
            let client = bsd::socket(host, AF_UNIX, SOCK_STREAM, 0).unwrap();
            bsd::connect(host, client, &there).unwrap();
            // Connecting waits for nobody while there is room.
            assert_eq!(bsd::recv(host, client, &mut [0], 0), Ok(0));
            bsd::close(host, client).unwrap();
        },
        move |host| {
            let (server, _) = bsd::accept(host, listener).unwrap();
            bsd::close(host, server).unwrap();
        },
    )
}
