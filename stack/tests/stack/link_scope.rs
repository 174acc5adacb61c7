//! A host at two links: one pair of link-local addresses has two connections, and sockets are held to a link.

use core::net::{SocketAddr, SocketAddrV6};

use core::num::NonZeroU32;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::iface::{InterfaceId, Route, Rule, TableId, Way};
use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::{Family, ListenerId, Stack, TcpId, UdpSendOptions};
use tapsock_stack::time::Instant;
use tapsock_stack::udp::UdpId;
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::offload::{LinkCaps, Medium};

use crate::packets::{Path, packet_of};
use crate::wire::at;

const NOW: Instant = Instant::from_secs(1);
const LINKS: [InterfaceId; 2] = [InterfaceId(1), InterfaceId(2)];

/// A host at the end of `links` links that carry bare IP, with the address `own` on each.
fn host(seed: u64, links: usize, own: &str) -> Stack {
    let mut stack = Stack::new(Config::default(), seed, NOW);
    for name in ["tun0", "tun1"].into_iter().take(links) {
        let caps = LinkCaps::plain(Medium::Ip, 1500);
        let id = stack.add_interface(name, EthernetAddress([2, 0, 0, 0, 0, seed as u8]), caps).unwrap();
        stack.add_address(id, format!("{own}/64").parse().unwrap()).unwrap();
    }
    stack
}

/// Carries packets between `middle` and the two hosts at its links until nobody has any.
fn settle(middle: &mut Stack, ends: &mut [Stack; 2]) {
    loop {
        let mut any = false;
        while let Some((link, mut packet)) = middle.poll_transmit(NOW) {
            packet.complete_checksum();
            ends[usize::from(link.0) - 1].receive(NOW, LINKS[0], packet.to_frame());
            any = true;
        }
        for (end, link) in ends.iter_mut().zip(LINKS) {
            while let Some((_, mut packet)) = end.poll_transmit(NOW) {
                packet.complete_checksum();
                middle.receive(NOW, link, packet.to_frame());
                any = true;
            }
        }
        if !any {
            return;
        }
    }
}

fn listen(stack: &mut Stack) -> ListenerId {
    let address = LocalAddr::new("::".parse().unwrap(), 0);
    let options = stack.config().tcp_options();
    let bind = stack.bind(BindRequest { port: 2000, ..BindRequest::new(Transport::Tcp, address) }).unwrap();
    stack.tcp_listen(bind, 8, options).unwrap()
}

fn connect(stack: &mut Stack, link: InterfaceId, to: &str) -> TcpId {
    let own =
        LocalAddr::new(if to == "fe80::2" { "fe80::1" } else { "fe80::2" }.parse().unwrap(), link.index());
    connect_from(stack, own, to, link)
}

fn connect_from(stack: &mut Stack, own: LocalAddr, to: &str, link: InterfaceId) -> TcpId {
    let request = BindRequest { port: 3000, reuse_address: true, ..BindRequest::new(Transport::Tcp, own) };
    let bind = stack.bind(request).unwrap();
    let options = stack.config().tcp_options();
    let remote = SocketAddrV6::new(to.parse().unwrap(), 2000, 0, link.index());
    stack.tcp_connect(NOW, Some(bind), remote.into(), options).unwrap()
}

/// What the two connections read, after each peer wrote its link's number.
fn exchange(middle: &mut Stack, ends: &mut [Stack; 2], ours: [TcpId; 2], theirs: [TcpId; 2]) {
    for ((end, id), link) in ends.iter_mut().zip(theirs).zip(LINKS) {
        end.tcp_write(NOW, id, Rope::from(vec![link.0])).unwrap();
    }
    settle(middle, ends);
    for (id, link) in ours.into_iter().zip(LINKS) {
        assert_eq!(middle.tcp_read(NOW, id, 9).unwrap().to_vec(), [link.0]);
        let (Some(SocketAddr::V6(local)), Some(SocketAddr::V6(remote))) =
            (middle.tcp_local(id), middle.tcp_remote(id))
        else {
            panic!("both are IPv6")
        };
        assert_eq!((local.scope_id(), remote.scope_id()), (link.index(), link.index()));
    }
}

//= RFC 4007 §6, type=test
#[test]
fn two_links_have_each_a_connection_of_the_same_addresses_and_ports() {
    // From us to both, and from both to us.
    let (mut middle, mut ends) = (host(1, 2, "fe80::1"), [host(2, 1, "fe80::2"), host(3, 1, "fe80::2")]);
    let listeners = [listen(&mut ends[0]), listen(&mut ends[1])];
    let ours = LINKS.map(|link| connect(&mut middle, link, "fe80::2"));
    settle(&mut middle, &mut ends);
    let [one, two] = &mut ends;
    let theirs = [one.tcp_accept(listeners[0]).unwrap(), two.tcp_accept(listeners[1]).unwrap()];
    exchange(&mut middle, &mut ends, ours, theirs);

    let (mut middle, mut ends) = (host(1, 2, "fe80::1"), [host(2, 1, "fe80::2"), host(3, 1, "fe80::2")]);
    let listener = listen(&mut middle);
    let [one, two] = &mut ends;
    let theirs = [one, two].map(|end| connect(end, LINKS[0], "fe80::1"));
    settle(&mut middle, &mut ends);
    let ours = [(); 2].map(|()| middle.tcp_accept(listener).unwrap());
    exchange(&mut middle, &mut ends, ours, theirs);
}

#[test]
fn a_connection_that_is_held_to_a_device_keeps_its_tuple() {
    let (mut middle, mut ends) = (host(1, 2, "fd00::1"), [host(2, 1, "fd00::2"), host(3, 1, "fd00::2")]);
    let listener = listen(&mut middle);
    let own = LocalAddr::new("fd00::2".parse().unwrap(), 0);
    let theirs = connect_from(&mut ends[0], own, "fd00::1", LINKS[0]);
    settle(&mut middle, &mut ends);
    let ours = middle.tcp_accept(listener).unwrap();
    middle.set_tcp_way(NOW, ours, Way { device: Some(LINKS[0]), ..Way::default() });
    // Somebody at the other link opens a connection of the same ends.
    connect_from(&mut ends[1], own, "fd00::1", LINKS[0]);
    settle(&mut middle, &mut ends);
    ends[0].tcp_write(NOW, theirs, Rope::from(vec![7])).unwrap();
    settle(&mut middle, &mut ends);
    assert_eq!(middle.tcp_read(NOW, ours, 9).unwrap().to_vec(), [7]);
    assert_eq!(ends[0].tcp(theirs).unwrap().acknowledged(), ends[0].tcp(theirs).unwrap().written_end());
}

/// A socket of that way, connected to `to`, that has sent `len` bytes.
fn sender(stack: &mut Stack, way: Way, to: SocketAddr, len: usize) -> UdpId {
    let id = stack.udp_open(Family::V6);
    stack.udp_mut(id).unwrap().way = way;
    stack.udp_connect(id, Some(to)).unwrap();
    let options = UdpSendOptions { mark: way.mark, ..UdpSendOptions::default() };
    stack.udp_send(NOW, id, Rope::from(vec![0; len]), None, options).unwrap();
    id
}

#[test]
fn a_socket_that_is_held_to_a_device_hears_of_errors_there_alone() {
    let (mut middle, mut ends) = (host(1, 2, "fd00::1"), [host(2, 1, "fd00::2"), host(3, 1, "fd00::2")]);
    for link in LINKS {
        let way = Way { device: Some(link), ..Way::default() };
        let id = sender(&mut middle, way, at("fd00::2", 9), 1);
        settle(&mut middle, &mut ends);
        assert_eq!(middle.udp_take_error(id), Some(SocketError::ConnectionRefused), "{link:?}");
    }
    let held = LINKS.map(|link| {
        let way = Way { device: Some(link), ..Way::default() };
        sender(&mut middle, way, at("fd00::2", 9), 1)
    });
    middle.set_link_down(NOW, LINKS[0]);
    assert_eq!(middle.udp_take_error(held[0]), Some(SocketError::NetworkDown));
    assert_eq!(middle.udp_take_error(held[1]), None);
}

//= RFC 8201 §4, type=test
#[test]
fn what_a_marked_path_takes_is_learned() {
    let mut middle = host(1, 2, "fd00::1");
    let mark = NonZeroU32::new(7);
    let far = Route::direct("fd01::/64".parse().unwrap(), LINKS[1]);
    middle.add_route(Route { mark, ..far }).unwrap();
    let way = Way { mark, ..Way::default() };
    let id = sender(&mut middle, way, at("fd01::2", 9), 1400);
    let (link, mut packet) = middle.poll_transmit(NOW).unwrap();
    assert_eq!((link, middle.udp_path_mtu(NOW, id)), (LINKS[1], Some(1500)));
    packet.complete_checksum();
    let quote = packet.to_frame().bytes.to_vec();
    let complaint = Path::v6(2, 0).icmpv6(Icmpv6Message::PacketTooBig { mtu: 1300 }, &quote[..1000], 64);
    middle.receive(NOW, LINKS[1], Frame::from(packet_of(&complaint).to_vec()));
    assert_eq!(middle.udp_path_mtu(NOW, id), Some(1300));
}

#[test]
fn a_connection_is_sent_over_its_device_or_not_at_all() {
    let (mut middle, mut ends) = (host(1, 2, "fd00::1"), [host(2, 1, "fd00::2"), host(3, 1, "fd01::2")]);
    let listener = listen(&mut middle);
    let own = LocalAddr::new("fd00::2".parse().unwrap(), 0);
    let theirs = connect_from(&mut ends[0], own, "fd00::1", LINKS[0]);
    settle(&mut middle, &mut ends);
    let ours = middle.tcp_accept(listener).unwrap();
    // Nothing leads to the peer over loopback.
    let way = Way { device: Some(InterfaceId::LOOPBACK), ..Way::default() };
    middle.set_tcp_way(NOW, ours, way);
    middle.tcp_write(NOW, ours, Rope::from(vec![7])).unwrap();
    settle(&mut middle, &mut ends);
    assert_eq!(ends[0].tcp(theirs).unwrap().readable(), 0);
    assert_eq!(middle.counters()[Counter::Ip6OutNoRoutes], 1);
    middle.set_tcp_way(NOW, ours, Way::default());
    let resent = middle.poll_timeout().unwrap();
    middle.handle_timeout(resent);
    while let Some((link, mut packet)) = middle.poll_transmit(resent) {
        packet.complete_checksum();
        ends[usize::from(link.0) - 1].receive(resent, LINKS[0], packet.to_frame());
    }
    assert_eq!(ends[0].tcp(theirs).unwrap().readable(), 1);
}

/// A host at two links with an address of its own on each, a router at each, and the routes by the first.
fn multihomed(config: &Config) -> Stack {
    let mut stack = Stack::new(config.clone(), 1, NOW);
    for (number, link) in (1..).zip(LINKS) {
        let caps = LinkCaps::plain(Medium::Ethernet, 1500);
        let station = EthernetAddress([2, 0, 0, 0, 0, number]);
        assert_eq!(stack.add_interface(&format!("eth{number}"), station, caps), Ok(link));
        stack.add_address(link, format!("10.{number}.0.2/24").parse().unwrap()).unwrap();
        let router = format!("10.{number}.0.1").parse().unwrap();
        let table = if number == 1 { TableId::MAIN } else { TableId(7) };
        let route = Route::via("0.0.0.0/0".parse().unwrap(), router, link);
        stack.add_route(Route { table, ..route }).unwrap();
        stack.add_neighbor(NOW, link, router, EthernetAddress([2, 0, 0, 0, 0, 9])).unwrap();
    }
    stack
}

/// By which link what a socket bound to `own` sends to 192.0.2.1 leaves.
fn link_from(stack: &mut Stack, own: &str) -> Option<InterfaceId> {
    let id = stack.udp_open(Family::V4);
    let address = LocalAddr::new(own.parse().unwrap(), 0);
    let bind = stack.bind(BindRequest { port: 0, ..BindRequest::new(Transport::Udp, address) }).unwrap();
    stack.udp_bind(id, bind);
    let sent =
        stack.udp_send(NOW, id, Rope::from(vec![0]), Some(at("192.0.2.1", 9)), UdpSendOptions::default());
    let link = stack.poll_transmit(NOW).map(|(link, _)| link);
    assert_eq!(sent.is_ok(), link.is_some());
    stack.udp_close(id);
    link
}

#[test]
fn rules_by_source_choose_the_table() {
    let mut stack = multihomed(&Config::default());
    assert_eq!(link_from(&mut stack, "10.2.0.2"), Some(LINKS[0]));
    stack.add_rule(Rule::from_prefix(100, "10.2.0.0/24".parse().unwrap(), TableId(7))).unwrap();
    assert_eq!(link_from(&mut stack, "10.2.0.2"), Some(LINKS[1]));
    assert_eq!(link_from(&mut stack, "10.1.0.2"), Some(LINKS[0]));
    assert_eq!(link_from(&mut stack, "0.0.0.0"), Some(LINKS[0]));
}

/// What a host at two links answers to a request that comes at the first for the address of the second.
fn answers(config: &Config, asker: &str) -> usize {
    let mut stack = multihomed(config);
    let hardware = EthernetAddress([2, 0, 0, 0, 0, 8]);
    let mut headers = tapsock_stack::buf::HeaderBlock::new();
    let request = tapsock_stack::wire::arp::ArpPacket {
        operation: tapsock_stack::wire::arp::ArpOperation::Request,
        sender_hardware: hardware,
        sender_ip: asker.parse().unwrap(),
        target_hardware: EthernetAddress::default(),
        target_ip: "10.2.0.2".parse().unwrap(),
    };
    request.prepend_to(&mut headers);
    let ether_type = tapsock_stack::wire::EtherType::Arp;
    let destination = EthernetAddress::BROADCAST;
    tapsock_stack::wire::EthernetHeader { destination, source: hardware, ether_type }
        .prepend_to(&mut headers);
    stack.receive(NOW, LINKS[0], Frame::from(headers.to_vec()));
    core::iter::from_fn(|| stack.poll_transmit(NOW)).count()
}

//= RFC 1122 §3.3.4.2, type=test
//= RFC 1122 §3.3.4.2 MAY-1, type=test
//= RFC 1122 §3.3.4.2 MAY-2, type=test
#[test]
fn addresses_are_the_hosts_or_their_interfaces() {
    let echo = |stack: &mut Stack| {
        let path = Path { source: "10.1.0.1".parse().unwrap(), ..Path::v4(7, 0) }.to("10.2.0.2");
        stack.receive(NOW, LINKS[0], path.udp((1000, 9), &[0; 8]));
        core::iter::from_fn(|| stack.poll_transmit(NOW)).count()
    };
    let mut weak = multihomed(&Config::default());
    assert_eq!(echo(&mut weak), 1, "a complaint of the port");
    assert_eq!(answers(&Config::default(), "10.1.0.1"), 1);
    let mut config = Config::default();
    config.set("tapsock.strong_host", "1").unwrap();
    let mut strong = multihomed(&config);
    assert_eq!(echo(&mut strong), 0);
    assert_eq!(strong.counters()[Counter::IpInAddrErrors], 1);
    // No route leads from the other address, for the default router is at the first link.
    assert_eq!(link_from(&mut strong, "10.2.0.2"), Some(LINKS[1]), "the network is taken to be on its link");
    assert_eq!(link_from(&mut strong, "10.1.0.2"), Some(LINKS[0]));
    assert_eq!(answers(&config, "10.1.0.1"), 0);
}

#[test]
fn who_is_reached_elsewhere_is_not_answered() {
    let mut config = Config::default();
    config.set("net.ipv4.conf.all.arp_filter", "1").unwrap();
    assert_eq!(answers(&config, "10.1.0.1"), 1);
    assert_eq!(answers(&config, "10.2.0.1"), 0);
}
