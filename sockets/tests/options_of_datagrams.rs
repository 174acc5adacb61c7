//! What the options of datagram sockets, and of addresses, do.

mod common;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, Permission, Sockets, Stop};
use tapsock_stack::buf::Rope;
use tapsock_stack::iface::{InterfaceId, Route};
use tapsock_stack::time::Instant;

fn bytes(host: &mut Sockets, fd: Fd, level: i32, option: i32) -> Vec<u8> {
    host.option(Instant::ZERO, fd, level, option).unwrap().as_bytes().to_vec()
}

/// A sender on `a`, and a receiver on `b` at port 9000.
fn pair(net: &mut Net, domain: i32) -> (Fd, Fd) {
    let (sender, receiver) = (datagram(&mut net.a, domain), datagram(&mut net.b, domain));
    net.b.bind(net.now, receiver, &any(domain, 9000)).unwrap();
    (sender, receiver)
}

#[test]
fn parts_become_one_datagram() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (sender, receiver) = pair(&mut net, domain);
        net.a.try_connect(net.now, sender, &b(domain, 9000)).unwrap();
        assert_eq!(send(&mut net.a, net.now, sender, b"one ", MSG_MORE), "4");
        // Where it goes was said with the first part.
        assert_eq!(
            net.a.try_send(net.now, sender, &mut Rope::from(&b"two "[..]), MSG_MORE, Some(&b(domain, 1))),
            Ok(4)
        );
        net.settle();
        assert_eq!(recv(&mut net.b, net.now, receiver, 99, 0), "EAGAIN");
        assert_eq!(send(&mut net.a, net.now, sender, b"three", 0), "5");
        net.settle();
        assert_eq!(recv(&mut net.b, net.now, receiver, 99, 0), "\"one two three\"");

        assert_eq!(set(&mut net.a, net.now, sender, SOL_UDP, UDP_CORK, 1), "OK");
        assert_eq!(int(&mut net.a, net.now, sender, SOL_UDP, UDP_CORK), 1);
        send(&mut net.a, net.now, sender, b"four ", 0);
        send(&mut net.a, net.now, sender, b"five", 0);
        net.settle();
        assert_eq!(recv(&mut net.b, net.now, receiver, 99, 0), "EAGAIN");
        assert_eq!(set(&mut net.a, net.now, sender, SOL_UDP, UDP_CORK, 0), "OK");
        net.settle();
        assert_eq!(recv(&mut net.b, net.now, receiver, 99, 0), "\"four five\"");
    }
}

#[test]
fn parts_that_are_too_many_are_lost() {
    let mut net = Net::new();
    let (sender, receiver) = pair(&mut net, AF_INET);
    net.a.try_connect(net.now, sender, &b(AF_INET, 9000)).unwrap();
    for _ in 0..2 {
        assert_eq!(send(&mut net.a, net.now, sender, &[0; 30_000], MSG_MORE), "30000");
    }
    assert_eq!(send(&mut net.a, net.now, sender, &[0; 30_000], MSG_MORE), "EMSGSIZE");
    assert_eq!(send(&mut net.a, net.now, sender, b"x", 0), "1");
    net.settle();
    assert_eq!(recv(&mut net.b, net.now, receiver, 99, 0), "\"x\"");
}

/// A route to 10.9.0.0/16 and fd09::/64 by `b`.
fn add_routes(net: &mut Net) {
    for (destination, gateway) in [("10.9.0.0/16", "10.0.0.2"), ("fd09::/64", "fd00::2")] {
        let mut route = Route::direct(destination.parse().unwrap(), InterfaceId(1));
        route.gateway = Some(gateway.parse().unwrap());
        net.a.stack_mut().add_route(route).unwrap();
    }
}

#[test]
fn no_router_is_used_where_none_is_wanted() {
    for domain in DOMAINS {
        let mut net = Net::new();
        add_routes(&mut net);
        let far = in_family(domain, "10.9.0.9", "fd09::9", 9000);
        let (udp, tcp) = (datagram(&mut net.a, domain), nonblocking(&mut net.a, domain));
        let sent = |net: &mut Net, flags, to| {
            said(net.a.try_send(net.now, udp, &mut Rope::from(&b"x"[..]), flags, Some(to)))
        };
        assert_eq!(sent(&mut net, 0, &far), "OK");
        assert_eq!(sent(&mut net, MSG_DONTROUTE, &far), "ENETUNREACH");
        for fd in [udp, tcp] {
            assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_DONTROUTE, 1), "OK");
            assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_DONTROUTE), 1);
            assert_eq!(said(net.a.try_connect(net.now, fd, &far)), "ENETUNREACH");
        }
        assert_eq!(sent(&mut net, 0, &far), "ENETUNREACH");
        assert_eq!(sent(&mut net, 0, &b(domain, 9000)), "OK", "it is on the link");
        assert_eq!(said(net.a.try_connect(net.now, tcp, &b(domain, 1))), "EINPROGRESS");
    }
}

#[test]
fn a_socket_is_held_to_an_interface() {
    let mut net = Net::new();
    let (sender, receiver) = pair(&mut net, AF_INET);
    assert_eq!(bytes(&mut net.b, receiver, SOL_SOCKET, SO_BINDTODEVICE), b"");
    let bound = net.b.set_option(net.now, receiver, SOL_SOCKET, SO_BINDTODEVICE, b"lo\0");
    assert_eq!(bound, Ok(()));
    assert_eq!(bytes(&mut net.b, receiver, SOL_SOCKET, SO_BINDTODEVICE), b"lo\0");
    assert_eq!(int(&mut net.b, net.now, receiver, SOL_SOCKET, SO_BINDTOIFINDEX), 1);
    assert_eq!(send_to(&mut net.a, net.now, sender, b"wire", &b(AF_INET, 9000)), "4");
    net.settle();
    assert_eq!(recv(&mut net.b, net.now, receiver, 99, 0), "EAGAIN", "it came in elsewhere");
    let own = datagram(&mut net.b, AF_INET);
    assert_eq!(send_to(&mut net.b, net.now, own, b"own", &addr("127.0.0.1", 9000)), "3");
    net.settle();
    assert_eq!(recv(&mut net.b, net.now, receiver, 99, 0), "\"own\"");
    // It sends by it too, and `lo` leads nowhere.
    let reply = net.b.try_send(net.now, receiver, &mut Rope::from(&b"x"[..]), 0, Some(&a(AF_INET, 9)));
    assert!(matches!(reply, Err(Stop::Error(_))), "{reply:?}");
    assert_eq!(net.b.set_option(net.now, receiver, SOL_SOCKET, SO_BINDTODEVICE, b"wire0"), Err(Errno::PERM));
    assert_eq!(set(&mut net.b, net.now, own, SOL_SOCKET, SO_BINDTOIFINDEX, 99), "ENODEV");
    assert_eq!(set(&mut net.b, net.now, own, SOL_SOCKET, SO_BINDTOIFINDEX, -1), "EINVAL");
    assert_eq!(net.b.set_option(net.now, own, SOL_SOCKET, SO_BINDTODEVICE, b"eth7"), Err(Errno::NODEV));

    let mut net = Net::with(Permission::Privileged);
    let (sender, receiver) = pair(&mut net, AF_INET);
    for index in [1, 2, 0, 1, 0] {
        assert_eq!(set(&mut net.b, net.now, receiver, SOL_SOCKET, SO_BINDTOIFINDEX, index), "OK");
        send_to(&mut net.a, net.now, sender, b"x", &b(AF_INET, 9000));
        net.settle();
        let came = recv(&mut net.b, net.now, receiver, 99, 0);
        assert_eq!(came, if index == 1 { "EAGAIN" } else { "\"x\"" }, "{index}");
    }
}

#[test]
fn memory_is_shown() {
    let mut net = Net::new();
    let (sender, receiver) = pair(&mut net, AF_INET);
    set(&mut net.b, net.now, receiver, SOL_SOCKET, SO_RCVBUF, 1);
    for _ in 0..5 {
        send_to(&mut net.a, net.now, sender, b"abc", &b(AF_INET, 9000));
    }
    net.settle();
    let info = bytes(&mut net.b, receiver, SOL_SOCKET, SO_MEMINFO);
    let numbers: Vec<_> = info.chunks(4).map(|part| u32::from_ne_bytes(part.try_into().unwrap())).collect();
    assert_eq!(numbers, [1670, 2304, 0, 212_992, 0, 0, 0, 0, 3]);
}

#[test]
fn cookies_are_unique_and_stay() {
    let mut net = Net::new();
    let (_, client, _) = net.connected(AF_INET);
    let fds = [client, datagram(&mut net.a, AF_INET), stream(&mut net.a, AF_INET6)];
    let mut cookies = fds.map(|fd| bytes(&mut net.a, fd, SOL_SOCKET, SO_COOKIE)).to_vec();
    assert_eq!(cookies[0].len(), 8);
    assert_eq!(bytes(&mut net.a, client, SOL_SOCKET, SO_COOKIE), cookies[0]);
    net.a.close(net.now, fds[1]).unwrap();
    let next = datagram(&mut net.a, AF_INET);
    assert_eq!(next, fds[1], "the same number, another socket");
    cookies.push(bytes(&mut net.a, next, SOL_SOCKET, SO_COOKIE));
    let listener = stream(&mut net.b, AF_INET);
    net.b.listen(net.now, listener, 5).unwrap();
    let (_, server) = net.another(AF_INET, Fd(0));
    assert_ne!(
        bytes(&mut net.b, server, SOL_SOCKET, SO_COOKIE),
        bytes(&mut net.b, Fd(0), SOL_SOCKET, SO_COOKIE),
        "it is not the listener's"
    );
    cookies.sort();
    cookies.dedup();
    assert_eq!(cookies.len(), 4);
}

#[test]
fn an_address_may_be_bound_before_it_is_ours() {
    for (domain, level, option) in [(AF_INET, SOL_IP, IP_FREEBIND), (AF_INET6, SOL_IPV6, IPV6_FREEBIND)] {
        let mut net = Net::new();
        let later = in_family(domain, "10.0.0.77", "fd00::77", 9000);
        let receiver = datagram(&mut net.b, domain);
        assert_eq!(errno(net.b.bind(net.now, receiver, &later)), "EADDRNOTAVAIL");
        assert_eq!(set(&mut net.b, net.now, receiver, level, option, 1), "OK");
        assert_eq!(int(&mut net.b, net.now, receiver, level, option), 1);
        assert_eq!(errno(net.b.bind(net.now, receiver, &later)), "OK");
        let cidr = if domain == AF_INET { "10.0.0.77/24" } else { "fd00::77/64" };
        net.b.stack_mut().add_address(InterfaceId(1), cidr.parse().unwrap()).unwrap();
        let sender = datagram(&mut net.a, domain);
        assert_eq!(send_to(&mut net.a, net.now, sender, b"x", &later), "1");
        net.settle();
        assert_eq!(recv(&mut net.b, net.now, receiver, 9, 0), "\"x\"");
    }
}

#[test]
fn a_port_is_taken_when_it_is_needed() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (listener, _, _) = net.connected(domain);
        let to = net.b.local_address(listener).unwrap();
        for fd in [datagram(&mut net.a, domain), nonblocking(&mut net.a, domain)] {
            assert_eq!(set(&mut net.a, net.now, fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1), "OK");
            assert_eq!(int(&mut net.a, net.now, fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT), 1);
            assert_eq!(errno(net.a.bind(net.now, fd, &a(domain, 0))), "OK");
            assert_eq!(net.a.local_address(fd).unwrap(), a(domain, 0), "none yet");
            let _ = net.a.try_connect(net.now, fd, &to);
            net.settle();
            let local = net.a.local_address(fd).unwrap();
            assert_ne!(local, a(domain, 0));
            assert!(local.to_string().starts_with(a(domain, 0).to_string().trim_end_matches('0')), "{local}");
        }
    }
}

#[test]
fn the_privileged_have_larger_buffers() {
    for (option, shown) in [(SO_SNDBUFFORCE, SO_SNDBUF), (SO_RCVBUFFORCE, SO_RCVBUF)] {
        for (permission, said, size) in
            [(Permission::Ordinary, "EPERM", 212_992), (Permission::Privileged, "OK", 200_000_000)]
        {
            let mut net = Net::with(permission);
            let udp = datagram(&mut net.a, AF_INET);
            assert_eq!(set(&mut net.a, net.now, udp, SOL_SOCKET, option, 100_000_000), said);
            assert_eq!(int(&mut net.a, net.now, udp, SOL_SOCKET, shown), size);
        }
    }
}
