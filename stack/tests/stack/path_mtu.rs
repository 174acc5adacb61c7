//! Paths that take less than the link.

use core::time::Duration;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::counters::Counter;
use tapsock_stack::discovery::{Discovery, PathMtuDiscovery};
use tapsock_stack::iface::{Route, Rule, TableId};
use tapsock_stack::stack::{SendError, UdpSendOptions};
use tapsock_stack::wire::IpProtocol;
use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::icmpv4::{Icmpv4Message, UnreachableCode};
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::offload::{LinkCaps, Medium};

use crate::packets::{Path, packet_of, tcp_of};
use crate::transfer::{Flow, finish};
use crate::udp::{bound, send};
use crate::wire::{ETH, Fate, LINKS, PAIRS, Wire, at, family_of};

/// A socket whose datagrams nobody may cut.
pub const UNCUT: Discovery = Discovery { v4: PathMtuDiscovery::Do, v6: PathMtuDiscovery::Do };

/// "The next link takes `mtu` bytes", quoting `frame`, from host 2 to host 0.
pub fn too_big(frame: &Frame, mtu: u16) -> Frame {
    let quote = packet_of(frame);
    match quote[0] >> 4 {
        4 => {
            let code = UnreachableCode::FRAGMENTATION_NEEDED;
            Path::v4(2, 0).icmpv4(Icmpv4Message::DestinationUnreachable { code, mtu }, &quote[..28])
        }
        _ => {
            let message = Icmpv6Message::PacketTooBig { mtu: mtu.into() };
            Path::v6(2, 0).icmpv6(message, &quote[..quote.len().min(1000)], 64)
        }
    }
}

/// The largest packet that a frame stands for: of one that the link cuts, a segment.
pub fn packet_len(frame: &Frame) -> usize {
    let whole = packet_of(frame).len();
    match (frame.gso_size, tcp_of(frame)) {
        (Some(size), Some((_, len))) => whole - len + usize::from(size).min(len),
        _ => whole,
    }
}

//= RFC 1191 §6.5, type=test
//= RFC 8201 §4, type=test
//= RFC 7323 §5.7 MUST-1, type=test
//= RFC 8201 §3 MUST-1, type=test
//= RFC 8201 §4 MUST-4, type=test
//= RFC 8201 §4 MUST-5, type=test
//= RFC 8201 §4 MUST-6, type=test
//= RFC 8201 §5.4 MUST-1, type=test
//= RFC 1122 §3.3.3 MUST-2, type=test
#[test]
fn a_transfer_goes_on_in_smaller_segments() {
    for caps in LINKS {
        for (_, address) in PAIRS {
            let mut wire = Wire::new(3, caps);
            let pair = wire.pair(1, address);
            let mut flows = [Flow::new((0, pair.0), (1, pair.1), 1_000_000)];
            let end = wire.now + Duration::from_millis(2);
            wire.run_until(end, |wire| {
                flows[0].turn(wire);
                flows[0].read() > 100_000
            });
            // The path shrinks under the transfer.
            let dropped = std::rc::Rc::new(core::cell::RefCell::new(Vec::new()));
            let noted = dropped.clone();
            wire.filter(move |from, frame| {
                if from == 0 && packet_len(frame) > 1300 {
                    noted.borrow_mut().push(frame.clone());
                    return Fate::Lose;
                }
                Fate::Pass
            });
            let end = wire.now + Duration::from_secs(20);
            let done = wire.run_until(end, |wire| {
                let complaints: Vec<Frame> = dropped.borrow_mut().drain(..).collect();
                for frame in complaints {
                    wire.inject(0, too_big(&frame, 1300));
                }
                flows[0].turn(wire)
            });
            assert!(done, "{address}: {} bytes", flows[0].read());
            assert!(wire.now.as_millis() < 1500, "{address}: no time-out was needed, but {:?}", wire.now);
            let mss = wire[0].tcp(pair.0).unwrap().mss();
            assert_eq!(mss, 1300 - if address.contains(':') { 60 } else { 40 } - 12);
            assert_eq!(wire.counter(0, Counter::TcpExtTCPTimeouts), 0);
        }
    }
}

//= RFC 8201 §5.2 MUST-3, type=test
//= RFC 8201 §5.2 MUST-5, type=test
#[test]
fn a_new_connection_knows_what_the_path_takes() {
    for (_, address) in PAIRS {
        let mut wire = Wire::new(3, LINKS[0]);
        let udp = wire[0].udp_open(family_of(address));
        wire[0].udp_mut(udp).unwrap().discovery = UNCUT;
        wire.sniffing = true;
        send(&mut wire, udp, &[0; 1400], at(address, 5000)).unwrap();
        wire.settle();
        let sent = wire.seen.iter().find(|(from, frame)| *from == 0 && packet_of(frame).len() > 1400);
        let complaint = too_big(&sent.unwrap().1, 1300);
        wire.inject(0, complaint);
        assert_eq!(send(&mut wire, udp, &[0; 1400], at(address, 5000)), Err(SendError::TooLong));
        assert_eq!(send(&mut wire, udp, &[0; 1200], at(address, 5000)), Ok(()));
        let (here, there) = wire.pair(1, address);
        wire.seen.clear();
        finish(&mut wire, &mut [Flow::new((0, here), (1, there), 100_000)], Duration::from_secs(2));
        let largest = wire.seen.iter().filter(|(from, _)| *from == 0).map(|(_, f)| packet_len(f)).max();
        assert_eq!(largest, Some(1300));
        // After ten minutes the full size is tried again.
        wire.run_for(Duration::from_secs(601));
        assert_eq!(send(&mut wire, udp, &[0; 1400], at(address, 5000)), Ok(()));
    }
}

//= RFC 8201 §4 MUST-1, type=test
//= RFC 8201 §4 MUST-2, type=test
//= RFC 8201 §4 MUST-9, type=test
#[test]
fn what_no_path_can_say_is_not_believed() {
    let mut wire = Wire::new(3, LINKS[0]);
    let options = UdpSendOptions::default();
    for (address, claimed, taken) in [
        // IPv4 never goes below 552 bytes, IPv6 never below 1280.
        ("10.0.0.2", 100, 552 - 28),
        ("fd00::2", 100, 1452),
        ("fd00::2", 1280, 1280 - 48),
        ("fd00::2", 9000, 1280 - 48),
    ] {
        let udp = wire[0].udp_open(family_of(address));
        wire[0].udp_mut(udp).unwrap().discovery = UNCUT;
        wire.sniffing = true;
        wire.seen.clear();
        send(&mut wire, udp, &[0; 500], at(address, 5000)).unwrap();
        wire.settle();
        let sent = wire.seen.iter().find(|(from, frame)| *from == 0 && packet_of(frame).len() > 500);
        let complaint = too_big(&sent.unwrap().1, claimed);
        wire.inject(0, complaint);
        let now = wire.now;
        let mut try_len = |len: usize| {
            wire[0].udp_send(now, udp, Rope::from(vec![0; len]), Some(at(address, 5000)), options)
        };
        assert_eq!(try_len(taken), Ok(()), "{address} {claimed}");
        assert_eq!(try_len(taken + 1), Err(SendError::TooLong), "{address} {claimed}");
    }
}

/// Whoever quotes a datagram of no socket that is there teaches nothing; nor does one who quotes an answer.
//= RFC 8201 §4, type=test
//= RFC 5927 §7.2, type=test
#[test]
fn what_nobody_here_has_sent_is_not_believed() {
    for (_, address) in PAIRS {
        let mut wire = Wire::new(3, LINKS[0]);
        let v4 = !address.contains(':');
        let udp = bound(&mut wire, 0, if v4 { "0.0.0.0" } else { "::" }, 5001);
        wire[0].udp_mut(udp).unwrap().discovery = UNCUT;
        let connected = bound(&mut wire, 0, if v4 { "0.0.0.0" } else { "::" }, 5002);
        let other = if v4 { "10.0.0.77" } else { "fd00::77" };
        wire[0].udp_connect(connected, Some(at(other, 9))).unwrap();
        let ping = wire[0].ping_open(family_of(address)).unwrap();
        wire[0].ping_bind(ping, None, 77).unwrap();
        let path = Path::of_family(address, 0, 1);
        let echo = |ident: u16, answers: bool| {
            let echo = Echo { ident, sequence: 1 };
            match (v4, answers) {
                (true, false) => path.icmpv4(Icmpv4Message::EchoRequest(echo), &[0; 1000]),
                (true, true) => path.icmpv4(Icmpv4Message::EchoReply(echo), &[0; 1000]),
                (false, false) => path.icmpv6(Icmpv6Message::EchoRequest(echo), &[0; 1000], 64),
                (false, true) => path.icmpv6(Icmpv6Message::EchoReply(echo), &[0; 1000], 64),
            }
        };
        let fits = |wire: &mut Wire| send(wire, udp, &[0; 1400], at(address, 5000)).is_ok();
        for nobodys in [
            path.udp((5999, 5000), &[0; 1000]),
            path.udp((5002, 9), &[0; 1000]),
            path.raw(IpProtocol(200), &[0; 1000]),
            echo(78, false),
            echo(77, true),
        ] {
            wire.inject(0, too_big(&nobodys, 1300));
            assert!(fits(&mut wire), "{address}");
        }
        let mut teaches = |quoted: &Frame| {
            wire.inject(0, too_big(quoted, 1300));
            let taught = !fits(&mut wire);
            wire.run_for(Duration::from_secs(601));
            taught
        };
        assert!(teaches(&path.udp((5001, 9), &[0; 1000])), "{address}");
        assert!(teaches(&echo(77, false)), "{address}");
    }
}

/// Whether a packet may not be cut; one of IPv6 never may.
fn is_uncut(frame: &Frame) -> bool {
    let packet = packet_of(frame);
    packet[0] >> 4 == 6 || packet[6] & 0x40 != 0
}

/// What becomes of a datagram.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Sent {
    /// It goes whole, and routers may not cut it.
    Uncut,
    /// It goes whole, and they may.
    Whole,
    /// It goes in parts.
    InParts,
    Refused,
}

/// `IP_MTU_DISCOVER` on a link of 1500 bytes and a path of 1300, by datagrams in packets of 1200, 1400 and 1501 bytes,
/// as Linux has it.
#[test]
fn a_socket_says_whether_its_datagrams_may_be_cut() {
    use Sent::{InParts, Refused, Uncut, Whole};
    let table = [
        (PathMtuDiscovery::Dont, [Whole, InParts, InParts]),
        (PathMtuDiscovery::Want, [Uncut, InParts, InParts]),
        (PathMtuDiscovery::Do, [Uncut, Refused, Refused]),
        (PathMtuDiscovery::Probe, [Uncut, Uncut, Refused]),
        (PathMtuDiscovery::Interface, [Whole, Whole, Refused]),
        (PathMtuDiscovery::Omit, [Whole, Whole, InParts]),
    ];
    for (_, address) in PAIRS {
        let mut wire = Wire::new(3, LINKS[0]);
        let v6 = address.contains(':');
        let udp = wire[0].udp_open(family_of(address));
        wire.sniffing = true;
        send(&mut wire, udp, &[0; 1400], at(address, 5000)).unwrap();
        wire.settle();
        let sent = wire.seen.iter().find(|(from, frame)| *from == 0 && packet_of(frame).len() > 1400);
        let complaint = too_big(&sent.unwrap().1, 1300);
        wire.inject(0, complaint);
        let headers = if v6 { 48 } else { 28 };
        for (mode, outcomes) in table {
            wire[0].udp_mut(udp).unwrap().discovery = Discovery { v4: mode, v6: mode };
            for (len, expected) in [1200, 1400, 1501].into_iter().zip(outcomes) {
                // No router cuts IPv6's.
                let expected = if v6 && expected == Whole { Uncut } else { expected };
                wire.seen.clear();
                let result = send(&mut wire, udp, &vec![0; len - headers], at(address, 5000));
                wire.settle();
                let packets: Vec<&Frame> =
                    wire.seen.iter().filter(|(from, _)| *from == 0).map(|(_, frame)| frame).collect();
                let found = match packets[..] {
                    [] => Refused,
                    [whole] if is_uncut(whole) => Uncut,
                    [_] => Whole,
                    _ => InParts,
                };
                assert_eq!(found, expected, "{address} {mode:?} {len}");
                assert_eq!(result.is_ok(), expected != Refused, "{address} {mode:?} {len}");
                let largest = packets.iter().map(|frame| packet_of(frame).len()).max();
                let most = if mode == PathMtuDiscovery::Omit { 1500 } else { 1300 };
                assert!(
                    found != InParts || largest.is_some_and(|len| len <= most),
                    "{address} {mode:?} {len}"
                );
            }
        }
    }
}

/// A connection that lets its packets be cut says so in each of them, and makes no smaller ones when it is told to.
#[test]
fn a_connection_says_whether_its_segments_may_be_cut() {
    let table = [
        (PathMtuDiscovery::Dont, false, 1448),
        (PathMtuDiscovery::Want, true, 1248),
        (PathMtuDiscovery::Do, true, 1248),
        (PathMtuDiscovery::Probe, false, 1248),
        (PathMtuDiscovery::Interface, false, 1448),
        (PathMtuDiscovery::Omit, false, 1448),
    ];
    for (mode, uncut, mss) in table {
        let mut wire = Wire::new(3, LINKS[0]);
        let (here, _) = wire.pair(1, PAIRS[0].1);
        let now = wire.now;
        wire[0].set_tcp_options(now, here, |options| options.discovery = mode);
        wire.sniffing = true;
        wire[0].tcp_write(now, here, Rope::from(vec![0; 1448])).unwrap();
        wire.settle();
        let sent = wire.seen.iter().find(|(from, frame)| *from == 0 && packet_of(frame).len() == 1500);
        let sent = sent.unwrap().1.clone();
        assert_eq!(is_uncut(&sent), uncut, "{mode:?}");
        // A complaint is about what is not acknowledged yet.
        wire.filter(|from, _| if from == 0 { Fate::Lose } else { Fate::Pass });
        wire[0].tcp_write(now, here, Rope::from(vec![0; 1448])).unwrap();
        wire.seen.clear();
        wire.settle();
        let sent = wire.seen.iter().find(|(from, frame)| *from == 0 && packet_of(frame).len() == 1500);
        let complaint = too_big(&sent.unwrap().1, 1300);
        wire.inject(0, complaint);
        assert_eq!(wire[0].tcp(here).unwrap().mss(), mss, "{mode:?}");
    }
}

//= RFC 8200 §5 MUST-3, type=test
//= RFC 1122 §3.3.3 MUST-2, type=test
#[test]
fn links_of_every_size() {
    for mtu in [576, 1280, 1500, 9000, 65_521] {
        for caps in [LinkCaps::plain(Medium::Ethernet, mtu), LinkCaps::offloading(Medium::Ethernet, mtu)] {
            for (_, address) in PAIRS {
                if mtu < 1280 && address.contains(':') {
                    continue;
                }
                let mut wire = Wire::new(2, caps);
                let pair = wire.pair(1, address);
                let mut flows = Flow::both(pair, 1, 500_000);
                finish(&mut wire, &mut flows, Duration::from_secs(10));
                assert_eq!(wire.counter(0, Counter::TcpRetransSegs), 0, "{mtu} {address}");
            }
        }
    }
}

/// Whoever complains of however many paths: some are remembered, for a while.
//= RFC 8201 §4, type=test
#[test]
fn the_paths_that_are_remembered_have_an_end() {
    let mut wire = Wire::new(3, LINKS[0]);
    let udp = wire[0].udp_open(family_of("10.0.0.2"));
    wire[0].udp_mut(udp).unwrap().discovery = UNCUT;
    let router = "10.0.0.9".parse().unwrap();
    let route = tapsock_stack::iface::Route::via("0.0.0.0/0".parse().unwrap(), router, crate::wire::ETH);
    wire[0].add_route(route).unwrap();
    let host = |n: usize| format!("192.0.{}.{}", n >> 8, n & 255);
    let now = wire.now;
    let complain = |wire: &mut Wire, n: usize| {
        // Nobody answers for the router, but the socket has a port now.
        let _ =
            wire[0].udp_send(now, udp, Rope::from(vec![0]), Some(at(&host(n), 9)), UdpSendOptions::default());
        let port = wire[0].udp_local(udp).unwrap().port();
        let quoted = Path::v4(0, 8).to(&host(n)).udp((port, 9), &[0; 1000]);
        wire.inject(0, too_big(&quoted, 1300));
    };
    let knows = |wire: &mut Wire, n: usize| {
        wire[0].udp_connect(udp, Some(at(&host(n), 9))).unwrap();
        let known = wire[0].udp_path_mtu(wire.now, udp) == Some(1300);
        wire[0].udp_connect(udp, None).unwrap();
        known
    };
    for n in 0..1100 {
        complain(&mut wire, n);
    }
    assert_eq!(wire.counter(0, Counter::TapsockPathMtuEvictions), 1100 - 1024);
    assert!(knows(&mut wire, 1099));
    assert_eq!((0..1100).filter(|n| knows(&mut wire, *n)).count(), 1024);
    wire.run_for(Duration::from_secs(601));
    assert!(!knows(&mut wire, 1099));
}

/// Where rules choose the way by the source, it is the way of the packet that a complaint is about.
#[test]
fn a_path_is_that_of_the_packet_s_source() {
    let mut wire = Wire::new(3, LINKS[0]);
    let (far, router) = ("10.9.0.0/16".parse().unwrap(), "10.0.0.3".parse().unwrap());
    let narrow = Route { mtu: Some(1000), ..Route::via(far, router, ETH) };
    let own = Route { table: TableId(7), ..Route::via(far, router, ETH) };
    [narrow, own].into_iter().for_each(|route| wire[0].add_route(route).unwrap());
    wire[0].add_rule(Rule::from_prefix(100, "10.0.0.1/32".parse().unwrap(), TableId(7))).unwrap();
    let id = bound(&mut wire, 0, "10.0.0.1", 5000);
    let (now, to) = (wire.now, at("10.9.0.1", 9));
    wire[0].udp_connect(id, Some(to)).unwrap();
    wire[0].udp_mut(id).unwrap().discovery = UNCUT;
    assert_eq!(wire[0].udp_path_mtu(now, id), Some(1500));
    wire.sniffing = true;
    send(&mut wire, id, &[7; 1472], to).unwrap();
    wire.settle();
    let sent = wire.seen.iter().map(|(_, frame)| frame).find(|frame| packet_of(frame).len() == 1500).cloned();
    wire.inject(0, too_big(&sent.unwrap(), 1200));
    wire.settle();
    let now = wire.now;
    assert_eq!(wire[0].udp_path_mtu(now, id), Some(1200));
}

/// What a program needs that looks for the size of a path by itself (RFC 8899): its probes go whole whatever routers say, up
/// to what the link takes, and what no answer comes to did not get through.
//= RFC 8899 §3, type=test
#[test]
fn a_program_finds_out_what_a_silent_path_takes() {
    const PROBE: Discovery = Discovery { v4: PathMtuDiscovery::Probe, v6: PathMtuDiscovery::Probe };
    for (here, there) in PAIRS {
        let mut wire = Wire::new(3, LINKS[0]);
        let [id, peer] = [(0, here), (1, there)].map(|(host, own)| bound(&mut wire, host, own, 5000));
        wire[0].udp_mut(id).unwrap().discovery = PROBE;
        wire.filter(|_, frame| if packet_len(frame) > 1333 { Fate::Lose } else { Fate::Pass });
        wire.sniffing = true;
        let headers = if here.contains(':') { 48 } else { 28 };
        let (mut low, mut high) = (1280, 1501);
        while high - low > 1 {
            let size = (low + high) / 2;
            wire.seen.clear();
            send(&mut wire, id, &vec![7; size - headers], at(there, 5000)).unwrap();
            wire.settle();
            let probe = wire.seen.iter().map(|(_, frame)| frame).find(|frame| packet_len(frame) == size);
            let lie = too_big(probe.expect("it goes whole"), 1280);
            wire.inject(0, lie);
            wire.settle();
            match wire[1].udp_recv(peer) {
                Ok(_) => low = size,
                Err(_) => high = size,
            }
        }
        assert_eq!(low, 1333, "{here}");
        let more = send(&mut wire, id, &vec![7; 1501 - headers], at(there, 5000));
        assert_eq!(more, Err(SendError::TooLong), "than the link takes");
    }
}
