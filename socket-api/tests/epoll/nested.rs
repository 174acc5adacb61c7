//! Instances that watch instances, what is refused, and the order of wake-ups among several.

use tapsock::Errno;
use tapsock::bsd::{
    self, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLEXCLUSIVE, EPOLLIN, EpollEvent, PollFd,
    PollMask, SOCK_STREAM,
};

use super::{add, host, local_pair, modify, now, udp, watching};

#[test]
fn mistakes_are_told_as_linux_tells_them() {
    let host = host();
    let [socket, _peer] = local_pair(&host, SOCK_STREAM);
    let epoll = watching(&host, &[], 0);
    let event = Some(EpollEvent { events: EPOLLIN, data: 0 });
    for (outer, operation, id, event, errno) in [
        (77, EPOLL_CTL_ADD, socket, event, Errno::BADF),
        (epoll, EPOLL_CTL_ADD, 77, event, Errno::BADF),
        (77, EPOLL_CTL_ADD, 78, event, Errno::BADF),
        (socket, EPOLL_CTL_ADD, epoll, event, Errno::INVAL),
        (epoll, EPOLL_CTL_ADD, epoll, event, Errno::INVAL),
        (epoll, 9, socket, event, Errno::INVAL),
        (epoll, EPOLL_CTL_ADD, socket, None, Errno::FAULT),
        (epoll, EPOLL_CTL_MOD, socket, event, Errno::NOENT),
        (epoll, EPOLL_CTL_DEL, socket, None, Errno::NOENT),
    ] {
        let told = bsd::epoll_ctl(&host, outer, operation, id, event);
        assert_eq!(told, Err(errno), "{outer} {operation} {id}");
    }
    add(&host, epoll, socket, EPOLLIN | EPOLLEXCLUSIVE).unwrap();
    assert_eq!(add(&host, epoll, socket, EPOLLIN), Err(Errno::EXIST));
    assert_eq!(modify(&host, epoll, socket, EPOLLIN), Err(Errno::INVAL));
    assert_eq!(bsd::epoll_wait(&host, epoll, &mut [], 0), Err(Errno::INVAL));
    let mut events = [EpollEvent::default()];
    assert_eq!(bsd::epoll_wait(&host, socket, &mut events, 0), Err(Errno::INVAL));
    assert_eq!(bsd::epoll_wait(&host, 77, &mut events, 0), Err(Errno::BADF));
    assert_eq!(bsd::epoll_create1(&host, 1), Err(Errno::INVAL));
    assert_eq!(bsd::send(&host, epoll, b"x", 0), Err(Errno::NOTSOCK));
    bsd::epoll_ctl(&host, epoll, EPOLL_CTL_DEL, socket, None).unwrap();
    assert_eq!(bsd::epoll_ctl(&host, epoll, EPOLL_CTL_DEL, socket, None), Err(Errno::NOENT));
}

#[test]
fn rings_and_long_chains_are_refused() {
    let host = host();
    let chain: Vec<i32> = (0..6).map(|_| watching(&host, &[], 0)).collect();
    for pair in chain[..5].windows(2) {
        add(&host, pair[0], pair[1], EPOLLIN).unwrap();
    }
    assert_eq!(add(&host, chain[4], chain[0], EPOLLIN), Err(Errno::LOOP));
    assert_eq!(add(&host, chain[4], chain[5], EPOLLIN), Err(Errno::LOOP), "six in a chain");
    // Nor is it asked how ready that is, which leads back to who asks.
    assert_eq!(modify(&host, chain[4], chain[0], EPOLLIN), Err(Errno::NOENT));
    bsd::close(&host, chain[1]).unwrap();
    add(&host, chain[4], chain[0], EPOLLIN).unwrap();
}

#[test]
fn an_instance_is_readable_when_it_has_something_to_report() {
    let host = host();
    let (socket, address) = udp(&host);
    let [here, there] = local_pair(&host, SOCK_STREAM);
    let inner = watching(&host, &[socket, here], EPOLLIN);
    let middle = watching(&host, &[inner], EPOLLIN);
    let outer = watching(&host, &[middle], EPOLLIN | EPOLLET);
    let polled = || {
        let mut entry = [PollFd::new(middle, PollMask::IN)];
        bsd::poll(&host, &mut entry, 0).unwrap();
        entry[0].revents
    };
    assert_eq!((now(&host, outer), polled()), (vec![], PollMask::NONE));

    bsd::sendto(&host, socket, b"hello", 0, Some(&address)).unwrap();
    assert_eq!(now(&host, outer), [(middle, EPOLLIN)]);
    assert_eq!(now(&host, outer), []);
    bsd::send(&host, there, b"hello", 0).unwrap();
    assert_eq!(now(&host, outer), [(middle, EPOLLIN)], "an edge below is one above");
    assert_eq!(polled(), PollMask::IN);
    assert_eq!(now(&host, inner), [(socket, EPOLLIN), (here, EPOLLIN)]);

    bsd::recv(&host, socket, &mut [0; 8], 0).unwrap();
    bsd::recv(&host, here, &mut [0; 8], 0).unwrap();
    assert_eq!((now(&host, middle), polled()), (vec![], PollMask::NONE));
    bsd::close(&host, inner).unwrap();
    bsd::send(&host, there, b"hello", 0).unwrap();
    assert_eq!((now(&host, outer), polled()), (vec![], PollMask::NONE));
}
