//! Who is woken, by what, and that nobody is forgotten.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use tapsock::net;
use tapsock::tokio::{TcpListener, TcpStream, UdpSocket, UnixStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};

use super::{host, in_one_thread, in_two_threads};

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_task_is_woken_once_by_an_arrival_and_not_by_room() {
    let host = host();
    let (here, there) = UnixStream::pair(&host).unwrap();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    let woken = || count.0.load(Ordering::SeqCst);
    {
        let mut reading = pin!(here.readable());
        assert!(reading.as_mut().poll(&mut cx).is_pending());
        assert!(reading.as_mut().poll(&mut cx).is_pending(), "twice is as once");
        there.try_write(b"x").unwrap();
        assert_eq!(woken(), 1);
        there.try_write(b"x").unwrap();
        assert_eq!(woken(), 1, "it is on its way already");
        assert!(reading.as_mut().poll(&mut cx).is_ready());
    }
    let mut bytes = [0; 8];
    assert_eq!(here.try_read(&mut bytes).unwrap(), 2);
    let mut reading = pin!(here.readable());
    assert!(reading.as_mut().poll(&mut cx).is_pending());
    while here.try_write(&[0; 10_000]).is_ok() {}
    while there.try_read(&mut [0; 60_000]).is_ok() {}
    assert_eq!(woken(), 1, "room is none of a reader's business");
    {
        // One that gave up is woken no more.
        let mut given_up = Box::pin(here.readable());
        assert!(given_up.as_mut().poll(&mut cx).is_pending());
        drop(given_up);
    }
    drop(there);
    assert_eq!(woken(), 2);
}

#[test]
fn all_tasks_that_wait_for_one_socket_are_woken() {
    in_two_threads(async {
        let host = host();
        let socket = Arc::new(UdpSocket::bind(&host, "127.0.0.1:0").await.unwrap());
        let there = socket.local_addr().unwrap();
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let socket = socket.clone();
                tokio::spawn(async move { socket.recv(&mut [0; 8]).await.unwrap() })
            })
            .collect();
        tokio::task::yield_now().await;
        for _ in 0..8 {
            socket.send_to(b"x", there).await.unwrap();
        }
        for taker in takers {
            assert_eq!(taker.await.unwrap(), 1);
        }
    });
}

#[test]
fn readiness_is_of_what_was_asked() {
    in_one_thread(async {
        let host = host();
        let (mut here, mut there) = UnixStream::pair(&host).unwrap();
        let both = Interest::READABLE | Interest::WRITABLE;
        let ready = here.ready(both).await.unwrap();
        assert!(ready.is_writable() && !ready.is_readable());
        there.write_all(b"x").await.unwrap();
        let ready = here.ready(both).await.unwrap();
        assert!(ready.is_writable() && ready.is_readable() && !ready.is_read_closed());
        let tried = here.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
        assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
        here.readable().await.unwrap();
        assert_eq!(here.read(&mut [0; 8]).await.unwrap(), 1);
        there.shutdown().await.unwrap();
        let ready = here.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_readable() && ready.is_read_closed() && !ready.is_write_closed());
        let rounds = AtomicUsize::new(0);
        let outcome = here.async_io(Interest::READABLE, || {
            rounds.fetch_add(1, Ordering::SeqCst);
            Ok(7)
        });
        assert_eq!(outcome.await.unwrap(), 7);
        assert_eq!(rounds.into_inner(), 1);
    });
}

#[test]
fn a_host_that_is_shut_down_wakes_all_tasks() {
    in_two_threads(async {
        let host = host();
        let listener = TcpListener::bind(&host, "127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(&host, listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (mut local, _far) = UnixStream::pair(&host).unwrap();
        let accepting = tokio::spawn(async move { listener.accept().await.map(drop) });
        let reading = tokio::spawn(async move { { client }.read(&mut [0; 8]).await });
        let beside = tokio::spawn(async move { local.read(&mut [0; 8]).await });
        tokio::task::yield_now().await;
        tokio::task::spawn_blocking(move || host.shutdown()).await.unwrap();
        assert!(accepting.await.unwrap().is_err());
        reading.await.unwrap().unwrap_err();
        // Its peer was closed, or itself.
        let _ = beside.await.unwrap();
        drop(server);
    });
}

#[test]
fn blocking_sockets_become_tasks_sockets_and_back() {
    in_one_thread(async {
        let host = host();
        let listener = net::TcpListener::bind(&host, "127.0.0.1:0").unwrap();
        let client = net::TcpStream::connect(&host, listener.local_addr().unwrap()).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut client = TcpStream::try_from(client).unwrap();
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        client.write_all(b"hello").await.unwrap();
        server.read_exact(&mut [0; 5]).await.unwrap();
        let server = server.into_std().unwrap();
        let error = std::io::Read::read(&mut &server, &mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_task_that_always_finds_something_lets_others_run() {
    in_one_thread(async {
        let (mut here, there) = UnixStream::pair(&host()).unwrap();
        assert_eq!(there.try_write(&[7; 2000]).unwrap(), 2000);
        let other = tokio::spawn(async {});
        let mut reads = 0;
        while !other.is_finished() {
            here.read_exact(&mut [0]).await.unwrap();
            reads += 1;
            assert!(reads < 2000, "the other task never runs");
        }
        let other = tokio::spawn(async {});
        let mut looks = 0;
        while !other.is_finished() {
            here.readable().await.unwrap();
            looks += 1;
            assert!(looks < 2000, "the other task never runs");
        }
    });
}
