//! Bytes to fields, with everything checked that a receiver may rely on.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::encode::{ACC_ECN_0, ACC_ECN_1, EXPERIMENTAL, FAST_OPEN_MAGIC};
use super::{Icmp, Packet, Tcp, Transport, Udp, checksum, pseudo_header};
use crate::ast::{AccEcnField, SackBlock, TcpFlags, TcpOption};

/// Why bytes are no packet.
///
/// ```
/// use tapsock_conformance::run::packet::{Malformed, decode};
///
/// assert_eq!(decode(&[]), Err(Malformed("shorter than an IP header")));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The bits between the header's length and its flags.
const RESERVED: u16 = 0x0e00;

/// Reads a packet. Lengths and checksums have to be right.
///
/// # Errors
///
/// What is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<Packet, Malformed> {
    let version = bytes.first().ok_or(Malformed("shorter than an IP header"))? >> 4;
    match version {
        4 => v4(bytes),
        6 => v6(bytes),
        _ => Err(Malformed("neither IPv4 nor IPv6")),
    }
}

fn v4(bytes: &[u8]) -> Result<Packet, Malformed> {
    let header_len = usize::from(bytes[0] & 15) * 4;
    let header = bytes.get(..header_len.max(20)).ok_or(Malformed("shorter than an IP header"))?;
    if header_len < 20 {
        return Err(Malformed("an IPv4 header of less than 20 bytes"));
    }
    if u16_at(header, 2) as usize != bytes.len() {
        return Err(Malformed("the total length is not the packet's"));
    }
    if checksum(0, header) != 0 {
        return Err(Malformed("the IPv4 checksum is wrong"));
    }
    if u16_at(header, 6) & 0x3fff != 0 {
        return Ok(Packet {
            transport: Transport::Other(header[9], bytes[header_len..].to_vec()),
            ..packet(addresses_v4(header), header[1], header[8])
        });
    }
    let base = packet(addresses_v4(header), header[1], header[8]);
    let transport = transport(&base, header[9], &bytes[header_len..])?;
    Ok(Packet { transport, ..base })
}

fn addresses_v4(header: &[u8]) -> (IpAddr, IpAddr) {
    let at = |start: usize| {
        let octets: [u8; 4] = header[start..start + 4].try_into().expect("four bytes");
        IpAddr::V4(Ipv4Addr::from(octets))
    };
    (at(12), at(16))
}

fn v6(bytes: &[u8]) -> Result<Packet, Malformed> {
    let (header, rest) = bytes.split_at_checked(40).ok_or(Malformed("shorter than an IPv6 header"))?;
    if u16_at(header, 4) as usize != rest.len() {
        return Err(Malformed("the payload length is not the packet's"));
    }
    let at = |start: usize| {
        let octets: [u8; 16] = header[start..start + 16].try_into().expect("sixteen bytes");
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    let word = u32_at(header, 0);
    let mut base = packet((at(8), at(24)), (word >> 20) as u8, header[7]);
    base.flow_label = word & 0xf_ffff;
    let transport = transport(&base, header[6], rest)?;
    Ok(Packet { transport, ..base })
}

fn packet((source, destination): (IpAddr, IpAddr), traffic_class: u8, hop_limit: u8) -> Packet {
    let transport = Transport::Other(0, Vec::new());
    Packet { source, destination, traffic_class, flow_label: 0, hop_limit, parts: 1, transport }
}

fn transport(base: &Packet, protocol: u8, bytes: &[u8]) -> Result<Transport, Malformed> {
    let is_v4 = base.source.is_ipv4();
    let sum = |pseudo: u32| checksum(pseudo, bytes) != 0;
    let pseudo = pseudo_header(base.source, base.destination, protocol, bytes.len());
    match protocol {
        6 if sum(pseudo) => Err(Malformed("the TCP checksum is wrong")),
        6 => tcp(bytes).map(Transport::Tcp),
        17 => {
            let datagram = udp(bytes)?;
            let unsummed = is_v4 && u16_at(bytes, 6) == 0;
            if !unsummed && sum(pseudo) {
                return Err(Malformed("the UDP checksum is wrong"));
            }
            Ok(Transport::Udp(datagram))
        }
        1 if is_v4 && sum(0) => Err(Malformed("the ICMP checksum is wrong")),
        58 if !is_v4 && sum(pseudo) => Err(Malformed("the ICMPv6 checksum is wrong")),
        1 | 58 if (protocol == 1) == is_v4 => icmp(bytes).map(Transport::Icmp),
        _ => Ok(Transport::Other(protocol, bytes.to_vec())),
    }
}

fn tcp(bytes: &[u8]) -> Result<Tcp, Malformed> {
    let header = bytes.get(..20).ok_or(Malformed("shorter than a TCP header"))?;
    let word = u16_at(header, 12);
    let header_len = usize::from(word >> 12) * 4;
    if header_len < 20 {
        return Err(Malformed("a TCP header of less than 20 bytes"));
    }
    if word & RESERVED != 0 {
        return Err(Malformed("reserved bits of the TCP header are set"));
    }
    let options = bytes.get(20..header_len).ok_or(Malformed("shorter than its TCP header says"))?;
    Ok(Tcp {
        source_port: u16_at(header, 0),
        destination_port: u16_at(header, 2),
        seq: u32_at(header, 4),
        ack: u32_at(header, 8),
        flags: TcpFlags::from_bits(word),
        window: u16_at(header, 14),
        urgent: u16_at(header, 18),
        options: self::options(options)?,
        payload: bytes[header_len..].to_vec(),
    })
}

fn options(mut bytes: &[u8]) -> Result<Vec<TcpOption>, Malformed> {
    let mut options = Vec::new();
    while let Some((&kind, rest)) = bytes.split_first() {
        if kind <= 1 {
            options.push(if kind == 0 { TcpOption::EndOfList } else { TcpOption::Nop });
            bytes = rest;
            continue;
        }
        let len = usize::from(*rest.first().ok_or(Malformed("a TCP option without a length"))?);
        let body = bytes.get(2..len).ok_or(Malformed("a TCP option of a wrong length"))?;
        options.push(option(kind, body)?);
        bytes = &bytes[len..];
    }
    Ok(options)
}

fn option(kind: u8, body: &[u8]) -> Result<TcpOption, Malformed> {
    Ok(match (kind, body.len()) {
        (2, 2) => TcpOption::Mss(u16_at(body, 0)),
        (3, 1) => TcpOption::WindowScale(body[0]),
        (4, 0) => TcpOption::SackPermitted,
        (5, len) if len % 8 == 0 => {
            let block = |edges: &[u8]| SackBlock { left: u32_at(edges, 0), right: u32_at(edges, 4) };
            TcpOption::Sack(body.chunks_exact(8).map(block).collect())
        }
        (8, 8) => TcpOption::Timestamp { value: u32_at(body, 0), echo: u32_at(body, 4) },
        (19, 16) => TcpOption::Md5(body.try_into().expect("sixteen bytes")),
        (34, _) => TcpOption::FastOpen(body.to_vec()),
        (EXPERIMENTAL, _) if body.starts_with(&FAST_OPEN_MAGIC) => {
            TcpOption::FastOpenExperimental(body[FAST_OPEN_MAGIC.len()..].to_vec())
        }
        (ACC_ECN_0 | ACC_ECN_1, len) if len % 3 == 0 => TcpOption::AccEcn(counters(kind, body)),
        (2..=5 | 8 | 19 | ACC_ECN_0 | ACC_ECN_1, _) => {
            return Err(Malformed("a TCP option of a wrong length"));
        }
        _ => return Err(Malformed("a TCP option that scripts have no name for")),
    })
}

/// The counters of accurate ECN, in the order that the kind says.
fn counters(kind: u8, body: &[u8]) -> Vec<AccEcnField> {
    type Field = fn(u32) -> AccEcnField;
    let (first, last): (Field, Field) = match kind {
        ACC_ECN_0 => (AccEcnField::Ect0, AccEcnField::Ect1),
        _ => (AccEcnField::Ect1, AccEcnField::Ect0),
    };
    let fields = body.chunks_exact(3).zip([first, AccEcnField::Ce, last]);
    fields.map(|(bytes, field)| field(u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]))).collect()
}

fn udp(bytes: &[u8]) -> Result<Udp, Malformed> {
    let (header, payload) = bytes.split_at_checked(8).ok_or(Malformed("shorter than a UDP header"))?;
    if usize::from(u16_at(header, 4)) != bytes.len() {
        return Err(Malformed("the UDP length is not the datagram's"));
    }
    Ok(Udp { source_port: u16_at(header, 0), destination_port: u16_at(header, 2), payload: payload.to_vec() })
}

fn icmp(bytes: &[u8]) -> Result<Icmp, Malformed> {
    let (header, body) = bytes.split_at_checked(8).ok_or(Malformed("shorter than an ICMP header"))?;
    Ok(Icmp { kind: header[0], code: header[1], rest: u32_at(header, 4), body: body.to_vec() })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) << 16 | u32::from(u16_at(bytes, at + 2))
}
