//! The two ends of a demonstration.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tapsock::Host;
use tapsock_driver::{IPV6_MIN_MTU, Namespace};

use crate::attach::{Addresses, Attached, Peer};
use crate::failure::Failure;
use crate::kernel_peer;
use crate::logger::UntilItEnds;
use crate::work::{self, Errand, Figures, Service, Watch};

/// One end: it offers services and does errands.
pub trait Side: Send + Sync {
    /// Its address of the family that is wanted.
    fn address(&self, family: Family) -> Result<IpAddr, Failure>;
    /// Offers a service at an address of its own, until what is returned is dropped, or longer.
    fn serve(&self, service: Service, at: IpAddr, watch: &Watch) -> Result<Offer, Failure>;
    /// Does an errand.
    fn run(&self, errand: &Errand, watch: &Watch) -> Result<Figures, Failure>;
}

/// A service that is there.
pub struct Offer {
    /// Where.
    pub at: SocketAddr,
    /// What keeps it there.
    _keep: Option<Box<dyn Any>>,
}

/// IPv4 or IPv6.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// `ipv4` or `ipv6`.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        }
    }

    /// `IPv4` or `IPv6`.
    pub fn title(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    fn pick(self, addresses: Addresses) -> Result<IpAddr, Failure> {
        let address = match self {
            Family::V4 => addresses.v4.map(IpAddr::V4),
            Family::V6 => addresses.v6.map(IpAddr::V6),
        };
        address.ok_or_else(|| Failure::new(format!("no {} address", self.title())))
    }
}

/// Both ends, and the link between them.
pub struct Lab {
    warnings: UntilItEnds,
    /// The stack.
    pub ours: Arc<dyn Side>,
    /// Who is at the other end.
    pub peer: Arc<dyn Side>,
    hosts: Vec<Host>,
}

impl Lab {
    /// Both ends of what was attached.
    ///
    /// # Errors
    /// Where nobody known is at the other end.
    pub fn new(attached: Attached) -> Result<Lab, Failure> {
        let Attached { warnings, host, ours, peer, .. } = attached;
        let mut hosts = vec![host.clone()];
        let ours = StackSide { host, addresses: ours };
        let peer: Arc<dyn Side> = match peer {
            Peer::Kernel(namespace, addresses) => Arc::new(KernelSide { namespace, addresses }),
            Peer::Host(host, addresses) => {
                hosts.push(host.clone());
                Arc::new(StackSide { host, addresses })
            }
            Peer::Outside => return Err(Failure::new("nobody known is at the other end of the link")),
        };
        Ok(Lab { warnings, ours: Arc::new(ours), peer, hosts })
    }

    /// Ends all services of the hosts.
    pub fn shut_down(self) {
        // The first to go leaves the other with a link that is gone.
        drop(self.warnings);
        for host in self.hosts {
            host.shutdown();
        }
    }
}

struct StackSide {
    host: Host,
    addresses: Addresses,
}

impl Side for StackSide {
    fn address(&self, family: Family) -> Result<IpAddr, Failure> {
        family.pick(self.addresses)
    }

    fn serve(&self, service: Service, at: IpAddr, watch: &Watch) -> Result<Offer, Failure> {
        let at = work::serve(&self.host, service, at, watch)?;
        Ok(Offer { at, _keep: None })
    }

    fn run(&self, errand: &Errand, watch: &Watch) -> Result<Figures, Failure> {
        work::run(&self.host, errand, watch)
    }
}

struct KernelSide {
    namespace: Namespace,
    addresses: Addresses,
}

impl Side for KernelSide {
    fn address(&self, family: Family) -> Result<IpAddr, Failure> {
        // It was given both, unless its MTU did not allow it.
        family.pick(self.addresses).map_err(|failure| {
            Failure::new(format!(
                "{} at the kernel's end: IPv6 needs an MTU of {IPV6_MIN_MTU}",
                failure.reason()
            ))
        })
    }

    fn serve(&self, service: Service, at: IpAddr, _watch: &Watch) -> Result<Offer, Failure> {
        let serving = kernel_peer::serve(&self.namespace, service, at)?;
        Ok(Offer { at: serving.at, _keep: Some(Box::new(serving)) })
    }

    fn run(&self, errand: &Errand, _watch: &Watch) -> Result<Figures, Failure> {
        kernel_peer::run(&self.namespace, errand)
    }
}
