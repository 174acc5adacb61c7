//! Packets that come in parts.

use core::time::Duration;

use tapsock_stack::buf::Frame;
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::ip::cutting::cut;
use tapsock_stack::udp::{RecvError, UdpId};
use tapsock_stack::wire::offload::Transmit;
use tapsock_stack::wire::{EtherType, EthernetHeader, IpProtocol};

use crate::malformed::mend_v4;
use crate::packets::{Path, bytes_of, packet_of};
use crate::udp::bound;
use crate::wire::{LINKS, PAIRS, Wire};

const PORT: u16 = 5000;

/// Each family's path from host 0 to host 1, and its counters of whole packets, of failures and of time-outs.
const FAMILIES: [(&str, Counter, Counter, Counter); 2] = [
    (PAIRS[0].1, Counter::IpReasmOKs, Counter::IpReasmFails, Counter::IpReasmTimeout),
    (PAIRS[1].1, Counter::Ip6ReasmOKs, Counter::Ip6ReasmFails, Counter::Ip6ReasmTimeout),
];

/// A datagram of `len` bytes for `address` in parts of packets of at most `mtu`.
fn parts(address: &str, len: usize, mtu: usize, identification: u16) -> Vec<Vec<u8>> {
    let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
    let whole = Path::of_family(address, 0, 1).udp((6000, PORT), &payload);
    let link = &bytes_of(&whole)[..EthernetHeader::LEN];
    let mut headers = tapsock_stack::buf::HeaderBlock::new();
    let packet = packet_of(&whole);
    let header = if address.contains(':') { 40 } else { 20 };
    headers.prepend(header).copy_from_slice(&packet[..header]);
    if header == 20 {
        headers.as_mut_slice()[4..6].copy_from_slice(&identification.to_be_bytes());
    }
    let payload = tapsock_stack::buf::Rope::from(packet[header..].to_vec());
    let whole = Transmit { headers, payload, checksum: None, segmentation: None };
    let parts = cut(whole, mtu, identification.into());
    parts.map(|part| [link, &part.to_frame().bytes].concat()).collect()
}

fn received(wire: &mut Wire, socket: UdpId) -> Result<usize, RecvError> {
    wire[1].udp_recv(socket).map(|datagram| datagram.payload.len())
}

//= RFC 815 §3, type=test
//= RFC 1122 §3.2.1.4 MUST-1, type=test
//= RFC 1122 §3.3.2 MUST-1, type=test
//= RFC 1122 §3.3.2 MUST-2, type=test
//= RFC 1122 §3.3.2 SHLD-1, type=test
//= RFC 8200 §5 MUST-4, type=test
#[test]
fn the_order_in_which_parts_come_does_not_matter() {
    for (address, whole, ..) in FAMILIES {
        let mut wire = Wire::new(2, LINKS[0]);
        let socket = bound(&mut wire, 1, address, PORT);
        let parts = parts(address, 4000, 1300, 7);
        assert_eq!(parts.len(), 4);
        let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]];
        for order in orders {
            for (count, index) in order.into_iter().enumerate() {
                assert_eq!(received(&mut wire, socket), Err(RecvError::WouldBlock), "{count} parts");
                wire.inject(1, parts[index].clone());
                // What comes twice changes nothing.
                if count < 3 {
                    wire.inject(1, parts[index].clone());
                }
            }
            let datagram = wire[1].udp_recv(socket).unwrap();
            let payload = datagram.payload.to_vec();
            assert!(
                payload.len() == 4000
                    && payload.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8)
            );
        }
        assert_eq!(wire.counter(1, whole), orders.len() as u64);
    }
}

#[test]
fn parts_of_other_packets_do_not_mix() {
    for (address, whole, ..) in FAMILIES {
        let mut wire = Wire::new(2, LINKS[0]);
        let socket = bound(&mut wire, 1, address, PORT);
        let [one, two] = [7, 8].map(|identification| parts(address, 2000, 1300, identification));
        wire.inject(1, one[0].clone());
        wire.inject(1, two[1].clone());
        assert_eq!(received(&mut wire, socket), Err(RecvError::WouldBlock));
        wire.inject(1, two[0].clone());
        wire.inject(1, one[1].clone());
        assert_eq!([received(&mut wire, socket), received(&mut wire, socket)], [Ok(2000); 2]);
        assert_eq!(wire.counter(1, whole), 2);
    }
}

/// A packet in one fragment is whole, whatever of the same name is not, and costs that nothing.
//= RFC 6946 §4, type=test
#[test]
fn a_packet_in_one_fragment_waits_for_none_of_its_name() {
    let (address, whole, fails, _) = FAMILIES[1];
    let mut wire = Wire::new(2, LINKS[0]);
    let socket = bound(&mut wire, 1, address, PORT);
    let parts = parts(address, 2000, 1300, 7);
    wire.inject(1, parts[0].clone());
    let mut atomic = Path::of_family(address, 0, 1).udp((6000, PORT), &[9; 100]).bytes.to_vec();
    let header = [atomic[20], 0, 0, 0, 0, 0, 0, 7];
    atomic.splice(54..54, header);
    atomic[20] = 44;
    atomic[18..20].copy_from_slice(&(8 + 8 + 100u16).to_be_bytes());
    assert_eq!(parts[0][58..62], atomic[58..62], "of the same name");
    wire.inject(1, atomic);
    assert_eq!(received(&mut wire, socket), Ok(100));
    wire.inject(1, parts[1].clone());
    assert_eq!(received(&mut wire, socket), Ok(2000));
    assert_eq!((wire.counter(1, whole), wire.counter(1, fails)), (1, 0));
}

/// Parts that speak of the same bytes, but not as the same part again, cost the whole packet.
//= RFC 5722 §4, type=test
//= RFC 8200 §4.5, type=test
//= RFC 8200 §4.5 MUST-10, type=test
//= RFC 8200 §4.5 MUST-11, type=test
#[test]
fn parts_that_overlap_are_given_up_together() {
    for (address, whole, fails, _) in FAMILIES {
        let mut wire = Wire::new(2, LINKS[0]);
        let socket = bound(&mut wire, 1, address, PORT);
        let coarse = parts(address, 4000, 1300, 7);
        let fine = parts(address, 4000, 1284, 7);
        wire.inject(1, coarse[0].clone());
        wire.inject(1, coarse[2].clone());
        wire.inject(1, fine[1].clone());
        assert_eq!(wire.counter(1, fails), 1);
        // The rest makes no packet of it any more.
        wire.inject(1, coarse[1].clone());
        wire.inject(1, coarse[3].clone());
        assert_eq!(received(&mut wire, socket), Err(RecvError::WouldBlock));
        assert_eq!(wire.counter(1, whole), 0);
        assert_eq!(wire.counter(1, Counter::IpExtReasmOverlaps), u64::from(!address.contains(':')));
    }
}

//= RFC 1122 §3.3.2, type=test
//= RFC 8200 §4.5, type=test
//= RFC 1122 §3.3.2 MUST-4, type=test
//= RFC 1122 §3.3.2 SHLD-2, type=test
//= RFC 8200 §4.5 MUST-6, type=test
//= RFC 8200 §4.5 MUST-7, type=test
#[test]
fn what_does_not_become_whole_in_time_is_given_up() {
    for (address, _, fails, timeouts) in FAMILIES {
        let (v6, counter) = match address.contains(':') {
            true => (true, Counter::Icmp6OutTimeExcds),
            false => (false, Counter::IcmpOutTimeExcds),
        };
        for (first_came, told) in [(true, 1), (false, 0)] {
            let mut wire = Wire::new(2, LINKS[0]);
            bound(&mut wire, 1, address, PORT);
            wire.neighbors();
            let parts = parts(address, 4000, 1300, 7);
            wire.inject(1, parts[if first_came { 0 } else { 1 }].clone());
            let time = Duration::from_secs(if v6 { 60 } else { 30 });
            wire.run_for(time - Duration::from_millis(1));
            assert_eq!(wire.counter(1, timeouts), 0);
            wire.run_for(Duration::from_millis(2));
            assert_eq!((wire.counter(1, timeouts), wire.counter(1, fails)), (1, 1));
            assert_eq!(wire.counter(1, counter), told, "{address}");
            // The rest comes too late.
            wire.inject(1, parts[1].clone());
            assert_eq!(wire.counter(1, timeouts), 1);
        }
    }
}

#[test]
fn memory_is_bounded() {
    for (address, _, fails, _) in FAMILIES {
        let config = Config {
            ipfrag_high_thresh: 100_000,
            ipfrag_low_thresh: 50_000,
            ip6frag_high_thresh: 100_000,
            ip6frag_low_thresh: 50_000,
            ..Config::default()
        };
        let mut wire = Wire::with_config(2, LINKS[0], &config);
        let socket = bound(&mut wire, 1, address, PORT);
        for identification in 0..1000 {
            wire.inject(1, parts(address, 2000, 1300, identification)[0].clone());
        }
        let given_up = wire.counter(1, fails);
        assert!((940..990).contains(&given_up), "{given_up}");
        // The oldest went; the latest is there yet.
        wire.inject(1, parts(address, 2000, 1300, 999)[1].clone());
        assert_eq!(received(&mut wire, socket), Ok(2000));
        wire.inject(1, parts(address, 2000, 1300, 0)[1].clone());
        assert_eq!(received(&mut wire, socket), Err(RecvError::WouldBlock));
    }
}

/// What fills packets that have begun counts as what begins others.
#[test]
fn memory_is_bounded_for_packets_that_are_known() {
    const MANY: u32 = 20;
    for (address, _, fails, _) in FAMILIES {
        let config = Config {
            ipfrag_high_thresh: 100_000,
            ipfrag_low_thresh: 50_000,
            ip6frag_high_thresh: 100_000,
            ip6frag_low_thresh: 50_000,
            ..Config::default()
        };
        let mut wire = Wire::with_config(2, LINKS[0], &config);
        let socket = bound(&mut wire, 1, address, PORT);
        let packets: Vec<_> = (0..MANY).map(|name| parts(address, 20_000, 1300, name as _)).collect();
        let last = packets[0].len() - 1;
        for part in 0..last {
            packets.iter().for_each(|parts| wire.inject(1, parts[part].clone()));
        }
        assert!(wire.counter(1, fails) >= u64::from(MANY) - 5, "{}", wire.counter(1, fails));
        packets.iter().for_each(|parts| wire.inject(1, parts[last].clone()));
        let whole = std::iter::from_fn(|| received(&mut wire, socket).ok()).count();
        assert!(whole <= 5, "{whole} packets of 20,000 bytes were held within 100,000");
    }
}

//= RFC 3168 §5.3, type=test
//= RFC 3168 §5.3 MUST-1, type=test
//= RFC 3168 §5.3 MUST-2, type=test
//= RFC 3168 §5.3 MUST-3, type=test
//= RFC 3168 §5.3 MUST-4, type=test
#[test]
fn marks_of_congestion_are_joined() {
    // The marks of the two parts, and that of the whole.
    let table = [
        ([0, 0], Some(0)),
        ([1, 1], Some(1)),
        ([2, 2], Some(2)),
        ([1, 2], Some(1)),
        ([2, 3], Some(3)),
        ([3, 1], Some(3)),
        ([0, 3], None),
        ([0, 2], None),
    ];
    for (address, ..) in FAMILIES {
        for (marks, expected) in table {
            let mut wire = Wire::new(2, LINKS[0]);
            let socket = bound(&mut wire, 1, address, PORT);
            let parts = parts(address, 2000, 1300, 7);
            for (part, mark) in parts.into_iter().zip(marks) {
                wire.inject(1, with_ecn(part, mark));
            }
            let found = wire[1].udp_recv(socket).ok().map(|datagram| datagram.traffic_class & 3);
            assert_eq!(found, expected, "{address} {marks:?}");
        }
    }
}

fn with_ecn(mut frame: Vec<u8>, mark: u8) -> Vec<u8> {
    if frame[14] >> 4 == 4 {
        frame[15] |= mark;
        mend_v4(&mut frame);
    } else {
        frame[15] |= mark << 4;
    }
    frame
}

/// Of IPv6: a length that is no multiple of eight, and a first part without all headers, are told to the sender.
//= RFC 8200 §4.5, type=test
//= RFC 7112 §5, type=test
//= RFC 8200 §4.5 MUST-8, type=test
//= RFC 8200 §4.5 MUST-9, type=test
#[test]
fn parts_that_make_no_sense_are_complained_of() {
    let udp = IpProtocol::UDP.0;
    let destination = IpProtocol::DESTINATION_OPTIONS.0;
    // Bytes from the fragment header on, and the code and the pointer of the complaint.
    let table: [(&str, Vec<u8>, u8, u32); 4] = [
        ("a ragged one", [vec![udp, 0, 0, 1, 0, 0, 0, 7], vec![0; 12]].concat(), 0, 4),
        ("past the end", [vec![udp, 0, 0xff, 0xf8, 0, 0, 0, 7], vec![0; 8]].concat(), 0, 42),
        ("half a header", [vec![6, 0, 0, 1, 0, 0, 0, 7], vec![0; 16]].concat(), 3, 0),
        (
            "options beyond it",
            [vec![destination, 0, 0, 1, 0, 0, 0, 7], vec![udp, 3, 1, 4, 0, 0, 0, 0]].concat(),
            3,
            0,
        ),
    ];
    for (what, bytes, code, pointer) in table {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.neighbors();
        wire.sniffing = true;
        wire.inject(1, Path::v6(0, 1).raw(IpProtocol::FRAGMENT, &bytes));
        let [(1, answer)] = &wire.seen[..] else { panic!("{what}: {:?}", wire.seen) };
        let packet = packet_of(answer);
        let message = &packet[40..];
        assert_eq!((message[0], message[1]), (4, code), "{what}");
        assert_eq!(message[4..8], pointer.to_be_bytes(), "{what}");
        assert_eq!(wire.counter(1, Counter::Ip6ReasmFails), 1, "{what}");
    }
}

/// As Linux: of an IPv4 part with others behind it, what is beyond the last eighth byte is cut off.
#[test]
fn ragged_parts_of_ipv4_are_cut() {
    let mut wire = Wire::new(2, LINKS[0]);
    let socket = bound(&mut wire, 1, PAIRS[0].1, PORT);
    let parts = parts(PAIRS[0].1, 2000, 1300, 7);
    let mut first = parts[0].clone();
    first.extend([9; 3]);
    let len = (first.len() - EthernetHeader::LEN) as u16;
    first[16..18].copy_from_slice(&len.to_be_bytes());
    mend_v4(&mut first);
    wire.inject(1, first);
    wire.inject(1, parts[1].clone());
    assert_eq!(received(&mut wire, socket), Ok(2000));
}

/// A fragment header behind a fragment header makes no packet.
#[test]
fn parts_of_parts_are_refused() {
    let mut wire = Wire::new(2, LINKS[0]);
    let inner = [&[17, 0, 0, 1, 0, 0, 0, 9][..], &[0; 16]].concat();
    for (offset, more, bytes) in [(0u16, 1u16, &inner[..16]), (16, 0, &inner[16..])] {
        let field = (offset | more).to_be_bytes();
        let part = [&[IpProtocol::FRAGMENT.0, 0, field[0], field[1], 0, 0, 0, 7][..], bytes].concat();
        wire.inject(1, Path::v6(0, 1).raw(IpProtocol::FRAGMENT, &part));
    }
    assert_eq!(wire.counter(1, Counter::Ip6ReasmOKs), 1);
    assert_eq!(wire.counter(1, Counter::Ip6InHdrErrors), 1);
}

/// What is not for us is not kept.
#[test]
fn parts_for_others_are_dropped() {
    let mut wire = Wire::new(2, LINKS[0]);
    let mut frame = parts(PAIRS[0].1, 2000, 1300, 7)[0].clone();
    frame[33] = 9;
    mend_v4(&mut frame);
    assert_eq!(EthernetHeader::parse(&frame).unwrap().ether_type, EtherType::Ipv4);
    wire.inject(1, Frame::from(frame));
    assert_eq!(wire.counter(1, Counter::IpReasmReqds), 0);
    assert_eq!(wire.counter(1, Counter::IpInAddrErrors), 1);
}
