//! IP_UNICAST_IF and IPV6_UNICAST_IF: the interface of what goes to one host. What is expected was seen on Linux 6.18.

mod common;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, Permission, SockAddr};
use tapsock_stack::buf::Rope;
use tapsock_stack::iface::{InterfaceId, Route};
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::{LinkCaps, Medium};

const OTHER: u32 = 3;
const FAR: [&str; 2] = ["10.77.0.1", "fd77::1"];

/// `a` with one interface more, by which routes lead to [`FAR`].
fn net() -> Net {
    let mut net = Net::with(Permission::Privileged);
    let stack = net.a.stack_mut();
    let caps = LinkCaps::plain(Medium::Ip, 1500);
    let other = stack.add_interface("wire1", EthernetAddress([2, 0, 0, 0, 0, 9]), caps).unwrap();
    assert_eq!(other.index(), OTHER);
    for (address, route) in [("10.8.0.1/24", "10.77.0.0/16"), ("fd08::1/64", "fd77::/16")] {
        stack.add_address(other, address.parse().unwrap()).unwrap();
        stack.add_route(Route::direct(route.parse().unwrap(), other)).unwrap();
    }
    // IPv6 wants a way by the interface that is named.
    stack
        .add_route(Route { metric: 2000, ..Route::direct("fd77::/16".parse().unwrap(), InterfaceId(1)) })
        .unwrap();
    net
}

fn option(domain: i32) -> (i32, i32) {
    if domain == AF_INET { (SOL_IP, IP_UNICAST_IF) } else { (SOL_IPV6, IPV6_UNICAST_IF) }
}

fn put(net: &mut Net, fd: Fd, domain: i32, value: &[u8]) -> Result<(), Errno> {
    let (level, name) = option(domain);
    net.a.set_option(net.now, fd, level, name, value)
}

/// The source of what a socket sends to a host that routes lead to by the other interface.
fn source(net: &mut Net, fd: Fd, domain: i32, to: &SockAddr) -> Option<String> {
    net.sent.clear();
    let mut message = vec![0; 8];
    message[0] = if domain == AF_INET { 8 } else { 128 };
    net.a.try_send(net.now, fd, &mut Rope::from(message), MSG_DONTWAIT, Some(to)).ok()?;
    let _ = net.a.stack_mut().poll_transmit(net.now).map(|(interface, packet)| {
        net.sent.push(packet.to_frame().bytes.to_vec());
        interface
    });
    let packet = net.sent.first()?;
    Some(match domain {
        AF_INET => std::net::Ipv4Addr::from(*packet[12..].first_chunk::<4>()?).to_string(),
        _ => std::net::Ipv6Addr::from(*packet[8..].first_chunk::<16>()?).to_string(),
    })
}

#[test]
fn what_goes_to_one_host_leaves_by_it() {
    for (domain, far, ours) in
        [(AF_INET, FAR[0], ["10.0.0.1", "10.8.0.1"]), (AF_INET6, FAR[1], ["fd00::1", "fd08::1"])]
    {
        let mut net = net();
        let icmp = if domain == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
        for (kind, protocol, port) in [(SOCK_DGRAM, 0, 9), (SOCK_RAW, 200, 0), (SOCK_DGRAM, icmp, 0)] {
            let fd = net.a.socket(domain, kind, protocol).unwrap();
            let to = addr(far, port);
            assert_eq!(source(&mut net, fd, domain, &to).as_deref(), Some(ours[1]));
            assert_eq!(put(&mut net, fd, domain, &2u32.to_be_bytes()), Ok(()));
            let shown = net.a.option(net.now, fd, option(domain).0, option(domain).1).unwrap();
            assert_eq!(shown.as_bytes(), 2u32.to_be_bytes());
            assert_eq!(source(&mut net, fd, domain, &to).as_deref(), Some(ours[0]), "{kind} {protocol}");
            if port != 0 {
                net.a.try_connect(net.now, fd, &to).unwrap();
                let local = net.a.local_address(fd).unwrap().to_inet().unwrap().ip();
                assert_eq!(local.to_string(), ours[0]);
                net.a.try_connect(net.now, fd, &SockAddr::Unspec(None)).unwrap();
            }
            assert_eq!(put(&mut net, fd, domain, &[0; 4]), Ok(()));
            assert_eq!(source(&mut net, fd, domain, &to).as_deref(), Some(ours[1]));
        }
    }
}

#[test]
fn what_can_not_be_named() {
    for domain in [AF_INET, AF_INET6] {
        let mut net = net();
        let fd = datagram(&mut net.a, domain);
        for (value, outcome) in [
            (&99u32.to_be_bytes()[..], Err(Errno::ADDRNOTAVAIL)),
            (&[0, 0], Err(Errno::INVAL)),
            (&[0; 5], Err(Errno::INVAL)),
            (&[], Err(Errno::INVAL)),
            (&OTHER.to_be_bytes(), Ok(())),
        ] {
            assert_eq!(put(&mut net, fd, domain, value), outcome, "{value:?}");
        }
        assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_BINDTOIFINDEX, OTHER as i32), "OK");
        assert_eq!(put(&mut net, fd, domain, &OTHER.to_be_bytes()), Err(Errno::INVAL));
        assert_eq!(put(&mut net, fd, domain, &[0; 4]), Ok(()));
        // A stream takes it, and goes where its route leads.
        let stream = stream(&mut net.a, domain);
        assert_eq!(put(&mut net, stream, domain, &2u32.to_be_bytes()), Ok(()));
        let _ = net.a.try_connect(net.now, stream, &addr(FAR[usize::from(domain == AF_INET6)], 9));
        let local = net.a.local_address(stream).unwrap().to_inet().unwrap().ip();
        assert_eq!(local.to_string(), if domain == AF_INET { "10.8.0.1" } else { "fd08::1" });
    }
}
