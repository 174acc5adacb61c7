//! What a host and its sockets take of the machine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapsock::tokio::{TcpListener, TcpStream, UdpSocket};
use tapsock::{Driver, Host};
use tapsock_driver::memory::MemoryConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::common::{LEFT, PATIENCE, RIGHT, builders, ip, pair, within};
use super::{host, in_one_thread};

#[test]
fn an_event_loop_that_drives_wakes_the_tasks() {
    let (left, right) = builders(MemoryConfig::default());
    let (left, right) = (left.start().unwrap(), right.driver(Driver::External).start().unwrap());
    let (ended, host) = (Arc::new(AtomicBool::new(false)), right.clone());
    let end = ended.clone();
    let driver = thread::spawn(move || {
        while !end.load(Ordering::Acquire) {
            let descriptor = host.as_fd().unwrap();
            let limit = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)], Some(&limit)).unwrap();
            host.turn().unwrap();
        }
    });
    in_one_thread(async move {
        let listener = TcpListener::bind(&right, (ip(RIGHT), 0)).await.unwrap();
        let there = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(&left, there), listener.accept());
        let (mut client, (mut server, _)) = (client.unwrap(), server.unwrap());
        for round in 0..20 {
            client.write_all(&[round; 5000]).await.unwrap();
            let mut bytes = [0; 5000];
            server.read_exact(&mut bytes).await.unwrap();
            assert_eq!(bytes, [round; 5000]);
        }
    });
    ended.store(true, Ordering::Release);
    driver.join().unwrap();
}

/// Owns what it is woken for, and drops all of it where it is woken.
struct Owner(Mutex<Option<(Host, UdpSocket)>>, mpsc::Sender<thread::ThreadId>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {
        let owned = self.0.lock().unwrap().take();
        drop(owned);
        self.1.send(thread::current().id()).unwrap();
    }
}

#[test]
fn the_last_handle_of_a_host_may_be_dropped_in_the_host_s_own_thread() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let socket = runtime.block_on(UdpSocket::bind(&left, (ip(LEFT), 0))).unwrap();
        let there = socket.local_addr().unwrap();
        let (sender, dropped) = mpsc::channel();
        let owner = Arc::new(Owner(Mutex::new(None), sender));
        let waker = Waker::from(owner.clone());
        let mut bytes = [0; 8];
        let mut into = tokio::io::ReadBuf::new(&mut bytes);
        assert!(socket.poll_recv_from(&mut Context::from_waker(&waker), &mut into).is_pending());
        *owner.0.lock().unwrap() = Some((left, socket));
        let peer = tapsock::net::UdpSocket::bind(&right, (ip(RIGHT), 0)).unwrap();
        peer.send_to(b"wake", there).unwrap();
        let waking = dropped.recv().unwrap();
        assert_ne!(waking, thread::current().id(), "nobody but the host's own thread reads its link");
    });
}

#[test]
fn sockets_take_neither_descriptors_nor_threads() {
    in_one_thread(async {
        const COUNT: usize = 1_000;
        let count = |what| std::fs::read_dir(what).unwrap().count();
        let host = host();
        let before = count("/proc/self/fd") + count("/proc/self/task");
        let mut sockets = Vec::new();
        for _ in 0..COUNT {
            let socket = UdpSocket::bind(&host, "127.0.0.1:0").await.unwrap();
            assert!(socket.try_recv(&mut [0; 8]).is_err());
            sockets.push(socket);
        }
        let after = count("/proc/self/fd") + count("/proc/self/task");
        // Other tests run beside this one, with a few of both.
        assert!(after < before + COUNT / 4, "{before} before, {after} with {COUNT} sockets");
    });
}
