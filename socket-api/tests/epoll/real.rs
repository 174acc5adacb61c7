//! The kernel's descriptors and our sockets in one instance.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;

use tapsock::bsd::{
    self, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLIN, EPOLLOUT, EpollEvent, SOCK_STREAM,
};
use tapsock::{Errno, Host};

use super::common::{PATIENCE, within};
use super::threads::sleeper;
use super::{host, local_pair, now, udp, watching};

/// The data of real descriptors in these tests.
const REAL: i32 = 1000;

fn control(host: &Host, epoll: i32, operation: i32, real: &UnixStream, events: u32) -> Result<(), Errno> {
    let event = Some(EpollEvent { events, data: REAL as u64 });
    bsd::epoll_ctl_fd(host, epoll, operation, real.as_fd(), event)
}

#[test]
fn both_are_reported_with_the_flags_of_each() {
    let host = host();
    let [here, there] = local_pair(&host, SOCK_STREAM);
    let (real, mut far) = UnixStream::pair().unwrap();
    let epoll = watching(&host, &[here], EPOLLIN);
    assert_eq!(control(&host, epoll, EPOLL_CTL_MOD, &real, EPOLLIN), Err(Errno::NOENT));
    control(&host, epoll, EPOLL_CTL_ADD, &real, EPOLLIN | EPOLLET).unwrap();
    assert_eq!(control(&host, epoll, EPOLL_CTL_ADD, &real, EPOLLIN), Err(Errno::EXIST));
    assert_eq!(now(&host, epoll), []);
    far.write_all(b"x").unwrap();
    bsd::send(&host, there, b"x", 0).unwrap();
    assert_eq!(now(&host, epoll), [(REAL, EPOLLIN), (here, EPOLLIN)]);
    assert_eq!(now(&host, epoll), [(here, EPOLLIN)], "the real one is edge-triggered");
    control(&host, epoll, EPOLL_CTL_MOD, &real, EPOLLOUT).unwrap();
    assert_eq!(now(&host, epoll), [(REAL, EPOLLOUT), (here, EPOLLIN)]);
    control(&host, epoll, EPOLL_CTL_DEL, &real, 0).unwrap();
    assert_eq!(now(&host, epoll), [(here, EPOLLIN)]);
}

#[test]
fn neither_keeps_the_other_out() {
    let host = host();
    let [here, there] = local_pair(&host, SOCK_STREAM);
    let (real, _far) = UnixStream::pair().unwrap();
    let epoll = watching(&host, &[here], EPOLLIN);
    control(&host, epoll, EPOLL_CTL_ADD, &real, EPOLLOUT).unwrap();
    bsd::send(&host, there, b"x", 0).unwrap();
    let mut seen: Vec<u64> = Vec::new();
    for _ in 0..4 {
        let mut event = [EpollEvent::default()];
        assert_eq!(bsd::epoll_wait(&host, epoll, &mut event, 0), Ok(1));
        seen.push(event[0].data);
    }
    assert!(seen.contains(&(REAL as u64)) && seen.contains(&(here as u64)), "{seen:?}");
}

#[test]
fn one_side_has_the_room_that_the_other_leaves() {
    let host = host();
    let [here, there] = local_pair(&host, SOCK_STREAM);
    let [other, far] = local_pair(&host, SOCK_STREAM);
    let reals = [(); 3].map(|()| UnixStream::pair().unwrap());
    let epoll = watching(&host, &[here, other], EPOLLIN);
    for (real, _) in &reals {
        control(&host, epoll, EPOLL_CTL_ADD, real, EPOLLOUT).unwrap();
    }
    let reported = |max: usize| {
        let mut events = vec![EpollEvent::default(); max];
        let len = bsd::epoll_wait(&host, epoll, &mut events, 0).unwrap();
        let real = events[..len].iter().filter(|event| event.data == REAL as u64).count();
        (real, len - real)
    };
    let with_the_real_ones = [1, 1, 2, 3, 8].map(reported);
    assert_eq!(with_the_real_ones, [(1, 0), (1, 0), (2, 0), (3, 0), (3, 0)]);
    // One that was reported and read is still looked at, and keeps nobody out.
    bsd::send(&host, there, b"x", 0).unwrap();
    assert_eq!([2, 3, 4, 8].map(reported), [(1, 1), (2, 1), (3, 1), (3, 1)]);
    bsd::recv(&host, here, &mut [0], 0).unwrap();
    assert_eq!([1, 1, 3].map(reported), [(1, 0), (1, 0), (3, 0)]);
    for (real, _) in &reals[1..] {
        control(&host, epoll, EPOLL_CTL_DEL, real, 0).unwrap();
    }
    for end in [there, far] {
        bsd::send(&host, end, b"x", 0).unwrap();
    }
    assert_eq!([2, 3, 4].map(reported), [(1, 1), (1, 2), (1, 2)]);
    control(&host, epoll, EPOLL_CTL_DEL, &reals[0].0, 0).unwrap();
    assert_eq!([1, 1, 2].map(reported), [(0, 1), (0, 1), (0, 2)]);
}

#[test]
fn a_sleeper_is_woken_by_both() {
    within(PATIENCE, || {
        let host = host();
        let [here, there] = local_pair(&host, SOCK_STREAM);
        let (socket, address) = udp(&host);
        let (mut real, mut far) = UnixStream::pair().unwrap();
        let epoll = watching(&host, &[here, socket], EPOLLIN);
        control(&host, epoll, EPOLL_CTL_ADD, &real, EPOLLIN).unwrap();

        // Twice: by a thread that drives, and by one that finds another driving.
        for drives in [true, false] {
            let driver = (!drives).then(|| sleeper(&host, watching(&host, &[udp(&host).0], EPOLLIN)));
            let sleeping = sleeper(&host, epoll);
            far.write_all(b"x").unwrap();
            assert_eq!(sleeping.join().unwrap().unwrap(), [(REAL, EPOLLIN)]);
            real.read_exact(&mut [0]).unwrap();

            let sleeping = sleeper(&host, epoll);
            bsd::send(&host, there, b"x", 0).unwrap();
            assert_eq!(sleeping.join().unwrap().unwrap(), [(here, EPOLLIN)]);
            bsd::recv(&host, here, &mut [0; 8], 0).unwrap();

            let sleeping = sleeper(&host, epoll);
            bsd::sendto(&host, socket, b"x", 0, Some(&address)).unwrap();
            assert_eq!(sleeping.join().unwrap().unwrap(), [(socket, EPOLLIN)]);
            bsd::recv(&host, socket, &mut [0; 8], 0).unwrap();
            drop(driver);
        }
    });
}

#[test]
fn one_that_is_added_later_wakes_a_sleeper() {
    within(PATIENCE, || {
        let host = host();
        let epoll = watching(&host, &[udp(&host).0], EPOLLIN);
        let (real, mut far) = UnixStream::pair().unwrap();
        let sleeping = sleeper(&host, epoll);
        control(&host, epoll, EPOLL_CTL_ADD, &real, EPOLLIN).unwrap();
        thread::sleep(super::threads::A_WHILE);
        assert!(!sleeping.is_finished());
        far.write_all(b"x").unwrap();
        assert_eq!(sleeping.join().unwrap().unwrap(), [(REAL, EPOLLIN)]);
    });
}
