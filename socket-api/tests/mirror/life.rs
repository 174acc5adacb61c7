//! When there is a mirror, whose it is, and who keeps it up to date.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapsock::bsd::{self, AF_UNIX, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLET, EPOLLIN, EpollEvent, SOCK_STREAM};
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock::unix::UnixStream;
use tapsock::{Driver, HasMirror, Host, Pollable};
use tapsock_driver::memory::MemoryConfig;

use super::common::{LEFT, PATIENCE, RIGHT, builders, ip, pair, within};
use super::sides::mask;

/// Waits in the kernel's poll for `IN`.
fn readable(fd: impl AsFd) {
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&patience)), Ok(1));
}

#[test]
fn a_socket_has_one_mirror_and_it_ends_with_the_socket() {
    let host = Host::builder().start().unwrap();
    let socket = UdpSocket::bind(&host, "127.0.0.1:0").unwrap();
    let clone = socket.try_clone().unwrap();
    let numbers = [&socket, &clone].map(|handle| handle.poll_fd().unwrap().as_raw_fd());
    assert_ne!(numbers[0], numbers[1], "as of duplicates of one descriptor");
    assert_eq!(numbers, [&socket, &clone].map(|handle| handle.poll_fd().unwrap().as_raw_fd()));
    assert_eq!([&socket, &clone].map(|handle| mask(handle.poll_fd().unwrap())), ["OUT", "OUT"]);
    let duplicate = bsd::mirror_fd(&host, socket.socket_id().unwrap()).unwrap();
    assert_eq!(mask(&duplicate), "OUT");
    drop(socket);
    assert_eq!(mask(&duplicate), "OUT", "the other handle holds it open");
    drop(clone);
    assert_eq!(mask(&duplicate), "IN|OUT|HUP|RDHUP");
    assert_eq!(bsd::mirror_fd(&host, 77).unwrap_err(), tapsock::Errno::BADF);

    let (here, _there) = UnixStream::pair(&host).unwrap();
    let duplicate = here.poll_fd().unwrap().try_clone_to_owned().unwrap();
    host.shutdown();
    assert_eq!(mask(&duplicate), "IN|OUT|HUP|RDHUP", "also where the host ends");
}

#[test]
fn the_background_thread_keeps_it_up_to_date_over_a_link() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let listener = TcpListener::bind(&right, (ip(RIGHT), 0)).unwrap();
        let there = listener.local_addr().unwrap();
        let client = thread::spawn(move || {
            let mut client = TcpStream::connect(&left, there).unwrap();
            let mut back = [0; 5];
            for _ in 0..20 {
                thread::sleep(Duration::from_millis(1));
                client.write_all(b"hello").unwrap();
                client.read_exact(&mut back).unwrap();
            }
        });
        readable(listener.poll_fd().unwrap());
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut stream = Pollable::new(stream).unwrap();
        let mut bytes = [0; 16];
        loop {
            readable(&stream);
            match stream.read(&mut bytes) {
                Ok(0) => break,
                Ok(len) => stream.write_all(&bytes[..len]).unwrap(),
                Err(error) => panic!("readable, but {error}"),
            }
        }
        client.join().unwrap();
    });
}

#[test]
fn an_event_loop_keeps_it_up_to_date_by_its_turns() {
    let (left, right) = builders(MemoryConfig::default());
    let (left, right) = (left.start().unwrap(), right.driver(Driver::External).start().unwrap());
    let receiver = Pollable::new(UdpSocket::bind(&right, (ip(RIGHT), 9000)).unwrap()).unwrap();
    let sender = UdpSocket::bind(&left, (ip(LEFT), 0)).unwrap();
    sender.send_to(b"hello", (ip(RIGHT), 9000)).unwrap();
    while mask(&receiver) != "IN|OUT" {
        readable(right.as_fd().unwrap());
        right.turn().unwrap();
    }
    assert_eq!(receiver.recv(&mut [0; 16]).unwrap(), 5);
    assert_eq!(mask(&receiver), "OUT");
}

#[test]
fn an_epoll_instance_shows_whether_it_has_something_to_report() {
    let host = Host::builder().start().unwrap();
    let [here, there] = bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    let udp = bsd::socket(&host, bsd::AF_INET, bsd::SOCK_DGRAM, 0).unwrap();
    bsd::bind(&host, udp, &tapsock::SockAddr::V4("127.0.0.1:0".parse().unwrap())).unwrap();
    let to = bsd::getsockname(&host, udp).unwrap();
    let [inner, outer] = [(); 2].map(|()| bsd::epoll_create1(&host, 0).unwrap());
    let add = |epoll, id, events| {
        bsd::epoll_ctl(&host, epoll, EPOLL_CTL_ADD, id, Some(EpollEvent { events, data: 0 })).unwrap();
    };
    add(inner, here, EPOLLIN);
    add(outer, inner, EPOLLIN);
    let mirrors = [inner, outer].map(|id| bsd::mirror_fd(&host, id).unwrap());
    // That which is watched later counts as well.
    add(inner, udp, EPOLLIN);
    let shown = || [mask(&mirrors[0]), mask(&mirrors[1])];
    let mut bytes = [0; 16];
    assert_eq!(shown(), ["", ""]);
    bsd::send(&host, there, b"hello", 0).unwrap();
    assert_eq!(shown(), ["IN", "IN"]);
    bsd::recv(&host, here, &mut bytes, 0).unwrap();
    assert_eq!(shown(), ["", ""], "nobody has asked the instances");
    bsd::sendto(&host, udp, b"hello", 0, Some(&to)).unwrap();
    assert_eq!(shown(), ["IN", "IN"]);
    let mut events = [EpollEvent::default(); 4];
    assert_eq!(bsd::epoll_wait(&host, inner, &mut events, 0).unwrap(), 1);
    assert_eq!(shown(), ["IN", "IN"], "level-triggered");
    bsd::recv(&host, udp, &mut bytes, 0).unwrap();
    assert_eq!(shown(), ["", ""]);

    bsd::epoll_ctl(&host, inner, EPOLL_CTL_DEL, here, None).unwrap();
    add(inner, here, EPOLLIN | EPOLLET);
    bsd::send(&host, there, b"hello", 0).unwrap();
    assert_eq!(shown(), ["IN", "IN"]);
    assert_eq!(bsd::epoll_wait(&host, inner, &mut events, 0).unwrap(), 1);
    assert_eq!(shown(), ["", ""], "edge-triggered");
    bsd::close(&host, inner).unwrap();
    assert_eq!(shown(), ["IN|OUT|HUP|RDHUP", ""]);
}

/// A call that has done a part and waits for the rest has changed what is shown, before it returns.
#[test]
fn a_sender_that_is_blocked_has_taken_the_room_already() {
    let host = Host::builder().start().unwrap();
    let listener = TcpListener::bind(&host, "127.0.0.1:0").unwrap();
    let tcp = TcpStream::connect(&host, listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    let (local, mut there) = UnixStream::pair(&host).unwrap();
    blocked(&tcp, &mut far);
    blocked(&local, &mut there);
}

fn blocked<S: HasMirror + Sync>(near: &S, far: &mut impl Read)
where
    for<'a> &'a S: Write,
{
    const LEN: usize = 10_000_000;
    assert_eq!(mask(near.poll_fd().unwrap()), "OUT");
    thread::scope(|scope| {
        let mut writer = near;
        let sender = scope.spawn(move || writer.write_all(&vec![0; LEN]).unwrap());
        let end = std::time::Instant::now() + PATIENCE;
        while !mask(near.poll_fd().unwrap()).is_empty() {
            assert!(std::time::Instant::now() < end, "it still shows room");
            thread::sleep(Duration::from_millis(1));
        }
        far.read_exact(&mut vec![0; LEN]).unwrap();
        sender.join().unwrap();
    });
    let mut asked = [PollFd::from_borrowed_fd(near.poll_fd().unwrap(), PollFlags::OUT)];
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut asked, Some(&patience)), Ok(1), "there is room again");
}

#[test]
fn all_kinds_have_one() {
    let host = Host::builder().start().unwrap();
    let path = "/run/mirror";
    let listener = tapsock::unix::UnixListener::bind(&host, path).unwrap();
    let records = tapsock::unix::UnixSeqpacketListener::bind(&host, "/run/records").unwrap();
    let (stream, _far) = UnixStream::pair(&host).unwrap();
    let (datagrams, _other) = tapsock::unix::UnixDatagram::pair(&host).unwrap();
    let (seqpacket, _end) = tapsock::unix::UnixSeqpacket::pair(&host).unwrap();
    let tcp = TcpListener::bind(&host, "127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind(&host, "127.0.0.1:0").unwrap();
    let all: [(&dyn HasMirror, &str); 7] = [
        (&listener, ""),
        (&records, ""),
        (&stream, "OUT"),
        (&datagrams, "OUT"),
        (&seqpacket, "OUT"),
        (&tcp, ""),
        (&udp, "OUT"),
    ];
    for (socket, shown) in all {
        assert_eq!(mask(socket.poll_fd().unwrap()), shown);
    }
}
