//! What becomes of connections between us and the kernel: many at once, half closed, and reset.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tapsock::{SockAddr, bsd};
use tapsock_tests::bench::{Bench, Family, Setup};
use tapsock_tests::bulk::bytes;
use tapsock_tests::sides::{Side, Stream};

const CONNECTIONS: usize = 200;
/// Bytes each way over each of them.
const EACH: usize = 96 * 1024;
const ECONNRESET: i32 = 104;
const EPIPE: i32 = 32;

fn family_of(index: usize) -> Family {
    Family::ALL[index % 2]
}

/// Sends back what comes, until its end.
fn echo(mut stream: Stream) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return stream.shutdown(Shutdown::Write).unwrap(),
            len => stream.write_all(&buffer[..len]).unwrap(),
        }
    }
}

/// Has `connects` make all connections, and use them when the last is there.
fn many(bench: &Bench, connects: Side) {
    let (client, server) = (connects, connects.other());
    let listeners = Family::ALL.map(|family| bench.listen(server, bench.at(server, family, 0)).unwrap());
    let at = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let all_connected = Barrier::new(CONNECTIONS);
    thread::scope(|scope| {
        for listener in &listeners {
            scope.spawn(move || {
                for _ in 0..CONNECTIONS / 2 {
                    let (stream, _) = listener.accept().unwrap();
                    scope.spawn(|| echo(stream));
                }
            });
        }
        for index in 0..CONNECTIONS {
            let (at, all_connected) = (at[index % 2], &all_connected);
            assert_eq!(at.is_ipv4(), family_of(index) == Family::V4);
            scope.spawn(move || {
                let connected = bench.connect(client, at);
                all_connected.wait();
                let mut stream = connected.unwrap();
                let data = bytes(index as u64, EACH);
                let mut back = stream.try_clone().unwrap();
                thread::scope(|scope| {
                    scope.spawn(|| {
                        stream.write_all(&data).unwrap();
                        stream.shutdown(Shutdown::Write).unwrap();
                    });
                    let mut received = Vec::new();
                    back.read_to_end(&mut received).unwrap();
                    assert!(received == data, "connection {index}");
                });
            });
        }
    });
}

#[test]
fn two_hundred_at_once_each_way() {
    let Some(bench) = Setup::new().open() else { return };
    thread::scope(|scope| {
        for side in Side::ALL {
            let bench = &bench;
            scope.spawn(move || many(bench, side));
        }
    });
}

/// Runs `test` over a new connection for each family and each end to begin.
fn each_way(test: impl Fn(Stream, Stream)) {
    let Some(bench) = Setup::new().open() else { return };
    for family in Family::ALL {
        for connects in Side::ALL {
            let (client, server) = bench.pair(family, connects);
            test(client, server);
            let (client, server) = bench.pair(family, connects);
            test(server, client);
        }
    }
}

#[test]
fn one_direction_goes_on_after_the_other_has_ended() {
    each_way(|mut first, mut second| {
        first.write_all(b"that is all").unwrap();
        first.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        second.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"that is all");
        assert_eq!(first.write(b"more").unwrap_err().raw_os_error(), Some(EPIPE));

        let data = bytes(1, 3 << 20);
        thread::scope(|scope| {
            scope.spawn(|| {
                second.write_all(&data).unwrap();
                second.shutdown(Shutdown::Write).unwrap();
            });
            received.clear();
            first.read_to_end(&mut received).unwrap();
        });
        assert!(received == data);
        assert_eq!(second.read(&mut [0; 8]).unwrap(), 0, "the end stays the end");
    });
}

/// An errno that is not the one of a time-out.
fn errno<T>(result: std::io::Result<T>) -> Option<i32> {
    let error = result.err()?;
    assert_ne!(error.kind(), ErrorKind::WouldBlock, "it came to nothing: {error}");
    error.raw_os_error()
}

#[test]
fn a_reset_is_told_once() {
    each_way(|first, mut second| {
        first.reset().unwrap();
        let mut byte = [0];
        assert_eq!(errno(second.read(&mut byte)), Some(ECONNRESET));
        assert_eq!(second.read(&mut byte).unwrap(), 0);
        assert_eq!(errno(second.write(b"x")), Some(EPIPE));
        assert!(second.take_error().unwrap().is_none());
    });
}

#[test]
fn closing_with_unread_data_resets() {
    each_way(|mut first, mut second| {
        second.write_all(b"mostly unread").unwrap();
        let mut byte = [0];
        first.read_exact(&mut byte).unwrap();
        drop(first);
        assert_eq!(errno(second.read(&mut byte)), Some(ECONNRESET));
    });
}

#[test]
fn a_reset_ends_a_write_that_waits() {
    each_way(|first, mut second| {
        thread::scope(|scope| {
            let writing = scope.spawn(move || second.write_all(&vec![7; 64 << 20]));
            let mut received = [0; 1000];
            let mut first = first;
            first.read_exact(&mut received).unwrap();
            first.reset().unwrap();
            let ended = errno(writing.join().unwrap());
            assert!(matches!(ended, Some(ECONNRESET | EPIPE)), "{ended:?}");
        });
    });
}

/// SO_MAX_PACING_RATE: whatever the machine's speed, nothing comes sooner than its rate lets it.
#[test]
fn a_sender_keeps_to_its_pace() {
    const RATE: u32 = 1_000_000;
    const LEN: usize = 500_000;
    /// Segments that go at once at the start, in bytes at most, the last burst, which nothing waits for, and half of one,
    /// which is given back to who comes late. On a path as short as this one a burst is a full frame.
    const FREE: usize = 12 * 1460 + 65_536 + 32_768;
    let Some(bench) = Setup::new().open() else { return };
    let listener = bench.listen(Side::Kernel, bench.at(Side::Kernel, Family::V4, 0)).unwrap();
    let host = &bench.host;
    let client = bsd::socket(host, bsd::AF_INET, bsd::SOCK_STREAM, 0).unwrap();
    bsd::setsockopt(host, client, bsd::SOL_SOCKET, bsd::SO_MAX_PACING_RATE, &RATE.to_ne_bytes()).unwrap();
    bsd::connect(host, client, &SockAddr::from(listener.local_addr().unwrap())).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let data = bytes(1, LEN);
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(bsd::send(host, client, &data, 0), Ok(LEN));
            bsd::shutdown(host, client, bsd::SHUT_WR).unwrap();
        });
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert!(received == data);
    });
    let least = Duration::from_secs_f64((LEN - FREE) as f64 / f64::from(RATE));
    assert!(began.elapsed() >= least, "{:?} for what takes {least:?}", began.elapsed());
    bsd::close(host, client).unwrap();
}
