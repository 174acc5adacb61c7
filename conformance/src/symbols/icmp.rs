//! The types and codes of ICMP (RFC 792, RFC 1812 §5.2.7) and ICMPv6 (RFC 4443) by their names in scripts.

use crate::ast::Icmp;

/// Which ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Over IPv4.
    V4,
    /// Over IPv6.
    V6,
}

/// A message's type and code.
///
/// ```
/// use tapsock_conformance::ast::{Action, Body};
/// use tapsock_conformance::parse;
/// use tapsock_conformance::symbols::{Family, icmp_number};
///
/// let script = parse("s.pkt", "0 < icmp unreachable port_unreachable").unwrap();
/// let Action::Packet(packet) = &script.events[0].action else { panic!() };
/// let Body::Icmp(message) = &packet.body else { panic!() };
/// assert_eq!(icmp_number(Family::V4, message).unwrap().code, 3);
/// assert_eq!(icmp_number(Family::V6, message).unwrap().code, 4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpNumber {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// Whether the message has a field for an MTU.
    pub has_mtu: bool,
}

/// A type or code that the family doesn't have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchIcmp(
    /// Its name.
    pub String,
);

/// Type and code of a message. `type_N` and `code_N` stand for their numbers.
///
/// # Errors
///
/// The family has no type or code of that name.
pub fn icmp_number(family: Family, message: &Icmp) -> Result<IcmpNumber, NoSuchIcmp> {
    let types = match family {
        Family::V4 => V4,
        Family::V6 => V6,
    };
    let name = message.kind.text.as_str();
    let known = types.iter().find(|(known, ..)| *known == name);
    let kind = match known {
        Some((_, kind, _)) => *kind,
        None => numbered(name, "type_").ok_or_else(|| NoSuchIcmp(name.to_owned()))?,
    };
    let codes = types.iter().find(|(_, number, _)| *number == kind).map_or(&[][..], |(.., codes)| codes);
    let code = match message.code.as_ref().map(|code| code.text.as_str()) {
        None => 0,
        Some(name) => codes
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, code)| *code)
            .or_else(|| numbered(name, "code_"))
            .ok_or_else(|| NoSuchIcmp(name.to_owned()))?,
    };
    let has_mtu = match family {
        Family::V4 => (kind, code) == (3, 4),
        Family::V6 => kind == 2,
    };
    Ok(IcmpNumber { kind, code, has_mtu })
}

fn numbered(name: &str, prefix: &str) -> Option<u8> {
    name.strip_prefix(prefix).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// A type: its name, its number and its codes.
type Type = (&'static str, u8, &'static [(&'static str, u8)]);

const V4: &[Type] = &[
    ("echo_reply", 0, &[]),
    (
        "unreachable",
        3,
        &[
            ("net_unreachable", 0),
            ("host_unreachable", 1),
            ("protocol_unreachable", 2),
            ("port_unreachable", 3),
            ("frag_needed", 4),
            ("source_route_failed", 5),
            ("net_unknown", 6),
            ("host_unknown", 7),
            ("source_host_isolated", 8),
            ("net_prohibited", 9),
            ("host_prohibited", 10),
            ("net_unreachable_for_tos", 11),
            ("host_unreachable_for_tos", 12),
            ("packet_filtered", 13),
            ("precedence_violation", 14),
            ("precedence_cutoff", 15),
        ],
    ),
    ("source_quench", 4, &[]),
    ("redirect", 5, &[]),
    ("echo_request", 8, &[]),
    ("time_exceeded", 11, &[]),
    ("parameter_problem", 12, &[]),
    ("timestamp_request", 13, &[]),
    ("timestamp_reply", 14, &[]),
    ("information_request", 15, &[]),
    ("information_reply", 16, &[]),
    ("address_mask_request", 17, &[]),
    ("address_mask_reply", 18, &[]),
];

const V6: &[Type] = &[
    (
        "unreachable",
        1,
        &[
            ("no_route", 0),
            ("net_unreachable", 0),
            ("admin_prohibited", 1),
            ("not_neighbour", 2),
            ("address_unreachable", 3),
            ("port_unreachable", 4),
        ],
    ),
    ("packet_too_big", 2, &[]),
    ("time_exceeded", 3, &[]),
    ("parameter_problem", 4, &[("header_field", 0), ("unknown_next_header", 1), ("unknown_option", 2)]),
    ("echo_request", 128, &[]),
    ("echo_reply", 129, &[]),
];
