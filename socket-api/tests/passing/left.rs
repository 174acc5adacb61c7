//! That memory is where it was when a hundred thousand sockets have come and gone. What TIME-WAIT keeps for a minute is
//! looked at in virtual time, in `sockets/tests/memory.rs`.

use std::cell::Cell;
use std::os::fd::AsFd;

use tapsock_sockets::UnixAddr;

use super::*;

/// Bytes that a host may have more of after many sockets than after a few.
const SLACK: i64 = 64 * 1024;

/// Sockets of each test.
const MANY: usize = 100_000;

/// Those that are open at the same time where each takes a port, or a descriptor of the process's: there are no more.
const AT_ONCE: usize = 10_000;

/// So many, a part of them at a time.
fn in_parts(count: usize) -> impl Iterator<Item = usize> {
    (0..count).step_by(AT_ONCE).map(move |at| AT_ONCE.min(count - at))
}

const KINDS: [i32; 3] = [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET];

/// Makes `round` open and close so many sockets, after a few that let everything grow to its usual size.
fn stays(what: &str, round: impl FnMut(&Host, usize)) {
    stays_on(&alone(), what, round);
}

fn stays_on(host: &Host, what: &str, mut round: impl FnMut(&Host, usize)) {
    round(host, 200);
    let left = allocation_counter::measure(|| round(host, MANY));
    assert!(left.bytes_current < SLACK, "{what}: {left:?}");
    assert!(left.count_total > MANY as u64 / 2, "{what} was measured: {left:?}");
}

fn any() -> SockAddr {
    SockAddr::V4("127.0.0.1:0".parse().unwrap())
}

/// Resets the connection when it is closed.
fn at_once(host: &Host, socket: i32) {
    setsockopt(host, socket, SOL_SOCKET, SO_LINGER, &[1i32.to_ne_bytes(), 0i32.to_ne_bytes()].concat())
        .unwrap();
}

/// Linux's SK_MEMINFO_RCVBUF, _WMEM_ALLOC and _SNDBUF: what is on its way is charged to its sender.
#[test]
fn sockets_tell_what_memory_they_take_and_who_they_are() {
    let host = host();
    let mut cookies = Vec::new();
    for kind in KINDS {
        let [near, far] = socketpair(&host, AF_UNIX, kind, 0).unwrap();
        send(&host, near, &[0; 1000], 0).unwrap();
        for (socket, charged) in [(near, 2304), (far, 0)] {
            let told = getsockopt(&host, socket, SOL_SOCKET, SO_MEMINFO).unwrap();
            let numbers: Vec<u32> =
                told.as_bytes().chunks(4).map(|part| u32::from_ne_bytes(part.try_into().unwrap())).collect();
            assert_eq!(numbers, [0, 212_992, charged, 212_992, 0, 0, 0, 0, 0], "{kind}");
            cookies.push(getsockopt(&host, socket, SOL_SOCKET, SO_COOKIE).unwrap().as_bytes().to_vec());
            assert_eq!(setsockopt(&host, socket, SOL_SOCKET, SO_COOKIE, &[0; 8]), Err(Errno::NOPROTOOPT));
        }
    }
    cookies.sort();
    cookies.dedup();
    assert_eq!(cookies.len(), 6);
}

#[test]
fn rings() {
    stays("rings", |host, count| {
        for _ in 0..count / 2 {
            let [near, far] = socketpair(host, AF_UNIX, SOCK_STREAM, 0).unwrap();
            give(host, near, far);
            close(host, near).unwrap();
        }
    });
}

#[test]
fn local_pairs_with_messages_unread() {
    for kind in KINDS {
        let part = |host: &Host, count: usize| {
            let pipe = std::io::pipe().unwrap();
            let pairs: Vec<[i32; 2]> =
                (0..count / 2).map(|_| socketpair(host, AF_UNIX, kind, 0).unwrap()).collect();
            for (at, [near, far]) in pairs.iter().enumerate() {
                send(host, *near, b"unread", 0).unwrap();
                send_rights(host, *near, b"more", &[Right::Id(*near), Right::Real(pipe.0.as_fd())]).unwrap();
                // The thread's pool keeps as many large buffers as were needed at once.
                if at < 10 {
                    send(host, *far, &[1; 40_000], 0).unwrap();
                }
            }
            // The first ends of all, then the others.
            pairs.iter().for_each(|pair| close(host, pair[0]).unwrap());
            pairs.iter().for_each(|pair| close(host, pair[1]).unwrap());
        };
        stays("pairs", |host, count| in_parts(count).for_each(|count| part(host, count)));
    }
}

#[test]
fn names_and_those_who_wait_to_be_accepted() {
    stays("names", |host, count| {
        let fresh = |kind| socket(host, AF_UNIX, kind, 0).unwrap();
        for at in 0..count / 4 {
            let path = format!("/run/some/directory/{at}");
            let kind = KINDS[at % 3];
            let name = match at % 4 {
                0 => UnixAddr::UNNAMED,
                1 => UnixAddr::abstract_name(path.as_bytes()).unwrap(),
                _ => UnixAddr::path(path.as_bytes()).unwrap(),
            };
            let sockets: Vec<i32> = (0..3).map(|_| fresh(kind)).collect();
            bind(host, sockets[0], &SockAddr::Unix(name)).unwrap();
            let name = getsockname(host, sockets[0]).unwrap();
            if kind != SOCK_DGRAM {
                listen(host, sockets[0], 8).unwrap();
            }
            for client in &sockets[1..] {
                connect(host, *client, &name).unwrap();
                send(host, *client, b"never read", 0).unwrap();
            }
            if kind != SOCK_DGRAM {
                close(host, accept(host, sockets[0]).unwrap().0).unwrap();
            }
            sockets.iter().for_each(|socket| close(host, *socket).unwrap());
            if at % 4 > 1 {
                unlink(host, path.as_bytes()).unwrap();
            }
        }
    });
}

#[test]
fn epoll_instances_and_what_they_watch() {
    stays("epoll", |host, count| {
        let event = Some(EpollEvent { events: EPOLLIN | EPOLLOUT | EPOLLET, data: 1 });
        let watch = |epoll, id| epoll_ctl(host, epoll, EPOLL_CTL_ADD, id, event).unwrap();
        let real = std::io::pipe().unwrap();
        let lasting = epoll_create1(host, 0).unwrap();
        for at in 0..count / 5 {
            let (outer, inner) = (epoll_create1(host, 0).unwrap(), epoll_create1(host, 0).unwrap());
            let [near, far] = socketpair(host, AF_UNIX, KINDS[at % 3], 0).unwrap();
            let udp = socket(host, AF_INET, SOCK_DGRAM, 0).unwrap();
            for epoll in [outer, inner, lasting] {
                [near, far, udp].into_iter().for_each(|id| watch(epoll, id));
            }
            watch(outer, inner);
            if at % 16 == 0 {
                epoll_ctl_fd(host, inner, EPOLL_CTL_ADD, real.0.as_fd(), event).unwrap();
            }
            epoll_wait(host, outer, &mut [EpollEvent::default(); 8], 0).unwrap();
            let mut ids = [outer, inner, near, far, udp];
            ids.rotate_left(at % 5);
            ids.into_iter().for_each(|id| close(host, id).unwrap());
        }
        close(host, lasting).unwrap();
    });
}

/// All at once are waited for and watched, and what watched them stays, with one that it still watches.
#[test]
fn sockets_that_were_waited_for_and_watched_together() {
    let lasting = Cell::new(None);
    stays("watched", |host, count| {
        let made: Vec<i32> = (0..count).map(|_| socket(host, AF_INET, SOCK_DGRAM, 0).unwrap()).collect();
        let epoll = lasting.get().unwrap_or_else(|| {
            let epoll = epoll_create1(host, 0).unwrap();
            let stays = socket(host, AF_INET, SOCK_DGRAM, 0).unwrap();
            epoll_ctl(host, epoll, EPOLL_CTL_ADD, stays, Some(EpollEvent { events: EPOLLIN, data: 0 }))
                .unwrap();
            epoll
        });
        lasting.set(Some(epoll));
        for id in &made {
            epoll_ctl(host, epoll, EPOLL_CTL_ADD, *id, Some(EpollEvent { events: EPOLLIN, data: 1 }))
                .unwrap();
        }
        assert_eq!(epoll_wait(host, epoll, &mut [EpollEvent::default()], 1), Ok(0));
        let mut fds: Vec<PollFd> = made.iter().map(|id| PollFd::new(*id, PollMask::IN)).collect();
        assert_eq!(poll(host, &mut fds, 1), Ok(0));
        made.iter().for_each(|id| close(host, *id).unwrap());
        // Numbers that were given up under a lock are free when the next socket is made.
        close(host, socket(host, AF_INET, SOCK_DGRAM, 0).unwrap()).unwrap();
    });
}

#[test]
fn datagrams_unread() {
    for domain in [AF_INET, AF_INET6] {
        let part = |host: &Host, count: usize| {
            let ip = if domain == AF_INET { "127.0.0.1:0" } else { "[::1]:0" };
            let sockets: Vec<i32> =
                (0..count).map(|_| socket(host, domain, SOCK_DGRAM, 0).unwrap()).collect();
            for pair in sockets.chunks(2) {
                bind(host, pair[0], &SockAddr::from(ip.parse::<std::net::SocketAddr>().unwrap())).unwrap();
                connect(host, pair[1], &getsockname(host, pair[0]).unwrap()).unwrap();
                send(host, pair[1], b"never read", 0).unwrap();
            }
            sockets.iter().for_each(|socket| close(host, *socket).unwrap());
        };
        stays("udp", |host, count| in_parts(count).for_each(|count| part(host, count)));
    }
}

/// Each is sent what is never read: an echo request brings its answer, which a raw socket of the protocol gets too.
#[test]
fn raw_and_ping_sockets() {
    let host = Host::builder().driver(Driver::External).privileged().start().unwrap();
    for (domain, protocol, request, ip) in
        [(AF_INET, IPPROTO_ICMP, 8, "127.0.0.1:0"), (AF_INET6, IPPROTO_ICMPV6, 128, "[::1]:0")]
    {
        let ip = SockAddr::from(ip.parse::<std::net::SocketAddr>().unwrap());
        let request = [request, 0, 0, 0, 0, 1, 0, 1, b'h', b'e', b'l', b'l', b'o'];
        let batch = |host: &Host, count: usize| {
            let made: Vec<i32> = (0..count)
                .map(|at| socket(host, domain, [SOCK_DGRAM, SOCK_RAW][at % 2], protocol).unwrap())
                .collect();
            for pair in made.chunks(2) {
                bind(host, pair[0], &ip).unwrap();
                connect(host, pair[0], &ip).unwrap();
                send(host, pair[0], &request, 0).unwrap();
            }
            let mut fds: Vec<PollFd> = made.iter().map(|id| PollFd::new(*id, PollMask::IN)).collect();
            assert_eq!(poll(host, &mut fds, 0), Ok(made.len()));
            made.iter().for_each(|socket| close(host, *socket).unwrap());
        };
        // Each packet goes to all raw sockets.
        stays_on(&host, "raw and ping", |host, count| (0..count / 20).for_each(|_| batch(host, 20)));
    }
}

#[test]
fn connections_that_are_reset_or_refused() {
    stays("tcp", |host, count| {
        let listener = socket(host, AF_INET, SOCK_STREAM, 0).unwrap();
        bind(host, listener, &any()).unwrap();
        listen(host, listener, 64).unwrap();
        let name = getsockname(host, listener).unwrap();
        let mut batch = Vec::new();
        for at in 0..count / 2 {
            let client = socket(host, AF_INET, SOCK_STREAM, 0).unwrap();
            connect(host, client, &name).unwrap();
            let (server, _) = accept(host, listener).unwrap();
            send(host, client, b"never read", 0).unwrap();
            send(host, server, &[1; 3000], 0).unwrap();
            [client, server].into_iter().for_each(|socket| at_once(host, socket));
            batch.extend([client, server]);
            if at % 100 == 99 {
                batch.drain(..).for_each(|socket| close(host, socket).unwrap());
            }
        }
        batch.into_iter().for_each(|socket| close(host, socket).unwrap());
        close(host, listener).unwrap();
        let client = socket(host, AF_INET, SOCK_STREAM, 0).unwrap();
        assert_eq!(connect(host, client, &name), Err(Errno::CONNREFUSED));
        close(host, client).unwrap();
    });
}
