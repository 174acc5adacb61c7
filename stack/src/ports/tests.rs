use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What Linux 6.18 answers to a second `bind` of the same address and port. Rows: the options of the first socket;
/// columns: those of the second, in the order of [`OPTIONS`]. X is EADDRINUSE.
const FIRST_BOUND: [&str; 4] = ["XXXX", "X.X.", "XX..", "X..."];
/// The same where the first, of TCP, listens.
const FIRST_LISTENS: [&str; 4] = ["XXXX", "XXXX", "XX..", "XX.."];
/// The same where what remains of the first is an accepted connection, alive or in TIME-WAIT.
const CONNECTION_REMAINS: [&str; 4] = ["XXXX", "X.X.", "XX..", "X..."];
/// What it answers to the second `listen` of two that could both bind; X where one couldn't.
const BOTH_LISTEN: [&str; 4] = ["XXXX", "XXXX", "XX..", "XX.."];

const OPTIONS: [Reuse; 4] = [
    Reuse { address: false, port: false },
    Reuse { address: true, port: false },
    Reuse { address: false, port: true },
    Reuse { address: true, port: true },
];

const ANY: LocalAddr = LocalAddr::AnyV4;
const ONE: LocalAddr = LocalAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1));
const TWO: LocalAddr = LocalAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 2));

/// A table with the randomness and the settings that it is called with.
struct Host {
    ports: PortTable,
    config: Config,
    random: Random,
}

impl Host {
    fn new() -> Self {
        let mut random = Random::new(1);
        Host { ports: PortTable::new(&mut random), config: Config::default(), random }
    }

    /// A host that gives out one port only.
    fn with_one_port() -> Self {
        let mut host = Host::new();
        host.config.ip_local_port_range = PortRange::new(40_000, 40_000).unwrap();
        host
    }

    fn bind(
        &mut self,
        protocol: Transport,
        address: LocalAddr,
        port: u16,
        reuse: Reuse,
    ) -> Result<BindId, BindError> {
        let request = BindRequest {
            port,
            reuse_address: reuse.address,
            reuse_port: reuse.port,
            ..BindRequest::new(protocol, address)
        };
        self.ports.bind(&request, &self.config, &mut self.random)
    }

    fn connect_port(&mut self) -> Option<u16> {
        let (local, remote) = ("10.0.0.1".parse().unwrap(), "10.0.0.9:80".parse().unwrap());
        self.ports.choose_for_connect(local, remote, self.config.ip_local_port_range, |_| true)
    }
}

/// Runs `case` for each pair of options and compares with what Linux does.
fn compare(matrix: [&str; 4], mut case: impl FnMut(Reuse, Reuse) -> Result<(), BindError>) {
    for (first, row) in OPTIONS.into_iter().zip(matrix) {
        for (second, outcome) in OPTIONS.into_iter().zip(row.chars()) {
            let expected = if outcome == 'X' { Err(BindError::AddressInUse) } else { Ok(()) };
            assert_eq!(case(first, second), expected, "{first:?} {second:?}");
        }
    }
}

#[test]
fn options_let_sockets_share_as_linux_does() {
    for protocol in [Transport::Tcp, Transport::Udp] {
        compare(FIRST_BOUND, |first, second| {
            let mut host = Host::new();
            host.bind(protocol, ANY, 8080, first)?;
            host.bind(protocol, ONE, 8080, second).map(|_| ())
        });
    }
}

#[test]
fn a_listener_shares_by_reuseport_only() {
    compare(FIRST_LISTENS, |first, second| {
        let mut host = Host::new();
        let listener = host.bind(Transport::Tcp, ANY, 8080, first)?;
        host.ports.mark_listening(listener)?;
        host.bind(Transport::Tcp, ANY, 8080, second).map(|_| ())
    });
    compare(BOTH_LISTEN, |first, second| {
        let mut host = Host::new();
        let first = host.bind(Transport::Tcp, ONE, 8080, first)?;
        let second = host.bind(Transport::Tcp, ONE, 8080, second)?;
        host.ports.mark_listening(first)?;
        host.ports.mark_listening(second)
    });
}

#[test]
fn connections_keep_their_port_from_those_without_the_option() {
    compare(CONNECTION_REMAINS, |first, second| {
        let mut host = Host::new();
        let listener = host.bind(Transport::Tcp, ANY, 8080, first)?;
        host.ports.mark_listening(listener)?;
        for _ in 0..2 {
            host.ports.hold(Transport::Tcp, ONE, 8080, first);
        }
        host.ports.unbind(listener);
        host.ports.release(Transport::Tcp, ONE, 8080, first);
        host.bind(Transport::Tcp, TWO, 8080, Reuse::default()).expect("the connection has the other address");
        let again = host.bind(Transport::Tcp, ONE, 8080, second)?;
        host.ports.mark_listening(again)
    });
}

#[test]
fn the_last_release_frees_the_port() {
    let mut host = Host::new();
    for _ in 0..3 {
        host.ports.hold(Transport::Tcp, ONE, 8080, Reuse::default());
    }
    for _ in 0..3 {
        assert_eq!(host.bind(Transport::Tcp, ANY, 8080, Reuse::default()), Err(BindError::AddressInUse));
        host.ports.release(Transport::Tcp, ONE, 8080, Reuse::default());
    }
    let id = host.bind(Transport::Tcp, ANY, 8080, Reuse::default()).unwrap();
    host.ports.unbind(id);
    assert!(host.ports.users.is_empty() && host.ports.heads.is_empty());
}

#[test]
fn transports_and_apart_addresses_do_not_meet() {
    let mut host = Host::new();
    host.bind(Transport::Tcp, ONE, 8080, Reuse::default()).unwrap();
    host.bind(Transport::Tcp, TWO, 8080, Reuse::default()).unwrap();
    host.bind(Transport::Udp, ONE, 8080, Reuse::default()).unwrap();
    assert_eq!(host.bind(Transport::Tcp, ANY, 8080, Reuse::default()), Err(BindError::AddressInUse));
}

#[test]
fn changed_options_and_addresses_count() {
    let mut host = Host::new();
    let reuse = Reuse { address: true, port: false };
    let first = host.bind(Transport::Tcp, ANY, 8080, Reuse::default()).unwrap();
    assert_eq!(host.bind(Transport::Tcp, ANY, 8080, reuse), Err(BindError::AddressInUse));
    host.ports.set_reuse(first, reuse);
    host.bind(Transport::Tcp, ANY, 8080, reuse).unwrap();

    let narrowed = host.bind(Transport::Udp, ANY, 8080, Reuse::default()).unwrap();
    host.ports.set_address(narrowed, ONE);
    assert_eq!(host.ports.binding(narrowed), Some((ONE, 8080)));
    host.bind(Transport::Udp, TWO, 8080, Reuse::default()).unwrap();
    assert_eq!(host.bind(Transport::Udp, ONE, 8080, Reuse::default()), Err(BindError::AddressInUse));
}

#[test]
fn a_socket_that_stops_listening_shares_again() {
    let mut host = Host::new();
    let reuse = Reuse { address: true, port: false };
    let first = host.bind(Transport::Tcp, ANY, 8080, reuse).unwrap();
    host.ports.mark_listening(first).unwrap();
    assert_eq!(host.bind(Transport::Tcp, ANY, 8080, reuse), Err(BindError::AddressInUse));
    host.ports.mark_not_listening(first);
    assert!(host.bind(Transport::Tcp, ANY, 8080, reuse).is_ok());
    assert_eq!(host.ports.binding(first), Some((ANY, 8080)));
}

#[test]
fn an_id_that_was_given_back_is_nobodys() {
    let mut host = Host::new();
    let first = host.bind(Transport::Tcp, ANY, 8080, Reuse::default()).unwrap();
    host.ports.unbind(first);
    let second = host.bind(Transport::Tcp, ANY, 8081, Reuse::default()).unwrap();
    assert_eq!((first.index, host.ports.binding(first)), (second.index, None));
    host.ports.unbind(first);
    host.ports.set_address(first, ONE);
    assert_eq!(host.ports.binding(second), Some((ANY, 8081)));
}

#[test]
fn reserved_ports_need_permission() {
    let mut host = Host::new();
    let request =
        |port, privileged| BindRequest { port, privileged, ..BindRequest::new(Transport::Tcp, ANY) };
    for (port, privileged, outcome) in [
        (1, false, Err(BindError::Permission)),
        (1024, false, Err(BindError::Permission)),
        (1024, true, Ok(())),
        (1025, false, Ok(())),
    ] {
        let bound = host.ports.bind(&request(port, privileged), &host.config, &mut host.random);
        assert_eq!(bound.map(|_| ()), outcome, "{port}");
    }
    host.config.ip_unprivileged_port_start = 1024;
    assert!(host.bind(Transport::Udp, ANY, 1024, Reuse::default()).is_ok());
}

#[test]
fn port_0_gives_random_ports_until_all_are_taken() {
    let mut host = Host::new();
    host.config.ip_local_port_range = PortRange::new(40_000, 40_999).unwrap();
    let mut given = Vec::new();
    while let Ok(id) = host.bind(Transport::Tcp, ANY, 0, Reuse::default()) {
        given.push(host.ports.binding(id).unwrap().1);
    }
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 1000);
    assert!(given.iter().all(|port| (40_000..=40_999).contains(port)));
    let in_sequence = given.windows(2).take(500).filter(|pair| pair[0] + 1 == pair[1]).count();
    assert!(in_sequence < 20, "{in_sequence} of 500 follow each other");
    assert_eq!(host.bind(Transport::Tcp, ANY, 0, Reuse::default()), Err(BindError::AddressInUse));
}

#[test]
fn port_0_gives_no_shared_port() {
    for first in OPTIONS {
        for second in OPTIONS {
            let mut host = Host::with_one_port();
            host.bind(Transport::Tcp, ONE, 40_000, first).unwrap();
            assert_eq!(host.bind(Transport::Tcp, ONE, 0, second), Err(BindError::AddressInUse));
            // Where the addresses are apart nothing is shared.
            assert!(host.bind(Transport::Tcp, TWO, 0, second).is_ok());
        }
    }
}

#[test]
fn connections_do_not_use_ports_that_are_bound() {
    for address in [ANY, ONE, TWO, LocalAddr::AnyV6 { only_v6: true }] {
        for reuse in OPTIONS {
            let mut host = Host::with_one_port();
            let id = host.bind(Transport::Tcp, address, 40_000, reuse).unwrap();
            assert_eq!(host.connect_port(), None, "{address:?} {reuse:?}");
            host.ports.unbind(id);
            // But they share it among themselves: the remote addresses tell them apart.
            host.ports.hold(Transport::Tcp, ONE, 40_000, reuse);
            assert_eq!(host.connect_port(), Some(40_000));
        }
    }
}

#[test]
fn connections_to_one_peer_do_not_meet() {
    let mut host = Host::with_one_port();
    let (local, remote) = ("10.0.0.1".parse().unwrap(), "10.0.0.9:80".parse().unwrap());
    let range = host.config.ip_local_port_range;
    assert_eq!(host.ports.choose_for_connect(local, remote, range, |_| false), None);
}

#[derive(Clone, Debug)]
enum Op {
    Bind(Transport, LocalAddr, u16, Reuse),
    Unbind(usize),
    Listen(usize),
    Hold(LocalAddr, u16, Reuse),
    Release(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let protocol = prop::sample::select(vec![Transport::Tcp, Transport::Udp]);
    let address = prop::sample::select(vec![ANY, ONE, TWO, LocalAddr::AnyV6 { only_v6: false }]);
    let reuse = prop::sample::select(OPTIONS.to_vec());
    let port = 2000u16..2003;
    let pick = 0usize..100;
    prop_oneof![
        4 => (protocol, address.clone(), port.clone(), reuse.clone())
            .prop_map(|(protocol, address, port, reuse)| Op::Bind(protocol, address, port, reuse)),
        2 => pick.clone().prop_map(Op::Unbind),
        1 => pick.clone().prop_map(Op::Listen),
        2 => (address, port, reuse).prop_map(|(address, port, reuse)| Op::Hold(address, port, reuse)),
        2 => pick.prop_map(Op::Release),
    ]
}

/// One user of a port, kept in a plain list.
#[derive(Clone, Debug)]
struct Known {
    protocol: Transport,
    address: LocalAddr,
    port: u16,
    reuse: Reuse,
    listens: bool,
    id: Option<BindId>,
}

fn refused(known: &[Known], new: &Known) -> bool {
    known.iter().filter(|old| old.id.is_none() || old.id != new.id).any(|old| {
        let shared =
            old.reuse.port && new.reuse.port || old.reuse.address && new.reuse.address && !old.listens;
        (old.protocol, old.port) == (new.protocol, new.port) && old.address.overlaps(new.address) && !shared
    })
}

/// The place in the list of the `pick`th user that is, or is not, a binding.
fn pick(known: &[Known], pick: usize, binding: bool) -> Option<usize> {
    let places: Vec<usize> = (0..known.len()).filter(|place| known[*place].id.is_some() == binding).collect();
    (!places.is_empty()).then(|| places[pick % places.len()])
}

proptest! {
    #[test]
    fn refuses_what_a_plain_list_refuses(ops in prop::collection::vec(op(), 0..100)) {
        let mut host = Host::new();
        let mut known: Vec<Known> = Vec::new();
        for op in ops {
            match op {
                Op::Bind(protocol, address, port, reuse) => {
                    let mut new = Known { protocol, address, port, reuse, listens: false, id: None };
                    let expected = refused(&known, &new);
                    let outcome = host.bind(protocol, address, port, reuse);
                    prop_assert_eq!(outcome.is_err(), expected);
                    if let Ok(id) = outcome {
                        new.id = Some(id);
                        known.push(new);
                    }
                }
                Op::Unbind(number) => {
                    if let Some(place) = pick(&known, number, true) {
                        host.ports.unbind(known.remove(place).id.unwrap());
                    }
                }
                Op::Listen(number) => {
                    if let Some(place) = pick(&known, number, true) {
                        let expected = refused(&known, &known[place]);
                        let outcome = host.ports.mark_listening(known[place].id.unwrap());
                        prop_assert_eq!(outcome.is_err(), expected);
                        known[place].listens |= outcome.is_ok();
                    }
                }
                Op::Hold(address, port, reuse) => {
                    host.ports.hold(Transport::Tcp, address, port, reuse);
                    let protocol = Transport::Tcp;
                    known.push(Known { protocol, address, port, reuse, listens: false, id: None });
                }
                Op::Release(number) => {
                    if let Some(place) = pick(&known, number, false) {
                        let Known { protocol, address, port, reuse, .. } = known.remove(place);
                        host.ports.release(protocol, address, port, reuse);
                    }
                }
            }
            for user in &known {
                if let Some(id) = user.id {
                    prop_assert_eq!(host.ports.binding(id), Some((user.address, user.port)));
                }
            }
        }
        for user in known {
            match user.id {
                Some(id) => host.ports.unbind(id),
                None => host.ports.release(user.protocol, user.address, user.port, user.reuse),
            }
        }
        prop_assert!(host.ports.users.is_empty() && host.ports.heads.is_empty());
    }
}
