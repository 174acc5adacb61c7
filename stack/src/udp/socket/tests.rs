use super::*;

const BUFFER: usize = 212_992;

fn datagram(payload: &[u8], segment_size: Option<u16>) -> Datagram {
    Datagram {
        payload: Rope::from(payload),
        from: "10.0.0.2:5000".parse().unwrap(),
        to: "10.0.0.1".parse().unwrap(),
        to_port: 53,
        interface: InterfaceId::LOOPBACK,
        hop_limit: 64,
        traffic_class: 0,
        flow_label: 0,
        segment_size,
        arrived: Instant::ZERO,
        drops_before: 0,
        ip_options: None,
    }
}

fn deliver(socket: &mut UdpSocket, payload: &[u8]) -> Delivery {
    socket.deliver(datagram(payload, None))
}

fn received(socket: &mut UdpSocket) -> Vec<(Vec<u8>, Option<u16>)> {
    core::iter::from_fn(|| socket.recv().ok())
        .map(|datagram| (datagram.payload.to_vec(), datagram.segment_size))
        .collect()
}

/// How many datagrams of which size Linux 6.18 takes into a buffer of which size. It charges by the size of its
/// allocations, so that there is no formula for the sizes between.
#[test]
fn takes_as_many_as_linux() {
    for (buffer, size, count) in [
        (2304, 1, 2),
        (2304, 1472, 1),
        (4608, 0, 5),
        (4608, 1472, 2),
        (8192, 1, 9),
        (8192, 1472, 3),
        (20_000, 0, 24),
        (20_000, 1472, 8),
        (20_000, 60_000, 1),
        (BUFFER, 0, 256),
        (BUFFER, 1472, 92),
        (BUFFER, 60_000, 3),
    ] {
        let mut socket = UdpSocket::new(buffer);
        let payload = vec![0; size];
        let taken = (0..1000).filter(|_| deliver(&mut socket, &payload).queued == 1).count();
        assert_eq!(taken, count, "{buffer} {size}");
        assert_eq!(socket.mail.drops(), 1000 - taken as u64);
        assert_eq!(socket.mail.queued_bytes(), taken * (size + OVERHEAD));
    }
}

#[test]
fn reading_makes_room() {
    let mut socket = UdpSocket::new(2 * OVERHEAD + 2);
    assert_eq!(deliver(&mut socket, b"a"), Delivery { queued: 1, dropped: 0 });
    assert_eq!(deliver(&mut socket, b"b"), Delivery { queued: 1, dropped: 0 });
    assert_eq!(deliver(&mut socket, b"c"), Delivery { queued: 0, dropped: 1 });
    assert_eq!(socket.mail.next_len(), 1);
    assert_eq!(socket.mail.peek().unwrap().payload.to_vec(), b"a");
    assert_eq!(socket.recv().unwrap().payload.to_vec(), b"a");
    assert_eq!(deliver(&mut socket, b"d"), Delivery { queued: 1, dropped: 0 });
    assert_eq!(received(&mut socket), [(b"b".to_vec(), None), (b"d".to_vec(), None)]);
    assert_eq!((socket.mail.queued_bytes(), socket.mail.next_len()), (0, 0));
}

#[test]
fn merged_datagrams_are_split_unless_asked_for_whole() {
    let mut socket = UdpSocket::new(BUFFER);
    let delivery = socket.deliver(datagram(b"aaabbbc", Some(3)));
    assert_eq!(delivery, Delivery { queued: 3, dropped: 0 });
    assert_eq!(
        received(&mut socket),
        [(b"aaa".to_vec(), None), (b"bbb".to_vec(), None), (b"c".to_vec(), None)]
    );

    socket.merged = Merged::Whole;
    let delivery = socket.deliver(datagram(b"aaabbb", Some(3)));
    assert_eq!(delivery, Delivery { queued: 2, dropped: 0 });
    assert_eq!(received(&mut socket), [(b"aaabbb".to_vec(), Some(3))]);

    // Switched off with one in the queue: it comes whole, and says nothing of its parts.
    let _ = socket.deliver(datagram(b"aaabbb", Some(3)));
    socket.merged = Merged::Split;
    assert_eq!(received(&mut socket), [(b"aaabbb".to_vec(), None)]);
}

#[test]
fn segments_without_room_are_counted_one_by_one() {
    let mut socket = UdpSocket::new(2 * (OVERHEAD + 3));
    assert_eq!(socket.deliver(datagram(b"aaabbbcccd", Some(3))), Delivery { queued: 2, dropped: 2 });
    socket.merged = Merged::Whole;
    assert_eq!(socket.deliver(datagram(b"aaabbbcccd", Some(3))), Delivery { queued: 0, dropped: 4 });
    assert_eq!(socket.mail.drops(), 6);
}

#[test]
fn nonsensical_segment_sizes_split_nothing() {
    for (payload, size) in [(&b"abc"[..], 0), (b"abc", 3), (b"abc", 9), (b"", 3)] {
        let mut socket = UdpSocket::new(BUFFER);
        assert_eq!(socket.deliver(datagram(payload, Some(size))), Delivery { queued: 1, dropped: 0 });
        assert_eq!(received(&mut socket), [(payload.to_vec(), None)]);
    }
}

#[test]
fn the_pending_error_comes_before_data_and_once() {
    let mut socket = UdpSocket::new(BUFFER);
    socket.remote = Some("10.0.0.2:5000".parse().unwrap());
    let _ = deliver(&mut socket, b"q");
    let peer = "10.0.0.2".parse().unwrap();
    assert!(socket.on_icmp_error(peer, SocketError::ConnectionRefused, Hardness::Hard));
    assert!(socket.mail.has_error() && socket.mail.is_readable());
    assert_eq!(socket.recv().unwrap_err(), RecvError::Error(SocketError::ConnectionRefused));
    assert_eq!(socket.recv().unwrap().payload.to_vec(), b"q");
    assert_eq!(socket.recv().unwrap_err(), RecvError::WouldBlock);

    socket.mail.fail(SocketError::NetworkDown);
    assert_eq!(socket.mail.take_error(), Some(SocketError::NetworkDown));
    assert_eq!(socket.mail.take_error(), None);
}

//= RFC 1122 §4.1.3.3, type=test
#[test]
fn icmp_errors_reach_those_who_can_tell_whom_they_concern() {
    let cases = [
        (false, ErrorDelivery::HardWhenConnected, Hardness::Hard, false),
        (true, ErrorDelivery::HardWhenConnected, Hardness::Hard, true),
        (true, ErrorDelivery::HardWhenConnected, Hardness::Soft, false),
        (false, ErrorDelivery::All, Hardness::Hard, true),
        (false, ErrorDelivery::All, Hardness::Soft, true),
    ];
    for (connected, error_delivery, hardness, heard) in cases {
        let mut socket = UdpSocket::new(BUFFER);
        socket.remote = connected.then(|| "10.0.0.2:5000".parse().unwrap());
        socket.error_delivery.v4 = error_delivery;
        let peer = "10.0.0.2".parse().unwrap();
        assert_eq!(socket.on_icmp_error(peer, SocketError::HostUnreachable, hardness), heard);
        assert_eq!(socket.mail.has_error(), heard);
    }
}

/// As on Linux 6.18.
#[test]
fn a_socket_shut_down_for_reading_still_receives() {
    let mut socket = UdpSocket::new(BUFFER);
    let _ = deliver(&mut socket, b"early");
    socket.mail.shutdown_read();
    assert!(socket.mail.is_read_shut() && !socket.mail.is_write_shut());
    assert_eq!(socket.recv().unwrap().payload.to_vec(), b"early");
    assert_eq!(socket.recv().unwrap_err(), RecvError::Shutdown);
    let _ = deliver(&mut socket, b"late");
    assert_eq!(socket.recv().unwrap().payload.to_vec(), b"late");
    socket.mail.shutdown_write();
    assert!(socket.mail.is_write_shut());
}
