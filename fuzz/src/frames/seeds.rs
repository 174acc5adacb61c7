//! Frames that are right, to begin with.

use tapsock_stack::wire::icmp::Echo;
use tapsock_stack::wire::icmpv4::{self, Icmpv4Message};
use tapsock_stack::wire::icmpv6::{self, Icmpv6Message};
use tapsock_stack::wire::ndp::{NeighborAdvert, NeighborSolicit};
use tapsock_stack::wire::{EthernetHeader, IpProtocol, TcpFlags, TcpHeader, TcpOptions, Timestamps};

use super::flag;
use super::host::{
    CONNECTED_PORT, Host, OPENING_PORT, PING_IDENT, Peer, RAW_PROTOCOL, TCP_PORT, UDP_PORT, WRITTEN,
};
use crate::craft::{Family, Path, station, transport_of};

/// Inputs of one to a few frames that are right.
pub fn seeds() -> Vec<Vec<u8>> {
    let (host, peers) = Host::with_peers();
    let sent: Vec<Vec<u8>> = host.sent.iter().map(|frame| frame.bytes.to_vec()).collect();
    let mut seeds = Vec::new();
    for peer in &peers {
        seeds.extend(conversation(peer));
    }
    seeds.extend(handshakes(&sent));
    seeds.extend(datagrams());
    seeds.extend(errors(&sent));
    seeds.extend(neighbors());
    seeds.extend(extension_headers());
    seeds
}

/// One record: the flags, the length and the frame.
fn record(flags: u8, frame: &[u8]) -> Vec<u8> {
    [&[flags][..], &(frame.len() as u16).to_le_bytes(), frame].concat()
}

const WAIT_10_MS: u8 = 1 << flag::TIME_SHIFT;
const WAIT_1_S: u8 = 2 << flag::TIME_SHIFT;
const WAIT_70_S: u8 = 3 << flag::TIME_SHIFT;

/// Segments of an open connection.
fn conversation(peer: &Peer) -> Vec<Vec<u8>> {
    let stamps = |header: TcpHeader| {
        let timestamps = peer.path.source.is_ipv4().then_some(Timestamps { value: 1001, echo: 0 });
        TcpHeader { options: TcpOptions { timestamps, ..header.options.clone() }, ..header }
    };
    let segment = |flags, offset: u32, acked: usize, payload: &[u8]| {
        let mut header = stamps(peer.header(flags));
        header.sequence = header.sequence.wrapping_add(offset);
        header.acknowledgment = header.acknowledgment.wrapping_add(acked as u32);
        peer.path.tcp(&header, payload)
    };
    let ack = TcpFlags::ACK;
    let data = |offset: u32, len| segment(ack | TcpFlags::PSH, offset, 0, &vec![offset as u8; len]);
    let fin = |offset, acked| segment(ack | TcpFlags::FIN, offset, acked, &[]);
    let mut sack = stamps(peer.header(ack));
    sack.options.sack.push((peer.ack.wrapping_add(1448), peer.ack.wrapping_add(2896)));
    let mut closed = stamps(peer.header(ack));
    closed.window = 0;
    let mend = flag::MEND | flag::APPLICATION;
    let reads = |frames: &[(u8, Vec<u8>)]| -> Vec<u8> {
        frames.iter().flat_map(|(flags, frame)| record(mend | flags, frame)).collect()
    };
    vec![
        reads(&[(0, data(0, 100)), (0, data(100, 1448)), (WAIT_1_S, segment(ack, 1548, WRITTEN, &[]))]),
        reads(&[
            (0, data(3000, 500)),
            (0, data(1000, 500)),
            (WAIT_10_MS, data(0, 1000)),
            (0, data(1500, 1500)),
        ]),
        reads(&[
            (0, segment(ack, 0, WRITTEN, &[])),
            (0, fin(0, WRITTEN)),
            (WAIT_70_S, segment(ack, 1, WRITTEN, &[])),
        ]),
        reads(&[(WAIT_10_MS, peer.path.tcp(&sack, &[])), (WAIT_1_S, peer.path.tcp(&sack, &[]))]),
        reads(&[(WAIT_70_S, peer.path.tcp(&closed, &[])), (WAIT_70_S, segment(ack, 0, WRITTEN, &[]))]),
        reads(&[(0, segment(TcpFlags::RST, 0, 0, &[]))]),
        reads(&[(0, segment(TcpFlags::RST, 9, 0, &[])), (0, segment(TcpFlags::SYN, 0, 0, &[]))]),
        reads(&[(0, segment(ack | TcpFlags::URG, 0, 0, b"urgent"))]),
        merged(&data(0, 1440)),
    ]
}

/// A frame that the link merged from three.
fn merged(frame: &[u8]) -> Vec<u8> {
    let flags = flag::MERGED | flag::APPLICATION | 1;
    let head = [flags, frame.len() as u8, (frame.len() >> 8) as u8];
    [&head[..], &480u16.to_le_bytes(), frame].concat()
}

/// Segments to the listener, to the connection that is being opened, and to nobody.
fn handshakes(sent: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for family in [Family::V4, Family::V6] {
        let path = Path::between(1, 0, family);
        let peer = Peer { path, port: 4100, seq: 5_000, ack: 0 };
        let syn = path.tcp(&peer.header(TcpFlags::SYN), &[]);
        let rst = path.tcp(&TcpHeader { sequence: 5_001, ..peer.header(TcpFlags::RST) }, &[]);
        seeds.push([record(0, &syn), record(WAIT_70_S, &syn), record(0, &rst)].concat());
        let nobody = TcpHeader { destination_port: 9, ..peer.header(TcpFlags::ACK) };
        seeds.push(record(0, &path.tcp(&nobody, b"data")));
    }
    let syn = sent.iter().filter_map(|frame| tcp_header(frame)).find(|h| h.source_port == OPENING_PORT);
    if let Some(syn) = syn {
        let answer = |flags| TcpHeader {
            source_port: syn.destination_port,
            destination_port: syn.source_port,
            sequence: 9_000,
            acknowledgment: syn.sequence.wrapping_add(1),
            flags,
            window: 5_000,
            options: syn.options.clone(),
            header_len: 0,
            urgent_pointer: 0,
        };
        let path = Path::between(1, 0, Family::V4);
        for flags in [TcpFlags::SYN | TcpFlags::ACK, TcpFlags::SYN, TcpFlags::RST | TcpFlags::ACK] {
            seeds.push(record(flag::APPLICATION | WAIT_1_S, &path.tcp(&answer(flags), &[])));
        }
    }
    seeds
}

fn tcp_header(frame: &[u8]) -> Option<TcpHeader> {
    let (_, _, segment) = transport_of(frame, IpProtocol::TCP)?;
    TcpHeader::parse(segment).ok()
}

fn datagrams() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for family in [Family::V4, Family::V6] {
        let path = Path::between(1, 0, family);
        let ports = [(6000, UDP_PORT), (CONNECTED_PORT, CONNECTED_PORT), (6000, 9)];
        seeds.extend(ports.map(|ports| record(flag::APPLICATION, &path.udp(ports, b"datagram"))));
        seeds.push(merged(&path.udp((CONNECTED_PORT, CONNECTED_PORT), &[3; 1440])));
        let echo = Echo { ident: PING_IDENT, sequence: 1 };
        let (request, reply) = match family {
            Family::V4 => (
                path.icmpv4(Icmpv4Message::EchoRequest(echo), b"ping"),
                path.icmpv4(Icmpv4Message::EchoReply(echo), b"ping"),
            ),
            Family::V6 => (
                path.icmpv6(Icmpv6Message::EchoRequest(echo), b"ping"),
                path.icmpv6(Icmpv6Message::EchoReply(echo), b"ping"),
            ),
        };
        seeds.push(record(0, &request));
        seeds.push(record(flag::APPLICATION, &reply));
        let nobodys = path.raw(IpProtocol(RAW_PROTOCOL), b"packet");
        seeds.push(record(flag::APPLICATION, &nobodys));
        // The same without a link header, at the other interface.
        let inner = &path.udp((6000, UDP_PORT), b"datagram")[EthernetHeader::LEN..];
        seeds.push(record(flag::BARE_IP | flag::MEND | 1, inner));
    }
    seeds
}

/// Errors about what the stack has sent.
fn errors(sent: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for frame in sent.iter().rev().take(12) {
        let quote = &frame[EthernetHeader::LEN..];
        if quote.first().is_some_and(|byte| byte >> 4 == 4) {
            let path = Path::between(1, 0, Family::V4);
            let quote = &quote[..quote.len().min(60)];
            for (code, mtu) in
                [(icmpv4::UnreachableCode::PORT, 0), (icmpv4::UnreachableCode::FRAGMENTATION_NEEDED, 600)]
            {
                let message = Icmpv4Message::DestinationUnreachable { code, mtu };
                seeds.push(record(flag::APPLICATION | WAIT_1_S, &path.icmpv4(message, quote)));
            }
        } else if quote.first().is_some_and(|byte| byte >> 4 == 6) {
            let path = Path::between(1, 0, Family::V6);
            let quote = &quote[..quote.len().min(100)];
            let code = icmpv6::UnreachableCode::PORT;
            for message in
                [Icmpv6Message::DestinationUnreachable { code }, Icmpv6Message::PacketTooBig { mtu: 1280 }]
            {
                seeds.push(record(flag::APPLICATION | WAIT_1_S, &path.icmpv6(message, quote)));
            }
        }
    }
    seeds
}

fn neighbors() -> Vec<Vec<u8>> {
    let path = Path::between(1, 0, Family::V6);
    let std::net::IpAddr::V6(target) = path.destination else { return Vec::new() };
    let std::net::IpAddr::V6(own) = path.source else { return Vec::new() };
    let solicit = NeighborSolicit { target, source_link: Some(station(1)) };
    let advert = NeighborAdvert {
        target: own,
        router: true,
        solicited: true,
        override_: true,
        target_link: Some(station(3)),
    };
    let ndp = |message| record(WAIT_70_S, &path.icmpv6(Icmpv6Message::Ndp(message), &[]));
    let arp = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1];
    let link = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6];
    let mut reply = [&link[..], &arp].concat();
    let request = reply.clone();
    reply[21] = 2;
    vec![ndp(solicit.into()), ndp(advert.into()), record(WAIT_70_S, &request), record(WAIT_1_S, &reply)]
}

fn extension_headers() -> Vec<Vec<u8>> {
    let path = Path::between(1, 0, Family::V6);
    let rows: [(u8, &[u8]); 6] = [
        (0, &[6, 0, 1, 4, 0, 0, 0, 0]),
        (60, &[17, 0, 0x80, 4, 0, 0, 0, 0]),
        (43, &[17, 0, 0, 3, 0, 0, 0, 0]),
        (44, &[17, 0, 0, 9, 0, 0, 0, 1]),
        (44, &[17, 0, 0, 0, 0, 0, 0, 1, 0x17, 0x70, 0x13, 0x88, 0, 8, 0, 0]),
        (200, &[0; 8]),
    ];
    let mut seeds: Vec<Vec<u8>> =
        rows.map(|(first, bytes)| record(1, &path.raw(IpProtocol(first), bytes))).into();
    let fragment = Path::between(1, 0, Family::V4).udp((6000, UDP_PORT), &[0; 64]);
    let mut first = fragment.clone();
    first[20] = 0x20;
    seeds.push([record(flag::MEND, &first), record(flag::MEND, &fragment)].concat());
    seeds.push(record(0, &Path::between(1, 0, Family::V4).tcp(&loud_syn(), &[])));
    seeds
}

/// A SYN with every option.
fn loud_syn() -> TcpHeader {
    TcpHeader {
        source_port: 4200,
        destination_port: TCP_PORT,
        flags: TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR,
        window: 1,
        options: TcpOptions {
            mss: Some(1),
            window_scale: Some(15),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: u32::MAX, echo: 1 }),
            ..TcpOptions::default()
        },
        ..TcpHeader::default()
    }
}
