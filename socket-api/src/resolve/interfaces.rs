//! The interfaces of a host, as name resolution sees them.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::io::Errno;
use tapsock_stack::iface::IpCidr;

use super::dns::{AddressType, Found};
use super::error::EaiError;
use super::order::Source;

/// An interface.
///
/// ```
/// use tapsock::resolve::{Interface, if_nametoindex};
///
/// let interfaces = [Interface { index: 2, name: "tap0".to_owned(), addresses: vec![] }];
/// assert_eq!(if_nametoindex(&interfaces, "tap0"), Ok(2));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Its index, from one.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpCidr>,
}

/// if_nametoindex(3). Errors: ENODEV where no interface has that name.
pub fn if_nametoindex(interfaces: &[Interface], name: &str) -> Result<u32, Errno> {
    interfaces.iter().find(|interface| interface.name == name).map(|found| found.index).ok_or(Errno::NODEV)
}

/// if_indextoname(3). Errors: ENXIO where no interface has that index.
///
/// ```
/// use tapsock::Errno;
///
/// assert_eq!(tapsock::resolve::if_indextoname(&[], 1), Err(Errno::NXIO));
/// ```
pub fn if_indextoname(interfaces: &[Interface], index: u32) -> Result<&str, Errno> {
    interfaces
        .iter()
        .find(|interface| interface.index == index)
        .map(|found| found.name.as_str())
        .ok_or(Errno::NXIO)
}

/// What name resolution asks of a host: its interfaces, and how it would reach a destination.
///
/// ```
/// use tapsock::resolve::{Hints, LocalNet, Names, getaddrinfo};
///
/// let found = getaddrinfo(&Names::builtin(), &LocalNet::none(), Some("::1"), None, Some(&Hints::default()));
/// assert_eq!(found.unwrap()[0].address, "[::1]:0".parse().unwrap());
/// ```
#[derive(Copy, Clone)]
pub struct LocalNet<'a> {
    /// All interfaces.
    pub interfaces: &'a [Interface],
    /// The source that a datagram to a destination would have; `None` where it has none or there is no route. Without
    /// the function, addresses stay in the order they were found in.
    pub source: Option<&'a dyn Fn(SocketAddr) -> Option<Source>>,
    /// What name servers say of a name that the hosts file does not have; without the function there are none.
    pub dns: Option<&'a AskDns<'a>>,
}

/// Asks name servers for the addresses of a name, of these types.
pub type AskDns<'a> = dyn Fn(&str, &[AddressType]) -> Result<Found, EaiError> + 'a;

impl LocalNet<'_> {
    /// No host: no interfaces, and nothing is sorted.
    pub const fn none() -> LocalNet<'static> {
        LocalNet { interfaces: &[], source: None, dns: None }
    }

    /// Whether there is an IPv4 address other than 127.0.0.1, and an IPv6 address other than ::1.
    pub(super) fn families(&self) -> (bool, bool) {
        let addresses = || self.interfaces.iter().flat_map(|interface| &interface.addresses);
        let is = |wanted: fn(IpAddr) -> bool| addresses().any(|cidr| wanted(cidr.address));
        (
            is(|address| address.is_ipv4() && address != IpAddr::V4(Ipv4Addr::LOCALHOST)),
            is(|address| address.is_ipv6() && !address.is_loopback()),
        )
    }
}

impl fmt::Debug for LocalNet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalNet")
            .field("interfaces", &self.interfaces)
            .field("sorts", &self.source.is_some())
            .field("asks", &self.dns.is_some())
            .finish()
    }
}
