//! Bounds and offloads of UDP.

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::counters::Counter;
use tapsock_stack::error_queue::{Cause, ErrorDelivery};
use tapsock_stack::stack::{Changes, SendError, SocketId, UdpSendOptions};
use tapsock_stack::udp::{Merged, RecvError, UdpId};
use tapsock_stack::wire::ipv4_options::AnswerOptions;
use tapsock_stack::wire::{IpProtocol, UdpHeader};

use crate::packets::{Path, bytes_of, transport_of};
use crate::udp::bound;
use crate::wire::{Fate, LINKS, PAIRS, Wire, at, family_of};

#[test]
fn a_full_queue_drops_and_counts() {
    let mut wire = Wire::new(2, LINKS[0]);
    let socket = bound(&mut wire, 1, "10.0.0.2", 5000);
    let frame = Path::v4(0, 1).udp((6000, 5000), &[0; 100]);
    for _ in 0..1000 {
        wire.inject(1, frame.clone());
    }
    let queued = wire.counter(1, Counter::UdpInDatagrams);
    assert_eq!(queued, 212_992 / (100 + 832), "Linux's charge for each");
    assert_eq!(wire.counter(1, Counter::UdpRcvbufErrors), 1000 - queued);
    assert_eq!(wire[1].udp(socket).unwrap().mail.drops(), 1000 - queued);
    for _ in 0..queued {
        wire[1].udp_recv(socket).unwrap();
    }
    assert_eq!(wire[1].udp_recv(socket).unwrap_err(), RecvError::WouldBlock);
    wire.inject(1, frame);
    assert!(wire[1].udp_recv(socket).is_ok(), "there is room again");
}

#[test]
fn an_owner_that_polls_late_finds_each_socket_once() {
    let mut wire = Wire::new(2, LINKS[0]);
    let socket = bound(&mut wire, 1, "10.0.0.2", 5000);
    let frame = Path::v4(0, 1).udp((6000, 5000), b"x");
    let now = wire.now;
    for _ in 0..1000 {
        wire[1].receive(now, crate::wire::ETH, frame.clone());
        wire[1].udp_recv(socket).unwrap();
    }
    assert_eq!(wire[1].poll_event(), Some((SocketId::Udp(socket), Changes::ARRIVAL)));
    assert_eq!(wire[1].poll_event(), None);
    wire[1].receive(now, crate::wire::ETH, frame);
    assert_eq!(
        wire[1].poll_event().map(|told| told.0),
        Some(SocketId::Udp(socket)),
        "told again after it was told"
    );
}

//= RFC 8200 §8.1, type=test
//= RFC 8200 §8.1 MUST-4, type=test
#[test]
fn a_zero_checksum_counts_over_ipv4_only() {
    let mut wire = Wire::new(2, LINKS[0]);
    let socket = bound(&mut wire, 1, "10.0.0.2", 5000);
    let socket6 = bound(&mut wire, 1, "fd00::2", 5000);
    for (path, header, id) in [(Path::v4(0, 1), 20, socket), (Path::v6(0, 1), 40, socket6)] {
        let mut bytes = bytes_of(&path.udp((6000, 5000), b"unsummed"));
        let field = 14 + header + UdpHeader::CHECKSUM_OFFSET;
        bytes[field..field + 2].fill(0);
        wire.inject(1, bytes);
        let taken = wire[1].udp_recv(id).is_ok();
        assert_eq!(taken, id == socket);
    }
    assert_eq!(wire.counter(1, Counter::UdpInCsumErrors), 1);
    assert_eq!(wire.counter(1, Counter::UdpInErrors), 1);
}

#[test]
fn udp_segment_cuts_on_every_link() {
    for caps in LINKS {
        for (_, address) in PAIRS.into_iter().chain([("", "127.0.0.1"), ("", "::1")]) {
            let mut wire = Wire::new(2, caps);
            let host = usize::from(PAIRS.iter().any(|(_, there)| *there == address));
            let server = bound(&mut wire, host, address, 5000);
            let client = wire[0].udp_open(family_of(address));
            let payload: Vec<u8> = (0..10_050).map(|n| n as u8).collect();
            let now = wire.now;
            let options = UdpSendOptions { segment_size: Some(1000), ..UdpSendOptions::default() };
            wire.sniffing = true;
            wire[0]
                .udp_send(now, client, Rope::from(&payload[..]), Some(at(address, 5000)), options)
                .unwrap();
            wire.settle();
            for part in payload.chunks(1000) {
                let datagram = wire[host].udp_recv(server).unwrap();
                assert_eq!(datagram.payload.to_vec(), part);
                assert_eq!(datagram.segment_size, None);
            }
            assert_eq!(wire[host].udp_recv(server).unwrap_err(), RecvError::WouldBlock);
            assert_eq!(wire.counter(host, Counter::UdpInDatagrams), 11);
            let sent = wire.seen.iter().filter(|(_, f)| transport_of(f, IpProtocol::UDP).is_some()).count();
            assert_eq!(
                sent,
                if host == 0 {
                    0
                } else if caps.udp_gso {
                    1
                } else {
                    11
                }
            );
        }
    }
}

#[test]
fn udp_gro_gives_merged_datagrams_whole() {
    let mut wire = Wire::new(2, LINKS[1]);
    let server = bound(&mut wire, 1, "10.0.0.2", 5000);
    wire[1].udp_mut(server).unwrap().merged = Merged::Whole;
    let client = wire[0].udp_open(family_of("10.0.0.2"));
    let now = wire.now;
    let options = UdpSendOptions { segment_size: Some(1000), ..UdpSendOptions::default() };
    let to = Some(at("10.0.0.2", 5000));
    wire[0].udp_send(now, client, Rope::from(vec![7; 4500]), to, options).unwrap();
    wire.settle();
    let datagram = wire[1].udp_recv(server).unwrap();
    assert_eq!((datagram.payload.len(), datagram.segment_size), (4500, Some(1000)));
    for (len, size, error) in [
        (200_000, 1000, SendError::TooLong),
        (3000, 1473, SendError::TooLong),
        (1290, 10, SendError::TooManySegments),
    ] {
        let options = UdpSendOptions { segment_size: Some(size), ..UdpSendOptions::default() };
        let outcome = wire[0].udp_send(now, client, Rope::from(vec![7; len]), to, options);
        assert_eq!(outcome, Err(error), "{len} {size}");
    }
}

/// Linux 6.18's answers. Options of IPv4 count against its header's length field, of all segments of a call together.
#[test]
fn options_leave_less_room_for_payload() {
    let options = AnswerOptions::new(&[1; 40]).unwrap();
    for (len, size, outcome) in [
        (65_467, None, Ok(())),
        (65_468, None, Err((SendError::TooLong, Some(1460)))),
        (65_507, None, Err((SendError::TooLong, Some(1460)))),
        (65_508, None, Err((SendError::TooLong, Some(1460)))),
        (65_536, None, Err((SendError::TooLong, None))),
        (65_467, Some(1400), Ok(())),
        (65_468, Some(1400), Err((SendError::TooLong, Some(65_495)))),
        (65_467, Some(100), Err((SendError::TooManySegments, None))),
        (65_468, Some(100), Err((SendError::TooLong, Some(65_495)))),
    ] {
        let mut wire = Wire::new(2, LINKS[0]);
        let server = bound(&mut wire, 1, "10.0.0.2", 5000);
        let (to, now) = (Some(at("10.0.0.2", 5000)), wire.now);
        let options = UdpSendOptions { ip_options: options, segment_size: size, ..UdpSendOptions::default() };
        let client = wire[0].udp_open(family_of("10.0.0.2"));
        wire[0].udp_mut(client).unwrap().error_delivery.v4 = ErrorDelivery::All;
        let told = |wire: &mut Wire, error| match wire[0].udp_take_report(client).map(|report| report.cause) {
            Some(Cause::Local { info, .. }) => (error, Some(info)),
            _ => (error, None),
        };
        let held = wire[0].udp_hold(now, client, (None, len), to, options);
        let held = held.map_err(|error| told(&mut wire, error));
        let late = matches!(outcome, Err((SendError::TooManySegments, _)));
        assert_eq!(held, if late { Ok(()) } else { outcome }, "{len} {size:?}, held back");
        if held.is_ok() {
            wire[0].udp_give_up(client, len);
        }
        let sent = wire[0].udp_send(now, client, Rope::from(vec![7; len]), to, options);
        assert_eq!(sent.map_err(|error| told(&mut wire, error)), outcome, "{len} {size:?}");
        wire.settle();
        let arrived = core::iter::from_fn(|| wire[1].udp_recv(server).ok()).map(|it| it.payload.len());
        assert_eq!(arrived.sum::<usize>(), if outcome.is_ok() { len } else { 0 }, "{len} {size:?}");
    }
}

#[test]
fn a_sender_faster_than_the_link_is_told_to_wait() {
    let mut wire = Wire::new(2, LINKS[0]);
    let server = bound(&mut wire, 1, "10.0.0.2", 5000);
    let client = wire[0].udp_open(family_of("10.0.0.2"));
    // What bounds it here is the queue of all sockets.
    wire[0].udp_set_send_buffer(client, usize::MAX);
    let to = Some(at("10.0.0.2", 5000));
    let options = UdpSendOptions::default();
    let now = wire.now;
    wire[0].udp_send(now, client, Rope::from(vec![1]), to, options).unwrap();
    wire.settle();
    wire[1].udp_recv(server).unwrap();
    wire.events(0);
    let now = wire.now;
    let mut taken = 0;
    while wire[0].udp_send(now, client, Rope::from(vec![1]), to, options).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 1024, "the queue is bounded");
    assert!(!wire[0].udp_is_writable(client));
    for _ in 0..5000 {
        let outcome = wire[0].udp_send(now, client, Rope::from(vec![1]), to, options);
        assert_eq!(outcome, Err(SendError::WouldBlock));
    }
    wire.flush();
    assert_eq!(wire.events(0), [SocketId::Udp(client)], "told once that there is room");
    assert!(wire[0].udp_is_writable(client));
}

/// The queue of all sockets is full: `idle`, which never sent, finds that out by asking alone.
fn full(wire: &mut Wire, idle: UdpId) {
    let to = Some(at("10.0.0.2", 5000));
    let now = wire.now;
    while wire[0].udp_is_writable(idle) {
        let other = wire[0].udp_open(family_of("10.0.0.2"));
        while wire[0].udp_send(now, other, Rope::from(vec![1]), to, UdpSendOptions::default()).is_ok() {}
    }
    while wire[0].poll_event().is_some() {}
}

/// What `idle` is told while the queue empties.
fn told_of_room(wire: &mut Wire, idle: UdpId) -> usize {
    wire.flush();
    assert!(wire[0].udp_is_writable(idle));
    wire.events(0).iter().filter(|event| **event == SocketId::Udp(idle)).count()
}

#[test]
fn who_only_asks_for_room_is_told_of_it() {
    let mut wire = Wire::new(2, LINKS[0]);
    let idle = wire[0].udp_open(family_of("10.0.0.2"));
    bound(&mut wire, 1, "10.0.0.2", 5000);
    wire.neighbors();
    full(&mut wire, idle);
    assert_eq!(told_of_room(&mut wire, idle), 1);
    // Who asks when there is room, or not at all, is left alone.
    full(&mut wire, idle);
    wire.flush();
    wire.events(0);
    wire.flush();
    assert_eq!(wire.events(0), []);
}

/// Its own buffer has room again while the queue of all is full once more: told of the first, it finds the second,
/// and is told of that too.
#[test]
fn room_in_both_queues_is_waited_for() {
    let mut wire = Wire::new(2, LINKS[0]);
    bound(&mut wire, 1, "10.0.0.2", 5000);
    wire.neighbors();
    let (to, now) = (Some(at("10.0.0.2", 5000)), wire.now);
    let idle = wire[0].udp_open(family_of("10.0.0.2"));
    wire[0].udp_set_send_buffer(idle, 1);
    wire[0].udp_send(now, idle, Rope::from(vec![1]), to, UdpSendOptions::default()).unwrap();
    let probe = wire[0].udp_open(family_of("10.0.0.2"));
    full(&mut wire, probe);
    assert!(!wire[0].udp_is_writable(idle));
    wire[0].poll_transmit(now).expect("its datagram, the first of all");
    assert_eq!(wire[0].poll_event(), Some((SocketId::Udp(idle), Changes::ROOM)), "its own buffer");
    let other = wire[0].udp_open(family_of("10.0.0.2"));
    wire[0].udp_send(now, other, Rope::from(vec![1]), to, UdpSendOptions::default()).unwrap();
    assert!(!wire[0].udp_is_writable(idle));
    assert_eq!(told_of_room(&mut wire, idle), 1);
}

#[test]
fn a_datagram_longer_than_its_field_says_is_cut() {
    let mut wire = Wire::new(2, LINKS[0]);
    let socket = bound(&mut wire, 1, "10.0.0.2", 5000);
    wire.filter(|_, _| Fate::Lose);
    let mut bytes = bytes_of(&Path::v4(0, 1).udp((6000, 5000), b"payload"));
    // Link padding, as on a short Ethernet frame.
    bytes.extend([0xee; 11]);
    wire.inject(1, Frame::from(bytes));
    assert_eq!(wire[1].udp_recv(socket).unwrap().payload.to_vec(), b"payload");
}
