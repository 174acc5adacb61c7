//! What the stack is attached to: the options that say it, and the host that comes of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use console::style;
use log::info;
use tapsock::{Builder, Host, IpCidr, control};
use tapsock_driver::auto::{FarEnd, LinkKind, Opened, Refusal};
use tapsock_driver::packet::PacketLink;
use tapsock_driver::tap::Tap;
use tapsock_driver::usernet::{Running, UserNet};
use tapsock_driver::{KernelEnd, Link, Namespace};

use crate::capturing::Capturing;
use crate::failure::{During, Failure};
use crate::logger;
use addresses::peers_of;

pub use addresses::Addresses;

mod addresses;
mod carrier;

/// The kernel's device in a namespace of ours.
const DEVICE: &str = "tapsock0";
/// The network between the stack and its peer, unless another is asked for.
const NETWORK_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 7, 0, 0), 24);
const NETWORK_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, 0), 64);
/// Which host of that network we are.
const OURS: u32 = 2;
/// Where name servers listen.
const DNS_PORT: u16 = 53;
/// How long a DHCP server is waited for: three questions.
const LEASE_PATIENCE: Duration = Duration::from_secs(20);

/// The options of a command that say what the stack is attached to.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Network")]
pub struct Attach {
    /// Link to open: auto, tap, veth (or packet), unix, memory; `auto` tries them in that order. Or passt, slirp4netns:
    /// the network of this machine, by that program
    #[arg(long, value_name = "KIND")]
    pub link: Option<Wish>,
    /// Attach to the local socket of a running passt, slirp4netns (bess) or QEMU (stream)
    #[arg(long, value_name = "PATH", conflicts_with_all = ["link", "tap", "interface"])]
    pub socket: Option<PathBuf>,
    /// Attach to this TAP device of the machine's network: root's, or one that belongs to you
    #[arg(long, value_name = "NAME", conflicts_with_all = ["link", "interface"])]
    pub tap: Option<String>,
    /// Attach to this interface of the machine's network by a packet socket (root); it should have no address
    #[arg(long, value_name = "NAME", conflicts_with = "link")]
    pub interface: Option<String>,
    /// The stack's own address with its prefix length; may be given several times
    #[arg(long, value_name = "ADDRESS/LEN")]
    pub address: Vec<IpCidr>,
    /// Ask for an IPv4 address by DHCP, as is done anyway where a link leads outside and none is given
    #[arg(long)]
    pub dhcp: bool,
    /// Router for everything else; one a family
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Vec<IpAddr>,
    /// Ask this name server, by the stack's own sockets; up to three. Unless given, those that DHCP or routers tell of,
    /// or else this machine's resolver
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = name_server)]
    pub dns: Vec<SocketAddr>,
    /// Largest IP packet of a link that is made here, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1500, value_parser = clap::value_parser!(u32).range(576..=65_521))]
    pub mtu: u32,
    /// Write what passes over the link to a pcapng file
    #[arg(long, value_name = "FILE")]
    pub capture: Option<PathBuf>,
    /// Where to write that where the file can't be made.
    #[arg(skip)]
    pub capture_otherwise: Option<PathBuf>,
    /// Answer `tapsock ss`, `ip`, `nstat` and `dump` at this path, instead of one where they look themselves
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
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
    /// The network of this machine, by a program that needs no privileges.
    Through(UserNet),
}

impl FromStr for Wish {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Wish::Auto),
            // By what it is made of.
            "packet" => Ok(Wish::Kind(LinkKind::Veth)),
            name => match UserNet::ALL.into_iter().find(|program| program.to_string() == name) {
                Some(program) => Ok(Wish::Through(program)),
                None => name.parse().map(Wish::Kind),
            },
        }
    }
}

/// Whether the choice of a link is told on standard error.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Tell {
    /// Where it was ours: which link it is, and why no better one.
    Choice,
    /// Nothing: the user wants silence, or the command tells it itself.
    Nothing,
}

impl Tell {
    /// By an option that asks for silence.
    pub fn unless(quiet: bool) -> Self {
        if quiet { Tell::Nothing } else { Tell::Choice }
    }
}

/// A host and what is around it. (The order is that in which they are dropped.)
pub struct Attached {
    /// Warnings of the link while it is in use.
    pub warnings: logger::UntilItEnds,
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
    pub capture: Option<Capturing>,
    /// The program that carries the frames on.
    pub carrier: Option<Running>,
}

impl Attached {
    /// The stack, where it may know names: it is on a network of others.
    pub fn resolver(&self) -> Option<&Host> {
        match self.peer {
            Peer::Host(..) => None,
            Peer::Kernel(..) | Peer::Outside => Some(&self.host),
        }
    }

    /// Has a signal that ends the process finish the capture, where there is one.
    ///
    /// # Errors
    /// Where no handler or no thread can be had.
    pub fn finish_capture_when_interrupted(&self) -> Result<(), Failure> {
        self.capture.as_ref().map_or(Ok(()), Capturing::finish_when_interrupted)
    }
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

impl Attach {
    /// Whether the command line says what to attach to.
    pub fn is_chosen(&self) -> bool {
        self.link.is_some() || self.tap.is_some() || self.interface.is_some() || self.socket.is_some()
    }

    /// Opens what is asked for; where nothing is, `otherwise`.
    ///
    /// # Errors
    /// The step that failed, and what can be done about it. The status is 2.
    pub fn open(&self, otherwise: Wish, tell: Tell) -> Result<Attached, Failure> {
        self.try_open(otherwise, tell).map_err(|failure| failure.or_status(2))
    }

    fn try_open(&self, otherwise: Wish, tell: Tell) -> Result<Attached, Failure> {
        let mtu = self.mtu as usize;
        if let Some(name) = &self.tap {
            let tap = Tap::open(name).during(format_args!("TAP device {name}"))?;
            return self.outside(name, Box::new(tap), None);
        }
        if let Some(name) = &self.interface {
            let link = PacketLink::open(name).during(format_args!("interface {name}"))?;
            return self.outside(name, Box::new(link), None);
        }
        if let Some(path) = &self.socket {
            let link = carrier::connect(path, mtu).during(format_args!("socket {}", path.display()))?;
            return self.outside(&path.display().to_string(), link, None);
        }
        match self.link.unwrap_or(otherwise) {
            Wish::Through(program) => {
                let (link, carrier) = program.start(mtu).during(format_args!("link {program}"))?;
                self.outside(&program.to_string(), link, Some(carrier))
            }
            Wish::Auto => self.open_here(None, tell),
            Wish::Kind(kind) => self.open_here(Some(kind), tell),
        }
    }

    /// Opens a link to somebody who is put up here: the best there is, or of that kind.
    fn open_here(&self, kind: Option<LinkKind>, tell: Tell) -> Result<Attached, Failure> {
        let ours = self.addresses();
        let peers = peers_of(&ours)?;
        let mut kernel_end = KernelEnd::new(DEVICE).mtu(self.mtu as usize);
        for peer in &peers {
            kernel_end = kernel_end.address(*peer);
        }
        let opened = match kind {
            None => Opened::best(&kernel_end).map_err(no_link)?,
            Some(kind) => Opened::of_kind(kind, &kernel_end).map_err(|error| {
                let refusal = Refusal { kind, errno: error.errno(), reason: error.to_string() };
                let failed: Result<(), _> = Err(error);
                match failed.during(format_args!("link {kind}")) {
                    Err(failure) => failure.refused(vec![refusal]),
                    Ok(()) => Failure::new(refusal.to_string()),
                }
            })?,
        };
        if (kind, tell) == (None, Tell::Choice) {
            tell_choice(opened.kind, &opened.refused);
        }
        let started = self.start(opened.link, &ours, self.dhcp)?;
        let peer = match opened.far_end {
            FarEnd::Kernel(namespace) => {
                let has: Vec<_> = peers.into_iter().filter(|peer| !opened.left_out.contains(peer)).collect();
                Peer::Kernel(namespace, Addresses::of(&has))
            }
            FarEnd::Link(_) if !self.dns.is_empty() => {
                let failure =
                    Failure::new("--dns: the stack is on a wire in memory, and no server can be reached");
                return Err(
                    failure.hint("Attach it to a network: --link passt, --tap NAME or --interface NAME.")
                );
            }
            FarEnd::Link(link) => {
                let second = Host::builder().link(link).privileged();
                let second = peers.iter().fold(second, |second, peer| second.address(*peer));
                Peer::Host(second.start().during("start the second host")?, Addresses::of(&peers))
            }
        };
        Ok(started.attached(&ours, opened.kind.to_string(), peer, opened.refused))
    }

    /// A host without a link, for whom its own `lo` will do.
    ///
    /// # Errors
    /// Options that only a link can fulfil; a setting that does not exist.
    pub fn start_alone(&self) -> Result<Host, Failure> {
        let wants = !(self.address.is_empty() && self.gateway.is_empty() && self.dns.is_empty());
        if self.capture.is_some() || wants {
            let failure = Failure::new("--capture, --address, --gateway and --dns need a link");
            return Err(failure.hint("Add --link auto, --tap NAME or --interface NAME."));
        }
        self.start_host(Host::builder().privileged())
    }

    /// Attaches to somebody who is there already.
    fn outside(
        &self,
        name: &str,
        link: Box<dyn Link>,
        carrier: Option<Running>,
    ) -> Result<Attached, Failure> {
        if self.address.is_empty() && !self.dhcp && carrier.is_none() && self.socket.is_none() {
            let hint =
                "Add --dhcp, or --address ADDRESS/LEN, and --gateway ADDRESS for what is not in its network.";
            return Err(Failure::new(format!("{name}: the stack needs an address there")).hint(hint));
        }
        let asks = self.dhcp || self.address.is_empty();
        let started = self.start(link, &self.address, asks)?;
        let mut ours = self.address.clone();
        let mut attached = started.attached(&ours, name.to_owned(), Peer::Outside, Vec::new());
        attached.carrier = carrier;
        if asks {
            let lease = attached.host.wait_for_lease(LEASE_PATIENCE);
            match lease.during(format_args!("{name}: ask for an address by DHCP")) {
                Ok(lease) => ours.push(lease.address),
                Err(failure) => {
                    let words = attached.carrier.as_mut().and_then(Running::last_words);
                    return Err(words.into_iter().fold(failure, |failure, words| failure.hint(words)));
                }
            }
        }
        attached.ours = Addresses::of(&ours);
        Ok(attached)
    }

    fn start(&self, link: Box<dyn Link>, ours: &[IpCidr], asks: bool) -> Result<Started, Failure> {
        // Once there is a link: a command that can't begin leaves no file.
        let otherwise = self.capture_otherwise.as_deref();
        let capture = self.capture.as_ref().map(|path| Capturing::create(path, otherwise)).transpose()?;
        let link = match &capture {
            Some(capture) => capture.tee(link),
            None => link,
        };
        // The stack is the command's own: nobody else's ports are at stake.
        let mut builder = Host::builder().link(link).privileged();
        for address in ours {
            builder = builder.address(*address);
        }
        for gateway in &self.gateway {
            builder = builder.gateway(*gateway);
        }
        for server in &self.dns {
            builder = builder.name_server(*server);
        }
        if asks {
            builder = builder.dhcp();
        }
        let warnings = logger::UntilItEnds::begin();
        let host = self.start_host(builder)?;
        Ok(Started { warnings, host, capture })
    }

    /// Starts it with the settings that were asked for, and has it answer questions. Where nobody has said where, it does
    /// without that rather than not start.
    fn start_host(&self, builder: Builder) -> Result<Host, Failure> {
        let builder = self.with_settings(builder)?;
        let path = match &self.control {
            Some(path) => Some(path.clone()),
            None => control::default_path().inspect_err(|error| info!("no control socket: {error}")).ok(),
        };
        let builder = match path {
            Some(path) => builder.control(path),
            None => builder,
        };
        builder.start().during("start the stack")
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
}

/// A host on its link.
struct Started {
    warnings: logger::UntilItEnds,
    host: Host,
    capture: Option<Capturing>,
}

impl Started {
    fn attached(self, ours: &[IpCidr], link: String, peer: Peer, refused: Vec<Refusal>) -> Attached {
        let Started { warnings, host, capture } = self;
        Attached { warnings, host, ours: Addresses::of(ours), link, peer, refused, capture, carrier: None }
    }
}

/// An address, with a port or without.
fn name_server(text: &str) -> Result<SocketAddr, String> {
    let address = || Some(SocketAddr::new(text.trim_matches(['[', ']']).parse().ok()?, DNS_PORT));
    text.parse().ok().or_else(address).ok_or_else(|| format!("{text:?} is neither ADDRESS nor ADDRESS:PORT"))
}

fn tell_choice(kind: LinkKind, refused: &[Refusal]) {
    eprintln!("{} link {kind}", style("tapsock:").green().bold().for_stderr());
    for refusal in refused {
        eprintln!("  not {refusal}");
    }
}

fn no_link(refused: Vec<Refusal>) -> Failure {
    let reasons: Vec<_> = refused.iter().map(|refusal| refusal.to_string()).collect();
    Failure::new(format!("no link can be opened: {}", reasons.join("; "))).refused(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_has_an_address_and_perhaps_a_port() {
        for (text, expected) in [
            ("10.0.0.1", "10.0.0.1:53"),
            ("10.0.0.1:5353", "10.0.0.1:5353"),
            ("fd00::1", "[fd00::1]:53"),
            ("[fd00::1]", "[fd00::1]:53"),
            ("[fd00::1]:54", "[fd00::1]:54"),
        ] {
            assert_eq!(name_server(text), Ok(expected.parse().unwrap()), "{text}");
        }
        assert!(name_server("dns.example").unwrap_err().contains("ADDRESS:PORT"));
    }

    #[test]
    fn a_link_is_wished_for_by_name() {
        assert_eq!("auto".parse(), Ok(Wish::Auto));
        assert_eq!("packet".parse(), Ok(Wish::Kind(LinkKind::Veth)));
        assert_eq!("tap".parse(), Ok(Wish::Kind(LinkKind::Tap)));
        assert_eq!("passt".parse(), Ok(Wish::Through(UserNet::Passt)));
        assert!("wire".parse::<Wish>().unwrap_err().contains("memory"));
    }
}
