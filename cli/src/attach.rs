//! What the stack is attached to: the options that say it, and the host that comes of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use tapsock::{Builder, Host, IpCidr};
use tapsock_driver::auto::{FarEnd, LinkKind, Opened, Refusal};
use tapsock_driver::packet::PacketLink;
use tapsock_driver::pcapng::Capture;
use tapsock_driver::tap::Tap;
use tapsock_driver::{KernelEnd, Link, Namespace};

use crate::failure::{During, Failure};

/// The kernel's device in a namespace of ours.
const DEVICE: &str = "tapsock0";
/// The network between the stack and its peer, unless another is asked for.
const NETWORK_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 7, 0, 0), 24);
const NETWORK_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, 0), 64);
/// Which host of that network the peer is, and which we are.
const PEER: u32 = 1;
const OURS: u32 = 2;

/// The options of a command that say what the stack is attached to.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Network")]
pub struct Attach {
    /// Link to open: auto, tap, veth (or packet), unix, memory. `auto` tries them in that order
    #[arg(long, value_name = "KIND")]
    pub link: Option<Wish>,
    /// Attach to this TAP device of the machine's network: root's, or one that belongs to you
    #[arg(long, value_name = "NAME", conflicts_with_all = ["link", "interface"])]
    pub tap: Option<String>,
    /// Attach to this interface of the machine's network by a packet socket (root); it should have no address
    #[arg(long, value_name = "NAME", conflicts_with = "link")]
    pub interface: Option<String>,
    /// The stack's own address with its prefix length; may be given several times
    #[arg(long, value_name = "ADDRESS/LEN")]
    pub address: Vec<IpCidr>,
    /// Router for everything else; one a family
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Vec<IpAddr>,
    /// Largest IP packet of a link that is made here, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1500, value_parser = clap::value_parser!(u32).range(576..=65_521))]
    pub mtu: u32,
    /// Write what passes over the link to a pcapng file
    #[arg(long, value_name = "FILE")]
    pub capture: Option<PathBuf>,
    /// A setting of the stack by its sysctl name, such as net.ipv4.tcp_sack=0; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub settings: Vec<String>,
}

/// Which link is wanted.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Wish {
    /// The best there is.
    #[default]
    Auto,
    /// This one.
    Kind(LinkKind),
}

impl FromStr for Wish {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Wish::Auto),
            // By what it is made of.
            "packet" => Ok(Wish::Kind(LinkKind::Veth)),
            name => name.parse().map(Wish::Kind),
        }
    }
}

/// A host and what is around it.
pub struct Attached {
    /// The stack.
    pub host: Host,
    /// Its addresses.
    pub ours: Addresses,
    /// What it is attached to: `tap`, `memory`, or a device by name.
    pub link: String,
    /// Who is at the other end.
    pub peer: Peer,
    /// Better kinds of link, and why they can't be had.
    pub refused: Vec<Refusal>,
    /// The capture of the link.
    pub capture: Option<Capture>,
}

/// Who is at the other end of the link.
pub enum Peer {
    /// The kernel, in this namespace, with these addresses.
    Kernel(Namespace, Addresses),
    /// A second host of this process.
    Host(Host, Addresses),
    /// Whoever is there.
    Outside,
}

/// The first address of each family.
#[derive(Copy, Clone, Debug, Default)]
pub struct Addresses {
    /// IPv4's.
    pub v4: Option<Ipv4Addr>,
    /// IPv6's.
    pub v6: Option<Ipv6Addr>,
}

impl Addresses {
    fn of(cidrs: &[IpCidr]) -> Self {
        let mut addresses = Addresses::default();
        for cidr in cidrs.iter().rev() {
            match cidr.address {
                IpAddr::V4(address) => addresses.v4 = Some(address),
                IpAddr::V6(address) => addresses.v6 = Some(address),
            }
        }
        addresses
    }

    /// Both, IPv4's first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }

    /// The one of the family that `other` is of.
    pub fn of_family(&self, other: IpAddr) -> Option<IpAddr> {
        self.iter().find(|address| address.is_ipv4() == other.is_ipv4())
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Vec<_> = self.iter().map(|address| address.to_string()).collect();
        f.write_str(&text.join(", "))
    }
}

impl Attach {
    /// Whether the command line says what to attach to.
    pub fn is_chosen(&self) -> bool {
        self.link.is_some() || self.tap.is_some() || self.interface.is_some()
    }

    /// Opens what is asked for; where nothing is, `otherwise`.
    ///
    /// # Errors
    /// The step that failed, and what can be done about it.
    pub fn open(&self, otherwise: Wish) -> Result<Attached, Failure> {
        let capture = self.start_capture()?;
        if let Some(name) = &self.tap {
            let tap = Tap::open(name).during(format_args!("TAP device {name}"))?;
            return self.outside(name, tap, capture);
        }
        if let Some(name) = &self.interface {
            let link = PacketLink::open(name).during(format_args!("interface {name}"))?;
            return self.outside(name, link, capture);
        }
        let ours = self.addresses();
        let peers = peers_of(&ours)?;
        let mut kernel_end = KernelEnd::new(DEVICE).mtu(self.mtu as usize);
        for peer in &peers {
            kernel_end = kernel_end.address(*peer);
        }
        let opened = match self.link.unwrap_or(otherwise) {
            Wish::Auto => Opened::best(&kernel_end).map_err(|refused| no_link(&refused))?,
            Wish::Kind(kind) => Opened::of_kind(kind, &kernel_end).during(format_args!("link {kind}"))?,
        };
        let host = self.start(opened.link, &ours, capture.as_ref())?;
        let peer = match opened.far_end {
            FarEnd::Kernel(namespace) => Peer::Kernel(namespace, Addresses::of(&peers)),
            FarEnd::Link(link) => {
                let second = Host::builder().link(link).privileged_ports();
                let second = peers.iter().fold(second, |second, peer| second.address(*peer));
                Peer::Host(second.start().during("start the second host")?, Addresses::of(&peers))
            }
        };
        let link = opened.kind.to_string();
        Ok(Attached { host, ours: Addresses::of(&ours), link, peer, refused: opened.refused, capture })
    }

    /// A host without a link, for whom its own `lo` will do.
    ///
    /// # Errors
    /// Options that only a link can fulfil; a setting that does not exist.
    pub fn start_alone(&self) -> Result<Host, Failure> {
        if self.capture.is_some() || !self.address.is_empty() || !self.gateway.is_empty() {
            let failure = Failure::new("--capture, --address and --gateway need a link");
            return Err(failure.hint("Add --link auto, --tap NAME or --interface NAME."));
        }
        self.with_settings(Host::builder().privileged_ports())?.start().during("start the stack")
    }

    fn outside(
        &self,
        name: &str,
        link: impl Link + 'static,
        capture: Option<Capture>,
    ) -> Result<Attached, Failure> {
        if self.address.is_empty() {
            let hint = "Add --address ADDRESS/LEN, and --gateway ADDRESS for what is not in its network.";
            return Err(Failure::new(format!("{name}: the stack needs an address there")).hint(hint));
        }
        let host = self.start(Box::new(link), &self.address, capture.as_ref())?;
        let ours = Addresses::of(&self.address);
        Ok(Attached { host, ours, link: name.to_owned(), peer: Peer::Outside, refused: Vec::new(), capture })
    }

    fn start(
        &self,
        link: Box<dyn Link>,
        ours: &[IpCidr],
        capture: Option<&Capture>,
    ) -> Result<Host, Failure> {
        let link = match capture {
            Some(capture) => Box::new(capture.tee(link)),
            None => link,
        };
        // The stack is the command's own: nobody else's ports are at stake.
        let mut builder = Host::builder().link(link).privileged_ports();
        for address in ours {
            builder = builder.address(*address);
        }
        for gateway in &self.gateway {
            builder = builder.gateway(*gateway);
        }
        self.with_settings(builder)?.start().during("start the stack")
    }

    fn with_settings(&self, mut builder: Builder) -> Result<Builder, Failure> {
        for setting in &self.settings {
            let (name, value) = setting.split_once('=').ok_or_else(|| {
                Failure::new(format!("--set {setting}: there is no value, as in NAME=VALUE"))
            })?;
            builder = builder.setting(name.trim(), value.trim());
        }
        Ok(builder)
    }

    fn addresses(&self) -> Vec<IpCidr> {
        if !self.address.is_empty() {
            return self.address.clone();
        }
        let (v4, v6) = (NETWORK_V4, NETWORK_V6);
        vec![
            IpCidr::new(Ipv4Addr::from_bits(v4.0.to_bits() | OURS).into(), v4.1),
            IpCidr::new(Ipv6Addr::from_bits(v6.0.to_bits() | u128::from(OURS)).into(), v6.1),
        ]
    }

    fn start_capture(&self) -> Result<Option<Capture>, Failure> {
        let create =
            |path: &PathBuf| Capture::create(path).during(format_args!("capture to {}", path.display()));
        self.capture.as_ref().map(create).transpose()
    }
}

/// For each of our addresses one for the peer in the same network: its first host, or its second where we are that.
fn peers_of(ours: &[IpCidr]) -> Result<Vec<IpCidr>, Failure> {
    let mut peers: Vec<IpCidr> = Vec::new();
    for cidr in ours {
        if peers.iter().any(|peer| peer.network() == cidr.network()) {
            continue;
        }
        let host = |number: u32| match cidr.network().address {
            IpAddr::V4(network) => IpAddr::V4(Ipv4Addr::from_bits(network.to_bits().wrapping_add(number))),
            IpAddr::V6(network) => {
                IpAddr::V6(Ipv6Addr::from_bits(network.to_bits().wrapping_add(u128::from(number))))
            }
        };
        let is_free = |address: &IpAddr| {
            cidr.contains(*address)
                && cidr.broadcast().map(IpAddr::V4) != Some(*address)
                && ours.iter().all(|ours| ours.address != *address)
        };
        let peer = (PEER..=PEER + ours.len() as u32).map(host).find(is_free).ok_or_else(|| {
            let hint = "Take a shorter prefix, such as /24 for IPv4 or /64 for IPv6.";
            Failure::new(format!("--address {cidr}: its network has no room for a peer")).hint(hint)
        })?;
        peers.push(IpCidr::new(peer, cidr.prefix_len));
    }
    Ok(peers)
}

fn no_link(refused: &[Refusal]) -> Failure {
    let reasons: Vec<_> = refused.iter().map(|refusal| refusal.to_string()).collect();
    Failure::new(format!("no link can be opened: {}", reasons.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(ours: &[&str]) -> Result<Vec<String>, String> {
        let ours: Vec<_> = ours.iter().map(|cidr| cidr.parse().unwrap()).collect();
        let peers = peers_of(&ours).map_err(|failure| failure.to_string())?;
        Ok(peers.iter().map(|peer| peer.to_string()).collect())
    }

    #[test]
    fn the_peer_is_the_first_other_host_of_the_network() {
        assert_eq!(peers(&["10.7.0.2/24", "fd07::2/64"]).unwrap(), ["10.7.0.1/24", "fd07::1/64"]);
        assert_eq!(peers(&["192.0.2.1/24", "192.0.2.2/24"]).unwrap(), ["192.0.2.3/24"]);
        assert_eq!(peers(&["192.0.2.1/30"]).unwrap(), ["192.0.2.2/30"]);
        assert!(peers(&["192.0.2.1/32"]).unwrap_err().contains("no room"));
    }

    #[test]
    fn a_link_is_wished_for_by_name() {
        assert_eq!("auto".parse(), Ok(Wish::Auto));
        assert_eq!("packet".parse(), Ok(Wish::Kind(LinkKind::Veth)));
        assert_eq!("tap".parse(), Ok(Wish::Kind(LinkKind::Tap)));
        assert!("wire".parse::<Wish>().unwrap_err().contains("memory"));
    }
}
