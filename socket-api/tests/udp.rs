//! UDP between two hosts of one process.

mod common;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, RIGHT, RIGHT6, builders, ip, pair, within};
use tapsock::bsd::{self, AF_INET, MSG_TRUNC, SOCK_DGRAM};
use tapsock::net::UdpSocket;
use tapsock::{Counter, Driver, Errno, Host, SockAddr};
use tapsock_driver::memory::{MemoryConfig, MemoryLink};
use tapsock_driver::{Link, RecvSlot};

#[test]
fn datagrams_come_whole_and_with_their_sender() {
    within(PATIENCE, || {
        let (left, right) = pair();
        for (address, any) in [(RIGHT, "0.0.0.0:0"), (RIGHT6, "[::]:0")] {
            let server = UdpSocket::bind(&right, (ip(address), 0)).unwrap();
            let there = server.local_addr().unwrap();
            let echo = thread::spawn(move || {
                let mut bytes = [0; 70_000];
                loop {
                    let (len, from) = server.recv_from(&mut bytes).unwrap();
                    if len == 0 {
                        return;
                    }
                    server.send_to(&bytes[..len], from).unwrap();
                }
            });
            let client = UdpSocket::bind(&left, any).unwrap();
            let mut bytes = [0; 70_000];
            for len in [1usize, 64, 1400, 1452] {
                let sent = vec![len as u8; len];
                assert_eq!(client.send_to(&sent, there).unwrap(), len);
                assert_eq!(client.recv_from(&mut bytes).unwrap(), (len, there));
                assert_eq!(bytes[..len], sent);
            }
            let error = client.send_to(&[0; 65_536], there).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::MSGSIZE.raw_os_error()));
            client.send_to(&[], there).unwrap();
            echo.join().unwrap();
        }
    });
}

/// As Linux 6.18 does: what is not sent counts, and what waits for room and is sent then does not.
#[test]
fn datagrams_that_find_no_room_are_counted() {
    within(PATIENCE, || {
        // At the other end nobody takes anything for now.
        let (ours, theirs) =
            MemoryLink::pair(MemoryConfig { capacity: 1, ..MemoryConfig::default() }).unwrap();
        let address = "10.0.0.1/24".parse().unwrap();
        let host = Host::builder().link(ours).address(address).start().unwrap();
        let errors = || host.counters()[Counter::UdpSndbufErrors];
        let sender = UdpSocket::bind(&host, "10.0.0.1:0").unwrap();
        sender.set_broadcast(true).unwrap();
        let id = sender.socket_id().unwrap();
        bsd::setsockopt(&host, id, bsd::SOL_SOCKET, bsd::SO_SNDBUF, &4608i32.to_ne_bytes()).unwrap();
        let send = || sender.send_to(&[7; 1000], "10.0.0.255:9").map_err(|error| error.kind());
        sender.set_nonblocking(true).unwrap();
        let sent = (0..1000).take_while(|_| send().is_ok()).count();
        assert!((1..1000).contains(&sent), "{sent} datagrams");
        assert_eq!(errors(), 1);
        assert_eq!(send(), Err(ErrorKind::WouldBlock));
        assert_eq!(errors(), 2);
        assert!(sender.send_to(&[7; 70_000], "10.0.0.255:9").is_err());
        assert_eq!(errors(), 2, "it is too long at any time");
        sender.set_nonblocking(false).unwrap();
        sender.set_write_timeout(Some(Duration::from_millis(10))).unwrap();
        assert_eq!(send(), Err(ErrorKind::WouldBlock));
        assert_eq!(errors(), 3);
        sender.set_write_timeout(None).unwrap();
        let (mut taking, _keep) = Box::new(theirs).split();
        let taken = thread::spawn(move || {
            let mut slot = RecvSlot::new();
            let deadline = Instant::now() + PATIENCE;
            let mut count = 0;
            while count <= sent && Instant::now() < deadline {
                match taking.receive(&mut slot) {
                    Ok(frame) => count += usize::from(frame.bytes.len() == 1042),
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
            count
        });
        assert_eq!(send(), Ok(1000));
        assert_eq!(taken.join().unwrap(), sent + 1);
        assert_eq!(errors(), 3);
    });
}

#[test]
fn a_connected_socket_hears_that_nobody_listens() {
    within(PATIENCE, || {
        let (left, _right) = pair();
        let client = UdpSocket::bind(&left, "0.0.0.0:0").unwrap();
        assert_eq!(client.send(b"x").unwrap_err().raw_os_error(), Some(Errno::DESTADDRREQ.raw_os_error()));
        client.connect((ip(RIGHT), 9)).unwrap();
        assert_eq!(client.peer_addr().unwrap(), (ip(RIGHT), 9).into());
        client.send(b"anybody?").unwrap();
        assert_eq!(client.recv(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn time_outs_peeks_and_calls_that_do_not_wait() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let server = UdpSocket::bind(&right, (ip(RIGHT), 0)).unwrap();
        let client = UdpSocket::bind(&left, "0.0.0.0:0").unwrap();
        server.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(server.recv_from(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        server.set_nonblocking(true).unwrap();
        assert_eq!(server.recv_from(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        server.set_nonblocking(false).unwrap();
        server.set_read_timeout(None).unwrap();
        client.send_to(b"hello", server.local_addr().unwrap()).unwrap();
        let mut bytes = [0; 3];
        assert_eq!(server.peek_from(&mut bytes).unwrap().0, 3);
        assert_eq!(server.recv_from(&mut bytes).unwrap().0, 3, "the rest is lost");
        server.set_nonblocking(true).unwrap();
        assert_eq!(server.recv_from(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn the_true_length_is_told_on_demand() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let socket = bsd::socket(&right, AF_INET, SOCK_DGRAM, 0).unwrap();
        bsd::bind(&right, socket, &SockAddr::V4("10.0.0.2:7".parse().unwrap())).unwrap_err();
        bsd::bind(&right, socket, &SockAddr::V4("10.0.0.2:7000".parse().unwrap())).unwrap();
        let client = UdpSocket::bind(&left, "0.0.0.0:0").unwrap();
        client.send_to(&[1; 100], "10.0.0.2:7000").unwrap();
        let mut bytes = [0; 10];
        let (len, from) = bsd::recvfrom(&right, socket, &mut bytes, MSG_TRUNC).unwrap();
        assert_eq!(len, 100);
        assert_eq!(
            from.and_then(|from| from.to_inet()).map(|from| from.port()),
            client.local_addr().ok().map(|a| a.port())
        );
        bsd::close(&right, socket).unwrap();
    });
}

/// As with `std::net::UdpSocket`: a member hears what others send to the group, and its own.
#[test]
fn members_of_a_group_hear_it() {
    within(PATIENCE, || {
        // As on Linux, a group needs a route as any destination does.
        let hosts = builders(MemoryConfig::default());
        let left = hosts.0.route("239.0.0.0/8".parse().unwrap(), None).start().unwrap();
        let right = hosts.1.start().unwrap();
        let group: Ipv4Addr = "239.1.2.3".parse().unwrap();
        let [near, far] = [(&left, "10.0.0.1"), (&right, RIGHT)].map(|(host, own)| {
            let socket = UdpSocket::bind(host, "0.0.0.0:7000").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let interface = own.parse().unwrap();
            socket.join_multicast_v4(&group, &interface).unwrap();
            let again = socket.join_multicast_v4(&group, &interface).unwrap_err();
            assert_eq!(again.kind(), ErrorKind::AddrInUse);
            (socket, interface)
        });
        let sender = UdpSocket::bind(&left, "10.0.0.1:0").unwrap();
        let send = || sender.send_to(b"hello", (group, 7000)).unwrap();
        let hears = |socket: &UdpSocket| match socket.recv(&mut [0; 16]) {
            Ok(len) => len == 5,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        };
        assert_eq!((sender.multicast_ttl_v4().unwrap(), sender.multicast_loop_v4().unwrap()), (1, true));
        send();
        assert_eq!([hears(&near.0), hears(&far.0)], [true; 2]);
        sender.set_multicast_loop_v4(false).unwrap();
        assert!(!sender.multicast_loop_v4().unwrap());
        send();
        assert_eq!([hears(&near.0), hears(&far.0)], [false, true]);
        sender.set_multicast_loop_v4(true).unwrap();
        sender.set_multicast_ttl_v4(0).unwrap();
        assert_eq!(sender.multicast_ttl_v4().unwrap(), 0);
        assert_eq!(sender.set_multicast_ttl_v4(256).unwrap_err().kind(), ErrorKind::InvalidInput);
        send();
        assert_eq!([hears(&near.0), hears(&far.0)], [true, false]);
        sender.set_multicast_ttl_v4(1).unwrap();
        far.0.leave_multicast_v4(&group, &far.1).unwrap();
        let again = far.0.leave_multicast_v4(&group, &far.1).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrNotAvailable);
        send();
        assert_eq!([hears(&near.0), hears(&far.0)], [true, false]);
    });
}

#[test]
fn members_of_a_group_of_ipv6_hear_it() {
    within(PATIENCE, || {
        let (left, right) = pair();
        let group: Ipv6Addr = "ff15::1:2:3".parse().unwrap();
        let interfaces = bsd::if_nameindex(&right);
        let wire = interfaces.iter().find(|interface| interface.name != "lo").unwrap().index;
        let member = UdpSocket::bind(&right, "[::]:7000").unwrap();
        member.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let sender = UdpSocket::bind(&left, "[fd00::1]:0").unwrap();
        let hears = || {
            sender.send_to(b"hello", (group, 7000)).unwrap();
            member.recv(&mut [0; 16]).is_ok()
        };
        assert!(!hears());
        member.join_multicast_v6(&group, wire).unwrap();
        assert!(hears());
        member.leave_multicast_v6(&group, wire).unwrap();
        assert!(!hears());
        assert!(sender.multicast_loop_v6().unwrap());
        sender.set_multicast_loop_v6(false).unwrap();
        assert!(!sender.multicast_loop_v6().unwrap());
        let of_v4 = UdpSocket::bind(&left, "0.0.0.0:0").unwrap();
        assert_eq!(
            of_v4.set_multicast_loop_v6(true).unwrap_err().raw_os_error(),
            Some(Errno::NOPROTOOPT.raw_os_error())
        );
    });
}

//= RFC 6528 §4 MUST-1, type=test
#[test]
fn what_is_random_follows_from_the_system_unless_there_is_a_seed() {
    // The port that a host of its own gives to its first socket.
    let first_port = |seed: Option<u64>| {
        let builder = Host::builder().driver(Driver::External);
        let host = seed.into_iter().fold(builder, |builder, seed| builder.seed(seed)).start().unwrap();
        UdpSocket::bind(&host, "127.0.0.1:0").unwrap().local_addr().unwrap().port()
    };
    let distinct = |mut ports: Vec<u16>| {
        ports.sort_unstable();
        ports.dedup();
        ports.len()
    };
    assert_eq!(distinct((0..10).map(|_| first_port(Some(7))).collect()), 1);
    assert!(distinct((0..10).map(|_| first_port(None)).collect()) > 5);
}
