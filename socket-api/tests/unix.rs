//! Local sockets between threads: how calls wait, and what ends them.

mod common;

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::{PATIENCE, within};
use tapsock::unix::{SocketAddr, UnixDatagram, UnixListener, UnixSeqpacket, UnixStream};
use tapsock::{Errno, Host, bsd};

/// Long enough for a thread to block, in all likelihood; the tests hold without it too.
const SETTLE: Duration = Duration::from_millis(20);

fn host() -> Host {
    Host::builder().start().unwrap()
}

/// Runs `call` on a thread of its own, and returns when it blocks, in all likelihood.
fn blocked<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let (running, started) = mpsc::channel();
    let thread = thread::spawn(move || {
        running.send(()).unwrap();
        call()
    });
    started.recv().unwrap();
    thread::sleep(SETTLE);
    thread
}

/// Bytes of which each tells its place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[test]
fn bytes_arrive_whole_and_in_order_whatever_the_sizes() {
    within(PATIENCE, || {
        let host = host();
        for (write, read) in [(1, 3), (100, 4096), (4097, 1000), (65_536, 65_536), (1 << 20, 70_000)] {
            let (mut here, mut there) = UnixStream::pair(&host).unwrap();
            let data = pattern((write * 40).clamp(2_000, 4 << 20));
            let sent = data.clone();
            let writer =
                thread::spawn(move || sent.chunks(write).for_each(|part| here.write_all(part).unwrap()));
            let mut got = Vec::new();
            let mut into = vec![0; read];
            loop {
                match there.read(&mut into).unwrap() {
                    0 => break,
                    len => got.extend_from_slice(&into[..len]),
                }
            }
            assert!(got == data, "writes of {write}, reads of {read}");
            writer.join().unwrap();
        }
    });
}

#[test]
fn parts_go_and_come_in_one_call() {
    let (mut near, mut far) = UnixStream::pair(&host()).unwrap();
    let parts = [&b"hello"[..], b"", b" ", b"world!"].map(IoSlice::new);
    assert_eq!(near.write_vectored(&parts).unwrap(), 12);
    let (mut head, mut rest) = ([0; 6], [0; 7]);
    let mut into = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut rest)];
    assert_eq!(far.read_vectored(&mut into).unwrap(), 12);
    assert_eq!((&head, &rest), (b"hello ", b"world!\0"));
}

#[test]
fn many_round_trips_between_two_threads() {
    within(PATIENCE, || {
        let (mut here, mut there) = UnixStream::pair(&host()).unwrap();
        let echo = thread::spawn(move || {
            let mut byte = [0];
            while there.read(&mut byte).unwrap() > 0 {
                there.write_all(&byte).unwrap();
            }
        });
        let mut back = [0];
        for round in 0..20_000u32 {
            here.write_all(&[round as u8]).unwrap();
            here.read_exact(&mut back).unwrap();
            assert_eq!(back[0], round as u8);
        }
        drop(here);
        echo.join().unwrap();
    });
}

#[test]
fn a_full_stream_makes_the_writer_wait_until_it_is_read() {
    within(PATIENCE, || {
        let (here, mut there) = UnixStream::pair(&host()).unwrap();
        here.set_nonblocking(true).unwrap();
        let mut room = 0;
        while let Ok(len) = (&here).write(&[1; 5000]) {
            room += len;
        }
        assert!((100_000..400_000).contains(&room), "{room}");
        here.set_nonblocking(false).unwrap();
        let writer = blocked(move || (&here).write(&[2; 300_000]).unwrap());
        let mut all = Vec::new();
        there.read_to_end(&mut all).unwrap();
        assert_eq!(writer.join().unwrap(), 300_000);
        assert_eq!(all.len(), room + 300_000);
    });
}

#[test]
fn calls_end_by_shutdown_close_and_time_out() {
    within(PATIENCE, || {
        let host = host();
        let (here, there) = UnixStream::pair(&host).unwrap();
        let reader = here.try_clone().unwrap();
        let waiting = blocked(move || (&reader).read(&mut [0]).unwrap());
        here.shutdown(Shutdown::Read).unwrap();
        assert_eq!(waiting.join().unwrap(), 0);
        assert_eq!((&there).write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);

        let (here, there) = UnixStream::pair(&host).unwrap();
        let reader = here.try_clone().unwrap();
        let waiting = blocked(move || (&reader).read(&mut [0]).unwrap());
        drop(there);
        assert_eq!(waiting.join().unwrap(), 0, "the peer is gone");
        assert_eq!((&here).write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);

        let (here, _there) = UnixStream::pair(&host).unwrap();
        here.set_read_timeout(Some(SETTLE)).unwrap();
        assert_eq!((&here).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);

        let listener = UnixListener::bind(&host, "/run/end").unwrap();
        let waiting = blocked(move || listener.accept().unwrap_err());
        host.shutdown();
        assert_eq!(waiting.join().unwrap().raw_os_error(), Some(Errno::BADF.raw_os_error()));
    });
}

#[test]
fn who_connects_waits_while_the_queue_is_full() {
    within(PATIENCE, || {
        let host = host();
        let listener = UnixListener::bind(&host, "/run/many").unwrap();
        let clients: Vec<_> = (0..50)
            .map(|number: u8| {
                let host = host.clone();
                thread::spawn(move || {
                    let mut stream = UnixStream::connect(&host, "/run/many").unwrap();
                    stream.write_all(&[number]).unwrap();
                })
            })
            .collect();
        let mut seen: Vec<u8> = (0..50)
            .map(|_| {
                let mut byte = [0];
                listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
                byte[0]
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, Vec::from_iter(0..50));
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
}

#[test]
fn names_stay_until_they_are_unlinked() {
    let host = host();
    let connect = || UnixStream::connect(&host, "/run/name").map(drop).map_err(|error| error.raw_os_error());
    let errno = |errno: Errno| Err(Some(errno.raw_os_error()));
    assert_eq!(connect(), errno(Errno::NOENT));
    let listener = UnixListener::bind(&host, "/run/name").unwrap();
    assert_eq!(connect(), Ok(()));
    assert_eq!(listener.local_addr().unwrap().as_pathname().unwrap().to_str(), Some("/run/name"));
    drop(listener);
    assert_eq!(connect(), errno(Errno::CONNREFUSED));
    assert_eq!(UnixListener::bind(&host, "/run/name").unwrap_err().kind(), ErrorKind::AddrInUse);
    host.unlink("/run/name").unwrap();
    assert_eq!(connect(), errno(Errno::NOENT));
    assert_eq!(host.unlink("/run/name").unwrap_err().kind(), ErrorKind::NotFound);

    let log = UnixDatagram::bind(&host, "/run/name").unwrap();
    assert_eq!(connect(), errno(Errno::PROTOTYPE));
    host.unlink("/run/name").unwrap();
    let peer = UnixDatagram::unbound(&host).unwrap();
    assert_eq!(peer.send_to(b"x", "/run/name").unwrap_err().kind(), ErrorKind::NotFound);
    drop(log);

    let name = SocketAddr::from_abstract_name("a name").unwrap();
    drop(UnixListener::bind_addr(&host, &name).unwrap());
    UnixListener::bind_addr(&host, &name).unwrap();
}

#[test]
fn a_full_receiver_makes_senders_of_datagrams_wait() {
    within(PATIENCE, || {
        let host = host();
        let log = UnixDatagram::bind(&host, "/dev/log").unwrap();
        let senders: Vec<_> = (0..4u8)
            .map(|sender| {
                let host = host.clone();
                thread::spawn(move || {
                    let socket = UnixDatagram::unbound(&host).unwrap();
                    (0..200u8).for_each(|number| {
                        socket.send_to(&[sender, number], "/dev/log").unwrap();
                    });
                })
            })
            .collect();
        let mut next = [0; 4];
        let mut datagram = [0; 8];
        for _ in 0..4 * 200 {
            assert_eq!(log.recv(&mut datagram).unwrap(), 2);
            let [sender, number, ..] = datagram;
            assert_eq!(number, next[usize::from(sender)], "of {sender}");
            next[usize::from(sender)] = number.wrapping_add(1);
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let sender = UnixDatagram::unbound(&host).unwrap();
        sender.set_nonblocking(true).unwrap();
        let taken = (0..100).take_while(|_| sender.send_to(b"x", "/dev/log").is_ok()).count();
        assert_eq!(taken, 11, "one more than net.unix.max_dgram_qlen");
    });
}

#[test]
fn records_keep_their_bounds() {
    within(PATIENCE, || {
        let (here, there) = UnixSeqpacket::pair(&host()).unwrap();
        let sizes = [1usize, 0, 4096, 5000, 60_000, 7];
        let writer =
            thread::spawn(move || sizes.map(|size| assert_eq!(here.send(&pattern(size)).unwrap(), size)));
        let mut into = vec![0; 50_000];
        for size in sizes {
            let len = there.recv(&mut into).unwrap();
            assert_eq!(len, size.min(50_000));
            assert!(into[..len] == pattern(len));
        }
        writer.join().unwrap();
        assert_eq!(there.recv(&mut into).unwrap(), 0, "the end");
    });
}

/// What is sent has arrived, so there is nothing to linger for; the option is kept and shown, as on Linux.
#[test]
fn a_local_socket_shows_its_linger() {
    use tapsock::bsd::{self, AF_UNIX, SO_LINGER, SOCK_STREAM, SOL_SOCKET};

    let host = Host::builder().start().unwrap();
    let [here, there] = bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0).unwrap();
    let pair = |on: i32, secs: i32| [on.to_ne_bytes(), secs.to_ne_bytes()].concat();
    let shown = || bsd::getsockopt(&host, here, SOL_SOCKET, SO_LINGER).unwrap().as_bytes().to_vec();
    assert_eq!(shown(), pair(0, 0));
    bsd::setsockopt(&host, here, SOL_SOCKET, SO_LINGER, &pair(7, 3600)).unwrap();
    assert_eq!(shown(), pair(1, 3600));
    assert_eq!(bsd::setsockopt(&host, here, SOL_SOCKET, SO_LINGER, &[1; 4]), Err(tapsock::Errno::INVAL));
    bsd::send(&host, here, b"x", 0).unwrap();
    bsd::close(&host, here).unwrap();
    assert_eq!(bsd::recv(&host, there, &mut [0; 2], 0), Ok(1));
}

/// A number of `bsd` is a handle's, as a descriptor is, and is closed with it.
#[test]
fn a_socket_has_a_number_when_it_is_asked_for() {
    let host = host();
    let (near, far) = UnixStream::pair(&host).unwrap();
    let id = near.socket_id().unwrap();
    assert_eq!(near.socket_id().unwrap(), id);
    let clone = near.try_clone().unwrap();
    let other = clone.socket_id().unwrap();
    assert_ne!(other, id);
    assert_eq!(bsd::send(near.host(), id, b"he", 0), Ok(2));
    drop(clone);
    assert_eq!(bsd::send(far.host(), other, b"x", 0), Err(Errno::BADF));
    assert_eq!(bsd::send(near.host(), id, b"llo", 0), Ok(3), "it is open by the other");
    (&far).read_exact(&mut [0; 5]).unwrap();
    drop(near);
    assert_eq!(bsd::send(far.host(), id, b"x", 0), Err(Errno::BADF));
    assert_eq!((&far).read(&mut [0]).unwrap(), 0, "it is closed");
}
