//! Whether a packet is the one that the script expects.

use super::packet::{Packet, Tcp, Transport, Udp, write_options};
use crate::ast::{self, Body, IpEcn, IpFields, Quoted, TcpFlags, TcpOption, TcpOptions};
use crate::symbols::{Family, IcmpNumber, NoSuchIcmp, icmp_number};

/// Compares `actual`, in the script's numbers, with what the script says.
///
/// Times, and the values of time stamps, are for others to compare.
///
/// # Errors
///
/// The first difference.
pub(super) fn compare(expected: &ast::Packet, actual: &Packet) -> Result<(), String> {
    compare_ip(expected.ip, actual)?;
    compare_ports(&expected.body, actual)?;
    match (&expected.body, &actual.transport) {
        (Body::Tcp(expected), Transport::Tcp(actual)) => compare_tcp(expected, actual),
        (Body::Udp(expected), Transport::Udp(actual)) => compare_udp(expected, actual),
        (Body::Icmp(expected), Transport::Icmp(message)) => {
            let is_v4 = actual.source.is_ipv4();
            let number = icmp_numbers(expected, is_v4)?;
            differ("ICMP type", number.kind, message.kind)?;
            differ("ICMP code", number.code, message.code)?;
            expected.mtu.map_or(Ok(()), |mtu| differ("MTU", mtu, message.rest))?;
            expected.id.map_or(Ok(()), |id| differ("identifier", id, (message.rest >> 16) as u16))?;
            compare_quoted(expected.quoted, &message.body)
        }
        _ => Err("a packet of another protocol".to_owned()),
    }
}

/// Compares the ports, where the script names them.
fn compare_ports(expected: &Body, actual: &Packet) -> Result<(), String> {
    let named = match expected {
        Body::Tcp(tcp) => tcp.ports,
        Body::Udp(udp) => udp.ports,
        Body::Icmp(_) => None,
    };
    let Some((expected, (source, destination))) = named.zip(actual.ports()) else { return Ok(()) };
    differ("port", expected.source, source)?;
    differ("peer's port", expected.destination, destination)
}

/// Compares what a message carries: so many bytes, or the headers of a datagram. A segment's numbers would be those of
/// another connection, and are not looked at.
fn compare_quoted(expected: Option<Quoted>, body: &[u8]) -> Result<(), String> {
    match expected {
        Some(Quoted::Raw(length)) => differ("bytes carried", usize::from(length), body.len()),
        Some(Quoted::Udp(length)) => match quoted_udp(body) {
            Some(actual) => differ("payload bytes of the quoted datagram", length, actual),
            None => Err("no datagram is quoted".to_owned()),
        },
        Some(Quoted::Tcp(_)) | None => Ok(()),
    }
}

/// The payload of a datagram as its headers tell it, of which a message may quote no more than them.
fn quoted_udp(body: &[u8]) -> Option<u16> {
    let (protocol, headers) = match body.first()? >> 4 {
        4 => (*body.get(9)?, usize::from(body[0] & 15) * 4),
        6 => (*body.get(6)?, 40),
        _ => return None,
    };
    let length = body.get(headers + 4..headers + 6).filter(|_| protocol == UDP)?;
    u16::from_be_bytes([length[0], length[1]]).checked_sub(UDP_HEADER)
}

/// UDP's number, and the bytes of its header.
const UDP: u8 = 17;
const UDP_HEADER: u16 = 8;

/// Type and code of an ICMP message, of ICMPv6 where it is not of IPv4.
///
/// # Errors
///
/// The name that the family does not have.
pub(super) fn icmp_numbers(icmp: &ast::Icmp, is_v4: bool) -> Result<IcmpNumber, String> {
    let family = if is_v4 { Family::V4 } else { Family::V6 };
    icmp_number(family, icmp).map_err(|NoSuchIcmp(name)| format!("no such ICMP type or code: {name}"))
}

fn compare_ip(expected: IpFields, actual: &Packet) -> Result<(), String> {
    let ecn = actual.traffic_class & 3;
    if let Some(expected) = expected.ecn {
        let fits = match expected {
            IpEcn::NoEcn => ecn == 0,
            IpEcn::Ect0 => ecn == 2,
            IpEcn::Ect1 => ecn == 1,
            IpEcn::Ect01 => ecn == 1 || ecn == 2,
            IpEcn::Ce => ecn == 3,
        };
        if !fits {
            return Err(format!(
                "ECN bits: expected {expected}, actual {}",
                ["noecn", "ect1", "ect0", "ce"][usize::from(ecn)]
            ));
        }
    }
    differ("fragments", expected.parts.unwrap_or(1), actual.parts)?;
    expected.tos.map_or(Ok(()), |tos| differ("type of service", tos, actual.traffic_class))?;
    expected.ttl.map_or(Ok(()), |ttl| differ("time to live", ttl, actual.hop_limit))?;
    expected.flow_label.map_or(Ok(()), |label| differ("flow label", label, actual.flow_label))
}

fn compare_tcp(expected: &ast::Tcp, actual: &Tcp) -> Result<(), String> {
    if expected.flags != actual.flags {
        return Err(format!("flags: expected {}, actual {}", expected.flags, actual.flags));
    }
    differ("sequence number", expected.sequence.start, actual.seq)?;
    differ("payload bytes", usize::from(expected.sequence.length), actual.payload.len())?;
    if expected.flags.contains(TcpFlags::ACK) || expected.ack.is_some() {
        differ("acknowledgement number", expected.ack.unwrap_or(0), actual.ack)?;
    }
    expected.window.map_or(Ok(()), |window| differ("window", window, actual.window))?;
    if actual.has(TcpFlags::URG) || expected.urgent.is_some() {
        differ("urgent pointer", expected.urgent.unwrap_or(0), actual.urgent)?;
    }
    compare_options(&expected.options, &actual.options)?;
    match actual.payload.iter().position(|byte| *byte != 0) {
        // Programs of scripts write zeros, and nothing else.
        Some(at) => Err(format!("payload byte {at} is not what was written")),
        None => Ok(()),
    }
}

fn compare_options(expected: &TcpOptions, actual: &[TcpOption]) -> Result<(), String> {
    let TcpOptions::Listed(expected) = expected else { return Ok(()) };
    let fits = |expected: &TcpOption, actual: &TcpOption| match (expected, actual) {
        (TcpOption::Timestamp { echo: expected, .. }, TcpOption::Timestamp { echo: actual, .. }) => {
            expected == actual
        }
        _ => expected == actual,
    };
    let same = expected.len() == actual.len()
        && expected.iter().zip(actual).all(|(expected, actual)| fits(expected, actual));
    if same {
        return Ok(());
    }
    Err(format!("options: expected {}, actual {}", listed(expected), listed(actual)))
}

fn compare_udp(expected: &ast::Udp, actual: &Udp) -> Result<(), String> {
    differ("payload bytes", usize::from(expected.length), actual.payload.len())
}

fn differ<T: PartialEq + core::fmt::Display>(what: &str, expected: T, actual: T) -> Result<(), String> {
    if expected == actual { Ok(()) } else { Err(format!("{what}: expected {expected}, actual {actual}")) }
}

fn listed(options: &[TcpOption]) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = write_options(&mut text, options);
    text
}

/// A packet of the script without its direction.
pub(super) fn shown(packet: &ast::Packet) -> String {
    let text = packet.to_string();
    text.split_once(' ').map_or(text.clone(), |(_, packet)| packet.to_owned())
}
