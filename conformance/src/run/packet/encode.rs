//! Fields to bytes.

use core::net::IpAddr;

use super::{Icmp, Packet, Tcp, Transport, Udp, checksum, pseudo_header};
use crate::ast::{AccEcnField, TcpOption};

/// The number of the experimental options, and fast open's magic in them (RFC 7413, appendix A).
pub(super) const EXPERIMENTAL: u8 = 254;
pub(super) const FAST_OPEN_MAGIC: [u8; 2] = [0xf9, 0x89];

/// The kinds of the accurate ECN option: with ECT(0)'s counter first, with ECT(1)'s (RFC 9768 §3.2.3).
pub(super) const ACC_ECN_0: u8 = 172;
pub(super) const ACC_ECN_1: u8 = 174;

/// The packet's bytes, with all lengths and checksums. Options are written as they are; where they don't fill up words,
/// zeros do.
pub fn encode(packet: &Packet) -> Vec<u8> {
    let (source, destination) = (packet.source, packet.destination);
    let protocol = packet.transport.protocol(destination);
    let (mut transport, checksum_at) = match &packet.transport {
        Transport::Tcp(segment) => (tcp(segment), Some(16)),
        Transport::Udp(datagram) => (udp(datagram), Some(6)),
        Transport::Icmp(message) => (icmp(message), Some(2)),
        Transport::Other(_, bytes) => (bytes.clone(), None),
    };
    if let Some(at) = checksum_at {
        // ICMP for IPv4 alone has no pseudo-header.
        let begin = match protocol {
            1 => 0,
            _ => pseudo_header(source, destination, protocol, transport.len()),
        };
        let sum = match checksum(begin, &transport) {
            0 if protocol == 17 => 0xffff,
            sum => sum,
        };
        transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    let mut bytes = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let len = (20 + transport.len()) as u16;
            let mut header = vec![0x45, packet.traffic_class];
            header.extend(len.to_be_bytes());
            header.extend([0, 0, 0, 0, packet.hop_limit, protocol, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let sum = checksum(0, &header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            header
        }
        (source, destination) => {
            let word = 6 << 28 | u32::from(packet.traffic_class) << 20 | packet.flow_label & 0xf_ffff;
            let mut header = word.to_be_bytes().to_vec();
            header.extend((transport.len() as u16).to_be_bytes());
            header.extend([protocol, packet.hop_limit]);
            header.extend(in_six(source));
            header.extend(in_six(destination));
            header
        }
    };
    bytes.append(&mut transport);
    bytes
}

/// Makes the checksum of what the IP header carries a wrong one, in a packet that is as [`encode`] wrote it.
pub(in crate::run) fn spoil_checksum(bytes: &mut [u8]) {
    let (protocol, header) = match bytes[0] >> 4 {
        4 => (bytes[9], 20),
        _ => (bytes[6], 40),
    };
    let at = match protocol {
        6 => 16,
        17 => 6,
        _ => 2,
    };
    // A datagram's never becomes 0, which says that it has none.
    bytes[header + at] ^= 0x55;
    bytes[header + at + 1] |= 1;
}

/// Puts a word of options behind the header of a packet of IPv4.
pub(in crate::run) fn insert_ip_options(bytes: &mut Vec<u8>, word: u32) {
    if bytes.first() != Some(&0x45) {
        return;
    }
    bytes.splice(20..20, word.to_be_bytes());
    bytes[0] += 1;
    let len = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    bytes[10..12].fill(0);
    let sum = checksum(0, &bytes[..24]);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Writes the checksum of a TCP segment or UDP datagram that was left to the device, into a packet that is sound in all
/// else.
pub(in crate::run) fn complete_checksums(bytes: &mut [u8]) {
    let (protocol, start, source, destination) = match bytes {
        [0x40..=0x4f, ..] if bytes.len() >= 20 => {
            let at = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&bytes[at..at + 4]).expect("four bytes"));
            (bytes[9], usize::from(bytes[0] & 15) * 4, at(12), at(16))
        }
        [0x60..=0x6f, ..] if bytes.len() >= 40 => {
            let at =
                |at: usize| IpAddr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).expect("sixteen bytes"));
            (bytes[6], 40, at(8), at(24))
        }
        _ => return,
    };
    let field = start + if protocol == 6 { 16 } else { 6 };
    if !matches!(protocol, 6 | 17) || bytes.len() < field + 2 {
        return;
    }
    bytes[field..field + 2].fill(0);
    let pseudo = pseudo_header(source, destination, protocol, bytes.len() - start);
    let sum = match checksum(pseudo, &bytes[start..]) {
        0 if protocol == 17 => 0xffff,
        sum => sum,
    };
    bytes[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}

fn in_six(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn tcp(tcp: &Tcp) -> Vec<u8> {
    let mut options: Vec<u8> = tcp.options.iter().flat_map(option).collect();
    options.resize(options.len().next_multiple_of(4), 0);
    let words = ((20 + options.len()) / 4) as u16;
    let mut bytes = Vec::with_capacity(20 + options.len() + tcp.payload.len());
    bytes.extend(tcp.source_port.to_be_bytes());
    bytes.extend(tcp.destination_port.to_be_bytes());
    bytes.extend(tcp.seq.to_be_bytes());
    bytes.extend(tcp.ack.to_be_bytes());
    bytes.extend((words << 12 | tcp.flags.bits()).to_be_bytes());
    bytes.extend(tcp.window.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(tcp.urgent.to_be_bytes());
    bytes.append(&mut options);
    bytes.extend(&tcp.payload);
    bytes
}

fn option(option: &TcpOption) -> Vec<u8> {
    let with_len = |kind: u8, body: &[u8]| [&[kind, 2 + body.len() as u8], body].concat();
    match option {
        TcpOption::EndOfList => vec![0],
        TcpOption::Nop => vec![1],
        TcpOption::Mss(mss) => with_len(2, &mss.to_be_bytes()),
        TcpOption::WindowScale(shift) => with_len(3, &[*shift]),
        TcpOption::SackPermitted => with_len(4, &[]),
        TcpOption::Sack(blocks) => {
            let edges = blocks.iter().flat_map(|block| [block.left.to_be_bytes(), block.right.to_be_bytes()]);
            with_len(5, &edges.flatten().collect::<Vec<u8>>())
        }
        TcpOption::Timestamp { value, echo } => {
            with_len(8, &[value.to_be_bytes(), echo.to_be_bytes()].concat())
        }
        TcpOption::Md5(digest) => with_len(19, digest),
        TcpOption::FastOpen(cookie) => with_len(34, cookie),
        TcpOption::FastOpenExperimental(cookie) => {
            with_len(EXPERIMENTAL, &[&FAST_OPEN_MAGIC, &cookie[..]].concat())
        }
        TcpOption::Bytes(bytes) => bytes.clone(),
        TcpOption::AccEcn(fields) => {
            let kind =
                if matches!(fields.first(), Some(AccEcnField::Ect1(_))) { ACC_ECN_1 } else { ACC_ECN_0 };
            let counters = fields.iter().flat_map(|field| {
                let (AccEcnField::Ect0(count) | AccEcnField::Ect1(count) | AccEcnField::Ce(count)) = field;
                count.to_be_bytes().into_iter().skip(1)
            });
            with_len(kind, &counters.collect::<Vec<u8>>())
        }
    }
}

fn udp(udp: &Udp) -> Vec<u8> {
    let len = (8 + udp.payload.len()) as u16;
    let mut bytes = Vec::with_capacity(usize::from(len));
    bytes.extend(udp.source_port.to_be_bytes());
    bytes.extend(udp.destination_port.to_be_bytes());
    bytes.extend(len.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(&udp.payload);
    bytes
}

fn icmp(icmp: &Icmp) -> Vec<u8> {
    let mut bytes = vec![icmp.kind, icmp.code, 0, 0];
    bytes.extend(icmp.rest.to_be_bytes());
    bytes.extend(&icmp.body);
    bytes
}
