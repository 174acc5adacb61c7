//! The few rtnetlink messages that configure the kernel's end of a link: rtnetlink(7).

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use tapsock_stack::iface::IpCidr;

use crate::sys;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLMSG_ERROR: u16 = 2;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
#[cfg(feature = "tun-tap")]
const IFLA_TUN_PI: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_F_NODAD: u8 = 2;
const NLA_TYPE_MASK: u16 = 0x3fff;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTAX_CC_ALGO: u16 = 16;
/// What the kernel gives the routes to the networks of its addresses.
const IPV6_PRIORITY: u32 = 256;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
/// Offset of `rtm_type` in `struct rtmsg`.
const ROUTE_TYPE: usize = 7;

const HEADER_LEN: usize = 16;
const INTERFACE_LEN: usize = 16;
/// Bytes of an answer; a description of an interface takes about 2 KiB.
const ANSWER_LEN: usize = 32 * 1024;
/// `IF_OPER_UP` of RFC 2863.
const OPER_UP: u8 = 6;
/// How long the kernel may take in the background for what it was asked to do.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how long it is asked again without a notice of a change. The kernel tells of an IPv6 route a moment before
/// looking it up finds it (`fib6_add_rt2node` marks the node after its `inet6_rt_notify`), and no further notice comes.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// How often it is asked at most.
const MAX_QUESTIONS: usize = 10_000;

/// What the kernel says of a network device.
///
/// ```
/// use tapsock_driver::Device;
///
/// let device = Device { index: 2, hardware: [2, 0, 0, 0, 0, 1], mtu: 1500 };
/// assert_eq!(device.hardware[0] & 1, 0);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// Interface index, from 1.
    pub index: u32,
    /// The kernel's Ethernet address on it; zeroes where the medium has none.
    pub hardware: [u8; 6],
    /// Largest IP packet, in bytes.
    pub mtu: u32,
}

/// Whether there is a `struct tun_pi` before each frame.
#[cfg(feature = "tun-tap")]
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum PacketInformation {
    Absent,
    Prepended,
}

/// What to change of a device; what is `None` stays.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct DeviceChange {
    pub(crate) mtu: Option<u32>,
    pub(crate) txqueuelen: Option<u32>,
    /// Flags to set, as netdevice(7) has them.
    pub(crate) flags: i32,
}

/// A route over a device.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Route<'a> {
    pub(crate) destination: IpCidr,
    /// `None` where the destinations are on the link.
    pub(crate) gateway: Option<IpAddr>,
    /// The kernel's address on packets that have none yet.
    pub(crate) source: Option<IpAddr>,
    /// What TCP connections over it use, by name, where it is not the namespace's default.
    pub(crate) congestion_control: Option<&'a str>,
}

/// A socket to the kernel's routing tables of one network namespace.
#[derive(Debug)]
pub(crate) struct Rtnl {
    socket: File,
    sequence: u32,
}

impl Rtnl {
    /// Speaks over `socket`, an `AF_NETLINK` socket of protocol `NETLINK_ROUTE`.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Rtnl { socket: File::from(socket), sequence: 0 }
    }

    /// Looks a device up. ENODEV where there is none of that name.
    pub(crate) fn device(&mut self, name: &str) -> io::Result<Device> {
        parse_device(&self.describe(name)?).ok_or_else(malformed)
    }

    /// Whether a packet information header stands before each frame of the TUN or TAP device `name`; `None` where
    /// the kernel does not say (before Linux 4.18). `TUNGETIFF` can't tell: its bit for that has two meanings.
    #[cfg(feature = "tun-tap")]
    pub(crate) fn packet_information(&mut self, name: &str) -> io::Result<Option<PacketInformation>> {
        let body = self.describe(name)?;
        let said = body
            .get(INTERFACE_LEN..)
            .and_then(|attributes| find(attributes, IFLA_LINKINFO))
            .and_then(|info| find(info, IFLA_INFO_DATA))
            .and_then(|data| find(data, IFLA_TUN_PI));
        Ok(match said {
            Some([0]) => Some(PacketInformation::Absent),
            Some(_) => Some(PacketInformation::Prepended),
            None => None,
        })
    }

    /// Whether there is a device with this index. The kernel answers when it has finished what it does to devices.
    pub(crate) fn exists(&mut self, index: u32) -> io::Result<bool> {
        let message = Message::new(RTM_GETLINK, NLM_F_REQUEST).fixed(&interface(index, 0));
        match self.request(message) {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn describe(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let message =
            Message::new(RTM_GETLINK, NLM_F_REQUEST).fixed(&interface(0, 0)).name(IFLA_IFNAME, name);
        self.request(message)
    }

    /// Changes a device.
    pub(crate) fn change(&mut self, index: u32, change: DeviceChange) -> io::Result<()> {
        let mut message =
            Message::new(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK).fixed(&interface(index, change.flags));
        if let Some(mtu) = change.mtu {
            message = message.attribute(IFLA_MTU, &mtu.to_ne_bytes());
        }
        if let Some(len) = change.txqueuelen {
            message = message.attribute(IFLA_TXQLEN, &len.to_ne_bytes());
        }
        self.request(message).map(drop)
    }

    /// Whether a device can send by now. What it is given before that is lost: the kernel makes a device's queue
    /// when it gets round to the news of its carrier.
    pub(crate) fn is_usable(&mut self, name: &str) -> io::Result<bool> {
        let body = self.describe(name)?;
        let state = body.get(INTERFACE_LEN..).and_then(|attributes| find(attributes, IFLA_OPERSTATE));
        Ok(state == Some(&[OPER_UP]))
    }

    /// Whether the kernel takes packets to `address` by now. An IPv6 address becomes local in the background.
    pub(crate) fn is_local(&mut self, address: IpAddr) -> io::Result<bool> {
        let mut fixed = [0; 12];
        fixed[0] = family(address);
        fixed[1] = if address.is_ipv4() { 32 } else { 128 };
        let message =
            Message::new(RTM_GETROUTE, NLM_F_REQUEST).fixed(&fixed).attribute(RTA_DST, &octets(address));
        match self.request(message) {
            Err(error) if error.raw_os_error() == Some(libc::ENETUNREACH) => Ok(false),
            route => Ok(route?.get(ROUTE_TYPE) == Some(&RTN_LOCAL)),
        }
    }

    /// Makes a pair of devices of which each receives what the other sends. EEXIST where a name is taken.
    pub(crate) fn add_veth(&mut self, name: &str, peer: &str) -> io::Result<()> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        let message = Message::new(RTM_NEWLINK, flags).fixed(&interface(0, 0)).name(IFLA_IFNAME, name).nest(
            IFLA_LINKINFO,
            |info| {
                info.name(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
                    data.nest(VETH_INFO_PEER, |of_peer| {
                        of_peer.fixed(&interface(0, 0)).name(IFLA_IFNAME, peer)
                    })
                })
            },
        );
        self.request(message).map(drop)
    }

    /// Gives a device an address, usable at once (without duplicate address detection). EINVAL for IPv6 on a
    /// device with an MTU below 1,280.
    pub(crate) fn add_address(&mut self, index: u32, cidr: IpCidr) -> io::Result<()> {
        let address = octets(cidr.address);
        let mut fixed = [0; 8];
        fixed[0] = family(cidr.address);
        fixed[1] = cidr.prefix_len;
        fixed[2] = if cidr.address.is_ipv6() { IFA_F_NODAD } else { 0 };
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let mut message = Message::new(RTM_NEWADDR, flags)
            .fixed(&fixed)
            .attribute(IFA_LOCAL, &address)
            .attribute(IFA_ADDRESS, &address);
        if let Some(broadcast) = cidr.broadcast() {
            message = message.attribute(IFA_BROADCAST, &broadcast.octets());
        }
        self.request(message).map(drop)
    }

    /// Sets a route over a device, in place of the one to the same network that there may be.
    pub(crate) fn set_route(&mut self, index: u32, route: &Route<'_>) -> io::Result<()> {
        let Route { destination, gateway, source, congestion_control } = *route;
        let scope = match (gateway, destination.address) {
            (None, IpAddr::V4(_)) => RT_SCOPE_LINK,
            _ => RT_SCOPE_UNIVERSE,
        };
        let mut fixed = [0; 12];
        fixed[0] = family(destination.address);
        fixed[1] = destination.prefix_len;
        fixed[4..8].copy_from_slice(&[RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST]);
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let mut message =
            Message::new(RTM_NEWROUTE, flags).fixed(&fixed).attribute(RTA_OIF, &index.to_ne_bytes());
        if destination.prefix_len > 0 {
            message = message.attribute(RTA_DST, &octets(destination.network().address));
        }
        if destination.address.is_ipv6() {
            message = message.attribute(RTA_PRIORITY, &IPV6_PRIORITY.to_ne_bytes());
        }
        if let Some(gateway) = gateway {
            message = message.attribute(RTA_GATEWAY, &octets(gateway));
        }
        if let Some(source) = source {
            message = message.attribute(RTA_PREFSRC, &octets(source));
        }
        if let Some(algorithm) = congestion_control {
            message = message.nest(RTA_METRICS, |metrics| metrics.name(RTAX_CC_ALGO, algorithm));
        }
        self.request(message).map(drop)
    }

    /// Sends a message and reads its answer: a description of a device, or nothing more than that it is done.
    fn request(&mut self, message: Message) -> io::Result<Vec<u8>> {
        self.sequence += 1;
        self.socket.write_all(&message.finish(self.sequence))?;
        let mut answer = vec![0; ANSWER_LEN];
        let len = self.socket.read(&mut answer)?;
        parse_answer(&answer[..len], self.sequence).map(<[u8]>::to_vec)
    }
}

/// Hears of every change to the devices and IPv6 routes of one network namespace.
#[derive(Debug)]
pub(crate) struct Watcher {
    socket: File,
}

impl Watcher {
    /// Listens on `socket`, an `AF_NETLINK` socket of protocol `NETLINK_ROUTE`.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        let mut rtnl = Rtnl::new(socket);
        // A socket has no port until it sends, and without one it misses all that the kernel does of itself.
        rtnl.describe("lo")?;
        for group in [libc::RTNLGRP_LINK, libc::RTNLGRP_IPV6_ROUTE] {
            let (level, name) = (libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP);
            sys::set_option(rtnl.socket.as_fd(), level, name, group as i32)?;
        }
        Ok(Watcher { socket: rtnl.socket })
    }

    /// Waits until `ready` says so, which is asked again after each change, and now and then. ETIMEDOUT where that
    /// does not come.
    pub(crate) fn wait_until(&mut self, mut ready: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for _ in 0..MAX_QUESTIONS {
            if ready()? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                break;
            }
            self.wait()?;
        }
        Err(io::Error::from_raw_os_error(libc::ETIMEDOUT))
    }

    fn wait(&mut self) -> io::Result<()> {
        match sys::poll([(self.socket.as_fd(), libc::POLLIN)], ASK_AGAIN.as_millis() as i32) {
            Ok([0]) => Ok(()),
            Ok(_) => match self.socket.read(&mut vec![0; ANSWER_LEN]) {
                // Some were lost for want of room, which is news too.
                Err(error) if error.raw_os_error() != Some(libc::ENOBUFS) => Err(error),
                _ => Ok(()),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn parse_answer(answer: &[u8], sequence: u32) -> io::Result<&[u8]> {
    let (kind, body) = parse_header(answer, sequence).ok_or_else(malformed)?;
    match kind {
        NLMSG_ERROR => match i32::from_ne_bytes(word(body, 0).ok_or_else(malformed)?) {
            0 => Ok(&[]),
            errno => Err(io::Error::from_raw_os_error(-errno)),
        },
        RTM_NEWLINK | RTM_NEWROUTE => Ok(body),
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADMSG)
}

fn parse_header(answer: &[u8], sequence: u32) -> Option<(u16, &[u8])> {
    let len = u32::from_ne_bytes(word(answer, 0)?) as usize;
    let body = answer.get(HEADER_LEN..len)?;
    (u32::from_ne_bytes(word(answer, 8)?) == sequence)
        .then_some((u16::from_ne_bytes([answer[4], answer[5]]), body))
}

fn parse_device(body: &[u8]) -> Option<Device> {
    let index = u32::from_ne_bytes(word(body, 4)?);
    let attributes = body.get(INTERFACE_LEN..)?;
    let mtu = u32::from_ne_bytes(word(find(attributes, IFLA_MTU)?, 0)?);
    let hardware = find(attributes, IFLA_ADDRESS).and_then(|address| address.try_into().ok());
    Some(Device { index, hardware: hardware.unwrap_or_default(), mtu })
}

/// The value of the first attribute of this kind.
fn find(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = attributes;
    while rest.len() >= 4 {
        let len = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let value = rest.get(4..len)?;
        if u16::from_ne_bytes([rest[2], rest[3]]) & NLA_TYPE_MASK == wanted {
            return Some(value);
        }
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
    None
}

fn word(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at + 4)?.try_into().ok()
}

/// A `struct ifinfomsg` that sets `flags`.
fn interface(index: u32, flags: i32) -> [u8; INTERFACE_LEN] {
    let mut fixed = [0; INTERFACE_LEN];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..16].copy_from_slice(&flags.to_ne_bytes());
    fixed
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// A netlink message in the making.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        Message { bytes }
    }

    /// Adds a structure of fixed length, a multiple of four bytes.
    fn fixed(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn attribute(self, kind: u16, value: &[u8]) -> Self {
        self.nest(kind, |message| message.fixed(value))
    }

    fn name(self, kind: u16, name: &str) -> Self {
        self.nest(kind, |message| message.fixed(name.as_bytes()).fixed(&[0]))
    }

    /// Adds an attribute whose value `fill` adds.
    fn nest(mut self, kind: u16, fill: impl FnOnce(Message) -> Message) -> Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        let mut filled = fill(self);
        let len = (filled.bytes.len() - start) as u16;
        filled.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        filled.bytes.resize(filled.bytes.len().next_multiple_of(4), 0);
        filled
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested_lengths_count_their_padding() {
        let message = Message::new(RTM_NEWLINK, NLM_F_REQUEST)
            .nest(18, |outer| outer.name(1, "veth").attribute(2, &[7; 4]))
            .finish(9);
        let mut expected = vec![0; 16];
        expected[..4].copy_from_slice(&40u32.to_ne_bytes());
        expected[4..6].copy_from_slice(&16u16.to_ne_bytes());
        expected[6] = 1;
        expected[8] = 9;
        expected
            .extend([24, 0, 18, 0, 9, 0, 1, 0, b'v', b'e', b't', b'h', 0, 0, 0, 0, 8, 0, 2, 0, 7, 7, 7, 7]);
        assert_eq!(message, expected);
    }

    #[test]
    fn an_answer_cut_short_or_to_another_question_is_refused() {
        let device = Message::new(RTM_NEWLINK, 0)
            .fixed(&interface(7, 0))
            .attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1])
            .attribute(IFLA_MTU, &1500u32.to_ne_bytes())
            .finish(3);
        let expected = Device { index: 7, hardware: [2, 0, 0, 0, 0, 1], mtu: 1500 };
        assert_eq!(parse_device(parse_answer(&device, 3).unwrap()), Some(expected));
        let body = &device[HEADER_LEN..];
        assert!((0..body.len()).all(|len| parse_device(&body[..len]).is_none()));
        assert!(parse_answer(&device, 4).is_err());
        assert!((0..device.len()).all(|len| parse_answer(&device[..len], 3).is_err()));
    }

    #[test]
    fn a_refusal_gives_its_errno() {
        let refusal = Message::new(NLMSG_ERROR, 0).fixed(&(-libc::EPERM).to_ne_bytes()).finish(1);
        assert_eq!(parse_answer(&refusal, 1).unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}
