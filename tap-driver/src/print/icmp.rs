//! Messages of ICMP in tcpdump's words.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{Icmpv4Slice, Icmpv6Slice, Ipv4HeaderSlice};

/// A message of ICMP.
pub fn icmpv4(icmp: &Icmpv4Slice<'_>) -> String {
    let [a, b, c, d] = icmp.bytes5to8();
    let (id, seq) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let told = match (icmp.type_u8(), icmp.code_u8()) {
        (8, _) => format!("echo request, id {id}, seq {seq}"),
        (0, _) => format!("echo reply, id {id}, seq {seq}"),
        (3, code) => unreachable(icmp.payload(), code, seq),
        (5, _) => format!("redirect to {}", Ipv4Addr::new(a, b, c, d)),
        (11, 0) => "time exceeded in-transit".to_owned(),
        (11, _) => "ip reassembly time exceeded".to_owned(),
        (12, _) => format!("parameter problem - octet {a}"),
        (13, _) => format!("time stamp query id {id} seq {seq}"),
        (14, _) => format!("time stamp reply id {id} seq {seq}"),
        (kind, code) => format!("type-#{kind}, code {code}"),
    };
    format!("ICMP {told}, length {}", icmp.slice().len())
}

fn unreachable(quoted: &[u8], code: u8, mtu: u16) -> String {
    let Ok(header) = Ipv4HeaderSlice::from_slice(quoted) else { return format!("unreachable, code {code}") };
    let host = header.destination_addr();
    match code {
        0 => format!("net {host} unreachable"),
        1 => format!("host {host} unreachable"),
        2 => format!("{host} protocol {} unreachable", header.protocol().0),
        3 => {
            let kind = if header.protocol().0 == 6 { "tcp" } else { "udp" };
            let port = quoted.get(header.slice().len() + 2..header.slice().len() + 4);
            let port = port.map_or(0, |port| u16::from_be_bytes([port[0], port[1]]));
            format!("{host} {kind} port {port} unreachable")
        }
        4 => format!("{host} unreachable - need to frag (mtu {mtu})"),
        13 => format!("host {host} unreachable - admin prohibited filter"),
        code => format!("{host} unreachable, code {code}"),
    }
}

/// A message of ICMPv6.
pub fn icmpv6(icmp: &Icmpv6Slice<'_>) -> String {
    let [a, b, c, d] = icmp.bytes5to8();
    let (id, seq) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let target = || {
        let bytes = icmp.payload().first_chunk::<16>();
        bytes.map_or_else(|| "?".to_owned(), |bytes| Ipv6Addr::from(*bytes).to_string())
    };
    let told = match (icmp.type_u8(), icmp.code_u8()) {
        (128, _) => format!("echo request, id {id}, seq {seq}"),
        (129, _) => format!("echo reply, id {id}, seq {seq}"),
        (1, 4) => "destination unreachable, unreachable port".to_owned(),
        (1, 3) => "destination unreachable, unreachable address".to_owned(),
        (1, 0) => "destination unreachable, unreachable route".to_owned(),
        (1, code) => format!("destination unreachable, code {code}"),
        (2, _) => format!("packet too big, mtu {}", u32::from_be_bytes([a, b, c, d])),
        (3, 0) => "time exceeded in-transit".to_owned(),
        (3, _) => "time exceeded, reassembly".to_owned(),
        (4, _) => format!("parameter problem, octet {}", u32::from_be_bytes([a, b, c, d])),
        (133, _) => "router solicitation".to_owned(),
        (134, _) => "router advertisement".to_owned(),
        (135, _) => format!("neighbor solicitation, who has {}", target()),
        (136, _) => format!("neighbor advertisement, tgt is {}", target()),
        (137, _) => format!("redirect, {}", target()),
        (130, _) => "multicast listener query".to_owned(),
        (131, _) => "multicast listener report".to_owned(),
        (132, _) => "multicast listener done".to_owned(),
        (143, _) => "multicast listener report v2".to_owned(),
        (kind, code) => format!("type-#{kind}, code {code}"),
    };
    format!("ICMP6, {told}, length {}", icmp.slice().len())
}
