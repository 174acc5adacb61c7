//! The second opinion: a host on smoltcp's whole stack.

mod device;
mod sockets;

use core::any::Any;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use smoltcp::iface::{Config, Interface};
use smoltcp::phy;
use smoltcp::wire::{HardwareAddress, IpCidr};
use tapsock_stack::buf::Frame;
use tapsock_stack::time::{Instant, earliest};
use tapsock_stack::wire::offload::Medium;

use crate::app::App;
use crate::node::{Kind, Node, Port, Scrutiny, Setup, Status};
use crate::segmenter::plain_frames;
use device::QueueDevice;
use sockets::to_smoltcp;

pub use smoltcp::socket::tcp::CongestionControl;
pub use sockets::SmoltcpSockets;

/// Turns that programs and stack take with each other at one instant, at most.
const MAX_TURNS: usize = 64;

/// When smoltcp is polled again that wants to be polled at once, right after it was: its clock has whole microseconds,
/// and in the middle of one its deadlines look past.
const NOW_AGAIN: Duration = Duration::from_micros(1);

/// A host on smoltcp's stack: a link, addresses, and programs.
///
/// Merged frames and partial checksums that come are put right before smoltcp sees them, as its network card would.
///
/// ```
/// use tapsock_sim::app::{Client, Plan, Server};
/// use tapsock_sim::{chain, Delay, Loss, Simulation, SmoltcpHost};
///
/// let there = "10.0.0.2:80".parse().unwrap();
/// let plan = Plan::upload(20_000);
/// let client = SmoltcpHost::new("client").address("10.0.0.1/24").app(Client::new(there, plan.clone()));
/// let server = SmoltcpHost::new("server").address("10.0.0.2/24").app(Server::new(there, plan.mirrored()));
/// let network = Simulation::new(3).run(chain![client, Delay::ms(5), Loss::percent(1.0), server]);
/// assert!(network.node::<SmoltcpHost>(3).app_at::<Server>(0).finished_at().is_some());
/// ```
pub struct SmoltcpHost {
    name: String,
    recipe: Recipe,
    apps: Vec<Box<dyn App<SmoltcpSockets>>>,
    machine: Option<Machine>,
    out: VecDeque<Frame>,
    deadline: Option<Instant>,
}

#[derive(Clone)]
struct Recipe {
    addresses: Vec<IpCidr>,
    gateway: Option<IpAddr>,
    mtu: usize,
    buffer: usize,
    congestion: CongestionControl,
    timestamps: Timestamps,
    first_port: Option<u16>,
}

#[derive(Copy, Clone, PartialEq)]
enum Timestamps {
    Off,
    On,
}

struct Machine {
    device: QueueDevice,
    sockets: SmoltcpSockets,
    medium: Medium,
}

impl SmoltcpHost {
    /// A host without addresses, with an MTU of 1500, socket buffers of 64 KiB and Reno.
    pub fn new(name: &str) -> Self {
        SmoltcpHost {
            name: name.into(),
            recipe: Recipe {
                addresses: Vec::new(),
                gateway: None,
                mtu: 1500,
                buffer: 64 * 1024,
                congestion: CongestionControl::Reno,
                timestamps: Timestamps::Off,
                first_port: None,
            },
            apps: Vec::new(),
            machine: None,
            out: VecDeque::new(),
            deadline: None,
        }
    }

    /// Adds an address, written as `10.0.0.1/24`. Panics where it is not one.
    pub fn address(mut self, cidr: &str) -> Self {
        self.recipe.addresses.push(cidr.parse().expect("an address with its prefix length"));
        self
    }

    /// The router for all that is not on the link.
    pub fn gateway(mut self, gateway: IpAddr) -> Self {
        self.recipe.gateway = Some(gateway);
        self
    }

    /// The largest IP packet, in bytes.
    pub fn mtu(mut self, bytes: usize) -> Self {
        self.recipe.mtu = bytes;
        self
    }

    /// The size of each socket's two buffers, in bytes.
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.recipe.buffer = bytes;
        self
    }

    /// How TCP sockets react to congestion.
    pub fn congestion(mut self, congestion: CongestionControl) -> Self {
        self.recipe.congestion = congestion;
        self
    }

    /// TCP sockets offer timestamps.
    pub fn timestamps(mut self) -> Self {
        self.recipe.timestamps = Timestamps::On;
        self
    }

    /// The first port given to a socket that asks for any, rather than one by chance.
    pub fn first_port(mut self, port: u16) -> Self {
        self.recipe.first_port = Some(port);
        self
    }

    /// Adds a program.
    pub fn app(mut self, app: impl App<SmoltcpSockets>) -> Self {
        self.apps.push(Box::new(app));
        self
    }

    /// The `index`-th program, as the type it was added as. Panics where it is another.
    pub fn app_at<T: App<SmoltcpSockets>>(&self, index: usize) -> &T {
        let app: &dyn Any = &*self.apps[index];
        app.downcast_ref().expect("the program was added as this type")
    }

    /// Lets programs and stack take turns until neither has more to do now.
    fn turn(&mut self, now: Instant) {
        let Some(machine) = &mut self.machine else { return };
        let mut wake = None;
        for _ in 0..MAX_TURNS {
            machine.sockets.poll(now, &mut machine.device);
            wake = None;
            for app in &mut self.apps {
                wake = earliest(wake, app.poll(now, &mut machine.sockets));
            }
            machine.sockets.reap();
            let sent = machine.device.sent();
            machine.sockets.poll(now, &mut machine.device);
            if machine.device.sent() == sent {
                break;
            }
        }
        self.out.extend(machine.device.take_sent().map(Frame::from));
        let next = machine.sockets.next_poll(now).map(|at| if at > now { at } else { now + NOW_AGAIN });
        self.deadline = earliest(next, wake);
    }
}

impl Node for SmoltcpHost {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn ports(&self) -> usize {
        1
    }

    fn kind(&self) -> Kind {
        Kind::Host(Scrutiny::Foreign)
    }

    fn start(&mut self, mut setup: Setup) {
        let (medium, link_header, hardware) = match setup.medium {
            Medium::Ethernet => {
                let [a, b, c, d, e, ..] = setup.rng.next_u64().to_be_bytes();
                let address = smoltcp::wire::EthernetAddress([2, a, b, c, d, e]);
                (phy::Medium::Ethernet, 14, HardwareAddress::Ethernet(address))
            }
            Medium::Ip => (phy::Medium::Ip, 0, HardwareAddress::Ip),
        };
        let mut device = QueueDevice::new(medium, self.recipe.mtu + link_header);
        let mut config = Config::new(hardware);
        config.random_seed = setup.rng.next_u64();
        let mut interface = Interface::new(config, &mut device, to_smoltcp(setup.now));
        interface.update_ip_addrs(|own| {
            own.extend(self.recipe.addresses.iter().copied());
        });
        match self.recipe.gateway {
            Some(IpAddr::V4(gateway)) => drop(interface.routes_mut().add_default_ipv4_route(gateway)),
            Some(IpAddr::V6(gateway)) => drop(interface.routes_mut().add_default_ipv6_route(gateway)),
            None => {}
        }
        let sockets = SmoltcpSockets::new(interface, &self.recipe, setup.rng);
        self.machine = Some(Machine { device, sockets, medium: setup.medium });
        self.deadline = Some(setup.now);
    }

    fn on_frame(&mut self, now: Instant, _port: Port, frame: Frame) {
        let Some(machine) = &mut self.machine else { return };
        machine.device.deliver(plain_frames(frame, machine.medium));
        self.turn(now);
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<(Port, Frame)> {
        self.out.pop_front().map(|frame| (Port(0), frame))
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.turn(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn status(&self) -> Status {
        Status::of_all(self.apps.iter().map(|app| app.status()))
    }
}
