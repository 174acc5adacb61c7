//! TCP sockets of two hosts: what each call says and what `poll` shows after each, as on Linux 6.18.

mod common;

use core::time::Duration;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_stack::buf::Rope;

#[test]
fn connect_talk_and_close() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let listener = stream(&mut net.b, domain);
        net.b.bind(net.now, listener, &any(domain, 8000)).unwrap();
        net.b.listen(net.now, listener, 5).unwrap();
        assert_eq!(poll(&net.b, listener), "0");
        assert_eq!(said(net.b.try_accept(net.now, listener, 0)), "waits to read");
        assert_eq!(int(&mut net.b, net.now, listener, SOL_SOCKET, SO_ACCEPTCONN), 1);

        let client = stream(&mut net.a, domain);
        assert_eq!(said(net.a.try_connect(net.now, client, &b(domain, 8000))), "waits to write");
        assert_eq!(poll(&net.a, client), "0");
        net.settle();
        assert_eq!(poll(&net.a, client), "OUT");
        assert_eq!(poll(&net.b, listener), "IN");
        assert_eq!(said(net.a.try_connect(net.now, client, &b(domain, 8000))), "OK");
        assert_eq!(said(net.a.try_connect(net.now, client, &b(domain, 8000))), "EISCONN");

        let (server, peer) = net.b.try_accept(net.now, listener, SOCK_NONBLOCK).unwrap();
        assert_eq!(poll(&net.b, listener), "0");
        assert_eq!(poll(&net.b, server), "OUT");
        assert_eq!(net.a.local_address(client), Ok(peer));
        assert_eq!(net.b.peer_address(server), Ok(peer));
        assert_eq!(net.b.local_address(server), Ok(b(domain, 8000)));
        assert_eq!(net.a.peer_address(client), Ok(b(domain, 8000)));

        assert_eq!(send(&mut net.a, net.now, client, b"hello", 0), "5");
        net.settle();
        assert_eq!(poll(&net.b, server), "IN|OUT");
        assert_eq!(recv(&mut net.b, net.now, server, 3, MSG_PEEK), "\"hel\"");
        assert_eq!(recv(&mut net.b, net.now, server, 3, 0), "\"hel\"");
        assert_eq!(recv(&mut net.b, net.now, server, 9, 0), "\"lo\"");
        assert_eq!(said(net.b.try_recv(net.now, server, 9, 0)), "EAGAIN");
        assert_eq!(said(net.a.try_recv(net.now, client, 9, 0)), "waits to read");

        net.a.close(net.now, client).unwrap();
        net.settle();
        assert_eq!(poll(&net.b, server), "IN|OUT|RDHUP");
        assert_eq!(recv(&mut net.b, net.now, server, 9, 0), "\"\"");
        net.b.close(net.now, server).unwrap();
        net.b.close(net.now, listener).unwrap();
        net.settle();
        assert_eq!(format!("{:?}", net.b.readiness(server)), "NVAL");
    }
}

#[test]
fn calls_on_a_connected_socket() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    let now = net.now;
    assert_eq!(errno(net.a.listen(now, client, 5)), "EINVAL");
    assert_eq!(errno(net.a.bind(now, client, &any(AF_INET, 0))), "EINVAL");
    assert_eq!(said(net.a.try_accept(now, client, 0)), "EINVAL");
    assert_eq!(
        send_to(&mut net.a, now, client, b"abc", &addr("9.9.9.9", 9)),
        "3",
        "the address is not looked at"
    );
    assert_eq!(send(&mut net.a, now, client, b"", 0), "0");
    assert_eq!(recv(&mut net.a, now, client, 0, 0), "EAGAIN");
    net.settle();
    assert_eq!(recv(&mut net.b, now, server, 0, 0), "\"\"");
    assert_eq!(recv(&mut net.b, now, server, 1, MSG_OOB), "EINVAL");
    assert_eq!(recv(&mut net.b, now, server, 1, MSG_ERRQUEUE), "EAGAIN");
    let thrown_away = net.b.try_recv(now, server, 2, MSG_TRUNC).unwrap();
    assert_eq!((thrown_away.data.len(), thrown_away.full_len), (0, 2));
    assert_eq!(recv(&mut net.b, now, server, 9, 0), "\"c\"");
}

#[test]
fn each_direction_is_shut_by_itself() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (_, client, server) = net.connected(domain);
        let now = net.now;
        assert_eq!(errno(net.a.shutdown(now, client, SHUT_WR)), "OK");
        net.settle();
        assert_eq!((poll(&net.a, client), poll(&net.b, server)), ("OUT".into(), "IN|OUT|RDHUP".into()));
        assert_eq!(send(&mut net.a, now, client, b"x", 0), "EPIPE");
        assert_eq!(send(&mut net.a, now, client, b"", 0), "EPIPE");
        assert_eq!(recv(&mut net.b, now, server, 1, 0), "\"\"");
        assert_eq!(errno(net.a.shutdown(now, client, SHUT_WR)), "OK");
        assert_eq!(errno(net.b.shutdown(now, server, SHUT_RD)), "OK");
        assert_eq!(poll(&net.b, server), "IN|OUT|RDHUP");
        assert_eq!(send(&mut net.b, now, server, b"x", 0), "1");
        net.settle();
        assert_eq!(poll(&net.a, client), "IN|OUT");
        assert_eq!(errno(net.b.shutdown(now, server, SHUT_WR)), "OK");
        net.settle();
        assert_eq!(
            (poll(&net.a, client), poll(&net.b, server)),
            ("IN|OUT|HUP|RDHUP".into(), "IN|OUT|HUP|RDHUP".into())
        );
        assert_eq!(recv(&mut net.a, now, client, 9, 0), "\"x\"");
        assert_eq!(recv(&mut net.a, now, client, 9, 0), "\"\"");
        assert_eq!(errno(net.a.peer_address(client)), "ENOTCONN");
        assert_eq!(errno(net.b.peer_address(server)), "ENOTCONN");
        assert_eq!(errno(net.a.shutdown(now, client, SHUT_RDWR)), "ENOTCONN");
        assert_eq!(errno(net.b.shutdown(now, server, SHUT_RD)), "ENOTCONN");
        assert_eq!(recv(&mut net.b, now, server, 1, 0), "\"\"");
        assert_eq!(send(&mut net.b, now, server, b"x", 0), "EPIPE");
        assert_eq!(said(net.a.try_connect(now, client, &b(domain, 8000))), "EISCONN");
    }
}

#[test]
fn what_comes_after_shut_rd_is_still_given_out() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    net.a.shutdown(net.now, client, SHUT_RD).unwrap();
    assert_eq!(recv(&mut net.a, net.now, client, 9, 0), "\"\"");
    send(&mut net.b, net.now, server, b"abc", 0);
    net.settle();
    assert_eq!(poll(&net.a, client), "IN|OUT|RDHUP");
    assert_eq!(recv(&mut net.a, net.now, client, 9, 0), "\"abc\"");
    assert_eq!(recv(&mut net.a, net.now, client, 9, 0), "\"\"");
}

#[test]
fn linger_of_zero_resets() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    let now = net.now;
    let linger = [1i32.to_ne_bytes(), 0i32.to_ne_bytes()].concat();
    net.b.set_option(now, server, SOL_SOCKET, SO_LINGER, &linger).unwrap();
    send(&mut net.b, now, server, b"zz", 0);
    net.settle();
    net.b.close(now, server).unwrap();
    net.settle();
    assert_eq!(poll(&net.a, client), "IN|OUT|ERR|HUP|RDHUP");
    assert_eq!(recv(&mut net.a, now, client, 9, 0), "\"zz\"");
    assert_eq!(recv(&mut net.a, now, client, 9, 0), "ECONNRESET");
    assert_eq!(recv(&mut net.a, now, client, 9, 0), "\"\"");
    assert_eq!(poll(&net.a, client), "IN|OUT|HUP|RDHUP");
    assert_eq!(send(&mut net.a, now, client, b"x", 0), "EPIPE");
    assert_eq!(errno(net.a.peer_address(client)), "ENOTCONN");
    assert_eq!(errno(net.a.shutdown(now, client, SHUT_RDWR)), "ENOTCONN");
    assert_eq!(said(net.a.try_connect(now, client, &b(AF_INET, 1))), "EISCONN");
}

#[test]
fn unread_data_at_close_resets() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET6);
    let now = net.now;
    send(&mut net.a, now, client, b"unread", 0);
    net.settle();
    net.b.close(now, server).unwrap();
    net.settle();
    assert_eq!(poll(&net.a, client), "IN|OUT|ERR|HUP|RDHUP");
    assert_eq!(send(&mut net.a, now, client, b"x", 0), "ECONNRESET");
    assert_eq!(send(&mut net.a, now, client, b"x", 0), "EPIPE");
    assert_eq!(recv(&mut net.a, now, client, 1, 0), "\"\"");
    assert_eq!(int(&mut net.a, now, client, SOL_SOCKET, SO_ERROR), 0);
}

#[test]
fn sending_to_a_closed_peer() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    let now = net.now;
    net.b.close(now, server).unwrap();
    net.settle();
    assert_eq!(
        (poll(&net.a, client), recv(&mut net.a, now, client, 1, 0)),
        ("IN|OUT|RDHUP".into(), "\"\"".into())
    );
    assert_eq!(send(&mut net.a, now, client, b"x", 0), "1");
    net.settle();
    assert_eq!(send(&mut net.a, now, client, b"x", 0), "EPIPE");
    assert_eq!(recv(&mut net.a, now, client, 1, 0), "\"\"");
}

#[test]
fn a_full_buffer_makes_the_sender_wait() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    let now = net.now;
    let buffer = 50_000;
    assert_eq!(set(&mut net.a, now, client, SOL_SOCKET, SO_SNDBUF, buffer), "OK");
    assert_eq!(int(&mut net.a, now, client, SOL_SOCKET, SO_SNDBUF), 2 * buffer);
    net.plugged = false;
    let space = net.a.send_space(client);
    let mut data = Rope::from(vec![7; space + 10]);
    assert_eq!(net.a.try_send(now, client, &mut data, 0, None), Ok(space));
    assert_eq!((data.len(), net.a.send_space(client)), (10, 0));
    assert_eq!(poll(&net.a, client), "0");
    assert_eq!(said(net.a.try_send(now, client, &mut data, 0, None)), "waits to write");
    assert_eq!(said(net.a.try_send(now, client, &mut data, MSG_DONTWAIT, None)), "EAGAIN");
    assert_eq!(data.len(), 10, "what was not taken stays");
    net.plugged = true;
    let mut read = 0;
    for _ in 0..200 {
        net.sleep(Duration::from_millis(500));
        while let Ok(received) = net.b.try_recv(net.now, server, 1 << 20, MSG_DONTWAIT) {
            read += received.data.len();
        }
    }
    assert_eq!(read, space);
    assert_eq!(poll(&net.a, client), "OUT");
    assert_eq!(net.a.try_send(net.now, client, &mut data, 0, None), Ok(10));
}

#[test]
fn more_and_cork_hold_back_what_fills_no_segment() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    let now = net.now;
    assert_eq!(send(&mut net.a, now, client, b"head ", MSG_MORE), "5");
    net.settle();
    assert_eq!(poll(&net.b, server), "OUT", "nothing was sent");
    assert_eq!(send(&mut net.a, now, client, b"body", 0), "4");
    net.settle();
    assert_eq!(recv(&mut net.b, now, server, 99, 0), "\"head body\"");

    assert_eq!(set(&mut net.a, now, client, SOL_TCP, TCP_CORK, 1), "OK");
    send(&mut net.a, now, client, b"corked", 0);
    net.settle();
    assert_eq!(poll(&net.b, server), "OUT");
    assert_eq!(set(&mut net.a, now, client, SOL_TCP, TCP_CORK, 0), "OK");
    net.settle();
    assert_eq!(recv(&mut net.b, now, server, 99, 0), "\"corked\"");
}

/// The payload's length of each segment with data that `a` has sent since this was asked last, and whether it is pushed.
fn segments(net: &mut Net) -> Vec<(usize, bool)> {
    net.settle();
    let sent = core::mem::take(&mut net.sent).into_iter().map(|packet| {
        let data = 20 + usize::from(packet[32] >> 4) * 4;
        (packet.len() - data, packet[33] & 8 != 0)
    });
    sent.filter(|(len, _)| *len > 0).collect()
}

/// MSG_EOR: what follows begins a segment of its own. What is expected is what Linux 6.18 sends over `lo`.
#[test]
fn records_end_with_their_segments() {
    for (flags, corked, with_more) in
        [(0, vec![(9, true)], vec![7]), (MSG_EOR, vec![(3, true), (4, true), (2, true)], vec![3, 4])]
    {
        let mut net = Net::new();
        let (_, client, server) = net.connected(AF_INET);
        let now = net.now;
        assert_eq!(segments(&mut net), []);
        assert_eq!(set(&mut net.a, now, client, SOL_TCP, TCP_CORK, 1), "OK");
        for (data, flags) in [(&b"abc"[..], flags), (b"defg", flags), (b"hi", 0)] {
            send(&mut net.a, now, client, data, flags);
        }
        assert_eq!(set(&mut net.a, now, client, SOL_TCP, TCP_CORK, 0), "OK");
        assert_eq!(segments(&mut net), corked);
        assert_eq!(set(&mut net.a, now, client, SOL_TCP, TCP_NODELAY, 1), "OK");
        send(&mut net.a, now, client, b"abc", flags | MSG_MORE);
        send(&mut net.a, now, client, b"defg", 0);
        // Linux does not push a record with MSG_MORE, which is no more than a hint.
        let lens: Vec<usize> = segments(&mut net).iter().map(|(len, _)| *len).collect();
        assert_eq!(lens, with_more);
        // Who reads hears nothing of records.
        assert_eq!(recv(&mut net.b, now, server, 99, 0), "\"abcdefghiabcdefg\"");
    }
}

/// Where the send buffer is full, nothing that follows could ever fill the last segment.
#[test]
fn what_fills_the_send_buffer_is_not_held_back() {
    for flags in [0, MSG_MORE] {
        let mut net = Net::new();
        let (_, client, server) = net.connected(AF_INET);
        let now = net.now;
        set(&mut net.a, now, client, SOL_SOCKET, SO_SNDBUF, 2_304);
        set(&mut net.a, now, client, SOL_TCP, TCP_CORK, i32::from(flags == 0));
        assert_eq!(send(&mut net.a, now, client, &[7; 99], flags), "99");
        let mut more = Rope::from(vec![7; 200_000]);
        let taken = net.a.try_send(now, client, &mut more, flags | MSG_DONTWAIT, None).unwrap();
        assert!(!more.is_empty(), "there is no room for all");
        net.settle();
        assert_eq!(net.b.ioctl(server, FIONREAD), Ok(99 + taken as i32));
    }
}

#[test]
fn events_name_the_sockets_that_changed() {
    let mut net = Net::new();
    let (listener, client, server) = net.connected(AF_INET);
    while net.a.poll_event().is_some() || net.b.poll_event().is_some() {}
    send(&mut net.a, net.now, client, b"x", 0);
    net.settle();
    assert!(events(&mut net.b).contains(&server));
    let other = nonblocking(&mut net.a, AF_INET);
    let _ = net.a.try_connect(net.now, other, &b(AF_INET, 8000));
    net.settle();
    assert!(events(&mut net.a).contains(&other));
    assert!(events(&mut net.b).contains(&listener));
    net.b.close(net.now, server).unwrap();
    net.settle();
    assert!(events(&mut net.a).contains(&client));
    assert!(!events(&mut net.b).contains(&server), "a closed socket is not named");
}

#[test]
fn closing_all_lets_connections_finish() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    send(&mut net.b, net.now, server, b"last words", 0);
    net.b.close_all(net.now);
    net.settle();
    assert_eq!(net.b.local_address(server), Err(Errno::BADF));
    assert_eq!(recv(&mut net.a, net.now, client, 99, 0), "\"last words\"");
    assert_eq!(recv(&mut net.a, net.now, client, 99, 0), "\"\"");
}

/// What an application lends leaves in frames as it lies there.
#[test]
fn lent_bytes_are_sent_from_where_they_lie() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    let lent = bytes::Bytes::from(vec![7; 5000]);
    let now = net.now;
    assert_eq!(net.a.try_send(now, client, &mut Rope::from(lent.clone()), 0, None), Ok(5000));
    let mut sent = 0;
    while let Some((_, transmit)) = net.a.stack_mut().poll_transmit(now) {
        for chunk in transmit.payload.chunks() {
            assert_eq!(chunk.as_ptr(), lent[sent..].as_ptr());
            sent += chunk.len();
        }
        net.b.stack_mut().receive(now, tapsock_stack::iface::InterfaceId(1), transmit.to_frame());
    }
    assert_eq!(sent, 5000);
    let piece = net.b.try_recv_piece(now, server, 0).unwrap().data;
    assert_eq!((piece.chunk_count(), piece.len()), (1, 1448), "what came in one frame");
}

/// It is held back as other data are, and what comes then goes in a segment of its own.
#[test]
fn the_end_of_a_record_may_wait_for_more() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    net.sent.clear();
    assert_eq!(send(&mut net.a, net.now, client, b"one", MSG_MORE | MSG_EOR), "3");
    net.settle();
    assert_eq!(recv(&mut net.b, net.now, server, 9, 0), "EAGAIN");
    assert_eq!(send(&mut net.a, net.now, client, b"two", 0), "3");
    net.settle();
    assert_eq!(recv(&mut net.b, net.now, server, 9, 0), "\"onetwo\"");
    let payloads = net.sent.iter().filter(|packet| packet.ends_with(b"one") || packet.ends_with(b"two"));
    assert_eq!(payloads.count(), 2);
}
