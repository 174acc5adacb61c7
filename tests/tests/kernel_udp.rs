//! Datagrams between us and the kernel.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{UdpGroSegment, UdpGsoSegment};
use tapsock::Counter;
use tapsock::bsd::{self, SO_RCVBUF, SOL_SOCKET, SOL_UDP, UDP_GRO, UDP_SEGMENT};
use tapsock_tests::bench::{Bench, Family, Setup};
use tapsock_tests::bulk::bytes;
use tapsock_tests::sides::{Datagrams, PATIENCE, Side};

const ECONNREFUSED: i32 = 111;
/// Payload of one of the parts of a merged datagram, in bytes.
const PART: usize = 1200;
/// Bytes of the IP and UDP headers.
const HEADERS_V4: usize = 28;
const HEADERS_V6: usize = 48;

fn pair(bench: &Bench, family: Family) -> [(Datagrams, SocketAddr); 2] {
    Side::ALL.map(|side| {
        let socket = bench.datagrams(side, bench.at(side, family, 0)).unwrap();
        let at = socket.local_addr().unwrap();
        (socket, at)
    })
}

/// Sends datagrams of these sizes both ways, and compares what comes.
fn sizes(bench: &Bench, family: Family, sizes: &[usize]) {
    let [ours, kernel] = pair(bench, family);
    let mut buffer = vec![0; 65_536];
    for (from, to) in [(&ours, &kernel), (&kernel, &ours)] {
        for &size in sizes {
            let data = bytes(size as u64, size);
            assert_eq!(from.0.send_to(&data, to.1).unwrap(), size);
            let (len, source) = to.0.recv_from(&mut buffer).unwrap();
            assert_eq!((len, source), (size, from.1));
            assert!(buffer[..len] == data, "{size} bytes");
        }
    }
}

#[test]
fn of_every_size() {
    for mtu in [1500, 9000, 65_521] {
        let setup = Setup::new().mtu(mtu);
        let Some(bench) = setup.open() else { return };
        for family in setup.families() {
            let headers = if *family == Family::V4 { HEADERS_V4 } else { HEADERS_V6 };
            let largest = mtu - headers;
            // What does not fit goes in fragments.
            let most = if *family == Family::V4 { 65_507 } else { 65_527 };
            let larger = [largest + 1, 20_000, most].map(|size| size.min(most));
            sizes(&bench, *family, &[0, 1, 2, 511, 1000, largest - 1, largest]);
            sizes(&bench, *family, &larger);
        }
    }
}

#[test]
fn without_offloads() {
    let Some(bench) = Setup::new().without_offloads().open() else { return };
    for family in Family::ALL {
        sizes(&bench, family, &[0, 1, 2, 511, 1000, 1452, 1473, 9001, 65_507]);
    }
}

/// Each side in turn sends back what the other sends.
#[test]
fn a_conversation() {
    let Some(bench) = Setup::new().open() else { return };
    for family in Family::ALL {
        for side in Side::ALL {
            let [ours, kernel] = pair(&bench, family);
            let (client, server) = if side == Side::Ours { (ours, kernel) } else { (kernel, ours) };
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut buffer = [0; 2000];
                    for _ in 0..500 {
                        let (len, from) = server.0.recv_from(&mut buffer).unwrap();
                        server.0.send_to(&buffer[..len], from).unwrap();
                    }
                });
                client.0.connect(server.1).unwrap();
                let mut buffer = [0; 2000];
                for number in 0..500 {
                    let data = bytes(number, 64 + number as usize);
                    client.0.send(&data).unwrap();
                    let len = client.0.recv(&mut buffer).unwrap();
                    assert_eq!(buffer[..len], data);
                }
            });
        }
    }
}

#[test]
fn a_closed_port_refuses() {
    let Some(bench) = Setup::new().open() else { return };
    for family in Family::ALL {
        for side in Side::ALL {
            let socket = bench.datagrams(side, bench.at(side, family, 0)).unwrap();
            socket.connect(bench.at(side.other(), family, 9)).unwrap();
            socket.send(b"anybody?").unwrap();
            let refused = socket.recv(&mut [0; 10]).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(ECONNREFUSED), "{side:?} {family:?}");
            // It was told once.
            socket.set_read_timeout(Duration::from_millis(50)).unwrap();
            assert_eq!(socket.recv(&mut [0; 10]).unwrap_err().raw_os_error(), Some(11), "EAGAIN");
        }
    }
}

/// What one send with UDP_SEGMENT carries: full parts, and what is left.
fn parts() -> Vec<u8> {
    bytes(9, 12 * PART + 345)
}

fn ours_with(bench: &Bench, family: Family, option: i32, value: i32) -> tapsock::net::UdpSocket {
    let at = bench.at(Side::Ours, family, 0);
    let socket = tapsock::net::UdpSocket::bind(&bench.host, at).unwrap();
    bsd::setsockopt(&bench.host, socket.socket_id().unwrap(), SOL_UDP, option, &value.to_ne_bytes()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn kernels(bench: &Bench, family: Family) -> UdpSocket {
    let socket = bench.namespace.udp_bind(bench.at(Side::Kernel, family, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Receives `data` in the lengths that its parts have, merged to `merged` of them at most.
fn receive_parts(data: &[u8], merged: usize, mut receive: impl FnMut(&mut [u8]) -> usize) {
    let (mut buffer, mut rest, mut largest) = (vec![0; 65_536], data, 0);
    while !rest.is_empty() {
        let len = receive(&mut buffer);
        assert!(len == rest.len() || len.is_multiple_of(PART) && len > 0, "{len} bytes of {}", rest.len());
        assert!(buffer[..len] == rest[..len]);
        rest = &rest[len..];
        largest = largest.max(len.div_ceil(PART));
    }
    assert_eq!(largest, merged, "parts in the largest that came");
}

fn over_either_link(test: impl Fn(&Bench, Family)) {
    for setup in [Setup::new(), Setup::new().without_offloads()] {
        let Some(bench) = setup.open() else { return };
        for family in Family::ALL {
            test(&bench, family);
        }
    }
}

#[test]
fn our_large_sends_are_cut() {
    over_either_link(|bench, family| {
        let ours = ours_with(bench, family, UDP_SEGMENT, PART as i32);
        let kernel = kernels(bench, family);
        assert_eq!(ours.send_to(&parts(), kernel.local_addr().unwrap()).unwrap(), parts().len());
        receive_parts(&parts(), 1, |buffer| kernel.recv(buffer).unwrap());
    });
}

#[test]
fn the_kernel_takes_our_large_sends_whole() {
    let Some(bench) = Setup::new().open() else { return };
    for family in Family::ALL {
        let ours = ours_with(&bench, family, UDP_SEGMENT, PART as i32);
        let kernel = kernels(&bench, family);
        setsockopt(&kernel, UdpGroSegment, &true).unwrap();
        ours.send_to(&parts(), kernel.local_addr().unwrap()).unwrap();
        let merged = parts().len().div_ceil(PART);
        // Only links that carry such frames keep them whole.
        let merged = if bench.caps().udp_gso { merged } else { 1 };
        receive_parts(&parts(), merged, |buffer| kernel.recv(buffer).unwrap());
    }
}

#[test]
fn the_kernels_large_sends_are_cut() {
    over_either_link(|bench, family| {
        let ours = ours_with(bench, family, UDP_GRO, 0);
        let kernel = kernels(bench, family);
        setsockopt(&kernel, UdpGsoSegment, &(PART as i32)).unwrap();
        kernel.send_to(&parts(), ours.local_addr().unwrap()).unwrap();
        receive_parts(&parts(), 1, |buffer| ours.recv(buffer).unwrap());
    });
}

#[test]
fn we_take_the_kernels_large_sends_whole() {
    let Some(bench) = Setup::new().open() else { return };
    for family in Family::ALL {
        let ours = ours_with(&bench, family, UDP_GRO, 1);
        let kernel = kernels(&bench, family);
        setsockopt(&kernel, UdpGsoSegment, &(PART as i32)).unwrap();
        kernel.send_to(&parts(), ours.local_addr().unwrap()).unwrap();
        let merged = parts().len().div_ceil(PART);
        let merged = if bench.caps().udp_gso { merged } else { 1 };
        receive_parts(&parts(), merged, |buffer| ours.recv(buffer).unwrap());
    }
}

#[test]
fn what_finds_no_room_is_counted() {
    const SENT: u64 = 3000;
    let Some(bench) = Setup::new().open() else { return };
    for family in Family::ALL {
        let ours = ours_with(&bench, family, UDP_GRO, 0);
        let room = 64 * 1024i32;
        bsd::setsockopt(&bench.host, ours.socket_id().unwrap(), SOL_SOCKET, SO_RCVBUF, &room.to_ne_bytes())
            .unwrap();
        let kernel = kernels(&bench, family);
        // While the kernel does not know its neighbour, it is the kernel that drops.
        kernel.send_to(b"hello", ours.local_addr().unwrap()).unwrap();
        assert_eq!(ours.recv(&mut [0; 10]).unwrap(), 5);
        let before = [Counter::UdpInDatagrams, Counter::UdpRcvbufErrors].map(|counter| bench.count(counter));
        for _ in 0..SENT {
            kernel.send_to(&[1; 1000], ours.local_addr().unwrap()).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        let counted = || {
            let [taken, dropped] =
                [Counter::UdpInDatagrams, Counter::UdpRcvbufErrors].map(|counter| bench.count(counter));
            (taken - before[0], dropped - before[1])
        };
        while counted().0 + counted().1 < SENT {
            assert!(Instant::now() < deadline, "taken and dropped: {:?}", counted());
            thread::sleep(Duration::from_millis(5));
        }
        let (taken, dropped) = counted();
        assert_eq!(taken + dropped, SENT);
        assert!(taken * 1000 <= 2 * room as u64, "{taken} datagrams wait in {room} bytes, doubled");
        assert!(dropped > 0);
        ours.set_nonblocking(true).unwrap();
        let mut buffer = [0; 2000];
        let read = (0..SENT).take_while(|_| ours.recv(&mut buffer).is_ok()).count() as u64;
        assert_eq!(read, taken, "what was taken can be read");
    }
}
