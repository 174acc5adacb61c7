//! The namespaces, devices and addresses that measurements run on.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::ValueEnum;
use rustix::net::sockopt::set_tcp_congestion;
use tapsock_driver::tap::Tap;
use tapsock_driver::{KernelEnd, Namespace};
use tapsock_stack::iface::IpCidr;

use crate::veth;

const AF_INET: i32 = 2;
const SOCK_STREAM: i32 = 1;

/// Where the near end of a measurement stands. The far end is always the kernel, in the namespace `far`.
#[derive(Copy, Clone, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Contender {
    /// tapsock over a TAP with offloads.
    Tapsock,
    /// The kernel of another namespace over a veth pair.
    Veth,
    /// tapsock over a TAP of which no offload is used.
    Plain,
    /// smoltcp over a TAP without offloads, which it can't use.
    Smoltcp,
    /// A TAP with offloads, and hardly any stack at all: what the device can carry.
    Device,
    /// The same with one copy of each byte, which a stack can't do without.
    Copying,
}

impl Contender {
    pub(crate) const ALL: [Contender; 6] = [
        Contender::Tapsock,
        Contender::Plain,
        Contender::Veth,
        Contender::Smoltcp,
        Contender::Device,
        Contender::Copying,
    ];

    /// The network that it shares with the far end.
    fn network(self) -> u16 {
        match self {
            Contender::Tapsock => 7,
            Contender::Veth => 8,
            Contender::Smoltcp => 9,
            Contender::Plain => 10,
            Contender::Device => 11,
            Contender::Copying => 12,
        }
    }
}

/// An IP version.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// Which end of a network.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Far,
    Near,
}

/// Two namespaces with a veth pair between them.
pub(crate) struct Lab {
    pub(crate) far: Namespace,
    /// Where the near end of veth is.
    pub(crate) near: Namespace,
    /// The congestion control of all kernel sockets.
    pub(crate) congestion: &'static str,
    pub(crate) tuning: Tuning,
}

/// How tapsock's hosts differ from the defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tuning {
    /// Settings by name and value.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) spin: Option<Duration>,
}

impl Lab {
    pub(crate) fn new(tuning: Tuning) -> io::Result<Lab> {
        let far = Namespace::create().map_err(io::Error::other)?;
        let near = veth::beside(&far)?;
        for namespace in [&far, &near] {
            // Not BBR, which some machines have by default and which is half as fast here; see `Kernel::socket`.
            namespace.set_sysctl("net.ipv4.tcp_congestion_control", "reno")?;
            // Rounds are not to learn from one another.
            namespace.set_sysctl("net.ipv4.tcp_no_metrics_save", "1")?;
        }
        let end =
            |namespace, name, side| veth::End { namespace, name, addresses: cidrs(Contender::Veth, side) };
        veth::connect(&end(&far, "veth0", Side::Far), &end(&near, "veth1", Side::Near))?;
        let probe = far.socket(AF_INET, SOCK_STREAM, 0)?;
        let congestion = if set_tcp_congestion(&probe, "cubic").is_ok() { "cubic" } else { "reno" };
        Ok(Lab { far, near, congestion, tuning })
    }

    /// A TAP device to the far end, for `contender`.
    pub(crate) fn tap(&self, contender: Contender) -> io::Result<Tap> {
        let [v4, v6] = cidrs(contender, Side::Far);
        let name = format!("tap{}", contender.network());
        let mut end = KernelEnd::new(&name).address(v4).address(v6);
        end.congestion_control = None;
        self.far.open_tap(&end).map_err(io::Error::other)
    }
}

/// The addresses of an end, with the length of their prefixes.
pub(crate) fn cidrs(contender: Contender, side: Side) -> [IpCidr; 2] {
    [
        IpCidr::new(address(contender, side, Family::V4), 24),
        IpCidr::new(address(contender, side, Family::V6), 64),
    ]
}

pub(crate) fn address(contender: Contender, side: Side, family: Family) -> IpAddr {
    let (network, host) = (contender.network(), if side == Side::Far { 1 } else { 2 });
    match family {
        Family::V4 => [10, network as u8, 0, host].into(),
        Family::V6 => [0xfd00 | network, 0, 0, 0, 0, 0, 0, u16::from(host)].into(),
    }
}

pub(crate) fn socket_address(contender: Contender, side: Side, family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(address(contender, side, family), port)
}
