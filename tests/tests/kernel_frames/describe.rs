//! A frame in words, with all of it that does not depend on chance.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::craft::{ALL, checksum, host_station, peer, station_of, station_text};

/// Which part of the internet layer a frame is of.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Sort {
    Arp,
    /// Solicitations and advertisements of neighbours.
    Neighbor,
    /// Solicitations and advertisements of routers.
    Router,
    /// IGMP and MLD.
    Group,
    /// All else of ICMP and ICMPv6.
    Icmp,
    /// All else.
    Data,
}

/// The sort of a frame, and what stands in it; of identifications by which nothing is put together only where asked.
pub fn describe(frame: &[u8], identified: bool) -> (Sort, String) {
    let (to, packet) = (&frame[..6], &frame[14..]);
    match u16::from_be_bytes([frame[12], frame[13]]) {
        0x0806 => (Sort::Arp, format!("{}, to {}", arp(packet), station(to))),
        0x0800 => {
            let (sort, text) = v4(packet, identified);
            let group = Ipv4Addr::from(bytes(&packet[16..20]));
            let implied = group.is_multicast() && to == station_of(group.into());
            (sort, if implied { text } else { format!("{text}, to {}", station(to)) })
        }
        0x86dd => {
            let (sort, text) = v6(packet);
            let group = Ipv6Addr::from(bytes(&packet[24..40]));
            let implied = group.is_multicast() && to == station_of(group.into());
            (sort, if implied { text } else { format!("{text}, to {}", station(to)) })
        }
        other => (Sort::Data, format!("EtherType {other:04x}")),
    }
}

fn bytes<const N: usize>(slice: &[u8]) -> [u8; N] {
    slice.try_into().expect("so many bytes")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn station(station: &[u8]) -> String {
    let own = |port| station == host_station(port);
    match bytes::<6>(station) {
        ALL => "all".to_owned(),
        [0, 0, 0, 0, 0, 0] => "nobody".to_owned(),
        _ if own(0) || own(1) => "us".to_owned(),
        bytes if bytes == peer(bytes[5]) => format!("peer {}", bytes[5]),
        bytes => station_text(bytes),
    }
}

fn ip4(slice: &[u8]) -> Ipv4Addr {
    Ipv4Addr::from(bytes(slice))
}

fn ip6(slice: &[u8]) -> Ipv6Addr {
    Ipv6Addr::from(bytes(slice))
}

fn arp(packet: &[u8]) -> String {
    let operation = match packet[7] {
        1 => "request",
        2 => "reply",
        _ => "of another kind",
    };
    let [from, to] = [8, 18].map(|at| (station(&packet[at..at + 6]), ip4(&packet[at + 6..at + 10])));
    format!("ARP {operation}: {} at {}, for {} at {}", from.1, from.0, to.1, to.0)
}

/// The header's part of a description, of an IPv4 packet that may be cut short.
fn v4_head(packet: &[u8]) -> String {
    let mut text = format!("{} > {} ttl {}", ip4(&packet[12..16]), ip4(&packet[16..20]), packet[8]);
    if packet[1] != 0 {
        let _ = write!(text, " tos {:02x}", packet[1]);
    }
    let fragment = u16::from_be_bytes([packet[6], packet[7]]);
    if fragment & 0x4000 != 0 {
        text += " DF";
    }
    if fragment & 0x3fff != 0 {
        let more = if fragment & 0x2000 != 0 { ", more" } else { "" };
        let _ = write!(text, " fragment at {}{more}", (fragment & 0x1fff) * 8);
    }
    let words = usize::from(packet[0] & 15);
    if words > 5 {
        let _ = write!(text, " options {}", hex(&packet[20..words * 4]));
    }
    text
}

fn v4(packet: &[u8], identified: bool) -> (Sort, String) {
    let words = usize::from(packet[0] & 15);
    let len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let mut head = v4_head(packet);
    if packet[4..6] == [0, 0] && (identified || packet[6] & 0x40 == 0) {
        head += " id 0";
    }
    let body = &packet[words * 4..len.min(packet.len())];
    if packet[6] & 0x3f != 0 || packet[7] != 0 {
        return (Sort::Data, format!("{head}: {} bytes of {}", body.len(), packet[9]));
    }
    match packet[9] {
        1 => (Sort::Icmp, format!("{head}: {}{}", icmp4(body), summed(checksum(body)))),
        2 => (Sort::Group, format!("{head}: {}{}", igmp(body), summed(checksum(body)))),
        17 => (Sort::Data, format!("{head}: {}", udp(body))),
        other => (Sort::Data, format!("{head}: {} bytes of {other}", body.len())),
    }
}

fn summed(sum: u16) -> &'static str {
    if sum == 0 { "" } else { ", WRONG CHECKSUM" }
}

fn udp(body: &[u8]) -> String {
    let [from, to] = [0, 2].map(|at| u16::from_be_bytes([body[at], body[at + 1]]));
    format!("UDP {from} > {to}, {} bytes", body.len() - 8)
}

fn icmp4(body: &[u8]) -> String {
    let [kind, code] = [body[0], body[1]];
    let rest = hex(&body[4..8]);
    match kind {
        3 | 4 | 5 | 11 | 12 => {
            let quoted = &body[8..];
            format!("ICMP {kind}/{code} {rest}, quotes {} bytes of {}", quoted.len(), v4_head(quoted))
        }
        _ => format!("ICMP {kind}/{code}, {} bytes", body.len()),
    }
}

fn igmp(body: &[u8]) -> String {
    match body[0] {
        0x12 => format!("IGMPv1 report {}", ip4(&body[4..8])),
        0x16 => format!("IGMPv2 report {}", ip4(&body[4..8])),
        0x17 => format!("IGMP leave {}", ip4(&body[4..8])),
        0x22 => format!("IGMPv3 report{}", records(body, 4)),
        other => format!("IGMP {other:02x} {}", hex(&body[1..])),
    }
}

/// Group records of addresses of so many bytes, behind a head of eight.
fn records(body: &[u8], len: usize) -> String {
    let address = |at: usize| match len {
        4 => ip4(&body[at..at + 4]).to_string(),
        _ => ip6(&body[at..at + 16]).to_string(),
    };
    let mut list = Vec::new();
    let mut at = 8;
    for _ in 0..u16::from_be_bytes([body[6], body[7]]) {
        let kind = match body[at] {
            1 => "IS_IN",
            2 => "IS_EX",
            3 => "TO_IN",
            4 => "TO_EX",
            5 => "ALLOW",
            6 => "BLOCK",
            _ => "?",
        };
        let count = usize::from(u16::from_be_bytes([body[at + 2], body[at + 3]]));
        let sources = (0..count).map(|n| address(at + 4 + len * (n + 1)));
        let mut sources: Vec<String> = sources.collect();
        sources.sort_unstable();
        list.push(format!(" {kind} {} {{{}}}", address(at + 4), sources.join(" ")));
        at += 4 + len * (count + 1) + usize::from(body[at + 1]) * 4;
    }
    list.sort_unstable();
    list.join(",")
}

fn v6_head(packet: &[u8]) -> String {
    let mut text = format!("{} > {} hops {}", ip6(&packet[8..24]), ip6(&packet[24..40]), packet[7]);
    let class = packet[0] << 4 | packet[1] >> 4;
    if class != 0 {
        let _ = write!(text, " class {class:02x}");
    }
    if packet[1] & 15 != 0 || packet[2..4] != [0, 0] {
        text += " flow";
    }
    text
}

fn v6(packet: &[u8]) -> (Sort, String) {
    let (mut text, mut next, mut body) = (v6_head(packet), packet[6], &packet[40..]);
    loop {
        match next {
            0 | 60 => {
                let len = usize::from(body[1]) * 8 + 8;
                let _ = write!(text, " header {next} {}", hex(&body[2..len]));
                (next, body) = (body[0], &body[len..]);
            }
            44 => {
                let at = u16::from_be_bytes([body[2], body[3]]);
                let more = if at & 1 != 0 { ", more" } else { "" };
                let _ = write!(text, " fragment at {}{more}", at & !7);
                let rest = body.len() - 8;
                return (Sort::Data, format!("{text}: {rest} bytes of {}", body[0]));
            }
            58 => {
                let (sort, message) = icmp6(body);
                let pseudo = [&packet[8..40], &(body.len() as u32).to_be_bytes(), &[0, 0, 0, 58], body];
                return (sort, format!("{text}: {message}{}", summed(checksum(&pseudo.concat()))));
            }
            17 => return (Sort::Data, format!("{text}: {}", udp(body))),
            other => return (Sort::Data, format!("{text}: {} bytes of {other}", body.len())),
        }
    }
}

fn icmp6(body: &[u8]) -> (Sort, String) {
    let [kind, code] = [body[0], body[1]];
    match kind {
        1..=4 => {
            let (rest, quoted) = (hex(&body[4..8]), &body[8..]);
            let quoted = format!("{} bytes of {}", quoted.len(), v6_head(quoted));
            (Sort::Icmp, format!("ICMPv6 {kind}/{code} {rest}, quotes {quoted}"))
        }
        131 | 132 => {
            let name = if kind == 131 { "MLDv1 report" } else { "MLD done" };
            (Sort::Group, format!("{name} {}", ip6(&body[8..24])))
        }
        143 => (Sort::Group, format!("MLDv2 report{}", records(body, 16))),
        133 => (Sort::Router, format!("RS{}", options(&body[8..]))),
        135 => (Sort::Neighbor, format!("NS {}{}", ip6(&body[8..24]), options(&body[24..]))),
        136 => {
            let flags = [(0x80, "R"), (0x40, "S"), (0x20, "O")];
            let flags: String =
                flags.iter().filter(|(bit, _)| body[4] & bit != 0).map(|(_, name)| *name).collect();
            let target = ip6(&body[8..24]);
            (Sort::Neighbor, format!("NA {target} flags {flags}{}", options(&body[24..])))
        }
        137 => {
            let [target, to] = [8, 24].map(|at| ip6(&body[at..at + 16]));
            (Sort::Icmp, format!("redirect {to} to {target}{}", options(&body[40..])))
        }
        _ => (Sort::Icmp, format!("ICMPv6 {kind}/{code}, {} bytes", body.len())),
    }
}

/// Options of neighbour discovery.
fn options(mut rest: &[u8]) -> String {
    let mut text = String::new();
    while rest.len() >= 8 {
        let len = (usize::from(rest[1]) * 8).clamp(8, rest.len());
        let option = &rest[..len];
        let _ = match option[0] {
            1 => write!(text, ", source {}", station(&option[2..8])),
            2 => write!(text, ", target {}", station(&option[2..8])),
            4 => write!(text, ", quotes {} bytes of {}", len - 8, v6_head(&option[8..])),
            14 => write!(text, ", nonce"),
            _ => write!(text, ", option {}", hex(option)),
        };
        rest = &rest[len..];
    }
    text
}
