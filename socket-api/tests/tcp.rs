//! TCP between two hosts of one process.

mod common;

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use common::{LEFT, PATIENCE, RIGHT, RIGHT6, builders, ip, pair, plain_pair, within};
use sha2::{Digest, Sha256};
use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock_driver::memory::{MemoryConfig, Offload};

fn connection(left: &Host, right: &Host, address: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(right, (ip(address), 0)).unwrap();
    let client = TcpStream::connect(left, listener.local_addr().unwrap()).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    (client, server)
}

#[test]
fn sockets_show_their_addresses_as_in_the_standard_library() {
    let (left, right) = pair();
    let listener = TcpListener::bind(&right, (ip(RIGHT), 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let shown = format!("{listener:?}");
    assert!(shown.starts_with(&format!("TcpListener {{ addr: {at}, socket: ")), "{shown}");
    let client = TcpStream::connect(&left, at).unwrap();
    let shown = format!("{client:?}");
    let name = client.local_addr().unwrap();
    assert!(shown.starts_with(&format!("TcpStream {{ addr: {name}, peer: {at}, socket: ")), "{shown}");
    let datagrams = UdpSocket::bind(&left, (ip(LEFT), 0)).unwrap();
    let shown = format!("{datagrams:?}");
    let name = datagrams.local_addr().unwrap();
    assert!(shown.starts_with(&format!("UdpSocket {{ addr: {name}, socket: ")), "{shown}");
}

#[test]
fn parts_are_written_and_read_in_one_call() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (mut client, mut server) = connection(&left, &right, RIGHT);
        let sent = [IoSlice::new(b""), IoSlice::new(b"one "), IoSlice::new(b"two")];
        assert_eq!(client.write_vectored(&sent).unwrap(), 7);
        let (mut first, mut second) = ([0; 4], [0; 9]);
        let parts =
            &mut [IoSliceMut::new(&mut []), IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(server.read_vectored(parts).unwrap(), 7);
        assert_eq!((&first, &second[..3]), (b"one ", &b"two"[..]));
        for time in [Some(Duration::from_secs(3)), None] {
            client.set_linger(time).unwrap();
            assert_eq!(client.linger().unwrap(), time);
        }
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(server.read(&mut first).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn echo_over_both_families() {
    within(PATIENCE, || {
        let (left, right) = pair();
        for address in [RIGHT, RIGHT6] {
            let (mut client, mut server) = connection(&left, &right, address);
            let echo = thread::spawn(move || {
                let mut bytes = [0; 64];
                while let Ok(len @ 1..) = server.read(&mut bytes) {
                    server.write_all(&bytes[..len]).unwrap();
                }
            });
            for round in 0..200u8 {
                let sent = [round; 64];
                client.write_all(&sent).unwrap();
                let mut back = [0; 64];
                client.read_exact(&mut back).unwrap();
                assert_eq!(back, sent);
            }
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
            echo.join().unwrap();
        }
    });
}

/// Bytes that do not repeat with any period of the stack's.
fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn bulk(left: Host, right: Host, len: usize, write: usize, read: usize) {
    within(Duration::from_secs(100), move || {
        let (client, server) = connection(&left, &right, RIGHT);
        let both = [(client.try_clone().unwrap(), server.try_clone().unwrap(), 1), (server, client, 2)];
        let workers: Vec<_> = both
            .into_iter()
            .flat_map(|(mut from, mut to, seed)| {
                let sender = thread::spawn(move || {
                    let data = pattern(seed, len);
                    data.chunks(write).for_each(|part| from.write_all(part).unwrap());
                    from.shutdown(Shutdown::Write).unwrap();
                    Sha256::digest(&data)
                });
                let receiver = thread::spawn(move || {
                    let mut hash = Sha256::new();
                    let mut bytes = vec![0; read];
                    while let Ok(len @ 1..) = to.read(&mut bytes) {
                        hash.update(&bytes[..len]);
                    }
                    hash.finalize()
                });
                [(seed, sender), (seed, receiver)]
            })
            .collect();
        let workers: Vec<_> =
            workers.into_iter().map(|(seed, worker)| (seed, worker.join().unwrap())).collect();
        for direction in workers.chunks(2) {
            assert_eq!(direction[0].1, direction[1].1, "direction {}", direction[0].0);
        }
    });
}

#[test]
fn bulk_both_ways_at_once_in_large_frames() {
    let (left, right) = pair();
    bulk(left, right, 64 << 20, 1 << 20, 200_000);
}

#[test]
fn bulk_both_ways_at_once_in_small_frames() {
    let (left, right) = plain_pair();
    bulk(left, right, 16 << 20, 70_000, 3_000);
}

#[test]
fn bulk_over_a_link_that_is_often_full() {
    let config = MemoryConfig { capacity: 3, offload: Offload::Plain, ..MemoryConfig::default() };
    let (left, right) = builders(config);
    bulk(left.start().unwrap(), right.start().unwrap(), 4 << 20, 1 << 18, 1 << 16);
}

#[test]
fn bulk_in_small_writes() {
    let (left, right) = pair();
    bulk(left, right, 1 << 20, 100, 65_536);
}

#[test]
fn a_half_closed_connection_carries_the_other_half() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (mut client, mut server) = connection(&left, &right, RIGHT);
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut question = String::new();
        server.read_to_string(&mut question).unwrap();
        assert_eq!(question, "question");
        server.write_all(b"answer").unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    });
}

#[test]
fn time_outs_end_calls_and_nothing_else() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (mut client, mut server) = connection(&left, &right, RIGHT);
        client.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        assert_eq!(client.read_timeout().unwrap(), Some(Duration::from_millis(30)));
        let start = Instant::now();
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!((30..2_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
        assert!(client.set_read_timeout(Some(Duration::ZERO)).is_err());

        server.set_write_timeout(Some(Duration::from_millis(30))).unwrap();
        let chunk = vec![0; 1 << 20];
        let mut sent = 0;
        let error = loop {
            match server.write(&chunk) {
                Ok(len) => sent += len,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        drop(server);
        client.set_read_timeout(None).unwrap();
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), sent, "what was taken arrives, and what was not does not");
    });
}

#[test]
fn calls_that_do_not_wait_say_so() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let listener = TcpListener::bind(&right, (ip(RIGHT), 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut client = TcpStream::connect(&left, listener.local_addr().unwrap()).unwrap();
        let mut server = loop {
            match listener.accept() {
                Ok((server, _)) => break server,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        };
        server.set_nonblocking(true).unwrap();
        assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        client.write_all(b"x").unwrap();
        let mut byte = [0];
        while let Err(error) = server.read(&mut byte) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        assert_eq!(&byte, b"x");
        let chunk = vec![0; 1 << 20];
        let error = loop {
            if let Err(error) = server.write(&chunk) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn peek_leaves_the_bytes_there() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (mut client, mut server) = connection(&left, &right, RIGHT);
        server.write_all(b"hello").unwrap();
        let mut bytes = [0; 3];
        assert_eq!(client.peek(&mut bytes).unwrap(), 3);
        assert_eq!(&bytes, b"hel");
        let mut bytes = [0; 5];
        client.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
    });
}

#[test]
fn connecting_fails_as_it_should() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let start = Instant::now();
        let refused = TcpStream::connect(&left, (ip(RIGHT), 9)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(start.elapsed() < Duration::from_secs(1));
        let unreachable = TcpStream::connect(&left, (ip("192.0.2.1"), 9)).unwrap_err();
        assert_eq!(unreachable.kind(), ErrorKind::NetworkUnreachable);
        let nobody = "10.0.0.77:9".parse().unwrap();
        let timed_out = TcpStream::connect_timeout(&left, &nobody, Duration::from_millis(50)).unwrap_err();
        assert_eq!(timed_out.kind(), ErrorKind::TimedOut);
        drop(right);
    });
}

#[test]
fn a_host_talks_to_itself() {
    within(PATIENCE, || {
        let (left, _right) = pair();
        for address in ["127.0.0.1", "::1", LEFT] {
            let (mut client, mut server) = connection(&left, &left, address);
            let data = pattern(3, 4 << 20);
            let expected = data.clone();
            let sender = thread::spawn(move || client.write_all(&data).unwrap());
            let mut received = Vec::new();
            server.read_to_end(&mut received).unwrap();
            sender.join().unwrap();
            assert!(received == expected, "{address}");
        }
        assert_eq!(left.engine_stats().link_writes, 0, "and nothing goes out");
    });
}
