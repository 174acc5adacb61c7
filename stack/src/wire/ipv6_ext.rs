//! The extension headers of IPv6 (RFC 8200 §4), walked to what they carry.

use super::ipv6::Ipv6Header;
use super::{IpProtocol, Malformed};

/// Extension headers in one packet; with more it is refused. (Linux goes on to the packet's end.)
//= RFC 8883 §3.3
pub const MAX_EXTENSION_HEADERS: usize = 64;

/// Bytes of padding in a row; more serves nothing but to carry something unseen.
//= RFC 8504 §5.3
pub const MAX_PADDING: usize = 7;

/// What a header of options may hold.
///
/// ```
/// use tapsock_stack::wire::ipv6_ext::OptionLimits;
///
/// assert_eq!(OptionLimits::default().number, 8);
/// ```
//= RFC 8504 §5.3
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct OptionLimits {
    /// Options other than padding.
    pub number: u32,
    /// Bytes.
    pub length: u32,
}

impl Default for OptionLimits {
    fn default() -> Self {
        OptionLimits { number: 8, length: i32::MAX as u32 }
    }
}

/// What the two headers of options may hold: `net.ipv6.max_hbh_*` and `net.ipv6.max_dst_opts_*`.
///
/// ```
/// use tapsock_stack::wire::ipv6_ext::{ExtLimits, OptionLimits};
///
/// assert_eq!(ExtLimits::default().destination, OptionLimits::default());
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct ExtLimits {
    /// Hop-by-hop options.
    pub hop_by_hop: OptionLimits,
    /// Destination options.
    pub destination: OptionLimits,
}

/// What stands behind the extension headers.
///
/// ```
/// use tapsock_stack::wire::ipv6_ext::upper_layer;
/// use tapsock_stack::wire::IpProtocol;
///
/// // Destination options with six bytes of padding, then UDP.
/// let bytes = [17, 0, 1, 4, 0, 0, 0, 0, 0x12, 0x34];
/// let upper = upper_layer(&bytes, IpProtocol::DESTINATION_OPTIONS).unwrap();
/// assert_eq!((upper.protocol, upper.offset), (IpProtocol::UDP, 8));
/// assert_eq!(upper.fragment, None);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Upper {
    /// The protocol that follows. [`IpProtocol::NO_NEXT`] says that nothing does.
    pub protocol: IpProtocol,
    /// Where it begins, in bytes after the IPv6 header.
    pub offset: usize,
    /// Where the number of the protocol stands, in bytes from the start of the IPv6 header: what a parameter
    /// problem points at when nobody here speaks it. Of a fragment it is where the number of the fragment header
    /// stands, which that of the protocol is to take when the packet is whole.
    pub pointer: u32,
    /// Set where the walk ended at a fragment header. What follows is then a fragment of a packet that may begin
    /// with more extension headers. A packet of one fragment counts as whole (RFC 6946).
    //= RFC 6946 §4
    pub fragment: Option<FragmentHeader>,
    /// Whether there was a fragment header, if only one that says that it is all.
    pub fragmented: bool,
}

/// What a fragment header says.
///
/// ```
/// use tapsock_stack::wire::ipv6_ext::{FragmentHeader, upper_layer};
/// use tapsock_stack::wire::IpProtocol;
///
/// let bytes = [6, 0, 0x05, 0xa9, 0, 0, 0, 7];
/// let upper = upper_layer(&bytes, IpProtocol::FRAGMENT).unwrap();
/// assert_eq!(upper.fragment, Some(FragmentHeader { offset: 1448, more: true, identification: 7 }));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct FragmentHeader {
    /// Where this fragment stands in its packet, in bytes, a multiple of 8.
    pub offset: u16,
    /// Whether other fragments follow.
    pub more: bool,
    /// What the fragments of one packet have in common.
    pub identification: u32,
}

/// Why the walk failed. Pointers are in bytes from the start of the IPv6 header, as ICMPv6's parameter problem has
/// them (RFC 4443 §3.4).
///
/// ```
/// use tapsock_stack::wire::ipv6_ext::{ExtError, OptionAction, upper_layer};
/// use tapsock_stack::wire::IpProtocol;
///
/// let bytes = [59, 0, 0x80, 4, 0, 0, 0, 0];
/// let expected = ExtError::UnknownOption { action: OptionAction::Report, pointer: 42 };
/// assert_eq!(upper_layer(&bytes, IpProtocol::HOP_BY_HOP), Err(expected));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ExtError {
    /// To be dropped without an answer.
    Malformed(Malformed),
    /// An option that asks not to be skipped by those who don't know it: drop, and answer with code 2 where
    /// `action` says so.
    UnknownOption {
        /// What the option asks for.
        action: OptionAction,
        /// Where its type stands.
        pointer: u32,
    },
    /// Hop-by-hop options elsewhere than first: answer with code 1.
    UnknownNextHeader {
        /// Where the number of the header stands.
        pointer: u32,
    },
    /// A routing header with segments left, of whatever type: answer with code 0.
    UnknownRouting {
        /// Where its type stands.
        pointer: u32,
    },
    /// A jumbo payload, which no link of ours can carry: answer with code 0.
    JumboPayload {
        /// Where it contradicts the rest.
        pointer: u32,
    },
    /// More than is looked at (RFC 8883).
    BeyondLimit {
        /// Of what.
        limit: Limit,
        /// Where the excess begins.
        pointer: u32,
    },
}

/// What there was too much of (RFC 8883 §3).
///
/// ```
/// use tapsock_stack::wire::ipv6_ext::Limit;
///
/// assert_ne!(Limit::Headers, Limit::Options);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Limit {
    /// Bytes in one extension header.
    HeaderLen,
    /// Extension headers.
    Headers,
    /// Options in one extension header.
    Options,
}

impl From<Malformed> for ExtError {
    fn from(error: Malformed) -> Self {
        ExtError::Malformed(error)
    }
}

/// What an unknown option asks for, by the two upper bits of its type (RFC 8200 §4.2).
///
/// ```
/// use tapsock_stack::wire::ipv6_ext::OptionAction;
///
/// assert_eq!(OptionAction::of(0xc2), OptionAction::ReportIfUnicast);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum OptionAction {
    /// Go on with the next option.
    Skip,
    /// Drop the packet.
    Drop,
    /// Drop the packet and send a parameter problem, even where it went to a group.
    Report,
    /// Drop the packet and send a parameter problem unless it went to a group.
    ReportIfUnicast,
}

impl OptionAction {
    /// What the option type `kind` asks for.
    pub const fn of(kind: u8) -> Self {
        match kind >> 6 {
            0 => OptionAction::Skip,
            1 => OptionAction::Drop,
            2 => OptionAction::Report,
            _ => OptionAction::ReportIfUnicast,
        }
    }
}

/// Walks the extension headers in `bytes`, all that follows the IPv6 header, of which the first is `first`.
///
/// Ends at the first header that is none of hop-by-hop options, destination options, routing and fragment.
pub fn upper_layer(bytes: &[u8], first: IpProtocol) -> Result<Upper, ExtError> {
    upper_layer_within(bytes, first, &ExtLimits::default())
}

/// The same with limits other than the usual ones.
//= RFC 8200 §4
//= RFC 8200 §4 MUST-1
//= RFC 8200 §4 MUST-2
//= RFC 8200 §4 MUST-3
//= RFC 8200 §4.1 MUST-1
//= RFC 8200 §4.4 MUST-1
//= RFC 8200 §4.4 MUST-2
pub fn upper_layer_within(bytes: &[u8], first: IpProtocol, limits: &ExtLimits) -> Result<Upper, ExtError> {
    let mut upper =
        Upper { protocol: first, offset: 0, pointer: NEXT_HEADER_OFFSET, fragment: None, fragmented: false };
    for count in 0..=MAX_EXTENSION_HEADERS {
        let header = match upper.protocol {
            IpProtocol::HOP_BY_HOP if count > 0 => {
                return Err(ExtError::UnknownNextHeader { pointer: upper.pointer });
            }
            IpProtocol::HOP_BY_HOP | IpProtocol::DESTINATION_OPTIONS => {
                let header = extension(bytes, upper.offset)?;
                let hop_by_hop = upper.protocol == IpProtocol::HOP_BY_HOP;
                let limits = if hop_by_hop { &limits.hop_by_hop } else { &limits.destination };
                let walk = OptionWalk { header, offset: upper.offset, hop_by_hop, limits };
                walk.check()?;
                header
            }
            IpProtocol::ROUTING => {
                let header = extension(bytes, upper.offset)?;
                //= RFC 8200 §4.4
                //= RFC 5095 §3
                if header[3] != 0 {
                    return Err(ExtError::UnknownRouting { pointer: pointer_to(upper.offset + 2) });
                }
                header
            }
            IpProtocol::FRAGMENT => {
                let header = bytes.get(upper.offset..).and_then(|rest| rest.first_chunk());
                let header: &[u8; FRAGMENT_HEADER_LEN] = header.ok_or(Malformed::Truncated)?;
                upper.fragment = parse_fragment(header);
                upper.fragmented = true;
                header
            }
            _ => return Ok(upper),
        };
        upper.protocol = IpProtocol(header[0]);
        let here = pointer_to(upper.offset);
        upper.offset += header.len();
        if upper.fragment.is_some() && count < MAX_EXTENSION_HEADERS {
            return Ok(upper);
        }
        upper.pointer = here;
    }
    //= RFC 8883 §3.3
    Err(ExtError::BeyondLimit { limit: Limit::Headers, pointer: pointer_to(upper.offset) })
}

/// Looks at the hop-by-hop options, where `bytes` begins with them: all that a router looks at.
//= RFC 8200 §4.3
pub fn hop_by_hop_within(bytes: &[u8], first: IpProtocol, limits: &ExtLimits) -> Result<(), ExtError> {
    if first != IpProtocol::HOP_BY_HOP {
        return Ok(());
    }
    let header = extension(bytes, 0)?;
    OptionWalk { header, offset: 0, hop_by_hop: true, limits: &limits.hop_by_hop }.check()
}

/// The value of the router alert option, where `bytes` begins with hop-by-hop options, and has one there.
//= RFC 2711 §2.1
pub fn router_alert(bytes: &[u8], first: IpProtocol) -> Option<u16> {
    if first != IpProtocol::HOP_BY_HOP {
        return None;
    }
    let mut rest = extension(bytes, 0).ok()?.get(2..)?;
    loop {
        rest = match *rest {
            [OPTION_PAD_1, ref rest @ ..] => rest,
            [OPTION_ROUTER_ALERT, 2, high, low, ..] => return Some(u16::from_be_bytes([high, low])),
            [_, len, ref rest @ ..] => rest.get(len.into()..)?,
            _ => return None,
        }
    }
}

/// The extension header at `offset`: at least 8 bytes, of the length that its second byte says.
fn extension(bytes: &[u8], offset: usize) -> Result<&[u8], Malformed> {
    let rest = bytes.get(offset..).ok_or(Malformed::Truncated)?;
    let &[_, len] = rest.first_chunk().ok_or(Malformed::Truncated)?;
    rest.get(..(usize::from(len) + 1) * 8).ok_or(Malformed::Truncated)
}

/// The options of one extension header.
struct OptionWalk<'a> {
    header: &'a [u8],
    /// Where it begins, in bytes after the IPv6 header.
    offset: usize,
    hop_by_hop: bool,
    limits: &'a OptionLimits,
}

impl OptionWalk<'_> {
    /// Looks for options that ask not to be skipped, and for what is hidden between them.
    //= RFC 8200 §4.2
    //= RFC 8200 §4.2 MUST-1
    //= RFC 8200 §4.2 MUST-2
    //= RFC 8200 §4.2 MUST-6
    fn check(&self) -> Result<(), ExtError> {
        let header = self.header;
        //= RFC 8883 §3.1
        if header.len() > self.limits.length as usize {
            return Err(ExtError::BeyondLimit { limit: Limit::HeaderLen, pointer: pointer_to(self.offset) });
        }
        let (mut at, mut count, mut padding) = (2, 0, 0);
        while at < header.len() {
            let kind = header[at];
            let next = match kind {
                OPTION_PAD_1 => at + 1,
                _ => at + 2 + usize::from(*header.get(at + 1).ok_or(Malformed::BadOption)?),
            };
            if next > header.len() {
                return Err(Malformed::BadOption.into());
            }
            if matches!(kind, OPTION_PAD_1 | OPTION_PAD_N) {
                padding += next - at;
                let hidden = kind == OPTION_PAD_N && header[at + 2..next].iter().any(|byte| *byte != 0);
                //= RFC 8504 §5.3
                if padding > MAX_PADDING || hidden {
                    return Err(Malformed::BadOption.into());
                }
            } else {
                padding = 0;
                count += 1;
                //= RFC 8883 §3.4
                if count > self.limits.number {
                    let pointer = pointer_to(self.offset + at);
                    return Err(ExtError::BeyondLimit { limit: Limit::Options, pointer });
                }
                self.check_option(at, kind, &header[at + 2..next])?;
            }
            at = next;
        }
        Ok(())
    }

    //= RFC 8200 §4.2 MUST-3
    fn check_option(&self, at: usize, kind: u8, data: &[u8]) -> Result<(), ExtError> {
        let pointer = pointer_to(self.offset + at);
        match (kind, data) {
            //= RFC 2711 §2.1
            (OPTION_ROUTER_ALERT, data) if self.hop_by_hop && data.len() != 2 => {
                Err(Malformed::BadOption.into())
            }
            (OPTION_JUMBO, [a, b, c, d]) if self.hop_by_hop && at % 4 == 2 => {
                let len = u32::from_be_bytes([*a, *b, *c, *d]);
                // Neither a length that the header could hold, nor one beside the header's own.
                //= RFC 2675 §3
                let pointer = if len <= u16::MAX.into() { pointer + 2 } else { pointer };
                Err(ExtError::JumboPayload { pointer })
            }
            (OPTION_JUMBO, _) if self.hop_by_hop => Err(Malformed::BadOption.into()),
            _ => match OptionAction::of(kind) {
                OptionAction::Skip => Ok(()),
                action => Err(ExtError::UnknownOption { action, pointer }),
            },
        }
    }
}

/// `None` for a packet of one fragment.
//= RFC 8200 §4.5
fn parse_fragment(header: &[u8; FRAGMENT_HEADER_LEN]) -> Option<FragmentHeader> {
    let [_, _, high, low, a, b, c, d] = *header;
    let field = u16::from_be_bytes([high, low]);
    let fragment = FragmentHeader {
        offset: field & 0xfff8,
        more: field & 1 == 1,
        identification: u32::from_be_bytes([a, b, c, d]),
    };
    (fragment.offset != 0 || fragment.more).then_some(fragment)
}

/// From an offset after the IPv6 header to one from its start. Packets are far below 4 GiB.
fn pointer_to(offset: usize) -> u32 {
    u32::try_from(Ipv6Header::LEN + offset).unwrap_or(u32::MAX)
}

/// Where the IPv6 header names what follows it.
const NEXT_HEADER_OFFSET: u32 = 6;
const FRAGMENT_HEADER_LEN: usize = 8;
const OPTION_PAD_1: u8 = 0;
const OPTION_PAD_N: u8 = 1;
const OPTION_ROUTER_ALERT: u8 = 5;
const OPTION_JUMBO: u8 = 0xc2;

#[cfg(test)]
mod tests;
