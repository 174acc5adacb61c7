//! DHCP's messages (RFC 2131 §2, RFC 2132), on smoltcp's codec: what a client says, and what it is told.

use core::net::Ipv4Addr;
use core::time::Duration;

use smoltcp::wire::{
    DhcpFlags, DhcpOpCode, DhcpOption, DhcpPacket, EthernetAddress as SmoltcpEthernetAddress,
};

use super::{EthernetAddress, Malformed};

/// The port that servers listen at.
pub const SERVER_PORT: u16 = 67;
/// The port that clients listen at.
pub const CLIENT_PORT: u16 = 68;

/// Bytes of a message before its options, with the magic number that begins them.
const HEADER_LEN: usize = 240;
/// Where the name of the server and that of a file stand, which may hold options.
const SERVER_NAME: core::ops::Range<usize> = 44..108;
const FILE: core::ops::Range<usize> = 108..236;
/// The least length of a message, in bytes: what BOOTP's were, which some relays insist on.
const MIN_LEN: usize = 300;
/// What says that the options are DHCP's.
const MAGIC: u32 = 0x6382_5363;
/// Ethernet, as the hardware type of a client identifier.
const ETHERNET: u8 = 1;

/// Options by number (RFC 2132, RFC 3442).
mod option {
    pub(super) const PAD: u8 = 0;
    pub(super) const SUBNET_MASK: u8 = 1;
    pub(super) const ROUTER: u8 = 3;
    pub(super) const DNS: u8 = 6;
    pub(super) const HOST_NAME: u8 = 12;
    pub(super) const DOMAIN_NAME: u8 = 15;
    pub(super) const MTU: u8 = 26;
    pub(super) const REQUESTED_ADDRESS: u8 = 50;
    pub(super) const LEASE_TIME: u8 = 51;
    pub(super) const OVERLOAD: u8 = 52;
    pub(super) const MESSAGE_TYPE: u8 = 53;
    pub(super) const SERVER: u8 = 54;
    pub(super) const WANTED: u8 = 55;
    pub(super) const MAX_SIZE: u8 = 57;
    pub(super) const RENEWAL_TIME: u8 = 58;
    pub(super) const REBINDING_TIME: u8 = 59;
    pub(super) const CLIENT: u8 = 61;
    pub(super) const CLASSLESS_ROUTES: u8 = 121;
    pub(super) const END: u8 = 255;
}

/// What a client asks to be told. Classless routes stand before routers, as RFC 3442 wants it.
const WANTED: [u8; 8] = [
    option::SUBNET_MASK,
    option::CLASSLESS_ROUTES,
    option::ROUTER,
    option::DNS,
    option::DOMAIN_NAME,
    option::MTU,
    option::RENEWAL_TIME,
    option::REBINDING_TIME,
];

/// What a client says.
///
/// ```
/// use tapsock_stack::wire::dhcpv4::RequestKind;
///
/// assert_eq!(RequestKind::Discover as u8, 1);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum RequestKind {
    /// "Who has an address for me?"
    Discover = 1,
    /// "I take this one", or "may I keep it?"
    Request = 3,
    /// "Somebody has that already."
    Decline = 4,
    /// "I need it no more."
    Release = 7,
}

/// A message of a client.
///
/// ```
/// use tapsock_stack::wire::EthernetAddress;
/// use tapsock_stack::wire::dhcpv4::{Request, RequestKind};
///
/// let discover = Request::new(RequestKind::Discover, 0x1234, EthernetAddress([2, 0, 0, 0, 0, 1]));
/// let bytes = discover.to_bytes();
/// assert_eq!((bytes.len(), bytes[0], &bytes[4..8]), (300, 1, &[0, 0, 0x12, 0x34][..]));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// What it says.
    pub kind: RequestKind,
    /// What the answer is known by.
    pub transaction: u32,
    /// How long the client has been asking, in seconds.
    pub seconds: u16,
    /// The client's station.
    pub hardware: EthernetAddress,
    /// The address that the client has and can be reached by; all zeros where it has none.
    pub client: Ipv4Addr,
    /// The address that is asked for.
    pub wanted: Option<Ipv4Addr>,
    /// The server that is meant.
    pub server: Option<Ipv4Addr>,
    /// The client's own name, for those who keep names.
    pub host_name: Option<String>,
}

impl Request {
    /// A message without any of the options.
    pub fn new(kind: RequestKind, transaction: u32, hardware: EthernetAddress) -> Self {
        let client = Ipv4Addr::UNSPECIFIED;
        Request {
            kind,
            transaction,
            seconds: 0,
            hardware,
            client,
            wanted: None,
            server: None,
            host_name: None,
        }
    }

    /// The message, as the payload of a datagram from port 68 to port 67.
    //= RFC 2131 §2
    //= RFC 2131 §4.1
    //= RFC 3442
    //= RFC 2131 §2 MUST-1
    //= RFC 2131 §2 MUST-2
    //= RFC 2131 §2 MUST-3
    //= RFC 2131 §3.5 MUST-1
    //= RFC 2131 §4.1 MUST-3
    //= RFC 2131 §4.2 MUST-1
    //= RFC 2131 §4.4.1 MUST-1
    //= RFC 2131 §4.4.1 MUST-2
    //= RFC 2131 §4.4.1 MUST-5
    //= RFC 2131 §4.4.1 MUST-6
    //= RFC 2131 §4.4.1 MUST-9
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut client = [ETHERNET; 7];
        client[1..].copy_from_slice(&self.hardware.0);
        let mut options: Vec<(u8, Vec<u8>)> =
            vec![(option::MESSAGE_TYPE, vec![self.kind as u8]), (option::CLIENT, client.to_vec())];
        let mut address = |kind, address: Option<Ipv4Addr>| {
            options.extend(address.map(|address| (kind, address.octets().to_vec())));
        };
        address(option::REQUESTED_ADDRESS, self.wanted);
        address(option::SERVER, self.server);
        if let RequestKind::Discover | RequestKind::Request = self.kind {
            options.push((option::WANTED, WANTED.to_vec()));
            options.push((option::MAX_SIZE, 1500u16.to_be_bytes().to_vec()));
            let name = self.host_name.as_deref().unwrap_or_default().as_bytes();
            if !name.is_empty() {
                options.push((option::HOST_NAME, name[..name.len().min(255)].to_vec()));
            }
        }
        let len = HEADER_LEN + options.iter().map(|(_, data)| 2 + data.len()).sum::<usize>() + 1;
        let mut bytes = vec![0; len.max(MIN_LEN)];
        let mut packet = DhcpPacket::new_unchecked(&mut bytes[..]);
        packet.set_opcode(DhcpOpCode::Request);
        packet.set_hardware_type(smoltcp::wire::ArpHardware::Ethernet);
        packet.set_hardware_len(6);
        packet.set_transaction_id(self.transaction);
        packet.set_secs(self.seconds);
        // Answers to the address that is offered are heard before we have it.
        packet.set_flags(DhcpFlags::empty());
        packet.set_client_ip(self.client);
        packet.set_client_hardware_address(SmoltcpEthernetAddress(self.hardware.0));
        packet.set_magic_number(MAGIC);
        let mut writer = packet.options_mut();
        for (kind, data) in &options {
            // There is room: it was counted.
            let _ = writer.emit(DhcpOption { kind: *kind, data });
        }
        let _ = writer.end();
        bytes
    }
}

/// What a server says.
///
/// ```
/// use tapsock_stack::wire::dhcpv4::ReplyKind;
///
/// assert_ne!(ReplyKind::Ack, ReplyKind::Nak);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ReplyKind {
    /// "You may have this address."
    Offer,
    /// "It is yours."
    Ack,
    /// "You may not have it."
    Nak,
}

/// A message of a server.
///
/// What makes no sense of its options is left out: a mask with holes, an MTU that no host has, a list of routes that
/// ends in the middle.
///
/// ```
/// use tapsock_stack::wire::Malformed;
/// use tapsock_stack::wire::dhcpv4::Reply;
///
/// assert_eq!(Reply::parse(&[2; 300]), Err(Malformed::BadOption));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// What it says.
    pub kind: ReplyKind,
    /// The request's.
    pub transaction: u32,
    /// The client's station.
    pub hardware: EthernetAddress,
    /// The address that is given.
    pub address: Ipv4Addr,
    /// The server that gives it.
    pub server: Ipv4Addr,
    /// Length of the network's prefix, in bits.
    pub prefix_len: Option<u8>,
    /// Routers for everything else, the best first.
    pub routers: Vec<Ipv4Addr>,
    /// Networks, as prefixes, and their routers. Where there are any, `routers` is not to be looked at (RFC 3442).
    pub routes: Vec<(Ipv4Addr, u8, Ipv4Addr)>,
    /// Name servers, the best first.
    pub name_servers: Vec<Ipv4Addr>,
    /// The domain of names without one.
    pub domain: Option<String>,
    /// Largest packet of the network, in bytes.
    pub mtu: Option<u16>,
    /// For how long the address is given; `None` is for ever.
    pub lease: Option<Duration>,
    /// When to ask the server for more, and when anybody, counted from the beginning.
    pub renewal: Option<Duration>,
    /// When to ask any server for more.
    pub rebinding: Option<Duration>,
}

impl Reply {
    /// Reads the payload of a datagram from port 67 to port 68.
    ///
    /// Fails with [`Malformed::Truncated`] where it is shorter than a message's head, `BadOption` where it lacks the
    /// type, the server or, in an acknowledgement, the time of the lease, `BadAddress` where what is given can't be a
    /// host's, and `Unsupported` for what a client is not told.
    //= RFC 2131 §4.3.1
    pub fn parse(bytes: &[u8]) -> Result<Reply, Malformed> {
        if bytes.len() < HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        let packet = DhcpPacket::new_checked(bytes).map_err(|_| Malformed::Truncated)?;
        if packet.magic_number() != MAGIC {
            return Err(Malformed::BadOption);
        }
        if packet.opcode() != DhcpOpCode::Reply || packet.hardware_len() != 6 {
            return Err(Malformed::Unsupported);
        }
        let fields = option_fields(bytes);
        let find = |kind| fields.iter().find_map(|field| Options(field).find(|(found, _)| *found == kind));
        let find = |kind| find(kind).map(|(_, data)| data);
        let kind = match find(option::MESSAGE_TYPE).ok_or(Malformed::BadOption)? {
            [2] => ReplyKind::Offer,
            [5] => ReplyKind::Ack,
            [6] => ReplyKind::Nak,
            _ => return Err(Malformed::Unsupported),
        };
        let seconds = |kind| {
            let data: Option<&[u8; 4]> = find(kind).and_then(|data| data.try_into().ok());
            data.map(|data| u32::from_be_bytes(*data))
        };
        let address = packet.your_ip();
        let server =
            find(option::SERVER).and_then(|data| addresses(data).next()).ok_or(Malformed::BadOption)?;
        let lease = seconds(option::LEASE_TIME);
        if kind != ReplyKind::Nak {
            if !is_a_hosts(address) {
                return Err(Malformed::BadAddress);
            }
            if kind == ReplyKind::Ack && lease.is_none_or(|lease| lease == 0) {
                return Err(Malformed::BadOption);
            }
        }
        let list =
            |kind| find(kind).into_iter().flat_map(addresses).filter(|found| is_a_hosts(*found)).collect();
        let after = |kind| seconds(kind).map(|seconds| Duration::from_secs(seconds.into()));
        let domain = find(option::DOMAIN_NAME).and_then(|data| core::str::from_utf8(data).ok());
        Ok(Reply {
            kind,
            transaction: packet.transaction_id(),
            hardware: EthernetAddress(packet.client_hardware_address().0),
            address,
            server,
            prefix_len: find(option::SUBNET_MASK).and_then(prefix_len),
            routers: list(option::ROUTER),
            routes: find(option::CLASSLESS_ROUTES).and_then(routes).unwrap_or_default(),
            name_servers: list(option::DNS),
            domain: domain.map(|name| name.trim_end_matches('\0').to_owned()).filter(|name| !name.is_empty()),
            mtu: find(option::MTU).and_then(mtu),
            lease: lease.filter(|lease| *lease != u32::MAX).map(|lease| Duration::from_secs(lease.into())),
            renewal: after(option::RENEWAL_TIME),
            rebinding: after(option::REBINDING_TIME),
        })
    }
}

/// The fields of a message that hold options, in the order in which they are read: that of the options, and those of
/// the file and of the server's name where an option says that they hold some too.
//= RFC 2131 §4.1 MUST-7
//= RFC 2131 §4.1 MUST-8
//= RFC 2131 §4.1 MUST-9
fn option_fields(bytes: &[u8]) -> [&[u8]; 3] {
    let options = bytes.get(HEADER_LEN..).unwrap_or_default();
    let overload = Options(options).find(|(kind, _)| *kind == option::OVERLOAD);
    let which = overload.and_then(|(_, data)| data.first().copied()).unwrap_or(0);
    let field = |bit: u8, at: core::ops::Range<usize>| {
        if which & bit != 0 { bytes.get(at).unwrap_or_default() } else { &[] }
    };
    [options, field(1, FILE), field(2, SERVER_NAME)]
}

/// The options of one field, up to its end. One that is cut short ends it.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.0 {
                [option::PAD, rest @ ..] => self.0 = rest,
                [option::END, ..] | [] | [_] => return None,
                [kind, len, rest @ ..] => {
                    let (data, rest) = rest.split_at_checked((*len).into())?;
                    self.0 = rest;
                    return Some((*kind, data));
                }
            }
        }
    }
}

/// The addresses of a list.
fn addresses(data: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    data.chunks_exact(4).map(|bytes| Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
}

/// Whether an address can be one host's.
fn is_a_hosts(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_broadcast() || address.is_multicast() || address.is_loopback())
}

fn prefix_len(mask: &[u8]) -> Option<u8> {
    let mask = addresses(mask).next()?.to_bits();
    (mask.leading_ones() + mask.trailing_zeros() == u32::BITS).then_some(mask.leading_ones() as u8)
}

//= RFC 2132 §5.1
fn mtu(data: &[u8]) -> Option<u16> {
    let mtu = u16::from_be_bytes(data.try_into().ok()?);
    (mtu >= 68).then_some(mtu)
}

/// Networks, of which only the bytes that their prefix covers stand there, and routers.
//= RFC 3442
fn routes(mut data: &[u8]) -> Option<Vec<(Ipv4Addr, u8, Ipv4Addr)>> {
    let mut routes = Vec::new();
    while let [prefix_len @ 0..=32, rest @ ..] = data {
        let significant = usize::from(prefix_len.div_ceil(8));
        let (network, rest) = rest.split_at_checked(significant)?;
        let (router, rest) = rest.split_at_checked(4)?;
        let mut octets = [0; 4];
        octets[..significant].copy_from_slice(network);
        let mask = u32::MAX.checked_shl(32 - u32::from(*prefix_len)).unwrap_or(0);
        let network = Ipv4Addr::from_bits(Ipv4Addr::from(octets).to_bits() & mask);
        routes.push((network, *prefix_len, addresses(router).next()?));
        data = rest;
    }
    data.is_empty().then_some(routes)
}

#[cfg(test)]
mod tests;
