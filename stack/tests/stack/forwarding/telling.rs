//! What senders are told of packets that do not go on, and who is not.

use super::*;

//= RFC 1812 §5.2.7.3, type=test
//= RFC 4443 §3.3, type=test
//= RFC 1122 §3.1 MUST-3, type=test
//= RFC 4443 §3.3 MUST-1, type=test
#[test]
fn who_runs_out_of_hops_is_told() {
    let mut router = Router::plain(&[]);
    for hops in [0, 1] {
        let frame = with_hops(&from_left("10.0.1.2").udp((1000, 33_434), &[7; 10]), hops);
        let code = tapsock_stack::wire::icmp::TimeExceededCode::IN_TRANSIT;
        assert_eq!(told_v4(&router.pass(LEFT, frame)), Icmpv4Message::TimeExceeded { code });
        let frame = with_hops(&from_left("fd00:0:0:1::2").udp((1000, 33_434), &[7; 10]), hops);
        assert_eq!(told_v6(&router.pass(LEFT, frame)), Icmpv6Message::TimeExceeded { code });
    }
    assert_eq!((router.count(Counter::IpInHdrErrors), router.count(Counter::Ip6InHdrErrors)), (2, 2));
    assert_eq!((router.count(Counter::IpForwDatagrams), router.count(Counter::IcmpOutTimeExcds)), (0, 2));
}

/// As Linux 6.18 answers, which was asked for each.
//= RFC 1812 §5.2.7.1, type=test
//= RFC 4443 §3.1, type=test
#[test]
fn who_can_not_be_reached_and_why() {
    use icmpv6::UnreachableCode as Code6;
    let mut router = Router::plain(&[("net.ipv4.icmp_ratelimit", "0"), ("net.ipv6.icmp.ratelimit", "0")]);
    let kinds = [RouteKind::Blackhole, RouteKind::Unreachable, RouteKind::Prohibited];
    for (number, kind) in (1..).zip(kinds) {
        for network in [format!("10.{number}.0.0/16"), format!("fd0{number}::/64")] {
            router.stack.add_route(Route::refusing(network.parse().unwrap(), kind)).unwrap();
        }
    }
    for (to, code) in [
        ("10.1.0.1", None),
        ("10.2.0.1", Some(UnreachableCode::HOST)),
        ("10.3.0.1", Some(UnreachableCode::FILTERED)),
        ("10.9.0.1", Some(UnreachableCode::NETWORK)),
    ] {
        let sent = router.pass(LEFT, from_left(to).udp((1000, 9), &[7; 10]));
        match code {
            None => assert!(sent.is_empty(), "{to}"),
            Some(code) => {
                assert_eq!(told_v4(&sent), Icmpv4Message::DestinationUnreachable { code, mtu: 0 }, "{to}");
            }
        }
    }
    for (to, code) in [
        ("fd01::1", None),
        ("fd02::1", Some(Code6::NO_ROUTE)),
        ("fd03::1", Some(Code6::PROHIBITED)),
        ("fd09::1", Some(Code6::NO_ROUTE)),
    ] {
        let sent = router.pass(LEFT, from_left(to).udp((1000, 9), &[7; 10]));
        match code {
            None => assert!(sent.is_empty(), "{to}"),
            Some(code) => assert_eq!(told_v6(&sent), Icmpv6Message::DestinationUnreachable { code }, "{to}"),
        }
    }
    assert_eq!((router.count(Counter::IpExtInNoRoutes), router.count(Counter::Ip6InNoRoutes)), (1, 1));
    assert_eq!((router.count(Counter::IpInDiscards), router.count(Counter::Ip6InDiscards)), (3, 3));
    assert_eq!((router.count(Counter::IpForwDatagrams), router.count(Counter::Ip6OutForwDatagrams)), (0, 0));
}

//= RFC 1812 §5.2.7.1, type=test
#[test]
fn a_neighbour_that_does_not_answer_is_unreachable() {
    let mut router = Router::plain(&[]);
    for to in ["10.0.1.77", "fd00:0:0:1::77"] {
        let asked = router.pass(LEFT, from_left(to).udp((1000, 9), &[7; 10]));
        assert_eq!(asked.len(), 1, "the router asks for its neighbour");
        let mut told = Vec::new();
        while told.is_empty() {
            router.now = router.stack.poll_timeout().expect("the neighbour is waited for");
            router.stack.handle_timeout(router.now);
            told = router.sent();
            told.retain(|(id, _)| *id == LEFT);
        }
        if to.contains(':') {
            let code = icmpv6::UnreachableCode::ADDRESS;
            assert_eq!(told_v6(&told), Icmpv6Message::DestinationUnreachable { code });
        } else {
            let code = UnreachableCode::HOST;
            assert_eq!(told_v4(&told), Icmpv4Message::DestinationUnreachable { code, mtu: 0 });
        }
    }
}

/// It is forwarded by the setting of where it comes in; where it was to leave says nothing.
#[test]
fn a_router_of_one_link_s_packets_tells_of_neighbours_too() {
    let settings = [
        ("net.ipv4.ip_forward", "0"),
        ("net.ipv4.conf.left.forwarding", "1"),
        ("net.ipv6.conf.all.forwarding", "0"),
        ("net.ipv6.conf.left.forwarding", "1"),
    ];
    let mut router = Router::plain(&settings);
    for to in ["10.0.1.77", "fd00:0:0:1::77"] {
        assert_eq!(router.pass(LEFT, from_left(to).udp((1000, 9), &[7; 10])).len(), 1, "it asks");
        let mut told = Vec::new();
        while let Some(at) = router.stack.poll_timeout().filter(|at| *at < Instant::from_secs(20)) {
            router.now = router.now.max(at);
            router.stack.handle_timeout(at);
            told.extend(router.sent().into_iter().filter(|(id, _)| *id == LEFT));
        }
        assert_eq!(told.len(), 1, "{to}");
    }
}

//= RFC 1191 §4, type=test
//= RFC 4443 §3.2, type=test
//= RFC 4443 §3.2 MUST-1, type=test
#[test]
fn what_is_too_large_and_must_stay_whole_is_told() {
    let mut router = Router::plain(&[]);
    let mut frame = from_left("10.0.1.2").udp((1000, 9), &[7; 1400]).bytes.to_vec();
    frame[14 + 6] = 0x40;
    let frame = with_hops(&Frame::from(frame), 64);
    let code = UnreachableCode::FRAGMENTATION_NEEDED;
    let expected = Icmpv4Message::DestinationUnreachable { code, mtu: 1400 };
    assert_eq!(told_v4(&router.pass(LEFT, frame)), expected);
    let frame = from_left("fd00:0:0:1::2").udp((1000, 9), &[7; 1400]);
    assert_eq!(told_v6(&router.pass(LEFT, frame)), Icmpv6Message::PacketTooBig { mtu: 1400 });
    assert_eq!((router.count(Counter::IpFragFails), router.count(Counter::Ip6FragFails)), (1, 1));
    assert_eq!((router.count(Counter::Ip6InTooBigErrors), router.count(Counter::Icmp6OutPktTooBigs)), (1, 1));
}

#[test]
fn errors_and_later_fragments_are_not_complained_of() {
    let mut router = Router::plain(&[]);
    let inner = from_left("10.9.0.1").udp((1, 2), &[]);
    let code = UnreachableCode::PORT;
    let error = from_left("10.9.0.1")
        .icmpv4(Icmpv4Message::DestinationUnreachable { code, mtu: 0 }, packet_of(&inner));
    assert!(router.pass(LEFT, error).is_empty());
    let mut bytes = from_left("10.9.0.1").udp((1000, 9), &[7; 64]).bytes.to_vec();
    bytes[14 + 7] = 2;
    assert!(router.pass(LEFT, with_hops(&Frame::from(bytes), 64)).is_empty());
    assert_eq!(router.count(Counter::IpExtInNoRoutes), 2);
}

//= RFC 1122 §3.2.1.3 MUST-4, type=test
#[test]
fn nobody_is_answered_who_stands_for_a_whole_link() {
    let mut router = Router::plain(&[]);
    let everybody = from_left("10.0.0.10").from("10.0.1.255");
    let echo = Icmpv4Message::EchoRequest(tapsock_stack::wire::icmp::Echo { ident: 1, sequence: 1 });
    assert!(router.pass(LEFT, everybody.icmpv4(echo, &[])).is_empty());
    assert!(router.pass(LEFT, with_hops(&everybody.to("10.0.1.2").udp((1, 2), &[]), 1)).is_empty());
    assert_eq!(router.count(Counter::TapsockIpInMartians), 2);
}

//= RFC 1812 §5.3.8, type=test
#[test]
fn errors_too_go_to_nobody_who_comes_from_elsewhere() {
    for (mode, told) in [("0", 1), ("1", 0)] {
        let mut router = Router::plain(&[("net.ipv4.conf.left.rp_filter", mode)]);
        router.learn(RIGHT, "10.0.1.77", station(5));
        let frame = from_left("10.0.0.10").from("10.0.1.77").udp((1000, 9), &[]);
        let sent = router.pass(LEFT, with_options(&frame, &[7, 7, 3, 0, 0, 0, 0, 0]));
        assert_eq!(sent.len(), told, "{mode}");
        assert_eq!(router.count(Counter::TcpExtIPReversePathFilter), 1 - told as u64, "{mode}");
    }
}

/// What a socket sends in another's name is its own business: it is told, not he.
#[test]
fn who_sends_in_another_s_name_is_told() {
    use tapsock_stack::iface::{Addresses, Way};
    use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
    let mut router = Router::plain(&[]);
    let behind = Route::via("198.51.100.0/24".parse().unwrap(), "10.0.0.1".parse().unwrap(), LEFT);
    router.stack.add_route(behind).unwrap();
    let id = router.stack.udp_open(Family::V4);
    router.stack.udp_mut(id).unwrap().way = Way { addresses: Addresses::Any, ..Way::default() };
    let name = LocalAddr::new("198.51.100.7".parse().unwrap(), 0);
    let request = BindRequest { port: 7000, foreign: true, ..BindRequest::new(Transport::Udp, name) };
    let bind = router.stack.bind(request).unwrap();
    router.stack.udp_bind(id, bind);
    router.stack.udp_connect(id, Some(crate::wire::at("10.0.1.77", 9))).unwrap();
    let all = tapsock_stack::error_queue::ErrorDelivery::All;
    router.stack.udp_mut(id).unwrap().error_delivery.v4 = all;
    let now = router.now;
    let options = UdpSendOptions::default();
    router.stack.udp_send(now, id, Rope::from(vec![7]), None, options).unwrap();
    router.sent();
    let mut error = None;
    while let Some(due) = router.stack.poll_timeout().filter(|_| error.is_none()) {
        router.now = due;
        router.stack.handle_timeout(due);
        assert!(router.sent().iter().all(|(link, _)| *link == RIGHT), "the other hears nothing");
        error = router.stack.udp_take_error(id);
    }
    assert_eq!(error, Some(tapsock_stack::error::SocketError::HostUnreachable));
}

/// What a program of this host writes itself to a group comes back here, and may come from a whole link, which is not
/// answered either.
//= RFC 1812 §4.3.2.7, type=test
#[test]
fn an_answer_goes_to_one_host() {
    use tapsock_stack::stack::RawSendOptions;
    let echo = Icmpv4Message::EchoRequest(tapsock_stack::wire::icmp::Echo { ident: 1, sequence: 1 });
    for (from, answers) in [("10.0.1.77", 1), ("10.0.1.255", 0)] {
        let mut router = Router::plain(&[("net.ipv4.icmp_echo_ignore_broadcasts", "0")]);
        router.learn(RIGHT, "10.0.1.77", station(5));
        let forged = from_left("224.0.0.1").from(from).icmpv4(echo, &[]);
        let packet = Rope::from(packet_of(&forged).to_vec());
        // The protocol of sockets that write their headers.
        let id = router.stack.raw_open(Family::V4, 255).unwrap();
        let options = RawSendOptions { interface: Some(RIGHT), ..RawSendOptions::default() };
        let to = Some(crate::wire::at("224.0.0.1", 0));
        router.stack.raw_send(router.now, id, packet, to, options).unwrap();
        assert_eq!(router.sent().len(), 1 + answers, "{from}");
        let counts = [Counter::IcmpInEchos, Counter::IcmpOutEchoReps].map(|counter| router.count(counter));
        assert_eq!(counts, [1, answers as u64], "{from}");
    }
}
