//! Three hosts on a switch, over lines that lose packets, in virtual time: seconds of network in milliseconds of yours,
//! and the same run for the same seed.
//!
//! ```sh
//! cargo run --example three_hosts_with_loss
//! ```

use std::time::{Duration, Instant};

use tapsock::Counter;
use tapsock_sim::app::{Client, Plan, Server};
use tapsock_sim::node::Port;
use tapsock_sim::{Delay, Host, Loss, Network, Rate, Simulation, Switch, chain};

const BYTES: u64 = 2 << 20;
/// Frames that wait at the end of a line: enough that none is lost there.
const QUEUE: usize = 4000;

fn main() {
    for percent in [0.0, 1.0, 5.0] {
        let begin = Instant::now();
        let (virtual_time, retransmitted, hash) = run(42, percent);
        println!(
            "{percent} % loss: two downloads of 2 MiB took {virtual_time:.2?} (computed in {:.0?}), {retransmitted} \
             segments were sent again",
            begin.elapsed()
        );
        assert_eq!(retransmitted > 0, percent > 0.0);
        assert_eq!(run(42, percent).2, hash, "the same seed gives the same frames");
    }
}

/// A server and two clients that download from it at the same time. Every byte is checked, and so is every frame.
fn run(seed: u64, percent: f64) -> (Duration, u64, u64) {
    let there = "10.0.0.1:80".parse().expect("an address");
    let download = Plan::download(BYTES);
    let server = Host::new("server")
        .address("10.0.0.1/24")
        .app(Server::new(there, download.mirrored()).connections(2));
    let client = |name, address| Host::new(name).address(address).app(Client::new(there, download.clone()));

    let mut network: Network = Simulation::new(seed).network();
    let switch = network.add(Switch::new(3));
    let server = network.add(server);
    let hosts =
        [server, network.add(client("left", "10.0.0.2/24")), network.add(client("right", "10.0.0.3/24"))];
    for (port, host) in hosts.into_iter().enumerate() {
        let line = chain![Rate::mbit(100).queue_frames(QUEUE), Delay::ms(5), Loss::percent(percent)];
        network.link((host, Port(0)), line, (switch, Port(port)));
    }
    let took = network.run();
    let counters = network.node::<Host>(server).sockets().stack().counters();
    (took, counters[Counter::TcpRetransSegs], network.trace().hash())
}
