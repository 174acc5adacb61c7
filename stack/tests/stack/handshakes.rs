//! What a SYN says: initial numbers, segment sizes and options.

use core::time::Duration;
use std::collections::HashSet;

use tapsock_stack::buf::Rope;
use tapsock_stack::config::Config;
use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::Stack;
use tapsock_stack::tcp::SeqNumber;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::offload::{LinkCaps, Medium};
use tapsock_stack::wire::{IpProtocol, TcpFlags, TcpHeader};

use crate::packets::{Path, tcp_of, transport_of};
use crate::transfer::{Flow, finish};
use crate::wire::{Fate, LINKS, PAIRS, Wire, at};

/// The number that a host of `seed` begins a connection from `port` to port 2000 with.
fn initial_number(seed: u64, now: Instant, port: u16) -> SeqNumber {
    let mut stack = Stack::new(Config::default(), seed, Instant::ZERO);
    let local = LocalAddr::new("127.0.0.1".parse().unwrap(), 0);
    let bind = stack.bind(BindRequest { port, ..BindRequest::new(Transport::Tcp, local) }).unwrap();
    let options = stack.config().tcp_options();
    let id = stack.tcp_connect(now, Some(bind), at("127.0.0.1", 2000), options).unwrap();
    stack.tcp(id).unwrap().acknowledged()
}

//= RFC 9293 MUST-8, type=test
//= RFC 6528 §3, type=test
#[test]
fn initial_numbers_follow_a_clock() {
    let start = Instant::from_secs(1000);
    let first = initial_number(1, start, 3000);
    for millis in [0, 1, 50, 1000] {
        let later = initial_number(1, start + Duration::from_millis(millis), 3000);
        assert_eq!(later - first, millis as i32 * 15_625, "one for each 64 ns, as in Linux");
    }
}

//= RFC 9293 MUST-9, type=test
//= RFC 9293 SHLD-1, type=test
//= RFC 6528 §3 MUST-1, type=test
#[test]
fn initial_numbers_depend_on_the_tuple_and_on_a_secret() {
    let now = Instant::from_secs(1000);
    let of_hosts: HashSet<u32> = (0..50).map(|seed| initial_number(seed, now, 3000).value()).collect();
    let of_ports: HashSet<u32> = (0..50).map(|n| initial_number(1, now, 3000 + n).value()).collect();
    assert_eq!((of_hosts.len(), of_ports.len()), (50, 50));
    // What one tuple is told says nothing of another's, but for those who know the secret.
    let apart = |seed| initial_number(seed, now, 3001) - initial_number(seed, now, 3000);
    let distances: HashSet<i32> = (0..50).map(apart).collect();
    assert_eq!(distances.len(), 50);
}

/// SYN and SYN-ACK of a connection over a link of `mtu`.
fn handshake(mtu: usize, address: &str) -> Vec<TcpHeader> {
    let mut wire = Wire::new(2, LinkCaps::plain(Medium::Ethernet, mtu));
    wire.sniffing = true;
    wire.pair(1, address);
    let headers = wire.seen.iter().filter_map(|(_, frame)| tcp_of(frame)).map(|(header, _)| header);
    headers.filter(|header| header.flags.contains(TcpFlags::SYN)).collect()
}

//= RFC 9293 MUST-67, type=test
//= RFC 9293 SHLD-5, type=test
//= RFC 9293 MAY-3, type=test
#[test]
fn the_segment_size_is_what_the_link_takes_and_is_told_even_where_it_is_the_default() {
    for (_, address) in PAIRS {
        let (headers, default) = if address.contains(':') { (60, 1220) } else { (40, 536) };
        for mtu in [default + headers, 1500, 9000] {
            let told: Vec<_> = handshake(mtu, address).iter().map(|header| header.options.mss).collect();
            let mss = Some((mtu - headers) as u16);
            assert_eq!(told, [mss, mss], "{address} over {mtu}");
        }
    }
}

/// The kinds of the options in a segment's header. Each but the last and the filler says how long it is.
fn option_kinds(segment: &[u8]) -> Vec<u8> {
    const MSS: u8 = 2;
    let mut rest = &segment[20..usize::from(segment[12] >> 4) * 4];
    let mut kinds = Vec::new();
    while let [kind, after @ ..] = rest {
        match *kind {
            0 => {
                assert!(after.iter().all(|byte| *byte == 0), "zeros follow the end");
                break;
            }
            1 => rest = after,
            kind => {
                let len = usize::from(after[0]);
                let expected = match kind {
                    MSS => 4,
                    3 => 3,
                    4 => 2,
                    5 => 2 + (len - 2) / 8 * 8,
                    8 => 10,
                    other => panic!("option {other}"),
                };
                assert_eq!(len, expected, "option {kind}");
                rest = &rest[len..];
                kinds.push(kind);
            }
        }
    }
    assert_eq!(
        kinds.contains(&MSS),
        segment[13] & 2 != 0,
        "the segment size stands in every SYN, and only there"
    );
    kinds
}

//= RFC 9293 MUST-65, type=test
//= RFC 9293 MUST-68, type=test
//= RFC 9293 MUST-69, type=test
#[test]
fn options_of_whole_connections_are_in_order() {
    let mut kinds = HashSet::new();
    for settings in 0..8 {
        let mut config = Config::default();
        for (bit, name) in ["tcp_sack", "tcp_timestamps", "tcp_window_scaling"].into_iter().enumerate() {
            let value = if settings & (1 << bit) == 0 { "0" } else { "1" };
            config.set(&format!("net.ipv4.{name}"), value).unwrap();
        }
        let mut wire = Wire::with_config(2, LINKS[0], &config);
        wire.sniffing = true;
        let mut count = 0u32;
        wire.filter(move |_, frame| {
            count += u32::from(tcp_of(frame).is_some_and(|(_, len)| len > 0));
            if count % 19 == 18 { Fate::Lose } else { Fate::Pass }
        });
        let mut flows = Flow::both(wire.pair(1, "10.0.0.2"), 1, 200_000);
        finish(&mut wire, &mut flows, Duration::from_secs(60));
        let segments = wire.seen.iter().filter_map(|(_, frame)| transport_of(frame, IpProtocol::TCP));
        kinds.extend(segments.flat_map(option_kinds));
    }
    assert_eq!(kinds, HashSet::from([2, 3, 4, 5, 8]), "all that we know were seen");
}

//= RFC 9293 MUST-15, type=test
#[test]
fn a_peer_that_names_no_segment_size_gets_the_default_of_its_family() {
    for (address, default) in [("10.0.0.2", 536), ("fd00::2", 1220)] {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.pair(1, address);
        let listener = wire.listen(1, address, 2000, 8);
        wire.sniffing = true;
        wire.filter(|_, _| Fate::Lose);
        let syn = TcpHeader {
            source_port: 10_000,
            destination_port: 2000,
            sequence: 77,
            flags: TcpFlags::SYN,
            window: 60_000,
            ..TcpHeader::default()
        };
        wire.inject(1, Path::of_family(address, 0, 1).tcp(&syn, &[]));
        let answer = tcp_of(&wire.seen.last().unwrap().1).unwrap().0;
        let (sequence, acknowledgment) = (78, answer.sequence.wrapping_add(1));
        let ack = TcpHeader { flags: TcpFlags::ACK, sequence, acknowledgment, ..syn };
        wire.inject(1, Path::of_family(address, 0, 1).tcp(&ack, &[]));
        let id = wire[1].tcp_accept(listener).unwrap();
        let now = wire.now;
        wire[1].tcp_write(now, id, Rope::from(vec![1; 3000])).unwrap();
        wire.seen.clear();
        wire.flush();
        let largest = wire.seen.iter().filter_map(|(_, frame)| tcp_of(frame)).map(|(_, len)| len).max();
        assert_eq!(largest, Some(default), "{address}");
    }
}
