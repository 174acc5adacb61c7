//! What the options of datagram sockets, and of addresses, do.

mod common;

use core::net::{Ipv6Addr, SocketAddrV6};
use core::time::Duration;

use common::*;
use rustix::io::Errno;
use tapsock_sockets::constants::*;
use tapsock_sockets::control::Control;
use tapsock_sockets::{Fd, Permission, SockAddr, Sockets};
use tapsock_stack::buf::Rope;
use tapsock_stack::iface::{InterfaceId, Route};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::offload::Medium;

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
    assert_ne!(net.a.ioctl(sender, SIOCOUTQ), Ok(0), "they take of the send buffer");
    assert_eq!(send(&mut net.a, net.now, sender, &[0; 30_000], MSG_MORE), "EMSGSIZE");
    assert_eq!(net.a.ioctl(sender, SIOCOUTQ), Ok(0));
    // Of one that is not to be cut, no more is held back than goes whole.
    assert_eq!(set(&mut net.a, net.now, sender, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), "OK");
    assert_eq!(send(&mut net.a, net.now, sender, &[0; 1_000], MSG_MORE), "1000");
    assert_eq!(send(&mut net.a, net.now, sender, &[0; 473], MSG_MORE), "EMSGSIZE");
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
    // It sends by it too: as on Linux a host of IPv4 is taken to be on the link of the interface that was named, and on
    // that of `lo` nobody hears it.
    let heard = datagram(&mut net.a, AF_INET);
    net.a.bind(net.now, heard, &any(AF_INET, 9001)).unwrap();
    assert_eq!(send_to(&mut net.b, net.now, receiver, b"x", &a(AF_INET, 9001)), "1");
    net.settle();
    assert_eq!(recv(&mut net.a, net.now, heard, 99, 0), "EAGAIN");
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
    let of_listener = bytes(&mut net.b, Fd(0), SOL_SOCKET, SO_COOKIE);
    let (_, server) = net.another(AF_INET, Fd(0));
    assert_ne!(bytes(&mut net.b, server, SOL_SOCKET, SO_COOKIE), of_listener, "it is not the listener's");
    assert_eq!(bytes(&mut net.b, Fd(0), SOL_SOCKET, SO_COOKIE), of_listener);
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
    // Far more waits for the link than a new socket's buffer takes, and more to be received than others may ask for.
    let mut net = Net::with(Permission::Privileged);
    let [sender, receiver] = [datagram(&mut net.a, AF_INET), datagram(&mut net.b, AF_INET)];
    assert_eq!(set(&mut net.a, net.now, sender, SOL_SOCKET, SO_SNDBUFFORCE, 100_000_000), "OK");
    assert_eq!(set(&mut net.b, net.now, receiver, SOL_SOCKET, SO_RCVBUFFORCE, 100_000_000), "OK");
    net.b.bind(net.now, receiver, &b(AF_INET, 9)).unwrap();
    for _ in 0..MANY / AT_ONCE {
        for _ in 0..AT_ONCE {
            assert_eq!(send_to(&mut net.a, net.now, sender, &[0; 1400], &b(AF_INET, 9)), "1400");
        }
        net.settle();
    }
    let taken = core::iter::from_fn(|| net.b.try_recv(net.now, receiver, 1, MSG_DONTWAIT).ok()).count();
    assert_eq!(taken, MANY);
}

/// Datagrams that fill 8 MiB, twice the largest buffer that one may ask for.
const MANY: usize = 6_000;
/// Those that wait for the link: five times what a new socket's buffer takes.
const AT_ONCE: usize = 500;

/// As Linux 6.18, which was asked: six datagrams of a byte, and room again when the neighbour has not answered.
#[test]
fn what_waits_for_a_neighbor_takes_of_its_senders_buffer() {
    let nobody = |domain| in_family(domain, "10.0.0.99", "fd00::99", 9);
    for (domain, to, comes) in
        DOMAINS.into_iter().flat_map(|domain| [(domain, nobody(domain), 0), (domain, b(domain, 9), 6)])
    {
        let mut net = Net::on(Medium::Ethernet);
        let receiver = datagram(&mut net.b, domain);
        net.b.bind(net.now, receiver, &b(domain, 9)).unwrap();
        let sender = datagram(&mut net.a, domain);
        assert_eq!(set(&mut net.a, net.now, sender, SOL_SOCKET, SO_SNDBUF, 2304), "OK");
        for _ in 0..6 {
            assert_eq!(send_to(&mut net.a, net.now, sender, b"x", &to), "1");
        }
        assert_eq!(send_to(&mut net.a, net.now, sender, b"x", &to), "EAGAIN", "{to:?}");
        assert_eq!(poll(&net.a, sender), "0");
        net.sleep(Duration::from_secs(10));
        assert_eq!(poll(&net.a, sender), "OUT", "{to:?}");
        let taken = core::iter::from_fn(|| net.b.try_recv(net.now, receiver, 1, MSG_DONTWAIT).ok()).count();
        assert_eq!(taken, comes, "{to:?}");
    }
}

/// Those that give way to others that wait for the same neighbour take nothing any longer.
#[test]
fn what_gives_way_to_others_that_wait_takes_nothing_of_its_senders_buffer() {
    let mut net = Net::on(Medium::Ethernet);
    let sender = datagram(&mut net.a, AF_INET);
    assert_eq!(set(&mut net.a, net.now, sender, SOL_SOCKET, SO_SNDBUFFORCE, 500_000), "OK");
    for _ in 0..3000 {
        assert_eq!(send_to(&mut net.a, net.now, sender, b"x", &addr("10.0.0.99", 9)), "1");
    }
    assert_eq!(poll(&net.a, sender), "OUT");
}

#[test]
fn interfaces_share_ports() {
    let mut net = Net::new();
    let held = ["wire0", "lo"].map(|name| {
        let fd = datagram(&mut net.b, AF_INET);
        net.b.set_option(net.now, fd, SOL_SOCKET, SO_BINDTODEVICE, name.as_bytes()).unwrap();
        net.b.bind(net.now, fd, &any(AF_INET, 9000)).unwrap();
        fd
    });
    let free = datagram(&mut net.b, AF_INET);
    assert_eq!(errno(net.b.bind(net.now, free, &any(AF_INET, 9000))), "EADDRINUSE");
    let sender = datagram(&mut net.a, AF_INET);
    assert_eq!(send_to(&mut net.a, net.now, sender, b"wire", &b(AF_INET, 9000)), "4");
    assert_eq!(send_to(&mut net.b, net.now, free, b"own", &addr("127.0.0.1", 9000)), "3");
    net.settle();
    assert_eq!(recv(&mut net.b, net.now, held[0], 99, 0), "\"wire\"");
    assert_eq!(recv(&mut net.b, net.now, held[1], 99, 0), "\"own\"");

    let ping = net.a.socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP).unwrap();
    net.a.set_option(net.now, ping, SOL_SOCKET, SO_BINDTODEVICE, b"lo").unwrap();
    assert_eq!(send_to(&mut net.a, net.now, ping, &[8, 0, 0, 0, 0, 0, 0, 1], &b(AF_INET, 0)), "8");
    net.settle();
    assert_eq!(recv(&mut net.a, net.now, ping, 99, 0), "EAGAIN", "nobody is there");
}

/// A route of `a` to 10.9.0.0/16 for packets with the mark 7.
#[test]
fn marks_choose_routes() {
    let mut net = Net::new();
    let fd = datagram(&mut net.a, AF_INET);
    assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_MARK, 7), "EPERM");

    let mut net = Net::with(Permission::Privileged);
    let mut route = Route::via("10.9.0.0/16".parse().unwrap(), "10.0.0.2".parse().unwrap(), InterfaceId(1));
    route.mark = core::num::NonZeroU32::new(7);
    net.a.stack_mut().add_route(route).unwrap();
    let there = addr("10.9.0.9", 9);
    let ping = net.a.socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP).unwrap();
    let (udp, tcp) = (datagram(&mut net.a, AF_INET), nonblocking(&mut net.a, AF_INET));
    let echo = [8, 0, 0, 0, 0, 0, 0, 1];
    for (mark, reached) in [(0, false), (6, false), (7, true)] {
        for fd in [udp, tcp, ping] {
            assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_MARK, mark), "OK");
            assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_MARK), mark);
        }
        let sent = if reached { "8" } else { "ENETUNREACH" };
        assert_eq!(send_to(&mut net.a, net.now, udp, &echo, &there), sent);
        assert_eq!(send_to(&mut net.a, net.now, ping, &echo, &there), sent);
        let begun = if reached { "EINPROGRESS" } else { "ENETUNREACH" };
        assert_eq!(said(net.a.try_connect(net.now, tcp, &there)), begun);
    }
    // One datagram by a message of its own.
    set(&mut net.a, net.now, udp, SOL_SOCKET, SO_MARK, 0);
    let mut control = 20usize.to_ne_bytes().to_vec();
    for number in [SOL_SOCKET, SO_MARK, 7, 0] {
        control.extend(number.to_ne_bytes());
    }
    let sent = net.a.try_sendmsg(net.now, udp, &mut Rope::from(&b"x"[..]), &control, 0, Some(&there));
    assert_eq!(sent, Ok(1));
    assert_eq!(send_to(&mut net.a, net.now, udp, b"x", &there), "ENETUNREACH");
}

#[test]
fn a_socket_stands_for_an_address_of_others() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let fd = datagram(&mut net.b, domain);
        let (level, option, free) = match domain {
            AF_INET => (SOL_IP, IP_TRANSPARENT, IP_FREEBIND),
            _ => (SOL_IPV6, IPV6_TRANSPARENT, IPV6_FREEBIND),
        };
        assert_eq!(set(&mut net.b, net.now, fd, level, option, 1), "EPERM");

        let mut net = Net::with(Permission::Privileged);
        add_routes(&mut net);
        let far = |port| in_family(domain, "10.9.0.9", "fd09::9", port);
        let sender = datagram(&mut net.a, domain);
        let heard = [free, option].map(|option| {
            let fd = datagram(&mut net.b, domain);
            assert_eq!(errno(net.b.bind(net.now, fd, &far(9000))), "EADDRNOTAVAIL");
            assert_eq!(set(&mut net.b, net.now, fd, level, option, 1), "OK");
            assert_eq!(int(&mut net.b, net.now, fd, level, option), 1);
            net.b.bind(net.now, fd, &far(9000)).unwrap();
            assert_eq!(send_to(&mut net.a, net.now, sender, b"hello", &far(9000)), "5");
            net.settle();
            let heard = recv(&mut net.b, net.now, fd, 9, 0);
            if heard != "EAGAIN" {
                let back = net.a.local_address(sender).unwrap().to_inet().unwrap().port();
                assert_eq!(send_to(&mut net.b, net.now, fd, b"yes", &a(domain, back)), "3");
                net.settle();
                let answer = net.a.try_recv(net.now, sender, 9, 0).unwrap();
                assert_eq!((answer.data.to_vec(), answer.from), (b"yes".to_vec(), Some(far(9000))));
            }
            net.b.close(net.now, fd).unwrap();
            heard
        });
        assert_eq!(heard, ["EAGAIN", "\"hello\""], "the one may only be bound");

        let listener = stream(&mut net.b, domain);
        set(&mut net.b, net.now, listener, level, option, 1);
        net.b.bind(net.now, listener, &far(80)).unwrap();
        net.b.listen(net.now, listener, 5).unwrap();
        let (client, server) = net.another(domain, listener);
        assert_eq!(net.b.local_address(server), Ok(far(80)));
        send(&mut net.a, net.now, client, b"hello", 0);
        net.settle();
        assert_eq!(recv(&mut net.b, net.now, server, 9, 0), "\"hello\"");
        // And as the one who begins.
        let outward = net.b.socket(domain, SOCK_STREAM | SOCK_NONBLOCK, 0).unwrap();
        set(&mut net.b, net.now, outward, level, option, 1);
        net.b.bind(net.now, outward, &far(0)).unwrap();
        assert_eq!(said(net.b.try_connect(net.now, outward, &a(domain, 1))), "EINPROGRESS");
        net.settle();
        assert_eq!(said(net.b.try_connect(net.now, outward, &a(domain, 1))), "ECONNREFUSED");
    }
}

/// What the packets that `a` has sent carry last: one letter each.
fn letters(net: &Net) -> String {
    net.sent.iter().map(|packet| char::from(*packet.last().unwrap())).collect()
}

#[test]
fn priorities_choose_what_goes_first() {
    for domain in DOMAINS {
        let mut net = Net::new();
        let (_, stream, _) = net.connected(domain);
        let fd = datagram(&mut net.a, domain);
        assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_PRIORITY, 7), "EPERM");
        net.sent.clear();
        for (priority, bytes) in [(2, b"b"), (0, b"e"), (6, b"i"), (0, b"f")] {
            assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_PRIORITY, priority), "OK");
            assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_PRIORITY), priority);
            send_to(&mut net.a, net.now, fd, bytes, &b(domain, 9000));
        }
        assert_eq!(set(&mut net.a, net.now, stream, SOL_SOCKET, SO_PRIORITY, 6), "OK");
        send(&mut net.a, net.now, stream, b"s", 0);
        // One datagram by a message of its own.
        let mut control = 20usize.to_ne_bytes().to_vec();
        for number in [SOL_SOCKET, SO_PRIORITY, 6, 0] {
            control.extend(number.to_ne_bytes());
        }
        let (mut data, to) = (Rope::from(&b"m"[..]), b(domain, 9000));
        assert_eq!(net.a.try_sendmsg(net.now, fd, &mut data, &control, 0, Some(&to)), Ok(1));
        net.settle();
        assert_eq!(letters(&net)[..6], *"imsefb");
    }
    // IPv4's type of service brings one with it, as on Linux.
    let mut net = Net::new();
    let fd = datagram(&mut net.a, AF_INET);
    for (tos, priority) in [(0x10, 6), (0x08, 2), (0x04, 0), (0xb8, 4), (0x20, 0)] {
        assert_eq!(set(&mut net.a, net.now, fd, SOL_IP, IP_TOS, tos), "OK");
        assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_PRIORITY), priority);
    }
    // Where it is the same as before, nothing changes.
    assert_eq!(set(&mut net.a, net.now, fd, SOL_SOCKET, SO_PRIORITY, 5), "OK");
    assert_eq!(set(&mut net.a, net.now, fd, SOL_IP, IP_TOS, 0x20), "OK");
    assert_eq!(int(&mut net.a, net.now, fd, SOL_SOCKET, SO_PRIORITY), 5);
}

/// The flow labels of what `a` has sent over IPv6 since this was asked last.
fn labels(net: &mut Net) -> Vec<u32> {
    let sent = core::mem::take(&mut net.sent).into_iter().filter(|packet| packet[6] != 58);
    sent.map(|packet| u32::from_be_bytes(*packet.first_chunk().unwrap()) & 0xf_ffff).collect()
}

//= RFC 6437 §3, type=test
#[test]
fn flows_have_labels_of_their_own() {
    let mut net = Net::new();
    net.settle();
    net.sent.clear();
    let to = b(AF_INET6, 9000);
    let flows = [0; 2].map(|_| {
        let fd = datagram(&mut net.a, AF_INET6);
        for _ in 0..3 {
            send_to(&mut net.a, net.now, fd, b"x", &to);
        }
        net.settle();
        let labels = labels(&mut net);
        assert!(labels[0] != 0 && labels.iter().all(|label| *label == labels[0]), "{labels:x?}");
        (fd, labels[0])
    });
    assert_ne!(flows[0].1, flows[1].1);
    let (_, stream, _) = net.connected(AF_INET6);
    send(&mut net.a, net.now, stream, b"x", 0);
    net.settle();
    let of_stream = labels(&mut net);
    assert!(of_stream.len() > 2 && of_stream.iter().all(|label| *label == of_stream[0] && *label != 0));

    let one = |net: &mut Net, fd| {
        send_to(&mut net.a, net.now, fd, b"x", &to);
        net.settle();
        labels(net)[0]
    };
    let (fd, label) = flows[0];
    let option = |net: &mut Net| int(&mut net.a, net.now, fd, SOL_IPV6, IPV6_AUTOFLOWLABEL);
    assert_eq!(option(&mut net), 1);
    for (setting, wanted, expected) in [("1", 0, 0), ("3", 0, label), ("2", 1, label), ("0", 1, 0)] {
        net.a.stack_mut().config_mut().set("net.ipv6.auto_flowlabels", setting).unwrap();
        assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_AUTOFLOWLABEL, wanted), "OK");
        assert_eq!(option(&mut net), wanted);
        assert_eq!(one(&mut net, fd), expected, "{setting} {wanted}");
    }
    // A message chooses one.
    let mut control = 20usize.to_ne_bytes().to_vec();
    for number in [SOL_IPV6, 11, 0x1_2345i32.to_be(), 0] {
        control.extend(number.to_ne_bytes());
    }
    let mut data = Rope::from(&b"x"[..]);
    assert_eq!(net.a.try_sendmsg(net.now, fd, &mut data, &control, 0, Some(&to)), Ok(1));
    net.settle();
    assert_eq!(labels(&mut net), [0x1_2345]);
}

//= RFC 6724 §5 MUST-4, type=test
//= RFC 6724 §5 MUST-5, type=test
#[test]
fn addresses_that_last_or_do_not() {
    let mut net = Net::on(Medium::Ethernet);
    net.b.stack_mut().add_address(InterfaceId(1), "fe80::2/64".parse().unwrap()).unwrap();
    let router = net.b.socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6).unwrap();
    assert_eq!(set(&mut net.b, net.now, router, SOL_IPV6, IPV6_MULTICAST_HOPS, 255), "OK");
    // From a router with a prefix that is on the link and makes addresses, for an hour.
    let mut advert = [vec![134, 0, 0, 0, 64, 0, 0x0e, 0x10], vec![0; 8], vec![3, 4, 64, 0xc0]].concat();
    advert.extend([3600u32.to_be_bytes(); 2].concat());
    advert.extend([0; 4]);
    advert.extend("2001:db8::".parse::<Ipv6Addr>().unwrap().octets());
    for (setting, host) in [("1", false), ("2", true)] {
        net.a.stack_mut().config_mut().set("net.ipv6.conf.all.use_tempaddr", setting).unwrap();
        advert[39] += 1;
        let group = SockAddr::V6(SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, 2));
        assert_eq!(send_to(&mut net.b, net.now, router, &advert, &group), "48");
        net.settle();
        // What the options want comes before what the host does; what they do not name is its
        // default again, as on Linux.
        let fd = datagram(&mut net.a, AF_INET6);
        for (wanted, temporary) in [(0, host), (1, true), (4, host), (2, false), (0x400, host), (0x100, host)]
        {
            assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_ADDR_PREFERENCES, wanted), "OK");
            let prefix = format!("2001:db8:0:{}", advert[39]);
            for (fd, temporary) in [(fd, temporary), (datagram(&mut net.a, AF_INET6), host)] {
                net.a.try_connect(net.now, fd, &addr(&format!("{prefix}::9"), 9)).unwrap();
                let source = format!("{:?}", net.a.local_address(fd).unwrap());
                net.a.try_connect(net.now, fd, &SockAddr::Unspec(None)).unwrap();
                assert!(source.contains(&prefix), "{source}");
                assert_eq!(!source.contains("ff:fe00:1"), temporary, "{setting} {wanted:#x}: {source}");
            }
        }
        for both in [3, 0x101, 0x404, 0x808] {
            assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_ADDR_PREFERENCES, both), "EINVAL");
        }
        assert_eq!(int(&mut net.a, net.now, fd, SOL_IPV6, IPV6_ADDR_PREFERENCES), 0x500);
    }
}

#[test]
fn a_path_that_is_too_narrow_is_told_with_its_width() {
    let mut net = Net::new();
    let (fd, to) = (datagram(&mut net.a, AF_INET6), b(AF_INET6, 9000));
    assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_RECVPATHMTU, 1), "OK");
    let asked =
        |net: &mut Net| net.a.option(net.now, fd, SOL_IPV6, IPV6_PATHMTU).map(|it| it.as_bytes().to_vec());
    assert_eq!(asked(&mut net), Err(Errno::NOTCONN));
    assert_eq!(send_to(&mut net.a, net.now, fd, &[0; 1453], &to), "1453");
    assert_eq!(recv(&mut net.a, net.now, fd, 9, 0), "EAGAIN", "it was cut");
    assert_eq!(set(&mut net.a, net.now, fd, SOL_IPV6, IPV6_DONTFRAG, 1), "OK");
    assert_eq!(int(&mut net.a, net.now, fd, SOL_IPV6, IPV6_DONTFRAG), 1);
    assert_eq!(send_to(&mut net.a, net.now, fd, &[0; 1453], &to), "EMSGSIZE");
    let told = net.a.try_recv(net.now, fd, 9, MSG_DONTWAIT).unwrap();
    let destination = "[fd00::2]:0".parse().unwrap();
    assert_eq!((told.data.len(), told.from), (0, Some(b(AF_INET6, 0))));
    assert_eq!(told.control, [Control::PathMtu { destination, mtu: 1500 }]);
    assert_eq!(recv(&mut net.a, net.now, fd, 9, 0), "EAGAIN", "once");
    assert_eq!(send_to(&mut net.a, net.now, fd, &[0; 1452], &to), "1452");
    net.a.try_connect(net.now, fd, &to).unwrap();
    assert_eq!(asked(&mut net), Ok([vec![0; 28], 1500u32.to_ne_bytes().to_vec()].concat()));
}
