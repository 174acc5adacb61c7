//! Sockets of the stack.

use tapsock::bsd::{
    self, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, FdSet, MSG_OOB, SHUT_RD,
    SHUT_WR, SOCK_STREAM,
};

use super::common::{PATIENCE, within};
use super::{add, connection, host, listener, modify, now, udp, watching};

#[test]
fn levels_are_reported_as_long_as_they_last() {
    let host = host();
    let (client, server) = connection(&host);
    let epoll = watching(&host, &[server], EPOLLIN);
    assert_eq!(now(&host, epoll), []);
    bsd::send(&host, client, b"hello", 0).unwrap();
    for _ in 0..2 {
        assert_eq!(now(&host, epoll), [(server, EPOLLIN)]);
    }
    bsd::recv(&host, server, &mut [0; 2], 0).unwrap();
    assert_eq!(now(&host, epoll), [(server, EPOLLIN)], "some is left");
    bsd::recv(&host, server, &mut [0; 16], 0).unwrap();
    assert_eq!(now(&host, epoll), []);
}

#[test]
fn edges_are_arrivals() {
    let host = host();
    let (client, server) = connection(&host);
    let (socket, address) = udp(&host);
    let epoll = watching(&host, &[server, socket], EPOLLIN | EPOLLET);
    assert_eq!(now(&host, epoll), []);
    let arrive = || {
        bsd::send(&host, client, b"hello", 0).unwrap();
        bsd::sendto(&host, socket, b"hello", 0, Some(&address)).unwrap();
    };
    let edges = [(server, EPOLLIN), (socket, EPOLLIN)];

    arrive();
    arrive();
    assert_eq!(now(&host, epoll), edges, "two arrivals before a wait are one edge");
    assert_eq!(now(&host, epoll), []);
    arrive();
    assert_eq!(now(&host, epoll), edges, "another arrival is another edge, the first unread");
    bsd::recv(&host, server, &mut [0; 2], 0).unwrap();
    bsd::recv(&host, socket, &mut [0; 2], 0).unwrap();
    assert_eq!(now(&host, epoll), [], "reading a part is none");
    arrive();
    while bsd::recv(&host, server, &mut [0; 64], 0).is_ok() {}
    while bsd::recv(&host, socket, &mut [0; 64], 0).is_ok() {}
    assert_eq!(now(&host, epoll), [], "what was read before the wait is none");
}

#[test]
fn one_shots_are_armed_again() {
    let host = host();
    let (socket, address) = udp(&host);
    let epoll = watching(&host, &[socket], EPOLLIN | EPOLLONESHOT);
    let arrive = || bsd::sendto(&host, socket, b"hello", 0, Some(&address)).unwrap();
    arrive();
    assert_eq!(now(&host, epoll), [(socket, EPOLLIN)]);
    arrive();
    assert_eq!(now(&host, epoll), []);
    modify(&host, epoll, socket, EPOLLIN | EPOLLONESHOT).unwrap();
    assert_eq!(now(&host, epoll), [(socket, EPOLLIN)], "it lay there");
}

#[test]
fn a_listener_has_an_edge_a_connection() {
    within(PATIENCE, || {
        let host = host();
        let (listener, address) = listener(&host);
        let epoll = watching(&host, &[listener], EPOLLIN | EPOLLET);
        for _ in 0..2 {
            let client = bsd::socket(&host, bsd::AF_INET, SOCK_STREAM, 0).unwrap();
            bsd::connect(&host, client, &address).unwrap();
            assert_eq!(now(&host, epoll), [(listener, EPOLLIN)]);
            assert_eq!(now(&host, epoll), []);
        }
        bsd::accept(&host, listener).unwrap();
        assert_eq!(now(&host, epoll), []);
    });
}

#[test]
fn a_connection_that_is_made_or_ends_is_an_edge_for_all() {
    let host = host();
    let (listener, address) = listener(&host);
    let client = bsd::socket(&host, bsd::AF_INET, SOCK_STREAM | bsd::SOCK_NONBLOCK, 0).unwrap();
    let epoll = watching(&host, &[client], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    assert_eq!(now(&host, epoll), [(client, EPOLLOUT | EPOLLHUP)], "as Linux, before connect");
    let _ = bsd::connect(&host, client, &address);
    assert_eq!(now(&host, epoll), [(client, EPOLLOUT)]);
    let (server, _) = bsd::accept(&host, listener).unwrap();
    bsd::shutdown(&host, server, SHUT_WR).unwrap();
    assert_eq!(now(&host, epoll), [(client, EPOLLIN | EPOLLOUT | EPOLLRDHUP)]);
    bsd::shutdown(&host, client, SHUT_RD).unwrap();
    assert_eq!(now(&host, epoll), [(client, EPOLLIN | EPOLLOUT | EPOLLRDHUP)], "its own shutdown is one too");
    bsd::shutdown(&host, client, SHUT_WR).unwrap();
    assert_eq!(now(&host, epoll), [(client, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP)]);
}

#[test]
fn room_is_an_edge_only_where_it_was_missed() {
    let host = host();
    let (client, server) = connection(&host);
    let epoll = watching(&host, &[client], EPOLLOUT | EPOLLET);
    assert_eq!(now(&host, epoll), [(client, EPOLLOUT)]);
    bsd::send(&host, client, b"hello", 0).unwrap();
    assert_eq!(now(&host, epoll), [], "an acknowledgement is none");
    while bsd::send(&host, client, &[0; 65_536], 0).is_ok() {}
    assert_eq!(now(&host, epoll), []);
    while bsd::recv(&host, server, &mut [0; 65_536], 0).is_ok() {}
    assert_eq!(now(&host, epoll), [(client, EPOLLOUT)]);
    assert_eq!(now(&host, epoll), []);
}

#[test]
fn a_closed_socket_is_watched_no_more() {
    let host = host();
    let (socket, address) = udp(&host);
    let epoll = watching(&host, &[socket], EPOLLIN);
    bsd::sendto(&host, socket, b"hello", 0, Some(&address)).unwrap();
    let kept = bsd::dup(&host, socket).unwrap();
    bsd::close(&host, socket).unwrap();
    assert_eq!(now(&host, epoll), [(socket, EPOLLIN)], "another id keeps it open, as on Linux");
    bsd::close(&host, kept).unwrap();
    assert_eq!(now(&host, epoll), []);
    let (again, address) = udp(&host);
    assert_eq!(again, socket);
    bsd::sendto(&host, again, b"hello", 0, Some(&address)).unwrap();
    assert_eq!(now(&host, epoll), [], "the number is another socket's");
    add(&host, epoll, again, EPOLLIN).unwrap();
    assert_eq!(now(&host, epoll), [(again, EPOLLIN)]);
}

#[test]
fn an_urgent_byte_is_an_edge_and_an_exception() {
    let host = host();
    let (client, server) = connection(&host);
    let epoll = watching(&host, &[server], EPOLLPRI | EPOLLET);
    bsd::send(&host, client, b"calm", 0).unwrap();
    assert_eq!(now(&host, epoll), []);
    bsd::send(&host, client, b"!", MSG_OOB).unwrap();
    assert_eq!(now(&host, epoll), [(server, EPOLLPRI)]);
    assert_eq!(now(&host, epoll), []);
    let except = || {
        let mut except: FdSet = [client, server].into_iter().collect();
        let at_once = Some(core::time::Duration::ZERO);
        bsd::select(&host, server.max(client) + 1, None, None, Some(&mut except), at_once).unwrap();
        except.iter().collect::<Vec<_>>()
    };
    assert_eq!(except(), [server]);
    assert_eq!(bsd::recv(&host, server, &mut [0; 9], 0), Ok(4), "a read stops before it");
    assert_eq!(bsd::sockatmark(&host, server), Ok(true));
    let mut byte = [0; 9];
    assert_eq!((bsd::recv(&host, server, &mut byte, MSG_OOB), byte[0]), (Ok(1), b'!'));
    assert!(except().is_empty());
}

/// As the kernel's duplicates, which are told apart by their numbers.
#[test]
fn clones_of_one_socket_are_watched_beside_each_other() {
    let host = host();
    let (here, there) = tapsock::unix::UnixStream::pair(&host).unwrap();
    let clone = here.try_clone().unwrap();
    let ids = [here.socket_id().unwrap(), clone.socket_id().unwrap()];
    let epoll = watching(&host, &ids, EPOLLIN);
    assert_eq!(now(&host, epoll), []);
    std::io::Write::write_all(&mut &there, b"x").unwrap();
    let mut seen = now(&host, epoll);
    seen.sort_unstable();
    assert_eq!(seen, [(ids[0].min(ids[1]), EPOLLIN), (ids[0].max(ids[1]), EPOLLIN)]);
}
