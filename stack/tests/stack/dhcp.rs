//! A stack that is given its address, its routes and its MTU by a DHCP server.

use core::net::{IpAddr, Ipv4Addr};
use core::num::NonZeroU32;
use core::time::Duration;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::iface::{InterfaceError, InterfaceId, Route};
use tapsock_stack::stack::{Family, Stack, UdpSendOptions};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::arp::{ArpOperation, ArpPacket};
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit};
use tapsock_stack::wire::{EtherType, EthernetAddress, EthernetHeader, Ipv4Header};

use crate::packets::Path;
use crate::wire::{ETH, LINKS, at, station};

/// Offsets of a frame that carries DHCP.
const DHCP: usize = 14 + 20 + 8;

/// A server that knows one client, and what that said last.
struct Server {
    stack: Stack,
    now: Instant,
    /// Options of its replies besides the type, the server and the time.
    options: Vec<u8>,
    lease: u32,
    /// Types of the client's messages and whom they went to.
    heard: Vec<(u8, Ipv4Addr)>,
    /// Addresses that the client has asked for by ARP, and those that it has said to be its own.
    probed: Vec<Ipv4Addr>,
    told: Vec<Ipv4Addr>,
    /// Whether somebody else says that the address is his.
    taken: bool,
    /// Whether nobody answers ARP.
    silent: bool,
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

impl Server {
    fn new(options: &[u8]) -> Self {
        Server::with(Config::default(), options)
    }

    fn with(config: Config, options: &[u8]) -> Self {
        let mut stack = Stack::new(config, 1, Instant::ZERO);
        stack.add_interface("eth0", station(0), LINKS[0]).unwrap();
        stack.start_dhcp(Instant::ZERO, ETH, Some("alpha".to_owned())).unwrap();
        Server {
            stack,
            now: Instant::ZERO,
            options: options.to_vec(),
            lease: 1000,
            heard: Vec::new(),
            probed: Vec::new(),
            told: Vec::new(),
            taken: false,
            silent: false,
        }
    }

    /// Answers until there is silence.
    fn serve(&mut self) {
        while let Some((_, frame)) = self.stack.poll_transmit(self.now) {
            let bytes = frame.to_frame().bytes.to_vec();
            match EthernetHeader::parse(&bytes).unwrap().ether_type {
                EtherType::Arp => self.hear_arp(&bytes[14..]),
                EtherType::Ipv4 => self.hear(&bytes),
                _ => {}
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.serve();
        while let Some(due) = self.stack.poll_timeout().filter(|due| *due <= end) {
            self.now = due;
            self.stack.handle_timeout(due);
            self.serve();
        }
        self.now = end;
    }

    fn hear_arp(&mut self, packet: &[u8]) {
        let packet = ArpPacket::parse(packet).unwrap();
        if packet.sender_ip.is_unspecified() {
            self.probed.push(packet.target_ip);
        } else if packet.sender_ip == packet.target_ip {
            self.told.push(packet.target_ip);
        }
        if self.taken || !self.silent && packet.target_ip == ip("10.0.0.1") {
            let answer = ArpPacket {
                operation: ArpOperation::Reply,
                sender_hardware: station(1),
                sender_ip: packet.target_ip,
                target_hardware: packet.sender_hardware,
                target_ip: packet.sender_ip,
            };
            self.stack.receive(self.now, ETH, arp_frame(&answer, station(0)));
        }
    }

    fn hear(&mut self, frame: &[u8]) {
        let header = Ipv4Header::parse(&frame[14..]).unwrap();
        let ports = (u16::from_be_bytes([frame[34], frame[35]]), u16::from_be_bytes([frame[36], frame[37]]));
        assert_eq!(ports, (68, 67));
        let message = &frame[DHCP..];
        let kind = message[242];
        self.heard.push((kind, header.destination));
        match kind {
            1 => self.reply(message, 2),
            3 => self.reply(message, 5),
            _ => {}
        }
    }

    fn reply(&mut self, request: &[u8], kind: u8) {
        let mut reply = request[..240].to_vec();
        reply[0] = 2;
        reply[16..20].copy_from_slice(&[10, 0, 0, 9]);
        reply.extend_from_slice(&[53, 1, kind, 54, 4, 10, 0, 0, 1, 51, 4]);
        reply.extend_from_slice(&self.lease.to_be_bytes());
        reply.extend_from_slice(&self.options);
        reply.push(255);
        // To the address that the client is about to have.
        let frame = Path::v4(1, 0).from("10.0.0.1").to("10.0.0.9").udp((67, 68), &reply);
        self.stack.receive(self.now, ETH, frame);
    }

    fn addresses(&self) -> Vec<String> {
        let interface = self.stack.interfaces().interface(ETH).unwrap();
        let v4 = interface.addresses().iter().filter(|own| own.cidr.address.is_ipv4());
        v4.map(|own| own.cidr.to_string()).collect()
    }

    fn routes(&self) -> Vec<String> {
        let v4 = self.stack.interfaces().routes().iter().filter(|route| route.destination.address.is_ipv4());
        v4.map(|route| route.to_string()).collect()
    }

    /// The largest packets of IPv4 and of IPv6.
    fn mtus(&self) -> [usize; 2] {
        let interface = self.stack.interfaces().interface(ETH).unwrap();
        ["0.0.0.0", "::"].map(|family| interface.mtu_of(family.parse().unwrap()))
    }
}

/// An ARP packet, to a station.
fn arp_frame(packet: &ArpPacket, destination: EthernetAddress) -> Frame {
    let mut headers = tapsock_stack::buf::HeaderBlock::new();
    packet.prepend_to(&mut headers);
    let (source, ether_type) = (packet.sender_hardware, EtherType::Arp);
    EthernetHeader { destination, source, ether_type }.prepend_to(&mut headers);
    Frame::from(headers.to_vec())
}

const MASK: [u8; 6] = [1, 4, 255, 255, 255, 0];
const ROUTER: [u8; 6] = [3, 4, 10, 0, 0, 1];

//= RFC 2131 §4.4.1, type=test
#[test]
fn a_stack_is_set_up_by_a_server() {
    let mut server = Server::new(&[MASK, ROUTER].concat());
    server.options.extend_from_slice(&[26, 2, 5, 120, 6, 4, 10, 0, 0, 53]);
    server.run(Duration::from_secs(1));
    let all = Ipv4Addr::BROADCAST;
    assert_eq!(server.heard, [(1, all), (3, all)]);
    assert_eq!(server.probed, [ip("10.0.0.9"); 2]);
    assert_eq!(server.addresses(), ["10.0.0.9/24"]);
    assert_eq!(server.routes(), ["10.0.0.0/24 dev if1 src 10.0.0.9", "0.0.0.0/0 via 10.0.0.1 dev if1"]);
    assert_eq!(server.mtus(), [1400; 2]);
    let lease = server.stack.lease(ETH).unwrap();
    assert_eq!(lease.name_servers, [ip("10.0.0.53")]);
    assert_eq!(server.stack.lease_changes(), 1);
    assert_eq!(server.stack.start_dhcp(server.now, ETH, None), Err(InterfaceError::Exists));
    let lo = InterfaceId::LOOPBACK;
    assert_eq!(server.stack.start_dhcp(server.now, lo, None), Err(InterfaceError::Missing));
}

#[test]
fn what_was_there_before_a_lease_is_there_after_it() {
    // The server gives what its owner has given the host already, but for a route beside the owner's.
    let mut server = Server::new(&[MASK, ROUTER].concat());
    let (ours, all) = ("10.0.0.9/24".parse().unwrap(), "0.0.0.0/0".parse().unwrap());
    server.stack.add_address(ETH, ours).unwrap();
    let marked = Route { mark: NonZeroU32::new(7), ..Route::via(all, ip("10.0.0.3").into(), ETH) };
    server.stack.add_route(marked).unwrap();
    let before = (server.addresses(), server.routes());
    server.run(Duration::from_secs(1));
    assert!(server.routes().contains(&"0.0.0.0/0 via 10.0.0.1 dev if1".to_owned()));
    server.stack.stop_dhcp(server.now, ETH);
    assert_eq!((server.addresses(), server.routes()), before);
}

#[test]
fn the_mtu_of_a_lease_is_not_the_links() {
    for (given, mtus) in
        [(1400u16, [1400, 1400]), (576, [576, 1280]), (575, [1500, 1500]), (9000, [1500, 1500])]
    {
        let mut server = Server::new(&[MASK, ROUTER].concat());
        server.options.extend_from_slice(&[&[26, 2][..], &given.to_be_bytes()].concat());
        server.run(Duration::from_secs(1));
        assert_eq!(server.mtus(), mtus, "{given}");
        // The owner finds out that the link takes more, and that stays when the lease goes.
        let link = LinkCaps::plain(Medium::Ethernet, 3000);
        server.stack.set_link_caps(ETH, link).unwrap();
        server.stack.stop_dhcp(server.now, ETH);
        assert_eq!(server.mtus(), [3000; 2], "{given}");
    }
}

#[test]
fn nobody_asks_on_a_link_that_is_gone() {
    // While it asks for an address, while it looks whether somebody has it, and while it has it.
    for when in [Duration::ZERO, Duration::from_millis(50), Duration::from_secs(1)] {
        let mut server = Server::new(&[MASK, ROUTER].concat());
        if when.is_zero() {
            server.options = vec![53];
        }
        server.run(when);
        server.stack.set_link_down(server.now, ETH);
        let sent = server.stack.counters()[Counter::UdpOutDatagrams];
        let (heard, probed) = (server.heard.len(), server.probed.len());
        server.run(Duration::from_secs(7200));
        server.stack.stop_dhcp(server.now, ETH);
        server.serve();
        assert_eq!((server.heard.len(), server.probed.len()), (heard, probed));
        assert_eq!(server.stack.counters()[Counter::UdpOutDatagrams], sent);
        assert_eq!(server.stack.poll_timeout(), None);
        assert_eq!(server.stack.start_dhcp(server.now, ETH, None), Err(InterfaceError::Missing));
    }
}

//= RFC 3442, type=test
#[test]
fn routes_of_all_lengths_stand_in_place_of_the_router() {
    // Everything by 10.0.0.254, a network on the link, and one whose router is outside of ours.
    let routes: [&[u8]; 5] = [
        &[121, 26],
        &[0, 10, 0, 0, 254],
        &[24, 192, 0, 2, 0, 0, 0, 0],
        &[16, 172, 16, 198, 51, 100, 1],
        &[8, 44, 10, 0, 0, 7],
    ];
    let mut server = Server::new(&[&MASK[..], &ROUTER, &routes.concat()].concat());
    server.run(Duration::from_secs(1));
    let mut found = server.routes();
    found.sort();
    assert_eq!(
        found,
        [
            "0.0.0.0/0 via 10.0.0.254 dev if1",
            "10.0.0.0/24 dev if1 src 10.0.0.9",
            "172.16.0.0/16 via 198.51.100.1 dev if1",
            "192.0.2.0/24 dev if1",
            "198.51.100.1/32 dev if1",
            "44.0.0.0/8 via 10.0.0.7 dev if1",
        ]
    );
    server.stack.stop_dhcp(server.now, ETH);
    assert_eq!(server.routes(), [""; 0], "what came goes");
    assert_eq!(server.addresses(), [""; 0]);
}

//= RFC 2131 §4.4.5, type=test
#[test]
fn a_lease_is_kept_while_the_server_gives_more_and_gone_when_it_is_silent() {
    let mut server = Server::new(&[MASK, ROUTER].concat());
    server.run(Duration::from_secs(3600));
    assert_eq!(server.addresses(), ["10.0.0.9/24"]);
    let server_only = server.heard[2..].iter().all(|heard| *heard == (3, ip("10.0.0.1")));
    assert!(server_only && server.heard.len() >= 8, "{:?}", server.heard);
    assert_eq!(server.stack.lease_changes(), 1, "an hour, and nothing but the time has changed");
    // It hears, and gives no more.
    server.options = vec![53];
    server.lease = 0;
    server.heard.clear();
    server.run(Duration::from_secs(1000));
    assert_eq!(server.addresses(), [""; 0]);
    assert_eq!(server.mtus(), [1500; 2]);
    assert!(server.heard.contains(&(3, Ipv4Addr::BROADCAST)), "any server may give more");
    assert!(server.heard.contains(&(1, Ipv4Addr::BROADCAST)), "and another address");
    assert!(server.stack.counters()[Counter::TapsockDhcpInErrors] > 0);
}

//= RFC 2131 §3.1, type=test
#[test]
fn an_address_of_somebody_else_is_declined() {
    let mut server = Server::new(&[MASK, ROUTER].concat());
    server.taken = true;
    server.run(Duration::from_secs(5));
    assert_eq!(server.heard.iter().map(|heard| heard.0).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(server.addresses(), [""; 0]);
    server.taken = false;
    server.run(Duration::from_secs(10));
    assert_eq!(server.addresses(), ["10.0.0.9/24"]);
}

/// Somebody else has the address after all: it is defended once, and then given up and declined.
//= RFC 5227 §2.4, type=test
//= RFC 2131 §4.4.1 MUST-10, type=test
#[test]
fn a_conflict_after_binding_ends_with_a_decline() {
    let mut config = Config::default();
    config.set("tapsock.ipv4_acd", "1").unwrap();
    let mut server = Server::with(config, &[MASK, ROUTER].concat());
    server.run(Duration::from_secs(10));
    assert_eq!(server.addresses(), ["10.0.0.9/24"]);
    server.heard.clear();
    let claim = |server: &mut Server| {
        let packet = ArpPacket {
            operation: ArpOperation::Request,
            sender_hardware: station(7),
            sender_ip: ip("10.0.0.9"),
            target_hardware: EthernetAddress::default(),
            target_ip: ip("10.0.0.9"),
        };
        server.stack.receive(server.now, ETH, arp_frame(&packet, EthernetAddress::BROADCAST));
        server.serve();
    };
    server.told.clear();
    claim(&mut server);
    assert_eq!(server.told, [ip("10.0.0.9")], "it says that it is ours");
    assert_eq!(server.addresses(), ["10.0.0.9/24"]);
    server.run(Duration::from_secs(5));
    assert!(server.heard.is_empty());
    claim(&mut server);
    assert_eq!(server.heard, [(4, Ipv4Addr::BROADCAST)], "it is declined");
    assert_eq!(server.addresses(), [""; 0]);
    assert_eq!(server.routes(), [""; 0]);
    assert_eq!(server.stack.counters()[Counter::TapsockAddressConflicts], 2);
    // Later it asks for one anew.
    server.run(Duration::from_secs(9));
    assert_eq!(server.heard.len(), 1);
    server.run(Duration::from_secs(10));
    assert_eq!(server.heard[1..].iter().map(|heard| heard.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(server.addresses(), ["10.0.0.9/24"]);
}

//= RFC 5227 §2.1.1, type=test
#[test]
fn an_address_that_somebody_else_is_about_to_take_is_declined() {
    for (asks, declined) in [(1, true), (0, false)] {
        let mut server = Server::new(&[MASK, ROUTER].concat());
        server.run(Duration::from_millis(50));
        assert_eq!(server.probed.len(), 1, "it looks whether the address is free");
        let probe = ArpPacket {
            operation: ArpOperation::Request,
            sender_hardware: station(asks),
            sender_ip: Ipv4Addr::UNSPECIFIED,
            target_hardware: Default::default(),
            target_ip: ip("10.0.0.9"),
        };
        let mut headers = tapsock_stack::buf::HeaderBlock::new();
        probe.prepend_to(&mut headers);
        let (destination, source) = (EthernetAddress::BROADCAST, station(asks));
        EthernetHeader { destination, source, ether_type: EtherType::Arp }.prepend_to(&mut headers);
        let payload = tapsock_stack::buf::Rope::new();
        let frame = Transmit { headers, payload, checksum: None, segmentation: None }.to_frame();
        server.stack.receive(server.now, ETH, frame);
        server.run(Duration::from_secs(1));
        assert_eq!(
            server.heard.iter().any(|heard| heard.0 == 4),
            declined,
            "our own comes back on some links"
        );
    }
}

#[test]
fn raw_sockets_see_what_the_client_takes() {
    let mut server = Server::new(&[MASK, ROUTER].concat());
    let raw = server.stack.raw_open(tapsock_stack::stack::Family::V4, 17).unwrap();
    server.run(Duration::from_secs(1));
    let seen = |server: &mut Server| core::iter::from_fn(|| server.stack.raw_recv(raw).ok()).count();
    assert_eq!(seen(&mut server), 0, "what came to an address that was not ours yet");
    server.run(Duration::from_secs(501));
    assert_eq!(seen(&mut server), 1, "the server gave more time");
    assert_eq!(server.stack.lease_changes(), 1);
}

#[test]
fn only_a_client_hears_what_is_to_others_addresses() {
    let mut server = Server::new(&MASK);
    server.run(Duration::from_secs(1));
    let stranger = Path::v4(1, 0).from("10.0.0.1").to("10.0.0.77");
    let before = server.stack.counters()[Counter::IpInAddrErrors];
    server.stack.receive(server.now, ETH, stranger.udp((67, 69), b"not for us"));
    assert_eq!(server.stack.counters()[Counter::IpInAddrErrors], before + 1);
    server.stack.receive(server.now, ETH, stranger.udp((67, 68), b"no message"));
    assert_eq!(server.stack.counters()[Counter::TapsockDhcpInErrors], 1);
    let mut unexpected = vec![0; 240];
    unexpected[0] = 2;
    unexpected[1] = 1;
    unexpected[2] = 6;
    unexpected[16..20].copy_from_slice(&[10, 0, 0, 66]);
    unexpected[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    unexpected.extend_from_slice(&[53, 1, 2, 54, 4, 10, 0, 0, 1, 255]);
    server.stack.receive(server.now, ETH, stranger.udp((67, 68), &unexpected));
    assert_eq!(server.stack.counters()[Counter::TapsockDhcpInUnexpected], 1);
    assert_eq!(server.addresses(), ["10.0.0.9/24"]);
    server.stack.stop_dhcp(server.now, ETH);
    let before = server.stack.counters()[Counter::IpInAddrErrors];
    server.stack.receive(server.now, ETH, stranger.udp((67, 68), &unexpected));
    assert_eq!(server.stack.counters()[Counter::IpInAddrErrors], before + 1, "nobody asks any more");
    server.serve();
    assert_eq!(server.heard.last(), Some(&(7, ip("10.0.0.1"))));
    let owner: IpAddr = ip("10.0.0.9").into();
    assert!(!server.stack.interfaces().is_local(owner));
}

//= RFC 1812 §5.3.8, type=test
#[test]
fn a_first_lease_comes_by_no_way_back() {
    for mode in ["1", "2"] {
        let mut server = Server::new(&[MASK, ROUTER].concat());
        server.stack.config_mut().set("net.ipv4.conf.all.rp_filter", mode).unwrap();
        server.run(Duration::from_secs(1));
        assert_eq!(server.addresses(), ["10.0.0.9/24"], "{mode}");
    }
}

#[test]
fn a_router_that_asks_passes_on_what_is_for_others() {
    let mut server = Server::new(&[MASK, ROUTER].concat());
    server.stack.config_mut().set("net.ipv4.ip_forward", "1").unwrap();
    let inside = server.stack.add_interface("eth1", station(5), LINKS[0]).unwrap();
    server.stack.add_address(inside, "10.1.0.1/24".parse().unwrap()).unwrap();
    server.stack.add_neighbor(server.now, inside, ip("10.1.0.5").into(), station(6)).unwrap();
    server.run(Duration::from_secs(1));
    assert_eq!(server.addresses(), ["10.0.0.9/24"], "its own comes to an address that is not its own yet");
    while server.stack.poll_transmit(server.now).is_some() {}
    let to_inside = Path::v4(1, 0).from("10.0.0.1").to("10.1.0.5").udp((67, 68), b"anything");
    server.stack.receive(server.now, ETH, to_inside);
    let passed = core::iter::from_fn(|| server.stack.poll_transmit(server.now));
    assert_eq!(passed.map(|(link, _)| link).collect::<Vec<_>>(), [inside]);
    assert_eq!(server.stack.counters()[Counter::TapsockDhcpInErrors], 0);
}

/// A host that ends waits for the station of its server, as long as ARP asks, and for no other neighbour.
#[test]
fn who_gives_an_address_back_waits_for_its_server_alone() {
    for (elsewhere, silent) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut server = Server::new(&[MASK, ROUTER].concat());
        server.run(Duration::from_secs(1));
        server.silent = silent;
        assert!(!server.stack.waits_for_servers());
        if elsewhere {
            let socket = server.stack.udp_open(Family::V4);
            let (to, options) = (Some(at("10.0.0.77", 9)), UdpSendOptions::default());
            server.stack.udp_send(server.now, socket, Rope::from(vec![1]), to, options).unwrap();
            assert!(!server.stack.waits_for_servers(), "nothing was given back");
        }
        assert!(server.stack.release_leases(server.now));
        assert!(server.stack.waits_for_servers(), "its station was never asked for");
        server.heard.clear();
        server.serve();
        let told = [(7, ip("10.0.0.1"))];
        assert_eq!(server.heard, if silent { &[][..] } else { &told });
        assert_eq!(server.stack.waits_for_servers(), silent);
        server.run(Duration::from_secs(10));
        assert!(!server.stack.waits_for_servers(), "it is given up");
        assert!(!server.stack.release_leases(server.now));
    }
}
