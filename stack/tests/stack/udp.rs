//! Datagrams between stacks.

use core::net::SocketAddr;
use core::time::Duration;

use tapsock_stack::buf::Rope;
use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::error_queue::{Cause, StampKind};
use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::{Family, SendError, SendStamps, SocketId, UdpSendOptions};
use tapsock_stack::udp::{RecvError, UdpId};

use crate::packets::Path;
use crate::wire::{Fate, LINKS, PAIRS, Wire, at, family_of, station};

pub fn bound(wire: &mut Wire, host: usize, address: &str, port: u16) -> UdpId {
    let id = wire[host].udp_open(family_of(address));
    let bind = wire.bind(host, Transport::Udp, address, port);
    wire[host].udp_bind(id, bind);
    id
}

pub fn send(wire: &mut Wire, id: UdpId, payload: &[u8], to: SocketAddr) -> Result<(), SendError> {
    let now = wire.now;
    wire[0].udp_send(now, id, Rope::from(payload), Some(to), UdpSendOptions::default())
}

#[test]
fn there_and_back() {
    for caps in LINKS {
        for (here, there) in PAIRS {
            let mut wire = Wire::new(2, caps);
            let server = bound(&mut wire, 1, there, 5000);
            let client = wire[0].udp_open(family_of(there));
            assert_eq!(send(&mut wire, client, b"question", at(there, 5000)), Ok(()));
            wire.settle();
            assert_eq!(wire.events(1), [SocketId::Udp(server)]);
            let question = wire[1].udp_recv(server).unwrap();
            assert_eq!(question.payload.to_vec(), b"question");
            assert_eq!(question.from.ip(), here.parse::<core::net::IpAddr>().unwrap());
            assert_eq!(question.from.port(), wire[0].udp_local(client).unwrap().port());
            let (now, options) = (wire.now, UdpSendOptions::default());
            wire[1].udp_send(now, server, Rope::from(&b"answer"[..]), Some(question.from), options).unwrap();
            wire.settle();
            let answer = wire[0].udp_recv(client).unwrap();
            assert_eq!((answer.payload.to_vec(), answer.from), (b"answer".to_vec(), at(there, 5000)));
            assert_eq!(wire[0].udp_recv(client).unwrap_err(), RecvError::WouldBlock);
        }
    }
}

#[test]
fn every_length() {
    let table = [
        ("10.0.0.2", 1472, 65_507),
        ("fd00::2", 1452, 65_527),
        ("127.0.0.1", 65_507, 65_507),
        ("::1", 65_488, 65_527),
    ];
    for (address, whole, most) in table {
        let mut wire = Wire::new(2, LINKS[0]);
        let host = usize::from(!address.ends_with(".1") && address != "::1");
        let server = bound(&mut wire, host, address, 5000);
        let client = wire[0].udp_open(family_of(address));
        for len in [0, 1, 7, 1000, whole - 1, whole, whole + 1, 20_001, most] {
            let len = len.min(most);
            let payload = vec![len as u8; len];
            assert_eq!(send(&mut wire, client, &payload, at(address, 5000)), Ok(()), "{address} {len}");
            wire.settle();
            let datagram =
                wire[host].udp_recv(server).unwrap_or_else(|error| panic!("{address} {len}: {error:?}"));
            assert_eq!(datagram.payload.to_vec(), payload, "{address} {len}");
        }
        let payload = vec![0; most + 1];
        assert_eq!(send(&mut wire, client, &payload, at(address, 5000)), Err(SendError::TooLong));
        assert_eq!(wire.counter(host, Counter::UdpInErrors), 0);
    }
}

#[test]
fn the_more_specific_socket_has_it() {
    let mut wire = Wire::new(2, LINKS[0]);
    let open = |wire: &mut Wire, address: LocalAddr| {
        let request =
            BindRequest { port: 5000, reuse_address: true, ..BindRequest::new(Transport::Udp, address) };
        let family = if matches!(address, LocalAddr::AnyV6 { .. }) { Family::V6 } else { Family::V4 };
        let id = wire[1].udp_open(family);
        let bind = wire[1].bind(request).unwrap();
        wire[1].udp_bind(id, bind);
        id
    };
    let client = bound(&mut wire, 0, "0.0.0.0", 6000);
    let client6 = bound(&mut wire, 0, "fd00::1", 6000);
    let expect = |wire: &mut Wire, from, to: &str, by: UdpId| {
        send(wire, from, b"x", at(to, 5000)).unwrap();
        wire.settle();
        let got = wire[1].udp_recv(by).map(|datagram| datagram.to);
        assert_eq!(got, Ok(to.parse().unwrap()));
    };
    let both = open(&mut wire, LocalAddr::AnyV6 { only_v6: false });
    expect(&mut wire, client, "10.0.0.2", both);
    expect(&mut wire, client6, "fd00::2", both);
    let wildcard = open(&mut wire, LocalAddr::AnyV4);
    expect(&mut wire, client, "10.0.0.2", wildcard);
    let specific = open(&mut wire, LocalAddr::V4("10.0.0.2".parse().unwrap()));
    expect(&mut wire, client, "10.0.0.2", specific);
    let connected = open(&mut wire, LocalAddr::AnyV4);
    wire[1].udp_connect(connected, Some(at("10.0.0.1", 6000))).unwrap();
    expect(&mut wire, client, "10.0.0.2", connected);
    // Another sender's is not the connected one's.
    let other = bound(&mut wire, 0, "0.0.0.0", 6001);
    expect(&mut wire, other, "10.0.0.2", specific);
    wire[1].udp_close(connected);
    wire[1].udp_close(specific);
    expect(&mut wire, client, "10.0.0.2", wildcard);
    wire[1].udp_close(wildcard);
    expect(&mut wire, client, "10.0.0.2", both);
}

//= RFC 1122 §3.2.2.1 SHLD-1, type=test
//= RFC 1122 §3.3.8 MUST-1, type=test
//= RFC 1122 §3.2.2 MUST-3, type=test
//= RFC 1122 §3.4 MUST-4, type=test
#[test]
fn a_closed_port_is_told_to_the_connected_socket() {
    for address in ["10.0.0.2", "fd00::2", "127.0.0.1", "::1"] {
        let mut wire = Wire::new(2, LINKS[0]);
        let here = if address.starts_with("127") || address == "::1" { 0 } else { 1 };
        let connected = wire[0].udp_open(family_of(address));
        wire[0].udp_connect(connected, Some(at(address, 9))).unwrap();
        let loose = wire[0].udp_open(family_of(address));
        send(&mut wire, loose, b"x", at(address, 9)).unwrap();
        wire.settle();
        assert!(!wire[0].udp(loose).unwrap().mail.has_error(), "a socket without a peer hears nothing");
        let (now, options) = (wire.now, UdpSendOptions::default());
        wire[0].udp_send(now, connected, Rope::from(vec![1]), None, options).unwrap();
        wire.settle();
        assert_eq!(
            wire[0].udp_recv(connected).unwrap_err(),
            RecvError::Error(SocketError::ConnectionRefused)
        );
        assert_eq!(wire[0].udp_recv(connected).unwrap_err(), RecvError::WouldBlock, "told once");
        assert!(wire.events(0).contains(&SocketId::Udp(connected)));
        assert_eq!(wire.counter(here, Counter::UdpNoPorts), 2);
    }
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    let mut wire = Wire::new(3, LINKS[0]);
    let socket = bound(&mut wire, 1, "10.0.0.2", 5000);
    wire[1].udp_connect(socket, Some(at("10.0.0.1", 6000))).unwrap();
    wire.filter(|_, _| Fate::Lose);
    wire.inject(1, Path::v4(0, 1).udp((6000, 5000), b"peer"));
    wire.inject(1, Path::v4(0, 1).udp((6001, 5000), b"other port"));
    wire.inject(1, Path::v4(2, 1).udp((6000, 5000), b"other host"));
    assert_eq!(wire[1].udp_recv(socket).unwrap().payload.to_vec(), b"peer");
    assert_eq!(wire[1].udp_recv(socket).unwrap_err(), RecvError::WouldBlock);
    assert_eq!(wire.counter(1, Counter::UdpNoPorts), 2);
}

//= RFC 1122 §3.2.2 MUST-5, type=test
//= RFC 1122 §3.3.6 SHLD-4, type=test
//= RFC 1122 §3.3.6 SHLD-2, type=test
#[test]
fn broadcast_reaches_every_socket_and_is_not_answered() {
    let mut wire = Wire::new(3, LINKS[0]);
    let ids: Vec<(usize, UdpId)> =
        (1..3).map(|host| (host, bound(&mut wire, host, "0.0.0.0", 5000))).collect();
    let client = wire[0].udp_open(Family::V4);
    let to = "10.0.0.255";
    assert!(wire[0].is_broadcast_destination(at(to, 5000)));
    send(&mut wire, client, b"all", at(to, 5000)).unwrap();
    wire.settle();
    for &(host, id) in &ids {
        assert_eq!(wire[host].udp_recv(id).unwrap().to, to.parse::<core::net::IpAddr>().unwrap());
    }
    send(&mut wire, client, b"all", at("10.0.0.255", 5001)).unwrap();
    wire.settle();
    assert_eq!(wire.counter(1, Counter::UdpNoPorts), 1);
    assert_eq!(wire.counter(1, Counter::IcmpOutMsgs), 0, "nobody answers a broadcast");
}

/// What waits for a neighbour is stamped when it goes, with the link's header.
#[test]
fn a_datagram_to_a_stranger_is_stamped_when_it_goes() {
    let mut wire = Wire::new(2, LINKS[0]);
    let id = wire[0].udp_open(Family::V4);
    let now = wire.now;
    let stamps = SendStamps { scheduled: true, sent: true, whole: true, id: 7, ..SendStamps::default() };
    let options = UdpSendOptions { stamps, ..UdpSendOptions::default() };
    wire[0].udp_send(now, id, Rope::from(&b"hello"[..]), Some(at("10.0.0.2", 9)), options).unwrap();
    assert!(wire[0].udp_take_report(id).is_none(), "nobody knows where it is to go");
    wire.settle();
    for kind in [StampKind::Scheduled, StampKind::Sent] {
        let report = wire[0].udp_take_report(id).expect("it has gone");
        assert_eq!(report.cause, Cause::Stamp { kind, id: 7 });
        assert!(report.at > now, "an answer came first");
        let bytes = report.payload.to_vec();
        assert_eq!((&bytes[..6], &bytes[42..]), (&station(1).0[..], &b"hello"[..]));
    }
    assert!(wire[0].udp_take_report(id).is_none());
}

/// The stamps of a datagram go with it: a later one of the same length has its own.
#[test]
fn a_datagram_that_never_went_leaves_no_stamps_to_others() {
    let mut wire = Wire::new(2, LINKS[0]);
    let id = wire[0].udp_open(Family::V4);
    wire.filter(|_, _| Fate::Lose);
    for number in 0..2 {
        let stamps = SendStamps { sent: true, id: number, ..SendStamps::default() };
        let options = UdpSendOptions { stamps, ..UdpSendOptions::default() };
        let now = wire.now;
        wire[0].udp_send(now, id, Rope::from(&b"hello"[..]), Some(at("10.0.0.2", 9)), options).unwrap();
        wire.run_for(Duration::from_secs(30));
        wire.pass_all();
    }
    let told: Vec<_> =
        core::iter::from_fn(|| wire[0].udp_take_report(id)).map(|report| report.cause).collect();
    assert_eq!(told, [Cause::Stamp { kind: StampKind::Sent, id: 1 }]);
}
