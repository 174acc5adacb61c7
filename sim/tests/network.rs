//! The simulator itself, end to end, with smoltcp's stack at both ends.

mod common;

use core::time::Duration;

use common::{FAMILIES, Family, MIB};
use tapsock_sim::app::{Client, DatagramClient, DatagramEcho, EchoClient, EchoServer, Plan, Server, Turn};
use tapsock_sim::node::{Node, Port};
use tapsock_sim::{
    Corrupt, Delay, Duplicate, Jitter, Loss, Network, Rate, Reorder, Segmenter, Simulation, SmoltcpHost,
    Switch, chain, seeds,
};
use tapsock_stack::wire::offload::Medium;

fn pair(family: Family, plan: &Plan) -> (SmoltcpHost, SmoltcpHost) {
    let client = Client::new(family.service(), plan.clone());
    let server = Server::new(family.service(), plan.mirrored());
    (
        SmoltcpHost::new("client").address(family.client()).app(client),
        SmoltcpHost::new("server").address(family.server()).app(server),
    )
}

fn transfer(seed: u64, family: Family, plan: &Plan, elements: Vec<Box<dyn Node>>) -> Network {
    let (client, server) = pair(family, plan);
    let mut nodes = chain![client];
    nodes.extend(elements);
    nodes.extend(chain![server]);
    Simulation::new(seed).run(nodes)
}

#[test]
fn a_clear_wire_carries_both_ways() {
    for family in FAMILIES {
        transfer(1, family, &Plan::both(MIB, MIB), chain![Delay::ms(1)]);
    }
}

#[test]
fn a_bad_wire_carries_all_the_same() {
    for seed in seeds(4) {
        for family in FAMILIES {
            let elements = chain![
                Delay::ms(2),
                Jitter::ms(1),
                Loss::percent(2.0),
                Reorder::percent(2.0, Duration::from_millis(3)),
                Duplicate::percent(2.0),
                Corrupt::percent(1.0),
                Rate::mbit(100).queue_frames(40),
            ];
            transfer(seed, family, &Plan::both(100_000, 200_000), elements);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let elements = chain![Delay::ms(2), Loss::percent(5.0), Jitter::ms(3).reordering()];
        let network = transfer(seed, Family::V4, &Plan::upload(200_000), elements);
        (network.trace().hash(), network.trace().frames(), network.now())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

#[test]
fn rate_bounds_throughput() {
    let network = transfer(1, Family::V4, &Plan::upload(MIB), chain![Delay::ms(1), Rate::mbit(10)]);
    // 1 MiB at 10 Mbit/s takes 839 ms, and some for headers.
    let millis = network.now().as_millis();
    assert!((860..1000).contains(&millis), "{millis} ms");
}

#[test]
fn half_close_is_heard() {
    let plan = Plan::both(50_000, 70_000);
    let (client, _) = pair(Family::V4, &plan);
    let server = Server::new(Family::V4.service(), plan.mirrored().turn(Turn::AfterEnd));
    let server = SmoltcpHost::new("server").address("10.0.0.2/24").app(server);
    Simulation::new(1).run(chain![client, Delay::ms(5), server]);
}

#[test]
fn a_slow_reader_closes_its_window() {
    let plan = Plan::upload(300_000);
    let server = plan.mirrored().reads_slowly(5_000, Duration::from_millis(20));
    let (client, _) = pair(Family::V4, &plan);
    let server =
        SmoltcpHost::new("server").address("10.0.0.2/24").app(Server::new(Family::V4.service(), server));
    let network = Simulation::new(1).run(chain![client, Delay::ms(5), server]);
    assert!(network.now().as_millis() >= 1_180);
}

#[test]
fn echo_round_trips_take_the_delay() {
    let client =
        SmoltcpHost::new("client").address("10.0.0.1/24").app(EchoClient::new(Family::V4.service(), 20, 64));
    let server = SmoltcpHost::new("server").address("10.0.0.2/24").app(EchoServer::new(Family::V4.service()));
    let network = Simulation::new(1).run(chain![client, Delay::ms(7), server]);
    let trips = network.node::<SmoltcpHost>(0).app_at::<EchoClient>(0).round_trips();
    assert_eq!(trips, [Duration::from_millis(14); 20]);
}

#[test]
fn many_connections_at_once() {
    let plan = Plan::both(2_000, 3_000);
    let service = Family::V4.service();
    let client = SmoltcpHost::new("client").address("10.0.0.1/24").buffer(8192);
    let server = SmoltcpHost::new("server").address("10.0.0.2/24").buffer(8192);
    let client = client.app(Client::new(service, plan.clone()).connections(50));
    let server = server.app(Server::new(service, plan.mirrored()).connections(50));
    Simulation::new(1).run(chain![client, Delay::ms(5), Loss::percent(1.0), server]);
}

#[test]
fn datagrams_are_lost_as_they_should() {
    for family in FAMILIES {
        let client = DatagramClient::new(family.service(), 1_000, 500, Duration::from_millis(1));
        let client = SmoltcpHost::new("client").address(family.client()).app(client);
        let server = SmoltcpHost::new("server").address(family.server());
        let server = server.app(DatagramEcho::new(family.service()));
        let lossy = Loss::percent(10.0).only(|packet| packet.is_udp());
        let network = Simulation::new(3).run(chain![client, lossy, Duplicate::percent(5.0), server]);
        let client = network.node::<SmoltcpHost>(0).app_at::<DatagramClient>(0);
        assert!((750..870).contains(&client.answered()), "{} of 1000 at 0.9 × 0.9", client.answered());
        assert!(client.duplicates() > 20);
    }
}

#[test]
fn a_switch_joins_several() {
    let mut network = Simulation::new(1).network();
    let switch = network.add(Switch::new(4));
    let plan = Plan::both(20_000, 20_000);
    let service = Family::V4.service();
    let server = Server::new(service, plan.mirrored()).connections(3);
    let server = network.add(SmoltcpHost::new("server").address("10.0.0.2/24").app(server));
    network.connect((server, Port(0)), (switch, Port(0)));
    for port in 1..4 {
        let host = SmoltcpHost::new(&format!("client {port}")).address(&format!("10.0.0.1{port}/24"));
        let host = network.add(host.app(Client::new(service, plan.clone())));
        let elements = chain![Delay::ms(port as u64), Loss::percent(1.0)];
        network.link((host, Port(0)), elements, (switch, Port(port)));
    }
    network.run();
}

#[test]
fn a_bare_ip_medium_has_no_neighbours() {
    let (client, server) = pair(Family::V6, &Plan::upload(50_000));
    Simulation::new(1).medium(Medium::Ip).run(chain![client, Delay::ms(1), Segmenter::new(), server]);
}

#[test]
#[should_panic(expected = "seed 5")]
fn a_dead_wire_names_its_seed() {
    let (client, server) = pair(Family::V4, &Plan::upload(1_000));
    let simulation = Simulation::new(5).limit(Duration::from_secs(30));
    simulation.run(chain![client, Loss::percent(100.0), server]);
}

#[test]
#[should_panic(expected = "byte ")]
fn a_forged_byte_is_found() {
    let forger = Corrupt::every(10).only(|packet| packet.carries_data()).mended();
    transfer(1, Family::V4, &Plan::upload(500_000), chain![forger]);
}
