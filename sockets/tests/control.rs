//! Control messages of datagrams: what a receiver is told, and what a sender asks for.

mod common;

use core::time::Duration;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::control::{Control, ControlMessages};
use tapsock_sockets::{Fd, Received, Sockets, Stamp, Stop};
use tapsock_stack::buf::Rope;
use tapsock_stack::time::Instant;

/// The number of the wire between the hosts.
const WIRE: u32 = 2;

fn on(host: &mut Sockets, fd: Fd, level: i32, options: &[i32]) {
    for &option in options {
        assert_eq!(int(host, Instant::ZERO, fd, level, option), 0);
        assert_eq!(set(host, Instant::ZERO, fd, level, option, 1), "OK");
        assert_eq!(int(host, Instant::ZERO, fd, level, option), 1);
    }
}

fn bytes(messages: &[Control]) -> Vec<u8> {
    let mut control = ControlMessages::with_room(1024);
    messages.iter().for_each(|message| control.push(message));
    control.into_bytes()
}

fn send_with(
    net: &mut Net,
    fd: Fd,
    data: &[u8],
    control: &[u8],
    to: &tapsock_sockets::SockAddr,
) -> Result<usize, Errno> {
    let sent = net.a.try_sendmsg(net.now, fd, &mut Rope::from(data), control, MSG_DONTWAIT, Some(to));
    net.settle();
    sent.map_err(|stop| match stop {
        Stop::Error(errno) => errno,
        Stop::Wait(_) => panic!("it waits"),
    })
}

fn receive(net: &mut Net, fd: Fd) -> Received {
    net.b.try_recv(net.now, fd, 100_000, MSG_DONTWAIT).unwrap()
}

/// A sender on `a`, and a receiver on `b` at port 9.
fn pair(net: &mut Net, domain: i32) -> (Fd, Fd) {
    let (sender, receiver) = (datagram(&mut net.a, domain), datagram(&mut net.b, domain));
    net.b.bind(net.now, receiver, &any(domain, 9000)).unwrap();
    (sender, receiver)
}

//= RFC 1122 §3.2.1.6 SHLD-1, type=test
//= RFC 1122 §3.4 MUST-2, type=test
#[test]
fn a_receiver_of_ipv4_is_told_what_it_asks_for() {
    let mut net = Net::new();
    let (sender, receiver) = pair(&mut net, AF_INET);
    send_with(&mut net, sender, b"x", &[], &b(AF_INET, 9000)).unwrap();
    let plain = receive(&mut net, receiver);
    assert_eq!((plain.control, plain.stamps), (vec![], [None, None]));

    on(&mut net.b, receiver, SOL_IP, &[IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVORIGDSTADDR]);
    set(&mut net.a, net.now, sender, SOL_IP, IP_TTL, 9);
    set(&mut net.a, net.now, sender, SOL_IP, IP_TOS, 0x2e);
    send_with(&mut net, sender, b"x", &[], &b(AF_INET, 9000)).unwrap();
    let own = "10.0.0.2".parse().unwrap();
    let told = [
        Control::PacketInfo4 { interface: WIRE, local: own, destination: own },
        Control::Ttl(9),
        Control::Tos(0x2e),
        Control::OriginalDestination("10.0.0.2:9000".parse().unwrap()),
    ];
    assert_eq!(receive(&mut net, receiver).control, told);
    // What went to everybody is answered from the link's address.
    set(&mut net.a, net.now, sender, SOL_SOCKET, SO_BROADCAST, 1);
    send_with(&mut net, sender, b"x", &[], &addr("10.0.0.255", 9000)).unwrap();
    let info =
        Control::PacketInfo4 { interface: WIRE, local: own, destination: "10.0.0.255".parse().unwrap() };
    assert_eq!(receive(&mut net, receiver).control[0], info);
    assert_eq!(set(&mut net.b, net.now, receiver, SOL_IP, IP_RECVTTL, 0), "OK");
    send_with(&mut net, sender, b"x", &[], &b(AF_INET, 9000)).unwrap();
    assert!(!receive(&mut net, receiver).control.contains(&Control::Ttl(9)), "no more");
}

#[test]
fn a_receiver_of_ipv6_is_told_of_both_families() {
    let mut net = Net::new();
    let (sender, receiver) = pair(&mut net, AF_INET6);
    on(&mut net.b, receiver, SOL_IPV6, &[IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS]);
    on(&mut net.b, receiver, SOL_IPV6, &[IPV6_RECVORIGDSTADDR]);
    on(&mut net.b, receiver, SOL_IP, &[IP_RECVTTL, IP_PKTINFO]);
    send_with(&mut net, sender, b"x", &[], &b(AF_INET6, 9000)).unwrap();
    let told = [
        Control::PacketInfo6 { destination: "fd00::2".parse().unwrap(), interface: WIRE },
        Control::HopLimit(64),
        Control::TrafficClass(0),
        Control::OriginalDestination("[fd00::2]:9000".parse().unwrap()),
    ];
    assert_eq!(receive(&mut net, receiver).control, told);

    let four = datagram(&mut net.a, AF_INET);
    send_with(&mut net, four, b"x", &[], &b(AF_INET, 9000)).unwrap();
    let own = "10.0.0.2".parse().unwrap();
    let told = [
        Control::PacketInfo6 { destination: "::ffff:10.0.0.2".parse().unwrap(), interface: WIRE },
        Control::PacketInfo4 { interface: WIRE, local: own, destination: own },
        Control::Ttl(64),
    ];
    assert_eq!(receive(&mut net, receiver).control, told, "as Linux has it for a mapped address");
}

#[test]
fn time_is_told_in_one_unit_and_is_that_of_arrival() {
    let mut net = Net::new();
    let (sender, receiver) = pair(&mut net, AF_INET);
    let mut stamps = Vec::new();
    for option in [SO_TIMESTAMP, SO_TIMESTAMPNS] {
        assert_eq!(set(&mut net.b, net.now, receiver, SOL_SOCKET, option, 1), "OK");
        send_with(&mut net, sender, b"x", &[], &b(AF_INET, 9000)).unwrap();
        let arrived = net.now;
        net.sleep(Duration::from_secs(3));
        stamps.push((receive(&mut net, receiver).stamps[0], arrived));
    }
    assert_eq!(int(&mut net.b, net.now, receiver, SOL_SOCKET, SO_TIMESTAMP), 0, "the other was asked for");
    let [(first, came), (second, later)] = stamps[..] else { unreachable!() };
    assert_eq!((first, second), (Some(Stamp::Micros(came)), Some(Stamp::Nanos(later))));
    assert_eq!(set(&mut net.b, net.now, receiver, SOL_SOCKET, SO_TIMESTAMP, 0), "OK");
    assert_eq!(
        int(&mut net.b, net.now, receiver, SOL_SOCKET, SO_TIMESTAMPNS),
        0,
        "as Linux: either ends both"
    );
}

#[test]
fn drops_are_told_with_what_came_after_them() {
    let mut net = Net::new();
    let (sender, receiver) = pair(&mut net, AF_INET);
    on(&mut net.b, receiver, SOL_SOCKET, &[SO_RXQ_OVFL]);
    assert_eq!(set(&mut net.b, net.now, receiver, SOL_SOCKET, SO_RCVBUF, 1), "OK");
    let mut lost = 0;
    for _ in 0..6 {
        send_with(&mut net, sender, b"x", &[], &b(AF_INET, 9000)).unwrap();
    }
    while recv(&mut net.b, net.now, receiver, 1, 0) != "EAGAIN" {
        lost += 1;
    }
    lost = 6 - lost;
    assert!(lost > 0, "the buffer is too large for this test");
    send_with(&mut net, sender, b"x", &[], &b(AF_INET, 9000)).unwrap();
    assert_eq!(receive(&mut net, receiver).control, [Control::RxqOverflow(lost)]);
}

#[test]
fn merged_datagrams_are_told_apart() {
    let mut net = Net::new();
    let (sender, receiver) = (datagram(&mut net.b, AF_INET), datagram(&mut net.b, AF_INET));
    net.b.bind(net.now, receiver, &any(AF_INET, 9000)).unwrap();
    on(&mut net.b, receiver, SOL_UDP, &[UDP_GRO]);
    let cut = bytes(&[Control::SegmentSize(2)]);
    let sent =
        net.b.try_sendmsg(net.now, sender, &mut Rope::from(&b"aabbc"[..]), &cut, 0, Some(&b(AF_INET, 9000)));
    assert_eq!(sent, Ok(5));
    net.settle();
    assert_eq!(receive(&mut net, receiver).control, [Control::GroSize(2)]);
}

#[test]
fn a_sender_marks_one_datagram() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (sender, _) = pair(&mut net, domain);
        let (hops, class) = match domain {
            AF_INET => (Control::Ttl(3), Control::Tos(0x28)),
            _ => (Control::HopLimit(3), Control::TrafficClass(0x28)),
        };
        let mut marks = Vec::new();
        for control in [bytes(&[hops, class]), Vec::new()] {
            net.sent.clear();
            send_with(&mut net, sender, b"x", &control, &b(domain, 9000)).unwrap();
            let packet = &net.sent[0];
            marks.push(match domain {
                AF_INET => (packet[8], packet[1]),
                _ => (packet[7], packet[0] << 4 | packet[1] >> 4),
            });
        }
        assert_eq!(marks, [(3, 0x28), (64, 0)], "the next one is as ever");
    }
}

#[test]
fn a_sender_chooses_its_address() {
    for (address, domain) in [("10.0.0.77/24", AF_INET), ("fd00::77/64", AF_INET6)] {
        let mut net = Net::new();
        let id = tapsock_stack::iface::InterfaceId(1);
        net.a.stack_mut().add_address(id, address.parse().unwrap()).unwrap();
        let (sender, receiver) = pair(&mut net, domain);
        let info = |interface, v4: &str, v6: &str| match domain {
            AF_INET => Control::PacketInfo4 {
                interface,
                local: v4.parse().unwrap(),
                destination: "0.0.0.0".parse().unwrap(),
            },
            _ => Control::PacketInfo6 { destination: v6.parse().unwrap(), interface },
        };
        let there = b(domain, 9000);
        let chosen = bytes(&[info(WIRE, "10.0.0.77", "fd00::77")]);
        assert_eq!(send_with(&mut net, sender, b"x", &chosen, &there), Ok(1));
        let from = receive(&mut net, receiver).from.unwrap().to_string();
        assert!(from.contains("10.0.0.77") || from.contains("fd00::77"), "{from}");

        let foreign = bytes(&[info(0, "9.9.9.9", "2001:db8::9")]);
        let refused = if domain == AF_INET { Errno::NETUNREACH } else { Errno::INVAL };
        assert_eq!(send_with(&mut net, sender, b"x", &foreign, &there), Err(refused), "as Linux 6.18");
        let nowhere = bytes(&[info(99, "0.0.0.0", "::")]);
        assert_eq!(send_with(&mut net, sender, b"x", &nowhere, &there), Err(Errno::NODEV));
    }
}

#[test]
fn what_is_not_there_is_refused() {
    let mut net = Net::new();
    let (sender, _) = pair(&mut net, AF_INET);
    let there = b(AF_INET, 9000);
    for (kind, outcome) in
        [(SO_PRIORITY, Ok(1)), (SO_MARK, Err(Errno::PERM)), (SO_KEEPALIVE, Err(Errno::INVAL))]
    {
        let mut control = 20usize.to_ne_bytes().to_vec();
        control.extend(SOL_SOCKET.to_ne_bytes().iter().chain(&kind.to_ne_bytes()).chain(&5i32.to_ne_bytes()));
        assert_eq!(send_with(&mut net, sender, b"x", &control, &there), outcome);
    }
    assert_eq!(send_with(&mut net, sender, b"x", &[0; 16], &there), Err(Errno::INVAL));
    // Those of local sockets concern nobody here.
    assert_eq!(send_with(&mut net, sender, b"x", &bytes(&[Control::Rights(vec![77])]), &there), Ok(1));

    let (_, client, _) = net.connected(AF_INET);
    let malformed = net.a.try_sendmsg(net.now, client, &mut Rope::from(&b"x"[..]), &[0; 16], 0, None);
    assert_eq!(malformed, Err(Stop::Error(Errno::INVAL)));
}

/// As on Linux, which takes them all of it too.
#[test]
fn a_stream_tells_time_only() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (_, client, server) = net.connected(domain);
        for option in [IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVOPTS, IP_RETOPTS, IP_RECVORIGDSTADDR] {
            assert_eq!(set(&mut net.b, net.now, server, SOL_IP, option, 1), "OK");
            assert_eq!(int(&mut net.b, net.now, server, SOL_IP, option), 1);
        }
        for option in [IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_FLOWINFO] {
            if domain == AF_INET6 {
                assert_eq!(set(&mut net.b, net.now, server, SOL_IPV6, option, 1), "OK");
            }
        }
        for option in [SO_RXQ_OVFL, SO_TIMESTAMP] {
            assert_eq!(set(&mut net.b, net.now, server, SOL_SOCKET, option, 1), "OK");
        }
        send(&mut net.a, net.now, client, b"x", 0);
        net.settle();
        let told = net.b.try_recv(net.now, server, 9, 0).unwrap();
        assert_eq!((told.control.len(), told.stamps[0].is_some()), (0, true));
    }
}

#[test]
fn echo_requests_are_marked_and_replies_tell() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (protocol, request, level, options) = match domain {
            AF_INET => (IPPROTO_ICMP, 8, SOL_IP, [IP_RECVTTL, IP_RECVTOS]),
            _ => (IPPROTO_ICMPV6, 128, SOL_IPV6, [IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS]),
        };
        let ping = net.a.socket(domain, SOCK_DGRAM, protocol).unwrap();
        on(&mut net.a, ping, level, &options);
        let (hops, class) = match domain {
            AF_INET => (Control::Ttl(5), Control::Tos(0)),
            _ => (Control::HopLimit(5), Control::TrafficClass(0)),
        };
        for (control, expected) in [(bytes(&[hops]), 5), (Vec::new(), 64)] {
            net.sent.clear();
            send_with(&mut net, ping, &[request, 0, 0, 0, 0, 0, 0, 1], &control, &b(domain, 0)).unwrap();
            assert_eq!(net.sent[0][if domain == AF_INET { 8 } else { 7 }], expected);
            let told = net.a.try_recv(net.now, ping, 100, MSG_DONTWAIT).unwrap().control;
            let reply = if domain == AF_INET { Control::Ttl(64) } else { Control::HopLimit(64) };
            assert_eq!(told, [reply, class.clone()]);
        }
    }
}
