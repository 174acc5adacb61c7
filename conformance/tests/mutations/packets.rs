//! Packets, with one thing in them altered.

use tapsock_conformance::ast::{
    Body, Direction, Icmp, IpEcn, IpFields, Name, Packet, Ports, Quoted, SackBlock, Tcp, TcpFlags, TcpOption,
    TcpOptions, Udp,
};

/// A packet with each of its parts altered.
pub fn altered_packets(packet: &Packet) -> Vec<(String, Packet)> {
    let bodies: Vec<(String, Body)> = match (&packet.body, packet.direction) {
        (Body::Tcp(segment), Direction::Outbound) => {
            altered_segments(segment).into_iter().map(|(what, segment)| (what, Body::Tcp(segment))).collect()
        }
        // What comes in may be told from another in what the stack does later, or not at all.
        (Body::Tcp(_), Direction::Inbound) => Vec::new(),
        (Body::Udp(datagram), _) => altered_datagrams(datagram),
        (Body::Icmp(message), direction) => altered_messages(message, direction),
    };
    let mut packets: Vec<_> =
        bodies.into_iter().map(|(what, body)| (what, Packet { body, ..packet.clone() })).collect();
    if packet.direction == Direction::Outbound {
        packets.extend(altered_headers(packet));
    }
    packets
}

/// A packet with each field of the IP header altered that the script names, and with other ECN bits.
fn altered_headers(packet: &Packet) -> Vec<(String, Packet)> {
    let ip = packet.ip;
    let ecn = if ip.ecn == Some(IpEcn::Ce) { IpEcn::NoEcn } else { IpEcn::Ce };
    let mut headers = Vec::new();
    if ip.tos.is_none() {
        headers.push(("other ECN bits", IpFields { ecn: Some(ecn), ..ip }));
    }
    headers.extend(ip.tos.map(|tos| ("another type of service", IpFields { tos: Some(tos ^ 4), ..ip })));
    headers.extend(ip.ttl.map(|ttl| ("another time to live", IpFields { ttl: Some(ttl ^ 1), ..ip })));
    let label = ip.flow_label.map(|label| IpFields { flow_label: Some(label ^ 1), ..ip });
    headers.extend(label.map(|ip| ("another flow label", ip)));
    headers.into_iter().map(|(what, ip)| (what.to_owned(), Packet { ip, ..packet.clone() })).collect()
}

fn altered_datagrams(datagram: &Udp) -> Vec<(String, Body)> {
    let longer = Udp { length: datagram.length + 1, ..*datagram };
    let mut datagrams = vec![("a longer datagram".to_owned(), Body::Udp(longer))];
    if let Some(ports) = datagram.ports {
        let other = Udp { ports: Some(Ports { destination: ports.destination ^ 1, ..ports }), ..*datagram };
        datagrams.push(("another port".to_owned(), Body::Udp(other)));
    }
    datagrams
}

/// A message with each of its parts altered. One that comes in becomes one that says nothing.
fn altered_messages(message: &Icmp, direction: Direction) -> Vec<(String, Body)> {
    let name = |text: &str| Name { at: message.kind.at, text: text.to_owned() };
    let kind = Icmp { kind: name("type_253"), code: None, ..message.clone() };
    let mut messages = vec![("another type", kind)];
    if direction == Direction::Outbound {
        messages.push(("another code", Icmp { code: Some(name("code_77")), ..message.clone() }));
        let longer = match message.quoted {
            Some(Quoted::Raw(length)) => Some(Quoted::Raw(length + 1)),
            Some(Quoted::Udp(length)) => Some(Quoted::Udp(length + 1)),
            Some(Quoted::Tcp(_)) | None => None,
        };
        if longer.is_some() {
            messages.push(("another quotation", Icmp { quoted: longer, ..message.clone() }));
        }
    }
    let id = message.id.map(|id| Icmp { id: Some(id ^ 1), ..message.clone() });
    messages.extend(id.map(|message| ("another identifier", message)));
    let mtu = message.mtu.map(|mtu| Icmp { mtu: Some(mtu + 77), ..message.clone() });
    messages.extend(mtu.map(|message| ("another MTU", message)));
    messages.into_iter().map(|(what, message)| (what.to_owned(), Body::Icmp(message))).collect()
}

fn altered_segments(segment: &Tcp) -> Vec<(String, Tcp)> {
    let mut segments = Vec::new();
    for (letter, flag) in TcpFlags::LETTERS {
        let mut other = segment.clone();
        other.flags =
            if segment.flags.contains(flag) { segment.flags.without(flag) } else { segment.flags | flag };
        segments.push((format!("flag {letter}"), other));
    }
    if let Some(ports) = segment.ports {
        let ports = Ports { destination: ports.destination ^ 1, ..ports };
        segments.push(("another port".to_owned(), Tcp { ports: Some(ports), ..segment.clone() }));
    }
    let mut longer = segment.clone();
    longer.sequence.length += 1;
    longer.sequence.end = longer.sequence.end.wrapping_add(1);
    segments.push(("a byte more".to_owned(), longer));
    // The first segment says where the script's numbers begin.
    if !segment.flags.contains(TcpFlags::SYN) {
        let mut moved = segment.clone();
        moved.sequence.start = moved.sequence.start.wrapping_add(1);
        moved.sequence.end = moved.sequence.end.wrapping_add(1);
        segments.push(("another sequence number".to_owned(), moved));
    }
    if let Some(ack) = segment.ack {
        segments.push(("another acknowledgement".to_owned(), Tcp { ack: Some(ack + 1), ..segment.clone() }));
    }
    let window = segment.window.map_or(1, |window| window ^ 1);
    segments.push(("another window".to_owned(), Tcp { window: Some(window), ..segment.clone() }));
    let urgent = segment.urgent.unwrap_or(0) + 1;
    segments.push(("an urgent pointer".to_owned(), Tcp { urgent: Some(urgent), ..segment.clone() }));
    if let TcpOptions::Listed(options) = &segment.options {
        for (index, option) in options.iter().enumerate() {
            let mut other = options.clone();
            other[index] = other_option(option);
            let what = format!("{} for {option}", other[index]);
            segments.push((what, Tcp { options: TcpOptions::Listed(other), ..segment.clone() }));
        }
        let more = [&options[..], &[const { TcpOption::Nop }; 4]].concat();
        segments
            .push(("more options".to_owned(), Tcp { options: TcpOptions::Listed(more), ..segment.clone() }));
    }
    segments
}

fn other_option(option: &TcpOption) -> TcpOption {
    match option {
        TcpOption::Mss(mss) => TcpOption::Mss(mss + 1),
        TcpOption::WindowScale(shift) => TcpOption::WindowScale(shift + 1),
        TcpOption::Sack(blocks) => {
            let last = blocks.len() - 1;
            let mut blocks = blocks.clone();
            blocks[last] = SackBlock { right: blocks[last].right + 1, ..blocks[last] };
            TcpOption::Sack(blocks)
        }
        TcpOption::Timestamp { value, echo } => TcpOption::Timestamp { value: *value, echo: echo + 1 },
        TcpOption::Nop => TcpOption::EndOfList,
        _ => TcpOption::Nop,
    }
}
