//! What is not as on Linux, as `docs/sockets/differences.tsv` says.

mod common;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::control::Control;
use tapsock_sockets::{Fd, Permission, SockAddr};
use tapsock_stack::buf::Rope;

/// A protocol that nobody has.
const NOBODYS: i32 = 200;

fn net() -> Net {
    Net::with(Permission::Privileged)
}

/// Two sockets of `a` at 127.0.0.1 or ::1 that are connected to each other.
fn pair(net: &mut Net, domain: i32) -> [Fd; 2] {
    let at = |port| in_family(domain, "127.0.0.1", "::1", port);
    [(5001, 5002), (5002, 5001)].map(|(own, peers)| {
        let fd = datagram(&mut net.a, domain);
        net.a.bind(net.now, fd, &at(own)).unwrap();
        net.a.try_connect(net.now, fd, &at(peers)).unwrap();
        fd
    })
}

#[test]
fn what_would_not_act_is_no_option() {
    let mut net = net();
    let [udp, raw, ping] = [(SOCK_DGRAM, 0), (SOCK_RAW, NOBODYS), (SOCK_DGRAM, IPPROTO_ICMPV6)]
        .map(|(kind, protocol)| net.a.socket(AF_INET6, kind, protocol).unwrap());
    for fd in [udp, raw, ping] {
        assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_MAX_PACING_RATE, 1), "ENOPROTOOPT");
    }
    let stamping = |net: &mut Net, flags| set(&mut net.a, net.now, udp, SOL_SOCKET, SO_TIMESTAMPING, flags);
    const STATS: i32 = 1 << 12;
    assert_eq!(stamping(&mut net, 2 | 16), "OK");
    assert_eq!(stamping(&mut net, 2 | 16 | STATS), "EINVAL");
    let mapped = addr("::ffff:10.0.0.2", 0);
    assert_eq!(set(&mut net.a, net.now, ping, SOL_IPV6, IPV6_V6ONLY, 0), "OK");
    for fd in [raw, ping] {
        assert_eq!(said(net.a.try_connect(net.now, fd, &mapped)), "ENETUNREACH");
    }
}

/// No address is that of a mobile host, at home or elsewhere.
#[test]
fn addresses_are_not_those_of_mobile_hosts() {
    let mut net = net();
    let names = [0, 0x4, 0x400].map(|wanted| {
        let fd = datagram(&mut net.a, AF_INET6);
        assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_ADDR_PREFERENCES, wanted), "OK");
        let shown = int(&mut net.a, net.now, fd, SOL_IPV6, IPV6_ADDR_PREFERENCES);
        net.a.try_connect(net.now, fd, &b(AF_INET6, 9)).unwrap();
        (shown & 0x404, net.a.local_address(fd).unwrap().to_inet().unwrap().ip())
    });
    let own = "fd00::1".parse().unwrap();
    assert_eq!(names, [(0x400, own), (0x4, own), (0x400, own)]);
}

#[test]
fn stamps_of_sends_tell_no_way() {
    const WITH_MESSAGES: i32 = 2 | 16 | 1 << 10;
    let mut net = net();
    let fd = datagram(&mut net.a, AF_INET);
    for (level, option, value) in [(SOL_SOCKET, SO_TIMESTAMPING, WITH_MESSAGES), (SOL_IP, IP_PKTINFO, 1)] {
        assert_eq!(set(&mut net.a, net.now, fd, level, option, value), "OK");
    }
    send_to(&mut net.a, net.now, fd, b"x", &b(AF_INET, 9));
    net.settle();
    let told = net.a.try_recv(net.now, fd, 99, MSG_ERRQUEUE).unwrap();
    assert!(!told.control.iter().any(|message| matches!(message, Control::PacketInfo4 { .. })), "{told:?}");
}

#[test]
fn reports_begin_behind_the_header_whoever_wrote_it() {
    let mut net = net();
    let fd = net.a.socket(AF_INET, SOCK_RAW, NOBODYS).unwrap();
    for option in [IP_HDRINCL, IP_RECVERR] {
        assert_eq!(set(&mut net.a, net.now, fd, SOL_IP, option, 1), "OK");
    }
    let mut packet = vec![0x45, 0, 0, 31, 0, 0, 0, 0, 64, NOBODYS as u8, 0, 0];
    packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(b"12345678abc");
    assert_eq!(send_to(&mut net.a, net.now, fd, &packet, &b(AF_INET, 0)), "31");
    net.settle();
    let told = net.a.try_recv(net.now, fd, 99, MSG_ERRQUEUE).unwrap();
    assert_eq!(told.data.to_vec(), b"12345678abc");
}

#[test]
fn what_is_held_back_for_another_leaves_the_connection_alone() {
    let mut net = net();
    let [near, far] = pair(&mut net, AF_INET);
    let other = datagram(&mut net.a, AF_INET);
    net.a.bind(net.now, other, &addr("127.0.0.1", 5003)).unwrap();
    let mut part = Rope::from(&b"for "[..]);
    let to = addr("127.0.0.1", 5003);
    assert_eq!(net.a.try_send(net.now, near, &mut part, MSG_MORE, Some(&to)), Ok(4));
    assert_eq!(send(&mut net.a, net.now, near, b"another", 0), "7");
    assert_eq!(send(&mut net.a, net.now, near, b"for the peer", 0), "12");
    net.settle();
    assert_eq!(recv(&mut net.a, net.now, other, 99, 0), "\"for another\"");
    assert_eq!(recv(&mut net.a, net.now, far, 99, 0), "\"for the peer\"");
}

/// It goes to whom it was for when it began, from the name that the socket has when it ends.
#[test]
fn what_is_held_back_outlives_a_connection() {
    let mut net = net();
    for domain in DOMAINS {
        let [near, far] = pair(&mut net, domain);
        assert_eq!(send(&mut net.a, net.now, near, b"held ", MSG_MORE), "5");
        let held = net.a.ioctl(near, SIOCOUTQ);
        assert_eq!(held, Ok(832 + 5), "with its bytes, not with their buffer");
        net.a.try_connect(net.now, near, &SockAddr::Unspec(None)).unwrap();
        assert_eq!(send(&mut net.a, net.now, near, b"back", 0), "4");
        net.settle();
        assert_eq!(recv(&mut net.a, net.now, far, 99, 0), "\"held back\"");
        [near, far].into_iter().for_each(|fd| net.a.close(net.now, fd).unwrap());
    }
}

#[test]
fn parts_of_odd_length_are_summed() {
    let mut net = net();
    let [near, far] =
        [&mut net.a, &mut net.b].map(|host| host.socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6).unwrap());
    let to = b(AF_INET6, 0);
    for (part, flags) in [(&b"\xa0\0\0\0x"[..], MSG_MORE), (b"\xa0\0y", 0)] {
        let sent = net.a.try_send(net.now, near, &mut Rope::from(part), flags, Some(&to));
        assert_eq!(sent, Ok(part.len()));
    }
    net.settle();
    // Those with a wrong sum it would not hear.
    let heard = core::iter::from_fn(|| net.b.try_recv(net.now, far, 99, MSG_DONTWAIT).ok());
    assert!(heard.map(|one| one.data.to_vec()).any(|data| data[0] == 0xa0 && data[4..] == *b"x\xa0\0y"));
}

#[test]
fn a_dissolved_stream_is_writable_whatever_was_not_sent() {
    let mut net = net();
    let (_, client, _) = net.connected(AF_INET);
    assert_eq!(set(&mut net.a, net.now, client, SOL_TCP, TCP_NOTSENT_LOWAT, 100_000), "OK");
    send(&mut net.a, net.now, client, b"x", 0);
    net.settle();
    assert_eq!(net.a.try_connect(net.now, client, &SockAddr::Unspec(None)).map_err(drop), Ok(()));
    assert!(poll(&net.a, client).contains("OUT"));
    assert_eq!(net.a.ioctl(Fd(77), FIONREAD), Err(Errno::BADF));
}

#[test]
fn a_four_tuple_is_one_connection_whatever_the_device() {
    let mut net = net();
    let [first, second] = ["wire0", "lo"].map(|device| {
        let fd = nonblocking(&mut net.a, AF_INET);
        net.a.set_option(net.now, fd, SOL_SOCKET, SO_BINDTODEVICE, device.as_bytes()).unwrap();
        net.a.bind(net.now, fd, &a(AF_INET, 6000)).unwrap();
        fd
    });
    let to = b(AF_INET, 8000);
    assert_eq!(said(net.a.try_connect(net.now, first, &to)), "EINPROGRESS");
    assert_eq!(said(net.a.try_connect(net.now, second, &to)), "EADDRNOTAVAIL");
}

/// SOCK_PACKET, UDP-Lite, SCTP, MPTCP.
#[test]
fn other_protocols_are_not_there() {
    let mut net = net();
    for (kind, protocol, outcome) in [
        (10, 0, "ESOCKTNOSUPPORT"),
        (SOCK_DGRAM, 136, "EPROTONOSUPPORT"),
        (SOCK_STREAM, 132, "EPROTONOSUPPORT"),
        (SOCK_STREAM, 262, "EPROTONOSUPPORT"),
    ] {
        assert_eq!(errno(net.a.socket(AF_INET, kind, protocol)), outcome, "{kind} {protocol}");
    }
}
