//! What each option does to packets and calls.

mod common;

use core::time::Duration;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, PollMask, Stop};
use tapsock_stack::buf::Rope;
use tapsock_stack::iface::InterfaceId;

/// TTL and TOS, or hop limit and traffic class, of an IP packet.
fn packet_marks(packet: &[u8]) -> (u8, u8) {
    match packet[0] >> 4 {
        4 => (packet[8], packet[1]),
        _ => (packet[7], packet[0] << 4 | packet[1] >> 4),
    }
}

fn marks(net: &mut Net) -> Vec<(u8, u8)> {
    net.settle();
    net.sent.drain(..).map(|packet| packet_marks(&packet)).collect()
}

//= RFC 9293 MUST-48, type=test
//= RFC 9293 MUST-49, type=test
//= RFC 9293 SHLD-21, type=test
//= RFC 9293 SHLD-22, type=test
//= RFC 1122 §3.2.1.6 MUST-1, type=test
//= RFC 1122 §3.2.1.7 MUST-3, type=test
//= RFC 1122 §3.4 MUST-1, type=test
#[test]
fn hop_limit_and_class_of_packets() {
    for (domain, level, hops, class) in
        [(AF_INET, SOL_IP, IP_TTL, IP_TOS), (AF_INET6, SOL_IPV6, IPV6_UNICAST_HOPS, IPV6_TCLASS)]
    {
        let mut net = Net::new();
        let now = net.now;
        let udp = datagram(&mut net.a, domain);
        assert_eq!(send_to(&mut net.a, now, udp, b"x", &b(domain, 9)), "1");
        assert_eq!(marks(&mut net), [(64, 0)]);
        assert_eq!(set(&mut net.a, now, udp, level, hops, 9), "OK");
        assert_eq!(set(&mut net.a, now, udp, level, class, 0x2e), "OK");
        assert_eq!(send_to(&mut net.a, now, udp, b"x", &b(domain, 9)), "1");
        assert_eq!(marks(&mut net), [(9, 0x2e)]);
        assert_eq!(set(&mut net.a, now, udp, level, hops, -1), "OK");
        assert_eq!(send_to(&mut net.a, now, udp, b"x", &b(domain, 9)), "1");
        assert_eq!(marks(&mut net), [(64, 0x2e)]);

        let (_, client, _) = net.connected(domain);
        net.sent.clear();
        assert_eq!(set(&mut net.a, net.now, client, level, hops, 7), "OK");
        assert_eq!(set(&mut net.a, net.now, client, level, class, 0x10), "OK");
        send(&mut net.a, net.now, client, b"x", 0);
        assert!(marks(&mut net).contains(&(7, 0x10)));
        let other = nonblocking(&mut net.a, domain);
        assert_eq!(set(&mut net.a, net.now, other, level, hops, 5), "OK");
        let _ = net.a.try_connect(net.now, other, &b(domain, 8000));
        assert_eq!(marks(&mut net)[0], (5, 0), "from the first SYN on");
    }
}

#[test]
fn hop_limit_and_class_of_echo_requests() {
    for (domain, protocol, request, level, hops, class) in [
        (AF_INET, IPPROTO_ICMP, 8, SOL_IP, IP_TTL, IP_TOS),
        (AF_INET6, IPPROTO_ICMPV6, 128, SOL_IPV6, IPV6_UNICAST_HOPS, IPV6_TCLASS),
    ] {
        let mut net = Net::new();
        let now = net.now;
        let fd = net.a.socket(domain, SOCK_DGRAM, protocol).unwrap();
        for (limit, marked) in [(None, (64, 0)), (Some(3), (3, 0x20))] {
            if let Some(limit) = limit {
                assert_eq!(set(&mut net.a, now, fd, level, hops, limit), "OK");
                assert_eq!(set(&mut net.a, now, fd, level, class, 0x20), "OK");
            }
            let message = Rope::from(vec![request, 0, 0, 0, 0, 0, 0, 1]);
            assert_eq!(net.a.try_send(now, fd, &mut message.clone(), 0, Some(&b(domain, 0))), Ok(8));
            assert_eq!(marks(&mut net), [marked]);
        }
    }
}

//= RFC 9293 MUST-17, type=test
#[test]
fn small_segments_wait_without_nodelay() {
    for (no_delay, packets) in [(0, 1), (1, 2)] {
        let mut net = Net::new();
        let (_, client, _) = net.connected(AF_INET);
        assert_eq!(set(&mut net.a, net.now, client, SOL_TCP, TCP_NODELAY, no_delay), "OK");
        net.settle();
        net.plugged = false;
        net.sent.clear();
        send(&mut net.a, net.now, client, b"one", 0);
        net.settle();
        send(&mut net.a, net.now, client, b"two", 0);
        net.settle();
        assert_eq!(net.sent.len(), packets, "TCP_NODELAY {no_delay}");
    }
}

//= RFC 9293 MUST-24, type=test
//= RFC 9293 MUST-27, type=test
#[test]
fn keepalive_finds_a_dead_peer() {
    let mut net = Net::new();
    let (_, client, _) = net.connected(AF_INET);
    for (level, option, value) in [
        (SOL_TCP, TCP_KEEPIDLE, 10),
        (SOL_TCP, TCP_KEEPINTVL, 2),
        (SOL_TCP, TCP_KEEPCNT, 3),
        (SOL_SOCKET, SO_KEEPALIVE, 1),
    ] {
        assert_eq!(set(&mut net.a, net.now, client, level, option, value), "OK");
    }
    net.sent.clear();
    net.sleep(Duration::from_secs(25));
    assert!((1..=3).contains(&net.sent.len()), "{} probes, each of them answered", net.sent.len());
    assert_eq!(poll(&net.a, client), "OUT");
    net.plugged = false;
    net.sleep(Duration::from_secs(20));
    assert_eq!(recv(&mut net.a, net.now, client, 1, 0), "ETIMEDOUT");
}

//= RFC 9293 MUST-21, type=test
#[test]
fn user_timeout_gives_up_sooner() {
    let mut net = Net::new();
    let (_, client, _) = net.connected(AF_INET);
    assert_eq!(set(&mut net.a, net.now, client, SOL_TCP, TCP_USER_TIMEOUT, 5_000), "OK");
    net.plugged = false;
    send(&mut net.a, net.now, client, b"x", 0);
    net.sleep(Duration::from_secs(3));
    assert_eq!(poll(&net.a, client), "OUT");
    net.sleep(Duration::from_secs(12));
    assert_eq!(recv(&mut net.a, net.now, client, 1, 0), "ETIMEDOUT");
}

#[test]
fn the_receive_buffer_bounds_the_queue_of_datagrams() {
    let mut net = Net::new();
    let now = net.now;
    let server = datagram(&mut net.b, AF_INET);
    net.b.bind(now, server, &any(AF_INET, 6000)).unwrap();
    let client = datagram(&mut net.a, AF_INET);
    let arrived = |net: &mut Net| {
        for _ in 0..200 {
            send_to(&mut net.a, now, client, &[0; 1000], &b(AF_INET, 6000));
        }
        net.settle();
        core::iter::from_fn(|| net.b.try_recv(now, server, 2000, MSG_DONTWAIT).ok()).count()
    };
    let default = arrived(&mut net);
    assert!((50..200).contains(&default), "{default} of 1000 bytes fit 212992");
    assert_eq!(set(&mut net.b, now, server, SOL_SOCKET, SO_RCVBUF, 5_000), "OK");
    let small = arrived(&mut net);
    assert!((1..=10).contains(&small), "{small} of 1000 bytes fit 10000");
}

#[test]
fn the_receive_buffer_bounds_the_window() {
    let taken = |buffer: Option<i32>| {
        let mut net = Net::new();
        let listener = stream(&mut net.b, AF_INET);
        if let Some(buffer) = buffer {
            assert_eq!(set(&mut net.b, net.now, listener, SOL_SOCKET, SO_RCVBUF, buffer), "OK");
        }
        net.b.bind(net.now, listener, &b(AF_INET, 8000)).unwrap();
        net.b.listen(net.now, listener, 5).unwrap();
        let (client, server) = net.another(AF_INET, listener);
        for _ in 0..50 {
            let _ = net.a.try_send(net.now, client, &mut Rope::from(vec![0; 65_536]), MSG_DONTWAIT, None);
            net.sleep(Duration::from_millis(300));
        }
        net.b.try_recv(net.now, server, 1 << 30, 0).unwrap().data.len()
    };
    let (fixed, free) = (taken(Some(10_000)), taken(None));
    assert!(fixed <= 20_000, "{fixed} bytes in a buffer of 20000");
    assert!(free > 2 * fixed, "{free} bytes in a buffer that nobody fixed");
}

#[test]
fn congestion_control_is_chosen_by_name() {
    let mut net = Net::new();
    let (_, client, _) = net.connected(AF_INET);
    net.a.set_option(net.now, client, SOL_TCP, TCP_CONGESTION, b"reno").unwrap();
    let shown = net.a.option(net.now, client, SOL_TCP, TCP_CONGESTION).unwrap();
    assert!(shown.as_bytes().starts_with(b"reno\0"));
    assert_eq!(net.a.set_option(net.now, client, SOL_TCP, TCP_CONGESTION, b"vegas"), Err(Errno::NOENT));
}

#[test]
fn send_timeout_is_the_deadline_of_sends_and_connects() {
    let mut net = Net::new();
    let (_, client, _) = net.connected(AF_INET);
    let timeval = [2i64.to_ne_bytes(), 0i64.to_ne_bytes()].concat();
    let late = Some(net.now + Duration::from_secs(2));
    net.plugged = false;
    let fresh = stream(&mut net.a, AF_INET);
    for fd in [client, fresh] {
        net.a.set_option(net.now, fd, SOL_SOCKET, SO_SNDTIMEO, &timeval).unwrap();
    }
    let Err(Stop::Wait(wait)) = net.a.try_connect(net.now, fresh, &b(AF_INET, 8000)) else { panic!() };
    assert_eq!((wait.socket, wait.mask, wait.deadline), (fresh, PollMask::WAIT_OUT, late));
    let space = net.a.send_space(client);
    net.a.try_send(net.now, client, &mut Rope::from(vec![0; space]), 0, None).unwrap();
    let Err(Stop::Wait(wait)) = net.a.try_send(net.now, client, &mut Rope::from(vec![0; 1]), 0, None) else {
        panic!()
    };
    assert_eq!((wait.socket, wait.mask, wait.deadline), (client, PollMask::WAIT_OUT, late));
}

#[test]
fn merged_datagrams_come_whole_to_who_asks() {
    for (asks, parts) in [(0, vec![(4, None), (4, None), (2, None)]), (1, vec![(10, Some(4))])] {
        let mut net = Net::new();
        let now = net.now;
        let server = datagram(&mut net.b, AF_INET);
        net.b.bind(now, server, &any(AF_INET, 6000)).unwrap();
        assert_eq!(set(&mut net.b, now, server, SOL_UDP, UDP_GRO, asks), "OK");
        let client = datagram(&mut net.a, AF_INET);
        send_to(&mut net.a, now, client, b"aaaabbbbcc", &b(AF_INET, 6000));
        // The link merges: one frame that says how long its parts are.
        let (_, transmit) = net.a.stack_mut().poll_transmit(now).unwrap();
        let mut frame = transmit.to_frame();
        frame.gso_size = Some(4);
        net.b.stack_mut().receive(now, InterfaceId(1), frame);
        let got = core::iter::from_fn(|| net.b.try_recv(now, server, 99, MSG_DONTWAIT).ok());
        let got: Vec<_> = got.map(|received| (received.full_len, received.segment_size)).collect();
        assert_eq!(got, parts, "UDP_GRO {asks}");
    }
}

#[test]
fn a_link_that_goes_away() {
    let mut net = Net::new();
    let (_, client, _) = net.connected(AF_INET);
    let now = net.now;
    let udp = datagram(&mut net.a, AF_INET);
    net.a.try_connect(now, udp, &b(AF_INET, 9)).unwrap();
    let open: Vec<Fd> = vec![client, udp];
    events(&mut net.a);
    net.a.stack_mut().set_link_down(now, InterfaceId(1));
    let told = events(&mut net.a);
    for fd in open {
        assert!(told.contains(&fd), "{fd} is told");
        assert_eq!(recv(&mut net.a, now, fd, 1, 0), "ENETDOWN");
    }
    let fresh = nonblocking(&mut net.a, AF_INET);
    assert_eq!(said(net.a.try_connect(now, fresh, &b(AF_INET, 8000))), "ENETDOWN");
    for fd in [client, udp, fresh] {
        assert_eq!(net.a.close(now, fd), Ok(()));
    }
}

/// The bytes of `struct tcp_info` at an offset, as Linux has them.
fn info(host: &mut tapsock_sockets::Sockets, net_now: tapsock_stack::time::Instant, fd: Fd) -> Vec<u8> {
    host.option(net_now, fd, SOL_TCP, TCP_INFO).unwrap().as_bytes().to_vec()
}

fn field(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Offsets and values as Linux 6.18 shows them on a path of 1500 bytes.
#[test]
fn tcp_info_of_every_stage() {
    for (domain, headers) in [(AF_INET, 40), (AF_INET6, 60)] {
        let mut net = Net::new();
        let (listener, client, server) = net.connected(domain);
        let idle = net.a.socket(domain, SOCK_STREAM, 0).unwrap();
        let now = net.now;
        let none = info(&mut net.a, now, idle);
        assert_eq!((none.len(), none[0], field(&none, 8), field(&none, 16)), (280, 7, 1_000_000, 536));
        assert_eq!((field(&none, 76), field(&none, 80)), (0x7fff_ffff, 10));

        let waiting = info(&mut net.b, now, listener);
        assert_eq!((waiting[0], field(&waiting, 24), field(&waiting, 28)), (10, 0, 5));

        let open = info(&mut net.a, now, client);
        assert_eq!(
            (open[0], open[1], open[5]),
            (1, 0, 7),
            "ESTABLISHED, Open; timestamps, SACK, window scaling"
        );
        assert!(open[6] & 0xf > 0 && open[6] >> 4 > 0, "{:x}", open[6]);
        assert_eq!(field(&open, 16), 1500 - headers - 12, "snd_mss");
        assert_eq!((field(&open, 24), field(&open, 60)), (0, 1500), "unacked, pmtu");
        assert_eq!((field(&open, 76), field(&open, 80)), (0x7fff_ffff, 10), "ssthresh, cwnd");
        assert_eq!(field(&open, 84), 1500 - headers - 12, "advmss");
        assert!(field(&open, 228) > 0 && field(&open, 232) > 0, "windows");

        net.plugged = false;
        send(&mut net.a, now, client, &[0; 3000], 0);
        net.settle();
        let busy = info(&mut net.a, now, client);
        assert_eq!((field(&busy, 24), field(&busy, 144)), (3, 0), "unacked, notsent");
        net.sleep(Duration::from_secs(2));
        let now = net.now;
        let lost = info(&mut net.a, now, client);
        assert!(lost[1] == 4 && lost[2] > 0, "Loss after a time-out: {:?}", &lost[..8]);
        assert_eq!(set(&mut net.a, now, client, SOL_TCP, TCP_INFO, 1), "ENOPROTOOPT");
        net.b.close(now, server).unwrap();
        let udp = datagram(&mut net.a, domain);
        assert!(net.a.option(now, udp, SOL_TCP, TCP_INFO).is_err());
    }
}

#[test]
fn reno_and_cubic_tell_nothing_of_themselves() {
    for domain in [AF_INET, AF_INET6] {
        let mut net = Net::new();
        let now = net.now;
        let socket = net.a.socket(domain, SOCK_STREAM, 0).unwrap();
        for name in ["reno", "cubic"] {
            net.a.set_option(now, socket, SOL_TCP, TCP_CONGESTION, name.as_bytes()).unwrap();
            assert!(net.a.option(now, socket, SOL_TCP, TCP_CC_INFO).unwrap().as_bytes().is_empty());
        }
        assert_eq!(set(&mut net.a, now, socket, SOL_TCP, TCP_CC_INFO, 1), "ENOPROTOOPT");
    }
}

/// `struct tcp_bbr_info`, as Linux 6.18 shows it.
#[test]
fn bbr_tells_of_its_model() {
    for domain in [AF_INET, AF_INET6] {
        let mut net = Net::new();
        let (_, client, server) = net.connected(domain);
        let now = net.now;
        let idle = net.a.socket(domain, SOCK_STREAM, 0).unwrap();
        for fd in [idle, client] {
            net.a.set_option(now, fd, SOL_TCP, TCP_CONGESTION, b"bbr").unwrap();
            let name = net.a.option(now, fd, SOL_TCP, TCP_CONGESTION).unwrap();
            assert_eq!(name.as_bytes(), b"bbr\0\0\0\0\0\0\0\0\0\0\0\0\0");
        }
        assert_eq!(net.a.option(now, idle, SOL_TCP, TCP_CC_INFO).unwrap().as_bytes(), [0; 20]);
        send(&mut net.a, now, client, &[7; 5000], 0);
        net.sleep(Duration::from_millis(300));
        let now = net.now;
        assert!(recv(&mut net.b, now, server, 100_000, 0).len() > 1000);
        let told = net.a.option(now, client, SOL_TCP, TCP_CC_INFO).unwrap().as_bytes().to_vec();
        assert_eq!(told.len(), 20);
        assert_eq!((field(&told, 12), field(&told, 16)), (739, 739), "STARTUP's gains");
    }
}

//= RFC 1122 §3.3.3 MUST-1, type=test
#[test]
fn the_path_mtu_is_shown_once_connected() {
    for (domain, level, name) in [(AF_INET, SOL_IP, IP_MTU), (AF_INET6, SOL_IPV6, IPV6_MTU)] {
        let mut net = Net::new();
        let (listener, client, _) = net.connected(domain);
        let udp = datagram(&mut net.a, domain);
        let now = net.now;
        let mtu =
            |host: &mut tapsock_sockets::Sockets, fd| host.option(now, fd, level, name).map(|v| v.as_int());
        assert_eq!(mtu(&mut net.b, listener), Err(Errno::NOTCONN));
        assert_eq!(mtu(&mut net.a, client), Ok(Some(1500)));
        assert_eq!(mtu(&mut net.a, udp), Err(Errno::NOTCONN));
        net.a.try_connect(now, udp, &b(domain, 9)).unwrap();
        assert_eq!(mtu(&mut net.a, udp), Ok(Some(1500)));
        assert_eq!(net.a.option(now, udp, SOL_IP, IP_MTU).map(|v| v.as_int()), Ok(Some(1500)));
        // What IPv6's is set to is another thing.
        let outcome = if domain == AF_INET { "ENOPROTOOPT" } else { "OK" };
        assert_eq!(set(&mut net.a, now, udp, level, name, 1400), outcome);
        assert_eq!(mtu(&mut net.a, udp), Ok(Some(1500)));
    }
}

/// DF of a datagram and of a SYN, by mode: what Linux 6.18 sent.
#[test]
fn packets_may_be_cut_where_the_option_says_so() {
    for (mode, datagram_uncut, syn_uncut) in [
        (IP_PMTUDISC_DONT, false, false),
        (IP_PMTUDISC_WANT, true, true),
        (IP_PMTUDISC_DO, true, true),
        (IP_PMTUDISC_PROBE, true, false),
        (IP_PMTUDISC_INTERFACE, false, false),
        (IP_PMTUDISC_OMIT, false, false),
    ] {
        let mut net = Net::new();
        let now = net.now;
        let (udp, tcp) = (datagram(&mut net.a, AF_INET), nonblocking(&mut net.a, AF_INET));
        for fd in [udp, tcp] {
            assert_eq!(set(&mut net.a, now, fd, SOL_IP, IP_MTU_DISCOVER, mode), "OK");
        }
        assert_eq!(send_to(&mut net.a, now, udp, b"x", &b(AF_INET, 9)), "1");
        net.settle();
        let _ = net.a.try_connect(now, tcp, &b(AF_INET, 9));
        net.settle();
        let uncut: Vec<bool> = net.sent.iter().map(|packet| packet[6] & 0x40 != 0).collect();
        assert_eq!(uncut, [datagram_uncut, syn_uncut], "{mode}");
    }
}

/// As Linux, which treats an echo request as a datagram. One that may not be cut is refused where the path is known to
/// be too narrow.
#[test]
fn echo_requests_may_be_cut_where_the_option_says_so() {
    const REFUSED: Result<usize, Stop> = Err(Stop::Error(Errno::MSGSIZE));
    for (mode, uncut, large) in [
        (None, true, Ok(2000)),
        (Some(IP_PMTUDISC_DONT), false, Ok(2000)),
        (Some(IP_PMTUDISC_WANT), true, Ok(2000)),
        (Some(IP_PMTUDISC_DO), true, REFUSED),
        (Some(IP_PMTUDISC_PROBE), true, REFUSED),
        (Some(IP_PMTUDISC_INTERFACE), false, REFUSED),
        (Some(IP_PMTUDISC_OMIT), false, Ok(2000)),
    ] {
        let mut net = Net::new();
        let now = net.now;
        let fd = net.a.socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP).unwrap();
        if let Some(mode) = mode {
            assert_eq!(set(&mut net.a, now, fd, SOL_IP, IP_MTU_DISCOVER, mode), "OK");
        }
        let request = |len: usize| {
            let mut message = vec![0; len];
            (message[0], message[7]) = (8, 1);
            Rope::from(message)
        };
        assert_eq!(net.a.try_send(now, fd, &mut request(8), 0, Some(&b(AF_INET, 0))), Ok(8));
        net.settle();
        assert_eq!(net.sent[0][6] & 0x40 != 0, uncut, "{mode:?}");
        let sent = net.a.try_send(now, fd, &mut request(2000), 0, Some(&b(AF_INET, 0)));
        assert_eq!(sent, large, "{mode:?}");
    }
}

/// The link takes nothing: a socket has as much waiting as its buffer holds by Linux's measure, and may be written
/// to again when half of that is gone.
#[test]
fn a_send_buffer_bounds_what_waits_for_the_link() {
    // Bytes asked for; datagrams of 1472 bytes that then wait.
    for (buffer, most) in [(1, 2), (10_000, 9), (106_496, 93)] {
        let mut net = Net::new();
        let now = net.now;
        let udp = datagram(&mut net.a, AF_INET);
        let other = datagram(&mut net.a, AF_INET);
        assert_eq!(set(&mut net.a, now, udp, SOL_SOCKET, SO_SNDBUF, buffer), "OK");
        let mut sent = 0;
        while send_to(&mut net.a, now, udp, &[0; 1472], &b(AF_INET, 9)) == "1472" {
            sent += 1;
            assert!(sent < 1000);
        }
        assert_eq!(sent, most, "{buffer}");
        assert_eq!(poll(&net.a, udp), "0");
        assert_eq!(poll(&net.a, other), "OUT", "a buffer is one socket's");
        assert_eq!(send_to(&mut net.a, now, other, b"x", &b(AF_INET, 9)), "1");
        while net.a.poll_event().is_some() {}
        let mut taken = 0;
        while !net.a.readiness(udp).contains(PollMask::OUT) {
            assert!(net.a.stack_mut().poll_transmit(now).is_some());
            taken += 1;
        }
        assert!(taken * 2 >= most && taken < most || most == 2, "{taken} of {most}");
        assert_eq!(net.a.poll_event().map(|told| told.0), Some(udp), "whoever waits is told");
    }
}
