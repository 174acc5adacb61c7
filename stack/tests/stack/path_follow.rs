//! Connections whose path shrinks or grows by what others learn of it.

use core::cell::RefCell;
use core::time::Duration;
use std::rc::Rc;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::counters::Counter;
use tapsock_stack::discovery::PathMtuDiscovery;
use tapsock_stack::stack::TcpId;
use tapsock_stack::wire::EthernetHeader;

use crate::packets::{packet_of, tcp_of};
use crate::path_mtu::{packet_len, too_big};
use crate::transfer::{Flow, finish};
use crate::udp::send;
use crate::wire::{Fate, LINKS, PAIRS, Wire, at, family_of};

/// What the path takes, in bytes.
const MTU: u16 = 1300;

/// Who hears of it first.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum By {
    Datagram,
    Echo,
}

/// Lets another socket of host 0 learn what the path to `address` takes.
fn learn(wire: &mut Wire, by: By, address: &str) {
    let sniffing = core::mem::replace(&mut wire.sniffing, true);
    let from = wire.seen.len();
    match by {
        By::Datagram => {
            let udp = wire[0].udp_open(family_of(address));
            send(wire, udp, &[0; 1400], at(address, 5000)).unwrap();
        }
        By::Echo => {
            let family = family_of(address);
            let ping = wire[0].ping_open(family).unwrap();
            let mut request = vec![0; 1400];
            request[0] = if address.contains(':') { 128 } else { 8 };
            let now = wire.now;
            wire[0].ping_send(now, ping, &Rope::from(request), Some(at(address, 0))).unwrap();
        }
    }
    wire.flush();
    let is_it = |(from, frame): &&(usize, Frame)| *from == 0 && packet_of(frame).len() > 1400;
    let complaint = too_big(&wire.seen[from..].iter().rfind(is_it).unwrap().1, MTU);
    wire.sniffing = sniffing;
    wire.inject(0, complaint);
}

/// Lets no packet of host 0 pass that the path does not take. What the router would answer is kept.
fn shrink(wire: &mut Wire) -> Rc<RefCell<Vec<Frame>>> {
    let dropped = Rc::new(RefCell::new(Vec::new()));
    let noted = dropped.clone();
    wire.filter(move |from, frame| {
        if from == 0 && packet_len(frame) > MTU.into() {
            noted.borrow_mut().push(frame.clone());
            return Fate::Lose;
        }
        Fate::Pass
    });
    dropped
}

fn mss(wire: &Wire, id: TcpId) -> u32 {
    wire[0].tcp(id).unwrap().mss()
}

/// Payload of a segment with timestamps in a packet of `mtu` bytes.
fn payload(address: &str, mtu: u16) -> u32 {
    u32::from(mtu) - if address.contains(':') { 72 } else { 52 }
}

//= RFC 8201 §5.2, type=test
//= RFC 8201 §5.2 MUST-3, type=test
//= RFC 8201 §5.2 MUST-4, type=test
//= RFC 8201 §5.2 MUST-5, type=test
#[test]
fn what_another_socket_learned_counts_at_once() {
    for by in [By::Datagram, By::Echo] {
        for caps in LINKS {
            for (_, address) in PAIRS {
                let mut wire = Wire::new(3, caps);
                let (here, there) = wire.pair(1, address);
                learn(&mut wire, by, address);
                let dropped = shrink(&mut wire);
                let start = wire.now;
                finish(&mut wire, &mut [Flow::new((0, here), (1, there), 100_000)], Duration::from_secs(20));
                assert!(dropped.borrow().is_empty(), "nothing too large is sent");
                assert_eq!(wire.counter(0, Counter::TcpRetransSegs), 0);
                assert!(wire.now.saturating_since(start) < Duration::from_secs(1), "{by:?} {address}");
            }
        }
    }
}

/// Its segments are under way when another socket learns it. What a router says of them is then no news, and counts
/// all the same.
//= RFC 8201 §5.2, type=test
//= RFC 8201 §5.4 MUST-5, type=test
#[test]
fn a_complaint_that_is_no_news_is_one_to_the_connection() {
    for (_, address) in PAIRS {
        let mut wire = Wire::new(3, LINKS[0]);
        let (here, there) = wire.pair(1, address);
        wire.neighbors();
        let dropped = shrink(&mut wire);
        let mut flows = [Flow::new((0, here), (1, there), 5_000)];
        flows[0].turn(&mut wire);
        wire.flush();
        let complaints: Vec<Frame> = dropped.borrow_mut().drain(..).collect();
        assert!(complaints.len() > 2);
        learn(&mut wire, By::Datagram, address);
        assert_eq!(mss(&wire, here), payload(address, 1500), "it has not looked yet");
        dropped.borrow_mut().clear();
        complaints.iter().for_each(|frame| wire.inject(0, too_big(frame, MTU)));
        assert_eq!(mss(&wire, here), payload(address, MTU));
        finish(&mut wire, &mut flows, Duration::from_millis(100));
        assert_eq!(wire.counter(0, Counter::TcpExtTCPTimeouts), 0, "{address}: it was sent again at once");
        assert!(dropped.borrow().is_empty());
    }
}

/// It did not adapt when that was learned, and does so from its first complaint on.
#[test]
fn a_connection_that_is_let_adapt_follows_a_complaint() {
    let mut wire = Wire::new(3, LINKS[0]);
    let (here, there) = wire.pair(1, "10.0.0.2");
    let set = |wire: &mut Wire, mode| {
        let now = wire.now;
        wire[0].set_tcp_options(now, here, |options| options.discovery = mode);
        wire.settle();
    };
    set(&mut wire, PathMtuDiscovery::Dont);
    learn(&mut wire, By::Datagram, "10.0.0.2");
    finish(&mut wire, &mut [Flow::new((1, there), (0, here), 1000)], Duration::from_secs(1));
    set(&mut wire, PathMtuDiscovery::Want);
    let dropped = shrink(&mut wire);
    let mut flows = [Flow::new((0, here), (1, there), 5_000)];
    flows[0].turn(&mut wire);
    wire.flush();
    let complaints: Vec<Frame> = dropped.borrow_mut().drain(..).collect();
    assert!(!complaints.is_empty());
    complaints.iter().for_each(|frame| wire.inject(0, too_big(frame, MTU)));
    finish(&mut wire, &mut flows, Duration::from_millis(100));
    assert_eq!(mss(&wire, here), payload("10.0.0.2", MTU));
}

/// Nobody complains about its own segments: a time-out finds the size that another socket learned.
#[test]
fn a_time_out_finds_the_size() {
    for (_, address) in PAIRS {
        let mut wire = Wire::new(3, LINKS[0]);
        let (here, there) = wire.pair(1, address);
        shrink(&mut wire);
        let mut flows = [Flow::new((0, here), (1, there), 5_000)];
        flows[0].turn(&mut wire);
        wire.flush();
        learn(&mut wire, By::Datagram, address);
        finish(&mut wire, &mut flows, Duration::from_secs(2));
        assert_eq!(mss(&wire, here), payload(address, MTU));
    }
}

/// The SYN came before, and the handshake completes after.
#[test]
fn a_handshake_under_way_knows_it_in_the_end() {
    for passive in [true, false] {
        for (own, other) in PAIRS {
            let mut wire = Wire::new(3, LINKS[0]);
            wire.neighbors();
            let (from, to, address) = if passive { (1, 0, own) } else { (0, 1, other) };
            let listener = wire.listen(to, address, 2000, 4);
            let active = wire.connect(from, at(address, 2000));
            wire.step(wire.now + Duration::from_millis(1));
            learn(&mut wire, By::Datagram, other);
            wire.settle();
            let accepted = wire[to].tcp_accept(listener).unwrap();
            let (here, there) = if passive { (accepted, active) } else { (active, accepted) };
            let dropped = shrink(&mut wire);
            finish(&mut wire, &mut [Flow::new((0, here), (1, there), 100_000)], Duration::from_secs(2));
            assert!(dropped.borrow().is_empty());
            assert_eq!(mss(&wire, here), payload(other, MTU), "{passive} {other}");
        }
    }
}

/// What was learned is forgotten after ten minutes, and the full size tried again, as on Linux.
//= RFC 1191 §6.3, type=test
//= RFC 8201 §5.3, type=test
//= RFC 8201 §4 MUST-7, type=test
//= RFC 8201 §5.3 MUST-1, type=test
#[test]
fn a_connection_tries_the_full_size_again() {
    for (_, address) in PAIRS {
        let mut wire = Wire::new(3, LINKS[0]);
        let (here, there) = wire.pair(1, address);
        let once = |wire: &mut Wire, len: u64| {
            let now = wire.now;
            wire[0].tcp_write(now, here, Rope::from(vec![7; len as usize])).unwrap();
            wire.run_for(Duration::from_millis(50));
            let now = wire.now;
            assert_eq!(wire[1].tcp_read(now, there, 1 << 20).unwrap().len() as u64, len);
            mss(wire, here)
        };
        learn(&mut wire, By::Datagram, address);
        assert_eq!(once(&mut wire, 5000), payload(address, MTU));
        wire.run_for(Duration::from_secs(590));
        assert_eq!(once(&mut wire, 5000), payload(address, MTU));
        wire.run_for(Duration::from_secs(10));
        assert_eq!(once(&mut wire, 5000), payload(address, 1500));
        // The path is as narrow as before: a complaint says so, and the connection goes on.
        let dropped = shrink(&mut wire);
        let mut flows = [Flow::new((0, here), (1, there), 100_000)];
        let end = wire.now + Duration::from_secs(2);
        let done = wire.run_until(end, |wire| {
            let complaints: Vec<Frame> = dropped.borrow_mut().drain(..).collect();
            complaints.iter().for_each(|frame| wire.inject(0, too_big(frame, MTU)));
            flows[0].turn(wire)
        });
        assert!(done && mss(&wire, here) == payload(address, MTU), "{address}");
    }
}

/// A path so narrow that routers must cut: packets say so from the next one on, and no more once that has expired.
#[test]
fn routers_may_cut_where_the_path_is_narrower_than_ipv4_allows() {
    let mut wire = Wire::new(3, LINKS[0]);
    let (here, _) = wire.pair(1, "10.0.0.2");
    wire.sniffing = true;
    let is_uncut = |wire: &mut Wire| {
        wire.seen.clear();
        let now = wire.now;
        wire[0].tcp_write(now, here, Rope::from(vec![1; 100])).unwrap();
        wire.settle();
        let sent = wire.seen.iter().find(|(from, frame)| *from == 0 && tcp_of(frame).is_some()).unwrap();
        sent.1.bytes[EthernetHeader::LEN + 6] & 0x40 != 0
    };
    assert!(is_uncut(&mut wire));
    let udp = wire[0].udp_open(family_of("10.0.0.2"));
    wire[0].udp_mut(udp).unwrap().discovery.v4 = PathMtuDiscovery::Do;
    send(&mut wire, udp, &[0; 1400], at("10.0.0.2", 5000)).unwrap();
    wire.flush();
    let complaint = too_big(&wire.seen.last().unwrap().1, 300);
    wire.inject(0, complaint);
    assert!(!is_uncut(&mut wire));
    wire.run_for(Duration::from_secs(601));
    assert!(is_uncut(&mut wire));
}
