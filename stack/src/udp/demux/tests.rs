use std::collections::BTreeMap;

use super::*;

const PORT: u16 = 5000;
const PEER: &str = "127.0.0.1:6000";

/// How a socket of a test is made: bound to an address, and perhaps connected to a peer.
#[derive(Copy, Clone)]
struct Spec {
    name: &'static str,
    bound: LocalAddr,
    peer: Option<&'static str>,
    reuse_port: bool,
}

fn bound(name: &'static str, address: &str) -> Spec {
    Spec { name, bound: LocalAddr::new(address.parse().unwrap(), 0), peer: None, reuse_port: false }
}

fn only_v6(name: &'static str) -> Spec {
    Spec { bound: LocalAddr::AnyV6 { only_v6: true }, ..bound(name, "::") }
}

fn connected(name: &'static str, address: &str, peer: &'static str) -> Spec {
    Spec { peer: Some(peer), ..bound(name, address) }
}

fn sharing(name: &'static str, address: &str) -> Spec {
    Spec { reuse_port: true, ..bound(name, address) }
}

struct Sockets {
    table: UdpTable,
    names: BTreeMap<u32, &'static str>,
}

impl Sockets {
    fn new(specs: &[Spec]) -> Self {
        let mut sockets = Sockets { table: UdpTable::new(&mut Random::new(1)), names: BTreeMap::new() };
        for spec in specs {
            let id = sockets.table.open(UdpSocket::new(1000));
            sockets.table.socket_mut(id).unwrap().reuse_port = spec.reuse_port;
            sockets.table.bind(id, spec.bound, PORT);
            if let Some(peer) = spec.peer {
                sockets.table.connect(id, spec.bound, peer.parse().unwrap());
            }
            sockets.names.insert(id.index, spec.name);
        }
        sockets
    }

    fn find(&self, from: &str, to: &str) -> Option<&'static str> {
        self.table.find(&arrival(from, to)).map(|id| self.names[&id.index])
    }

    fn find_all(&self, from: &str, to: &str) -> Vec<&'static str> {
        let mut names: Vec<_> =
            self.table.find_all(&arrival(from, to)).map(|id| self.names[&id.index]).collect();
        names.sort_unstable();
        names
    }
}

fn arrival(from: &str, to: &str) -> Arrival {
    let to = SocketAddr::new(to.parse().unwrap(), PORT);
    Arrival { from: from.parse().unwrap(), to, interface: InterfaceId(1) }
}

/// Who got a datagram from 127.0.0.1 on Linux 6.18, for sockets bound in the order given and in the opposite one, all
/// with SO_REUSEADDR.
#[test]
fn ranks_as_linux_does() {
    let table: [(&[Spec], &str, [&str; 2]); 13] = [
        (&[bound("any", "0.0.0.0"), bound("one", "127.0.0.1")], "127.0.0.1", ["one", "one"]),
        (&[bound("any", "0.0.0.0"), bound("both", "::")], "127.0.0.1", ["any", "any"]),
        (&[bound("any", "0.0.0.0"), bound("mapped", "::ffff:127.0.0.1")], "127.0.0.1", ["mapped", "mapped"]),
        (&[bound("first", "0.0.0.0"), bound("second", "0.0.0.0")], "127.0.0.1", ["second", "first"]),
        (&[bound("first", "127.0.0.1"), bound("second", "127.0.0.1")], "127.0.0.1", ["second", "first"]),
        (&[connected("peer", "127.0.0.1", PEER), bound("one", "127.0.0.1")], "127.0.0.1", ["peer", "peer"]),
        (
            &[connected("peer", "::ffff:127.0.0.1", "[::ffff:127.0.0.1]:6000"), bound("one", "127.0.0.1")],
            "127.0.0.1",
            ["peer", "peer"],
        ),
        (
            &[connected("other", "127.0.0.1", "127.0.0.2:6000"), bound("any", "0.0.0.0")],
            "127.0.0.1",
            ["any", "any"],
        ),
        (
            &[connected("first", "127.0.0.1", PEER), connected("second", "127.0.0.1", PEER)],
            "127.0.0.1",
            ["second", "first"],
        ),
        (&[bound("first", "::"), bound("second", "::")], "::1", ["second", "first"]),
        (&[bound("both", "::"), only_v6("only")], "::1", ["only", "both"]),
        (&[bound("any", "::"), bound("one", "::1")], "::1", ["one", "one"]),
        (&[only_v6("only"), bound("any", "0.0.0.0")], "127.0.0.1", ["any", "any"]),
    ];
    for (specs, to, outcomes) in table {
        let from = if to.contains(':') { "[::1]:6000" } else { PEER };
        let opposite: Vec<Spec> = specs.iter().rev().copied().collect();
        for (order, outcome) in [specs, &opposite].into_iter().zip(outcomes) {
            let names: Vec<_> = order.iter().map(|spec| spec.name).collect();
            assert_eq!(Sockets::new(order).find(from, to), Some(outcome), "{names:?} {to}");
        }
    }
}

/// As on Linux 6.18: `e` is connected to another peer, `s` bound to a single host's address, `o` takes no IPv4.
#[test]
fn a_broadcast_reaches_all_that_take_it() {
    let sockets = Sockets::new(&[
        bound("w1", "0.0.0.0"),
        bound("w2", "0.0.0.0"),
        bound("d", "::"),
        only_v6("o"),
        bound("s", "10.9.0.1"),
        bound("bc", "10.9.0.255"),
        connected("c", "10.9.0.255", "10.9.0.1:6000"),
        connected("e", "10.9.0.255", "127.0.0.1:6000"),
    ]);
    assert_eq!(sockets.find_all("10.9.0.1:6000", "10.9.0.255"), ["bc", "c", "d", "w1", "w2"]);
}

#[test]
fn sockets_with_reuseport_share_by_the_tuple() {
    let spread = |specs: &[Spec]| {
        let sockets = Sockets::new(specs);
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        for port in 1000..2000 {
            let name = sockets.find(&format!("10.0.0.2:{port}"), "127.0.0.1").unwrap();
            assert_eq!(
                sockets.find(&format!("10.0.0.2:{port}"), "127.0.0.1"),
                Some(name),
                "the same one again"
            );
            *seen.entry(name).or_default() += 1;
        }
        seen
    };
    let evenly = |seen: &BTreeMap<&str, u32>, names: &[&str]| {
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), names);
        assert!(seen.values().all(|count| *count > 800 / names.len() as u32), "{seen:?}");
    };
    let (a, b) = (sharing("a", "0.0.0.0"), sharing("b", "0.0.0.0"));
    evenly(&spread(&[a, b]), &["a", "b"]);
    // The very address outranks the group, and IPv4's wildcard one of both families.
    evenly(&spread(&[a, b, sharing("one", "127.0.0.1")]), &["one"]);
    evenly(&spread(&[a, b, sharing("c", "::"), sharing("d", "::")]), &["a", "b"]);
    evenly(&spread(&[sharing("c", "::"), sharing("d", "::")]), &["c", "d"]);
    // Among equals the last bound leads: with the option it shares, without it doesn't.
    evenly(&spread(&[bound("plain", "0.0.0.0"), a, b]), &["a", "b"]);
    evenly(&spread(&[a, b, bound("plain", "0.0.0.0")]), &["plain"]);
    // A connected member leaves the group.
    let peer = Spec { reuse_port: true, ..connected("peer", "0.0.0.0", "10.0.0.9:1") };
    evenly(&spread(&[a, b, peer]), &["a", "b"]);
}

#[test]
fn a_port_that_nobody_has_finds_nobody() {
    let sockets = Sockets::new(&[bound("one", "127.0.0.2"), only_v6("only")]);
    assert_eq!(sockets.find(PEER, "127.0.0.1"), None);
    assert_eq!(sockets.find_all(PEER, "127.0.0.1"), Vec::<&str>::new());
}

#[test]
fn link_local_addresses_belong_to_an_interface() {
    let mut table = UdpTable::new(&mut Random::new(1));
    let ids: Vec<UdpId> = [1, 2]
        .map(|interface: u8| {
            let id = table.open(UdpSocket::new(1000));
            table.bind(id, LocalAddr::V6("fe80::1".parse().unwrap(), InterfaceId(interface).index()), PORT);
            id
        })
        .into();
    for (interface, expected) in [(1, Some(ids[0])), (2, Some(ids[1])), (3, None)] {
        let arrival = Arrival { interface: InterfaceId(interface), ..arrival("[fe80::2]:6000", "fe80::1") };
        assert_eq!(table.find(&arrival), expected);
    }
}

#[test]
fn ends_change_and_go() {
    let mut table = UdpTable::new(&mut Random::new(1));
    let id = table.open(UdpSocket::new(1000));
    let (any, one) = (LocalAddr::AnyV4, LocalAddr::V4([127, 0, 0, 1].into()));
    table.connect(id, one, PEER.parse().unwrap());
    assert_eq!(table.socket(id).unwrap().remote(), None, "it has no port yet");

    table.bind(id, any, PORT);
    assert_eq!(table.find(&arrival("9.9.9.9:9", "127.0.0.1")), Some(id));
    table.connect(id, one, PEER.parse().unwrap());
    assert_eq!(table.socket(id).unwrap().local(), Some((one, PORT)));
    assert_eq!(table.find(&arrival("9.9.9.9:9", "127.0.0.1")), None);
    assert_eq!(table.find(&arrival(PEER, "127.0.0.1")), Some(id));
    // To another peer, then to any again.
    table.connect(id, one, "127.0.0.9:1".parse().unwrap());
    assert_eq!(table.find(&arrival(PEER, "127.0.0.1")), None);
    table.bind(id, any, PORT);
    assert_eq!(table.find(&arrival("9.9.9.9:9", "127.0.0.1")), Some(id));
    assert_eq!(table.socket(id).unwrap().remote(), None);

    table.unbind(id);
    assert_eq!(table.find(&arrival(PEER, "127.0.0.1")), None);
    table.bind(id, any, PORT);
    assert!(table.close(id).is_some());
    assert!(table.close(id).is_none());
    assert_eq!(table.find(&arrival(PEER, "127.0.0.1")), None);
    assert!(table.by_port.is_empty() && table.by_flow.is_empty());
}

#[test]
fn a_peer_without_a_port_is_any_port_of_it() {
    let sockets = Sockets::new(&[bound("any", "0.0.0.0"), connected("peer", "127.0.0.1", "127.0.0.1:0")]);
    assert_eq!(sockets.find("127.0.0.1:77", "127.0.0.1"), Some("peer"));
    assert_eq!(sockets.find("127.0.0.2:77", "127.0.0.1"), Some("any"));
}

#[test]
fn an_id_outlives_no_socket() {
    let mut table = UdpTable::new(&mut Random::new(1));
    let first = table.open(UdpSocket::new(1000));
    table.close(first);
    let second = table.open(UdpSocket::new(1000));
    assert_eq!(first.index, second.index);
    assert!(table.socket(first).is_none() && table.socket_mut(first).is_none());
    table.bind(first, LocalAddr::AnyV4, PORT);
    assert_eq!(table.socket(second).unwrap().local(), None);
    assert_eq!(table.iter_mut().map(|(id, _)| id).collect::<Vec<_>>(), [second]);
}
