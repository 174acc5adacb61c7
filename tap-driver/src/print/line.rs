//! A packet as tcpdump's line for it.

use std::fmt::{self, Debug, Formatter, Write};
use std::net::{IpAddr, Ipv4Addr};

use etherparse::{LaxNetSlice, TcpOptionElement, TcpSlice, TransportSlice};

use super::icmp::{icmpv4, icmpv6};
use super::packet::Packet;
use crate::pcapng::read::Frame;

/// The name of the service at a port of `tcp` or `udp`, where it has one.
pub type ServiceName = Box<dyn Fn(u16, &str) -> Option<String> + Send + Sync>;

/// Bytes of what is said of a packet at most, without its own bytes: most is said of a TCP segment with all options.
const TEXT_MAX: usize = 1024;

/// The most that is printed of a frame of so many bytes, in bytes: by [`Style::line`] in words and in hexadecimal
/// digits, or by [`Style::json`]. Names of services and of interfaces count extra.
pub fn text_max(frame: usize) -> usize {
    // Sixteen bytes take 50 letters, and an offset of more than four digits some more.
    TEXT_MAX + frame.div_ceil(16) * 64
}

/// How packets are shown.
///
/// ```
/// use tapsock_driver::pcapng::{Direction, read::Frame};
/// use tapsock_driver::print::{Packet, Style};
/// use tapsock_stack::wire::offload::Medium;
///
/// let bytes = [&[0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 7, 0, 2, 10, 7, 0, 1][..], &[0, 7, 0, 9, 0, 8, 0, 0]];
/// let (interface, bytes) = ("tap0".to_owned(), bytes.concat());
/// let frame = Frame { nanos: 0, interface, medium: Medium::Ip, direction: Direction::Sent, bytes };
/// let line = Style::default().line(&frame, &Packet::parse(&frame));
/// assert_eq!(line, "00:00:00.000000 IP 10.7.0.2.7 > 10.7.0.1.9: UDP, length 0\n");
/// ```
#[derive(Default)]
pub struct Style {
    /// Names of services, where they are wanted.
    pub services: Option<ServiceName>,
    /// With what the IP header says.
    pub verbose: bool,
    /// With the bytes from the IP or ARP header on.
    pub hex: bool,
}

impl Debug for Style {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Style { services, verbose, hex } = self;
        let mut told = f.debug_struct("Style");
        told.field("services", &services.is_some()).field("verbose", verbose).field("hex", hex).finish()
    }
}

impl Style {
    /// The line, and what else is wanted; each ends with a line feed.
    pub fn line(&self, frame: &Frame, packet: &Packet<'_>) -> String {
        let mut text = format!("{} {}\n", clock(frame.nanos), self.packet(packet));
        if self.hex {
            hex(&mut text, packet.inside);
        }
        text
    }

    /// The line without its time and its end.
    pub(super) fn packet(&self, packet: &Packet<'_>) -> String {
        let net = packet.parts.as_ref().and_then(|parts| parts.net.as_ref());
        let (name, header, carried) = match net {
            Some(LaxNetSlice::Arp(_)) => return arp(packet),
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                let mut flags = Vec::new();
                if header.more_fragments() {
                    flags.push("+");
                }
                if header.dont_fragment() {
                    flags.push("DF");
                }
                let flags = if flags.is_empty() { "none".to_owned() } else { flags.join(", ") };
                let proto = header.protocol();
                let told = format!(
                    "(tos {:#x}, ttl {}, id {}, offset {}, flags [{flags}], proto {} ({}), length {})",
                    header.dcp().value() << 2 | header.ecn().value(),
                    header.ttl(),
                    header.identification(),
                    header.fragments_offset().value() * 8,
                    protocol(proto.0),
                    proto.0,
                    header.total_len()
                );
                let fragment = header.more_fragments() || header.fragments_offset().value() > 0;
                ("IP", told, (proto.0, fragment, ip.payload().payload.len()))
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let header = ip.header();
                let told = format!(
                    "(flowlabel {:#07x}, hlim {}, next-header {} ({}) payload length: {})",
                    header.flow_label().value(),
                    header.hop_limit(),
                    protocol(header.next_header().0),
                    header.next_header().0,
                    header.payload_length()
                );
                let payload = ip.payload();
                ("IP6", told, (payload.ip_number.0, payload.fragmented, payload.payload.len()))
            }
            None => return unknown(packet),
        };
        let Some((source, destination)) = packet.addresses() else { return unknown(packet) };
        let told = self.carried(packet, source, destination, carried);
        match self.verbose {
            true => format!("{name} {header}\n    {told}"),
            false => format!("{name} {told}"),
        }
    }

    /// The ends, and what goes between them.
    fn carried(
        &self,
        packet: &Packet<'_>,
        source: IpAddr,
        destination: IpAddr,
        (number, is_fragment, len): (u8, bool, usize),
    ) -> String {
        let plain = || format!("{source} > {destination}");
        match packet.transport() {
            Some(TransportSlice::Tcp(tcp)) => {
                let ends =
                    self.ends("tcp", (source, tcp.source_port()), (destination, tcp.destination_port()));
                format!("{ends}: {}", segment(tcp))
            }
            Some(TransportSlice::Udp(udp)) => {
                let ends =
                    self.ends("udp", (source, udp.source_port()), (destination, udp.destination_port()));
                // What was cut off counts: the header says how much there was.
                format!("{ends}: UDP, length {}", udp.length().saturating_sub(8))
            }
            Some(TransportSlice::Icmpv4(icmp)) => format!("{}: {}", plain(), icmpv4(icmp)),
            Some(TransportSlice::Icmpv6(icmp)) => format!("{}: {}", plain(), icmpv6(icmp)),
            Some(TransportSlice::Igmp(_)) => format!("{}: igmp, length {len}", plain()),
            None if is_fragment => format!("{}: frag, ip-proto-{number}, length {len}", plain()),
            None => format!("{}: {}, length {len}", plain(), protocol(number).to_lowercase()),
        }
    }

    fn ends(&self, protocol: &str, source: (IpAddr, u16), destination: (IpAddr, u16)) -> String {
        let end = |(address, port): (IpAddr, u16)| match self
            .services
            .as_ref()
            .and_then(|services| services(port, protocol))
        {
            Some(service) => format!("{address}.{service}"),
            None => format!("{address}.{port}"),
        };
        format!("{} > {}", end(source), end(destination))
    }
}

/// The time of day, in UTC.
fn clock(nanos: u64) -> String {
    let (seconds, micros) = (nanos / 1_000_000_000 % 86_400, nanos / 1000 % 1_000_000);
    format!("{:02}:{:02}:{:02}.{micros:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// What is behind the ends of a TCP segment.
fn segment(tcp: &TcpSlice<'_>) -> String {
    let flags = flags(tcp);
    let flags = if flags.is_empty() { "none".to_owned() } else { flags };
    let (seq, len) = (tcp.sequence_number(), tcp.payload().len());
    let mut text = format!("Flags [{flags}]");
    // A string takes all there is.
    if len > 0 {
        let _ = write!(text, ", seq {seq}:{}", seq.wrapping_add(len as u32));
    } else if tcp.syn() || tcp.fin() || tcp.rst() {
        let _ = write!(text, ", seq {seq}");
    }
    if tcp.ack() {
        let _ = write!(text, ", ack {}", tcp.acknowledgment_number());
    }
    let _ = write!(text, ", win {}", tcp.window_size());
    if tcp.urg() {
        let _ = write!(text, ", urg {}", tcp.urgent_pointer());
    }
    let options: Vec<String> =
        tcp.options_iterator().map_while(|option| option.ok().map(|it| self::option(&it))).collect();
    if !options.is_empty() {
        let _ = write!(text, ", options [{}]", options.join(","));
    }
    let _ = write!(text, ", length {len}");
    text
}

/// The flags of a TCP segment, a letter each.
pub(super) fn flags(tcp: &TcpSlice<'_>) -> String {
    let marks = [
        (tcp.syn(), 'S'),
        (tcp.fin(), 'F'),
        (tcp.rst(), 'R'),
        (tcp.psh(), 'P'),
        (tcp.cwr(), 'W'),
        (tcp.ece(), 'E'),
        (tcp.urg(), 'U'),
        (tcp.ack(), '.'),
    ];
    marks.into_iter().filter(|(on, _)| *on).map(|(_, mark)| mark).collect()
}

fn option(option: &TcpOptionElement) -> String {
    match option {
        TcpOptionElement::Noop => "nop".to_owned(),
        TcpOptionElement::MaximumSegmentSize(size) => format!("mss {size}"),
        TcpOptionElement::WindowScale(shift) => format!("wscale {shift}"),
        TcpOptionElement::SelectiveAcknowledgementPermitted => "sackOK".to_owned(),
        TcpOptionElement::Timestamp(value, echo) => format!("TS val {value} ecr {echo}"),
        TcpOptionElement::SelectiveAcknowledgement(first, others) => {
            let blocks: Vec<_> = std::iter::once(first).chain(others.iter().flatten()).collect();
            let ranges: String = blocks.iter().map(|(start, end)| format!("{{{start}:{end}}}")).collect();
            format!("sack {} {ranges}", blocks.len())
        }
    }
}

fn arp(packet: &Packet<'_>) -> String {
    let Some(arp) = packet.arp() else { return format!("ARP, Unknown, length {}", packet.inside.len()) };
    let mac = |bytes: [u8; 6]| bytes.map(|byte| format!("{byte:02x}")).join(":");
    let (sender, target) = (Ipv4Addr::from(arp.sender_ipv4), Ipv4Addr::from(arp.target_ipv4));
    let told = match arp.operation.0 {
        1 if sender == target => format!("Announcement {sender}"),
        1 if sender.is_unspecified() => format!("Probe {target}"),
        1 => format!("Request who-has {target} tell {sender}"),
        2 => format!("Reply {sender} is-at {}", mac(arp.sender_mac)),
        other => format!("op {other}"),
    };
    format!("ARP, {told}, length 28")
}

fn unknown(packet: &Packet<'_>) -> String {
    match packet.ether_type() {
        Some(kind) => format!("ethertype {:#06x}, length {}", kind.0, packet.inside.len()),
        None => format!("[cut off], length {}", packet.inside.len()),
    }
}

/// The name of what an IP header says that follows.
fn protocol(number: u8) -> &'static str {
    match number {
        0 => "Options",
        1 => "ICMP",
        2 => "IGMP",
        6 => "TCP",
        17 => "UDP",
        44 => "Fragment",
        58 => "ICMPv6",
        _ => "unknown",
    }
}

/// Sixteen bytes a line, in pairs.
fn hex(text: &mut String, bytes: &[u8]) {
    for (row, bytes) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "\t{:#06x}: ", row * 16);
        for pair in bytes.chunks(2) {
            let _ = write!(text, " {}", pair.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        }
        text.push('\n');
    }
}
