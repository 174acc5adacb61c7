//! One interface: its link, its addresses, and what it listens to.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::IpCidr;
use super::interfaces::IPV6_MIN_MTU;
use super::slaac::{join, of_station};
use crate::wire::EthernetAddress;
use crate::wire::ndp::{is_solicited_node, solicited_node};
use crate::wire::offload::{LinkCaps, Medium};

/// Addresses that one interface can have.
pub const MAX_ADDRESSES: usize = 64;

/// Groups that one interface can be in.
pub const MAX_JOINED: usize = 1024;

/// An interface's number, counted from zero in the order of their making.
///
/// ```
/// use tapsock_stack::iface::InterfaceId;
///
/// assert_eq!(InterfaceId::LOOPBACK, InterfaceId(0));
/// assert_eq!(InterfaceId::from_index(InterfaceId(3).index()), Some(InterfaceId(3)));
/// assert_eq!(InterfaceId::from_index(0), None);
/// assert_eq!(InterfaceId(3).to_string(), "if3");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct InterfaceId(pub u8);

impl InterfaceId {
    /// `lo`, which every stack has.
    pub const LOOPBACK: InterfaceId = InterfaceId(0);

    /// The number that applications know it by (`if_nametoindex`, `sin6_scope_id`): `lo` has 1, as on Linux.
    pub const fn index(self) -> u32 {
        self.0 as u32 + 1
    }

    /// The interface that applications know by `index`; there may be none. Zero names none (`sin6_scope_id` 0).
    pub const fn from_index(index: u32) -> Option<InterfaceId> {
        match index {
            1..=256 => Some(InterfaceId((index - 1) as u8)),
            _ => None,
        }
    }
}

impl fmt::Display for InterfaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "if{}", self.0)
    }
}

/// Whether frames pass.
///
/// ```
/// use tapsock_stack::iface::LinkState;
///
/// assert_ne!(LinkState::Up, LinkState::Down);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum LinkState {
    /// They do.
    Up,
    /// They do not, and routes over the link fail with ENETDOWN.
    Down,
}

/// Whether an address should be used for new connections (RFC 4862 §2).
///
/// ```
/// use tapsock_stack::iface::Preference;
///
/// assert_eq!(Preference::default(), Preference::Preferred);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Preference {
    /// It should.
    #[default]
    Preferred,
    /// It should not where there is another: it is about to go.
    Deprecated,
}

/// An address of an interface.
///
/// ```
/// use tapsock_stack::iface::{AssignedAddress, Preference};
///
/// let assigned = AssignedAddress::new("10.0.0.1/24".parse()?);
/// assert_eq!((assigned.cidr.prefix_len, assigned.preference), (24, Preference::Preferred));
/// # Ok::<(), tapsock_stack::iface::CidrError>(())
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct AssignedAddress {
    /// The address and the network that is on the link.
    pub cidr: IpCidr,
    /// Whether it should be used for new connections.
    pub preference: Preference,
    /// Whether its network is on the link because of it.
    pub on_link: bool,
    /// Whether it lasts.
    pub stay: Stay,
}

impl AssignedAddress {
    /// An address that lasts, with its network on the link.
    pub const fn new(cidr: IpCidr) -> Self {
        AssignedAddress { cidr, preference: Preference::Preferred, on_link: true, stay: Stay::Lasting }
    }
}

/// Whether an address lasts, or is one of those that are changed so that nobody follows their host (RFC 8981).
///
/// ```
/// use tapsock_stack::iface::{AssignedAddress, Stay};
///
/// assert_eq!(AssignedAddress::new("fd00::1/64".parse().unwrap()).stay, Stay::Lasting);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Stay {
    /// It lasts.
    Lasting,
    /// It is temporary, and taken where a socket asks for such or there is no other.
    Temporary,
    /// It is temporary, and goes before those that last (`use_tempaddr` 2).
    TemporaryFirst,
}

/// A place where frames come in and go out.
///
/// Interfaces are made by [`Interfaces::add`](super::Interfaces::add).
///
/// ```
/// use tapsock_stack::iface::Interfaces;
/// use tapsock_stack::wire::EthernetAddress;
/// use tapsock_stack::wire::offload::{LinkCaps, Medium};
///
/// let mut interfaces = Interfaces::new();
/// let hardware = EthernetAddress([2, 0, 0, 0, 0, 1]);
/// let id = interfaces.add("tap0", hardware, LinkCaps::plain(Medium::Ethernet, 1500))?;
/// let tap0 = interfaces.interface(id).unwrap();
/// assert_eq!((tap0.name(), tap0.caps().mtu), ("tap0", 1500));
/// assert!(tap0.accepts_frame(EthernetAddress::BROADCAST));
/// # Ok::<(), tapsock_stack::iface::InterfaceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Interface {
    id: InterfaceId,
    name: String,
    caps: LinkCaps,
    hardware: EthernetAddress,
    link: LinkState,
    addresses: Vec<AssignedAddress>,
    /// Groups that were joined, and how often each; sorted.
    joined: Vec<(IpAddr, u32)>,
    /// Link addresses of the groups that the interface is in, sorted; follows from `addresses` and `joined`.
    group_frames: Vec<EthernetAddress>,
    /// Largest IPv6 packet, in bytes, where a router says that it is less than the link's.
    ipv6_mtu: Option<usize>,
    /// Largest packet, in bytes, where a lease says that it is less than the link's.
    leased_mtu: Option<usize>,
    /// IPv6's hop limit, where a router tells one.
    hop_limit: Option<u8>,
    /// Whether it passes IPv4 on, and IPv6.
    routes: [bool; 2],
}

impl Interface {
    pub(super) fn new(id: InterfaceId, name: &str, hardware: EthernetAddress, caps: LinkCaps) -> Self {
        let mut interface = Interface {
            id,
            name: name.to_owned(),
            caps,
            hardware,
            link: LinkState::Up,
            addresses: Vec::new(),
            joined: Vec::new(),
            ipv6_mtu: None,
            leased_mtu: None,
            hop_limit: None,
            routes: [false; 2],
            group_frames: Vec::new(),
        };
        interface.refresh_groups();
        interface
    }

    /// Its number.
    pub const fn id(&self) -> InterfaceId {
        self.id
    }

    /// Its name, unique within the stack.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its link can do.
    pub const fn caps(&self) -> LinkCaps {
        self.caps
    }

    /// Changes them, but for the medium.
    pub(super) fn set_caps(&mut self, caps: LinkCaps) {
        self.caps = LinkCaps { medium: self.caps.medium, ..caps };
    }

    /// Its station address; all zeros where the medium has none.
    pub const fn hardware(&self) -> EthernetAddress {
        self.hardware
    }

    /// Whether frames pass.
    pub const fn link(&self) -> LinkState {
        self.link
    }

    /// Whether it is `lo`.
    pub fn is_loopback(&self) -> bool {
        self.id == InterfaceId::LOOPBACK
    }

    /// Whether next hops have link addresses that must be resolved.
    pub fn has_neighbors(&self) -> bool {
        self.caps.medium == Medium::Ethernet
    }

    /// Its addresses, in the order of their adding.
    pub fn addresses(&self) -> &[AssignedAddress] {
        &self.addresses
    }

    /// Whether `address` is one of its own.
    pub fn owns(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.cidr.address == address)
    }

    /// Its first IPv6 address that means nothing on other links.
    pub(crate) fn link_local(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|own| match own.cidr.address {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
            _ => None,
        })
    }

    /// Whether `address` can be reached without a router: it is in the network of one of the addresses here, or is
    /// link-local by its form.
    //= RFC 1122 §3.3.1.1 MUST-1
    pub fn is_on_link(&self, address: IpAddr) -> bool {
        is_link_local(address) || self.addresses.iter().any(|own| own.on_link && own.cidr.contains(address))
    }

    /// Whether `address` means every host of a network that is on this link.
    //= RFC 1122 §3.3.6 MUST-1
    pub fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        address.is_broadcast() || self.addresses.iter().any(|own| own.cidr.broadcast() == Some(address))
    }

    /// Whether the interface is in `group`, a multicast address. All-hosts, all-nodes and the solicited-node groups
    /// of its addresses need no joining.
    //= RFC 1112 §4
    //= RFC 4861 §7.2.1
    //= RFC 1122 §3.3.7 SHLD-2
    //= RFC 4861 §7.2.1 MUST-1
    //= RFC 4862 §5.4.2 MUST-2
    pub fn hears(&self, group: IpAddr) -> bool {
        match group {
            IpAddr::V4(ALL_HOSTS) | IpAddr::V6(ALL_NODES | INTERFACE_LOCAL_ALL_NODES) => true,
            IpAddr::V6(v6) if self.asked_for().any(|own| solicited_node(own) == v6) => true,
            _ => self.place_of(group).is_ok(),
        }
    }

    /// The groups in which its IPv6 addresses are asked for, and those that are looked for on the link.
    //= RFC 4291 §2.8
    pub(crate) fn solicited_groups(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        let tentative = self.joined.iter().filter_map(|(group, _)| match group {
            IpAddr::V6(group) if is_solicited_node(*group) => Some(*group),
            _ => None,
        });
        self.asked_for().map(solicited_node).chain(tentative)
    }

    /// The addresses that neighbours may ask it for.
    fn asked_for(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        self.ipv6_addresses().chain(self.anycasts())
    }

    /// The addresses of all routers of its networks, where it is one of them: those without an interface's identifier.
    //= RFC 4291 §2.6.1
    fn anycasts(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        let own = self.addresses.iter().filter(|own| self.routes[1] && own.cidr.prefix_len < NO_SUBNET);
        own.filter_map(|own| match own.cidr.network().address {
            IpAddr::V6(network) => Some(network),
            IpAddr::V4(_) => None,
        })
    }

    /// Whether `address` is that of all routers of one of its networks, of which it is one.
    pub(crate) fn is_anycast(&self, address: IpAddr) -> bool {
        self.anycasts().any(|anycast| address == IpAddr::V6(anycast))
    }

    /// Whether it passes IPv4 on, and IPv6.
    pub(crate) const fn routes(&self) -> [bool; 2] {
        self.routes
    }

    pub(super) fn set_routes(&mut self, routes: [bool; 2]) {
        self.routes = routes;
        self.refresh_groups();
    }

    /// Groups that were joined, beside those that need no joining.
    pub fn joined(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.joined.iter().map(|(group, _)| *group)
    }

    /// Largest IP packet of `family`, in bytes.
    pub fn mtu_of(&self, family: IpAddr) -> usize {
        let (told, leased) = match family {
            IpAddr::V4(_) => (None, self.leased_mtu),
            // Whatever a server of IPv4 says, there is no less for IPv6.
            IpAddr::V6(_) => (self.ipv6_mtu, self.leased_mtu.map(|mtu| mtu.max(IPV6_MIN_MTU))),
        };
        [told, leased].into_iter().flatten().fold(self.caps.mtu, usize::min)
    }

    pub(super) fn set_leased_mtu(&mut self, mtu: Option<usize>) {
        self.leased_mtu = mtu;
    }

    pub(super) fn set_ipv6_mtu(&mut self, mtu: usize) {
        self.ipv6_mtu = Some(mtu);
    }

    /// IPv6's hop limit of packets that leave here, where a router has told one (`CurHopLimit`).
    //= RFC 4861 §6.3.2
    pub const fn hop_limit(&self) -> Option<u8> {
        self.hop_limit
    }

    pub(super) fn set_hop_limit(&mut self, limit: u8) {
        self.hop_limit = Some(limit);
    }

    /// Counts one more who is in `group`. Returns whether there was room.
    pub(super) fn join(&mut self, group: IpAddr) -> bool {
        match self.place_of(group) {
            Ok(place) => self.joined[place].1 += 1,
            Err(_) if self.joined.len() >= MAX_JOINED => return false,
            Err(place) => {
                self.joined.insert(place, (group, 1));
                self.refresh_groups();
            }
        }
        true
    }

    /// Counts one less. Returns whether nobody is left.
    pub(super) fn leave(&mut self, group: IpAddr) -> bool {
        let Ok(place) = self.place_of(group) else { return false };
        self.joined[place].1 -= 1;
        let last = self.joined[place].1 == 0;
        if last {
            self.joined.remove(place);
            self.refresh_groups();
        }
        last
    }

    /// Where a group stands among those that were joined, or would.
    fn place_of(&self, group: IpAddr) -> Result<usize, usize> {
        self.joined.binary_search_by_key(&group, |(joined, _)| *joined)
    }

    /// Whether a frame to `destination` is for this station: its own address, all stations, or a group that it is
    /// in. A group's link address may stand for other groups too; [`Interfaces::accepts`](super::Interfaces::accepts)
    /// tells them apart.
    pub fn accepts_frame(&self, destination: EthernetAddress) -> bool {
        destination == self.hardware
            || destination.is_multicast()
                && (destination == EthernetAddress::BROADCAST
                    || self.group_frames.binary_search(&destination).is_ok())
    }

    /// The link-local address that follows from the station address, with its prefix.
    //= RFC 4291 §2.5.6
    //= RFC 2464 §5
    pub fn eui64_link_local(&self) -> IpCidr {
        let address = join(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), of_station(self.hardware));
        IpCidr::new(IpAddr::V6(address), 64)
    }

    pub(super) fn set_link(&mut self, link: LinkState) {
        self.link = link;
    }

    /// Adds an address that is not there yet, where there is room.
    pub(super) fn assign(&mut self, cidr: IpCidr) {
        debug_assert!(!self.owns(cidr.address) && self.addresses.len() < MAX_ADDRESSES);
        self.addresses.push(AssignedAddress::new(cidr));
        self.refresh_groups();
    }

    pub(super) fn withdraw(&mut self, address: IpAddr) -> Option<AssignedAddress> {
        let index = self.addresses.iter().position(|own| own.cidr.address == address)?;
        let withdrawn = self.addresses.remove(index);
        self.refresh_groups();
        Some(withdrawn)
    }

    pub(super) fn assigned_mut(&mut self, address: IpAddr) -> Option<&mut AssignedAddress> {
        self.addresses.iter_mut().find(|own| own.cidr.address == address)
    }

    fn ipv6_addresses(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        self.addresses.iter().filter_map(|own| match own.cidr.address {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        })
    }

    //= RFC 4861 §7.2.1 MUST-2
    //= RFC 4861 §7.2.1 MUST-3
    fn refresh_groups(&mut self) {
        let always = [IpAddr::V4(ALL_HOSTS), IpAddr::V6(ALL_NODES)];
        let solicited = self.asked_for().map(|own| IpAddr::V6(solicited_node(own)));
        let groups = always.into_iter().chain(solicited).chain(self.joined());
        let mut frames: Vec<_> = groups.map(EthernetAddress::multicast_for).collect();
        frames.sort_unstable();
        frames.dedup();
        self.group_frames = frames;
    }
}

/// Whether `address` means something on one link only: fe80::/10 or 169.254/16.
pub(super) const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// From this length on a network has no address of its routers, in bits (RFC 6164).
const NO_SUBNET: u8 = 127;
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const INTERFACE_LOCAL_ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 1);
#[cfg(test)]
mod tests {
    use super::*;

    const HARDWARE: EthernetAddress = EthernetAddress([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn interface(addresses: &[&str]) -> Interface {
        let caps = LinkCaps::plain(Medium::Ethernet, 1500);
        let mut interface = Interface::new(InterfaceId(1), "tap0", HARDWARE, caps);
        for address in addresses {
            interface.assign(address.parse().unwrap());
        }
        interface
    }

    //= RFC 4861 §7.2.1, type=test
    //= RFC 4861 §7.2.1 MUST-1, type=test
    //= RFC 4861 §7.2.1 MUST-2, type=test
    //= RFC 4861 §7.2.1 MUST-3, type=test
    //= RFC 1122 §3.3.7 SHLD-2, type=test
    #[test]
    fn groups_follow_the_addresses() {
        let mut interface = interface(&["10.0.0.1/24", "fd00::aa:1/64", "fe80::aa:1/64"]);
        assert!(interface.hears(ip("ff02::1:ffaa:1")));
        assert!(!interface.hears(ip("ff02::1:ffaa:2")));
        assert!(!interface.hears(ip("ff02::1:feaa:1")));
        // Two addresses share the group: it stays until both are gone.
        interface.withdraw(ip("fd00::aa:1"));
        assert!(interface.hears(ip("ff02::1:ffaa:1")));
        interface.withdraw(ip("fe80::aa:1"));
        assert!(!interface.hears(ip("ff02::1:ffaa:1")));
        for always in ["224.0.0.1", "ff02::1", "ff01::1"] {
            assert!(interface.hears(ip(always)), "{always}");
        }
        for never in ["224.0.0.2", "ff02::2", "ff05::1"] {
            assert!(!interface.hears(ip(never)), "{never}");
        }
    }

    #[test]
    fn frames_are_accepted_by_their_destination() {
        let mut interface = interface(&["fd00::aa:1/64"]);
        let table = [
            ("52:54:00:12:34:56", true),
            ("52:54:00:12:34:57", false),
            ("ff:ff:ff:ff:ff:ff", true),
            ("01:00:5e:00:00:01", true),
            ("01:00:5e:00:00:02", false),
            ("33:33:00:00:00:01", true),
            ("33:33:00:00:00:02", false),
            ("33:33:ff:aa:00:01", true),
            ("33:33:ff:aa:00:02", false),
        ];
        for (destination, accepted) in table {
            assert_eq!(interface.accepts_frame(destination.parse().unwrap()), accepted, "{destination}");
        }
        interface.withdraw(ip("fd00::aa:1"));
        assert!(!interface.accepts_frame("33:33:ff:aa:00:01".parse().unwrap()));
    }

    //= RFC 4291 §2.5.6, type=test
    #[test]
    fn link_local_address_follows_from_the_station_address() {
        assert_eq!(interface(&[]).eui64_link_local().to_string(), "fe80::5054:ff:fe12:3456/64");
    }

    //= RFC 1122 §3.3.1.1 MUST-1, type=test
    //= RFC 1122 §3.2.1.3 MUST-1, type=test
    //= RFC 1122 §3.3.6 MUST-1, type=test
    #[test]
    fn broadcast_and_on_link_follow_the_prefixes() {
        let interface = interface(&["10.0.0.1/24", "192.0.2.1/31"]);
        assert!(interface.is_broadcast(Ipv4Addr::new(10, 0, 0, 255)));
        assert!(interface.is_broadcast(Ipv4Addr::BROADCAST));
        assert!(!interface.is_broadcast(Ipv4Addr::new(192, 0, 2, 1)));
        assert!(interface.is_on_link(ip("10.0.0.9")) && !interface.is_on_link(ip("10.0.1.9")));
        assert!(interface.is_on_link(ip("fe80::9")) && !interface.is_on_link(ip("fd00::9")));
    }
}
