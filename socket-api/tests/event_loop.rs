//! A host without a thread of its own, in an event loop.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, Instant};

use common::{LEFT, PATIENCE, RIGHT, builders, ip, within};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock::{Driver, Host};
use tapsock_driver::memory::MemoryConfig;
use tapsock_driver::unix::{Framing, UnixLink};

fn pair() -> (Host, Host) {
    let (left, right) = builders(MemoryConfig::default());
    (left.start().unwrap(), right.driver(Driver::External).start().unwrap())
}

/// Sleeps until the host wants a turn, `limit` at most; whether it does.
fn wait(fd: BorrowedFd<'_>, limit: Duration) -> bool {
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&limit)).unwrap() > 0
}

#[test]
fn an_echo_server_in_a_poll_loop() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let listener = TcpListener::bind(&right, (ip(RIGHT), 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let there = listener.local_addr().unwrap();
        let client = thread::spawn(move || {
            let mut client = TcpStream::connect(&left, there).unwrap();
            let mut back = vec![0; 20_000];
            for round in 0..50u8 {
                let sent = vec![round; 20_000];
                client.write_all(&sent).unwrap();
                client.read_exact(&mut back).unwrap();
                assert_eq!(back, sent);
            }
        });

        let mut stream: Option<TcpStream> = None;
        let mut pending = Vec::new();
        let mut bytes = [0; 4096];
        'serve: loop {
            assert!(wait(right.as_fd().unwrap(), PATIENCE), "the host wants a turn when something comes");
            right.turn().unwrap();
            if stream.is_none() {
                stream = listener.accept().ok().map(|(stream, _)| stream);
                let _ = stream.as_ref().map(|stream| stream.set_nonblocking(true).unwrap());
            }
            let Some(stream) = &mut stream else { continue };
            loop {
                match stream.read(&mut bytes) {
                    Ok(0) => break 'serve,
                    Ok(len) => pending.extend_from_slice(&bytes[..len]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
            while let Ok(len @ 1..) = stream.write(&pending) {
                pending.drain(..len);
            }
        }
        client.join().unwrap();
    });
}

#[test]
fn a_deadline_makes_the_descriptor_readable() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let start = Instant::now();
        // Nobody has that address: the question for it is asked again after a second.
        right.turn().unwrap();
        let socket = tapsock::net::UdpSocket::bind(&right, "0.0.0.0:0").unwrap();
        socket.send_to(b"?", (ip("10.0.0.50"), 9)).unwrap();
        let before = right.engine_stats().link_writes;
        while right.engine_stats().link_writes == before {
            assert!(wait(right.as_fd().unwrap(), PATIENCE));
            right.turn().unwrap();
        }
        assert!((500..5_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
        assert!(left.as_fd().is_err() && left.turn().is_err(), "a host with a thread has neither");
    });
}

/// A call on one socket may take in what is for another, and what goes to ourselves never crosses the link.
#[test]
fn what_a_call_on_another_socket_brings_is_heard_of() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let bind = |host: &Host, address: &str| UdpSocket::bind(host, (ip(address), 0)).unwrap();
        let [one, two] = [RIGHT, RIGHT].map(|address| bind(&right, address));
        let peer = bind(&left, LEFT);
        let mut bytes = [0; 16];
        for socket in [&one, &two] {
            socket.set_nonblocking(true).unwrap();
            // The neighbours know each other after this.
            socket.send_to(b"hello", peer.local_addr().unwrap()).unwrap();
            while right.engine_stats().link_reads == 0 {
                assert!(wait(right.as_fd().unwrap(), PATIENCE));
                right.turn().unwrap();
            }
            peer.recv_from(&mut bytes).unwrap();
        }
        while wait(right.as_fd().unwrap(), Duration::ZERO) {
            right.turn().unwrap();
        }

        peer.send_to(b"for two", two.local_addr().unwrap()).unwrap();
        assert!(wait(right.as_fd().unwrap(), PATIENCE));
        assert_eq!(one.recv_from(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(wait(right.as_fd().unwrap(), PATIENCE), "the frame is gone from the link, but not the news");
        right.turn().unwrap();
        assert_eq!(two.recv_from(&mut bytes).unwrap().0, 7);

        assert!(!wait(right.as_fd().unwrap(), Duration::ZERO));
        one.send_to(b"to ourselves", two.local_addr().unwrap()).unwrap();
        assert!(wait(right.as_fd().unwrap(), PATIENCE));
    });
}

#[test]
fn a_peer_that_hangs_up_is_noticed_once() {
    within(PATIENCE, || {
        let (near, far) = UnixLink::pair(Framing::Vnet, 1500).unwrap();
        let host = Host::builder().link(near).driver(Driver::External).start().unwrap();
        drop(far);
        let mut turns = 0;
        while wait(host.as_fd().unwrap(), Duration::ZERO) {
            host.turn().unwrap();
            turns += 1;
            assert!(turns < 10, "the descriptor stays readable");
        }
    });
}

#[test]
fn a_call_that_blocks_drives_by_itself() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let listener = TcpListener::bind(&right, (ip(RIGHT), 0)).unwrap();
        let there = listener.local_addr().unwrap();
        let client =
            thread::spawn(move || TcpStream::connect(&left, there).unwrap().write_all(b"hi").unwrap());
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hi");
        client.join().unwrap();
    });
}
