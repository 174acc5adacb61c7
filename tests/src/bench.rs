//! A host of ours and the kernel, at the two ends of a link, in a namespace of the test's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tapsock::{Builder, Counter, Host};
use tapsock_driver::auto::LinkKind;
use tapsock_driver::drops::LinkDrops;
use tapsock_driver::{KernelEnd, Link, Namespace, OpenError, RecvHalf, SendHalf};
use tapsock_stack::wire::offload::LinkCaps;

use crate::programs;
use crate::sides::Side;

/// The kernel's addresses.
pub const KERNEL_V4: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
/// The kernel's addresses.
pub const KERNEL_V6: Ipv6Addr = Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, 1);
/// Our addresses.
pub const OURS_V4: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
/// Our addresses.
pub const OURS_V6: Ipv6Addr = Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, 2);
/// The kernel's device.
pub const DEVICE: &str = "tap0";
/// Below it an interface has no IPv6 (RFC 8200 §5), in bytes.
const IPV6_MIN_MTU: usize = 1280;

/// Which Internet protocol a test speaks.
///
/// ```
/// use tapsock_tests::bench::Family;
///
/// assert_eq!(Family::ALL, [Family::V4, Family::V6]);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];
}

/// What a [`Bench`] is to be.
///
/// ```
/// use tapsock_tests::bench::{Family, Setup};
///
/// let setup = Setup::new().mtu(576).sysctl("net.ipv4.tcp_sack", "0");
/// assert_eq!(setup.families(), &[Family::V4], "too small for IPv6");
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is opened"]
pub struct Setup {
    kernel_end: KernelEnd,
    settings: Vec<(String, String)>,
    offload: Offload,
    gateway: Gateway,
    privileges: Privileges,
    /// The best first.
    kinds: &'static [LinkKind],
}

/// What our host's sockets may do.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Privileges {
    Ordinary,
    All,
}

/// Whether there is a network behind the kernel.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Gateway {
    None,
    Kernel,
}

/// Who cuts and sums.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Offload {
    Link,
    Stack,
}

/// A host of ours, and the kernel at the other end of its link.
///
/// ```
/// use tapsock_tests::bench::{Family, Setup};
/// use tapsock_tests::sides::Side;
///
/// let Some(bench) = Setup::new().open() else { return };
/// assert_ne!(bench.address(Side::Ours, Family::V6), bench.address(Side::Kernel, Family::V6));
/// ```
#[derive(Debug)]
pub struct Bench {
    /// Our end.
    pub host: Host,
    /// The kernel's.
    pub namespace: Namespace,
    caps: LinkCaps,
}

impl Setup {
    /// An MTU of 1,500 bytes, both families, all offloads.
    pub fn new() -> Setup {
        Setup {
            kernel_end: KernelEnd::new(DEVICE),
            settings: Vec::new(),
            offload: Offload::Link,
            gateway: Gateway::None,
            privileges: Privileges::Ordinary,
            kinds: &[LinkKind::Tap, LinkKind::Veth],
        }
    }

    /// Has no link but a veth pair, with a packet socket at our end.
    pub fn over_veth(mut self) -> Setup {
        self.kinds = &[LinkKind::Veth];
        self
    }

    /// Sets the MTU of both ends.
    pub fn mtu(mut self, mtu: usize) -> Setup {
        self.kernel_end = self.kernel_end.mtu(mtu);
        self
    }

    /// A setting of the kernel's.
    pub fn sysctl(mut self, name: &str, value: &str) -> Setup {
        self.kernel_end = self.kernel_end.sysctl(name, value);
        self
    }

    /// The congestion control of the kernel's TCP, where it has that.
    pub fn congestion_control(mut self, algorithm: &str) -> Setup {
        self.kernel_end.congestion_control = Some(algorithm.to_owned());
        self
    }

    /// A setting of ours.
    pub fn setting(mut self, name: &str, value: &str) -> Setup {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets our sockets be raw, as the kernel's are in the namespace.
    pub fn privileged(mut self) -> Setup {
        self.privileges = Privileges::All;
        self
    }

    /// Has us send to the kernel what is for other networks.
    pub fn through_the_kernel(mut self) -> Setup {
        self.gateway = Gateway::Kernel;
        self
    }

    /// Leaves nothing to the link: neither end sends frames larger than the MTU, and ours fills in its checksums.
    pub fn without_offloads(mut self) -> Setup {
        self.offload = Offload::Stack;
        self
    }

    /// What an MTU as large as this carries.
    pub fn families(&self) -> &'static [Family] {
        if self.kernel_end.mtu < IPV6_MIN_MTU { &[Family::V4] } else { &Family::ALL }
    }

    /// Opens the best link to the kernel that this machine allows; says why there is none, and that the test is
    /// skipped. So it does where ip(8) is not installed, and sets up a part of this.
    pub fn open(&self) -> Option<Bench> {
        self.open_with(|link| link)
    }

    /// As [`open`](Self::open), with something between our end and the link, such as a capture.
    pub fn open_with<L: Link + 'static>(&self, between: impl Fn(Box<dyn Link>) -> L) -> Option<Bench> {
        if self.needs_ip() {
            programs::find("ip")?;
        }
        let mut last = None;
        for kind in self.kinds {
            match self.try_open(*kind) {
                Ok((link, namespace)) => return Some(self.start(between(link), namespace)),
                Err(error) => last = Some(error),
            }
        }
        skipped_for(last?)
    }

    /// A bench whose link is given, and whose kernel end is set up already.
    pub fn start(&self, link: impl Link + 'static, namespace: Namespace) -> Bench {
        let caps = link.caps();
        let host = self.builder(link).start().expect("the host starts");
        Bench { host, namespace, caps }
    }

    /// A host with our addresses, to be changed before it is started.
    pub fn builder(&self, link: impl Link + 'static) -> Builder {
        let addressed = match self.privileges {
            Privileges::Ordinary => Host::builder(),
            Privileges::All => Host::builder().privileged(),
        };
        let addressed = addressed.link(link);
        let addressed = self.families().iter().fold(addressed, |builder, family| match family {
            Family::V4 => builder.address(format!("{OURS_V4}/24").parse().expect("an address")),
            Family::V6 => builder.address(format!("{OURS_V6}/64").parse().expect("an address")),
        });
        let addressed = match self.gateway {
            Gateway::Kernel => addressed.gateway(KERNEL_V4.into()).gateway(KERNEL_V6.into()),
            Gateway::None => addressed,
        };
        self.settings.iter().fold(addressed, |builder, (name, value)| builder.setting(name, value))
    }

    /// Whether ip(8) is run for this: for the segments that the kernel makes, and for
    /// [what is behind it](crate::far::behind).
    fn needs_ip(&self) -> bool {
        self.offload == Offload::Stack || self.gateway == Gateway::Kernel
    }

    fn try_open(&self, kind: LinkKind) -> Result<(Box<dyn Link>, Namespace), OpenError> {
        let namespace = Namespace::create()?;
        let kernel_end = self.families().iter().fold(self.kernel_end.clone(), |end, family| match family {
            Family::V4 => end.address(format!("{KERNEL_V4}/24").parse().expect("an address")),
            Family::V6 => end.address(format!("{KERNEL_V6}/64").parse().expect("an address")),
        });
        let link: Box<dyn Link> = match kind {
            LinkKind::Tap => Box::new(namespace.open_tap(&kernel_end)?),
            _ => Box::new(namespace.open_veth(&kernel_end)?),
        };
        if self.offload == Offload::Link {
            return Ok((link, namespace));
        }
        let whole_segments = ["link", "set", DEVICE, "gso_max_segs", "1"];
        let set = namespace.command("ip").args(whole_segments).status().expect("ip runs");
        assert!(set.success(), "ip {whole_segments:?}");
        Ok((Box::new(Plain(link)), namespace))
    }
}

impl Default for Setup {
    fn default() -> Self {
        Setup::new()
    }
}

impl Bench {
    /// The address of that side.
    pub fn address(&self, side: Side, family: Family) -> IpAddr {
        address(side, family)
    }

    /// A port of that side.
    pub fn at(&self, side: Side, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(address(side, family), port)
    }

    /// What the link does for the stack.
    pub fn caps(&self) -> LinkCaps {
        self.caps
    }

    /// How often our end has counted that.
    pub fn count(&self, counter: Counter) -> u64 {
        self.host.counters()[counter]
    }

    /// Runs a program in the kernel's namespace; says what it printed where it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.namespace.command(program).args(arguments).output().expect("it can be started");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{program} {arguments:?}: {}\n{out}{err}", output.status);
        out.into_owned()
    }
}

/// The address of that side.
pub fn address(side: Side, family: Family) -> IpAddr {
    match (side, family) {
        (Side::Ours, Family::V4) => OURS_V4.into(),
        (Side::Ours, Family::V6) => OURS_V6.into(),
        (Side::Kernel, Family::V4) => KERNEL_V4.into(),
        (Side::Kernel, Family::V6) => KERNEL_V6.into(),
    }
}

/// Says why a test can't run on this machine. Fails where the reason is none of the machine's.
pub fn skipped_for<T>(error: OpenError) -> Option<T> {
    // EPERM, ENOENT, EACCES, ENODEV, EINVAL, ENOSPC, EUSERS, EOPNOTSUPP: what machines refuse namespaces and devices
    // with.
    const REFUSALS: [i32; 8] = [1, 2, 13, 19, 22, 28, 87, 95];
    assert!(REFUSALS.contains(&error.errno()), "{error}");
    println!("skipped: {error}");
    None
}

/// A link that is said to have no offloads, so that the stack does that work.
struct Plain(Box<dyn Link>);

impl Link for Plain {
    fn caps(&self) -> LinkCaps {
        let caps = self.0.caps();
        LinkCaps::plain(caps.medium, caps.mtu)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn drops(&self) -> LinkDrops {
        self.0.drops()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        self.0.split()
    }
}
