//! The kernel's end of a link: its addresses, MTU and routes, and the settings of its namespace.

use std::ffi::{CStr, CString, c_int};
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use tapsock_stack::iface::IpCidr;

use crate::error::{During, OpenError};
use crate::namespace::Namespace;
use crate::rtnl::{DeviceChange, Route, Rtnl, Watcher};
use crate::sys;

/// Bytes of a setting that are read at most.
const SYSCTL_LEN: u64 = 4096;

/// Smallest MTU with which IPv6 works, in bytes: RFC 8200 §5. Below it the kernel has no IPv6 on a device.
pub const IPV6_MIN_MTU: usize = 1280;

/// How the kernel's end of a TAP device or a veth pair is to be set up.
///
/// ```
/// use tapsock_driver::KernelEnd;
///
/// let kernel_end = KernelEnd::new("tap0")
///     .address("10.7.0.1/24".parse().unwrap())
///     .address("fd07::1/64".parse().unwrap())
///     .sysctl("net.ipv4.tcp_sack", "0");
/// assert_eq!((kernel_end.mtu, kernel_end.addresses.len()), (1500, 2));
/// ```
#[derive(Clone, Debug)]
pub struct KernelEnd {
    /// The device's name, of at most 15 bytes.
    pub name: String,
    /// Largest IP packet, in bytes: 68 to 65,521. Below 1,280 the kernel switches IPv6 off.
    pub mtu: usize,
    /// The kernel's addresses on it. They can be used at once: duplicates are not looked for.
    pub addresses: Vec<IpCidr>,
    /// Networks that the kernel reaches over the device, besides those of its addresses.
    pub routes: Vec<KernelRoute>,
    /// Frames that wait for us in the device. It gives no push-back: what finds no room is lost.
    pub txqueuelen: u32,
    /// What the kernel's TCP uses over the link, where the kernel has that algorithm: the namespace's default,
    /// `net.ipv4.tcp_congestion_control`, or else that of each route over the link.
    pub congestion_control: Option<String>,
    /// Further settings of the namespace, by name and value: `net.ipv4.tcp_sack`. A name with a dot inside of a
    /// component (`net/ipv4/conf/eth0.1/…`) is written with slashes, as sysctl(8) has it.
    pub sysctls: Vec<(String, String)>,
}

/// A network that the kernel reaches over a link.
///
/// ```
/// use tapsock_driver::KernelRoute;
///
/// let default =
///     KernelRoute { destination: "0.0.0.0/0".parse().unwrap(), gateway: "10.7.0.2".parse().ok() };
/// assert!(default.gateway.is_some());
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct KernelRoute {
    /// The network.
    pub destination: IpCidr,
    /// Who forwards to it; `None` where its hosts are on the link.
    pub gateway: Option<IpAddr>,
}

impl KernelEnd {
    /// A device of MTU 1,500 without addresses, with a queue of 10,000 frames, its TCP on CUBIC.
    pub fn new(name: &str) -> Self {
        KernelEnd {
            name: name.to_owned(),
            mtu: 1500,
            addresses: Vec::new(),
            routes: Vec::new(),
            txqueuelen: 10_000,
            congestion_control: Some("cubic".to_owned()),
            sysctls: Vec::new(),
        }
    }

    /// Adds an address.
    pub fn address(mut self, cidr: IpCidr) -> Self {
        self.addresses.push(cidr);
        self
    }

    /// Adds a route.
    pub fn route(mut self, destination: IpCidr, gateway: Option<IpAddr>) -> Self {
        self.routes.push(KernelRoute { destination, gateway });
        self
    }

    /// Sets the MTU, in bytes.
    pub fn mtu(mut self, mtu: usize) -> Self {
        self.mtu = mtu;
        self
    }

    /// Adds a setting of the namespace.
    pub fn sysctl(mut self, name: &str, value: &str) -> Self {
        self.sysctls.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without IPv6 where the MTU is too small for that, and the addresses that are left out.
    pub(crate) fn with_what_its_mtu_allows(&self) -> (KernelEnd, Vec<IpCidr>) {
        let mut allowed = self.clone();
        if self.mtu >= IPV6_MIN_MTU {
            return (allowed, Vec::new());
        }
        let (left_out, addresses) = self.addresses.iter().partition(|cidr| cidr.address.is_ipv6());
        allowed.addresses = addresses;
        allowed.routes.retain(|route| route.destination.address.is_ipv4());
        (allowed, left_out)
    }

    /// Sets up a device of the calling process's own network namespace, which is there already: for programs that
    /// were started inside of a namespace of theirs.
    ///
    /// # Errors
    ///
    /// ENODEV where there is no such device, EPERM without CAP_NET_ADMIN; or the step that failed.
    pub fn set_up(&self) -> Result<(), OpenError> {
        self.configure(Place::Here, &self.name)
    }

    /// Sets the device `name` up as described, and waits until the kernel has done all of it.
    pub(crate) fn configure(&self, place: Place<'_>, name: &str) -> Result<(), OpenError> {
        let mut rtnl = place.rtnl()?;
        let mut watcher = place.watcher()?;
        let index = rtnl.device(name).during("RTM_GETLINK")?.index;
        let change = DeviceChange { mtu: Some(self.mtu as u32), txqueuelen: Some(self.txqueuelen), flags: 0 };
        rtnl.change(index, change).during(format!("MTU {} and queue of {name}", self.mtu))?;
        let congestion_control = self.apply_sysctls(place, name)?;
        for cidr in &self.addresses {
            let added = rtnl.add_address(index, *cidr).during(format!("address {cidr} on {name}"));
            let too_small = cidr.address.is_ipv6() && self.mtu < IPV6_MIN_MTU;
            let hint = format!("IPv6 needs an MTU of {IPV6_MIN_MTU}, this is {}", self.mtu);
            added.map_err(|error| error.because(too_small.then_some(hint)))?;
        }
        let up = DeviceChange { flags: libc::IFF_UP, ..DeviceChange::default() };
        rtnl.change(index, up).during(format!("{name} up"))?;
        for cidr in &self.addresses {
            let local = watcher.wait_until(|| rtnl.is_local(cidr.address));
            local.during(format!("wait for address {cidr} on {name}"))?;
        }
        for route in self.routes(congestion_control) {
            rtnl.set_route(index, &route).during(format!("route to {}", route.destination))?;
        }
        Ok(())
    }

    /// The routes that were asked for; and those to the networks of the addresses, where the kernel's own are not
    /// as they should be.
    fn routes<'a>(&'a self, congestion_control: Option<&'a str>) -> impl Iterator<Item = Route<'a>> {
        let connected =
            self.addresses.iter().filter(move |cidr| congestion_control.is_some() && !cidr.is_host());
        let connected = connected.map(move |cidr| Route {
            destination: *cidr,
            gateway: None,
            source: Some(cidr.address).filter(IpAddr::is_ipv4),
            congestion_control,
        });
        connected.chain(self.routes.iter().map(move |KernelRoute { destination, gateway }| Route {
            destination: *destination,
            gateway: *gateway,
            source: None,
            congestion_control,
        }))
    }

    /// Gives the congestion control that each route is to have, where the namespace may not have it as its default.
    fn apply_sysctls(&self, place: Place<'_>, name: &str) -> Result<Option<&str>, OpenError> {
        // For the link-local address, which the kernel makes itself. Without IPv6 there is no such setting.
        let _ = place.set_sysctl(&format!("net/ipv6/conf/{name}/accept_dad"), "0");
        for (setting, value) in &self.sysctls {
            place.set_sysctl(setting, value).during(format!("sysctl {setting}={value}"))?;
        }
        let Some(algorithm) = self.congestion_control.as_deref() else {
            return Ok(None);
        };
        match place.set_sysctl("net.ipv4.tcp_congestion_control", algorithm) {
            Ok(()) => Ok(None),
            // It is not among the machine's net.ipv4.tcp_allowed_congestion_control.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Some(algorithm)),
            Err(error) => {
                log::info!("kernel end of {name}: no congestion control {algorithm}: {error}");
                Ok(None)
            }
        }
    }
}

/// Whose network is meant: descriptors belong to the one that they were made in.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Place<'a> {
    /// This process's.
    Here,
    /// That of a namespace.
    In(&'a Namespace),
}

impl Place<'_> {
    pub(crate) fn socket(&self, domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
        match self {
            Place::Here => sys::socket(domain, kind, protocol),
            Place::In(namespace) => namespace.socket(domain, kind, protocol),
        }
    }

    pub(crate) fn open(&self, path: &CStr, flags: c_int) -> io::Result<OwnedFd> {
        match self {
            Place::Here => sys::open(path, flags),
            Place::In(namespace) => namespace.open(path, flags),
        }
    }

    pub(crate) fn rtnl(&self) -> Result<Rtnl, OpenError> {
        Ok(Rtnl::new(self.netlink_socket()?))
    }

    pub(crate) fn watcher(&self) -> Result<Watcher, OpenError> {
        Watcher::new(self.netlink_socket()?).during("NETLINK_ADD_MEMBERSHIP")
    }

    fn netlink_socket(&self) -> Result<OwnedFd, OpenError> {
        self.socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE).during("socket(AF_NETLINK)")
    }

    pub(crate) fn sysctl(&self, name: &str) -> io::Result<String> {
        let mut value = String::new();
        let file = File::from(self.open(&sysctl_path(name)?, libc::O_RDONLY)?);
        file.take(SYSCTL_LEN).read_to_string(&mut value)?;
        value.truncate(value.trim_end().len());
        Ok(value)
    }

    pub(crate) fn set_sysctl(&self, name: &str, value: &str) -> io::Result<()> {
        sys::write(self.open(&sysctl_path(name)?, libc::O_WRONLY)?.as_fd(), value.as_bytes())
    }
}

fn sysctl_path(name: &str) -> io::Result<CString> {
    let relative = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    let outside = relative.split('/').any(|component| component == ".." || component.is_empty());
    match CString::new(format!("/proc/sys/{relative}")) {
        Ok(path) if !outside => Ok(path),
        _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_named_with_dots_or_slashes() {
        assert_eq!(sysctl_path("net.ipv4.tcp_sack").unwrap(), *c"/proc/sys/net/ipv4/tcp_sack");
        assert_eq!(sysctl_path("net/ipv4/conf/eth0.1/x").unwrap(), *c"/proc/sys/net/ipv4/conf/eth0.1/x");
    }

    #[test]
    fn a_small_mtu_leaves_ipv6_out() {
        let end = KernelEnd::new("tap0")
            .address("10.7.0.1/24".parse().unwrap())
            .address("fd07::1/64".parse().unwrap())
            .route("0.0.0.0/0".parse().unwrap(), "10.7.0.2".parse().ok())
            .route("::/0".parse().unwrap(), "fd07::2".parse().ok());
        let (allowed, left_out) = end.clone().mtu(IPV6_MIN_MTU).with_what_its_mtu_allows();
        assert_eq!((allowed.addresses.len(), allowed.routes.len(), left_out), (2, 2, vec![]));
        let (allowed, left_out) = end.mtu(IPV6_MIN_MTU - 1).with_what_its_mtu_allows();
        assert_eq!(allowed.addresses, ["10.7.0.1/24".parse().unwrap()]);
        assert_eq!((allowed.routes.len(), left_out), (1, vec!["fd07::1/64".parse().unwrap()]));
    }

    #[test]
    fn a_name_can_not_leave_the_settings() {
        for name in ["../../etc/passwd", "net/../../x", "", "a..b", "a\0b"] {
            assert!(sysctl_path(name).is_err(), "{name:?}");
        }
    }
}
