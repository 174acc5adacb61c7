//! Whole hosts: what is not the business of one connection.

mod common;

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use common::chatter::Chatter;
use common::ping::Ping;
use common::{FAMILIES, Family, MIB};
use tapsock_sim::app::{
    Attempt, Client, DatagramClient, DatagramEcho, EchoClient, EchoServer, Fault, Plan, Server, Turn,
};
use tapsock_sim::impair::Direction;
use tapsock_sim::node::Port;
use tapsock_sim::packet::Packet;
use tapsock_sim::{
    Corrupt, Delay, Duplicate, Host, Loss, Mtu, Network, Rate, Segmenter, Simulation, SmoltcpHost, Switch,
    chain, seeds,
};
use tapsock_stack::counters::Counter;
use tapsock_stack::stack::Unfinished;
use tapsock_stack::time::Instant;

fn client(family: Family) -> Host {
    Host::new("client").address(family.client())
}

fn server(family: Family) -> Host {
    Host::new("server").address(family.server())
}

fn counter(network: &Network, node: usize, counter: Counter) -> u64 {
    network.node::<Host>(node).sockets().stack().counters()[counter]
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let plan = Plan::both(MIB / 2, MIB / 2);
        let client = client(Family::V4).app(Client::new(Family::V4.service(), plan.clone()).connections(3));
        let server =
            server(Family::V4).app(Server::new(Family::V4.service(), plan.mirrored()).connections(3));
        let network = Simulation::new(seed).run(chain![client, Delay::ms(3), Loss::percent(2.0), server]);
        (network.trace().hash(), network.trace().frames(), network.now())
    };
    assert_eq!(run(11), run(11));
    assert_ne!(run(11).0, run(12).0);
}

#[test]
fn echo_takes_one_round_trip_each() {
    for family in FAMILIES {
        let client = client(family).app(EchoClient::new(family.service(), 50, 64));
        let network = Simulation::new(1).run(chain![
            client,
            Delay::ms(7),
            server(family).app(EchoServer::new(family.service()))
        ]);
        let trips = network.node::<Host>(0).app_at::<EchoClient>(0).round_trips();
        assert_eq!(trips, [Duration::from_millis(14); 50]);
    }
}

#[test]
fn many_connections_at_once() {
    let plan = Plan::both(3_000, 20_000);
    for seed in seeds(2) {
        let service = Family::V4.service();
        let client = client(Family::V4).app(Client::new(service, plan.clone()).connections(200));
        let server = server(Family::V4).app(Server::new(service, plan.mirrored()).connections(200));
        Simulation::new(seed).run(chain![client, Delay::ms(5), Loss::percent(1.0), server]);
    }
}

#[test]
fn half_close_is_heard() {
    for family in FAMILIES {
        let plan = Plan::both(200_000, 300_000);
        let answer = plan.mirrored().turn(Turn::AfterEnd);
        let client = client(family).app(Client::new(family.service(), plan));
        let server = server(family).app(Server::new(family.service(), answer));
        Simulation::new(1).run(chain![client, Delay::ms(5), Loss::percent(2.0), server]);
    }
}

#[test]
fn both_may_call_at_once() {
    for seed in seeds(10) {
        let family = Family::of(seed);
        let (one, other) = (family.client_end(), family.service());
        let plan = Plan::both(100_000, 50_000);
        let call = |from, to, plan| Client::new(to, plan).from(from).begins_at(Instant::from_millis(100));
        // Neighbours know each other by then, so that both SYNs are under way at the same time.
        let greeting = || DatagramClient::new(other, 1, 100, Duration::ZERO);
        let client = client(family).app(call(one, other, plan.clone())).app(greeting());
        let echo = DatagramEcho::new(other);
        let lossy = Loss::percent(if seed < 4 { 0.0 } else { 10.0 }).only(Packet::is_tcp);
        let mut nodes = chain![client, Delay::ms(5), lossy];
        nodes.extend(match seed % 4 {
            0 | 1 => chain![server(family).app(call(other, one, plan.mirrored())).app(echo)],
            _ => {
                let host = SmoltcpHost::new("server").address(family.server());
                chain![host.app(call(other, one, plan.mirrored())).app(echo)]
            }
        });
        Simulation::new(seed).run(nodes);
    }
}

#[test]
fn nothing_is_left_after_time_wait() {
    let plan = Plan::both(1_000, 1_000);
    let client = client(Family::V4).app(Client::new(Family::V4.service(), plan.clone()).connections(10));
    let server = server(Family::V4).app(Server::new(Family::V4.service(), plan.mirrored()).connections(10));
    let mut network = Simulation::new(1).run(chain![client, Delay::ms(5), server]);
    let frames = network.trace().frames();
    network.run_for(Duration::from_secs(200));
    assert!(network.trace().frames() - frames < 60, "little is said after all is done");
    for host in [0, 2] {
        assert_eq!(network.node::<Host>(host).sockets().stack().unfinished(), Unfinished::default());
    }
}

#[test]
fn a_closed_port_refuses_at_once() {
    for family in FAMILIES {
        let client = client(family).app(Attempt::new(family.service()));
        let network = Simulation::new(1).run(chain![client, Delay::ms(5), server(family)]);
        let outcome = network.node::<Host>(0).app_at::<Attempt>(0).outcome();
        // A round trip for the neighbour, and one for SYN and RST.
        assert_eq!(outcome, Some((Instant::from_millis(20), Err(Fault::Refused))));
    }
}

#[test]
fn nobody_there_is_unreachable() {
    for family in FAMILIES {
        let network =
            Simulation::new(1).run(chain![client(family).app(Attempt::new(family.service())), Delay::ms(5)]);
        let (at, outcome) = network.node::<Host>(0).app_at::<Attempt>(0).outcome().unwrap();
        assert_eq!(outcome, Err(Fault::Unreachable));
        assert!(
            (2..=4).contains(&(at.as_millis() / 1_000)),
            "three solicitations take three seconds, not {at:?}"
        );
    }
}

#[test]
fn a_smaller_path_is_learnt_from_the_router() {
    for (family, mtu) in [(Family::V4, 1_000), (Family::V6, 1_300)] {
        for offload in [false, true] {
            let mut client = client(family).app(Client::new(family.service(), Plan::upload(MIB)));
            if offload {
                client = client.offloading();
            }
            let server = server(family).app(Server::new(family.service(), Plan::upload(MIB).mirrored()));
            let router = Mtu::new(mtu).answering(Ipv4Addr::new(10, 0, 0, 254), "fd00::fe".parse().unwrap());
            let network = Simulation::new(1).run(chain![client, Delay::ms(5), router, server]);
            assert!(network.now().as_millis() < 2_000, "{:?} for 1 MiB", network.now());
        }
    }
}

#[test]
fn small_and_large_links() {
    for (mtu, families) in [(576, &FAMILIES[..1]), (1280, &FAMILIES), (9000, &FAMILIES), (65_521, &FAMILIES)]
    {
        for &family in families {
            let plan = Plan::both(MIB, MIB);
            let client = client(family).mtu(mtu).app(Client::new(family.service(), plan.clone()));
            let server = server(family).mtu(mtu).app(Server::new(family.service(), plan.mirrored()));
            Simulation::new(1).run(chain![client, Delay::ms(1), Loss::percent(0.5), server]);
        }
    }
}

#[test]
fn a_segmenter_makes_offloads_invisible() {
    let plan = Plan::both(2 * MIB, 2 * MIB);
    let client = client(Family::V4).offloading().app(Client::new(Family::V4.service(), plan.clone()));
    let server = server(Family::V4).offloading().app(Server::new(Family::V4.service(), plan.mirrored()));
    let network =
        Simulation::new(1).run(chain![client, Segmenter::new(), Mtu::new(1500), Delay::ms(1), server]);
    assert!(network.node::<Segmenter>(1).cut() > 50);
}

#[test]
fn loss_is_counted_as_linux_counts_it() {
    let plan = Plan::upload(MIB);
    let client = client(Family::V4).app(Client::new(Family::V4.service(), plan.clone()));
    let server = server(Family::V4).app(Server::new(Family::V4.service(), plan.mirrored()));
    let lossy = Loss::these([100, 300, 500]).only(Packet::carries_data);
    let network = Simulation::new(1).run(chain![client, lossy, Rate::mbit(1_000), Delay::ms(5), server]);
    assert_eq!(counter(&network, 0, Counter::TcpRetransSegs), 3);
    assert_eq!(counter(&network, 0, Counter::TcpExtTCPTimeouts), 0);
    assert_eq!(counter(&network, 0, Counter::TcpActiveOpens), 1);
    assert_eq!(counter(&network, 4, Counter::TcpPassiveOpens), 1);
    assert_eq!(counter(&network, 4, Counter::TcpInErrs), 0);
}

#[test]
fn corruption_is_counted() {
    let plan = Plan::upload(MIB);
    let client = client(Family::V4).app(Client::new(Family::V4.service(), plan.clone()));
    let server = server(Family::V4).app(Server::new(Family::V4.service(), plan.mirrored()));
    let noisy = Corrupt::every(50).only(Packet::carries_data).toward(Direction::Right);
    let network = Simulation::new(1).run(chain![client, Delay::ms(5), noisy, server]);
    let (tcp, ip) =
        (counter(&network, 3, Counter::TcpInCsumErrors), counter(&network, 3, Counter::IpInHdrErrors));
    assert!(tcp > 5 && tcp + ip >= 14, "{tcp} and {ip}");
}

#[test]
fn datagrams_are_lost_as_they_should() {
    for family in FAMILIES {
        let client =
            client(family).app(DatagramClient::new(family.service(), 1_000, 500, Duration::from_millis(1)));
        let server = server(family).app(DatagramEcho::new(family.service()));
        let lossy = Loss::percent(10.0).only(Packet::is_udp);
        let network = Simulation::new(3).run(chain![client, lossy, Duplicate::percent(5.0), server]);
        let client = network.node::<Host>(0).app_at::<DatagramClient>(0);
        assert!((750..870).contains(&client.answered()), "{} of 1000 at 0.9 × 0.9", client.answered());
        assert!(client.duplicates() > 20);
    }
}

#[test]
fn datagrams_with_smoltcp() {
    for family in FAMILIES {
        let datagrams = || DatagramClient::new(family.service(), 200, 1_000, Duration::from_millis(1));
        let there =
            SmoltcpHost::new("server").address(family.server()).app(DatagramEcho::new(family.service()));
        let network = Simulation::new(1).run(chain![client(family).app(datagrams()), Delay::ms(1), there]);
        assert_eq!(network.node::<Host>(0).app_at::<DatagramClient>(0).answered(), 200);
        let here = SmoltcpHost::new("client").address(family.client()).app(datagrams());
        let network = Simulation::new(1).run(chain![
            here,
            Delay::ms(1),
            server(family).app(DatagramEcho::new(family.service()))
        ]);
        assert_eq!(network.node::<SmoltcpHost>(0).app_at::<DatagramClient>(0).answered(), 200);
    }
}

#[test]
fn pings_are_answered() {
    for family in FAMILIES {
        let target = family.service().ip();
        let network = Simulation::new(1).run(chain![
            client(family).app(Ping::new(target, 5)),
            Delay::ms(5),
            server(family)
        ]);
        assert_eq!(network.node::<Host>(0).app_at::<Ping>(0).answered(), 5);
        let smoltcp = SmoltcpHost::new("server").address(family.server());
        let network =
            Simulation::new(1).run(chain![client(family).app(Ping::new(target, 5)), Delay::ms(5), smoltcp]);
        assert_eq!(network.node::<Host>(0).app_at::<Ping>(0).answered(), 5);
    }
}

#[test]
fn a_switch_joins_several() {
    for seed in seeds(3) {
        for family in FAMILIES {
            let mut network = Simulation::new(seed).network();
            let switch = network.add(Switch::new(5));
            let plan = Plan::both(100_000, 200_000);
            let server = server(family).app(Server::new(family.service(), plan.mirrored()).connections(4));
            let server = network.add(server);
            network.connect((server, Port(0)), (switch, Port(0)));
            for port in 1..5 {
                let address = match family {
                    Family::V4 => format!("10.0.0.1{port}/24"),
                    Family::V6 => format!("fd00::1{port}/64"),
                };
                let host = Host::new(&format!("client {port}")).address(&address);
                let host = network.add(host.app(Client::new(family.service(), plan.clone())));
                let elements = chain![Delay::ms(port as u64), Loss::percent(1.0)];
                network.link((host, Port(0)), elements, (switch, Port(port)));
            }
            network.run();
        }
    }
}

#[test]
fn a_host_talks_to_itself() {
    let plan = Plan::both(MIB, MIB);
    for service in ["127.0.0.1:80", "[::1]:80", "10.0.0.1:80"] {
        let service: SocketAddr = service.parse().unwrap();
        let host = client(Family::V4)
            .app(Server::new(service, plan.mirrored()))
            .app(Client::new(service, plan.clone()));
        let network = Simulation::new(1).run(chain![host]);
        assert_eq!(network.trace().frames(), 0, "nothing of it is on the wire");
    }
}

#[test]
fn forgeries_break_nothing() {
    for seed in seeds(16) {
        let family = Family::of(seed);
        let forger = Corrupt::percent(10.0).bits(4).mended();
        let other = match seed % 4 {
            0 | 1 => chain![server(family).app(Chatter::server(family.service()))],
            _ => chain![
                SmoltcpHost::new("server").address(family.server()).app(Chatter::server(family.service()))
            ],
        };
        let mut nodes = chain![
            client(family).app(Chatter::client(family.service())),
            Delay::ms(2),
            forger,
            Rate::mbit(5)
        ];
        nodes.extend(other);
        let mut network = Simulation::new(seed).chain(nodes);
        network.run_for(Duration::from_secs(5));
        assert!(network.trace().frames() > 100);
    }
}

#[test]
fn an_outage_is_survived() {
    let plan = Plan::upload(4 * MIB);
    let client = client(Family::V4).app(Client::new(Family::V4.service(), plan.clone()));
    let server = server(Family::V4).app(Server::new(Family::V4.service(), plan.mirrored()));
    let outage = Loss::during(Instant::from_millis(50)..Instant::from_millis(8_000));
    let network = Simulation::new(1).run(chain![client, Delay::ms(5), outage, server]);
    assert!(network.now().as_millis() < 20_000, "{:?}", network.now());
}
