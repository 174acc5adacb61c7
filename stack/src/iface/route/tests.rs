use super::*;
use core::cmp::Reverse;
use core::net::{Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;

fn direct(destination: &str, interface: u8, metric: u32) -> Route {
    Route { metric, ..Route::direct(destination.parse().unwrap(), InterfaceId(interface)) }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn host_bits_do_not_make_another_network() {
    let mut table = RoutingTable::new();
    table.insert(direct("10.0.0.1/24", 1, 0)).unwrap();
    assert_eq!(table.insert(direct("10.0.0.2/24", 1, 0)), Err(TableError::Exists));
    table.insert(direct("10.0.0.2/24", 1, 1)).unwrap();
    assert_eq!(table.remove("10.0.0.9/24".parse().unwrap(), Some(1)).unwrap().metric, 1);
    assert_eq!(table.remove("10.0.0.0/24".parse().unwrap(), Some(1)), Err(TableError::NotFound));
}

#[test]
fn the_first_appended_of_equals_wins() {
    let mut table = RoutingTable::new();
    table.append(direct("fe80::/64", 2, 256)).unwrap();
    table.append(direct("fe80::/64", 1, 256)).unwrap();
    assert_eq!(table.lookup(ip("fe80::1"), None).unwrap().interface, InterfaceId(2));
    assert_eq!(table.lookup(ip("fe80::1"), Some(InterfaceId(1))).unwrap().interface, InterfaceId(1));
    assert_eq!(table.lookup(ip("fe80::1"), Some(InterfaceId(3))), None);
}

#[test]
fn the_table_is_bounded() {
    let mut table = RoutingTable::new();
    for metric in 0..MAX_ROUTES as u32 {
        table.insert(direct("10.0.0.0/8", 1, metric)).unwrap();
    }
    assert_eq!(table.insert(direct("::/0", 1, 0)), Err(TableError::Full));
    assert_eq!(table.iter().count(), MAX_ROUTES);
}

fn shared(gateway: &str, weight: u8) -> Route {
    let gateway = ip(gateway);
    let route = Route::via("10.7.0.0/16".parse().unwrap(), gateway, InterfaceId(1));
    Route { weight: NonZeroU8::new(weight), ..route }
}

#[test]
fn flows_are_shared_by_weight() {
    let mut table = RoutingTable::new();
    table.insert(shared("10.0.0.2", 1)).unwrap();
    table.insert(shared("10.0.0.3", 3)).unwrap();
    assert_eq!(table.insert(shared("10.0.0.3", 1)), Err(TableError::Exists));
    assert_eq!(table.insert(Route { weight: None, ..shared("10.0.0.4", 1) }), Err(TableError::Exists));
    let first = table.lookup(ip("10.7.0.1"), None).unwrap();
    let of = |flow: u32| table.share(first, flow, |_| true).gateway.unwrap();
    let count = |gateway: &str| {
        let flows = (0..1000u32).map(|number| number.wrapping_mul(0x9e37_79b9));
        flows.filter(|flow| of(*flow) == ip(gateway)).count()
    };
    assert_eq!(count("10.0.0.2") + count("10.0.0.3"), 1000);
    assert!((230..270).contains(&count("10.0.0.2")), "{}", count("10.0.0.2"));
    assert_eq!((of(0), of(u32::MAX)), (ip("10.0.0.2"), ip("10.0.0.3")));
    // What can't be used has no share.
    let rest = table.share(first, 0, |route| route.gateway != Some(ip("10.0.0.2")));
    assert_eq!(rest.gateway, Some(ip("10.0.0.3")));
}

#[test]
fn next_hops_are_bounded() {
    let mut table = RoutingTable::new();
    for number in 0..MAX_NEXT_HOPS {
        table.insert(shared(&format!("10.0.1.{number}"), 1)).unwrap();
    }
    assert_eq!(table.insert(shared("10.0.2.1", 1)), Err(TableError::Full));
}

#[test]
fn rules_say_which_table_is_asked() {
    let mut table = RoutingTable::new();
    let other = TableId(7);
    table.insert(direct("0.0.0.0/0", 1, 0)).unwrap();
    table.insert(Route { table: other, ..direct("0.0.0.0/0", 2, 0) }).unwrap();
    table.insert(Route { table: other, kind: RouteKind::Throw, ..direct("10.9.0.0/16", 0, 0) }).unwrap();
    let from = Rule::from_prefix(100, "10.1.0.0/16".parse().unwrap(), other);
    table.add_rule(from).unwrap();
    assert_eq!(table.add_rule(from), Err(TableError::Exists));
    let leads = |destination: &str, source: Option<&str>| {
        let found = table.matches_by_rules(ip(destination), source.map(ip), None).next();
        found.map(|route| route.interface.0)
    };
    assert_eq!(leads("192.0.2.1", None), Some(1));
    assert_eq!(leads("192.0.2.1", Some("10.2.0.1")), Some(1));
    assert_eq!(leads("192.0.2.1", Some("10.1.0.1")), Some(2));
    assert_eq!(leads("10.9.0.1", Some("10.1.0.1")), Some(1), "thrown back");
    table.remove_rule(&from).unwrap();
    assert_eq!(table.remove_rule(&from), Err(TableError::NotFound));
    assert_eq!(table.matches_by_rules(ip("192.0.2.1"), Some(ip("10.1.0.1")), None).count(), 1);
    table.remove_from(other, "0.0.0.0/0".parse().unwrap(), None).unwrap();
}

/// Addresses that differ in a few bits at both ends, so that prefixes of all lengths match now and then.
fn address() -> impl Strategy<Value = IpAddr> {
    (any::<bool>(), 0u8..4, 0u8..4).prop_map(|(v6, high, low)| {
        if v6 {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(high) << 126 | u128::from(low)))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 30 | u32::from(low)))
        }
    })
}

fn cidr() -> impl Strategy<Value = IpCidr> {
    (address(), prop_oneof![0u8..4, 28u8..34, 124u8..129])
        .prop_map(|(address, len)| IpCidr::new(address, len))
}

proptest! {
    //= RFC 1122 §3.3.1.2, type=test
    #[test]
    fn finds_what_a_naive_search_finds(
        routes in proptest::collection::vec((cidr(), 0u8..3, 0u32..3), 0..40),
        removed in proptest::collection::vec(cidr(), 0..5),
        wanted in proptest::collection::vec((address(), proptest::option::of(0u8..3)), 1..20),
    ) {
        let mut table = RoutingTable::new();
        let mut model: Vec<Route> = Vec::new();
        for (destination, interface, metric) in routes {
            let route = Route { metric, ..Route::direct(destination, InterfaceId(interface)) };
            let taken = model.iter().any(|other| {
                other.destination.network() == destination.network() && other.metric == metric
            });
            prop_assert_eq!(table.insert(route).is_err(), taken);
            if !taken {
                model.push(route);
            }
        }
        for destination in removed {
            let same = |route: &Route| route.destination.network() == destination.network();
            while table.remove(destination, None).is_ok() {}
            model.retain(|route| !same(route));
        }
        for (address, interface) in wanted {
            let interface = interface.map(InterfaceId);
            let expected = model
                .iter()
                .filter(|route| route.destination.contains(address))
                .filter(|route| interface.is_none_or(|wanted| route.interface == wanted))
                .min_by_key(|route| (Reverse(route.destination.network().prefix_len), route.metric));
            let found = table.lookup(address, interface);
            prop_assert_eq!(
                found.map(|route| (route.destination, route.metric, route.interface)),
                expected.map(|route| (route.destination.network(), route.metric, route.interface))
            );
        }
    }
}
