//! A host on tapsock's own stack.

mod sockets;

use core::any::Any;
use core::net::IpAddr;
use std::collections::VecDeque;

use tapsock_sockets::{Permission, Sockets};
use tapsock_stack::buf::{Checksum, Frame};
use tapsock_stack::config::Config;
use tapsock_stack::iface::{InterfaceId, IpCidr, Route};
use tapsock_stack::stack::Stack;
use tapsock_stack::time::{Instant, earliest};
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit, verify};

use crate::app::App;
use crate::emission::emitted;
use crate::node::{Kind, Node, Port, Scrutiny, Setup, Status};

/// Turns that programs and stack take with each other at one instant, at most.
const MAX_TURNS: usize = 1_000;

/// A host on tapsock's stack: a link, addresses, and programs over its sockets.
///
/// Programs are polled when a socket's readiness may have changed, and only then: a wake-up that the stack forgets
/// stalls the run. What the stack gives to the link is held to what the link can do.
///
/// ```
/// use tapsock_sim::app::{Client, Plan, Server};
/// use tapsock_sim::{chain, Delay, Host, Loss, Simulation};
///
/// let there = "10.0.0.2:80".parse().unwrap();
/// let plan = Plan::both(20_000, 100_000);
/// let client = Host::new("client").address("10.0.0.1/24").app(Client::new(there, plan.clone()));
/// let server = Host::new("server").address("10.0.0.2/24").app(Server::new(there, plan.mirrored()));
/// let network = Simulation::new(3).run(chain![client, Delay::ms(5), Loss::percent(1.0), server]);
/// assert!(network.node::<Host>(3).app_at::<Server>(0).finished_at().is_some());
/// ```
pub struct Host {
    name: String,
    recipe: Recipe,
    apps: Vec<Box<dyn App<Sockets>>>,
    machine: Option<Machine>,
    wake: Option<Instant>,
    out: VecDeque<Frame>,
    failure: Option<String>,
}

struct Recipe {
    addresses: Vec<IpCidr>,
    gateways: Vec<IpAddr>,
    mtu: usize,
    offload: Offload,
    config: Config,
}

#[derive(Copy, Clone, PartialEq)]
enum Offload {
    Plain,
    Full,
}

struct Machine {
    sockets: Sockets,
    interface: InterfaceId,
    caps: LinkCaps,
    /// Who verifies checksums: a driver before the stack sees the frame, or the stack. Dice decide.
    verifier: Verifier,
}

#[derive(Copy, Clone, PartialEq)]
enum Verifier {
    Driver,
    Stack,
}

impl Host {
    /// A host without addresses, on a plain link with an MTU of 1500.
    pub fn new(name: &str) -> Self {
        Host {
            name: name.into(),
            recipe: Recipe {
                addresses: Vec::new(),
                gateways: Vec::new(),
                mtu: 1500,
                offload: Offload::Plain,
                config: Config::default(),
            },
            apps: Vec::new(),
            machine: None,
            wake: None,
            out: VecDeque::new(),
            failure: None,
        }
    }

    /// Adds an address, written as `10.0.0.1/24`. Panics where it is not one.
    pub fn address(mut self, cidr: &str) -> Self {
        self.recipe.addresses.push(cidr.parse().expect("an address with its prefix length"));
        self
    }

    /// The router for all that is not on the link.
    pub fn gateway(mut self, gateway: IpAddr) -> Self {
        self.recipe.gateways.push(gateway);
        self
    }

    /// The largest IP packet, in bytes.
    pub fn mtu(mut self, bytes: usize) -> Self {
        self.recipe.mtu = bytes;
        self
    }

    /// The link cuts 64 KiB packets and fills in checksums: merged frames go over the wire whole, unless a
    /// [`Segmenter`](crate::Segmenter) stands there.
    pub fn offloading(mut self) -> Self {
        self.recipe.offload = Offload::Full;
        self
    }

    /// Sets a setting by its sysctl name. Panics where there is no such setting, or no such value.
    pub fn sysctl(mut self, name: &str, value: &str) -> Self {
        if let Err(error) = self.recipe.config.set(name, value) {
            panic!("{name} = {value}: {error:?}");
        }
        self
    }

    /// Adds a program.
    pub fn app(mut self, app: impl App<Sockets>) -> Self {
        self.apps.push(Box::new(app));
        self
    }

    /// The `index`-th program, as the type it was added as. Panics where it is another.
    pub fn app_at<T: App<Sockets>>(&self, index: usize) -> &T {
        let app: &dyn Any = &*self.apps[index];
        app.downcast_ref().expect("the program was added as this type")
    }

    /// The sockets. Panics before the host is part of a network.
    pub fn sockets(&self) -> &Sockets {
        &self.machine.as_ref().expect("the host is part of a network").sockets
    }

    /// The sockets, to be changed between two runs. Panics before the host is part of a network.
    pub fn sockets_mut(&mut self) -> &mut Sockets {
        &mut self.machine.as_mut().expect("the host is part of a network").sockets
    }

    /// The interface that the network is plugged into.
    pub fn interface(&self) -> InterfaceId {
        self.machine.as_ref().expect("the host is part of a network").interface
    }

    /// Lets programs and stack take turns until neither has more to do now.
    fn turn(&mut self, now: Instant) {
        let Some(machine) = &mut self.machine else { return };
        for _ in 0..MAX_TURNS {
            let mut changed = self.wake.is_some_and(|wake| wake <= now);
            while machine.sockets.poll_event().is_some() {
                changed = true;
            }
            if changed {
                self.wake = None;
                for app in &mut self.apps {
                    self.wake = earliest(self.wake, app.poll(now, &mut machine.sockets));
                }
            }
            let mut sent = false;
            while let Some((interface, transmit)) = machine.sockets.stack_mut().poll_transmit(now) {
                sent = true;
                match machine.frame(interface, transmit) {
                    Ok(frame) => self.out.push_back(frame),
                    Err(why) => drop(self.failure.get_or_insert(why)),
                }
            }
            if !changed && !sent {
                return;
            }
        }
        self.failure.get_or_insert(format!("programs and stack still go on after {MAX_TURNS} turns"));
    }
}

impl Machine {
    /// What goes over the wire, where the stack kept to what the link can do.
    fn frame(&self, interface: InterfaceId, transmit: Transmit) -> Result<Frame, String> {
        if interface != self.interface {
            return Err(format!("a frame for {interface:?}, which has no wire"));
        }
        emitted(transmit, &self.caps)
    }
}

impl Recipe {
    fn caps(&self, medium: Medium) -> LinkCaps {
        match self.offload {
            Offload::Plain => LinkCaps::plain(medium, self.mtu),
            Offload::Full => LinkCaps::offloading(medium, self.mtu),
        }
    }

    fn machine(&self, mut setup: Setup) -> Machine {
        let [a, b, c, d, e, ..] = setup.rng.next_u64().to_be_bytes();
        let caps = self.caps(setup.medium);
        let mut stack = Stack::new(self.config.clone(), setup.rng.next_u64(), setup.now);
        let hardware = EthernetAddress([2, a, b, c, d, e]);
        let interface = stack.add_interface("eth0", hardware, caps).expect("room for one interface");
        for &address in &self.addresses {
            stack.add_address(interface, address).expect("addresses of the host are sound");
        }
        for &gateway in &self.gateways {
            let any = if gateway.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            let route = Route::via(any.parse().expect("it is a prefix"), gateway, interface);
            stack.add_route(route).expect("the gateway is on the link");
        }
        let verifier = match setup.rng.below(2) {
            0 => Verifier::Driver,
            _ => Verifier::Stack,
        };
        Machine { sockets: Sockets::new(stack, Permission::Privileged), interface, caps, verifier }
    }
}

impl Node for Host {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn ports(&self) -> usize {
        1
    }

    fn kind(&self) -> Kind {
        Kind::Host(Scrutiny::Full)
    }

    fn start(&mut self, setup: Setup) {
        self.wake = Some(setup.now);
        self.machine = Some(self.recipe.machine(setup));
    }

    fn on_frame(&mut self, now: Instant, _port: Port, mut frame: Frame) {
        let Some(machine) = &mut self.machine else { return };
        if machine.verifier == Verifier::Driver && frame.checksum == Checksum::Unverified {
            frame.checksum = verify(&frame, machine.caps.medium);
        }
        machine.sockets.stack_mut().receive(now, machine.interface, frame);
        self.turn(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<(Port, Frame)> {
        if self.out.is_empty() {
            self.turn(now);
        }
        self.out.pop_front().map(|frame| (Port(0), frame))
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(machine) = &mut self.machine
            && machine.sockets.stack().poll_timeout().is_some_and(|at| at <= now)
        {
            machine.sockets.stack_mut().handle_timeout(now);
        }
        self.turn(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let stack = self.machine.as_ref().and_then(|machine| machine.sockets.stack().poll_timeout());
        earliest(stack, self.wake)
    }

    fn status(&self) -> Status {
        match &self.failure {
            Some(why) => Status::Failed(why.clone()),
            None => Status::of_all(self.apps.iter().map(|app| app.status())),
        }
    }
}
