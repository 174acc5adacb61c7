//! Addresses that are made of prefixes: looked for, renewed, and gone.

use super::*;

//= RFC 4862 §5.4, type=test
//= RFC 4862 §5.5.3, type=test
//= RFC 7527 §4.1, type=test
//= RFC 4862 §5.4 MUST-1, type=test
//= RFC 4862 §5.4 MUST-3, type=test
//= RFC 4862 §5.4.2 MUST-1, type=test
//= RFC 4862 §5.5 MUST-1, type=test
//= RFC 4861 §4.3 MUST-4, type=test
#[test]
fn an_address_is_made_of_a_prefix_and_looked_for() {
    let mut wire = alone(&asking());
    wire.run_for(Duration::from_secs(5));
    wire.seen.clear();
    wire.inject(0, advert(1, 1800, 0, &[prefix("2001:db8::", ON_LINK | AUTONOMOUS, HOUR, HOUR)]));
    assert_eq!(made(&wire), []);
    let address: Ipv6Addr = "2001:db8::ff:fe00:1".parse().unwrap();
    assert!(wire[0].is_tentative(ETH, address));
    wire.run_for(Duration::from_secs(3));
    assert_eq!(made(&wire), [(address, Preference::Preferred)]);
    assert!(!wire[0].is_tentative(ETH, address));
    let probes = sent(&wire, 135);
    let [(ip, message)] = &probes[..] else { panic!("{probes:?}") };
    assert!(ip.source.is_unspecified());
    assert_eq!(ip.destination.to_string(), "ff02::1:ff00:1");
    assert!(nonce_of(message).is_some());
    // The prefix is on the link, and what is elsewhere goes to the router.
    assert_eq!(next_hop(&wire, "2001:db8::7").as_deref(), Some("2001:db8::7"));
    assert_eq!(next_hop(&wire, "2001:db8:9::7").as_deref(), Some("fe80::aa:1"));
    let hop = wire[0].interfaces().route("2001:db8:9::7".parse().unwrap(), None, None).unwrap();
    assert_eq!(hop.source, IpAddr::V6(address));
}

//= RFC 4862 §5.4.4, type=test
//= RFC 4862 §5.4.5, type=test
//= RFC 4862 §5.4.2 MUST-2, type=test
//= RFC 4862 §5.4.5 MUST-1, type=test
#[test]
fn an_address_that_somebody_has_is_not_taken() {
    let (mut wire, address) = looking_for(&asking());
    wire.inject(0, claim(address));
    wire.run_for(Duration::from_secs(10));
    assert_eq!(made(&wire), []);
    assert_eq!(wire.counter(0, Counter::TapsockAddressConflicts), 1);
}

//= RFC 4862 §5.4.3, type=test
//= RFC 7527 §4.2, type=test
//= RFC 4862 §5.4.2 MUST-2, type=test
#[test]
fn two_who_look_for_one_address_give_it_up_but_an_echo_counts_for_nothing() {
    let probe = |wire: &Wire| {
        let probe = wire.seen.iter().rfind(|(_, frame)| {
            transport_of(frame, IpProtocol::ICMPV6).is_some_and(|message| message[0] == 135)
        });
        probe.unwrap().1.bytes.to_vec()
    };
    // The link sends it back, though from a station that it is not.
    let (mut wire, _) = looking_for(&asking());
    let mut echo = probe(&wire);
    echo[6..12].copy_from_slice(&station(7).0);
    wire.inject(0, echo);
    wire.run_for(Duration::from_secs(10));
    assert_eq!(made(&wire).len(), 1);
    // Another's, which has another nonce, or none.
    for cut in [false, true] {
        let (mut wire, address) = looking_for(&asking());
        let nonce = if cut { None } else { Some([7; 6]) };
        let packet = tapsock_stack::wire::ndp::probe(address, nonce);
        let group = tapsock_stack::wire::ndp::solicited_node(address);
        let station_of = tapsock_stack::wire::EthernetAddress::multicast_for(IpAddr::V6(group));
        let frame = [&station_of.0[..], &station(7).0, &[0x86, 0xdd], &packet].concat();
        wire.inject(0, frame);
        wire.run_for(Duration::from_secs(10));
        assert_eq!(made(&wire), []);
    }
}

//= RFC 7217 §5, type=test
//= RFC 7217 §6, type=test
//= RFC 7217 §5 MUST-1, type=test
//= RFC 7217 §5 MUST-6, type=test
//= RFC 7217 §6 MUST-1, type=test
#[test]
fn addresses_by_a_secret_stay_and_have_a_second_try() {
    let secret = |secret: &str| {
        let mut config = asking();
        config.set("net.ipv6.conf.all.addr_gen_mode", "2").unwrap();
        config.set("net.ipv6.conf.all.stable_secret", secret).unwrap();
        config
    };
    let (_, first) = looking_for(&secret("2001::7"));
    let (mut wire, again) = looking_for(&secret("2001::7"));
    let (_, other) = looking_for(&secret("2001::8"));
    assert!(first == again && first != other);
    assert_ne!(first.to_string(), "2001:db8::ff:fe00:1");
    wire.inject(0, claim(again));
    wire.run_for(Duration::from_secs(10));
    let [(taken, _)] = made(&wire)[..] else { panic!("{:?}", made(&wire)) };
    assert_ne!(taken, again);
}

//= RFC 4862 §5.4, type=test
//= RFC 4862 §5.4 MUST-1, type=test
#[test]
fn an_address_given_by_hand_is_looked_for_as_well() {
    let mut wire = alone(&asking());
    wire.run_for(Duration::from_secs(5));
    let (free, taken) = ("2001:db8::5", "2001:db8::6");
    for address in [free, taken] {
        wire[0].add_address(ETH, format!("{address}/64").parse().unwrap()).unwrap();
    }
    assert_eq!(made(&wire), []);
    wire.run_for(Duration::from_millis(500));
    wire.inject(0, claim(taken.parse().unwrap()));
    wire.run_for(Duration::from_secs(3));
    assert_eq!(made(&wire), [(free.parse().unwrap(), Preference::Preferred)]);
    assert_eq!(next_hop(&wire, "2001:db8::9").as_deref(), Some("2001:db8::9"), "with its network");
    wire[0].add_address(ETH, "2001:db8::7/64".parse().unwrap()).unwrap();
    wire[0].remove_address(ETH, "2001:db8::7".parse().unwrap()).unwrap();
    wire.run_for(Duration::from_secs(3));
    assert_eq!(made(&wire).len(), 1);
}

//= RFC 4862 §5.5.4, type=test
//= RFC 4862 §5.5.3, type=test
//= RFC 4862 §5.5.3 MUST-1, type=test
//= RFC 4862 §5.5.4 MUST-4, type=test
//= RFC 4861 §4.6.2 MUST-5, type=test
#[test]
fn addresses_age() {
    let mut wire = alone(&Config::default());
    let both = ON_LINK | AUTONOMOUS;
    wire.inject(0, advert(1, 9000, 0, &[prefix("2001:db8::", both, 4 * HOUR, HOUR)]));
    assert_eq!(made(&wire)[0].1, Preference::Preferred);
    // Nobody can end an address at once: two hours remain.
    wire.inject(0, advert(1, 9000, 0, &[prefix("2001:db8::", both, 1, 1)]));
    wire.run_for(Duration::from_secs(2));
    assert_eq!(made(&wire)[0].1, Preference::Deprecated);
    wire.inject(0, advert(1, 9000, 0, &[prefix("2001:db8::", both, 3 * HOUR, HOUR)]));
    assert_eq!(made(&wire)[0].1, Preference::Preferred, "it is renewed");
    wire.inject(0, advert(1, 9000, 0, &[prefix("2001:db8::", both, 0, 0)]));
    wire.run_for(Duration::from_secs(7190));
    assert_eq!(made(&wire)[0].1, Preference::Deprecated);
    wire.run_for(Duration::from_secs(20));
    assert_eq!(made(&wire), []);
    // Prefixes of no use: contradictory, of another length, link-local, and not for addresses.
    let mut odd = prefix("2001:db8:1::", both, HOUR, HOUR);
    odd[2] = 56;
    wire.inject(
        0,
        advert(
            1,
            9000,
            0,
            &[
                prefix("2001:db8:2::", both, HOUR, HOUR + 1),
                odd,
                prefix("fe80::", both, HOUR, HOUR),
                prefix("2001:db8:3::", ON_LINK, HOUR, HOUR),
            ],
        ),
    );
    assert_eq!(made(&wire), []);
}

#[test]
fn it_is_known_how_long_an_address_is_good_for() {
    let mut wire = alone(&with(&[]));
    let both = ON_LINK | AUTONOMOUS;
    wire.inject(
        0,
        advert(
            1,
            9000,
            0,
            &[prefix("2001:db8::", both, 3 * HOUR, HOUR), prefix("2001:db8:1::", both, u32::MAX, u32::MAX)],
        ),
    );
    wire.run_for(Duration::from_secs(60));
    let lifetimes = |address: &str| {
        let until = wire[0].address_lifetimes(ETH, address.parse().unwrap());
        until.map(|until| until.map(|end| end.map(|end| end.saturating_since(wire.now).as_secs())))
    };
    assert_eq!(lifetimes("2001:db8::ff:fe00:1"), Some([Some(3 * 3600 - 60), Some(3600 - 60)]));
    assert_eq!(lifetimes("2001:db8:1::ff:fe00:1"), Some([None, None]), "for ever");
    assert_eq!(lifetimes("10.0.0.1"), None, "by hand");
}

//= RFC 8981 §3.4, type=test
//= RFC 6724 §5, type=test
//= RFC 6724 §5 MUST-1, type=test
//= RFC 6724 §5 MUST-6, type=test
//= RFC 8981 §3.8, type=test
#[test]
fn temporary_addresses_come_and_go() {
    let mut config = with(&[
        "net.ipv6.conf.all.use_tempaddr 2",
        "net.ipv6.conf.all.temp_prefered_lft 1000",
        "net.ipv6.conf.all.temp_valid_lft 2000",
        "net.ipv6.conf.all.max_desync_factor 100",
    ]);
    let both = ON_LINK | AUTONOMOUS;
    let mut wire = alone(&config);
    wire.inject(0, advert(1, 9000, 0, &[prefix("2001:db8::", both, 10 * HOUR, 10 * HOUR)]));
    let source = |wire: &Wire| {
        let hop = wire[0].interfaces().route("2001:db8:9::1".parse().unwrap(), None, None);
        hop.unwrap().source.to_string()
    };
    let stable = "2001:db8::ff:fe00:1";
    assert_eq!(made(&wire).len(), 2);
    let first = source(&wire);
    assert_ne!(first, stable);
    wire.run_for(Duration::from_secs(1010));
    let second = source(&wire);
    assert!(second != first && second != stable, "a successor is in use");
    let of_first = |wire: &Wire| made(wire).into_iter().find(|(address, _)| address.to_string() == first);
    assert_eq!(of_first(&wire).map(|(_, preference)| preference), Some(Preference::Deprecated));
    wire.run_for(Duration::from_secs(1000));
    assert_eq!(of_first(&wire), None);
    assert!(made(&wire).len() <= 4);

    config.set("net.ipv6.conf.all.use_tempaddr", "1").unwrap();
    let mut wire = alone(&config);
    wire.inject(0, advert(1, 9000, 0, &[prefix("2001:db8::", both, 10 * HOUR, 10 * HOUR)]));
    assert_eq!((made(&wire).len(), &source(&wire)[..]), (2, stable));
}

/// Somebody has the address that follows from the station, and IPv6 is not spoken any more.
//= RFC 4862 §5.4.5, type=test
#[test]
fn ipv6_is_given_up_as_a_whole() {
    let settings = ["net.ipv6.conf.all.accept_dad 2", "net.ipv6.conf.all.dad_transmits 3"];
    let mut wire = alone(&with(&settings));
    let lasting = prefix("2001:db8:1::", ON_LINK | AUTONOMOUS, 2 * HOUR, HOUR);
    let (own, byhand) = ("fe80::ff:fe00:1".parse().unwrap(), "2001:db8:7::7/64".parse().unwrap());
    wire.inject(0, advert(1, 1800, 0, core::slice::from_ref(&lasting)));
    wire.run_for(Duration::from_secs(5));
    assert_eq!((made(&wire).len(), default_routes(&wire).len()), (1, 1));
    // The link-local one is looked for anew, and another one beside it, when somebody says that he has it.
    wire[0].remove_address(ETH, IpAddr::V6(own)).unwrap();
    wire[0].add_address(ETH, byhand).unwrap();
    let again = wire[0].add_interface("eth1", station(0), LINKS[0]).unwrap();
    assert!(wire[0].is_tentative(again, own));
    let now = wire.now;
    wire[0].add_address(again, "2001:db8:8::8/64".parse().unwrap()).unwrap();
    wire[0].receive(now, again, advert(1, 1800, 0, core::slice::from_ref(&lasting)));
    wire[0].receive(now, again, claim(own));
    let addresses = |wire: &Wire| {
        let found = wire[0].interfaces().interface(again).unwrap();
        let routes = wire[0].interfaces().routes().iter().filter(|route| route.interface == again).count();
        (found.addresses().len(), routes)
    };
    assert_eq!(addresses(&wire), (0, 0));
    assert_eq!(wire.counter(0, Counter::TapsockAddressConflicts), 1);
    // Nothing brings it back, neither routers nor the owner.
    wire[0].receive(now, again, advert(1, 1800, 0, &[lasting]));
    let byhand = wire[0].add_address(again, "2001:db8:9::9/64".parse().unwrap());
    assert_eq!(byhand, Err(InterfaceError::GivenUp));
    assert_eq!(addresses(&wire), (0, 0));
    assert!(!wire[0].is_tentative(again, own));
    // IPv4 and the other interface are not concerned. (The wire knows that one only.)
    wire[0].add_address(again, "10.9.0.1/24".parse().unwrap()).unwrap();
    wire[0].set_link_down(now, again);
    wire.run_for(Duration::from_secs(5));
    assert_eq!(made(&wire).len(), 2);
}

/// Somebody has each address that is tried, for ever.
#[test]
fn another_address_is_tried_as_often_as_is_set_and_no_more() {
    for (most, tried) in [(0, 1), (3, 4), (255, 256)] {
        let most = format!("net.ipv6.conf.all.regen_max_retry {most}");
        let at_once = "net.ipv6.conf.all.router_solicitation_delay 0";
        let (looks, secret) = ("net.ipv6.conf.all.accept_dad 1", "net.ipv6.conf.all.addr_gen_mode 3");
        let mut wire = alone(&with(&[looks, secret, at_once, &most]));
        let mut claimed = 0;
        // It is sure of an address after a second.
        for _ in 0..300 {
            wire.seen.clear();
            wire.run_for(Duration::from_millis(500));
            let mut targets = sent(&wire, 135).into_iter().map(|(_, probe)| {
                let target: [u8; 16] = probe[8..24].try_into().unwrap();
                Ipv6Addr::from(target)
            });
            let Some(target) = targets.rfind(Ipv6Addr::is_unicast_link_local) else { break };
            wire.inject(0, claim(target));
            claimed += 1;
        }
        assert_eq!(claimed, tried, "{most}");
    }
}

/// Whoever gives an interface more addresses to look for than there may be is told, and routers' are counted.
#[test]
fn addresses_that_are_looked_for_are_bounded() {
    let mut wire = alone(&asking());
    let mut add = |host: usize| wire[0].add_address(ETH, format!("2001:db8::{host:x}/64").parse().unwrap());
    let given = (1..).take_while(|host| add(*host).is_ok()).count();
    // Two are of the wire's own.
    assert_eq!(given, MAX_FORMED - 2);
    assert_eq!(add(1000), Err(InterfaceError::Full));
    wire.run_for(Duration::from_secs(5));
    assert_eq!(made(&wire).len(), given, "each of those that were taken is there");
    wire.inject(0, advert(1, 1800, 0, &[prefix("2001:db8:1::", ON_LINK | AUTONOMOUS, HOUR, HOUR)]));
    wire.run_for(Duration::from_secs(5));
    assert_eq!((made(&wire).len(), wire.counter(0, Counter::TapsockAutoconfRefused)), (given, 1));
    // One that goes makes room.
    wire[0].remove_address(ETH, "2001:db8::1".parse().unwrap()).unwrap();
    wire[0].add_address(ETH, "2001:db8::1000/64".parse().unwrap()).unwrap();
    wire.run_for(Duration::from_secs(5));
    assert_eq!(made(&wire).len(), given);
}
