//! What the options of IPv6 do that IPv4 has no namesake of. What is expected was seen on Linux 6.18.

mod common;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::control::{Control, ControlMessages};
use tapsock_sockets::{Fd, Permission, SockAddr};
use tapsock_stack::buf::Rope;

const FRAGMENT: u8 = 44;
/// A protocol that nobody has.
const NOBODYS: i32 = 200;
/// The index of the interface that joins the hosts, and that of `lo`.
const WIRE: u32 = 2;
const LO: u32 = 1;

fn net() -> Net {
    Net::with(Permission::Privileged)
}

/// An echo request of that many bytes.
fn request(len: usize) -> Vec<u8> {
    let mut message = vec![0; len];
    (message[0], message[7]) = (128, 1);
    message
}

/// A socket of `a` of each kind that sends packets of IPv6: UDP's, a raw one and a ping one.
fn senders(net: &mut Net) -> [Fd; 3] {
    [(SOCK_DGRAM, 0), (SOCK_RAW, NOBODYS), (SOCK_DGRAM, IPPROTO_ICMPV6)]
        .map(|(kind, protocol)| net.a.socket(AF_INET6, kind, protocol).unwrap())
}

/// The length and the next header of each packet that `a` has sent since this was asked last.
fn sent(net: &mut Net) -> Vec<(usize, u8)> {
    net.settle();
    core::mem::take(&mut net.sent).iter().map(|packet| (packet.len(), packet[6])).collect()
}

fn receive(net: &mut Net, fd: Fd) -> Vec<Control> {
    net.settle();
    net.b.try_recv(net.now, fd, 100, MSG_DONTWAIT).unwrap().control
}

fn packet_info(interface: u32) -> Vec<u8> {
    [[0; 16].to_vec(), interface.to_ne_bytes().to_vec()].concat()
}

#[test]
fn traffic_class_and_flow_label_are_told() {
    let mut net = net();
    let to = b(AF_INET6, 9000);
    let receiver = datagram(&mut net.b, AF_INET6);
    net.b.bind(net.now, receiver, &any(AF_INET6, 9000)).unwrap();
    for option in [IPV6_FLOWINFO, IPV6_RECVTCLASS] {
        assert_eq!(int(&mut net.b, net.now, receiver, SOL_IPV6, option), 0);
        assert_eq!(set(&mut net.b, net.now, receiver, SOL_IPV6, option, 7), "OK");
        assert_eq!(int(&mut net.b, net.now, receiver, SOL_IPV6, option), 1);
    }
    let sender = datagram(&mut net.a, AF_INET6);
    assert_eq!(set(&mut net.a, net.now, sender, SOL_IPV6, IPV6_AUTOFLOWLABEL, 0), "OK");
    send_to(&mut net.a, net.now, sender, b"nothing to tell", &to);
    assert_eq!(receive(&mut net, receiver), [Control::TrafficClass(0)]);
    assert_eq!(set(&mut net.a, net.now, sender, SOL_IPV6, IPV6_TCLASS, 0x2c), "OK");
    send_to(&mut net.a, net.now, sender, b"a class", &to);
    assert_eq!(
        receive(&mut net, receiver),
        [Control::TrafficClass(0x2c), Control::FlowInfo(0x02c0_0000)],
        "in Linux's order"
    );
    // Of what the message says only the label counts.
    let mut control = ControlMessages::with_room(64);
    control.push(&Control::FlowInfo(0x0121_2345));
    let mut data = Rope::from(&b"and a label"[..]);
    assert_eq!(net.a.try_sendmsg(net.now, sender, &mut data, control.as_bytes(), 0, Some(&to)), Ok(11));
    assert_eq!(receive(&mut net, receiver)[1], Control::FlowInfo(0x02c1_2345));
    // IPv4 has none.
    let sender = datagram(&mut net.a, AF_INET);
    assert_eq!(set(&mut net.a, net.now, sender, SOL_IP, IP_TOS, 0x2c), "OK");
    send_to(&mut net.a, net.now, sender, b"x", &b(AF_INET, 9000));
    assert_eq!(receive(&mut net, receiver), []);
}

/// A raw socket hears what comes, and a ping socket the answer.
#[test]
fn raw_and_ping_sockets_are_told_of_flows() {
    let mut net = net();
    let raw = net.b.socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6).unwrap();
    let ping = net.a.socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6).unwrap();
    assert_eq!(set(&mut net.a, net.now, ping, SOL_IPV6, IPV6_FLOWINFO, 1), "OK");
    assert_eq!(set(&mut net.b, net.now, raw, SOL_IPV6, IPV6_FLOWINFO, 1), "OK");
    send_to(&mut net.a, net.now, ping, &request(9), &b(AF_INET6, 0));
    net.settle();
    let told = [
        net.b.try_recv(net.now, raw, 100, MSG_DONTWAIT).unwrap().control,
        net.a.try_recv(net.now, ping, 100, MSG_DONTWAIT).unwrap().control,
    ];
    assert!(told.iter().all(|told| matches!(told[..], [Control::FlowInfo(1..0x10_0000)])), "{told:?}");
}

/// The flow labels of what `a` has sent since this was asked last.
fn labels(net: &mut Net) -> Vec<u32> {
    net.settle();
    let sent = core::mem::take(&mut net.sent).into_iter();
    sent.map(|packet| u32::from_be_bytes(*packet.first_chunk().unwrap()) & 0xf_ffff).collect()
}

//= RFC 6437 §3, type=test
#[test]
fn raw_and_ping_sockets_label_their_flows() {
    let mut net = net();
    let [_, raw, ping] = senders(&mut net);
    net.settle();
    let to = b(AF_INET6, 0);
    for fd in [raw, ping] {
        labels(&mut net);
        for _ in 0..2 {
            send_to(&mut net.a, net.now, fd, &request(9), &to);
        }
        let own = labels(&mut net);
        assert!(own[0] != 0 && own[0] == own[1], "{own:x?}");
        assert_eq!(int(&mut net.a, net.now, fd, SOL_IPV6, IPV6_AUTOFLOWLABEL), 1);
        assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_AUTOFLOWLABEL, 0), "OK");
        send_to(&mut net.a, net.now, fd, &request(9), &to);
        assert_eq!(labels(&mut net), [0]);
        let mut control = ControlMessages::with_room(64);
        control.push(&Control::FlowInfo(0x1_2345));
        let mut data = Rope::from(request(9));
        assert_eq!(net.a.try_sendmsg(net.now, fd, &mut data, control.as_bytes(), 0, Some(&to)), Ok(9));
        assert_eq!(labels(&mut net), [0x1_2345]);
    }
}

/// Of raw sockets Linux spares those of other protocols.
#[test]
fn pings_that_are_not_to_be_cut_are_refused() {
    let mut net = net();
    let (ping, to) = (senders(&mut net)[2], b(AF_INET6, 0));
    assert_eq!(send_to(&mut net.a, net.now, ping, &request(1461), &to), "1461");
    assert_eq!(set(&mut net.a, net.now, ping, SOL_IPV6, IPV6_DONTFRAG, 1), "OK");
    assert_eq!(int(&mut net.a, net.now, ping, SOL_IPV6, IPV6_DONTFRAG), 1);
    assert_eq!(send_to(&mut net.a, net.now, ping, &request(1461), &to), "EMSGSIZE");
    assert_eq!(send_to(&mut net.a, net.now, ping, &request(1460), &to), "1460");
}

#[test]
fn packets_are_no_larger_than_they_are_to_be() {
    let mut net = net();
    let to = |fd: Fd, [udp, ..]: [Fd; 3]| b(AF_INET6, if fd == udp { 9000 } else { 0 });
    let all = senders(&mut net);
    for fd in all {
        for (value, outcome) in
            [(-1, "EINVAL"), (1, "EINVAL"), (1279, "EINVAL"), (1280, "OK"), (0, "OK"), (1300, "OK")]
        {
            assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_MTU, value), outcome, "{value}");
        }
    }
    // As on Linux, what goes whole is not cut.
    for (fd, header, protocol) in [(all[0], 48, 17), (all[1], 40, NOBODYS as u8), (all[2], 40, 58)] {
        net.settle();
        sent(&mut net);
        for (len, parts) in [
            (1300, vec![(1300, protocol)]),
            (1500, vec![(1500, protocol)]),
            (1501, vec![(1296, FRAGMENT), (261, FRAGMENT)]),
            (4048, vec![(1296, FRAGMENT), (1296, FRAGMENT), (1296, FRAGMENT), (312, FRAGMENT)]),
        ] {
            let to = to(fd, all);
            assert_eq!(
                send_to(&mut net.a, net.now, fd, &request(len - header), &to),
                (len - header).to_string()
            );
            assert_eq!(sent(&mut net), parts, "{protocol} {len}");
        }
        // What is not to be cut is refused.
        assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO), "OK");
        for (len, outcome) in [(1300, "OK"), (1301, "EMSGSIZE")] {
            let to = to(fd, all);
            let mut data = Rope::from(request(len - header));
            assert_eq!(
                said(net.a.try_send(net.now, fd, &mut data, MSG_DONTWAIT, Some(&to))),
                outcome,
                "{len}"
            );
            sent(&mut net);
        }
    }
}

#[test]
fn a_size_that_was_asked_for_bounds_parts_and_reports() {
    let mut net = net();
    let (fd, to) = (datagram(&mut net.a, AF_INET6), b(AF_INET6, 9000));
    for (option, value) in
        [(IPV6_MTU, 1280), (IPV6_DONTFRAG, 1), (IPV6_RECVPATHMTU, 1), (IPV6_MTU_DISCOVER, IP_PMTUDISC_DONT)]
    {
        assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, option, value), "OK");
    }
    assert_eq!(send_to(&mut net.a, net.now, fd, &[0; 1233], &to), "EMSGSIZE");
    let told = net.a.try_recv(net.now, fd, 9, MSG_DONTWAIT).unwrap();
    assert!(matches!(told.control[..], [Control::PathMtu { mtu: 1280, .. }]), "{told:?}");
    // Datagrams that a send is cut into have to be as small.
    for (size, outcome) in [(1232, "3000"), (1233, "EMSGSIZE")] {
        assert_eq!(set(&mut net.a, net.now, fd, SOL_UDP, UDP_SEGMENT, size), "OK");
        assert_eq!(send_to(&mut net.a, net.now, fd, &[0; 3000], &to), outcome);
    }
    // What goes by IPv4 is as large as ever, and what the path takes is shown.
    let fd = datagram(&mut net.a, AF_INET6);
    assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_MTU, 1280), "OK");
    assert_eq!(set(&mut net.a, net.now, fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), "OK");
    assert_eq!(send_to(&mut net.a, net.now, fd, &[0; 1472], &addr("::ffff:10.0.0.2", 9000)), "1472");
    net.a.try_connect(net.now, fd, &to).unwrap();
    assert_eq!(int(&mut net.a, net.now, fd, SOL_IPV6, IPV6_MTU), 1500);
}

#[test]
fn packets_leave_by_the_interface_that_was_named_for_all() {
    let mut net = net();
    let (far, group) = (b(AF_INET6, 9000), addr("ff0e::1", 9000));
    for (at, fd) in senders(&mut net).into_iter().enumerate() {
        let put = |net: &mut Net, value: &[u8]| net.a.set_option(net.now, fd, SOL_IPV6, IPV6_PKTINFO, value);
        let sends = |net: &mut Net, to: &SockAddr| {
            let to = if at == 0 {
                *to
            } else {
                SockAddr::from(std::net::SocketAddr::from((to.to_inet().unwrap().ip(), 0)))
            };
            let outcome =
                said(net.a.try_send(net.now, fd, &mut Rope::from(request(9)), MSG_DONTWAIT, Some(&to)));
            (outcome, sent(net).len())
        };
        assert_eq!(put(&mut net, &packet_info(0)[..19]), Err(Errno::INVAL));
        assert_eq!(put(&mut net, &[]), Err(Errno::INVAL));
        assert_eq!(net.a.option(net.now, fd, SOL_IPV6, IPV6_PKTINFO).err(), Some(Errno::NOPROTOOPT));
        // By `lo` no way leads there, and by an interface that does not exist none to anywhere.
        for (interface, outcome) in [
            (WIRE, ("OK".to_owned(), 1)),
            (LO, ("ENETUNREACH".to_owned(), 0)),
            (99, ("ENETUNREACH".to_owned(), 0)),
            (0, ("OK".to_owned(), 1)),
        ] {
            assert_eq!(put(&mut net, &packet_info(interface)), Ok(()));
            assert_eq!(sends(&mut net, &far), outcome, "{at} {interface}");
            let connected = net.a.try_connect(net.now, fd, &far);
            assert_eq!(said(connected), outcome.0, "{at} {interface}");
            net.a.try_connect(net.now, fd, &SockAddr::Unspec(None)).unwrap();
        }
        // It comes before the interface for groups.
        assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_MULTICAST_IF, LO as i32), "OK");
        assert_eq!(put(&mut net, &packet_info(WIRE)), Ok(()));
        assert_eq!(sends(&mut net, &group), ("OK".to_owned(), 1));
        // And behind what the socket is held to.
        assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_BINDTOIFINDEX, WIRE as i32), "OK");
        for (interface, outcome) in [(0, Err(Errno::INVAL)), (LO, Err(Errno::INVAL)), (WIRE, Ok(()))] {
            assert_eq!(put(&mut net, &packet_info(interface)), outcome);
        }
    }
    // As on Linux, a stream takes it and goes its way.
    let mut net = Net::new();
    let stream = nonblocking(&mut net.a, AF_INET6);
    net.a.set_option(net.now, stream, SOL_IPV6, IPV6_PKTINFO, &packet_info(LO)).unwrap();
    assert_eq!(said(net.a.try_connect(net.now, stream, &b(AF_INET6, 9000))), "EINPROGRESS");
    net.settle();
    assert_eq!(said(net.a.try_connect(net.now, stream, &b(AF_INET6, 9000))), "ECONNREFUSED");
}

/// As on Linux, of ICMPv6: packets of other protocols are cut, whatever IPV6_DONTFRAG says.
#[test]
fn raw_sockets_are_told_of_narrow_paths() {
    for (protocol, sent, told) in [(IPPROTO_ICMPV6, "EMSGSIZE", true), (NOBODYS, "2000", false)] {
        let mut net = net();
        let fd = net.a.socket(AF_INET6, SOCK_RAW, protocol).unwrap();
        for option in [IPV6_DONTFRAG, IPV6_RECVPATHMTU] {
            assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, option, 1), "OK");
        }
        let asked = |net: &mut Net| net.a.option(net.now, fd, SOL_IPV6, IPV6_PATHMTU);
        assert_eq!(errno(asked(&mut net)), "ENOTCONN");
        let packet = [&[128][..], &[0; 1999]].concat();
        assert_eq!(send_to(&mut net.a, net.now, fd, &packet, &b(AF_INET6, 0)), sent);
        let (destination, mtu) = ("[fd00::2]:0".parse().unwrap(), 1500);
        let heard = net.a.try_recv(net.now, fd, 9, MSG_DONTWAIT).map(|told| told.control);
        let path = vec![Control::PathMtu { destination, mtu }];
        assert_eq!(heard.ok(), told.then_some(path));
        net.a.try_connect(net.now, fd, &b(AF_INET6, 0)).unwrap();
        assert_eq!(asked(&mut net).unwrap().as_bytes()[28..], mtu.to_ne_bytes());
    }
}
