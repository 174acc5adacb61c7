//! What stands in packets of the internet layer, in files and in other processes' words: each parser by itself, with what
//! can be said of its results; and what a host that configures itself makes of a row of messages.
//!
//! The first byte of an input says which; the rest is for the parser.

mod leases;
mod outside;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tapsock_stack::buf::{Chunk, HeaderBlock};
use tapsock_stack::wire::arp::ArpPacket;
use tapsock_stack::wire::dhcpv4::{Reply, Request, RequestKind};
use tapsock_stack::wire::group::{GroupMessage, Record, RecordKind, igmp_report, mld_report};
use tapsock_stack::wire::ipv4_options::{AnswerOptions, Host, Ipv4Options, Step};
use tapsock_stack::wire::ipv6_ext::{MAX_EXTENSION_HEADERS, upper_layer};
use tapsock_stack::wire::ndp::{
    HOP_LIMIT, NdpMessage, NeighborAdvert, NeighborSolicit, Redirect, RouterAdvert, nonce_of, probe,
};
use tapsock_stack::wire::{EthernetAddress, IpProtocol, Ipv6Header};

use crate::memory;

/// The parsers.
const PARSERS: [fn(&[u8]); 14] = [
    arp,
    neighbors,
    extension_headers,
    ipv4_options,
    igmp,
    mld,
    dhcp,
    leases::run,
    outside::texts,
    outside::question,
    outside::capture,
    outside::stream,
    outside::printed,
    outside::filter,
];

/// Gives the bytes to the parser that the first of them names.
pub fn run(data: &[u8]) {
    memory::of(|| parse(data));
}

fn parse(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    PARSERS[usize::from(*which) % PARSERS.len()](bytes);
}

/// What is read can be written, and is read again.
fn arp(bytes: &[u8]) {
    let Ok(packet) = ArpPacket::parse(bytes) else { return };
    let mut headers = HeaderBlock::new();
    packet.prepend_to(&mut headers);
    assert_eq!(ArpPacket::parse(&headers), Ok(packet));
}

/// From a router on the link to a host, as neighbour discovery demands it.
fn on_link(source: Ipv6Addr) -> Ipv6Header {
    let destination = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    Ipv6Header { source, destination, hop_limit: HOP_LIMIT, ..Ipv6Header::default() }
}

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

fn neighbors(bytes: &[u8]) {
    let ip = on_link(ROUTER);
    let _ = nonce_of(bytes);
    if let Ok(message) = NdpMessage::parse(&ip, bytes) {
        let target = match &message {
            NdpMessage::NeighborSolicit(solicit) => solicit.target,
            NdpMessage::NeighborAdvert(advert) => advert.target,
        };
        assert!(!target.is_multicast());
        let mut headers = HeaderBlock::new();
        message.prepend_to(ip.source, ip.destination, &mut headers);
        assert_eq!(NdpMessage::parse(&ip, &headers), Ok(message));
    }
    if let Ok(advert) = RouterAdvert::parse(&ip, bytes) {
        let counts = [advert.prefixes.len(), advert.routes.len(), advert.resolvers.len()];
        assert!(counts.iter().all(|count| *count <= 32 && count * 8 <= bytes.len()), "{counts:?}");
        let names: usize = advert.domains.iter().map(|(name, _)| name.len()).sum();
        assert!(advert.domains.len() <= 32 && names <= bytes.len(), "{:?}", advert.domains);
        assert!(advert.prefixes.iter().all(|info| info.len <= 128 && masked(info.prefix, info.len)));
        assert!(advert.routes.iter().all(|info| info.len <= 128 && masked(info.prefix, info.len)));
    }
    if let Ok(redirect) = Redirect::parse(&ip, bytes) {
        assert!(!redirect.destination.is_multicast());
        let quoted = Chunk::from(bytes.to_vec());
        let packet = redirect.to_packet(ROUTER, ip.destination, &quoted).to_frame().bytes;
        assert!(packet.len() <= 1280);
        assert_eq!(Redirect::parse(&ip, &packet[Ipv6Header::LEN..]), Ok(redirect));
    }
}

/// Whether the bits behind a prefix are zero.
fn masked(prefix: Ipv6Addr, len: u8) -> bool {
    prefix.to_bits().checked_shl(len.into()).unwrap_or(0) == 0
}

/// A walk that only adds lengths ends where the parser's does.
fn extension_headers(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let Ok(upper) = upper_layer(rest, IpProtocol(*first)) else { return };
    let (mut next, mut at, mut count) = (*first, 0, 0);
    while matches!(next, 0 | 43 | 44 | 60) {
        assert!(next != 0 || count == 0, "hop-by-hop options stand first");
        let len = if next == 44 { 8 } else { (usize::from(rest[at + 1]) + 1) * 8 };
        let field = u16::from_be_bytes([rest[at + 2], rest[at + 3]]);
        let is_part = next == 44 && field & !6 != 0;
        next = rest[at];
        at += len;
        count += 1;
        if is_part {
            let fragment = upper.fragment.expect("a part of a packet");
            assert_eq!((fragment.offset, fragment.more), (field & !7, field & 1 == 1));
            break;
        }
    }
    assert_eq!((upper.protocol.0, upper.offset), (next, at));
    assert!(at <= rest.len() && count <= MAX_EXTENSION_HEADERS);
    // What names the protocol stands before it.
    assert!(usize::try_from(upper.pointer).is_ok_and(|pointer| pointer < Ipv6Header::LEN + at.max(1)));
}

/// What is recorded keeps its length, and what is answered can be read.
fn ipv4_options(bytes: &[u8]) {
    let options = &bytes[..bytes.len().min(40) & !3];
    let ours = Ipv4Addr::new(10, 0, 0, 1);
    let host = Host { ours, is_ours: |address| address == ours, time: 0x8000_0007 };
    match Ipv4Options::parse(options) {
        Ok(parsed) => {
            for step in [Step::Receive, Step::Send] {
                let mut recorded = options.to_vec();
                parsed.record(&mut recorded, step, &host);
                assert!(Ipv4Options::parse(&recorded).is_ok() || recorded != options);
            }
            let answer = parsed.answer(options, &host);
            assert!(answer.len() <= 40 && answer.len() % 4 == 0 && answer.copied().len() <= answer.len());
        }
        Err(error) => assert!((20..60).contains(&error.pointer)),
    }
    if let Some(options) = AnswerOptions::new(options) {
        let mut headers = HeaderBlock::new();
        headers.prepend(20).fill(0x45);
        options.insert_into(&mut headers);
        assert_eq!(headers.len(), 20 + options.len());
    }
}

fn check_group(message: GroupMessage, len: usize, size: usize) {
    match message {
        GroupMessage::Query { version, group, sources, max_response, habits } => {
            assert!((1..=3).contains(&version) && group.is_none_or(|group| group.is_multicast()));
            assert!(sources.len() * size <= len && (version == 3) == habits.is_some());
            assert!(habits.is_none_or(|(robustness, interval)| robustness != Some(0) && !interval.is_zero()));
            assert!(max_response.as_secs() < 9_000, "{max_response:?}");
        }
        GroupMessage::Member { group } => assert!(group.is_multicast()),
        GroupMessage::Other => {}
    }
}

fn igmp(bytes: &[u8]) {
    if let Ok(message) = GroupMessage::parse_igmp(&summed(bytes)) {
        check_group(message, bytes.len(), 4);
    }
}

fn mld(bytes: &[u8]) {
    let ip = Ipv6Header { hop_limit: 1, ..on_link(ROUTER) };
    if let Ok(message) = GroupMessage::parse_mld(&ip, bytes) {
        check_group(message, bytes.len(), 16);
    }
}

fn dhcp(bytes: &[u8]) {
    let Ok(reply) = Reply::parse(bytes) else { return };
    let lists = [reply.routers.len(), reply.name_servers.len(), reply.routes.len()];
    assert!(lists.iter().all(|count| *count <= 64), "an option has 255 bytes: {lists:?}");
    assert!(reply.routes.iter().all(
        |(network, len, _)| *len <= 32 && network.to_bits().checked_shl((*len).into()).unwrap_or(0) == 0
    ));
    assert!(reply.prefix_len.is_none_or(|len| len <= 32) && reply.mtu.is_none_or(|mtu| mtu >= 68));
    assert!(!reply.address.is_multicast() || reply.kind == tapsock_stack::wire::dhcpv4::ReplyKind::Nak);
}

/// The bytes with the checksum of IGMP made right, so that more than the checksum is looked at.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 4 {
        bytes[2..4].fill(0);
        let mut sum = tapsock_stack::wire::checksum::Sum::new();
        sum.add_bytes(&bytes);
        let sum = sum.finish().to_be_bytes();
        bytes[2..4].copy_from_slice(&sum);
    }
    bytes
}

/// Messages that are right, for each parser.
pub fn seeds() -> Vec<Vec<u8>> {
    let station = EthernetAddress([2, 0, 0, 0, 0, 9]);
    let mut seeds = Vec::new();
    let mut seed = |which: u8, bytes: &[u8]| seeds.push([&[which], bytes].concat());
    seed(0, &[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
    let written = |message: NdpMessage| {
        let mut headers = HeaderBlock::new();
        message.prepend_to(ROUTER, ROUTER, &mut headers);
        headers.to_vec()
    };
    seed(1, &written(NeighborSolicit { target: ROUTER, source_link: Some(station) }.into()));
    let (router, solicited, override_) = (true, true, true);
    let advert = NeighborAdvert { target: ROUTER, router, solicited, override_, target_link: Some(station) };
    seed(1, &written(advert.into()));
    seed(1, &probe(ROUTER, Some([1, 2, 3, 4, 5, 6]))[Ipv6Header::LEN..]);
    let redirect = Redirect { target: ROUTER, destination: ROUTER, target_link: Some(station) };
    seed(
        1,
        &redirect.to_packet(ROUTER, ROUTER, &Chunk::from(vec![0x60; 64])).to_frame().bytes[Ipv6Header::LEN..],
    );
    let prefix =
        [&[3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 7, 8, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8][..], &[0; 12]].concat();
    let route = [24, 2, 48, 8, 0, 0, 0, 60, 0x20, 1, 0xd, 0xb8, 0, 5, 0, 0];
    let resolver = [&[25, 3, 0, 0, 0, 0, 0, 90][..], &ROUTER.octets()].concat();
    let domains = [&[31, 3, 0, 0, 0, 0, 0, 90][..], b"\x03lab\x07example\x00", &[0; 3]].concat();
    let head = [134, 0, 0, 0, 64, 8, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0, 5, 220];
    seed(1, &[&head[..], &[1, 1, 2, 0, 0, 0, 0, 9], &prefix, &route, &resolver, &domains].concat());
    for chain in [
        &[
            0, 60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 9, 0, 0,
            0, 1,
        ][..],
        &[60, 17, 1, 5, 2, 0, 0, 0x1e, 1, 7, 1, 4, 0, 0, 0, 0, 0],
        &[44, 44, 0, 0, 0, 0, 0, 0, 1, 6, 0, 0, 8, 0, 0, 0, 2],
    ] {
        seed(2, chain);
    }
    for options in [
        &[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        &[68, 12, 5, 3, 10, 0, 0, 1, 0, 0, 0, 0, 148, 4, 0, 0],
        &[131, 7, 4, 10, 0, 0, 9, 0],
    ] {
        seed(3, options);
    }
    let record =
        |group: IpAddr, source: IpAddr| Record { kind: RecordKind::Allow, group, sources: vec![source] };
    let (group, source) = (IpAddr::from([239, 1, 1, 1]), IpAddr::from([10, 0, 0, 9]));
    seed(4, &igmp_report(Ipv4Addr::new(10, 0, 0, 1), &[record(group, source)]).to_frame().bytes[24..]);
    seed(4, &[0x11, 20, 0, 0, 239, 1, 1, 1, 2, 0x9f, 0, 1, 10, 0, 0, 9]);
    seed(4, &[0x11, 0, 0, 0, 0, 0, 0, 0]);
    seed(4, &[0x16, 0, 0, 0, 239, 1, 1, 1]);
    let group = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 9);
    seed(5, &mld_report(ROUTER, &[record(group.into(), ROUTER.into())]).to_frame().bytes[48..]);
    let fixed = [&[130, 0, 0, 0, 0x90, 0, 0, 0][..], &group.octets()].concat();
    seed(5, &fixed);
    seed(5, &[&fixed[..], &[2, 0x9f, 0, 1], &ROUTER.octets()].concat());
    let mut reply = Request::new(RequestKind::Discover, 7, station).to_bytes();
    reply.truncate(240);
    (reply[0], reply[16], reply[19]) = (2, 10, 9);
    let options = [
        &[53, 1, 5, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1][..],
        &[6, 4, 10, 0, 0, 1, 26, 2, 5, 220, 121, 8, 24, 10, 1, 1, 10, 0, 0, 1, 52, 1, 3, 15, 1, b'x', 255],
    ];
    seed(6, &[&reply[..], &options.concat()].concat());
    leases::seeds().iter().for_each(|steps| seed(7, steps));
    outside::seeds().iter().for_each(|(which, bytes)| seed(8 + which, bytes));
    seeds
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_read_and_so_is_what_is_made_of_them() {
        for seed in super::seeds() {
            super::run(&seed);
            // What makes a host, or a socket, costs too much to be run for each byte, and of printing there is much.
            let (cut, flips): (usize, &[u8]) = match seed[0] {
                7 | 11 => (11, &[0xff]),
                12 => (3, &[0xff]),
                _ => (1, &[1, 0x80, 0xff]),
            };
            for len in (0..seed.len()).step_by(cut) {
                super::run(&seed[..len]);
            }
            for at in (0..seed.len()).step_by(cut) {
                for flip in flips {
                    let mut bytes = seed.clone();
                    bytes[at] ^= flip;
                    super::run(&bytes);
                }
            }
        }
    }
}
