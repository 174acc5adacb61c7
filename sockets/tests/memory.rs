//! That memory is where it was when connections are over, and TIME-WAIT with them.

mod common;

use core::time::Duration;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::{SockAddr, Stop};
use tapsock_stack::counters::Counter;

/// Bytes that hosts may have more of after many connections than after a few.
const SLACK: i64 = 64 * 1024;

/// Longer than TIME-WAIT, and than what hosts remember of each other's paths.
const LONG: Duration = Duration::from_secs(1200);

/// Where the client is.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum From {
    /// On the other host.
    Wire,
    /// On the listener's.
    Loopback,
}

/// Which answers are closed unread: those connections end by a reset, all others by both sides' FINs.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Unread {
    None,
    OneInThree,
}

/// Opens and closes so many connections to a listener on `b`, both ends of each, and waits for the end of TIME-WAIT. The
/// client closes first, the server, or the listener before the connection was accepted.
fn round(net: &mut Net, from: From, domain: i32, count: usize, unread: Unread) {
    let listener = net.b.socket(domain, SOCK_STREAM, 0).unwrap();
    net.b.bind(net.now, listener, &any(domain, 8000)).unwrap();
    net.b.listen(net.now, listener, 5).unwrap();
    let to: SockAddr = match from {
        From::Wire => b(domain, 8000),
        From::Loopback => in_family(domain, "127.0.0.1", "::1", 8000),
    };
    for at in 0..count {
        let now = net.now;
        let host = if from == From::Wire { &mut net.a } else { &mut net.b };
        let client = host.socket(domain, SOCK_STREAM, 0).unwrap();
        assert!(matches!(host.try_connect(now, client, &to), Err(Stop::Wait(_)) | Ok(())));
        net.settle();
        let (server, _) = net.b.try_accept(net.now, listener, 0).unwrap();
        send(&mut net.b, now, server, b"an answer", 0);
        net.settle();
        if at % 2 == 0 {
            net.b.close(net.now, server).unwrap();
            net.settle();
        }
        let host = if from == From::Wire { &mut net.a } else { &mut net.b };
        if unread == Unread::None || at % 3 > 0 {
            assert_eq!(recv(host, now, client, 20, 0), "\"an answer\"");
        }
        host.close(now, client).unwrap();
        net.settle();
        if at % 2 == 1 {
            net.b.close(net.now, server).unwrap();
            net.settle();
        }
        net.sent.clear();
        net.sleep(Duration::from_millis(1));
        hear(net);
    }
    net.b.close(net.now, listener).unwrap();
    net.sleep(LONG);
    net.sent = Vec::new();
    hear(net);
}

/// Takes what the hosts have to tell.
fn hear(net: &mut Net) {
    for host in [&mut net.a, &mut net.b] {
        while host.poll_event().is_some() {}
    }
}

#[test]
fn connections_leave_nothing_once_time_wait_is_over() {
    for from in [From::Wire, From::Loopback] {
        for domain in DOMAINS {
            let mut net = Net::new();
            round(&mut net, from, domain, 200, Unread::OneInThree);
            let left =
                allocation_counter::measure(|| round(&mut net, from, domain, 5000, Unread::OneInThree));
            assert!(left.bytes_current < SLACK, "{from:?} {domain}: {left:?}");
            assert!(left.bytes_max > 2 * SLACK as u64, "TIME-WAIT was there: {left:?}");
        }
    }
}

/// A hundred thousand sockets, of which no connection ended otherwise.
#[test]
fn connections_that_both_sides_ended_leave_nothing() {
    const PART: usize = 5000;
    const PARTS: usize = 5;
    for (from, domain) in [(From::Wire, AF_INET), (From::Loopback, AF_INET6)] {
        let mut net = Net::new();
        let mut round = |count| round(&mut net, from, domain, count, Unread::None);
        round(200);
        let left = allocation_counter::measure(|| (0..PARTS).for_each(|_| round(PART)));
        assert!(left.bytes_current < SLACK, "{from:?} {domain}: {left:?}");
        let of_both =
            |counter| [&net.a, &net.b].into_iter().map(|host| host.stack().counters()[counter]).sum::<u64>();
        assert_eq!(of_both(Counter::TcpPassiveOpens), (200 + PART * PARTS) as u64);
        assert_eq!(of_both(Counter::TcpExtTW), of_both(Counter::TcpPassiveOpens));
        assert_eq!([Counter::TcpEstabResets, Counter::TcpOutRsts].map(of_both), [0; 2]);
    }
}

#[test]
fn datagram_sockets_leave_nothing() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let mut round = |count: usize| {
            let fds: Vec<_> = (0..count).map(|_| net.b.socket(domain, SOCK_DGRAM, 0).unwrap()).collect();
            for pair in fds.chunks(2) {
                net.b.bind(net.now, pair[0], &in_family(domain, "127.0.0.1", "::1", 0)).unwrap();
                let to = net.b.local_address(pair[0]).unwrap();
                net.b.try_connect(net.now, pair[1], &to).unwrap();
                send(&mut net.b, net.now, pair[1], b"never read", 0);
            }
            net.settle();
            fds.into_iter().for_each(|fd| net.b.close(net.now, fd).unwrap());
            net.sleep(LONG);
            hear(&mut net);
        };
        round(200);
        let left = allocation_counter::measure(|| round(20_000));
        assert!(left.bytes_current < SLACK, "{domain}: {left:?}");
    }
}

/// What an idle connection may hold, in bytes: each end, on the average of both. With the number and the description that
/// a host of the `tapsock` crate has for it, some 80 bytes, that is 1 KiB at the most.
const IDLE_BUDGET: i64 = 940;

/// The connection itself, its socket, and its part of every table, where programs have told their sockets something and
/// both sides have spoken.
#[test]
fn an_idle_connection_is_small_with_its_socket() {
    const COUNT: usize = 10_000;
    const GROUP: usize = 100;
    for domain in DOMAINS {
        let mut net = Net::new();
        let listener = net.b.socket(domain, SOCK_STREAM, 0).unwrap();
        net.b.bind(net.now, listener, &any(domain, 8000)).unwrap();
        net.b.listen(net.now, listener, 2 * GROUP as i32).unwrap();
        let (mut here, mut there) = (Vec::with_capacity(COUNT), Vec::with_capacity(COUNT));
        let memory = allocation_counter::measure(|| {
            for _ in 0..COUNT / GROUP {
                for _ in 0..GROUP {
                    let client = net.a.socket(domain, SOCK_STREAM, 0).unwrap();
                    let connecting = net.a.try_connect(net.now, client, &b(domain, 8000));
                    assert!(matches!(connecting, Err(Stop::Wait(_))));
                    here.push(client);
                }
                net.settle();
                for _ in 0..GROUP {
                    there.push(net.b.try_accept(net.now, listener, 0).unwrap().0);
                }
                for (host, fds) in [(&mut net.a, &here), (&mut net.b, &there)] {
                    for fd in &fds[fds.len() - GROUP..] {
                        host.set_option(net.now, *fd, SOL_TCP, TCP_NODELAY, &1i32.to_ne_bytes()).unwrap();
                    }
                }
                net.sent.clear();
                hear(&mut net);
            }
            for (&client, &server) in here.iter().zip(&there) {
                let now = net.now;
                send(&mut net.a, now, client, b"a question", 0);
                net.settle();
                assert_eq!(recv(&mut net.b, net.now, server, 20, 0), "\"a question\"");
                send(&mut net.b, now, server, b"an answer", 0);
                net.settle();
                assert_eq!(recv(&mut net.a, net.now, client, 20, 0), "\"an answer\"");
                net.sent.clear();
            }
            net.sleep(Duration::from_secs(3));
            net.sent = Vec::new();
            hear(&mut net);
        });
        let each = memory.bytes_current / (2 * COUNT as i64);
        println!("{each} bytes an end");
        assert!(each <= IDLE_BUDGET, "{each} bytes for each end");
    }
}
