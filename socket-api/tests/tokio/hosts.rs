//! What a host and its sockets take of the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapsock::Driver;
use tapsock::tokio::{TcpListener, TcpStream, UdpSocket};
use tapsock_driver::memory::MemoryConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::common::{RIGHT, builders, ip};
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
