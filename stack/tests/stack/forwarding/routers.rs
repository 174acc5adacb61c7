//! What a router is to its links, beside passing packets on: its groups, and the address that all routers have.

use core::time::Duration;

use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::{IpProtocol, TcpFlags, TcpHeader};

use super::*;

/// The address of all routers of the left network.
const ALL: &str = "fd00::";

impl Router {
    fn set(&mut self, name: &str, value: &str) {
        self.stack.config_mut().set(name, value).unwrap();
        self.run_for(Duration::from_secs(5));
    }

    /// Lets time pass. What was sent stays to be taken.
    fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.stack.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.stack.handle_timeout(self.now);
        }
        self.now = until;
    }

    fn asked_for(&mut self, target: &str) -> Vec<NdpMessage> {
        let solicit = NeighborSolicit { target: target.parse().unwrap(), source_link: Some(station(0)) };
        let group: IpAddr = "ff02::1:ff00:0".parse().unwrap();
        let mut path = from_left(&group.to_string());
        path.to_station = EthernetAddress::multicast_for(group);
        let sent = self.pass(LEFT, path.icmpv6(Icmpv6Message::Ndp(solicit.into()), &[], 255));
        let read = |(_, frame): &(InterfaceId, Frame)| {
            let packet = packet_of(frame);
            NdpMessage::parse(&Ipv6Header::parse(packet).unwrap(), &packet[Ipv6Header::LEN..]).ok()
        };
        sent.iter().filter_map(read).collect()
    }
}

//= RFC 4291 §2.6.1, type=test
//= RFC 4861 §7.2.4 MUST-1, type=test
#[test]
fn a_router_has_the_address_of_all_routers() {
    let mut router = Router::plain(&[]);
    let [NdpMessage::NeighborAdvert(advert)] = router.asked_for(ALL)[..] else { panic!("one answer") };
    assert_eq!((advert.target.to_string().as_str(), advert.target_link), (ALL, Some(station(HERE))));
    assert!(advert.router && advert.solicited && !advert.override_, "none of them is before the others");
    // Who asks there is answered, from the router's own address.
    let echo = Icmpv6Message::EchoRequest(Echo { ident: 7, sequence: 1 });
    let sent = router.pass(LEFT, from_left(ALL).icmpv6(echo, b"ping", 64));
    let [(LEFT, answer)] = &sent[..] else { panic!("{sent:?}") };
    let header = Ipv6Header::parse(packet_of(answer)).unwrap();
    assert_eq!((header.source.to_string().as_str(), header.next_header), ("fd00::a", IpProtocol::ICMPV6));
    // Nobody connects to it, and nothing for it goes on.
    let syn = TcpHeader { source_port: 1, destination_port: 2, flags: TcpFlags::SYN, ..TcpHeader::default() };
    assert!(router.pass(LEFT, from_left(ALL).tcp(&syn, &[])).is_empty());
    // A network of two hosts has none, nor has a host.
    router.stack.add_address(LEFT, "fd00:9::1/127".parse().unwrap()).unwrap();
    assert!(router.asked_for("fd00:9::").is_empty());
    router.set("net.ipv6.conf.left.forwarding", "0");
    assert!(router.asked_for(ALL).is_empty());
    router.set("net.ipv6.conf.left.forwarding", "1");
    assert_eq!(router.asked_for(ALL).len(), 1);
}

/// Whoever becomes a router, or is one no more, is in the groups of all routers from then on, or not; where an interface looks
/// for its addresses on the link, other routers are told.
//= RFC 4291 §2.8, type=test
#[test]
fn who_becomes_a_router_joins_the_groups_of_routers() {
    for (accept_dad, told) in [("0", 0), ("1", 2)] {
        let mut router = Router::plain(&[
            ("net.ipv6.conf.all.forwarding", "0"),
            ("net.ipv4.ip_forward", "0"),
            ("net.ipv6.conf.all.accept_dad", accept_dad),
        ]);
        router.run_for(Duration::from_secs(9));
        router.sent();
        let groups = ["224.0.0.2", "ff01::2", "ff02::2", "ff05::2", "ff02::1:ff00:0"];
        let heard = |router: &Router| {
            let left = router.stack.interfaces().interface(LEFT).unwrap();
            groups.map(|group| left.hears(group.parse().unwrap()))
        };
        let reports = |router: &mut Router| {
            let sent = router.sent();
            let to_routers = |(id, frame): &&(InterfaceId, Frame)| {
                let packet = packet_of(frame);
                *id == LEFT && packet[0] >> 4 == 6 && packet[6] == 0 && packet[48] == 143
            };
            sent.iter().filter(to_routers).count()
        };
        assert_eq!(heard(&router), [false; 5]);
        router.set("net.ipv6.conf.left.forwarding", "1");
        assert_eq!((heard(&router), reports(&mut router)), ([false, true, true, true, true], told));
        router.set("net.ipv4.conf.left.forwarding", "1");
        assert_eq!((heard(&router), reports(&mut router)), ([true; 5], 0));
        router.set("net.ipv6.conf.left.forwarding", "0");
        assert_eq!((heard(&router), reports(&mut router)), ([true, false, false, false, false], told));
    }
}
