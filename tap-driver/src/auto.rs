//! The best link that this process may use, found by trying.

use std::fmt;
use std::str::FromStr;

use tapsock_stack::iface::IpCidr;

use crate::error::{During, OpenError};
use crate::kernel_end::{IPV6_MIN_MTU, KernelEnd};
use crate::link::Link;
use crate::memory::{MemoryConfig, MemoryLink};
use crate::namespace::Namespace;
use crate::unix::{Framing, UnixLink};

/// The kinds of link, the best first.
///
/// ```
/// use tapsock_driver::auto::LinkKind;
///
/// let kind: LinkKind = "veth".parse().unwrap();
/// assert_eq!(kind, LinkKind::Veth);
/// assert_eq!(LinkKind::ALL.map(|kind| kind.to_string()), ["tap", "veth", "unix", "memory"]);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum LinkKind {
    /// A TAP device in a namespace of its own.
    Tap,
    /// A veth pair in a namespace of its own, with a packet socket on one end.
    Veth,
    /// A pair of local sockets.
    Unix,
    /// A wire in memory.
    Memory,
}

/// A link, and what is at its other end.
///
/// ```
/// use tapsock_driver::KernelEnd;
/// use tapsock_driver::auto::{FarEnd, LinkKind, Opened};
///
/// let opened = Opened::of_kind(LinkKind::Memory, &KernelEnd::new("tap0")).unwrap();
/// assert!(matches!(opened.far_end, FarEnd::Link(_)));
/// ```
pub struct Opened {
    /// Which kind of link it is.
    pub kind: LinkKind,
    /// Our end.
    pub link: Box<dyn Link>,
    /// The other end.
    pub far_end: FarEnd,
    /// The better kinds, and why they can't be used here.
    pub refused: Vec<Refusal>,
    /// Addresses that the kernel's end was to have and has not: those of IPv6, which needs an MTU of
    /// [`IPV6_MIN_MTU`], where it is smaller. Its routes are left out with them.
    pub left_out: Vec<IpCidr>,
}

/// Who is at the other end of a link.
///
/// ```
/// use tapsock_driver::auto::FarEnd;
/// use tapsock_driver::memory::{MemoryConfig, MemoryLink};
///
/// let (_here, there) = MemoryLink::pair(MemoryConfig::default())?;
/// assert!(FarEnd::Link(Box::new(there)).namespace().is_none());
/// # std::io::Result::Ok(())
/// ```
pub enum FarEnd {
    /// The kernel, in this namespace.
    Kernel(Namespace),
    /// Nobody yet: the link's other end, for another stack.
    Link(Box<dyn Link>),
}

/// A kind of link that can't be used here, and why.
///
/// ```
/// use tapsock_driver::auto::{LinkKind, Refusal};
///
/// let refusal = Refusal { kind: LinkKind::Tap, errno: 13, reason: "open /dev/net/tun: …".to_owned() };
/// assert_eq!(refusal.to_string(), "tap: open /dev/net/tun: …");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The kind.
    pub kind: LinkKind,
    /// The errno of the step that failed.
    pub errno: i32,
    /// The step, its error, and what on this machine explains it.
    pub reason: String,
}

impl Opened {
    /// The best link that this process may use. Where the kernel is at the other end, it is set up as `kernel_end`
    /// says, as far as its MTU allows ([`left_out`](Self::left_out)); of the other kinds its MTU alone is used.
    ///
    /// # Errors
    ///
    /// Where there is none at all (EMFILE, say): why not, for each kind.
    pub fn best(kernel_end: &KernelEnd) -> Result<Opened, Vec<Refusal>> {
        let mut refused = Vec::new();
        let namespace = Namespace::create();
        for kind in LinkKind::ALL {
            let opened = match (kind, &namespace) {
                (LinkKind::Tap | LinkKind::Veth, Err(error)) => {
                    refused.push(Refusal::new(kind, error));
                    continue;
                }
                (LinkKind::Tap | LinkKind::Veth, Ok(namespace)) => {
                    Opened::in_namespace(kind, namespace, kernel_end)
                }
                _ => Opened::of_kind(kind, kernel_end),
            };
            match opened {
                Ok(opened) => return Ok(Opened { refused, ..opened }),
                Err(error) => refused.push(Refusal::new(kind, &error)),
            }
        }
        Err(refused)
    }

    /// A link of this kind and no other.
    ///
    /// # Errors
    ///
    /// The step that failed.
    pub fn of_kind(kind: LinkKind, kernel_end: &KernelEnd) -> Result<Opened, OpenError> {
        match kind {
            LinkKind::Tap | LinkKind::Veth => Opened::in_namespace(kind, &Namespace::create()?, kernel_end),
            LinkKind::Unix => {
                let (here, there) = UnixLink::pair(Framing::Vnet, kernel_end.mtu).during("socketpair")?;
                Ok(Opened::pair(kind, here, there))
            }
            LinkKind::Memory => {
                let config = MemoryConfig { mtu: kernel_end.mtu, ..MemoryConfig::default() };
                let (here, there) = MemoryLink::pair(config).during("eventfd")?;
                Ok(Opened::pair(kind, here, there))
            }
        }
    }

    fn in_namespace(
        kind: LinkKind,
        namespace: &Namespace,
        kernel_end: &KernelEnd,
    ) -> Result<Opened, OpenError> {
        let (kernel_end, left_out) = kernel_end.with_what_its_mtu_allows();
        let link: Box<dyn Link> = match kind {
            LinkKind::Tap => Box::new(namespace.open_tap(&kernel_end)?),
            _ => Box::new(namespace.open_veth(&kernel_end)?),
        };
        for cidr in &left_out {
            log::warn!("{kind}: no {cidr}: IPv6 needs an MTU of {IPV6_MIN_MTU}, this is {}", kernel_end.mtu);
        }
        let far_end = FarEnd::Kernel(namespace.clone());
        Ok(Opened { kind, link, far_end, refused: Vec::new(), left_out })
    }

    fn pair(kind: LinkKind, here: impl Link + 'static, there: impl Link + 'static) -> Opened {
        let far_end = FarEnd::Link(Box::new(there));
        Opened { kind, link: Box::new(here), far_end, refused: Vec::new(), left_out: Vec::new() }
    }
}

impl FarEnd {
    /// The kernel's namespace, where the kernel is at the other end.
    pub fn namespace(&self) -> Option<&Namespace> {
        match self {
            FarEnd::Kernel(namespace) => Some(namespace),
            FarEnd::Link(_) => None,
        }
    }
}

impl LinkKind {
    /// All kinds, the best first.
    pub const ALL: [LinkKind; 4] = [LinkKind::Tap, LinkKind::Veth, LinkKind::Unix, LinkKind::Memory];

    /// Its name: `tap`, `veth`, `unix` or `memory`.
    pub const fn name(self) -> &'static str {
        match self {
            LinkKind::Tap => "tap",
            LinkKind::Veth => "veth",
            LinkKind::Unix => "unix",
            LinkKind::Memory => "memory",
        }
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for LinkKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = LinkKind::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| format!("{name:?} is no kind of link: tap, veth, unix, memory"))
    }
}

impl Refusal {
    fn new(kind: LinkKind, error: &OpenError) -> Self {
        Refusal { kind, errno: error.errno(), reason: error.to_string() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.reason)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("kind", &self.kind).field("refused", &self.refused).finish()
    }
}
