//! Kinds of hosts at the two ends of a chain, in all pairs that make sense.

use tapsock_sim::app::{Client, Plan, Server};
use tapsock_sim::node::Node;
use tapsock_sim::{Host, Network, Simulation, SmoltcpHost};
use tapsock_stack::tcp::{CongestionKind, Options};
use tapsock_stack::wire::offload::Medium;

use super::Family;
use super::bare::Bare;

/// What stands at an end.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum End {
    /// Our whole stack, on a plain link.
    Host,
    /// Our whole stack, on a link that cuts 64 KiB frames.
    Offloading,
    /// Our `Connection` and nothing else.
    Bare,
    /// The same, on a link that cuts 64 KiB frames.
    BareOffloading,
    /// smoltcp's whole stack.
    Smoltcp,
}

/// Client and server.
pub type Pair = (End, End);

pub const HOSTS: [Pair; 5] = [
    (End::Host, End::Host),
    (End::Offloading, End::Offloading),
    (End::Host, End::Smoltcp),
    (End::Smoltcp, End::Host),
    (End::Offloading, End::Smoltcp),
];

pub const CONNECTIONS: [Pair; 5] = [
    (End::Bare, End::Bare),
    (End::BareOffloading, End::BareOffloading),
    (End::Bare, End::Smoltcp),
    (End::Smoltcp, End::Bare),
    (End::BareOffloading, End::Smoltcp),
];

/// What an end of ours does without.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Tuning {
    Default,
    NoSack,
    NoTimestamps,
    NoScaling,
    Nothing,
    Reno,
    SmallBuffers,
}

pub const TUNINGS: [Tuning; 6] = [
    Tuning::NoSack,
    Tuning::NoTimestamps,
    Tuning::NoScaling,
    Tuning::Nothing,
    Tuning::Reno,
    Tuning::SmallBuffers,
];

impl Tuning {
    fn host(self, host: Host) -> Host {
        let settings: &[(&str, &str)] = match self {
            Tuning::Default => &[],
            Tuning::NoSack => &[("net.ipv4.tcp_sack", "0")],
            Tuning::NoTimestamps => &[("net.ipv4.tcp_timestamps", "0")],
            Tuning::NoScaling => &[("net.ipv4.tcp_window_scaling", "0")],
            Tuning::Nothing => &[
                ("net.ipv4.tcp_sack", "0"),
                ("net.ipv4.tcp_timestamps", "0"),
                ("net.ipv4.tcp_window_scaling", "0"),
            ],
            Tuning::Reno => &[("net.ipv4.tcp_congestion_control", "reno")],
            Tuning::SmallBuffers => {
                &[("net.ipv4.tcp_rmem", "4096 8192 8192"), ("net.ipv4.tcp_wmem", "4096 8192 8192")]
            }
        };
        settings.iter().fold(host, |host, (name, value)| host.sysctl(name, value))
    }

    fn options(self, options: &mut Options) {
        match self {
            Tuning::Default => {}
            Tuning::NoSack => options.sack = false,
            Tuning::NoTimestamps => options.timestamps = false,
            Tuning::NoScaling => options.window_scaling = false,
            Tuning::Nothing => {
                (options.sack, options.timestamps, options.window_scaling) = (false, false, false);
            }
            Tuning::Reno => options.congestion = CongestionKind::Reno,
            Tuning::SmallBuffers => {
                (options.receive_buffer, options.receive_buffer_max) = (8192, None);
                (options.send_buffer, options.send_buffer_max) = (8192, None);
            }
        }
    }
}

impl End {
    fn client(self, family: Family, tuning: Tuning, app: Client) -> Box<dyn Node> {
        let (own, peer) = (family.client_end(), family.service());
        let host = || tuning.host(Host::new("client").address(family.client()));
        let bare = |app| Bare::new("client", own, peer, app).options(|options| tuning.options(options));
        match self {
            End::Host => Box::new(host().app(app)),
            End::Offloading => Box::new(host().offloading().app(app)),
            End::Bare => Box::new(bare(app)),
            End::BareOffloading => Box::new(bare(app).offloading()),
            End::Smoltcp => {
                let host = SmoltcpHost::new("client").address(family.client());
                Box::new(host.first_port(own.port()).app(app))
            }
        }
    }

    fn server(self, family: Family, tuning: Tuning, app: Server) -> Box<dyn Node> {
        let (own, peer) = (family.service(), family.client_end());
        let host = || tuning.host(Host::new("server").address(family.server()));
        let bare = |app| Bare::new("server", own, peer, app).options(|options| tuning.options(options));
        match self {
            End::Host => Box::new(host().app(app)),
            End::Offloading => Box::new(host().offloading().app(app)),
            End::Bare => Box::new(bare(app)),
            End::BareOffloading => Box::new(bare(app).offloading()),
            End::Smoltcp => Box::new(SmoltcpHost::new("server").address(family.server()).app(app)),
        }
    }

    fn medium(self) -> Medium {
        match self {
            End::Bare | End::BareOffloading => Medium::Ip,
            End::Host | End::Offloading | End::Smoltcp => Medium::Ethernet,
        }
    }
}

/// One connection that follows `plan`, through `elements`.
pub fn transfer(seed: u64, pair: Pair, family: Family, plan: &Plan, elements: Vec<Box<dyn Node>>) -> Network {
    tuned_transfer(seed, pair, (Tuning::Default, Tuning::Default), family, plan, elements)
}

/// The same, with tuned ends.
pub fn tuned_transfer(
    seed: u64,
    pair: Pair,
    tunings: (Tuning, Tuning),
    family: Family,
    plan: &Plan,
    elements: Vec<Box<dyn Node>>,
) -> Network {
    let mut nodes = vec![pair.0.client(family, tunings.0, Client::new(family.service(), plan.clone()))];
    nodes.extend(elements);
    nodes.push(pair.1.server(family, tunings.1, Server::new(family.service(), plan.mirrored())));
    let medium = match (pair.0.medium(), pair.1.medium()) {
        (Medium::Ethernet, Medium::Ethernet) => Medium::Ethernet,
        _ => Medium::Ip,
    };
    Simulation::new(seed).medium(medium).run(nodes)
}
