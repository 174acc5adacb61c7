//! Raw sockets: copies of packets by reference, packets written by their senders, and errors that come back.

use core::net::{IpAddr, SocketAddr};

use tapsock_stack::buf::Rope;
use tapsock_stack::counters::Counter;
use tapsock_stack::discovery::{Discovery, PathMtuDiscovery};
use tapsock_stack::error::SocketError;
use tapsock_stack::ports::LocalAddr;
use tapsock_stack::raw::{Headers, RawId};
use tapsock_stack::stack::{Changes, Family, RawSendOptions, SendError, SocketId};
use tapsock_stack::udp::{Datagram, RecvError};
use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::icmpv4::Icmpv4Message;
use tapsock_stack::wire::{IpProtocol, Ipv4Header};

use crate::packets::Path;
use crate::wire::{ETH, LINKS, PAIRS, Wire, at, family_of};

/// A number that no protocol of the stack has.
const NOBODYS: u16 = 200;

fn send(wire: &mut Wire, host: usize, id: RawId, data: &[u8], to: &str) -> Result<(), SendError> {
    let now = wire.now;
    wire[host].raw_send(now, id, Rope::from(data), Some(at(to, 0)), RawSendOptions::default())
}

fn open(wire: &mut Wire, host: usize, address: &str, protocol: u16) -> RawId {
    wire[host].raw_open(family_of(address), protocol).unwrap()
}

fn take(wire: &mut Wire, host: usize, id: RawId) -> Datagram {
    wire[host].raw_recv(id).unwrap()
}

#[test]
fn packets_of_any_protocol_go_and_come() {
    for (ours, theirs) in PAIRS {
        let mut wire = Wire::new(2, LINKS[0]);
        let here = open(&mut wire, 0, ours, NOBODYS);
        let there = [open(&mut wire, 1, theirs, NOBODYS), open(&mut wire, 1, theirs, NOBODYS)];
        let other = open(&mut wire, 1, theirs, NOBODYS + 1);
        send(&mut wire, 0, here, b"hello", theirs).unwrap();
        wire.settle();
        assert!(wire.events(1).contains(&SocketId::Raw(there[0])));
        let packets = there.map(|id| take(&mut wire, 1, id));
        for packet in &packets {
            let bytes = packet.payload.to_vec();
            let header = if ours.contains(':') { 0 } else { Ipv4Header::MIN_LEN };
            assert_eq!(bytes[header..], *b"hello", "IPv4 comes with its header");
            assert_eq!(packet.from, at(ours, 0));
            assert_eq!((packet.to, packet.hop_limit), (theirs.parse::<IpAddr>().unwrap(), 64));
        }
        let ends = packets.each_ref().map(|packet| packet.payload.chunks().next().unwrap().as_ptr());
        assert_eq!(ends[0], ends[1], "both have the same bytes");
        assert_eq!(wire[1].raw_recv(other).unwrap_err(), RecvError::WouldBlock);
        assert_eq!(wire.counter(1, Counter::IcmpOutDestUnreachs), 0);
        assert_eq!(wire.counter(1, Counter::Icmp6OutParmProblems), 0);
        for id in there {
            wire[1].raw_close(id);
        }
        assert!(wire[1].raw(there[0]).is_none());
        send(&mut wire, 0, here, b"hello", theirs).unwrap();
        wire.settle();
        let told =
            wire.counter(1, Counter::IcmpOutDestUnreachs) + wire.counter(1, Counter::Icmp6OutParmProblems);
        assert_eq!(told, 1, "now nobody speaks it");
    }
}

#[test]
fn what_the_stack_speaks_itself_is_done_all_the_same() {
    let mut wire = Wire::new(2, LINKS[0]);
    let icmp = open(&mut wire, 0, "10.0.0.1", 1);
    let udp = open(&mut wire, 0, "10.0.0.1", 17);
    let request = Icmpv4Message::EchoRequest(Echo { ident: 7, sequence: 1 });
    wire.inject(0, Path::v4(1, 0).icmpv4(request, b"ping"));
    assert_eq!(take(&mut wire, 0, icmp).payload.to_vec()[20], 8);
    assert_eq!(wire.counter(0, Counter::IcmpOutEchoReps), 1);
    wire.inject(0, Path::v4(1, 0).udp((5, 6), b"data"));
    assert_eq!(take(&mut wire, 0, udp).payload.to_vec()[28..], *b"data");
    assert_eq!(wire.counter(0, Counter::UdpNoPorts), 1);
    assert_eq!(wire.counter(0, Counter::IcmpOutDestUnreachs), 1);
}

#[test]
fn a_ping_program_of_raw_icmp() {
    for (ours, theirs) in PAIRS {
        let mut wire = Wire::new(2, LINKS[0]);
        let v4 = !ours.contains(':');
        let id = open(&mut wire, 0, ours, if v4 { 1 } else { 58 });
        let mut request = vec![if v4 { 8 } else { 128 }, 0, 0, 0, 0, 7, 0, 1];
        request.extend(b"data");
        if v4 {
            // IPv6's checksum is the stack's to fill in.
            let words = request.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
            let sum = words.sum::<u32>();
            request[2..4].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
        }
        send(&mut wire, 0, id, &request, theirs).unwrap();
        wire.settle();
        let reply = core::iter::from_fn(|| wire[0].raw_recv(id).ok())
            .map(|packet| packet.payload.to_vec().split_off(if v4 { 20 } else { 0 }))
            .find(|message| message[0] == if v4 { 0 } else { 129 });
        assert_eq!(reply.expect("a reply")[4..], *b"\0\x07\0\x01data");
        // Of Linux: one that ends before the checksum.
        let short = send(&mut wire, 0, id, &request[..3], theirs);
        assert_eq!(short, if v4 { Ok(()) } else { Err(SendError::Malformed) });
    }
}

#[test]
fn who_writes_the_header_says_what_stands_in_it() {
    let mut wire = Wire::new(2, LINKS[0]);
    let id = open(&mut wire, 0, "10.0.0.1", 255);
    assert_eq!(wire[0].raw(id).map(|socket| socket.headers), Some(Headers::Application));
    let there = open(&mut wire, 1, "10.0.0.1", NOBODYS);
    let mut packet = vec![0x45, 3, 0, 0, 0, 77, 0, 0, 9, NOBODYS as u8, 0, 0, 9, 9, 9, 9, 10, 0, 0, 2];
    packet.extend(b"own");
    send(&mut wire, 0, id, &packet, "10.0.0.2").unwrap();
    wire.settle();
    let got = take(&mut wire, 1, there);
    assert_eq!((got.from, got.hop_limit, got.traffic_class), (at("9.9.9.9", 0), 9, 3));
    let header = Ipv4Header::parse(&got.payload.to_vec()).unwrap();
    assert_eq!((header.identification, header.total_len), (77, 23));
    assert_eq!(send(&mut wire, 0, id, &packet[..19], "10.0.0.2"), Err(SendError::Malformed));
    assert_eq!(send(&mut wire, 0, id, &vec![0x45; 1501], "10.0.0.2"), Err(SendError::TooLong));
    wire[0].raw_mut(id).unwrap().mail.shutdown_write();
    assert_eq!(send(&mut wire, 0, id, &packet, "10.0.0.2"), Err(SendError::ShutDown));
}

#[test]
fn what_is_larger_than_the_path_is_cut_or_refused() {
    for (ours, theirs, header) in [("10.0.0.1", "10.0.0.2", 20), ("fd00::1", "fd00::2", 40)] {
        let mut wire = Wire::new(2, LINKS[1]);
        let id = open(&mut wire, 0, ours, NOBODYS);
        let (mode, there) = (PathMtuDiscovery::Do, open(&mut wire, 1, ours, NOBODYS));
        let payload: Vec<u8> = (0..5000).map(|at| at as u8).collect();
        assert_eq!(send(&mut wire, 0, id, &payload, theirs), Ok(()));
        wire.settle();
        let came = take(&mut wire, 1, there).payload.to_vec();
        assert!(came.ends_with(&payload) && came.len() - payload.len() == if header == 20 { 20 } else { 0 });
        assert_eq!(
            send(&mut wire, 0, id, &vec![0; 65_536 - if header == 20 { 20 } else { 0 }], theirs),
            Err(SendError::TooLong)
        );
        wire[0].raw_mut(id).unwrap().discovery = Discovery { v4: mode, v6: mode };
        assert_eq!(send(&mut wire, 0, id, &vec![0; 1500 - header], theirs), Ok(()));
        assert_eq!(send(&mut wire, 0, id, &vec![0; 1501 - header], theirs), Err(SendError::TooLong));
    }
}

#[test]
fn bound_and_connected_sockets_hear_less() {
    let mut wire = Wire::new(3, LINKS[0]);
    let [bound, connected] = [0, 1].map(|_| open(&mut wire, 0, "10.0.0.1", NOBODYS));
    wire[0].raw_mut(bound).unwrap().bind(LocalAddr::V4([127, 0, 0, 1].into()), Some([127, 0, 0, 1].into()));
    wire[0].raw_connect(connected, Some(at("10.0.0.2", 0))).unwrap();
    assert_eq!(wire[0].raw(connected).unwrap().local(), LocalAddr::V4([10, 0, 0, 1].into()));
    for (from, expected) in [(1, Ok(())), (2, Err(RecvError::WouldBlock))] {
        wire.inject(0, Path::v4(from, 0).raw(IpProtocol(NOBODYS as u8), b"x"));
        assert_eq!(wire[0].raw_recv(bound).map(drop), Err(RecvError::WouldBlock));
        assert_eq!(wire[0].raw_recv(connected).map(drop), expected);
    }
    assert_eq!(wire.counter(0, Counter::IcmpOutDestUnreachs), 1, "the stranger is told");
    wire[0].raw_connect(connected, None).unwrap();
    wire.inject(0, Path::v4(1, 0).raw(IpProtocol(NOBODYS as u8), b"x"));
    assert!(wire[0].raw_recv(connected).is_err(), "as on Linux: it is forgotten");
}

#[test]
fn a_full_queue_drops_and_counts() {
    let mut wire = Wire::new(2, LINKS[0]);
    let id = open(&mut wire, 0, "10.0.0.1", NOBODYS);
    let (now, frame) = (wire.now, Path::v4(1, 0).raw(IpProtocol(NOBODYS as u8), b"x"));
    for _ in 0..1000 {
        wire[0].receive(now, ETH, frame.clone());
    }
    assert_eq!(wire[0].poll_event(), Some((SocketId::Raw(id), Changes::ARRIVAL)));
    assert_eq!(wire[0].poll_event(), None, "told once");
    let got = core::iter::from_fn(|| wire[0].raw_recv(id).ok()).count() as u64;
    assert!((200..256).contains(&got), "{got}");
    assert_eq!(wire.counter(0, Counter::TapsockRawRcvbufErrors), 1000 - got);
    assert_eq!(wire[0].raw(id).unwrap().mail.drops(), 1000 - got);
}

#[test]
fn errors_come_to_who_is_connected() {
    for (ours, theirs) in PAIRS {
        let mut wire = Wire::new(2, LINKS[0]);
        let [connected, not] = [0, 1].map(|_| open(&mut wire, 0, ours, NOBODYS));
        wire[0].raw_connect(connected, Some(at(theirs, 0))).unwrap();
        send(&mut wire, 0, not, b"12345678", theirs).unwrap();
        wire.settle();
        let expected =
            if ours.contains(':') { SocketError::Protocol } else { SocketError::ProtocolUnreachable };
        assert_eq!(wire[0].raw_take_error(connected), Some(expected), "whoever sent it");
        assert_eq!(wire[0].raw_take_error(not), None);
    }
}

#[test]
fn a_lost_link_is_told_once() {
    let mut wire = Wire::new(2, LINKS[0]);
    let [any, connected, own] = [0, 1, 2].map(|_| open(&mut wire, 0, "10.0.0.1", NOBODYS));
    wire[0].raw_connect(connected, Some(at("10.0.0.2", 0))).unwrap();
    wire[0].raw_mut(own).unwrap().bind(LocalAddr::V4([127, 0, 0, 1].into()), Some([127, 0, 0, 1].into()));
    let now = wire.now;
    wire[0].set_link_down(now, ETH);
    for (id, error) in
        [(any, Some(SocketError::NetworkDown)), (connected, Some(SocketError::NetworkDown)), (own, None)]
    {
        assert_eq!(wire[0].raw_take_error(id), error);
        assert_eq!(wire[0].raw_take_error(id), None);
    }
}

/// Who writes headers waits for room in the send buffer; others find no buffers where twice as much is taken.
#[test]
fn a_sender_whose_buffer_is_full_waits_or_is_told() {
    for (headers, full, times) in
        [(Headers::Application, SendError::WouldBlock, 1), (Headers::Stack, SendError::NoBuffers, 2)]
    {
        a_buffer_is_full(headers, full, times);
    }
}

/// What other sockets have waiting for the link holds up who has room of its own: that one waits, and is told.
#[test]
fn a_sender_waits_for_what_others_have_sent() {
    for headers in [Headers::Application, Headers::Stack] {
        let mut wire = Wire::new(2, LINKS[0]);
        let [id, other] = [0, 1].map(|_| open(&mut wire, 0, "10.0.0.1", NOBODYS));
        send(&mut wire, 0, other, b"x", "10.0.0.2").unwrap();
        wire.settle();
        wire[0].raw_set_send_buffer(other, usize::MAX);
        wire[0].raw_mut(id).unwrap().headers = headers;
        let packet = [&[0x45][..], &[0; 59]].concat();
        let send = |wire: &mut Wire, id| {
            let now = wire.now;
            let to = Some(at("10.0.0.2", 0));
            wire[0].raw_send(now, id, Rope::from(packet.clone()), to, RawSendOptions::default())
        };
        while send(&mut wire, other).is_ok() {}
        let _ = wire.events(0);
        assert_eq!(send(&mut wire, id), Err(SendError::WouldBlock));
        assert!(!wire[0].raw_is_writable(id));
        wire.flush();
        assert!(wire.events(0).contains(&SocketId::Raw(id)), "it is told");
        assert_eq!(send(&mut wire, id), Ok(()));
    }
}

fn a_buffer_is_full(headers: Headers, full: SendError, times: usize) {
    let mut wire = Wire::new(2, LINKS[0]);
    let id = open(&mut wire, 0, "10.0.0.1", NOBODYS);
    let stranger = wire[0].raw_open(Family::V4, 3).unwrap();
    // The neighbour has to be known, or packets wait for it.
    send(&mut wire, 0, id, b"x", "10.0.0.2").unwrap();
    wire.settle();
    let _ = wire.events(0);
    let to: SocketAddr = at("10.0.0.2", 0);
    wire[0].raw_mut(id).unwrap().headers = headers;
    let packet = match headers {
        Headers::Application => [&[0x45][..], &[0; 1019]].concat(),
        Headers::Stack => vec![0; 1000],
    };
    let sent = (0..10_000).take_while(|_| {
        let now = wire.now;
        let sent = wire[0].raw_send(now, id, Rope::from(packet.clone()), Some(to), RawSendOptions::default());
        assert!(sent.is_ok() || sent == Err(full));
        sent.is_ok()
    });
    assert_eq!(sent.count(), (times * 212_992).div_ceil(1832));
    let discards = wire.counter(0, Counter::IpOutDiscards);
    assert_eq!(discards, u64::from(headers == Headers::Stack), "what was not sent");
    assert!(!wire[0].raw_is_writable(id) && wire[0].raw_is_writable(stranger));
    wire.settle();
    assert!(wire[0].raw_is_writable(id));
    assert!(wire.events(0).contains(&SocketId::Raw(id)), "it is told");
}
