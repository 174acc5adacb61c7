//! Neighbour discovery's solicitations and advertisements (RFC 4861 §4.3, §4.4), written by smoltcp's codec.
//!
//! What is read has passed the checks of RFC 4861 §7.1.

use core::net::{IpAddr, Ipv6Addr};

use smoltcp::wire::{EthernetAddress as SmoltcpEthernetAddress, Icmpv6Packet, NdiscNeighborFlags, NdiscRepr};

use super::checksum::pseudo_header;
use super::{EthernetAddress, IpProtocol, Ipv6Header, Malformed};
use crate::buf::HeaderBlock;

mod router;

pub use router::{
    Lifetime, Nonce, PrefixInfo, REDIRECT, ROUTER_ADVERT, ROUTER_SOLICIT, Redirect, RouteInfo,
    RoutePreference, RouterAdvert, is_probe, nonce_of, probe, router_solicit,
};

/// The hop limit of every message of neighbour discovery: one that passed a router has less.
pub const HOP_LIMIT: u8 = 255;

/// A message of neighbour discovery.
///
/// ```
/// use tapsock_stack::wire::ndp::{NdpMessage, NeighborSolicit};
///
/// let solicit = NeighborSolicit { target: "fe80::1".parse().unwrap(), source_link: None };
/// assert_eq!(NdpMessage::from(solicit), NdpMessage::NeighborSolicit(solicit));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum NdpMessage {
    /// "Who has this address?"
    NeighborSolicit(NeighborSolicit),
    /// "I have it."
    NeighborAdvert(NeighborAdvert),
}

/// "Who has this address?"
///
/// ```
/// use core::net::Ipv6Addr;
/// use tapsock_stack::buf::HeaderBlock;
/// use tapsock_stack::wire::ndp::{HOP_LIMIT, NdpMessage, NeighborSolicit, solicited_node};
/// use tapsock_stack::wire::{EthernetAddress, Ipv6Header};
///
/// let target: Ipv6Addr = "fe80::1:2".parse().unwrap();
/// let solicit = NeighborSolicit { target, source_link: Some(EthernetAddress([2, 0, 0, 0, 0, 1])) };
/// let ip = Ipv6Header {
///     source: "fe80::3".parse().unwrap(),
///     destination: solicited_node(target),
///     hop_limit: HOP_LIMIT,
///     ..Ipv6Header::default()
/// };
/// let mut headers = HeaderBlock::new();
/// NdpMessage::from(solicit).prepend_to(ip.source, ip.destination, &mut headers);
/// assert_eq!(NdpMessage::parse(&ip, &headers), Ok(solicit.into()));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct NeighborSolicit {
    /// The address asked for.
    pub target: Ipv6Addr,
    /// The asker's station. Absent where the asker has no address yet (duplicate address detection).
    pub source_link: Option<EthernetAddress>,
}

/// "I have this address."
///
/// ```
/// use tapsock_stack::wire::EthernetAddress;
/// use tapsock_stack::wire::ndp::NeighborAdvert;
///
/// let answer = NeighborAdvert {
///     target: "fe80::1".parse().unwrap(),
///     router: false,
///     solicited: true,
///     override_: true,
///     target_link: Some(EthernetAddress([2, 0, 0, 0, 0, 1])),
/// };
/// assert!(answer.solicited);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct NeighborAdvert {
    /// The address.
    pub target: Ipv6Addr,
    /// Whether the sender is a router.
    pub router: bool,
    /// Whether it answers a solicitation, and so confirms that the way back works.
    pub solicited: bool,
    /// Whether `target_link` replaces another that is known already.
    pub override_: bool,
    /// The station that has the address.
    pub target_link: Option<EthernetAddress>,
}

impl NdpMessage {
    /// Reads the message in `bytes`, the whole ICMPv6 message of a packet with the header `ip`. The checksum is not
    /// looked at ([`verify_transport`](super::checksum::verify_transport) does that).
    ///
    /// Fails with [`Malformed::BadCode`] (hop limit or code), `Truncated`, `BadOption`, `BadAddress` (target or
    /// destination that the message may not have), or `Unsupported` for another type.
    //= RFC 4861 §4.3 MUST-2
    //= RFC 4861 §4.3 MUST-6
    //= RFC 4861 §4.4 MUST-3
    //= RFC 4861 §4.4 MUST-7
    //= RFC 4861 §4.6 MUST-1
    //= RFC 4861 §4.6.2 MUST-9
    //= RFC 4861 §4.6.3 MUST-3
    //= RFC 4861 §4.6.4 MUST-3
    //= RFC 4861 §7.1.1 MUST-1
    //= RFC 4861 §7.1.1 MUST-2
    //= RFC 4861 §7.1.1 MUST-3
    //= RFC 4861 §7.1.2 MUST-1
    //= RFC 4861 §7.1.2 MUST-2
    //= RFC 4861 §7.1.2 MUST-3
    //= RFC 4861 §9 MUST-1
    //= RFC 4861 §9 MUST-3
    //= RFC 4861 §9 MUST-6
    //= RFC 4861 §9 MUST-9
    //= RFC 4862 §5.4.1 MUST-1
    pub fn parse(ip: &Ipv6Header, bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((fixed, options)) = bytes.split_first_chunk::<MIN_LEN>() else {
            return Err(Malformed::Truncated);
        };
        //= RFC 4861 §7.1.1
        //= RFC 4861 §7.1.2
        if ip.hop_limit != HOP_LIMIT || fixed[1] != 0 {
            return Err(Malformed::BadCode);
        }
        let target = router::address_at(fixed, 8);
        match fixed[0] {
            router::NEIGHBOR_SOLICIT => {
                let solicit =
                    NeighborSolicit { target, source_link: link_address(options, router::SOURCE_LINK)? };
                solicit.check(ip)?;
                Ok(solicit.into())
            }
            router::NEIGHBOR_ADVERT => {
                let [router, solicited, override_] = [0x80, 0x40, 0x20].map(|flag| fixed[4] & flag != 0);
                let target_link = link_address(options, router::TARGET_LINK)?;
                let advert = NeighborAdvert { target, router, solicited, override_, target_link };
                advert.check(ip)?;
                Ok(advert.into())
            }
            _ => Err(Malformed::Unsupported),
        }
    }

    /// Writes the message, with its checksum, before all that `headers` holds. Nothing may follow it. The packet's
    /// hop limit is to be [`HOP_LIMIT`].
    pub fn prepend_to(&self, source: Ipv6Addr, destination: Ipv6Addr, headers: &mut HeaderBlock) {
        let message = self.to_smoltcp();
        let bytes = headers.prepend(message.buffer_len());
        message.emit(&mut Icmpv6Packet::new_unchecked(&mut *bytes));
        let len = bytes.len() as u32;
        let mut sum = pseudo_header(IpAddr::V6(source), IpAddr::V6(destination), IpProtocol::ICMPV6, len);
        sum.add_bytes(bytes);
        bytes[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    }

    //= RFC 4861 §4.3 MUST-1
    //= RFC 4861 §4.4 MUST-2
    fn to_smoltcp(self) -> NdiscRepr<'static> {
        let raw = |link: Option<EthernetAddress>| link.map(|link| SmoltcpEthernetAddress(link.0).into());
        match self {
            NdpMessage::NeighborSolicit(NeighborSolicit { target, source_link }) => {
                NdiscRepr::NeighborSolicit { target_addr: target, lladdr: raw(source_link) }
            }
            NdpMessage::NeighborAdvert(advert) => {
                let mut flags = NdiscNeighborFlags::empty();
                flags.set(NdiscNeighborFlags::ROUTER, advert.router);
                flags.set(NdiscNeighborFlags::SOLICITED, advert.solicited);
                flags.set(NdiscNeighborFlags::OVERRIDE, advert.override_);
                let lladdr = raw(advert.target_link);
                NdiscRepr::NeighborAdvert { flags, target_addr: advert.target, lladdr }
            }
        }
    }
}

impl NeighborSolicit {
    //= RFC 4861 §7.1.1
    //= RFC 4861 §7.1.1 MUST-1
    fn check(&self, ip: &Ipv6Header) -> Result<(), Malformed> {
        if self.target.is_multicast() {
            return Err(Malformed::BadAddress);
        }
        if ip.source.is_unspecified() {
            if !is_solicited_node(ip.destination) {
                return Err(Malformed::BadAddress);
            }
            if self.source_link.is_some() {
                return Err(Malformed::BadOption);
            }
        }
        Ok(())
    }
}

impl NeighborAdvert {
    //= RFC 4861 §7.1.2
    //= RFC 4861 §7.1.2 MUST-1
    fn check(&self, ip: &Ipv6Header) -> Result<(), Malformed> {
        if self.target.is_multicast() || (ip.destination.is_multicast() && self.solicited) {
            return Err(Malformed::BadAddress);
        }
        Ok(())
    }
}

impl From<NeighborSolicit> for NdpMessage {
    fn from(solicit: NeighborSolicit) -> Self {
        NdpMessage::NeighborSolicit(solicit)
    }
}

impl From<NeighborAdvert> for NdpMessage {
    fn from(advert: NeighborAdvert) -> Self {
        NdpMessage::NeighborAdvert(advert)
    }
}

/// The group that the stations with `address`, and a few others, listen to.
//= RFC 4291 §2.7.1
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a as u16, (b as u16) << 8 | c as u16)
}

/// Whether it is the group of some address's solicitations.
pub(crate) fn is_solicited_node(address: Ipv6Addr) -> bool {
    address == solicited_node(address)
}

/// The station that the option of that kind names, whose first six bytes it is on Ethernet. A group is no station. Options
/// of other kinds are passed over, whatever stands in them, but none may be empty.
fn link_address(options: &[u8], wanted: u8) -> Result<Option<EthernetAddress>, Malformed> {
    let mut found = None;
    for option in router::Options(options) {
        if let [kind, _, station @ ..] = option?
            && *kind == wanted
        {
            let station = station.first_chunk().map(|bytes| EthernetAddress(*bytes));
            found = Some(station.filter(EthernetAddress::is_unicast).ok_or(Malformed::BadAddress)?);
        }
    }
    Ok(found)
}

/// Length of a solicitation or advertisement without options, in bytes.
const MIN_LEN: usize = 24;

#[cfg(test)]
mod tests;
