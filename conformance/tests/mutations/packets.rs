//! Packets, with one thing in them altered.

use tapsock_conformance::ast::{
    Body, Direction, Icmp, IpEcn, IpFields, Name, Packet, Ports, Quoted, SackBlock, Tcp, TcpFlags, TcpOption,
    TcpOptions, Udp,
};

/// Whether the values of time stamps are compared.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Stamps {
    /// The script says how long a tick is.
    Compared,
    /// They are names, which later echoes use.
    Named,
}

/// By how many ticks the value of a time stamp is altered: more than any tolerance of the scripts.
const TICKS: u32 = 1000;

/// A packet with each of its parts altered.
pub fn altered_packets(packet: &Packet, stamps: Stamps) -> Vec<(String, Packet)> {
    let bodies: Vec<(String, Body)> = match (&packet.body, packet.direction) {
        (Body::Tcp(segment), Direction::Outbound) => altered_segments(segment, stamps)
            .into_iter()
            .map(|(what, segment)| (what, Body::Tcp(segment)))
            .collect(),
        // What comes in may be told from another in what the stack does later, or not at all: see `altered_arrivals`.
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

/// A packet that nothing is wrong with, where something is: its addresses or its checksum.
pub fn sound(packet: &Packet) -> Option<Packet> {
    let ip = IpFields { source: None, destination: None, wrong_sum: false, ..packet.ip };
    (ip != packet.ip).then(|| Packet { ip, ..packet.clone() })
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
    let parts = ip.parts.map(|parts| IpFields { parts: Some(parts ^ 1), ..ip });
    headers.extend(parts.map(|ip| ("another number of fragments", ip)));
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

/// A segment that comes in, altered in one thing each. Not each is told from the segment: of a window that nobody needs,
/// for instance, any size will do.
pub fn altered_arrivals(segment: &Tcp) -> Vec<(String, Tcp)> {
    let mut arrivals = Vec::new();
    if let Some(ack) = segment.ack {
        for (what, ack) in
            [("less acknowledged", ack.wrapping_sub(1)), ("more acknowledged", ack.wrapping_add(1))]
        {
            arrivals.push((what.to_owned(), Tcp { ack: Some(ack), ..segment.clone() }));
        }
    }
    let by = u32::from(segment.sequence.length).max(1);
    let mut moved = segment.clone();
    moved.sequence.start = moved.sequence.start.wrapping_add(by);
    moved.sequence.end = moved.sequence.end.wrapping_add(by);
    arrivals.push(("another sequence number".to_owned(), moved));
    if segment.window.is_some_and(|window| window > 0) {
        arrivals.push(("a closed window".to_owned(), Tcp { window: Some(0), ..segment.clone() }));
    }
    arrivals.extend(altered_segments(segment, Stamps::Compared));
    arrivals
}

fn altered_segments(segment: &Tcp, stamps: Stamps) -> Vec<(String, Tcp)> {
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
        let listed = |options| Tcp { options: TcpOptions::Listed(options), ..segment.clone() };
        for (index, option) in options.iter().enumerate() {
            for altered in other_options(option, stamps) {
                let what = format!("{altered} for {option}");
                let mut other = options.clone();
                other[index] = altered;
                segments.push((what, listed(other)));
            }
        }
        let more = [&options[..], &[const { TcpOption::Nop }; 4]].concat();
        segments.push(("more options".to_owned(), listed(more)));
    }
    segments
}

/// The option with each number in it altered.
fn other_options(option: &TcpOption, stamps: Stamps) -> Vec<TcpOption> {
    match option {
        TcpOption::Mss(mss) => vec![TcpOption::Mss(mss + 1)],
        TcpOption::WindowScale(shift) => vec![TcpOption::WindowScale(shift + 1)],
        TcpOption::Sack(blocks) => {
            let altered = |index: usize, change: fn(SackBlock) -> SackBlock| {
                let mut blocks = blocks.clone();
                blocks[index] = change(blocks[index]);
                TcpOption::Sack(blocks)
            };
            let left = |block: SackBlock| SackBlock { left: block.left.wrapping_add(1), ..block };
            let right = |block: SackBlock| SackBlock { right: block.right.wrapping_add(1), ..block };
            (0..blocks.len()).flat_map(|index| [altered(index, left), altered(index, right)]).collect()
        }
        TcpOption::Timestamp { value, echo } => {
            let mut options = vec![TcpOption::Timestamp { value: *value, echo: echo + 1 }];
            if stamps == Stamps::Compared {
                options.push(TcpOption::Timestamp { value: value.wrapping_add(TICKS), echo: *echo });
            }
            options
        }
        TcpOption::Nop => vec![TcpOption::EndOfList],
        _ => vec![TcpOption::Nop],
    }
}
