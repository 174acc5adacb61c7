//! A path that swallows what is too large without a word: by `tcp_mtu_probing` a connection gets through all the same.

mod common;

use core::time::Duration;

use common::Family;
use tapsock_sim::app::{Client, Plan, Server};
use tapsock_sim::{Delay, Host, Mtu, Simulation, chain};
use tapsock_stack::counters::Counter;
use tapsock_stack::time::Instant;

const BYTES: u64 = 500_000;

/// What has come over a path that takes packets of 1280 bytes, of an upload, and the counters of who sends.
fn upload(probing: &str, family: Family) -> (u64, [u64; 2]) {
    let host = |name: &str, address: &str| {
        Host::new(name).address(address).sysctl("net.ipv4.tcp_mtu_probing", probing)
    };
    let plan = Plan::upload(BYTES);
    let server = Server::new(family.service(), plan.mirrored());
    let mut network = Simulation::new(5).chain(chain![
        host("client", family.client()).app(Client::new(family.service(), plan)),
        Mtu::new(1280),
        Delay::ms(10),
        host("server", family.server()).app(server),
    ]);
    let end = Instant::ZERO + Duration::from_secs(60);
    network.run_until(|network| {
        network.node::<Host>(3).app_at::<Server>(0).finished_at().is_some() || network.now() >= end
    });
    let received = network.node::<Host>(3).app_at::<Server>(0).received().sum();
    let counters = network.node::<Host>(0).sockets().stack().counters();
    (received, [Counter::TcpExtTCPMTUPSuccess, Counter::TcpExtTCPMTUPFail].map(|counter| counters[counter]))
}

//= RFC 4821 §7.7, type=test
#[test]
fn a_connection_gets_through_a_black_hole() {
    for family in [Family::V4, Family::V6] {
        assert_eq!(upload("0", family).0, 0, "nothing helps where nothing is tried");
        for probing in ["1", "2"] {
            let (received, [found, lost]) = upload(probing, family);
            assert_eq!(received, BYTES, "tcp_mtu_probing={probing}");
            assert!(found > 0 && lost > 0, "it is searched how large a packet may be: {found}, {lost}");
        }
    }
}
