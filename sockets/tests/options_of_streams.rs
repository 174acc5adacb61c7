//! What the options of stream sockets do, and what ioctl says of their queues.

mod common;

use core::time::Duration;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, PollMask, Sockets, Stop};
use tapsock_stack::buf::Rope;
use tapsock_stack::counters::Counter;

#[test]
fn a_reader_waits_until_there_is_enough() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    assert_eq!(int(&mut net.b, net.now, server, SOL_SOCKET, SO_RCVLOWAT), 1);
    assert_eq!(set(&mut net.b, net.now, server, SOL_SOCKET, SO_RCVLOWAT, 10), "OK");
    assert_eq!(int(&mut net.b, net.now, server, SOL_SOCKET, SO_RCVLOWAT), 10);
    send(&mut net.a, net.now, client, b"12345", 0);
    net.settle();
    assert_eq!(poll(&net.b, server), "OUT");
    assert!(
        matches!(net.b.try_recv(net.now, server, 99, 0), Err(Stop::Wait(wait)) if wait.mask == PollMask::WAIT_IN)
    );
    // One that may not wait takes what there is, and so does one that wants no more.
    assert_eq!(recv(&mut net.b, net.now, server, 99, MSG_PEEK), "\"12345\"");
    assert_eq!(net.b.try_recv(net.now, server, 4, MSG_PEEK).unwrap().data.to_vec(), b"1234");
    send(&mut net.a, net.now, client, b"67890", 0);
    net.settle();
    assert_eq!(poll(&net.b, server), "IN|OUT");
    assert_eq!(net.b.try_recv(net.now, server, 99, 0).unwrap().data.to_vec(), b"1234567890");
    // The end is enough.
    send(&mut net.a, net.now, client, b"123", 0);
    net.a.shutdown(net.now, client, SHUT_WR).unwrap();
    net.settle();
    assert_eq!(net.b.try_recv(net.now, server, 99, 0).unwrap().data.to_vec(), b"123");
}

/// After a time-out Reno goes on with half of what was under way (RFC 5681, eq. 4), CUBIC with 0.7 of it (RFC 9438 4.6).
#[test]
fn the_algorithm_that_was_chosen_acts() {
    const SSTHRESH: usize = 76;
    // A part of a segment counts as one.
    for (name, segments) in [("reno", 5..=5), ("cubic", 7..=8)] {
        let mut net = Net::new();
        let (_, client, _) = net.connected(AF_INET);
        net.a.set_option(net.now, client, SOL_TCP, TCP_CONGESTION, name.as_bytes()).unwrap();
        net.plugged = false;
        let mss = int(&mut net.a, net.now, client, SOL_TCP, TCP_MAXSEG) as usize;
        net.a.try_send(net.now, client, &mut Rope::from(vec![0; 20 * mss]), 0, None).unwrap();
        net.sleep(Duration::from_millis(1500));
        let info = net.a.option(net.now, client, SOL_TCP, TCP_INFO).unwrap();
        let ssthresh = info.as_bytes()[SSTHRESH..].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        assert!(ssthresh.is_some_and(|ssthresh| segments.contains(&ssthresh)), "{name}: {ssthresh:?}");
    }
}

#[test]
fn what_a_window_can_not_hold_is_not_waited_for() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    assert_eq!(set(&mut net.b, net.now, server, SOL_SOCKET, SO_RCVBUF, 4000), "OK");
    assert_eq!(set(&mut net.b, net.now, server, SOL_SOCKET, SO_RCVLOWAT, -1), "OK");
    let low_water = int(&mut net.b, net.now, server, SOL_SOCKET, SO_RCVLOWAT);
    assert!(low_water <= 4000, "half of the buffer: {low_water}");
    // Small segments fill the buffer long before.
    assert_eq!(set(&mut net.a, net.now, client, SOL_TCP, TCP_NODELAY, 1), "OK");
    for _ in 0..200 {
        let _ = net.a.try_send(net.now, client, &mut Rope::from(&[0; 40][..]), MSG_DONTWAIT, None);
        net.settle();
        net.sleep(Duration::from_millis(50));
    }
    assert_eq!(poll(&net.b, server), "IN|OUT");
}

/// SYNs that go out until `connect` gives up.
fn syns(count: Option<i32>) -> usize {
    let mut net = Net::new();
    let client = nonblocking(&mut net.a, AF_INET);
    if let Some(count) = count {
        assert_eq!(set(&mut net.a, net.now, client, SOL_TCP, TCP_SYNCNT, count), "OK");
        assert_eq!(int(&mut net.a, net.now, client, SOL_TCP, TCP_SYNCNT), count);
    }
    net.plugged = false;
    let _ = net.a.try_connect(net.now, client, &b(AF_INET, 8000));
    net.sleep(Duration::from_secs(1000));
    assert_eq!(poll(&net.a, client), "IN|OUT|ERR|HUP|RDHUP", "it is over");
    net.sent.len()
}

#[test]
fn syns_are_counted() {
    assert_eq!(int_of_fresh(TCP_SYNCNT), 6);
    let (default, one, three) = (syns(None), syns(Some(1)), syns(Some(3)));
    // Linux gives up when as much time has passed as doubling from the first on would take.
    assert_eq!((default, one, three), (11, 3, 8));
    let mut net = Net::new();
    let client = nonblocking(&mut net.a, AF_INET);
    for count in [0, -1, 128] {
        assert_eq!(set(&mut net.a, net.now, client, SOL_TCP, TCP_SYNCNT, count), "EINVAL");
    }
}

fn int_of_fresh(option: i32) -> i32 {
    let mut net = Net::new();
    let fresh = stream(&mut net.a, AF_INET);
    int(&mut net.a, net.now, fresh, SOL_TCP, option)
}

#[test]
fn an_orphan_waits_as_long_as_it_is_told() {
    assert_eq!(int_of_fresh(TCP_LINGER2), 60);
    for (set_to, shown, alive) in [(3, 3, 2), (0, 60, 50), (1000, 120, 100)] {
        let mut net = Net::new();
        let (_, client, _server) = net.connected(AF_INET);
        assert_eq!(set(&mut net.a, net.now, client, SOL_TCP, TCP_LINGER2, set_to), "OK");
        assert_eq!(int(&mut net.a, net.now, client, SOL_TCP, TCP_LINGER2), shown);
        net.a.close(net.now, client).unwrap();
        net.settle();
        let waits = |net: &Net| {
            net.a.stack().unfinished() != Default::default() || net.a.stack().poll_timeout().is_some()
        };
        net.sleep(Duration::from_secs(alive));
        assert!(waits(&net), "{set_to}");
        net.sleep(Duration::from_secs(shown as u64 + 1 - alive));
        assert!(!waits(&net), "{set_to}");
    }
    // Below zero it waits for nothing.
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    assert_eq!(set(&mut net.a, net.now, client, SOL_TCP, TCP_LINGER2, -7), "OK");
    assert_eq!(int(&mut net.a, net.now, client, SOL_TCP, TCP_LINGER2), -1);
    net.a.close(net.now, client).unwrap();
    net.sleep(Duration::from_millis(5));
    assert_eq!(poll(&net.b, server), "IN|OUT|ERR|HUP|RDHUP", "it was reset");
}

#[test]
fn what_is_not_acknowledged_is_counted() {
    let mut net = Net::new();
    let (listener, client, server) = net.connected(AF_INET);
    net.plugged = false;
    send(&mut net.a, net.now, client, b"abcde", 0);
    net.settle();
    assert_eq!(net.a.ioctl(client, SIOCOUTQ), Ok(5));
    assert_eq!(net.b.ioctl(server, FIONREAD), Ok(0));
    net.plugged = true;
    net.sleep(Duration::from_secs(5));
    assert_eq!(net.a.ioctl(client, SIOCOUTQ), Ok(0));
    assert_eq!(net.b.ioctl(server, FIONREAD), Ok(5));
    net.a.shutdown(net.now, client, SHUT_WR).unwrap();
    net.settle();
    assert_eq!(net.b.ioctl(server, FIONREAD), Ok(5), "the end is no byte");
    for request in [FIONREAD, SIOCOUTQ] {
        assert_eq!(net.b.ioctl(listener, request).map_err(name), Err("EINVAL"));
    }
}

/// The bytes of `a`'s packets that are TCP's payload.
fn payloads(net: &mut Net) -> Vec<usize> {
    let packets = core::mem::take(&mut net.sent);
    let payload = |packet: &Vec<u8>| packet.len() - 20 - 4 * usize::from(packet[32] >> 4);
    packets.iter().map(payload).filter(|len| *len > 0).collect()
}

#[test]
fn a_sender_keeps_to_its_pace() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    let unbounded = net.a.option(net.now, client, SOL_SOCKET, SO_MAX_PACING_RATE).unwrap();
    assert_eq!(unbounded.as_bytes(), [255; 8]);
    assert_eq!(set(&mut net.a, net.now, client, SOL_SOCKET, SO_MAX_PACING_RATE, 100_000), "OK");
    let bounded = net.a.option(net.now, client, SOL_SOCKET, SO_MAX_PACING_RATE).unwrap();
    assert_eq!(bounded.as_bytes(), 100_000u64.to_ne_bytes());
    let mut read = 0;
    for _ in 0..2 {
        assert_eq!(send(&mut net.a, net.now, client, &[7; 60_000], 0), "60000");
        net.sleep(Duration::from_millis(600));
        while let Ok(received) = net.b.try_recv(net.now, server, 1 << 20, MSG_DONTWAIT) {
            read += received.data.len();
        }
    }
    // The first ten segments are free.
    assert!((110_000..=120_000 + 14_480).contains(&read), "{read} bytes in 1.2 s");
    let info = net.a.option(net.now, client, SOL_TCP, TCP_INFO).unwrap();
    assert_eq!(info.as_bytes()[112..120], 100_000u64.to_ne_bytes());
}

#[test]
fn the_pace_has_32_bits_or_64() {
    let mut net = Net::new();
    let fresh = stream(&mut net.a, AF_INET);
    for (value, shown) in [
        (&1000u32.to_ne_bytes()[..], Ok(1000)),
        (&u32::MAX.to_ne_bytes(), Ok(u64::MAX)),
        (&(1u64 << 40).to_ne_bytes(), Ok(1 << 40)),
        (&[1, 0], Err("EINVAL")),
    ] {
        let outcome = net.a.set_option(net.now, fresh, SOL_SOCKET, SO_MAX_PACING_RATE, value).map_err(name);
        let seen = net.a.option(net.now, fresh, SOL_SOCKET, SO_MAX_PACING_RATE).unwrap();
        match shown {
            Ok(rate) => assert_eq!((outcome, seen.as_bytes()), (Ok(()), &rate.to_ne_bytes()[..])),
            Err(errno) => assert_eq!(outcome, Err(errno)),
        }
    }
}

#[test]
fn a_writer_waits_for_what_was_not_sent() {
    let mut net = Net::new();
    let (_, client, _) = net.connected(AF_INET);
    assert_eq!(set(&mut net.a, net.now, client, SOL_TCP, TCP_NOTSENT_LOWAT, 1), "OK");
    net.plugged = false;
    // The initial window goes out, and one frame more may wait.
    assert_eq!(send(&mut net.a, net.now, client, &[1; 14_480], MSG_DONTWAIT), "14480");
    net.settle();
    assert_eq!(poll(&net.a, client), "OUT", "everything is sent");
    let taken = net.a.try_send(net.now, client, &mut Rope::from(vec![1; 200_000]), MSG_DONTWAIT, None);
    // As Linux, a frame is at most half of the largest window that the peer has offered: 22 segments of some 64,000 bytes.
    assert_eq!(taken.unwrap(), 22 * 1448);
    assert_eq!(poll(&net.a, client), "0");
    assert_eq!(send(&mut net.a, net.now, client, b"x", MSG_DONTWAIT), "EAGAIN");
    assert_eq!(set(&mut net.a, net.now, client, SOL_TCP, TCP_NOTSENT_LOWAT, -1), "OK");
    assert_eq!(int(&mut net.a, net.now, client, SOL_TCP, TCP_NOTSENT_LOWAT), -1);
    assert_eq!(send(&mut net.a, net.now, client, b"x", MSG_DONTWAIT), "1");
}

#[test]
fn a_listener_may_wait_for_data() {
    let mut net = Net::new();
    let (listener, _, _) = net.connected(AF_INET);
    assert_eq!(set(&mut net.b, net.now, listener, SOL_TCP, TCP_DEFER_ACCEPT, 2), "OK");
    assert_eq!(int(&mut net.b, net.now, listener, SOL_TCP, TCP_DEFER_ACCEPT), 3);
    let begin = |net: &mut Net| -> Fd {
        let client = nonblocking(&mut net.a, AF_INET);
        let _ = net.a.try_connect(net.now, client, &b(AF_INET, 8000));
        net.settle();
        assert_eq!((poll(&net.a, client), poll(&net.b, listener)), ("OUT".into(), "0".into()));
        client
    };
    let client = begin(&mut net);
    net.sleep(Duration::from_millis(500));
    send(&mut net.a, net.now, client, b"request", 0);
    net.settle();
    let (server, _) = net.b.try_accept(net.now, listener, 0).unwrap();
    assert_eq!(recv(&mut net.b, net.now, server, 99, 0), "\"request\"");
    assert_eq!(int(&mut net.b, net.now, server, SOL_TCP, TCP_DEFER_ACCEPT), 0);
    let silent = begin(&mut net);
    net.sleep(Duration::from_millis(2900));
    assert_eq!(poll(&net.b, listener), "0");
    net.sleep(Duration::from_millis(200));
    assert_eq!((poll(&net.a, silent), poll(&net.b, listener)), ("OUT".into(), "IN".into()));
}

#[test]
fn a_clamped_window_is_all_that_is_sent_into() {
    let mut net = Net::new();
    let (listener, _, _) = net.connected(AF_INET);
    assert_eq!(set(&mut net.b, net.now, listener, SOL_TCP, TCP_WINDOW_CLAMP, 6000), "OK");
    let (client, server) = net.another(AF_INET, listener);
    assert_eq!(int(&mut net.b, net.now, server, SOL_TCP, TCP_WINDOW_CLAMP), 6000);
    assert_eq!(set(&mut net.b, net.now, server, SOL_TCP, TCP_WINDOW_CLAMP, 0), "EINVAL");
    net.settle();
    net.sent.clear();
    net.plugged = false;
    send(&mut net.a, net.now, client, &[1; 20_000], 0);
    net.settle();
    let sent: usize = payloads(&mut net).iter().sum();
    assert!((4000..=6000).contains(&sent), "{sent}");
}

#[test]
fn acknowledgements_come_quickly_or_not() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    let outstanding = |host: &Sockets| host.ioctl(client, SIOCOUTQ).unwrap();
    assert_eq!(int(&mut net.b, net.now, server, SOL_TCP, TCP_QUICKACK), 1);
    assert_eq!(set(&mut net.b, net.now, server, SOL_TCP, TCP_QUICKACK, 0), "OK");
    assert_eq!(int(&mut net.b, net.now, server, SOL_TCP, TCP_QUICKACK), 0);
    send(&mut net.a, net.now, client, b"x", 0);
    net.settle();
    assert_eq!(outstanding(&net.a), 1, "the acknowledgement waits");
    assert_eq!(recv(&mut net.b, net.now, server, 9, 0), "\"x\"");
    assert_eq!(set(&mut net.b, net.now, server, SOL_TCP, TCP_QUICKACK, 1), "OK");
    net.settle();
    assert_eq!(outstanding(&net.a), 0);
    send(&mut net.a, net.now, client, b"y", 0);
    net.settle();
    assert_eq!(outstanding(&net.a), 0);
}

#[test]
fn no_delay_empties_a_corked_connection() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    let now = net.now;
    assert_eq!(set(&mut net.a, now, client, SOL_TCP, TCP_CORK, 1), "OK");
    send(&mut net.a, now, client, b"one", 0);
    assert_eq!(set(&mut net.a, now, client, SOL_TCP, TCP_NODELAY, 1), "OK");
    net.settle();
    assert_eq!(recv(&mut net.b, now, server, 9, 0), "\"one\"");
    send(&mut net.a, now, client, b"two", 0);
    net.settle();
    assert_eq!(poll(&net.b, server), "OUT", "the cork is still in");
    assert_eq!(set(&mut net.a, now, client, SOL_TCP, TCP_CORK, 0), "OK");
    net.settle();
    assert_eq!(recv(&mut net.b, now, server, 9, 0), "\"two\"");
}

#[test]
fn a_listener_sends_its_syn_acks_as_often_as_it_is_told() {
    for (count, seconds) in [(1, 3), (2, 7)] {
        let mut net = Net::new();
        let (listener, _, _) = net.connected(AF_INET);
        assert_eq!(set(&mut net.b, net.now, listener, SOL_TCP, TCP_SYNCNT, count), "OK");
        let client = nonblocking(&mut net.a, AF_INET);
        let _ = net.a.try_connect(net.now, client, &b(AF_INET, 8000));
        let syn = net.a.stack_mut().poll_transmit(net.now).unwrap().1.to_frame();
        net.b.stack_mut().receive(net.now, tapsock_stack::iface::InterfaceId(1), syn);
        net.plugged = false;
        net.sleep(Duration::from_millis(seconds * 1000 - 100));
        assert!(net.b.stack().poll_timeout().is_some(), "{count}");
        net.sleep(Duration::from_millis(200));
        assert_eq!(net.b.stack().poll_timeout(), None, "{count}");
    }
}

#[test]
fn segments_from_too_far_are_dropped() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (listener, client, server) = net.connected(domain);
        let (level, nearest, own) = match domain {
            AF_INET => (SOL_IP, IP_MINTTL, IP_TTL),
            _ => (SOL_IPV6, IPV6_MINHOPCOUNT, IPV6_UNICAST_HOPS),
        };
        assert_eq!(set(&mut net.b, net.now, server, level, nearest, 256), "EINVAL");
        assert_eq!(set(&mut net.b, net.now, server, level, nearest, 255), "OK");
        assert_eq!(int(&mut net.b, net.now, server, level, nearest), 255);
        send(&mut net.a, net.now, client, b"x", 0);
        net.settle();
        assert_eq!(recv(&mut net.b, net.now, server, 9, 0), "EAGAIN");
        assert_eq!(net.b.stack().counters()[Counter::TcpExtTCPMinTTLDrop], 1);
        // The next try comes as from a neighbour.
        assert_eq!(set(&mut net.a, net.now, client, level, own, 255), "OK");
        net.sleep(Duration::from_secs(1));
        assert_eq!(recv(&mut net.b, net.now, server, 9, 0), "\"x\"");

        assert_eq!(set(&mut net.b, net.now, listener, level, nearest, 255), "OK");
        let far = nonblocking(&mut net.a, domain);
        assert_eq!(said(net.a.try_connect(net.now, far, &b(domain, 8000))), "EINPROGRESS");
        net.settle();
        assert_eq!(said(net.a.try_connect(net.now, far, &b(domain, 8000))), "EALREADY");
    }
}

#[test]
fn memory_is_shown() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    net.plugged = false;
    send(&mut net.a, net.now, client, b"abc", 0);
    let shown = |host: &mut Sockets, fd| {
        let info = host.option(net.now, fd, SOL_SOCKET, SO_MEMINFO).unwrap();
        info.as_bytes().chunks(4).map(|part| u32::from_ne_bytes(part.try_into().unwrap())).collect::<Vec<_>>()
    };
    let sender = shown(&mut net.a, client);
    assert_eq!((sender.len(), sender[0], sender[2]), (9, 0, 3));
    let send_buffer = int(&mut net.a, net.now, client, SOL_SOCKET, SO_SNDBUF);
    assert_eq!(sender[3], send_buffer as u32);
    net.plugged = true;
    net.sleep(Duration::from_secs(1));
    let receiver = net.b.option(net.now, server, SOL_SOCKET, SO_MEMINFO).unwrap();
    assert_eq!(receiver.as_bytes()[..4], 832u32.to_ne_bytes(), "as Linux charges a small packet");
}

#[test]
fn streams_are_held_to_interfaces_that_share_ports() {
    let mut net = Net::new();
    let held = ["wire0", "lo"].map(|name| {
        let fd = stream(&mut net.b, AF_INET);
        net.b.set_option(net.now, fd, SOL_SOCKET, SO_BINDTODEVICE, name.as_bytes()).unwrap();
        net.b.bind(net.now, fd, &any(AF_INET, 8000)).unwrap();
        net.b.listen(net.now, fd, 5).unwrap();
        fd
    });
    let free = stream(&mut net.b, AF_INET);
    assert_eq!(errno(net.b.bind(net.now, free, &any(AF_INET, 8000))), "EADDRINUSE");

    let (_, accepted) = net.another_at(held[0], &b(AF_INET, 8000));
    let shown = net.b.option(net.now, accepted, SOL_SOCKET, SO_BINDTODEVICE).unwrap();
    assert_eq!(shown.as_bytes(), b"wire0\0");
    assert_eq!(int(&mut net.b, net.now, accepted, SOL_SOCKET, SO_BINDTOIFINDEX), 2);
    let own = nonblocking(&mut net.b, AF_INET);
    let here = addr("127.0.0.1", 8000);
    assert_eq!(said(net.b.try_connect(net.now, own, &here)), "EINPROGRESS");
    net.settle();
    assert_eq!(said(net.b.try_accept(net.now, held[0], SOCK_NONBLOCK)), "waits to read");
    assert_eq!(said(net.b.try_accept(net.now, held[1], SOCK_NONBLOCK)), "OK");

    let away = nonblocking(&mut net.a, AF_INET);
    net.a.set_option(net.now, away, SOL_SOCKET, SO_BINDTODEVICE, b"lo").unwrap();
    let nowhere = net.a.try_connect(net.now, away, &b(AF_INET, 8000));
    assert_eq!(said(nowhere), "EINPROGRESS", "a device that is named leads on-link, as on Linux");
}

#[test]
fn a_socket_has_its_own_range_of_ports() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (_, client, _) = net.connected(domain);
        let ports = 40_000u32 | 40_001 << 16;
        let refused = |net: &mut Net, value: &[u8]| {
            errno(net.a.set_option(net.now, client, SOL_IP, IP_LOCAL_PORT_RANGE, value))
        };
        assert_eq!(refused(&mut net, &(2u32 | 1 << 16).to_ne_bytes()), "EINVAL");
        assert_eq!(refused(&mut net, &[1, 0]), "EINVAL");
        let ranged = |net: &mut Net, kind| {
            let fd = net.a.socket(domain, kind | SOCK_NONBLOCK, 0).unwrap();
            let range = ports.to_ne_bytes();
            net.a.set_option(net.now, fd, SOL_IP, IP_LOCAL_PORT_RANGE, &range).unwrap();
            assert_eq!(int(&mut net.a, net.now, fd, SOL_IP, IP_LOCAL_PORT_RANGE) as u32, ports);
            fd
        };
        let mut taken = Vec::new();
        for answer in ["EINPROGRESS", "EINPROGRESS", "EADDRNOTAVAIL"] {
            let fd = ranged(&mut net, SOCK_STREAM);
            assert_eq!(said(net.a.try_connect(net.now, fd, &b(domain, 9000))), answer);
            taken.push(net.a.local_address(fd).unwrap().to_inet().unwrap().port());
        }
        taken.sort_unstable();
        assert_eq!(taken, [0, 40_000, 40_001]);
        for answer in ["OK", "OK", "EADDRINUSE"] {
            let fd = ranged(&mut net, SOCK_DGRAM);
            assert_eq!(errno(net.a.bind(net.now, fd, &any(domain, 0))), answer);
        }
        let last = ranged(&mut net, SOCK_DGRAM);
        assert_eq!(send_to(&mut net.a, net.now, last, b"x", &b(domain, 9)), "EAGAIN");
    }
}
