//! Frames that go to a host, byte by byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub type Station = [u8; 6];

pub const ALL: Station = [0xff; 6];
/// Of ARP.
pub const REQUEST: u8 = 1;
pub const REPLY: u8 = 2;

/// The host's own at its ports.
pub fn host_station(port: usize) -> Station {
    [2, 0, 0, 0, 0, port as u8 + 1]
}

/// Of others.
pub fn peer(number: u8) -> Station {
    [2, 0, 0, 0, 1, number]
}

pub fn station_text(station: Station) -> String {
    station.map(|byte| format!("{byte:02x}")).join(":")
}

/// Where frames for a group go.
pub fn station_of(group: IpAddr) -> Station {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            [1, 0, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        }
    }
}

pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]));
    let sum = words.map(u64::from).sum::<u64>();
    let fold = |sum: u64| (sum & 0xffff) + (sum >> 16);
    !(fold(fold(fold(sum))) as u16)
}

fn frame(to: Station, from: Station, kind: u16, packet: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), packet].concat()
}

/// An ARP packet from the station of the sender; `to` is where the frame goes.
pub fn arp(
    to: Station,
    operation: u8,
    (sender, sender_ip): (Station, &str),
    (target, target_ip): (Station, &str),
) -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv4Addr>().expect("an address").octets();
    let head = [0, 1, 8, 0, 6, 4, 0, operation];
    let packet = [&head[..], &sender, &ip(sender_ip), &target, &ip(target_ip)].concat();
    frame(to, sender, 0x0806, &packet)
}

/// What an IPv4 packet has in its header, beside its length.
#[derive(Copy, Clone, Debug)]
pub struct V4<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub ttl: u8,
    pub tos: u8,
    pub dont_fragment: bool,
    pub protocol: u8,
    pub options: &'a [u8],
}

impl<'a> V4<'a> {
    pub const fn new(from: &'a str, to: &'a str, protocol: u8) -> V4<'a> {
        V4 { from, to, ttl: 64, tos: 0, dont_fragment: false, protocol, options: &[] }
    }

    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let ip = |text: &str| text.parse::<Ipv4Addr>().expect("an address").octets();
        let words = 5 + self.options.len() as u8 / 4;
        let [high, low] = (u16::from(words) * 4 + payload.len() as u16).to_be_bytes();
        let flags = u8::from(self.dont_fragment) << 6;
        let head = [0x40 | words, self.tos, high, low, 0x12, 0x34, flags, 0, self.ttl, self.protocol, 0, 0];
        let mut header = [&head[..], &ip(self.from), &ip(self.to), self.options].concat();
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [header, payload.to_vec()].concat()
    }

    /// From `station` to the host, or to the group that it is for.
    pub fn frame(&self, port: usize, station: Station, payload: &[u8]) -> Vec<u8> {
        let ip: Ipv4Addr = self.to.parse().expect("an address");
        let to = match ip {
            ip if ip.is_multicast() => station_of(ip.into()),
            ip if ip.is_broadcast() => ALL,
            _ => host_station(port),
        };
        frame(to, station, 0x0800, &self.packet(payload))
    }
}

/// The same of IPv6.
#[derive(Copy, Clone, Debug)]
pub struct V6<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub hop_limit: u8,
    pub class: u8,
    pub label: u32,
    pub next: u8,
}

impl<'a> V6<'a> {
    pub const fn new(from: &'a str, to: &'a str, next: u8) -> V6<'a> {
        V6 { from, to, hop_limit: 64, class: 0, label: 0, next }
    }

    /// Of neighbour discovery.
    pub const fn near(from: &'a str, to: &'a str) -> V6<'a> {
        V6 { hop_limit: 255, ..V6::new(from, to, 58) }
    }

    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let first = 6 << 28 | u32::from(self.class) << 20 | self.label;
        let len = payload.len() as u16;
        let head = [&first.to_be_bytes()[..], &len.to_be_bytes(), &[self.next, self.hop_limit]].concat();
        [&head[..], &ip6(self.from), &ip6(self.to), payload].concat()
    }

    /// The payload is an ICMPv6 message, whose checksum is filled in, behind `before`.
    pub fn icmp_behind(&self, before: &[u8], message: &[u8]) -> Vec<u8> {
        let mut message = message.to_vec();
        let sum = checksum_v6(self.from, self.to, 58, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        self.packet(&[before, &message].concat())
    }

    pub fn frame(&self, port: usize, station: Station, packet: &[u8]) -> Vec<u8> {
        let ip: Ipv6Addr = self.to.parse().expect("an address");
        let to = if ip.is_multicast() { station_of(ip.into()) } else { host_station(port) };
        frame(to, station, 0x86dd, packet)
    }

    /// A frame with an ICMPv6 message.
    pub fn icmp(&self, port: usize, station: Station, message: &[u8]) -> Vec<u8> {
        self.frame(port, station, &self.icmp_behind(&[], message))
    }
}

pub fn ip6(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().expect("an address").octets()
}

fn checksum_v6(from: &str, to: &str, next: u8, message: &[u8]) -> u16 {
    let len = (message.len() as u32).to_be_bytes();
    checksum(&[&ip6(from)[..], &ip6(to), &len, &[0, 0, 0, next], message].concat())
}

/// A source or target link-layer address option.
pub fn link_option(kind: u8, station: Station) -> Vec<u8> {
    [&[kind, 1][..], &station].concat()
}

pub const SOURCE: u8 = 1;
pub const TARGET: u8 = 2;

/// A neighbour solicitation.
pub fn solicitation(target: &str, options: &[u8]) -> Vec<u8> {
    [&[135, 0, 0, 0, 0, 0, 0, 0][..], &ip6(target), options].concat()
}

pub const ROUTER: u8 = 0x80;
pub const SOLICITED: u8 = 0x40;
pub const OVERRIDE: u8 = 0x20;

/// A neighbour advertisement.
pub fn advertisement(flags: u8, target: &str, options: &[u8]) -> Vec<u8> {
    [&[136, 0, 0, 0, flags, 0, 0, 0][..], &ip6(target), options].concat()
}

/// A router advertisement of that lifetime in seconds, and those times in milliseconds.
pub fn router(lifetime: u16, options: &[u8]) -> Vec<u8> {
    [&[134, 0, 0, 0, 64, 0][..], &lifetime.to_be_bytes(), &[0; 8], options].concat()
}

/// A prefix for addresses of hosts' own, on the link.
pub fn prefix(prefix: &str) -> Vec<u8> {
    let times = 3600u32.to_be_bytes();
    [&[3, 4, 64, 0xc0][..], &times, &times, &[0; 4], &ip6(prefix)].concat()
}

/// A UDP datagram without a checksum.
pub fn udp(from: u16, to: u16, data: &[u8]) -> Vec<u8> {
    let len = (8 + data.len() as u16).to_be_bytes();
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &len, &[0; 2], data].concat()
}

/// A UDP datagram of IPv6.
pub fn udp6(v6: &V6<'_>, ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let mut datagram = udp(ports.0, ports.1, data);
    let sum = checksum_v6(v6.from, v6.to, 17, &datagram);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// An ICMP message with its checksum.
pub fn icmp(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0][..], rest].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}
