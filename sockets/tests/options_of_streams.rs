//! What the options of stream sockets do, and what ioctl says of their queues.

mod common;

use core::time::Duration;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::{PollMask, Stop};

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
        let _ = net.a.try_send(
            net.now,
            client,
            &mut tapsock_stack::buf::Rope::from(&[0; 40][..]),
            MSG_DONTWAIT,
            None,
        );
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
    assert_eq!((default - one, three - one), (5, 2));
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
    let mut net = Net::new();
    let client = stream(&mut net.a, AF_INET);
    assert_eq!(
        set(&mut net.a, net.now, client, SOL_TCP, TCP_LINGER2, -1),
        "EINVAL",
        "to end at once is not there"
    );
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
