//! A router on tapsock's own stack.

use std::collections::VecDeque;

use tapsock_stack::buf::{Checksum, Frame};
use tapsock_stack::config::Config;
use tapsock_stack::iface::{InterfaceId, Route};
use tapsock_stack::stack::Stack;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::{LinkCaps, Medium, verify};

use crate::emission::emitted;
use crate::node::{Node, Port, Setup, Status};

/// A router: links, addresses, routes, and no programs. It forwards both families.
///
/// Its ports are numbered in the order of their adding: in a chain, the first looks left and the second right.
///
/// ```
/// use tapsock_sim::app::{Client, Plan, Server};
/// use tapsock_sim::{chain, Delay, Host, Router, Simulation};
///
/// let there = "10.0.1.2:80".parse().unwrap();
/// let plan = Plan::both(20_000, 100_000);
/// let client = Host::new("client").address("10.0.0.2/24").gateway("10.0.0.1".parse().unwrap());
/// let server = Host::new("server").address("10.0.1.2/24").gateway("10.0.1.1".parse().unwrap());
/// let router = Router::new("router").port(&["10.0.0.1/24"]).port(&["10.0.1.1/24"]);
/// let client = client.app(Client::new(there, plan.clone()));
/// let server = server.app(Server::new(there, plan.mirrored()));
/// Simulation::new(3).run(chain![client, Delay::ms(5), router, Delay::ms(1), server]);
/// ```
pub struct Router {
    name: String,
    config: Config,
    links: Vec<Link>,
    routes: Vec<Route>,
    stack: Option<Stack>,
    out: VecDeque<(Port, Frame)>,
    failure: Option<String>,
}

/// What one of its links is to be.
struct Link {
    addresses: Vec<String>,
    caps: LinkCaps,
}

impl Router {
    /// A router without links.
    pub fn new(name: &str) -> Self {
        let mut config = Config::default();
        for setting in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
            config.set(setting, "1").expect("the setting is there");
        }
        Router {
            name: name.into(),
            config,
            links: Vec::new(),
            routes: Vec::new(),
            stack: None,
            out: VecDeque::new(),
            failure: None,
        }
    }

    /// Adds a plain link with an MTU of 1500, and the router's addresses there, written as `10.0.0.1/24`.
    pub fn port(mut self, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        self.links.push(Link { addresses, caps: LinkCaps::plain(Medium::Ethernet, 1500) });
        self
    }

    /// The largest IP packet of the link that was added last, in bytes.
    pub fn mtu(mut self, bytes: usize) -> Self {
        if let Some(link) = self.links.last_mut() {
            link.caps.mtu = bytes;
        }
        self
    }

    /// The link that was added last cuts 64 KiB packets and fills in checksums.
    pub fn offloading(mut self) -> Self {
        if let Some(link) = self.links.last_mut() {
            link.caps = LinkCaps::offloading(Medium::Ethernet, link.caps.mtu);
        }
        self
    }

    /// Adds a route; the first link that was added is interface 1.
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// Sets a setting by its sysctl name. Panics where there is no such setting, or no such value.
    pub fn sysctl(mut self, name: &str, value: &str) -> Self {
        if let Err(error) = self.config.set(name, value) {
            panic!("{name} = {value}: {error:?}");
        }
        self
    }

    /// The stack. Panics before the router is part of a network.
    pub fn stack(&self) -> &Stack {
        self.stack.as_ref().expect("the router is part of a network")
    }

    /// The stack, to be changed between two runs. Panics before the router is part of a network.
    pub fn stack_mut(&mut self) -> &mut Stack {
        self.stack.as_mut().expect("the router is part of a network")
    }

    fn turn(&mut self, now: Instant) {
        let Some(stack) = &mut self.stack else { return };
        while stack.poll_event().is_some() {}
        while let Some((interface, transmit)) = stack.poll_transmit(now) {
            let port = usize::from(interface.0) - 1;
            match emitted(transmit, &self.links[port].caps) {
                Ok(frame) => self.out.push_back((Port(port), frame)),
                Err(why) => drop(self.failure.get_or_insert(why)),
            }
        }
    }
}

impl Node for Router {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn ports(&self) -> usize {
        self.links.len()
    }

    fn start(&mut self, mut setup: Setup) {
        let mut stack = Stack::new(self.config.clone(), setup.rng.next_u64(), setup.now);
        for (number, link) in self.links.iter_mut().enumerate() {
            link.caps.medium = setup.medium;
            let [a, b, c, d, e, ..] = setup.rng.next_u64().to_be_bytes();
            let (name, hardware) = (format!("eth{number}"), EthernetAddress([2, a, b, c, d, e]));
            let id = stack.add_interface(&name, hardware, link.caps).expect("room for the interface");
            for address in &link.addresses {
                let address = address.parse().expect("an address with its prefix length");
                stack.add_address(id, address).expect("addresses of the router are sound");
            }
        }
        for route in &self.routes {
            stack.add_route(*route).expect("the routes are sound");
        }
        self.stack = Some(stack);
    }

    fn on_frame(&mut self, now: Instant, port: Port, mut frame: Frame) {
        let Some(stack) = &mut self.stack else { return };
        // As a driver does before the stack sees the frame.
        if frame.checksum == Checksum::Unverified {
            frame.checksum = verify(&frame, self.links[port.0].caps.medium);
        }
        stack.receive(now, InterfaceId(port.0 as u8 + 1), frame);
        self.turn(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<(Port, Frame)> {
        if self.out.is_empty() {
            self.turn(now);
        }
        self.out.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(stack) = &mut self.stack
            && stack.poll_timeout().is_some_and(|at| at <= now)
        {
            stack.handle_timeout(now);
        }
        self.turn(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.as_ref().and_then(Stack::poll_timeout)
    }

    fn status(&self) -> Status {
        match &self.failure {
            Some(why) => Status::Failed(why.clone()),
            None => Status::Done,
        }
    }
}
