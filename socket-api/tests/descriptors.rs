//! That the process has as many descriptors as before when a hundred thousand sockets have had some of its own, and as
//! much memory. One test, for others would open and close descriptors beside it.

use std::future::Future;
use std::io::{IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::pin::pin;
use std::task::{Context, Waker};

use mio::event::Source;
use mio::{Interest, Poll, Token};
use tapsock::bsd::*;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock::socket::{Domain, Socket, Type};
use tapsock::unix::{UnixDatagram, UnixSeqpacket, UnixStream};
use tapsock::{Driver, Host, Pollable};

/// Sockets of each way to have descriptors.
const MANY: usize = 100_000;
/// Those that are open at the same time: each has two or three.
const AT_ONCE: usize = 1000;
/// Bytes that there may be more of.
const SLACK: i64 = 64 * 1024;

fn descriptors() -> Vec<String> {
    let mut open: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    open.sort();
    open
}

/// Makes `round` open and close so many sockets, a part at a time, on a host whose descriptors have to go with it.
fn stays(what: &str, mut round: impl FnMut(&Host, usize)) {
    let first = descriptors();
    {
        let host = Host::builder().driver(Driver::External).privileged().start().unwrap();
        round(&host, AT_ONCE);
        let before = descriptors();
        let left = allocation_counter::measure(|| {
            for _ in 0..MANY / AT_ONCE {
                round(&host, AT_ONCE);
            }
        });
        assert_eq!(descriptors(), before, "{what}");
        assert!(left.bytes_current < SLACK, "{what}: {left:?}");
    }
    assert_eq!(descriptors(), first, "{what}: the host's own");
}

/// As many sockets of all kinds, by their ids.
fn all_kinds(host: &Host, count: usize) -> Vec<i32> {
    let mut made = Vec::with_capacity(count);
    while made.len() < count {
        for (domain, kind, protocol) in [
            (AF_INET, SOCK_STREAM, 0),
            (AF_INET6, SOCK_DGRAM, 0),
            (AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
            (AF_INET6, SOCK_RAW, IPPROTO_ICMPV6),
        ] {
            made.push(socket(host, domain, kind, protocol).unwrap());
        }
        for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
            made.extend(socketpair(host, AF_UNIX, kind, 0).unwrap());
        }
    }
    made
}

/// Both ends have a mirror, and half of them a copy of it that lives longer than the socket.
fn mirrors(host: &Host, count: usize) {
    let made = all_kinds(host, count);
    let copies: Vec<_> = made.iter().map(|id| mirror_fd(host, *id).unwrap()).step_by(2).collect();
    made.iter().for_each(|id| close(host, *id).unwrap());
    drop(copies);
}

/// Of the typed sockets, with a clone each, and a connection that is closed while its mirror has something to show.
fn pollable(host: &Host, count: usize) {
    let mut kept = Vec::with_capacity(count);
    let listener = TcpListener::bind(host, "127.0.0.1:0").unwrap();
    for _ in 0..count / 4 {
        let client = TcpStream::connect(host, listener.local_addr().unwrap()).unwrap();
        client.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        let (here, there) = UnixStream::pair(host).unwrap();
        let server = Pollable::new(server).unwrap();
        let here = Pollable::new(here).unwrap();
        assert!(server.as_fd().as_raw_fd() != here.as_fd().as_raw_fd());
        assert!(there.poll_fd().unwrap().as_raw_fd() >= 0);
        (&client).write_all(b"unread").unwrap();
        (&there).write_all(b"unread").unwrap();
        kept.push((client, server.try_clone().unwrap(), server, here, there));
    }
}

/// Registered with mio, and half of them not taken out before they are dropped.
fn mio_sources(host: &Host, count: usize) {
    let poll = Poll::new().unwrap();
    let mut kept: Vec<Box<dyn Source>> = Vec::with_capacity(count);
    while kept.len() < count {
        kept.push(Box::new(UdpSocket::bind(host, "127.0.0.1:0").unwrap()));
        kept.push(Box::new(Socket::new(host, Domain::IPV4, Type::STREAM, None).unwrap()));
        let (here, there) = UnixStream::pair(host).unwrap();
        kept.extend([Box::new(here) as Box<dyn Source>, Box::new(there)]);
        kept.push(Box::new(UnixDatagram::unbound(host).unwrap()));
        kept.push(Box::new(UnixSeqpacket::pair(host).unwrap().0));
    }
    for (at, source) in kept.iter_mut().enumerate() {
        poll.registry().register(source, Token(at), Interest::READABLE | Interest::WRITABLE).unwrap();
        if at % 2 == 0 {
            poll.registry().deregister(source).unwrap();
        }
    }
}

/// Each with a task that waits for it and is dropped; there is no descriptor to give back.
fn tokio_sockets(host: &Host, count: usize) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..count / 2 {
        let (here, there) = tapsock::tokio::UnixStream::pair(host).unwrap();
        let udp = tapsock::tokio::UdpSocket::from_std(UdpSocket::bind(host, "127.0.0.1:0").unwrap()).unwrap();
        assert!(pin!(here.readable()).poll(&mut context).is_pending());
        assert!(pin!(udp.readable()).poll(&mut context).is_pending());
        drop(there);
    }
}

/// Real descriptors that are on their way when both ends are closed, and that an epoll instance watches.
fn passed_and_watched(host: &Host, count: usize) {
    let event = Some(EpollEvent { events: EPOLLIN, data: 0 });
    let epoll = epoll_create1(host, 0).unwrap();
    for _ in 0..count / 2 {
        let [near, far] = socketpair(host, AF_UNIX, SOCK_DGRAM, 0).unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        epoll_ctl_fd(host, epoll, EPOLL_CTL_ADD, reader.as_fd(), event).unwrap();
        let rights = [Right::Real(reader.as_fd()), Right::Id(near), Right::Id(far)];
        let iov = [IoSlice::new(b"x")];
        sendmsg(host, near, &SendMessage { iov: &iov, rights: &rights, ..SendMessage::default() }, 0)
            .unwrap();
        epoll_ctl_fd(host, epoll, EPOLL_CTL_DEL, reader.as_fd(), None).unwrap();
        close(host, near).unwrap();
        close(host, far).unwrap();
    }
    close(host, epoll).unwrap();
}

#[test]
fn descriptors_are_as_many_as_before() {
    stays("mirrors", mirrors);
    stays("pollable sockets", pollable);
    stays("mio's sources", mio_sources);
    stays("tokio's sockets", tokio_sockets);
    stays("descriptors that are passed and watched", passed_and_watched);
}
