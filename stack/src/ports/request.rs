//! What a socket asks of the table of ports, and why it may be refused.

use core::fmt;

use super::LocalAddr;
use crate::config::PortRange;
use crate::iface::InterfaceId;

/// The protocols that have ports. Each has 65,535 of its own.
///
/// ```
/// use tapsock_stack::ports::Transport;
///
/// assert_ne!(Transport::Tcp, Transport::Udp);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

/// Which options of a socket let others have its port too.
///
/// ```
/// use tapsock_stack::ports::Reuse;
///
/// assert_eq!(Reuse::default(), Reuse { address: false, port: false });
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Hash)]
pub struct Reuse {
    /// `SO_REUSEADDR`.
    pub address: bool,
    /// `SO_REUSEPORT`.
    pub port: bool,
}

/// Bounds of the ports that a socket is given where it asks for none, as far as they lie in the host's range. Zero is no
/// bound.
///
/// ```
/// use tapsock_stack::config::PortRange;
/// use tapsock_stack::ports::PortLimits;
///
/// let limits = PortLimits { low: 40_000, high: 0 };
/// assert_eq!(limits.within(PortRange::DEFAULT), PortRange::new(40_000, 60_999).unwrap());
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Hash)]
pub struct PortLimits {
    /// The first port.
    pub low: u16,
    /// The last.
    pub high: u16,
}

impl PortLimits {
    /// What is left of the host's range.
    pub fn within(self, host: PortRange) -> PortRange {
        let inside = |port: u16| (host.first()..=host.last()).contains(&port);
        let first = if inside(self.low) { self.low } else { host.first() };
        let last = if inside(self.high) { self.high } else { host.last() };
        PortRange::new(first, last).unwrap_or(host)
    }
}

/// What `bind` asks for.
///
/// ```
/// use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
///
/// let request = BindRequest { port: 8080, ..BindRequest::new(Transport::Tcp, LocalAddr::AnyV4) };
/// assert!(!request.reuse_address);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct BindRequest {
    /// Whose port.
    pub protocol: Transport,
    /// The address, one of the host's.
    pub address: LocalAddr,
    /// The port, in host byte order; 0 for any that is free.
    pub port: u16,
    /// `SO_REUSEADDR`.
    pub reuse_address: bool,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// The only interface that the socket is to use; those of different interfaces share ports (`SO_BINDTODEVICE`).
    pub device: Option<InterfaceId>,
    /// Where any port will do, from which it is to be (`IP_LOCAL_PORT_RANGE`).
    pub range: PortLimits,
    /// Whether the address need not be ours, yet (`IP_FREEBIND`).
    pub foreign: bool,
    /// Whether ports below `net.ipv4.ip_unprivileged_port_start` are granted.
    pub privileged: bool,
}

impl BindRequest {
    /// A request for any free port, without options.
    pub fn new(protocol: Transport, address: LocalAddr) -> Self {
        BindRequest {
            protocol,
            address,
            port: 0,
            reuse_address: false,
            reuse_port: false,
            device: None,
            range: PortLimits::default(),
            foreign: false,
            privileged: false,
        }
    }

    /// The two options in one.
    pub fn reuse(&self) -> Reuse {
        Reuse { address: self.reuse_address, port: self.reuse_port }
    }
}

/// Why an address was not bound.
///
/// ```
/// use tapsock_stack::ports::BindError;
///
/// assert_eq!(BindError::AddressInUse.to_string(), "address in use");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum BindError {
    /// Somebody has the port, or no port is left (EADDRINUSE).
    AddressInUse,
    /// The address is none of the host's (EADDRNOTAVAIL).
    AddressNotAvailable,
    /// The port is reserved (EACCES).
    Permission,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BindError::AddressInUse => "address in use",
            BindError::AddressNotAvailable => "address not available",
            BindError::Permission => "port is reserved",
        })
    }
}

impl core::error::Error for BindError {}
