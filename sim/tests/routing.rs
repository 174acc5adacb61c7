//! A router of ours between hosts of ours, over two links.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use tapsock_sim::app::{Client, DatagramClient, DatagramEcho, Plan, Server};
use tapsock_sim::{Delay, Host, Loss, Network, Rate, Router, Segmenter, Simulation, chain, seeds};
use tapsock_stack::buf::Rope;
use tapsock_stack::counters::Counter;
use tapsock_stack::discovery::{Discovery, PathMtuDiscovery};
use tapsock_stack::error::SocketError;
use tapsock_stack::error_queue::{Cause, ErrorDeliveries, ErrorDelivery};
use tapsock_stack::stack::{Family, UdpSendOptions};

/// The server, in both families.
const SERVERS: [&str; 2] = ["10.0.1.2", "fd00:0:0:1::2"];

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn client() -> Host {
    let host = Host::new("client").address("10.0.0.2/24").address("fd00::2/64");
    host.gateway(ip("10.0.0.1")).gateway(ip("fd00::1"))
}

fn server() -> Host {
    let host = Host::new("server").address("10.0.1.2/24").address("fd00:0:0:1::2/64");
    host.gateway(ip("10.0.1.1")).gateway(ip("fd00:0:0:1::1"))
}

fn router() -> Router {
    Router::new("router").port(&["10.0.0.1/24", "fd00::1/64"])
}

fn right(router: Router) -> Router {
    router.port(&["10.0.1.1/24", "fd00:0:0:1::1/64"])
}

fn count(network: &Network, node: usize, counter: Counter) -> u64 {
    network.node::<Router>(node).stack().counters()[counter]
}

#[test]
fn streams_pass_a_router() {
    for seed in seeds(3) {
        for there in SERVERS.map(|there| at(there, 80)) {
            let plan = Plan::both(300_000, 500_000);
            let client = client().app(Client::new(there, plan.clone()).connections(3));
            let server = server().app(Server::new(there, plan.mirrored()).connections(3));
            let ways =
                chain![client, Delay::ms(3), Loss::percent(1.0), right(router()), Delay::ms(2), server];
            let network = Simulation::new(seed).run(ways);
            let passed = [Counter::IpForwDatagrams, Counter::Ip6OutForwDatagrams];
            let passed: u64 = passed.into_iter().map(|counter| count(&network, 3, counter)).sum();
            assert!(passed > 500, "{passed}");
            assert_eq!(count(&network, 3, Counter::IpInDelivers), 0);
        }
    }
}

/// Merged packets go through whole where both links take them; where one takes none the router cuts them, or gets them
/// in pieces.
#[test]
fn streams_pass_a_router_whatever_the_links_can() {
    for there in SERVERS.map(|there| at(there, 80)) {
        for (left, right_link) in [(true, true), (true, false), (false, true)] {
            let plan = Plan::both(2_000_000, 2_000_000);
            let mut client = client().app(Client::new(there, plan.clone()));
            let mut server = server().app(Server::new(there, plan.mirrored()));
            let mut middle = router();
            if left {
                (client, middle) = (client.offloading(), middle.offloading());
            }
            middle = right(middle);
            if right_link {
                (server, middle) = (server.offloading(), middle.offloading());
            }
            let network = Simulation::new(5).run(chain![client, Delay::ms(1), middle, Delay::ms(1), server]);
            assert_eq!(count(&network, 2, Counter::IpOutDiscards), 0, "{left} {right_link}");
        }
    }
}

//= RFC 1191 §4, type=test
//= RFC 8201 §4, type=test
#[test]
fn the_path_takes_less_than_the_link() {
    for there in SERVERS.map(|there| at(there, 80)) {
        for offloading in [false, true] {
            let plan = Plan::both(1_000_000, 10_000);
            let mut client = client().app(Client::new(there, plan.clone()));
            let mut middle = router();
            if offloading {
                (client, middle) = (client.offloading(), middle.offloading());
            }
            // The router behind the next has the narrow link: its server announces what fits there, but not the middle.
            let second = Router::new("narrow").port(&["10.0.2.2/24", "fd00:0:0:2::2/64"]).mtu(1300);
            let second = right(second);
            let middle = middle.port(&["10.0.2.1/24", "fd00:0:0:2::1/64"]).mtu(1300);
            let network =
                through_two(client, middle, second, server().app(Server::new(there, plan.mirrored())));
            let told = [Counter::IcmpOutDestUnreachs, Counter::Icmp6OutPktTooBigs];
            let told: u64 = told.into_iter().map(|counter| count(&network, 2, counter)).sum();
            assert!(told > 0, "{there} {offloading}");
            let known = network.node::<Host>(0).sockets().stack().counters();
            assert_eq!(known[Counter::TcpExtTCPTimeouts], 0, "{there}: nobody waited");
        }
    }
}

/// client – middle – second – server.
fn through_two(client: Host, middle: Router, second: Router, server: Host) -> Network {
    use tapsock_stack::iface::{InterfaceId, Route};
    let (left, right) = (InterfaceId(1), InterfaceId(2));
    let via = |destination: &str, gateway: &str, link| {
        Route::via(destination.parse().unwrap(), gateway.parse().unwrap(), link)
    };
    let middle = middle.route(via("10.0.1.0/24", "10.0.2.2", right)).route(via(
        "fd00:0:0:1::/64",
        "fd00:0:0:2::2",
        right,
    ));
    let second =
        second.route(via("10.0.0.0/24", "10.0.2.1", left)).route(via("fd00::/64", "fd00:0:0:2::1", left));
    Simulation::new(9).run(chain![client, Delay::ms(1), middle, Delay::ms(1), second, Delay::ms(1), server])
}

/// The path takes less than the sender's link: the first datagram that is too large is lost, and those after it are cut
/// where they start. What leaves in fragments of IPv4 already may be cut again on the way, as Linux's may.
#[test]
fn datagrams_pass_a_router() {
    for (there, size, lost) in [
        (SERVERS[0], 100, 0),
        (SERVERS[0], 1400, 1),
        (SERVERS[0], 8000, 0),
        (SERVERS[1], 100, 0),
        (SERVERS[1], 1400, 1),
        (SERVERS[1], 8000, 1),
    ] {
        let service = at(there, 7);
        let asking = DatagramClient::new(service, 20, size, Duration::from_millis(50));
        let server = server().mtu(1300).app(DatagramEcho::new(service));
        let middle = right(router()).mtu(1300);
        let ways = chain![client().app(asking), Delay::ms(1), middle, Delay::ms(1), server];
        let network = Simulation::new(2).run(ways);
        let answered = network.node::<Host>(0).app_at::<DatagramClient>(0).answered();
        assert_eq!(answered, 20 - lost, "{there} {size}");
        let cut = count(&network, 2, Counter::IpFragOKs) > 0;
        assert_eq!(cut, there == SERVERS[0] && size == 8000, "{there} {size}");
    }
}

//= RFC 791 §3.2, type=test
#[test]
fn datagrams_are_cut_on_the_way() {
    let middle = right(router()).mtu(1300);
    let here = at(SERVERS[0], 7);
    let server = server().mtu(1300).app(DatagramEcho::new(here));
    let mut network = Simulation::new(2).chain(chain![client(), Delay::ms(1), middle, Delay::ms(1), server]);
    network.run_for(Duration::from_millis(10));
    let now = network.now();
    let stack = network.node_mut::<Host>(0).sockets_mut().stack_mut();
    let id = stack.udp_open(Family::V4);
    let whole = PathMtuDiscovery::Dont;
    stack.udp_mut(id).unwrap().discovery = Discovery { v4: whole, v6: whole };
    let data: Vec<u8> = (0..1400u32).map(|at| at as u8).collect();
    stack.udp_send(now, id, Rope::from(data.clone()), Some(here), UdpSendOptions::default()).unwrap();
    network.run_for(Duration::from_secs(1));
    assert_eq!(count(&network, 2, Counter::IpFragOKs), 1);
    assert_eq!(count(&network, 2, Counter::IpFragCreates), 2);
    let stack = network.node_mut::<Host>(0).sockets_mut().stack_mut();
    assert_eq!(stack.udp_recv(id).unwrap().payload.to_vec(), data);
}

/// What traceroute does: each router on the way says that it is one.
//= RFC 1812 §5.2.7.3, type=test
#[test]
fn each_router_on_the_way_is_found() {
    for there in SERVERS {
        let middle = router().port(&["10.0.2.1/24", "fd00:0:0:2::1/64"]);
        let second = right(Router::new("second").port(&["10.0.2.2/24", "fd00:0:0:2::2/64"]));
        let mut network = through_two(client(), middle, second, server());
        let (routers, port) = match there.contains(':') {
            true => (["fd00::1", "fd00:0:0:2::2", there], 33_434),
            false => (["10.0.0.1", "10.0.2.2", there], 33_434),
        };
        for (hops, expected) in (1..).zip(routers) {
            let now = network.now();
            let stack = network.node_mut::<Host>(0).sockets_mut().stack_mut();
            let id = stack.udp_open(if there.contains(':') { Family::V6 } else { Family::V4 });
            let socket = stack.udp_mut(id).unwrap();
            socket.error_delivery = ErrorDeliveries { v4: ErrorDelivery::All, v6: ErrorDelivery::All };
            let options = UdpSendOptions { hop_limit: Some(hops), ..UdpSendOptions::default() };
            stack.udp_send(now, id, Rope::from(vec![0; 32]), Some(at(there, port)), options).unwrap();
            network.run_for(Duration::from_secs(1));
            let stack = network.node_mut::<Host>(0).sockets_mut().stack_mut();
            let report = stack.udp_take_report(id).expect("somebody answers");
            let Cause::Icmp(cause) = report.cause else { panic!("{report:?}") };
            assert_eq!(cause.offender, ip(expected), "{there} {hops}");
            let error = if hops < 3 { SocketError::HostUnreachable } else { SocketError::ConnectionRefused };
            assert_eq!(cause.error, error);
            stack.udp_close(id);
        }
    }
}

/// A router with a narrow way out drops what it has no room for, and streams go on.
#[test]
fn a_narrow_link_behind_a_router() {
    let there = at(SERVERS[0], 80);
    let plan = Plan::both(3_000_000, 1000);
    let client = client().offloading().app(Client::new(there, plan.clone()));
    let server = server().app(Server::new(there, plan.mirrored()));
    let middle = right(router().offloading());
    let network = Simulation::new(4).run(chain![
        client,
        Delay::ms(1),
        middle,
        Segmenter::new(),
        Rate::mbit(20),
        Delay::ms(1),
        server
    ]);
    assert!(count(&network, 2, Counter::IpForwDatagrams) > 100);
}
