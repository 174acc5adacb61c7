//! Threads that wait: how they are woken, by what, and that none is forgotten.

#[path = "../common/mod.rs"]
mod common;

mod lost_link;
mod owned;
mod table;

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::{LEFT, PATIENCE, RIGHT, builders, ip, pair, within};
use tapsock::bsd::{self, AF_INET, AF_UNIX, MSG_PEEK, MSG_WAITALL, PollFd, PollMask, SOCK_STREAM};
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock::{Errno, Host, SockAddr};
use tapsock_driver::link::Link;
use tapsock_driver::memory::{MemoryConfig, MemoryLink};

/// Long enough for a thread to block, in all likelihood; the tests hold without it too.
const SETTLE: Duration = Duration::from_millis(20);

fn address(text: &str, port: u16) -> SockAddr {
    SockAddr::from(std::net::SocketAddr::from((ip(text), port)))
}

/// A listener on `host`, and a connection to it from `from`: (listener, client, server).
fn connected(from: &Host, host: &Host) -> (i32, i32, i32) {
    let listener = bsd::socket(host, AF_INET, SOCK_STREAM, 0).unwrap();
    bsd::bind(host, listener, &address(RIGHT, 0)).unwrap();
    bsd::listen(host, listener, 16).unwrap();
    let client = bsd::socket(from, AF_INET, SOCK_STREAM, 0).unwrap();
    bsd::connect(from, client, &bsd::getsockname(host, listener).unwrap()).unwrap();
    let (server, _) = bsd::accept(host, listener).unwrap();
    (listener, client, server)
}

fn blocked<T: Send + 'static>(
    host: &Host,
    call: impl FnOnce(&Host) -> Result<T, Errno> + Send + 'static,
) -> JoinHandle<Option<Errno>> {
    let host = host.clone();
    let (running, started) = mpsc::channel();
    let thread = thread::spawn(move || {
        running.send(()).unwrap();
        call(&host).err()
    });
    started.recv().unwrap();
    thread::sleep(SETTLE);
    thread
}

#[test]
fn close_ends_the_calls_that_wait_for_the_socket() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (listener, _client, server) = connected(&left, &right);
        let accept = blocked(&right, move |host| bsd::accept(host, listener));
        let recv = blocked(&right, move |host| bsd::recv(host, server, &mut [0], 0));
        let second = blocked(&right, move |host| bsd::recv(host, server, &mut [0], 0));
        let (_, sender, _unread) = connected(&left, &right);
        loop_until_full(&left, sender);
        let send = blocked(&left, move |host| bsd::send(host, sender, &[0; 1 << 18], 0));
        let nobody = bsd::socket(&left, AF_INET, SOCK_STREAM, 0).unwrap();
        let connect = blocked(&left, move |host| bsd::connect(host, nobody, &address("10.0.0.99", 1)));
        // The ids are taken by other sockets at once.
        for (host, socket) in [(&right, listener), (&right, server), (&left, sender), (&left, nobody)] {
            bsd::close(host, socket).unwrap();
            assert_eq!(bsd::socket(host, AF_INET, SOCK_STREAM, 0), Ok(socket));
        }
        let calls =
            [("accept", accept), ("recv", recv), ("recv", second), ("send", send), ("connect", connect)];
        for (call, thread) in calls {
            assert_eq!(thread.join().unwrap(), Some(Errno::BADF), "{call}");
        }
    });
}

/// A reader that needs more than is there waits on, and leaves what is there to one behind it.
#[test]
fn a_reader_is_woken_though_one_before_it_waits_for_more() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (_, client, server) = connected(&left, &right);
        let [here, there] = bsd::socketpair(&left, AF_UNIX, SOCK_STREAM, 0).unwrap();
        for (from, sender, host, receiver) in [(&left, client, &right, server), (&left, here, &left, there)] {
            let long =
                blocked(host, move |host| bsd::recv(host, receiver, &mut [0; 100], MSG_PEEK | MSG_WAITALL));
            let short = blocked(host, move |host| bsd::recv(host, receiver, &mut [0; 10], 0));
            bsd::send(from, sender, &[0; 10], 0).unwrap();
            assert_eq!(short.join().unwrap(), None);
            bsd::send(from, sender, &[0; 100], 0).unwrap();
            assert_eq!(long.join().unwrap(), None);
        }
    });
}

#[test]
fn poll_sees_a_socket_that_is_closed() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (_, client, _server) = connected(&left, &right);
        let host = left.clone();
        let poll = thread::spawn(move || {
            let mut fds = [PollFd::new(client, PollMask::IN), PollFd::new(-1, PollMask::IN)];
            (bsd::poll(&host, &mut fds, -1), fds[0].revents)
        });
        thread::sleep(SETTLE);
        bsd::close(&left, client).unwrap();
        assert_eq!(poll.join().unwrap(), (Ok(1), PollMask::NVAL));
    });
}

#[test]
fn poll_waits_for_many_and_tells_which() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (listener, client, server) = connected(&left, &right);
        let mut fds = [PollFd::new(listener, PollMask::IN), PollFd::new(server, PollMask::IN)];
        assert_eq!(bsd::poll(&right, &mut fds, 0), Ok(0));
        let start = Instant::now();
        assert_eq!(bsd::poll(&right, &mut fds, 30), Ok(0));
        assert!(start.elapsed() >= Duration::from_millis(30));
        let host = right.clone();
        let poll = thread::spawn(move || (bsd::poll(&host, &mut fds, -1), fds.map(|fd| fd.revents)));
        thread::sleep(SETTLE);
        bsd::send(&left, client, b"x", 0).unwrap();
        assert_eq!(poll.join().unwrap(), (Ok(1), [PollMask::NONE, PollMask::IN]));
        let mut both = [PollFd::new(server, PollMask::IN | PollMask::OUT)];
        assert_eq!(bsd::poll(&right, &mut both, -1), Ok(1));
        assert_eq!(both[0].revents, PollMask::IN | PollMask::OUT);
    });
}

/// Echoes until the peer is done.
fn echo(mut server: TcpStream) {
    let mut bytes = [0; 256];
    while let Ok(len @ 1..) = server.read(&mut bytes) {
        server.write_all(&bytes[..len]).unwrap();
    }
}

#[test]
fn many_threads_each_with_a_connection() {
    const THREADS: usize = 24;
    const ROUNDS: usize = 100;
    within(Duration::from_secs(60), || {
        let (left, right) = pair();
        let listener = TcpListener::bind(&right, (ip(RIGHT), 0)).unwrap();
        let there = listener.local_addr().unwrap();
        let servers = thread::spawn(move || {
            let streams = listener.incoming().take(THREADS).map(Result::unwrap);
            let echoes: Vec<_> = streams.map(|stream| thread::spawn(|| echo(stream))).collect();
            echoes.into_iter().for_each(|echo| echo.join().unwrap());
        });
        let clients: Vec<_> = (0..THREADS)
            .map(|number| {
                let left = left.clone();
                thread::spawn(move || {
                    let mut client = TcpStream::connect(&left, there).unwrap();
                    for round in 0..ROUNDS {
                        let sent = [(number * 31 + round) as u8; 64];
                        client.write_all(&sent).unwrap();
                        let mut back = [0; 64];
                        client.read_exact(&mut back).unwrap();
                        assert_eq!(back, sent);
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        servers.join().unwrap();
    });
}

#[test]
fn several_threads_accept_from_one_listener() {
    const EACH: usize = 25;
    within(PATIENCE, || {
        let (left, right) = pair();
        let listener = TcpListener::bind(&right, (ip(RIGHT), 0)).unwrap();
        let there = listener.local_addr().unwrap();
        let acceptors: Vec<_> = (0..4)
            .map(|_| {
                let listener = listener.try_clone().unwrap();
                thread::spawn(move || listener.incoming().take(EACH).filter(Result::is_ok).count())
            })
            .collect();
        let kept: Vec<_> = (0..4 * EACH).map(|_| TcpStream::connect(&left, there).unwrap()).collect();
        let accepted: usize = acceptors.into_iter().map(|acceptor| acceptor.join().unwrap()).sum();
        assert_eq!(accepted, kept.len());
    });
}

#[test]
fn the_baton_passes_to_those_that_wait() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let there = UdpSocket::bind(&left, "0.0.0.0:0").unwrap();
        let sockets: Vec<_> = (0..8).map(|_| UdpSocket::bind(&right, (ip(RIGHT), 0)).unwrap()).collect();
        let addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let waiting: Vec<_> = sockets
            .into_iter()
            .map(|socket| thread::spawn(move || socket.recv(&mut [0; 8]).unwrap()))
            .collect();
        thread::sleep(SETTLE);
        // One after the other: each that leaves drove for those still there.
        for (address, thread) in addresses.into_iter().zip(waiting) {
            there.send_to(b"go", address).unwrap();
            assert_eq!(thread.join().unwrap(), 2);
        }
    });
}

#[test]
fn the_background_thread_takes_over_from_a_thread_that_computes() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (_, client, server) = connected(&left, &right);
        bsd::send(&left, client, b"1", 0).unwrap();
        bsd::recv(&right, server, &mut [0], 0).unwrap();
        // Nobody calls into the right host now, and yet it answers.
        let start = Instant::now();
        let refused = TcpStream::connect(&left, (ip(RIGHT), 1)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    });
}

/// SIGHUP, SIGINT, SIGUSR1, SIGALRM, SIGTERM and SIGCHLD, as the kernel shows sets of signals.
const SIGNALS: u64 = 1 << 0 | 1 << 1 | 1 << 9 | 1 << 13 | 1 << 14 | 1 << 16;

#[test]
fn the_background_thread_blocks_all_signals_and_its_parent_does_not() {
    let host = Host::builder().start().unwrap();
    // A thread names itself before it does anything else.
    while host.engine_stats().ppolls == 0 {
        thread::yield_now();
    }
    let blocked_by = |status: std::path::PathBuf| {
        let status = std::fs::read_to_string(status).ok()?;
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        Some((field("Name:")?.to_owned(), u64::from_str_radix(field("SigBlk:")?, 16).unwrap()))
    };
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let ours: Vec<_> = threads
        .filter_map(|thread| blocked_by(thread.unwrap().path().join("status")))
        .filter(|(name, _)| name == "tapsock")
        .collect();
    assert!(!ours.is_empty());
    assert!(ours.iter().all(|(_, blocked)| blocked & SIGNALS == SIGNALS), "{ours:x?}");
    let (_, here) = blocked_by("/proc/thread-self/status".into()).unwrap();
    assert_eq!(here & SIGNALS, 0);
    drop(host);
}

/// A host whose link can be taken away.
fn with_a_link_to_lose() -> (Host, MemoryLink) {
    let (left, right) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let host = Host::builder().link(left).address("10.0.0.1/24".parse().unwrap()).start().unwrap();
    (host, right)
}

#[test]
fn a_link_that_goes_away_fails_its_sockets_and_close_does_not_hang() {
    within(PATIENCE, || {
        let (left, right) = builders(MemoryConfig::default());
        let (left, right) = (left.start().unwrap(), right.shutdown_timeout(Duration::ZERO).start().unwrap());
        let (_, client, _) = connected(&left, &right);
        let recv = blocked(&left, move |host| bsd::recv(host, client, &mut [0], 0));
        let host = left.clone();
        drop(right);
        // The peer's reset may come first: it was sent before the wire was cut.
        let error = recv.join().unwrap();
        assert!(matches!(error, Some(Errno::NETDOWN | Errno::CONNRESET) | None), "{error:?}");
        let start = Instant::now();
        bsd::close(&host, client).unwrap();
        assert!(start.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn connecting_over_a_link_that_goes_away_says_netdown() {
    within(PATIENCE, || {
        let (host, link) = with_a_link_to_lose();
        let socket = bsd::socket(&host, AF_INET, SOCK_STREAM, 0).unwrap();
        let connect = blocked(&host, move |host| bsd::connect(host, socket, &address(RIGHT, 80)));
        drop(Box::new(link).split());
        assert_eq!(connect.join().unwrap(), Some(Errno::NETDOWN));
        let start = Instant::now();
        bsd::close(&host, socket).unwrap();
        assert!(host.shutdown().is_complete());
        assert!(start.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn a_shutdown_waits_for_the_peer_and_reports_what_was_left() {
    within(PATIENCE, || {
        let (left, right) = builders(MemoryConfig::default());
        let left = left.shutdown_timeout(Duration::from_millis(100)).start().unwrap();
        let right = right.start().unwrap();
        let (_, client, server) = connected(&left, &right);
        bsd::send(&left, client, b"last words", 0).unwrap();
        let waiting = blocked(&left, move |host| bsd::recv(host, client, &mut [0], 0));
        let report = left.shutdown();
        assert_eq!(waiting.join().unwrap(), Some(Errno::BADF));
        let mut words = [0; 10];
        assert_eq!(bsd::recv(&right, server, &mut words, 0), Ok(10));
        assert_eq!(&words, b"last words");
        // The peer keeps its side open: our FIN is acknowledged, and that is all there is to wait for.
        assert!(report.is_complete(), "{report:?}");
        assert!(left.shutdown().is_complete());
        assert_eq!(bsd::recv(&left, client, &mut [0], 0), Err(Errno::BADF));
    });
}

#[test]
fn a_shutdown_resets_what_a_peer_does_not_read() {
    within(PATIENCE, || {
        let (left, right) = builders(MemoryConfig::default());
        let left = left.shutdown_timeout(Duration::from_millis(100)).start().unwrap();
        let right = right.start().unwrap();
        let (_, client, server) = connected(&left, &right);
        let sent = loop_until_full(&left, client);
        let start = Instant::now();
        let report = left.shutdown();
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        assert_eq!(report.connections, 1);
        assert!(report.bytes > 0 && report.bytes < sent as u64, "{report:?}");
        let mut bytes = vec![0; 1 << 20];
        let error = loop {
            match bsd::recv(&right, server, &mut bytes, 0) {
                Ok(0) => panic!("the stream ended as if all had come"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error, Errno::CONNRESET);
    });
}

/// Fills the way to a peer that does not read; how many bytes were taken.
fn loop_until_full(host: &Host, socket: i32) -> usize {
    let mut sent = 0;
    let mut quiet = 0;
    while quiet < 3 {
        match bsd::send(host, socket, &[0; 1 << 16], bsd::MSG_DONTWAIT) {
            Ok(len) => (sent, quiet) = (sent + len, 0),
            Err(error) => {
                assert_eq!(error, Errno::AGAIN);
                quiet += 1;
                thread::sleep(SETTLE);
            }
        }
    }
    sent
}

#[test]
fn a_connection_in_one_thread_and_its_reader_in_another() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (_, client, server) = connected(&left, &right);
        let host = left.clone();
        let reader = thread::spawn(move || {
            let mut total = 0;
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = bsd::recv(&host, client, &mut bytes, 0) {
                total += len;
            }
            total
        });
        let host = right.clone();
        let echo = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = bsd::recv(&host, server, &mut bytes, 0) {
                bsd::send(&host, server, &bytes[..len], 0).unwrap();
            }
            bsd::shutdown(&host, server, bsd::SHUT_WR).unwrap();
        });
        for _ in 0..2_000 {
            bsd::send(&left, client, &[7; 1000], 0).unwrap();
        }
        bsd::shutdown(&left, client, bsd::SHUT_WR).unwrap();
        echo.join().unwrap();
        assert_eq!(reader.join().unwrap(), 2_000_000);
    });
}

#[test]
fn a_dropped_host_sends_what_was_written() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let listener = TcpListener::bind(&right, (ip(RIGHT), 0)).unwrap();
        let mut client = TcpStream::connect(&left, listener.local_addr().unwrap()).unwrap();
        let (mut server, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), ip(LEFT));
        client.write_all(&vec![9; 60_000]).unwrap();
        drop(left);
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            server.read_to_end(&mut all).map(|_| all.len())
        });
        drop(client);
        assert_eq!(reader.join().unwrap().unwrap(), 60_000);
    });
}

/// The time that `SO_SNDTIMEO` grants is for a call, not for each of the pieces that it is cut into.
#[test]
fn a_slow_reader_does_not_stretch_a_send() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let (_, client, server) = connected(&left, &right);
        let reader = thread::spawn(move || {
            let mut bytes = vec![0; 256 * 1024];
            while bsd::recv(&right, server, &mut bytes, 0).is_ok_and(|len| len > 0) {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let timeout = [0i64, 100_000].map(i64::to_ne_bytes).concat();
        bsd::setsockopt(&left, client, bsd::SOL_SOCKET, bsd::SO_SNDTIMEO, &timeout).unwrap();
        let data = vec![7; 64 << 20];
        let sent = bsd::send(&left, client, &data, 0).unwrap();
        assert!(sent < data.len(), "it took as long as the reader");
        bsd::close(&left, client).unwrap();
        reader.join().unwrap();
    });
}

/// So is that of `SO_RCVTIMEO` where all is waited for.
#[test]
fn a_slow_sender_does_not_stretch_a_receive_of_all() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    within(PATIENCE, || {
        let (left, right) = pair();
        let (_, client, server) = connected(&left, &right);
        let stop = Arc::new(AtomicBool::new(false));
        let over = stop.clone();
        bsd::send(&left, client, &[7], 0).unwrap();
        let writer = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                bsd::send(&left, client, &[7], 0).unwrap();
                thread::sleep(TIMEOUT / 30);
            }
        });
        let timeout = [0i64, TIMEOUT.as_micros() as i64].map(i64::to_ne_bytes).concat();
        bsd::setsockopt(&right, server, bsd::SOL_SOCKET, bsd::SO_RCVTIMEO, &timeout).unwrap();
        let start = Instant::now();
        // Each piece comes in time, and all of them would take a day.
        let len = bsd::recv(&right, server, &mut vec![0; 10_000_000], bsd::MSG_WAITALL).unwrap();
        assert!(start.elapsed() >= TIMEOUT, "{:?}", start.elapsed());
        assert!(len > 0);
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
}

/// The background thread is kicked while it still sleeps on the link, though a caller has put the baton down.
#[test]
fn frames_that_wait_for_room_do_not_wait_for_the_grace() {
    within(PATIENCE, || {
        let config = MemoryConfig { capacity: 2, ..MemoryConfig::default() };
        let (left, right) = builders(config);
        let (left, right) = (left.grace(Duration::from_secs(10)).start().unwrap(), right.start().unwrap());
        let [near, far] = [(&left, LEFT), (&right, RIGHT)]
            .map(|(host, address)| UdpSocket::bind(host, (ip(address), 0)).unwrap());
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let there = far.local_addr().unwrap();
        let mut byte = [0];
        near.send_to(b"who are you?", there).unwrap();
        far.recv_from(&mut byte).unwrap();

        near.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        near.recv_from(&mut byte).unwrap_err();
        for number in 0..60u8 {
            near.send_to(&[number], there).unwrap();
        }
        for number in 0..60u8 {
            far.recv_from(&mut byte).expect("before the grace is over");
            assert_eq!(byte[0], number);
        }
    });
}

/// Of several threads each hears of the end, on the link as on `lo`.
#[test]
fn shutting_a_direction_down_ends_the_calls_that_wait_for_it() {
    within(PATIENCE, || {
        let (left, right) = pair();
        for (host, address) in [(&right, RIGHT), (&left, "127.0.0.1")] {
            let listener = TcpListener::bind(host, (ip(address), 0)).unwrap();
            let _client = TcpStream::connect(&left, listener.local_addr().unwrap()).unwrap();
            let (stream, _) = listener.accept().unwrap();
            let readers = [(); 3].map(|()| {
                let mut stream = stream.try_clone().unwrap();
                blocked_in(move || stream.read(&mut [0; 10]))
            });
            stream.shutdown(std::net::Shutdown::Read).unwrap();
            for reader in readers {
                assert_eq!(reader.join().unwrap().unwrap(), 0);
            }
            let udp = UdpSocket::bind(host, (ip(address), 0)).unwrap();
            udp.connect((ip(address), 9)).unwrap();
            let id = udp.socket_id().unwrap();
            let waiting = blocked(host, move |host| bsd::recv(host, id, &mut [0], 0));
            bsd::shutdown(host, id, bsd::SHUT_RD).unwrap();
            assert_eq!(waiting.join().unwrap(), None, "nothing, and no error");
        }
    });
}

fn blocked_in<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let thread = thread::spawn(call);
    thread::sleep(SETTLE);
    thread
}
