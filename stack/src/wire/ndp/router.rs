//! What routers tell (RFC 4861 §4.2, §4.5), what asks them (§4.1), and probes for duplicate addresses (RFC 7527).
//!
//! smoltcp's codec keeps one prefix of an advertisement and drops what it does not know; these messages are read here.

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use super::{HOP_LIMIT, is_solicited_node, solicited_node};
use crate::buf::{Chunk, HeaderBlock, Rope};
use crate::wire::checksum::pseudo_header;
use crate::wire::offload::Transmit;
use crate::wire::{EthernetAddress, IpProtocol, Ipv6Header, Malformed};

/// Type of a router solicitation.
pub const ROUTER_SOLICIT: u8 = 133;
/// Type of a router advertisement.
pub const ROUTER_ADVERT: u8 = 134;
/// Type of a redirect.
pub const REDIRECT: u8 = 137;

/// How much a router, or a route, is preferred (RFC 4191 §2.1), the least first.
///
/// ```
/// use tapsock_stack::wire::ndp::RoutePreference;
///
/// assert!(RoutePreference::Low < RoutePreference::High);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub enum RoutePreference {
    /// To be used where there is no other.
    Low,
    /// As others.
    #[default]
    Medium,
    /// Before others.
    High,
}

impl RoutePreference {
    /// From the two bits of a flags field; `None` for the value that is reserved.
    //= RFC 4191 §2.1
    fn of(flags: u8) -> Option<Self> {
        match flags >> 3 & 3 {
            0b01 => Some(RoutePreference::High),
            0b00 => Some(RoutePreference::Medium),
            0b11 => Some(RoutePreference::Low),
            _ => None,
        }
    }
}

/// How long something holds; `None` for ever.
pub type Lifetime = Option<Duration>;

fn lifetime(seconds: u32) -> Lifetime {
    (seconds != u32::MAX).then(|| Duration::from_secs(seconds.into()))
}

/// A prefix of a link (RFC 4861 §4.6.2).
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::wire::ndp::PrefixInfo;
///
/// let hour = Some(Duration::from_secs(3600));
/// let prefix = "2001:db8::".parse().unwrap();
/// let info = PrefixInfo { prefix, len: 64, on_link: true, autonomous: true, valid: hour, preferred: hour };
/// assert!(info.on_link);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct PrefixInfo {
    /// The prefix.
    pub prefix: Ipv6Addr,
    /// Its length in bits.
    pub len: u8,
    /// Whether all its addresses are on the link.
    pub on_link: bool,
    /// Whether hosts may make addresses of it.
    pub autonomous: bool,
    /// How long it holds.
    pub valid: Lifetime,
    /// How long addresses of it are preferred.
    pub preferred: Lifetime,
}

/// A route through a router (RFC 4191 §2.3).
///
/// ```
/// use tapsock_stack::wire::ndp::{RouteInfo, RoutePreference};
///
/// let prefix = "2001:db8:1::".parse().unwrap();
/// let info = RouteInfo { prefix, len: 48, preference: RoutePreference::High, lifetime: None };
/// assert_eq!(info.len, 48);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct RouteInfo {
    /// The prefix.
    pub prefix: Ipv6Addr,
    /// Its length in bits.
    pub len: u8,
    /// Before which others it goes.
    pub preference: RoutePreference,
    /// How long it holds.
    pub lifetime: Lifetime,
}

/// What a router tells of itself and its link.
///
/// ```
/// use tapsock_stack::wire::Ipv6Header;
/// use tapsock_stack::wire::ndp::{HOP_LIMIT, RouterAdvert};
///
/// let ip = Ipv6Header { source: "fe80::1".parse().unwrap(), hop_limit: HOP_LIMIT, ..Ipv6Header::default() };
/// let bytes = [134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
/// let advert = RouterAdvert::parse(&ip, &bytes)?;
/// assert_eq!((advert.hop_limit, advert.lifetime.as_secs()), (Some(64), 1800));
/// # Ok::<(), tapsock_stack::wire::Malformed>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RouterAdvert {
    /// The hop limit that hosts should use.
    pub hop_limit: Option<u8>,
    /// Before which other routers it goes.
    pub preference: RoutePreference,
    /// How long it is a default router; zero: not at all.
    pub lifetime: Duration,
    /// How long neighbours count as reachable.
    pub reachable: Option<Duration>,
    /// The time between solicitations.
    pub retrans: Option<Duration>,
    /// The router's station.
    pub source_link: Option<EthernetAddress>,
    /// The link's MTU in bytes.
    pub mtu: Option<u32>,
    /// The link's prefixes.
    pub prefixes: Vec<PrefixInfo>,
    /// Routes through it.
    pub routes: Vec<RouteInfo>,
    /// Resolvers of names, with the time that they may be asked (RFC 8106).
    pub resolvers: Vec<(Ipv6Addr, Lifetime)>,
    /// Domains in which short names are looked for, without a dot at the end, with the time that they hold (RFC 8106).
    pub domains: Vec<(String, Lifetime)>,
    /// Prefixes, routes, resolvers and domains that there was no room for.
    pub left_out: usize,
}

/// What one advertisement can bring of each kind of option; the rest is counted, and left alone.
const MAX_OPTIONS_EACH: usize = 32;

impl RouterAdvert {
    /// Reads the advertisement in `bytes`, the whole ICMPv6 message of a packet with the header `ip`.
    ///
    /// Fails with [`Malformed::BadAddress`] where it is not from a link-local address, `BadCode` (hop limit or code),
    /// `Truncated` or `BadOption`.
    //= RFC 4861 §6.1.2
    pub fn parse(ip: &Ipv6Header, bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((fixed, options)) = bytes.split_first_chunk::<16>() else {
            return Err(Malformed::Truncated);
        };
        if !ip.source.is_unicast_link_local() {
            return Err(Malformed::BadAddress);
        }
        if ip.hop_limit != HOP_LIMIT || fixed[1] != 0 {
            return Err(Malformed::BadCode);
        }
        let number = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let millis = |number: u32| (number != 0).then(|| Duration::from_millis(number.into()));
        let lifetime = Duration::from_secs(u16::from_be_bytes([fixed[6], fixed[7]]).into());
        let preference = match lifetime.is_zero() {
            //= RFC 4191 §2.2
            true => RoutePreference::Medium,
            false => RoutePreference::of(fixed[5]).unwrap_or_default(),
        };
        let mut advert = RouterAdvert {
            hop_limit: Some(fixed[4]).filter(|limit| *limit != 0),
            preference,
            lifetime,
            reachable: millis(number(8)),
            retrans: millis(number(12)),
            ..RouterAdvert::default()
        };
        for option in Options(options) {
            advert.take(option?);
        }
        Ok(advert)
    }

    //= RFC 4861 §4.2 MUST-3
    //= RFC 4861 §4.2 MUST-4
    //= RFC 4861 §4.6.1 MUST-1
    //= RFC 4861 §4.6.2 MUST-4
    //= RFC 4861 §4.6.2 MUST-7
    //= RFC 4861 §4.6.2 MUST-8
    //= RFC 4861 §4.6.3 MUST-3
    //= RFC 4861 §4.6.4 MUST-2
    //= RFC 4861 §6.1.2 MUST-2
    //= RFC 4861 §6.1.2 MUST-3
    //= RFC 4861 §9 MUST-2
    fn take(&mut self, option: &[u8]) {
        match option {
            [SOURCE_LINK, _, station @ ..] => self.source_link = station_of(station),
            [PREFIX, 4, len, ..] if *len <= 128 && self.prefixes.len() >= MAX_OPTIONS_EACH => {
                self.left_out += 1
            }
            [PREFIX, 4, len, flags, rest @ ..] if *len <= 128 => {
                let (Some(valid), Some(preferred)) = (number_at(rest, 0), number_at(rest, 4)) else { return };
                self.prefixes.push(PrefixInfo {
                    prefix: masked(address_at(rest, 12), *len),
                    len: *len,
                    on_link: flags & 0x80 != 0,
                    autonomous: flags & 0x40 != 0,
                    valid: lifetime(valid),
                    preferred: lifetime(preferred),
                });
            }
            [MTU, 1, _, _, rest @ ..] => self.mtu = number_at(rest, 0),
            [ROUTE, _, len, ..] if *len <= 128 && self.routes.len() >= MAX_OPTIONS_EACH => self.left_out += 1,
            [ROUTE, size, len, flags, rest @ ..] if *len <= 128 => {
                //= RFC 4191 §2.3
                let enough = match len {
                    0 => 1,
                    1..=64 => 2,
                    _ => 3,
                };
                let (Some(seconds), Some(preference)) = (number_at(rest, 0), RoutePreference::of(*flags))
                else {
                    return;
                };
                if *size >= enough && *size <= 3 {
                    let prefix = masked(address_at(rest, 4), *len);
                    self.routes.push(RouteInfo {
                        prefix,
                        len: *len,
                        preference,
                        lifetime: lifetime(seconds),
                    });
                }
            }
            [RESOLVERS, size, _, _, rest @ ..] if *size >= 3 => {
                let seconds = lifetime(number_at(rest, 0).unwrap_or(0));
                let addresses = rest.get(4..).unwrap_or_default().chunks_exact(16);
                let room = MAX_OPTIONS_EACH - self.resolvers.len();
                self.left_out += addresses.len().saturating_sub(room);
                self.resolvers.extend(addresses.take(room).map(|bytes| (address_at(bytes, 0), seconds)));
            }
            [DOMAINS, size, _, _, rest @ ..] if *size >= 2 => {
                let seconds = lifetime(number_at(rest, 0).unwrap_or(0));
                for name in names(rest.get(4..).unwrap_or_default()) {
                    match self.domains.len() < MAX_OPTIONS_EACH {
                        true => self.domains.push((name, seconds)),
                        false => self.left_out += 1,
                    }
                }
            }
            _ => {}
        }
    }
}

/// Names of domains, each of labels with their lengths, up to the zeros that fill the option, or to what is no name of a
/// host: from there on nothing of it is believed.
//= RFC 8106 §5.2
fn names(mut bytes: &[u8]) -> Vec<String> {
    let (mut names, mut name) = (Vec::new(), String::new());
    while let Some((len, rest)) = bytes.split_first() {
        let Some((label, rest)) = rest.split_at_checked(usize::from(*len)) else { break };
        let is_of_hosts = label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
        if label.len() > LABEL_LEN || name.len() + label.len() >= NAME_LEN || !is_of_hosts {
            break;
        }
        bytes = rest;
        if label.is_empty() {
            names.extend(Some(core::mem::take(&mut name)).filter(|name| !name.is_empty()));
            continue;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| char::from(*byte)));
    }
    names
}

/// Bytes of a label, and of a name with dots, at the most (RFC 1035 §2.3.4).
const LABEL_LEN: usize = 63;
const NAME_LEN: usize = 253;

/// A router says that another is nearer to a destination, or that it is on the link.
///
/// ```
/// use tapsock_stack::wire::Ipv6Header;
/// use tapsock_stack::wire::ndp::{HOP_LIMIT, Redirect};
///
/// let ip = Ipv6Header { source: "fe80::1".parse().unwrap(), hop_limit: HOP_LIMIT, ..Ipv6Header::default() };
/// assert!(Redirect::parse(&ip, &[137, 0, 0, 0]).is_err());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Redirect {
    /// The next hop from now on; the destination itself where it is on the link.
    pub target: Ipv6Addr,
    /// Whose packets go there.
    pub destination: Ipv6Addr,
    /// The target's station.
    pub target_link: Option<EthernetAddress>,
}

impl Redirect {
    /// Reads the redirect in `bytes`, the whole ICMPv6 message of a packet with the header `ip`. Fails as
    /// [`RouterAdvert::parse`].
    //= RFC 4861 §4.5 MUST-3
    //= RFC 4861 §4.6.3 MUST-2
    //= RFC 4861 §8.1 MUST-2
    //= RFC 4861 §8.1 MUST-3
    //= RFC 4861 §8.1
    pub fn parse(ip: &Ipv6Header, bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((fixed, options)) = bytes.split_first_chunk::<40>() else {
            return Err(Malformed::Truncated);
        };
        if ip.hop_limit != HOP_LIMIT || fixed[1] != 0 {
            return Err(Malformed::BadCode);
        }
        let (target, destination) = (address_at(fixed, 8), address_at(fixed, 24));
        let target_fits = target == destination || target.is_unicast_link_local();
        if !ip.source.is_unicast_link_local() || destination.is_multicast() || !target_fits {
            return Err(Malformed::BadAddress);
        }
        let mut target_link = None;
        for option in Options(options) {
            if let [TARGET_LINK, _, station @ ..] = option? {
                target_link = station_of(station);
            }
        }
        Ok(Redirect { target, destination, target_link })
    }

    /// The message from the IP header on, of a router at `source` to the host at `to`, which sent `packet`.
    //= RFC 4861 §4.5
    //= RFC 4861 §8.2
    //= RFC 4861 §4.5 MUST-2
    //= RFC 4861 §4.6.3 MUST-1
    //= RFC 4861 §9 MUST-7
    pub fn to_packet(&self, source: Ipv6Addr, to: Ipv6Addr, packet: &Chunk) -> Transmit {
        let link = if self.target_link.is_some() { 8 } else { 0 };
        let fixed = 40 + link + 8;
        let most = IPV6_MIN_MTU - Ipv6Header::LEN - fixed;
        let quoted = packet.slice(0..packet.len().min(most) & !7);
        let mut headers = HeaderBlock::new();
        let bytes = headers.prepend(fixed);
        bytes[0] = REDIRECT;
        bytes[8..24].copy_from_slice(&self.target.octets());
        bytes[24..40].copy_from_slice(&self.destination.octets());
        if let Some(station) = self.target_link {
            bytes[40..42].copy_from_slice(&[TARGET_LINK, 1]);
            bytes[42..48].copy_from_slice(&station.0);
        }
        bytes[40 + link..42 + link].copy_from_slice(&[REDIRECTED, (1 + quoted.len() / 8) as u8]);
        let len = fixed + quoted.len();
        let mut sum = pseudo_header(source.into(), to.into(), IpProtocol::ICMPV6, len as u32);
        sum.add_bytes(&headers);
        sum.add_bytes(&quoted);
        headers.as_mut_slice()[2..4].copy_from_slice(&sum.finish().to_be_bytes());
        let (destination, next_header) = (to, IpProtocol::ICMPV6);
        Ipv6Header { source, destination, next_header, hop_limit: HOP_LIMIT, ..Ipv6Header::default() }
            .prepend_to(len, &mut headers);
        Transmit { headers, payload: Rope::from(quoted), checksum: None, segmentation: None }
    }
}

/// The options behind the fixed part of a message. One that is empty or cut short makes the message malformed.
//= RFC 4861 §6.1.2
pub(super) struct Options<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = Result<&'a [u8], Malformed>;

    //= RFC 4861 §4.6 MUST-1
    fn next(&mut self) -> Option<Self::Item> {
        let len = match self.0 {
            [] => return None,
            [_, len, ..] => usize::from(*len) * 8,
            [_] => 0,
        };
        let Some(option) = self.0.get(..len).filter(|option| !option.is_empty()) else {
            self.0 = &[];
            return Some(Err(Malformed::BadOption));
        };
        self.0 = &self.0[len..];
        Some(Ok(option))
    }
}

fn station_of(bytes: &[u8]) -> Option<EthernetAddress> {
    bytes.first_chunk().map(|bytes| EthernetAddress(*bytes)).filter(EthernetAddress::is_unicast)
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The address at `at`; what is missing of it is zero.
pub(super) fn address_at(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    for (octet, byte) in octets.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
        *octet = *byte;
    }
    Ipv6Addr::from(octets)
}

fn masked(address: Ipv6Addr, len: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

/// Writes the message that asks routers to tell of themselves, from the IP header on.
//= RFC 4861 §4.1
//= RFC 4861 §4.1 MUST-1
//= RFC 4861 §4.1 MUST-3
pub fn router_solicit(source: Ipv6Addr, station: EthernetAddress) -> HeaderBlock {
    let mut headers = HeaderBlock::new();
    let link = if source.is_unspecified() { 0 } else { 8 };
    let bytes = headers.prepend(8 + link);
    bytes[0] = ROUTER_SOLICIT;
    if link > 0 {
        bytes[8..10].copy_from_slice(&[SOURCE_LINK, 1]);
        bytes[10..16].copy_from_slice(&station.0);
    }
    finish(&mut headers, source, ALL_ROUTERS);
    headers
}

/// Random bytes by which the sender of a probe knows it again.
pub type Nonce = [u8; 6];

/// Writes the message that asks whether anybody has `target`, from the IP header on.
//= RFC 4862 §5.4.2
//= RFC 7527 §4.1
//= RFC 4861 §4.3 MUST-4
pub fn probe(target: Ipv6Addr, nonce: Option<Nonce>) -> HeaderBlock {
    let mut headers = HeaderBlock::new();
    let bytes = headers.prepend(if nonce.is_some() { 32 } else { 24 });
    bytes[0] = NEIGHBOR_SOLICIT;
    bytes[8..24].copy_from_slice(&target.octets());
    if let Some(nonce) = nonce {
        bytes[24..26].copy_from_slice(&[NONCE, 1]);
        bytes[26..32].copy_from_slice(&nonce);
    }
    finish(&mut headers, Ipv6Addr::UNSPECIFIED, solicited_node(target));
    headers
}

/// The nonce in a neighbour solicitation, the whole ICMPv6 message.
pub fn nonce_of(message: &[u8]) -> Option<Nonce> {
    Options(message.get(24..)?).flatten().find_map(|option| match option {
        [NONCE, 1, nonce @ ..] => nonce.first_chunk().copied(),
        _ => None,
    })
}

/// Whether a solicitation to `destination` from nobody can be a probe.
pub fn is_probe(source: Ipv6Addr, destination: Ipv6Addr) -> bool {
    source.is_unspecified() && is_solicited_node(destination)
}

/// Sums the message and puts the IP header before it.
fn finish(headers: &mut HeaderBlock, source: Ipv6Addr, destination: Ipv6Addr) {
    let len = headers.len();
    let ends = (IpAddr::V6(source), IpAddr::V6(destination));
    let mut sum = pseudo_header(ends.0, ends.1, IpProtocol::ICMPV6, len as u32);
    sum.add_bytes(headers);
    headers.as_mut_slice()[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    let next_header = IpProtocol::ICMPV6;
    Ipv6Header { source, destination, next_header, hop_limit: HOP_LIMIT, ..Ipv6Header::default() }
        .prepend_to(len, headers);
}

/// Every IPv6 link takes packets of this size, in bytes.
const IPV6_MIN_MTU: usize = 1280;
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
pub(super) const NEIGHBOR_SOLICIT: u8 = 135;
pub(super) const NEIGHBOR_ADVERT: u8 = 136;
pub(super) const SOURCE_LINK: u8 = 1;
pub(super) const TARGET_LINK: u8 = 2;
const PREFIX: u8 = 3;
const REDIRECTED: u8 = 4;
const MTU: u8 = 5;
const NONCE: u8 = 14;
const ROUTE: u8 = 24;
const RESOLVERS: u8 = 25;
const DOMAINS: u8 = 31;

#[cfg(test)]
mod tests;
