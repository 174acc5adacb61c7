//! SO_LINGER with a time: how long `close` blocks, and what becomes of the connection then.

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::signals::Interrupter;
use common::{PATIENCE, RIGHT, ip, pair, within};
use nix::sys::signal::Signal;
use tapsock::bsd::{self, AF_INET, MSG_DONTWAIT, SO_LINGER, SOCK_STREAM, SOL_SOCKET};
use tapsock::{Errno, Host, SockAddr};

/// A connection whose peer reads nothing, and with more in it than that takes: client, server, bytes written.
fn stuffed(left: &Host, right: &Host) -> (i32, i32, usize) {
    let listener = bsd::socket(right, AF_INET, SOCK_STREAM, 0).unwrap();
    let any = SockAddr::from(std::net::SocketAddr::new(ip(RIGHT), 0));
    bsd::bind(right, listener, &any).unwrap();
    bsd::listen(right, listener, 1).unwrap();
    let client = bsd::socket(left, AF_INET, SOCK_STREAM, 0).unwrap();
    bsd::connect(left, client, &bsd::getsockname(right, listener).unwrap()).unwrap();
    let (server, _) = bsd::accept(right, listener).unwrap();
    bsd::close(right, listener).unwrap();
    let mut written = 0;
    // The windows are full where nothing more is taken for some time.
    let mut refusals = 0;
    while refusals < 20 {
        match bsd::send(left, client, &[7; 65_536], MSG_DONTWAIT) {
            Ok(count) => (written, refusals) = (written + count, 0),
            Err(error) => {
                assert_eq!(error, Errno::AGAIN);
                refusals += 1;
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
    (client, server, written)
}

fn set_linger(host: &Host, socket: i32, secs: i32) {
    let value = [1i32.to_ne_bytes(), secs.to_ne_bytes()].concat();
    bsd::setsockopt(host, socket, SOL_SOCKET, SO_LINGER, &value).unwrap();
}

/// Reads to the end of the stream and says how many bytes that were.
fn drain(host: &Host, socket: i32) -> usize {
    let mut buffer = vec![0; 65_536];
    let counts = std::iter::from_fn(|| Some(bsd::recv(host, socket, &mut buffer, 0).unwrap()));
    counts.take_while(|count| *count > 0).sum()
}

#[test]
fn close_blocks_until_the_peer_has_everything() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (client, server, written) = stuffed(&left, &right);
        set_linger(&left, client, 3600);
        let host = left.clone();
        let closing = thread::spawn(move || bsd::close(&host, client));
        // To everybody else the socket is gone.
        while bsd::getsockname(&left, client) != Err(Errno::BADF) {
            thread::yield_now();
        }
        assert_eq!(bsd::close(&left, client), Err(Errno::BADF));
        thread::sleep(Duration::from_millis(50));
        assert!(!closing.is_finished(), "the peer has not taken the rest");
        assert_eq!(drain(&right, server), written);
        assert_eq!(closing.join().unwrap(), Ok(()));
        assert_eq!(bsd::socket(&left, AF_INET, SOCK_STREAM, 0), Ok(client), "the number is free");
    });
}

/// It goes on waiting, as a blocked call does; Linux's lets the rest go by itself.
#[test]
fn a_signal_does_not_end_the_wait() {
    within(PATIENCE, || {
        let signals = Interrupter::new(Signal::SIGUSR1);
        let (left, right) = pair();
        let (client, server, written) = stuffed(&left, &right);
        set_linger(&left, client, 3600);
        let host = left.clone();
        let closing = thread::spawn(move || bsd::close(&host, client));
        while bsd::getsockname(&left, client) != Err(Errno::BADF) {
            thread::yield_now();
        }
        for _ in 0..3 {
            assert!(signals.interrupt(&closing));
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!closing.is_finished(), "the peer has not taken the rest");
        assert_eq!(drain(&right, server), written);
        assert_eq!(closing.join().unwrap(), Ok(()));
    });
}

#[test]
fn when_the_time_is_over_the_connection_goes_on_by_itself() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (client, server, written) = stuffed(&left, &right);
        set_linger(&left, client, 1);
        let begin = Instant::now();
        assert_eq!(bsd::close(&left, client), Ok(()));
        assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
        assert_eq!(bsd::close(&left, client), Err(Errno::BADF));
        assert_eq!(drain(&right, server), written);
    });
}

#[test]
fn a_reset_or_the_end_of_the_host_ends_the_wait() {
    within(PATIENCE, || {
        let (left, right) = pair();
        for end in [
            (|_, right, server| bsd::close(right, server).unwrap()) as fn(&Host, &Host, i32),
            |left, _, _| (left.shutdown(), ()).1,
        ] {
            let (client, server, _) = stuffed(&left, &right);
            set_linger(&left, client, 3600);
            let host = left.clone();
            let closing = thread::spawn(move || bsd::close(&host, client));
            while bsd::getsockname(&left, client) != Err(Errno::BADF) {
                thread::yield_now();
            }
            end(&left, &right, server);
            assert_eq!(closing.join().unwrap(), Ok(()));
        }
    });
}
